"""Build build/workshop.zip: all that a room needs, to be handed out on a stick or by mail.

python tools/workshop.py [--into FILE] [--without-data] [--without-solutions]

In it: the notebooks without outputs, their exercises open, and again for Colab; the solved ones
apart; the pages of docs/; the package; MNIST, verified; environment.yml; LICENSE and NOTICE;
START.md, and start.py, which looks whether the machine is ready and opens JupyterLab. The machine
must have the environment, and needs no network. The zip is at most 20 MB, because mail often allows
no more. Without solutions it has no page for teachers either, because those have answers.
"""

import argparse
import json
import posixpath
import re
import sys
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path

import nbformat
from address import LINK
from colab import with_install_cell

HOME = Path(__file__).resolve().parent.parent
BUILD = HOME / "build"
ROOT = "vae-workshop"
PACKAGE = ("*.py", "*.js", "*.css", "*.json")
FILES = ("environment.yml", "pyproject.toml", "setup.py", "tools/address.py", "LICENSE")
README = """\
# vaelib, packed for a workshop

Begin with [START.md](START.md). The sections below are from the README of the repository, which
also has the tests, the measurements and the instructions for contributors.
"""
SECTIONS = (
    "The notebooks",
    "The data, with and without a network",
    "When something fails",
    "Use the package",
)
PAGES = ("*.md", "*.html")
FOR_TEACHERS = ("docs/answers.md", "docs/teaching.md")  # both have answers
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


def read(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


def readme() -> str:
    """A README of those sections that are true without the repository, too."""
    parts = re.split(r"^(?=## )", read("README.md"), flags=re.MULTILINE)
    kept = [part for part in parts if part.partition("\n")[0].removeprefix("## ") in SECTIONS]
    return "\n".join([README, *(part.strip() + "\n" for part in kept)])


def pages(*, data: bool, solutions: bool) -> dict[str, str]:
    """The texts for what is in the zip and for no more: START.md, README, licences and docs."""
    start, notice = read("tools/workshop/START.md"), read("tools/workshop/NOTICE")
    if not solutions:
        start = re.sub(r"^- (Solved notebooks|For teachers).*\n", "", start, flags=re.MULTILINE)
    found = {
        "START.md": start,
        "NOTICE": notice if data else notice.partition("\nMNIST\n")[0],
        "README.md": readme(),
    }
    for pattern in PAGES:
        for path in sorted((HOME / "docs").glob(pattern)):
            found[f"docs/{path.name}"] = path.read_text(encoding="utf-8")
    hidden = () if solutions else FOR_TEACHERS
    return {name: text for name, text in found.items() if name not in hidden}


def linked(text: str, name: str, there: Container[str]) -> str:
    """The page called `name` with its links to files that are `there`; of others, the words."""

    def replace(link: re.Match) -> str:
        path = link[3].partition("#")[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        return link[0] if not path or target in there else link[2]

    return LINK.sub(replace, text)


def contents(*, data: bool = True, solutions: bool = True) -> dict[str, Path | str]:
    """What goes into the zip, by name: a file's path, or a text."""
    texts = pages(data=data, solutions=solutions)
    found: dict[str, Path | str] = {"start.py": HOME / "tools" / "workshop" / "start.py"}
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
    there = {*found, *texts}
    found |= {name: linked(text, name, there) for name, text in texts.items()}
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
