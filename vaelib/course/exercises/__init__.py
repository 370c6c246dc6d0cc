"""Exercises that check themselves: `check("4.1", answer)`, and `hint("4.1")` for the next hint.

Each notebook has a module here with its exercises; `judging` compares answers.
"""

from collections.abc import Mapping

from vaelib.course.exercises import binarization, decoder, elbo, encoder, evaluation, training
from vaelib.course.exercises.judging import Exercise, mistake_of, untouched

EXERCISES: Mapping[str, Exercise] = {
    name: exercise
    for notebook in (binarization, encoder, decoder, elbo, training, evaluation)
    for name, exercise in notebook.EXERCISES.items()
}

__all__ = ["EXERCISES", "Exercise", "check", "hint", "picture"]

_asked: dict[str, int] = {}


def check(name: str | float, answer: object) -> None:
    """Say whether `answer` is right, and if not, what its mistake hints at.

    Raises ValueError if no exercise has this name.
    """
    exercise = _find(name)
    if answer is ... or untouched(exercise, answer):
        print(
            f"{name} · not attempted yet. Put your answer where ... stands, and run the cell "
            f'again. Stuck? exercises.hint("{name}")'
        )
        return
    found = mistake_of(exercise, answer)
    print(f"{name} ✗ {found}" if found else f"{name} ✓ Right. {exercise.fact}")


def hint(name: str | float) -> None:
    """Print the next hint for an exercise; after the last one they begin again."""
    hints, name = _find(name).hints, str(name)
    at = _asked.get(name, 0) % len(hints)
    _asked[name] = at + 1
    last = " (That was the last one.)" if at + 1 == len(hints) else ""
    print(f"{name}, hint {at + 1} of {len(hints)}: {hints[at]}{last}")


def picture(name: str | float) -> None:
    """Draw the picture that an exercise asks to explain.

    Raises ValueError if no exercise has this name, or if it has no picture.
    """
    draw = _find(name).picture
    if draw is None:
        raise ValueError(f"exercise {name} has no picture; its text is in its notebook")
    draw()


def _find(name: str | float) -> Exercise:
    name = str(name)  # 4.1 is as clear as "4.1"
    if name not in EXERCISES:
        raise ValueError(f"no exercise is called {name!r}; there is {', '.join(EXERCISES)}")
    return EXERCISES[name]
