"""Where files are: in a folder of the user's or in the cache; and how a folder is filled."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from vaelib.data.catalogue import NAMES, DataError, DataFile, files_of

PATIENCE = 1.0  # seconds of waiting for another process before that is said


def cache_folder() -> Path:
    """The folder of data that all notebooks of one user share."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vaelib"


def own_folder() -> Path | None:
    """The folder that the environment variable VAELIB_DATA names, if it is set."""
    folder = os.environ.get("VAELIB_DATA")
    return Path(os.path.expanduser(folder)).resolve() if folder else None


def places() -> list[Path]:
    """Where files are looked for, in this order: the folder of VAELIB_DATA, then the cache."""
    own = own_folder()
    return ([own] if own else []) + [cache_folder()]


def copies_of(file: DataFile, root: Path) -> list[Path]:
    """The paths under `root` that hold `file`, the one that is read first in front.

    A file may also be unpacked, without .gz, if the checksum of its content is known.
    """
    plain = [root / file.place.removesuffix(".gz")] if file.sha256 else []
    return [path for path in (*plain, root / file.place) if path.is_file()]


def missing(name: str, root: Path) -> list[DataFile]:
    """The files of data set `name` that `root` lacks."""
    return [file for file in files_of(name) if not copies_of(file, root)]


def locate(name: str) -> Path | None:
    """The first of `places()` that has all files of data set `name`, or None."""
    return next((root for root in places() if not missing(name, root)), None)


@contextlib.contextmanager
def filling(root: Path) -> Iterator[None]:
    """Be the only process that writes data into `root`; turn errors of the disk into `DataError`.

    Other processes wait. What killed ones left half-written is removed first.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / ".lock"):
            folders = {(root / file.place).parent for name in NAMES for file in files_of(name)}
            for left in (path for folder in folders for path in folder.glob(".*.partial")):
                left.unlink(missing_ok=True)
            yield
    except OSError as error:
        raise DataError(
            f"{root} cannot be written: {error}. Nothing half-written was kept. Make room (MNIST "
            "takes 12 MB, glyphs 55) or make it writable; or fill another folder, by "
            "python -m vaelib data prefetch --root DIR, and set VAELIB_DATA to it."
        ) from error


def _lock(path: Path) -> AcquireReturnProxy:
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"Waiting: another process is filling {path.parent}", file=sys.stderr, flush=True)
        return lock.acquire()


def deeper(name: str) -> str:
    """A hint for anyone who named a folder inside the one that holds the data set, else ""."""
    own = own_folder()
    for folder in own.parents[:2] if own else ():
        if not missing(name, folder):
            return f" But {folder} has it: set VAELIB_DATA to that."
    return ""


def absence(name: str) -> str:
    """Where data set `name` was looked for, what is missing there, and what can be done."""
    lines = []
    for root in places():
        own = root == own_folder()
        searched = f"{name} was looked for in {root} ({'VAELIB_DATA' if own else 'the cache'})"
        if not root.is_dir():
            lines.append(f"{searched}: there is no such folder.")
            continue
        lines.append(f"{searched}. These files are missing:")
        lines += [f"  {root / file.place}" for file in missing(name, root)]
        lines += [deeper(name).strip()] if own and deeper(name) else []
    return "\n".join([*lines, by_hand(files_of(name), places()[0])])


def by_hand(files: Sequence[DataFile], root: Path) -> str:
    """Where to copy `files` when no mirror delivers them."""
    lines = ["To have it without a network, copy these files there (MD5 behind each):"]
    lines += [f"  {root / file.place}  {file.md5}" for file in files]
    folder = files[0].place.rpartition("/")[0]
    return "\n".join([*lines, f"or set VAELIB_DATA to a folder that has them in {folder}/."])
