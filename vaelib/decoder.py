"""From a code to a coin for each pixel, and the log-probability of an image under the coins."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib.encoder import activation_layer, check_range, hidden_layers, last_width
from vaelib.initialization import glorot_uniform


def log_likelihood(
    image: Float[Tensor, "*batch pixel"], logits: Float[Tensor, "*batch pixel"]
) -> Float[Tensor, "*batch"]:
    """log p(x|z) of each binary image in nats, summed over its pixels.

    A pixel is ink with probability sigmoid(logit), independently given the code; computed from
    the logit, log p = x·l − log(1 + exp(l)), which neither overflows nor needs an epsilon.
    Kingma & Welling 2014, appendix C.1. Raises ValueError where shapes differ and for pixels
    outside [0, 1].
    """
    if image.shape != logits.shape:
        raise ValueError(
            f"expected images and logits of one shape, got {tuple(image.shape)} "
            f"and {tuple(logits.shape)}"
        )
    check_range(image)
    return -F.binary_cross_entropy_with_logits(logits, image, reduction="none").sum(-1)


class Decoder(nn.Module):
    """p(x|z) by dense layers, one unless told otherwise: code to logits, one a pixel.

    The defaults are the blog post's: 5 latent dimensions, 500 tanh units, 784 pixels,
    Glorot-uniform weights (drawn by `generator`) and zero biases. `hidden` may name several
    widths, and `blocks` residual blocks follow them, as in `Encoder`.
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
        sizes = dict(hidden=hidden, activation=activation, blocks=blocks)
        self.settings = dict(latent=latent, pixels=pixels, **sizes)
        self.latent, self.pixels = latent, pixels
        self.hidden = hidden_layers(latent, **sizes)
        self.logits = nn.Linear(last_width(hidden), pixels)
        glorot_uniform(self, generator)

    def forward(self, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixel"]:
        """The logits of each code's image. Raises ValueError if codes are not (batch, latent)."""
        check_codes(code, self.latent)
        return self.logits(self.hidden(code))


class ConvDecoder(nn.Module):
    """p(x|z) by growing back: 7 × 7 to 14 × 14 to 28 × 28, each doubling then a convolution.

    The mirror of `ConvEncoder`. Takes and gives what `Decoder` does.
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

    def forward(self, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixel"]:
        """The logits of each code's image. Raises ValueError if codes are not (batch, latent)."""
        check_codes(code, self.latent)
        return self.logits(self.hidden(code))


def check_codes(code: Tensor, latent: int) -> None:
    """Raise ValueError unless `code` is a batch of rows of `latent` values each."""
    if code.ndim != 2 or code.shape[1] != latent:
        raise ValueError(
            f"expected codes of shape (batch, {latent}), one row each, got {tuple(code.shape)}"
        )
