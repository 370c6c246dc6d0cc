import sys
import threading
from pathlib import Path

import pytest

from vaelib.data import loading, store
from vaelib.data.catalogue import DataError, files_of

FILES = files_of("mnist")


def test_home_and_relative_folders_are_named_in_full(fresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for folder in ("~/data", "./data"):
        monkeypatch.setenv("VAELIB_DATA", folder)
        assert store.places() == [tmp_path / "data", store.cache_folder()]


def test_the_cache_follows_the_users_setting(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert store.cache_folder() == Path("/somewhere/vaelib")


def test_an_unpacked_file_counts_where_its_content_can_be_verified(root):
    assert store.missing("mnist", root) == []
    for name in ("MNIST", "FashionMNIST"):
        archive = root / name / "raw" / Path(FILES[0].place).name
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.with_suffix("").touch()
    archive, plain = root / FILES[0].place, (root / FILES[0].place).with_suffix("")
    assert store.copies_of(FILES[0], root) == [plain, archive]
    archive.unlink()
    assert store.missing("mnist", root) == []
    plain.unlink()
    assert [file.place for file in store.missing("mnist", root)] == [FILES[0].place]
    assert store.missing("fashion_mnist", root) == files_of("fashion_mnist")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_names_that_unpacking_programs_give_count_too(root, ending):
    """A dot, as the archive's header has it; a folder of the file's name, as Kaggle has it."""
    dashed, dotted = "train-images-idx3-ubyte", "train-images.idx3-ubyte"
    raw = (root / FILES[0].place).parent
    (root / FILES[0].place).unlink()
    for name in (dotted, f"{dashed}/{dashed}", f"{dashed}/{dotted}", f"{dotted}/{dotted}"):
        path = raw / (name + ending)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert store.copies_of(FILES[0], root) == [path]
        assert store.missing("mnist", root) == []
        path.unlink()
        if path.parent != raw:
            path.parent.rmdir()


def test_without_a_checksum_of_the_content_only_archives_count(root):
    file, _ = files_of("fashion_mnist", "train")
    raw = (root / file.place).parent
    raw.mkdir(parents=True)
    for name in ("train-images.idx3-ubyte", "train-images-idx3-ubyte"):
        (raw / name).touch()
    assert store.copies_of(file, root) == []
    (raw / "train-images.idx3-ubyte.gz").touch()
    assert store.copies_of(file, root) == [raw / "train-images.idx3-ubyte.gz"]


def test_absence_names_each_place_and_what_it_lacks(fresh, tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / FILES[0].place).parent.mkdir(parents=True)
    (own / FILES[0].place).with_suffix("").touch()
    monkeypatch.setenv("VAELIB_DATA", str(own))
    said = store.absence("mnist")
    assert f"{own} (VAELIB_DATA). These files are missing:\n  {own / FILES[1].place}" in said
    assert f"{fresh} (the cache): there is no such folder" in said
    assert "set VAELIB_DATA to a folder that has them in MNIST/raw/" in said


@pytest.mark.parametrize("inside", ["MNIST", "MNIST/raw"])
def test_anyone_who_names_a_folder_too_deep_is_told(root, monkeypatch, capsys, inside):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    monkeypatch.setenv("VAELIB_DATA", str(root / inside))
    hint = f"But {root} has it: set VAELIB_DATA to that."
    assert hint in store.absence("mnist")
    assert loading.choose().name == "glyphs"
    said = "".join(capsys.readouterr().err.replace("┃", "").split())
    assert "".join(hint.split()) in said


class TestFilling:
    def test_only_one_fills_a_folder_and_the_others_say_that_they_wait(
        self, fresh, monkeypatch, capsys
    ):
        monkeypatch.setattr(store, "PATIENCE", 0.01)
        filled = threading.Event()

        def fill():
            with store.filling(fresh):
                filled.set()

        other = threading.Thread(target=fill)
        with store.filling(fresh):
            other.start()
            assert not filled.wait(0.2)
        other.join()
        assert filled.is_set()
        assert f"Waiting: another process is filling {fresh}" in capsys.readouterr().err

    def test_what_killed_processes_left_is_swept_away_and_nothing_else(self, fresh):
        ours = [fresh / f"{folder}/.x.123.partial" for folder in ("MNIST/raw", "glyphs")]
        others = [fresh / name for name in (".x.123.partial", "MNIST/raw/y.partial", "models/.x")]
        for path in ours + others:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        with store.filling(fresh):
            assert [path.exists() for path in ours + others] == [False] * 2 + [True] * 3

    @pytest.mark.parametrize("home", ["/proc/nowhere", "a file"])
    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path, home):
        if home == "a file":
            (tmp_path / "file").touch()
            home = tmp_path / "file" / "sub"
        elif not sys.platform.startswith("linux"):
            pytest.skip("only Linux has /proc")
        with pytest.raises(DataError, match="cannot be written") as caught:  # noqa: SIM117
            with store.filling(Path(home)):
                pass
        assert str(home) in str(caught.value)
        assert "Nothing half-written was kept" in str(caught.value)
        assert "prefetch --root DIR, and set VAELIB_DATA to it" in str(caught.value)
