from pathlib import Path

import pytest

from vaelib.data import store
from vaelib.data.store import DataError, UnreachableError

FILES = store.files("mnist")


def test_archives_and_checksums_are_those_that_torchvision_pins():
    from torchvision import datasets

    for name, kind in (("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")):
        ours = {file.split("/")[-1]: md5 for file, md5 in store.ARCHIVES[name].items()}
        assert ours == dict(getattr(datasets, kind).resources)
        assert {file.rsplit("/", 1)[0] for file in store.ARCHIVES[name]} == {f"{kind}/raw"}


def test_files_of_a_split_are_images_then_labels():
    assert store.files("kmnist", "test") == [
        "KMNIST/raw/t10k-images-idx3-ubyte.gz",
        "KMNIST/raw/t10k-labels-idx1-ubyte.gz",
    ]
    assert len(store.files("kmnist")) == 4
    assert store.files("glyphs", "train") == store.files("glyphs") == [store.GLYPHS]


class TestOrder:
    """An explicit name; VAELIB_DATASET; the folder of VAELIB_DATA; the cache; download; glyphs."""

    @pytest.fixture
    def held(self, fresh, published, tmp_path, monkeypatch):
        """Write the small MNIST into a folder."""

        def hold(folder):
            for file, content in published.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content)
            return folder

        return hold

    def test_the_folder_of_ones_own_comes_before_the_cache(
        self, held, fresh, tmp_path, monkeypatch
    ):
        own = tmp_path / "own"
        monkeypatch.setenv("VAELIB_DATA", str(own))
        held(fresh)
        with pytest.warns(UserWarning, match=rf"mnist is not in {own} \(VAELIB_DATA\), so it is"):
            assert store.choose() == ("mnist", fresh)
        held(own)
        assert store.choose() == ("mnist", own)

    def test_a_folder_that_lacks_a_file_is_passed_over(self, held, fresh, tmp_path, monkeypatch):
        own = held(tmp_path / "own")
        monkeypatch.setenv("VAELIB_DATA", str(own))
        held(fresh)
        (own / FILES[2]).unlink()
        with pytest.warns(UserWarning, match=f"so it is read from {fresh}"):
            assert store.choose() == ("mnist", fresh)

    def test_then_comes_the_download(self, mirror, fresh):
        assert store.choose() == ("mnist", fresh)
        assert store.missing("mnist", fresh) == []
        assert len(mirror.asked) >= 4

    def test_an_argument_beats_the_variable_which_beats_the_default(self, held, fresh, monkeypatch):
        held(fresh)
        monkeypatch.setenv("VAELIB_DATASET", "glyphs")
        assert store.choose().name == "glyphs"
        assert store.choose("mnist").name == "mnist"
        monkeypatch.setenv("VAELIB_DATASET", "")
        assert store.choose().name == "mnist"

    def test_without_network_glyphs_come_with_a_notice_nobody_can_miss(self, fresh, capsys):
        assert store.choose() == ("glyphs", None)
        said = capsys.readouterr().err
        assert "THIS IS NOT MNIST" in said
        said_plainly = " ".join(said.replace("┃", " ").split())
        assert "and the download of train-images-idx3-ubyte.gz failed: http" in said_plainly
        assert "VAELIB_DATA is set" not in said
        assert "What differs" in said
        assert "%run -m vaelib data prefetch mnist" in said
        frame = [line for line in said.splitlines() if line[:1] in "┏┃┗"]
        assert {len(line) for line in frame} == {80}

    @pytest.mark.parametrize("lack", ["folder", "file"])
    def test_the_notice_says_what_is_wrong_with_the_folder_of_ones_own(
        self, held, fresh, tmp_path, monkeypatch, capsys, lack
    ):
        own = tmp_path / "own"
        if lack == "file":
            (held(own) / FILES[1]).unlink()
        monkeypatch.setenv("VAELIB_DATA", str(own))
        assert store.choose().name == "glyphs"
        said = "".join(capsys.readouterr().err.replace("┃", "").split())
        assert f"VAELIB_DATAissetto{own},but" in said
        if lack == "file":
            assert "lackstrain-labels-idx1-ubyte.gz.Itmustbethefolderthatcontains" in said
        else:
            assert "thereisnosuchfolder" in said

    def test_offline_no_network_is_tried(self, mirror, monkeypatch, capsys):
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        assert store.choose().name == "glyphs"
        said = " ".join(capsys.readouterr().err.replace("┃", " ").split())
        assert "VAELIB_OFFLINE=1 forbids to download it" in said
        assert mirror.asked == []
        monkeypatch.setenv("VAELIB_OFFLINE", "0")
        assert store.offline() is None
        monkeypatch.setenv("VAELIB_OFFLINE", "no mirror could be reached")
        assert store.offline() == "no mirror could be reached"

    def test_offline_files_that_are_there_are_used(self, held, fresh, monkeypatch, capsys):
        held(fresh)
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        assert store.choose() == ("mnist", fresh)
        assert capsys.readouterr().err == ""

    def test_one_process_stays_with_the_stand_in_and_says_so_once(self, held, fresh, capsys):
        assert store.choose().name == "glyphs"
        held(fresh)  # MNIST arrives in the middle: two splits must not get mixed up
        assert store.choose().name == "glyphs"
        assert capsys.readouterr().err.count("NOT MNIST") == 1
        assert store.choose("mnist").name == "mnist"

    @pytest.mark.parametrize("by", ["argument", "variable"])
    def test_what_was_asked_for_is_never_swapped(self, fresh, by, monkeypatch, capsys):
        if by == "variable":
            monkeypatch.setenv("VAELIB_DATASET", "mnist")
        with pytest.raises(UnreachableError) as caught:
            store.choose("mnist" if by == "argument" else None)
        assert "NOT MNIST" not in capsys.readouterr().err
        for file, md5 in store.ARCHIVES["mnist"].items():
            assert f"{fresh / file}  {md5}" in str(caught.value)

    def test_a_disk_that_fails_is_an_error_and_no_reason_for_glyphs(self, mirror, fresh):
        fresh.parent.mkdir(parents=True)
        fresh.write_text("a file where the folder should be")
        with pytest.raises(DataError, match="cannot be written") as caught:
            store.choose()
        assert not isinstance(caught.value, UnreachableError)


def test_absence_names_each_place_and_what_it_lacks(fresh, tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / FILES[0]).parent.mkdir(parents=True)
    (own / FILES[0]).with_suffix("").touch()
    monkeypatch.setenv("VAELIB_DATA", str(own))
    said = store.absence("mnist")
    assert f"{own} (VAELIB_DATA). These files are missing:\n  {own / FILES[1]}" in said
    assert f"{fresh} (the cache): there is no such folder" in said
    assert "set VAELIB_DATA to a folder that has them in MNIST/raw/" in said


@pytest.mark.parametrize("inside", ["MNIST", "MNIST/raw"])
def test_whoever_names_a_folder_too_deep_is_told(root, monkeypatch, capsys, inside):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    monkeypatch.setenv("VAELIB_DATA", str(root / inside))
    assert f"But {root} has it: set VAELIB_DATA to that." in store.absence("mnist")
    assert store.choose().name == "glyphs"
    said = "".join(capsys.readouterr().err.replace("┃", "").split())
    assert "".join(f"But {root} has it: set VAELIB_DATA to that.".split()) in said


def test_home_and_relative_folders_are_named_in_full(fresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for folder in ("~/data", "./data"):
        monkeypatch.setenv("VAELIB_DATA", folder)
        assert store.places()[0] == tmp_path / "data"


def test_the_cache_follows_the_users_setting(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert store.cache_folder() == Path("/somewhere/vaelib")


def test_an_unknown_name_says_what_there_is(monkeypatch):
    with pytest.raises(DataError, match="no data set is called 'cifar'; there is 'mnist'"):
        store.choose("cifar")
    monkeypatch.setenv("VAELIB_DATASET", "emnist")
    with pytest.raises(DataError, match=r"called 'emnist' \(VAELIB_DATASET says so\); there is"):
        store.choose()
