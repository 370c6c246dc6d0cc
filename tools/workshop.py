"""Build build/workshop.zip: all that a room needs, to be handed out on a stick.

python tools/workshop.py [--into FILE] [--without-data]

In it: the notebooks without outputs, their exercises open; the solved ones apart; the package; the
data sets, verified; environment.yml; START.md, and start.py, which looks whether the machine is
ready and opens JupyterLab. The machine must have the environment, and needs no network.
"""

import argparse
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

HOME = Path(__file__).resolve().parent.parent
BUILD = HOME / "build"
ROOT = "vae-workshop"
TREES = {"vaelib": ("*.py", "*.js", "*.css", "*.json"), "notebooks/solutions": ("*.ipynb",)}
FILES = ("environment.yml", "pyproject.toml", "LICENSE")
README = "# vaelib, packed for a workshop\n\nBegin with [START.md](START.md).\n"
DATA = ("mnist", "glyphs")


class WorkshopError(RuntimeError):
    """Something that must be in the zip is missing or damaged; the message says what to do."""


def handed_out(path: Path) -> str:
    """A notebook as JSON, without outputs, counts and tags; folded cells stay folded."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("tags", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def data_files() -> Iterator[tuple[str, Path]]:
    """The files of the data sets, by their names in the zip, each verified now."""
    from vaelib.data import store, verification

    for name in DATA:
        root = store.locate(name)
        if root is None:
            raise WorkshopError(
                f"{name} is not on this machine: python -m vaelib data prefetch {name}"
            )
        for file, path, problem in verification.inspect(name, root):
            if problem:
                raise WorkshopError(problem)
            if path == store.copies_of(file, root)[0]:
                yield f"data/{path.relative_to(root).as_posix()}", path


def contents(*, data: bool = True) -> dict[str, Path | str]:
    """What goes into the zip, by name: a file's path, or a text."""
    found: dict[str, Path | str] = {
        "START.md": (HOME / "tools" / "workshop" / "START.md"),
        "README.md": README,  # the package's own speaks of what is not in the zip
        "start.py": (HOME / "tools" / "workshop" / "start.py"),
    }
    for path in sorted((HOME / "notebooks").glob("*.ipynb")):
        found[f"notebooks/{path.name}"] = handed_out(path)
    for folder, patterns in TREES.items():
        for pattern in patterns:
            for path in sorted((HOME / folder).rglob(pattern)):
                found[path.relative_to(HOME).as_posix()] = path
    for path in (HOME / name for name in FILES):
        found[path.relative_to(HOME).as_posix()] = path
    return found | (dict(data_files()) if data else {})


def build(target: Path, *, data: bool = True) -> Path:
    """Write the zip, whole or not at all, and return its path."""
    from vaelib.data.files import written_whole

    with (
        written_whole(target) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, content in contents(data=data).items():
            if isinstance(content, Path):
                archive.write(content, f"{ROOT}/{name}")
            else:
                archive.writestr(f"{ROOT}/{name}", content)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="tools/workshop.py", description=__doc__.split("\n")[0])
    parser.add_argument("--into", type=Path, default=BUILD / "workshop.zip")
    parser.add_argument("--without-data", action="store_true")
    given = parser.parse_args(arguments)
    try:
        path = build(given.into, data=not given.without_data)
    except WorkshopError as error:
        print(f"No zip was written. {error}", file=sys.stderr)
        return 1
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:.0f} MB. Unpack it, then: python {ROOT}/start.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
