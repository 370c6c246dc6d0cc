"""From grey pixels to pixels that are 0 or 1, the outcomes that a Bernoulli decoder scores.

Three protocols, whose likelihoods must not be compared with one another:

- *threshold*: intensity > 0.5 (`threshold`, `by_threshold`);
- *dynamic*: a coin a pixel, tossed anew at each use (`bernoulli`, `dynamically`);
- *static*: those coins tossed once and kept (`freeze`).
"""

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor


def intensity(pixels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Grey level of each pixel from 0 (background) to 1 (ink): byte / 255."""
    _check_bytes(pixels)
    return pixels.float() / 255


def threshold(intensity: Float[Tensor, "*shape"], level: float = 0.5) -> Float[Tensor, "*shape"]:
    """1 where the intensity exceeds `level`, else 0; the blog post's binarization.

    Raises ValueError for intensities or a level outside [0, 1].
    """
    _check_intensity(intensity)
    if not 0 <= level <= 1:
        raise ValueError(f"expected a level from 0 to 1, got {level}")
    return (intensity > level).to(intensity.dtype)


def bernoulli(
    intensity: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """1 with probability `intensity`, else 0, as decided by `noise` ~ Uniform[0, 1).

    Deterministic in its arguments: a pixel is ink where its noise lies below its intensity.
    Raises ValueError for intensities outside [0, 1].
    """
    _check_intensity(intensity)
    if noise.shape != intensity.shape:
        raise ValueError(
            f"expected noise of shape {tuple(intensity.shape)}, got {tuple(noise.shape)}"
        )
    return (noise < intensity).to(intensity.dtype)


def by_threshold(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> Float[Tensor, "*shape"]:
    """The threshold protocol on bytes: `threshold(intensity(pixels))`; draws nothing.

    A byte exceeds half of 255 exactly when it is at least 128.
    """
    _check_bytes(pixels)
    return (pixels >= 128).float()


def dynamically(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> Float[Tensor, "*shape"]:
    """The dynamic protocol on bytes: `bernoulli(intensity(pixels), noise)` with fresh noise.

    Burda, Grosse & Salakhutdinov 2016 (IWAE), section 5.
    """
    _check_bytes(pixels)
    noise = torch.rand(pixels.shape, generator=generator, device=pixels.device)
    return (noise < pixels / 255).float()


def freeze(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> UInt8[Tensor, "*shape"]:
    """The static protocol: `dynamically` once and for all, as bytes that are 0 or 255.

    What comes out is a data set of its own, which either protocol above then leaves alone.
    Papers that say "static" use one published sample (Larochelle & Murray 2011), not this one.
    """
    return dynamically(pixels, generator).to(torch.uint8) * 255


def _check_bytes(pixels: Tensor) -> None:
    if pixels.dtype != torch.uint8:
        raise TypeError(f"expected pixels as uint8 from 0 to 255, got {pixels.dtype}")


def _check_intensity(intensity: Tensor) -> None:
    if not intensity.is_floating_point():
        raise TypeError(
            f"expected intensities as floats from 0 to 1, got {intensity.dtype}; "
            "turn bytes into intensities with vaelib.binarization.intensity"
        )
    if intensity.numel() and not (intensity.min() >= 0 and intensity.max() <= 1):
        raise ValueError(
            "expected intensities from 0 to 1, got values from "
            f"{intensity.min():.4g} to {intensity.max():.4g}"
        )
