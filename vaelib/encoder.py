"""From an image to a Gaussian over latents, and from that Gaussian to one latent."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib.binarization import check_alike
from vaelib.initialization import glorot_uniform
from vaelib.quick import Tanh

ACTIVATIONS = {"tanh": Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


class Gaussian(NamedTuple):
    """A Gaussian over latents with independent dimensions, N(mean, diag(exp(log_std))²)."""

    mean: Float[Tensor, "*batch latent"]
    log_std: Float[Tensor, "*batch latent"]


def reparameterize(
    posterior: Gaussian, noise: Float[Tensor, "*sample latent"]
) -> Float[Tensor, "*sample latent"]:
    """The latent μ + σ·ε that `noise` ε ~ N(0, I) picks from the Gaussian of each image.

    Given the noise, the latent is a differentiable function of μ and log σ (Kingma & Welling 2014,
    section 2.4). Leading dimensions of `noise` are further samples. Raises ValueError where shapes
    differ.
    """
    check_alike("a mean and a log_std", *posterior)
    if noise.shape[-posterior.mean.ndim :] != posterior.mean.shape:
        raise ValueError(
            f"expected noise of shape {tuple(posterior.mean.shape)}, a number for each latent "
            f"dimension of each image, got {tuple(noise.shape)}"
        )
    return posterior.mean + posterior.log_std.exp() * noise


class Residual(nn.Module):
    """A block that adds a correction to its input, h + W₂·a(W₁·h), of the same width throughout.

    He et al. 2016 ("Deep residual learning"), figure 2.
    """

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.Linear(width, width), activation_layer(activation), nn.Linear(width, width)
        )

    def forward(self, hidden: Float[Tensor, "*hidden"]) -> Float[Tensor, "*hidden"]:
        return hidden + self.correction(hidden)


def hidden_layers(
    inputs: int, hidden: int | Sequence[int], blocks: int, activation: str
) -> tuple[nn.Sequential, int]:
    """Dense layers of the width or widths in `hidden`, then `blocks` residual blocks.

    Returns these layers and the last width. Raises ValueError for an unknown activation, no width,
    or a negative number of blocks.
    """
    widths = [hidden] if isinstance(hidden, int) else list(hidden)
    if not widths or min(widths) < 1 or blocks < 0:
        raise ValueError(f"expected positive widths and 0 blocks or more, got {hidden}, {blocks}")
    layers: list[nn.Module] = []
    for before, width in zip([inputs, *widths], widths, strict=False):
        layers += [nn.Linear(before, width), activation_layer(activation)]
    layers += [Residual(widths[-1], activation) for _ in range(blocks)]
    return nn.Sequential(*layers), widths[-1]


class Encoder(nn.Module):
    """q(z|x) by dense layers that two heads share, one for μ and one for log σ.

    The defaults are the blog post's. `hidden` is one width or several, and `blocks` residual blocks
    of the last width follow. `generator` draws the weights. Raises what `hidden_layers` raises.
    """

    def __init__(
        self,
        *,
        pixels: int = 784,
        hidden: int | Sequence[int] = 500,
        latent: int = 5,
        activation: str = "tanh",
        blocks: int = 0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden if isinstance(hidden, int) else list(hidden)
        sizes = dict(hidden=hidden, activation=activation, blocks=blocks)
        self.settings = dict(pixels=pixels, latent=latent, **sizes)
        self.pixels, self.latent = pixels, latent
        self.hidden, width = hidden_layers(pixels, **sizes)
        self.mean = nn.Linear(width, latent)
        self.log_std = nn.Linear(width, latent)
        glorot_uniform(self, generator)

    def forward(self, image: Float[Tensor, "batch pixel"]) -> Gaussian:
        """The approximate posterior of each image.

        Raises TypeError unless images are floats, ValueError unless they are (batch, pixels).
        """
        check_images(image, self.pixels)
        hidden = self.hidden(image)
        return Gaussian(self.mean(hidden), self.log_std(hidden))


class ConvEncoder(nn.Module):
    """q(z|x) by two convolutions, each followed by max pooling: 28 × 28 to 14 × 14 to 7 × 7.

    The blog post draws such an encoder. Inputs and outputs are those of `Encoder`, with images of
    784 pixels. Raises ValueError for an unknown activation and unless `channels` are two.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (16, 32),
        latent: int = 5,
        activation: str = "relu",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.settings = dict(channels=list(channels), latent=latent, activation=activation)
        self.pixels, self.latent = 784, latent
        first, second = channels
        self.hidden = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, first, kernel_size=3, padding=1),
            activation_layer(activation),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            activation_layer(activation),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.mean = nn.Linear(second * 7 * 7, latent)
        self.log_std = nn.Linear(second * 7 * 7, latent)
        glorot_uniform(self, generator)

    forward = Encoder.forward


def activation_layer(name: str) -> nn.Module:
    """A fresh layer of the activation called `name`. Raises ValueError for an unknown name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation is called {name!r}; there is {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def check_images(image: Tensor, pixels: int) -> None:
    """Raise TypeError unless images are floats, ValueError unless they are (batch, pixels)."""
    if not torch.is_floating_point(image):
        raise TypeError(
            f"expected images as floats, got {image.dtype}; "
            "vaelib.binarization turns bytes into floats that are 0 or 1"
        )
    check_rows("images", image, pixels)


def check_rows(what: str, rows: Tensor, size: int) -> None:
    """Raise ValueError unless `rows` are rows of `size` values each, at least one."""
    if rows.ndim != 2 or rows.shape[1] != size or not len(rows):
        raise ValueError(
            f"expected {what} of shape (batch, {size}), one row each, got {tuple(rows.shape)}"
        )


def in_float32(values: Tensor) -> Tensor:
    """`values` in float32 or, if they are wider already, unchanged: what sums of nats need."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
