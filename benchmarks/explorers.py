"""How soon an explorer's picture follows its slider, and whether its memory stays flat.

`python -m benchmarks.explorers` (about five minutes) moves the first control of every explorer
as a dragging hand would, times each move in the kernel from the new value to the new picture, and
writes explorers.json: median and 95th percentile in milliseconds over 150 moves, and the growth
of resident memory over 2,000 more. What the browser and the way to it add is not in it.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from benchmarks.timing import facts
from vaelib import data, hierarchy
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course import demonstration, explorers
from vaelib.course.explorers.sketch import enlarged

RESULTS = Path(__file__).with_suffix(".json")
AIM = 40.0  # milliseconds at the 95th percentile
TIMED, WARM, FURTHER = 150, 300, 2000


def toy() -> tuple[torch.Tensor, torch.Tensor]:
    """A grid of codes, and log p(x, z) there: a standard normal prior, three leaning pixels."""
    z = torch.linspace(-12, 12, 12_001, dtype=torch.float64)
    coins = torch.distributions.Bernoulli(logits=z[:, None] * torch.tensor([2.0, -1.0, 3.0]))
    likelihood = coins.log_prob(torch.tensor([1.0, 0.0, 1.0])).sum(-1)
    return z, likelihood + torch.distributions.Normal(0.0, 1.0).log_prob(z)


def builders() -> dict[str, Callable[[], explorers.Explorer]]:
    """How each explorer is made, by its name."""
    model, test = demonstration.model(), data.load(split="test")
    binary = threshold(test.images[:100]).mul(255).byte()
    layered = hierarchy.dense(width=128, generator=torch.Generator().manual_seed(0))
    return {
        "binarize": lambda: explorers.binarize(test.images),
        "encode": explorers.encode,
        "decode": lambda: explorers.decode(model, test.images),
        "diverge": explorers.diverge,
        "bound": lambda: explorers.bound(*toy()),
        "estimate": lambda: explorers.estimate(*toy()),
        "differentiate": lambda: explorers.differentiate(*toy()),
        "walk": lambda: explorers.walk(model, test.images, test.labels),
        "weigh": lambda: explorers.weigh({1: model, 2: model}, test.images),
        "levels": lambda: explorers.levels(layered, test.images),
        "compress": lambda: explorers.compress(Codec(model), binary),
        "draw": lambda: explorers.draw(model, test.images, test.labels),
    }


def drag(explorer: explorers.Explorer, moves: int) -> list[float]:
    """Milliseconds from each new value of the first control to the picture of it."""
    control = next(iter(explorer.controls.values()))
    if "ink" in explorer.controls:
        values = [enlarged(image) for image in data.load(split="test").images[:100]]
    elif hasattr(control, "options"):
        values = [value for _, value in control.options]
    else:
        steps = round((control.max - control.min) / control.step)
        values = [type(control.value)(control.min + control.step * i) for i in range(steps + 1)]
    seconds = []
    for i in range(1, moves + 1):
        before, start = explorer.drawn, time.perf_counter()
        control.value = values[i % len(values)]
        if explorer.drawn > before:
            seconds.append(time.perf_counter() - start)
    return [1000 * value for value in seconds]


def measure(build: Callable[[], explorers.Explorer]) -> dict[str, float]:
    """Milliseconds a move, and megabytes gained over thousands of them."""
    start = time.perf_counter()
    explorer = build()
    ready = time.perf_counter() - start
    drag(explorer, WARM)
    milliseconds = sorted(drag(explorer, TIMED))
    gc.collect()
    before = psutil.Process().memory_info().rss
    drag(explorer, FURTHER)
    gc.collect()
    return {
        "seconds to appear": round(ready, 3),
        "median ms": round(statistics.median(milliseconds), 1),
        "95th percentile ms": round(milliseconds[int(0.95 * len(milliseconds))], 1),
        f"MB over {FURTHER} moves": round((psutil.Process().memory_info().rss - before) / 2**20, 1),
    }


def main() -> None:
    """Measure all, print a line each, and write the results."""
    measured = {name: measure(build) for name, build in builders().items()}
    for name, row in measured.items():
        mark = "" if row["95th percentile ms"] <= AIM else f"  (aim: {AIM:g} ms) ✗"
        print(f"{name:<10}", ", ".join(f"{key} {value}" for key, value in row.items()), mark)
    RESULTS.write_text(json.dumps({"facts": facts(), "explorers": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
