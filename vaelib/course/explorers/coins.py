"""Explorer on binarization: a threshold to move, and pixels to draw again."""

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
    """The binary pixels of one image in draw `number`; the same number gives the same pixels."""
    return bernoulli(grey, torch.rand(grey.shape, generator=Generator().manual_seed(number)))


def entropy(probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Entropy in nats of pixels with these probabilities of ink; it is 0 for a certain pixel."""
    return -torch.xlogy(probability, probability) - torch.xlogy(1 - probability, 1 - probability)


def view_binarized(
    pixels: UInt8[Tensor, " pixel"],
    *,
    level: float = 0.5,
    tossed: int = 1,
    shape: tuple[int, int] | None = None,
) -> View:
    """One image in grey, by threshold at `level` and drawn at random; and the changed pixels.

    `tossed` is the number of the draw. `shape` is the image's height and width; without it the
    image is square.
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
        Digit(now, f"random, draw {tossed}"),
        Digit(torch.where(flipped > 0, 1, 0.12 * now), "changed pixels"),
        shape=shape,
    )
    words = (
        f"Ink: <b>{int(cut.sum())}</b> pixels by the threshold; <b>{int(now.sum())}</b> in this "
        f"draw, {grey.sum():.0f} expected. Changed since the draw before: "
        f"<b>{int(flipped.sum())}</b> pixels, {expected:.0f} expected. Entropy of the draw, "
        f"with intensities as π: <b>{entropy(grey).sum():.1f}</b> nats. The threshold has none."
    )
    return View(figure, words)


def binarize(
    images: UInt8[Tensor, "image pixel"], *, shape: tuple[int, int] | None = None
) -> Explorer:
    """Pick one of the first hundred `images`, move the threshold, and draw the pixels again.

    `shape` is the height and width of each image; without it they are square.
    """
    images = images[:100]
    return Explorer(
        "a threshold and random pixels",
        lambda digit, **settings: view_binarized(images[digit], shape=shape, **settings),
        {
            "digit": chooser("digit (index)", len(images)),
            "level": slider("threshold", 0.5, 0, 1, 0.01, "intensity"),
            "tossed": Again("Draw the pixels again"),
        },
        shows=(
            "Four images side by side: a grey digit, the digit by threshold, the digit drawn at "
            "random, and the pixels that changed since the draw before."
        ),
    )
