"""Every figure that the notebooks share. Plots know arrays, not models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor

# Of Okabe & Ito's colours, which stay apart for colour-blind readers, those that also stand out
# from white, at 3 to 1 or more; grey, which writes as well, at 4.5 to 1 (WCAG 2.2).
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, BLACK, GREY = "#CC79A7", "#000000", "#767676"

# One for each digit, for dots that let others shine through.
DIGITS = ("#1F77B4", "#C85200", "#1E8449", "#C4161C", "#8A5FC0")
DIGITS += ("#7B4B40", "#C2449A", "#6B6B6B", "#7A7C00", "#00838F")
DIGIT_MARKERS = "o^sDvP*X<>"
OPACITY = 0.8

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
    """Set matplotlib's defaults to the course's: sizes, quiet frames, colour-blind-safe colours."""
    plt.rcParams.update(STYLE)


def montage(
    images: Float[Tensor, "image pixel"], columns: int = 10, margin: int = 2
) -> Float[np.ndarray, "height width"]:
    """Square images laid out row by row in one array, `margin` blank pixels between them.

    Raises ValueError unless there is an image, a column, and the images are square.
    """
    if images.ndim != 2 or not len(images) or columns < 1:
        raise ValueError(
            f"expected images of shape (image, pixel) and at least one column, "
            f"got {tuple(images.shape)} and {columns}"
        )
    count, side = len(images), round(images.shape[1] ** 0.5)
    if side * side != images.shape[1]:
        raise ValueError(f"expected square images, got {images.shape[1]} pixels a row")
    columns = min(columns, count)
    rows = -(-count // columns)
    cell = side + margin
    sheet = np.zeros((rows * cell - margin, columns * cell - margin), np.float32)
    for i, image in enumerate(images.detach().cpu().numpy().reshape(count, side, side)):
        top, left = i // columns * cell, i % columns * cell
        sheet[top : top + side, left : left + side] = image
    return sheet


def show_images(
    images: Float[Tensor, "image pixel"],
    *,
    columns: int = 10,
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Draw images of intensities in [0, 1], ink dark, in rows of `columns`."""
    sheet = montage(images, columns)
    if axes is None:
        width = min(0.8 * min(columns, len(images)), 9.6)
        height = width * sheet.shape[0] / sheet.shape[1] + (0.35 if title else 0)
        axes = plt.figure(figsize=(width, height)).add_subplot()
    axes.imshow(sheet, vmin=0, vmax=1, interpolation="nearest")
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def show_rows(rows: Mapping[str, Float[Tensor, "image pixel"]], *, title: str = "") -> Figure:
    """Draw one named row of images under another, so that columns can be compared."""
    sheets = {name: montage(images, len(images)) for name, images in rows.items()}
    widest = max(sheet.shape[1] for sheet in sheets.values())
    height = 8.2 * 28 / widest + 0.04
    figure, axes = plt.subplots(len(rows), figsize=(9.2, height * len(rows) + 0.45), squeeze=False)
    for ax, (name, sheet) in zip(axes[:, 0], sheets.items(), strict=True):
        ax.imshow(sheet, vmin=0, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.spines[:].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def save_images(
    images: Float[Tensor, "image pixel"], path: str | Path, *, columns: int = 10
) -> Path:
    """Write images in rows of `columns` as one PNG, ink dark on white, and return its path.

    Ten columns and ten images make the strip that the blog post calls `sample.png`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = montage(images, columns).repeat(3, 0).repeat(3, 1)
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
    """Draw one value an epoch for each named curve, and the band that the last should end in."""
    axes = axes or plt.figure().add_subplot()
    for i, (name, values) in enumerate(curves.items()):
        mark = DIGIT_MARKERS[i % len(DIGIT_MARKERS)]
        axes.plot(range(1, len(values) + 1), values, marker=mark, markersize=5, label=name)
    if band:
        axes.axhspan(*band, color=GREY, alpha=0.25, lw=0, label="expected at the end")
    axes.set(title=title, xlabel="epoch", ylabel=label)
    axes.legend()
    return axes


def scatter_codes(
    codes: Float[Tensor, "image 2"],
    labels: Tensor,
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Draw two latent dimensions, a marker and a colour a digit."""
    axes = axes or plt.figure(figsize=(7, 5.6)).add_subplot()
    for digit in labels.unique().tolist():
        at = codes[labels == digit]
        drawn = dict(marker=DIGIT_MARKERS[digit % 10], color=DIGITS[digit % 10], alpha=OPACITY)
        axes.scatter(*at.T, s=12, lw=0, label=str(digit), **drawn)
    axes.set(title=title, aspect="equal")
    axes.legend(title="digit", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    return axes


def draw_architecture(pixels: int = 784, hidden: int = 500, latent: int = 5) -> Figure:
    """Draw a dense VAE from left to right, each layer's width to scale (by square root)."""
    figure, axes = plt.subplots(figsize=(9.2, 3.6))
    layers = [(0.0, pixels), (1.6, hidden), (3.2, latent), (4.4, latent), (6.0, hidden)]
    layers.append((7.6, pixels))
    height = {size: 0.1 + 0.95 * (size / pixels) ** 0.5 for _, size in layers}
    for (left, a), (right, b), colour, text in zip(
        layers, layers[1:], (BLUE, BLUE, GREY, ORANGE, ORANGE),
        ("tanh", "two heads", "+ σ·ε", "tanh", "logits"), strict=False,
    ):  # fmt: skip
        corners = [(left, height[a]), (right, height[b]), (right, -height[b]), (left, -height[a])]
        axes.add_patch(Polygon(corners, color=colour, alpha=0.22, lw=0))
        axes.text((left + right) / 2, 0, text, ha="center", va="center")
    names = ("image x", "hidden", "μ, log σ", "code z", "hidden", "image's coins")
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
