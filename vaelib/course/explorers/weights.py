"""Explorer on evaluation: log p(x) from k draws of the latent, and their weights."""

import math
from functools import cache, lru_cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib.course import plotting
from vaelib.course.explorers.density import SEEN, density_panel, normal, thinned, top_for
from vaelib.course.explorers.plane import Plane, clear, tidy
from vaelib.course.explorers.shell import (
    Again,
    Explorer,
    Number,
    Picture,
    View,
    chooser,
    panel,
    signed,
    slider,
)
from vaelib.elbo import log_mean_exp

DOUBLINGS = 12  # up to 4,096 draws
GROUPS = 16  # groups of 4,096 draws, to find the mean and spread of an estimate
HEIGHT = 4.2  # inches
DENSITY = (0.62, 2.4, 2.9, 1.4)
SHARES = (0.62, 0.46, 2.9, 1.5)
CURVE = (4.35, 0.96, 2.7, 2.84)
LEGEND = ((0.0, 0.34), (1.0, 0.34), (0.0, 0.12))  # inches: where its three lines begin
DEPTHS = (4.0, 12.0, 40.0)  # nats shown, an eighth of them above log p(x)
HIGHEST = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)  # the share at the top of the axis
MODEL, GUESS, SPREAD = plotting.GREEN, plotting.BLUE, plotting.ORANGE


class WeightedSamples(NamedTuple):
    """Latents drawn from q, with their log importance weights, log p(x, z) − log q(z)."""

    latent: Float[Tensor, " sample"]
    log_weight: Float[Tensor, " sample"]


class Curve(NamedTuple):
    """Mean and standard deviation of the estimate of log p(x) from 1, 2, 4, … draws, in nats."""

    mean: Float[Tensor, " doubling"]
    std: Float[Tensor, " doubling"]


def weighted_samples(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    noise: Float[Tensor, " sample"],
    *,
    mean: Number,
    log_std: Number,
) -> WeightedSamples:
    """Latents of N(mean, exp(log_std)²) for `noise` ~ N(0, 1), and their weights.

    log p(x, z) is interpolated linearly between the points of the grid.
    """
    q = normal(mean, log_std)
    latent = q.mean + q.stddev * noise
    joint = torch.from_numpy(np.interp(latent.numpy(), grid.numpy(), log_joint.numpy()))
    return WeightedSamples(latent, joint - q.log_prob(latent))


def curve(log_weight: Float[Tensor, " sample"]) -> Curve:
    """Mean and standard deviation of the estimate from groups of 1, 2, 4, … of these weights.

    The estimate of a group is the log-mean-exp of its two halves' estimates.
    """
    estimates, mean, std = log_weight, [], []
    for _ in range(DOUBLINGS + 1):
        mean.append(estimates.mean())
        std.append(estimates.std())
        estimates = torch.logaddexp(estimates[::2], estimates[1::2]) - math.log(2)
    return Curve(torch.stack(mean), torch.stack(std))


def shares(log_weight: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Each weight's share of their sum."""
    return log_weight.softmax(0)


def effective(share: Float[Tensor, " sample"]) -> float:
    """The effective sample size, 1 / Σ share²: how many equal weights do as well (Kong 1992)."""
    return 1 / share.square().sum().item()


@lru_cache(maxsize=4)  # a new draw does not need old ones
def _noise(seed: int, count: int) -> Float[Tensor, " sample"]:
    return torch.randn(count, generator=Generator().manual_seed(seed), dtype=torch.float64)


def view_estimate(
    grid: Float[Tensor, " point"],
    log_joint: Float[Tensor, " point"],
    *,
    doublings: int,
    mean: Number,
    log_std: Number,
    drawn: int = 1,
) -> View:
    """The estimate of log p(x) from 2 ** `doublings` draws of a Gaussian q, beside the true value.

    `log_joint` is log p(x, z) of one image at each latent z of a one-dimensional `grid`; `drawn`
    is the seed of the draws. Raises ValueError for fewer than 1 or more than 4,096 draws, and for
    a q whose mean ± 4 σ leaves the grid, because log p(x, z) is unknown there.
    """
    reach = 4 * math.exp(log_std)
    if not (0 <= doublings <= DOUBLINGS and grid[0] <= mean - reach and mean + reach <= grid[-1]):
        raise ValueError(
            f"expected 0 to {DOUBLINGS} doublings and a q whose mean ± 4 σ lies on the grid, from "
            f"{grid[0]:g} to {grid[-1]:g}; got {doublings}, mean {mean} and log σ {log_std}"
        )
    thin, thin_joint = thinned(grid, log_joint)
    truth = torch.trapezoid(thin_joint.exp(), thin).log().item()
    at = {"mean": mean, "log_std": log_std}
    found = weighted_samples(thin, thin_joint, _noise(drawn, 2**DOUBLINGS), **at)
    expected = curve(
        weighted_samples(thin, thin_joint, _noise(0, GROUPS * 2**DOUBLINGS), **at).log_weight
    )
    steps = np.arange(DOUBLINGS + 1)
    path = np.array([log_mean_exp(found.log_weight[: 2**step]).item() for step in steps])
    share = shares(found.log_weight[: 2**doublings])
    latent = found.latent[: 2**doublings].numpy()

    posterior = (thin_joint - truth).exp()
    q = normal(mean, log_std).log_prob(thin).exp()
    top = top_for(max(posterior.max().item(), q.max().item()))
    highest = min(level for level in HIGHEST if level >= share.max() or level == HIGHEST[0])
    visible = [depth for depth in DEPTHS if expected.mean[4] > truth - 0.8 * depth]
    depth = visible[0] if visible else DEPTHS[-1]
    figure = Picture(HEIGHT, ground=_ground(top, highest, truth, depth))
    density = Plane(figure, DENSITY, xlim=(-SEEN, SEEN), ylim=(0, top))
    density.area(thin.numpy(), posterior.numpy(), fc=clear(MODEL), ec=MODEL, lw=1.5)
    density.line(thin.numpy(), q.numpy(), color=GUESS, lw=2.5, ls="--")
    stems = Plane(figure, SHARES, xlim=(-SEEN, SEEN), ylim=(0, highest))
    ends = np.stack([np.zeros(len(latent)), share.numpy(), np.full(len(latent), np.nan)], 1)
    stems.line(np.repeat(latent, 3), ends.ravel(), color=GUESS, lw=1.5)
    plane = Plane(figure, CURVE, xlim=(-0.4, DOUBLINGS + 0.4), ylim=_nats(truth, depth))
    low, high = ((expected.mean + sign * expected.std).numpy() for sign in (-1, 1))
    plane.band(steps, low, high, fc=clear(SPREAD), ec="none")
    plane.line(steps, expected.mean.numpy(), color=SPREAD, lw=2)
    plane.line(steps, path, color=GUESS, lw=1.5, ls=":")
    estimate, lowest = path[doublings], _nats(truth, depth)[0]
    marker = "o" if estimate >= lowest else "v"
    plane.mark(doublings, max(estimate, lowest), marker, color=GUESS, mec="white", ms=10)
    typical = expected.mean[doublings].item(), expected.std[doublings].item()
    error = typical[1] / math.sqrt(GROUPS * 2 ** (DOUBLINGS - doublings))
    return View(figure, _told(truth, estimate, *typical, error, share))


def _told(
    truth: float, estimate: float, mean: float, std: float, error: float, share: Tensor
) -> str:
    percent = 100 * share.max().item()
    largest = f"{percent:.0f}" if percent > 10 else f"{percent:.2g}"
    draws = "one draw" if len(share) == 1 else f"{len(share):,} draws"
    return (
        f"From {draws} of q: log p(x) ≈ <b>{signed(estimate)}</b> nats; the true value is "
        f"<b>{signed(truth)}</b>. Over many repetitions, the estimate has mean "
        f"<b>{signed(mean)}</b> and standard deviation <b>{std:.3f}</b>, so its bias is "
        f"{signed(mean - truth)} (standard error {error:.3f}). "
        f"The largest weight is {largest} % of their sum. The effective sample size is "
        f"<b>{effective(share):,.1f}</b>."
    )


def _nats(truth: float, depth: float) -> tuple[float, float]:
    return truth - depth * 7 / 8, truth + depth / 8


@cache
@plt.rc_context(plotting.STYLE)
def _ground(top: float, highest: float, truth: float, depth: float) -> np.ndarray:
    """Axes for densities up to `top`, shares up to `highest`, estimates of a known log p(x)."""
    figure = Picture(HEIGHT)
    latents = {"xlim": (-SEEN, SEEN), "bare": False, "xticks": range(-4, 5, 2)}
    density = density_panel(figure, DENSITY, top)
    density.tick_params(labelsize=10, labelbottom=False)
    figure.title("q (dashed), p(z|x) (filled)", DENSITY[0], 3.9)

    stems = panel(figure, SHARES, ylim=(0, highest), yticks=[0, highest], **latents)
    stems.set_yticklabels(["0", f"{100 * highest:g} %"])
    tidy(stems, "latent z (prior σ)")
    figure.title("each draw's share of the weights", SHARES[0], 2.06)

    ticks = range(0, DOUBLINGS + 1, 2)
    estimates = panel(
        figure,
        CURVE,
        xlim=(-0.4, DOUBLINGS + 0.4),
        ylim=_nats(truth, depth),
        bare=False,
        xticks=ticks,
    )
    estimates.set_xticklabels([f"{2**doubling}" for doubling in ticks])
    estimates.axhline(truth, color=MODEL)
    tidy(estimates, "draws k", "nats")
    lines = (
        ("-", MODEL, "log p(x)"),
        (":", GUESS, "one estimate"),
        ("-", SPREAD, "mean of many estimates, ± std"),
    )
    legend = panel(figure, (CURVE[0], 0, CURVE[2], 0.46), xlim=(0, CURVE[2]), ylim=(0, 0.46))
    for (line, colour, label), (x, y) in zip(lines, LEGEND, strict=True):
        legend.plot([x, x + 0.22], [y, y], line, color=colour)
        legend.text(x + 0.28, y, label, size=10, va="center")
    figure.title("log p(x) from k draws", CURVE[0], 3.9)
    return figure.pixels()


def estimate(grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]) -> Explorer:
    """Estimate one image's log p(x) from k draws of a Gaussian q, and see their weights.

    `log_joint` is log p(x, z) of the image at each latent z of a one-dimensional `grid`.
    """
    return Explorer(
        "log p(x) from k draws",
        lambda **settings: view_estimate(grid, log_joint, **settings),
        {
            "doublings": chooser("draws k (log₂)", DOUBLINGS + 1, 3),
            "mean": slider("μ of q", 0.0, -3, 3, 0.05, "prior σ"),
            "log_std": slider("log σ of q", 0.0, -2, 0.7, 0.05, "base e"),
            "drawn": Again("Draw again"),
        },
        shows=(
            "Left, two plots over z: the densities of q and of the true posterior, and each "
            "draw's share of the weights. Right, a plot over k: one estimate of log p(x), the "
            "mean of many estimates, and the true value."
        ),
    )
