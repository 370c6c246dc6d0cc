"""Explorers of notebook 4: a divergence and a formula that is none; a bound and its gap."""

import math
from functools import cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.course import plotting
from vaelib.course.explorers.plane import Plane, clear, number, pale, tidy
from vaelib.course.explorers.shell import Explorer, Number, Picture, View, panel, signed, slider
from vaelib.elbo import kl
from vaelib.encoder import Gaussian

NARROW, WIDE, FAR = -2.5, 0.5, 2.0  # log σ from and to, |μ| to
REACH = 7.0  # the codes shown, from −REACH to REACH
HEIGHT = 4.1  # inches
DENSITY = (0.5, 2.45, 3.0, 1.3)
INTEGRAND = (0.5, 0.46, 3.0, 1.5)
BARS = (4.95, 3.02, 1.45, 0.66)
PLANE = (4.35, 0.46, 2.75, 2.0)
RIGHT, WRONG, PRIOR = plotting.BLUE, plotting.ORANGE, plotting.GREY
GAIN, LOSS = plotting.GREEN, plotting.PURPLE
WORST = 5.0  # nats that the bars have room for
MODEL, GAP = plotting.GREEN, plotting.ORANGE
TOPS = (0.5, 1.0, 2.0, 5.0, 10.0, 25.0)  # a scale for each height, so that pictures compare
RATE = 0.2  # of the ascent to the best Gaussian
BOUND_HEIGHT = 3.3  # inches
GUESS = (0.5, 0.46, 3.85, 2.42)
COLUMN = (5.0, 0.2, 0.65, 2.68)
SUM_AT, ROWS = 5.9, (2.2, 1.6, 0.9)  # inches: the sum's left, and the foot of its numbers
DEPTH = 8  # nats that the column shows
ENOUGH = 1200  # points of a grid
SEEN = 4.0  # the codes shown, from −SEEN to SEEN
POINTS = np.linspace(-REACH, REACH, 601)


def post_kl(posterior: Gaussian) -> Float[Tensor, " batch"]:
    """What the blog post takes for `elbo.kl`: it has +(log σ)² where −2 log σ belongs."""
    mean, log_std = posterior
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 + log_std**2).sum(-1)


def log_normal(
    grid: Float[Tensor, " point"], mean: Float[Tensor, ""], log_std: Float[Tensor, ""]
) -> Float[Tensor, " point"]:
    """log N(z; mean, exp(log_std)²) at the points of a grid."""
    scaled = (grid - mean) * (-log_std).exp()
    return -0.5 * scaled**2 - log_std - 0.5 * math.log(2 * math.pi)


class Integrand(NamedTuple):
    """Densities q and p at points z, and what KL(q‖p) integrates, q·log(q/p), in nats."""

    z: Float[Tensor, " point"]
    q: Float[Tensor, " point"]
    p: Float[Tensor, " point"]
    values: Float[Tensor, " point"]


def integrand(mean: Number, log_std: Number) -> Integrand:
    """The integrand for q = N(mean, exp(log_std)²) and p = N(0, 1), over eight σ either way."""
    centre, spread = (torch.tensor(x, dtype=torch.float64) for x in (mean, log_std))
    z = centre + spread.exp() * torch.linspace(-8, 8, 801, dtype=torch.float64)
    log_q, log_p = log_normal(z, centre, spread), log_normal(z, 0 * centre, 0 * spread)
    return Integrand(z, log_q.exp(), log_p.exp(), log_q.exp() * (log_q - log_p))


def view_divergence(*, mean: Number, log_std: Number) -> View:
    """KL(q‖p) as an area and a number, beside what the blog post's formula says.

    q is N(mean, exp(log_std)²), p is N(0, 1).
    """
    at = Gaussian(*(torch.tensor([[x]], dtype=torch.float64) for x in (mean, log_std)))
    right, wrong, std = kl(at).item(), post_kl(at).item(), math.exp(log_std)
    found = integrand(mean, log_std)
    gain, loss = found.values.clamp(min=0), found.values.clamp(max=0)
    area, lost = (torch.trapezoid(part, found.z).item() for part in (gain + loss, loss))
    tops = top_for(found.q.max().item()), top_for(gain.max().item())
    figure = Picture(HEIGHT, ground=_ground_of_divergence(*tops))

    density = Plane(figure, DENSITY, **_limits(tops[0], 0))
    density.line(found.z.numpy(), found.q.numpy(), color=RIGHT, lw=2)
    mass = Plane(figure, INTEGRAND, **_limits(tops[1], -0.3))
    mass.area(found.z.numpy(), gain.numpy(), fc=pale(GAIN), ec=GAIN, hatch="///", lw=0)
    mass.area(found.z.numpy(), loss.numpy(), fc=pale(LOSS), ec=LOSS, hatch="...", lw=0)
    mass.line(found.z.numpy(), found.values.numpy(), color="0.25", lw=1)
    bars = Plane(figure, BARS, xlim=(-1, WORST), ylim=(0, 2))
    bars.box(0, right, 1.18, 1.82, fc=RIGHT, ec="none")
    bars.box(0, wrong, 0.18, 0.82, fc=pale(WRONG), ec=WRONG, hatch="///", lw=1)
    plane = Plane(figure, PLANE, xlim=(NARROW, WIDE), ylim=(-FAR, FAR))
    plane.mark(log_std, mean, "o", color=RIGHT, mec="white", ms=10, mew=1.2)

    for value, row in ((right, 1.5), (wrong, 0.5)):
        number(figure, signed(value), 7.1, BARS[1] + BARS[3] * row / 2 - 0.06)
    gained = round(area, 3) - round(lost, 3)  # so that what is shown adds up
    figure.title(f"{gained:.3f} − {signed(-lost)} = {signed(area)}", 1.5, 2.12)
    verdict = "which no divergence can be" if wrong < 0 else _compared(wrong, right)
    words = (
        f"q = N({signed(mean, 2)}, {std:.2f}²). Where q is denser than p the area counts "
        f"{signed(gained)}, elsewhere {signed(lost)}: together KL(q‖p) = <b>{signed(area)}</b> "
        f"nats. The right formula says <b>{signed(right)}</b>, the post's "
        f"<b>{signed(wrong)}</b>, {verdict}."
    )
    return View(figure, words)


def _compared(wrong: float, right: float) -> str:
    difference = round(wrong, 3) - round(right, 3)
    if abs(difference) < 0.0005:
        return "the same"
    return f"{abs(difference):.3f} too {'much' if difference > 0 else 'little'}"


def top_for(highest: float) -> float:
    """The top of the scale that densities up to `highest` are drawn on."""
    return next((top for top in TOPS if highest <= 0.95 * top), TOPS[-1])


def _limits(top: float, low: Number) -> dict[str, tuple[float, float]]:
    return {"xlim": (-REACH, REACH), "ylim": (low * top, top)}


@cache
@plt.rc_context(plotting.STYLE)
def _ground_of_divergence(top: float, highest: float) -> np.ndarray:
    """Axes for densities up to `top` and integrands up to `highest`; the plane, and its region."""
    figure = Picture(HEIGHT)
    density = panel(
        figure, DENSITY, **_limits(top, 0), bare=False, xticks=[-6, -3, 0, 3, 6], yticks=[0, top]
    )
    density.plot(POINTS, np.exp(-0.5 * POINTS**2) / math.sqrt(2 * math.pi), "--", color=PRIOR)
    density.set_yticklabels(["0", f"{top:g}"])
    density.tick_params(labelsize=10, labelbottom=False)
    figure.title("densities of q and p", 0.5, 3.86)
    density.plot([0.03, 0.1], [0.87, 0.87], color=RIGHT, transform=density.transAxes)
    density.text(0.12, 0.87, "q", size=11, va="center", transform=density.transAxes)
    density.plot([0.03, 0.1], [0.7, 0.7], "--", color=PRIOR, transform=density.transAxes)
    density.text(0.12, 0.7, "p, the prior", size=11, va="center", transform=density.transAxes)

    area = panel(
        figure,
        INTEGRAND,
        **_limits(highest, -0.3),
        bare=False,
        xticks=[-6, -3, 0, 3, 6],
        yticks=[0, highest],
    )
    area.set_yticklabels(["0", f"{highest:g}"])
    area.axhline(0, color="black", lw=0.8)
    tidy(area, "code z (prior σ)")
    figure.title("q log(q/p):", 0.5, 2.12)

    _bars_ground(figure)
    _plane_ground(figure)
    return figure.pixels()


def _bars_ground(figure: Picture) -> None:
    bars = panel(figure, BARS, xlim=(-1, WORST), ylim=(0, 2), bare=False, xticks=[0, 2, 4])
    bars.set_yticks([1.5, 0.5], ["right", "the post's"], size=11)
    bars.tick_params(axis="y", length=0)
    bars.tick_params(axis="x", labelsize=9, pad=2)
    bars.axvspan(-1, 0, color="0.9", lw=0)
    bars.axvline(0, color="black", lw=0.8)
    bars.spines["left"].set_visible(False)
    figure.title("“KL” in nats, two formulas", 4.1, 3.86)


def _plane_ground(figure: Picture) -> None:
    plane = panel(figure, PLANE, xlim=(NARROW, WIDE), ylim=(-FAR, FAR), bare=False)
    s = np.linspace(-1, 0, 400)
    edge = np.sqrt((1 - np.exp(2 * s) - s**2).clip(0))
    kept = 1 - np.exp(2 * s) - s**2 >= 0
    plane.fill_between(
        s[kept], -edge[kept], edge[kept], fc=pale(WRONG), ec=WRONG, hatch="///", lw=1
    )
    middle = s[kept].mean()
    plane.annotate(
        "here the post's is\nbelow zero",
        (middle, -0.5),
        (-2.35, -1.35),
        size=10,
        va="center",
        arrowprops={"arrowstyle": "-", "color": WRONG},
    )
    plane.plot(0, 0, "+", color="black", ms=9, mew=1.5)
    plane.text(0.21, 0.22, "q = p", size=10, ha="center", va="bottom")
    stds = [0.1, 0.2, 0.5, 1]
    plane.set_xticks(np.log(stds), [f"{std:g}" for std in stds])
    plane.set_yticks([-2, -1, 0, 1, 2], ["−2", "−1", "0", "1", "2"])
    tidy(plane, "σ of q (prior σ, log axis)", "μ of q")
    plane.spines[:].set(visible=True, color="#bbbbbb")


def diverge() -> Explorer:
    """Move μ and σ of q; see its KL from the prior as an area, and a wrong formula beside it."""
    return Explorer(
        "a divergence as an area",
        view_divergence,
        {
            "mean": slider("μ of q", 1.0, -FAR, FAR, 0.05, "prior σ"),
            "log_std": slider("log σ of q", -0.7, NARROW, WIDE, 0.05, "base e"),
        },
        actions={
            "q = p": lambda _: {"mean": 0.0, "log_std": 0.0},
            "Lowest for the post's": lambda _: {"mean": 0.0, "log_std": _lowest()},
        },
    )


@cache
def _lowest() -> float:
    """The log σ that the post's formula likes best at μ = 0, by Newton's method."""
    s = 0.0
    for _ in range(20):
        s -= (math.exp(2 * s) + s) / (2 * math.exp(2 * s) + 1)
    return s


class Bound(NamedTuple):
    """log p(x) = elbo + gap, in nats; the gap is KL(q‖p(z|x))."""

    log_evidence: float
    elbo: float
    gap: float


def bound_of(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    mean: Float[Tensor, ""],
    log_std: Float[Tensor, ""],
) -> Bound:
    """The bound and its gap for q = N(mean, exp(log_std)²), each by an integral over the grid."""
    log_q = log_normal(grid, mean, log_std)
    log_evidence = torch.trapezoid(log_joint.exp(), grid).log()
    elbo = torch.trapezoid(log_q.exp() * (log_joint - log_q), grid)
    gap = torch.trapezoid(log_q.exp() * (log_q - (log_joint - log_evidence)), grid)
    return Bound(log_evidence.item(), elbo.item(), gap.item())


def thinned(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]
) -> tuple[Float[Tensor, " kept"], Float[Tensor, " kept"]]:
    """Every so many points, some `ENOUGH` in all: bells are smooth, their integrals stay exact."""
    every = max(1, len(grid) // ENOUGH)
    return grid[::every].double(), log_joint[::every].double()


def best_gaussian(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]
) -> tuple[float, float]:
    """Mean and log σ of the Gaussian with the highest bound, by gradient ascent over the grid.

    It starts from the posterior's own mean and width.
    """
    grid, log_joint = thinned(grid, log_joint)
    posterior = (log_joint - torch.trapezoid(log_joint.exp(), grid).log()).exp()
    mean = torch.trapezoid(posterior * grid, grid)
    log_std = torch.trapezoid(posterior * (grid - mean) ** 2, grid).log() / 2
    for _ in range(200):
        at = [x.detach().requires_grad_() for x in (mean, log_std)]
        log_q = log_normal(grid, *at)
        height = torch.trapezoid(log_q.exp() * (log_joint - log_q), grid)
        mean, log_std = (
            x + RATE * slope for x, slope in zip(at, torch.autograd.grad(height, at), strict=True)
        )
    return mean.item(), log_std.item()


def view_bound(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    *,
    mean: Number,
    log_std: Number,
) -> View:
    """A Gaussian guess of the posterior, and how far its bound stays below log p(x).

    `log_joint` is log p(x, z) of one image at each code z of a one-dimensional `grid`.
    """
    grid, log_joint = thinned(grid, log_joint)
    at = [torch.tensor(x, dtype=torch.float64) for x in (mean, log_std)]
    log_evidence, elbo, gap = bound_of(grid, log_joint, *at)
    posterior, q = (log_joint - log_evidence).exp(), log_normal(grid, *at).exp()
    top = top_for(max(posterior.max().item(), q.max().item()))
    ceiling = math.ceil(log_evidence + 0.2)
    figure = Picture(BOUND_HEIGHT, ground=_ground_of_bound(top, ceiling))

    density = Plane(figure, GUESS, xlim=(-SEEN, SEEN), ylim=(0, top))
    density.area(grid.numpy(), posterior.numpy(), fc=clear(MODEL), ec=MODEL, lw=1.5)
    density.line(grid.numpy(), q.numpy(), color=RIGHT, lw=2.5, ls="--")
    column = Plane(figure, COLUMN, xlim=(0, 1), ylim=(ceiling - DEPTH, ceiling))
    column.box(0.1, 0.9, ceiling - DEPTH, elbo, fc=RIGHT, ec="none")
    column.box(0.1, 0.9, elbo, log_evidence, fc=pale(GAP), ec=GAP, hatch="///", lw=1)
    column.line([0, 1], [log_evidence] * 2, color=MODEL, lw=3)
    shown = round(log_evidence, 3) - round(gap, 3), gap, log_evidence  # adds up as shown
    for value, bottom in zip(shown, ROWS, strict=True):
        number(figure, signed(value), SUM_AT + 1.18, bottom)
    words = (
        f"q = N({signed(mean, 2)}, {math.exp(log_std):.2f}²). log p(x) = ELBO + gap: "
        f"{signed(log_evidence)} = <b>{signed(shown[0])}</b> + <b>{signed(gap)}</b> nats. "
        "The gap is KL(q‖p(z|x)): it shrinks as the dashed q comes to cover the posterior, and "
        "log p(x) does not move."
    )
    return View(figure, words)


@cache
@plt.rc_context(plotting.STYLE)
def _ground_of_bound(top: float, ceiling: int) -> np.ndarray:
    """Axes for densities up to `top` and nats up to `ceiling`, and the sum's labels."""
    figure = Picture(BOUND_HEIGHT)
    density = panel(
        figure,
        GUESS,
        xlim=(-SEEN, SEEN),
        ylim=(0, top),
        bare=False,
        xticks=range(-4, 5, 2),
        yticks=[0, top],
    )
    density.set_yticklabels(["0", f"{top:g}"])
    tidy(density, "code z (prior σ)", "density")
    density.yaxis.labelpad = -8
    prior = np.exp(-0.5 * POINTS**2) / math.sqrt(2 * math.pi)
    density.plot(POINTS, prior, ":", color=PRIOR, lw=1.5)
    lines = (("--", RIGHT, "q, the guess"), ("-", MODEL, "true posterior"), (":", PRIOR, "prior"))
    for row, (line, colour, label) in enumerate(lines):
        y = 0.93 - 0.11 * row
        density.plot([0.02, 0.1], [y, y], line, color=colour, transform=density.transAxes)
        density.text(0.12, y, label, size=10, va="center", transform=density.transAxes)
    figure.title("a guess of the posterior", GUESS[0], 3.02)

    column = panel(figure, COLUMN, xlim=(0, 1), ylim=(ceiling - DEPTH, ceiling), bare=False)
    column.set(xticks=[], ylabel="nats")
    column.yaxis.label.set(size=10)
    ticks = range(ceiling - DEPTH, ceiling + 1, 2)
    column.set_yticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks], size=10)
    figure.title("the bound", COLUMN[0], 3.02)
    blank = panel(figure, (SUM_AT, 0, 1.3, BOUND_HEIGHT), xlim=(0, 1.3), ylim=(0, BOUND_HEIGHT))
    labels = (("ELBO", RIGHT, None), ("+ gap", GAP, "///"), ("= log p(x)", MODEL, None))
    for (label, colour, hatch), bottom in zip(labels, ROWS, strict=True):
        y = bottom + 0.28
        face = pale(colour) if hatch else colour
        blank.bar(0.08, 0.14, 0.16, y - 0.02, fc=face, ec=colour, hatch=hatch, lw=1)
        blank.text(0.24, y, label, size=12)
    blank.plot([0.1, 1.2], [ROWS[1] - 0.12] * 2, color="black", lw=1)
    return figure.pixels()


def bound(grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]) -> Explorer:
    """Move a Gaussian guess of one image's posterior by hand, and watch the bound rise.

    `log_joint` is log p(x, z) of the image at each code z of a one-dimensional `grid`.
    """
    best = dict(zip(("mean", "log_std"), best_gaussian(grid, log_joint), strict=True))
    return Explorer(
        "a bound and its gap",
        lambda **settings: view_bound(grid, log_joint, **settings),
        {
            "mean": slider("μ of q", -1.0, -3, 3, 0.05, "prior σ"),
            "log_std": slider("log σ of q", 0.0, -2, 0.7, 0.05, "base e"),
        },
        actions={"Best Gaussian": lambda _: best},
    )
