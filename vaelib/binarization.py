"""From grey bytes to pixels that are 0 or 1, the two outcomes that a Bernoulli pixel has.

The three protocols are functions of bytes and a random generator:

- `threshold`: 1 where the byte exceeds half of 255;
- `dynamic`: 1 with probability byte / 255, drawn again at each use;
- `static`: as `dynamic`, but drawn once and kept (`freeze` draws them).

Likelihoods under different protocols must not be compared. A likelihood of grey pixels needs none
of them, but `intensity`. All these functions raise TypeError unless pixels are a tensor of uint8.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.data.rows import check_ink
from vaelib.device import checked_generator

Bytes, Floats = UInt8[Tensor, "*shape"], Float[Tensor, "*shape"]
Protocol = Callable[[Tensor, Generator | None], Tensor]


def intensity(pixels: Bytes, generator: Generator | None = None) -> Floats:
    """Grey level of each pixel from 0 (background) to 1 (ink): byte / 255; draws nothing."""
    _check_bytes(pixels)
    return pixels.float() / 255


def bernoulli(probability: Floats, noise: Floats) -> Floats:
    """1 with the given probability, else 0: 1 where `noise` ~ Uniform[0, 1) lies below it.

    Raises TypeError unless probabilities are floats, ValueError if one is outside [0, 1] and where
    shapes differ.
    """
    if not probability.is_floating_point():
        raise TypeError(
            f"expected probabilities as floats from 0 to 1, got {probability.dtype}; "
            "turn bytes into intensities with vaelib.binarization.intensity"
        )
    if probability.numel() and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(
            "expected probabilities from 0 to 1, got values from "
            f"{probability.min():.4g} to {probability.max():.4g}"
        )
    check_alike("probabilities and noise", probability, noise)
    return (noise < probability).to(probability.dtype)


def threshold(pixels: Bytes, generator: Generator | None = None) -> Floats:
    """The threshold protocol, which the blog post uses: intensity > 0.5; draws nothing.

    A byte exceeds half of 255 exactly when it is at least 128, that is when its top bit is set.
    """
    _check_bytes(pixels)
    return (pixels >> 7).float()


def dynamic(pixels: Bytes, generator: Generator | None = None) -> Floats:
    """The dynamic protocol: each pixel is 1 with probability byte / 255, drawn again at each use.

    As `bernoulli(intensity(pixels), noise)`, but with noise made of bytes, so that the probability
    is exact. Burda, Grosse & Salakhutdinov 2016 (IWAE), section 5.
    """
    _check_bytes(pixels)
    noise = byte_noise(pixels.shape, generator, pixels.device)
    return pixels.float().gt_(noise.float())  # in place: bools would cost more than the noise


def byte_noise(
    shape: Sequence[int], generator: Generator | None, device: torch.device | str = "cpu"
) -> UInt8[Tensor, "..."]:
    """Bytes from 0 to 254, all equally likely: one lies below `pixel` with chance pixel / 255.

    On a CPU, each random word of 64 bits gives eight bytes, and words with a byte of 255 are left
    out. This is less work than `torch.randint`, which draws a word for each byte.
    """
    checked_generator(generator)
    if torch.device(device).type != "cpu":
        return torch.randint(255, shape, dtype=torch.uint8, generator=generator, device=device)
    count = math.prod(shape)
    drawn = torch.empty(count * 17 // 128 + 8, dtype=torch.int64)  # a sixteenth to spare
    drawn.random_(-(2**63), None, generator=generator)
    fits = drawn.view(torch.uint8).view(-1, 8).amax(1) < 255
    noise = drawn.masked_select(fits).view(torch.uint8)[:count]
    if len(noise) < count:  # about never, as three words in a hundred have a 255
        return byte_noise(shape, generator)
    return noise.view(shape)


def freeze(pixels: Bytes, generator: Generator | None = None) -> Bytes:
    """Draw each pixel once, as `dynamic` does, and return bytes that are 0 or 255.

    The result is a data set for the static protocol. Papers that say "static" use one published
    sample (Larochelle & Murray 2011), not this one. Raises what `check_ink` raises.
    """
    _check_bytes(pixels)
    check_ink(pixels)
    return dynamic(pixels, generator).to(torch.uint8) * 255


def static(pixels: Bytes, generator: Generator | None = None) -> Floats:
    """The static protocol, for bytes from `freeze`: 0 stays 0, 255 becomes 1; draws nothing.

    Raises ValueError for any other byte.
    """
    _check_bytes(pixels)
    grey = (pixels > 0) & (pixels < 255)
    if grey.any():
        check_ink(pixels)
        raise ValueError(
            f"expected frozen images, whose bytes are all 0 or 255, but one is {pixels[grey][0]}; "
            "draw their pixels once with freeze(images, generator), and keep the result"
        )
    return (pixels >> 7).float()


PROTOCOLS: dict[str, Protocol] = {"threshold": threshold, "dynamic": dynamic, "static": static}
LEAST_INK = {threshold: 128, dynamic: 17, static: 17, intensity: 17}  # what images must reach


def protocol_named(protocol: str | Protocol) -> Protocol:
    """The protocol with this name, or the function itself. Raises ValueError for other names."""
    if callable(protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol is called {protocol!r}; there is {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol]


def check_alike(what: str, one: Tensor, other: Tensor) -> None:
    """Raise ValueError unless both have one shape, so that nothing is broadcast by accident."""
    if one.shape != other.shape:
        raise ValueError(
            f"expected {what} of one shape, got {tuple(one.shape)} and {tuple(other.shape)}"
        )


def _check_bytes(pixels: Tensor) -> None:
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        found = pixels.dtype if isinstance(pixels, Tensor) else type(pixels).__name__
        raise TypeError(f"expected pixels as a tensor of uint8 from 0 to 255, got {found}")
