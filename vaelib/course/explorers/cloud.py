"""Explorer on the encoder: a cloud of latents, one sample, and where the gradient pushes them."""

import itertools
from functools import cache
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import Checkbox, Dropdown, Widget
from jaxtyping import Float
from matplotlib.patches import Ellipse
from torch import Generator, Tensor

from vaelib.course import plotting
from vaelib.course.explorers.plane import Plane, number
from vaelib.course.explorers.shell import Explorer, Number, Picture, View, panel, signed, slider
from vaelib.elbo import kl
from vaelib.encoder import Gaussian, reparameterize

STAR = (1.5, 1.0)  # the latent that the toy's decoder prefers
BLUR = 0.5  # standard deviation of the decoder around it
PULLS = ("ELBO", "log-likelihood", "−KL")
STEP = 0.05  # of one step of ascent
EDGE = 4.0  # standard deviations of the prior, from the plane's centre to its edge
HEIGHT = 3.7  # inches
PLANE = (0.5, 0.46, 2.9, 2.9)
BARS = (4.55, 1.72, 1.8, 1.6)
MOST = 250.0  # the largest gradient that the bars have room for
CENTRE, WIDTH, SAMPLE = plotting.BLUE, plotting.ORANGE, plotting.GREEN


class Pull(NamedTuple):
    """The terms of the ELBO in nats, and the gradient of one objective by autograd."""

    log_likelihood: float
    kl: float
    code: Float[Tensor, "2"]
    mean: Float[Tensor, "2"]
    log_std: Float[Tensor, "2"]


def pull_of(
    mean: Float[Tensor, "2"], log_std: Float[Tensor, "2"], noise: Float[Tensor, "2"], pull: str
) -> Pull:
    """The toy's terms for one sample, and the gradient of `pull` in μ and log σ.

    The log-likelihood is log N(star; z, 0.5² I) of the latent z = μ + σ·ε. `pull` is one of
    `PULLS`.
    """
    posterior = Gaussian(mean[None].detach().clone(), log_std[None].detach().clone())
    for parameter in posterior:
        parameter.requires_grad_()
    code = reparameterize(posterior, noise[None])
    star = torch.tensor([STAR], dtype=code.dtype)
    likelihood = torch.distributions.Normal(code, BLUR, validate_args=False).log_prob(star).sum()
    cost = kl(posterior).sum()
    objective = {"ELBO": likelihood - cost, "log-likelihood": likelihood, "−KL": -cost}[pull]
    by_mean, by_log_std = torch.autograd.grad(objective, list(posterior))
    return Pull(likelihood.item(), cost.item(), code[0].detach(), by_mean[0], by_log_std[0])


def view_gradient(
    *,
    mean_1: Number,
    mean_2: Number,
    log_std_1: Number,
    log_std_2: Number,
    noise_1: Number,
    noise_2: Number,
    pull: str = "ELBO",
) -> View:
    """An approximate posterior in two dimensions, the sample for ε, and how ascent moves them.

    Raises KeyError for a `pull` that is not one of `PULLS`.
    """
    pairs = ((mean_1, mean_2), (log_std_1, log_std_2), (noise_1, noise_2))
    mean, log_std, noise = (torch.tensor(pair, dtype=torch.float64) for pair in pairs)
    found = pull_of(mean, log_std, noise, pull)
    std = log_std.exp()
    figure = Picture(HEIGHT, ground=_ground())
    _draw_plane(figure, *(x.numpy() for x in (mean, std, noise, *found[2:])))
    _draw_bars(figure, [*found.mean.tolist(), *found.log_std.tolist()])
    figure.title(f"gradient of the {pull}", 3.75, 3.46)
    z = ", ".join(signed(x, 2) for x in found.code.tolist())
    beyond = ", outside the picture" if found.code.abs().max() > EDGE else ""
    words = (
        f"log-likelihood <b>{signed(found.log_likelihood, 2)}</b>, KL <b>{found.kl:.2f}</b>, so "
        f"ELBO <b>{signed(found.log_likelihood - found.kl, 2)}</b> nats for the sample "
        f"z = ({z}){beyond}. The {pull} pushes the centre {_heading(found.mean.tolist())}; it "
        f"makes the cloud {_growing(found.log_std.tolist())}."
    )
    return View(figure, words)


def _heading(gradient: list[float]) -> str:
    across, up = gradient
    names = [("left", "right")[across > 0]] * (abs(across) >= 0.005)
    names += [("down", "up")[up > 0]] * (abs(up) >= 0.005)
    return f"<b>{' and '.join(names) or 'nowhere'}</b>"


def _growing(gradient: list[float]) -> str:
    names = [
        "neither wider nor narrower" if abs(g) < 0.005 else ("narrower", "wider")[g > 0]
        for g in gradient
    ]
    if names[0] == names[1]:
        return f"<b>{names[0]}</b> both ways"
    return f"<b>{names[0]}</b> along z₁, <b>{names[1]}</b> along z₂"


def shown(gradient: Float[np.ndarray, "2"], most: float) -> Float[np.ndarray, "2"]:
    """A gradient as an arrow: it grows with the gradient, but stays shorter than `most`."""
    return most * gradient / (np.hypot(*gradient) + 3)


def _draw_plane(
    figure: Picture,
    mean: np.ndarray,
    std: np.ndarray,
    noise: np.ndarray,
    code: np.ndarray,
    by_mean: np.ndarray,
    by_log_std: np.ndarray,
) -> None:
    plane = Plane(figure, PLANE, xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
    for spread, alpha in ((2, 0.14), (1, 0.22)):
        size = 2 * spread * std
        plane.add(Ellipse(mean, *size, fc=CENTRE, ec="none", alpha=alpha))
        plane.add(Ellipse(mean, *size, fc="none", ec=CENTRE, lw=1))
    plane.line(*zip(mean, code, strict=True), color=SAMPLE, lw=1.2, ls=(0, (2, 1)), zorder=2)
    inside = abs(code).max() <= EDGE
    at = code.clip(-EDGE, EDGE)
    # To first order, moving μ and log σ along their gradients moves z = μ + σ·ε along this:
    carried = by_mean + std * noise * by_log_std
    for outward in ([1, 0], [-1, 0], [0, 1], [0, -1]):
        end = mean + outward * std
        growth = shown(outward * by_log_std, 0.9)
        # A push inwards ends at the ellipse, one outwards starts there, so the centre stays free.
        plane.arrow(end if growth @ outward > 0 else end - growth, growth, WIDTH)
    plane.arrow(mean, shown(by_mean, 1.8), CENTRE)
    if inside:
        plane.arrow(code, shown(carried, 1.8), SAMPLE)
    plane.mark(*mean, "P", color=CENTRE, mec="white", ms=8, mew=0.8)
    fill, edge = (SAMPLE, "white") if inside else ("white", SAMPLE)
    plane.mark(*at, "o", mfc=fill, mec=edge, ms=8, mew=1)


def _draw_bars(figure: Picture, gradient: list[float]) -> None:
    bars = Plane(figure, BARS, **_scale())
    left, bottom, wide, high = BARS
    for row, (value, colour) in enumerate(
        zip(gradient, (CENTRE, CENTRE, WIDTH, WIDTH), strict=True)
    ):
        bars.box(0, np.arcsinh(value), 2.72 - row, 3.28 - row, fc=colour, ec="none")
        foot = bottom + high * (1 - (row + 0.5) / 4) - 0.06
        number(figure, signed(value, 2), left + wide + 0.75, foot)


def _scale() -> dict[str, tuple[float, float]]:
    return {"xlim": (-np.arcsinh(MOST), np.arcsinh(MOST)), "ylim": (-0.5, 3.5)}


@cache
@plt.rc_context(plotting.STYLE)
def _ground() -> np.ndarray:
    """The parts that no setting changes: axes, prior, star and legend."""
    figure = Picture(HEIGHT)
    axes = panel(
        figure,
        PLANE,
        xlim=(-EDGE, EDGE),
        ylim=(-EDGE, EDGE),
        bare=False,
        xticks=range(-4, 5, 2),
        yticks=range(-4, 5, 2),
    )
    axes.set_xlabel("z₁ (prior σ)", size=10, labelpad=2)
    axes.set_ylabel("z₂ (prior σ)", size=10, labelpad=-2)
    axes.tick_params(labelsize=10)
    axes.spines[:].set(visible=True, color="#bbbbbb")
    for radius in (1, 2):
        axes.add_patch(Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, ls="--", lw=1, ec="0.4"))
    axes.plot(*STAR, "*", color="black", mec="white", mew=0.8, ms=16)
    figure.title("a cloud of latents and one sample", 0.5, 3.46)

    bars = panel(figure, BARS, bare=False, **_scale())
    ticks = [-100, -10, 0, 10, 100]
    bars.set_xticks(np.arcsinh(ticks), [f"{t}".replace("-", "−") for t in ticks], size=9)
    bars.set_xlabel("nats per unit (stretched near 0)", size=9, labelpad=2)
    bars.set_yticks([3, 2, 1, 0], ["along μ₁", "μ₂", "log σ₁", "log σ₂"], size=10)
    bars.tick_params(axis="y", length=0)
    bars.spines["left"].set_visible(False)
    bars.axvline(0, color="black", lw=0.8)
    bars.grid(axis="x", color="0.9", lw=0.8)
    bars.set_axisbelow(True)

    place, limits = (3.75, 0.08, 3.4, 1.05), {"xlim": (0, 3.4), "ylim": (0, 1.05)}
    key, pointer = panel(figure, place, **limits), Plane(figure, place, **limits)
    rows = (
        ("P", CENTRE, "centre μ, and where it is pushed"),
        ("", WIDTH, "push on log σ (outward: wider)"),
        ("o", SAMPLE, "sample z = μ + σ·ε, moved by both"),
        ("*", "black", "star: the latent that fits the image"),
        ("", "0.4", "the prior's 1σ and 2σ circles"),
    )
    for row, (marker, colour, label) in enumerate(rows):
        y = 0.95 - 0.21 * row
        edge = "black" if marker == "*" else "white"
        if marker:
            key.plot(0.1, y, marker, color=colour, mec=edge, ms=11 if marker == "*" else 8, mew=0.8)
        if row == 4:
            key.plot([0.02, 0.4], [y, y], "--", color=colour, lw=1)
        if row < 3:
            pointer.arrow(np.array([0.12, y]), np.array([0.3, 0.0]), colour)
        key.text(0.5, y, label, size=10, va="center_baseline")
    return figure.pixels()


def uphill(settings: dict) -> dict[str, float]:
    """μ and log σ after a small step of gradient ascent from these settings."""
    names = ("mean", "log_std", "noise")
    pairs = [[settings[f"{name}_{i}"] for i in (1, 2)] for name in names]
    before = torch.tensor(pairs, dtype=torch.float64)
    found = pull_of(*before, settings["pull"])
    after = before[:2] + STEP * torch.stack([found.mean, found.log_std])
    return {
        f"{name}_{i}": after[row, i - 1].item()
        for row, name in enumerate(names[:2])
        for i in (1, 2)
    }


def encode() -> Explorer:
    """Move μ, log σ and ε of a cloud; see where log-likelihood, −KL or ELBO pushes it.

    Unless ε is frozen, a new ε is drawn whenever another control moves.
    """
    draws = itertools.count(1)

    def fresh(settings: dict) -> dict[str, float]:
        """The next ε. Its seed is a count, so the same moves give the same pictures."""
        noise = torch.randn(2, generator=Generator().manual_seed(next(draws)), dtype=torch.float64)
        return dict(zip(("noise_1", "noise_2"), noise.tolist(), strict=True))

    def restless(settings: dict) -> dict[str, float]:
        return {} if settings["frozen"] else fresh(settings)

    def show(frozen: bool, **settings: Any) -> View:
        return view_gradient(**settings)

    controls: dict[str, Widget] = {
        "mean_1": slider("μ₁", -1, -2, 2, 0.05, "prior σ"),
        "mean_2": slider("μ₂", -0.5, -2, 2, 0.05, "prior σ"),
        "log_std_1": slider("log σ₁", 0, -2, 0.5, 0.05, "base e"),
        "log_std_2": slider("log σ₂", -0.7, -2, 0.5, 0.05, "base e"),
        "noise_1": slider("ε₁", 1, -3, 3, 0.05, "σ₁"),
        "noise_2": slider("ε₂", -1, -3, 3, 0.05, "σ₂"),
        "pull": Dropdown(options=PULLS, description="climb the", layout={"width": "16em"}),
        "frozen": Checkbox(
            True, description="freeze the noise ε", indent=False, layout={"width": "13em"}
        ),
    }
    return Explorer(
        "a cloud of latents and its gradient",
        show,
        controls,
        shows=(
            "Left, a map of two latents: a cloud around its centre, one sample, the latent that "
            "fits the image, and arrows for the gradient. Right: four bars, the gradient with "
            "respect to μ₁, μ₂, log σ₁ and log σ₂."
        ),
        actions={"One step uphill": uphill, "Draw a new ε": fresh},
        links=dict.fromkeys(("mean_1", "mean_2", "log_std_1", "log_std_2", "pull"), restless),
    )
