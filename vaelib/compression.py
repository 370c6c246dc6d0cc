"""A lossless codec from a trained model, by bits-back coding.

Frey & Hinton 1997 ("Efficient stochastic source coding and an application to a Bayesian network
source model"); Townsend, Bird & Barber 2019 ("Practical lossless compression with latent variables
using bits back coding"). The networks are evaluated exactly, by `vaelib.exact`.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vaelib.ans import Stack
from vaelib.data.files import digest
from vaelib.decoder import Bernoulli
from vaelib.encoder import Gaussian
from vaelib.exact import GRID, check_grid, exact, on_grid
from vaelib.vae import LatentModel

LATENT = 8  # bits of a latent under the prior, whose 2**LATENT bins have equal mass
BINS = 2**LATENT
POSTERIOR, PIXEL = 24, 16  # bits of the slots of a latent under q, and of a pixel


class Tables(NamedTuple):
    """What distributions are looked up in, on the grid."""

    edge: Float[Tensor, " edge"]
    centre: Float[Tensor, " bin"]
    cdf: Int[Tensor, " step"]
    exp: Float[Tensor, " step"]
    sigmoid: Int[Tensor, " step"]


def tables() -> Tables:
    """Edges and centres of a latent's bins, Φ and the sigmoid in slots, and the exponential."""
    half = torch.arange(1, 2 * BINS, dtype=torch.float64) / (2 * BINS)
    quantile = on_grid(math.sqrt(2) * torch.erfinv(2 * half - 1))
    eight = torch.arange(-8 * GRID, 8 * GRID + 1, dtype=torch.float64) / GRID
    cdf = (torch.special.ndtr(eight) * (2**POSTERIOR - BINS)).floor().long()
    sixteen = torch.arange(-16 * GRID, 16 * GRID + 1, dtype=torch.float64) / GRID
    ones = (torch.sigmoid(sixteen) * 2**PIXEL).round().long().clamp(1, 2**PIXEL - 1)
    edge, centre = quantile[1::2].contiguous(), quantile[::2].contiguous()
    return Tables(edge, centre, cdf, on_grid(eight.exp()), ones)


class Bill(NamedTuple):
    """What each image costs, in bits: its latent, its pixels, and what comes back."""

    latent: Float[Tensor, " image"]
    pixels: Float[Tensor, " image"]
    back: Float[Tensor, " image"]

    @property
    def total(self) -> Float[Tensor, " image"]:
        """Bits by which the stack grows."""
        return self.latent + self.pixels - self.back


class Codec:
    """A model as a codec of binary images. Raises TypeError and ValueError as `exact` does."""

    def __init__(self, model: LatentModel) -> None:
        self.model, self.tables = exact(model), tables()
        parts = self.model.state_dict() | self.tables._asdict()
        self.name = bytes.fromhex(digest(parts, f"{self.model.sizes} {self.model.pixels}"))[:8]
        self._edges, self._cdf = self.tables.edge.tolist(), self.tables.cdf.tolist()
        middle = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
        self._quantiles = (math.sqrt(2) * torch.erfinv(2 * middle - 1)).tolist()
        self._bin_of = torch.bucketize(torch.arange(-512, 513) / 64, self.tables.edge).tolist()

    def share(self, image: Float[Tensor, "image pixel"]) -> int:
        """Bits that an image adds / bits that it pops first, in 256ths with a margin."""
        bill = self.push(Stack(borrow=True), image)
        return int(max(1, min(255, 200 * bill.total.mean() / bill.back.mean())))

    @torch.no_grad()
    def push(self, stack: Stack, image: Float[Tensor, "image pixel"]) -> Bill:
        """Push a group of binary images, and return what each of them costs."""
        above, chosen, back = [], [], torch.zeros(len(image), dtype=torch.float64)
        seen = self.model.features(image)
        for _ in self.model.sizes:
            prior = self.model.prior(above)
            q = self._relative(self.model.posterior(seen, above), prior)
            bins = self.pop_latents(stack, q)
            back += (POSTERIOR - self.interval(q, bins)[1].double().log2()).sum(1)
            above = self.model.descend(above, self._placed(prior, bins))
            chosen.append(bins)
        ones = self._ones(above)
        sizes = torch.where(image > 0, ones, 2**PIXEL - ones)
        starts = torch.where(image > 0, 0, ones)
        stack.push(starts.flatten().tolist(), sizes.flatten().tolist(), PIXEL)
        for bins in reversed(chosen):
            stack.push(bins.flatten().tolist(), [1] * bins.numel(), LATENT)
        latent = torch.full((len(image),), float(LATENT * self.model.latent))
        return Bill(latent, (PIXEL - sizes.double().log2()).sum(1), back)

    @torch.no_grad()
    def pop(self, stack: Stack, count: int) -> Float[Tensor, "image pixel"]:
        """Take the `count` images of the group that was pushed last."""
        steps, chosen = [[]], []
        for size in self.model.sizes:
            bins, above = stack.pop_uniform(count * size, LATENT)[::-1], steps[-1]
            chosen.append(torch.tensor(bins).view(count, size))
            placed = self._placed(self.model.prior(above), chosen[-1])
            steps.append(self.model.descend(above, placed))
        ones = self._ones(steps[-1]).flatten().tolist()
        drawn = stack.pop_binary(ones[::-1], PIXEL)[::-1]
        image = torch.tensor(drawn, dtype=torch.float64).view(count, -1)
        seen = self.model.features(image)
        for above, bins in zip(reversed(steps[:-1]), reversed(chosen), strict=True):
            q = self._relative(self.model.posterior(seen, above), self.model.prior(above))
            start, size = (x.flatten().flip(0).tolist() for x in self.interval(q, bins))
            stack.push(start, size, POSTERIOR)
        return image

    def _relative(self, q: Gaussian, prior: Gaussian | None) -> Gaussian:
        """The mean and log σ of q in units of the prior. Raises TypeError as `check_grid` does."""
        for value in (*q, *(prior or ())):
            check_grid(value, "the model's prior or posterior has")
        if prior is None:
            return q
        mean = on_grid((q.mean - prior.mean) * self._exp(-prior.log_std))
        return Gaussian(mean, q.log_std - prior.log_std)

    def _placed(self, prior: Gaussian | None, bins: Tensor) -> Tensor:
        """The latents at the centres of bins."""
        centre = self.tables.centre[bins]
        return centre if prior is None else on_grid(prior.mean + self._exp(prior.log_std) * centre)

    def _exp(self, values: Tensor) -> Tensor:
        return self.tables.exp[((values.clamp(-8, 8) + 8) * GRID).long()]

    def _ones(self, above: list[Tensor]) -> Tensor:
        """The slots, of 2**PIXEL, in which each pixel is 1. Raises TypeError for grey pixels."""
        likelihood, shape = self.model.likelihood(above), (len(above[0]), self.model.pixels)
        if not isinstance(likelihood, Bernoulli) or likelihood.logits.shape != shape:
            raise TypeError(
                "expected a model of binary images, whose likelihood is vaelib.decoder.Bernoulli "
                f"with logits of shape {shape}; got {likelihood!r:.80}"
            )
        logits = likelihood.logits
        check_grid(logits, "the likelihood has")
        return self.tables.sigmoid[((logits.clamp(-16, 16) + 16) * GRID).long()]

    def interval(self, q: Gaussian, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Start and size of bins under q, in slots of 2**POSTERIOR."""
        ends = torch.stack([bins, bins + 1])
        at = (self.tables.edge[(ends - 1).clamp(0, BINS - 2)] - q.mean) * self._exp(-q.log_std)
        below = ends + self.tables.cdf[((at.clamp(-8, 8) + 8) * GRID).floor().long()]
        below[ends == 0], below[ends == BINS] = 0, 2**POSTERIOR
        return below[0], below[1] - below[0]

    def pop_latents(self, stack: Stack, q: Gaussian) -> Tensor:
        """Pop the bins of latents under q: the inverse of `interval`, one number at a time.

        A guess from the normal quantile is corrected until the bin has the slot.
        """
        edges, cdf, quantiles, bin_of = self._edges, self._cdf, self._quantiles, self._bin_of
        bins, last, full = [], len(cdf) - 1, 2**POSTERIOR
        widths = self._exp(torch.stack([q.log_std, -q.log_std])).flatten(1).tolist()

        def below(end):
            if end in (0, BINS):
                return full if end else 0
            place = ((edges[end - 1] - mean) * steps + 8) * GRID
            return end + cdf[int(place) if 0 < place < last else 0 if place <= 0 else last]

        def find(slot):  # for the latent whose turn it is below
            guess = (mean + std * quantiles[slot >> POSTERIOR - 12] + 8) * 64
            found = bin_of[int(max(0, min(1024, guess)))]
            start, end = below(found), below(found + 1)
            while slot < start:
                found, start, end = found - 1, below(found - 1), start
            while slot >= end:
                found, start, end = found + 1, end, below(found + 2)
            return found, start, end - start

        for mean, std, steps in zip(q.mean.flatten().tolist(), *widths, strict=True):  # noqa: B007
            bins.append(stack.pop(find, POSTERIOR))
        return torch.tensor(bins).view(q.mean.shape)
