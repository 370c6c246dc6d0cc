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
    """A dense VAE and how it is trained, by Adam on dynamically binarized images.

    The learning rate falls to 0 along a straight line. With `pixel_odds` the decoder's output
    biases begin at the log-odds of the training images' mean.
    """

    about: str
    hidden: int | Sequence[int]
    latent: int
    activation: str
    epochs: int
    learning_rate: float
    batch_size: int = 100
    blocks: int = 0
    objective: Objective = elbo
    pixel_odds: bool = True
    published: Sequence[Figure] = field(default=())


DAVIDSON = "Davidson et al. 2018 (S-VAE), table 1"
BURDA = "Burda, Grosse & Salakhutdinov 2016 (IWAE), table 1"

RECIPES = {
    "latent-5": Recipe(
        "five latent dimensions",
        hidden=300,
        blocks=2,
        latent=5,
        activation="silu",
        epochs=20,
        learning_rate=2e-3,
        objective=path_derivative,
        published=[Figure(f"{DAVIDSON}: 784-256-128-5", 110.21, 112.98)],
    ),
    "one-layer": Recipe(
        "one stochastic layer, any network",
        hidden=300,
        blocks=2,
        latent=50,
        activation="silu",
        epochs=52,
        learning_rate=2e-3,
        objective=path_derivative,
        published=[
            Figure(f"{BURDA}: VAE, 784-200-200-50, 3,280 epochs", 86.76),
            Figure(f"{BURDA}: IWAE, k = 50", 84.78),
        ],
    ),
    "iwae-network": Recipe(
        "the IWAE paper's own network, in the time of one-layer",
        hidden=[200, 200],
        latent=50,
        activation="tanh",
        epochs=100,
        learning_rate=2e-3,
        objective=path_derivative,
        published=[Figure(f"{BURDA}: VAE, 784-200-200-50, 3,280 epochs", 86.76)],
    ),
}
