"""Small trained models for the lessons: one that is kept, and others that take seconds to train."""

import sys
import warnings
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib import checkpoint, data, vae
from vaelib.checkpoint import CheckpointError
from vaelib.data.store import cache_folder
from vaelib.elbo import elbo, log_mean_exp
from vaelib.evaluation import draw_log_weights, fit_posterior
from vaelib.objectives import Objective
from vaelib.schedule import ToZero
from vaelib.training import train
from vaelib.vae import VAE

EPOCHS = 3  # ten seconds in all
VERSION = 1  # counted up whenever the model would come out otherwise


def model_file(name: str) -> Path:
    """Where the cache keeps the model that was trained on the data set `name`."""
    return cache_folder() / "models" / f"{name}-{VERSION}.safetensors"


def model(name: str | None = None) -> VAE:
    """The blog post's network after three epochs on the data set that `data.load(name)` gives.

    Trained once, in some ten seconds, and kept in the cache; never downloaded. If the cache
    cannot be written it is trained anew each time, with a warning.
    """
    train_set = data.load(name, "train")
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


def quick_vae(
    images: UInt8[Tensor, "image pixel"],
    objective: Objective = elbo,
    *,
    latent: int = 20,
    blocks: int = 0,
    learning_rate: float = 8e-3,
    epochs: int = 4,
    seed: int = 0,
) -> VAE:
    """A VAE with 200 hidden units, trained in seconds on the first 10,000 images, by threshold.

    Good enough to compare with others of its kind. The learning rate falls linearly to 0.
    """
    generator = Generator().manual_seed(seed)
    model = vae.dense(
        hidden=200, latent=latent, blocks=blocks, activation="silu", generator=generator
    )
    settings = {"objective": objective, "learning_rate": ToZero(learning_rate), "epochs": epochs}
    train(model, images[:10_000], generator=generator, **settings)
    return model


def fitted_log_evidence(
    model: VAE, image: Float[Tensor, "batch pixel"], *, samples: int = 1000
) -> Float[Tensor, " batch"]:
    """An estimate of log p(x) in nats that does not depend on how good the encoder is.

    Each image's weights are drawn from a Gaussian that is fitted to this image.
    """
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        start = model.encoder(image)
    settings = {"steps": 150, "samples": 10, "learning_rate": 0.05}
    fitted = fit_posterior(model, image, start, generator=generator, **settings)
    weights = draw_log_weights(model, image, fitted, samples=samples, generator=generator)
    return log_mean_exp(weights)


if __name__ == "__main__":
    if not model_file(data.load(split="test").name).exists():
        print("Training a small model for notebook 3, once (some ten seconds) …", file=sys.stderr)
    model()
