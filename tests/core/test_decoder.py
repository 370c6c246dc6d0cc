import itertools
import math

import pytest
import torch
from scipy.special import expit, xlogy
from torch.distributions import Bernoulli

from vaelib.decoder import ConvDecoder, Decoder, log_likelihood


def random_case(generator, dtype=torch.float64):
    image = (torch.rand(7, 784, generator=generator) < 0.3).to(dtype)
    return image, 3 * torch.randn(7, 784, generator=generator, dtype=dtype)


def test_log_likelihood_against_torch_and_scipy(generator):
    image, logits = random_case(generator)
    ours = log_likelihood(image, logits)
    torch.testing.assert_close(ours, Bernoulli(logits=logits).log_prob(image).sum(-1))
    p = expit(logits.numpy())
    scipys = (xlogy(image.numpy(), p) + xlogy(1 - image.numpy(), 1 - p)).sum(-1)
    torch.testing.assert_close(ours, torch.from_numpy(scipys))


def test_probabilities_of_all_images_add_up_to_one(generator):
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float64)
    logits = 2 * torch.randn(6, generator=generator, dtype=torch.float64)
    total = log_likelihood(every, logits.expand(64, 6)).exp().sum()
    assert abs(total - 1) < 1e-12


def test_exact_at_extreme_logits_in_value_and_gradient():
    logits = torch.tensor([[-100.0, 100.0, -1e4]], requires_grad=True)
    value = log_likelihood(torch.ones(1, 3), logits)
    value.sum().backward()
    assert value.item() == -100.0 - 1e4
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, 0.0, 1.0]]))


def test_single_image_equals_one_of_a_batch_and_precision(generator):
    image, logits = random_case(generator)
    batch = log_likelihood(image, logits)
    torch.testing.assert_close(log_likelihood(image[3], logits[3]), batch[3])
    single = log_likelihood(image.float(), logits.float())
    torch.testing.assert_close(single.double(), batch, rtol=1e-5, atol=0)


def test_fair_coins_cost_784_log_2():
    assert math.isclose(
        log_likelihood(torch.ones(1, 784), torch.zeros(1, 784)).item(),
        -784 * math.log(2),
        rel_tol=1e-6,
    )


@pytest.mark.parametrize("network", [Decoder, ConvDecoder])
def test_one_code_alone_equals_one_of_a_batch(network, generator):
    decoder = network(generator=generator)
    code = torch.randn(5, 5, generator=generator)
    with torch.no_grad():
        batch = decoder(code)
        torch.testing.assert_close(decoder(code[1:2])[0], batch[1], rtol=1e-4, atol=1e-5)
    assert batch.shape == (5, 784)


def test_the_default_is_the_blog_posts():
    shapes = {name: tuple(value.shape) for name, value in Decoder().named_parameters()}
    assert shapes == {
        "hidden.0.weight": (500, 5),
        "hidden.0.bias": (500,),
        "logits.weight": (784, 500),
        "logits.bias": (784,),
    }
    assert isinstance(Decoder().hidden[1], torch.nn.Tanh)


def test_settings_reach_the_layers():
    assert isinstance(Decoder(activation="relu").hidden[1], torch.nn.ReLU)
    assert [type(layer).__name__ for layer in ConvDecoder(activation="tanh").hidden] == [
        *("Linear", "Tanh", "Unflatten"),
        *("Upsample", "Conv2d", "Tanh", "Upsample"),
    ]
    assert ConvDecoder(channels=(8, 4)).logits[0].in_channels == 4


def test_an_image_leaves_the_convolutions_upright():
    stage = torch.zeros(1, 1, 28, 28)
    stage[0, 0, 3, 20] = 1
    assert ConvDecoder().logits[1](stage)[0].nonzero().tolist() == [[3 * 28 + 20]]


def test_convolutions_grow_7_to_14_to_28():
    stage, sides = torch.zeros(1, 5), []
    for layer in ConvDecoder().hidden:
        stage = layer(stage)
        if stage.ndim == 4 and stage.shape[-1] not in sides:
            sides.append(stage.shape[-1])
    assert sides == [7, 14, 28]


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    @pytest.mark.parametrize("network", [Decoder, ConvDecoder])
    def test_latent_of_the_wrong_size(self, network):
        with pytest.raises(ValueError, match=r"latents of shape \(batch, 5\), one row each, got"):
            network()(torch.zeros(3, 4))

    @pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
    def test_pixels_outside_their_range(self, value):
        with pytest.raises(ValueError, match="expected pixels from 0 to 1"):
            log_likelihood(torch.full((2, 784), value), torch.zeros(2, 784))

    def test_image_and_logits_of_different_shapes(self):
        with pytest.raises(ValueError, match=r"\(3, 784\) and \(3, 1\)"):
            log_likelihood(torch.zeros(3, 784), torch.zeros(3, 1))
