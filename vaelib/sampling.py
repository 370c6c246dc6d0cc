"""What a trained model can make: new images, reconstructions, walks through the code."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.binarization import bernoulli
from vaelib.device import generator_on
from vaelib.encoder import reparameterize
from vaelib.vae import VAE, evaluating


class Samples(NamedTuple):
    """Codes, the mean image that each decodes to, and one binary image tossed from it."""

    code: Float[Tensor, "sample latent"]
    intensity: Float[Tensor, "sample pixel"]
    image: Float[Tensor, "sample pixel"]


@torch.no_grad()
def decode(vae: VAE, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixel"]:
    """The mean image of each code: every pixel's probability of being ink, sigmoid(logit).

    Raises ValueError if codes are not (batch, latent).
    """
    with evaluating(vae):
        return vae.decoder(code).sigmoid()


def sample(
    vae: VAE,
    code: Float[Tensor, "sample latent"],
    noise: Float[Tensor, "sample pixel"],
) -> Samples:
    """Images from codes: z decodes to coins, `noise` ~ Uniform[0, 1) tosses them.

    New images where `code` ~ N(0, I), the prior; reconstructions where it comes from a posterior.
    """
    intensity = decode(vae, code)
    return Samples(code, intensity, bernoulli(intensity, noise))


def sample_prior(vae: VAE, count: int, *, generator: Generator | None = None) -> Samples:
    """`count` new images: z ~ N(0, I), coins = decoder(z), image = noise < coins.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    like = next(vae.parameters())
    generator = generator_on(like.device, generator)
    draw = dict(generator=generator, device=like.device, dtype=like.dtype)
    code = torch.randn(count, vae.latent, **draw)
    return sample(vae, code, torch.rand(count, vae.pixels, **draw))


@torch.no_grad()
def reconstruct(
    vae: VAE,
    image: Float[Tensor, "batch pixel"],
    *,
    generator: Generator | None = None,
) -> Samples:
    """Each image through the bottleneck and back: z ~ q(z|x), then an image from z."""
    with evaluating(vae):
        posterior = vae.encoder(image)
    generator = generator_on(image.device, generator)
    draw = dict(generator=generator, device=image.device, dtype=image.dtype)
    code = reparameterize(posterior, torch.randn(posterior.mean.shape, **draw))
    return sample(vae, code, torch.rand(image.shape, **draw))


def interpolate(
    start: Float[Tensor, " latent"], end: Float[Tensor, " latent"], steps: int = 10
) -> Float[Tensor, "steps latent"]:
    """Codes on the straight line from `start` to `end`, both included, evenly spaced.

    Raises ValueError unless both are single codes of one size.
    """
    if start.shape != end.shape or start.ndim != 1:
        raise ValueError(
            f"expected two codes of one size, got {tuple(start.shape)} and {tuple(end.shape)}"
        )
    along = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    return torch.lerp(start, end, along[:, None])


def traverse(
    code: Float[Tensor, " latent"], axis: int, values: Float[Tensor, " steps"]
) -> Float[Tensor, "steps latent"]:
    """Copies of one code with its dimension `axis` set to each of `values` in turn.

    Raises ValueError for more than one code and for an axis that it does not have.
    """
    if code.ndim != 1:
        raise ValueError(f"expected one code of shape (latent,), got {tuple(code.shape)}")
    if not 0 <= axis < len(code):
        raise ValueError(f"expected an axis from 0 to {len(code) - 1}, got {axis}")
    codes = code.repeat(len(values), 1)
    codes[:, axis] = values
    return codes
