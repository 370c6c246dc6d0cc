"""Where a data set's files are: a folder of yours, the per-user cache, or a download.

Paths only, no tensors, so that asking is instant. `vaelib.datasets` reads what is found here.
"""

import os
import sys
from pathlib import Path

FILES = {
    "mnist": {
        "train": ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
        "test": ("MNIST/raw/t10k-images-idx3-ubyte", "MNIST/raw/t10k-labels-idx1-ubyte"),
    }
}


class DataError(RuntimeError):
    """A data set is unknown, missing or unreadable; the message says what to do."""


def cache_folder() -> Path:
    """The folder of downloaded data that all notebooks of one user share."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vaelib"


def known(name: str) -> dict[str, tuple[str, str]]:
    """The files of data set `name`, by split, relative to a torchvision root.

    Raises `DataError` if no data set has that name.
    """
    if name not in FILES:
        raise DataError(f"no data set is called {name!r}; there is {', '.join(map(repr, FILES))}")
    return FILES[name]


def on_disk(root: Path, file: str) -> Path | None:
    """The path of `file` under `root`, plain or gzipped, or None where there is neither."""
    plain = root / file
    return next((p for p in (plain, plain.with_name(plain.name + ".gz")) if p.is_file()), None)


def missing(name: str, root: Path) -> list[Path]:
    """The files of data set `name` that `root` lacks."""
    files = [file for pair in known(name).values() for file in pair]
    return [root / file for file in files if on_disk(root, file) is None]


def find(name: str = "mnist") -> Path:
    """The torchvision root that holds data set `name`, downloading it if need be.

    The folder in the environment variable VAELIB_DATA decides where it is set; else the
    per-user cache, filled by torchvision's download (with a progress bar) the first time.
    Raises `DataError`, naming the files and the folder, when they cannot be had.
    """
    folder = os.environ.get("VAELIB_DATA")
    root = Path(os.path.expanduser(folder)).resolve() if folder else cache_folder()
    lacking = missing(name, root)
    if lacking and folder:
        raise DataError(_absence(name, root, lacking))
    if lacking:
        download(name, root)
    return root


def download(name: str, root: Path) -> None:
    """Fetch data set `name` into `root` by torchvision, showing a progress bar.

    Raises `DataError` if the network or the disk fails, saying how to go on without it.
    """
    from torchvision import datasets

    known(name)
    print(f"Downloading {name} into {root}", file=sys.stderr)
    try:
        root.mkdir(parents=True, exist_ok=True)
        datasets.MNIST(root, download=True)
    except (OSError, RuntimeError) as error:
        lacking = missing(name, root) or [root]
        reason = f"The download failed: {error}\n"
        raise DataError(reason + _absence(name, root, lacking)) from error


def _absence(name: str, root: Path, lacking: list[Path]) -> str:
    setting = os.environ.get("VAELIB_DATA")
    origin = f"VAELIB_DATA={setting}" if setting else "the per-user cache"
    exists = "" if root.is_dir() else " This folder does not exist."
    lines = [f"{name} was looked for in {root} ({origin}).{exists} These files are missing there:"]
    lines += [f"  {path}  (or {path.name}.gz)" for path in lacking]
    lines += [
        "Either copy them there, or set VAELIB_DATA to a folder that has MNIST/raw/ in it,",
        "or unset VAELIB_DATA on a machine with a network to have them downloaded.",
    ]
    return "\n".join(lines)
