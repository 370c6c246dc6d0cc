"""Evaluate as the literature does: `python -m benchmarks.published.judge FILE [SAMPLES [ON]]`.

Sees the checkpoint FILE and the test images, nothing else of the run that made it. Prints JSON:
−log p(x) by 5,000 importance samples per image (or SAMPLES), −ELBO and the KL of each level in
nats per image, over all 10,000 test images under one fixed draw of the dynamic binarization.

For convolutional models, 5,000 samples take hours. With ON, every image gets 200 samples, and only
ON images, at equal distances, get all. What the additional samples change on these corrects the
mean of −log p(x) over all images; the result has the standard error of this correction. −ELBO is
then that of 200 samples.
"""

import hashlib
import json
import math
import sys

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor
from torch.hub import tqdm

from vaelib import checkpoint, data, evaluation
from vaelib.binarization import freeze, threshold
from vaelib.evaluation import Estimate, paired_difference
from vaelib.latent import active_units
from vaelib.vae import LatentModel

SAMPLES, FEW = 5000, 200
BINARIZATION_SEED = 20160501
BINARIZATION_SHA256 = "9e5b8035462016817da6af1bf6af6283f0adf8180547010223e9f653c3d5d884"


class JudgeError(RuntimeError):
    """The test images differ from those that all results were measured on."""


def binarized_test_images(seed: int = BINARIZATION_SEED) -> UInt8[Tensor, "image pixel"]:
    """MNIST's 10,000 test images, their pixels drawn once from `seed`; bytes 0 and 255.

    Raises `JudgeError` if they are not, bit for bit, those that all results were measured on.
    """
    images = freeze(data.load("mnist", "test").images, Generator().manual_seed(seed))
    found = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    if found != BINARIZATION_SHA256:
        raise JudgeError(
            f"the binarized test images have SHA-256 {found}, expected {BINARIZATION_SHA256}: "
            "another seed, other images, or a PyTorch that draws other numbers. Scores on them "
            "could not be compared with the committed ones to the last digit"
        )
    return images


def judge(
    path: str, images: UInt8[Tensor, "image pixel"], samples: int = SAMPLES, on: int | None = None
) -> dict:
    """The estimates for the checkpoint at `path` on these images, in nats per image, with errors.

    `error` is the standard error over images: how far another test set of this size would lie. It
    does not include that of a correction. `on` is the number of images that get all `samples`, if
    not all do; see `correction`. Raises what `check_on` raises.
    """
    check_on(on, images)
    model = checkpoint.load(path)
    found = measured(model, images, samples if on is None else FEW)
    corrected = correction(model, images, found, samples, on) if on is not None else {}
    levels = evaluation.level_rates(model, images, protocol="static")
    active = active_units_of(model, images)
    return {
        "protocol": "dynamic, one fixed draw",
        "images": len(images),
        "samples": samples,
        "negative_log_likelihood": corrected.get("mean", 0) - found.log_evidence.mean().item(),
        "negative_elbo": -found.elbo.mean().item(),
        "error": found.log_evidence.std().item() / math.sqrt(len(images)),
        "levels": levels.tolist(),
        "active_units": sum(active),
        "active_units_of_levels": active,
    } | ({"correction": corrected} if corrected else {})


def check_on(on: int | None, images: Tensor) -> None:
    """Raise ValueError unless `on` is None, or divides the number of images and is at least 2."""
    if on is not None and (not 2 <= on <= len(images) or len(images) % on):
        raise ValueError(f"expected a divisor of {len(images)} that is at least 2, got {on}")


def measured(model: LatentModel, images: UInt8[Tensor, "image pixel"], samples: int) -> Estimate:
    """ELBO and estimate of log p(x) of each image, with a progress bar: this takes minutes."""
    with tqdm(total=len(images), unit="image") as bar:
        given = dict(protocol="static", samples=samples, watch=bar.update)
        return evaluation.estimate(model, images, **given)


def correction(
    model: LatentModel, images: UInt8[Tensor, "image pixel"], few: Estimate, samples: int, on: int
) -> dict:
    """The mean of −log p(x) by `samples`, minus that by the samples of `few`, on `on` images.

    Added to the mean over all images, it estimates what `samples` for each of them would give (a
    control variate): the difference varies much less between images than log p(x) itself. `error`
    is its standard error.
    """
    every = slice(None, None, len(images) // on)
    many = measured(model, images[every], samples)
    mean, error = paired_difference(few.log_evidence[every], many.log_evidence)
    return {"images": on, "few": few.samples, "mean": mean.item(), "error": error.item()}


@torch.no_grad()
def active_units_of(model: LatentModel, images: UInt8[Tensor, "image pixel"]) -> list[int]:
    """How many units of each level are active, top level first.

    The mean of a level's q is computed with the means of the levels above as their latents.
    """
    means = []
    for some in images.split(1000):
        levels, _ = model.infer(threshold(some), torch.zeros(len(some), model.latent))
        means.append([level.posterior.mean for level in levels])
    return [active_units(torch.cat(level)).sum().item() for level in zip(*means, strict=True)]


def main(arguments: list[str]) -> None:
    """Print what `judge` finds for FILE, by SAMPLES importance samples ON images if given."""
    path, *numbers = arguments
    print(json.dumps(judge(path, binarized_test_images(), *map(int, numbers))))


if __name__ == "__main__":
    main(sys.argv[1:])
