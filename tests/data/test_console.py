"""The command line on a console that lacks the letters of a path, such as Git Bash's cp1252."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaelib.data import glyphs
from vaelib.data.catalogue import GLYPHS

HOME = Path(__file__).parents[2]


@pytest.fixture
def kept(tmp_path):
    """A folder, with a letter that neither cp1252 nor ascii has, which holds a few glyphs."""
    folder = tmp_path / "Łukasz"
    (folder / GLYPHS.place).parent.mkdir(parents=True)
    glyphs.write_glyphs(glyphs.draw_splits({"train": 1, "test": 1}), folder / GLYPHS.place)
    return folder


def run(kept, encoding, *arguments):
    """The exit code and all that `python -m vaelib …` said on a console of that encoding."""
    home = {name: str(kept / "home") for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    setting = {
        "VAELIB_DATA": str(kept),
        "VAELIB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(kept / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-m", "vaelib", *map(str, arguments)],
        env=os.environ | home | setting | {"PYTHONIOENCODING": encoding},
        cwd=HOME,
        capture_output=True,
    )
    said = (done.stdout + done.stderr).decode(encoding.partition(":")[0])
    assert "Traceback" not in said
    assert "UnicodeEncodeError" not in said
    return done.returncode, said


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict"])
def test_each_task_survives_and_shows_the_path(kept, encoding):
    path = str(kept / GLYPHS.place).replace("Ł", "\\u0141")
    assert run(kept, encoding, "data", "where", "glyphs") == (
        0,
        f"{'glyphs':<14} {kept}".replace("Ł", "\\u0141") + os.linesep,
    )
    code, said = run(kept, encoding, "data", "verify", "glyphs")
    assert (code, said.strip()) == (0, f"ok    {path}")
    code, said = run(kept, encoding, "data", "prefetch", "glyphs", "--root", kept / "Übung")
    assert code == 0
    assert f"copied {path}" in said
    assert (kept / "Übung" / GLYPHS.place).read_bytes() == (kept / GLYPHS.place).read_bytes()


def test_failures_are_told_too(kept):
    """What is missing, with the advice for each file; and wrong usage."""
    code, said = run(kept, "cp1252", "data", "prefetch", "kmnist")
    assert code == 1
    assert f"{kept / 'KMNIST'}".replace("Ł", "\\u0141") in said
    code, said = run(kept, "ascii", "data", "verify", "Łódź")
    assert code == 2
    assert "no data set is called" in said


def test_every_text_file_that_is_opened_names_its_encoding():
    found = []
    for path in [*(HOME / "vaelib" / "data").glob("*.py"), HOME / "vaelib" / "__main__.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = [each.value for each in node.args if isinstance(each, ast.Constant)]
            binary = any(isinstance(word, str) and "b" in word for word in words)
            named = any(each.arg == "encoding" for each in node.keywords)
            unnamed = called in ("read_text", "write_text") or (called == "open" and words)
            if unnamed and not binary and not named:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
