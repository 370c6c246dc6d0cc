"""What the playground's pages load: the model as bytes, one script, one style sheet.

`python tools/playground.py` writes them to build/playground; tools/book.py puts them into the book.
The model is the one that the notebook on training leaves in build/output when `make run` or
`make playground` executes it. Without one, the pages have the demonstration model, and say so.
"""

import base64
import copy
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import torch
from bundle import bundle
from jaxtyping import Float, Int8
from torch import Tensor

from vaelib import checkpoint, data, evaluation, vae
from vaelib.binarization import threshold
from vaelib.checkpoint import CheckpointError
from vaelib.course import demonstration
from vaelib.data import loading
from vaelib.elbo import kl_per_dimension
from vaelib.vae import VAE

HOME = Path(__file__).resolve().parent.parent
BUILD = HOME / "build" / "playground"
OUTPUT = HOME / "build" / "output"  # of notebooks that tools/notebooks.py has run
SOURCE = HOME / "book" / "playground" / "source"
EXPLORERS = HOME / "vaelib" / "course" / "explorers"  # the sketch pad and the map to point at
EPOCHS = 10  # of the notebook on training
DIGITS, POINTS, COSTS = 100, 2000, 1001  # test digits to choose from, on the map, and quantiles


class Source(NamedTuple):
    """A trained model, the name of its data set, and the epochs that it was trained for."""

    model: VAE
    dataset: str
    epochs: int

    @property
    def of_the_notebook(self) -> bool:
        """Whether it is the model of the notebook on training."""
        return (self.dataset, self.epochs) == ("mnist", EPOCHS)


def source(folder: Path = OUTPUT) -> Source:
    """The notebook's model if a folder has one; otherwise the demonstration model.

    The notebook's model counts if it was trained on MNIST, has the layers of `vae.dense()`, can be
    read, and MNIST is available. The demonstration model is trained in seconds and kept in the
    cache; without MNIST, it is one of glyphs.
    """
    try:
        trained_on = json.loads((folder / "result.json").read_text(encoding="utf-8"))["dataset"]
        model = checkpoint.load(folder / "vae.safetensors")
    except (OSError, ValueError, KeyError, TypeError, CheckpointError):
        trained_on = model = None
    here = "mnist" if loading.choose().name == "mnist" else "glyphs"
    if trained_on == here == "mnist" and repr(model) == repr(vae.dense()):
        return Source(model, "mnist", EPOCHS)
    return Source(demonstration.model(here), here, demonstration.EPOCHS)


class Rounded(NamedTuple):
    """A matrix as whole numbers from −127 to 127, and the unit that they count."""

    whole: Int8[Tensor, "row column"]
    unit: Float[Tensor, " 1"]

    @property
    def matrix(self) -> Float[Tensor, "row column"]:
        """The matrix that the whole numbers stand for."""
        return self.whole * self.unit


def rounded(matrix: Float[Tensor, "row column"]) -> Rounded:
    """The nearest matrix of whole numbers; the largest is 127 or −127, and most are small."""
    unit = matrix.abs().max()[None] / 127
    return Rounded((matrix / unit).round().to(torch.int8), unit)


@torch.no_grad()
def in_bytes(model: VAE) -> tuple[VAE, dict[str, Tensor]]:
    """The model with its two large matrices rounded, and the arrays that it is made of.

    The encoder's matrix has a row per pixel, because an image adds up the rows of its ink.
    """
    made = copy.deepcopy(model)
    inner, outer = made.encoder.hidden[0], made.decoder.logits
    ink, pixels = rounded(inner.weight.T.contiguous()), rounded(outer.weight)
    inner.weight.copy_(ink.matrix.T)
    outer.weight.copy_(pixels.matrix)
    first = made.decoder.hidden[0]
    arrays = {
        "inkUnit": ink.unit,
        "inkBias": inner.bias,
        "mean": made.encoder.mean.weight,
        "meanBias": made.encoder.mean.bias,
        "logStd": made.encoder.log_std.weight,
        "logStdBias": made.encoder.log_std.bias,
        "latent": first.weight,
        "latentBias": first.bias,
        "pixelUnit": pixels.unit,
        "pixelBias": outer.bias,
        "ink": ink.whole,
        "pixel": pixels.whole,
    }
    return made, arrays


@torch.no_grad()
def export(found: Source) -> tuple[dict[str, object], dict[str, Tensor]]:
    """What the pages say about a model, and the arrays that they compute with."""
    test = data.load(found.dataset, "test")
    model, arrays = in_bytes(found.model)
    before, after = (-evaluation.evaluate(each, test.images).bound for each in (found.model, model))
    q = model.encoder(threshold(test.images))
    by_latent = kl_per_dimension(q).mean(0)
    codes = rounded(q.mean[:POINTS].T.contiguous())
    arrays |= {
        "codeUnit": codes.unit,
        "costs": after.quantile(torch.linspace(0, 1, COSTS)),
        "codes": codes.whole,
        "codeLabels": test.labels[:POINTS],
        "digits": test.images[:DIGITS],
        "digitLabels": test.labels[:DIGITS],
    }
    about = {
        "dataset": found.dataset,
        "epochs": found.epochs,
        "ofNotebook": found.of_the_notebook,
        "tests": len(test.images),
        "cost": round(after.mean().item(), 2),
        "roundingCosts": round((after - before).mean().item(), 3),
        "axes": by_latent.topk(2).indices.tolist(),
    }
    return about, arrays


def packed(about: dict[str, object], arrays: dict[str, Tensor]) -> str:
    """A script that defines `VAELIB_MODEL`: the arrays one after another, deflated, in base64.

    Those of four bytes per number come first, so that each begins where a browser can read it.
    """
    order = sorted(arrays, key=lambda name: -arrays[name].element_size())
    contents = [arrays[name].detach().contiguous().numpy().tobytes() for name in order]
    described = [
        [name, str(arrays[name].dtype).removeprefix("torch."), list(arrays[name].shape)]
        for name in order
    ]
    text = base64.b64encode(zlib.compress(b"".join(contents), 9)).decode()
    model = about | {"arrays": described, "deflated": text}
    return f"globalThis.VAELIB_MODEL = {json.dumps(model)};\n"


def script() -> str:
    """The pages' script, with the sketch pad and the map of the notebooks' explorers."""
    return bundle(SOURCE / "playground.js", [SOURCE, EXPLORERS])


def styles() -> str:
    """The pages' style sheet, and those of the sketch pad and the map."""
    sheets = [EXPLORERS / "sketch.css", EXPLORERS / "pad.css", SOURCE / "playground.css"]
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


def write(into: Path) -> None:
    """Write the pages' files into a folder, and say so if the model is not the notebook's."""
    into.mkdir(parents=True, exist_ok=True)
    found = source()
    if not found.of_the_notebook:
        why = (
            "build/output has no usable model of notebook 5 on MNIST. Run `make playground` (about "
            "a minute), then build again."
            if found.dataset == "mnist"
            else "MNIST is not available, or VAELIB_DATASET chose another data set."
        )
        print(f"The playground has a model trained for {found.epochs} epochs: {why}", flush=True)
    model = packed(*export(found))
    files = {"model.js": model, "playground.js": script(), "playground.css": styles()}
    for name, text in files.items():
        (into / name).write_text(text, encoding="utf-8")


def main() -> None:
    write(BUILD)
    for path in sorted(BUILD.glob("*.*s")):
        print(f"{path.relative_to(HOME)}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
