"""Published numbers, reproduced: `python -m benchmarks.published NAME [--seeds N] [--minutes M]`.

Trains the recipe NAME (see recipes.py) from seeds 0 to N − 1, lets the judge evaluate each
checkpoint, and writes build/published/NAME.json after every seed: estimates, mean and spread,
recipe, machine. With --into FOLDER, the file is written to that folder. Training takes the recipe's
epochs, or --epochs, or as many as fit into M minutes on this machine; the judge takes about ten
minutes per seed. With --samples N, the judge draws N importance samples per image instead of
5,000. With --on M, only M images get so many, and correct the mean over all: see the judge.
With --called WORD, results and checkpoints are called NAME-WORD, such as one-layer-longer.

Under torchrun, seeds are spread over the processes, one model per process, and the first process
writes: `torchrun --nproc-per-node 8 -m benchmarks.published NAME --seeds 8`.

The clock runs from the first step to the last, binarization included. Imports, reading files and
keeping the snapshots for the curve are not counted.
"""

import argparse
import copy
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from benchmarks.published.judge import (
    BINARIZATION_SEED,
    BINARIZATION_SHA256,
    SAMPLES,
    JudgeError,
    binarized_test_images,
    check_on,
    judge,
)
from benchmarks.published.recipes import RECIPES, Recipe
from benchmarks.timing import facts
from vaelib import checkpoint, data, hierarchy, vae
from vaelib.data.files import written_whole
from vaelib.hierarchy import Hierarchy
from vaelib.objectives import Weighted
from vaelib.processes import Team, alone, device, team
from vaelib.schedule import ToZero, WarmUp
from vaelib.training import History, Report, train
from vaelib.vae import LatentModel

HOME = Path(__file__).resolve().parents[2]
BUILD = HOME / "build" / "published"
SNAPSHOTS = 12
CURVE_IMAGES, CURVE_SAMPLES = 1000, 200
SEED = itemgetter("seed")
SLOWER = (
    "These processes share the CPUs of a machine. Processes of two threads are slower there than "
    "one: measured on two cores, a step takes 13 ms in place of 8. Seeds side by side pay where "
    "each process has a GPU or a machine of its own."
)
JUDGE = [sys.executable, "-m", "benchmarks.published.judge"]


class Clock:
    """Seconds of work, by the wall and of the processor, while it is not `paused`."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def read(self) -> tuple[float, float]:
        return self.wall + time.perf_counter(), self.cpu + time.process_time()

    def pause(self, work) -> None:
        """Do `work` and let it cost nothing."""
        wall, cpu = self.read()
        work()
        self.wall, self.cpu = wall - time.perf_counter(), cpu - time.process_time()


def pixel_log_odds(images: UInt8[Tensor, "image pixel"]) -> Float[Tensor, " pixel"]:
    """log(p / (1 − p)) of each pixel's mean intensity p: where a decoder's biases may begin.

    Half an image of ink and half of background are added, so that no pixel is certain.
    """
    mean = (images.sum(0) / 255 + 0.5) / (len(images) + 1)
    return mean.logit()


def untrained(recipe: Recipe, generator: Generator) -> LatentModel:
    """The recipe's model, with drawn weights."""
    settings = {"activation": recipe.activation, "generator": generator}
    if recipe.convolutional and isinstance(recipe.latent, int):
        return vae.convolutional(channels=recipe.hidden, latent=recipe.latent, **settings)
    settings["blocks"] = recipe.blocks
    if recipe.convolutional:
        return hierarchy.convolutional(maps=recipe.latent, channels=recipe.hidden, **settings)
    if isinstance(recipe.latent, int):
        return vae.dense(hidden=recipe.hidden, latent=recipe.latent, **settings)
    return hierarchy.dense(sizes=recipe.latent, width=recipe.hidden, **settings)


def output_bias(model: LatentModel) -> Tensor:
    """The bias of the last layer, which adds to the logits: one per pixel, or per channel."""
    network = model.logits if isinstance(model, Hierarchy) else model.decoder.logits
    return [layer.bias for layer in network.modules() if hasattr(layer, "bias")][-1]


@torch.no_grad()
def build(
    recipe: Recipe, images: UInt8[Tensor, "image pixel"], generator: Generator
) -> LatentModel:
    """The recipe's model, untrained."""
    model = untrained(recipe, generator)
    if recipe.pixel_odds:
        bias = output_bias(model)
        alike = images if len(bias) == model.pixels else images.reshape(-1, 1)
        bias.copy_(pixel_log_odds(alike))
    return model


def fit_model(
    recipe: Recipe,
    model: LatentModel,
    images: UInt8[Tensor, "image pixel"],
    generator: Generator,
    **settings: object,
) -> History:
    """Train a model that `build` made as the recipe says, but for `settings` of `train`."""
    settings = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": ToZero(recipe.learning_rate),
        "protocol": "dynamic",
        "objective": recipe.objective,
        "generator": generator,
    } | settings
    if recipe.warm_up:
        steps = settings["epochs"] * math.ceil(len(images) / settings["batch_size"])
        growing = WarmUp(math.ceil(recipe.warm_up * steps))
        settings["objective"] = Weighted(growing, settings["objective"])
    return train(model, images, **settings)


def fit(
    recipe: Recipe, images: UInt8[Tensor, "image pixel"], seed: int, folder: Path, name: str
) -> dict:
    """Train one seed; keep its checkpoint, and snapshots for the curve, in `folder`."""
    generator = Generator().manual_seed(seed)
    model = build(recipe, images, generator).to(device())
    marks = sorted(
        {math.ceil(recipe.epochs * (n / SNAPSHOTS) ** 2) for n in range(1, SNAPSHOTS + 1)}
    )
    kept: list[tuple[int, float, LatentModel]] = []
    clock = Clock()

    def keep(report: Report) -> None:
        if report.history is not None and report.epoch in marks:
            seconds, now = clock.read()[0], report.epoch
            clock.pause(lambda: kept.append((now, seconds / 60, copy.deepcopy(model))))

    fit_model(recipe, model, images, generator, watch=keep)
    wall, cpu = clock.read()
    path = checkpoint.save(model, folder / f"{name}-{seed}.safetensors")
    snapshots = []
    for epoch, minutes, snapshot in kept:
        file = folder / f"{name}-{seed}-epoch-{epoch}.safetensors"
        snapshots.append((epoch, minutes, checkpoint.save(snapshot, file)))
    return {
        "seed": seed,
        "epochs": recipe.epochs,
        "minutes": wall / 60,
        "cpu_minutes": cpu / 60,
        "checkpoint": path,
        "snapshots": snapshots,
    }


def epochs_within(minutes: float, recipe: Recipe, images: Tensor) -> int:
    """How many epochs fit into so many minutes here, by the time of one twentieth of one."""
    few = images[: len(images) // 20]
    seconds = []
    for _ in range(2):  # the first one warms up
        generator = Generator().manual_seed(0)
        model = build(recipe, images, generator)
        start = time.perf_counter()
        with alone():
            fit_model(recipe, model, few, generator, epochs=1)
        seconds.append(time.perf_counter() - start)
    return max(1, int(60 * minutes / (20 * seconds[-1])))


def judged(run: dict, *numbers: int) -> dict:
    """The run's row of the results: what the judge, a process of its own, says of its file.

    `numbers` are those of the judge: samples and, if not all images get so many, how many do.
    """
    command = [*JUDGE, str(run["checkpoint"]), *map(str, numbers)]
    done = subprocess.run(command, cwd=HOME, stdout=subprocess.PIPE, text=True, check=True)
    few = binarized_test_images()[:CURVE_IMAGES]
    curve = []
    for epoch, minutes, path in run["snapshots"]:
        found = judge(str(path), few, CURVE_SAMPLES)["negative_log_likelihood"]
        curve.append([epoch, round(minutes, 3), round(found, 3)])
        path.unlink()
    row = {name: run[name] for name in ("seed", "epochs", "minutes", "cpu_minutes")}
    row |= json.loads(done.stdout)
    return rounded(row, digits=4) | {"curve": curve}


def rounded(value: object, digits: int = 3) -> object:
    """Numbers with so many digits behind the point, wherever in a row they stand."""
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, digits) for part in value]
    return round(float(value), digits) if isinstance(value, float | Tensor) else value


def summary(rows: list[dict]) -> dict:
    """Mean and standard deviation over seeds, and the longest training."""
    found: dict[str, object] = {"seeds": len(rows)}
    for name in ("negative_log_likelihood", "negative_elbo", "minutes"):
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else None
        found[name] = {
            "mean": round(statistics.mean(values), 3),
            "std": None if spread is None else round(spread, 3),
            "greatest": round(max(values), 3),
        }
    return found


def describe(recipe: Recipe) -> dict:
    """The recipe as JSON takes it."""
    return asdict(recipe) | {"objective": recipe.objective.__qualname__}


def kept_rows(path: Path, recipe: Recipe) -> list[dict]:
    """The runs that a results file holds already; SystemExit if another recipe made them."""
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    if found["recipe"] != json.loads(json.dumps(describe(recipe))):
        raise SystemExit(
            f"{path} holds runs of another recipe; without --add it is written anew, with "
            "--into FOLDER elsewhere"
        )
    return found["runs"]


def write(path: Path, content: dict) -> None:
    """Put `content` into the file as JSON, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def turns(seeds: Sequence[int], us: Team) -> list[Sequence[int]]:
    """For each turn the seeds that this process trains: one, or none if there is none left."""
    starts = range(0, len(seeds), us.size)
    return [seeds[start : start + us.size][us.rank :][:1] for start in starts]


def one_seed(recipe: Recipe, images: Tensor, seed: int, name: str, numbers: list[int]) -> dict:
    """Train one seed in this process alone, have it judged, and say so; its row of the results."""
    print(f"{name}, seed {seed}: {recipe.epochs} epochs", flush=True)
    with alone():
        run = fit(recipe, images, seed, BUILD, name)
    print(f"  seed {seed} trained in {run['minutes']:.2f} minutes; now the judge", flush=True)
    found = judged(run, *numbers)
    print(
        f"  seed {seed}: −log p(x) {found['negative_log_likelihood']:.2f}, "
        f"−ELBO {found['negative_elbo']:.2f} nats",
        flush=True,
    )
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.published", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", type=float, help="train so long instead of the recipe's epochs"
    )
    length.add_argument("--epochs", type=int, help="so many instead of the recipe's")
    parser.add_argument("--threads", type=int, help="PyTorch's threads, instead of its own choice")
    parser.add_argument("--into", type=Path, default=BUILD, help="folder for NAME.json")
    parser.add_argument(
        "--add", action="store_true", help="keep the other seeds that NAME.json already has"
    )
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of the judge, per image")
    parser.add_argument("--on", type=int, help="the number of images that get so many samples")
    parser.add_argument("--called", metavar="WORD", help="name the files NAME-WORD")
    options = parser.parse_args(arguments)
    numbers = (options.seeds, options.epochs, options.samples, options.on, options.minutes)
    if any(n is not None and n <= 0 for n in numbers):
        parser.error("expected at least one seed, one epoch, one sample and more than 0 minutes")
    if options.threads:
        torch.set_num_threads(options.threads)
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    images = data.load("mnist", "train").images
    try:
        # before anything is trained: are they what they should be?
        check_on(options.on, binarized_test_images())
    except (JudgeError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    recipe = RECIPES[options.name]
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    us = team()
    if options.minutes:
        epochs = us.from_first(lambda: epochs_within(options.minutes, recipe, images))
        recipe = replace(recipe, epochs=epochs)
    name = f"{options.name}-{options.called}" if options.called else options.name
    path = options.into / f"{name}.json"
    numbers = [options.samples, options.on] if options.on else [options.samples]
    rows = kept_rows(path, recipe) if options.add else []
    BUILD.mkdir(parents=True, exist_ok=True)
    if us.size > 1 and device().type == "cpu" and us.rank == 0:
        print(SLOWER)
    for turn in turns(range(options.first, options.first + options.seeds), us):
        found = us.gathered([one_seed(recipe, images, seed, name, numbers) for seed in turn])
        rows = sorted(
            [*(row for row in rows if row["seed"] not in map(SEED, found)), *found], key=SEED
        )
        if us.rank == 0:
            write(
                path,
                {
                    "recipe": describe(recipe),
                    "test": {"binarization_seed": BINARIZATION_SEED, "sha256": BINARIZATION_SHA256},
                    "facts": facts(),
                    "summary": summary(rows),
                    "runs": rows,
                },
            )
