"""Slides: a deck has the rows of its plan, in order, with what its sections show."""

import re
import sys

import nbformat
import pytest
from leafing import HOME
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

sys.path.insert(0, str(HOME / "tools"))

import slides

GUIDE = slides.GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", slides.DECKS)
def test_a_deck_has_every_row_and_every_section_of_its_plan_in_order(name):
    shown = slides.deck(name)
    rows = [r for title, without in slides.DECKS[name] for r in slides.plan(GUIDE, title)
            if not without or not r.what.startswith(without)]  # fmt: skip
    parts = [slide for slide in shown if 'class="part"' in slide.body]
    assert len(parts) == len(rows) >= 10
    for row, part in zip(rows, parts, strict=True):
        assert f"{row.minutes} minutes" in part.body
    titles = [slide.title for slide in shown]
    for row in (row for row in rows if row.what.startswith("notebook")):
        for title in re.findall(r"\*([^*]+)\*", row.what):
            assert (title in titles) == (f"up to *{title}*" not in row.what), title
        for title in re.findall(r"\*([^*]+)\*", row.made_of):
            assert any(f" · {title} (" in one for one in titles), title


def test_a_plan_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no plan `### A week: "):
        slides.plan(GUIDE, "A week")


def test_up_to_a_section_means_without_it():
    row = slides.Row(9, "notebook 1, up to *C*, then *D*", "3 for *Count*")
    cells = [new_markdown_cell(f"{mark} {title}\n\nText.") for mark, title in (
        ("#", "T"), ("##", "A"), ("##", "B"), ("##", "C"), ("###", "Exercise 1 · Count (core)"),
        ("###", "Exercise 2 · Other (core)"), ("##", "D"))]  # fmt: skip
    found = [section.title for section in slides.chosen(row, slides.sections(cells))]
    assert found == ["A", "B", "Exercise 1 · Count (core)", "D"]


PICTURE = new_output(
    "display_data", {"image/png": "AAAA"}, metadata={"image/png": {"alt": "a <b>"}}
)


def section_of(text: str, *cells: nbformat.NotebookNode) -> list[slides.Slide]:
    (section,) = slides.sections([new_markdown_cell(f"## Title\n\n{text}"), *cells])
    return slides.joined([*slides.slides_of(section)])


def words(slide: slides.Slide) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", slide.body).split())


def test_a_formula_comes_with_the_sentence_that_leads_to_it():
    text = "One. Two. Three.\n\nA reason. So:\n\n$$a$$\n\nLong text.\n\n<details>Fold</details>"
    first, second = section_of(text, new_code_cell("1", outputs=[PICTURE]))
    assert words(first) == "One. Two. So: $$a$$"
    assert "Three." in first.notes
    assert "Fold" in first.notes
    assert 'alt="a &lt;b&gt;"' in second.body


def test_a_short_text_shares_the_slide_of_its_picture_and_what_to_notice():
    after = new_markdown_cell("*A caption.*\n\n**What to notice.** It rises. It falls. It ends.")
    (slide,) = section_of("Look.", new_code_cell("x = 1", outputs=[PICTURE]), after)
    assert words(slide) == "Look. It rises. It falls."
    assert "It ends." in slide.notes


def test_code_is_shown_where_a_tag_says_so_and_checks_never():
    tagged = new_code_cell("def f():\n    return 1", metadata={"tags": ["slide"]})
    check = new_code_cell("assert 1", metadata={"tags": ["check", "slide"]}, outputs=[PICTURE])
    (slide,) = section_of("", new_code_cell("hidden = 1"), tagged, check)
    text = re.sub(r"<[^>]+>", "", slide.body)
    assert "def f():" in text
    assert "hidden" not in text
    assert "assert" not in text


def test_links_within_the_course_become_words():
    assert "href" not in slides.html("[four](04_elbo.ipynb)")
    assert 'href="https://example.org"' in slides.html("[out](https://example.org)")


def test_some_code_of_every_early_notebook_is_shown():
    for path in sorted((HOME / "notebooks").glob("0[1-5]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        assert any("slide" in cell.metadata.get("tags", []) for cell in cells), path.stem


def printing(text: str, **metadata: object) -> nbformat.NotebookNode:
    return new_code_cell("f()", outputs=[new_output("stream", text=text)], metadata=metadata)


def test_what_is_printed_is_shown_where_a_text_says_what_to_notice_or_its_code_is_shown():
    notice = new_markdown_cell("**What to notice.** Both are 0.")
    assert (
        words(section_of("Look.", printing("0 < 1\n"), notice)[0]) == "Look. 0 &lt; 1 Both are 0."
    )
    assert words(section_of("Look.", printing("0\n"), new_markdown_cell("On."))[0]) == "Look."
    (slide,) = section_of("Look.", printing("5 + 5\n", tags=["slide"]), notice)
    assert words(slide).endswith("5 + 5")


def test_a_step_is_shown_by_its_name_and_first_sentence_wherever_it_stands():
    steps = "**1. Look.** See it. Then more.", "Other.", "**2. Act.** Do it. And so on."
    (slide,) = section_of("\n\n".join(["Take two steps.", *steps]))
    assert words(slide) == "Take two steps. 1. Look. See it. 2. Act. Do it."


def test_a_table_without_a_notice_has_the_sentence_that_follows_it():
    table = new_output("display_data", {"text/html": "<table><td>7</td></table>"})
    after = new_markdown_cell("It rises by this formula: Then more.\n\n$$a$$")
    slide, _ = section_of("Look.", new_code_cell("1", outputs=[table]), after)
    assert words(slide) == "Look. 7 It rises by this formula."


def test_letters_of_code_are_as_large_as_its_longest_line_allows():
    assert slides.size("a" * 61) == "font-size: 0.90em"
    assert slides.size("short\n" + "a" * 122) == "font-size: 0.50em"
    assert slides.size("\n") == slides.size("") == "font-size: 0.90em"
