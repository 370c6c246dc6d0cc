"""What a trained model can make: new images, reconstructions, walks through the code."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.binarization import bernoulli
from vaelib.encoder import reparameterize
from vaelib.vae import VAE


class Samples(NamedTuple):
    """Codes, the mean image that each decodes to, and one binary image tossed from it."""

    code: Float[Tensor, "sample latent"]
    intensity: Float[Tensor, "sample pixel"]
    image: Float[Tensor, "sample pixel"]


@torch.no_grad()
def decode(vae: VAE, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixel"]:
    """The mean image of each code: every pixel's probability of being ink, sigmoid(logit)."""
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
    """`count` new images: z ~ N(0, I), coins = decoder(z), image = noise < coins."""
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    device = next(vae.parameters()).device
    code = torch.randn(count, vae.latent, generator=generator, device=device)
    noise = torch.rand(count, vae.pixels, generator=generator, device=device)
    return sample(vae, code, noise)


@torch.no_grad()
def reconstruct(
    vae: VAE,
    image: Float[Tensor, "batch pixel"],
    *,
    generator: Generator | None = None,
) -> Samples:
    """Each image through the bottleneck and back: z ~ q(z|x), then an image from z."""
    posterior = vae.encoder(image)
    draw = dict(generator=generator, device=image.device)
    code = reparameterize(posterior, torch.randn(posterior.mean.shape, **draw))
    return sample(vae, code, torch.rand(image.shape, **draw))


def interpolate(
    start: Float[Tensor, " latent"], end: Float[Tensor, " latent"], steps: int = 10
) -> Float[Tensor, "steps latent"]:
    """Codes on the straight line from `start` to `end`, both included, evenly spaced."""
    if start.shape != end.shape:
        raise ValueError(
            f"expected two codes of one size, got {tuple(start.shape)} and {tuple(end.shape)}"
        )
    return torch.lerp(start, end, torch.linspace(0, 1, steps, device=start.device)[:, None])


def traverse(
    code: Float[Tensor, " latent"], axis: int, values: Float[Tensor, " steps"]
) -> Float[Tensor, "steps latent"]:
    """Copies of one code with its dimension `axis` set to each of `values` in turn."""
    if not 0 <= axis < len(code):
        raise ValueError(f"expected an axis from 0 to {len(code) - 1}, got {axis}")
    codes = code.repeat(len(values), 1)
    codes[:, axis] = values
    return codes
