import pytest
import torch

from vaelib import sampling, vae
from vaelib.encoder import reparameterize


@pytest.fixture
def model(generator):
    return vae.dense(hidden=30, generator=generator)


def test_sampling_is_decoding_and_tossing(model, generator):
    code = torch.randn(4, 5, generator=generator)
    noise = torch.rand(4, 784, generator=generator)
    made = sampling.sample(model, code, noise)
    assert torch.equal(made.intensity, model.decoder(code).sigmoid())
    assert torch.equal(made.image, (noise < made.intensity).float())
    assert not made.image.requires_grad


def test_prior_codes_are_standard_normal_and_tosses_follow_the_coins(model, generator):
    made = sampling.sample_prior(model, 4000, generator=generator)
    assert (made.code.mean(0).abs() < 5 / 4000**0.5).all()
    assert ((made.code.var(0) - 1).abs() < 5 * (2 / 4000) ** 0.5).all()
    excess = (made.image - made.intensity).mean()
    assert abs(excess) < 5 * 0.5 / (4000 * 784) ** 0.5


def test_a_seed_repeats(model):
    one, two = (
        sampling.sample_prior(model, 3, generator=torch.Generator().manual_seed(8)).image
        for _ in range(2)
    )
    assert torch.equal(one, two)


def test_reconstruction_draws_from_the_posterior(model):
    image = (torch.rand(6, 784) < 0.2).float()
    made = sampling.reconstruct(model, image, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made.code, reparameterize(model.encoder(image), noise))
    again = sampling.reconstruct(model, image, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.image, made.image)


def test_interpolation_is_straight_and_holds_its_ends():
    start, end = torch.tensor([0.0, 2.0]), torch.tensor([4.0, 0.0])
    line = sampling.interpolate(start, end, steps=5)
    torch.testing.assert_close(line, torch.tensor([[0, 2], [1, 1.5], [2, 1], [3, 0.5], [4, 0]]))
    assert len(sampling.interpolate(start, end)) == 10
    assert sampling.interpolate(start.double(), end.double()).dtype == torch.float64


def test_double_precision_models_sample(model, generator):
    assert (
        sampling.sample_prior(model.double(), 2, generator=generator).image.dtype == torch.float64
    )


def test_a_walk_along_an_axis_moves_nothing_else():
    code = torch.tensor([1.0, 2.0, 3.0])
    codes = sampling.traverse(code, 1, torch.tensor([-1.0, 0.0]))
    assert codes.tolist() == [[1, -1, 3], [1, 0, 3]]
    assert code.tolist() == [1, 2, 3]


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    def test_count(self, model):
        with pytest.raises(ValueError, match="count of at least 1, got 0"):
            sampling.sample_prior(model, 0)

    def test_codes_of_different_sizes(self):
        with pytest.raises(ValueError, match=r"two codes of one size, got \(2,\) and \(3,\)"):
            sampling.interpolate(torch.zeros(2), torch.zeros(3))

    @pytest.mark.parametrize("axis", [-1, 3])
    def test_axis_outside_the_code(self, axis):
        with pytest.raises(ValueError, match="axis from 0 to 2"):
            sampling.traverse(torch.zeros(3), axis, torch.zeros(2))

    def test_latent_of_the_wrong_size(self, model):
        with pytest.raises(ValueError, match=r"codes of shape \(batch, 5\)"):
            sampling.decode(model, torch.zeros(3, 4))
