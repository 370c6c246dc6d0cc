"""Side by side on a noisy machine: every contender in every round, and ratios within a round."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch


def race(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each contender takes in each of `rounds`, all of them in every round.

    Each round begins with another contender, so that none always follows the same one. What
    slows the machine for a minute then slows all, and hardly touches the ratios of one round.
    """
    names = list(contenders)
    seconds = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Ratio in each round."""
    return [a / b for a, b in zip(of, to, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, to four digits."""
    found = dict(median=statistics.median(values), least=min(values), greatest=max(values))
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent p of seconds ≈ c · size^p: least squares on logarithms."""
    return float(np.polyfit([math.log(size) for size in sizes], np.log(seconds), 1)[0])


def facts() -> dict[str, object]:
    """What the numbers depend on, apart from the code."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(_values("model name", lines))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _values(name: str, lines: Iterator[str]) -> Iterator[str]:
    return (line.partition(":")[2].strip() for line in lines if line.startswith(name))
