"""The package as `pip install` gives it, apart from this checkout, and notebooks run on that."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

HOME = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the checkout gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(HOME / "vaelib", source / "vaelib", ignore=ignored)
    (source / "tools").mkdir()
    for name in ("pyproject.toml", "setup.py", "tools/address.py", "README.md", "LICENSE"):
        shutil.copy(HOME / name, source / name)
    command = ["pip", "wheel", "--verbose", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run(
        [sys.executable, "-m", *command, "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "is absent from the `packages`" not in built.stdout + built.stderr, (
        "a folder of data is no package"
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder like site-packages, which holds what is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def papermill(notebook, site, folder):
    """Run a notebook by papermill, from a folder that has nothing to do with it; the result."""
    made = folder / f"made {notebook.name}"
    environment = os.environ | {"PYTHONPATH": str(site)}  # found before the checkout
    run = subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", str(notebook), str(made)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return nbformat.read(made, as_version=4)
