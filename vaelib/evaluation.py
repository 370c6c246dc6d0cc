"""How good a trained model is: log p(x) itself, and where its nats go."""

import math
import operator
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import PROTOCOLS
from vaelib.decoder import log_likelihood
from vaelib.device import generator_on, keep_freed_memory
from vaelib.elbo import kl
from vaelib.encoder import Gaussian, reparameterize
from vaelib.objectives import log_mean_exp
from vaelib.training import check_pixels
from vaelib.vae import VAE, evaluating

IMAGES_AT_ONCE = 100
CODES_AT_ONCE = 500  # whatever the number of samples; 1.6 MB of logits, which stay in a cache


class Score(NamedTuple):
    """What a model makes of each image of a data set, in nats, and how that was measured.

    `log_evidence` estimates log p(x) from below by `samples` importance weights, `elbo` is the
    mean of their logarithms. Scores under different protocols must not be compared.
    """

    protocol: str
    samples: int
    elbo: Float[Tensor, " image"]
    log_evidence: Float[Tensor, " image"]


@torch.no_grad()
def score(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    protocol: str,
    samples: int = 100,
    generator: Generator | None = None,
) -> Score:
    """ELBO and estimate of log p(x) of each image, from the same `samples` codes each.

    The estimate is the log of the mean of importance weights p(x, z) / q(z|x): in expectation a
    lower bound of log p(x), no lower than the ELBO, that rises with the number of samples and
    reaches it in the limit (Burda, Grosse & Salakhutdinov 2016, theorem 1).

    `protocol` is "threshold", "dynamic" or "static" (see `vaelib.binarization`; static wants
    images that `freeze` made). Computed where the model is, in memory that does not grow with
    `samples`. Without a `generator` the noise, and the dynamic binarization, are those of seed 0.
    All coins are tossed before any code is drawn, so one seed gives the same binary images to
    every model and every number of samples.

    Raises ValueError for an unknown protocol, fewer than one sample and images of another shape,
    TypeError unless images are uint8.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol is called {protocol!r}; there is {', '.join(PROTOCOLS)}")
    binarize = PROTOCOLS[protocol]
    check_pixels(images, vae.pixels, binarize)
    samples = _count(samples, "sample")
    like, bounds, evidences = next(vae.parameters()), [], []
    generator = generator_on(like.device, generator or Generator().manual_seed(0))
    keep_freed_memory()
    pieces = images.to(like.device).split(IMAGES_AT_ONCE)
    binary = [binarize(some, generator).to(torch.uint8) for some in pieces]
    with evaluating(vae):
        for some in binary:
            image = some.to(like.dtype)
            posterior = vae.encoder(image)
            total = torch.zeros(len(image), device=like.device, dtype=_accumulated(like.dtype))
            evidence = torch.full_like(total, -math.inf)
            for weights in _draw_weights(vae, image, posterior, samples, generator):
                total += weights.sum(0)
                evidence = torch.logaddexp(evidence, weights.logsumexp(0))
            bounds.append(total / samples)
            evidences.append(evidence - math.log(samples))
    return Score(protocol, samples, torch.cat(bounds), torch.cat(evidences))


@torch.no_grad()
def draw_log_weights(
    vae: VAE,
    image: Float[Tensor, "batch pixel"],
    posterior: Gaussian | None = None,
    *,
    samples: int,
    generator: Generator,
) -> Float[Tensor, "sample batch"]:
    """Log importance weights of `samples` codes from each posterior (the encoder's, unless given).

    Their mean over samples is the ELBO of that posterior, their `log_mean_exp` the
    importance-weighted bound. Raises ValueError unless the images are binary and of the model's
    size, the posterior has a Gaussian for each of them, and there is at least one sample.
    """
    samples = _count(samples, "sample")
    _check_images(vae, image)
    generator = generator_on(image.device, generator)
    with evaluating(vae):
        posterior = vae.encoder(image) if posterior is None else posterior
        _check_posterior(vae, image, posterior)
        # Made once: small results kept from between large pieces would hold these pieces' memory.
        weights = image.new_empty(samples, len(image), dtype=_accumulated(image.dtype))
        done = 0
        for some in _draw_weights(vae, image, posterior, samples, generator):
            weights[done : done + len(some)] = some
            done += len(some)
    return weights


def _draw_weights(
    vae: VAE, image: Tensor, posterior: Gaussian, samples: int, generator: Generator
) -> Iterator[Float[Tensor, "some batch"]]:
    draw = dict(generator=generator, device=image.device, dtype=image.dtype)
    for some in _chunks(samples, max(1, CODES_AT_ONCE // len(image))):
        noise = torch.randn(some, *posterior.mean.shape, **draw)
        yield log_weights(vae, image, posterior, noise)


def bound_of(log_weights: Float[Tensor, "sample batch"], count: int) -> Float[Tensor, " batch"]:
    """The importance-weighted bound of `count` samples, averaged over disjoint groups of them.

    No group shares a sample, so the average has the expectation of one group and less noise.
    Raises ValueError unless the samples make whole groups.
    """
    if not 1 <= count <= len(log_weights) or len(log_weights) % count:
        raise ValueError(f"{len(log_weights)} samples do not make whole groups of {count}")
    groups = log_weights.unflatten(0, (-1, count)).transpose(0, 1)
    return log_mean_exp(groups).mean(0)


def kl_per_dimension(posterior: Gaussian) -> Float[Tensor, "batch latent"]:
    """KL(q(z|x) ‖ p(z)) of each image in nats, one value for each latent dimension."""
    mean, log_std = posterior
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std)


def active_units(
    mean: Float[Tensor, "image latent"], threshold: float = 0.01
) -> Bool[Tensor, " latent"]:
    """Which latent dimensions say something about the image.

    A unit is active if its posterior mean varies over the data: Var_x(E[z|x]) > `threshold`.
    Burda, Grosse & Salakhutdinov 2016, section 5.2. Raises ValueError for fewer than two images.
    """
    if len(mean) < 2:
        raise ValueError(f"a variance over images needs at least 2 of them, got {len(mean)}")
    return mean.var(0) > threshold


@torch.enable_grad()
def fit_posterior(
    vae: VAE,
    image: Float[Tensor, "batch pixel"],
    start: Gaussian,
    *,
    steps: int = 500,
    samples: int = 20,
    learning_rate: float = 0.02,
    generator: Generator,
) -> Gaussian:
    """The Gaussian of each image that Adam finds by climbing the ELBO in its own μ and log σ.

    Begins at `start`, such as the encoder's answer, and takes `steps`, each on `samples` fresh
    codes, while the rate falls to a hundredth. The model is not changed. What is gained is the
    amortization gap (Cremer, Li & Duvenaud 2018, section 3.2), up to what the steps leave.
    Raises ValueError as `draw_log_weights` does, and for fewer than one step.
    """
    steps, samples = _count(steps, "step"), _count(samples, "sample")
    _check_images(vae, image)
    _check_posterior(vae, image, start)
    mean, log_std = (value.detach().clone().requires_grad_() for value in start)
    generator = generator_on(mean.device, generator)
    draw = dict(generator=generator, device=mean.device, dtype=mean.dtype)
    optimizer = torch.optim.Adam([mean, log_std], lr=learning_rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-2, total_iters=steps)
    with evaluating(vae):
        for _ in range(steps):
            noise = torch.randn(samples, *mean.shape, **draw)
            code = reparameterize(Gaussian(mean, log_std), noise)
            logits = vae.decoder(code.flatten(0, 1)).unflatten(0, code.shape[:2])
            explained = log_likelihood(image.expand_as(logits), logits).mean(0)
            loss = (kl(Gaussian(mean, log_std)) - explained).sum()
            mean.grad, log_std.grad = torch.autograd.grad(loss, (mean, log_std))
            optimizer.step()
            decay.step()
    return Gaussian(mean.detach(), log_std.detach())


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
    logits = logits.to(_accumulated(logits.dtype))
    log_ratio = posterior.log_std + 0.5 * (noise**2 - code**2)
    return _log_likelihood(image, logits) + log_ratio.sum(-1)


def _log_likelihood(
    image: Float[Tensor, "batch pixel"], logits: Float[Tensor, "sample batch pixel"]
) -> Float[Tensor, "sample batch"]:
    """What `vaelib.decoder.log_likelihood` gives, in half the time.

    log p = Σ (x − ½)·l − Σ log 2cosh(l/2), and log 2cosh(l/2) = ½|l| − log σ(|l|). As each σ(|l|)
    lies in [½, 1], a hundred of them can be multiplied before a logarithm is taken.
    """
    linear = torch.linalg.vecdot(logits, (image - 0.5).to(logits.dtype))
    sizes = logits.abs()
    size = sizes.sum(-1)
    together = math.gcd(logits.shape[-1], 112)  # pixels, and 2 ** -112 is no underflow yet
    products = sizes.sigmoid_().unflatten(-1, (-1, together)).prod(-1)
    return linear - 0.5 * size + products.log().sum(-1)


def _accumulated(dtype: torch.dtype) -> torch.dtype:
    """What sums of hundreds of nats are kept in: float32 at least, whatever the model has."""
    return torch.promote_types(dtype, torch.float32)


def _count(number: int, what: str) -> int:
    if (number := operator.index(number)) < 1:
        raise ValueError(f"expected at least 1 {what}, got {number}")
    return number


def _check_images(vae: VAE, image: Tensor) -> None:
    if image.ndim != 2 or image.shape[1] != vae.pixels or not len(image):
        raise ValueError(
            f"expected images of shape (batch, {vae.pixels}), at least one, got "
            f"{tuple(image.shape)}"
        )
    grey = (image != 0) & (image != 1)
    if grey.any():
        raise ValueError(
            f"expected binary images, with pixels 0 and 1 alone, got {image[grey][0]:g} among "
            "them; a Bernoulli decoder gives grey pixels no probability: binarize them, say by "
            "vaelib.binarization.by_threshold"
        )


def _check_posterior(vae: VAE, image: Tensor, posterior: Gaussian) -> None:
    expected = (len(image), vae.latent)
    if not tuple(posterior.mean.shape) == tuple(posterior.log_std.shape) == expected:
        raise ValueError(
            f"expected a posterior for each image, with mean and log_std of shape {expected}, got "
            f"{tuple(posterior.mean.shape)} and {tuple(posterior.log_std.shape)}"
        )


def _chunks(total: int, size: int) -> list[int]:
    """`total` in pieces of at most `size` each."""
    whole, rest = divmod(total, size)
    return [size] * whole + [rest] * (rest > 0)
