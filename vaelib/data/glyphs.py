"""The built-in stand-in for MNIST: digits drawn from matplotlib's typefaces, then deformed.

No network and no licence question, for a room where MNIST cannot be had. Each image takes one
typeface and pen, is sheared, turned, stretched and bent, and is then placed as MNIST's digits
are: the longer side 20 pixels, the centre of mass in the middle of 28 × 28. They are drawn once
and kept in one file.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Generator, Tensor

from vaelib.data.catalogue import GLYPHS, DataError
from vaelib.data.files import digest, written_whole
from vaelib.data.store import cache_folder, filling, own_folder

SANS, MONO, SERIF = "DejaVuSans", "DejaVuSansMono", "DejaVuSerif"
LIGHT = [SANS, f"{SANS}-Oblique", MONO, f"{MONO}-Oblique", SERIF, f"{SERIF}-Italic"]
LIGHT += ["STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10"]
BOLD = [f"{SANS}-Bold", f"{SANS}-BoldOblique", f"{MONO}-Bold", f"{MONO}-BoldOblique"]
BOLD += [f"{SERIF}-Bold", f"{SERIF}-BoldItalic", "STIXGeneralBol", "STIXGeneralBolIta", "cmb10"]
PENS = {"light": (1.0, 2.5, 4.0), "bold": (0.0, 1.0)}  # points added to the strokes
TEMPLATE, HEIGHT = 64, 40  # sides of a template and of the digit in it, in pixels
CANVAS = 44  # side of the picture in which a digit is deformed
SIDE, LONGER = 28, 20  # MNIST's picture, and the digit's longer side in it
COUNTS = {"train": 60_000, "test": 10_000}
FORMAT = "vaelib glyphs 1"


class Labelled(NamedTuple):
    """Images as rows of bytes, and which digit each shows."""

    images: UInt8[Tensor, "image pixel"]
    labels: UInt8[Tensor, " image"]


@cache
def styles() -> list[tuple[str, float]]:
    """Every typeface with every pen that suits it."""
    light = [(face, pen) for face in LIGHT for pen in PENS["light"]]
    return light + [(face, pen) for face in BOLD for pen in PENS["bold"]]


@cache
def templates() -> Float[Tensor, "style 10 64 64"]:
    """Ink from 0 to 1 of the ten digits in every style, centred, of one height."""
    from matplotlib import get_data_path  # here, since few who load data will ever draw
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D, IdentityTransform

    size = (10 * TEMPLATE / 72, len(styles()) * TEMPLATE / 72)
    figure = Figure(figsize=size, dpi=72, facecolor="white")  # one point is one pixel
    for row, (face, pen) in enumerate(styles()):
        font = FontProperties(fname=f"{get_data_path()}/fonts/ttf/{face}.ttf")
        for digit in range(10):
            outline = TextPath((0, 0), str(digit), size=HEIGHT, prop=font)
            box = outline.get_extents()
            place = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
            place.scale(HEIGHT / box.height)
            place.translate((digit + 0.5) * TEMPLATE, (len(styles()) - row - 0.5) * TEMPLATE)
            path = place.transform_path(outline)
            figure.add_artist(PathPatch(path, color="black", lw=pen, joinstyle="round"))
            figure.artists[-1].set_transform(IdentityTransform())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ink = 1 - torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., 0] / np.float32(255))
    return ink.view(len(styles()), TEMPLATE, 10, TEMPLATE).transpose(1, 2).contiguous()


def draw_digits(
    labels: UInt8[Tensor, " image"], generator: Generator
) -> UInt8[Tensor, "image 784"]:
    """One picture of each label: 28 × 28 bytes in a row, 0 background, 255 ink."""
    digits = labels.long()
    choice = torch.rand(len(digits), generator=generator)
    style = (choice * len(styles())).long()
    plain = torch.tensor([row for row, (face, _) in enumerate(styles()) if MONO not in face])
    style = torch.where(digits == 0, plain[(choice * len(plain)).long()], style)  # no slashed zeros
    ink = templates()[style, digits][:, None]
    ink = F.grid_sample(ink, _deformation(len(labels), generator), align_corners=False)
    pressure = torch.rand(len(labels), 1, 1, 1, generator=generator)
    ink = (4 * ink - 1.1 - 1.9 * pressure).clamp(0, 1)
    fine = F.avg_pool2d(ink, 2, stride=1)
    ink = F.grid_sample(fine, _placement(fine[:, 0]), align_corners=False)
    return ((1.6 * ink - 0.25).clamp(0, 1) * 255).round().to(torch.uint8).flatten(1)


def _deformation(count: int, generator: Generator) -> Float[Tensor, "image 44 44 2"]:
    """Where each point of the canvas looks in its template: an affine map and a smooth warp."""
    turn, shear, wide = torch.randn(3, count, 1, 1, generator=generator)
    turn, shear, wide = 0.17 * turn, 0.25 * shear, (0.17 * wide).exp()
    x = torch.linspace(-1, 1, CANVAS)
    columns, rows = x[None, None, :], x[None, :, None]
    across = wide * (turn.cos() * columns + (turn.sin() + shear) * rows)
    down = turn.cos() * rows - turn.sin() * columns
    centres = torch.tensor([-0.9, -0.3, 0.3, 0.9])
    bumps = torch.exp(-0.5 * ((x[:, None] - centres) / 0.4) ** 2)
    bumps = bumps / bumps.sum(1, keepdim=True)
    field = 0.16 * torch.randn(2, count, 4, 4, generator=generator)
    bend = bumps @ field @ bumps.T
    return torch.stack([across + bend[0], down + bend[1]], -1)


def _placement(ink: Float[Tensor, "image side side"]) -> Float[Tensor, "image 28 28 2"]:
    """Where each of 28 × 28 pixels looks, so that the digit's longer side fills 20 of them."""
    side = ink.shape[-1]
    x = (2 * torch.arange(side) + 1) / side - 1
    mass = ink.sum((1, 2)).clamp(min=1e-6)
    centre = torch.stack([(ink.sum(1) * x).sum(1) / mass, (ink.sum(2) * x).sum(1) / mass], -1)
    spans = []
    for profile in (ink.amax(1), ink.amax(2)):
        inked = profile > 0.3
        first = inked.int().argmax(1)
        last = side - 1 - inked.flip(1).int().argmax(1)
        spans.append(last - first + 1)
    span = torch.maximum(*spans) * 2 / side  # of the longer side, in the canvas' units
    pixel = (torch.arange(SIDE) - (SIDE - 1) / 2) / LONGER
    offset = pixel * span[:, None]
    columns = (centre[:, 0, None] + offset)[:, None, :].expand(-1, SIDE, -1)
    rows = (centre[:, 1, None] + offset)[:, :, None].expand(-1, -1, SIDE)
    return torch.stack([columns, rows], -1)


def draw_splits(
    counts: dict[str, int] | None = None,
    *,
    seed: int = 0,
    batch: int = 1000,
    on_batch: Callable[[int], None] = lambda drawn: None,
) -> dict[str, Labelled]:
    """Draw the data set: by default 60,000 training and 10,000 test images, all from one seed."""
    generator = Generator().manual_seed(seed)
    made = {}
    for split, count in (counts or COUNTS).items():
        labels = torch.randint(10, (count,), generator=generator).to(torch.uint8)
        parts = []
        for some in labels.split(batch):
            parts.append(draw_digits(some, generator))
            on_batch(len(some))
        made[split] = Labelled(torch.cat(parts), labels)
    return made


def load_glyphs(root: Path | None, split: str) -> Labelled:
    """One split from the file under `root`; drawn, and kept in the cache, if `root` is None.

    A damaged file in the cache is replaced; one in a folder of the user's raises `DataError`.
    Where the cache cannot be written the digits are drawn, used, and not kept.
    """
    if root is not None:
        try:
            return read_glyphs(root / GLYPHS.place, split)
        except DataError as error:
            if root == own_folder():
                raise
            print(
                f"{error}\nInstead, another copy is read, or drawn now.",
                file=sys.stderr,
                flush=True,
            )
    try:
        return read_glyphs(keep_glyphs(cache_folder(), anew=root == cache_folder()), split)
    except DataError as error:
        print(f"The glyphs could not be kept: {error}", file=sys.stderr, flush=True)
        return _drawn_in_memory()[split]


def keep_glyphs(
    root: Path, *, anew: bool = False, on_batch: Callable[[int], None] = lambda drawn: None
) -> Path:
    """Draw the stand-in into its file under `root`, unless it is there, and return the path.

    Takes some ten seconds; other processes that want the same wait meanwhile. Raises `DataError`
    if the disk fails or a typeface cannot be read.
    """
    path = root / GLYPHS.place
    with filling(root):
        if path.is_file() and not anew:
            return path
        print("Drawing glyphs, once (some ten seconds) …", file=sys.stderr, flush=True)
        try:
            drawn = draw_splits(on_batch=on_batch)
        except OSError as error:
            raise DataError(f"matplotlib's typefaces cannot be read: {error}") from error
        with written_whole(path) as partial:
            write_glyphs(drawn, partial)
    return path


def write_glyphs(drawn: dict[str, Labelled], path: Path) -> None:
    """Write the splits to one file, with checksums of their values."""
    tensors = {
        f"{split}.{part}": tensor
        for split, labelled in drawn.items()
        for part, tensor in labelled._asdict().items()
    }
    digests = {split: digest(labelled._asdict()) for split, labelled in drawn.items()}
    path.write_bytes(to_bytes(tensors, {"format": FORMAT, **digests}))


def read_glyphs(path: Path, split: str) -> Labelled:
    """Read one split from a file of `write_glyphs`.

    Raises `DataError`, naming the file, if it is cut short, damaged, or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            parts = [file.get_tensor(f"{split}.{part}").clone() for part in Labelled._fields]
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}). {_draw_again(path)}") from error
    if about.get("format") != FORMAT:
        raise DataError(
            f"{path} has format {about.get('format')!r}; this version reads {FORMAT!r}. "
            f"{_draw_again(path)}"
        )
    labelled = Labelled(*parts)
    if digest(labelled._asdict()) != about.get(split):
        raise DataError(f"{path} is damaged: its values have another checksum. {_draw_again(path)}")
    return labelled


def _draw_again(path: Path) -> str:
    root = path.parents[GLYPHS.place.count("/")]
    return f'Draw it again: python -m vaelib data prefetch glyphs --root "{root}"'


@cache
def _drawn_in_memory() -> dict[str, Labelled]:
    return draw_splits()
