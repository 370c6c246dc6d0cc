"""The figures that the notebooks share. Plots take arrays, not models."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor

# Colours of Okabe & Ito, which colour-blind readers can tell apart. These have a contrast of at
# least 3 to 1 with white; grey, which is also used for text, has 4.5 to 1 (WCAG 2.2).
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, BLACK, GREY = "#CC79A7", "#000000", "#767676"

Images = Tensor | np.ndarray  # (image, pixel), as `intensities` takes them

# One colour per digit, for dots that are partly transparent.
DIGITS = ("#1F77B4", "#C85200", "#1E8449", "#C4161C", "#8A5FC0")
DIGITS += ("#7B4B40", "#C2449A", "#6B6B6B", "#7A7C00", "#00838F")
DIGIT_MARKERS = "o^sDvP*X<>"
OPACITY = 0.8
TOLERANCE = 1e-4  # for intensities that rounding moved out of their range

STYLE = {
    "figure.dpi": 100,
    "figure.figsize": (8, 3.2),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, BLACK, GREY]),
    "legend.frameon": False,
    "lines.linewidth": 2,
    "image.cmap": "gray_r",
}


def style() -> None:
    """Set matplotlib's defaults: sizes, few frame lines, colours that the colour-blind can tell."""
    plt.rcParams.update(STYLE)


def image_shape(pixels: int, shape: tuple[int, int] | None = None) -> tuple[int, int]:
    """Height and width of an image with this many pixels: `shape`, or by default a square.

    Raises ValueError unless the pixels fill `shape`, or a square.
    """
    height, width = shape or (math.isqrt(pixels),) * 2
    if height * width == pixels:
        return height, width
    if shape:
        raise ValueError(
            f"shape={(height, width)} holds {height * width} pixels, but each image has {pixels}"
        )
    raise ValueError(
        f"expected square images, got {pixels} pixels each; if they are not square, give "
        "shape=(height, width)"
    )


def intensities(images: Images) -> Float[Tensor, "*shape"]:
    """Images as they are drawn: float32, from 0 (paper) to 1 (ink), on the CPU.

    Bytes are divided by 255, unless all of them are 0 or 1. Raises ValueError for other values.
    """
    if not isinstance(images, Tensor | np.ndarray):
        kind, has = type(images).__name__, getattr(images, "_fields", ())
        part = next((f": give its .{name}" for name in ("images", "mean") if name in has), "")
        raise TypeError(f"expected images as a tensor or NumPy array, got {kind}{part}")
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.require(images, requirements=("C", "W")))
    images = images.detach().cpu()
    is_bytes = images.dtype == torch.uint8 and images.numel() and images.max() > 1
    values = images.float() / 255 if is_bytes else images.float()
    if not ((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)).all():
        raise ValueError(
            "expected images of intensities from 0 (paper) to 1 (ink), got values from "
            f"{values.min():.4g} to {values.max():.4g}. If they end at 255, divide them by 255; if "
            "they are a decoder's logits, draw logits.sigmoid(). nan means: not a number"
        )
    return values


def montage(
    images: Images,
    columns: int = 10,
    margin: int = 2,
    *,
    shape: tuple[int, int] | None = None,
) -> Float[np.ndarray, "height width"]:
    """Images row by row in one array, with `margin` blank pixels between them.

    `shape` is the height and width of each image; without it they are square. Raises ValueError
    unless there is an image and a column, and as `image_shape` and `intensities` do.
    """
    images = intensities(images)
    if images.ndim > 2:
        shape, images = shape or tuple(images.shape[-2:]), images.flatten(1)
    if images.ndim != 2 or not len(images) or columns < 1:
        raise ValueError(
            f"expected images of shape (image, pixel) and at least one column, "
            f"got {tuple(images.shape)} and {columns}"
        )
    high, wide = image_shape(images.shape[1], shape)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    down, across = high + margin, wide + margin
    sheet = np.zeros((rows * down - margin, columns * across - margin), np.float32)
    for i, image in enumerate(images.numpy().reshape(-1, high, wide)):
        top, left = i // columns * down, i % columns * across
        sheet[top : top + high, left : left + wide] = image
    return sheet


def show_images(
    images: Images,
    *,
    columns: int = 10,
    title: str = "",
    axes: Axes | None = None,
    shape: tuple[int, int] | None = None,
) -> Axes:
    """Draw images with intensities in [0, 1] in rows of `columns`; ink is dark.

    `shape` is the height and width of each image; without it they are square.
    """
    sheet = montage(images, columns, shape=shape)
    if axes is None:
        width = min(0.8 * min(columns, len(images)), 9.6)
        height = width * sheet.shape[0] / sheet.shape[1] + (0.35 if title else 0)
        axes = plt.figure(figsize=(width, height)).add_subplot()
    _show_sheet(axes, sheet)
    axes.set(title=title)
    return axes


def show_rows(
    rows: Mapping[str, Images],
    *,
    title: str = "",
    shape: tuple[int, int] | None = None,
) -> Figure:
    """Draw named rows of images, one under another, so that columns can be compared.

    `shape` is the height and width of each image; without it they are square.
    """
    sheets = {name: montage(images, len(images), shape=shape) for name, images in rows.items()}
    tallest, widest = np.max([sheet.shape for sheet in sheets.values()], axis=0)
    height = 8.2 * tallest / widest + 0.04
    figure, axes = plt.subplots(len(rows), figsize=(9.2, height * len(rows) + 0.45), squeeze=False)
    for ax, (name, sheet) in zip(axes[:, 0], sheets.items(), strict=True):
        _show_sheet(ax, sheet)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _show_sheet(axes: Axes, sheet: Float[np.ndarray, "height width"]) -> None:
    axes.imshow(sheet, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def save_images(
    images: Images,
    path: str | Path,
    *,
    columns: int = 10,
    shape: tuple[int, int] | None = None,
) -> Path:
    """Save images in rows of `columns` as one PNG, dark ink on white, and return its path.

    Ten images in ten columns give the strip that the blog post calls `sample.png`. `shape` is
    the height and width of each image; without it they are square.
    """
    path = Path(path).expanduser()
    sheet = montage(images, columns, shape=shape).repeat(3, 0).repeat(3, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.imsave(path, sheet, cmap="gray_r", vmin=0, vmax=1)
    return path


def plot_history(
    curves: Mapping[str, Sequence[float]],
    *,
    band: tuple[float, float] | None = None,
    title: str = "",
    label: str = "nats per image",
    axes: Axes | None = None,
) -> Axes:
    """Draw each named curve, one value per epoch, and the band in which it should end."""
    axes = axes or plt.figure().add_subplot()
    for i, (name, values) in enumerate(curves.items()):
        mark = DIGIT_MARKERS[i % len(DIGIT_MARKERS)]
        heights = torch.as_tensor(values).float()
        axes.plot(range(1, len(values) + 1), heights, marker=mark, markersize=5, label=name)
    if band:
        axes.axhspan(*band, color=GREY, alpha=0.25, lw=0, label="expected at the end")
    axes.set(title=title, xlabel="epoch", ylabel=label)
    axes.legend()
    return axes


def scatter_latents(
    codes: Float[Tensor, "image 2"],
    labels: Tensor,
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Draw two latent dimensions, with one marker and one colour per digit."""
    axes = axes or plt.figure(figsize=(7, 5.6)).add_subplot()
    for digit in labels.unique().tolist():
        at = codes[labels == digit].float()
        drawn = dict(marker=DIGIT_MARKERS[digit % 10], color=DIGITS[digit % 10], alpha=OPACITY)
        axes.scatter(*at.T, s=12, lw=0, label=str(digit), **drawn)
    axes.set(title=title, aspect="equal")
    axes.legend(title="digit", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    return axes


def draw_architecture(pixels: int = 784, hidden: int = 500, latent: int = 5) -> Figure:
    """Draw a dense VAE from left to right; heights are scaled by the square root of layer sizes."""
    figure, axes = plt.subplots(figsize=(9.2, 3.6))
    layers = [(0.0, pixels), (1.6, hidden), (3.2, latent), (4.4, latent), (6.0, hidden)]
    layers.append((7.6, pixels))
    largest = max(size for _, size in layers)
    height = {size: 0.1 + 0.95 * (size / largest) ** 0.5 for _, size in layers}
    for (left, a), (right, b), colour, text in zip(
        layers, layers[1:], (BLUE, BLUE, GREY, ORANGE, ORANGE),
        ("tanh", "two heads", "+ σ·ε", "tanh", "logits"), strict=False,
    ):  # fmt: skip
        corners = [(left, height[a]), (right, height[b]), (right, -height[b]), (left, -height[a])]
        axes.add_patch(Polygon(corners, color=colour, alpha=0.22, lw=0))
        axes.text((left + right) / 2, 0, text, ha="center", va="center")
    names = ("image x", "hidden", "μ, log σ", "latent z", "hidden", "π of each pixel")
    for (x, size), name in zip(layers, names, strict=True):
        colour = BLUE if x < 3.5 else ORANGE
        axes.plot([x, x], [-height[size], height[size]], color=colour, lw=4)
        shown = f"2 × {size}" if "log" in name else f"{size}"
        axes.text(x, height[size] + 0.08, shown, ha="center", weight="bold")
        axes.text(x, -height[size] - 0.22, name, ha="center")
    axes.text(1.6, 1.3, "encoder q(z|x)", ha="center", weight="bold")
    axes.text(6.0, 1.3, "decoder p(x|z)", ha="center", weight="bold")
    axes.set(xlim=(-0.7, 8.3), ylim=(-1.35, 1.5))
    axes.axis("off")
    return figure


def draw_hierarchy() -> Figure:
    """A model with two levels of latents: the way up, the corrections, and the path down."""
    places = {
        "image x": (0, 0, BLUE),
        "features\nfor z₂": (0, 1, BLUE),
        "features\nfor z₁": (0, 2, BLUE),
        "q(z₁|x)": (1, 2, ORANGE),
        "Δμ, Δ": (1, 1, ORANGE),
        "z₁": (2, 2, BLACK),
        "z₂": (2, 1, BLACK),
        "p(x|z₁, z₂)": (2, 0, BLACK),
        "N(0, I)": (3, 2, BLACK),
        "μ, σ": (3, 1, BLACK),
    }
    below = {
        "image x": ["features\nfor z₂"],
        "features\nfor z₂": ["features\nfor z₁", "Δμ, Δ"],
        "features\nfor z₁": ["q(z₁|x)"],
        "q(z₁|x)": ["z₁"],
        "Δμ, Δ": ["z₂"],
        "N(0, I)": ["z₁"],
        "z₁": ["Δμ, Δ", "μ, σ", "p(x|z₁, z₂)"],
        "μ, σ": ["z₂"],
        "z₂": ["p(x|z₁, z₂)"],
    }
    figure = plt.figure(figsize=(8.6, 3.8))
    axes = figure.add_subplot()
    for name, (x, y, colour) in places.items():
        frame = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": colour, "lw": 2}
        axes.text(x, y, name, ha="center", va="center", bbox=frame, zorder=3)
        for end in below.get(name, ()):
            u, v, other = places[end]
            line = {"color": ORANGE if other == ORANGE else colour, "lw": 2}
            bend = f"arc3,rad={-0.6 if y - v > 1 else 0}"
            arrow = {"arrowstyle": "-|>", "shrinkA": 28, "shrinkB": 28, "connectionstyle": bend}
            axes.annotate("", (u, v), (x, y), arrowprops=arrow | line)
    axes.set(xlim=(-0.4, 3.4), ylim=(-0.4, 2.4), title="Up once, then down, level by level")
    axes.axis("off")
    return figure


def show_toy(
    latents: Float[Tensor, " image"],
    probability: Float[Tensor, "image pixel"],
    images: Float[Tensor, "image pixel"],
) -> Figure:
    """Draw images of few pixels: z as title, pixel probabilities above, drawn pixels below."""
    figure, panels = plt.subplots(1, len(images), figsize=(9.2, 1.3), squeeze=False)
    edges = np.arange(images.shape[1] + 1)
    drawn = dict(cmap="gray_r", vmin=0, vmax=1, edgecolors=GREY, linewidth=0.8)
    for axes, z, *rows in zip(panels[0], latents, probability, images, strict=True):
        for top, row in zip((1.2, 0), rows, strict=True):
            axes.pcolormesh(edges, [top, top + 1], row[None].numpy(), **drawn)
        axes.set_title(f"z = {z:.2f}".replace("-", "−"), loc="center")
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    panels[0, 0].set_yticks([0.5, 1.7], ["x", "π"])
    panels[0, 0].tick_params(length=0)
    return figure
