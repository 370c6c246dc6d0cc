"""The interface of a model, and the ELBO and the sampling that are derived from it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib import fused
from vaelib.binarization import check_alike
from vaelib.decoder import Bernoulli, ConvDecoder, Decoder, check_pixels
from vaelib.device import without_autocast
from vaelib.elbo import ElboTerms, kl, log_ratio
from vaelib.encoder import ConvEncoder, Encoder, Gaussian, check_images, check_rows, reparameterize

Images, Noise = Float[Tensor, "batch pixel"], Float[Tensor, "*sample batch latent"]
Likelihood = Any  # `Bernoulli`, or an object of your own with the same four methods


class Level(NamedTuple):
    """q(z|x, above), p(z|above) or None for N(0, I), and the latent drawn."""

    posterior: Gaussian
    prior: Gaussian | None
    latent: Float[Tensor, "*sample size"]

    @property
    def kl(self) -> Float[Tensor, "*sample"]:
        """KL(q ‖ p) of each image in nats, exact given the latents above."""
        return kl(self.posterior, self.prior)


class LatentModel(nn.Module):
    """A model of images with one or more levels of Gaussian latents.

    A subclass sets `pixels` and `sizes`, the number of latents of each level, top level first, and
    defines `prior`, `posterior` and `likelihood`. Each gets and returns rows, one per image and
    sample; `above` lists the latents of the levels above. To compute something only once for all
    levels, it may also define `features` and `descend`. All else follows, and is not overridden.
    """

    sizes: tuple[int, ...]
    pixels: int
    trained_steps = 0  # that `vaelib.training.train` has taken
    largest_gradient = math.inf  # a norm, to which `train` shortens gradients with a larger one

    def prior(self, above: list[Tensor]) -> Gaussian | None:
        """p(z|above) of the next level, or None for N(0, I)."""
        return None

    def posterior(self, image: Tensor, above: list[Tensor]) -> Gaussian:
        """q(z|x, above) of the next level."""
        raise NotImplementedError

    def likelihood(self, latents: list[Tensor]) -> Likelihood:
        """p(x|z) for the latents of all levels."""
        raise NotImplementedError

    def features(self, image: Tensor) -> Tensor:
        """What `posterior` gets for images, in the place of them: one row each."""
        return image

    def descend(self, above: list[Tensor], latent: Tensor) -> list[Tensor]:
        """What the next level gets as `above`, once this level has its latents."""
        return [*above, latent]

    @property
    def latent(self) -> int:
        """How many latents one image has, over all levels."""
        return sum(self.sizes)

    def forward(self, image: Tensor, noise: Tensor) -> ElboTerms:
        """`terms`, so that wrappers such as `torch.compile` work."""
        return self.terms(image, noise)

    def terms(self, image: Images, noise: Noise) -> ElboTerms:
        """The terms of the ELBO for each image, in nats.

        `noise` ~ N(0, I) picks the latents; a leading dimension gives several samples per image.
        A level's KL is exact, given the latents above it. Raises ValueError for other shapes.
        """
        levels, log_likelihood = self.infer(image, noise)
        return ElboTerms(log_likelihood, sum(level.kl for level in levels))

    def sampled_terms(self, image: Images, noise: Noise, *, fixed: bool = False) -> ElboTerms:
        """As `terms`, with log q(z|x) − log p(z) at the latent drawn in the place of the KL.

        Their `bound` is the log importance weight, log p(x, z) − log q(z|x). With `fixed`,
        log q is differentiated along z only, and not along the μ and σ that say which q it is.
        """
        levels, log_likelihood = self.infer(image, noise)
        ratios = []
        for q, prior, latent in levels:
            held = Gaussian(q.mean.detach(), q.log_std.detach()) if fixed else q
            ratios.append(log_ratio(held, latent, prior))
        return ElboTerms(log_likelihood, sum(ratios))

    def infer(self, image: Tensor, noise: Tensor) -> tuple[list[Level], Tensor]:
        """Each level's q, prior and latent for images, top level first, and log p(x|z) in nats."""
        check_images(image, self.pixels)
        if noise.shape[-2:] != (len(image), self.latent):
            raise ValueError(
                f"expected noise of shape ({len(image)}, {self.latent}), one row of standard "
                f"normal numbers for each image, got {tuple(noise.shape)}"
            )
        samples, seen, levels, above = noise.shape[:-1], self.features(image), [], []
        for part in noise.split(self.sizes, -1):
            if len(levels) == 1:
                seen = seen.expand(*samples, -1).flatten(0, -2)
            q, prior = self.posterior(seen, above), self.prior(above)
            if levels and len(samples) > 1:
                q, prior = (
                    g and Gaussian(*(x.unflatten(0, samples) for x in g)) for g in (q, prior)
                )
            latent = reparameterize(q, part)
            levels.append(Level(q, prior, latent))
            above = self.descend(above, latent.flatten(0, -2))
        likelihood = self.likelihood(above)
        if type(likelihood) is Bernoulli:
            return levels, Bernoulli(likelihood.logits.unflatten(0, samples)).log_prob(image)
        rows = image.expand(*samples, -1).flatten(0, -2)
        log_likelihood = likelihood.log_prob(rows)
        check_alike("rows and values of log_prob", rows[:, 0], log_likelihood)
        return levels, log_likelihood.unflatten(0, samples)

    def from_prior(self, noise: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The latents of all levels that `noise` ~ N(0, I) picks from the prior."""
        check_rows("noise", noise, self.latent)
        latents, above = [], []
        for part in noise.split(self.sizes, -1):
            prior = self.prior(above)
            latents.append(part if prior is None else reparameterize(prior, part))
            above = self.descend(above, latents[-1])
        return torch.cat(latents, -1)

    def decode(self, latent: Float[Tensor, "batch latent"]) -> Likelihood:
        """p(x|z), a distribution over images, for rows of the latents of all levels."""
        check_rows("latents", latent, self.latent)
        return self.likelihood(reduce(self.descend, latent.split(self.sizes, -1), []))


class VAE(LatentModel):
    """One level of latents: an encoder gives q(z|x), a decoder the logits of Bernoulli pixels.

    The encoder maps images (batch, pixels) to a `Gaussian`, the decoder latents (batch, latent) to
    logits (batch, pixels). Both have attributes `latent` and `pixels`. Raises ValueError if these
    differ.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        for size in ("latent", "pixels"):
            ours, theirs = getattr(encoder, size), getattr(decoder, size)
            if ours != theirs:
                raise ValueError(
                    f"the encoder has {size}={ours} and the decoder {size}={theirs}; "
                    "they must be equal"
                )
        self.encoder, self.decoder = encoder, decoder
        self.sizes, self.pixels = (encoder.latent,), encoder.pixels

    def terms(self, image: Tensor, noise: Tensor) -> ElboTerms:
        """As `LatentModel.terms`; that of the blog post's network by `vaelib.fused`."""
        given = fused.parameters_of(self, image, noise) if type(self) is VAE else None
        if given is None:
            return super().terms(image, noise)
        check_pixels(image)
        return ElboTerms(*fused.FusedTerms.apply(image, noise, *given))

    def posterior(self, image: Tensor, above: list[Tensor]) -> Gaussian:
        """What the encoder predicts."""
        return self.encoder(image)

    def likelihood(self, latents: list[Tensor]) -> Bernoulli:
        """Bernoulli pixels with the decoder's logits."""
        return Bernoulli(self.decoder(*latents))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the `with` block, evaluation mode: no dropout, batch statistics fixed, no autocast."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with without_autocast(next(model.parameters()).device):
            yield
    finally:
        for module, training in modes:
            module.training = training


def dense(
    *,
    pixels: int = 784,
    hidden: int | Sequence[int] = 500,
    latent: int = 5,
    activation: str = "tanh",
    blocks: int = 0,
    generator: Generator | None = None,
) -> VAE:
    """A VAE of dense layers; by default the blog post's, 784-500-5 and back with tanh.

    `hidden` is one width or several; the decoder has them in reverse order. `blocks` residual
    blocks of the last width follow in each. Raises what `vaelib.encoder.hidden_layers` raises.
    """
    sizes = dict(pixels=pixels, latent=latent, blocks=blocks)
    shared = sizes | dict(activation=activation, generator=generator)
    backwards = hidden if isinstance(hidden, int) else list(hidden)[::-1]
    return VAE(Encoder(hidden=hidden, **shared), Decoder(hidden=backwards, **shared))


def convolutional(
    *,
    channels: Sequence[int] = (16, 32),
    latent: int = 5,
    activation: str = "relu",
    generator: Generator | None = None,
) -> VAE:
    """A VAE that shrinks by convolution and max pooling, 28-14-7, and grows back, 7-14-28."""
    shared = dict(latent=latent, activation=activation, generator=generator)
    encoder = ConvEncoder(channels=channels, **shared)
    return VAE(encoder, ConvDecoder(channels=channels[::-1], **shared))
