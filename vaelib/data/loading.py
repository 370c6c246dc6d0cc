"""Images and labels as tensors, ready to train on: `load("mnist", "train")`.

`python -m vaelib data` prepares a machine or a USB stick: see `vaelib.data.prepare`.
"""

import gzip
import math
import os
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from vaelib.data import glyphs, store, verification
from vaelib.data.fetch import scratch, storing
from vaelib.data.files import digest
from vaelib.data.store import DataError

GLYPHS_FORMAT, PARTS = "vaelib glyphs 1", glyphs.Labelled._fields


class Dataset(NamedTuple):
    """Images of a data set, a row of pixels each, with their labels."""

    images: UInt8[Tensor, "image 784"]
    labels: UInt8[Tensor, " image"]
    name: str

    def expect(self, value: float | Tensor, **bands: tuple[float, float]) -> None:
        """Raise AssertionError if `value` lies outside the band that is given for this data set.

        `expect(loss, mnist=(118, 121), glyphs=(90, 95))`: lowest and highest, both included. For
        a data set without a band nothing is known, so nothing is checked.
        """
        low, high = {store.check_name(name): band for name, band in bands.items()}.get(
            self.name, (-math.inf, math.inf)
        )
        if not low <= value <= high:
            raise AssertionError(
                f"{float(value):.5g} lies outside {low:g} to {high:g}, the band for {self.name}"
            )


def load(name: str | None = None, split: Literal["train", "test"] = "train") -> Dataset:
    """Load 60,000 training or 10,000 test images of "mnist", "fashion_mnist", "kmnist", "glyphs".

    Images are uint8 of shape (image, 784), 0 is background and 255 is ink, rows of a picture
    one after the other; labels are uint8 of shape (image,); `name` is what was loaded.

    Without a `name` the environment variable VAELIB_DATASET decides, and without that it is
    MNIST, or the stand-in glyphs, with a notice, if MNIST is nowhere on the machine and cannot
    be downloaded. Files are looked for in the folder of VAELIB_DATA, then in the user's cache,
    and are compared with their checksums when they are first read.

    Raises `DataError` for an unknown name or split, for a data set that was asked for and can't
    be had, and for damaged files; the message says what to do.
    """
    if split not in store.SPLITS:
        raise DataError(f"no split is called {split!r}; there is 'train' and 'test'")
    chosen = store.choose(name)
    if chosen.name == store.STAND_IN:
        return Dataset(*load_glyphs(chosen.root, split), chosen.name)
    root = chosen.root
    images, labels = (
        read(store.on_disk(root, file), file) for file in store.files(chosen.name, split)
    )
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{root} holds images of shape {images.shape} and labels of shape "
            f"{labels.shape} for {chosen.name}/{split}; expected (n, 28, 28) and (n,). Delete "
            "those files and get them anew."
        )
    return Dataset(torch.from_numpy(images).flatten(1), torch.from_numpy(labels), chosen.name)


def read(path: Path, file: str, *, again: bool = False) -> np.ndarray:
    """The values of the published `file`, of which `path` is a copy, in the array's own shape.

    They are compared with their checksum if `path` has not passed before, or `again`. Raises
    `DataError`, naming the path, if it is not what was published.
    """
    try:
        with path.open("rb") as opened:
            facts = os.fstat(opened.fileno())
            raw = opened.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    try:
        values = read_idx(raw)
    except ValueError as error:
        raise DataError(f"{path} {error}. {verification.advice(path, file)}") from error
    if again or not verification.is_remembered(path, file, facts):
        verification.check(path, file, raw, values.tobytes())
        verification.remember(path, file, facts)
    return values


def read_idx(raw: bytes) -> np.ndarray:
    """Decode an IDX file of unsigned bytes, plain or gzipped, to an array of its own shape.

    The format (LeCun's MNIST page): two zero bytes, the type (8 for uint8), the number of
    dimensions, each size as a big-endian uint32, then the bytes. Raises ValueError, with words
    that can follow the file's name, if it is not that or is cut short.
    """
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked ({error})") from error
    dimensions = raw[3] if len(raw) > 3 else 0
    start = 4 + 4 * dimensions
    if raw[:3] != b"\x00\x00\x08" or dimensions not in (1, 3) or len(raw) < start:
        raise ValueError("is not an IDX file of bytes")
    shape = tuple(np.frombuffer(raw, ">u4", dimensions, offset=4).tolist())
    if len(raw) != start + math.prod(shape):
        raise ValueError(
            f"has {len(raw) - start} bytes of data where its header promises "
            f"{math.prod(shape)} (shape {shape})"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def load_glyphs(root: Path | None, split: str) -> glyphs.Labelled:
    """One split of the stand-in from the file under `root`; drawn and kept if there is none.

    A damaged file in the cache is drawn again; one in a folder of the user's raises `DataError`.
    Where the cache cannot be written the digits are drawn, used, and not kept.
    """
    if root is not None:
        try:
            return read_glyphs(root / store.GLYPHS, split)
        except DataError as error:
            if root != store.cache_folder():
                raise
            print(f"{error}\nDrawing them again.", file=sys.stderr, flush=True)
    try:
        return read_glyphs(draw_glyphs(store.cache_folder(), anew=root is not None), split)
    except DataError as error:
        print(f"The glyphs could not be kept: {error}", file=sys.stderr, flush=True)
        return _drawn_in_memory()[split]


def draw_glyphs(root: Path, *, anew: bool = False, **progress: object) -> Path:
    """Draw the stand-in into its file under `root`, unless it is there, and return the path.

    Takes some ten seconds; other processes that want the same wait meanwhile. `progress` goes
    to `vaelib.data.glyphs.make`. Raises `DataError` if the disk fails.
    """
    path = root / store.GLYPHS
    with storing(root):
        if path.is_file() and not anew:
            return path
        print("Drawing glyphs, once (some ten seconds) …", file=sys.stderr, flush=True)
        made = glyphs.make(**progress)
        with scratch(root) as folder:
            keep_glyphs(made, folder / path.name)
            path.parent.mkdir(exist_ok=True)
            (folder / path.name).replace(path)
    return path


def keep_glyphs(made: dict[str, glyphs.Labelled], path: Path) -> None:
    """Write the splits of a drawn data set to one file, with checksums of their values."""
    tensors = {f"{split}.{part}": getattr(made[split], part) for split in made for part in PARTS}
    digests = {split: digest(made[split]._asdict()) for split in made}
    path.write_bytes(to_bytes(tensors, {"format": GLYPHS_FORMAT, **digests}))


def read_glyphs(path: Path, split: str) -> glyphs.Labelled:
    """Read one split from a file of `keep_glyphs`.

    Raises `DataError`, naming the file, if it is cut short, damaged, or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            parts = [file.get_tensor(f"{split}.{part}").clone() for part in PARTS]
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}). {_draw_again(path)}") from error
    if about.get("format") != GLYPHS_FORMAT:
        raise DataError(
            f"{path} has format {about.get('format')!r}; this version reads {GLYPHS_FORMAT!r}. "
            f"{_draw_again(path)}"
        )
    labelled = glyphs.Labelled(*parts)
    if digest(labelled._asdict()) != about.get(split):
        raise DataError(f"{path} is damaged: its values have another checksum. {_draw_again(path)}")
    return labelled


def _draw_again(path: Path) -> str:
    root = path.parents[store.GLYPHS.count("/")]
    return f'Draw it again: python -m vaelib data prefetch glyphs --root "{root}"'


@cache
def _drawn_in_memory() -> dict[str, glyphs.Labelled]:
    return glyphs.make()
