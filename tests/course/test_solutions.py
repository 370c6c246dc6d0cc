"""The exercise cells and the solved notebooks come from the exercises, and are not out of date."""

import sys
from pathlib import Path

import nbformat
import pytest

from vaelib.course.exercises import EXERCISES, TOPICS, elbo

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import solutions  # noqa: E402

PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))
PRICE = EXERCISES["price-of-certainty"]


def output_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_no_notebook_is_out_of_date():
    assert solutions.outdated() == {}


def test_the_topics_are_the_notebooks_in_their_order():
    topics = [module.__name__.rpartition(".")[2] for module in TOPICS]
    stems = [path.stem for path in PATHS]
    assert [stem for stem in stems if stem.partition("_")[2] in topics] == [
        f"{number:02}_{topic}" for number, topic in enumerate(topics, 1)
    ]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_handed_out_nothing_is_attempted_and_solved_all_is_right(path):
    for folder, said in (
        (path.parent, "{0.title} · not attempted yet"),
        (solutions.SOLUTIONS, "{0.title} ✓ Right. {0.told}"),
    ):
        cells = nbformat.read(folder / path.name, as_version=4).cells
        for cell in cells:
            if cell.cell_type == "code" and (checked := solutions.CHECK.search(cell.source)):
                assert output_of(cell).startswith(said.format(EXERCISES[checked[1]]))


class TestFill:
    @pytest.fixture
    def notebook(self):
        """Its second exercise has a picture between its two cells."""
        return nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("### Exercise, old"),
                nbformat.v4.new_code_cell('exercises.check("price-of-certainty", ...)'),
                nbformat.v4.new_markdown_cell("### Exercise"),
                nbformat.v4.new_code_cell('exercises.picture("four-curves")'),
                nbformat.v4.new_code_cell('exercises.check("four-curves", letters)'),
                nbformat.v4.new_markdown_cell("The end."),
            ]
        )

    def test_headings_count_questions_and_stubs_come_from_the_exercise(self, notebook):
        wanted = [PRICE, EXERCISES["four-curves"]]
        first, second, third, picture, last, end = solutions.fill(notebook, wanted).cells
        heading, _, question = first.source.partition("\n\n")
        assert heading == "### Exercise 1 · The price of certainty (warm-up, 3 minutes)"
        assert question.startswith("On paper (a calculator is fine)")
        assert second.source == PRICE.stub
        assert output_of(second).startswith("The price of certainty · not attempted yet. ")
        assert third.source.startswith("### Exercise 2 · Explain the picture (core, 6 minutes)\n")
        assert 'curves = ...  # four letters, such as "ABCD"\n' in last.source
        assert [picture, end] == [notebook.cells[3], notebook.cells[5]]

    def test_other_exercises_or_another_order_are_refused(self, notebook):
        for wanted in ([PRICE], [EXERCISES["four-curves"], PRICE]):
            with pytest.raises(solutions.ExerciseError, match=f"defines the .*{wanted[0].slug}"):
                solutions.fill(notebook, wanted)
        notebook.cells[2].source = "A heading that was lost"
        with pytest.raises(solutions.ExerciseError, match=r"begins with .### Exercise"):
            solutions.fill(notebook, [PRICE, EXERCISES["four-curves"]])


class TestSolve:
    @pytest.fixture
    def notebook(self):
        return nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("# 4 · Title\n\nSee [next](05_training.ipynb)."),
                nbformat.v4.new_code_cell("kept = 1"),
                nbformat.v4.new_markdown_cell("[readme](../README.md), [web](https://x.org)"),
                nbformat.v4.new_markdown_cell("### Exercise"),
                nbformat.v4.new_code_cell(PRICE.stub),
            ]
        )

    def test_the_solution_replaces_the_stub_and_its_reasoning_follows(self, notebook):
        solved = solutions.solve(notebook)
        assert solved.cells[0].source.startswith("# 4 · Title (solved)\n")
        assert solved.cells[4].source == PRICE.solved
        assert solved.cells[5].source.startswith(r"**Why.** One dimension with $\mu=0$ costs")

    def test_links_are_right_one_folder_down(self, notebook):
        solved = solutions.solve(notebook)
        assert "](05_training.ipynb)" in solved.cells[0].source
        assert solved.cells[1].source == "kept = 1"
        assert solved.cells[2].source == "[readme](../../README.md), [web](https://x.org)"

    def test_answers_and_outputs_are_kept_where_they_belong(self, notebook):
        ask = nbformat.v4.new_markdown_cell("## Map\n\nMove it. **Try.** Why?\n\n### Next")
        end = nbformat.v4.new_markdown_cell("## Go further\n\n1. What if?")
        notebook.cells += [ask, nbformat.v4.new_code_cell("explore()"), end]
        before = solutions.keep(solutions.solve(notebook), notebook)
        told = {"metadata": {"tags": ["answer"]}}
        because = nbformat.v4.new_markdown_cell("**Answer.** Because.", **told)
        measured = nbformat.v4.new_code_cell("measured", execution_count=7, **told)
        place = [cell.source for cell in before.cells].index(ask.source) + 1
        before.cells[place:place] = [because, measured]
        before.cells.append(nbformat.v4.new_markdown_cell("**Answer to question 1.** 5.", **told))
        before.cells[1].outputs = [nbformat.v4.new_output("stream", text="1")]
        assert list(solutions.answers(before.cells)) == ["Map 1", "Go further 1"]
        ask.source = ask.source.replace("Why?", "And why?")
        notebook.cells.insert(0, notebook.cells[0].copy())
        kept = solutions.keep(solutions.solve(notebook), before).cells
        assert kept[2].outputs == before.cells[1].outputs
        assert [cell.source for cell in kept[-6:]] == [
            ask.source, because.source, "measured", "explore()", end.source,
            "**Answer to question 1.** 5.",
        ]  # fmt: skip
        assert kept[-4].execution_count == 7

    def test_an_answer_without_its_question_is_named_and_not_dropped(self, notebook):
        told = {"metadata": {"tags": ["answer"]}}
        answer = nbformat.v4.new_markdown_cell("**Answer.** No.", **told)
        asked = nbformat.v4.new_markdown_cell("## Map\n\n**Try.** Is it?")
        for lost, named in (([answer], "above all questions"), ([asked, answer], "Map 1")):
            before = nbformat.v4.new_notebook(cells=lost)
            with pytest.raises(solutions.ExerciseError, match=named):
                solutions.keep(solutions.solve(notebook), before)

    def test_a_changed_sentence_is_noticed(self, monkeypatch, tmp_path, notebook):
        path = tmp_path / "04_elbo.ipynb"
        monkeypatch.setattr(solutions, "NOTEBOOKS", tmp_path)
        monkeypatch.setattr(solutions, "SOLUTIONS", tmp_path / "solutions")
        monkeypatch.setattr(elbo, "EXERCISES", (PRICE,))
        (tmp_path / "solutions").mkdir()
        nbformat.write(notebook, path)
        assert list(solutions.outdated()) == [path, tmp_path / "solutions" / "04_elbo.ipynb"]
        assert solutions.main([]) == 0
        assert solutions.outdated() == {}
        written = nbformat.read(path, as_version=4)
        written.cells[2].source += " More."
        nbformat.write(written, path)
        assert solutions.main(["--check"]) == 1
        assert list(solutions.outdated()) == [tmp_path / "solutions" / "04_elbo.ipynb"]

    def test_a_notebook_without_its_exercise_is_named_and_left(self, monkeypatch, tmp_path):
        path = tmp_path / "04_elbo.ipynb"
        monkeypatch.setattr(solutions, "NOTEBOOKS", tmp_path)
        monkeypatch.setattr(elbo, "EXERCISES", (PRICE,))
        nbformat.write(nbformat.v4.new_notebook(), path)
        before = path.read_bytes()
        with pytest.raises(SystemExit, match=r"04_elbo.ipynb: .*price-of-certainty; .*has none"):
            solutions.main([])
        assert path.read_bytes() == before
