"""The zip for a room: what is in it, and that it runs where it is unpacked, without network."""

import os
import re
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


def test_every_link_inside_leads_somewhere(unpacked):
    texts = {}
    for path in unpacked.rglob("*.md"):
        texts[path] = path.read_text(encoding="utf-8")
    for path in unpacked.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        texts[path] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    found = [
        (path.parent / link).resolve()
        for path, text in texts.items()
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text)
    ]
    assert len(found) > 10
    assert [path for path in found if not path.exists()] == []


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
