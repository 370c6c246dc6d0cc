"""A small trained model for the lessons that need one before the reader has trained any."""

import sys
import warnings
from pathlib import Path

from torch import Generator

from vaelib import checkpoint, datasets, sources, vae
from vaelib.checkpoint import CheckpointError
from vaelib.training import train
from vaelib.vae import VAE

EPOCHS = 3  # of ten seconds in all
RECIPE = 1  # counted up whenever a model would come out otherwise


def model() -> VAE:
    """The blog post's network after three epochs on the data set that `datasets.load` gives.

    Trained once, in some ten seconds, and kept in the cache; never downloaded. If the cache
    cannot be written it is trained anew each time, with a warning.
    """
    data = datasets.load(split="train")
    path = place(data.name)
    try:
        return checkpoint.load(path)
    except (OSError, CheckpointError):
        pass  # absent, cut short or of another version: train it again
    generator = Generator().manual_seed(0)
    made = vae.dense(generator=generator)
    train(made, data.images, epochs=EPOCHS, generator=generator)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(made, path)
    except OSError as error:
        warnings.warn(f"the demonstration model cannot be kept in {path}: {error}", stacklevel=2)
    return made


def place(dataset: str) -> Path:
    """The file in the cache that holds the model of a data set."""
    return sources.cache_folder() / "models" / f"{dataset}-{RECIPE}.safetensors"


if __name__ == "__main__":
    if not place(datasets.load(split="test").name).exists():
        print("Training a small model for notebook 3, once (some ten seconds) …", file=sys.stderr)
    model()
