"""Where the time of training goes: `python -m benchmarks` (eight minutes on two cores).

Races `vaelib.training.train` against the matrix products alone, against a bare script and
against the usual tutorial's loop, then measures where a step's time goes, binarization,
evaluation, growth and memory. Prints tables, and writes speed.json and speed.png into a folder.
README.md here says how each number is taken.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import memory, report
from benchmarks.contenders import Setting, bare, floor, forward_floor, ours, usual, write_idx
from benchmarks.timing import facts, race, ratios, slope, spread
from vaelib import data
from vaelib.evaluation import LATENTS_AT_ONCE, estimate, evaluate

RUNS = 3  # a file keeps so many, newest last
POST = Setting("the post's network, batch 100")
SETTINGS = (
    POST,
    Setting("784-400-20 ReLU, batch 128", 400, 20, "relu", 128),
    Setting("the post's network, batch 500", batch_size=500),
)
COUNTS = (15_000, 30_000, 60_000, 120_000, 240_000)
WIDTHS = (125, 250, 500, 1000, 2000)
SAMPLES = 100


def measure(train, test, folder: str, rounds: int, counts=COUNTS, widths=WIDTHS) -> dict:
    """All measurements on the images `train` and `test`; the usual loop reads from `folder`."""
    few = min(rounds, 3)  # growth takes longest, and its exponents spread least
    return {
        "facts": facts() | {"rounds": rounds, "images": len(train), "test_images": len(test)},
        "epochs": [epochs(setting, train, folder, rounds) for setting in SETTINGS],
        "binarization": binarization(train, rounds),
        "evaluation": evaluation(test, rounds),
        "growth": [
            growth("images", counts, few, lambda n: ours(POST, _repeat(train, n))),
            growth("width", widths, few, lambda n: ours(POST._replace(hidden=n), train)),
        ],
    }


def epochs(setting: Setting, images, folder: str, rounds: int) -> dict:
    """One epoch of one setting by each contender: seconds, and ratios within a round."""
    seconds = race(
        {
            "floor": floor(setting, len(images)),
            "bare": bare(setting, images),
            "vaelib": ours(setting, images),
            "usual": usual(setting, folder),
        },
        rounds,
    )
    return {
        "setting": setting.name,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "vaelib / floor": spread(ratios(seconds["vaelib"], seconds["floor"])),
        "vaelib / bare": spread(ratios(seconds["vaelib"], seconds["bare"])),
        "usual / vaelib": spread(ratios(seconds["usual"], seconds["vaelib"])),
    }


def binarization(images, rounds: int) -> dict:
    """An epoch by threshold and one by fresh draws, at the post's setting."""
    by = {"threshold": ours(POST, images), "dynamic": ours(POST, images, protocol="dynamic")}
    seconds = race(by, rounds)
    return {
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "dynamic / threshold": spread(ratios(seconds["dynamic"], seconds["threshold"])),
    }


def evaluation(images, rounds: int) -> dict:
    """The ELBO and the importance-weighted bound of all images, and the products of each."""
    model = POST.model()
    seconds = race(
        {
            "elbo": lambda: evaluate(model, images),
            "elbo floor": forward_floor(POST, 1000, len(images), 1),
            "importance": lambda: estimate(model, images, protocol="threshold", samples=SAMPLES),
            "importance floor": forward_floor(POST, LATENTS_AT_ONCE, len(images), SAMPLES),
        },
        rounds,
    )
    return {
        "samples": SAMPLES,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "elbo / floor": spread(ratios(seconds["elbo"], seconds["elbo floor"])),
        "importance / floor": spread(ratios(seconds["importance"], seconds["importance floor"])),
    }


def growth(what: str, sizes, rounds: int, contender) -> dict:
    """How the seconds of an epoch grow: medians at each size, and the exponent in each round."""
    seconds = race({str(size): contender(size) for size in sizes}, rounds)
    exponents = [slope(sizes, times) for times in zip(*seconds.values(), strict=True)]
    return {
        "what": what,
        "seconds": {size: spread(values) for size, values in seconds.items()},
        "exponent": spread(exponents),
    }


def processes(folder: str) -> dict:
    """Peak memory above the imports in MB, and what importing takes, each in its own process."""
    reports = {task: memory.measure(task, folder) for task in memory.TASKS}
    return {
        "memory": {task: round(report["above_imports"]) for task, report in reports.items()},
        "import": {
            "torch_seconds": spread([r["torch_seconds"] for r in reports.values()]),
            "vaelib_seconds": spread([r["vaelib_seconds"] for r in reports.values()]),
            "torchvision": any(r["torchvision"] for r in reports.values()),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, default=Path("build/benchmarks"), metavar="FOLDER")
    parser.add_argument(
        "--again", action="store_true", help=f"keep the file's runs, up to {RUNS}, and add one"
    )
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    train, test = data.load(split="train"), data.load(split="test")
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, train.images, train.labels)
        run = measure(train.images, test.images, folder, options.rounds) | processes(folder)
    run["facts"]["dataset"] = train.name
    path = options.into / "speed.json"
    earlier = json.loads(path.read_text())["runs"] if options.again and path.exists() else []
    runs = [*earlier, run][-RUNS:]
    path.write_text(json.dumps({"runs": runs}, indent=1) + "\n")

    report.draw(runs, options.into / "speed.png")
    report.insert(report.tables(runs), options.into / "README.md")
    print(report.tables(runs))
    print(f"\nWritten: {path} and speed.png beside it")


def _repeat(images, count: int):
    return images.repeat(-(-count // len(images)), 1)[:count]
