"""Build the book from the notebooks and pages: `python tools/book.py` writes build/book/html.

Nothing is executed. Sphinx reads copies, in folders like the repository's, so that a link between
two texts leads there from here as well; `book/` adds the pages that only the book has.
"""

import re
import shutil
import sys
from importlib.metadata import files
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
BUILD = HOME / "build" / "book"
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/*.md", "notebooks/*.ipynb")
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
FORMULAS = "static/mathjax/"  # in the package that has MathJax
NEEDED = re.compile(r"tex-chtml\.js|output/chtml/fonts/woff-v2/.+")


def contents() -> dict[str, Path]:
    """Each file that Sphinx reads, by its place: pages, and what they link to or show."""
    own = HOME / "book"
    found = {
        path.relative_to(own).as_posix(): path
        for path in own.rglob("*")
        if path.is_file() and not path.relative_to(own).parts[0].startswith(("_", "."))
        if path.suffix != ".py" and "__pycache__" not in path.parts
    }
    for pattern in PAGES:
        found |= {path.relative_to(HOME).as_posix(): path for path in sorted(HOME.glob(pattern))}
    for path in [*found.values()]:
        if path.suffix == ".md" and not path.is_relative_to(own):
            found |= linked(path)
    return found


def linked(page: Path) -> dict[str, Path]:
    """The files of the repository that a text links to or shows, by their place."""
    targets = (page.parent / link for link in LINK.findall(page.read_text(encoding="utf-8")))
    there = {target.resolve() for target in targets if target.is_file()}
    return {path.relative_to(HOME).as_posix(): path for path in sorted(there)}


def gather(into: Path) -> None:
    """Copy what Sphinx reads."""
    shutil.rmtree(into, ignore_errors=True)
    for place, path in contents().items():
        (into / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into / place)


def put_formulas(into: Path) -> None:
    """Copy of MathJax what a page needs to draw formulas, with its fonts."""
    for file in files("sphinx-mathjax-offline") or ():
        place = file.as_posix().partition(FORMULAS)[2]
        if NEEDED.fullmatch(place):
            (into / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), into / place)


def main() -> int:
    """Build the book; the exit code. A warning is an error."""
    from sphinx.cmd.build import build_main

    pages, html = BUILD / "pages", BUILD / "html"
    gather(pages)
    shutil.rmtree(html, ignore_errors=True)
    settings = ("-c", str(HOME / "book"), "-d", str(BUILD / "doctrees"))
    strict = ("-W", "--keep-going", "-q", "-E", "-j", "auto")
    failed = build_main(["-b", "html", *settings, *strict, str(pages), str(html)])
    put_formulas(html / "_static" / "mathjax")
    if not failed:
        size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
        print(f"build/book/html/index.html, {size / 1e6:.0f} MB in all")
    return failed


if __name__ == "__main__":
    sys.exit(main())
