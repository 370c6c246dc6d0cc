"""What two notebooks train once, from ten seeds: KL warm-up (latent), a tighter bound (objectives).

`python -m benchmarks.seeds [NAME ...]` (about five minutes a data set; mnist and glyphs unless
named) writes seeds.json, from which the notebooks say how far their differences depend on the
seed, and leaves the rows of other data sets in it. The models are those of the notebooks, by
`demonstration.quick_vae`.
"""

import json
import sys
from functools import partial

import torch
from torch import Tensor

from benchmarks.published.reproduce import rounded, write
from benchmarks.timing import facts
from vaelib import data, evaluation
from vaelib.binarization import threshold
from vaelib.course import results
from vaelib.course.demonstration import fitted_log_evidence, quick_vae
from vaelib.elbo import kl_per_dimension
from vaelib.objectives import ImportanceWeighted, Weighted
from vaelib.schedule import WarmUp

RESULTS = results.FOLDER / "seeds.json"
SEEDS = range(10)
DATASETS = ("mnist", "glyphs")
IMAGES = 100  # whose posteriors are fitted


def compare_bounds(train: Tensor, test: Tensor, seed: int) -> dict:
    """The ELBO against the bound of five latents, step for step, in nats per test image."""
    few = threshold(test[:IMAGES])
    networks = {
        "elbo": quick_vae(train, seed=seed),
        "iwae": quick_vae(train, ImportanceWeighted(5), seed=seed),
    }
    fitted = {name: -fitted_log_evidence(network, few) for name, network in networks.items()}
    found: dict[str, object] = {
        name: {
            "negative_elbo": -evaluation.mean_terms(network, test[:2000]).bound,
            "negative_log_likelihood": fitted[name].mean().item(),
        }
        for name, network in networks.items()
    }
    difference = fitted["elbo"] - fitted["iwae"]
    return found | {"paired_error": difference.std().item() / len(difference) ** 0.5}


def compare_warm_up(train: Tensor, test: Tensor, seed: int) -> dict:
    """β = 1 throughout against a KL warm-up, on the deeper network of the notebook."""
    deep = partial(quick_vae, train, latent=50, blocks=2, learning_rate=3e-3, seed=seed)
    found = {}
    for name, network in {"plain": deep(), "warm_up": deep(Weighted(WarmUp(300)))}.items():
        with torch.no_grad():
            posterior = network.encoder(threshold(test[:2000]))
        carried = kl_per_dimension(posterior).mean(0)
        terms = evaluation.mean_terms(network, test[:2000])
        found[name] = {
            "dimensions": (carried > 0.1).sum().item(),
            "rate": terms.kl,
            "negative_elbo": -terms.bound,
        }
    return found


def measure(train: Tensor, test: Tensor, seed: int) -> dict:
    """One seed's row, for rows of bytes to train and to test on."""
    row = {"seed": seed} | compare_bounds(train, test, seed)
    return row | compare_warm_up(train, test, seed)


def main(names: list[str]) -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for name in names:
        train, test = data.load(name, "train"), data.load(name, "test")
        rows = [row for row in rows if row["dataset"] != name]
        for seed in SEEDS:
            rows.append({"dataset": name} | rounded(measure(train.images, test.images, seed)))
            print(json.dumps(rows[-1]), flush=True)
        write(RESULTS, {"facts": facts(), "rows": rows})


if __name__ == "__main__":
    main(sys.argv[1:] or list(DATASETS))
