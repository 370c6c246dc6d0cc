import json

import pytest

from vaelib.course import exercises
from vaelib.course.exercises import EXERCISES, record
from vaelib.course.exercises.judging import mistake_of
from vaelib.course.exercises.log import Log, Try
from vaelib.course.exercises.record import RecordError, Tried

PRICE, KL = "price-of-certainty", "kl-from-log-variance"
BLOG = mistake_of(EXERCISES[PRICE], 10.78)  # what the blog post's formula gives
RECORD = {
    PRICE: Tried(4, False, ("The number is too small.", BLOG)),
    KL: Tried(2, True, (EXERCISES[KL].table[3].hint,)),
    "four-curves": Tried(1, True, ()),
}


def tries(*pairs):
    return [Try(slug, hint, "a", number) for number, (slug, hint) in enumerate(pairs)]


class TestGathering:
    def test_counts_up_to_the_right_answer_and_keeps_each_hint_once_the_last_one_last(self):
        made = record.gather(
            tries((PRICE, "A"), (KL, "C"), (PRICE, "B"), (PRICE, "A"), (KL, ""), (KL, "D"))
        )
        assert made == {PRICE: Tried(3, False, ("B", "A")), KL: Tried(2, True, ("C",))}

    def test_two_records_of_one_person_do_not_count_twice(self):
        old = {PRICE: Tried(3, False, ("A", "B")), KL: Tried(None, True, ())}
        new = {PRICE: Tried(5, True, ("B", "A")), KL: Tried(1, False, ("C",))}
        both = record.merge(old, new)
        assert both == {PRICE: Tried(5, True, ("B", "A")), KL: Tried(1, True, ("C",))}
        assert record.merge({}, old) == record.merge(old, {}) == old


class TestTheFile:
    def test_comes_back(self):
        assert record.from_json(record.to_json(RECORD)) == RECORD
        assert record.from_json(record.to_json(RECORD).encode("utf-8-sig")) == RECORD

    def test_that_is_cut_anywhere_is_refused(self):
        whole = record.to_json(RECORD).rstrip()
        for end in range(len(whole)):
            with pytest.raises(RecordError, match="not JSON, or it was cut"):
                record.from_json(whole[:end])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda x: [], 'does not have "format"'),
            (lambda x: x | {"format": "vaelib progress 9"}, 'does not have "format"'),
            (lambda x: x | {"exercises": []}, 'no "exercises"'),
            (lambda x: x | {"exercises": {"a": 1}}, 'of "a" is missing'),
            (lambda x: x | {"exercises": {"a": {"tries": 1, "solved": True}}}, 'of "a"'),
            (lambda x: x | {"exercises": {"a": {"tries": 0, "solved": True, "hints": []}}}, "a"),
            (lambda x: x | {"exercises": {"a": {"tries": 1, "solved": 1, "hints": []}}}, "a"),
            (lambda x: x | {"exercises": {"a": {"tries": 1, "solved": True, "hints": [1]}}}, "a"),
        ],
    )
    def test_of_another_kind_is_refused(self, change, words):
        content = change(json.loads(record.to_json(RECORD)))
        with pytest.raises(RecordError, match=words):
            record.from_json(json.dumps(content))

    @pytest.mark.parametrize(
        ("slug", "answer", "kept"),
        [
            (KL, lambda mean, spread: {}["/home/anna"], "Your function stops with KeyError."),
            (PRICE, "anna's answer", "A number is asked for."),
            (PRICE, -3.25e-7, "The number is too small."),
            (PRICE, 9.2, "The number is close, but too large. Was something rounded"),
            (KL, lambda mean, spread: mean[:, 0] ** 2, "The shape is right, the values are not."),
            (PRICE, 10.78, BLOG),
        ],
    )
    def test_quotes_nothing_of_an_answer(self, slug, answer, kept):
        hint = mistake_of(EXERCISES[slug], answer)
        assert hint
        (one,) = record.without_quotes({slug: Tried(1, False, (hint,))}).values()
        assert one.hints[0].startswith(kept)
        assert "anna" not in one.hints[0]
        if kept[-1] == ".":
            assert one.hints == (kept,)

    def test_counts_hints_that_differ_in_a_quoted_number_once(self):
        made = {PRICE: Tried(3, False, ("3 is too small.", "B", "4 is too small."))}
        assert record.without_quotes(made)[PRICE].hints == ("B", "The number is too small.")


class TestTheLine:
    LINE = record.to_line(RECORD, EXERCISES)

    def test_has_all_but_earlier_hints(self):
        expected = RECORD | {PRICE: Tried(4, False, (BLOG,))}
        assert record.from_line(self.LINE, EXERCISES) == expected

    def test_is_short_even_for_the_whole_course(self):
        everything = {
            slug: Tried(12, False, (exercise.table[-1].hint,))
            for slug, exercise in EXERCISES.items()
        }
        line = record.to_line(everything, EXERCISES)
        assert record.from_line(line, EXERCISES) == everything
        assert len(line) <= 12 * len(EXERCISES) + 14
        assert len(self.LINE) < 50

    def test_many_tries_and_hints_for_no_known_mistake_have_no_place_in_it(self):
        made = {
            PRICE: Tried(12345, False, ("The number is too small.",)),
            KL: Tried(None, True, ()),
        }
        line = record.to_line(made, EXERCISES)
        assert line.startswith(f"vae1.{record.tag(PRICE)}99n.{record.tag(KL)}1s.")
        back = record.from_line(line, EXERCISES)
        assert back == {PRICE: Tried(99, False, ()), KL: Tried(1, True, ())}

    def test_survives_mail_and_chat(self):
        broken = f"> {self.LINE[:20]}\r\n> {self.LINE[20:]}\n".replace("vae1", "Vae1")
        (found,) = record.lines_in(f"Hello, this is mine:\n{broken}\nBest wishes")
        assert record.from_line(found, EXERCISES) == record.from_line(self.LINE, EXERCISES)

    def test_each_of_several_is_found_also_beside_a_cut_one(self):
        lines = record.lines_in(f"a {self.LINE}, b {self.LINE[:30]}\nc:{self.LINE}. d {self.LINE}")
        assert [line == self.LINE for line in lines] == [True, False, True, True]
        assert record.lines_in("no line, only vae1 and vae10.end") == []

    def test_that_is_cut_or_changed_anywhere_is_refused(self):
        for end in range(len(self.LINE)):
            with pytest.raises(RecordError, match="the line was cut"):
                record.from_line(self.LINE[:end], EXERCISES)
        for at in range(5, len(self.LINE) - 4):
            for changed in (
                self.LINE[:at] + self.LINE[at + 1 :],
                self.LINE[:at] + "z" + self.LINE[at + 1 :],
            ):
                if changed != self.LINE:
                    with pytest.raises(RecordError):
                        record.from_line(changed, EXERCISES)

    def test_an_exercise_of_another_version_goes_by_its_tag(self):
        line = record.to_line({"new": Tried(2, True, ()), **RECORD}, EXERCISES)
        assert record.from_line(line, EXERCISES)[record.tag("new")] == Tried(2, True, ())

    def test_a_part_that_is_never_written_is_refused(self):
        body = "vae1.nonsense"
        with pytest.raises(RecordError, match='"nonsense" that'):
            record.from_line(f"{body}.{record.tag(body)}.end", EXERCISES)

    def test_no_two_exercises_and_no_two_hints_of_one_have_the_same_tag(self):
        assert len({*map(record.tag, EXERCISES)}) == len(EXERCISES)
        for slug, exercise in EXERCISES.items():
            hints = {hint for _, hint in exercise.table}
            assert len({*map(record.tag, hints)}) == len(hints), slug


class TestANotebook:
    @staticmethod
    def of(*printed, **more):
        outputs = [{"output_type": "stream", "text": text} for text in printed]
        cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}]
        return json.dumps({"cells": cells, **more})

    def test_has_the_last_try_of_each_exercise(self, capsys):
        exercises.check(PRICE, 10.78)
        exercises.check(KL, EXERCISES[KL].answer)
        exercises.check("four-curves", ...)
        exercises.check("what-is-averaged", lambda *_: {}["/home/anna\n"])
        printed = capsys.readouterr().out
        expected = {
            PRICE: Tried(None, False, (BLOG,)),
            KL: Tried(None, True, ()),
            "what-is-averaged": Tried(None, False, ("Your function stops with KeyError.",)),
        }
        whole = self.of("mine: 4\n" + printed)
        in_lines = self.of(printed.splitlines(keepends=True))
        for text in (whole, in_lines, whole.encode()):
            assert record.from_notebook(text, EXERCISES) == expected

    def test_where_nothing_was_attempted_is_an_empty_record(self, capsys):
        exercises.check(PRICE, ...)
        assert record.from_notebook(self.of(capsys.readouterr().out), EXERCISES) == {}

    @pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"cells": [1]}', '{"cells": 1}'])
    def test_that_is_none_is_refused(self, text):
        with pytest.raises(RecordError, match="not a notebook, or it was cut"):
            record.from_notebook(text, EXERCISES)

    def test_without_outputs_is_refused(self):
        with pytest.raises(RecordError, match="run the notebook and save it"):
            record.from_notebook(self.of("other text"), EXERCISES)


class TestProgress:
    def test_shows_each_exercise_of_a_notebook_that_was_begun(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        exercises.check(PRICE, 3)
        exercises.check(PRICE, 10.78)
        exercises.check(KL, EXERCISES[KL].answer)
        exercises.check("four-curves", ...)
        capsys.readouterr()
        exercises.progress()
        said = capsys.readouterr().out
        rows = {line[:33].strip(): line.split()[-4:] for line in said.splitlines()[1:6]}
        assert rows["4 · The price of certainty"][-4:] == ["2", "not", "solved", "yet"]
        assert rows["4 · The KL from a log-variance"][-2:] == ["1", "solved"]
        assert rows["4 · Explain the picture"][-2:] == ["not", "tried"]
        assert len(rows) == 5
        assert "1 of 2 exercises that you tried are solved." in said
        assert f"The price of certainty, last hint: {BLOG}" in said
        (line,) = record.lines_in(said.partition("To paste")[2].partition(": ")[2])
        expected = {
            PRICE: Tried(2, False, ("The number is too small.", BLOG)),
            KL: Tried(1, True, ()),
        }
        assert record.from_line(line, EXERCISES)[PRICE] == Tried(2, False, (BLOG,))
        handed_in = tmp_path / "output" / "progress.json"
        assert record.from_json(handed_in.read_bytes()) == expected
        assert str(handed_in) in said

    def test_counts_the_tries_of_earlier_kernels(self, capsys, tmp_path, monkeypatch, kernel):
        monkeypatch.chdir(tmp_path)
        exercises.check(PRICE, 3)
        monkeypatch.setattr(exercises, "_log", Log(kernel.path, "kernel-2"))
        exercises.check(PRICE, 4)
        exercises.progress()
        assert record.lines_in(capsys.readouterr().out)[-1].startswith(
            f"vae1.{record.tag(PRICE)}2n"
        )

    def test_before_any_try_says_so_and_writes_nothing(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        exercises.check(PRICE, ...)
        exercises.progress()
        assert capsys.readouterr().out.endswith("No exercise was tried yet in this folder.\n")
        assert not list(tmp_path.iterdir())

    def test_where_nothing_can_be_written_still_gives_the_line(
        self, capsys, tmp_path, monkeypatch, kernel
    ):
        monkeypatch.chdir(tmp_path)
        kernel.path.parent.write_text("a file")
        exercises.check(PRICE, 3)
        said = capsys.readouterr().out
        assert said.startswith("The price of certainty ✗ 3 is too small.\n(")
        monkeypatch.setattr(exercises, "written_whole", _refuse)
        exercises.progress()
        said = capsys.readouterr().out
        assert "cannot be read, so earlier tries are missing" in said
        assert len(record.lines_in(said)) >= 1
        assert "cannot be written: No space left on device. Paste the line instead." in said


def _refuse(path):
    raise OSError(28, "No space left on device")
