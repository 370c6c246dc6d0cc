import copy
import math

import pytest
import torch
from torch.distributions import Normal

from vaelib import evaluation, vae
from vaelib.binarization import by_threshold, dynamically
from vaelib.decoder import log_likelihood
from vaelib.encoder import reparameterize
from vaelib.evaluation import importance_weighted_bound, log_weights
from vaelib.training import mean_terms, train


def small(latent=2, pixels=784):
    return vae.dense(
        hidden=20, latent=latent, pixels=pixels, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def weights(monkeypatch):
    """Every tensor of log-weights that is made, in a list."""
    made = []

    def spy(*arguments):
        made.append(log_weights(*arguments))
        return made[-1]

    monkeypatch.setattr(evaluation, "log_weights", spy)
    return made


def test_log_weights_are_three_densities(pixels, generator):
    model, image = small(), by_threshold(pixels[:7])
    noise = torch.randn(3, 7, 2, generator=generator)
    posterior = model.encoder(image)
    code = reparameterize(posterior, noise)
    logits = model.decoder(code.flatten(0, 1)).view(3, 7, 784)
    expected = (
        log_likelihood(image.expand(3, 7, 784), logits)
        + Normal(0, 1).log_prob(code).sum(-1)
        - Normal(posterior.mean, posterior.log_std.exp()).log_prob(code).sum(-1)
    )
    given = [value.clone() for value in (image, *posterior, noise)]
    found = log_weights(model, image, posterior, noise)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-3)
    assert not found.requires_grad
    for before, after in zip(given, (image, *posterior, noise), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0, 1e4])
@pytest.mark.parametrize("pixels", [784, 783, 16])
def test_the_fast_likelihood_is_the_likelihood(pixels, scale, generator):
    image = (torch.rand(5, pixels, generator=generator) < 0.3).float()
    logits = scale * torch.randn(4, 5, pixels, generator=generator)
    exact = log_likelihood(image.double().expand(4, 5, pixels), logits.double())
    found = evaluation._log_likelihood(image, logits.clone())
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=2e-4 * max(1, scale))


@pytest.fixture(scope="module")
def trained(digits):
    """A model with one latent dimension, that has seen some digits."""
    model = small(latent=1)
    train(model, digits, epochs=15, batch_size=20, generator=torch.Generator().manual_seed(1))
    return model


def test_many_samples_reach_the_true_likelihood(trained, digits):
    image = by_threshold(digits[:20]).double()
    model = copy.deepcopy(trained).double()
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    with torch.no_grad():
        given_code = model.decoder(grid[:, None])
    prior = Normal(0, 1).log_prob(grid)
    joint = torch.stack([log_likelihood(x.expand_as(given_code), given_code) for x in image])
    truth = (joint + prior + math.log(grid[1] - grid[0])).logsumexp(1)
    found = importance_weighted_bound(model, digits[:20], samples=20_000)
    assert (found - truth).abs().median() < 0.01
    assert abs((found - truth).mean()) < 0.1


def test_more_samples_raise_the_bound_from_the_elbo(trained, digits):
    bounds = [importance_weighted_bound(trained, digits, samples=k).mean() for k in (1, 5, 50)]
    assert abs(bounds[0] - mean_terms(trained, digits).bound) < 1
    assert bounds[0] + 0.05 < bounds[1]
    assert bounds[1] < bounds[2]


@pytest.mark.parametrize("samples", [1, 19, 20, 21, 45])
def test_samples_in_pieces_are_one_mean(samples, pixels, weights, monkeypatch):
    monkeypatch.setattr(evaluation, "CODES_AT_ONCE", 1200)  # twenty samples of sixty images
    found = importance_weighted_bound(small(), pixels, samples=samples)
    together = torch.cat(weights)
    assert together.shape == (samples, 60)
    assert max(piece.numel() for piece in weights) <= 1200
    torch.testing.assert_close(found, together.logsumexp(0) - math.log(samples))


def test_memory_does_not_grow_with_the_samples(pixels, weights):
    importance_weighted_bound(small(), pixels, samples=1000)
    assert sum(len(piece) for piece in weights) == 1000
    assert max(piece.numel() for piece in weights) <= evaluation.CODES_AT_ONCE


def test_images_in_pieces_keep_their_order(trained, digits, monkeypatch):
    monkeypatch.setattr(evaluation, "IMAGES_AT_ONCE", 25)
    found = importance_weighted_bound(trained, digits[:60], samples=200)
    alone = [importance_weighted_bound(trained, digits[n : n + 1], samples=200) for n in range(60)]
    assert found.shape == (60,)
    assert (found - torch.cat(alone)).abs().max() < 5
    assert found.std() > 20


def test_seeds_and_protocols(pixels):
    model = small()
    settings = {"samples": 3, "binarize": dynamically}
    one, same = (importance_weighted_bound(model, pixels, **settings) for _ in range(2))
    assert torch.equal(one, same)
    other = torch.Generator().manual_seed(1)
    assert not torch.equal(
        one, importance_weighted_bound(model, pixels, **settings, generator=other)
    )
    assert not torch.equal(one, importance_weighted_bound(model, pixels, samples=3))


def test_evaluation_neither_drops_out_nor_changes_the_model(pixels):
    model = small()
    model.decoder.hidden.append(torch.nn.Dropout(0.5))
    one, same = (importance_weighted_bound(model, pixels, samples=3) for _ in range(2))
    assert torch.equal(one, same)
    assert model.training


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    def test_too_few_samples(self, pixels):
        with pytest.raises(ValueError, match="expected at least 1 sample, got 0"):
            importance_weighted_bound(small(), pixels, samples=0)
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            importance_weighted_bound(small(), pixels, samples=2.5)

    def test_images_as_evaluate_wants_them(self, pixels):
        with pytest.raises(TypeError, match="expected images as uint8"):
            importance_weighted_bound(small(), pixels.float())
        with pytest.raises(ValueError, match=r"expected images of shape \(image, 784\)"):
            importance_weighted_bound(small(), pixels[:, :700])
