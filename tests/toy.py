"""Small stand-ins for what the notebooks work on, drawn alike in every process."""

import time
from functools import cached_property

import psutil
import torch
from torch import Tensor
from torch.distributions import Normal

from vaelib import hierarchy, vae
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course.explorers import bits, sketch
from vaelib.data import glyphs
from vaelib.decoder import log_likelihood


def toy(points=12_001, dtype=torch.float64, image=(1.0, 1.0, 0.0)) -> tuple[Tensor, Tensor]:
    """A grid of codes, and log p(x, z) of one image there.

    The model of notebook 4 with one latent number and three pixels, where integrals are exact.
    """
    grid = torch.linspace(-12, 12, points, dtype=dtype)
    logits = grid[:, None] * torch.tensor([3.0, 2.0, -1.0]) + torch.tensor([-1.0, 1.0, 1.0])
    image = torch.tensor(image, dtype=dtype).expand(points, 3)
    return grid, log_likelihood(image, logits.to(dtype)) + Normal(0.0, 1.0).log_prob(grid)


def hold(seconds: float | None) -> None:
    """Keep the kernel busy; None lets it answer nobody, until it is resumed from outside."""
    time.sleep(0.5 if seconds is None else seconds)  # the page hears first that it is busy
    if seconds is None:
        psutil.Process().suspend()


class Toy:
    """What explorers are about: labelled digits, a model to decode with and one to draw before."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.arange(200).remainder(10).to(torch.uint8)
        self.images = glyphs.draw_digits(self.labels, generator)
        self.demonstrated = self.trained = vae.dense(generator=generator)

    @cached_property
    def family(self) -> dict[float, vae.VAE]:
        """Models by their β; the untrained ones will do."""
        seeds = {0.25: 1, 0.5: 2, 1.0: 3, 2.0: 4, 5.0: 5, 20.0: 6}
        return {
            beta: vae.dense(hidden=40, generator=torch.Generator().manual_seed(seed))
            for beta, seed in seeds.items()
        }

    @cached_property
    def layered(self) -> hierarchy.Hierarchy:
        """Two levels of latents."""
        generator = torch.Generator().manual_seed(0)
        return hierarchy.dense(sizes=(2, 3), width=40, generator=generator)

    @cached_property
    def codec(self) -> Codec:
        return Codec(self.trained)

    @cached_property
    def shown(self) -> Tensor:
        """What is compressed."""
        return threshold(self.images).mul(255).byte()

    @cached_property
    def chain(self) -> bits.Chain:
        return bits.chain_of(self.codec, self.shown)

    @cached_property
    def gallery(self) -> sketch.Gallery:
        return sketch.gallery(self.trained, self.images, self.labels)
