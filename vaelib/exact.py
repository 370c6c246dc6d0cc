"""A network that gives the same numbers, to the last bit, on every machine and in every batch.

In floating point, (a + b) + c is not a + (b + c), and how a matrix product adds depends on the
library, the threads and the size of the batch. Here nothing is ever rounded by a sum. Weights are
multiples of 2⁻¹⁴, and what a layer receives is a multiple of 2⁻¹² of at most 2⁸, all in float64. So
all products, and all their sums in any order, are multiples of 2⁻²⁶. Below 2²⁷ a float64 holds all
of these. `exact` refuses a layer whose sums could be larger. Non-linearities are tables.

After Ballé, Johnston & Minnen 2019 ("Integer networks for data compression"), without retraining.
"""

import copy

import torch
from torch import Tensor, nn

from vaelib.hierarchy import Bounded
from vaelib.quick import Tanh
from vaelib.vae import LatentModel

GRID = 2.0**12  # steps per unit, of what layers receive and give
WEIGHT_GRID = 2.0**14
LIMIT = 2.0**8  # of what layers receive and give
LARGEST_SUM = 2.0**53 / (GRID * WEIGHT_GRID)
REACH = 16  # beyond, a table gives the non-linearity's limits
WEIGHTED, TABLED = (nn.Linear, nn.Conv2d), (nn.Tanh, Tanh, nn.SiLU, Bounded)
MOVING = (nn.Flatten, nn.Unflatten, nn.MaxPool2d, nn.Upsample, nn.ReLU, nn.Identity, nn.Dropout)
MOVING += (nn.PixelShuffle, nn.PixelUnshuffle)


def on_grid(values: Tensor) -> Tensor:
    """The nearest multiples of 1 / GRID, of at most LIMIT."""
    return ((values * GRID + 0.5).floor() / GRID).clamp(-LIMIT, LIMIT)


def check_grid(values: Tensor, what: str) -> None:
    """Raise TypeError if there are values between the multiples of 1 / GRID."""
    if not torch.equal(values * GRID, (values * GRID).round()):
        raise TypeError(
            f"{what} numbers that may differ in their last bits from machine to machine. A model "
            "must use layers for its non-linearities, such as torch.nn.Tanh(), not functions"
        )


class Rounded(nn.Module):
    """A layer of weights whose output is put on the grid.

    Raises ValueError if a sum could be too large to be exact.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer
        for weights in layer.parameters():
            weights.data = (weights.data * WEIGHT_GRID).round() / WEIGHT_GRID
        largest = layer.weight.data.abs().flatten(1).sum(1) * LIMIT
        if layer.bias is not None:
            largest += layer.bias.data.abs()
        if not largest.max() < LARGEST_SUM:
            raise ValueError(
                f"expected finite weights whose sums stay below {LARGEST_SUM:.3g}, so that they "
                f"are exact in float64; {layer} may reach {largest.max():.3g}"
            )

    def forward(self, values: Tensor) -> Tensor:
        check_grid(values, f"{self.layer} receives")
        return on_grid(self.layer(values.clamp(-LIMIT, LIMIT)))


class Table(nn.Module):
    """A non-linearity from the grid to the grid, by look-up; beyond ±REACH, its asymptotes."""

    def __init__(self, layer: nn.Tanh | nn.SiLU | Bounded) -> None:
        super().__init__()
        self.linear = isinstance(layer, nn.SiLU)  # beyond the table, on the right
        points = torch.arange(-REACH * GRID, REACH * GRID + 1, dtype=torch.float64) / GRID
        self.register_buffer("values", on_grid(layer(points)))

    def forward(self, values: Tensor) -> Tensor:
        check_grid(values, "a non-linearity receives")
        place = ((values.clamp(-REACH, REACH) + REACH) * GRID).long()
        found = self.values[place]
        return torch.where(values > REACH, values, found) if self.linear else found


def exact(model: LatentModel) -> LatentModel:
    """A copy of a model whose `prior`, `posterior` and `likelihood` give the same everywhere.

    Its weights are rounded, so it is not quite the same model; its outputs are float64 on the grid.
    Raises TypeError for a layer that is not known to be exact, and ValueError as `Rounded` does.
    """
    if not isinstance(model, LatentModel):
        raise TypeError(f"expected a model such as vaelib.vae.dense() gives, got {model!r:.60}")
    return _made_exact(copy.deepcopy(model).cpu().double().eval().requires_grad_(False), {})


def _made_exact(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """The module, or what takes its place; `made` has those of layers that are used twice."""
    kind, inner = type(module), module._modules
    if kind in WEIGHTED:
        made.setdefault(module, Rounded(module))
    elif kind in TABLED:
        made.setdefault(module, Table(module))
    elif module not in made:
        subclass = isinstance(module, WEIGHTED + TABLED)
        mixes = kind is nn.Upsample and module.mode != "nearest"
        if subclass or not (inner or kind in MOVING) or mixes:
            raise TypeError(
                f"{module} is not known to give the same numbers on every machine; layers may be "
                "Linear, Conv2d, Tanh, SiLU, ReLU, Bounded, and those that only move numbers"
            )
        made[module] = module
        for name, child in inner.items():
            inner[name] = child and _made_exact(child, made)
    return made[module]
