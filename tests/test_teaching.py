"""The teacher's guide says what the notebooks say."""

import re
from pathlib import Path

import nbformat
import pytest

from vaelib.exercises import EXERCISES

HOME = Path(__file__).resolve().parent.parent
GUIDE = (HOME / "docs" / "teaching.md").read_text(encoding="utf-8")
PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))
ROW = re.compile(
    r"^\| \[(\d) · (\w+)\]\(([^)]+)\) \| .+ \| (\d+) min \| (\d+) min \| (\d+) s \|$", re.MULTILINE
)
SECONDS = {"about 10 seconds": 10, "about 50 seconds": 50, "about a minute and a half": 90}


def test_every_notebook_has_its_row_with_its_own_times():
    rows = ROW.findall(GUIDE)
    assert [f"0{number}_{topic}" for number, topic, *_ in rows] == [path.stem for path in PATHS]
    for (number, _, link, read, exercises, run), path in zip(rows, PATHS, strict=True):
        assert (HOME / "docs" / link).resolve() == path
        head = nbformat.read(path, as_version=4).cells[0].source
        time = re.search(
            r"\*\*Time\*\* \| (\d+) minutes to read, (\d+) for the exercises, (.+?) to run", head
        )
        assert (read, exercises) == time.groups()[:2]
        assert int(run) == SECONDS[time[3]]
        own = [e.minutes for name, e in EXERCISES.items() if name.startswith(number)]
        assert sum(own) == int(exercises)


def test_exercises_and_sections_that_the_guide_names_exist():
    named = set(re.findall(r"\b([1-6]\.[1-9])\b", GUIDE))
    assert named
    assert named <= set(EXERCISES)
    text = "\n".join(
        cell.source
        for path in PATHS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    for title in (
        "What goes wrong with log(p + eps)?",
        "Turn it: how close can a bell come?",
        "What does 0.01 · Σθ² mean?",
        "Stop a run, and go on",
        "Tighter, and noisier",
    ):
        assert f"*{title}*" in GUIDE
        assert title in headings


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
        assert re.search(r"\b[1-6]\.[1-5]\b", where), said


def test_the_plans_minutes_are_reading_time_and_the_exercises_that_they_name():
    plans = GUIDE.partition("## Three plans")[2].partition("## ")[0]
    items = re.findall(r"[Nn]otebook (\d) \((\d+) with ([\d., and]+)\)", plans)
    assert [number for number, *_ in items] == list("123456")
    total = 0
    for number, minutes, named in items:
        (path,) = (HOME / "notebooks").glob(f"0{number}_*.ipynb")
        reading = int(re.search(r"(\d+) minutes to read", path.read_text(encoding="utf-8"))[1])
        exercises = [EXERCISES[name].minutes for name in re.findall(r"\d\.\d", named)]
        assert int(minutes) == reading + sum(exercises), number
        total += int(minutes) if number != "6" else 0
    assert f"{total} minutes in all" in plans
