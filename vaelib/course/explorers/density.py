"""Densities of a latent of one number, for the explorers of divergence, gap and weights."""

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Normal

from vaelib.course import plotting
from vaelib.course.explorers.shell import Number, Picture, panel

TOPS = (0.5, 1.0, 2.0, 5.0, 10.0, 25.0)  # few scales, so that pictures can be compared
ENOUGH = 1200  # points of a grid
SEEN = 4.0  # the latents shown, from −SEEN to SEEN
REACH = 7.0  # the widest axis shows latents from −REACH to REACH


def normal(mean: Number, log_std: Number) -> Normal:
    """N(mean, exp(log_std)²) in double precision."""
    centre, spread = (torch.tensor(x, dtype=torch.float64) for x in (mean, log_std))
    return Normal(centre, spread.exp(), validate_args=False)


def thinned(
    grid: Float[Tensor, " point"], log_joint: Float[Tensor, " point"]
) -> tuple[Float[Tensor, " kept"], Float[Tensor, " kept"]]:
    """About `ENOUGH` of the points, evenly spaced: bells are smooth, so integrals stay exact."""
    every = max(1, len(grid) // ENOUGH)
    return grid[::every].double(), log_joint[::every].double()


def top_for(highest: float) -> float:
    """The top of the scale for densities up to `highest`."""
    return next((top for top in TOPS if highest <= 0.95 * top), TOPS[-1])


def density_panel(
    figure: Picture, place: tuple[Number, Number, Number, Number], top: float
) -> Axes:
    """Axes for densities up to `top`, of latents from −SEEN to SEEN."""
    limits = {"xlim": (-SEEN, SEEN), "ylim": (0, top)}
    axes = panel(figure, place, **limits, bare=False, xticks=range(-4, 5, 2), yticks=[0, top])
    axes.set_yticklabels(["0", f"{top:g}"])
    return axes


def draw_prior(axes: Axes, line: str, width: Number = 2) -> None:
    """Draw the density of N(0, 1)."""
    z = torch.linspace(-REACH, REACH, 601, dtype=torch.float64)
    axes.plot(z, normal(0, 0).log_prob(z).exp(), line, color=plotting.GREY, lw=width)
