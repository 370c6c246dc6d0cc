"""How good a trained model is: log p(x) itself, estimated by importance sampling, in nats."""

import math
import operator

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import by_threshold
from vaelib.device import generator_on, keep_freed_memory
from vaelib.encoder import Gaussian, reparameterize
from vaelib.training import Binarize, check_pixels
from vaelib.vae import VAE, evaluating

IMAGES_AT_ONCE = 100
CODES_AT_ONCE = 2000  # whatever the number of samples; 6 MB of logits


@torch.no_grad()
def importance_weighted_bound(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    samples: int = 100,
    binarize: Binarize = by_threshold,
    generator: Generator | None = None,
) -> Float[Tensor, " image"]:
    """log of the mean of `samples` importance weights p(x, z) / q(z|x) for each image, in nats.

    In expectation a lower bound of log p(x), no lower than the ELBO, that rises with the number
    of samples and reaches it in the limit (Burda, Grosse & Salakhutdinov 2016, theorem 1).

    Computed where the model is, in memory that does not grow with `samples`. Without a
    `generator` the noise is that of seed 0. Raises ValueError for fewer than one sample, and
    what `vaelib.training.evaluate` does.
    """
    check_pixels(images, vae.pixels, binarize)
    if (samples := operator.index(samples)) < 1:
        raise ValueError(f"expected at least 1 sample, got {samples}")
    like, bounds = next(vae.parameters()), []
    generator = generator_on(like.device, generator or Generator().manual_seed(0))
    draw = dict(generator=generator, device=like.device, dtype=like.dtype)
    keep_freed_memory()
    with evaluating(vae):
        for pixels in images.to(like.device).split(IMAGES_AT_ONCE):
            image = binarize(pixels, generator).to(like.dtype)
            posterior = vae.encoder(image)
            total = torch.full((len(image),), -math.inf, device=like.device, dtype=like.dtype)
            for some in _chunks(samples, CODES_AT_ONCE // len(image)):
                noise = torch.randn(some, *posterior.mean.shape, **draw)
                weights = log_weights(vae, image, posterior, noise)
                total = torch.logaddexp(total, weights.logsumexp(0))
            bounds.append(total - math.log(samples))
    return torch.cat(bounds)


@torch.no_grad()
def log_weights(
    vae: VAE,
    image: Float[Tensor, "batch pixel"],
    posterior: Gaussian,
    noise: Float[Tensor, "sample batch latent"],
) -> Float[Tensor, "sample batch"]:
    """log p(x|z) + log p(z) − log q(z|x) of the codes that `noise` picks from each posterior.

    Carries no gradient. Burda, Grosse & Salakhutdinov 2016, section 3.
    """
    code = reparameterize(posterior, noise)
    logits = vae.decoder(code.flatten(0, 1)).view(*code.shape[:2], -1)
    log_ratio = posterior.log_std + 0.5 * (noise**2 - code**2)
    return _log_likelihood(image, logits) + log_ratio.sum(-1)


def _log_likelihood(
    image: Float[Tensor, "batch pixel"], logits: Float[Tensor, "sample batch pixel"]
) -> Float[Tensor, "sample batch"]:
    """What `vaelib.decoder.log_likelihood` gives, in half the time; overwrites the logits.

    log p = Σ (x − ½)·l − Σ log 2cosh(l/2), and log 2cosh(l/2) = ½|l| − log σ(|l|). As each σ(|l|)
    lies in [½, 1], a hundred of them can be multiplied before a logarithm is taken.
    """
    linear = torch.linalg.vecdot(logits, image - 0.5)
    size = logits.abs_().sum(-1)
    together = math.gcd(logits.shape[-1], 112)  # pixels, and 2 ** -112 is no underflow yet
    products = logits.sigmoid_().unflatten(-1, (-1, together)).prod(-1)
    return linear - 0.5 * size + products.log().sum(-1)


def _chunks(total: int, size: int) -> list[int]:
    """`total` in pieces of at most `size` each."""
    whole, rest = divmod(total, size)
    return [size] * whole + [rest] * (rest > 0)
