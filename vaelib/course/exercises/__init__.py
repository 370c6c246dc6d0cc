"""Exercises that check themselves: `check("kl-from-log-variance", answer)`, and `hint(…)`.

Each notebook has a module here with its exercises, in the notebook's order. `exercise` says what
an exercise consists of, `judging` compares answers. `progress()` shows what was tried and solved:
`log` keeps the tries, and `record` turns them into what can be handed in.
"""

import difflib
import uuid
from collections.abc import Mapping

from vaelib.course import output, tables
from vaelib.course.exercises import (
    binarization,
    compression,
    decoder,
    elbo,
    encoder,
    evaluation,
    hierarchy,
    latent,
    log,
    objectives,
    record,
    training,
)
from vaelib.course.exercises.exercise import Exercise
from vaelib.course.exercises.judging import mistake_of, untouched
from vaelib.course.exercises.record import OPEN, RIGHT, WRONG
from vaelib.data.files import written_whole

TOPICS = (  # in the notebooks' order
    binarization,
    encoder,
    decoder,
    elbo,
    training,
    evaluation,
    latent,
    compression,
    hierarchy,
    objectives,
)
EXERCISES: Mapping[str, Exercise] = {
    exercise.slug: exercise for topic in TOPICS for exercise in topic.EXERCISES
}

__all__ = ["EXERCISES", "TOPICS", "Exercise", "check", "hint", "picture", "progress"]

_asked: dict[str, int] = {}
_log = log.Log(log.FILE, kernel=uuid.uuid4().hex[:8])


def check(slug: str, answer: object) -> None:
    """Say whether `answer` is right, and if not, give the hint that fits it.

    Raises ValueError if there is no such exercise.
    """
    exercise = _find(slug)
    if answer is ... or untouched(exercise, answer):
        print(
            f"{exercise.title} {OPEN} Replace ... with your answer and run the cell again. "
            f'Stuck? exercises.hint("{slug}")'
        )
        return
    found = mistake_of(exercise, answer)
    print(exercise.title, f"{WRONG} {found}" if found else f"{RIGHT} {exercise.told}")
    _log.note(slug, found)


def hint(slug: str) -> None:
    """Print the next hint for an exercise; after the last one, start again."""
    exercise = _find(slug)
    hints = exercise.hint_list
    at = _asked.get(slug, 0) % len(hints)
    _asked[slug] = at + 1
    last = " (That was the last one.)" if at + 1 == len(hints) else ""
    print(f"{exercise.title}, hint {at + 1} of {len(hints)}: {hints[at]}{last}")


def picture(slug: str) -> None:
    """Draw the picture that an exercise asks about.

    Raises ValueError if there is no such exercise, or if it has no picture.
    """
    draw = _find(slug).picture
    if draw is None:
        raise ValueError(f'the exercise "{slug}" has no picture; its question is in the notebook')
    draw()


def progress() -> None:
    """Show what was tried and solved, and give it as a line to paste and as a file to hand in.

    It has the tries of this kernel, and those of earlier ones that ran in the same folder.
    """
    try:
        tries = _log.everything()
    except OSError as error:
        print(f"{_log.path} cannot be read, so earlier tries are missing: {log.why(error)}")
        tries = _log.tries
    made = {slug: one for slug, one in record.gather(tries).items() if slug in EXERCISES}
    if not made:
        print("No exercise was tried yet in this folder.")
        return
    print(_overview(made))
    print(f"\nTo paste, from {record.BEGIN} to .{record.END}: {record.to_line(made, EXERCISES)}")
    path = output.folder("output") / "progress.json"
    try:
        with written_whole(path) as partial:
            partial.write_text(record.to_json(made), encoding="utf-8")
    except OSError as error:
        print(f"{path} cannot be written: {log.why(error)}. Paste the line instead.")
    else:
        print(f"To hand in: {path.absolute()}")


def _overview(made: record.Record) -> str:
    """A table of the exercises of each notebook that was begun, and the last hints."""
    rows, hints = [], []
    for number, topic in enumerate(TOPICS, 1):
        if not any(exercise.slug in made for exercise in topic.EXERCISES):
            continue
        for exercise in topic.EXERCISES:
            one = made.get(exercise.slug)
            state = "not tried" if one is None else "solved" if one.solved else "not solved yet"
            rows.append((f"{number} · {exercise.title}", one.tries if one else None, state))
            if one and not one.solved:
                hints.append(f"{exercise.title}, last hint: {one.hints[-1]}")
    solved = sum(one.solved for one in made.values())
    count = f"{solved} of {len(made)} exercises that you tried are solved."
    return "\n".join([str(tables.table(["exercise", "tries", "state"], rows)), "", count, *hints])


def _find(slug: str) -> Exercise:
    if slug in EXERCISES:
        return EXERCISES[slug]
    near = difflib.get_close_matches(str(slug), EXERCISES, cutoff=0.4) or EXERCISES
    names = ", ".join(f'"{name}"' for name in near)
    raise ValueError(f"there is no exercise {slug!r}; did you mean one of these? {names}")
