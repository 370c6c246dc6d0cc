"""A notebook's cell that runs out of time fails, also if it takes the interrupt for a wish to stop.

nbval interrupts such a cell and waits for the error. `train` answers an interrupt by ending well,
so that the cell would pass, half-trained, and every later failure would count as expected.
"""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = getattr(item.parent, "timed_out", False)
    result = yield
    if getattr(item.parent, "timed_out", False) and not before:
        pytest.fail("this cell ran longer than --nbval-cell-timeout allows", pytrace=False)
    return result
