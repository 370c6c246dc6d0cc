"""Where a notebook writes: pictures, a trained model."""

import tempfile
from pathlib import Path


def folder(name: str | Path) -> Path:
    """The folder `name` in the working directory, made if need be.

    Where it cannot be written to, as in a course folder that a hub shares, a temporary one, which
    is printed.
    """
    path = Path(name).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="vaelib-"))
        print(f"{name} cannot be written in this folder, so output goes to {path}")
        return path
