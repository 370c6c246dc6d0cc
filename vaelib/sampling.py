"""What a trained model can make: new images, reconstructions, walks through the latents."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.device import generator_on, standard_normal
from vaelib.vae import LatentModel, evaluating


class Samples(NamedTuple):
    """Latents, the mean image that each decodes to, and one image drawn from its pixels."""

    latent: Float[Tensor, "sample latent"]
    mean: Float[Tensor, "sample pixel"]
    image: Float[Tensor, "sample pixel"]


@torch.no_grad()
def decode(
    model: LatentModel, latent: Float[Tensor, "batch latent"]
) -> Float[Tensor, "batch pixel"]:
    """The mean image of each latent; with the Bernoulli, every pixel's probability of being 1.

    Raises ValueError if latents are not (batch, latent).
    """
    with evaluating(model):
        return model.decode(latent.to(next(model.parameters()).dtype)).mean


@torch.no_grad()
def sample(
    model: LatentModel,
    latent: Float[Tensor, "sample latent"],
    noise: Float[Tensor, "sample pixel"],
) -> Samples:
    """Images from latents, as `decode`, whose pixels `noise` ~ Uniform[0, 1) draws."""
    with evaluating(model):
        likelihood = model.decode(latent.to(next(model.parameters()).dtype))
    return Samples(latent, likelihood.mean, likelihood.draw(noise))


def sample_prior(model: LatentModel, count: int, *, generator: Generator | None = None) -> Samples:
    """`count` new images: z from the prior, then pixels drawn from p(x|z).

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    like = next(model.parameters())
    generator = generator_on(like.device, generator)
    noise = standard_normal(count, model.latent, like=like, generator=generator)
    with torch.no_grad(), evaluating(model):
        latent = model.from_prior(noise)
    return sample(model, latent, _uniform(count, model.pixels, generator))


@torch.no_grad()
def reconstruct(
    model: LatentModel, image: Float[Tensor, "batch pixel"], *, generator: Generator | None = None
) -> Samples:
    """Each image encoded and decoded again: z ~ q(z|x), then pixels drawn from p(x|z)."""
    image = image.to(next(model.parameters()).dtype)
    generator = generator_on(image.device, generator)
    noise = standard_normal(len(image), model.latent, like=image, generator=generator)
    with evaluating(model):
        levels, _ = model.infer(image, noise)
    latent = torch.cat([level.latent for level in levels], -1)
    return sample(model, latent, _uniform(*image.shape, generator))


def _uniform(count: int, pixels: int, generator: Generator) -> Tensor:
    device, dtype = generator.device, torch.float32
    return torch.rand(count, pixels, generator=generator, device=device, dtype=dtype)
