"""A drawing of one's own, and printed letters, prepared as MNIST's digits were."""

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

SIDE, LONGER = 28, 20  # MNIST's picture, and the digit's longer side in it
CENTRE = 14  # row and column, from 0, that the centre of mass is rounded to in all of MNIST
FACES = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral")
LETTERS = "ABCDEFGHJK"  # no I, which is a bar in some typefaces


def as_mnist(ink: Float[Tensor, "side side"]) -> UInt8[Tensor, " 784"]:
    """A drawing of ink from 0 (paper) to 1 as a row of 28 × 28 bytes, placed as MNIST's digits.

    What is drawn is cut out, scaled so that its longer side is 20 pixels (a pixel is the mean
    over the area that it covers; height and width keep their ratio), and moved by whole pixels
    until its centre of mass lies in the middle pixel, or as near to it as the picture's edge
    allows.

    Raises ValueError for a drawing that is empty, not square, or has values outside [0, 1].
    LeCun, Bottou, Bengio & Haffner 1998, section III A; LeCun, Cortes & Burges, "The MNIST
    database of handwritten digits", where it is told in these steps.
    """
    if ink.ndim != 2 or ink.shape[0] != ink.shape[1]:
        raise ValueError(f"expected a square drawing (side, side), got {tuple(ink.shape)}")
    if not ((ink >= 0) & (ink <= 1)).all():
        raise ValueError("expected ink from 0 (paper) to 1")
    ink = ink.float()
    drawn = (255 * ink).round() > 0  # less would be no ink in a byte
    rows, columns = drawn.any(1).nonzero().flatten(), drawn.any(0).nonzero().flatten()
    if not len(rows):
        raise ValueError("the drawing is empty: draw a digit first")
    top, left = rows[0].item(), columns[0].item()
    high, wide = rows[-1].item() - top + 1, columns[-1].item() - left + 1
    square = torch.zeros(max(high, wide), max(high, wide), dtype=torch.float32)
    square[:high, :wide] = ink[top : top + high, left : left + wide]
    small = _area_mean(square)
    page = torch.zeros(SIDE, SIDE, dtype=torch.float32)
    y, x = (_start(small.sum(1 - axis)) for axis in (0, 1))
    page[y : y + LONGER, x : x + LONGER] = small[: SIDE - y, : SIDE - x]
    return (page * 255).round().to(torch.uint8).flatten()


def letters() -> UInt8[Tensor, "40 784"]:
    """Ten capital letters in each of four typefaces, as rows of bytes, placed as MNIST's digits."""
    return torch.stack([as_mnist(_printed(letter, face)) for face in FACES for letter in LETTERS])


def _printed(letter: str, face: str) -> Float[Tensor, "140 140"]:
    canvas = FigureCanvasAgg(Figure(figsize=(1.4, 1.4), dpi=100))
    canvas.figure.text(0.5, 0.5, letter, ha="center", va="center", size=70, family=face)
    canvas.draw()
    return 1 - torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., 0].copy()) / 255


def _area_mean(square: Float[Tensor, "side side"]) -> Float[Tensor, "20 20"]:
    image = PIL.Image.fromarray(square.numpy())
    small = np.array(image.resize((LONGER, LONGER), PIL.Image.Resampling.BOX))
    return torch.from_numpy(small).clamp(0, 1)


def _start(ink: Float[Tensor, " 20"]) -> int:
    """The page's row (or column) where a digit begins, from the ink in each of its rows."""
    centre = ((ink * torch.arange(LONGER)).sum() / ink.sum()).item()
    room = SIDE - 1 - ink.nonzero().max().item()
    return min(max(CENTRE - round(centre), 0), room)
