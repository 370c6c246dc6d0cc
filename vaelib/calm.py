"""Calm beside other work: threads that wait without spinning, and no more of them than cores.

PyTorch's threads wait for each other by spinning, for some milliseconds. While another program
needs their core, an epoch takes ten times as long. So `import vaelib` sets how long they may spin.
OpenMP reads that when torch is imported, so import vaelib before torch.
"""

from __future__ import annotations  # the doctor must run on a Python that is too old

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

# Turns of a loop, for GNU's runtime of OpenMP; milliseconds, for LLVM's and Intel's.
WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


def wait_calmly(environment: MutableMapping[str, str]) -> None:
    """Set how long threads spin, unless one of these variables is set already."""
    if not environment.keys() & {*WAITING, "OMP_WAIT_POLICY"}:
        environment.update(WAITING)


def cores() -> int:
    """The cores that this process may use: those it may run on, or its quota if that is less."""
    known = hasattr(os, "sched_getaffinity")
    usable = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return math.ceil(min(usable, quota()))


def quota(root: Path = Path("/")) -> float:
    """The CPU time that Linux allows this process's control groups, in cores; else infinity.

    The smallest limit counts: that of the group or of a group around it, in version 1 or 2. What
    cannot be read is no limit.
    """
    try:
        return min(_limits(root), default=math.inf)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _limits(root: Path) -> Iterator[float]:
    for line in _words(root / "proc/self/cgroup", "\n"):
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in {controllers, *controllers.split(",")}:  # version 2 has no names here
            folder = root / "sys/fs/cgroup" / mount
            for group in ("", *path.strip("/").split("/")):
                folder = folder / group
                words = _words(folder / "cpu.max") or [
                    *_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")
                ]  # fmt: skip
                if len(words) == 2 and words[0].isdigit():  # neither "max" nor -1
                    yield int(words[0]) / int(words[1])


def _words(file: Path, separator: str | None = None) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").strip().split(separator)
    except OSError:  # no Linux, or the other version
        return []
