import pytest
import torch

from vaelib.encoder import ConvEncoder, Encoder, Gaussian, Residual, reparameterize


@pytest.fixture
def posterior(generator):
    return Gaussian(torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator))


def test_reparameterize_by_hand():
    posterior = Gaussian(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]]).log1p())
    code = reparameterize(posterior, torch.tensor([[2.0, -1.0]]))
    torch.testing.assert_close(code, torch.tensor([[3.0, -5.0]]))


def test_zero_noise_gives_the_mean(posterior):
    assert torch.equal(reparameterize(posterior, torch.zeros(4, 3)), posterior.mean)


def test_samples_follow_torchs_normal(posterior, generator):
    noise = torch.randn(20_000, 4, 3, generator=generator)
    codes = reparameterize(posterior, noise)
    truth = torch.distributions.Normal(posterior.mean, posterior.log_std.exp())
    error = truth.stddev / 20_000**0.5
    assert ((codes.mean(0) - truth.mean).abs() < 5 * error).all()
    assert ((codes.std(0) / truth.stddev - 1).abs() < 0.03).all()


def test_gradients_reach_both_heads(posterior):
    mean, log_std = (t.clone().requires_grad_() for t in posterior)
    noise = torch.full((4, 3), 0.5)
    reparameterize(Gaussian(mean, log_std), noise).sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(4, 3))
    torch.testing.assert_close(log_std.grad, 0.5 * log_std.detach().exp())


@pytest.mark.parametrize("network", [Encoder, ConvEncoder])
def test_one_image_alone_equals_one_of_a_batch(network, generator):
    encoder = network(generator=generator)
    image = (torch.rand(5, 784, generator=generator) < 0.2).float()
    with torch.no_grad():
        batch, alone = encoder(image), encoder(image[2:3])
    torch.testing.assert_close(alone.mean[0], batch.mean[2])
    torch.testing.assert_close(alone.log_std[0], batch.log_std[2])
    assert batch.mean.shape == batch.log_std.shape == (5, 5)


def test_the_default_is_the_blog_posts():
    shapes = {name: tuple(value.shape) for name, value in Encoder().named_parameters()}
    assert shapes == {
        "hidden.0.weight": (500, 784),
        "hidden.0.bias": (500,),
        "mean.weight": (5, 500),
        "mean.bias": (5,),
        "log_std.weight": (5, 500),
        "log_std.bias": (5,),
    }
    assert isinstance(Encoder().hidden[1], torch.nn.Tanh)


def test_a_seed_repeats_the_convolutions_too():
    twins = [ConvEncoder(generator=torch.Generator().manual_seed(2)) for _ in range(2)]
    for a, b in zip(*(twin.parameters() for twin in twins), strict=True):
        assert torch.equal(a, b)
    assert (twins[0].hidden[1].bias == 0).all()


def test_the_convolutional_layers_are_these_in_this_order():
    assert [type(layer).__name__ for layer in ConvEncoder(activation="tanh").hidden] == [
        "Unflatten",
        *("Conv2d", "Tanh", "MaxPool2d"),
        *("Conv2d", "Tanh", "MaxPool2d"),
        "Flatten",
    ]


def test_an_image_enters_the_convolutions_upright():
    image = torch.zeros(1, 784)
    image[0, 3 * 28 + 20] = 1  # row 3, column 20
    assert ConvEncoder().hidden[0](image)[0, 0].nonzero().tolist() == [[3, 20]]


def test_convolutions_shrink_28_to_14_to_7():
    encoder, shape, sides = ConvEncoder(), torch.zeros(1, 784), []
    for layer in encoder.hidden:
        shape = layer(shape)
        if isinstance(layer, torch.nn.MaxPool2d):
            sides.append(tuple(shape.shape[1:]))
    assert sides == [(16, 14, 14), (32, 7, 7)]


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    @pytest.mark.parametrize("shape", [(784,), (3, 783), (3, 28, 28)])
    @pytest.mark.parametrize("network", [Encoder, ConvEncoder])
    def test_images_of_another_shape(self, network, shape):
        with pytest.raises(ValueError, match=r"\(batch, 784\), one row each, got"):
            network()(torch.zeros(shape))

    def test_bytes_instead_of_binarized_images(self):
        with pytest.raises(TypeError, match=r"vaelib\.binarization"):
            Encoder()(torch.zeros(3, 784, dtype=torch.uint8))

    def test_noise_of_the_wrong_size(self, posterior):
        with pytest.raises(ValueError, match=r"expected noise of shape \(4, 3\)"):
            reparameterize(posterior, torch.zeros(4, 2))

    def test_noise_of_another_batch(self, posterior):
        with pytest.raises(ValueError, match=r"expected noise of shape \(4, 3\)"):
            reparameterize(posterior, torch.zeros(3, 3))

    def test_a_mean_without_its_log_std(self):
        with pytest.raises(ValueError, match="a mean and a log_std of one shape"):
            reparameterize(Gaussian(torch.zeros(3, 2), torch.zeros(3, 1)), torch.zeros(3, 2))

    def test_unknown_activation(self):
        with pytest.raises(ValueError, match="no activation is called 'gelu'"):
            Encoder(activation="gelu")


class TestDepth:
    def test_widths_follow_one_another(self):
        network = Encoder(pixels=12, hidden=[8, 6], latent=2, activation="relu")
        shapes = [tuple(value.shape) for value in network.parameters() if value.ndim == 2]
        assert shapes == [(8, 12), (6, 8), (2, 6), (2, 6)]

    def test_one_width_is_a_list_of_one(self):
        a, b = (
            Encoder(hidden=hidden, generator=torch.Generator().manual_seed(0))
            for hidden in (20, [20])
        )
        image = torch.rand(3, 784)
        assert torch.equal(a(image).mean, b(image).mean)

    def test_a_block_adds_its_correction(self):
        block = Residual(4, "silu").double()
        hidden = torch.randn(3, 4, dtype=torch.float64)
        first, _, second = block.correction
        a = hidden @ first.weight.T + first.bias
        by_hand = hidden + (a * a.sigmoid()) @ second.weight.T + second.bias
        torch.testing.assert_close(block(hidden), by_hand)
        torch.nn.init.zeros_(second.weight)
        torch.nn.init.zeros_(second.bias)
        assert torch.equal(block(hidden), hidden)

    def test_blocks_come_last_and_are_as_wide(self):
        network = Encoder(pixels=12, hidden=[8, 6], blocks=2, latent=2)
        assert [type(layer).__name__ for layer in network.hidden] == [
            *("Linear", "Tanh") * 2,
            *("Residual",) * 2,
        ]
        assert network.hidden[-1].correction[0].weight.shape == (6, 6)

    @pytest.mark.parametrize("sizes", [{"hidden": []}, {"hidden": [5, 0]}, {"blocks": -1}])
    def test_impossible_sizes(self, sizes):
        with pytest.raises(ValueError, match="expected positive widths and 0 blocks or more"):
            Encoder(**sizes)


def test_each_head_gives_what_it_is_called():
    network, image = Encoder(pixels=4, hidden=3, latent=2), torch.zeros(1, 4)
    before = network(image)
    with torch.no_grad():
        network.mean.bias.add_(7)
    torch.testing.assert_close(network(image).mean, before.mean + 7)
    assert torch.equal(network(image).log_std, before.log_std)
