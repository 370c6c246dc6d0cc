"""Open the workshop: `python start.py`; or only look whether this machine is ready: `--check`."""

from __future__ import annotations  # so that an old Python gets as far as the doctor

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 10)


def surroundings() -> dict[str, str]:
    """The environment of a process, with the package and the data that lie beside this file."""
    found = dict(os.environ)
    paths = [str(HERE), found.get("PYTHONPATH", "")]
    found["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if (HERE / "data").is_dir():
        found["VAELIB_DATA"] = str(HERE / "data")
        found.setdefault("VAELIB_OFFLINE", "the workshop brings its own data")
    return found


def main(arguments: list[str]) -> int:
    doctor = [sys.executable, "-m", "vaelib", "doctor"]
    status = subprocess.run(doctor, env=surroundings(), check=False).returncode
    if sys.version_info < OLDEST_PYTHON:
        print("START.md, in this folder, says how to install a newer Python, or conda.")
        return status
    if importlib.util.find_spec("jupyterlab") is None:
        print('JupyterLab is not installed. In this folder, run: python -m pip install -e ".[lab]"')
        return 1
    if arguments == ["--check"]:
        return status
    if status:
        print("JupyterLab is opened all the same; what fails above may stop a notebook later.")
    first = min((HERE / "notebooks").glob("*.ipynb"))
    lab = [sys.executable, "-m", "jupyterlab", str(first.relative_to(HERE))]
    return subprocess.run(lab, cwd=HERE, env=surroundings(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
