"""What someone tried and solved, as text that can be handed in: a JSON file, or one line to paste.

Neither has a name in it, nor anything that a student wrote.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vaelib.course.exercises.exercise import Exercise
from vaelib.course.exercises.log import Try

RIGHT, WRONG, OPEN = "✓ Right.", "✗", "· not attempted yet."  # what a check says after the title
FORMAT = "vaelib progress 1"
BEGIN, END = "vae1", "end"  # of the line to paste
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MOST_TRIES = 99  # in the line to paste

# Hints that quote the answer, and what is kept of them.
QUOTING = (
    (r"(Your function stops with \w+): .*", r"\1."),
    (r"A number is asked for; .* is not one\.", "A number is asked for."),
    (r"-?\d\S* is (too|close)", r"The number is \1"),
    (r"(The shape is right, the values are not\.) Where .*", r"\1"),
)


class RecordError(ValueError):
    """A text is no record, or it is not whole; the message says what it is."""


class Tried(NamedTuple):
    """How one exercise went.

    `tries` is None if it is not known, as in a notebook, which has only the last one. `hints` has
    each hint once, and last the one that was shown last.
    """

    tries: int | None
    solved: bool
    hints: tuple[str, ...]


Record = Mapping[str, Tried]  # by the exercise's slug


def gather(tries: Iterable[Try]) -> Record:
    """The record of some tries in their order; those after a right answer do not count."""
    record: dict[str, Tried] = {}
    for slug, hint, *_ in tries:
        count, solved, hints = record.get(slug, Tried(0, False, ()))
        if not solved:
            shown = _last(hints, (hint,)) if hint else hints
            record[slug] = Tried(count + 1, not hint, shown)
    return record


def merge(one: Record, other: Record) -> Record:
    """Two records of one person, of which `other` is the later; tries are not counted twice."""
    both = dict(one)
    for slug, new in other.items():
        old = both.get(slug, new)
        known = [count for count in (old.tries, new.tries) if count is not None]
        both[slug] = Tried(
            max(known, default=None), old.solved or new.solved, _last(old.hints, new.hints)
        )
    return both


def without_quotes(record: Record) -> Record:
    """The record with hints that no longer quote a number, an error or a value of the answer."""
    return {
        slug: made._replace(hints=_last((), tuple(map(_without_quote, made.hints))))
        for slug, made in record.items()
    }


def to_json(record: Record) -> str:
    """The record as the text of a JSON file."""
    exercises = {
        slug: {"tries": made.tries, "solved": made.solved, "hints": made.hints}
        for slug, made in without_quotes(record).items()
    }
    content = {"format": FORMAT, "exercises": exercises}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str | bytes) -> Record:
    """The record in the text of a JSON file. Raises `RecordError` if there is none."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise RecordError("it is not JSON, or it was cut") from error
    if not (isinstance(content, dict) and content.get("format") == FORMAT):
        raise RecordError(f'it does not have "format": "{FORMAT}", as exercises.progress() writes')
    exercises = content.get("exercises")
    if not isinstance(exercises, dict):
        raise RecordError('it has no "exercises"')
    return {slug: _checked(slug, made) for slug, made in exercises.items()}


def to_line(record: Record, exercises: Mapping[str, Exercise]) -> str:
    """The record as one line of small letters, digits and dots, which ends in a checksum.

    Of the hints it keeps the last one, if that is the hint for a known mistake.
    """
    parts = [BEGIN]
    for slug, made in record.items():
        count, state = min(made.tries or 1, MOST_TRIES), "s" if made.solved else "n"
        last = made.hints[-1] if made.hints else ""
        known = slug in exercises and any(last == hint for _, hint in exercises[slug].table)
        parts.append(f"{tag(slug)}{count}{state}{tag(last) if known else ''}")
    body = ".".join(parts)
    return f"{body}.{tag(body)}.{END}"


def from_line(text: str, exercises: Mapping[str, Exercise]) -> Record:
    """The record in one pasted line, even if it was broken, quoted or capitalized when it was sent.

    An exercise that is not among `exercises` is called by its tag. Raises `RecordError` if the
    line is not whole.
    """
    parts = re.sub(r"[\s>]", "", text).lower().split(".")
    if len(parts) < 3 or parts[0] != BEGIN or parts[-1] != END:
        raise RecordError(f'the line was cut: it begins with "{BEGIN}." and ends with ".{END}"')
    *body, checksum = parts[:-1]
    if tag(".".join(body)) != checksum:
        raise RecordError("the line was changed after it was copied: its checksum is wrong")
    slugs = {tag(slug): slug for slug in exercises}
    record = {}
    for part in body[1:]:
        found = re.fullmatch(r"(\w{4})(\d+)([sn])(\w{4})?", part, re.ASCII)
        if not found:
            raise RecordError(
                f'the line has a part "{part}" that exercises.progress() never writes'
            )
        slug = slugs.get(found[1], found[1])
        table = exercises[slug].table if slug in exercises else ()
        hints = tuple(hint for _, hint in table if found[4] and tag(hint) == found[4])
        record[slug] = Tried(int(found[2]), found[3] == "s", hints)
    return record


def lines_in(text: str) -> list[str]:
    """The lines to paste in a text, whole or cut, each from its beginning to the next one's."""
    begin = rf"\b{BEGIN}\."
    found = re.findall(rf"{begin}(?:(?!{begin}).)*", text, re.IGNORECASE | re.DOTALL)
    return [
        re.split(rf"(?<=\.{END})\b", line, maxsplit=1, flags=re.IGNORECASE)[0] for line in found
    ]


def from_notebook(text: str | bytes, exercises: Mapping[str, Exercise]) -> Record:
    """The record in the outputs of a notebook's check cells, which have the last try only.

    Raises `RecordError` if it is no notebook, or has no such output.
    """
    try:
        cells = json.loads(text)["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        printed = "\n".join("".join(output.get("text", "")) for output in outputs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError("it is not a notebook, or it was cut") from error
    titles = {exercise.title: slug for slug, exercise in exercises.items()}
    title, state = ("|".join(map(re.escape, some)) for some in (titles, (RIGHT, WRONG, OPEN)))
    found = re.findall(f"^({title}) ({state})(.*)", printed, re.MULTILINE)
    if not found:
        raise RecordError("no cell has the output of exercises.check: run the notebook and save it")
    record: Record = {}
    for title, state, hint in found:
        if state != OPEN:
            hints = (hint.strip(),) if state == WRONG else ()
            record = merge(record, {titles[title]: Tried(None, state == RIGHT, hints)})
    return without_quotes(record)


def tag(text: str) -> str:
    """Four small letters and digits that stand for a text."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return "".join(DIGITS[number // 36**place % 36] for place in range(4))


def _last(hints: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """All hints once, the new ones last, in the order in which each was last shown."""
    return tuple(reversed(dict.fromkeys(reversed((*hints, *new)))))


def _without_quote(hint: str) -> str:
    for pattern, kept in QUOTING:
        hint = re.sub(f"^{pattern}", kept, hint, count=1, flags=re.DOTALL)
    return hint


def _checked(slug: str, made: object) -> Tried:
    made = made if isinstance(made, dict) else {}
    tries, solved, hints = (made.get(key) for key in ("tries", "solved", "hints"))
    known = tries is None or (type(tries) is int and tries > 0)
    texts = isinstance(hints, list) and all(isinstance(hint, str) for hint in hints)
    if known and texts and isinstance(solved, bool):
        return Tried(tries, solved, tuple(hints))
    raise RecordError(f'"tries", "solved" or "hints" of "{slug}" is missing or has the wrong type')
