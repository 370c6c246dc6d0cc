"""What the tests of exercises have in common."""

from collections.abc import Sequence

from vaelib.course.exercises.judging import Exercise, mistake_of


def accepted(exercise: Exercise, right: Sequence[object]) -> None:
    """At least two answers, each right; the exercise's own answer is as well."""
    assert len(right) >= 2
    for answer in (exercise.answer, *right):
        assert mistake_of(exercise, answer) == "", answer


def rejected(exercise: Exercise, wrong: Sequence[tuple[object, str]]) -> None:
    """At least six wrong answers, each with a hint of its own that holds these words."""
    said = []
    for answer, words in wrong:
        said.append(mistake_of(exercise, answer))
        assert words in said[-1], (words, said[-1])
    known = {mistake.hint for mistake in exercise.mistakes}
    assert len(known & set(said)) >= 6
    assert len(known) == len(exercise.mistakes), "two mistakes with one hint"
    for mistake in exercise.mistakes:
        assert mistake_of(exercise, mistake.answer) == mistake.hint
