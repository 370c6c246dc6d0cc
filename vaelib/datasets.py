"""Images and labels as tensors, ready to train on: `load("mnist", "train")`.

`python -m vaelib.datasets` gets the data and says where they are.
"""

import gzip
import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vaelib import sources
from vaelib.sources import DataError


class Dataset(NamedTuple):
    """Images of a data set, a row of pixels each, with their labels."""

    images: UInt8[Tensor, "image 784"]
    labels: UInt8[Tensor, " image"]
    name: str


def load(name: str = "mnist", split: Literal["train", "test"] = "train") -> Dataset:
    """Load one split of a data set: 60,000 training or 10,000 test images for MNIST.

    Images are uint8 of shape (image, 784), 0 is background and 255 is ink, rows of a picture
    one after the other; labels are uint8 of shape (image,); `name` is what was loaded.
    Where files come from: see `vaelib.sources.find`.

    Raises `DataError` for an unknown name or split and for missing or damaged files.
    """
    files = sources.known(name)
    if split not in files:
        raise DataError(f"no split is called {split!r}; there is 'train' and 'test'")
    root = sources.find(name)
    images, labels = (read_idx(sources.on_disk(root, file)) for file in files[split])
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{root} holds images of shape {images.shape} and labels of shape {labels.shape} for "
            f"{name}/{split}; expected (n, 28, 28) and (n,). Delete those files and get them anew."
        )
    return Dataset(torch.from_numpy(images).flatten(1), torch.from_numpy(labels), name)


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped, as an array of its own shape.

    The format (LeCun's MNIST page): two zero bytes, the type (8 for uint8), the number of
    dimensions, each size as a big-endian uint32, then the bytes. Raises `DataError` if the
    file is not that, or is cut short.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, gzip.zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Delete it and get it anew.") from error
    dimensions = content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if content[:3] != b"\x00\x00\x08" or len(content) < start:
        raise DataError(f"{path} is not an IDX file of bytes. Delete it and get it anew.")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    if len(content) != start + math.prod(shape):
        raise DataError(
            f"{path} has {len(content) - start} bytes of data where its header promises "
            f"{math.prod(shape)} (shape {shape}). Delete it and get it anew."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


if __name__ == "__main__":
    for split in ("train", "test"):
        images = load("mnist", split).images
        print(f"mnist {split}: {len(images)} images from {sources.find('mnist')}")
