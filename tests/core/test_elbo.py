import math

import jaxtyping
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from vaelib import vae
from vaelib.decoder import log_likelihood
from vaelib.elbo import ElboTerms, elbo, kl, kl_per_dimension
from vaelib.encoder import Gaussian, reparameterize


def gaussian(mean, log_std):
    return Gaussian(*(torch.tensor([values], dtype=torch.float64) for values in (mean, log_std)))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.5, 0.3), (-2.0, 1.7), (0.0, 0.653)])
def test_kl_against_exact_integration(mean, std):
    def integrand(z):
        log_q = norm.logpdf(z, mean, std)
        return math.exp(log_q) * (log_q - norm.logpdf(z))

    integral, error = quad(integrand, mean - 12 * std, mean + 12 * std, epsabs=1e-10)
    assert abs(kl(gaussian([mean], [math.log(std)])).item() - integral) < 1e-8 + error


def test_kl_against_torch(generator):
    posterior = Gaussian(*torch.randn(2, 50, 5, generator=generator, dtype=torch.float64))
    torchs = kl_divergence(Normal(posterior.mean, posterior.log_std.exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl(posterior), torchs.sum(-1))


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(generator):
    assert kl(gaussian([0.0, 0.0], [0.0, 0.0])).item() == 0
    random = Gaussian(*torch.randn(2, 5000, 3, generator=generator))
    assert (kl(random) > 0).all()


def test_kl_adds_over_dimensions_and_keeps_images_apart(generator):
    posterior = Gaussian(*torch.randn(2, 6, 4, generator=generator))
    one_by_one = [
        kl(Gaussian(posterior.mean[:, d : d + 1], posterior.log_std[:, d : d + 1]))
        for d in range(4)
    ]
    torch.testing.assert_close(kl(posterior), sum(one_by_one))


def test_shapes_in_signatures_are_checked_under_pytest():
    with pytest.raises(jaxtyping.TypeCheckError):
        reparameterize(Gaussian(torch.zeros(3, 2), torch.zeros(3, 2)), torch.zeros(3, 2).int())
    with pytest.raises(jaxtyping.TypeCheckError):
        log_likelihood(torch.zeros(3, 784), torch.zeros(3, 5))


def test_the_bound_is_the_difference_of_its_terms():
    terms = ElboTerms(torch.tensor([-100.0]), torch.tensor([7.0]))
    assert terms.bound.item() == -107


def test_elbo_is_made_of_its_parts_and_fixed_noise_fixes_it(generator):
    model = vae.dense(generator=generator)
    image = (torch.rand(8, 784, generator=generator) < 0.2).float()
    noise = torch.randn(8, 5, generator=generator)
    terms = elbo(model, image, noise)
    posterior = model.encoder(image)
    logits = model.decoder(reparameterize(posterior, noise))
    torch.testing.assert_close(terms.log_likelihood, log_likelihood(image, logits))
    assert torch.equal(terms.kl, kl(posterior))
    assert torch.equal(elbo(model, image, noise).bound, terms.bound)
    assert terms.bound.shape == (8,)


def test_elbo_stays_below_log_p_on_a_model_that_can_be_integrated(generator):
    """One latent dimension and four pixels: log p(x) by quadrature, the ELBO by many samples."""
    model = vae.dense(pixels=4, hidden=8, latent=1, generator=generator).double()
    for parameter in model.parameters():
        parameter.data *= 1.3
    image = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        log_p = log_likelihood(image.expand(4001, 4), model.decoder(z))
        density = (log_p + Normal(0.0, 1.0).log_prob(z[:, 0])).exp()
        evidence = torch.trapezoid(density, z[:, 0]).log()
        noise = torch.randn(20_000, 1, generator=generator, dtype=torch.float64)
        terms = elbo(model, image.expand(20_000, 4), noise)
        posterior = model.encoder(image)
        log_q = Normal(posterior.mean[0], posterior.log_std[0].exp()).log_prob(z[:, 0])
        gap = torch.trapezoid(log_q.exp() * (log_q - density.log() + evidence), z[:, 0])
    error = terms.bound.std() / 20_000**0.5
    assert gap > 0.01
    assert abs(terms.bound.mean() + gap - evidence) < 5 * error


def test_gradients_of_the_bound_agree_with_finite_differences(generator):
    model = vae.dense(pixels=6, hidden=4, latent=2, generator=generator).double()
    image = (torch.rand(3, 6, generator=generator) < 0.4).double()
    noise = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    elbo(model, image, noise).bound.mean().backward()
    for parameter in (model.encoder.mean.bias, model.encoder.log_std.bias):
        found, values = parameter.grad[0].item(), []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter[0] += step
                values.append(elbo(model, image, noise).bound.mean().item())
                parameter[0] -= step
        assert abs(found) > 1e-3
        assert abs((values[0] - values[1]) / 2e-5 - found) < 1e-6


@pytest.mark.usefixtures("as_users_run")
def test_a_mean_without_its_log_std_is_refused():
    with pytest.raises(ValueError, match="a mean and a log_std of one shape"):
        kl(Gaussian(torch.zeros(3, 2), torch.zeros(3, 1)))


def test_the_loss_is_the_mean_over_images():
    assert ElboTerms(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0])).loss == -3


def test_kl_of_the_dimensions_adds_up(generator):
    posterior = Gaussian(*torch.randn(2, 9, 5, generator=generator))
    parts = kl_per_dimension(posterior)
    assert parts.shape == (9, 5)
    torch.testing.assert_close(parts.sum(-1), kl(posterior))
    assert (parts >= 0).all()
    one = Gaussian(posterior.mean[:, :1], posterior.log_std[:, :1])
    torch.testing.assert_close(parts[:, 0], kl(one))
