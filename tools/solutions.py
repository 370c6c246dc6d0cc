"""Write the notebooks' exercise cells, and the solved notebooks: `python tools/solutions.py`.

Both come from `vaelib/course/exercises`, where each exercise is defined in one place. In a notebook
an exercise is a Markdown cell that begins with `### Exercise`, and below it a code cell with
`exercises.check("its-slug", …)`; the text of both is written here. A solved notebook, in
notebooks/solutions/, is the exercise notebook, cell for cell, with the solution instead of each
stub and the reasoning after it. Below "Try" and "Go further" it has answers, in cells with the tag
`answer`, which are written there by hand, and kept. Cells that have not changed keep their outputs.

`--check` compares with what is there, outputs aside, and says what differs; exit code 1 if
anything does.
"""

import contextlib
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from inspect import cleandoc
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from vaelib.course import exercises
from vaelib.course.exercises import EXERCISES, TOPICS, Exercise
from vaelib.data.files import written_whole

HOME = Path(__file__).resolve().parent.parent
NOTEBOOKS = HOME / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"
CHECK = re.compile(r'^exercises\.check\("([\w-]+)", [\w.]+\)$', re.MULTILINE)
QUESTION = re.compile(r"^#+ (.+)$|\*\*Try\.\*\*", re.MULTILINE)  # a section, or in it a question
LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


class ExerciseError(ValueError):
    """A notebook does not have the exercises of its module, once each and in their order."""


def of_notebook(path: Path) -> Sequence[Exercise]:
    """The exercises of a notebook, from the module that has its topic's name."""
    modules = {module.__name__.rpartition(".")[2]: module for module in TOPICS}
    topic = path.stem.partition("_")[2]
    return modules[topic].EXERCISES if topic in modules else ()


def fill(notebook: NotebookNode, wanted: Sequence[Exercise]) -> NotebookNode:
    """The notebook with the headings, questions and stubs of its exercises.

    Raises ExerciseError if the notebook has other exercises, or has them in another order.
    """
    notebook, heading, places = deepcopy(notebook), None, {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("### Exercise"):
            heading = cell
        elif cell.cell_type == "code" and (checked := CHECK.search(cell.source)):
            places[checked[1]], heading = (heading, cell), None
    slugs = [exercise.slug for exercise in wanted]
    if list(places) != slugs or None in [heading for heading, _ in places.values()]:
        raise ExerciseError(
            f"its module defines the exercises {', '.join(slugs) or 'none'}; the notebook has "
            f"{', '.join(places) or 'none'}. Give each exercise a Markdown cell that begins with "
            f'"### Exercise" and, below it, a code cell with exercises.check("its-slug", ...), in '
            "the module's order"
        )
    for position, exercise in enumerate(wanted, 1):
        heading, cell = places[exercise.slug]
        about = f"({exercise.kind}, {exercise.minutes} minute{'s' * (exercise.minutes != 1)})"
        title = f"### Exercise {position} · {exercise.title} {about}"
        heading.source = f"{title}\n\n{cleandoc(exercise.question)}"
        cell.source = exercise.stub
        cell.outputs = [_stream(lambda slug=exercise.slug: exercises.check(slug, ...))]
    return notebook


def solve(notebook: NotebookNode) -> NotebookNode:
    """The solved notebook for an exercise notebook: without outputs."""
    solved = nbformat.v4.new_notebook(metadata=notebook.metadata)
    solved.nbformat_minor = notebook.nbformat_minor
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            solved.cells.append(_text(cell.source))
        else:
            solved.cells += _code(cell)
    title, rest = solved.cells[0].source.split("\n", 1)
    solved.cells[0].source = f"{title} (solved)\n{rest}"
    return _numbered(solved)


def questions(cells: Sequence[NotebookNode]) -> dict[str, int]:
    """Where the questions without a check stand, by their section's heading and number in it."""
    heading, found, asked = "", {}, Counter()
    for place, cell in enumerate(cells):
        if cell.cell_type == "code" or is_answer(cell):
            continue
        for mark in QUESTION.finditer(cell.source):
            heading = mark[1] or heading
            if mark[1] in (None, "Go further"):
                asked[heading] += 1
                found[f"{heading} {asked[heading]}"] = place
    return found


def is_answer(cell: NotebookNode) -> bool:
    """Whether a cell answers a question that has no check."""
    return "answer" in cell.metadata.get("tags", [])


def answers(cells: Sequence[NotebookNode]) -> dict[str, list[NotebookNode]]:
    """The cells of a solved notebook that answer a question, by the question as `questions` does.

    Raises ExerciseError for an answer above all questions.
    """
    names = {place: name for name, place in questions(cells).items()}
    name, found = "", {}
    for place, cell in enumerate(cells):
        name = names.get(place, name)
        if is_answer(cell):
            if not name:
                raise ExerciseError("it has an answer that stands above all questions; move it")
            found.setdefault(name, []).append(cell)
    return found


def keep(solved: NotebookNode, before: NotebookNode) -> NotebookNode:
    """The solved notebook, with the answers and the outputs of the one that it replaces.

    Raises ExerciseError for answers whose question is no longer there.
    """
    kept, places = answers(before.cells), questions(solved.cells)
    if lost := kept.keys() - places.keys():
        raise ExerciseError(
            f"its solved notebook answers a question below {', '.join(sorted(lost))}; there is no "
            "such question any more. Move or delete the cells with the tag `answer`"
        )
    cells = list(solved.cells)
    for name, place in sorted(places.items(), key=lambda item: -item[1]):
        cells[place + 1 : place + 1] = kept.get(name, [])
    made = [cell for cell in before.cells if cell.cell_type == "code"]
    for cell in cells:
        same = [one for one in made if one.source == cell.source]
        if cell.cell_type == "code" and same:
            cell.outputs, cell.execution_count = same[0].outputs, same[0].execution_count
            made.remove(same[0])
    return _numbered(nbformat.from_dict(solved | {"cells": cells}))


def _numbered(notebook: NotebookNode) -> NotebookNode:
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03}"
    return notebook


def _code(cell: NotebookNode) -> list[NotebookNode]:
    """The cell, from one folder below; an exercise's is solved, and its reasoning follows."""
    checked = CHECK.search(cell.source)
    exercise = EXERCISES[checked[1]] if checked else None
    source = exercise.solved if exercise else cell.source
    copy = nbformat.v4.new_code_cell(source, metadata=cell.metadata)
    return [copy, _text(f"**Why.** {cleandoc(exercise.reasoning)}")] if exercise else [copy]


def _text(source: str) -> NotebookNode:
    """A cell of text, its links as they must be one folder further down.

    Links to notebooks stay as they are; all other links go up one folder.
    """
    below = LINK.sub(
        lambda link: link[0] if link[1].endswith(".ipynb") else f"](../{link[1]})", source
    )
    return nbformat.v4.new_markdown_cell(below)


def _stream(printing: Callable[[], None]) -> NotebookNode:
    """What a call prints, as the output of a cell."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        printing()
    return nbformat.v4.new_output("stream", name="stdout", text=printed.getvalue())


def sources(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What two notebooks are compared by: kinds, sources and tags of their cells."""
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def outdated() -> dict[Path, NotebookNode]:
    """The notebooks, open and solved, that differ from what they should be, outputs aside."""
    wrong = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        try:
            notebook = fill(nbformat.read(path, as_version=4), of_notebook(path))
            place = SOLUTIONS / path.name
            before = nbformat.read(place, as_version=4) if place.exists() else notebook
            solved = keep(solve(notebook), before)
        except ExerciseError as error:
            raise ExerciseError(f"{path.name}: {error}") from None
        for place, wanted in ((path, notebook), (SOLUTIONS / path.name, solved)):
            if not place.exists() or sources(wanted) != sources(nbformat.read(place, as_version=4)):
                wrong[place] = wanted
    return wrong


def main(arguments: list[str]) -> int:
    """Write the notebooks, or compare them; the exit code."""
    try:
        wrong = outdated()
    except ExerciseError as error:
        sys.exit(str(error))
    for path, notebook in wrong.items():
        name = path.relative_to(NOTEBOOKS)
        if arguments == ["--check"]:
            print(f"{name} differs from the exercises: run make refresh")
        else:
            with written_whole(path) as partial:
                nbformat.write(notebook, partial)
            print(f"wrote {name}; outputs of changed cells are still to be made")
    return int(arguments == ["--check"] and bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
