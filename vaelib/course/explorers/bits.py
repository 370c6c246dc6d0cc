"""Explorer on compression: what an image costs in bits, and the chain of images that grows."""

import math
from functools import cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.ans import Stack
from vaelib.compression import LATENT, Codec
from vaelib.course import plotting
from vaelib.course.explorers.plane import Plane, pale, tidy
from vaelib.course.explorers.shell import (
    Digit,
    Explorer,
    Picture,
    View,
    chooser,
    digit_row,
    panel,
)
from vaelib.elbo import kl
from vaelib.encoder import Gaussian, reparameterize
from vaelib.exact import on_grid

HEIGHT = 4.55  # inches
SIDE, TOP = 1.5, 2.72  # of the images and of their row's lower edge
BARS = (0.75, 0.46, 3.3, 1.72)
CHAIN = (5.62, 0.46, 1.5, 3.3)
ROWS = (("pay", 2.0), ("get back", 1.0), ("in all", 0.0))  # of the bars, and where they stand
SCALES = (600, 1000, 2000, 5000, 10_000, 20_000)  # bits that the bars can show
LATENTS, PIXELS, BACK = plotting.BLUE, plotting.ORANGE, plotting.GREEN
LENGTH = 60  # images in the chain
SAMPLES = 16  # of the latent, for each image's −ELBO


class Chain(NamedTuple):
    """Images and their −ELBO; stacks before and after each image of a chain of the first ones."""

    codec: Codec
    images: Float[Tensor, "image pixel"]
    stacks: list[Stack]
    length: Float[np.ndarray, " image"]
    bound: Float[np.ndarray, " image"]


def chain_of(codec: Codec, images: UInt8[Tensor, "image pixel"]) -> Chain:
    """A chain of the first sixty `images`, whose bytes are 0 and 255, and what all of them need.

    The codec's model has one level of latents.
    """
    binary = (images > 0).double()
    stacks = [Stack(borrow=True)]
    for image in binary[:LENGTH]:
        stacks.append(copied(stacks[-1]))
        codec.push(stacks[-1], image[None])
    length = np.array([bits_of(stack) for stack in stacks])
    return Chain(codec, binary, stacks, length, bounds(codec, binary).numpy())


@torch.no_grad()
def bounds(codec: Codec, image: Float[Tensor, "image pixel"]) -> Float[Tensor, " image"]:
    """The −ELBO of binary images in bits, averaged over a few latents, by the codec's model."""
    q = Gaussian(*codec.model.posterior(image, []))
    noise = torch.randn(SAMPLES, *q.mean.shape, generator=Generator().manual_seed(0)).double()
    log_likelihood = sum(
        codec.model.likelihood([on_grid(reparameterize(q, each))]).log_prob(image) for each in noise
    )
    return (kl(q) - log_likelihood / SAMPLES) / math.log(2)


def copied(stack: Stack) -> Stack:
    """An independent copy of a stack."""
    made = Stack(borrow=stack.borrow)
    made.head, made.tail, made.borrowed = stack.head, stack.tail[:], stack.borrowed
    return made


def bits_of(stack: Stack) -> float:
    """How many bits a stack holds more than an empty one."""
    return 32 * len(stack.tail) + math.log2(stack.head) - math.log2(Stack().head)


@torch.no_grad()
def view_bits(
    chain: Chain, *, image: int, before: int, shape: tuple[int, int] | None = None
) -> View:
    """What image number `image` costs if it is pushed after the chain's first `before` images.

    `shape` is the image's height and width; without it the image is square.
    """
    codec, pixels = chain.codec, chain.images[image]
    stack = copied(chain.stacks[before])
    bill = codec.push(stack, pixels[None])
    latent, paid, back = (part.item() for part in bill)
    length = bits_of(stack)
    bins = stack.pop_uniform(codec.model.latent, LATENT)[::-1]
    likelihood = codec.model.likelihood([codec.tables.centre[torch.tensor(bins)][None]])
    probability = likelihood.logits[0].sigmoid()
    cost = -torch.where(pixels > 0, probability, 1 - probability).log2()

    scale = next((size for size in SCALES if size >= latent + paid), SCALES[-1])
    most = 1000 * math.ceil((chain.length[-1] + 500) / 1000)
    figure = Picture(HEIGHT, ground=_ground(scale, most, len(chain.stacks) - 1))
    digit_row(
        figure,
        0.05,
        TOP,
        SIDE,
        Digit(pixels, "image x"),
        Digit(probability, "pixel probabilities"),
        Digit(cost, "bits by pixel", most=8, colours="Oranges"),
        shape=shape,
    )
    bars = Plane(figure, BARS, xlim=(0, scale), ylim=(-0.5, 2.5))
    for start, end, row, colour in (
        (0, latent, 2, LATENTS),
        (latent, latent + paid, 2, PIXELS),
        (latent + paid - back, latent + paid, 1, BACK),
        (0, latent + paid - back, 0, plotting.GREY),
    ):
        bars.box(start, end, row - 0.3, row + 0.3, fc=pale(colour), ec=colour, lw=1.5)
    bound = float(chain.bound[image])
    bars.line([bound, bound], [-0.45, 0.45], color=plotting.BLACK, lw=2)
    plane = Plane(figure, CHAIN, xlim=(0, len(chain.stacks)), ylim=(0, most))
    steps = np.arange(len(chain.stacks))
    sums = np.concatenate([[0], chain.bound[: len(steps) - 1].cumsum()])
    plane.line(steps, sums, color=plotting.BLACK, lw=1.5, ls="--")
    plane.line(steps[: before + 1], chain.length[: before + 1], color=plotting.PURPLE, lw=2.5)
    plane.line([before, before + 1], [chain.length[before], length], color=plotting.PURPLE, lw=2.5)
    plane.mark(before + 1, min(length, most), "o", color=plotting.PURPLE, mec="white", ms=9)
    return View(figure, _told(latent, paid, back, bound, before, length, sums[before]))


def _told(
    latent: float, pixels: float, back: float, bound: float, before: int, length: float, sums: float
) -> str:
    many = f"{before + 1} image{'s' * (before > 0)}"
    first = (
        "Nothing was stored before, so these bits come from words that everyone knows, and the "
        if before == 0
        else "The "
    )
    return (
        f"Latent under the prior: <b>{latent:.0f}</b> bits; pixels: <b>{pixels:.1f}</b>; back by "
        f"q: <b>{back:.1f}</b>. In all <b>{latent + pixels - back:.1f}</b> bits; the −ELBO is "
        f"{bound:.1f}. {first}chain of {many} now has <b>{length:,.0f}</b> bits. The sum of the "
        f"−ELBO is {sums + bound:,.0f}."
    )


@cache
@plt.rc_context(plotting.STYLE)
def _ground(scale: int, most: int, images: int) -> np.ndarray:
    """Axes for bars of up to `scale` bits, and for a chain of so many images and `most` bits."""
    figure = Picture(HEIGHT)
    bars = panel(
        figure,
        BARS,
        xlim=(0, scale),
        ylim=(-0.5, 2.5),
        bare=False,
        yticks=[place for _, place in ROWS],
        xticks=[0, scale // 2, scale],
    )
    bars.set_yticklabels([name for name, _ in ROWS])
    bars.xaxis.set_major_formatter("{x:,.0f}")
    tidy(bars, "bits")
    left = BARS[0]
    for name, colour in (("latent", LATENTS), ("pixels", PIXELS), ("back", BACK)):
        _label(figure, left, 2.36, f"■ {name}", colour)
        left += 0.85
    _label(figure, left, 2.36, "| −ELBO", plotting.BLACK)
    chain = panel(
        figure,
        CHAIN,
        xlim=(0, images + 1),
        ylim=(0, most),
        bare=False,
        xticks=range(0, images + 1, 20),
        yticks=[0, most // 2, most],
    )
    chain.yaxis.set_major_formatter("{x:,.0f}")
    tidy(chain, "images in the chain", "bits")
    _label(figure, CHAIN[0], 4.27, "— chain", plotting.PURPLE)
    _label(figure, CHAIN[0], 4.02, "-- sum of −ELBO", plotting.BLACK)
    return figure.pixels()


def _label(figure: Picture, left: float, bottom: float, text: str, colour: str) -> None:
    at = left / figure.get_figwidth(), bottom / HEIGHT
    figure.text(*at, text, color=colour, size=11, va="center")


def compress(
    codec: Codec, images: UInt8[Tensor, "image pixel"], *, shape: tuple[int, int] | None = None
) -> Explorer:
    """Pick one of `images`, whose bytes are 0 and 255, and how many come before it in a chain.

    `shape` is the height and width of each image; without it they are square.
    """
    chain = chain_of(codec, images)
    return Explorer(
        "what an image costs",
        lambda **settings: view_bits(chain, shape=shape, **settings),
        {
            "image": chooser("image (index)", len(images)),
            "before": chooser("images before it (number)", len(chain.stacks)),
        },
        shows=(
            "Above: an image, its pixel probabilities, and the bits for each pixel. Below: bars "
            "of the bits that it pays, gets back and costs in all. Right, a plot over the "
            "images in the chain: its length in bits, and the sum of −ELBO."
        ),
    )
