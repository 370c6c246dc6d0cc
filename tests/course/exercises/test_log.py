import errno
import json
from pathlib import Path

import pytest

from vaelib.course.exercises import log
from vaelib.course.exercises.log import Log, Try


@pytest.fixture
def path(tmp_path):
    return tmp_path / "output" / "tries.jsonl"


def full(path, tries):
    """An `append` to a full disk, on which half of the text still fits."""
    path.parent.mkdir(exist_ok=True)
    text = "".join(f"\n{json.dumps(made._asdict())}\n" for made in tries)
    with path.open("a") as file:
        file.write(text[: len(text) // 2])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_tries_are_seen_by_the_next_kernel_in_their_order(path):
    Log(path, "a").note("one", "Too large.")
    second = Log(path, "b")
    second.note("two", "σ, not σ².")
    second.note("one", "")
    expected = [Try("one", "Too large.", "a", 0), Try("two", "σ, not σ².", "b", 0)]
    expected.append(Try("one", "", "b", 1))
    assert second.everything() == Log(path, "c").everything() == expected


def test_two_kernels_at_once_lose_nothing(path):
    some, other = Log(path, "a"), Log(path, "b")
    for number in range(3):
        some.note("one", f"hint {number}")
        other.note("one", f"hint {number}")
    assert len(log.read(path)) == len(some.everything()) == 6
    assert {made.kernel for made in other.everything()} == {"a", "b"}


def test_what_comes_after_a_right_answer_is_not_kept(path):
    made = Log(path, "a")
    for hint in ("Too large.", "", "", "Too small."):
        made.note("one", hint)
    assert [one.hint for one in made.everything()] == ["Too large.", ""]


def test_a_full_disk_is_told_once_and_nothing_is_lost_when_there_is_room_again(
    path, monkeypatch, capsys
):
    made = Log(path, "a")
    made.note("one", "first")
    with monkeypatch.context() as patched:
        patched.setattr(log, "append", full)
        made.note("one", "second")
        made.note("one", "third")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "cannot be written, so a restart loses your tries: No space left on device" in said
    assert [one.hint for one in made.everything()] == ["first", "second", "third"]
    assert "third" not in path.read_text()
    made.note("one", "fourth")
    later = Log(path, "b").everything()
    assert [one.hint for one in later] == ["first", "second", "third", "fourth"]
    assert not capsys.readouterr().out


def test_a_write_that_stops_half_way_is_a_full_disk(path, monkeypatch):
    class Short:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, content):
            return len(content) // 2

    monkeypatch.setattr(Path, "open", lambda *_, **__: Short())
    with pytest.raises(OSError, match="No space left"):
        log.append(path, [Try("one", "", "a", 0)])


def test_an_interrupt_after_writing_does_not_count_a_try_twice(path, monkeypatch):
    made, append = Log(path, "a"), log.append

    def interrupted(*arguments):
        append(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.note("one", "first")
    made.note("one", "second")
    assert [one.hint for one in Log(path, "b").everything()] == ["first", "second"]


@pytest.mark.parametrize(
    "line",
    [
        '{"exercise": "o',
        "7",
        "[]",
        "null",
        '"é',
        '{"exercise": "one"}',
        '{"other": 1}',
        '{"exercise": 1, "hint": "", "kernel": "a", "number": 0}',
    ],
)
def test_lines_that_are_not_whole_are_skipped(path, line):
    Log(path, "a").note("one", "first")
    with path.open("ab") as file:
        file.write(line.encode("latin-1"))
    Log(path, "b").note("one", "second")
    assert [made.hint for made in log.read(path)] == ["first", "second"]


def test_where_no_folder_can_be_made_the_tries_stay_in_memory(path, capsys):
    path.parent.write_text("a file")
    made = Log(path, "a")
    made.note("one", "first")
    assert "cannot be written, so a restart loses your tries" in capsys.readouterr().out
    with pytest.raises(OSError):
        made.everything()
    assert [one.hint for one in made.tries] == ["first"]
    assert path.parent.read_text() == "a file"
