"""Explorer on the ELBO: a KL divergence as an area, compared with the blog post's formula."""

import math
from functools import cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.course import plotting
from vaelib.course.blog_post import wrong_kl
from vaelib.course.explorers.density import REACH, draw_prior, normal, top_for
from vaelib.course.explorers.plane import Plane, number, pale, tidy
from vaelib.course.explorers.shell import Explorer, Number, Picture, View, panel, signed, slider
from vaelib.elbo import kl
from vaelib.encoder import Gaussian

NARROW, WIDE, FAR = -2.5, 0.5, 2.0  # log σ from and to, |μ| to
HEIGHT = 4.1  # inches
DENSITY = (0.5, 2.45, 3.0, 1.3)
INTEGRAND = (0.5, 0.46, 3.0, 1.5)
BARS = (4.95, 3.02, 1.45, 0.66)
PLANE = (4.35, 0.46, 2.75, 2.0)
RIGHT, WRONG, PRIOR = plotting.BLUE, plotting.ORANGE, plotting.GREY
GAIN, LOSS = plotting.GREEN, plotting.PURPLE
WORST = 5.0  # nats that the bars have room for


class Integrand(NamedTuple):
    """Densities q and p at points z, and the integrand q·log(q/p) of KL(q‖p), in nats."""

    z: Float[Tensor, " point"]
    q: Float[Tensor, " point"]
    p: Float[Tensor, " point"]
    values: Float[Tensor, " point"]


def integrand(mean: Number, log_std: Number) -> Integrand:
    """The integrand for q = N(mean, exp(log_std)²) and p = N(0, 1), within eight σ of q's mean."""
    q, p = normal(mean, log_std), normal(0, 0)
    z = q.mean + q.stddev * torch.linspace(-8, 8, 801, dtype=torch.float64)
    log_q, log_p = q.log_prob(z), p.log_prob(z)
    return Integrand(z, log_q.exp(), log_p.exp(), log_q.exp() * (log_q - log_p))


def view_divergence(*, mean: Number, log_std: Number) -> View:
    """KL(q‖p) as an area and as a number, compared with the value of the blog post's formula.

    q is N(mean, exp(log_std)²), p is N(0, 1).
    """
    at = Gaussian(*(torch.tensor([[x]], dtype=torch.float64) for x in (mean, log_std)))
    right, wrong, std = kl(at).item(), wrong_kl(at).item(), math.exp(log_std)
    found = integrand(mean, log_std)
    gain, loss = found.values.clamp(min=0), found.values.clamp(max=0)
    area, lost = (torch.trapezoid(part, found.z).item() for part in (gain + loss, loss))
    tops = top_for(found.q.max().item()), top_for(gain.max().item())
    figure = Picture(HEIGHT, ground=_ground(*tops))

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
    gained = round(area, 3) - round(lost, 3)  # so that the numbers shown add up
    figure.title(f"{gained:.3f} − {signed(-lost)} = {signed(area)}", 1.5, 2.12)
    verdict = "but a divergence is never negative" if wrong < 0 else _compared(wrong, right)
    words = (
        f"q = N({signed(mean, 2)}, {std:.2f}²). Where q is larger than p, the area is "
        f"{signed(gained)}; elsewhere it is {signed(lost)}. Together, KL(q‖p) = "
        f"<b>{signed(area)}</b> nats. The correct formula gives <b>{signed(right)}</b>; the "
        f"post's formula gives <b>{signed(wrong)}</b>, {verdict}."
    )
    return View(figure, words)


def _compared(wrong: float, right: float) -> str:
    difference = round(wrong, 3) - round(right, 3)
    if abs(difference) < 0.0005:
        return "the same"
    return f"{abs(difference):.3f} too {'much' if difference > 0 else 'little'}"


def _limits(top: float, low: Number) -> dict[str, tuple[float, float]]:
    return {"xlim": (-REACH, REACH), "ylim": (low * top, top)}


@cache
@plt.rc_context(plotting.STYLE)
def _ground(top: float, highest: float) -> np.ndarray:
    """Axes for densities up to `top` and integrands up to `highest`, and the plane of μ and σ."""
    figure = Picture(HEIGHT)
    density = panel(
        figure, DENSITY, **_limits(top, 0), bare=False, xticks=[-6, -3, 0, 3, 6], yticks=[0, top]
    )
    draw_prior(density, "--")
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
    tidy(area, "latent z (prior σ)")
    figure.title("q log(q/p):", 0.5, 2.12)

    _bars_ground(figure)
    _plane_ground(figure)
    return figure.pixels()


def _bars_ground(figure: Picture) -> None:
    bars = panel(figure, BARS, xlim=(-1, WORST), ylim=(0, 2), bare=False, xticks=[0, 2, 4])
    bars.set_yticks([1.5, 0.5], ["correct", "post's"], size=11)
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
        "the post's is below\nzero here",
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
    """Move μ and σ of q; see its KL to the prior as an area, and the value of a wrong formula."""
    return Explorer(
        "a divergence as an area",
        view_divergence,
        {
            "mean": slider("μ of q", 1.0, -FAR, FAR, 0.05, "prior σ"),
            "log_std": slider("log σ of q", -0.7, NARROW, WIDE, 0.05, "base e"),
        },
        shows=(
            "Left, two plots over z: the densities of q and p, and q log(q/p) with its area. "
            "Right: two bars, the KL by the correct formula and by the post's, and a map of q's "
            "μ and σ where the post's is below zero in one region."
        ),
        actions={
            "q = p": lambda _: {"mean": 0.0, "log_std": 0.0},
            "Lowest for the post's": lambda _: {"mean": 0.0, "log_std": _lowest()},
        },
    )


@cache
def _lowest() -> float:
    """The log σ at which the post's formula is lowest for μ = 0, by Newton's method."""
    s = 0.0
    for _ in range(20):
        s -= (math.exp(2 * s) + s) / (2 * math.exp(2 * s) + 1)
    return s
