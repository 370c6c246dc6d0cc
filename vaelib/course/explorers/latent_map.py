"""Explorer on training: point at a plane of two latent dimensions, or walk along a line."""

from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import torch
import traitlets
from ipywidgets import Dropdown
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from torch import Tensor

from vaelib.binarization import threshold
from vaelib.course import plotting
from vaelib.course.explorers.decoding import posterior_of
from vaelib.course.explorers.shell import (
    WIDE,
    Digit,
    Explorer,
    Picture,
    View,
    chooser,
    digit_row,
    panel,
    png,
    signed,
    slider,
)
from vaelib.sampling import decode
from vaelib.vae import VAE

HERE = Path(__file__).parent
REACH = 4.0  # standard deviations of the prior, from the map's centre to its edge
SIDE, WIDTH = 2.9, 3.15  # inches: the map, and the picture beside it, which also fits a narrow page
STEPS = 5  # on the line, both digits included
LABEL = 0.62  # prior σ that a digit's number on the map takes


class Pad(anywidget.AnyWidget):
    """A map to point at with mouse, finger or arrow keys; `value` is the point, in its units."""

    _esm = HERE / "pad.js"
    _css = HERE / "pad.css"
    value = traitlets.List(traitlets.Float(), [0.0, 0.0]).tag(sync=True)
    map = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    reach = traitlets.Float(REACH).tag(sync=True)
    side = traitlets.Int(round(100 * SIDE)).tag(sync=True)


def apart(
    points: Float[Tensor, "point 2"], distance: float, steps: int = 100
) -> Float[Tensor, "point 2"]:
    """Points pushed apart until any two of them are about `distance` from each other."""
    for _ in range(steps):
        between = points[:, None] - points
        length = between.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        points = points + 0.25 * (between / length * (distance - length).clamp(min=0)).sum(1)
    return points


def scatter_digits(
    axes: Axes, codes: Float[Tensor, "image 2"], labels: UInt8[Tensor, " image"]
) -> None:
    """Draw latents, one colour per digit, and each digit's number at the middle of its latents."""
    colours = [plotting.DIGITS[label] for label in labels.tolist()]
    axes.scatter(*codes.T, s=5, color=colours, alpha=plotting.OPACITY, lw=0)
    digits = labels.unique().tolist()
    middles = torch.stack([codes[labels == digit].median(0).values for digit in digits])
    for digit, (x, y) in zip(digits, apart(middles, LABEL).tolist(), strict=True):
        box = {"fc": "white", "ec": plotting.DIGITS[digit], "pad": 1.2, "lw": 1.2, "alpha": 0.85}
        axes.text(x, y, str(digit), ha="center", va="center", size=10, weight="bold", bbox=box)


@plt.rc_context(plotting.STYLE)
def map_of(codes: Float[Tensor, "image 2"], labels: UInt8[Tensor, " image"]) -> View:
    """Latents on two axes from −`REACH` to `REACH`, with one colour and one number per digit."""
    figure = Picture(SIDE, SIDE)
    axes = panel(
        figure,
        (0.01, 0.01, SIDE - 0.02, SIDE - 0.02),
        xlim=(-REACH, REACH),
        ylim=(-REACH, REACH),
        bare=False,
        xticks=[],
        yticks=[],
    )
    scatter_digits(axes, codes, labels)
    axes.axhline(0, color=plotting.GREY, lw=0.6, zorder=0)
    axes.axvline(0, color=plotting.GREY, lw=0.6, zorder=0)
    axes.spines[:].set(visible=True, color="#bbbbbb")
    words = f"A map of {len(codes)} latents and the middle of each digit's. Point at it to decode."
    return View(figure, words)


@plt.rc_context(plotting.STYLE)
def view_walk(
    vae: VAE,
    ends: Float[Tensor, "2 latent"],
    *,
    along: float = 0.5,
    axes: tuple[int, int] = (0, 1),
    point: tuple[float, float] | None = None,
    shape: tuple[int, int] | None = None,
) -> View:
    """Decode the latent at fraction `along` of a line between two; `point` replaces two values.

    `shape` is the images' height and width; without it they are square.
    """
    code = torch.lerp(ends[0], ends[1], along)
    if point is not None:
        code[list(axes)] = torch.tensor(point, dtype=code.dtype)
    steps = torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, STEPS)[:, None])
    images = decode(vae, torch.cat([code[None], steps])).cpu()
    figure = Picture(SIDE, WIDTH)
    values = [signed(value, 1) for value in code[:5].tolist()] + ["…"] * (len(code) > 5)
    figure.title(f"z = ({', '.join(values)})", 0.08, 2.68)
    digit_row(figure, 0.6, 0.72, 1.95, Digit(images[0]), shape=shape)
    digit_row(figure, 0.32, 0.08, 0.42, *map(Digit, images[1:]), shape=shape)
    mark = panel(figure, (0.51, 0.52, (STEPS - 1) * 0.493, 0.14), xlim=(0, 1), ylim=(-1, 1))
    mark.plot([along], [0], "v", color=plotting.ORANGE, ms=9, clip_on=False)
    across, up = (f"z{axis + 1} = <b>{signed(code[axis].item(), 2)}</b>" for axis in axes)
    words = (
        f"Decoded: the latent z with {across} and {up}, {code.norm():.1f} from the prior's centre. "
        f"Half of the prior's draws lie within {median_radius(len(code)):.1f}. Below: the straight "
        f"line between the two digits. The remaining values are those at <b>{along:.0%}</b> of it."
    )
    return View(figure, words)


def median_radius(latent: int) -> float:
    """The radius that contains half of N(0, I): the square root of chi-square's median."""
    half = torch.tensor(latent / 2)
    radius = torch.linspace(0, 12, 4801)
    inside = torch.special.gammainc(half, radius**2 / 2)
    return radius[torch.searchsorted(inside, 0.5)].item()


def walk(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    labels: UInt8[Tensor, " image"],
    *,
    shape: tuple[int, int] | None = None,
) -> Explorer:
    """Point at two of `vae`'s latent axes, or walk from one of the first hundred images to another.

    The map shows the means of q(z|x) for the first 2,000 images. `shape` is the height and width
    of each image; without it they are square.
    """
    codes = posterior_of(vae, threshold(images[:2000])).mean
    labels = labels[: len(codes)]
    count, last = min(100, len(codes)), vae.latent - 1
    options = [(f"z{i + 1}", i) for i in range(vae.latent)]
    pad = Pad()

    def show(start: int, end: int, along: float, across: int, up: int, point: list) -> View:
        ends = codes[[start, end]]
        return view_walk(vae, ends, along=along, axes=(across, up), point=tuple(point), shape=shape)

    def on_the_line(settings: dict) -> dict[str, list[float]]:
        """The pad's point on the line."""
        ends = codes[[settings["start"], settings["end"]]]
        code = torch.lerp(ends[0], ends[1], settings["along"])
        point = code[[settings["across"], settings["up"]]].clamp(-REACH, REACH)
        return {"point": [round(value, 2) for value in point.tolist()]}

    def redraw_map(change: object = None) -> None:
        drawn = map_of(codes[:, [controls["across"].value, controls["up"].value]], labels)
        pad.alt, pad.map = drawn.words, png(drawn.figure)

    controls = {
        "start": chooser("from digit (index)", count),
        "end": chooser("to digit (index)", count, value=1),
        "along": slider("along the line", 0.5, 0, 1, 0.01, "0 to 1"),
        "across": Dropdown(options=options, value=0, description="across (latent axis)", **WIDE),
        "up": Dropdown(options=options, value=min(1, last), description="up (latent axis)", **WIDE),
        "point": pad,
    }
    for axis in ("across", "up"):
        controls[axis].observe(redraw_map, "value")
    redraw_map()
    pad.value = on_the_line({name: control.value for name, control in controls.items()})["point"]
    return Explorer(
        "a latent plane and a line",
        show,
        controls,
        shows=(
            "The image of the latent at the point, and below it the images of five latents "
            "along the line between the two digits."
        ),
        links=dict.fromkeys(("start", "end", "along", "across", "up"), on_the_line),
        beside=["point"],
    )
