"""Make slides from the notebooks: `python tools/slides.py` writes a deck for each of three plans.

A deck has the rows of a plan in docs/teaching.md, in their order. A row that names sections of a
notebook shows them: the first sentences, the formulas, each picture and table with what to notice,
and the code of cells with the tag `slide`. The whole text is in the speaker notes (press S). A deck
needs no network: reveal.js and MathJax lie beside it, in build/slides.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from html import escape
from importlib.metadata import files
from pathlib import Path
from typing import NamedTuple

import jinja2
import nbformat
from nbconvert.filters import markdown2html
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import book

HOME = Path(__file__).resolve().parent.parent
GUIDE = HOME / "docs" / "teaching.md"
TEMPLATES = Path(__file__).parent / "slides"
DECKS = {  # the plans whose rows a deck has, each with the rows that it leaves out
    "90 minutes": [("90 minutes", "")],
    "half a day": [("Half a day", "")],
    "a day": [("Half a day", "quiz after"), ("A day", "")],
}
REVEAL = re.compile(
    r"dist/(reset\.css|reveal\.css|reveal\.js|theme/(white\.css|fonts/source-sans-pro/.+))"
    r"|plugin/notes/notes\.js"
)
WORDS, SENTENCES = 60, 2  # of prose on a slide, at most
WIDTH = 61  # em: a line of so many letters of 1 em is as wide as a slide
FEW = 35  # words, which leave room for a picture
FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)
STEP = re.compile(r"\*\*\d\. .+?\*\*")  # how a paragraph begins that is a step
NOTICE = "**What to notice.**"
LINK = re.compile(r"\[([^]]+)\]\((?!https?:)[^)]*\)")


class Row(NamedTuple):
    """A row of a plan."""

    minutes: int
    what: str
    made_of: str


class Section(NamedTuple):
    """A heading of a notebook and the cells below it."""

    title: str
    cells: list[NotebookNode]


class Slide(NamedTuple):
    """What the room sees, in HTML, and what the speaker reads."""

    title: str
    body: str
    notes: str = ""
    short: bool = False  # it leaves room for what comes next


def plan(guide: str, title: str) -> list[Row]:
    """The rows of the plan that begins with a title. Raises ValueError if there is none."""
    found = re.search(rf"^### {re.escape(title)}:.*?(?=^###? )", guide, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"docs/teaching.md has no plan `### {title}: ...`; correct DECKS here")
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", found[0], re.MULTILINE)
    return [Row(int(minutes), what, made_of) for minutes, what, made_of in rows]


def sections(cells: Sequence[NotebookNode]) -> list[Section]:
    """A notebook, divided at its headings."""
    found: list[Section] = []
    for cell in cells:
        parts = [cell]
        if cell.cell_type == "markdown":
            texts = re.split(r"^(?=#+ )", cell.source, flags=re.MULTILINE)
            parts = [nbformat.v4.new_markdown_cell(text) for text in texts if text.strip()]
        for part in parts:
            if part.cell_type == "markdown" and part.source.startswith("#"):
                title, _, part.source = part.source.partition("\n")
                found.append(Section(title.lstrip("# "), []))
            found[-1].cells.append(part)
    return found


def chosen(row: Row, all_sections: Sequence[Section]) -> list[Section]:
    """The sections that a row names, `up to` one or by their titles, and its exercises."""
    titles = [section.title for section in all_sections]
    wanted = set(re.findall(r"\*([^*]+)\*", row.what))
    if upto := re.search(r"up to \*([^*]+)\*", row.what):
        wanted |= {title for title in titles[1 : titles.index(upto[1])] if not is_exercise(title)}
        wanted.discard(upto[1])
    exercises = re.findall(r"\*([^*]+)\*", row.made_of)
    return [
        section
        for section in all_sections
        if section.title in wanted
        or (is_exercise(section.title) and any(name in section.title for name in exercises))
    ]


def is_exercise(title: str) -> bool:
    return title.startswith("Exercise ")


def slides_of(section: Section) -> Iterator[Slide]:
    """The slides of a section: its beginning and formulas, its code, its pictures and tables."""
    if is_exercise(section.title):
        yield exercise(section)
        return
    after = [*section.cells[1:], nbformat.v4.new_markdown_cell()]
    for number, (cell, following) in enumerate(zip(section.cells, after, strict=True)):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            body = prose(cell.source, opening=number == 0)
            short = len(body.split()) < FEW and "$$" not in body and "<li>" not in body
            yield Slide(section.title, body, notes(cell.source), short)
        elif "check" not in tags and "explorers." not in cell.source.replace("explorers.strip", ""):
            said = following.source if following.cell_type == "markdown" else ""
            text = printed(cell)
            if "slide" in tags:
                yield Slide(section.title, code(cell.source) + text)
            if shown := result(cell) or (text if NOTICE in said and "slide" not in tags else ""):
                yield Slide(section.title, shown + caption(said))


def prose(markdown: str, *, opening: bool) -> str:
    """What a slide has of a text: its first sentences if it opens, and at most two formulas."""
    paragraphs = [part for part in re.split(r"\n\s*\n", FOLD.sub("", markdown)) if part.strip()]
    parts, before = [], ""
    for paragraph in paragraphs:
        if FORMULA.match(paragraph):
            if len(parts) < 5 and sum("$$" in part for part in parts) < 2:
                said = before and not any(before in part for part in parts)
                parts += [before, paragraph] if said else [paragraph]
            before = ""
        elif opening and not parts and not paragraph.startswith(("*", "|", "`")):
            parts.append(first(paragraph))
            before = last(paragraph)
        elif opening and len(parts) == 1 and re.match(r"(-|1\.) ", paragraph):
            parts.append("\n".join(item(line) for line in paragraph.splitlines()))
        elif step := STEP.match(paragraph):
            parts.append(f"{step[0]} {first(paragraph[step.end() :], 1)}")
        else:
            before = last(paragraph)
    return html("\n\n".join(parts))


def item(line: str) -> str:
    """The first sentence of an item of a list."""
    mark, _, text = line.partition(" ")
    return f"{mark} {first(text, 1)}"


def exercise(section: Section) -> Slide:
    """The question of an exercise."""
    question = section.cells[0].source
    return Slide(section.title, html(question), "Solutions are in the solved notebook.")


def result(cell: NotebookNode) -> str:
    """The picture or the table that a cell shows, in HTML; empty without."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            alt = escape(output.metadata.get("image/png", {}).get("alt", ""))
            return f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}">'
        if "text/html" in data:
            return data["text/html"]
    return ""


def printed(cell: NotebookNode) -> str:
    """What a cell prints, in HTML; empty without."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return f'<pre style="{size(text)}">{escape(text)}</pre>' if text else ""


def caption(markdown: str) -> str:
    """What is said of a result: what to notice, or its caption, or the sentence that follows."""
    text = FOLD.sub("", markdown).strip()
    notice = re.search(re.escape(NOTICE) + r" (.+?)(?=\n\s*\n|\Z)", text, re.DOTALL)
    own = re.match(r"\*(?!\*)(.+?)\*\s*(?=\n\s*\n|\Z)", text, re.DOTALL)
    plain = "" if text.startswith(("*", "|", "-", "#", "$", "`")) else text.split("\n\n")[0]
    said = first(notice[1]) if notice else own[1] if own else first(plain, 1)
    said = re.sub(":$", ".", said)  # what it announces is not here
    return f'<div class="caption">{html(said)}</div>' if said else ""


def code(source: str) -> str:
    style = HtmlFormatter(noclasses=True, nobackground=True, prestyles=size(source))
    return highlight(source, PythonLexer(), style)


def size(text: str) -> str:
    """Letters as large as the longest line allows."""
    longest = max([1, *map(len, text.splitlines())])
    return f"font-size: {min(0.9, WIDTH / longest):.2f}em"


def first(text: str, count: int = SENTENCES) -> str:
    """The first sentences of a paragraph, fewer if they are long."""
    found = sentences(text)[:count]
    while len(found) > 1 and sum(len(sentence.split()) for sentence in found) > WORDS:
        found.pop()
    return " ".join(found)


def last(text: str) -> str:
    """The last sentence of a paragraph, which leads to what follows; none of a list or table."""
    other = re.match(r"[|`-]|\* |\*[^*]", text)
    return "" if other else (sentences(text) or [""])[-1].removeprefix(NOTICE).strip()


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!:])(?<!et al\.)\s+(?=[A-ZΑ-Ω“(*])", " ".join(text.split()))


def notes(markdown: str) -> str:
    """The whole text, for the speaker."""
    return html(re.sub(r"</?(details|summary)>", " ", markdown))


def html(markdown: str) -> str:
    """HTML, without links within the course, which lead nowhere from a deck."""
    return markdown2html(LINK.sub(r"\1", markdown)) if markdown.strip() else ""


def joined(slides: Sequence[Slide]) -> list[Slide]:
    """The slides that show something: short ones with the next, the notes of empty ones kept."""
    kept: list[Slide] = []
    for slide in slides:
        before = kept[-1] if kept else None
        if before and (not slide.body or (before.short and before.title == slide.title)):
            both = before.body + slide.body, before.notes + slide.notes
            kept[-1] = Slide(before.title, *both, short=before.short and not slide.body)
        elif slide.body:
            kept.append(slide)
    return kept


def of_row(row: Row) -> list[Slide]:
    """The slides of a row: a title, and what it names of a notebook."""
    about = f"{row.minutes} minutes"
    number = re.match(r"notebook (\d+), ", row.what)
    if number is None:
        what = row.what[0].upper() + row.what[1:]
        return [Slide("", f'<div class="part"><p>{html(what)}</p><p>{about}</p></div>')]
    (path,) = (HOME / "notebooks").glob(f"{int(number[1]):02}_*.ipynb")
    own = sections(nbformat.read(path, as_version=4).cells)
    title = f'<div class="part"><h2>{escape(own[0].title)}</h2><p>{about}</p></div>'
    shown = [slide for section in chosen(row, own) for slide in slides_of(section)]
    return [Slide("", title, html(row.what)), *joined(shown)]


def deck(name: str) -> list[Slide]:
    """All slides of a deck."""
    guide = GUIDE.read_text(encoding="utf-8")
    rows = [
        row
        for title, without in DECKS[name]
        for row in plan(guide, title)
        if not (without and row.what.startswith(without))
    ]
    return [slide for row in rows for slide in of_row(row)]


def put_reveal(into: Path) -> None:
    """Copy of reveal.js what a deck needs."""
    for file in files("sphinx-revealjs") or ():
        place = file.as_posix().partition("_static/revealjs/")[2]
        if REVEAL.fullmatch(place):
            (into / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), into / place)


def build(into: Path) -> list[Path]:
    """Write every deck into a folder, in place of what it holds; their files."""
    shutil.rmtree(into, ignore_errors=True)
    book.put_formulas(into / "mathjax")
    put_reveal(into / "reveal")
    template = jinja2.Template((TEMPLATES / "deck.html.j2").read_text(encoding="utf-8"))
    shutil.copyfile(TEMPLATES / "deck.css", into / "deck.css")
    written = []
    for name in DECKS:
        written.append(into / f"{name.replace(' ', '-')}.html")
        page = template.render(title=f"The variational autoencoder, {name}", slides=deck(name))
        written[-1].write_text(page, encoding="utf-8")
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="tools/slides.py", description=__doc__.split("\n")[0])
    parser.add_argument("--into", type=Path, default=HOME / "build" / "slides")
    for path in build(parser.parse_args(arguments).into):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
