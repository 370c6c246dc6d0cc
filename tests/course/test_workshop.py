"""The zip for a room: what is in it, and that it runs where it is unpacked, without network."""

import ast
import os
import posixpath
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import workshop  # noqa: E402


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    target = workshop.build(folder / "workshop.zip", data=False)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(folder)
    return folder / workshop.ROOT


def test_all_notebooks_are_handed_out_without_outputs_and_with_open_exercises(unpacked):
    names = sorted(path.name for path in (HOME / "notebooks").glob("*.ipynb"))
    assert sorted(path.name for path in (unpacked / "notebooks").glob("*.ipynb")) == names
    for name in names:
        ours = nbformat.read(HOME / "notebooks" / name, as_version=4)
        theirs = nbformat.read(unpacked / "notebooks" / name, as_version=4)
        assert [cell.source for cell in ours.cells] == [cell.source for cell in theirs.cells]
        code = [cell for cell in theirs.cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in code)
        assert any("= ..." in cell.source or "return ..." in cell.source for cell in code)


def test_package_solutions_environment_and_results_are_there(unpacked):
    for name in (
        "vaelib/elbo.py",
        "vaelib/course/explorers/pad.js",
        "vaelib/course/results/seeds.json",
        "environment.yml",
        "START.md",
    ):
        assert (unpacked / name).read_bytes()
    solved = sorted(path.name for path in (HOME / "notebooks" / "solutions").glob("*.ipynb"))
    assert sorted(p.name for p in (unpacked / "notebooks" / "solutions").glob("*.ipynb")) == solved
    assert not list(unpacked.rglob("__pycache__"))


def test_the_pages_for_students_and_teachers_are_there_as_they_are_here(unpacked):
    ours = {path.name for path in (HOME / "docs").iterdir() if path.suffix not in (".png", ".gif")}
    assert ours == {path.name for path in (unpacked / "docs").iterdir()}
    assert {"setup.md", "quiz.md", "answers.md", "sheet.html", "glossary.md"} <= ours
    for name in ours:
        here, there = (
            re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", (home / "docs" / name).read_text("utf-8"))
            for home in (HOME, unpacked)
        )
        assert here == there, name


def broken_links(content):
    """The links in pages and notebooks of a zip that lead to no file or to no heading in it."""
    texts = {name: text for name, text in content.items() if name.endswith(".md")}
    for name in content:
        if name.endswith(".ipynb"):
            cells = nbformat.reads(content[name], as_version=4).cells
            texts[name] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    links = [
        (name, link)
        for name, text in texts.items()
        for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text)
    ]
    assert len(links) > 40
    broken = []
    for name, link in links:
        path, _, heading = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        if target not in content or (heading and heading not in headings(texts[target])):
            broken.append((name, link))
    return broken


def headings(text):
    """The names under which JupyterLab or a code host links the headings of a text."""
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    hosts = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    return hosts | {head.replace(" ", "-") for head in heads}


@pytest.mark.parametrize("solutions", [True, False])
def test_every_link_inside_leads_to_a_file_and_a_heading(solutions):
    found = workshop.contents(data=False, solutions=solutions)
    content = {
        name: source.read_text("utf-8") if isinstance(source, Path) else source
        for name, source in found.items()
    }
    assert broken_links(content) == []


def test_a_link_to_what_is_not_there_becomes_its_words():
    text = "[a](../A.md) ![b](b.png) [c](c.md#d) [e](https://e.org) [f](#g) [h](../i/h.md)"
    made = workshop.linked(text, "docs/page.md", {"docs/c.md", "i/h.md"})
    assert made == "a b [c](c.md#d) [e](https://e.org) [f](#g) [h](../i/h.md)"


def test_it_starts_from_the_folder_alone_without_network(unpacked):
    environment = os.environ | {"PYTHONPATH": str(HOME / "tools" / "offline")}
    done = subprocess.run(
        [sys.executable, "start.py", "--check"],
        cwd=unpacked,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "training   10 steps, " in done.stdout, done.stdout + done.stderr  # without data
    found = "import vaelib, pathlib; print(pathlib.Path(vaelib.__file__).parents[1])"
    script = f"import start, subprocess, sys; subprocess.run([sys.executable, '-c', {found!r}], "
    script += "env=start.surroundings())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=unpacked, capture_output=True, text=True, timeout=60
    )
    assert Path(done.stdout.strip()) == unpacked, done.stderr


def test_every_file_can_be_read_by_every_user(tmp_path):
    private = tmp_path / "private.py"
    private.write_text("1\n")
    private.chmod(0o600)
    target = tmp_path / "a.zip"
    workshop.write(target, {"private.py": private, "text.md": "a"})
    with zipfile.ZipFile(target) as archive:
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert {entry.create_system for entry in archive.infolist()} == {3}
        assert archive.read(f"{workshop.ROOT}/private.py") == b"1\n"


def test_without_solutions_no_answer_is_inside_and_no_page_speaks_of_one():
    content = workshop.contents(data=False, solutions=False)
    assert {"notebooks/05_training.ipynb", "docs/quiz.md", "docs/setup.md"} <= set(content)
    assert not [name for name in content if re.search("solutions|answers|teaching", name)]
    pages = {name: text for name, text in content.items() if name.endswith((".md", ".html"))}
    for name, text in pages.items():
        assert not re.search(r"notebooks/solutions|answers\.md|\*\*correct\*\*", text), name
    assert "solved" not in content["START.md"].lower()
    with_them = workshop.contents(data=False, solutions=True)
    assert {"docs/answers.md", "docs/teaching.md"} <= set(with_them)
    assert "Solved notebooks are in" in with_them["START.md"]
    assert "](docs/answers.md)" in with_them["START.md"]


def test_notebooks_for_colab_install_the_zip_that_the_start_page_names():
    content = workshop.contents(data=False)
    made = {name for name in content if name.startswith("colab/")}
    assert len(made) == len(list((HOME / "notebooks").glob("*.ipynb")))
    assert all("%pip install --quiet workshop.zip" in content[name] for name in made)
    assert "`workshop.zip`" in content["START.md"]


def test_the_notice_has_the_licences_of_what_is_in_the_zip(unpacked):
    with_data = workshop.pages(data=True, solutions=True)["NOTICE"]
    assert "creativecommons.org/licenses/by-sa/3.0/" in with_data
    assert "LeCun" in with_data
    without = (unpacked / "NOTICE").read_text(encoding="utf-8")
    assert "MNIST" not in without
    assert all("MIT licence" in text for text in (with_data, without))
    assert (unpacked / "LICENSE").exists()


def test_the_zip_is_no_larger_than_mail_allows(unpacked, tmp_path, monkeypatch, capsys):
    size = (unpacked.parent / "workshop.zip").stat().st_size
    mnist = 11_600_000  # bytes of its four archives, which no zip makes smaller
    assert size + mnist < workshop.LARGEST == 20e6
    monkeypatch.setattr(workshop, "LARGEST", size - 1)
    other = tmp_path / "other.zip"
    assert workshop.main(["--into", str(other), "--without-data"]) == 1
    assert "--without-solutions" in capsys.readouterr().err
    assert not other.exists()


BEFORE_THE_DOCTOR = (
    "tools/workshop/start.py",
    "vaelib/__init__.py",
    "vaelib/__main__.py",
    "vaelib/calm.py",
    "vaelib/course/__init__.py",
    "vaelib/course/doctor.py",
    "vaelib/course/tasks.py",
)
NEWER = {"removeprefix", "removesuffix", "cache", "pairwise", "zoneinfo", "graphlib"}  # than 3.8


@pytest.mark.parametrize("name", BEFORE_THE_DOCTOR)
def test_what_runs_before_the_doctor_is_understood_by_python_3_8(name):
    """It says that Python is too old."""
    module = ast.parse((HOME / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    at_once = {node.module for node in module.body if isinstance(node, ast.ImportFrom)}
    ours = {name for name in at_once if name.split(".")[0] == "vaelib"}
    assert ours <= {"vaelib", "vaelib.calm", "vaelib.course"}
    if any(isinstance(node, ast.arg) and node.annotation for node in ast.walk(module)):
        assert "__future__" in at_once, "X | None would be evaluated"
    used = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    used |= {alias.name for node in imported for alias in node.names}
    assert not used & NEWER


def test_an_old_python_says_in_the_zip_what_to_install(unpacked):
    """Run where there is one; the test above looks at the source everywhere."""
    for name in ("python3.8", "python3.9"):
        program = shutil.which(name)
        if program and not subprocess.run([program, "-V"], capture_output=True).returncode:
            break
    else:
        pytest.skip("needs python3.8 or python3.9")
    command = [program, "start.py", "--check"]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "install Python 3.10 or newer" in done.stdout, done.stderr
    assert "START.md, in this folder, says how" in done.stdout
    page = (unpacked / "START.md").read_text(encoding="utf-8")
    assert "Python 3.10 or newer" in page
    assert "https://www.python.org/downloads/" in page


def test_pip_installs_the_zip_itself_as_colabs_first_cell_does(unpacked, tmp_path):
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    target = unpacked.parent / "workshop.zip"
    done = subprocess.run(
        [sys.executable, "-m", *command, "--wheel-dir", str(tmp_path), str(target)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("vaelib-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "vaelib/course/explorers/pad.js" in archive.namelist()


class TestData:
    def test_verified_files_go_in(self, root):
        found = dict(workshop_data())
        assert {name.rsplit("/")[-1] for name in found} >= {
            "train-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        }
        assert all(name.startswith("data/MNIST/raw/") for name in found)

    def test_a_damaged_file_stops_it_and_leaves_nothing(self, root, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(workshop, "DATA", ("mnist",))
        file = next(root.rglob("train-images*"))
        file.write_bytes(file.read_bytes()[:-9])
        target = tmp_path / "workshop.zip"
        assert workshop.main(["--into", str(target)]) == 1
        assert file.name in capsys.readouterr().err
        assert not list(tmp_path.glob("workshop*"))

    def test_missing_data_are_named_with_what_to_do(self, fresh, tmp_path, capsys):
        assert workshop.main(["--into", str(tmp_path / "workshop.zip")]) == 1
        assert "python -m vaelib data prefetch mnist" in capsys.readouterr().err


def workshop_data():
    from unittest.mock import patch

    with patch.object(workshop, "DATA", ("mnist",)):
        yield from workshop.data_files()
