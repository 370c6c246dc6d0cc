"""What is wrong with an answer: it is compared with the right one, and with known mistakes.

An answer is judged by what it *does* on a few probes, so any way of writing it is accepted. A
wrong answer that does the same as a known mistake gets that mistake's hint. For all others the
comparison itself says what it can: a shape, a factor, a constant, the largest difference.
"""

import math
from functools import cache

import torch
from torch import Tensor

from vaelib.course.exercises.exercise import Answer, Exercise, copied

# How far a number may be from a known mistake to count as it, and from the right answer to count
# as close: relative to it, and in units of what the exercise allows. What it allows is much for a
# mistake far smaller than the right answer: LIKE is how far at most, relative to the mistake.
ROUNDING, CLOSE, FAR, LIKE = 0.015, 0.04, 20, 0.1
SEEN = 1e-3  # a factor of all values that is nearer to 1, or a term nearer to 0, says nothing


def mistake_of(exercise: Exercise, answer: object) -> str:
    """What is wrong with an answer, as a hint that gives nothing away; "" if it is right."""
    if callable(exercise.answer):
        return _mistake_of_function(exercise, answer)
    if isinstance(exercise.answer, str):
        return _mistake_of_letters(exercise, answer)
    return _mistake_of_number(exercise, answer)


def untouched(exercise: Exercise, answer: object) -> bool:
    """Whether a function is still the stub, which gives ... for whatever it is called with."""
    if not (callable(exercise.answer) and callable(answer)):
        return False
    try:
        return answer(*copied(exercise.probes[0])) is ...
    except Exception:
        return False


def _mistake_of_letters(exercise: Exercise, answer: object) -> str:
    right = exercise.answer
    among = ", ".join(sorted(right))
    if isinstance(answer, dict):
        return "A string of letters is asked for, in the order of the question, and this is a dict."
    try:
        letters = "".join(filter(str.isalpha, "".join(answer))).upper()
    except TypeError:
        return f"Letters are asked for, a string of {among}, and this is {type(answer).__name__}."
    if sorted(letters) != sorted(right):
        return f"Each of {among} matches one thing, so the answer has each of them once."
    for mistake in exercise.table:
        if letters == mistake.answer:
            return mistake.hint
    agree = sum(a == b for a, b in zip(letters, right, strict=True))
    if agree == len(right):
        return ""
    return (
        f"{agree} of {len(right)} {'is' if agree == 1 else 'are'} matched correctly. Compare them "
        "where they differ most, with numbers."
    )


def _mistake_of_number(exercise: Exercise, answer: object) -> str:
    if callable(answer):
        return "A number is asked for, and this is a function: call it, and check its value."
    try:
        value = _as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        return f"A number is asked for; {answer!r} is not one."
    if value.numel() != 1:
        return f"One number is asked for, and these are {value.numel()}."
    if not value.isfinite():
        return f"{value.item()} is not a finite number: was something divided by 0, or log 0 taken?"
    value = value.item()
    if abs(value - exercise.answer) <= exercise.within:
        return ""
    off = abs(value - exercise.answer)
    by_distance = sorted(exercise.table, key=lambda mistake: abs(value - mistake.answer))
    near, next_best = (abs(value - mistake.answer) for mistake in by_distance[:2])
    rounded = min(ROUNDING * abs(by_distance[0].answer), FAR * exercise.within)
    alike = LIKE * abs(by_distance[0].answer) or exercise.within
    same = near <= min(exercise.within, alike)
    if same or (near <= rounded and 4 * near < min(off, next_best)):
        return by_distance[0].hint
    size = "large" if value > exercise.answer else "small"
    if off <= min(CLOSE * abs(exercise.answer), FAR * exercise.within):
        return (
            f"{value:g} is close, but too {size}. Was something rounded on the way, or something "
            "small left out?"
        )
    return f"{value:g} is too {size}."


def _mistake_of_function(exercise: Exercise, answer: object) -> str:
    if not callable(answer):
        return (
            f"A function is asked for, and this is {type(answer).__name__}: give its name, "
            "without calling it."
        )
    results: list[Tensor] = []
    for probe in exercise.probes:
        try:
            result = answer(*copied(probe))
        except Exception as error:
            return f"Your function stops with {type(error).__name__}: {error}"
        if result is None:
            return "Your function returns nothing: does it have a return?"
        try:
            results.append(_as_tensor(result))
        except (TypeError, ValueError, RuntimeError):
            return f"Your function returns {type(result).__name__}, expected numbers."
    right = _results(exercise.answer, exercise)
    if _agree(results, right):
        return _mistake_in_gradient(exercise, answer)
    if _differs_when_repeated(answer, exercise.probes[0], results[0]):
        return (
            "Called twice, it gives two different answers. Does it draw random numbers of its own, "
            "or remember earlier calls? Everything that it needs is among its arguments."
        )
    for mistake in exercise.table:
        if _agree(results, _results(mistake.answer, exercise)):
            return mistake.hint
    for result, expected, probe in zip(results, right, exercise.probes, strict=True):
        if result.shape != expected.shape:
            return (
                f"For arguments of shapes {_shapes(probe)} your function returns "
                f"{_named(result)}, expected {_named(expected)}."
                + _why_shape(result.ndim, expected.ndim)
            )
    if pattern := _pattern(exercise, results, right):
        return pattern
    value, expected = _furthest_off(results, right)
    digits = 4 if f"{value:.4g}" != f"{expected:.4g}" else 8
    return (
        "The shape is right, the values are not. Where it is furthest off it gives "
        f"{value:.{digits}g}, and {expected:.{digits}g} is right."
    )


def _pattern(exercise: Exercise, results: list[Tensor], right: list[Tensor]) -> str:
    """What a factor, or a term, does to all values, in words; "" if neither does.

    It may be another one on each probe, since it may depend on how much there is to sum.
    """
    together = tuple(torch.cat([x.flatten() for x in some]) for some in (results, right))
    apart = [
        (found, expected, f" for arguments of shapes {_shapes(probe)}")
        for (found, expected), probe in zip(_both(results, right), exercise.probes, strict=True)
        if _varied(expected) or not found.isfinite().all()
    ]
    for relation, neutral, words in (
        (_factor, 1, "{:.4g} times the right one"),
        (_term, 0, "off by {:+.4g}"),
    ):
        for parts in ([(*together, "")], apart):
            changes = [relation(found, expected) for found, expected, _ in parts]
            if not changes or None in changes:
                continue
            if all(abs(change - neutral) < SEEN for change in changes):
                continue
            if relation is _factor and all(abs(change + 1) < SEEN for change in changes):
                return "Every value has the wrong sign."
            places: dict[str, str] = {}  # the first for each change
            for change, (_, _, place) in zip(changes, parts, strict=True):
                places.setdefault(words.format(change), place)
            values = ", ".join(change + place for change, place in places.items())
            why = _why(changes) if relation is _factor else "Was a constant left out, or added?"
            return f"The shape is right, and every value is {values}. {why}"
    return ""


def _why_shape(found: int, expected: int) -> str:
    """A question about a wrong number of dimensions."""
    if found > expected:
        return " Is there a dimension left that should be summed or averaged?"
    if found < expected:
        return " Was a dimension summed or averaged that should be kept?"
    return ""


def _why(factors: list[float]) -> str:
    """A question about what multiplies all values by these."""
    if any(factor < 0 for factor in factors):
        return "Where does the minus come from?"
    if all(abs(factor * math.log(2) - 1) < SEEN for factor in factors):
        return "That is the right amount, in bits. The course counts in nats."
    if all(factor >= 1 for factor in factors):
        return "Is something summed that should be averaged, or counted more than once?"
    if all(factor <= 1 for factor in factors):
        return "Is something averaged that should be summed, or left out?"
    return "What depends on how many there are?"


def _factor(found: Tensor, expected: Tensor) -> float | None:
    """By what all that is expected is multiplied in what is found, if all by the same."""
    if not _varied(expected) or not found.isfinite().all():
        return None
    factor = ((found * expected).sum() / expected.square().sum()).item()
    seen = abs(factor) > SEEN  # else it says no more than that all is about 0
    return factor if seen and _agree([found], [factor * expected]) else None


def _term(found: Tensor, expected: Tensor) -> float | None:
    """What is added to all that is expected in what is found, if the same to all."""
    if not _varied(expected) or not found.isfinite().all():
        return None
    term = (found - expected).mean().item()
    return term if _agree([found], [expected + term]) else None


def _varied(values: Tensor) -> bool:
    """Whether two of the values differ by more than `_agree` would overlook."""
    return bool(values.numel() > 1 and not _agree([values], [values.mean().expand_as(values)]))


def _mistake_in_gradient(exercise: Exercise, answer: Answer) -> str:
    if not exercise.trains:
        return ""
    try:
        agree = _agree(_gradients(answer, exercise), _gradients(exercise.answer, exercise))
    except (RuntimeError, AttributeError, TypeError):  # it has no gradient
        agree = False
    return (
        ""
        if agree
        else (
            "The values are right, but the gradient is not, and training needs it. Does a number "
            "leave PyTorch on the way (item, tolist, numpy, float, detach, no_grad)?"
        )
    )


def _gradients(function: Answer, exercise: Exercise) -> list[Tensor]:
    """Of the sum of the function's values, by the first argument of every probe."""
    gradients = []
    for first, *others in exercise.probes:
        leaf = first.clone().requires_grad_()
        total = function(leaf.clone(), *copied(tuple(others))).sum()
        gradients += map(_as_tensor, torch.autograd.grad(total, leaf))
    return gradients


def _both(results: list[Tensor], right: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(results, right, strict=True))


def _differs_when_repeated(answer: Answer, probe: tuple, result: Tensor) -> bool:
    try:
        return not _agree([_as_tensor(answer(*copied(probe)))], [result])
    except Exception:  # it went well the first time
        return True


def _furthest_off(results: list[Tensor], right: list[Tensor]) -> tuple[float, float]:
    """Of all values the one furthest from the right one, if any one that is no number."""
    found, expected = (torch.cat([x.flatten() for x in some]) for some in (results, right))
    at = torch.nan_to_num(found - expected, math.inf, math.inf, -math.inf).abs().argmax()
    return found[at].item(), expected[at].item()


@cache
def _results(function: Answer, exercise: Exercise) -> list[Tensor]:
    """What the right answer, or a known mistake, gives on all probes."""
    return [_as_tensor(function(*copied(probe))) for probe in exercise.probes]


def _agree(some: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two functions gave the same on all probes, up to what float32 can hold."""
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
        for a, b in _both(some, other)
    )


def _as_tensor(value: object) -> Tensor:
    """Numbers in whatever form, a tensor, an array, a list, a float, in float64."""
    if isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value):
        value = torch.stack([_as_tensor(part) for part in value])
    return torch.as_tensor(value).detach().cpu().to(torch.float64)


def _shapes(probe: tuple) -> str:
    return " and ".join(str(tuple(value.shape)) for value in probe if isinstance(value, Tensor))


def _named(value: Tensor) -> str:
    return f"shape {tuple(value.shape)}" if value.ndim else "one number"
