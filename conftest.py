"""What pytest with nbval lacks: cells that run out of time fail, and a summary by notebook.

nbval interrupts a cell that takes too long and waits for the error. `train` answers an interrupt
by ending well, so that the cell would pass, half-trained, and every later failure would count as
expected.
"""

from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

FIGURES = "cell of a notebook"  # what a report carries from a worker process to the summary


class Tally:
    """What the tests of one notebook did: cells, outputs compared, seconds, bytes of its kernel."""

    def __init__(self) -> None:
        self.cells = self.failed = self.compared = self.peak = 0
        self.seconds = 0.0

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.cells:4} cells{failed}, {self.compared:3} outputs compared, "
            f"{self.seconds:6.1f} s, {self.peak / 1e6:5.0f} MB"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = getattr(item.parent, "timed_out", False)
    result = yield
    if getattr(item.parent, "timed_out", False) and not before:
        pytest.fail("this cell ran longer than --nbval-cell-timeout allows", pytrace=False)
    return result


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> None:
    cell = getattr(item, "cell", None)
    if cell is None or call.when != "call":
        return
    path = Path(item.path)
    inside = path.is_relative_to(item.config.rootpath)
    name = path.relative_to(item.config.rootpath).as_posix() if inside else path.name
    compared = 0 if "nbval-ignore-output" in cell.metadata.get("tags", []) else len(cell.outputs)
    manager = getattr(item.parent.kernel, "km", None)  # nbval drops it once the kernel is dead
    pid = getattr(getattr(manager, "provisioner", None), "pid", None)
    item.user_properties.append((FIGURES, (name, compared, peak_memory(pid))))


def peak_memory(pid: int | None) -> int:
    """The most resident memory that a process has had, in bytes; where unknown, what it has now."""
    try:
        memory = psutil.Process(pid).memory_info() if pid else None
        status = Path(f"/proc/{pid}/status")
        if status.exists():
            (line,) = (line for line in status.read_text().splitlines() if line[:6] == "VmHWM:")
            return int(line.split()[1]) * 1024
    except (psutil.Error, OSError, ValueError):
        return 0
    return getattr(memory, "peak_wset", None) or getattr(memory, "rss", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tallies: dict[str, Tally] = {}
    for report in (report for kind in terminalreporter.stats.values() for report in kind):
        figures = dict(getattr(report, "user_properties", ())).get(FIGURES)
        if figures is None or report.when != "call":
            continue
        name, compared, peak = figures
        tally = tallies.setdefault(name, Tally())
        tally.cells += 1
        tally.failed += not report.passed
        tally.compared += compared
        tally.seconds += report.duration
        tally.peak = max(tally.peak, peak)
    if tallies:
        terminalreporter.section("notebooks")
        width = max(map(len, tallies))
        for name, tally in sorted(tallies.items()):
            terminalreporter.write_line(f"{name:<{width}} {tally}")
