import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from vaelib.course.tables import table

ROWS = [("prior", 1.0, 60_000), ("posterior", torch.tensor(-12.345), None), ("z < 0", 1234.5, 7)]
TEXT = """\
q              nats   count
prior          1.00  60,000
posterior    −12.35
z < 0      1,234.50       7"""


def test_as_text_columns_are_aligned():
    assert repr(table(["q", "nats", "count"], ROWS)) == TEXT


def test_as_html_it_has_the_same_cells():
    page = BeautifulSoup(table(["q", "nats", "count"], ROWS)._repr_html_(), "html.parser")
    cells = [[cell.text for cell in row(["th", "td"])] for row in page("tr")]
    assert cells[0] == ["q", "nats", "count"]
    assert cells[2] == ["posterior", "−12.35", ""]
    assert cells[3] == ["z < 0", "1,234.50", "7"]
    assert [cell["style"] for cell in page("tr")[1](["td"])] == [
        f"text-align: {side}" for side in ("left", "right", "right")
    ]


def test_digits_of_all_columns_or_of_each():
    row = [("a", 0.12345, np.float32(2.0))]
    assert table(["x", "y", "z"], row, digits=3).rows == (("a", "0.123", "2.000"),)
    assert table(["x", "y", "z"], row, digits=(0, 1, 0)).rows == (("a", "0.1", "2"),)


def test_nothing_is_minus_zero():
    assert table(["x"], [[-0.001]]).rows == (("0.00",),)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="rows and digits of length 2"):
        table(["x", "y"], [("a",)])
    with pytest.raises(ValueError, match="got 2 cells and 1 digits"):
        table(["x", "y"], [("a", 1.0)], digits=[1])
