"""The Makefile in a folder whose name has what shells and make stumble over."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
STUB = """#!/bin/sh
set -- "$(basename "$0")" "$PYTHONPATH" "$XDG_CACHE_HOME" "$VAELIB_DATA" "$PYTHONIOENCODING" "$@"
printf '%s|' "$@" >>"{log}"
echo >>"{log}"
"""
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")


@pytest.fixture(params=["my course (2)", "Łukasz, Zoë's & co", "plain"])
def course(request, tmp_path):
    """A folder with the Makefile, notebooks, and a .venv of commands that note how they are run."""
    folder = tmp_path / request.param
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(HOME / "Makefile", folder)
    (folder / "pyproject.toml").write_text("")
    for place in ("notebooks", "notebooks/solutions"):
        (folder / place).mkdir()
        for name in ("01_one", "02_training"):
            (folder / place / f"{name}.ipynb").write_text("{}")
    for name in ("python", "ruff", "jupyter"):
        command = folder / ".venv" / "bin" / name
        command.write_text(STUB.format(log=tmp_path / "log"), encoding="utf-8")
        command.chmod(0o755)
    for name, text in (
        ("torch", "default"),
        ("versions", "newest"),
        ("ready", f"{folder} default"),
    ):
        (folder / ".venv" / name).write_text(f"{text}\n", encoding="utf-8")
    return folder


def run(course, target, **settings):
    """The commands that `make target` runs, each a list: name, four variables, arguments."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(
        ["make", target],
        cwd=course,
        env=environment | {"VAELIB_DATA": ""} | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Setting up" not in done.stdout, "the .venv is taken for another folder's"
    lines = (course.parent / "log").read_text(encoding="utf-8").splitlines()
    return [line.rstrip("|").split("|") for line in lines]


TARGETS = (
    "run quick test offline all lint unit notebooks lab refresh html book playground slides "
    "workshop measure bench clean"
)


def test_every_target_is_tried_here():
    names = set(TARGETS.split()) | {"help", "links", "dist"}  # the last two fetch packages first
    text = (HOME / "Makefile").read_text(encoding="utf-8")
    targets = {line.split(":")[0] for line in text.splitlines() if ":  ## " in line}
    targets |= {
        line.split(":")[0] for line in text.splitlines() if " $(READY)" in line and "##" in line
    }
    assert targets == names


@pytest.mark.parametrize("target", TARGETS.split())
def test_it_runs_its_commands(course, target):
    if target == "clean":
        (course / "build").mkdir()
        (course.parent / "log").write_text("")
        run(course, target)
        assert not (course / "build").exists()
        return
    commands = run(course, target)
    assert all(command[0] in ("python", "ruff") for command in commands)
    named = [argument for command in commands for argument in command[5:]]
    for argument in named:
        if argument.endswith(".ipynb"):
            assert (course / argument).is_file()


def test_offline_forbids_the_network_and_has_a_cache_of_its_own(course):
    (course / "build" / "offline").mkdir(parents=True)
    model, tests = run(course, "offline")
    for _, path, cache, data, _, *_ in (model, tests):
        assert Path(path) == course / "tools" / "offline"
        assert Path(cache) == course / "build" / "offline"
        assert data == ""
    assert "notebooks/01_one.ipynb" in tests


def test_the_playgrounds_model_needs_one_notebook(course):
    (command,) = run(course, "playground")
    assert command[5:] == ["tools/notebooks.py", "run", "notebooks/02_training.ipynb"]


def test_deprecations_fail_a_test_only_where_asked(course):
    (*_, usual) = run(course, "unit")
    (*_, strict) = run(course, "unit", WARNINGS="error")
    assert "-W" not in usual
    assert strict[strict.index("-W") + 1] == "error"


def test_a_console_without_a_letter_gets_its_number(course):
    assert {command[4] for command in run(course, "bench")} == {":backslashreplace"}


def test_a_folder_of_data_with_spaces_is_found_from_anywhere(course):
    (course / "my data (1)").mkdir()
    for command in run(course, "quick", VAELIB_DATA="my data (1)"):
        assert Path(command[3]) == course / "my data (1)"
