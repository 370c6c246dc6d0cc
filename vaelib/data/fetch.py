"""Download archives from torchvision's mirrors, each verified, whole or not at all."""

import contextlib
import errno
import hashlib
import http.client
import os
import re
import socket
import sys
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener, getproxies, proxy_bypass

from torch.hub import tqdm

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
    archive, answers = Path(file.place).name, []
    for address, proxy in _ways(file.dataset):
        try:
            return _retrieve(f"{address}{archive}", path, file.md5, proxied=bool(proxy))
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            way = f"{address}{archive}{proxy and f' through the proxy {proxy}'}"
            answers.append(f"  {way}: {_what_came(error, proxied=bool(proxy))}")
    if "all" in getproxies():
        proxy = _without_password(getproxies()["all"])
        answers.append(f"  all_proxy is set to {proxy}, which Python ignores: set https_proxy")
    raise UnreachableError("\n".join([f"the download of {archive} failed:", *answers]))


def _ways(name: str) -> list[tuple[str, str]]:
    """The mirrors of a data set in the order they are tried, each with its proxy or "".

    The mirror of VAELIB_MIRROR is asked directly first, because a proxy rarely reaches the room.
    """
    addresses = mirrors(name)
    ways = [(address, _proxy_of(address)) for address in addresses]
    own = [(addresses[0], "")] if os.environ.get("VAELIB_MIRROR") and ways[0][1] else []
    return own + ways


def _proxy_of(address: str) -> str:
    """The proxy that the environment sets for an address, in words without its password, or ""."""
    scheme, _, host = address.split("/")[:3]
    variable = scheme.replace(":", "_proxy")
    proxy = getproxies().get(scheme.rstrip(":"), "")
    if not proxy or proxy_bypass(host):
        return ""
    return f"{_without_password(proxy)} ({variable} is set to it)"


def _without_password(proxy: str) -> str:
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*://)?", proxy)[0]
    return scheme + proxy.removeprefix(scheme).rpartition("@")[2]


def _retrieve(url: str, path: Path, md5: str, *, proxied: bool) -> None:
    """Write what `url` answers to `path`, with a bar; through the environment's proxy or directly.

    Raises RuntimeError, which says what came, if its MD5 is not `md5`.
    """
    opener = build_opener() if proxied else build_opener(ProxyHandler({}))
    request = Request(url, headers={"User-Agent": "pytorch/vision"})  # as torchvision does
    with (
        opener.open(request) as response,
        path.open("wb") as file,
        tqdm(total=response.length, unit="B", unit_scale=True) as bar,
    ):
        while chunk := response.read(1 << 15):
            file.write(chunk)
            bar.update(len(chunk))
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        page = content.lstrip().startswith(b"<")
        came = "a web page came, perhaps a network's login" if page else "cut short or damaged"
        raise RuntimeError(f"{len(content):,} bytes came with another checksum ({came})")


def _what_came(error: Exception, *, proxied: bool) -> str:
    """What went wrong with a download, without a proxy's password."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", 0), TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if proxied and isinstance(error, ValueError | http.client.InvalidURL):  # it may quote all
        return "one of these two addresses is not valid"
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
