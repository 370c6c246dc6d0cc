"""From an image to a Gaussian over codes, and from that Gaussian to one code."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vaelib.device import reading_waits
from vaelib.initialization import glorot_uniform

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


class Gaussian(NamedTuple):
    """A Gaussian over codes with independent dimensions, N(mean, diag(exp(log_std))²)."""

    mean: Float[Tensor, "batch latent"]
    log_std: Float[Tensor, "batch latent"]


def reparameterize(
    posterior: Gaussian, noise: Float[Tensor, "*sample batch latent"]
) -> Float[Tensor, "*sample batch latent"]:
    """The code μ + σ·ε that `noise` ε ~ N(0, I) picks from the posterior.

    Deterministic and differentiable in μ and log σ (Kingma & Welling 2014, section 2.4).
    Leading dimensions of `noise` are further samples. Raises ValueError where shapes differ.
    """
    check_gaussian(posterior)
    if noise.shape[-2:] != posterior.mean.shape:
        raise ValueError(
            f"expected noise of shape {tuple(posterior.mean.shape)}, one value for each code "
            f"dimension, got {tuple(noise.shape)}"
        )
    return posterior.mean + posterior.log_std.exp() * noise


class Residual(nn.Module):
    """A block that adds a correction to what it is given, h + W₂·a(W₁·h), of one width throughout.

    He et al. 2016 ("deep residual learning"), figure 2.
    """

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.Linear(width, width), activation_layer(activation), nn.Linear(width, width)
        )

    def forward(self, hidden: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        return hidden + self.correction(hidden)


def hidden_layers(
    inputs: int, hidden: int | Sequence[int], blocks: int, activation: str
) -> nn.Sequential:
    """Dense layers of the width, or widths, in `hidden`, and then `blocks` residual ones.

    Raises ValueError for an unknown activation, no width, or a negative number of blocks.
    """
    widths = [hidden] if isinstance(hidden, int) else list(hidden)
    if not widths or min(widths) < 1 or blocks < 0:
        raise ValueError(f"expected positive widths and 0 blocks or more, got {hidden}, {blocks}")
    layers: list[nn.Module] = []
    for before, width in zip([inputs, *widths], widths, strict=False):
        layers += [nn.Linear(before, width), activation_layer(activation)]
    return nn.Sequential(*layers, *(Residual(widths[-1], activation) for _ in range(blocks)))


def last_width(hidden: int | Sequence[int]) -> int:
    """The width that `hidden_layers` ends with."""
    return hidden if isinstance(hidden, int) else hidden[-1]


class Encoder(nn.Module):
    """q(z|x) by dense layers, one unless told otherwise, that two heads share, for μ and log σ.

    The defaults are the blog post's: 784 pixels, 500 tanh units, 5 latent dimensions,
    Glorot-uniform weights (drawn by `generator`) and zero biases. `hidden` may name several
    widths, and `blocks` residual blocks follow them. Raises what `hidden_layers` does.
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
        sizes = dict(hidden=hidden, activation=activation, blocks=blocks)
        self.settings = dict(pixels=pixels, latent=latent, **sizes)
        self.pixels, self.latent = pixels, latent
        self.hidden = hidden_layers(pixels, **sizes)
        self.mean = nn.Linear(last_width(hidden), latent)
        self.log_std = nn.Linear(last_width(hidden), latent)
        glorot_uniform(self, generator)

    def forward(self, image: Float[Tensor, "batch pixel"]) -> Gaussian:
        """The posterior of each image.

        Raises TypeError unless images are floats, ValueError unless they are (batch, pixels)
        and from 0 to 1.
        """
        check_images(image, self.pixels)
        hidden = self.hidden(image)
        return Gaussian(self.mean(hidden), self.log_std(hidden))


class ConvEncoder(nn.Module):
    """q(z|x) by two convolutions, each halved by max pooling: 28 × 28 to 14 × 14 to 7 × 7.

    The picture that the blog post draws of an encoder. Takes and gives what `Encoder` does.
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

    def forward(self, image: Float[Tensor, "batch pixel"]) -> Gaussian:
        """The posterior of each image. Raises as `Encoder` does."""
        check_images(image, self.pixels)
        hidden = self.hidden(image)
        return Gaussian(self.mean(hidden), self.log_std(hidden))


def activation_layer(name: str) -> nn.Module:
    """A fresh layer of the activation called `name`. Raises ValueError for an unknown name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation is called {name!r}; there is {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def check_gaussian(posterior: Gaussian) -> None:
    """Raise ValueError unless every mean has its log σ."""
    if posterior.mean.shape != posterior.log_std.shape:
        raise ValueError(
            f"expected a mean and a log_std of one shape, got {tuple(posterior.mean.shape)} "
            f"and {tuple(posterior.log_std.shape)}"
        )


def check_range(image: Tensor) -> None:
    """Raise ValueError if a pixel lies outside [0, 1] or is not a number.

    Where reading a value would make the host wait for its accelerator, nothing is looked at.
    """
    if reading_waits(image.device) or not image.numel():
        return
    low, high = (value.item() for value in image.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"expected pixels from 0 to 1, got values from {low:.4g} to {high:.4g}")


def check_images(image: Tensor, pixels: int) -> None:
    """Raise unless `image` is a batch of float rows of `pixels` values in [0, 1] each."""
    if not torch.is_floating_point(image):
        raise TypeError(
            f"expected binarized images as floats, got {image.dtype}; "
            "see vaelib.binarization for how to get from one to the other"
        )
    if image.ndim != 2 or image.shape[1] != pixels:
        raise ValueError(
            f"expected images of shape (batch, {pixels}), one row each, got {tuple(image.shape)}"
        )
    check_range(image)
