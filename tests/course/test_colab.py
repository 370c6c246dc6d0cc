"""Colab's versions stay as they are, and its notebooks begin by installing the course."""

import sys
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import colab  # noqa: E402

PINS = colab.pins(colab.PINS.read_text("utf-8"))
WANTED = colab.requirements((HOME / "pyproject.toml").read_text("utf-8"))


def test_every_requirement_is_met_by_colabs_version_or_is_not_on_colab():
    versions = {colab.canonical(name): version for name, version in PINS.items()}
    found = {r.name: r.specifier for r in map(Requirement, WANTED)}
    missing = {name for name in found if colab.canonical(name) not in versions}
    assert missing == {"jaxtyping"}
    for name in set(found) - missing:
        assert found[name].contains(versions[colab.canonical(name)]), name
    assert len(found) > 10


def test_pip_would_change_nothing_on_colab():
    assert colab.changed(PINS, WANTED, "--no-index") == []  # jaxtyping is installed here


def test_a_bound_that_colab_does_not_meet_is_named(tmp_path):
    wheel = little_wheel(tmp_path, "anywidget", "99.0")
    found = colab.changed(PINS, ["anywidget>=99"], "--no-index", "--find-links", str(wheel.parent))
    assert found == ["anywidget 0.9.21 -> 99.0"]


def test_a_bound_that_nothing_meets_is_pips_own_error():
    with pytest.raises(colab.ColabError, match="ipython>=99"):
        colab.changed(PINS, ["ipython>=99"], "--no-index")


def test_the_command_fails_if_anything_would_change_and_names_it(monkeypatch, capsys):
    monkeypatch.setattr(colab, "changed", lambda versions, wanted: ["ipython 7.34.0 -> 9.0"])
    assert colab.main(["check"]) == 1
    assert "ipython 7.34.0 -> 9.0" in capsys.readouterr().err
    monkeypatch.setattr(colab, "changed", lambda versions, wanted: [])
    assert colab.main(["check"]) == 0
    assert f"none of {len(PINS)} packages" in capsys.readouterr().out


def little_wheel(folder, name, version):
    """A wheel without files."""
    import zipfile

    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


class TestNotebooks:
    def test_the_install_cell_comes_first_and_the_rest_is_as_it_was(self, tmp_path):
        made = colab.make("workshop.zip", tmp_path / "new" / "colab")
        assert [path.name for path in made] == sorted(
            path.name for path in (HOME / "notebooks").glob("*.ipynb")
        )
        for path in made:
            theirs = nbformat.read(path, as_version=4)
            nbformat.validate(theirs)
            ours = nbformat.read(HOME / "notebooks" / path.name, as_version=4)
            (index,) = (i for i, cell in enumerate(theirs.cells) if "%pip" in cell.source)
            assert [cell.cell_type for cell in ours.cells].index("code") == index > 0
            assert "%pip install --quiet workshop.zip\n" in theirs.cells.pop(index).source
            assert theirs.cells == ours.cells

    def test_the_cell_installs_only_where_the_package_is_missing(self, monkeypatch):
        from importlib import util

        installed = []
        text = colab.CELL.format(source="workshop.zip")
        text = text.replace("%pip install --quiet workshop.zip", "note('installed')")
        for there, expected in ((object(), []), (None, ["installed"])):
            monkeypatch.setattr(util, "find_spec", lambda name, there=there: there)
            installed.clear()
            exec(text, {"note": installed.append})
            assert installed == expected

    def test_it_turns_on_widgets_on_colab_alone(self, monkeypatch):
        import types

        monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))  # as protobuf makes
        called = []
        output = types.SimpleNamespace(enable_custom_widget_manager=lambda: called.append(1))
        text = colab.CELL.format(source="x").replace("%pip install --quiet x", "pass")
        exec(text, {})
        assert called == []
        module = types.ModuleType("google.colab")
        module.output = output
        monkeypatch.setitem(sys.modules, "google.colab", module)
        exec(text, {})
        assert called == [1]

    def test_a_source_that_could_run_a_command_is_refused(self, tmp_path, capsys):
        assert colab.main(["make", "x; rm -r y", "--into", str(tmp_path / "new")]) == 1
        assert "is no source for pip" in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
