"""The quick twins: equal to PyTorch's functions in value and gradient."""

import pytest
import torch

from vaelib.decoder import Bernoulli, log_likelihood
from vaelib.quick import Tanh


def likelihood(image, logits):
    return Bernoulli(logits).log_prob(image)


def with_gradients(function, *given):
    """A function's values, and the gradients of a weighted sum of them."""
    given = [each.clone().requires_grad_() for each in given]
    values = function(*given)
    weights = torch.linspace(-1, 2, values.numel(), dtype=values.dtype).view_as(values)
    return values.detach(), *torch.autograd.grad((weights * values).sum(), given)


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0, 1e4])
@pytest.mark.parametrize("pixels", [784, 783, 16])
def test_the_likelihood_is_the_likelihood(pixels, scale, generator):
    image = (torch.rand(5, pixels, generator=generator) < 0.3).float()
    image[0] = torch.rand(pixels, generator=generator)  # grey
    logits = scale * torch.randn(5, pixels, generator=generator)
    found = with_gradients(likelihood, image, logits)
    exact = with_gradients(log_likelihood, image.double(), logits.double())
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-6, atol=2e-4 * max(1, scale))


def test_images_are_broadcast_over_samples(generator):
    image = (torch.rand(5, 16, generator=generator) < 0.3).float()
    logits = torch.randn(3, 5, 16, generator=generator)
    found = with_gradients(likelihood, image, logits)
    each = with_gradients(lambda x, y: log_likelihood(x.expand_as(y), y), image, logits)
    for one, other in zip(found, each, strict=True):
        torch.testing.assert_close(one, other)


def test_its_second_derivative_is_minus_the_pixels_variance():
    logits = torch.tensor([[-3.0, 0.0, 2.0]], dtype=torch.float64)
    image = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    found = torch.autograd.functional.hessian(
        lambda logits: likelihood(image, logits).sum(), logits
    )
    mean = logits.sigmoid()[0]
    torch.testing.assert_close(found.view(3, 3), torch.diag(-mean * (1 - mean)))


def test_tanh_is_tanh(generator):
    values = torch.cat([torch.randn(500, generator=generator), torch.tensor([0.0, 99.0, -99.0])])
    found = with_gradients(Tanh(), values)
    exact = with_gradients(torch.tanh, values.double())
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=2**-20)
    assert (found[0].double() - exact[0]).abs().max() < 2**-22
    wide = values.double()
    assert torch.equal(Tanh()(wide), wide.tanh()), "in float64 it is PyTorch's own"


def test_neither_hides_a_number_that_is_none():
    spoilt = torch.tensor([[torch.nan, 1.0]])
    assert Tanh()(spoilt).isnan().tolist() == [[True, False]]
    assert Bernoulli(spoilt).log_prob(torch.ones(1, 2)).isnan().all()
