"""Explorer on hierarchies: keep the upper levels of a digit's latents, and redraw the others."""

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import threshold
from vaelib.course.explorers.shell import (
    Again,
    Digit,
    Explorer,
    Number,
    Picture,
    View,
    chooser,
    digit_row,
    slider,
)
from vaelib.encoder import check_rows, reparameterize
from vaelib.sampling import decode
from vaelib.vae import LatentModel, evaluating

DRAWS, COLUMNS = 12, 6  # images in the picture, and in each of its rows
SAMPLES = 32  # of the latents, for the KL of each level
HEIGHT = 2.1  # inches
SIDE, SMALL = 1.68, 0.76  # inches: the sides of the digit and of the images
ROWS, LEFT = (0.983, 0.05), 1.98  # the lower edges of the rows of images, and where they begin


@torch.no_grad()
def redraw(
    model: LatentModel, image: Float[Tensor, " pixel"], kept: int, noise: Float[Tensor, "draw all"]
) -> Float[Tensor, "draw all"]:
    """The latents of all levels: the first `kept` levels from the image, the rest from the prior.

    A kept level is at the mean of q(z|x, above), the same in all draws. In a level below, `noise`
    ~ N(0, I) picks the latents from p(z|above). Raises ValueError for a number of levels that the
    model does not have, and for noise of another shape.
    """
    if not 0 <= kept <= len(model.sizes):
        raise ValueError(f"expected 0 to {len(model.sizes)} levels to keep, got {kept}")
    check_rows("noise", noise, model.latent)
    like, latents, above = next(model.parameters()), [], []
    with evaluating(model):
        seen = model.features(image[None].to(like)).expand(len(noise), -1)
        for level, part in enumerate(noise.to(like).split(model.sizes, -1)):
            if level < kept:
                latent = model.posterior(seen, above).mean
            else:
                prior = model.prior(above)
                latent = part if prior is None else reparameterize(prior, part)
            latents.append(latent)
            above = model.descend(above, latent)
    return torch.cat(latents, -1)


@torch.no_grad()
def nats_of_levels(
    model: LatentModel, image: Float[Tensor, " pixel"], noise: Float[Tensor, "sample all"]
) -> Float[Tensor, " level"]:
    """The KL of each level for one image, averaged over the latents that `noise` picks from q.

    In nats, top level first. The KL of the top level is the same for all of them.
    """
    like = next(model.parameters())
    with evaluating(model):
        levels, _ = model.infer(image[None].to(like), noise[:, None].to(like))
    return torch.stack([level.kl.mean() for level in levels])


def pixels_apart(images: Float[Tensor, "draw pixel"]) -> float:
    """In how many pixels two of the images differ by more than ½, averaged over all pairs."""
    differ = ((images[:, None] - images).abs() > 0.5).sum().item()
    return differ / (len(images) * (len(images) - 1))


def view_levels(
    model: LatentModel,
    image: Float[Tensor, " pixel"],
    *,
    kept: int,
    temperature: Number = 1.0,
    draw: int = 1,
    shape: tuple[int, int] | None = None,
) -> View:
    """A binary image, and what the model makes of its first `kept` levels of latents.

    The other levels are redrawn for each of twelve images, with noise times `temperature`. `draw`
    is the seed of the noise. `shape` is the images' height and width; without it they are square.
    """
    noise = torch.randn(DRAWS, model.latent, generator=Generator().manual_seed(draw))
    images = decode(model, redraw(model, image, kept, temperature * noise)).float().cpu()
    samples = torch.randn(SAMPLES, model.latent, generator=Generator().manual_seed(0))
    nats = nats_of_levels(model, image, samples).tolist()

    figure = Picture(HEIGHT)
    digit_row(figure, 0.05, 0.05, SIDE, Digit(image, "digit x"), shape=shape)
    for bottom, row in zip(ROWS, images.split(COLUMNS), strict=True):
        digit_row(figure, LEFT, bottom, SMALL, *map(Digit, row), shape=shape)
    upper, lower = _named(1, kept), _named(kept + 1, len(nats))
    parts = [f"{upper} kept"] * bool(upper) + [f"{lower} redrawn"] * bool(lower)
    figure.title(f"mean images: {', '.join(parts)}", LEFT, 0.05 + SIDE + 0.08)
    return View(figure, _told(nats, upper, lower, temperature, images))


def _named(first: int, last: int) -> str:
    """The levels with these numbers, or nothing if there are none."""
    if last <= first:
        return f"level {first}" * (last == first)
    return f"levels {first} {'and' if last == first + 1 else 'to'} {last}"


def _told(nats: list[float], upper: str, lower: str, temperature: Number, images: Tensor) -> str:
    kls = ", ".join(
        f"level {level}: <b>{value:.1f}</b> nats" for level, value in enumerate(nats, 1)
    )
    kept = f"Kept, at the mean of q(z|x): <b>{upper or 'no level'}</b>."
    redrawn = f"Redrawn from the prior: <b>{lower or 'no level'}</b>"
    noise = f", with noise times {temperature:.2f}" * bool(lower)
    apart = f"<b>{pixels_apart(images):.1f}</b> of {images.shape[1]} pixels"
    return (
        f"KL of this digit: {kls}. {kept} {redrawn}{noise}. Two of the {DRAWS} mean images differ "
        f"by more than ½ in {apart}, averaged over all pairs."
    )


def levels(
    model: LatentModel,
    images: UInt8[Tensor, "image pixel"],
    *,
    shape: tuple[int, int] | None = None,
) -> Explorer:
    """Choose how many levels of latents of one of the first hundred `images` are kept.

    The levels below are redrawn from the model's prior. `shape` is the height and width of each
    image; without it they are square.
    """
    digits, count = threshold(images[:100]), len(model.sizes)

    def show(digit: int, **settings: Number) -> View:
        return view_levels(model, digits[digit], shape=shape, **settings)

    return Explorer(
        "what each level of latents is for",
        show,
        {
            "kept": chooser("levels kept (number)", count + 1, min(1, count - 1)),
            "temperature": slider("temperature", 1, 0, 1.5, 0.05, "prior σ"),
            "digit": chooser("digit (index)", len(digits)),
            "draw": Again("Redraw"),
        },
        shows=(
            "Left: a digit. Right: twelve mean images in two rows, with the upper levels kept "
            "and the others redrawn."
        ),
    )
