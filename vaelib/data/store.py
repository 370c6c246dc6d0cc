"""Which data set is meant, and where its files are: a folder of yours, the cache, or a download.

Paths only, no tensors, so that asking is instant. `vaelib.data` reads what is found here.
"""

import os
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

DEFAULT, STAND_IN = "mnist", "glyphs"
DEMONSTRATION = 1  # counted up whenever the demonstration model would come out otherwise
GLYPHS = "glyphs/glyphs.safetensors"
SPLITS = ("train", "test")

# The published archives and their MD5, as torchvision pins them (a test holds the two together).
ARCHIVES = {
    "mnist": {
        "MNIST/raw/train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "MNIST/raw/train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "MNIST/raw/t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "MNIST/raw/t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion_mnist": {
        "FashionMNIST/raw/train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "FashionMNIST/raw/train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "FashionMNIST/raw/t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    "kmnist": {
        "KMNIST/raw/train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "KMNIST/raw/train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "KMNIST/raw/t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "KMNIST/raw/t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
}
NAMES = (*ARCHIVES, STAND_IN)


class DataError(RuntimeError):
    """A data set is unknown, missing or damaged; the message says what to do."""


class UnreachableError(DataError):
    """A data set is nowhere on this machine and cannot be fetched: no network, or a bad mirror."""


class Choice(NamedTuple):
    """The data set that was settled on, and the folder that holds it.

    `root` is None for glyphs that have not been drawn yet.
    """

    name: str
    root: Path | None


def cache_folder() -> Path:
    """The folder of data that all notebooks of one user share."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vaelib"


def demonstration_file(name: str) -> Path:
    """Where the cache keeps the small model trained on a data set, see `course.demonstration`."""
    return cache_folder() / "models" / f"{name}-{DEMONSTRATION}.safetensors"


def own_folder() -> Path | None:
    """The folder that the environment variable VAELIB_DATA names, if it is set."""
    folder = os.environ.get("VAELIB_DATA")
    return Path(os.path.expanduser(folder)).resolve() if folder else None


def places() -> list[Path]:
    """Where files are looked for, in this order: the folder of VAELIB_DATA, then the cache."""
    own = own_folder()
    return ([own] if own else []) + [cache_folder()]


def offline() -> str | None:
    """Why the network is not to be tried, if VAELIB_OFFLINE says so (1, or a reason in words)."""
    setting = os.environ.get("VAELIB_OFFLINE", "").strip()
    if setting.lower() in ("", "0", "false", "no", "off"):
        return None
    return setting if " " in setting else f"VAELIB_OFFLINE={setting} forbids to download it"


def check_name(name: str, origin: str = "") -> str:
    """`name`, if a data set has it; else raise `DataError`, which lists those that there are."""
    if name not in NAMES:
        there_is = ", ".join(map(repr, NAMES))
        raise DataError(f"no data set is called {name!r}{origin}; there is {there_is}")
    return name


def files(name: str, split: str | None = None) -> list[str]:
    """The files of a data set (or of one split: images, then labels), relative to a root."""
    if check_name(name) == STAND_IN:
        return [GLYPHS]
    prefix = {"train": "train-", "test": "t10k-", None: ""}[split]
    return [file for file in ARCHIVES[name] if file.split("/")[-1].startswith(prefix)]


def copies(root: Path, file: str) -> list[Path]:
    """The paths under `root` that hold `file`, in the order in which they are read.

    MNIST's files may also be unpacked, without .gz: their contents have known checksums. For
    the other data sets only the archives have.
    """
    plain = [root / file.removesuffix(".gz")] if file in ARCHIVES["mnist"] else []
    return [path for path in (*plain, root / file) if path.is_file()]


def on_disk(root: Path, file: str) -> Path | None:
    """The path that is read for `file` under `root`, or None where there is none."""
    return next(iter(copies(root, file)), None)


def missing(name: str, root: Path) -> list[Path]:
    """The files of data set `name` that `root` lacks."""
    return [root / file for file in files(name) if on_disk(root, file) is None]


def locate(name: str) -> Path | None:
    """The first of `places()` that has all files of data set `name`, or None."""
    return next((root for root in places() if not missing(name, root)), None)


def find(name: str) -> Path:
    """The root that holds data set `name`, downloading it into the cache if need be.

    Raises `UnreachableError` when it is on no disk and cannot be fetched, `DataError` when the
    disk fails.
    """
    root, own = locate(name), own_folder()
    if root is None:
        from vaelib.data.fetch import download

        root = cache_folder()
        try:
            download(name, root)
        except UnreachableError as error:
            raise UnreachableError(f"{error}\n\n{absence(name)}") from error
    if own not in (None, root):
        found = f"{name} is not in {own} (VAELIB_DATA), so it is read from {root}"
        warnings.warn(found, stacklevel=4)  # where `load` was called
    return root


_stand_in: UnreachableError | None = None  # why this process works with glyphs, once it does


def choose(name: str | None = None) -> Choice:
    """Settle on a data set and find its files; print a notice if it had to be the stand-in.

    What is asked for, by `name` or else by the environment variable VAELIB_DATASET, is what
    comes, or an error. When nothing is asked for it is MNIST; and if that can neither be found
    nor fetched, glyphs, for the rest of this process, so that two splits never get mixed up.

    Raises `DataError` for an unknown name and when a data set that was asked for can't be had.
    """
    global _stand_in
    asked = name or os.environ.get("VAELIB_DATASET")
    wanted = check_name(asked or DEFAULT, "" if name else " (VAELIB_DATASET says so)")
    if wanted == STAND_IN:
        return Choice(wanted, locate(wanted))
    if _stand_in is None or asked:
        try:
            return Choice(wanted, find(wanted))
        except UnreachableError as error:
            if asked:
                raise
            _stand_in = error
            print(notice(error), file=sys.stderr, flush=True)
    return Choice(STAND_IN, locate(STAND_IN))


def deeper(name: str) -> str:
    """A hint for whoever named a folder inside the one that holds the data set, else ""."""
    own = own_folder()
    for folder in own.parents[:2] if own else ():
        if not missing(name, folder):
            return f" But {folder} has it: set VAELIB_DATA to that."
    return ""


def absence(name: str) -> str:
    """Where data set `name` was looked for, what is missing there, and what can be done."""
    lines = []
    for root in places():
        origin = "VAELIB_DATA" if root == own_folder() else "the cache"
        if not root.is_dir():
            lines.append(f"{name} was looked for in {root} ({origin}): there is no such folder.")
            continue
        lines.append(f"{name} was looked for in {root} ({origin}). These files are missing:")
        lines += [f"  {path}" for path in missing(name, root)]
        lines += [deeper(name).strip()] if root == own_folder() and deeper(name) else []
    return "\n".join([*lines, by_hand(name, places()[0])])


def by_hand(name: str, root: Path, wanted: list[str] | None = None) -> str:
    """Which files (those `wanted`, or all) to copy where when no mirror delivers them."""
    lines = ["To have it without a network, copy these files there (MD5 behind each):"]
    lines += [f"  {root / file}  {ARCHIVES[name][file]}" for file in wanted or files(name)]
    folder = files(name)[0].rpartition("/")[0]
    lines += [f"or set VAELIB_DATA to a folder that has them in {folder}/."]
    return "\n".join(lines)


def notice(reason: Exception) -> str:
    """The framed text that says that the stand-in is used, why, and how to get MNIST later."""
    own, why = own_folder(), " ".join(str(reason).partition("\n\n")[0].split())
    elsewhere = []
    if own and own.is_dir():
        lacking = missing(DEFAULT, own)[0].name
        elsewhere = [
            f"VAELIB_DATA is set to {own}, but MNIST/raw in it lacks {lacking}. It must be the "
            f"folder that contains MNIST.{deeper(DEFAULT)}"
        ]
    elif own:
        elsewhere = [f"VAELIB_DATA is set to {own}, but there is no such folder."]
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
