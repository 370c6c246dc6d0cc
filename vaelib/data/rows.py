"""Images as rows of bytes, whatever they came in: what training and evaluation work on."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vaelib.data.loading import Dataset

Images = Tensor | np.ndarray | Dataset | str | Path  # bytes, as `rows_of` takes them
AT_ONCE = 2**26  # bytes of images that are looked at, or hashed, together
GATHERED = 2**24  # bytes of images that are gathered together, for many batches
ACCEPTED = (
    "expected images as uint8 from 0 to 255: a tensor or NumPy array of shape (image, pixel) or "
    "(image, height, width), what vaelib.data.load returns, or the path of a .npy file"
)


def rows_of(images: object) -> UInt8[Tensor, "image pixel"]:
    """`images` as a tensor of bytes, a row of pixels for each image.

    Takes a tensor or NumPy array of bytes, or of booleans where True is ink, with or without the
    side lengths, and a data set that `vaelib.data.load` returned. A map of a file, such as
    `np.load(path, mmap_mode="r")`, stays on the disk, and so does the `.npy` file at a path. Raises
    TypeError for anything else; the message names the way.
    """
    found = images.images if isinstance(images, Dataset) else images
    if isinstance(found, str | os.PathLike) and os.fspath(found).endswith(".npy"):
        found = np.load(os.path.expanduser(found), mmap_mode="r")
    if isinstance(found, np.ndarray) and found.dtype in (np.uint8, np.bool_):
        found = _tensor_of(found)
    if isinstance(found, Tensor) and found.dtype == torch.bool:
        found = found.to(torch.uint8) * 255
    if isinstance(found, Tensor | np.ndarray) and found.dtype != torch.uint8:
        kind = "" if isinstance(found, Tensor) else "a NumPy array of "
        raise TypeError(f"{ACCEPTED}; got {kind}{found.dtype}. {_in_bytes(found)}")
    if not isinstance(found, Tensor):
        raise TypeError(f"{ACCEPTED}; got {_kind(images)}. {_advice(images)}")
    return found.flatten(1) if found.ndim > 2 else found


def _tensor_of(array: np.ndarray) -> Tensor:
    """A tensor of the array's values, a copy where PyTorch needs one, but none of a map."""
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        return torch.from_numpy(np.require(array, requirements=("C", "W")))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def in_order(
    images: UInt8[Tensor, "image pixel"], order: Tensor, batch_size: int
) -> Iterator[UInt8[Tensor, "batch pixel"]]:
    """Batches of the images in this order, gathered for many batches at once."""
    batches = max(1, GATHERED // max(1, batch_size * images.shape[1]))
    for some in order.split(batches * batch_size):
        yield from images.index_select(0, some.to(images.device)).to(order.device).split(batch_size)


def some_of(images: UInt8[Tensor, "image pixel"]) -> UInt8[Tensor, "few pixel"]:
    """All images, or as many at equal distances as have `AT_ONCE` bytes."""
    return images[:: max(1, -(-images.numel() // AT_ONCE))]


def on_disk(images: object) -> bool:
    """Whether images are a map of a file, which need not fit into memory."""
    return isinstance(images, np.memmap | str | os.PathLike)


def check_ink(pixels: UInt8[Tensor, "*shape"], least: int = 17) -> None:
    """Raise ValueError if the largest byte lies above 0 and below `least`.

    Such as binary images with bytes 0 and 1, or scikit-learn's digits, which end at 16: to a
    protocol that takes 255 for full ink they are as good as blank.
    """
    most = 0
    for some in pixels.flatten().split(AT_ONCE):
        most = max(most, some.max().item()) if len(some) else 0
        if most >= least:
            return
    if not 0 < most < least:
        return
    said = "expected bytes from 0 to 255, where 255 is full ink, but"
    if most == 1:
        raise ValueError(
            f"{said} these are binary images with bytes 0 and 1. Multiply them by 255: images * 255"
        )
    raise ValueError(
        f"{said} the largest one is {most}, so these images would be blank or nearly so. If {most} "
        f"means full ink, scale them: (images * (255 / {most})).round().to(torch.uint8), or "
        '.astype("uint8") at the end in NumPy'
    )


def _in_bytes(images: Tensor | np.ndarray) -> str:
    """The line that makes bytes of values of another type."""
    cast = '.astype("uint8")' if isinstance(images, np.ndarray) else ".to(torch.uint8)"
    values = torch.as_tensor(np.ascontiguousarray(images)) if "ast" in cast else images
    if values.is_complex() or not values.numel() or not values.isfinite().all():
        return "Give bytes"
    low, high = values.min().item(), values.max().item()
    if low < 0 or high > 255:
        return f"Their values go from {low:.4g} to {high:.4g}; scale them to 0, paper, to 255, ink"
    scaled = "(255 * images)" if high <= 1 else "images"
    rounded = ".round()" if values.is_floating_point() else ""
    return f"They go from {low:.4g} to {high:.4g}: convert them by {scaled}{rounded}{cast}"


def _kind(images: object) -> str:
    return f"{type(images).__module__}.{type(images).__name__}".removeprefix("builtins.")


def _advice(images: object) -> str:
    """How to make an array of what was given."""
    stacked = "Give all images at once: torch.stack([image for image, label in {}])"
    data = getattr(images, "data", None)
    if isinstance(images, torch.nn.Module):
        return "The model comes first, then the images"
    if isinstance(images, torch.utils.data.DataLoader):
        return "Batches are made here. " + stacked.format("loader.dataset")
    if isinstance(data, Tensor | np.ndarray) and data.dtype in (torch.uint8, np.uint8):
        return f"This data set has its bytes in .data, of shape {tuple(data.shape)}: give that"
    if isinstance(images, torch.utils.data.Dataset):
        return stacked.format("dataset")
    if isinstance(images, list | tuple):
        return "Join them into one: np.stack(images), or torch.stack(images) for tensors"
    if hasattr(images, "__fspath__") or isinstance(images, str):
        return "Load them first: vaelib.data.load(path, 'train')"
    return "np.asarray(images) converts many kinds of table and picture"
