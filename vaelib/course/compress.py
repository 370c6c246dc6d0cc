"""Compress images with a trained model: `python -m vaelib compress IMAGES -o FILE …`."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch.hub import tqdm

from vaelib import archive, checkpoint, data
from vaelib.archive import HEADER, MAGIC, ArchiveError
from vaelib.binarization import LEAST_INK, freeze, threshold
from vaelib.checkpoint import CheckpointError
from vaelib.compression import Codec
from vaelib.data import DataError
from vaelib.data.files import written_whole
from vaelib.data.rows import check_ink

CODES = (
    "Exit codes: 0 done, 1 a file cannot be read or is not what it should be, 2 wrong usage, "
    "130 interrupted. The output appears whole or not at all."
)


def add_arguments(parser: argparse.ArgumentParser, task: str) -> None:
    """Give `parser` the arguments of a task; what it parses then has a function `run`."""
    parser.epilog = CODES
    model = "a model that vaelib.checkpoint.save wrote, the same for both directions"
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help=model)
    if task == "compress":
        source = "a data set by name, a folder of pictures, or a file (.npz, .npy, IDX)"
        parser.add_argument("images", metavar="IMAGES", help=source)
        parser.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE")
        parser.add_argument(
            "--split", choices=("all", "train", "test"), default="all", help="(default all)"
        )
        parser.add_argument(
            "--binarize",
            choices=("threshold", "dynamic"),
            help="what to do with grey pixels: cut at ½, or draw once with --seed",
        )
        parser.add_argument(
            "--seed", type=_seed, default=0, help="of --binarize dynamic (default 0)"
        )
    else:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("-o", dest="output", type=_numpy, required=True, metavar="IMAGES.npy")
    parser.set_defaults(run=lambda given: run(given, compress if task == "compress" else unpack))


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text}")
    return int(text)


def _numpy(name: str) -> Path:
    if not name.endswith(".npy"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .npy, got {name}")
    return Path(name)


def run(given: argparse.Namespace, task) -> int:
    """Do a task; the exit code."""
    try:
        check_output(given)
        print(task(given))
    except KeyboardInterrupt:
        print("\ninterrupted; nothing half-written was kept", file=sys.stderr)
        return 130
    except (ArchiveError, CheckpointError, DataError, OSError, TypeError, ValueError) as error:
        print(f"FAIL  {error}", file=sys.stderr)
        return 1
    return 0


def check_output(given: argparse.Namespace) -> None:
    """Raise, before any work, if the output would replace what is read, or is no file."""
    output = given.output.expanduser().resolve()
    for read in (given.model, getattr(given, "file", None) or Path(given.images)):
        if output == read.expanduser().resolve():
            raise ValueError(f"{output} is what is read; give the output another name")
    if output.exists() and not output.is_file():
        raise ValueError(f"{output} is a folder or a device; name a file for the output")


def compress(given: argparse.Namespace) -> str:
    """Compress images into a file; what was done, in words."""
    codec, found = Codec(checkpoint.load(given.model)), data.load(given.images, given.split)
    images = found.images
    if given.binarize == "threshold":
        check_ink(images, LEAST_INK[threshold])
        images = threshold(images).mul(255).byte()
    elif given.binarize == "dynamic":
        images = freeze(images, torch.Generator().manual_seed(given.seed))
    elif ((images > 0) & (images < 255)).any():
        raise ValueError(
            f"{given.images} has grey pixels, and only images of bytes 0 and 255 are compressed; "
            "add --binarize threshold, or --binarize dynamic"
        )
    with tqdm(total=len(images), unit="image") as bar:
        made = archive.compress(
            codec, images, found.shape, watch=lambda done, _: bar.update(done - bar.n)
        )
    with written_whole(given.output) as partial:
        partial.write_bytes(made)
    bits = 8 * len(made) / images.numel()
    return f"{len(images):,} images in {len(made):,} bytes, {bits:.4f} bits per pixel"


def unpack(given: argparse.Namespace) -> str:
    """Write a file's images as an array; what was done, in words."""
    codec = Codec(checkpoint.load(given.model))
    if not given.file.expanduser().is_file():
        raise ArchiveError(f"there is no file {given.file}")
    with given.file.expanduser().open("rb") as file:
        begin = file.read(HEADER.size)
        made = begin + (file.read() if begin.startswith(MAGIC) else b"")
    try:
        shape = archive.unpack(codec, made).shape
        with tqdm(unit="image") as bar:

            def watch(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            images = archive.decompress(codec, made, watch=watch)
    except ArchiveError as error:
        raise ArchiveError(f"{given.file}: {error}") from error
    with written_whole(given.output) as partial, partial.open("wb") as file:
        np.save(file, images.view(-1, *shape).numpy())
    return f"{len(images):,} images of {shape[0]} × {shape[1]} pixels in {given.output}"
