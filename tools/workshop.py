"""Build build/workshop.zip: all that a room needs, to be handed out on a stick or by mail.

python tools/workshop.py [--into FILE] [--without-data] [--without-solutions]

In it: the notebooks without outputs, their exercises open, and again for Colab; the solved ones
apart; the package; MNIST, verified; environment.yml; LICENSE and NOTICE; START.md, and start.py,
which looks whether the machine is ready and opens JupyterLab. The machine must have the
environment, and needs no network. The zip is at most 20 MB, because mail often allows no more.
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from colab import with_install_cell

HOME = Path(__file__).resolve().parent.parent
BUILD = HOME / "build"
ROOT = "vae-workshop"
PACKAGE = ("*.py", "*.js", "*.css", "*.json")
FILES = ("environment.yml", "pyproject.toml", "setup.py", "tools/address.py", "LICENSE")
README = "# vaelib, packed for a workshop\n\nBegin with [START.md](START.md).\n"
DATA = ("mnist",)  # not the glyphs, which the package can draw: they take 55 MB
LARGEST = 20e6  # bytes
READABLE = 0o100644 << 16  # a file that every user may read, as a zip stores it
WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can store: the same files, the same zip


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


def pages(*, data: bool, solutions: bool) -> dict[str, Path | str]:
    """The start page and its program, and the licences, of what is in the zip and of no more."""
    about = HOME / "tools" / "workshop"
    start, notice = ((about / name).read_text("utf-8") for name in ("START.md", "NOTICE"))
    if not solutions:
        start = re.sub(r"^- Solved notebooks .*\n", "", start, flags=re.MULTILINE)
    return {
        "START.md": start,
        "NOTICE": notice if data else notice.partition("\nMNIST\n")[0],
        "README.md": README,  # the package's own speaks of what is not in the zip
        "start.py": about / "start.py",
    }


def contents(*, data: bool = True, solutions: bool = True) -> dict[str, Path | str]:
    """What goes into the zip, by name: a file's path, or a text."""
    found = pages(data=data, solutions=solutions)
    for path in sorted((HOME / "notebooks").glob("*.ipynb")):
        text = handed_out(path)
        found[f"notebooks/{path.name}"] = text
        for_colab = with_install_cell(json.loads(text), "workshop.zip")
        found[f"colab/{path.name}"] = json.dumps(for_colab, indent=1, ensure_ascii=False) + "\n"
    files = [HOME / name for name in FILES]
    if solutions:
        files += sorted((HOME / "notebooks" / "solutions").glob("*.ipynb"))
    for pattern in PACKAGE:
        files += sorted((HOME / "vaelib").rglob(pattern))
    found |= {path.relative_to(HOME).as_posix(): path for path in files}
    return found | (dict(data_files()) if data else {})


def write(target: Path, content: dict[str, Path | str]) -> None:
    """Write a zip of files that every user may read, whatever their modes are here."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in content.items():
            entry = zipfile.ZipInfo(f"{ROOT}/{name}", WHEN)
            entry.external_attr, entry.compress_type = READABLE, zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on Windows too; else the modes are not read
            archive.writestr(entry, source.read_bytes() if isinstance(source, Path) else source)


def build(target: Path, *, data: bool = True, solutions: bool = True) -> Path:
    """Write the zip, whole or not at all, and return its path."""
    from vaelib.data.files import written_whole

    content = contents(data=data, solutions=solutions)
    with written_whole(target) as partial:
        write(partial, content)
        size = partial.stat().st_size
        if size > LARGEST:
            raise WorkshopError(
                f"It would have {size / 1e6:.1f} MB, and mail often allows {LARGEST / 1e6:.0f} MB. "
                "Leave something out: --without-solutions or --without-data."
            )
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="tools/workshop.py", description=__doc__.split("\n")[0])
    parser.add_argument("--into", type=Path, default=BUILD / "workshop.zip")
    parser.add_argument("--without-data", action="store_true")
    parser.add_argument("--without-solutions", action="store_true")
    given = parser.parse_args(arguments)
    data, solutions = not given.without_data, not given.without_solutions
    try:
        path = build(given.into, data=data, solutions=solutions)
    except WorkshopError as error:
        print(f"No zip was written. {error}", file=sys.stderr)
        return 1
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:.0f} MB. Unpack it, then: python {ROOT}/start.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
