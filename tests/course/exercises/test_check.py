import re

import matplotlib.pyplot as plt
import pytest
import torch

from vaelib import elbo
from vaelib.course import exercises
from vaelib.course.exercises import EXERCISES
from vaelib.course.exercises.judging import mistake_of
from vaelib.encoder import Gaussian


def test_what_is_not_attempted_is_told_kindly(capsys):
    exercises.check("4.3", ...)
    exercises.check("4.1", lambda mean, log_std: ...)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("4.3 · not attempted yet.")
    assert 'exercises.hint("4.1")' in second


def test_a_right_answer_is_confirmed_with_a_fact(capsys):
    exercises.check("4.3", 9.04)
    said = capsys.readouterr().out
    assert said.startswith("4.3 ✓ Right. ")
    assert EXERCISES["4.3"].fact in said


def test_a_wrong_answer_gets_a_hint_and_no_more(capsys):
    exercises.check("4.3", 10.78)
    said = capsys.readouterr().out
    assert said.startswith("4.3 ✗ That is what the blog post's formula gives.")
    assert "9.0" not in said


def test_hints_come_one_at_a_time_and_begin_again(capsys):
    hints = EXERCISES["4.1"].hints
    for _ in range(len(hints) + 1):
        exercises.hint("4.1")
    said = capsys.readouterr().out.splitlines()
    last = f"{hints[-1]} (That was the last one.)"
    assert [line.partition(": ")[2] for line in said] == [*hints[:-1], last, hints[0]]
    assert said[0].startswith(f"4.1, hint 1 of {len(hints)}")


@pytest.mark.parametrize("ask", [lambda: exercises.check("9.9", 1), lambda: exercises.hint("9.9")])
def test_an_unknown_name_is_an_error_that_lists_what_there_is(ask):
    with pytest.raises(ValueError, match=r"no exercise is called '9\.9'; there is .*4\.1, 4\.2"):
        ask()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (9.2, "is close, but too large. Was something rounded"),  # nearer to no mistake
        (10.75, "the blog post's formula"),  # its own 10.78, rounded on the way
        (8.0, "8 is too small."),
    ],
)
def test_a_rounded_number_is_known_as_what_it_was(answer, said):
    assert said in mistake_of(EXERCISES["4.3"], answer)


@pytest.mark.parametrize("answer", [1.5, 0.6, 2.6])
def test_a_small_mistake_is_not_seen_in_every_small_number(answer):
    assert mistake_of(EXERCISES["2.1"], answer) == f"{answer} is too small."


def test_an_answer_that_tosses_coins_of_its_own_is_told_so():
    answer = lambda mean, log_variance: torch.rand(len(mean))  # noqa: E731
    assert "Called twice, it gives two answers" in mistake_of(EXERCISES["4.1"], answer)


def test_an_answer_that_stops_the_second_time_is_told_so():
    calls = iter(range(len(EXERCISES["4.1"].probes)))
    answer = lambda mean, log_variance: mean[:, 0] + next(calls)  # noqa: E731
    assert "Called twice, it gives two answers" in mistake_of(EXERCISES["4.1"], answer)


def test_a_right_answer_that_stops_when_it_is_watched_is_right():
    exercise = EXERCISES["3.5"]
    calls = iter(range(len(exercise.probes)))
    answer = lambda images, logits: exercise.answer(images, logits) + 0 * next(calls)  # noqa: E731
    assert mistake_of(exercise, answer) == ""


def test_lists_of_tensors_are_numbers_too():
    right = EXERCISES["4.1"].answer
    assert mistake_of(EXERCISES["4.1"], lambda mean, spread: list(right(mean, spread))) == ""


def test_values_that_differ_late_are_shown_with_more_digits():
    right = EXERCISES["4.1"].answer
    found = mistake_of(EXERCISES["4.1"], lambda mean, spread: right(mean, spread) * 1.0002)
    said, expected = re.search(r"gives ([\d.]+), and ([\d.]+) is right", found).groups()
    assert said != expected


def test_a_number_is_a_name_as_well(capsys):
    exercises.hint(4.3)
    assert capsys.readouterr().out.startswith("4.3, hint 1 of 3")


def test_a_picture_is_drawn_where_there_is_one():
    plt.close("all")
    exercises.picture("4.4")
    (axes,) = plt.figure(plt.get_fignums()[0]).axes
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in named] == ["A", "B", "C", "D"]
    std = torch.as_tensor(named[0].get_xdata())
    right, mean = named["ABCD".index(EXERCISES["4.4"].answer[0])], torch.zeros(len(std), 1)
    expected = elbo.kl(Gaussian(mean, std.log()[:, None]))
    assert torch.allclose(torch.as_tensor(right.get_ydata()), expected, atol=1e-5)
    plt.close("all")
    with pytest.raises(ValueError, match=r"exercise 4\.1 has no picture"):
        exercises.picture("4.1")


def test_an_answer_cannot_change_the_probes():
    def meddling(mean, log_std):
        right = EXERCISES["4.1"].answer(mean, log_std)
        mean.zero_()
        log_std.zero_()
        return right

    before = [probe[0].clone() for probe in EXERCISES["4.1"].probes]
    assert mistake_of(EXERCISES["4.1"], meddling) == ""
    for probe, kept in zip(EXERCISES["4.1"].probes, before, strict=True):
        assert torch.equal(probe[0], kept)


class TestEveryExercise:
    def test_is_of_a_kind_and_takes_minutes(self):
        for name, exercise in EXERCISES.items():
            assert exercise.kind in ("warm-up", "core", "stretch"), name
            assert 1 <= exercise.minutes <= 20, name
            assert len(exercise.mistakes) >= 6, name
            assert 2 <= len(exercise.hints) <= 4, name
            assert callable(exercise.answer) == bool(exercise.probes), name
            assert isinstance(exercise.answer, int | float) == (exercise.within > 0), name
            assert isinstance(exercise.answer, str) == bool(exercise.picture), name

    def test_no_size_is_the_same_in_all_probes(self):
        """Else a constant instead of a size, or a mean instead of half a sum, would pass."""
        for name, exercise in EXERCISES.items():
            for given in zip(*exercise.probes, strict=True):
                shapes = [value.shape for value in given if isinstance(value, torch.Tensor)]
                for sizes in zip(*shapes, strict=True):
                    assert len(set(sizes)) > 1, (name, shapes)

    def test_names_count_up_within_a_notebook(self):
        numbers = [tuple(map(int, name.split("."))) for name in EXERCISES]
        assert numbers == sorted(numbers)
        for notebook in {first for first, _ in numbers}:
            own = [second for first, second in numbers if first == notebook]
            assert own == list(range(1, len(own) + 1))
            assert 3 <= len(own) <= 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda right, mean: 3 * right, "3 times the right one. Is something summed that"),
        (lambda right, mean: right / 3, "0.3333 times the right one. Is something averaged that"),
        (lambda right, mean: -2 * right, "-2 times the right one. Where does the minus"),
        (lambda right, mean: right / len(mean), "averaged that should be summed, or left out?"),
        (lambda right, mean: right * len(mean) / 2.5, "What depends on how many there are?"),
        (lambda right, mean: right + 0.5, "off by +0.5. Is a constant left out"),
        (lambda right, mean: 0 * right, "Where it is furthest off it gives 0,"),
        (lambda right, mean: right * 1.0005, "Where it is furthest off it gives"),
        (lambda right, mean: right * torch.nan, "Where it is furthest off it gives nan"),
    ],
)
def test_what_sets_all_values_off_is_named(change, words):
    right = EXERCISES["4.1"].answer
    answer = lambda mean, log_variance: change(right(mean, log_variance), mean)  # noqa: E731
    assert words in mistake_of(EXERCISES["4.1"], answer)


def test_a_probe_whose_values_are_alike_does_not_hide_a_pattern():
    probes = [(torch.tensor([1.0, 2.0]),), (torch.tensor([5.0, 5.0]),), (torch.tensor([3.0]),)]
    exercise = EXERCISES["4.1"]._replace(answer=lambda x: x, probes=probes, mistakes=[])
    said = mistake_of(exercise, lambda x: x * len(x))
    assert "every value is 2 times the right one for arguments of shapes (2,). Is some" in said


def test_a_dict_is_not_taken_for_letters():
    said = mistake_of(EXERCISES["4.4"], {"1": "D", "2": "A", "3": "B", "4": "C"})
    assert "this is a dict" in said
