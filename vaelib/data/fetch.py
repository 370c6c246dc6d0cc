"""Download archives from torchvision's mirrors, each verified, whole or not at all."""

import contextlib
import errno
import http.client
import os
import socket
import sys
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path

from vaelib.data.catalogue import PUBLISHED, DataError, DataFile, UnreachableError
from vaelib.data.files import written_whole
from vaelib.data.store import filling, missing

TIMEOUT = 20.0  # seconds without a byte after which a mirror counts as dead
DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOTDIR}
DISK_ERRORS.add(getattr(errno, "EDQUOT", errno.ENOSPC))


def offline() -> str | None:
    """Why the network is not to be tried, if VAELIB_OFFLINE says so (1, or a reason in words)."""
    setting = os.environ.get("VAELIB_OFFLINE", "").strip()
    if setting.lower() in ("", "0", "false", "no", "off"):
        return None
    return setting if " " in setting else f"VAELIB_OFFLINE={setting} forbids to download it"


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
    first = [f"{own.rstrip('/')}/{PUBLISHED[name].kind}/raw/"] if own else []
    return first + torchvision_mirrors(name)


def torchvision_mirrors(name: str) -> list[str]:
    """The addresses where torchvision finds a data set's archives.

    Raises `DataError` for a class that has none of its own: it would inherit those of MNIST.
    """
    from torchvision import datasets

    kind = PUBLISHED[name].kind
    if "mirrors" not in vars(getattr(datasets, kind)):
        raise DataError(
            f"torchvision's {kind} does not publish four archives as MNIST does, so {name} cannot "
            "be an entry of vaelib.data.catalogue.PUBLISHED; write a reader of its own"
        )
    return list(getattr(datasets, kind).mirrors)


def download(name: str, root: Path, wanted: Sequence[DataFile] = ()) -> None:
    """Fetch files of data set `name` into `root`: those `wanted`, or all that it lacks.

    Each file comes into place whole and verified, or not at all; other processes that want the
    same wait meanwhile. Progress goes to stderr.

    Raises `UnreachableError` if no mirror delivers what it should, or VAELIB_OFFLINE is set, and
    `DataError` if the disk fails.
    """
    if reason := offline():
        raise UnreachableError(reason)
    with filling(root), _impatient():
        files = wanted or missing(name, root)
        if files:
            print(f"Downloading {name} into {root}", file=sys.stderr, flush=True)
        for file in files:
            with written_whole(root / file.place) as partial:
                _fetch(file, partial)


def _fetch(file: DataFile, path: Path) -> None:
    """Write `file` to `path`, from the first mirror that has it with the right checksum.

    Raises `UnreachableError` with what each mirror answered if none has, and the operating
    system's error if the disk fails.
    """
    from torchvision.datasets.utils import download_url

    archive, answers = Path(file.place).name, []
    for address in mirrors(file.dataset):
        try:
            return download_url(f"{address}{archive}", str(path.parent), path.name, file.md5)
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            answers.append(f"  {address}{archive}: {_what_came(error, path)}")
    raise UnreachableError("\n".join([f"the download of {archive} failed:", *answers]))


def _what_came(error: Exception, path: Path) -> str:
    """What went wrong with a download; torchvision calls every damaged file the same."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", 0), TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if isinstance(error, RuntimeError) and path.is_file():
        content = path.read_bytes()
        page = content.lstrip().startswith(b"<")
        came = "a web page came, perhaps a network's login" if page else "cut short or damaged"
        return f"{len(content):,} bytes came with another checksum ({came})"
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return f"no connection ({error.reason})"
    return str(error) or repr(error)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Let sockets that are opened meanwhile give up after `TIMEOUT` seconds of silence."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
