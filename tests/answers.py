"""What the tests of exercises have in common."""

from collections.abc import Mapping, Sequence
from types import ModuleType

from vaelib.course.exercises import EXERCISES
from vaelib.course.exercises.judging import mistake_of


def accepted(topic: ModuleType, right: Mapping[str, Sequence[object]]) -> None:
    """Each exercise of a topic has two answers or more, in different styles, and each is right."""
    assert set(right) == {exercise.slug for exercise in topic.EXERCISES}
    for slug, answers in right.items():
        assert len(answers) >= 2, slug
        for answer in answers:
            assert mistake_of(EXERCISES[slug], answer) == "", (slug, answer)


def rejected(wrong: Mapping[str, Sequence[tuple[object, str]]]) -> None:
    """Wrong answers, written in another way than in the table, get the hints with these words."""
    for slug, answers in wrong.items():
        for answer, words in answers:
            said = mistake_of(EXERCISES[slug], answer)
            assert words in said, (slug, words, said)
