"""Explorer on binarization: a threshold to move, coins to toss again."""

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import bernoulli, intensity
from vaelib.course.explorers.shell import (
    Again,
    Digit,
    Explorer,
    Picture,
    View,
    chooser,
    digit_row,
    slider,
)


def toss(grey: Float[Tensor, " pixel"], number: int) -> Float[Tensor, " pixel"]:
    """The coins of one image as they fall the `number`-th time; one number, one outcome."""
    return bernoulli(grey, torch.rand(grey.shape, generator=Generator().manual_seed(number)))


def entropy(probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Entropy of coins with these probabilities of ink, in nats each; 0 for a certain coin."""
    return -torch.xlogy(probability, probability) - torch.xlogy(1 - probability, 1 - probability)


def view_binarized(
    pixels: UInt8[Tensor, " pixel"],
    *,
    level: float = 0.5,
    tossed: int = 1,
    shape: tuple[int, int] | None = None,
) -> View:
    """One image grey, by threshold at `level`, by its coins' toss `tossed`, and what flipped.

    `shape` is its height and width; without it the image is square.
    """
    grey = intensity(pixels)
    cut, now, before = (grey > level).float(), toss(grey, tossed), toss(grey, tossed - 1)
    flipped = (now != before).float()
    expected = (2 * grey * (1 - grey)).sum()
    figure = Picture(2.1)
    digit_row(
        figure,
        0.05,
        0.05,
        1.68,
        Digit(grey, "grey"),
        Digit(cut, f"threshold at {level:.2f}"),
        Digit(now, f"coins, toss {tossed}"),
        Digit(torch.where(flipped > 0, 1, 0.12 * now), f"flipped since toss {tossed - 1}"),
        shape=shape,
    )
    words = (
        f"Ink: <b>{int(cut.sum())}</b> pixels by the threshold, <b>{int(now.sum())}</b> by the "
        f"coins, {grey.sum():.0f} expected. Flipped since the last toss: "
        f"<b>{int(flipped.sum())}</b> pixels, {expected:.0f} expected. Entropy of the coins: "
        f"<b>{entropy(grey).sum():.1f}</b> nats; of the threshold: none."
    )
    return View(figure, words)


def binarize(
    images: UInt8[Tensor, "image pixel"], *, shape: tuple[int, int] | None = None
) -> Explorer:
    """Pick one of the first hundred `images`, move the threshold, toss the coins again.

    `shape` is the height and width of each image; without it they are square.
    """
    images = images[:100]
    return Explorer(
        "a threshold and coins",
        lambda digit, **settings: view_binarized(images[digit], shape=shape, **settings),
        {
            "digit": chooser("digit (index)", len(images)),
            "level": slider("threshold", 0.5, 0, 1, 0.01, "intensity"),
            "tossed": Again("Toss the coins again"),
        },
    )
