"""Explorer on the ELBO: a bound, and the gap between it and log p(x)."""

import math
from functools import cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal

from vaelib.course import plotting
from vaelib.course.explorers.density import (
    SEEN,
    density_panel,
    draw_prior,
    normal,
    thinned,
    top_for,
)
from vaelib.course.explorers.plane import Plane, clear, number, pale, tidy
from vaelib.course.explorers.shell import Explorer, Number, Picture, View, panel, signed, slider

RATE = 0.2  # step size of the ascent to the best Gaussian
HEIGHT = 3.3  # inches
DENSITY = (0.5, 0.46, 3.85, 2.42)
COLUMN = (5.0, 0.2, 0.65, 2.68)
SUM_AT, ROWS = 5.9, (2.2, 1.6, 0.9)  # inches: left edge of the sum, and bottoms of its numbers
DEPTH = 8  # nats that the column shows
GUESS, MODEL, GAP, PRIOR = plotting.BLUE, plotting.GREEN, plotting.ORANGE, plotting.GREY


class Bound(NamedTuple):
    """log p(x) = elbo + gap, in nats; the gap is KL(q‖p(z|x))."""

    log_evidence: float
    elbo: float
    gap: float


def bound_and_gap(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"], q: Normal
) -> Bound:
    """The bound for q and its gap, each computed as an integral over the grid."""
    log_q = q.log_prob(grid)
    log_evidence = torch.trapezoid(log_joint.exp(), grid).log()
    gap = torch.trapezoid(log_q.exp() * (log_q - (log_joint - log_evidence)), grid)
    return Bound(log_evidence.item(), _elbo(grid, log_joint, q).item(), gap.item())


def _elbo(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"], q: Normal
) -> Float[Tensor, ""]:
    log_q = q.log_prob(grid)
    return torch.trapezoid(log_q.exp() * (log_joint - log_q), grid)


def best_gaussian(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]
) -> tuple[float, float]:
    """Mean and log σ of the Gaussian with the highest bound, by gradient ascent over the grid.

    It starts from the mean and standard deviation of the true posterior.
    """
    grid, log_joint = thinned(grid, log_joint)
    posterior = (log_joint - torch.trapezoid(log_joint.exp(), grid).log()).exp()
    mean = torch.trapezoid(posterior * grid, grid)
    log_std = torch.trapezoid(posterior * (grid - mean) ** 2, grid).log() / 2
    for _ in range(200):
        at = [x.detach().requires_grad_() for x in (mean, log_std)]
        height = _elbo(grid, log_joint, Normal(at[0], at[1].exp()))
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
    """A Gaussian guess q of the true posterior, and how far its bound is below log p(x).

    `log_joint` is log p(x, z) of one image at each latent z of a one-dimensional `grid`.
    """
    grid, log_joint = thinned(grid, log_joint)
    guess = normal(mean, log_std)
    log_evidence, elbo, gap = bound_and_gap(grid, log_joint, guess)
    posterior, q = (log_joint - log_evidence).exp(), guess.log_prob(grid).exp()
    top = top_for(max(posterior.max().item(), q.max().item()))
    ceiling = math.ceil(log_evidence + 0.2)
    figure = Picture(HEIGHT, ground=_ground(top, ceiling))

    density = Plane(figure, DENSITY, xlim=(-SEEN, SEEN), ylim=(0, top))
    density.area(grid.numpy(), posterior.numpy(), fc=clear(MODEL), ec=MODEL, lw=1.5)
    density.line(grid.numpy(), q.numpy(), color=GUESS, lw=2.5, ls="--")
    column = Plane(figure, COLUMN, xlim=(0, 1), ylim=(ceiling - DEPTH, ceiling))
    column.box(0.1, 0.9, ceiling - DEPTH, elbo, fc=GUESS, ec="none")
    column.box(0.1, 0.9, elbo, log_evidence, fc=pale(GAP), ec=GAP, hatch="///", lw=1)
    column.line([0, 1], [log_evidence] * 2, color=MODEL, lw=3)
    shown = round(log_evidence, 3) - round(gap, 3), gap, log_evidence  # the numbers shown add up
    for value, bottom in zip(shown, ROWS, strict=True):
        number(figure, signed(value), SUM_AT + 1.18, bottom)
    words = (
        f"q = N({signed(mean, 2)}, {math.exp(log_std):.2f}²). log p(x) = ELBO + gap: "
        f"{signed(log_evidence)} = <b>{signed(shown[0])}</b> + <b>{signed(gap)}</b> nats. "
        "The gap is KL(q‖p(z|x)). It shrinks as the dashed q gets closer to the true posterior. "
        "log p(x) does not depend on q."
    )
    return View(figure, words)


@cache
@plt.rc_context(plotting.STYLE)
def _ground(top: float, ceiling: int) -> np.ndarray:
    """Axes for densities up to `top` and nats up to `ceiling`, and the sum's labels."""
    figure = Picture(HEIGHT)
    density = density_panel(figure, DENSITY, top)
    tidy(density, "latent z (prior σ)", "density")
    density.yaxis.labelpad = -8
    draw_prior(density, ":", 1.5)
    lines = (("--", GUESS, "q, the guess"), ("-", MODEL, "true posterior"), (":", PRIOR, "prior"))
    for row, (line, colour, label) in enumerate(lines):
        y = 0.93 - 0.11 * row
        density.plot([0.02, 0.1], [y, y], line, color=colour, transform=density.transAxes)
        density.text(0.12, y, label, size=10, va="center", transform=density.transAxes)
    figure.title("a guess q of the true posterior", DENSITY[0], 3.02)

    column = panel(figure, COLUMN, xlim=(0, 1), ylim=(ceiling - DEPTH, ceiling), bare=False)
    column.set(xticks=[], ylabel="nats")
    column.yaxis.label.set(size=10)
    ticks = range(ceiling - DEPTH, ceiling + 1, 2)
    column.set_yticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks], size=10)
    figure.title("the bound", COLUMN[0], 3.02)
    blank = panel(figure, (SUM_AT, 0, 1.3, HEIGHT), xlim=(0, 1.3), ylim=(0, HEIGHT))
    labels = (("ELBO", GUESS, None), ("+ gap", GAP, "///"), ("= log p(x)", MODEL, None))
    for (label, colour, hatch), bottom in zip(labels, ROWS, strict=True):
        y = bottom + 0.28
        face = pale(colour) if hatch else colour
        blank.bar(0.08, 0.14, 0.16, y - 0.02, fc=face, ec=colour, hatch=hatch, lw=1)
        blank.text(0.24, y, label, size=12)
    blank.plot([0.1, 1.2], [ROWS[1] - 0.12] * 2, color="black", lw=1)
    return figure.pixels()


def bound(grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]) -> Explorer:
    """Move a Gaussian guess q of one image's true posterior by hand, and watch the bound.

    `log_joint` is log p(x, z) of the image at each latent z of a one-dimensional `grid`.
    """
    best = dict(zip(("mean", "log_std"), best_gaussian(grid, log_joint), strict=True))
    return Explorer(
        "a bound and its gap",
        lambda **settings: view_bound(grid, log_joint, **settings),
        {
            "mean": slider("μ of q", -1.0, -3, 3, 0.05, "prior σ"),
            "log_std": slider("log σ of q", 0.0, -2, 0.7, 0.05, "base e"),
        },
        shows=(
            "Left: the densities of the guess q, the true posterior and the prior over z. "
            "Right: a column of the ELBO and, on top of it, the gap up to log p(x)."
        ),
        actions={"Best Gaussian": lambda _: best},
    )
