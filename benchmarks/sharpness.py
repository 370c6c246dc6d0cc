"""Blur and the quality of samples: `python -m benchmarks.sharpness [--names NAME ...]`.

Reads the checkpoints that `python -m benchmarks.published NAME` left in build/published, with the
results of that name, and writes sharpness.json, from which the notebook on hierarchies prints.
A run that is in the file already, with the same checkpoint, is not measured again; the file is
written after each. In minutes of processor time, a run takes about one, and up to one more for the
codec on a row's first seed; besides the names of results there are "reference" (one, with the
training of the judge) and "fewer" (about ten). Without --names, all are
measured whose checkpoints exist.

The form of the file, with `look` for {"confidence", "classes", "precision", "recall"}::

    {"facts": {...},
     "rows": [{"name", "about", "latents": [of each level, top first], "bits_per_pixel": or null,
               "runs": [{"seed", "epochs", "minutes", "samples",
                         "negative_log_likelihood", "negative_elbo",
                         "levels": [nats of each level, top first],
                         "undecided": {"reconstructions", "samples"},
                         look of samples..., "reconstructions": look,
                         "aggregate": look and "undecided",
                         "curve": [[epoch, minutes, -log p(x)], ...], "checkpoint"}]}],
     "reference": {"judge": {"accuracy", "seconds"}, "training_images": look,
                   "test_images": look},
     "fewer": [{"equal": "epochs" or "minutes", "network": "dense" or "convolutional", "seed",
                "epochs", "minutes", "negative_log_likelihood", "negative_elbo"}]}

- Minutes are those of processor time. −log p(x), −ELBO, the curve and minutes are copied from the
  published results.
- **Undecided** pixels of an image have 0.1 < π < 0.9. Those of reconstructions are averaged over
  the first 1,000 test images under the judge's draw, those of samples over 10,000 mean images.
- **Look**: what the judge of samples, a classifier, makes of 10,000 binary images. `classes` is
  how many equally frequent classes would have the entropy of its predictions. Precision and
  recall compare with 10,000 training images; `training_images` are 10,000 others. The judge was
  trained on all of these, so `test_images` are what new images at their best look like.
- **Reconstructions** are those of all 10,000 test images. **Aggregate**: the top level's latents
  come from q(z|x) of the 10,000 other training images, and those below from their priors. So the
  top level's prior does not matter.
- **Fewer**: latent-50 and conv-one-layer trained on 2,000 images; nats on the first 1,000 test
  images with 200 samples. The convolutional runs stand in both comparisons.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from benchmarks.published.judge import binarized_test_images
from benchmarks.published.recipes import RECIPES, Recipe
from benchmarks.published.reproduce import BUILD, Clock, build, fit_model, rounded, write
from benchmarks.timing import facts
from vaelib import archive, checkpoint, data
from vaelib.binarization import dynamic, threshold
from vaelib.compression import Codec
from vaelib.course import results
from vaelib.data.files import load_tensors, save_tensors
from vaelib.encoder import reparameterize
from vaelib.evaluation import estimate, level_rates
from vaelib.sampling import Samples, reconstruct, sample, sample_prior
from vaelib.sharpness import (
    Judge,
    features,
    opinion,
    overlap,
    probabilities,
    train_judge,
    undecided,
)
from vaelib.vae import LatentModel, evaluating

RESULTS = results.FOLDER / "sharpness.json"
JUDGE = BUILD.parent / "sharpness" / "judge.safetensors"
NAMES = (
    "latent-5-again",
    "latent-20",
    "latent-50-shorter",
    "latent-50",
    "conv-one-layer",
    "one-layer",
    "conv-two-level",
    "two-level",
    "two-level-longer",
)
COUNT, FEW, AT_ONCE = 10_000, 1000, 1000
FEWER, EPOCHS, SEEDS = 2000, 30, (0, 1, 2)
Binary = Float[Tensor, "image pixel"]
Row = dict[str, object]


class Scene:
    """What every model is compared with: test images, two sets of training images, and a judge.

    All are made from seeds, so that they are the same for every model.
    """

    seconds: float  # that training the judge took

    def __init__(self) -> None:
        self.train, self.test = data.load("mnist", "train"), data.load("mnist", "test")
        self.binarized = binarized_test_images()
        generator = Generator().manual_seed(0)
        chosen = torch.randperm(len(self.train.images), generator=generator)[: 2 * COUNT]
        images = dynamic(self.train.images[chosen], generator)
        self.real, self.others = images.chunk(2)

    @cached_property
    def judge(self) -> Judge:
        """The judge of samples: trained once, from seed 0, and kept."""
        if not JUDGE.exists():
            begin, generator = time.perf_counter(), Generator().manual_seed(0)
            made = train_judge(self.train.images, self.train.labels, generator=generator)
            seconds = f"{time.perf_counter() - begin:.1f}"
            save_tensors(JUDGE, made.state_dict(), format="judge", seconds=seconds)
        weights, about = load_tensors(JUDGE, "judge")
        judge = Judge()
        judge.load_state_dict(weights)
        self.seconds = float(about["seconds"])
        return judge

    @cached_property
    def features(self) -> Tensor:
        """Those of the training images that samples are compared with."""
        return features(self.judge, self.real)

    def look(self, images: Binary) -> Row:
        """What the judge makes of binary images."""
        found = opinion(self.judge, images)
        precision, recall = overlap(self.features, features(self.judge, images))
        look = {"confidence": found.confidence, "classes": found.classes}
        return look | {"precision": precision, "recall": recall}

    def reference(self) -> Row:
        """The judge itself, and what it makes of real images."""
        test = threshold(self.binarized)
        right = probabilities(self.judge, test).argmax(1) == self.test.labels
        return {
            "judge": {"accuracy": right.double().mean().item(), "seconds": self.seconds},
            "training_images": self.look(self.others),
            "test_images": self.look(test),
        }


def in_pieces(images: Binary, make: Callable[[Binary], Samples]) -> Samples:
    """What `make` makes of images, a thousand at a time."""
    parts = [make(some) for some in images.split(AT_ONCE)]
    return Samples(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def aggregate(model: LatentModel, images: Binary, generator: Generator) -> Samples:
    """Samples whose top level comes from q(z|x) of the images, and the levels below from priors."""
    noise = torch.randn(len(images), model.latent, generator=generator)
    with evaluating(model):
        (top, *_), _ = model.infer(images, noise)
        latents, above = [top.latent], model.descend([], top.latent)
        for part in noise.split(model.sizes, 1)[1:]:
            latents.append(reparameterize(model.prior(above), part))
            above = model.descend(above, latents[-1])
    uniform = torch.rand(images.shape, generator=generator)
    return sample(model, torch.cat(latents, 1), uniform)


def of_samples(model: LatentModel, scene: Scene) -> Row:
    """Undecided pixels of reconstructions and samples, and the look of samples."""
    generator = Generator().manual_seed(1)
    some = threshold(scene.binarized[:FEW])
    again = in_pieces(some, lambda x: reconstruct(model, x, generator=generator))
    made = in_pieces(scene.real, lambda x: sample_prior(model, len(x), generator=generator))
    pixels = {"reconstructions": again, "samples": made}
    blur = {name: undecided(found.mean).mean() for name, found in pixels.items()}
    return {"undecided": blur} | scene.look(made.image)


def measure(model: LatentModel, scene: Scene) -> Row:
    """One run's measures that need the model; the others come from its published results."""
    found, generator = of_samples(model, scene), Generator().manual_seed(2)
    test = threshold(scene.binarized)
    again = in_pieces(test, lambda x: reconstruct(model, x, generator=generator))
    mixed = in_pieces(scene.others, lambda x: aggregate(model, x, generator))
    blur = {"undecided": undecided(mixed.mean).mean()}
    return found | {
        "reconstructions": scene.look(again.image),
        "aggregate": blur | scene.look(mixed.image),
    }


def bits_per_pixel(model: LatentModel, images: UInt8[Tensor, "image pixel"]) -> float:
    """Of a file that holds the images and everything but the weights."""
    made = archive.compress(Codec(model), images)
    return 8 * len(made) / images.numel()


def published(name: str) -> dict | None:
    """The results of `python -m benchmarks.published`: those beside the checkpoints come first."""
    for folder in (BUILD, results.FOLDER / "published"):
        if (folder / f"{name}.json").exists():
            return json.loads((folder / f"{name}.json").read_text())
    return None


def checkpoint_of(name: str, seed: int) -> Path:
    return BUILD / f"{name}-{seed}.safetensors"


def copied(run: dict) -> Row:
    """What stands in the published results of a run; its curve by minutes of the processor."""
    names = ("seed", "epochs", "samples", "negative_log_likelihood", "negative_elbo")
    busy = run["cpu_minutes"] / run["minutes"]
    curve = [[epoch, minutes * busy, nats] for epoch, minutes, nats in run["curve"]]
    found = {name: run[name] for name in names}
    return found | {"minutes": run["cpu_minutes"], "curve": curve}


def add_runs(
    name: str, file: dict, scene: Scene, keep: Callable[[], None], *, again: bool = False
) -> None:
    """Bring the row of this name up to date, and keep the file after each run."""
    source, rows = published(name), {row["name"]: row for row in file.get("rows", [])}
    row = {"name": name, "about": source["recipe"]["about"], "bits_per_pixel": None}
    old = rows.get(name, {"runs": []})
    known = {} if again or made_up(old) else {run["checkpoint"]: run for run in old["runs"]}
    runs = []
    for run in source["runs"]:
        path = checkpoint_of(name, run["seed"])
        digest, model = hashlib.sha256(path.read_bytes()).hexdigest()[:16], checkpoint.load(path)
        measured = known.get(digest) or measure(model, scene)
        levels = run.get("levels") or level_rates(model, scene.binarized, protocol="static")
        found = measured | copied(run) | {"levels": list(levels), "checkpoint": digest}
        if not runs:  # the first run's
            same = known and digest == old["runs"][0]["checkpoint"]
            bits = old["bits_per_pixel"] if same else bits_per_pixel(model, scene.binarized)
            row["bits_per_pixel"] = round(bits, 4)
        runs.append(rounded(found))
        rows[name] = row | {"latents": list(model.sizes), "runs": runs}
        file["rows"] = [rows[one] for one in NAMES if one in rows]
        keep()
        print(name, json.dumps(runs[-1] | {"curve": "..."}), flush=True)


def nats(model: LatentModel, images: UInt8[Tensor, "image pixel"], samples: int) -> Row:
    found = estimate(model, images, protocol="static", samples=samples)
    return {
        "negative_log_likelihood": -found.log_evidence.mean().item(),
        "negative_elbo": -found.elbo.mean().item(),
    }


def trained(recipe: Recipe, images: UInt8[Tensor, "image pixel"], seed: int) -> tuple:
    """A model by this recipe, and its minutes of processor time."""
    generator = Generator().manual_seed(seed)
    model = build(recipe, images, generator)
    clock = Clock()
    fit_model(recipe, model, images, generator)
    return model, clock.read()[1] / 60


def fewer(scene: Scene) -> list[Row]:
    """Dense against convolutional on few images, for equal epochs and for equal minutes."""
    images, test, rows = scene.train.images[:FEWER], scene.binarized[:FEW], []

    def add(equal: str, network: str, seed: int, epochs: int) -> Row:
        recipe = RECIPES["latent-50" if network == "dense" else "conv-one-layer"]
        model, minutes = trained(replace(recipe, epochs=epochs), images, seed)
        row = {"equal": equal, "network": network, "seed": seed, "epochs": epochs}
        rows.append(row | {"minutes": minutes} | nats(model, test, samples=200))
        print(json.dumps(rounded(rows[-1])), flush=True)
        return rows[-1]

    for seed in SEEDS:
        slow = add("epochs", "convolutional", seed, EPOCHS)
        quick = add("epochs", "dense", seed, EPOCHS)
        as_many = max(1, round(EPOCHS * slow["minutes"] / max(quick["minutes"], 1e-3)))
        add("minutes", "dense", seed, as_many)
        rows.append(slow | {"equal": "minutes"})
    return sorted(rows, key=lambda row: (row["equal"], row["network"], row["seed"]))


PARTS: dict[str, Callable[[Scene], object]] = {
    "reference": Scene.reference,
    "fewer": fewer,
}


def made_up(part: Row | list[Row] | None) -> bool:
    """Whether a part of the file is missing, or was never measured."""
    rows = part if isinstance(part, list) else [part]
    return not all(row and not row.get("provisional") for row in rows or [None])


def missing(name: str) -> list[str]:
    """What must be there before this name can be measured, and is not."""
    if name in PARTS:
        return []
    if (source := published(name)) is None:
        return [f"{name}.json"]
    needed = [checkpoint_of(name, run["seed"]) for run in source["runs"]]
    return [path.name for path in needed if not path.exists()]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.sharpness", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--names", nargs="+", choices=[*PARTS, *NAMES], metavar="NAME")
    parser.add_argument("--again", action="store_true", help="measure what is in the file, too")
    options = parser.parse_args(arguments)
    names = options.names or [*PARTS, *NAMES]
    lacking = {name: found for name in names if (found := missing(name))}
    for name, found in lacking.items():
        print(f"{name}: no {', '.join(found)} in {BUILD}; see python -m benchmarks.published")
    if lacking and options.names:
        parser.exit(1)
    file = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    scene = Scene()

    def keep() -> None:
        parts = {name: file[name] for name in ("rows", *PARTS) if name in file}
        unmeasured = any(map(made_up, parts.values()))
        note = {"provisional": True} if unmeasured else {}
        write(RESULTS, note | {"facts": facts()} | parts)

    for name in (name for name in names if name not in lacking):
        if name in NAMES:
            add_runs(name, file, scene, keep, again=options.again)
        elif options.again or made_up(file.get(name)):
            file[name] = rounded(PARTS[name](scene))
            keep()


if __name__ == "__main__":
    main()
