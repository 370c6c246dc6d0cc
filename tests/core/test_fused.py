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


class Twice(nn.Sequential):
    def forward(self, values):
        return 2 * super().forward(values)


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
    if change == "method":
        model.likelihood = lambda latents: Bernoulli(2 * model.decoder(*latents))
    if change == "layer's method":
        model.decoder.logits.forward = lambda values: values.sum(1, keepdim=True).expand(-1, 32)
    if change == "sequence":
        model.encoder.hidden = Twice(*model.encoder.hidden)
    if change == "nested":
        model.encoder.hidden = nn.Sequential(model.encoder.hidden)
    if change == "longer":
        model.decoder.hidden.append(nn.Linear(24, 24))
    if change == "other places":  # the same layers, but not where they are expected
        model.encoder.hidden.append(nn.Linear(24, 3))
        model.encoder.mean, model.encoder.log_std = nn.Linear(3, 3), nn.Linear(3, 3)
        model.decoder.hidden = nn.Sequential(model.decoder.hidden[1])
        model.decoder.logits = nn.Linear(3, 32)
    if change == "spectral norm":
        nn.utils.parametrizations.spectral_norm(model.decoder.logits)
    return model


@pytest.mark.parametrize(
    "change",
    [
        *("subclass", "activation", "hook", "hook before", "no bias", "frozen", "float64"),
        *(
            "spectral norm",
            "method",
            "layer's method",
            "sequence",
            "nested",
            "longer",
            "other places",
        ),
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
    wrongs = (
        (image[:, :31], noise),
        (image, noise[:6]),
        (image, noise[:, :2]),
        (image[:0], noise[:0]),
    )
    for wrong in wrongs:
        assert fused.parameters_of(model, *wrong) is None
    with pytest.raises(ValueError, match="expected pixels from 0 to 1"):
        model.terms(2 * image, noise)
    model.encoder.log_std = nn.Linear(24, 1)  # which would be broadcast
    assert fused.parameters_of(model, image, noise) is None


def test_parameters_may_be_registered_in_any_order(model, batch):
    """As after `prune.remove`, which registers the weight anew, behind the bias."""
    wanted = model.terms(*batch)
    for layer in (model.encoder.hidden[0], model.decoder.logits):
        weight = layer.weight
        del layer.weight
        layer.weight = weight
    assert fused.parameters_of(model, *batch) is not None
    for one, other in zip(model.terms(*batch), wanted, strict=True):
        assert torch.equal(one, other)


def test_a_hook_on_every_module_is_called(model, batch):
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda layer, *_: seen.append(layer))
    try:
        model.terms(*batch)
    finally:
        handle.remove()
    assert model.decoder.logits in seen


def test_a_weight_that_is_used_twice_counts_once_each_time(batch):
    """Tied heads: of its gradient's norm, the derivative is that of the modules."""
    found = []
    for terms in (VAE.terms, LatentModel.terms):
        model = vae.dense(
            pixels=32, hidden=24, latent=3, generator=torch.Generator().manual_seed(2)
        )
        model.encoder.log_std.weight = model.encoder.mean.weight
        weight = model.encoder.mean.weight
        (along,) = torch.autograd.grad(terms(model, *batch).loss, weight, create_graph=True)
        found.append(torch.autograd.grad(along.square().sum(), weight)[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


def test_a_batch_of_gradients_can_be_asked_for(model, batch):
    weight = model.decoder.logits.bias
    loss = model.terms(*batch).loss
    (found,) = torch.autograd.grad(loss, weight, torch.tensor([1.0, 2.0]), is_grads_batched=True)
    torch.testing.assert_close(found[1], 2 * found[0])
