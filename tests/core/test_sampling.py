import pytest
import torch

from vaelib import sampling, vae
from vaelib.binarization import threshold
from vaelib.encoder import reparameterize


@pytest.fixture
def model(generator):
    return vae.dense(hidden=30, generator=generator)


def test_sampling_is_decoding_and_tossing(model, generator):
    code = torch.randn(4, 5, generator=generator)
    noise = torch.rand(4, 784, generator=generator)
    made = sampling.sample(model, code, noise)
    assert torch.equal(made.mean, model.decoder(code).sigmoid())
    assert torch.equal(made.image, (noise < made.mean).float())
    assert not made.image.requires_grad


def test_prior_codes_are_standard_normal_and_tosses_follow_the_coins(model, generator):
    made = sampling.sample_prior(model, 4000, generator=generator)
    assert (made.latent.mean(0).abs() < 5 / 4000**0.5).all()
    assert ((made.latent.var(0) - 1).abs() < 5 * (2 / 4000) ** 0.5).all()
    excess = (made.image - made.mean).mean()
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
    assert torch.equal(made.latent, reparameterize(model.encoder(image), noise))
    again = sampling.reconstruct(model, image, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.image, made.image)


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    def test_count(self, model):
        with pytest.raises(ValueError, match="count of at least 1, got 0"):
            sampling.sample_prior(model, 0)

    def test_latent_of_the_wrong_size(self, model):
        with pytest.raises(ValueError, match=r"latents of shape \(batch, 5\)"):
            sampling.decode(model, torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_images_and_latents_of_another_type_than_the_weights(dtype, pixels, generator):
    model, image = vae.dense(hidden=20, generator=generator).to(dtype), threshold(pixels[:3])
    assert sampling.reconstruct(model, image, generator=generator).mean.shape == (3, 784)
    assert sampling.decode(model, torch.zeros(2, 5)).dtype == dtype
    assert sampling.sample(model, torch.zeros(2, 5), torch.rand(2, 784)).image.dtype == dtype


def test_autocast_does_not_change_a_sample(generator):
    model = vae.dense(hidden=20, generator=generator)
    plain = sampling.sample_prior(model, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        cast = sampling.sample_prior(model, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.mean, cast.mean)
