import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from vaelib import latent
from vaelib.elbo import kl
from vaelib.encoder import Gaussian
from vaelib.latent import (
    Mixture,
    active_units,
    aggregate_log_density,
    fit_mixture,
    log_prior,
    rate_split,
)


def randn(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def average_of(posterior):
    """q(z) by torch.distributions."""
    mean, log_std = posterior
    each = Independent(Normal(mean, log_std.exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(mean), dtype=mean.dtype)), each)


@pytest.fixture
def posterior(generator):
    return Gaussian(2 * randn(generator, 30, 4), randn(generator, 30, 4) - 1)


@pytest.fixture
def mixture(generator):
    root = randn(generator, 3, 2, 2)
    covariance = root @ root.mT + 0.1 * torch.eye(2).double()
    weight = torch.tensor([0.5, 0.2, 0.3]).double()
    return Mixture(weight, 3 * randn(generator, 3, 2), covariance)


def test_a_unit_is_active_if_its_mean_varies(generator):
    noise = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    mean = 5.0 + noise * torch.tensor([0.0, 0.09, 0.11])
    assert active_units(mean).tolist() == [False, False, True]
    assert active_units(mean, threshold=0.005).tolist() == [False, True, True]


def test_a_variance_needs_two():
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        active_units(torch.zeros(1, 3))


def test_the_prior_is_standard_normal(generator):
    z = 3 * randn(generator, 20, 5)
    assert torch.allclose(log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(1))


class TestAggregate:
    @pytest.mark.parametrize("at_once", [1, 70, 10**6])
    def test_it_is_the_average_of_all_densities(self, posterior, generator, monkeypatch, at_once):
        monkeypatch.setattr(latent, "AT_ONCE", at_once)
        z = 3 * randn(generator, 11, 4)
        found = aggregate_log_density(posterior, z)
        assert torch.allclose(found, average_of(posterior).log_prob(z))

    def test_far_from_every_image_it_is_small_and_finite(self, posterior):
        far = torch.full((1, 4), 1000.0, dtype=torch.float64)
        found = aggregate_log_density(posterior, far)
        assert found.isfinite().all()
        assert torch.allclose(found, average_of(posterior).log_prob(far))

    def test_float32_loses_little_even_where_an_image_is_narrow(self, posterior, generator):
        narrow = Gaussian(posterior.mean, posterior.log_std - 4)
        z = narrow.mean + narrow.log_std.exp() * randn(generator, 30, 4)
        single = Gaussian(*(value.float() for value in narrow))
        found = aggregate_log_density(single, z.float())
        assert found.dtype == torch.float32
        exact = average_of(Gaussian(*(v.double() for v in single))).log_prob(z.float().double())
        assert torch.allclose(found.double(), exact, atol=1e-5)

    def test_latents_of_another_size_are_refused(self, posterior):
        with pytest.raises(ValueError, match=r"latents of shape \(batch, 4\)"):
            aggregate_log_density(posterior, torch.zeros(3, 5).double())


class TestSplit:
    @pytest.mark.parametrize("centre", [0.1, 1.0, 4.0])
    def test_two_images_agree_with_integrals(self, generator, centre):
        """One latent dimension, each image given half of the noise."""
        posterior = Gaussian(*torch.tensor([[[-centre], [centre]], [[-0.5], [-0.5]]]).double())
        many = Gaussian(*(value.repeat(20_000, 1) for value in posterior))
        # 40,000 copies of two images: the same q(z), and the same I(x; z) between pair and latent
        found = rate_split(many, randn(generator, 2000, 1))
        grid = torch.linspace(-9, 9, 6001, dtype=torch.float64)
        each = Normal(posterior.mean, posterior.log_std.exp()).log_prob(grid)
        both = torch.logsumexp(each, 0) - math.log(2)
        prior = Normal(0.0, 1.0).log_prob(grid)
        information = torch.trapezoid(each.exp() * (each - both), grid).mean()
        marginal = torch.trapezoid(both.exp() * (both - prior), grid)
        assert found.rate == pytest.approx((information + marginal).item(), abs=1e-6)
        error = 4 * found.standard_error + 1e-6
        assert found.mutual_information == pytest.approx(information.item(), abs=error)
        assert found.marginal_kl == pytest.approx(marginal.item(), abs=error)

    def test_if_q_of_z_is_the_prior_all_is_information(self, generator):
        """Means from N(0, 1 − σ²): q(z) is N(0, 1), and I(x; z) is −log σ in each dimension."""
        std = 0.6
        means = math.sqrt(1 - std**2) * randn(generator, 20_000, 2)
        posterior = Gaussian(means, torch.full_like(means, math.log(std)))
        found = rate_split(posterior, randn(generator, 2000, 2))
        assert found.mutual_information == pytest.approx(-2 * math.log(std), abs=0.06)
        assert found.marginal_kl == pytest.approx(0.0, abs=0.06)

    def test_images_far_apart_are_told_apart_and_equal_ones_are_not(self, generator):
        noise = randn(generator, 50, 2)
        apart = Gaussian(100.0 * torch.arange(50).double()[:, None].expand(50, 2), 0 * noise)
        found = rate_split(apart, noise)
        assert found.mutual_information == pytest.approx(math.log(50), abs=1e-9)
        assert found.marginal_kl == pytest.approx(found.rate - math.log(50))
        equal = Gaussian(torch.ones(50, 2).double(), 0 * noise)
        assert rate_split(equal, noise).mutual_information == pytest.approx(0, abs=1e-9)
        assert rate_split(equal, noise).marginal_kl == pytest.approx(kl(equal)[0].item())

    def test_images_are_drawn_evenly_from_all(self, generator):
        """Half of the images are alike, the other half far apart: I lies between their values."""
        means = torch.zeros(400, 1).double()
        means[200:, 0] = 100.0 * torch.arange(1, 201)
        found = rate_split(Gaussian(means, torch.zeros_like(means)), randn(generator, 40, 1))
        assert found.mutual_information == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(400))

    def test_the_standard_error_says_how_much_other_noise_moves_it(self, posterior, generator):
        many = Gaussian(*(value.repeat(10, 1) for value in posterior))
        splits = [rate_split(many, randn(generator, 300, 4)) for _ in range(200)]
        information = torch.tensor([split.mutual_information for split in splits])
        errors = torch.tensor([split.standard_error for split in splits])
        assert 0.6 < information.std() / errors.mean() < 1.1  # images are spaced, not drawn

    @pytest.mark.parametrize(
        ("shape", "said"),
        [((31, 4), "2 to 30 rows"), ((1, 4), "got 1"), ((9, 3), r"noise of shape \(batch, 4\)")],
    )
    def test_other_noise_is_refused(self, posterior, shape, said):
        with pytest.raises(ValueError, match=said):
            rate_split(posterior, torch.zeros(shape).double())


class TestMixture:
    def test_its_density_is_that_of_torch(self, mixture, generator):
        z = 4 * randn(generator, 50, 2)
        each = MultivariateNormal(mixture.mean, mixture.covariance)
        expected = MixtureSameFamily(Categorical(mixture.weight), each).log_prob(z)
        assert torch.allclose(mixture.log_prob(z), expected)
        assert mixture.log_prob(z.float()).dtype == torch.float32

    def test_uniform_picks_the_component_and_noise_the_place(self, mixture, generator):
        noise = torch.randn(5, 2, generator=generator)
        uniform = torch.tensor([0.0, 0.49, 0.5, 0.6, 0.99999994])
        drawn = mixture.draw(uniform, noise)
        assert drawn.dtype == torch.float32
        for z, component, e in zip(drawn, (0, 0, 1, 1, 2), noise.double(), strict=True):
            root = np.linalg.cholesky(mixture.covariance[component].numpy())
            expected = mixture.mean[component].numpy() + root @ e.numpy()
            assert z.numpy() == pytest.approx(expected, abs=1e-5)

    def test_draws_have_its_mean_and_covariance(self, mixture, generator):
        uniform = torch.rand(200_000, generator=generator)
        drawn = mixture.draw(uniform, randn(generator, 200_000, 2))
        mean = mixture.weight @ mixture.mean
        centred = mixture.mean - mean
        covariance = torch.einsum("k,ki,kj->ij", mixture.weight, centred, centred)
        covariance += torch.einsum("k,kij->ij", mixture.weight, mixture.covariance)
        assert torch.allclose(drawn.mean(0), mean, atol=0.05)
        assert torch.allclose(torch.cov(drawn.T), covariance, rtol=0.02, atol=0.05)

    def test_latents_of_another_size_are_refused(self, mixture):
        with pytest.raises(ValueError, match=r"latents of shape \(batch, 2\)"):
            mixture.log_prob(torch.zeros(3, 4))


class TestFit:
    def test_one_component_has_the_mean_and_covariance_of_all(self, generator):
        z = torch.randn(500, 3, generator=generator) @ torch.randn(3, 3, generator=generator) + 2
        found = fit_mixture(z, 1, generator=generator)
        assert found.weight.tolist() == [1.0]
        assert found.mean[0].numpy() == pytest.approx(z.double().mean(0).numpy())
        spread = np.cov(z.double().T.numpy(), bias=True) + latent.LEAST_VARIANCE * np.eye(3)
        assert found.covariance[0].numpy() == pytest.approx(spread)

    def test_a_step_is_that_of_the_textbook(self, generator):
        z = randn(generator, 60, 2)
        before = fit_mixture(z, 3, steps=2, generator=torch.Generator().manual_seed(5))
        after = fit_mixture(z, 3, steps=3, generator=torch.Generator().manual_seed(5))
        share = np.stack(
            [
                w * scipy.stats.multivariate_normal(m, c).pdf(z.numpy())
                for w, m, c in zip(*(value.numpy() for value in before), strict=True)
            ]
        )
        share /= share.sum(0)
        for k in range(3):
            assert after.weight[k].item() == pytest.approx(share[k].mean())
            mean = np.average(z.numpy(), axis=0, weights=share[k])
            assert after.mean[k].numpy() == pytest.approx(mean)
            spread = np.cov(z.numpy().T, aweights=share[k], bias=True)
            spread += latent.LEAST_VARIANCE * np.eye(2)
            assert after.covariance[k].numpy() == pytest.approx(spread)

    def test_each_step_raises_the_likelihood(self, mixture, generator):
        z = mixture.draw(torch.rand(400, generator=generator), randn(generator, 400, 2))
        nats = [
            fit_mixture(z, 4, steps=steps, generator=torch.Generator().manual_seed(0))
            .log_prob(z)
            .mean()
            for steps in range(1, 12)
        ]
        assert (torch.stack(nats).diff() > -1e-3).all()
        assert nats[-1] > nats[0] + 0.05

    def test_clusters_are_found(self, generator):
        centres = torch.tensor([[-6.0], [0.0], [5.0]]).repeat_interleave(200, 0)
        z = centres + 0.3 * torch.randn(600, 1, generator=generator)
        fits = [fit_mixture(z, 3, steps=60, generator=generator) for _ in range(5)]
        best = max(fits, key=lambda fit: fit.log_prob(z).mean())
        order = best.mean[:, 0].argsort()
        assert best.mean[order, 0].tolist() == pytest.approx([-6, 0, 5], abs=0.1)
        assert best.weight[order].tolist() == pytest.approx([1 / 3] * 3, abs=0.01)

    def test_latents_that_do_not_vary_do_no_harm(self, generator):
        found = fit_mixture(torch.ones(10, 2), 3, generator=generator)
        assert found.log_prob(torch.ones(1, 2)).isfinite().all()

    @pytest.mark.parametrize(("count", "components", "steps"), [(9, 0, 1), (9, 10, 1), (1, 1, 1)])
    def test_too_few_are_refused(self, count, components, steps, generator):
        with pytest.raises(ValueError, match=f"got {components} components.* and {count} latents"):
            fit_mixture(torch.zeros(count, 2), components, steps=steps, generator=generator)
