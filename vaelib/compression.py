"""A lossless codec from a trained model: bits-back coding, and a file that decodes bit for bit.

Frey & Hinton 1997; Townsend, Bird & Barber 2019 ("Practical lossless compression with latent
variables using bits back coding"). The networks are evaluated exactly (`vaelib.exact`).
"""

import hashlib
import math
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vaelib.ans import Stack, StackError
from vaelib.data.files import digest
from vaelib.encoder import Gaussian, check_rows
from vaelib.exact import GRID, exact, on_grid
from vaelib.vae import LatentModel

MAGIC, VERSION = b"vae~", 1
HEADER = struct.Struct("<4sBBIHH8s8sQ")  # magic, version, share, count, shape, model, check, head
MOST = 1_000_000  # images in a file
BINS = 256  # of a latent, of equal mass under the prior: 8 bits each
POSTERIOR, PIXEL = 24, 16  # bits of the slots of a latent under q, and of a pixel
AT_ONCE = 500  # images in a group, at most


class CompressionError(RuntimeError):
    """A file is no stream of this codec, is damaged, or belongs to another model."""


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
    return Tables(quantile[1::2], quantile[::2], cdf, on_grid(eight.exp()), ones)


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
        self._bin_of = torch.bucketize(
            torch.arange(-512, 513) / 64, self.tables.edge.contiguous()
        ).tolist()

    def share(self, image: Float[Tensor, "image pixel"]) -> int:
        """The share for `group_sizes`: what an image adds to the stack, by what it takes first."""
        bill = self.push(Stack(borrow=True), image)
        return int(max(1, min(255, 200 * bill.total.mean() / bill.back.mean())))

    @torch.no_grad()
    def push(self, stack: Stack, image: Float[Tensor, "image pixel"]) -> Bill:
        """Put a group of binary images on the stack; what each of them cost."""
        above, chosen, back = [], [], torch.zeros(len(image), dtype=torch.float64)
        for _ in self.model.sizes:
            prior = self.model.prior(above)
            q = self._relative(self.model.posterior(image, above), prior)
            bins = self._pop_latents(stack, q)
            start, size = self._interval(q, bins)
            back += (POSTERIOR - size.double().log2()).sum(1)
            above.append(self._placed(prior, bins))
            chosen.append(bins)
        ones = self._ones(above)
        sizes = torch.where(image > 0, ones, 2**PIXEL - ones)
        starts = torch.where(image > 0, 0, ones)
        stack.push(starts.flatten().tolist(), sizes.flatten().tolist(), PIXEL)
        for bins in reversed(chosen):
            stack.push(bins.flatten().tolist(), [1] * bins.numel(), 8)
        latent = torch.full((len(image),), 8.0 * self.model.latent)
        return Bill(latent, (PIXEL - sizes.double().log2()).sum(1), back)

    @torch.no_grad()
    def pop(self, stack: Stack, count: int) -> Float[Tensor, "image pixel"]:
        """Take the `count` images of the group that was pushed last."""
        above, chosen = [], []
        for size in self.model.sizes:
            bins = stack.pop_uniform(count * size, 8)[::-1]
            chosen.append(torch.tensor(bins).view(count, size))
            above.append(self._placed(self.model.prior(above), chosen[-1]))
        ones = self._ones(above).flatten().tolist()
        drawn = stack.pop_binary(ones[::-1], PIXEL)[::-1]
        image = torch.tensor(drawn, dtype=torch.float64).view(count, -1)
        for level in reversed(range(len(chosen))):
            q = self._relative(
                self.model.posterior(image, above[:level]), self.model.prior(above[:level])
            )
            start, size = (x.flatten().flip(0).tolist() for x in self._interval(q, chosen[level]))
            stack.push(start, size, POSTERIOR)
        return image

    def _relative(self, q: Gaussian, prior: Gaussian | None) -> Gaussian:
        """The mean and log σ of q in units of the prior."""
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

    def _ones(self, latents: list[Tensor]) -> Tensor:
        """The slots, of 2**PIXEL, in which each pixel is 1."""
        logits = self.model.likelihood(latents).logits
        return self.tables.sigmoid[((logits.clamp(-16, 16) + 16) * GRID).long()]

    def _interval(self, q: Gaussian, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Start and size of bins under q, in slots of 2**POSTERIOR."""
        ends = torch.stack([bins, bins + 1])
        at = (self.tables.edge[(ends - 1).clamp(0, BINS - 2)] - q.mean) * self._exp(-q.log_std)
        below = ends + self.tables.cdf[((at.clamp(-8, 8) + 8) * GRID).floor().long()]
        below[ends == 0], below[ends == BINS] = 0, 2**POSTERIOR
        return below[0], below[1] - below[0]

    def _pop_latents(self, stack: Stack, q: Gaussian) -> Tensor:
        """Bins that the stack's slots pick under q: `_interval`, one number at a time, in reverse.

        A guess from the normal quantile is corrected until the bin has the slot.
        """
        edges, cdf, quantiles, bin_of = self._edges, self._cdf, self._quantiles, self._bin_of
        bins, last, full = [], len(cdf) - 1, 2**POSTERIOR
        widths = self._exp(torch.stack([q.log_std, -q.log_std])).flatten(1).tolist()
        for mean, std, steps in zip(q.mean.flatten().tolist(), *widths, strict=True):

            def below(end, mean=mean, steps=steps):
                if end in (0, BINS):
                    return full if end else 0
                place = ((edges[end - 1] - mean) * steps + 8) * GRID
                return end + cdf[int(place) if 0 < place < last else 0 if place <= 0 else last]

            def find(slot, mean=mean, std=std, below=below):
                guess = (mean + std * quantiles[slot >> POSTERIOR - 12] + 8) * 64
                found = bin_of[int(max(0, min(1024, guess)))]
                start, end = below(found), below(found + 1)
                while slot < start:
                    found, start, end = found - 1, below(found - 1), start
                while slot >= end:
                    found, start, end = found + 1, end, below(found + 2)
                return found, start, end - start

            bins.append(stack.pop(find, POSTERIOR))
        return torch.tensor(bins).view(q.mean.shape)


class Packed(NamedTuple):
    """What a file holds, once it is known to be whole and made with the same model."""

    share: int
    count: int
    shape: tuple[int, int]
    stack: Stack


def compress(
    codec: Codec,
    images: UInt8[Tensor, "image pixel"],
    shape: tuple[int, int] = (28, 28),
    *,
    watch: Callable[[int, Bill], None] | None = None,
) -> bytes:
    """A file of binary images, whose bytes are 0 and 255, which `decompress` gives back.

    `shape` is the height and width of an image. `watch` is called after each group, with the
    number of images done and what those of the group cost. Raises ValueError for other bytes,
    another number of pixels, no image and over a million.
    """
    check_rows("images", images, codec.model.pixels)
    grey = (images > 0) & (images < 255)
    if grey.any():
        raise ValueError(
            f"expected binary images, whose bytes are 0 or 255, but one is {images[grey][0]}; "
            "binarize them first, for example with vaelib.binarization.freeze"
        )
    if math.prod(shape) != codec.model.pixels or len(images) > MOST:
        raise ValueError(
            f"expected at most {MOST:,} images of a shape with {codec.model.pixels} pixels, got "
            f"{len(images):,} of shape {shape}"
        )
    binary, stack, done = images > 0, Stack(borrow=True), 0
    share = codec.share(binary[:100].double())
    for size in group_sizes(len(binary), share):
        bill = codec.push(stack, binary[done : done + size].double())
        done += size
        if watch:
            watch(done, bill)
    about = (MAGIC, VERSION, share, len(binary), *shape, codec.name)
    tail = struct.pack(f"<{len(stack.tail)}I", *stack.tail)
    check = checksum(HEADER.pack(*about, bytes(8), stack.head), tail)
    return HEADER.pack(*about, check, stack.head) + tail


def decompress(
    codec: Codec, file: bytes, *, watch: Callable[[int, int], None] | None = None
) -> UInt8[Tensor, "image pixel"]:
    """The images, of bytes 0 and 255, of a file that `compress` made with the same model.

    `watch` is called after each group, with the numbers of images done and in all. Raises
    CompressionError, which says what is wrong, for any other file.
    """
    packed, groups, done = unpack(codec, file), [], 0
    try:
        for size in reversed(list(group_sizes(packed.count, packed.share))):
            groups.append(codec.pop(packed.stack, size).mul(255).byte())
            done += size
            if watch:
                watch(done, packed.count)
        packed.stack.check_returned()
    except StackError as error:
        raise CompressionError(f"the file is damaged: {error}") from error
    return torch.cat(groups[::-1])


def unpack(codec: Codec, file: bytes) -> Packed:
    """What a file says of itself. Raises CompressionError as `decompress` does."""
    if file[: len(MAGIC)] != MAGIC:
        raise CompressionError("this is not a file of images that vaelib compressed")
    if len(file) < HEADER.size or (len(file) - HEADER.size) % 4:
        raise CompressionError("the file is cut short, or something was added to it")
    _, version, share, count, *shape, name, check, head = HEADER.unpack_from(file)
    if version != VERSION:
        raise CompressionError(f"the file has version {version}; this vaelib reads {VERSION}")
    blank = HEADER.pack(MAGIC, version, share, count, *shape, name, bytes(8), head)
    if checksum(blank, file[HEADER.size :]) != check or not 0 < count <= MOST:
        raise CompressionError("the file is damaged or cut short: its checksum does not fit")
    if name != codec.name:
        raise CompressionError(
            f"the file was compressed with another model, or with other tables: it names "
            f"{name.hex()}, and this model is {codec.name.hex()}. Give the model that compressed it"
        )
    stack = Stack()
    words = struct.unpack(f"<{(len(file) - HEADER.size) // 4}I", file[HEADER.size :])
    stack.head, stack.tail = head, array("I", words)
    return Packed(share, count, tuple(shape), stack)


def checksum(*parts: bytes) -> bytes:
    """Eight bytes that all parts decide."""
    return hashlib.sha256(b"".join(parts)).digest()[:8]


def group_sizes(count: int, share: int) -> Iterator[int]:
    """How many images are pushed together: `share` / 256 of those before, from 1 to AT_ONCE.

    All their latents are popped before a pixel is pushed, so the stack must hold enough for all.
    """
    done = 0
    while done < count:
        size = min(max(1, done * share // 256), AT_ONCE, count - done)
        yield size
        done += size
