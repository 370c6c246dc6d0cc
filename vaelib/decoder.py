"""From a latent to a probability for each pixel, and the log-probability of an image under them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib.binarization import bernoulli, check_alike
from vaelib.device import reading_waits
from vaelib.encoder import activation_layer, check_rows, hidden_layers, in_float32
from vaelib.initialization import glorot_uniform
from vaelib.quick import BernoulliLogProb


def log_likelihood(
    image: Float[Tensor, "*batch pixel"], logits: Float[Tensor, "*batch pixel"]
) -> Float[Tensor, "*batch"]:
    """log p(x|z) of each binary image in nats, summed over its pixels.

    A pixel is 1 with probability sigmoid(logit), independently given the latent. Computed from the
    logit l as Σ x·l − log(1 + exp(l)), in a form that neither overflows nor needs an epsilon.
    Kingma & Welling 2014, appendix C.1. Raises ValueError where shapes differ and for pixels
    outside [0, 1]; on an accelerator, the values of pixels are not checked.
    """
    check_alike("images and logits", image, logits)
    check_pixels(image)
    image, logits = in_float32(image), in_float32(logits)
    return -F.binary_cross_entropy_with_logits(logits, image, reduction="none").sum(-1)


def check_pixels(image: Tensor) -> None:
    """Raise ValueError for pixels outside [0, 1]; on an accelerator, nothing is checked."""
    if image.numel() and not reading_waits(image.device):  # to read would be to wait there
        low, high = (value.item() for value in image.aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"expected pixels from 0 to 1, got {low:.4g} to {high:.4g}")


class Bernoulli(NamedTuple):
    """A likelihood: independent pixels that are 1 with probability sigmoid(logit), else 0.

    A likelihood of your own needs `log_prob`, `mean`, `draw` and `check` for the same shapes.
    """

    logits: Float[Tensor, "*batch pixel"]

    def log_prob(self, image: Float[Tensor, "#*batch pixel"]) -> Float[Tensor, "*batch"]:
        """log p(x|z) of each image in nats, by a quick twin of `log_likelihood`.

        Images are broadcast over leading dimensions of the logits. Raises ValueError as that does.
        """
        check_alike("images and logits", image, self.logits[(0,) * (self.logits.ndim - image.ndim)])
        check_pixels(image)
        return BernoulliLogProb.apply(in_float32(image), in_float32(self.logits))

    @property
    def mean(self) -> Float[Tensor, "batch pixel"]:
        """The mean image: each pixel's probability of being 1."""
        return self.logits.sigmoid()

    def draw(self, noise: Float[Tensor, "batch pixel"]) -> Float[Tensor, "batch pixel"]:
        """The binary images that `noise` ~ Uniform[0, 1) picks."""
        return bernoulli(self.mean, noise)

    def check(self, image: Float[Tensor, "batch pixel"]) -> None:
        """Raise ValueError unless every pixel is 0 or 1."""
        grey = (image != 0) & (image != 1)
        if grey.any():
            raise ValueError(
                "expected binary images, with pixels 0 and 1 only, but one is "
                f"{image[grey][0]:.3g}. A Bernoulli likelihood is defined for the pixels 0 and 1 "
                "only; on grey pixels its values cannot be compared (notebook 1). Binarize the "
                'images, say with vaelib.binarization.threshold, or train(protocol="dynamic")'
            )


class Decoder(nn.Module):
    """p(x|z) by dense layers, from a latent to one logit per pixel.

    The defaults are the blog post's. The settings are those of `Encoder`. Raises what
    `hidden_layers` raises.
    """

    def __init__(
        self,
        *,
        latent: int = 5,
        hidden: int | Sequence[int] = 500,
        pixels: int = 784,
        activation: str = "tanh",
        blocks: int = 0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden if isinstance(hidden, int) else list(hidden)
        sizes = dict(hidden=hidden, activation=activation, blocks=blocks)
        self.settings = dict(latent=latent, pixels=pixels, **sizes)
        self.latent, self.pixels = latent, pixels
        self.hidden, width = hidden_layers(latent, **sizes)
        self.logits = nn.Linear(width, pixels)
        glorot_uniform(self, generator)

    def forward(self, latent: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixel"]:
        """The logits of each latent. Raises ValueError if latents are not (batch, latent)."""
        check_rows("latents", latent, self.latent)
        return self.logits(self.hidden(latent))


class ConvDecoder(nn.Module):
    """p(x|z) by doubling twice, each time before a convolution: 7 × 7 to 14 × 14 to 28 × 28.

    The mirror of `ConvEncoder`, which raises the same errors. Inputs and outputs are those of
    `Decoder`, with images of 784 pixels.
    """

    def __init__(
        self,
        *,
        latent: int = 5,
        channels: Sequence[int] = (32, 16),
        activation: str = "relu",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.settings = dict(latent=latent, channels=list(channels), activation=activation)
        self.latent, self.pixels = latent, 784
        first, second = channels
        self.hidden = nn.Sequential(
            nn.Linear(latent, first * 7 * 7),
            activation_layer(activation),
            nn.Unflatten(1, (first, 7, 7)),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            activation_layer(activation),
            nn.Upsample(scale_factor=2),
        )
        self.logits = nn.Sequential(nn.Conv2d(second, 1, kernel_size=3, padding=1), nn.Flatten())
        glorot_uniform(self, generator)

    forward = Decoder.forward
