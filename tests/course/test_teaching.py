"""The teacher's guide says what the notebooks say."""

import math
import re
import sys
from pathlib import Path

import nbformat
import pytest

from vaelib.course.exercises import EXERCISES, TOPICS

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

from minutes import minutes as minutes_of  # noqa: E402

GUIDE = (HOME / "docs" / "teaching.md").read_text(encoding="utf-8")
PATHS = {str(int(path.stem[:2])): path for path in sorted((HOME / "notebooks").glob("*.ipynb"))}
ROW = re.compile(
    r"^\| \[(\d+) · (\w+)\]\(([^)]+)\) \| .+ \| (\d+) min \| (\d+) min \| (\d+) s \|$", re.MULTILINE
)
MINUTES = {exercise.title: exercise.minutes for exercise in EXERCISES.values()}


def test_every_notebook_has_its_row_with_its_own_times():
    rows = ROW.findall(GUIDE)
    assert [row[0] for row in rows] == list(PATHS)
    for number, topic, link, read, exercises, run in rows:
        path = PATHS[number]
        assert path.stem[3:] == topic
        assert (HOME / "docs" / link).resolve() == path
        head = nbformat.read(path, as_version=4).cells[0].source
        time = re.search(
            r"\*\*Time\*\* \| (\d+) minutes to read, (\d+) for the exercises, about (\d+) seconds",
            head,
        )
        assert (read, exercises, run) == time.groups()
        notebook = nbformat.read(path, as_version=4)
        assert int(read) == round(minutes_of(notebook)), "see tools/minutes.py"
        own = TOPICS[int(number) - 1].EXERCISES
        assert sum(exercise.minutes for exercise in own) == int(exercises)


def test_exercises_and_sections_that_the_guide_names_exist():
    text = "\n".join(
        cell.source
        for path in PATHS.values()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert len(italics(GUIDE)) >= 8
    assert set(italics(GUIDE)) <= {*headings, *MINUTES}
    assert {*MINUTES} & set(italics(GUIDE))


def italics(text: str) -> list[str]:
    """The titles of sections and exercises that a text names."""
    return re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE))
def test_its_links_lead_somewhere(link):
    assert (HOME / "docs" / link).exists()


def test_every_misunderstanding_has_its_thread_its_exercise_and_a_sentence_that_helps():
    table = GUIDE.partition("## Misunderstandings to expect")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith('| "')]
    assert len(rows) >= 8
    for said, helps, where in rows:
        assert re.search(r"\]\(https://github\.com/[^)]+/(issues|pull)/\d+\)", helps), said
        assert re.search(r"[.?]", helps.partition("[")[0]), said
        named = re.findall(r"\[([^]]+)\]\(../notebooks/\d+_(\w+).ipynb\)", where)
        assert named, said
        for title, topic in named:
            (module,) = (m for m in TOPICS if m.__name__.endswith(f".{topic}"))
            assert title in [exercise.title for exercise in module.EXERCISES], said


def reading(number: str, titles: list[str]) -> float:
    """Minutes to read some sections of a notebook, counted as `tools/minutes.py` counts them."""
    title, parts = "", {}
    for cell in nbformat.read(PATHS[number], as_version=4).cells:
        if cell.cell_type == "code" or cell.source.startswith("### Exercise"):
            parts.setdefault(title, []).append(cell)
            continue
        for text in re.split(r"^(?=#+ )", cell.source, flags=re.M):
            title = text.partition("\n")[0].lstrip("# ") if text.startswith("#") else title
            parts.setdefault(title, []).append(nbformat.v4.new_markdown_cell(text))
    own, wanted = list(parts), set()
    for title in titles:
        name = title.removeprefix("up to ")
        wanted |= {name} if name == title else set(own[: own.index(name)])
    cells = [cell for name in own if name in wanted for cell in parts[name]]
    return minutes_of(nbformat.v4.new_notebook(cells=cells))


def test_the_short_plan_adds_up_and_its_parts_take_what_their_sections_take():
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.*) ?\|$", GUIDE.partition("**Half a day")[0], re.M)
    assert sum(int(minutes) for minutes, *_ in rows) == 90
    parts = [row for row in rows if row[1].startswith("notebook")]
    assert len(parts) == 4
    for minutes, what, of_these in parts:
        titles = re.findall(r"(?:up to )?\*[^*]+\*", what)
        to_read = int(re.search(r"(\d+) to read", of_these)[1])
        assert to_read == math.ceil(
            reading(what.split()[1].strip(","), [name.replace("*", "") for name in titles])
        )
        exercises = re.search(r"(\d+) for (.+?) *$", of_these)
        to_do = sum(MINUTES[title] for title in italics(of_these))
        assert int(exercises[1] if exercises else 0) == to_do, what
        assert to_read + to_do < int(minutes)


def test_the_readme_has_the_same_times_as_the_guide():
    page = (HOME / "README.md").read_text(encoding="utf-8")
    columns = r"\| (\d+ min) \| (\d+ min) \| (\d+ s) \|$"
    rows = re.findall(rf"^\| \[(\d+) .+ {columns}", page, re.M)
    assert rows == re.findall(rf"^\| \[(\d+) .+ {columns}", GUIDE, re.M)
    assert len(rows) == len(PATHS)


def test_the_plans_minutes_are_reading_time_and_the_exercises_that_they_name():
    plans = GUIDE.partition("## Three plans")[2].partition("## ")[0]
    half_a_day, _, a_day = plans.partition("**Half a day")[2].partition("**A day")
    totals = []
    for plan in (half_a_day, a_day):
        items = re.findall(r"[Nn]otebook (\d+) \((\d+) with ([^)]+)\)", plan)
        assert items
        assert len({number for number, *_ in items}) == len(items)
        for number, minutes, named in items:
            text = PATHS[number].read_text(encoding="utf-8")
            to_read = int(re.search(r"(\d+) minutes to read", text)[1])
            exercises = [MINUTES[title] for title in italics(named)]
            assert int(minutes) == to_read + sum(exercises), number
        totals.append(sum(int(minutes) for _, minutes, _ in items))
    assert f"{totals[0]} minutes in all" in half_a_day


def test_minutes_to_read_by_hand():
    text = "A **short** [link](https://a.b) has six words. " * 30
    folded = "<details><summary>Description</summary>" + "word " * 500 + "</details>"
    hidden = {"jupyter": {"source_hidden": True}}
    picture = nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})
    cells = [
        nbformat.v4.new_markdown_cell(text + folded),
        nbformat.v4.new_markdown_cell("### Exercise 1\n\n" + text),
        nbformat.v4.new_code_cell("x = 1\n\n" * 15, outputs=[picture] * 3),
        nbformat.v4.new_code_cell("x = 1\n" * 99, metadata=hidden),
    ]
    assert minutes_of(nbformat.v4.new_notebook(cells=cells)) == 1 + 1 + 1
