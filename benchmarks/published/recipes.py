"""The recipes, and the published numbers that each stands beside. All that was tuned is here.

Tuned on the last 10,000 training images, having trained on the other 50,000 (tuning.py); the
numbers come from training on all 60,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vaelib.elbo import elbo
from vaelib.objectives import Objective, path_derivative


@dataclass(frozen=True)
class Figure:
    """A published number in nats on the 10,000 test images, dynamically binarized."""

    source: str
    negative_log_likelihood: float
    negative_elbo: float | None = None


@dataclass(frozen=True)
class Recipe:
    """A model and how it is trained, by Adam on dynamically binarized images.

    With one number as `latent` it is a VAE of `vaelib.vae`, with several a hierarchy of
    `vaelib.hierarchy`, whose levels have so many latents, top level first. `hidden` is the width,
    or the widths. If `convolutional`, it counts channels instead, and a hierarchy's levels are
    given as (maps, side).

    The learning rate falls to 0 along a straight line. Over the first `warm_up` of all steps, a
    share from 0 to 1, the weight of the KL grows from 0 to 1. With `pixel_odds` the output biases
    begin at the log-odds of the training images' mean: each pixel's, or all pixels' together
    where the last layer is a convolution.
    """

    about: str
    hidden: int | Sequence[int]
    latent: int | Sequence[int] | Sequence[Sequence[int]]
    activation: str
    epochs: int
    learning_rate: float
    batch_size: int = 100
    blocks: int = 0
    objective: Objective = elbo
    pixel_odds: bool = True
    convolutional: bool = False
    warm_up: float = 0.0
    published: Sequence[Figure] = field(default=())


DAVIDSON = "Davidson et al. 2018 (S-VAE), table 1"
BURDA = "Burda, Grosse & Salakhutdinov 2016 (IWAE), table 1"

ONE_LAYER = [
    Figure(f"{BURDA}: VAE, 784-200-200-50, 3,280 epochs", 86.76),
    Figure(f"{BURDA}: IWAE, k = 50", 84.78),
]
TWO_LAYERS = [
    Figure(f"{BURDA}: VAE, two stochastic layers", 85.33),
    Figure(f"{BURDA}: IWAE, two stochastic layers, k = 50", 82.90),
]


def residual(about: str, latent: int, epochs: int, published: Sequence[Figure]) -> Recipe:
    """A VAE with two residual blocks, 300 wide, each way."""
    return Recipe(
        about,
        hidden=300,
        blocks=2,
        latent=latent,
        activation="silu",
        epochs=epochs,
        learning_rate=2e-3,
        objective=path_derivative,
        published=published,
    )


RECIPES = {
    "latent-5": residual(
        "five latent dimensions", 5, 20, [Figure(f"{DAVIDSON}: 784-256-128-5", 110.21, 112.98)]
    ),
    "latent-20": residual(
        "twenty latent dimensions", 20, 20, [Figure(f"{DAVIDSON}: 784-256-128-20", 88.90, 94.79)]
    ),
    "latent-50": residual("fifty latent dimensions", 50, 20, ONE_LAYER),
    "one-layer": residual("one stochastic layer, any network", 50, 52, ONE_LAYER),
    "iwae-network": Recipe(
        "the IWAE paper's own network, in the time of one-layer",
        hidden=[200, 200],
        latent=50,
        activation="tanh",
        epochs=100,
        learning_rate=2e-3,
        objective=path_derivative,
        published=ONE_LAYER[:1],
    ),
    "conv-one-layer": Recipe(
        "one stochastic layer, convolution",
        convolutional=True,
        hidden=[16, 32],
        latent=50,
        activation="silu",
        epochs=6,
        learning_rate=2e-3,
        objective=path_derivative,
        published=ONE_LAYER,
    ),
    "two-level": Recipe(
        "two levels of latents",
        hidden=128,
        blocks=3,
        latent=[20, 50],
        activation="silu",
        epochs=96,
        learning_rate=3e-3,
        batch_size=200,
        warm_up=0.1,
        published=TWO_LAYERS,
    ),
    "conv-two-level": Recipe(
        "two levels of latents, convolution",
        convolutional=True,
        hidden=32,
        blocks=1,
        latent=[[20, 1], [2, 7]],
        activation="silu",
        epochs=6,
        learning_rate=2e-3,
        warm_up=0.1,
        published=TWO_LAYERS,
    ),
}
