"""From grey pixels to pixels that are 0 or 1, the outcomes that a Bernoulli decoder scores.

Three protocols, whose likelihoods must not be compared with one another:

- *threshold*: intensity > 0.5 (`threshold`, `by_threshold`);
- *dynamic*: a coin a pixel, tossed anew at each use (`bernoulli`, `dynamically`);
- *static*: those coins tossed once and kept (`freeze`, `as_frozen`).
"""

import math
from collections.abc import Sequence

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

    A byte exceeds half of 255 exactly when it is at least 128, that is when its top bit is set.
    """
    _check_bytes(pixels)
    return (pixels >> 7).float()


def dynamically(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> Float[Tensor, "*shape"]:
    """The dynamic protocol on bytes: each pixel is ink with probability byte / 255, exactly.

    As `bernoulli(intensity(pixels), noise)`, with fresh noise that is made of bytes itself.
    Burda, Grosse & Salakhutdinov 2016 (IWAE), section 5.
    """
    _check_bytes(pixels)
    noise = byte_noise(pixels.shape, generator=generator, device=pixels.device)
    return pixels.float().gt_(noise.float())  # in place: bools would cost more than the noise


def byte_noise(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str = "cpu",
) -> UInt8[Tensor, "*shape"]:
    """Bytes from 0 to 254, all equally likely: one lies below `pixel` with chance pixel / 255.

    On a CPU eight are cut from each random word, and words with a 255 in them left out: less
    work than `torch.randint`, which draws a word for each byte.
    """
    if torch.device(device).type != "cpu":
        return torch.randint(255, shape, dtype=torch.uint8, generator=generator, device=device)
    count = math.prod(shape)
    drawn = torch.empty(count * 17 // 128 + 8, dtype=torch.int64)  # a sixteenth to spare
    drawn.random_(-(2**63), None, generator=generator)
    fits = drawn.view(torch.uint8).view(-1, 8).amax(1) < 255
    noise = drawn.masked_select(fits).view(torch.uint8)[:count]
    if len(noise) < count:  # about never, as three words in a hundred have a 255
        return byte_noise(shape, generator=generator)
    return noise.view(shape)


def freeze(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> UInt8[Tensor, "*shape"]:
    """The static protocol: `dynamically` once and for all, as bytes that are 0 or 255.

    What comes out is a data set of its own, which either protocol above then leaves alone.
    Papers that say "static" use one published sample (Larochelle & Murray 2011), not this one.
    """
    return dynamically(pixels, generator).to(torch.uint8) * 255


def as_frozen(
    pixels: UInt8[Tensor, "*shape"], generator: Generator | None = None
) -> Float[Tensor, "*shape"]:
    """The static protocol on bytes that `freeze` made: 0 stays 0, 255 becomes 1; draws nothing.

    Raises ValueError for any other byte: a grey image has no static binarization of its own.
    """
    _check_bytes(pixels)
    grey = (pixels > 0) & (pixels < 255)
    if grey.any():
        raise ValueError(
            f"expected images that were frozen, with bytes 0 and 255 alone, got {pixels[grey][0]} "
            "among them; toss their coins once, by freeze(images, generator), and keep the result"
        )
    return (pixels >> 7).float()


# By their names in the literature; scores under different ones must not be compared.
PROTOCOLS = {"threshold": by_threshold, "dynamic": dynamically, "static": as_frozen}


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
