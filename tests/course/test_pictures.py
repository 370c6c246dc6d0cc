"""tools/pictures.py: what stands for a picture where it cannot be seen."""

import re
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME / "tools"))

import pictures as alternative  # noqa: E402

import notebooks as runner  # noqa: E402


def drawing(pictures: int):
    """A code cell that has put out so many pictures, one of them with a width."""
    data = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}
    outputs = [
        nbformat.v4.new_output("display_data", data, metadata={"image/png": {"width": 7}})
        for _ in range(pictures)
    ]
    return nbformat.v4.new_code_cell("plt.show()", outputs=outputs)


def alternative_texts(cells, path) -> list[str]:
    """What stands for each picture in the HTML of a notebook that was normalised and saved."""
    notebook = nbformat.v4.new_notebook(cells=cells)
    runner.write(runner.normalise(notebook), path / "pictures.ipynb")
    saved = nbformat.read(path / "pictures.ipynb", as_version=4)
    found = BeautifulSoup(alternative.html(saved), "html.parser")("img")
    assert {picture["width"] for picture in found} == {"7"}
    return [picture["alt"] for picture in found]


said = nbformat.v4.new_markdown_cell
SENTENCE = "Each of these words says something of the picture above it. "  # 60 characters
CLAUSE = SENTENCE.replace(".", ",")
FOLDED = "<details><summary>Description</summary>\n\nIt *all*: $\\varepsilon$.\n\n</details>"
TEXTS = {  # what a lesson says, and what is to stand for the picture
    "*Two rows of digits.*\n\nWhat to notice.": "Two rows of digits.",
    'A "thin" line, <5 % & `x<y`, > 3.': 'A "thin" line, <5 % & x<y, > 3.',
    "By [Kingma *et al.*](https://arxiv.org/abs/1312.6114)\nin 2013.": "By Kingma et al. in 2013.",
    r"As $k^{-1/2}$, $\log p(x \mid z) \le \sigma^2$.": "As k^-1/2, log p(x | z) ≤ σ^2.",
    r"$$\mathrm{KL}(q\,\|\,p) = \frac{1}{2}\sqrt{\lambda}$$": "KL(q ‖ p) = 1/2√λ",
    f"Brief.\n\n{FOLDED}": "It all: ε.",
    f"Seen.\n\n{FOLDED.replace('Description', 'Hint')}": "Seen.",
    "Oh" + 5 * SENTENCE: "Oh" + (4 * SENTENCE).strip(),
    5 * CLAUSE + "end": 4 * CLAUSE + CLAUSE.replace("it, ", "…"),
}


def test_a_pictures_alternative_text_is_what_the_lesson_says_of_it(tmp_path):
    cells = [cell for text in TEXTS for cell in (drawing(1), said(text))]
    assert alternative_texts(cells, tmp_path) == [*TEXTS.values()]
    assert max(map(len, TEXTS.values())) <= 300


def test_pictures_that_share_a_text_are_numbered(tmp_path):
    check = nbformat.v4.new_code_cell("assert True")
    cells = [drawing(2), check, drawing(1), said("Three."), said("More."), drawing(1), said("One.")]
    assert alternative_texts(cells, tmp_path) == [
        *(f"Picture {number} of 3: Three." for number in (1, 2, 3)),
        "One.",
    ]


def test_a_picture_of_which_no_text_says_what_it_shows_is_named(tmp_path, capsys):
    cells = [drawing(1), said("Told."), drawing(1), said("## Next\n\nOther things."), drawing(1)]
    missing = "No description has been provided for this image"
    assert alternative_texts(cells, tmp_path) == ["Told.", missing, missing]
    said_of = re.findall(r"code cell (\d): no text", capsys.readouterr().err)
    assert said_of == ["2", "3"]
