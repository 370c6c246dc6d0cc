"""Settings that change during a run: a function from its `Progress` in the place of a number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Number = float | int


class Progress(NamedTuple):
    """How far a run has come: `step` of its `steps` are done."""

    step: int
    steps: int


Schedule = Callable[[Progress], float]


@dataclass(frozen=True)
class ToZero:
    """A rate that falls from `start` to 0 along a straight line over the run."""

    start: Number

    def __call__(self, at: Progress) -> float:
        return self.start * (1 - at.step / at.steps)


@dataclass(frozen=True)
class WarmUp:
    """A β that grows from 0 to 1 over the first `steps` steps (Bowman et al. 2016, section 3.1)."""

    steps: int

    def __call__(self, at: Progress) -> float:
        return at.step / self.steps if at.step < self.steps else 1.0


def value_at(setting: Number | Schedule, at: Progress) -> Number:
    """The number that a setting is at this point of a run."""
    return setting(at) if callable(setting) else setting
