"""Exercises that check themselves: `check("kl-from-log-variance", answer)`, and `hint(…)`.

Each notebook has a module here with its exercises, in the notebook's order. `exercise` says what
an exercise consists of, `judging` compares answers.
"""

import difflib
from collections.abc import Mapping

from vaelib.course.exercises import (
    binarization,
    compression,
    decoder,
    elbo,
    encoder,
    evaluation,
    hierarchy,
    latent,
    objectives,
    training,
)
from vaelib.course.exercises.exercise import Exercise
from vaelib.course.exercises.judging import mistake_of, untouched

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

__all__ = ["EXERCISES", "TOPICS", "Exercise", "check", "hint", "picture"]

_asked: dict[str, int] = {}


def check(slug: str, answer: object) -> None:
    """Say whether `answer` is right, and if not, give the hint that fits it.

    Raises ValueError if there is no such exercise.
    """
    exercise = _find(slug)
    if answer is ... or untouched(exercise, answer):
        print(
            f"{exercise.title} · not attempted yet. Replace ... with your answer and run the "
            f'cell again. Stuck? exercises.hint("{slug}")'
        )
        return
    found = mistake_of(exercise, answer)
    print(f"{exercise.title} {f'✗ {found}' if found else f'✓ Right. {exercise.told}'}")


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


def _find(slug: str) -> Exercise:
    if slug in EXERCISES:
        return EXERCISES[slug]
    near = difflib.get_close_matches(str(slug), EXERCISES, cutoff=0.4) or EXERCISES
    names = ", ".join(f'"{name}"' for name in near)
    raise ValueError(f"there is no exercise {slug!r}; did you mean one of these? {names}")
