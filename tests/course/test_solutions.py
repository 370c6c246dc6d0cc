"""Solved notebooks come from the exercise notebooks, and are not out of date."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

from vaelib.course.exercises import EXERCISES

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import solutions  # noqa: E402

PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))


def cells(path, kind="code"):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_no_solved_notebook_is_out_of_date():
    assert solutions.outdated() == []


def test_every_exercise_is_in_its_notebook_once_and_has_an_answer():
    asked = []
    for path in PATHS:
        for cell in cells(path):
            for name, _ in solutions.CHECK.findall(cell.source):
                assert name.startswith(f"{int(path.stem[:2])}.")
                asked.append(name)
    assert asked == list(EXERCISES)
    kept = sorted(path.stem for path in (solutions.SOLUTIONS / "answers").glob("*.md"))
    assert kept == sorted(EXERCISES)


def test_the_heading_says_kind_and_minutes_as_the_exercise_does():
    for path in PATHS:
        text = "\n".join(cell.source for cell in cells(path, "markdown"))
        for name, kind, minutes in re.findall(
            r"^### Exercise (\d\.\d) · ([a-z-]+), (\d+) minutes$", text, re.MULTILINE
        ):
            assert (EXERCISES[name].kind, EXERCISES[name].minutes) == (kind, int(minutes)), name


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_handed_out_nothing_is_attempted_and_solved_all_is_right(path):
    for folder, mark in ((path.parent, "· not attempted yet"), (solutions.SOLUTIONS, "✓ Right.")):
        for cell in cells(folder / path.name):
            for name, _ in solutions.CHECK.findall(cell.source):
                assert text_of(cell).startswith(f"{name} {mark}"), text_of(cell)


class TestSolve:
    @pytest.fixture
    def notebook(self):
        return nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("# 4 · Title\n\nSee [next](05_training.ipynb)."),
                nbformat.v4.new_code_cell('kept = Path("../build")'),
                nbformat.v4.new_markdown_cell("[readme](../README.md), [web](https://x.org)"),
                nbformat.v4.new_code_cell('price = ...\n\nexercises.check("4.3", price)'),
            ]
        )

    def test_the_answer_replaces_the_stub_and_its_reasoning_follows(self, notebook):
        solved = solutions.solve(notebook)
        assert solved.cells[0].source.startswith("# 4 · Title (solved)\n")
        code, reasoning = solutions.answer("4.3")
        assert solved.cells[3].source == code
        assert "..." not in code
        assert solved.cells[4].source == f"**Why.** {reasoning}"

    def test_paths_and_links_are_right_one_folder_down(self, notebook):
        solved = solutions.solve(notebook)
        assert "](05_training.ipynb)" in solved.cells[0].source
        assert solved.cells[1].source == 'kept = Path("../../build")'
        assert solved.cells[2].source == "[readme](../../README.md), [web](https://x.org)"

    def test_a_changed_sentence_is_noticed(self, monkeypatch, tmp_path, notebook):
        monkeypatch.setattr(solutions, "NOTEBOOKS", tmp_path)
        nbformat.write(notebook, tmp_path / "04_x.ipynb")
        (tmp_path / "solutions").mkdir()
        monkeypatch.setattr(solutions, "SOLUTIONS", tmp_path / "solutions")
        assert solutions.outdated() == ["04_x.ipynb"]
        assert solutions.main([]) == 0
        assert solutions.outdated() == []
        notebook.cells[2].source += " More."
        nbformat.write(notebook, tmp_path / "04_x.ipynb")
        assert solutions.main(["--check"]) == 1

    @pytest.mark.parametrize("text", [None, "no code", "```python\nx = 1\n```\n\nBecause."])
    def test_an_answer_of_another_form_is_refused(self, tmp_path, text):
        if text is not None:
            (tmp_path / "4.3.md").write_text(text)
        with pytest.raises(solutions.AnswerError, match=r"4\.3"):
            solutions.answer("4.3", tmp_path)
