"""Adam by PyTorch's `adam` function, without the overhead of the class `torch.optim.Adam`."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam

AVERAGES = ("exp_avg", "exp_avg_sq", "step")  # PyTorch's names, in its checkpoints and ours


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) with β₁ = 0.9, β₂ = 0.999, ε = 1e-8.

    Gives the same values as `torch.optim.Adam`, bit for bit: both call PyTorch's `adam`. That class
    imports PyTorch's compiler when it is made, which takes about a second, and looks through its
    options at every step.
    """

    def __init__(self, values: Iterable[Tensor]) -> None:
        self.values = list(values)
        device = self.values[0].device
        # one pass over the memory, where PyTorch has it; None lets PyTorch choose
        self.fused = True if device.type in ("cpu", "cuda") else None
        self.averages: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for value in self.values:
            value.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move each value that has a gradient; the others, and their averages, stay."""
        moved = [number for number, value in enumerate(self.values) if value.grad is not None]
        for number in moved:
            if number not in self.averages:
                self.averages[number] = self._start(self.values[number])
        first, second, steps = (
            [self.averages[number][name] for number in moved] for name in AVERAGES
        )
        adam(
            [self.values[number] for number in moved],
            [self.values[number].grad for number in moved],
            first,
            second,
            [],
            steps,
            fused=self.fused,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def restore(self, averages: dict[int, dict[str, Tensor]]) -> None:
        """Go on from the `averages` of another Adam, whose values have the same numbers."""
        self.averages = {number: self._start(self.values[number]) for number in averages}
        for number, given in averages.items():
            for name, value in given.items():
                self.averages[number][name].copy_(value)

    def _start(self, value: Tensor) -> dict[str, Tensor]:
        first, second = torch.zeros_like(value), torch.zeros_like(value)
        where = value.device if self.fused else "cpu"
        return dict(
            zip(
                AVERAGES,
                (first, second, torch.zeros((), dtype=torch.float32, device=where)),
                strict=True,
            )
        )
