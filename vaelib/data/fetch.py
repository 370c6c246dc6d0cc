"""Fetch a data set's archives: from torchvision's mirrors, verified, whole or not at all."""

import contextlib
import errno
import http.client
import os
import shutil
import socket
import sys
import tempfile
import urllib.error
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from vaelib.data.store import ARCHIVES, DataError, UnreachableError, missing, offline

TIMEOUT = 20.0  # seconds without a byte after which a mirror counts as dead
TORCHVISION = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOTDIR}
DISK |= {errno.EDQUOT} if hasattr(errno, "EDQUOT") else set()


def mirrors(name: str) -> list[str]:
    """The addresses of the folders that hold a data set's archives, in the order they are tried.

    The environment variable VAELIB_MIRROR adds one in front: the address of a root, such as
    `python -m http.server --directory ROOT` on a teacher's machine gives.
    """
    own = os.environ.get("VAELIB_MIRROR")
    if own and not own.startswith(("http://", "https://")):
        raise DataError(
            f"VAELIB_MIRROR={own} is no address: expected http://…, the address of a folder that "
            "contains MNIST/raw"
        )
    folder = next(iter(ARCHIVES[name])).rpartition("/")[0]
    first = [f"{own.rstrip('/')}/{folder}/"] if own else []
    return first + published(name)


def published(name: str) -> list[str]:
    """The addresses where torchvision finds a data set's archives."""
    from torchvision import datasets

    return list(getattr(datasets, TORCHVISION[name]).mirrors)


def download(name: str, root: Path, wanted: list[str] | None = None) -> None:
    """Fetch archives of data set `name` into `root`: those `wanted`, or all that it lacks.

    Each is fetched into a folder beside its place, compared with its checksum, and only then
    moved there; other processes that want the same wait meanwhile. Progress goes to stderr.

    Raises `UnreachableError` if no mirror delivers what it should, or VAELIB_OFFLINE is set, and
    `DataError` if the disk fails.
    """
    if reason := offline():
        raise UnreachableError(reason)
    with storing(root):
        lacking = [root / file for file in wanted] if wanted else missing(name, root)
        if not lacking:
            return
        print(f"Downloading {name} into {root}", file=sys.stderr, flush=True)
        with scratch(root) as folder:
            for path in lacking:
                file = path.relative_to(root).as_posix()
                fetch(mirrors(name), path.name, ARCHIVES[name][file], folder)
            for path in lacking:
                path.parent.mkdir(parents=True, exist_ok=True)
                (folder / path.name).replace(path)


def fetch(addresses: list[str], file: str, md5: str, folder: Path) -> None:
    """Get `file` with the checksum `md5` into `folder` from the first address that has it.

    Raises `UnreachableError` with what each address answered if none has, and the operating
    system's error if the disk fails.
    """
    from torchvision.datasets.utils import download_url

    answers = []
    for address in addresses:
        try:
            with timeout(TIMEOUT):
                download_url(f"{address}{file}", str(folder), file, md5)
            return
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if not isinstance(error, urllib.error.URLError) and is_disk_error(error):
                raise
            answers.append(f"  {address}{file}: {explain(error, folder / file)}")
    raise UnreachableError("\n".join([f"the download of {file} failed:", *answers]))


def explain(error: Exception, path: Path) -> str:
    """What went wrong, in words; torchvision calls every damaged file the same."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", 0), TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if isinstance(error, RuntimeError) and path.is_file():
        with path.open("rb") as file:
            page = file.read(512).lstrip().startswith(b"<")
        came = "a web page came, perhaps a network's login" if page else "cut short or damaged"
        return f"{path.stat().st_size:,} bytes came with another checksum ({came})"
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return f"no connection ({error.reason})"
    return str(error) or repr(error)


@contextlib.contextmanager
def storing(root: Path) -> Iterator[None]:
    """Hold the lock of `root`, made if need be, and turn errors of the disk into `DataError`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            print(f"Waiting: another process is filling {root}", file=sys.stderr, flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        if isinstance(error, urllib.error.URLError):
            raise
        raise DataError(
            f"{root} cannot be written: {error}. Nothing half-written was kept. Make room (MNIST "
            "takes 12 MB, glyphs 55) or make it writable; or fill another folder, by "
            "python -m vaelib data prefetch --root DIR, and set VAELIB_DATA to it."
        ) from error


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder in `root` that is gone afterwards, with what killed processes left of theirs.

    Only for the holder of the lock of `root`.
    """
    for old in root.glob(".partial-*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def timeout(seconds: float) -> Iterator[None]:
    """Let sockets that are opened meanwhile give up after `seconds` of silence."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def is_disk_error(error: Exception) -> bool:
    """Whether an error is about writing here rather than about reading from there."""
    return isinstance(error, OSError) and error.errno in DISK
