"""How long a notebook takes to read: `python tools/minutes.py NOTEBOOK …` prints minutes.

Words of prose at 180 a minute, lines of visible code at 15 a minute, figures at 20 seconds each;
exercises and folded descriptions apart.
"""

import re
import sys
from pathlib import Path

import nbformat

WORDS, LINES, FIGURES = 180, 15, 3  # a minute


def minutes(notebook: nbformat.NotebookNode) -> float:
    """Minutes to read the lesson, without its exercises."""
    words, lines, figures = counts(notebook)
    return words / WORDS + lines / LINES + figures / FIGURES


def counts(notebook: nbformat.NotebookNode) -> tuple[int, int, int]:
    """Words of prose, lines of visible code, and figures."""
    words = lines = figures = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not cell.source.startswith("### Exercise"):
            words += len(prose(cell.source).split())
        elif cell.cell_type == "code" and "exercises.check(" not in cell.source:
            if not cell.metadata.get("jupyter", {}).get("source_hidden"):
                lines += sum(bool(line.strip()) for line in cell.source.splitlines())
            figures += sum("image/png" in output.get("data", {}) for output in cell.outputs)
    return words, lines, figures


def prose(markdown: str) -> str:
    """What is read of a Markdown cell: not what is folded, nor formulas, links and table marks."""
    text = re.sub(r"<details>.*?</details>", "", markdown, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|```.*?```|\]\([^)]*\)|\|?-{3,}\|?", " ", text, flags=re.S)
    return re.sub(r"[|#*_>]", " ", text)


def main() -> None:
    for name in sys.argv[1:]:
        notebook = nbformat.read(Path(name), as_version=4)
        words, lines, figures = counts(notebook)
        print(
            f"{Path(name).stem}: {minutes(notebook):.0f} minutes ({words} words, {lines} lines, "
            f"{figures} figures, {len(notebook.cells)} cells)"
        )


if __name__ == "__main__":
    main()
