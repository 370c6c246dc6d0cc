"""Exercises that check themselves: `check("4.1", answer)`, and `hint("4.1")` for the next hint.

Each notebook has a module here with its exercises; `vaelib.exercises.judging` compares answers.
"""

from collections.abc import Mapping

from vaelib.exercises import binarization, decoder, elbo, encoder, evaluation, training
from vaelib.exercises.judging import Exercise, mistake_of, untouched

EXERCISES: Mapping[str, Exercise] = {
    name: exercise
    for notebook in (binarization, encoder, decoder, elbo, training, evaluation)
    for name, exercise in notebook.EXERCISES.items()
}

__all__ = ["EXERCISES", "Exercise", "check", "hint"]

_asked: dict[str, int] = {}


def check(name: str, answer: object) -> None:
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


def hint(name: str) -> None:
    """Print the next hint for an exercise; after the last one they begin again."""
    hints = _find(name).hints
    at = _asked.get(name, 0) % len(hints)
    _asked[name] = at + 1
    print(f"{name}, hint {at + 1} of {len(hints)}: {hints[at]}")


def _find(name: str) -> Exercise:
    if name not in EXERCISES:
        raise ValueError(f"no exercise is called {name!r}; there is {', '.join(EXERCISES)}")
    return EXERCISES[name]
