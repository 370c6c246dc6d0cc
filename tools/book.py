"""Build the book from the notebooks and pages: `python tools/book.py` writes build/book.

No notebook is executed. Sphinx reads copies, in folders like the repository's, so that a link
between two texts leads there from here as well; `book/` adds the pages that only the book has.
"""

import argparse
import ast
import gc
import os
import re
import shutil
import sys
from importlib.metadata import files
from multiprocessing import get_context
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/*.md", "notebooks/*.ipynb")
RESULTS = "vaelib/course/results/**/*.json"
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
PARTS = {  # the pages of the package: what is read in an evening, and what later topics add
    "The model": "binarization encoder decoder elbo vae initialization",
    "Train, keep, sample": "training schedule run guard checkpoint sampling device calm adam quick "
    "fused",
    "More than one device": "distributed processes",
    "Evaluate": "evaluation latent sharpness",
    "More levels, other objectives": "hierarchy objectives",
    "Compress": "ans exact compression archive",
}
FORMULAS = "static/mathjax/"  # in the package that has MathJax
MODULE = """# {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :undoc-members:
```
"""
NEEDED = re.compile(r"tex-chtml\.js|output/chtml/fonts/woff-v2/.+")


def contents() -> dict[str, Path | str]:
    """Each file that Sphinx reads, by its place, or its text: pages, and what they link to."""
    own = HOME / "book"
    found = {
        path.relative_to(own).as_posix(): path
        for path in own.rglob("*")
        if path.is_file() and not path.relative_to(own).parts[0].startswith(("_", "."))
        if path.suffix != ".py" and "__pycache__" not in path.parts
    }
    for pattern in (*PAGES, RESULTS):
        found |= {path.relative_to(HOME).as_posix(): path for path in sorted(HOME.glob(pattern))}
    for path in [*found.values()]:
        if path.suffix == ".md" and not path.is_relative_to(own):
            found |= linked(path)
    return found | reference()


def reference() -> dict[str, str]:
    """The pages of the package: one for each module, and a list of them."""
    pages, parts = {}, ["# The package `vaelib`"]
    parts.append("The package is small enough to be read. Each function has a link to its source.")
    for part, modules in PARTS.items():
        parts.append(f"## {part}\n\n| module | what it has |\n|---|---|")
        for module in modules.split():
            text = (HOME / "vaelib" / f"{module}.py").read_text(encoding="utf-8")
            about = ast.get_docstring(ast.parse(text)).partition("\n")[0].replace("|", "\\|")
            parts[-1] += f"\n| [{module}]({module}.md) | {about} |"
            pages[f"api/{module}.md"] = MODULE.format(name=f"vaelib.{module}")
        listed = "\n".join(modules.split())
        parts.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```")
    return pages | {"api/index.md": "\n\n".join(parts)}


def linked(page: Path) -> dict[str, Path]:
    """The files of the repository that a text links to or shows, by their place."""
    targets = (page.parent / link for link in LINK.findall(page.read_text(encoding="utf-8")))
    there = {target.resolve() for target in targets if target.is_file()}
    return {path.relative_to(HOME).as_posix(): path for path in sorted(there)}


def gather(into: Path) -> None:
    """Copy what Sphinx reads."""
    shutil.rmtree(into, ignore_errors=True)
    for place, content in contents().items():
        (into / place).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, into / place)
        else:
            (into / place).write_text(content, encoding="utf-8")


def put_formulas(into: Path) -> None:
    """Copy of MathJax what a page needs to draw formulas, with its fonts."""
    for file in files("sphinx-mathjax-offline") or ():
        place = file.as_posix().partition(FORMULAS)[2]
        if NEEDED.fullmatch(place):
            (into / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), into / place)


def build(into: Path) -> int:
    """Write the book into a folder, in place of what it holds; the exit code of Sphinx.

    For a process of its own: it lowers its priority, and collects no garbage.
    """
    from sphinx.cmd.build import build_main

    work = into.parent / f"{into.name}.parts"
    gather(work / "pages")
    shutil.rmtree(into, ignore_errors=True)
    place = into / "_static" / "playground"
    to_play = get_context("spawn").Process(target=write_playground, args=[place])
    to_play.start()
    # The playground's process may have to train a model, so it goes first.
    if hasattr(os, "nice"):
        os.nice(10)
    # Collecting garbage takes a fifth of the time, and most of what Sphinx makes lives to the end.
    gc.disable()
    # More jobs than cores: each job has fewer pages, so no core waits long for the last one.
    jobs = ("-j", str(3 * (os.cpu_count() or 1)))
    options = ("-c", str(HOME / "book"), "-d", str(work / "doctrees"), "-E", *jobs)
    strict = ("-W", "--keep-going", "-q")
    failed = build_main(["-b", "html", *options, *strict, str(work / "pages"), str(into)])
    put_formulas(into / "_static" / "mathjax")
    to_play.join()
    return failed or to_play.exitcode


def write_playground(into: Path) -> None:
    """Write what the playground's pages load, on one core, since Sphinx needs the others."""
    import playground
    import torch

    torch.set_num_threads(1)
    playground.write(into)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code. A warning of Sphinx is an error."""
    parser = argparse.ArgumentParser(prog="tools/book.py", description=__doc__.split("\n")[0])
    parser.add_argument("--into", type=Path, default=HOME / "build" / "book")
    given = parser.parse_args(arguments)
    into = given.into
    failed = build(into)
    if not failed:
        size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
        print(f"{into.name}: {size / 1e6:.0f} MB. Open {into / 'index.html'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
