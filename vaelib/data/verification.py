"""Read files of data sets, and only if they are what was published or drawn."""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np

from vaelib.data.catalogue import PUBLISHED, SPLITS, STAND_IN, DataError, DataFile, files_of
from vaelib.data.glyphs import read_glyphs
from vaelib.data.store import copies_of


def read_published(file: DataFile, path: Path) -> np.ndarray:
    """The values of a published file, of which `path` is a copy, in the array's own shape.

    The checksum is that of the content if it is known, however it is packed, else that of the
    archive. Raises `DataError`, naming the path, if it is not what was published.
    """
    try:
        raw = path.read_bytes()
        content = unpacked(raw)
        values = decode_idx(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    except ValueError as error:
        raise DataError(f"{path} {error}. {_get_anew(file, path)}") from error
    if file.sha256:
        found, expected = hashlib.sha256(content).hexdigest(), file.sha256
    else:
        found, expected = hashlib.md5(raw, usedforsecurity=False).hexdigest(), file.md5
    if found != expected:
        others = (other for name in PUBLISHED for other in files_of(name))
        really = [f"it holds what belongs into {other.place}" for other in others if found in other]
        raise DataError(
            f"{path} is not the published {file.place} ({(really or ['damaged'])[0]}): its "
            f"checksum is {found}, expected {expected}. {_get_anew(file, path)}"
        )
    return values


def decode_idx(content: bytes) -> np.ndarray:
    """Decode an IDX file of unsigned bytes to an array of its own shape.

    The format (LeCun's MNIST page): two zero bytes, the type (8 for uint8), the number of
    dimensions, each size as a big-endian uint32, then the bytes. Raises ValueError, with words
    that can follow the file's name, if it is not that or is cut short.
    """
    dimensions = content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if content[:3] != b"\x00\x00\x08" or dimensions not in (1, 3) or len(content) < start:
        raise ValueError("is not an IDX file of bytes")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"has {len(content) - start} bytes of data where its header promises "
            f"{math.prod(shape)} (shape {shape})"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def unpacked(raw: bytes) -> bytes:
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be unpacked ({error})") from error


def _get_anew(file: DataFile, path: Path) -> str:
    above, raw = path.parents, file.place.rpartition("/")[0]
    root = next((root for root in above if root / raw in above), above[file.place.count("/")])
    command = f'python -m vaelib data prefetch {file.dataset} --root "{root}"'
    return f"Delete it and get it anew: {command}"


def inspect(name: str, root: Path) -> list[tuple[DataFile, Path, str]]:
    """Every copy of every file of a data set under `root`, with what is wrong with it, or "".

    A file of which there is no copy is listed where its archive belongs.
    """
    return [
        (file, path, problem_of(file, path))
        for file in files_of(name)
        for path in copies_of(file, root) or [root / file.place]
    ]


def problem_of(file: DataFile, path: Path) -> str:
    """What is wrong with `path` as a copy of `file`; "" if nothing is."""
    if not os.path.isfile(path):
        return f"{path} is missing."
    try:
        if file.dataset == STAND_IN:
            for split in SPLITS:
                read_glyphs(path, split)
        else:
            read_published(file, path)
    except DataError as error:
        return str(error)
    return ""
