"""What the notebook on evaluation trains once, from ten seeds: the tighter bound, and the warm-up.

`python -m benchmarks.seeds [NAME ...]` (about five minutes a data set; mnist and glyphs unless
named) writes seeds.json, from which the notebook says how far its differences depend on the seed,
and leaves the rows of other data sets in it. The functions are the notebook's own, taken from it.
"""

import ast
import json
import sys
from functools import partial
from pathlib import Path

import nbformat
import torch
from torch import Tensor

from benchmarks.published.reproduce import write
from benchmarks.timing import facts
from vaelib import data
from vaelib.binarization import threshold
from vaelib.course import results
from vaelib.elbo import kl_per_dimension
from vaelib.objectives import ImportanceWeighted, Weighted
from vaelib.schedule import WarmUp

(NOTEBOOK,) = (Path(__file__).parent.parent / "notebooks").glob("*_evaluation.ipynb")
RESULTS = results.FOLDER / "seeds.json"
SEEDS = range(10)
DATASETS = ("mnist", "glyphs")
IMAGES = 100  # whose posteriors are fitted
FUNCTIONS = ("log_mean_exp", "fit", "report", "by_fitted")


def functions(train: data.Dataset, test: data.Dataset) -> dict:
    """The notebook's imports and some of its functions, which work on these data sets."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    wanted = [
        part
        for part in ast.parse(code).body
        if isinstance(part, ast.Import | ast.ImportFrom)
        or (isinstance(part, ast.FunctionDef) and part.name in FUNCTIONS)
    ]
    space: dict = {"train": train, "test": test}
    exec(compile(ast.Module(wanted, []), str(NOTEBOOK), "exec"), space)
    return space


def compare_bounds(space: dict, images: Tensor, seed: int) -> dict:
    """The ELBO against the bound of five codes, step for step, in nats per test image."""
    few = threshold(images[:IMAGES])
    networks = {
        "elbo": space["fit"](seed=seed),
        "iwae": space["fit"](ImportanceWeighted(5), seed=seed),
    }
    fitted = {name: space["by_fitted"](network, few) for name, network in networks.items()}
    found: dict[str, object] = {
        name: {
            "negative_elbo": space["report"](network)["−ELBO"],
            "negative_log_likelihood": fitted[name].mean().item(),
        }
        for name, network in networks.items()
    }
    difference = fitted["elbo"] - fitted["iwae"]
    return found | {"paired_error": difference.std().item() / len(difference) ** 0.5}


def compare_warm_up(space: dict, images: Tensor, seed: int) -> dict:
    """β = 1 throughout against a KL warm-up, on the deeper network of the notebook."""
    deep = partial(space["fit"], latent=50, blocks=2, rate=3e-3, seed=seed)
    found = {}
    for name, network in {"plain": deep(), "warm_up": deep(Weighted(WarmUp(300)))}.items():
        with torch.no_grad():
            posterior = network.encoder(threshold(images[:2000]))
        carried = kl_per_dimension(posterior).mean(0)
        terms = space["report"](network)
        found[name] = {
            "dimensions": (carried > 0.1).sum().item(),
            "rate": terms["rate"],
            "negative_elbo": terms["−ELBO"],
        }
    return found


def measure(space: dict, images: Tensor, seed: int) -> dict:
    """One seed's row."""
    row = {"seed": seed} | compare_bounds(space, images, seed)
    return row | compare_warm_up(space, images, seed)


def rounded(value: object) -> object:
    """Numbers with three digits behind the point, wherever in a row they stand."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(float(value), 3) if isinstance(value, float | Tensor) else value


def main(names: list[str]) -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for name in names:
        train, test = data.load(name, "train"), data.load(name, "test")
        space = functions(train, test)
        rows = [row for row in rows if row["dataset"] != name]
        for seed in SEEDS:
            rows.append({"dataset": name} | rounded(measure(space, test.images, seed)))
            print(json.dumps(rows[-1]), flush=True)
        write(RESULTS, {"facts": facts(), "rows": rows})


if __name__ == "__main__":
    main(sys.argv[1:] or list(DATASETS))
