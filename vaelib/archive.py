"""Compressed images as a file that decodes to the same bytes everywhere, or is refused."""

import hashlib
import math
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from vaelib.ans import Stack, StackError
from vaelib.compression import Bill, Codec
from vaelib.data.rows import Images, rows_of
from vaelib.encoder import check_rows

MAGIC, VERSION = b"vae~", 1
HEADER = struct.Struct("<4sBBIHH8s8sQ")  # magic, version, share, count, shape, model, check, head
MOST = 1_000_000  # images in a file
AT_ONCE = 500  # images in a group, at most


class ArchiveError(RuntimeError):
    """A file was not made by this codec, is damaged, or belongs to another model."""


class Packed(NamedTuple):
    """What a file holds, once it is known to be whole and made with the same model."""

    share: int
    count: int
    shape: tuple[int, int]
    stack: Stack


def compress(
    codec: Codec,
    images: Images,
    shape: tuple[int, int] = (28, 28),
    *,
    watch: Callable[[int, Bill], None] | None = None,
) -> bytes:
    """A file of binary images, whose bytes are 0 and 255, which `decompress` gives back.

    `shape` is the height and width of an image. `watch` is called after each group, with the
    number of images done and what those of the group cost. Raises TypeError as `rows_of` does,
    and ValueError for other bytes, another number of pixels, no image and over a million.
    """
    check_rows("images", images := rows_of(images), codec.model.pixels)
    grey = (images > 0) & (images < 255)
    if grey.any():
        raise ValueError(
            f"expected binary images, whose bytes are 0 or 255, but one is {images[grey][0]}; "
            "binarize them first, for example with vaelib.binarization.freeze"
        )
    sides = [side for side in shape if isinstance(side, int) and 0 < side < 2**16]
    if len(sides) != 2 or math.prod(sides) != codec.model.pixels or len(images) > MOST:
        raise ValueError(
            f"expected at most {MOST:,} images, and a shape (height, width) with "
            f"{codec.model.pixels} pixels; got {len(images):,} images and the shape {shape}"
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
    ArchiveError, which says what is wrong, for any other file.
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
        raise ArchiveError(f"the file is damaged: {error}") from error
    return torch.cat(groups[::-1])


def unpack(codec: Codec, file: bytes) -> Packed:
    """What a file says of itself. Raises ArchiveError as `decompress` does."""
    if file[: len(MAGIC)] != MAGIC:
        raise ArchiveError("this is not a file of images that vaelib compressed")
    if len(file) < HEADER.size or (len(file) - HEADER.size) % 4:
        raise ArchiveError("the file is cut short, or something was added to it")
    _, version, share, count, *shape, name, check, head = HEADER.unpack_from(file)
    if version != VERSION:
        raise ArchiveError(f"the file has version {version}; this vaelib reads {VERSION}")
    blank = HEADER.pack(MAGIC, version, share, count, *shape, name, bytes(8), head)
    if checksum(blank, file[HEADER.size :]) != check:
        raise ArchiveError("the file is damaged or cut short: its checksum does not fit")
    if name != codec.name:
        raise ArchiveError(
            f"the file was compressed with another model, or with other tables: it names "
            f"{name.hex()}, and this model is {codec.name.hex()}. Give the model that compressed it"
        )
    if not 0 < count <= MOST or math.prod(shape) != codec.model.pixels:
        raise ArchiveError(f"the file claims {count:,} images of shape {tuple(shape)}")
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
