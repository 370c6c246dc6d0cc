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

import minutes as pace  # noqa: E402
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


PLAN_ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
PLANS = re.findall(
    r"^### ([^\n]+)\n(.+?)(?=^###? )", GUIDE.partition("## Four plans\n")[2] + "\n## ", re.M | re.S
)
LONG = {"90 minutes": 90, "Half a day": 210, "A day": 210}  # a day's morning is the half day
TIMED = {title: text for title, text in PLANS if title.partition(":")[0] in LONG}
GIVEN = ("setup", "explorer", "solutions", "question", "quiz", "break", "in pairs", "each pair")


def parts(plan: str) -> list[tuple[str, str, str]]:
    """The rows of a plan that name a notebook, which the notebooks' own minutes must fill."""
    return [row for row in PLAN_ROW.findall(plan) if row[1].startswith("notebook")]


def test_there_is_a_plan_for_each_length_and_one_for_a_semester():
    assert [title.partition(":")[0] for title in TIMED] == list(LONG)
    assert [title for title, _ in PLANS][len(LONG) :] == [
        "Five lectures of a semester, with a problem set"
    ]


@pytest.mark.parametrize("title", TIMED)
def test_a_plan_adds_up_and_leaves_room(title):
    minutes = LONG[title.partition(":")[0]]
    planned = sum(int(row[0]) for row in parts(TIMED[title]))
    assert sum(int(row[0]) for row in PLAN_ROW.findall(TIMED[title])) == minutes
    assert planned <= minutes * 120 / 210, "the rest is for explorers, setup, questions, solutions"
    assert re.search(rf"\bfill {planned}\b", TIMED[title]), planned


@pytest.mark.parametrize("title", TIMED)
def test_a_plans_parts_take_what_their_sections_and_exercises_take(title):
    assert len(parts(TIMED[title])) >= 4
    for minutes, what, made_of in parts(TIMED[title]):
        titles = re.findall(r"(?:up to )?\*[^*]+\*", what)
        assert titles, what
        to_read = int(re.search(r"(\d+) to read", made_of)[1])
        own = reading(what.split()[1].strip(","), [name.replace("*", "") for name in titles])
        assert to_read == math.ceil(own), f"{what}: {own:.2f}"
        exercises = re.search(r"(\d+) for (.+?) *$", made_of)
        to_do = sum(MINUTES[name] for name in italics(made_of))
        assert int(exercises[1] if exercises else 0) == to_do, what
        assert int(minutes) == to_read + to_do, what


@pytest.mark.parametrize("title", TIMED)
def test_what_is_an_estimate_is_called_one(title):
    rest = [row for row in PLAN_ROW.findall(TIMED[title]) if row not in parts(TIMED[title])]
    assert [row for row in rest if row[2] != "estimate"] == []
    named = [kind for kind in GIVEN if any(kind in row[1] for row in rest)]
    assert {"explorer", "solutions", "question"} <= set(named)
    assert "setup" in named or title.startswith("A day"), "its morning has the set-up"


def test_an_exercise_is_planned_only_where_its_notebook_is():
    for text in TIMED.values():
        for _, what, made_of in parts(text):
            topic = TOPICS[int(what.split()[1].strip(",")) - 1]
            own = [exercise.title for exercise in topic.EXERCISES]
            assert set(italics(made_of)) <= set(own), what


def test_no_exercise_is_planned_twice_in_a_day():
    _, half, day = TIMED.values()
    titles = [name for text in (half, day) for row in parts(text) for name in italics(row[2])]
    assert len(titles) == len(set(titles)) > 8


def seconds_to_run(number: str) -> int:
    """What the README's table says."""
    page = (HOME / "README.md").read_text(encoding="utf-8")
    return int(re.search(rf"^\| \[{number} · .+ \| (\d+) s \|$", page, re.M)[1])


def test_seconds_to_run_in_a_plan_are_the_readmes():
    found = re.findall(r"notebook (\d+) and chooses Run All, which takes (\d+) s", GUIDE)
    found += re.findall(r"Run All in notebook (\d+), which takes (\d+) s", GUIDE)
    assert len(found) == 2
    assert all(int(seconds) == seconds_to_run(number) for number, seconds in found)


def lectures() -> list[list[str]]:
    text = dict(PLANS)["Five lectures of a semester, with a problem set"]
    return [line.strip("| ").split(" | ") for line in re.findall(r"^\| \d .+$", text, re.M)]


def test_the_lectures_add_up():
    assert [row[0] for row in lectures()] == ["1", "2", "3", "4", "5"]
    numbers = []
    for _, read, exercises, room, _ in lectures():
        own = re.findall(r"\d+", read.partition(":")[0])
        numbers += own
        rows = {row[0]: int(row[3]) for row in ROW.findall(GUIDE)}
        assert int(re.search(r": (\d+) min", read)[1]) == sum(rows[number] for number in own)
        spent = {kind: int(minutes) for minutes, kind in re.findall(r"(\d+) ([a-z]+)", room)}
        assert sum(spent.values()) == 90, room
        assert {*spent} == {"exercises", "lecture", "explorers", "solutions", "questions"}
        assert spent["exercises"] == sum(MINUTES[title] for title in italics(exercises))
        titles = [e.title for n in own for e in TOPICS[int(n) - 1].EXERCISES]
        assert set(italics(exercises)) <= set(titles), read
    assert len(numbers) == len(set(numbers))


def test_the_problem_set_adds_up_and_its_questions_exist():
    for _, read, exercises, _, problems in lectures():
        total = sum(MINUTES[title] for title in italics(problems))
        for question, number in re.findall(r"question (\d) of notebook (\d+)", problems):
            assert number in re.findall(r"\d+", read), problems
            total += further(number)[int(question)]
        assert int(re.match(r"(\d+) min:", problems)[1]) == total, problems
        assert not set(italics(problems)) & set(italics(exercises))


def further(number: str) -> dict[int, int]:
    """The minutes of each numbered question under *Go further* in a notebook."""
    cells = nbformat.read(PATHS[number], as_version=4).cells
    (text,) = (cell.source for cell in cells if cell.source.startswith("## Go further"))
    found = re.findall(r"^(\d)\. \*\w[\w-]+, (\d+) minutes\.\*", text, re.M)
    return {int(question): int(minutes) for question, minutes in found}


def test_the_pace_is_the_same_everywhere():
    said = re.search(
        r"(\d+) words of prose a minute, (\d+) lines of code a minute, (\d+) sec", GUIDE
    )
    assert [int(value) for value in said.groups()] == [pace.WORDS, pace.LINES, 60 / pace.FIGURES]


def test_the_readme_has_the_same_times_as_the_guide():
    page = (HOME / "README.md").read_text(encoding="utf-8")
    columns = r"\| (\d+ min) \| (\d+ min) \| (\d+ s) \|$"
    rows = re.findall(rf"^\| \[(\d+) .+ {columns}", page, re.M)
    assert rows == re.findall(rf"^\| \[(\d+) .+ {columns}", GUIDE, re.M)
    assert len(rows) == len(PATHS)


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
