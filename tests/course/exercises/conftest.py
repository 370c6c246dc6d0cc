import pytest

from vaelib.course import exercises
from vaelib.course.exercises.log import Log


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    """A log as a fresh kernel has it, which writes into a folder of the test's own."""
    log = Log(tmp_path / "output" / "tries.jsonl", "kernel-1")
    monkeypatch.setattr(exercises, "_log", log)
    return log
