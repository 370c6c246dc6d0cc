"""The tries at exercises, in memory and in a file that later kernels read.

The file is only appended to, one line for each try, so that a check stays fast and two notebooks
can run at once. A line that was cut, by a full disk for example, is skipped when the file is read.
"""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path("output") / "tries.jsonl"  # in the working directory, as all that notebooks write


class Try(NamedTuple):
    """One checked answer: the exercise's slug, and the hint that was shown, "" if it was right.

    The kernel and the number of the try in it tell two tries apart.
    """

    exercise: str
    hint: str
    kernel: str
    number: int


class Log:
    """The tries of this kernel, which are also appended to the file at `path`."""

    def __init__(self, path: Path, kernel: str) -> None:
        self.path, self.kernel = path, kernel
        self.tries: list[Try] = []
        self._waiting: list[Try] = []  # to be written
        self._told = False

    def note(self, exercise: str, hint: str) -> None:
        """Keep a try; after the first right answer to an exercise, nothing more is kept.

        If the file cannot be written, one sentence says so, once. The try stays in memory, and
        the next one writes both.
        """
        if any(made.exercise == exercise and not made.hint for made in self.tries):
            return
        made = Try(exercise, hint, self.kernel, len(self.tries))
        self.tries.append(made)
        self._waiting.append(made)
        try:
            append(self.path, self._waiting)
        except OSError as error:
            if not self._told:
                print(
                    f"({self.path} cannot be written, so a restart loses your tries: {why(error)})"
                )
            self._told = True
        else:
            self._waiting.clear()

    def everything(self) -> list[Try]:
        """The tries of the file, then those of this kernel that it lacks.

        Raises OSError if there is a file that cannot be read.
        """
        return list(dict.fromkeys([*read(self.path), *self.tries]))


def append(path: Path, tries: Sequence[Try]) -> None:
    """Append tries to a file, in one piece. Raises OSError if they do not fit or cannot be written.

    Each begins on a line of its own, whatever the file ends with.
    """
    lines = "".join(f"\n{json.dumps(made._asdict())}\n" for made in tries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        if file.write(lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read(path: Path) -> list[Try]:
    """The tries in a file, none if there is no file; lines that are not whole are skipped."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [made for made in map(_parsed, lines) if made]


def why(error: OSError) -> str:
    """What the system says about an error, without the path."""
    return error.strerror or str(error)


def _parsed(line: str) -> Try | None:
    try:
        made = Try(**json.loads(line))
    except (ValueError, TypeError):
        return None
    whole = all(isinstance(part, str) for part in made[:3]) and isinstance(made.number, int)
    return made if whole else None
