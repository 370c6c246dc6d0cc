"""Alternative text for each picture of a notebook: what the lesson says of it.

`python tools/pictures.py` exports the notebooks to build/html, where each picture has it.
"""

import contextlib
import re
import sys
import textwrap
import unicodedata
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html

HOME = Path(__file__).resolve().parent.parent
ALT = 300  # characters of a picture's alternative text, at most
SYMBOLS = {  # what stands for a LaTeX command in plain text, if not its name or a Greek letter
    "mathcal": "", "mathbb": "", "mathrm": "", "mathbf": "", "text": "", "operatorname": "",
    "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "",
    "le": " ≤ ", "ge": " ≥ ", "approx": " ≈ ", "to": " → ", "mid": " | ", "|": " ‖ ",
    "sqrt": "√", "cdot": "·", "times": "×", "sum": "∑", "int": "∫", "infty": "∞", "nabla": "∇",
    "in": " ∈ ", "lambda": "λ", "Lambda": "Λ",  # which Unicode spells lamda
}  # fmt: skip


def describe_pictures(cells: list[nbformat.NotebookNode]) -> None:
    """Give each PNG what the next Markdown cell says of it; say which have no text after them."""
    code, pictures = 0, []
    for cell in [*cells, nbformat.v4.new_markdown_cell()]:
        if cell.cell_type == "code":
            code += 1
            found = [output for output in cell.outputs if "image/png" in output.get("data", {})]
            pictures += [(code, output) for output in found]
        elif cell.cell_type == "markdown" and pictures:
            tell(pictures, description(cell.source))
            pictures = []


def tell(pictures: list[tuple[int, nbformat.NotebookNode]], text: str) -> None:
    """Put one text on pictures, each the number of its code cell and its output."""
    for number, (code, output) in enumerate(pictures, 1):
        if text:
            which = f"Picture {number} of {len(pictures)}: " if len(pictures) > 1 else ""
            output.metadata.setdefault("image/png", {})["alt"] = which + text
        else:
            print(f"\n  code cell {code}: no text says what its picture shows", file=sys.stderr)


def description(markdown: str) -> str:
    """What a Markdown cell says first: its folded description, or its first paragraph, or ''."""
    soup = BeautifulSoup(markdown2html(markdown), "html.parser")
    for folded in soup("details"):
        if folded.summary and folded.summary.extract().text.strip() == "Description":
            return shortened(without_latex(folded.text))
    first = soup.find(True)
    return shortened(without_latex(first.text)) if first and first.name == "p" else ""


def without_latex(text: str) -> str:
    """The text with its formulas in plain letters, as far as a line of letters can show them."""
    return re.sub(r"(\$\$?)(.+?)\1", lambda formula: plain(formula[2]), text, flags=re.S)


def plain(formula: str) -> str:
    """The formula on one line: Greek letters as such, styles and braces left out."""
    formula = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2", formula)
    formula = re.sub(r"\\([A-Za-z]+|.)\s*", symbol, formula)
    return " ".join(re.sub(r"[{}]", "", formula).split())


def symbol(command: re.Match) -> str:
    """What is written for a LaTeX command: a sign, nothing for a style, or else its name."""
    name = command[1]
    if name in SYMBOLS:
        return SYMBOLS[name]
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    with contextlib.suppress(KeyError):
        return unicodedata.lookup(f"GREEK {case} LETTER {name.removeprefix('var')}")
    return f"{name} " if name.isalpha() else " "


def shortened(text: str) -> str:
    """As many whole sentences as fit into 300 characters, or part of one if they say little."""
    text = " ".join(text.split())
    if len(text) <= ALT:
        return text
    ends = [0, *(end.start() for end in re.finditer(r"(?<=[.!?]) ", text[: ALT + 1]))]
    if ends[-1] < ALT / 3:
        return textwrap.shorten(text, ALT, placeholder=" …")
    return text[: ends[-1]]


def html(notebook: nbformat.NotebookNode) -> str:
    """The notebook as a page of HTML, with its pictures' alternative texts.

    nbconvert's own template has no place for them.
    """
    settings = dict(template_name="described", extra_template_basedirs=[str(HOME / "tools")])
    return HTMLExporter(**settings).from_notebook_node(notebook)[0]


def main() -> None:
    folder = HOME / "build" / "html"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((HOME / "notebooks").glob("*.ipynb")):
        page = html(nbformat.read(path, as_version=4))
        (folder / f"{path.stem}.html").write_text(page, encoding="utf-8")
        print(f"build/html/{path.stem}.html")


if __name__ == "__main__":
    main()
