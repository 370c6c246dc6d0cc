"""Every page of the book, at three widths, light and dark: it fits, and it is accessible."""

from collections.abc import Iterator

import journey
import leafing
import pytest
from leafing import Leaf

WIDTHS = (360, 800, 1440)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with journey.chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_is_accessible(book, chromium, width, scheme):
    wrong = {}
    view = dict(viewport={"width": width, "height": 800}, color_scheme=scheme)
    with chromium.new_context(**view) as context:
        for page in leafing.pages(book):
            leaf = Leaf(context, page.as_uri())
            found = leaf.overflow + leaf.axe() + leaf.faults + leaf.outside(f"{book.as_uri()}/")
            if found:
                wrong[page.relative_to(book).as_posix()] = found
            leaf.close()
    assert wrong == {}
