"""How a text or a notebook of the course becomes a page of the book.

What readers may skip is folded: checks, the code of drawings, descriptions, solutions and answers.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from html import escape
from itertools import pairwise
from pathlib import Path

import measured
import nbformat
import pictures
import solutions
import terms
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

HOME = Path(__file__).resolve().parent.parent
FOLD = re.compile(r"<details>\s*<summary>(.+?)</summary>\s*(.+?)\s*</details>", re.DOTALL)
EXPLORER = re.compile(r"^Explorer “(.+?)”: run the notebook to use it")
CALL = re.compile(r"^explorers\.(\w+)\(", re.MULTILINE)
PLAYGROUND = {  # the pages that let a reader do what an explorer does
    "draw": "draw", "walk": "walk", "decode": "walk", "bound": "bound", "compress": "bits",
}  # fmt: skip
LINK = re.compile(r"\[([^]]*)\]\((?![a-z]+:|#)([^)#\s]+)\)")
UP = re.compile(r"\]\(\.\./(?!https?:)")


def page(
    notebook: NotebookNode, solved: NotebookNode, playground: Collection[str] = ()
) -> NotebookNode:
    """The page of a notebook, with what its solved copy has, folded, below each question.

    `playground` has the names of the pages that an explorer can lead to.
    """
    shown = deepcopy(notebook)
    pictures.describe_pictures(shown.cells)
    for cell in shown.cells:
        if cell.cell_type == "code" and solutions.CHECK.search(cell.source):
            cell.outputs = []  # which say that the exercise is still open
    below = solutions_of(notebook.cells, solved.cells) | answers_to(notebook.cells, solved.cells)
    cells: list[NotebookNode] = []
    for place, cell in enumerate(shown.cells):
        cells += [of_cell(cell), *explorer(cell, playground)]
        if place in below:
            word, answer = below[place]
            pictures.describe_pictures(answer)
            cells += folded(word, [of_cell(from_solved(part)) for part in answer])
    shown.cells = numbered(cells)
    return shown


def solutions_of(
    cells: Sequence[NotebookNode], solved: Sequence[NotebookNode]
) -> dict[int, tuple[str, list[NotebookNode]]]:
    """The solution of each exercise, its code and its reasoning, by the place of its code cell."""
    found = {}
    for cell, reasoning in pairwise(solved):
        if cell.cell_type == "code" and (checked := solutions.CHECK.search(cell.source)):
            found[checked[1]] = [cell, reasoning]
    places = {
        checked[1]: place
        for place, cell in enumerate(cells)
        if cell.cell_type == "code" and (checked := solutions.CHECK.search(cell.source))
    }
    return {place: ("Solution", deepcopy(found[slug])) for slug, place in places.items()}


def answers_to(
    cells: Sequence[NotebookNode], solved: Sequence[NotebookNode]
) -> dict[int, tuple[str, list[NotebookNode]]]:
    """The answers to the questions of each cell that has no check, by the place of the cell."""
    places, found = solutions.questions(cells), {}
    for name, answer in solutions.answers(solved).items():
        _, parts = found.setdefault(places[name], ("Answer", []))
        parts += deepcopy(answer)
    return {
        place: ("Answers" if sum("Answer" in part.source for part in parts) > 1 else word, parts)
        for place, (word, parts) in found.items()
    }


def from_solved(cell: NotebookNode) -> NotebookNode:
    """The cell of a solved notebook, its links as they are one folder further up."""
    if cell.cell_type == "markdown":
        cell.source = UP.sub("](", cell.source)
    return cell


def of_cell(cell: NotebookNode) -> NotebookNode:
    """The cell as it is shown: checks folded with their results, drawings without their code."""
    cell = deepcopy(cell)
    if cell.cell_type == "markdown":
        cell.source = with_open_folds(cell.source)
        return cell
    tags = cell.metadata.setdefault("tags", [])
    settings = cell.metadata.setdefault("mystnb", {})
    if "check" in tags:
        tags.append("hide-cell")
        settings["code_prompt_show"] = settings["code_prompt_hide"] = checked(cell)
    elif cell.metadata.get("jupyter", {}).get("source_hidden"):
        tags.append("hide-input")
        settings["code_prompt_show"] = settings["code_prompt_hide"] = "The code of this picture"
    if explorer_of(cell):
        cell.outputs = []  # `explorer` says more
    for output in cell.outputs:
        image = output.get("metadata", {}).get("image/png", {})
        given = {"alt": image.get("alt"), "width": image.get("width")}
        settings["image"] = {name: str(value) for name, value in given.items() if value}
    return cell


def explorer(cell: NotebookNode, playground: Collection[str]) -> list[NotebookNode]:
    """What stands below the code of an explorer, which a page cannot move; nothing of others."""
    if cell.cell_type != "code" or (title := explorer_of(cell)) is None:
        return []
    text = (
        f":::{{admonition}} Explorer: {title}\n:class: explorer\n"
        "In the notebook, this picture follows what you do. Here, the pictures above show some of "
        "its settings."
    )
    for call in CALL.findall(cell.source):
        if PLAYGROUND.get(call) in playground:
            place = f"../playground/{PLAYGROUND[call]}.md"
            text += f" Or try [a similar one in the playground]({place}), without installing it."
    return [new_markdown_cell(f"{text}\n:::")]


def explorer_of(cell: NotebookNode) -> str | None:
    """The title of the explorer that a cell shows."""
    said = [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return next((found[1] for text in said if (found := EXPLORER.match(text))), None)


def checked(cell: NotebookNode) -> str:
    """What a check has compared, as it printed it."""
    said = "".join(output.get("text", "") for output in cell.outputs).strip().splitlines()
    return f"Checked{said[0][7:]}" if len(said) == 1 and said[0][:7] == "checked" else "Checks"


def with_open_folds(markdown: str) -> str:
    """The text, its folded parts with empty lines around them, so that Markdown holds in them."""
    return FOLD.sub(
        lambda part: f"<details>\n<summary>{part[1]}</summary>\n\n{part[2]}\n\n</details>", markdown
    )


def without_folders(markdown: str, home: Path) -> str:
    """The text, with words in the place of links to folders, which are no pages."""
    return LINK.sub(lambda link: link[1] if (home / link[2]).is_dir() else link[0], markdown)


def folded(word: str, cells: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Cells that a reader opens with a click on `word`."""
    begin = f'<details class="answer">\n<summary>{escape(word)}</summary>'
    return [new_markdown_cell(begin), *cells, new_markdown_cell("</details>")]


def numbered(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The cells, each with an id of its own."""
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03}"
    return cells


def read(app, name: str, source: list[str]) -> None:
    """Replace what Sphinx has read of a page by what the book shows."""
    path = Path(app.srcdir, f"{name}.ipynb")
    if path.exists():
        notebook = nbformat.reads(source[0], as_version=4)
        solved = nbformat.read(solutions.SOLUTIONS / path.name, as_version=4)
        playground = {path.stem for path in Path(app.srcdir, "playground").glob("*.md")}
        source[0] = nbformat.writes(page(notebook, solved, playground))
        return
    if name == "results":
        source[0] = measured.filled(source[0])
    if name == terms.PAGE:
        source[0] = terms.page(source[0])
    source[0] = without_folders(with_open_folds(source[0]), (HOME / name).parent)
