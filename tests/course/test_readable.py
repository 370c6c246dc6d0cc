"""What a reviewer sees of a notebook's change."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import readable  # noqa: E402


def notebook(count=1, picture="aGVsbG8=", said="12 nats\n"):
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": [said]},
        {
            "output_type": "display_data",
            "data": {"image/png": picture, "text/plain": ["<Figure>"]},
            "metadata": {"image/png": {"alt": "Two digits."}},
        },
    ]
    code = {
        "cell_type": "code",
        "id": "ab",
        "metadata": {"tags": ["check"]},
        "execution_count": count,
        "source": ["print(1)\n", "draw()"],
        "outputs": outputs,
    }
    text = {"cell_type": "markdown", "id": "cd", "metadata": {}, "source": "# Title"}
    return {"cells": [text, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def shown(**settings):
    return "\n".join(readable.lines(notebook(**settings)))


def test_source_and_text_are_shown_and_a_picture_by_its_words():
    text = shown()
    for part in ("# Title", "print(1)\ndraw()", "12 nats", "Two digits.", "code ab check"):
        assert part in text
    assert "aGVsbG8" not in text


def test_only_what_a_reader_sees_makes_a_difference():
    assert shown(count=7) == shown()
    assert shown(picture="aGVsbG9v") != shown()
    assert shown(said="13 nats\n") != shown()


def test_every_notebook_of_the_course_becomes_short_text():
    for path in sorted((HOME / "notebooks").rglob("*.ipynb")):
        whole = path.read_text(encoding="utf-8")
        text = "\n".join(readable.lines(json.loads(whole)))
        assert 5_000 < len(text) < len(whole)
        assert max(map(len, text.splitlines())) < 5_000, "base64 came through"


@pytest.mark.skipif(not shutil.which("git"), reason="no git on this machine")
def test_git_uses_it_for_notebooks(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode("utf-8")

    git("init", "--quiet")
    shutil.copy(HOME / ".gitattributes", tmp_path)
    python, tool = (Path(path).as_posix() for path in (sys.executable, HOME / "tools/readable.py"))
    git("config", "diff.ipynb.textconv", f'"{python}" "{tool}"')
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook()), encoding="utf-8")
    git("add", ".")
    git("commit", "--quiet", "--message", "a")
    path.write_text(json.dumps(notebook(count=9)), encoding="utf-8")
    assert [
        line for line in git("diff").splitlines() if line[:1] in "+-" and line[:3] != "+++"
    ] == []
    path.write_text(json.dumps(notebook(said="13 nats\n")), encoding="utf-8")
    assert "-12 nats\n+13 nats\n" in git("diff")


def test_contributing_says_how_to_switch_it_on():
    page = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert 'git config diff.ipynb.textconv "python3 tools/readable.py"' in page
    assert "*.ipynb text eol=lf diff=ipynb" in (HOME / ".gitattributes").read_text()
