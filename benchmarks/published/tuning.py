"""Try a change to a recipe on a validation split: `python -m benchmarks.published.tuning NAME`.

`python -m benchmarks.published.tuning one-layer activation=tanh epochs=20 objective=elbo` trains
the recipe, so changed, on the first 50,000 training images and scores it on 2,000 of the other
10,000 under one dynamic draw, with 200 importance samples. Adds a line to
build/published/tuning.jsonl. Test images are not read.

Two levers are no part of any recipe: `--average D`, the weights' exponential moving average with
decay D, taken after every step, is scored; `--constant-rate`, the learning rate does not fall.
"""

import argparse
import json
from dataclasses import fields, replace

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.published.recipes import RECIPES, Recipe
from benchmarks.published.reproduce import BUILD, Clock, build, describe, fit_model
from vaelib import data
from vaelib.binarization import freeze
from vaelib.elbo import elbo
from vaelib.evaluation import estimate, level_rates
from vaelib.objectives import path_derivative

TRAINING, VALIDATION, SAMPLES = 50_000, 2000, 200
OBJECTIVES = {"elbo": elbo, "path_derivative": path_derivative}


def changed(recipe: Recipe, changes: list[str]) -> Recipe:
    """`recipe` with `changes` such as "epochs=20" or "hidden=[300, 300]".

    Raises ValueError for a change that is none, or of something that no recipe has.
    """
    values: dict[str, object] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in {field.name for field in fields(Recipe)}:
            known = ", ".join(field.name for field in fields(Recipe))
            raise ValueError(f"expected changes like epochs=20, got {change!r}; there is {known}")
        if name == "objective" and text not in OBJECTIVES:
            raise ValueError(f"no objective is called {text!r}; there is {', '.join(OBJECTIVES)}")
        values[name] = OBJECTIVES[text] if name == "objective" else _value(text)
    return replace(recipe, **values)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def validate(
    recipe: Recipe,
    images: UInt8[Tensor, "image pixel"],
    seed: int = 0,
    *,
    average: float = 0.0,
    constant_rate: bool = False,
) -> dict:
    """Scores of the recipe on images that it was not trained on, in nats, and its minutes."""
    images, held_out = images[:TRAINING], images[TRAINING:][:VALIDATION]
    generator = Generator().manual_seed(seed)
    model = build(recipe, images, generator)
    settings: dict[str, object] = {"learning_rate": recipe.learning_rate} if constant_rate else {}
    scored = model
    if average:
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average))
        settings["watch"] = lambda report: averaged.update_parameters(model)
        scored = averaged.module
    clock = Clock()
    fit_model(recipe, model, images, generator, **settings)
    wall, cpu = clock.read()
    binary = freeze(held_out, Generator().manual_seed(0))
    found = estimate(scored, binary, protocol="static", samples=SAMPLES)
    levels = level_rates(scored, binary, protocol="static")
    return {
        "negative_log_likelihood": round(-found.log_evidence.mean().item(), 3),
        "negative_elbo": round(-found.elbo.mean().item(), 3),
        "levels": [round(nats, 2) for nats in levels.tolist()],
        "minutes": round(wall / 60, 2),
        "cpu_minutes": round(cpu / 60, 2),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.published.tuning", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("changes", nargs="*", help="such as epochs=20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--average", type=float, default=0.0, metavar="D", help="evaluate averaged weights"
    )
    parser.add_argument("--constant-rate", action="store_true", help="instead of falling to 0")
    parser.add_argument("--threads", type=int, help="PyTorch's threads, instead of its own choice")
    options = parser.parse_intermixed_args(arguments)
    if not 0 <= options.average < 1:
        parser.error("expected a decay from 0 up to below 1")
    levers = {"average": options.average, "constant_rate": options.constant_rate}
    try:
        recipe = changed(RECIPES[options.name], options.changes)
    except ValueError as error:
        parser.error(str(error))
    if options.threads:
        torch.set_num_threads(options.threads)
    found = validate(recipe, data.load("mnist", "train").images, options.seed, **levers)
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "tuning.jsonl").open("a") as lines:
        tried = {"recipe": describe(recipe), "seed": options.seed} | levers | found
        lines.write(json.dumps(tried) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
