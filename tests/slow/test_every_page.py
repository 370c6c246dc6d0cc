"""Every page of the book, at three widths, light and dark: it fits, and it is accessible."""

from collections.abc import Iterator

import journey
import leafing
import pytest
from leafing import Leaf

WIDTHS = (360, 800, 1440)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with journey.chromium() as found:
        yield found


def test_every_page_fits_and_is_accessible(book, chromium):
    wrong = {}
    for page in leafing.pages(book):
        leaf = Leaf(chromium, page.as_uri())  # drawn once: formulas take longer than the rest
        name = page.relative_to(book).as_posix()
        for width in WIDTHS:
            for scheme in SCHEMES:
                leaf.look(width, scheme)
                if found := leaf.overflow + leaf.axe():
                    wrong[name, width, scheme] = found
        if found := leaf.faults + leaf.outside(f"{book.as_uri()}/"):
            wrong[name] = found
        leaf.close()
    assert wrong == {}
