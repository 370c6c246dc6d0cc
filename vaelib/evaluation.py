"""How good a trained model is: its ELBO, log p(x) itself, and where its nats go."""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.binarization import LEAST_INK, Protocol, dynamic, protocol_named, threshold
from vaelib.data.rows import Images, check_ink, rows_of
from vaelib.decoder import Bernoulli
from vaelib.device import checked_generator, generator_on, keep_freed_memory, standard_normal
from vaelib.elbo import ElboTerms, log_mean_exp
from vaelib.encoder import Gaussian, check_rows, in_float32
from vaelib.vae import LatentModel, Likelihood, evaluating

LATENTS_AT_ONCE = 500  # 1.6 MB of logits, which stay in a cache
WEIGHTS_AT_ONCE = 500_000


@torch.no_grad()
def evaluate(
    model: LatentModel,
    images: Images,
    *,
    protocol: str | Protocol = "threshold",
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> ElboTerms:
    """The ELBO's terms for each image of a data set, from one latent sample each, in nats.

    Computed where the model is. Without a `generator` the noise is that of seed 0, so that two
    models with the same latent size get the same noise (given the same batch size and protocol).
    Weights that are narrower than float32 are evaluated in float32, and autocast has no effect.
    Raises what `checked_rows` raises.
    """
    return ElboTerms(*_measured(model.terms, model, images, protocol, batch_size, generator))


def mean_terms(model: LatentModel, images: Images, **settings: object) -> ElboTerms:
    """The ELBO's terms averaged over the images of a data set, in nats; as `evaluate`."""
    return ElboTerms(*(term.mean() for term in evaluate(model, images, **settings)))


@torch.no_grad()
def level_rates(
    model: LatentModel,
    images: Images,
    *,
    protocol: str | Protocol = "threshold",
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> Float[Tensor, " level"]:
    """The KL of each level averaged over the images of a data set, in nats, top level first.

    As `evaluate`; they add up to the KL of `mean_terms`. A level of about 0 nats carries nothing.
    """

    def rates(image: Tensor, noise: Tensor) -> list[Tensor]:
        return [level.kl for level in model.infer(image, noise)[0]]

    found = _measured(rates, model, images, protocol, batch_size, generator)
    return torch.stack(found).mean(1)


class Estimate(NamedTuple):
    """ELBO and estimate of log p(x) of each image, in nats, and how they were measured."""

    protocol: str
    samples: int
    elbo: Float[Tensor, " image"]
    log_evidence: Float[Tensor, " image"]


@torch.no_grad()
def estimate(
    model: LatentModel,
    images: Images,
    *,
    protocol: str | Protocol,
    samples: int = 100,
    generator: Generator | None = None,
) -> Estimate:
    """ELBO and estimate of log p(x) of each image, from the same `samples` latents each.

    The estimate is the log of the mean of importance weights p(x, z) / q(z|x): in expectation a
    lower bound of log p(x) and at least the ELBO. It rises with the number of samples, and
    approaches log p(x) (Burda, Grosse & Salakhutdinov 2016, theorem 1). Computed where the
    model is, in memory that does not grow with `samples`. Without a `generator` all noise is that
    of seed 0. All pixels are drawn before any latent, so one seed gives the same binary images to
    every model and number of samples. Raises ValueError for fewer than one sample, and what
    `checked_rows` raises.
    """
    rows, binarize = checked_rows(model, images, protocol), protocol_named(protocol)
    samples, bounds, evidences = _count(samples, "sample"), [], []
    with measuring(model):
        like = next(model.parameters())
        generator = generator_on(like.device, _seeded(generator))
        pieces = rows.to(like.device).split(max(1, min(100, WEIGHTS_AT_ONCE // samples)))
        for image in [binarize(some, generator).to(like.dtype) for some in pieces]:
            weights = draw_log_weights(model, image, samples=samples, generator=generator)
            bounds.append(weights.mean(0))
            evidences.append(log_mean_exp(weights))
    name = protocol if isinstance(protocol, str) else getattr(protocol, "__name__", "own")
    return Estimate(name, samples, torch.cat(bounds), torch.cat(evidences))


@torch.no_grad()
def draw_log_weights(
    model: LatentModel,
    image: Float[Tensor, "batch pixel"],
    posterior: Gaussian | None = None,
    *,
    samples: int,
    generator: Generator,
) -> Float[Tensor, "sample batch"]:
    """Log importance weights, in nats, of `samples` latents from q(z|x), or from `posterior`.

    Their mean over samples is the ELBO of that q, their `log_mean_exp` the importance-weighted
    bound. `posterior` is that of the top level. Raises ValueError for images that the likelihood
    rejects, a posterior without one Gaussian per image, and fewer than one sample.
    """
    samples, image = _count(samples, "sample"), in_float32(image)
    generator = generator_on(image.device, generator)
    _some_likelihood(model).check(image)
    keep_freed_memory()
    at_once = max(1, LATENTS_AT_ONCE // max(1, len(image)))
    # Made once: small results kept from between large pieces would hold these pieces' memory.
    weights = torch.empty(samples, len(image), device=image.device, dtype=image.dtype)
    with measuring(model):
        guided = Guided(model, image, posterior)
        for some in weights.split(at_once):
            shape = len(some), len(image), model.latent
            noise = standard_normal(*shape, like=image, generator=generator)
            some.copy_(guided.sampled_terms(image, noise).bound)
    return weights


class Guided(LatentModel):
    """A model for these images alone: their features are computed once.

    With `top`, a Gaussian for each image, that is its q at the top level.
    """

    def __init__(self, model: LatentModel, image: Tensor, top: Gaussian | None) -> None:
        super().__init__()
        self.sizes, self.pixels = model.sizes, model.pixels
        self.prior, self.likelihood, self.descend = model.prior, model.likelihood, model.descend
        with torch.no_grad():
            self._features = model.features(image)
        self._top, self._lower = top or model.posterior(self._features, []), model.posterior

    def features(self, image: Tensor) -> Tensor:
        """What the model computed of the images."""
        return self._features

    def posterior(self, image: Tensor, above: list[Tensor]) -> Gaussian:
        """The given Gaussians at the top, the model's q below."""
        return self._lower(image, above) if above else self._top


def bound_of(log_weights: Float[Tensor, "sample batch"], count: int) -> Float[Tensor, " batch"]:
    """The importance-weighted bound of `count` samples, averaged over disjoint groups of them.

    Groups share no sample, so the average has the expectation of one group, and less variance.
    Raises ValueError unless the samples make whole groups.
    """
    if not 1 <= count <= len(log_weights) or len(log_weights) % count:
        raise ValueError(f"{len(log_weights)} samples do not make whole groups of {count}")
    groups = log_weights.unflatten(0, (-1, count)).transpose(0, 1)
    return log_mean_exp(groups).mean(0)


def paired_difference(
    first: Float[Tensor, " image"], second: Float[Tensor, " image"]
) -> tuple[Tensor, Tensor]:
    """Mean of first − second, measured on the same images in one order, and its standard error."""
    difference = first - second
    return difference.mean(), difference.std() / len(difference) ** 0.5


@torch.inference_mode(mode=False)
@torch.enable_grad()
def fit_posterior(
    model: LatentModel,
    image: Float[Tensor, "batch pixel"],
    start: Gaussian,
    *,
    steps: int = 500,
    samples: int = 20,
    learning_rate: float = 0.02,
    generator: Generator,
) -> Gaussian:
    """The Gaussian of each image that Adam finds by maximising the ELBO in its own μ and log σ.

    Begins at `start` and takes `steps`, each on `samples` new latents, while the learning rate
    falls to a hundredth. The gain is the amortization gap (Cremer, Li & Duvenaud 2018, section
    3.2), up to the error that the steps leave. Raises ValueError as `draw_log_weights` does, and
    for fewer than one step.
    """
    steps, samples = _count(steps, "step"), _count(samples, "sample")
    _some_likelihood(model).check(image := in_float32(image).clone())
    mean, log_std = (in_float32(value.detach()).clone().requires_grad_() for value in start)
    generator = generator_on(mean.device, generator)
    optimizer = torch.optim.Adam([mean, log_std], lr=learning_rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-2, total_iters=steps)
    with measuring(model):
        guided, shape = (
            Guided(model, image, Gaussian(mean, log_std)),
            (samples, len(image), model.latent),
        )
        for _ in range(steps):
            terms = guided.terms(image, standard_normal(*shape, like=mean, generator=generator))
            loss = (terms.kl - terms.log_likelihood.mean(0)).sum()
            mean.grad, log_std.grad = torch.autograd.grad(loss, (mean, log_std))
            optimizer.step()
            decay.step()
    return Gaussian(mean.detach(), log_std.detach())


def checked_rows(model: LatentModel, images: Images, protocol: str | Protocol) -> Tensor:
    """The images as rows of bytes, once it is clear that model and protocol can work on them.

    Raises TypeError for what `rows_of` does not take, and if the protocol returns anything but a
    tensor of the images' shape; ValueError for another size, an unknown protocol, bytes that end
    far below 255, and pixels that the likelihood refuses. A protocol of your own is tried on every
    image first, with noise of its own.
    """
    if not hasattr(model, "pixels"):
        raise TypeError(f"expected a model such as vaelib.vae.dense() gives, got {model!r:.60}")
    binarize, images = protocol_named(protocol), rows_of(images)
    check_rows("images", images, model.pixels)
    check_ink(images, LEAST_INK.get(binarize, 0))
    generator, likelihood = Generator(images.device).manual_seed(0), _some_likelihood(model)
    if binarize in (threshold, dynamic) and type(likelihood) is Bernoulli:
        return images
    for some in images.split(1000):
        made = binarize(some, generator)
        if not isinstance(made, Tensor) or made.shape != some.shape:
            raise TypeError(
                f"expected a protocol that returns a tensor of shape {tuple(some.shape)}, like "
                f"the pixels it is given; {binarize} returned {type(made).__name__}"
            )
        likelihood.check(made)
    return images


@contextmanager
def in_full_precision(model: LatentModel) -> Iterator[None]:
    """Inside the `with` block, convert weights that are narrower than float32 to float32.

    Sums over hundreds of pixels lose whole nats in 16 bits.
    """
    values = [value for value in (*model.parameters(), *model.buffers()) if is_narrow(value)]
    before = [value.data for value in values]
    try:
        for value in values:
            value.data = value.data.float()
        yield
    finally:
        for value, data in zip(values, before, strict=True):
            value.data = data


def is_narrow(value: Tensor) -> bool:
    """Whether a tensor's type is narrower than float32, such as bfloat16."""
    return value.is_floating_point() and value.dtype.itemsize < 4


@contextmanager
def measuring(model: LatentModel) -> Iterator[None]:
    """The state in which a model is measured: `in_full_precision`, and `evaluating`."""
    with in_full_precision(model), evaluating(model):
        yield


def _measured(
    measure: Callable[[Tensor, Tensor], Sequence[Tensor]],
    model: LatentModel,
    images: Images,
    protocol: str | Protocol,
    batch_size: int,
    generator: Generator | None,
) -> list[Tensor]:
    """What `measure` gives for binary images and the noise of their latents, batch by batch."""
    rows, binarize = checked_rows(model, images, protocol), protocol_named(protocol)
    batch_size, parts = _count(batch_size, "image"), []
    keep_freed_memory()
    with measuring(model):
        like = next(model.parameters())
        generator = generator_on(like.device, _seeded(generator))
        for pixels in rows.to(like.device).split(batch_size):
            image = binarize(pixels, generator).to(like.dtype)
            noise = standard_normal(len(pixels), model.latent, like=like, generator=generator)
            parts.append(measure(image, noise))
    return [torch.cat(values) for values in zip(*parts, strict=True)]


@torch.no_grad()
def _some_likelihood(model: LatentModel) -> Likelihood:
    with measuring(model):
        return model.decode(torch.zeros(1, model.latent).to(next(model.parameters())))


def _seeded(generator: Generator | None) -> Generator:
    return checked_generator(generator) or Generator().manual_seed(0)


def _count(number: int, what: str) -> int:
    if (number := operator.index(number)) < 1:
        raise ValueError(f"expected at least 1 {what}, got {number}")
    return number
