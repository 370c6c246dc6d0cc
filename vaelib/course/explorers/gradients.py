"""Explorer on objectives: single estimates of a bound's gradient, and how much they vary."""

import math
from functools import cache, lru_cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import Dropdown
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.course import plotting
from vaelib.course.explorers.density import SEEN, density_panel, normal, thinned, top_for
from vaelib.course.explorers.gap import best_gaussian
from vaelib.course.explorers.plane import Plane, clear, number, tidy
from vaelib.course.explorers.shell import (
    Explorer,
    Number,
    Picture,
    View,
    chooser,
    panel,
    signed,
    slider,
)

DOUBLINGS = 6  # up to 64 latents
ESTIMATES = 2**14  # at most, from
DRAWN = 2**16  # latents at most, so that 64 of them make 1,024 estimates
BINS = 81
PARAMETERS = ("μ", "log σ")
HEIGHT = 4.3  # inches
DENSITY = (0.5, 0.72, 2.35, 2.95)
LEFT, WIDE, HIGH = 3.2, 2.3, 0.5  # inches: where a histogram begins, and its size
BOTTOMS = (3.17, 2.37, 1.57, 0.77)
RATIO_AT, WRONG_AT = 6.25, 7.1  # inches: right edges of the two columns of numbers
REACHES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 60.0)  # the gradients shown, on few scales
MODEL, GUESS = plotting.GREEN, plotting.BLUE
COLOURS = (plotting.ORANGE, plotting.ORANGE, plotting.PURPLE, plotting.PURPLE)
ESTIMATORS = ("KL in closed form", "Path derivative", "Plain", "Doubly reparameterized")
LABELS = (
    "ELBO, KL in closed form",
    "ELBO, path derivative",
    "bound of k latents, plain",
    "bound of k, doubly reparameterized",
)


class Estimates(NamedTuple):
    """Estimates of a gradient with respect to μ and log σ of q, by four estimators.

    Each estimate uses k latents. The first two are of the ELBO's gradient, averaged over the
    latents; the last two are of the gradient of the bound of k latents.
    """

    closed_form: Float[Tensor, "2 estimate"]
    path: Float[Tensor, "2 estimate"]
    weighted: Float[Tensor, "2 estimate"]
    doubly: Float[Tensor, "2 estimate"]


def estimates(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    noise: Float[Tensor, "latent estimate"],
    *,
    mean: Number,
    log_std: Number,
) -> Estimates:
    """The gradients for q = N(mean, exp(log_std)²), one for each column of `noise` ~ N(0, 1).

    The prior is N(0, 1). log p(x, z) and its slope are interpolated linearly between the points
    of the grid. Sources: Kingma & Welling 2014; Roeder, Wu & Duvenaud 2017; Burda, Grosse &
    Salakhutdinov 2016; Tucker et al. 2019.
    """
    std = math.exp(log_std)
    z = mean + std * noise
    (slope,) = torch.gradient(log_joint, spacing=(grid,))
    joint, slope = (_interpolated(grid, values, z) for values in (log_joint, slope))
    share = (joint + noise.square() / 2).softmax(0)  # log w, up to a constant
    along = torch.stack([torch.ones_like(noise), std * noise])  # dz/dμ and dz/dlog σ
    path = (slope + noise / std) * along  # d log w, through z alone
    score = torch.stack([noise / std, noise.square() - 1])  # d log q at a fixed z
    kl_slope = torch.tensor([[mean], [std**2 - 1]], dtype=z.dtype)
    return Estimates(
        ((slope + z) * along).mean(1) - kl_slope,
        path.mean(1),
        (share * (path - score)).sum(1),
        (share.square() * path).sum(1),
    )


def _interpolated(
    grid: Float[Tensor, " point"], values: Float[Tensor, " point"], z: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """As numpy.interp, on a grid of evenly spaced points."""
    place = ((z - grid[0]) / (grid[1] - grid[0])).clamp(0, len(grid) - 1.001)
    below = place.long()
    return torch.lerp(values[below], values[below + 1], place - below)


@cache
def _noise(doublings: int) -> Float[Tensor, "latent estimate"]:
    generator = Generator().manual_seed(doublings)
    shape = 2**doublings, min(ESTIMATES, DRAWN // 2**doublings)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Signal(NamedTuple):
    """A gradient, the standard deviation of its estimates, the share of them of the wrong sign.

    The share is None where the gradient cannot be told from 0.
    """

    gradient: float
    std: float
    wrong: float | None

    @property
    def ratio(self) -> float:
        """The signal-to-noise ratio, |gradient| / standard deviation."""
        return abs(self.gradient) / self.std


def signals(first: Float[Tensor, " estimate"], second: Float[Tensor, " estimate"]) -> list[Signal]:
    """How clear a gradient is in two ways of estimating it.

    The gradient itself is taken to be the mean of the way with the smaller standard deviation.
    It cannot be told from 0 if it is smaller than two standard errors of this mean.
    """
    quieter = min(first, second, key=lambda some: some.std().item())
    gradient, error = quieter.mean().item(), quieter.std().item() / math.sqrt(len(quieter))
    found = []
    for some in (first, second):
        wrong = (some * gradient < 0).double().mean().item()
        found.append(
            Signal(gradient, some.std().item(), wrong if abs(gradient) > 2 * error else None)
        )
    return found


def view_gradients(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    *,
    mean: Number,
    log_std: Number,
    doublings: int,
    parameter: str = "μ",
) -> View:
    """Histograms of single gradient estimates, each from 2 ** `doublings` latents of q.

    `log_joint` is log p(x, z) of one image at each latent z of a one-dimensional `grid`, with the
    prior N(0, 1). The gradient is that of the `parameter` "μ" or "log σ" of q. Raises ValueError
    for another parameter, for fewer than 1 or more than 64 latents, and for a q whose mean ± 4 σ
    leaves the grid.
    """
    reach = 4 * math.exp(log_std)
    on_grid = grid[0] <= mean - reach and mean + reach <= grid[-1]
    if parameter not in PARAMETERS or not (0 <= doublings <= DOUBLINGS and on_grid):
        raise ValueError(
            f"expected a parameter of {PARAMETERS}, 0 to {DOUBLINGS} doublings and a q whose "
            f"mean ± 4 σ lies on the grid, from {grid[0]:g} to {grid[-1]:g}; got {parameter!r}, "
            f"{doublings}, mean {mean} and log σ {log_std}"
        )
    thin, thin_joint = thinned(grid, log_joint)
    found = estimates(thin, thin_joint, _noise(doublings), mean=mean, log_std=log_std)
    gradients = [each[PARAMETERS.index(parameter)] for each in found]
    seen = signals(*gradients[:2]) + signals(*gradients[2:])

    posterior = (thin_joint - torch.trapezoid(thin_joint.exp(), thin).log()).exp()
    q = normal(mean, log_std).log_prob(thin).exp()
    top = top_for(max(posterior.max().item(), q.max().item()))
    widest = max(abs(signal.gradient) + 2 * signal.std for signal in seen)
    limit = next((reach for reach in REACHES if widest <= reach), REACHES[-1])
    figure = Picture(HEIGHT, ground=_ground(top, limit, parameter))
    density = Plane(figure, DENSITY, xlim=(-SEEN, SEEN), ylim=(0, top))
    density.area(thin.numpy(), posterior.numpy(), fc=clear(MODEL), ec=MODEL, lw=1.5)
    density.line(thin.numpy(), q.numpy(), color=GUESS, lw=2.5, ls="--")
    rows = zip(gradients, seen, BOTTOMS, COLOURS, strict=True)
    for gradient, signal, bottom, colour in rows:
        _histogram(figure, gradient, signal, limit, bottom, colour)
    return View(figure, _told(2**doublings, parameter, seen))


def _histogram(
    figure: Picture, gradient: Tensor, signal: Signal, limit: float, bottom: float, colour: str
) -> None:
    counts = torch.histc(gradient, BINS, -limit, limit)
    height = (counts / counts.max().clamp(min=1)).repeat_interleave(2).numpy()
    edges = np.linspace(-limit, limit, BINS + 1).repeat(2)[1:-1]
    plane = Plane(figure, (LEFT, bottom, WIDE, HIGH), xlim=(-limit, limit), ylim=(0, 1.05))
    plane.area(edges, height, fc=clear(colour), ec=colour, lw=1)
    if abs(signal.gradient) <= limit:
        plane.mark(signal.gradient, 0, "^", color="black", mec="white", ms=9)
    number(figure, f"{signal.ratio:.2f}", RATIO_AT, bottom + 0.12)
    number(figure, _percent(signal), WRONG_AT, bottom + 0.12)


def _percent(signal: Signal) -> str:
    return "–" if signal.wrong is None else f"{100 * signal.wrong:.0f} %"


def _told(latents: int, parameter: str, seen: list[Signal]) -> str:
    each = [
        f"{name}: standard deviation {signal.std:.3f}, signal-to-noise ratio "
        f"<b>{signal.ratio:.2f}</b>, wrong sign {_percent(signal)}"
        for name, signal in zip(ESTIMATORS, seen, strict=True)
    ]
    many = "one latent" if latents == 1 else f"{latents} latents"
    return (
        f"Gradients with respect to {parameter}; each estimate uses {many}. "
        f"ELBO: gradient {signed(seen[0].gradient)}. {each[0]}. {each[1]}. "
        f"Bound of k = {latents}: gradient {signed(seen[2].gradient)}. {each[2]}. {each[3]}."
    )


@lru_cache(maxsize=16)  # two megabytes each
@plt.rc_context(plotting.STYLE)
def _ground(top: float, limit: float, parameter: str) -> np.ndarray:
    """Axes for densities up to `top` and gradients from −`limit` to `limit`, with their labels."""
    figure = Picture(HEIGHT)
    density = density_panel(figure, DENSITY, top)
    tidy(density, "latent z (prior σ)")
    figure.title("q (dashed), p(z|x) (filled)", DENSITY[0], 3.85)
    frame = panel(figure, (0, 0, 7.2, HEIGHT), xlim=(0, 7.2), ylim=(0, HEIGHT))
    for text, right in (("signal / noise", RATIO_AT), ("wrong sign", WRONG_AT)):
        frame.text(right, HEIGHT - 0.42, text, size=10, ha="right")
    for name, bottom in zip(LABELS, BOTTOMS, strict=True):
        row = panel(
            figure,
            (LEFT, bottom, WIDE, HIGH),
            xlim=(-limit, limit),
            ylim=(0, 1.05),
            bare=False,
            xticks=[-limit, 0, limit],
            yticks=[],
        )
        row.axvline(0, color=plotting.GREY, lw=1)
        row.spines["left"].set_visible(False)
        row.tick_params(labelsize=10, labelbottom=False)
        frame.text(LEFT, bottom + HIGH + 0.05, name, size=10)
    row.set_xticklabels([f"−{limit:g}", "0", f"{limit:g}"])
    row.tick_params(labelbottom=True)
    row.set_xlabel(f"gradient with respect to {parameter}", size=10, labelpad=2)
    return figure.pixels()


def differentiate(grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]) -> Explorer:
    """Move q, and compare how much four estimators of its gradient vary.

    `log_joint` is log p(x, z) of one image at each latent z of a one-dimensional `grid`, with the
    prior N(0, 1).
    """
    best = dict(zip(("mean", "log_std"), best_gaussian(grid, log_joint), strict=True))
    return Explorer(
        "four estimates of a gradient",
        lambda **settings: view_gradients(grid, log_joint, **settings),
        {
            "mean": slider("μ of q", 0.0, -3, 3, 0.05, "prior σ"),
            "log_std": slider("log σ of q", 0.0, -2, 0.7, 0.05, "base e"),
            "doublings": chooser("latents k (log₂)", DOUBLINGS + 1, 3),
            "parameter": Dropdown(
                options=PARAMETERS, description="gradient of", layout={"width": "16em"}
            ),
        },
        shows=(
            "Left: the densities of q and of the true posterior over z. Right: four histograms "
            "of gradient estimates, one for each estimator."
        ),
        actions={"Best Gaussian": lambda _: best},
    )
