import dataclasses
import math
import re

import matplotlib.pyplot as plt
import pytest
import torch

from vaelib import elbo
from vaelib.course import exercises
from vaelib.course.exercises import EXERCISES, TOPICS
from vaelib.course.exercises.judging import mistake_of
from vaelib.encoder import Gaussian

KL, PRICE = EXERCISES["kl-from-log-variance"], EXERCISES["price-of-certainty"]
CURVES, LOSS = EXERCISES["four-curves"], EXERCISES["two-bugs-in-one-line"]


def test_what_is_not_attempted_is_told_kindly(capsys):
    exercises.check("price-of-certainty", ...)
    exercises.check("kl-from-log-variance", lambda mean, log_std: ...)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("The price of certainty · not attempted yet.")
    assert 'exercises.hint("kl-from-log-variance")' in second


def test_a_right_answer_is_confirmed_with_a_fact(capsys):
    exercises.check("price-of-certainty", 9.04)
    said = capsys.readouterr().out
    assert said.startswith("The price of certainty ✓ Right. A latent that is ten times")
    assert PRICE.told in said


def test_a_wrong_answer_gets_a_hint_and_no_more(capsys):
    exercises.check("price-of-certainty", 10.78)
    said = capsys.readouterr().out
    assert said.startswith("The price of certainty ✗ That is what the blog post's formula gives.")
    assert "9.0" not in said


def test_hints_come_one_at_a_time_and_begin_again(capsys):
    hints = KL.hint_list
    for _ in range(len(hints) + 1):
        exercises.hint("kl-from-log-variance")
    said = capsys.readouterr().out.splitlines()
    last = f"{hints[-1]} (That was the last one.)"
    assert [line.partition(": ")[2] for line in said] == [*hints[:-1], last, hints[0]]
    assert said[0].startswith(f"{KL.title}, hint 1 of {len(hints)}")


@pytest.mark.parametrize(
    "ask", [lambda slug: exercises.check(slug, 1), exercises.hint, exercises.picture]
)
def test_an_unknown_slug_is_an_error_with_the_near_matches(ask):
    with pytest.raises(
        ValueError, match=r"no exercise 'price-of-certainly'; did .* \"price-of-cer"
    ):
        ask("price-of-certainly")
    with pytest.raises(ValueError, match=r"no exercise '4\.1'; did .*\"kl-from-log-variance\""):
        ask("4.1")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (9.2, "is close, but too large. Was something rounded"),  # nearer to no mistake
        (10.75, "the blog post's formula"),  # its own 10.78, rounded on the way
        (8.0, "8 is too small."),
    ],
)
def test_a_rounded_number_is_known_as_what_it_was(answer, said):
    assert said in mistake_of(PRICE, answer)


@pytest.mark.parametrize("answer", [1.5, 0.6, 2.6])
def test_a_small_mistake_is_not_seen_in_every_small_number(answer):
    assert mistake_of(EXERCISES["misread-head"], answer) == f"{answer} is too small."


def test_an_answer_that_tosses_coins_of_its_own_is_told_so():
    answer = lambda mean, log_variance: torch.rand(len(mean))  # noqa: E731
    assert "Called twice, it gives two different answers" in mistake_of(KL, answer)


def test_an_answer_that_stops_the_second_time_is_told_so():
    calls = iter(range(len(KL.probes)))
    answer = lambda mean, log_variance: mean[:, 0] + next(calls)  # noqa: E731
    assert "Called twice, it gives two different answers" in mistake_of(KL, answer)


def test_lists_of_tensors_are_numbers_too():
    right = KL.answer
    assert mistake_of(KL, lambda mean, spread: list(right(mean, spread))) == ""


def test_values_that_differ_late_are_shown_with_more_digits():
    right = KL.answer
    found = mistake_of(KL, lambda mean, spread: right(mean, spread) * 1.0002)
    said, expected = re.search(r"gives ([\d.]+), and ([\d.]+) is right", found).groups()
    assert said != expected


def test_a_picture_is_drawn_where_there_is_one():
    plt.close("all")
    exercises.picture("four-curves")
    (axes,) = plt.figure(plt.get_fignums()[0]).axes
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in named] == ["A", "B", "C", "D"]
    std = torch.as_tensor(named[0].get_xdata())
    right, mean = named["ABCD".index(CURVES.answer[0])], torch.zeros(len(std), 1)
    expected = elbo.kl(Gaussian(mean, std.log()[:, None]))
    assert torch.allclose(torch.as_tensor(right.get_ydata()), expected, atol=1e-5)
    plt.close("all")
    with pytest.raises(ValueError, match="has no picture"):
        exercises.picture(KL.slug)


def test_an_answer_cannot_change_the_probes():
    def meddling(mean, log_std):
        right = KL.answer(mean, log_std)
        mean.zero_()
        log_std.zero_()
        return right

    before = [probe[0].clone() for probe in KL.probes]
    assert mistake_of(KL, meddling) == ""
    for probe, kept in zip(KL.probes, before, strict=True):
        assert torch.equal(probe[0], kept)


class TestEveryExercise:
    def test_is_of_a_kind_and_takes_minutes(self):
        for name, exercise in EXERCISES.items():
            assert exercise.kind in ("warm-up", "core", "stretch"), name
            assert 1 <= exercise.minutes <= 20, name
            assert len(exercise.table) >= 6, name
            assert 2 <= len(exercise.hint_list) <= 4, name
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

    @pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
    def test_gives_each_mistake_its_own_hint(self, exercise):
        assert mistake_of(exercise, exercise.answer) == ""
        for mistake in exercise.table:
            assert mistake_of(exercise, mistake.answer) == mistake.hint
        hints = [mistake.hint for mistake in exercise.table]
        assert len(set(hints)) == len(hints)
        assert not [hint for hint in hints if set("{}") & set(hint)]

    def test_breaks_no_line_inside_a_formula_or_code(self):
        """Code hosts do not show a formula that goes on in the next line."""
        for name, exercise in EXERCISES.items():
            for line in f"{exercise.question}\n{exercise.reasoning}".splitlines():
                line = line.replace("```", "")
                assert line.count("$") % 2 == line.count("`") % 2 == 0, (name, line)

    def test_has_a_slug_and_a_title_of_its_own(self):
        count = sum(len(topic.EXERCISES) for topic in TOPICS)
        assert len(EXERCISES) == len({e.title for e in EXERCISES.values()}) == count


class TestTheTable:
    @pytest.fixture
    def exercise(self):
        table = """
            right + one
                One too
                much.
            log(x.shape[0] +
            eps) for eps in (0.1, 1e-6)
                It has {eps}, at most {cap}.
        """
        return dataclasses.replace(KL, solution=_double, given="one = 1", mistakes=table)

    def test_a_row_is_python_with_the_right_result_and_the_arguments(self, exercise):
        first, *_ = exercise.table
        assert first.hint == "One too much."
        assert first.answer(torch.ones(2)).tolist() == [3, 3]

    def test_a_row_for_several_epsilons_is_a_mistake_for_each(self, exercise):
        _, large, small = exercise.table
        assert large.answer(torch.ones(2)) == math.log(2.1)
        assert large.hint == "It has 0.1, at most 2.3."
        assert small.hint == "It has 1e-06, at most 13.8."

    def test_the_cells_are_made_from_the_solution(self, exercise):
        stub = 'def _double(x):\n    """Twice x."""\n    return ...'
        check = 'exercises.check("kl-from-log-variance", _double)'
        assert exercise.stub == f"{stub}\n\n\n{check}"
        assert exercise.solved == f"{stub.replace('...', '2 * x')}\n\n\n{check}"
        check = 'exercises.check("price-of-certainty", price)'
        assert PRICE.stub == f"price = ...  # nats\n\n{check}"
        assert PRICE.solved.endswith(f" * math.log(0.1))  # nats\n\n{check}")


def _double(x):
    """Twice x."""
    return 2 * x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda right, mean: 3 * right, "3 times the right one. Is something summed that"),
        (lambda right, mean: right / 3, "0.3333 times the right one. Is something averaged that"),
        (lambda right, mean: -2 * right, "-2 times the right one. Where does the minus"),
        (lambda right, mean: right / len(mean), "averaged that should be summed, or left out?"),
        (lambda right, mean: right * len(mean) / 2.5, "What depends on how many there are?"),
        (lambda right, mean: right + 0.5, "off by +0.5. Was a constant left out"),
        (lambda right, mean: 0 * right, "Where it is furthest off it gives 0,"),
        (lambda right, mean: right * 1.0005, "Where it is furthest off it gives"),
        (lambda right, mean: right * torch.nan, "Where it is furthest off it gives nan"),
    ],
)
def test_what_sets_all_values_off_is_named(change, words):
    right = KL.answer
    answer = lambda mean, log_variance: change(right(mean, log_variance), mean)  # noqa: E731
    assert words in mistake_of(KL, answer)


def test_a_probe_whose_values_are_alike_does_not_hide_a_pattern():
    probes = [(torch.tensor([1.0, 2.0]),), (torch.tensor([5.0, 5.0]),), (torch.tensor([3.0]),)]
    exercise = dataclasses.replace(KL, solution=lambda x: x, probes=probes, given="", mistakes="")
    said = mistake_of(exercise, lambda x: x * len(x))
    assert "every value is 2 times the right one for arguments of shapes (2,). Is some" in said


def test_a_dict_is_not_taken_for_letters():
    said = mistake_of(CURVES, {"1": "D", "2": "A", "3": "B", "4": "C"})
    assert "this is a dict" in said


@pytest.mark.parametrize(
    ("slug", "answer", "words"),
    [
        ("price-of-certainty", math.inf, "not a finite number"),
        ("price-of-certainty", "nine", "A number is asked for"),
        ("price-of-certainty", [9.04, 9.04], "One number"),
        ("price-of-certainty", lambda: 9.04, "this is a function"),
        ("kl-from-log-variance", 3.0, "A function is asked for, and this is float"),
        ("kl-from-log-variance", lambda mean, spread: None, "does it have a return"),
        ("kl-from-log-variance", lambda mean, spread: mean @ spread, "stops with RuntimeError"),
        ("kl-from-log-variance", lambda mean: mean, "stops with TypeError"),
        ("kl-from-log-variance", lambda mean, spread: "seven", "returns str, expected numbers"),
        ("kl-from-log-variance", lambda mean, spread: mean, "expected shape (3,). Is there a dim"),
        ("kl-from-log-variance", lambda mean, spread: mean.sum(), "expected shape (3,). Was a dim"),
        ("kl-from-log-variance", lambda mean, spread: mean.sum(0), "expected shape (3,)."),
        ("four-curves", "ABCD", "0 of 4 are matched"),
        ("four-curves", "DCAB", "1 of 4 is matched"),
        ("four-curves", "DABB", "once"),
        ("four-curves", "", "once"),
        ("four-curves", [1, 2, 3, 4], "Letters are asked for"),
        ("four-curves", None, "Letters are asked for"),
        ("copied-or-new", lambda samples, train, test: samples @ train, "RuntimeError"),
        (
            "two-bugs-in-one-line",
            lambda losses: LOSS.answer(losses.detach()),
            "the gradient is not",
        ),
        ("two-bugs-in-one-line", lambda losses: LOSS.answer(losses).item(), "the gradient is not"),
    ],
)
def test_what_is_wrong_in_kind_is_told(slug, answer, words):
    assert words in mistake_of(EXERCISES[slug], answer)
