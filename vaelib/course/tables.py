"""A small table that a notebook shows as a table, and a terminal as aligned text."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

Cell = str | float | int | Tensor | np.number | None


class Table(NamedTuple):
    """Column titles, and rows of texts as they are shown."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        lines = (self.head, *self.rows)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        first, *others = widths
        return "\n".join(
            "  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            side = ["left", *["right"] * (len(cells) - 1)]
            return "".join(
                f'<{tag} style="text-align: {at}">{html.escape(cell)}</{tag}>'
                for cell, at in zip(cells, side, strict=True)
            )

        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in self.rows)
        head = f"<thead><tr>{row(self.head, 'th')}</tr></thead>"
        return f"<table>{head}<tbody>{body}</tbody></table>"


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], *, digits: int | Sequence[int] = 2
) -> Table:
    """A table of `rows` under `head`: texts to the left in the first column, all else to the right.

    Numbers with a fraction get so many `digits` after the point, one number for all columns or
    one for each; whole numbers get commas; None is an empty cell. Raises ValueError for a row
    that is longer or shorter than the head.
    """
    each = [digits] * len(head) if isinstance(digits, int) else list(digits)
    shown = []
    for row in rows:
        if not len(row) == len(head) == len(each):
            raise ValueError(
                f"expected rows and digits of length {len(head)}, as the head {tuple(head)}, got "
                f"{len(row)} cells and {len(each)} digits"
            )
        shown.append(tuple(map(_shown, row, each)))
    return Table(tuple(head), tuple(shown))


def _shown(cell: Cell, digits: int) -> str:
    value = cell.item() if isinstance(cell, Tensor | np.number) else cell
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool | int):
        return str(value) if isinstance(value, bool) else f"{value:,}".replace("-", "−")
    text = f"{value:,.{digits}f}"
    zero = f"{0:.{digits}f}"
    return zero if text.lstrip("-") == zero else text.replace("-", "−")
