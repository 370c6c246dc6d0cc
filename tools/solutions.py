"""Make the solved notebooks: `python tools/solutions.py` writes notebooks/solutions/, unexecuted.

A solved notebook is the exercise notebook, cell for cell, with each exercise's cell replaced by
the solved one from notebooks/solutions/answers/, and the reasoning after it. `--check` compares
with what is there, outputs aside, and says what differs; exit code 1 if anything does.
"""

import re
import sys
from pathlib import Path

import nbformat

HOME = Path(__file__).resolve().parent.parent
NOTEBOOKS = HOME / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"
CHECK = re.compile(r'^exercises\.check\("(\d\.\d)", (\w+)\)$', re.MULTILINE)
ANSWER = re.compile(r"\A```python\n(?P<code>.*?)\n```\n+(?P<reasoning>.+)\Z", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


class AnswerError(ValueError):
    """An answer is missing, is of another form, or is for no exercise."""


def answer(name: str, folder: Path = SOLUTIONS / "answers") -> tuple[str, str]:
    """The solved cell of an exercise, and the reasoning in Markdown."""
    path = folder / f"{name}.md"
    if not path.exists():
        raise AnswerError(f"{path.name} is missing: exercise {name} has no answer")
    found = ANSWER.match(path.read_text(encoding="utf-8"))
    if not found or [name] != [check for check, _ in CHECK.findall(found["code"])]:
        raise AnswerError(
            f"{path.name} must be a python block that ends by checking {name}, then the reasoning"
        )
    return found["code"], found["reasoning"].strip()


def solve(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The solved notebook for an exercise notebook: without outputs."""
    solved = nbformat.v4.new_notebook(metadata=notebook.metadata)
    solved.nbformat_minor = notebook.nbformat_minor
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            solved.cells.append(_text(_from_below(cell.source)))
        else:
            solved.cells += _code(cell, first=number == 1)
    title, rest = solved.cells[0].source.split("\n", 1)
    solved.cells[0].source = f"{title} (solved)\n{rest}"
    for number, cell in enumerate(solved.cells):
        cell.id = f"cell-{number:03}"
    return solved


def _code(cell: nbformat.NotebookNode, *, first: bool) -> list[nbformat.NotebookNode]:
    """The cell, from one folder below; an exercise's is replaced, and its reasoning follows."""
    checks = CHECK.findall(cell.source)
    source, reasoning = answer(checks[0][0]) if checks else (cell.source, "")
    copy = nbformat.v4.new_code_cell(source.replace('Path("../', 'Path("../../'))
    copy.metadata = cell.metadata
    return [copy] + ([_text(f"**Why.** {reasoning}")] if reasoning else [])


def _text(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _from_below(source: str) -> str:
    """Links as they must be one folder further down: to notebooks beside, to all else above."""
    return LINK.sub(
        lambda link: link[0] if link[1].endswith(".ipynb") else f"](../{link[1]})", source
    )


def sources(notebook: nbformat.NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What two notebooks are compared by: kinds, sources and tags of their cells."""
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def outdated() -> list[str]:
    """The solved notebooks that are not, outputs aside, what the exercise notebooks give."""
    wrong = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        there = SOLUTIONS / path.name
        if not there.exists() or sources(nbformat.read(there, as_version=4)) != sources(
            solve(nbformat.read(path, as_version=4))
        ):
            wrong.append(path.name)
    return wrong


def main(arguments: list[str]) -> int:
    """Write the solved notebooks, or compare them; the exit code."""
    if arguments == ["--check"]:
        for name in (wrong := outdated()):
            print(f"solutions/{name} differs: run make refresh")
        return int(bool(wrong))
    for name in outdated():
        notebook = solve(nbformat.read(NOTEBOOKS / name, as_version=4))
        nbformat.write(notebook, SOLUTIONS / name)
        print(f"wrote solutions/{name}; its outputs are still to be made")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
