"""Where files are: in a folder of the user's or in the cache; and how a folder is filled."""

import contextlib
import functools
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from vaelib.data.catalogue import NAMES, DataError, DataFile, files_of

PATIENCE = 1.0  # seconds of waiting for another process before that is said
NOWHERE = Path(os.devnull) / "vaelib"  # no file can be there, and none can be made


def cache_folder() -> Path:
    """The folder that all notebooks of one user share, and that data are written to.

    It is the usual one, below the home folder; or, with a notice, a temporary one that only this
    user can write, if there is no home folder or it is read-only. If neither can be written it
    is the usual one, so that writing fails.
    """
    usual = usual_cache()
    if usual != NOWHERE and _may_be_written(usual):
        return usual
    why = "There is no home folder" if usual == NOWHERE else f"{usual} cannot be written"
    try:
        folder = temporary_cache()
        then = f"so data are kept in {folder} until the system clears it."
    except OSError as error:
        folder, then = usual, f"and no temporary folder can be used ({error}). No data are kept."
    _say_once(f"{why}, {then} To keep them, set VAELIB_DATA to a folder of yours.")
    return folder


def usual_cache() -> Path:
    """The folder for caches that the system sets, whether or not it can be written.

    It is `NOWHERE` if neither the environment nor the list of users knows a home folder.
    """
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return NOWHERE
    return Path(base) / "vaelib"


def temporary_cache() -> Path:
    """The folder of this user in the system's temporary folder, made if need be.

    Raises OSError if it cannot be made, or if another user owns it or could write into it, and so
    could have planted files.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0  # on Windows all files have owner 0
    folder = Path(tempfile.gettempdir()) / f"vaelib-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()  # of a link itself: where it points can change
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if found.st_uid != user:
        raise PermissionError(f"{folder} belongs to another user")
    if sys.platform != "win32" and found.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to other users; delete it")
    if not _may_be_written(folder):
        raise PermissionError(f"{folder} cannot be written")
    return folder


def _may_be_written(folder: Path) -> bool:
    """Whether this user has the right to write below `folder`, which need not exist yet.

    A file that stands in its way counts as a right: that is for the user to put right.
    """
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    effective = os.access in os.supports_effective_ids
    may = os.access(nearest, os.W_OK | os.X_OK, effective_ids=effective)
    return may or os.path.isfile(nearest)


@functools.cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def own_folder() -> Path | None:
    """The folder that the environment variable VAELIB_DATA names, if it is set."""
    folder = os.environ.get("VAELIB_DATA", "").strip()
    return Path(os.path.expanduser(folder)).resolve() if folder else None


def places() -> list[Path]:
    """Where files are looked for, in this order: the folder of VAELIB_DATA, then the cache.

    A usual cache that cannot be written comes before the temporary one that replaces it.
    """
    own, usual, cache = own_folder(), usual_cache(), cache_folder()
    read_only = [usual] if usual != cache and os.path.isdir(usual) else []
    return ([own] if own else []) + [*read_only, cache]


def first_to_fill() -> Path:
    """The folder that is filled unless another is named: that of VAELIB_DATA, else the cache."""
    return own_folder() or cache_folder()


def copies_of(file: DataFile, root: Path) -> list[Path]:
    """The paths under `root` that hold `file`, the one that is read first in front.

    An archive's name may have a dot where MNIST's page has a hyphen (train-images.idx3-ubyte.gz).
    If the checksum of its content is known, it may also be unpacked, without .gz, and lie in a
    folder of its own that has its name: so 7-Zip, `gunzip -N` and Kaggle leave it.
    """
    return [path for path in _spellings(file, root) if os.path.isfile(path)]


def _spellings(file: DataFile, root: Path) -> list[Path]:
    archive = root / file.place
    if archive.suffix != ".gz":
        return [archive]
    names = [archive.stem, archive.stem.replace("-idx", ".idx")]
    beside = [archive.with_name(f"{name}.gz") for name in names]
    if not file.sha256:
        return beside
    folders = [archive.with_name(name) for name in names]
    inside = [folder / name for folder in folders for name in names]
    packed = [path.with_name(f"{path.name}.gz") for path in inside]
    return [folders[0], beside[0], folders[1], beside[1], *inside, *packed]


def missing(name: str, root: Path) -> list[DataFile]:
    """The files of data set `name` that `root` lacks."""
    return [file for file in files_of(name) if not copies_of(file, root)]


def locate(name: str) -> Path | None:
    """The first of `places()` that has all files of data set `name`, or None."""
    own = own_folder()
    if own and not missing(name, own):
        return own  # without looking for a cache, which may be a notice
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
        if not os.path.isdir(root):
            lines.append(f"{searched}: there is no such folder.")
            continue
        lines.append(f"{searched}. These files are missing:")
        lines += [f"  {root / file.place}" for file in missing(name, root)]
        lines += [deeper(name).strip()] if own and deeper(name) else []
    return "\n".join([*lines, by_hand(files_of(name), first_to_fill())])


def by_hand(files: Sequence[DataFile], root: Path) -> str:
    """Where to copy `files` when no mirror delivers them."""
    lines = ["To have it without a network, copy these files there (MD5 behind each):"]
    lines += [f"  {root / file.place}  {file.md5}" for file in files]
    folder = files[0].place.rpartition("/")[0]
    return "\n".join([*lines, f"or set VAELIB_DATA to a folder that has them in {folder}/."])
