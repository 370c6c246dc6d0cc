"""Images and labels as tensors, ready to train on: `load("mnist", "train")`."""

import math
import os
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from vaelib.data import catalogue, fetch, glyphs, own, store, verification
from vaelib.data.catalogue import DEFAULT, SPLITS, STAND_IN, DataError, UnreachableError


class Dataset(NamedTuple):
    """Images of a data set, a row of pixels each, with their labels."""

    images: UInt8[Tensor, "image pixel"]
    labels: UInt8[Tensor, " image"]
    name: str
    shape: tuple[int, int] = (28, 28)  # height and width of an image, for functions that draw

    def expect(self, value: float | Tensor, **bands: tuple[float, float]) -> None:
        """Raise AssertionError if `value` lies outside the band that is given for this data set.

        `expect(loss, mnist=(118, 121), glyphs=(90, 95))`: lowest and highest, both included. For
        a data set without a band nothing is known, so nothing is checked.
        """
        low, high = {catalogue.known_name(name): band for name, band in bands.items()}.get(
            self.name, (-math.inf, math.inf)
        )
        if not low <= value <= high:
            raise AssertionError(
                f"{float(value):.5g} lies outside {low:g} to {high:g}, the band for {self.name}"
            )


class Choice(NamedTuple):
    """The data set that was settled on, and the folder that holds it.

    `root` is None for glyphs that have not been drawn yet.
    """

    name: str
    root: Path | None


def load(
    name: str | os.PathLike | None = None,
    split: Literal["train", "test", "all"] = "train",
    *,
    size: tuple[int, int] | None = None,
) -> Dataset:
    """Load the training or test images of a data set, or of a folder or file of your own.

    Images are uint8 of shape (image, pixel), 0 is background and 255 is ink, rows of a picture
    one after the other; labels are uint8 of shape (image,); `name` is what was loaded; `shape`
    is the height and width of an image.

    `name` is one of `vaelib.data.catalogue.NAMES`, or else the path of one of these:

    - a folder of pictures in any format that Pillow reads. Its folders are the classes, labelled
      in alphabetical order from 0; without folders every label is 0. `size=(height, width)`
      resizes each picture. Pictures become grey, on white where they are transparent, and are
      not inverted.
    - a file of np.save, or of np.savez with images and labels (or x_train, y_train, x_test and
      y_test). Images are uint8 of shape (n, height, width).
    - IDX files as MNIST's, of any image size: their folder, or the file of images.

    Folders train and test, arrays of these names, and MNIST's files are the two splits. A source
    without splits is divided: "test" is every tenth image (the 10th, the 20th, …) in the order of
    the paths or rows, "train" is the rest. "all" is both, in the source's order.

    Without a `name` the environment variable VAELIB_DATASET decides, and without that it is
    MNIST, or the stand-in glyphs, with a notice, if MNIST is nowhere on the machine and cannot
    be downloaded. Files are looked for in the folder of VAELIB_DATA, then in the user's cache,
    and are compared with their checksums each time.

    Raises `DataError` for an unknown name or split, for a data set that was asked for and can't
    be had, and for damaged or ambiguous files; the message says what to do.
    """
    if split not in (*SPLITS, "all"):
        raise DataError(f"no split is called {split!r}; there is 'train', 'test' and 'all'")
    if name and name not in catalogue.NAMES:
        return _load_own(name, split, size)
    if size is not None:
        raise DataError(f"size={size} resizes folders of pictures only, not published images")
    chosen, root = choose(name)
    if split == "all":
        parts = [load(chosen, part) for part in SPLITS]
        images, labels = (
            torch.cat(some) for some in zip(*[part[:2] for part in parts], strict=True)
        )
        return Dataset(images, labels, chosen)
    if chosen == STAND_IN:
        return Dataset(*glyphs.load_glyphs(root, split), chosen)
    images, labels = (
        torch.from_numpy(verification.read_published(file, store.copies_of(file, root)[0]))
        for file in catalogue.files_of(chosen, split)
    )
    return Dataset(images.flatten(1), labels, chosen)


def _load_own(name: str | os.PathLike, split: str, size: tuple[int, int] | None) -> Dataset:
    path = Path(os.path.abspath(os.path.expanduser(name)))
    if not os.path.exists(path):
        known = ", ".join(map(repr, catalogue.NAMES))
        raise DataError(
            f"no data set is called {str(name)!r}; there is {known}. Nor is there a file or folder "
            f"{path}"
        )
    images, labels = map(torch.from_numpy, own.read(path, split, size))
    called = path.name if path.name not in catalogue.NAMES else f"{path.parent.name}/{path.name}"
    return Dataset(images.flatten(1), labels, called, tuple(images.shape[1:]))


_stand_in = False  # whether this process works with glyphs because MNIST could not be had


def choose(name: str | None = None) -> Choice:
    """Settle on a data set and find its files; print a notice if it had to be the stand-in.

    What is asked for, by `name` or else by the environment variable VAELIB_DATASET, is what
    comes, or an error. When nothing is asked for it is MNIST; and if that can neither be found
    nor fetched, glyphs, for the rest of this process, so that two splits never get mixed up.

    Raises `DataError` for an unknown name and when a data set that was asked for can't be had.
    """
    global _stand_in
    asked = name or os.environ.get("VAELIB_DATASET")
    wanted = catalogue.known_name(asked or DEFAULT, "" if name else " (VAELIB_DATASET says so)")
    if wanted != STAND_IN and (asked or not _stand_in):
        try:
            return Choice(wanted, _found_or_fetched(wanted))
        except UnreachableError as error:
            if asked:
                raise
            _stand_in = True
            print(_notice(error), file=sys.stderr, flush=True)
    return Choice(STAND_IN, store.locate(STAND_IN))


def _found_or_fetched(name: str) -> Path:
    """The root that holds data set `name`, downloaded into the cache if need be.

    Raises `UnreachableError` when it is on no disk and cannot be fetched, `DataError` when the
    disk fails.
    """
    root, folder = store.locate(name), store.own_folder()
    if root is None:
        root = store.cache_folder()
        try:
            fetch.download(name, root)
        except UnreachableError as error:
            raise UnreachableError(f"{error}\n\n{store.absence(name)}") from error
    if folder not in (None, root):
        found = f"{name} is not in {folder} (VAELIB_DATA), so it is read from {root}"
        warnings.warn(found, stacklevel=4)  # where `load` was called
    return root


def _notice(reason: Exception) -> str:
    """The framed text that says that the stand-in is used, why, and how to get MNIST later."""
    folder, why = store.own_folder(), " ".join(str(reason).partition("\n\n")[0].split())
    elsewhere = []
    if folder and os.path.isdir(folder):
        lacking = Path(store.missing(DEFAULT, folder)[0].place).name
        elsewhere = [
            f"VAELIB_DATA is set to {folder}, but MNIST/raw in it lacks {lacking}. It must be the "
            f"folder that contains MNIST.{store.deeper(DEFAULT)}"
        ]
    elif folder:
        elsewhere = [f"VAELIB_DATA is set to {folder}, but there is no such folder."]
    paragraphs = (
        "THIS IS NOT MNIST. These are 'glyphs', digits drawn by code from typefaces.",
        f"Why: MNIST is not on this machine, and {why}.",
        *elsewhere,
        "What differs: the pictures and every measured number. The text and the committed "
        "outputs speak of MNIST; the assertions use bands of their own for glyphs. All ideas "
        "and exercises are the same.",
        "To get MNIST later, where there is a network: run",
        "    %run -m vaelib data prefetch mnist",
        "in a cell, or the same with python for %run in a terminal. Or set VAELIB_DATA to a "
        "folder that contains MNIST/raw. Then restart the kernel. VAELIB_OFFLINE=1 spares you "
        "the attempt to reach a mirror at each start.",
    )
    width = 76
    wrapped = (textwrap.wrap(text, width, break_on_hyphens=False) for text in paragraphs)
    body = [line for lines in wrapped for line in (*lines, "")][:-1]
    rows = [f"┃ {line:<{width}} ┃" for line in body]
    return "\n".join(["┏" + "━" * (width + 2) + "┓", *rows, "┗" + "━" * (width + 2) + "┛"])
