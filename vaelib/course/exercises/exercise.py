"""What an exercise is: question, solution, reasoning, mistakes and hints, all in one place."""

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import CodeType
from typing import Literal, NamedTuple

from torch import Tensor

Number = float | int
Answer = Callable[..., object]


class Mistake(NamedTuple):
    """A wrong answer (a function, a number or letters) and the hint for anyone who gives it."""

    answer: Answer | Number | str
    hint: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """A question with its solution, its known mistakes, hints and a fact.

    Three kinds of answer can be asked for:

    - a function: `solution` is that function, and answers are compared on the `probes`, each of
      them the arguments of one call. If it `trains`, gradients are compared as well;
    - a number: `solution` is the code that computes it, and an answer may be off by `within`;
    - letters that match as many things to those in a picture: `solution` is code, too, and
      `picture` draws the picture.

    The code cells of the notebooks, open and solved, are made from `solution`.

    `mistakes` is a table in text. A wrong answer is one line of Python, and its hint follows,
    indented. The line may use `right` (the right result), the arguments of the function or what
    the solution assigns, the names of the exercise's module and of `math`, and what the
    statements in `given` define. A line that ends in `for eps in (…)` is one mistake for each
    value, and its hint may show `{eps}` and `{cap}`, which is −log eps.

    `hints` are given one at a time, on request; each begins with a hyphen. `fact` is shown
    with a right answer.
    """

    slug: str
    title: str
    kind: Literal["warm-up", "core", "stretch"]
    minutes: int
    question: str
    solution: Answer | str
    reasoning: str
    mistakes: str
    hints: str
    fact: str
    given: str = ""
    probes: Sequence[tuple] = ()
    within: float = 0.0
    picture: Callable[[], None] | None = None
    trains: bool = False

    @cached_property
    def answer(self) -> Answer | Number | str:
        """The right answer."""
        return self.solution if callable(self.solution) else self._names()["right"]

    @property
    def name(self) -> str:
        """The name that the notebook's cell gives to the answer."""
        return self.solution.__name__ if callable(self.solution) else self._last_line[0]

    @property
    def stub(self) -> str:
        """The code cell of the notebook: `...` stands where the answer goes."""
        if not callable(self.solution):
            name, comment = self._last_line
            return self._checked(f"{name} = ...{comment}")
        source = inspect.getsource(self.solution)
        documentation = ast.parse(source).body[0].body[0]
        head = source.splitlines()[: documentation.end_lineno]
        return self._checked("\n".join([*head, "    return ..."]))

    @property
    def solved(self) -> str:
        """The code cell of the solved notebook."""
        if callable(self.solution):
            return self._checked(inspect.getsource(self.solution).rstrip())
        return self._checked(inspect.cleandoc(self.solution))

    @cached_property
    def table(self) -> Sequence[Mistake]:
        """The known mistakes, each with its hint."""
        return list(self._rows())

    @property
    def hint_list(self) -> Sequence[str]:
        """The hints, each in one line."""
        parts = re.split(r"^- ", inspect.cleandoc(self.hints), flags=re.MULTILINE)
        return [" ".join(part.split()) for part in parts[1:]]

    @property
    def told(self) -> str:
        """The fact, in one line."""
        return " ".join(self.fact.split())

    @property
    def _last_line(self) -> tuple[str, str]:
        """Of a solution in code: the name that its last line assigns to, and the comment."""
        last = inspect.cleandoc(self.solution).splitlines()[-1]
        return re.fullmatch(r"(\w+) = .*?(  # .*)?", last).groups(default="")

    def _checked(self, code: str) -> str:
        lines = "\n\n\n" if callable(self.solution) else "\n\n"
        return f'{code}{lines}exercises.check("{self.slug}", {self.name})'

    def _rows(self) -> Iterator[Mistake]:
        entry = r"^(\S.*(?:\n\S.*)*)\n((?: +\S.*\n?)+)"
        text = inspect.cleandoc(self.mistakes)
        for line, hint in re.findall(entry, text, re.MULTILINE):
            expression, _, values = line.partition(" for eps in ")
            code, hint = compile(expression, self.slug, "eval"), " ".join(hint.split())
            for eps in eval(values) if values else ():
                said = hint.format(eps=f"{eps:.3g}", cap=f"{-math.log(eps):.3g}")
                yield Mistake(self._wrong(code, eps=eps), said)
            if not values:
                yield Mistake(self._wrong(code), hint)

    def _wrong(self, code: CodeType, **more: Number) -> Answer | Number | str:
        function = partial(self._evaluate, code, more)
        return function if callable(self.solution) else function()

    def _evaluate(self, code: CodeType, more: dict[str, Number], *arguments: object) -> object:
        return eval(code, self._names(*arguments) | more)

    def _names(self, *arguments: object) -> dict[str, object]:
        """What a line of the table may use."""
        names = {"math": math, **vars(math)}
        if callable(self.solution):
            names |= inspect.unwrap(self.solution).__globals__
            names |= inspect.signature(self.solution).bind(*arguments).arguments
            names["right"] = self.solution(*copied(arguments))
        else:
            exec(inspect.cleandoc(self.solution), names)
            names["right"] = names[self.name]
        exec(self._given, names)
        return names

    @cached_property
    def _given(self) -> CodeType:
        return compile(inspect.cleandoc(self.given), self.slug, "exec")


def copied(arguments: Sequence[object]) -> tuple:
    """The arguments, with copies of tensors, so that a call cannot change them."""
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in arguments)
