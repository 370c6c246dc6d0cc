"""Images as rows of bytes, whatever they came in: what training and evaluation work on."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vaelib.data.loading import Dataset

Images = Tensor | np.ndarray | Dataset  # bytes, as `rows_of` takes them
ACCEPTED = (
    "expected images as uint8 from 0 to 255: a tensor or NumPy array of shape (image, pixel) or "
    "(image, height, width), or what vaelib.data.load returns"
)
STACKED = "torch.stack([(255 * image).round().to(torch.uint8) for image, label in {}])"


def rows_of(images: object) -> UInt8[Tensor, "image pixel"]:
    """`images` as a tensor of bytes, a row of pixels for each image.

    Takes a tensor or NumPy array of bytes, or of booleans where True is ink, with or without the
    side lengths, and a data set that `vaelib.data.load` returned. Raises TypeError for anything
    else; the message names the way.
    """
    found = images.images if isinstance(images, Dataset) else images
    if isinstance(found, np.ndarray) and found.dtype in (np.uint8, np.bool_):
        found = torch.from_numpy(np.require(found, requirements=("C", "W")))
    if not isinstance(found, Tensor):
        raise TypeError(f"{ACCEPTED}; got {_kind(images)}. {_advice(images)}")
    if found.dtype == torch.bool:
        found = found.to(torch.uint8) * 255
    if found.dtype != torch.uint8:
        raise TypeError(
            f"{ACCEPTED}; got {found.dtype}. If they are intensities from 0 to 1, give "
            "(255 * images).round().to(torch.uint8). They are binarized later, batch by batch"
        )
    return found.flatten(1) if found.ndim > 2 else found


def check_ink(pixels: UInt8[Tensor, "*shape"], least: int = 17) -> None:
    """Raise ValueError if the largest byte is neither 0 nor at least `least`, far below 255.

    Such as binary images with bytes 0 and 1, or scikit-learn's digits, which end at 16: to a
    protocol that takes 255 for full ink they are as good as blank.
    """
    most = pixels.max().item() if pixels.numel() else 0
    if not 0 < most < least:
        return
    said = "expected bytes from 0 to 255, where 255 is full ink, but"
    if most == 1:
        raise ValueError(
            f"{said} these are binary images with bytes 0 and 1. Multiply them by 255: images * 255"
        )
    raise ValueError(
        f"{said} the largest one is {most}, so these images would be nearly blank. If {most} means "
        f"full ink, scale them: (images * (255 / {most})).round().to(torch.uint8)"
    )


def _kind(images: object) -> str:
    if isinstance(images, np.ndarray):
        return f"a NumPy array of {images.dtype}"
    return f"{type(images).__module__}.{type(images).__name__}".removeprefix("builtins.")


def _advice(images: object) -> str:
    """How to make bytes of what was given."""
    if isinstance(images, np.ndarray):
        return "If they are intensities from 0 to 1, give (255 * images).round().astype(np.uint8)"
    if isinstance(images, torch.utils.data.DataLoader):
        return f"Batches are made here, so give all images: {STACKED.format('loader.dataset')}"
    if isinstance(data := getattr(images, "data", None), Tensor | np.ndarray):
        return f"This data set has its bytes in .data, of shape {tuple(data.shape)}: give that"
    if isinstance(images, torch.utils.data.Dataset):
        return f"Give all images at once: {STACKED.format('dataset')}"
    if isinstance(images, list | tuple):
        return "Join them into one: torch.stack(images), or np.stack(images) for NumPy arrays"
    if hasattr(images, "__fspath__") or isinstance(images, str):
        return "Load them first: vaelib.data.load(path, 'train')"
    return "np.asarray(images) converts many kinds of table and picture"
