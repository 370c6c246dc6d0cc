"""A small trained model for the lessons that need one before the reader has trained any."""

import sys
import warnings
from pathlib import Path

from torch import Generator

from vaelib import checkpoint, data, vae
from vaelib.checkpoint import CheckpointError
from vaelib.data.store import cache_folder
from vaelib.training import train
from vaelib.vae import VAE

EPOCHS = 3  # ten seconds in all
VERSION = 1  # counted up whenever the model would come out otherwise


def model_file(name: str) -> Path:
    """Where the cache keeps the model that was trained on the data set `name`."""
    return cache_folder() / "models" / f"{name}-{VERSION}.safetensors"


def model() -> VAE:
    """The blog post's network after three epochs on the data set that `data.load` gives.

    Trained once, in some ten seconds, and kept in the cache; never downloaded. If the cache
    cannot be written it is trained anew each time, with a warning.
    """
    train_set = data.load(split="train")
    path = model_file(train_set.name)
    try:
        return checkpoint.load(path)
    except (OSError, CheckpointError):
        pass  # absent, cut short or of another version: train it again
    generator = Generator().manual_seed(0)
    made = vae.dense(generator=generator)
    train(made, train_set.images, epochs=EPOCHS, generator=generator)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(made, path)
    except OSError as error:
        warnings.warn(f"the demonstration model cannot be kept in {path}: {error}", stacklevel=2)
    return made


if __name__ == "__main__":
    if not model_file(data.load(split="test").name).exists():
        print("Training a small model for notebook 3, once (some ten seconds) …", file=sys.stderr)
    model()
