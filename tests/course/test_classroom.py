"""`python -m vaelib class FOLDER`, as a teacher types it."""

import json

import pytest

from vaelib import __main__ as command_line
from vaelib.course import classroom
from vaelib.course.exercises import EXERCISES, record
from vaelib.course.exercises.record import Tried

PRICE, KL = "price-of-certainty", "kl-from-log-variance"
BLOG, SECOND = (EXERCISES[PRICE].table[at].hint for at in (1, 0))
OPEN, STUCK, SOLVED = Tried(2, False, (BLOG,)), Tried(3, False, (SECOND, BLOG)), Tried(4, True, ())


def hand_in(path, made):
    """Write a record as a student would hand it in, in the form that the file's name has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(record.to_json(made), encoding="utf-8")
    elif path.suffix == ".txt":
        path.write_text(f"mine:\n{record.to_line(made, EXERCISES)}\n", encoding="utf-8")
    else:
        said = [
            f"{EXERCISES[slug].title} {'✓ Right. So.' if one.solved else f'✗ {one.hints[-1]}'}\n"
            for slug, one in made.items()
        ]
        outputs = [{"output_type": "stream", "name": "stdout", "text": said}]
        cells = [{"cell_type": "code", "source": "", "outputs": outputs}]
        path.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")


def vaelib_class(folder, capsys):
    """The exit code, and what was printed as output and as errors."""
    code = command_line.main(["class", str(folder)])
    return code, *capsys.readouterr()


def row_of(name, text):
    """The cells of the first row of a table that begins with a name."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])[1:]


@pytest.fixture
def folder(tmp_path):
    """What five students hand in, in each of the ways."""
    hand_in(tmp_path / "anna.json", {PRICE: STUCK, KL: SOLVED})
    hand_in(tmp_path / "ben.txt", {PRICE: OPEN})
    hand_in(tmp_path / "chi.ipynb", {PRICE: STUCK, KL: SOLVED})
    hand_in(tmp_path / "dora 12" / "04.ipynb", {PRICE: OPEN})
    hand_in(tmp_path / "dora 12" / "later" / "progress.json", {PRICE: SOLVED})
    hand_in(tmp_path / "eli.json", {})
    return tmp_path


def test_each_student_has_a_row_with_each_exercise(folder, capsys):
    code, said, errors = vaelib_class(folder, capsys)
    assert (code, errors) == (0, "")
    assert said.startswith("5 students. ")
    rows = said.splitlines()[2:8]
    assert [row.split()[0] for row in rows] == ["student", "anna", "ben", "chi", "dora", "eli"]
    assert row_of("student", said) == ["4.1", "4.3", "solved", "tried"]
    assert row_of("anna", said) == ["ok", "4", "STUCK", "3", "1", "2"]
    assert row_of("ben", said) == ["-", "no", "2", "0", "1"]
    assert row_of("chi", said) == ["ok", "no", "1", "2"]
    assert row_of("dora", said) == ["12", "-", "ok", "4", "1", "1"]
    assert row_of("eli", said) == ["-", "-", "0", "0"]
    assert "which shows only the last try" in said


def test_who_is_stuck_and_the_most_common_hint_are_named(folder, capsys):
    hand_in(folder / "fay.json", {PRICE: Tried(5, False, (SECOND,))})
    _, said, _ = vaelib_class(folder, capsys)
    assert "Stuck\n  4.3 The price of certainty: anna (3 tries), fay (5 tries)\n\n" in said
    assert "4.3 The price of certainty          5       1      2\n" in said
    words = " ".join(said.split())
    assert f"4.3 The price of certainty: 4 students {BLOG}" in words
    assert SECOND not in words


def test_where_nobody_is_stuck_or_has_had_a_hint_no_such_part_is_shown(tmp_path, capsys):
    hand_in(tmp_path / "anna.json", {KL: SOLVED})
    _, said, _ = vaelib_class(tmp_path, capsys)
    assert "Stuck" not in said
    assert "most students" not in said
    assert "only the last try" not in said


def test_where_nothing_was_tried_yet_it_says_so(tmp_path, capsys):
    hand_in(tmp_path / "anna.json", {})
    assert vaelib_class(tmp_path, capsys) == (0, "1 student; no exercise was tried yet.\n", "")


def test_several_lines_in_one_file_are_several_students(tmp_path, capsys):
    lines = [record.to_line(made, EXERCISES) for made in ({KL: SOLVED}, {KL: OPEN}, {PRICE: OPEN})]
    chat = f"a: {lines[0]}\nb: {lines[1][:-9]}\nc: {lines[2]}"
    (tmp_path / "chat.txt").write_bytes(chat.encode("utf-16"))  # as Notepad may save it
    code, said, errors = vaelib_class(tmp_path, capsys)
    assert code == 0
    assert errors.startswith("SKIP  chat.txt, line 2: the line was cut")
    assert "2 students" in said
    assert row_of("chat", said)[0] == "1"
    assert "chat 3" in said
    assert "chat 2" not in said


def test_broken_files_are_named_with_the_reason_and_skipped(folder, capsys):
    (folder / "cut.json").write_text(record.to_json({KL: SOLVED})[:-20], encoding="utf-8")
    (folder / "cut.ipynb").write_text('{"cells": [', encoding="utf-8")
    (folder / "empty.txt").write_text("", encoding="utf-8")
    (folder / "no outputs.ipynb").write_text('{"cells": []}', encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".DS_Store").write_bytes(b"\0")
    hand_in(folder / "dora 12" / ".ipynb_checkpoints" / "04.ipynb", {KL: OPEN})
    (folder / "gone.json").symlink_to(folder / "nothing")
    code, said, errors = vaelib_class(folder, capsys)
    assert code == 0
    assert said.startswith("5 students")
    reasons = dict(line.removeprefix("SKIP  ").split(": ", 1) for line in errors.splitlines())
    assert {name: reason[:16] for name, reason in reasons.items()} == {
        "cut.json": "it is not JSON, ",
        "cut.ipynb": "it is not a note",
        "empty.txt": "it has no line t",
        "no outputs.ipynb": "no cell has the ",
        "picture.png": "its name does no",
        "gone.json": "No such file or ",
    }


def test_exercises_of_another_version_are_named_and_the_others_count(tmp_path, capsys):
    hand_in(tmp_path / "anna.json", {"of-the-future": SOLVED, KL: SOLVED})
    code, said, errors = vaelib_class(tmp_path, capsys)
    assert code == 0
    assert "anna.json: exercises that this version does not have: of-the-future" in errors
    assert row_of("anna", said) == ["ok", "4", "1", "1"]


@pytest.mark.parametrize("hindrance", ["no folder", "a file", "nothing in it", "all broken"])
def test_where_nothing_can_be_read_it_fails_with_the_reason(hindrance, tmp_path, capsys):
    folder = tmp_path / "class"
    if hindrance == "a file":
        folder.write_text("")
    elif hindrance != "no folder":
        folder.mkdir()
    if hindrance == "all broken":
        (folder / "anna.json").write_text("{")
    code, said, errors = vaelib_class(folder, capsys)
    assert (code, said) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith(f"FAIL  {folder} ")
    assert ("has no record" in last) == (hindrance in ("nothing in it", "all broken"))


def test_a_whole_course_is_several_tables(tmp_path, capsys):
    everything = {slug: Tried(1, True, ()) for slug in EXERCISES}
    for number in (10, 9):
        hand_in(tmp_path / f"student{number}.json", everything)
    _, said, _ = vaelib_class(tmp_path, capsys)
    names = [line.split()[0] for line in said.splitlines() if line.startswith("student")]
    tables = -(-len(EXERCISES) // classroom.ACROSS)
    assert names == ["student", "student9", "student10"] * tables
    heads = [row for row in said.splitlines() if row.startswith("student ")]
    assert [cell for head in heads for cell in head.split()[1:-2]] == [*classroom.NUMBERS.values()]
    assert max(map(len, heads)) <= 100


def test_names_cannot_steer_the_terminal(tmp_path, capsys):
    hand_in(tmp_path / "a\x1b[2Jb.json", {KL: Tried(1, False, ("a \x1b[31m hint",))})
    (tmp_path / "c\x1b.json").write_text("{")
    _, said, errors = vaelib_class(tmp_path, capsys)
    assert "a?[2Jb" in said
    assert "a ?[31m hint" in said
    assert "c?.json" in errors
    assert "\x1b" not in said + errors
