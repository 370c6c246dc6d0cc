"""Lines, areas and arrows on a plane without axes, because axes take most of a frame's time."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from vaelib.course.explorers.shell import Number, Picture

SHAFT, HEAD, BARB = (
    0.028,
    0.13,
    0.058,
)  # inches: an arrow's thickness, its head's length, half width
# Widths of letters as fractions of the letter size; all digits of DejaVu Sans are equally wide.
ADVANCE = {"−": 0.838, ".": 0.318}


def number(picture: Picture, text: str, right: Number, bottom: Number) -> None:
    """Write a number that ends `right` inches from the picture's left edge, for columns."""
    width = sum(ADVANCE.get(letter, 0.636) for letter in text) * 12 / 72
    picture.title(text, right - width, bottom)


class Plane:
    """The place of a `shell.panel` with the same limits, to draw what changes on its ground."""

    def __init__(
        self,
        figure: Figure,
        place: tuple[Number, Number, Number, Number],
        *,
        xlim: tuple[Number, Number],
        ylim: tuple[Number, Number],
    ) -> None:
        left, bottom, wide, high = place
        self.figure = figure
        self.origin = np.array([left, bottom])
        self.low = np.array([xlim[0], ylim[0]])
        self.scale = np.array([wide / (xlim[1] - xlim[0]), high / (ylim[1] - ylim[0])])
        inches = figure.dpi_scale_trans
        to_inches = Affine2D().translate(*-self.low).scale(*self.scale).translate(*self.origin)
        self.transform = to_inches + inches
        self.frame = TransformedBbox(Bbox.from_bounds(*place), inches)

    def add(self, artist: Artist, *, cut: bool = True) -> None:
        """Draw an artist in the plane's units, by default clipped at its frame."""
        artist.set_transform(self.transform)
        if cut:
            artist.set_clip_box(self.frame)
        self.figure.add_artist(artist)

    def line(self, x: Sequence | np.ndarray, y: Sequence | np.ndarray, **style: object) -> None:
        """A line through points; `style` is Line2D's."""
        self.add(Line2D(x, y, **style))

    def mark(self, x: Number, y: Number, marker: str, **style: object) -> None:
        """A marker, not clipped at the frame's edge; `style` is Line2D's."""
        self.add(Line2D([x], [y], marker=marker, zorder=4, **style), cut=False)

    def area(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], **style: object) -> None:
        """The area between a curve and zero; `style` is Polygon's."""
        foot = [[x[-1], 0], [x[0], 0]]
        self.add(Polygon(np.concatenate([np.stack([x, y], 1), foot]), **style))

    def band(
        self,
        x: Sequence | np.ndarray,
        low: Float[np.ndarray, " n"],
        high: Float[np.ndarray, " n"],
        **style: object,
    ) -> None:
        """The area between two curves; `style` is Polygon's."""
        forth, back = np.stack([x, low], 1), np.stack([x, high], 1)[::-1]
        self.add(Polygon(np.concatenate([forth, back]), **style))

    def box(self, left: Number, right: Number, low: Number, high: Number, **style: object) -> None:
        """A rectangle between these limits; `style` is Polygon's."""
        self.add(Polygon([[left, low], [right, low], [right, high], [left, high]], **style))

    def arrow(
        self, start: Float[np.ndarray, "2"], step: Float[np.ndarray, "2"], colour: str
    ) -> None:
        """An arrow from `start` to `start + step`, left out if it is too short to see."""
        along = step * self.scale
        length = np.hypot(*along)
        if length < 0.02:
            return
        size = min(1, length / HEAD)
        neck = length - size * HEAD
        half, barb = SHAFT / 2 * size, BARB * size
        upper = [(0, half), (neck, half), (neck, barb), (length, 0)]
        outline = np.array([*upper, (neck, -barb), (neck, -half), (0, -half)])
        x, y = along / length
        turned = outline @ np.array([[x, y], [-y, x]])
        foot = (start - self.low) * self.scale + self.origin
        shape = Polygon(turned + foot, fc=colour, ec="none", zorder=3)
        shape.set_transform(self.figure.dpi_scale_trans)
        shape.set_clip_box(self.frame)
        self.figure.add_artist(shape)


@cache
def pale(colour: str) -> tuple[float, float, float]:
    """The colour mixed with white, for areas with a hatch in that colour."""
    rgb = np.array(to_rgb(colour))
    return tuple(0.3 * rgb + 0.7)


@cache
def clear(colour: str) -> tuple[float, float, float, float]:
    """The colour, mostly transparent, for areas on top of something."""
    return to_rgba(colour, 0.3)


def tidy(axes: Axes, xlabel: str, ylabel: str = "") -> None:
    """Label axes in the small letters that all pictures use."""
    axes.set_xlabel(xlabel, size=10, labelpad=2)
    axes.set_ylabel(ylabel, size=10, labelpad=3)
    axes.tick_params(labelsize=10)
