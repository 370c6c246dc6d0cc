"""Explorer on the latent: what each weight β on the KL buys, for one digit and for new images."""

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from ipywidgets import SelectionSlider
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import threshold
from vaelib.course import plotting
from vaelib.course.explorers.decoding import posterior_of
from vaelib.course.explorers.plane import Plane, tidy
from vaelib.course.explorers.shell import (
    WIDE,
    Again,
    Digit,
    Explorer,
    Number,
    Picture,
    View,
    chooser,
    digit_row,
    panel,
)
from vaelib.elbo import kl_per_dimension
from vaelib.encoder import Gaussian, reparameterize
from vaelib.evaluation import mean_terms
from vaelib.sampling import decode
from vaelib.vae import VAE

MEASURED = 1000  # images on which each model is measured
MADE = 6  # images made from the prior, and as many from q(z)
HEIGHT = 3.7  # inches
CURVE = (3.75, 2.4, 3.3, 1.02)
BARS = (0.62, 0.46, 2.05, 1.1)
PAIR, SIDE, SMALL = 2.22, 1.14, 0.57  # inches: the pair's lower edge, and the sides of images
ROWS, LEFT = (1.05, 0.05), 3.1  # the lower edges of the rows of new images, and where they begin
STEP = 50  # nats between the lines of equal −ELBO
COLOUR = plotting.ORANGE


class Balance(NamedTuple):
    """A model trained with one β, and what it gives: nats per image, KLs from large to small."""

    beta: Number
    model: VAE
    posterior: Gaussian
    rate: float
    distortion: float
    nats: Float[Tensor, " latent"]


class Family(NamedTuple):
    """Models of one kind by their β, the binary images they were measured on, and a ground."""

    members: tuple[Balance, ...]
    digits: Float[Tensor, "image pixel"]
    ground: np.ndarray


def family(models: Mapping[Number, VAE], images: UInt8[Tensor, "image pixel"]) -> Family:
    """The models with their rate and distortion on the first thousand images, smallest β first.

    Raises ValueError for fewer than two models, and for models with different latent sizes.
    """
    if len(models) < 2 or len({model.latent for model in models.values()}) > 1:
        sizes = {beta: model.latent for beta, model in models.items()}
        raise ValueError(f"expected two or more models of the same latent size, got {sizes}")
    digits, members = threshold(images[:MEASURED]), []
    for beta, model in sorted(models.items()):
        terms = mean_terms(model, images[:MEASURED])
        posterior = posterior_of(model, digits)
        nats = kl_per_dimension(posterior).mean(0).sort(descending=True).values
        rate, distortion = terms.kl.item(), -terms.log_likelihood.item()
        members.append(Balance(beta, model, posterior, rate, distortion, nats))
    return Family(tuple(members), digits, _ground(members))


def view_balance(
    among: Family,
    *,
    beta: Number,
    digit: int,
    drawn: int = 1,
    shape: tuple[int, int] | None = None,
) -> View:
    """The model of this β: a digit and its reconstruction, the KLs, and images from p(z) and q(z).

    `drawn` is the seed of the latents. `shape` is the images' height and width; without it they
    are square. Raises ValueError for a β that no model has.
    """
    found = [member for member in among.members if member.beta == beta]
    if not found:
        betas = ", ".join(f"{member.beta:g}" for member in among.members)
        raise ValueError(f"no model has β = {beta}; there is {betas}")
    (one,) = found
    generator = Generator().manual_seed(drawn)
    noise = torch.randn(1 + 2 * MADE, one.model.latent, generator=generator)
    picked = torch.randint(len(among.digits), (1 + MADE,), generator=generator)
    picked[0] = digit
    encoded = Gaussian(*(value[picked] for value in one.posterior))
    latents = torch.cat([reparameterize(encoded, noise[: 1 + MADE]), noise[1 + MADE :]])
    images = decode(one.model, latents)

    figure = Picture(HEIGHT, ground=among.ground)
    pair = (Digit(among.digits[digit], "digit x"), Digit(images[0], "reconstruction"))
    digit_row(figure, 0.05, PAIR, SIDE, *pair, shape=shape)
    made = images[1 + MADE :], images[1 : 1 + MADE]
    for title, bottom, row in zip(
        ("z from the prior p(z)", "z from q(z)"), ROWS, made, strict=True
    ):
        figure.title(title, LEFT, bottom + SMALL + 0.08)
        digit_row(figure, LEFT, bottom, SMALL, *map(Digit, row), shape=shape)
    most, largest = _limits(among.members)
    plane = Plane(figure, CURVE, xlim=(0, most[0]), ylim=(0, most[1]))
    plane.mark(one.rate, one.distortion, "o", color=COLOUR, mec="white", ms=11)
    figure.title(f"β = {beta:g}", CURVE[0], HEIGHT - 0.18)
    bars = Plane(figure, BARS, xlim=(0.4, len(one.nats) + 0.6), ylim=(0, largest))
    place, none = np.arange(1, len(one.nats) + 1), np.zeros(len(one.nats))
    edges = np.stack([place - 0.4, place - 0.4, place + 0.4, place + 0.4], 1).ravel()
    tops = np.stack([none, one.nats.numpy(), one.nats.numpy(), none], 1).ravel()
    bars.area(edges, tops, fc=COLOUR, ec="none")
    return View(figure, _told(one))


def _told(one: Balance) -> str:
    used = (one.nats > 0.1).sum().item()
    total = one.rate + one.distortion
    return (
        f"β = <b>{one.beta:g}</b>: rate <b>{one.rate:.1f}</b> nats, distortion "
        f"<b>{one.distortion:.1f}</b>, so −ELBO <b>{total:.1f}</b>. {used} of {len(one.nats)} "
        "dimensions have a KL above 0.1 nats. Lower right: mean images of latents from the prior, "
        "and of latents from q(z), that is, from the q(z|x) of images picked at random."
    )


def _limits(members: tuple[Balance, ...] | list[Balance]) -> tuple[tuple[float, float], float]:
    """The largest rate and distortion on the axes, and the largest KL of a dimension."""
    rate, distortion = (max(m[place] for m in members) for place in (3, 4))
    return (1.12 * rate + 0.1, 1.1 * distortion), 1.1 * max(m.nats.max().item() for m in members)


@plt.rc_context(plotting.STYLE)
def _ground(members: list[Balance]) -> np.ndarray:
    figure = Picture(HEIGHT)
    most, largest = _limits(members)
    curve = panel(figure, CURVE, xlim=(0, most[0]), ylim=(0, most[1]), bare=False)
    for level in range(STEP, round(sum(most)), STEP):
        curve.plot([0, level], [level, 0], color="#dddddd", lw=0.8, zorder=0)
    rates, distortions = ([m[place] for m in members] for place in (3, 4))
    curve.plot(rates, distortions, "o-", color=plotting.BLUE, lw=1.5, ms=5)
    tidy(curve, "rate (nats)", "distortion (nats)")
    size = len(members[0].nats)
    bars = panel(
        figure,
        BARS,
        xlim=(0.4, size + 0.6),
        ylim=(0, largest),
        bare=False,
        xticks=sorted({1, size}),
    )
    tidy(bars, "dimension, by its KL", "KL (nats)")
    return figure.pixels()


def weigh(
    models: Mapping[Number, VAE],
    images: UInt8[Tensor, "image pixel"],
    *,
    shape: tuple[int, int] | None = None,
) -> Explorer:
    """Choose one of the models by its β and one of the first hundred images.

    The models are measured on the first thousand images. `shape` is the height and width of each
    image; without it they are square.
    """
    among = family(models, images)
    betas = [member.beta for member in among.members]
    return Explorer(
        "the weight of the KL",
        lambda **settings: view_balance(among, shape=shape, **settings),
        {
            "beta": SelectionSlider(
                options=[(f"{beta:g}", beta) for beta in betas],
                value=betas[len(betas) // 2 - 1],
                description="β (weight of the KL)",
                **WIDE,
            ),
            "digit": chooser("digit (index)", min(100, len(among.digits))),
            "drawn": Again("Draw again"),
        },
        shows=(
            "Above: a digit, its reconstruction, and a plot of distortion over rate. Below: the "
            "KL of each dimension as bars, images of latents from the prior, and images of "
            "latents from q(z)."
        ),
    )
