"""Training beside compilers: `python -m benchmarks.peers` (needs jax and optax; ten minutes).

Trains the blog post's model for ten epochs by `vaelib.training.train`, by JAX, by PyTorch with a
compiled loss and by the usual loop, each in a fresh process in every round. All that happens after
the imports and the reading of the files is counted, so the first epoch includes compiling. Writes
peers.json, and the table of README.md, into a folder. A run is one round; three runs are kept.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from benchmarks import report
from benchmarks.contenders import Setting, by_jax, compiled, usual, write_idx
from benchmarks.timing import facts, ratios, spread
from vaelib import data
from vaelib.training import train

SETTINGS = {str(size): Setting(f"batch {size}", batch_size=size) for size in (100, 500)}
EPOCHS = {"vaelib": 10, "JAX": 10, "compiled": 10, "usual": 3}
NAMES = {
    "vaelib": "vaelib.training.train",
    "JAX": "JAX, jit and scan",
    "compiled": "PyTorch, compiled loss",
    "usual": "the usual DataLoader loop",
}
AIMS = {"ten epochs": 1.0, "an epoch": 1.1}  # vaelib / JAX, at most
PAGE = ("<!-- peers: written by python -m benchmarks.peers -->", "<!-- end of peers -->")


def seconds(name: str, setting: Setting, images: Tensor, folder: str, epochs: int) -> list[float]:
    """Seconds of each epoch; the first counts from before the model is made."""
    ends = [time.perf_counter()]
    if name == "vaelib":
        train(
            setting.model(),
            images,
            epochs=epochs,
            batch_size=setting.batch_size,
            watch=lambda report: report.history and ends.append(time.perf_counter()),
        )
    else:
        make, given = {
            "JAX": (by_jax, images),
            "compiled": (compiled, images),
            "usual": (usual, folder),
        }[name]
        epoch = make(setting, given)
        for _ in range(epochs):
            epoch()
            ends.append(time.perf_counter())
    return [end - start for start, end in itertools.pairwise(ends)]


def measure(name: str, size: str) -> list[float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers", "--worker", name, size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def worker(name: str, size: str) -> None:
    """Print the seconds of each epoch."""
    for module in ("jax", "optax") if name == "JAX" else ():
        import_module(module)  # which is not counted
    digits = data.load(split="train")
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, digits.images, digits.labels)
        print(json.dumps(seconds(name, SETTINGS[size], digits.images, folder, EPOCHS[name])))


def summary(found: dict[str, dict[str, list[list[float]]]]) -> dict:
    """Of the epochs' seconds by batch size and contender, in each round: what the table shows."""
    made = {}
    for size, of in found.items():
        first = {name: [epochs[0] for epochs in rounds] for name, rounds in of.items()}
        each = {
            name: [statistics.median(epochs[1:]) for epochs in rounds]
            for name, rounds in of.items()
        }
        ten = {
            name: [one + 9 * other for one, other in zip(first[name], each[name], strict=True)]
            for name in of
        }
        shown = {"first epoch": first, "an epoch": each, "ten epochs": ten}
        made[size] = {
            what: {name: spread(values) for name, values in by.items()}
            | {"vaelib / JAX": spread(ratios(by["vaelib"], by["JAX"]))}
            for what, by in shown.items()
        }
    return made


def run(rounds: int) -> dict:
    """Every contender and batch size in every round; each round begins with another contender."""
    found = {size: {name: [] for name in EPOCHS} for size in SETTINGS}
    for turn in range(rounds):
        order = list(EPOCHS)[turn % len(EPOCHS) :] + list(EPOCHS)[: turn % len(EPOCHS)]
        for size, name in itertools.product(SETTINGS, order):
            found[size][name].append([round(value, 4) for value in measure(name, size)])
            print(f"batch {size}, {name}: {found[size][name][-1]}", flush=True)
    versions = {name: version(name) for name in ("jax", "optax")}
    return {
        "facts": facts() | versions | {"rounds": rounds, "epochs": EPOCHS},
        "seconds": found,
        "batches": summary(found),
    }


def table(run: dict) -> str:
    """The README's table: medians over the rounds, with the least and the greatest."""
    facts = run["facts"]
    head = (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads; "
        f"Python {facts['python']}, torch {facts['torch']}, jax {facts['jax']}, "
        f"optax {facts['optax']}; {facts['rounds']} rounds, {facts['date']}."
    )
    times = [("seconds", "contender", "first epoch", "each further one", "ten epochs")]
    aims = [("vaelib / JAX", "aim", "measured")]
    for size, by in run["batches"].items():
        for name, words in NAMES.items():
            cells = [report.range_of(by[what][name]) for what in by]
            times.append((f"batch {size}", words, *cells))
        for what, most in AIMS.items():
            ratio = by[what]["vaelib / JAX"]
            missed = " ✗" if ratio["median"] > most else ""
            said = f"at most {most}", report.range_of(ratio) + missed
            aims.append((f"{what}, batch {size}", *said))
    return "\n\n".join([head, report.table(*times), report.table(*aims)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--into", type=Path, default=Path("build/benchmarks"), metavar="FOLDER")
    parser.add_argument("--worker", nargs=2, metavar=("CONTENDER", "BATCH"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        worker(*given.worker)
        return
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    given.into.mkdir(parents=True, exist_ok=True)
    made = run(given.rounds)
    (given.into / "peers.json").write_text(json.dumps(made, indent=1) + "\n")
    report.insert(table(made), given.into / "README.md", *PAGE)
    print(table(made))


if __name__ == "__main__":
    main()
