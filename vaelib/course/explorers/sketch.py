"""Explorer on training: draw a digit; see its reconstruction, its latent and its −ELBO."""

from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int64, UInt8
from matplotlib.colors import to_rgb
from torch import Generator, Tensor

from vaelib.binarization import threshold
from vaelib.course import plotting
from vaelib.course.explorers.decoding import posterior_of
from vaelib.course.explorers.latent_map import scatter_digits
from vaelib.course.explorers.shell import (
    SHARPNESS,
    Digit,
    Explorer,
    Picture,
    View,
    digit_row,
    panel,
)
from vaelib.course.handwriting import as_mnist
from vaelib.elbo import elbo, kl
from vaelib.encoder import Gaussian
from vaelib.evaluation import evaluate
from vaelib.sampling import decode
from vaelib.vae import VAE, evaluating

HERE = Path(__file__).parent
SIDE = 140  # pixels of a drawing, five per MNIST pixel, so that its digits fit exactly
WIDTH, HEIGHT = 6.5, 4.4  # inches of the picture
MAP = (3.95, 1.85, 2.5, 2.27)  # places in it: left, bottom, width, height
BARS = (0.62, 0.46, 5.65, 0.63)
REACH = 4.4, 4.0  # of the map, from its centre to the right and to the top
NEIGHBOURS, SAMPLES = 5, 32


class Sketch(anywidget.AnyWidget):
    """A box to draw in. `value` is its ink, one byte per pixel, row by row; b"" if it is empty."""

    _esm = HERE / "sketch.js"
    _css = HERE / "sketch.css"
    # a browser sends a view of a message's memory, and it needs no echo
    value = traitlets.Bytes(b"").tag(
        sync=True, echo_update=False, from_json=lambda value, _: bytes(value)
    )
    side = traitlets.Int(SIDE, read_only=True).tag(sync=True)
    pen = traitlets.Int(22, read_only=True).tag(sync=True)  # pixels of the page

    @traitlets.validate("value")
    def _whole(self, proposal: dict) -> bytes:
        if len(proposal["value"]) not in (0, SIDE**2):
            raise traitlets.TraitError(
                f"expected no bytes or {SIDE} × {SIDE}, got {len(proposal['value'])}"
            )
        return proposal["value"]


def ink_of(value: bytes) -> Float[Tensor, "140 140"]:
    """The ink of a sketch's bytes: 0 is paper, 1 is ink; no bytes mean an empty box."""
    return torch.frombuffer(bytearray(value or SIDE**2), dtype=torch.uint8).view(SIDE, -1) / 255


def enlarged(pixels: UInt8[Tensor, " 784"]) -> bytes:
    """An MNIST image as a sketch's bytes; each pixel becomes a square of five by five."""
    times = SIDE // 28
    return bytes(pixels.view(28, 28).numpy().repeat(times, 0).repeat(times, 1))


class Gallery(NamedTuple):
    """The test digits that a drawing is compared with, and a model's results for each.

    `codes` are the means of q(z|x). `costs` are the −ELBO in nats, from one latent sample each.
    Both use the threshold protocol. `axes` are the two latent dimensions with the largest KL.
    `ground` is the part of every picture that never changes; `easier` is the same with blue bars.
    """

    images: UInt8[Tensor, "image 784"]
    labels: UInt8[Tensor, " image"]
    codes: Float[Tensor, "image latent"]
    costs: Float[Tensor, " image"]
    axes: tuple[int, int]
    ground: np.ndarray
    easier: np.ndarray

    def share_easier(self, cost: float) -> float:
        """The share of digits with a −ELBO below `cost` nats."""
        return (self.costs < cost).double().mean().item()

    def nearest(self, code: Float[Tensor, " latent"]) -> Int64[Tensor, " neighbour"]:
        """The numbers of the five digits with the nearest latents, nearest first."""
        distance = (self.codes - code).square().sum(1)
        return distance.topk(min(NEIGHBOURS, len(distance)), largest=False).indices


@torch.no_grad()
def gallery(
    vae: VAE, images: UInt8[Tensor, "image pixel"], labels: UInt8[Tensor, " image"]
) -> Gallery:
    """Encode and evaluate all `images`, and draw the map and bars on which a drawing is marked.

    Raises ValueError for images that are not 28 × 28, because a drawing is prepared as MNIST's
    digits were, and for a model with fewer than two latent dimensions, which has no map.
    """
    if not vae.pixels == images.shape[1] == 784:
        raise ValueError(
            "this explorer needs MNIST's 28 × 28 = 784 pixels, because it prepares a drawing as "
            f"MNIST's digits were prepared; the model has {vae.pixels:,} pixels and the images "
            f"have {images.shape[1]:,}. Give it a model that was trained on 28 × 28 images"
        )
    if vae.latent < 2:
        raise ValueError(f"a map needs two latent dimensions, and this model has {vae.latent}")
    costs = -evaluate(vae, images).bound.float().cpu()
    posterior = posterior_of(vae, threshold(images))
    one_by_one = Gaussian(*(part.reshape(-1, 1) for part in posterior))
    by_dimension = kl(one_by_one).view(-1, vae.latent).mean(0)
    axes = tuple(by_dimension.topk(2).indices.tolist())
    codes = posterior.mean.float().cpu()
    ground, easier = (
        _ground(codes, labels, costs, axes, colour) for colour in ("#c4c4c4", plotting.BLUE)
    )
    return Gallery(images, labels, codes, costs, axes, ground, easier)


def bins(costs: Float[Tensor, " image"]) -> Float[np.ndarray, " edge"]:
    """Edges of the bars, five nats each, with room on the right for unusually hard drawings."""
    low, high = costs.min().item(), costs.quantile(0.999).item()
    return np.arange(5 * np.floor(low / 5), low + 1.4 * (high - low) + 5, 5)


@plt.rc_context(plotting.STYLE)
def _ground(
    codes: Float[Tensor, "image latent"],
    labels: UInt8[Tensor, " image"],
    costs: Float[Tensor, " image"],
    axes: tuple[int, int],
    colour: str,
) -> np.ndarray:
    figure = Picture(HEIGHT, WIDTH)
    some, marks = codes[:1500, list(axes)], labels[:1500]
    plane = panel(
        figure,
        MAP,
        xlim=(-REACH[0], REACH[0]),
        ylim=(-REACH[1], REACH[1]),
        bare=False,
        xticks=[-4, -2, 0, 2, 4],
        yticks=[-4, -2, 0, 2, 4],
    )
    plane.set_xlabel(f"$z_{axes[0] + 1}$", labelpad=0)
    plane.set_ylabel(f"$z_{axes[1] + 1}$", labelpad=-2)
    scatter_digits(plane, some, marks)
    figure.title("its latent ✕, the nearest ○", MAP[0], MAP[1] + MAP[3] + 0.08)
    edges = bins(costs)
    height = np.histogram(costs, edges)[0]
    bars = panel(
        figure,
        BARS,
        xlim=(edges[0], edges[-1]),
        ylim=(0, 1.05 * height.max()),
        bare=False,
        xticks=np.arange(50 * np.ceil(edges[0] / 50), edges[-1], 50),
        xlabel="−ELBO (nats per image)",
        yticks=[0, 100 * (height.max() // 100)] if height.max() >= 100 else [0, height.max()],
    )
    bars.set_ylabel("digits", labelpad=2, size=10)
    bars.stairs(height, edges, fill=True, color=colour)
    return figure.pixels()


def view_drawing(vae: VAE, tests: Gallery, ink: Float[Tensor, "side side"]) -> View:
    """A drawing prepared as in MNIST, with its reconstruction, latent, −ELBO and neighbours.

    The −ELBO is the mean over 32 latent samples, always with the same noise. If the drawing is
    empty, the picture asks for one.
    """
    if not (255 * ink).round().any():
        return _invitation(tests)
    image = threshold(as_mnist(ink))
    code, rebuilt, cost = judge(vae, image)
    page = tests.ground.copy()
    figure = Picture(HEIGHT, WIDTH, ground=page)
    near = tests.nearest(code)
    _digits(figure, Digit(image, "your drawing"), Digit(rebuilt, "reconstruction"))
    shown = threshold(tests.images[near])
    labels = [str(label) for label in tests.labels[near].tolist()]
    _neighbours(figure, *map(Digit, shown, labels))
    _mark_map(page, code[list(tests.axes)], tests.codes[near][:, list(tests.axes)])
    _mark_bars(page, tests, cost)
    share = in_words(tests.share_easier(cost))
    _price(figure, f"its −ELBO: {cost:.1f} nats, harder than {share} of the test digits")
    a, b = tests.axes
    words = (
        f"−ELBO of the drawing: <b>{cost:.1f}</b> nats. It is harder than "
        f"<b>{share}</b> of the {len(tests.costs):,} test digits. "
        f"Its latent has z{a + 1} = {code[a]:.1f} and z{b + 1} = {code[b]:.1f}. The nearest test "
        f"digits, by all {len(code)} values, are labelled <b>{', '.join(labels)}</b>."
    )
    return View(figure, words)


def in_words(share: float) -> str:
    """A share in whole percent; "all" and "none" only if they are exactly true."""
    if share in (0, 1):
        return "all" if share else "none"
    return f"{min(max(share, 0.01), 0.99):.0%}".replace("%", " %")


class Judgement(NamedTuple):
    """The code of an image, the mean image that it decodes to, and the −ELBO in nats."""

    code: Float[Tensor, " latent"]
    rebuilt: Float[Tensor, " 784"]
    cost: float


@torch.no_grad()
def judge(vae: VAE, image: Float[Tensor, " 784"]) -> Judgement:
    """A model's results for one binary image; the −ELBO is the mean of 32 latent samples."""
    like = next(vae.parameters())
    noise = torch.randn(SAMPLES, vae.latent, generator=Generator().manual_seed(0))
    code = posterior_of(vae, image[None]).mean
    with evaluating(vae):
        terms = elbo(vae, image.to(like).expand(SAMPLES, -1), noise.to(like))
    cost = -terms.bound.mean().item()
    return Judgement(code[0].float().cpu(), decode(vae, code)[0].float().cpu(), cost)


def _digits(figure: Picture, *digits: Digit) -> None:
    digit_row(figure, 0.05, 2.63, 1.5, *digits)


def _neighbours(figure: Picture, *digits: Digit) -> None:
    figure.title("test digits with the nearest latents", 0.05, 2.36)
    digit_row(figure, 0.05, 1.45, 0.56, *digits)


def _price(figure: Picture, text: str) -> None:
    figure.title(text, 0.05, BARS[1] + BARS[3] + 0.1)


def _mark_map(
    page: np.ndarray, code: Float[Tensor, " 2"], near: Float[Tensor, "neighbour 2"]
) -> None:
    """Mark the latent with ✕ and its neighbours with ○; those outside the map go to its edge."""
    for point in near:
        _stamp(page, _ring(), "black", point)
    _stamp(page, _cross(7), "white", code)
    _stamp(page, _cross(4), plotting.ORANGE, code)


def _mark_bars(page: np.ndarray, tests: Gallery, cost: float) -> None:
    """Mark `cost` with a line, at most at the right edge; bars to its left turn blue."""
    edges = bins(tests.costs)
    along = min(max((cost - edges[0]) / (edges[-1] - edges[0]), 0), 1)
    left, bottom, wide, high = BARS
    (top, start), (end, at) = _pixel(left, bottom + high), _pixel(left + along * wide, bottom)
    page[top:end, start:at] = tests.easier[top:end, start:at]
    page[top - 8 : end, at - 2 : at + 3] = _bytes(plotting.ORANGE)


# Marks are painted on the ground's pixels, because matplotlib takes longer than all the rest.


def _pixel(left: float, bottom: float) -> tuple[int, int]:
    """Row and column of the pixel at a place in inches."""
    dpi = 100 * SHARPNESS
    return round((HEIGHT - bottom) * dpi), round(left * dpi)


def _bytes(colour: str) -> np.ndarray:
    return np.array([round(255 * part) for part in to_rgb(colour)])


def _stamp(page: np.ndarray, shape: np.ndarray, colour: str, point: Float[Tensor, " 2"]) -> None:
    """Paint a `shape` of opacities from 0 to 1 around a point of the map."""
    left, bottom, wide, high = MAP
    share = [
        (0.5 + value / (2 * reach)) for value, reach in zip(point.tolist(), REACH, strict=True)
    ]
    x, y = (min(max(part, 0.02), 0.98) for part in share)
    row, column = _pixel(left + x * wide, bottom + y * high)
    half = len(shape) // 2
    part = page[row - half : row + half + 1, column - half : column + half + 1]
    part[:] = part + shape[..., None] * (_bytes(colour) - part.astype(float))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.meshgrid(np.arange(-12.0, 13), np.arange(-12.0, 13)))  # NumPy 1 gives a list


@cache
def _ring() -> np.ndarray:
    x, y = _grid()
    return (1.5 - abs(np.hypot(x, y) - 6)).clip(0, 1)


@cache
def _cross(half: int) -> np.ndarray:
    """Two diagonal strokes, twice `half` pixels wide, nine pixels long from the middle."""
    x, y = _grid()
    along, across = abs(x + y) / 2**0.5, abs(x - y) / 2**0.5
    arms = np.maximum(
        np.minimum(half / 1.4 - across, 9 + half / 3 - along),
        np.minimum(half / 1.4 - along, 9 + half / 3 - across),
    )
    return (arms + 0.5).clip(0, 1)


def _invitation(tests: Gallery) -> View:
    figure = Picture(HEIGHT, WIDTH, ground=tests.ground)
    blank = torch.zeros(784)
    _digits(figure, Digit(blank, "your drawing"), Digit(blank, "reconstruction"))
    _neighbours(figure, *[Digit(blank)] * NEIGHBOURS)
    for line, bottom in (("Draw a digit", 3.42), ("in the box", 3.2)):
        figure.title(line, 0.28, bottom)
    _price(figure, "its −ELBO")
    words = (
        "<b>Draw a digit in the box</b>, with mouse, finger or stylus, or by keyboard: arrow keys "
        "move the pen, space puts it down and lifts it. The model then encodes and rebuilds it, "
        f"and its −ELBO is compared with those of {len(tests.costs):,} test digits."
    )
    return View(figure, words)


def draw(
    vae: VAE, images: UInt8[Tensor, "image pixel"], labels: UInt8[Tensor, " image"]
) -> Explorer:
    """Draw a digit, or take one of the first hundred `images`; `vae` encodes and rebuilds it.

    All `images` are encoded and evaluated once, for comparison. Raises as `gallery` does.
    """
    tests, turn = gallery(vae, images, labels), count()
    return Explorer(
        "a digit of your own",
        lambda ink: view_drawing(vae, tests, ink_of(ink)),
        {"ink": Sketch()},
        shows=(
            "Above, left: your drawing and its reconstruction, and below them the five test "
            "digits with the nearest latents. Above, right: a map of latents with the drawing's "
            "marked. Below: bars of the −ELBO of all test digits with the drawing's marked."
        ),
        actions={
            "Use a test digit": lambda _: {
                "ink": enlarged(images[next(turn) % min(100, len(images))])
            }
        },
        beside=["ink"],
    )
