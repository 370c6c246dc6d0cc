"""Explorer on the decoder: move the latent values and see the image that they decode to."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.distributions import Normal

from vaelib.binarization import threshold
from vaelib.course.explorers.shell import (
    Again,
    Digit,
    Explorer,
    Picture,
    View,
    chooser,
    digit_row,
    signed,
    slider,
)
from vaelib.decoder import log_likelihood
from vaelib.encoder import Gaussian
from vaelib.sampling import sample
from vaelib.vae import VAE, evaluating

FAR = 3.0  # standard deviations of the prior; a latent beyond is rare


@torch.no_grad()
def posterior_of(vae: VAE, image: Float[Tensor, "batch pixel"]) -> Gaussian:
    """q(z|x) of binary images, from the encoder in evaluation mode and without gradients."""
    with evaluating(vae):
        return vae.encoder(image.to(next(vae.parameters())))


def mean_code(vae: VAE, image: Float[Tensor, " pixel"]) -> Float[Tensor, " latent"]:
    """The mean of q(z|x) for one image."""
    return posterior_of(vae, image[None]).mean[0]


@torch.no_grad()
def view_decoded(
    vae: VAE,
    image: Float[Tensor, " pixel"],
    code: Float[Tensor, " latent"],
    *,
    tossed: int = 1,
    shape: tuple[int, int] | None = None,
) -> View:
    """What the latent `code` decodes to, and how likely the binary `image` is given it.

    `tossed` is the number of the draw of pixels. `shape` is the image's height and width; without
    it the image is square.
    """
    noise = torch.rand(1, vae.pixels, generator=Generator().manual_seed(tossed))
    made = sample(vae, code[None], noise)
    with evaluating(vae):
        logits = vae.decoder(code[None])
    cost = -log_likelihood(image.view(-1, 1), logits.view(-1, 1))
    figure = Picture(2.1)
    digit_row(
        figure,
        0.05,
        0.05,
        1.68,
        Digit(made.mean[0], "mean image"),
        Digit(made.image[0], f"sample, draw {tossed}"),
        Digit(image, "the chosen digit x"),
        Digit(cost, "−log p by pixel", most=5, colours="Oranges"),
        shape=shape,
    )
    total = cost.sum().item()
    fair = vae.pixels * math.log(2)
    prior = Normal(0.0, 1.0)
    density, highest = (prior.log_prob(z).sum().item() for z in (code, torch.zeros_like(code)))
    words = (
        f"log p(x|z) of the chosen digit: <b>{signed(-total, 1)}</b> nats. With π = ½ for all "
        f"{vae.pixels} pixels, it would be {signed(-fair, 0)}. log p(z) of the latent: "
        f"{signed(density, 1)}; the highest value, at the prior's centre, is "
        f"{signed(highest, 1)}. Last panel: −log p of each pixel, darker for more, up to 5 nats."
    )
    return View(figure, words)


def decode(
    vae: VAE, images: UInt8[Tensor, "image pixel"], *, shape: tuple[int, int] | None = None
) -> Explorer:
    """Move each latent value of `vae`, and evaluate one of the first hundred `images`.

    `shape` is the height and width of each image; without it they are square.
    """
    digits = threshold(images[:100])
    names = [f"z{i + 1}" for i in range(vae.latent)]

    def show(digit: int, tossed: int, **values: float) -> View:
        code = torch.tensor([values[name] for name in names])
        return view_decoded(vae, digits[digit], code, tossed=tossed, shape=shape)

    def encoded(settings: dict) -> dict[str, float]:
        code = mean_code(vae, digits[settings["digit"]]).clamp(-FAR, FAR)
        return dict(zip(names, code.tolist(), strict=True))

    def surprise(settings: dict) -> dict[str, float]:
        code = torch.randn(vae.latent, generator=surprises).clamp(-FAR, FAR)
        return dict(zip(names, code.tolist(), strict=True))

    surprises = Generator().manual_seed(0)
    return Explorer(
        "a latent and its image",
        show,
        {name: slider(name, 0, -FAR, FAR, 0.05, "prior σ") for name in names}
        | {
            "digit": chooser("digit (index)", len(digits)),
            "tossed": Again("Draw the pixels again"),
        },
        shows=(
            "Four images side by side: the decoded mean image, a sample, the chosen digit, and "
            "−log p for each of its pixels."
        ),
        actions={"Encode this digit": encoded, "Surprise me": surprise},
    )
