"""Right and wrong KL, with and without the decoder's penalty: ten epochs each, three seeds.

`python -m benchmarks.objectives [NAME ...]` (about ten minutes a data set on two cores; mnist and
glyphs unless named) writes objectives.json, the table of notebook 5, and leaves the rows of other
data sets in it. Every model is scored by the true ELBO on the 10,000 test images, whatever it was
trained on.
"""

import json
import platform
import sys

import torch
from torch import Generator, Tensor

from vaelib import data, vae
from vaelib.binarization import threshold
from vaelib.course import results
from vaelib.course.blog_post import Penalised, wrong_elbo, wrong_kl
from vaelib.data.files import written_whole
from vaelib.elbo import elbo
from vaelib.evaluation import mean_terms
from vaelib.training import train

RESULTS = results.FOLDER / "objectives.json"
SEEDS = (0, 1, 2)
DATASETS = ("mnist", "glyphs")


VARIANTS = (
    {"kl": "right", "decoder_penalty": 0.0, "objective": elbo},
    {"kl": "right", "decoder_penalty": 0.01, "objective": elbo},
    {"kl": "wrong", "decoder_penalty": 0.0, "objective": wrong_elbo},
    {"kl": "wrong", "decoder_penalty": 0.01, "objective": wrong_elbo},
)


def measure(images: Tensor, test_images: Tensor, seed: int, variant: dict) -> dict:
    """Train one variant from one seed; its true test terms and what its own objective claims."""
    penalty, objective = variant["decoder_penalty"], variant["objective"]
    generator = Generator().manual_seed(seed)
    model = vae.dense(generator=generator)
    objective = Penalised(penalty, objective) if penalty else objective
    history = train(model, images, objective=objective, generator=generator)
    true = mean_terms(model, test_images)
    with torch.no_grad():
        posterior = model.encoder(threshold(test_images))
        claimed_kl = {"right": true.kl, "wrong": wrong_kl(posterior).mean()}[variant["kl"]]
    return {
        "kl": variant["kl"],
        "decoder_penalty": variant["decoder_penalty"],
        "seed": seed,
        "test_negative_elbo": -true.bound.item(),
        "test_log_likelihood": true.log_likelihood.item(),
        "test_kl": true.kl.item(),
        "test_kl_claimed": claimed_kl.item(),
        "test_std_median": posterior.log_std.exp().median().item(),
        "train_seconds": round(history.seconds[-1].item(), 1),
    }


def main(names: list[str]) -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    facts = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    facts |= {"python": platform.python_version(), "machine": platform.machine()}
    for name in names:
        images = data.load(name, "train").images
        test_images = data.load(name, "test").images
        rows = [row for row in rows if row["dataset"] != name]
        for seed in SEEDS:
            for variant in VARIANTS:
                row = {"dataset": name, **measure(images, test_images, seed, variant)}
                rows.append(row)
                print(json.dumps(row), flush=True)
        with written_whole(RESULTS) as partial:
            partial.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or list(DATASETS))
