"""The fused ELBO of the post's network: equal to the modules' in value, gradient and history."""

import copy

import pytest
import torch
from torch import nn

from vaelib import fused, vae
from vaelib.decoder import Bernoulli
from vaelib.objectives import Weighted
from vaelib.training import train
from vaelib.vae import VAE, LatentModel


@pytest.fixture
def model(generator):
    return vae.dense(pixels=32, hidden=24, latent=3, generator=generator)


@pytest.fixture
def batch(generator):
    image = (torch.rand(7, 32, generator=generator) < 0.3).float()
    return image, torch.randn(7, 3, generator=generator)


def by_modules(model, image, noise):
    """The terms as a model of any kind computes them."""
    return LatentModel.terms(model, image, noise)


def gradients(terms, model, **settings):
    """Of a weighted sum of both terms of all images, so that each has its own weight."""
    log_prob, kl = terms
    weights = torch.linspace(-1, 2, len(kl), dtype=kl.dtype)
    total = (weights * log_prob).sum() + (weights.flip(0) * kl).sum()
    return torch.autograd.grad(total, list(model.parameters()), **settings)


def test_is_the_elbo_in_value_and_gradient(model, batch):
    assert fused.parameters_of(model, *batch) is not None
    exact = copy.deepcopy(model).double()
    wanted = by_modules(exact, *(each.double() for each in batch))
    found = model.terms(*batch)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients(found, model), gradients(wanted, exact), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)
        assert one.is_contiguous()


def test_its_gradient_can_be_differentiated_again(model, batch):
    def norm_along_weights(terms):
        along = gradients(terms, model, create_graph=True)
        return torch.autograd.grad(sum(each.square().sum() for each in along), model.parameters())

    found = norm_along_weights(model.terms(*batch))
    wanted = norm_along_weights(by_modules(model, *batch))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_training_by_it_is_training_by_the_modules(model, batch, monkeypatch):
    images = (batch[0] * 255).to(torch.uint8).repeat(3, 1)
    runs = []
    for gate in (fused.parameters_of, lambda *given: None):
        monkeypatch.setattr(fused, "parameters_of", gate)
        fresh = copy.deepcopy(model)
        settings = dict(epochs=3, batch_size=4, objective=Weighted(0.5))
        history = train(fresh, images, generator=torch.Generator().manual_seed(1), **settings)
        runs.append([*fresh.state_dict().values(), *history.train])
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


class Doubled(VAE):
    """A model of one's own, whose pixels are more certain."""

    def likelihood(self, latents):
        return Bernoulli(2 * self.decoder(*latents))


class Shifted(nn.Tanh):
    def forward(self, values):
        return super().forward(values) + 0.1


def spoil(model, change):
    """Change a model so that the equations of the post's network are no longer its own."""
    if change == "subclass":
        return Doubled(model.encoder, model.decoder)
    if change == "activation":
        model.encoder.hidden[1] = Shifted()
    if change == "hook":
        model.decoder.logits.register_forward_hook(lambda layer, given, found: 2 * found)
    if change == "hook before":
        model.decoder.hidden.register_forward_pre_hook(lambda layer, given: (given[0] + 1,))
    if change == "no bias":
        model.encoder.mean = nn.Linear(24, 3, bias=False)
    if change == "frozen":
        model.encoder.requires_grad_(False)
    if change == "float64":
        model.double()
    if change == "spectral norm":
        nn.utils.parametrizations.spectral_norm(model.decoder.logits)
    return model


@pytest.mark.parametrize(
    "change",
    [
        *("subclass", "activation", "hook", "hook before", "no bias", "frozen", "float64"),
        "spectral norm",
    ],
)
def test_whatever_else_a_model_is_its_own_modules_compute_it(model, batch, change):
    changed = spoil(model, change).eval()
    batch = [each.to(next(changed.parameters()).dtype) for each in batch]
    found, wanted = changed.terms(*batch), by_modules(changed, *batch)
    assert "FusedTerms" not in type(found.kl.grad_fn).__name__
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


def test_it_leaves_to_the_modules_what_it_does_not_return(model, batch):
    """Gradients along images, several samples, and the refusal of wrong shapes."""
    image, noise = batch
    image.requires_grad_()
    (along,) = torch.autograd.grad(model.terms(image, noise).loss, image)
    assert along.abs().sum() > 0
    image = image.detach()
    assert model.terms(image, torch.stack([noise, -noise])).log_likelihood.shape == (2, 7)
    for wrong in ((image[:, :31], noise), (image, noise[:6]), (image, noise[:, :2])):
        assert fused.parameters_of(model, *wrong) is None
    with pytest.raises(ValueError, match="expected pixels from 0 to 1"):
        model.terms(2 * image, noise)
