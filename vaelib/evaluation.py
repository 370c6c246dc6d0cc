"""How good a trained model is: its ELBO, log p(x) itself, and where its nats go."""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib.adam import Adam
from vaelib.binarization import LEAST_INK, Protocol, dynamic, protocol_named, threshold
from vaelib.data.rows import Images, check_ink, rows_of
from vaelib.decoder import Bernoulli
from vaelib.device import checked_generator, generator_on, keep_freed_memory, standard_normal
from vaelib.distributed import own_rows, whole
from vaelib.elbo import ElboTerms, log_mean_exp
from vaelib.encoder import Gaussian, check_rows, in_float32
from vaelib.vae import LatentModel, Likelihood, evaluating

# 1.6 MB of logits, which stay in a cache; and where layers are maps, of many times more values
LATENTS_AT_ONCE, MAPS_AT_ONCE = 500, 100
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

    Computed where the model is, in float32 if its weights are narrower; autocast has no effect.
    Without a `generator` the noise is that of seed 0, so that two models with the same latent size
    get the same noise (given the same batch size and protocol). Raises what `checked_rows` raises,
    and ValueError for a batch size below 1.
    """
    rates, log_likelihood = _levels(model, images, protocol, batch_size, generator)
    return ElboTerms(log_likelihood, rates.sum(0))


def mean_terms(model: LatentModel, images: Images, **settings: object) -> ElboTerms:
    """The ELBO's terms averaged over the images of a data set, in nats; as `evaluate`."""
    return ElboTerms(*(term.mean() for term in evaluate(model, images, **settings)))


def level_rates(model: LatentModel, images: Images, **settings: object) -> Float[Tensor, " level"]:
    """The KL of each level averaged over the images of a data set, in nats, top level first.

    As `evaluate`; they add up to the KL of `mean_terms`. A level of about 0 nats carries nothing.
    """
    return _levels(model, images, **settings)[0].mean(1)


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
    watch: Callable[[int], object] = lambda images: None,
) -> Estimate:
    """ELBO and estimate of log p(x) of each image, from the same `samples` latents each.

    The estimate is the log of the mean of importance weights p(x, z) / q(z|x): in expectation a
    lower bound of log p(x), which rises with the number of samples from the ELBO towards log p(x)
    (Burda, Grosse & Salakhutdinov 2016, theorem 1). Computed where the model is, in memory that
    hardly depends on `samples`. Without a `generator` all noise is that of seed 0. All pixels are
    drawn before any latent, so one seed gives the same binary images to every model and number of
    samples. `watch` gets the number of images of each piece that is done, such as `update` of a
    progress bar: `with tqdm(total=len(images)) as bar: estimate(…, watch=bar.update)`. Raises
    ValueError for fewer than one sample, and what `checked_rows` raises.
    """
    samples, bounds, evidences = _count(samples, "sample"), [], []
    with _binary(model, images, protocol, generator) as (rows, binarize, generator):
        pieces = rows.split(max(1, min(100, WEIGHTS_AT_ONCE // samples)))
        for image in [*map(binarize, pieces)]:
            weights = draw_log_weights(model, image, samples=samples, generator=generator)
            bounds.append(weights.mean(0))
            evidences.append(log_mean_exp(weights))
            watch(len(image))
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
    rejects, a posterior for another number of images, and fewer than one sample.
    """
    samples, image = _count(samples, "sample"), in_float32(image)
    generator = generator_on(image.device, generator)
    _some_likelihood(model).check(image)
    keep_freed_memory()
    has_maps = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
    at_once = max(1, (MAPS_AT_ONCE if has_maps else LATENTS_AT_ONCE) // max(1, len(image)))
    # Made once: small results kept from between large pieces would hold these pieces' memory.
    weights = torch.empty(samples, len(image), device=image.device, dtype=image.dtype)
    with measuring(model):
        guided = Guided(model, posterior, image)
        for some in weights.split(at_once):
            shape = len(some), len(image), model.latent
            noise = standard_normal(*shape, like=image, generator=generator)
            some.copy_(guided.sampled_terms(image, noise).bound)
    return weights


class Guided(LatentModel):
    """A model whose q at the top level is the given `q`, a Gaussian for each image.

    With an `image` batch, it is for these images alone: their features are computed once, and `q`
    may be None, for the model's own. Raises ValueError if both are None.
    """

    def __init__(self, model: LatentModel, q: Gaussian | None, image: Tensor | None = None) -> None:
        super().__init__()
        if q is None and image is None:
            raise ValueError("expected q or an image batch from which to predict it, got neither")
        self.sizes, self.pixels, self.features = model.sizes, model.pixels, model.features
        self.prior, self.likelihood, self.descend = model.prior, model.likelihood, model.descend
        if image is not None:
            with torch.no_grad():
                seen = model.features(image)
            self.features, q = lambda image: seen, q or model.posterior(seen, [])
        self._top, self._lower = q, model.posterior

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

    Begins at `start` and takes `steps`, each with `samples` new latents, while the learning rate
    falls to a hundredth. The gain is the amortization gap (Cremer, Li & Duvenaud 2018, section
    3.2), up to the error that the steps leave. Raises ValueError as `draw_log_weights` does, and
    for fewer than one step.
    """
    steps, samples = _count(steps, "step"), _count(samples, "sample")
    _some_likelihood(model).check(image := in_float32(image).clone())
    mean, log_std = (in_float32(value.detach()).clone().requires_grad_() for value in start)
    generator = generator_on(mean.device, generator)
    optimizer = Adam([mean, log_std])
    with measuring(model):
        guided = Guided(model, Gaussian(mean, log_std), image)
        for step in range(steps):
            shape = samples, len(image), model.latent
            terms = guided.terms(image, standard_normal(*shape, like=mean, generator=generator))
            loss = (terms.kl - terms.log_likelihood.mean(0)).sum()
            mean.grad, log_std.grad = torch.autograd.grad(loss, (mean, log_std))
            optimizer.step(learning_rate * (1 - 0.99 * step / steps))
    return Gaussian(mean.detach(), log_std.detach())


def checked_rows(model: LatentModel, images: Images, protocol: str | Protocol) -> Tensor:
    """The images as rows of bytes, once it is clear that model and protocol can work on them.

    A protocol of your own is tried on every image first, with noise of its own. Raises TypeError
    for what is no model, for images that `rows_of` does not take, and for a protocol that returns
    anything but a tensor of the images' shape; ValueError for another size, an unknown protocol,
    bytes that end far below 255, and pixels that the likelihood refuses.
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


@torch.no_grad()
def _levels(
    model: LatentModel,
    images: Images,
    protocol: str | Protocol = "threshold",
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> tuple[Float[Tensor, "level image"], Float[Tensor, " image"]]:
    """What `evaluate` adds up: each level's KL, and log p(x|z)."""
    rates, log_likelihood, batch_size = [], [], _count(batch_size, "image")
    with _binary(model, images, protocol, generator) as (rows, binarize, generator):
        for image in map(binarize, rows.split(batch_size)):
            noise = standard_normal(len(image), model.latent, like=image, generator=generator)
            levels, explained = model.infer(*own_rows(image, noise))
            rates.append(whole(torch.stack([level.kl for level in levels]), len(image)))
            log_likelihood.append(whole(explained, len(image)))
    return torch.cat(rates, 1), torch.cat(log_likelihood)


@contextmanager
def _binary(
    model: LatentModel, images: Images, protocol: str | Protocol, generator: Generator | None
) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor], Generator]]:
    """Rows where the model is, what binarizes them, and a generator; the model is `measuring`."""
    rows, like = checked_rows(model, images, protocol), next(model.parameters())
    generator = checked_generator(generator) or Generator().manual_seed(0)
    generator, dtype = generator_on(like.device, generator), in_float32(like).dtype
    keep_freed_memory()
    with measuring(model):
        named = protocol_named(protocol)
        yield rows.to(like.device), lambda some: named(some, generator).to(dtype), generator


@torch.no_grad()
def _some_likelihood(model: LatentModel) -> Likelihood:
    with measuring(model):
        return model.decode(torch.zeros(1, model.latent).to(next(model.parameters())))


def _count(number: int, what: str) -> int:
    if (number := operator.index(number)) < 1:
        raise ValueError(f"expected at least 1 {what}, got {number}")
    return number
