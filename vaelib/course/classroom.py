"""What the students of a class tried and solved: `python -m vaelib class FOLDER`."""

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vaelib.course.exercises import EXERCISES, TOPICS
from vaelib.course.exercises import record as records
from vaelib.course.exercises.log import why
from vaelib.course.exercises.record import Record, RecordError, Tried
from vaelib.course.tables import table

CODES = "Exit codes: 0 done, 1 nothing in the folder can be read, 2 wrong usage."
STUCK = 3  # tries without success
ACROSS = 12  # exercises side by side in one table
WIDTH = 96  # of a hint's lines
KINDS = (".json", ".txt", ".ipynb")
NUMBERS = {  # by slug: notebook and place in it
    exercise.slug: f"{notebook}.{place}"
    for notebook, topic in enumerate(TOPICS, 1)
    for place, exercise in enumerate(topic.EXERCISES, 1)
}

Class = Mapping[str, Record]  # by the student's name, which is a file's or a folder's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the arguments; what it parses then has a function `run`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"""\
FOLDER has one file for each student, or one folder for each student who hands in several files:
  .json   the file that exercises.progress() writes
  .txt    the line that exercises.progress() prints; if it has several lines, each is one student
  .ipynb  a notebook that was saved with its outputs; they show only the last try
The name of the file or folder is the student's name.

{CODES}"""
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.set_defaults(run=lambda given: run(given.folder))


def run(folder: Path) -> int:
    """Print the report on a folder; the exit code."""
    folder = folder.expanduser()
    try:
        students, skipped = read(folder)
    except OSError as error:
        print(f"FAIL  {folder} cannot be read as a folder: {why(error)}", file=sys.stderr)
        return 1
    for line in skipped:
        print(f"SKIP  {line}", file=sys.stderr)
    if not students:
        print(
            f"FAIL  {folder} has no record that can be read. It should have one file for each "
            f"student ({', '.join(KINDS)}). See --help",
            file=sys.stderr,
        )
        return 1
    print(report(students))
    return 0


def read(folder: Path) -> tuple[Class, list[str]]:
    """Each student's record, and what was left out and why.

    Hidden files are ignored. Raises OSError if the folder cannot be read.
    """
    students: dict[str, Record] = {}
    skipped = []
    for path in sorted(folder.iterdir(), key=lambda path: _by_number(path.name)):
        for file in _files(path):
            shown = _printable(file.relative_to(folder).as_posix())
            try:
                found = of_file(file)
            except OSError as error:
                skipped.append(f"{shown}: {why(error)}")
                continue
            except RecordError as error:
                skipped.append(f"{shown}: {_printable(str(error))}")
                continue
            for number, (made, wrong) in enumerate(found, 1):
                several = f" {number}" if len(found) > 1 else ""
                if wrong:
                    skipped.append(f"{shown}{several and f', line{several}'}: {wrong}")
                    continue
                name = _printable(path.name if path.is_dir() else path.stem)
                name += "" if path.is_dir() else several
                unknown = sorted(made.keys() - EXERCISES.keys())
                if unknown:
                    names = _printable(", ".join(unknown))
                    skipped.append(f"{shown}: exercises that this version does not have: {names}")
                kept = {slug: one for slug, one in made.items() if slug in EXERCISES}
                students[name] = records.merge(students.get(name, {}), kept)
    return students, skipped


def of_file(file: Path) -> list[tuple[Record, str]]:
    """The records in a file, each with what is wrong with it, "" if it is whole.

    Raises OSError or `RecordError` if there is none.
    """
    kind = file.suffix.lower()
    if kind not in KINDS:
        raise RecordError(f"its name does not end in {', '.join(KINDS)}, so it was not read")
    content = file.read_bytes()
    if kind == ".json":
        return [(records.from_json(content), "")]
    if kind == ".ipynb":
        return [(records.from_notebook(content, EXERCISES), "")]
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")  # as some editors on Windows save
    lines = records.lines_in(content.decode("utf-16" if wide else "utf-8", errors="replace"))
    if not lines:
        raise RecordError(
            f'it has no line that begins with "{records.BEGIN}.": '
            "copy the line that exercises.progress() prints"
        )
    return [_of_line(line) for line in lines]


def report(students: Class) -> str:
    """Who solved what, who is stuck where, and each exercise's most common mistake, in words."""
    tried = [slug for slug in NUMBERS if any(slug in made for made in students.values())]
    count = f"{len(students)} student{'s' * (len(students) > 1)}"
    if not tried:
        return f"{count}; no exercise was tried yet."
    parts = [f"{count}. The exercises that at least one of them tried:"]
    for begin in range(0, len(tried), ACROSS):
        parts.append(by_student(students, tried[begin : begin + ACROSS]))
    parts.append(
        "ok 2: solved on the second try. no 2: tried twice, not solved. "
        f"STUCK: {STUCK} tries or more, not solved."
    )
    if any(one.tries is None for made in students.values() for one in made.values()):
        parts[-1] += "\nNo number: the record is from a notebook, which shows only the last try."
    parts += [*stuck(students, tried), by_exercise(students, tried), *mistakes(students, tried)]
    return "\n\n".join(parts)


def by_student(students: Class, slugs: Sequence[str]) -> str:
    """A table with a row for each student and a column for each of some exercises."""
    rows = [
        [name, *(_cell(made.get(slug)) for slug in slugs), _solved(made), len(made)]
        for name, made in students.items()
    ]
    return str(table(["student", *(NUMBERS[slug] for slug in slugs), "solved", "tried"], rows))


def stuck(students: Class, slugs: Sequence[str]) -> Iterator[str]:
    """For each exercise where someone is stuck, who; nothing if nobody is."""
    lines = []
    for slug in slugs:
        names = [
            f"{name} ({made[slug].tries} tries)"
            for name, made in students.items()
            if slug in made and is_stuck(made[slug])
        ]
        if names:
            lines.append(f"  {_titled(slug)}: {', '.join(names)}")
    if lines:
        yield "\n".join(["Stuck", *lines])


def by_exercise(students: Class, slugs: Sequence[str]) -> str:
    """A table with a row for each exercise: how many solved it, tried it, and are stuck."""
    rows = []
    for slug in slugs:
        made = [record[slug] for record in students.values() if slug in record]
        rows.append(
            [_titled(slug), len(made), sum(x.solved for x in made), sum(map(is_stuck, made))]
        )
    return str(table(["exercise", "tried", "solved", "stuck"], rows))


def mistakes(students: Class, slugs: Sequence[str]) -> Iterator[str]:
    """The hint that most students got, for each exercise where anyone got one."""
    lines = []
    for slug in slugs:
        found = commonest(made[slug] for made in students.values() if slug in made)
        if found:
            hint, count = found
            lines.append(f"  {_titled(slug)}: {count} student{'s' * (count > 1)}")
            wrapped = textwrap.wrap(_printable(hint), WIDTH, break_on_hyphens=False)
            lines += [f"      {line}" for line in wrapped]
    if lines:
        yield "\n".join(["The hint that most students got, for each exercise", *lines])


def commonest(made: Iterator[Tried]) -> tuple[str, int] | None:
    """The hint that most students got, and how many; None if there was no hint."""
    counts = Counter(hint for one in made for hint in one.hints)
    return max(counts.items(), key=lambda item: item[1], default=None)


def is_stuck(made: Tried) -> bool:
    return not made.solved and (made.tries or 0) >= STUCK


def _of_line(line: str) -> tuple[Record, str]:
    try:
        return records.from_line(line, EXERCISES), ""
    except RecordError as error:
        return {}, _printable(str(error))


def _files(path: Path) -> list[Path]:
    """The file itself, or all in a folder, but nothing hidden and no archive's leftovers."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [
        file
        for file in found
        if not file.is_dir()
        and not any(
            part.startswith((".", "__MACOSX")) for part in file.relative_to(path.parent).parts
        )
    ]


def _cell(made: Tried | None) -> str:
    if made is None:
        return "-"
    state = "ok" if made.solved else "STUCK" if is_stuck(made) else "no"
    return state if made.tries is None else f"{state} {made.tries}"


def _solved(made: Record) -> int:
    return sum(one.solved for one in made.values())


def _titled(slug: str) -> str:
    return f"{NUMBERS[slug]} {EXERCISES[slug].title}"


def _printable(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _by_number(name: str) -> list[str]:
    """A key by which 2 comes before 10, and a before B."""
    parts = re.split(r"(\d+)", name.casefold())
    return [part.zfill(9) if part.isdigit() else part for part in parts]
