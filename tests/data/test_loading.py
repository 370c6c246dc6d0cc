import gzip
import re

import pytest
import torch

from vaelib.data import loading
from vaelib.data.catalogue import DataError, UnreachableError, files_of


def test_the_real_data_set_is_what_it_should_be():
    train, test = loading.load(split="train"), loading.load(split="test")
    assert train.name == test.name
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    for data in (train, test):
        assert data.images.dtype == data.labels.dtype == torch.uint8
        assert torch.bincount(data.labels).min() > 0.08 * len(data.labels)
        assert data.labels.max() == 9
    if train.name == "mnist":
        assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
        assert abs(train.images.float().mean() / 255 - 0.1307) < 1e-4


def test_each_split_comes_with_its_own_labels_row_by_row(root, published):
    train, test = loading.load("mnist"), loading.load("mnist", "test")
    assert train.images.shape == (30, 784)
    assert test.images.shape == (20, 784)
    assert train.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert len(test.labels) == 20
    content = gzip.decompress(published[files_of("mnist")[0].place])
    assert train.images.flatten().tolist() == list(content[16:])
    assert train.name == test.name == "mnist"


def test_a_damaged_file_is_never_loaded_even_if_it_was_sound_before(root):
    path = root / files_of("mnist")[1].place
    loading.load("mnist")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz cannot be unpacked"):
        loading.load("mnist")
    loading.load("mnist", "test")


@pytest.mark.usefixtures("as_users_run", "root")
def test_an_unknown_split_says_what_there_is():
    with pytest.raises(DataError, match="no split is called 'valid'; there is 'train', 'test' and"):
        loading.load("mnist", "valid")


def test_expect_holds_a_value_to_the_band_of_its_data_set():
    few = torch.zeros(1, 9, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8)
    bands = {"mnist": (1.0, 2.0), "glyphs": (5.0, 6.0)}
    for name, value in (("mnist", 1.0), ("mnist", torch.tensor(2.0)), ("glyphs", 5.5)):
        loading.Dataset(*few, name).expect(value, **bands)
    loading.Dataset(*few, "kmnist").expect(1e9, **bands)
    for name, value in (("mnist", 5.5), ("glyphs", 1.5), ("mnist", float("nan"))):
        with pytest.raises(AssertionError, match=f"outside .*, the band for {name}"):
            loading.Dataset(*few, name).expect(value, **bands)
    with pytest.raises(DataError, match="no data set is called 'minst'"):
        loading.Dataset(*few, "mnist").expect(1.5, minst=(1.0, 2.0))


class TestOrder:
    """An explicit name; VAELIB_DATASET; the folder of VAELIB_DATA; the cache; download; glyphs."""

    def test_the_folder_of_ones_own_comes_before_the_cache(
        self, hold, fresh, tmp_path, monkeypatch
    ):
        own = tmp_path / "own"
        monkeypatch.setenv("VAELIB_DATA", str(own))
        hold(fresh)
        with pytest.warns(UserWarning, match=re.escape(f"mnist is not in {own} (VAELIB_DATA)")):
            assert loading.choose() == ("mnist", fresh)
        hold(own)
        assert loading.choose() == ("mnist", own)

    def test_a_folder_that_lacks_a_file_is_passed_over(self, hold, fresh, root):
        hold(fresh)
        (root / files_of("mnist")[2].place).unlink()
        with pytest.warns(UserWarning, match=re.escape(f"so it is read from {fresh}")):
            assert loading.choose() == ("mnist", fresh)

    def test_then_comes_the_download(self, mirror, fresh):
        assert loading.load().images.shape == (30, 784)
        assert loading.choose() == ("mnist", fresh)
        assert len(mirror.asked) >= 4

    def test_an_argument_beats_the_variable_which_beats_the_default(self, hold, fresh, monkeypatch):
        hold(fresh)
        monkeypatch.setenv("VAELIB_DATASET", "glyphs")
        assert loading.choose() == ("glyphs", None)
        assert loading.choose("mnist") == ("mnist", fresh)
        monkeypatch.setenv("VAELIB_DATASET", "")
        assert loading.choose() == ("mnist", fresh)
        monkeypatch.setenv("VAELIB_DATASET", "emnist")
        with pytest.raises(DataError, match=r"called 'emnist' \(VAELIB_DATASET says so\); there"):
            loading.choose()

    def test_without_network_glyphs_come_with_a_notice_nobody_can_miss(self, fresh, capsys):
        assert loading.choose() == ("glyphs", None)
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
        self, root, tmp_path, monkeypatch, capsys, lack
    ):
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        if lack == "file":
            (root / files_of("mnist")[1].place).unlink()
        else:
            root.rename(tmp_path / "elsewhere")
        assert loading.choose().name == "glyphs"
        said = "".join(capsys.readouterr().err.replace("┃", "").split())
        assert "VAELIB_OFFLINE=1forbidstodownloadit" in said
        assert f"VAELIB_DATAissetto{root},but".replace(" ", "") in said
        if lack == "file":
            assert "lackstrain-labels-idx1-ubyte.gz.Itmustbethefolderthatcontains" in said
        else:
            assert "thereisnosuchfolder" in said

    def test_offline_files_that_are_there_are_used(self, hold, fresh, monkeypatch, capsys):
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        hold(fresh)
        assert loading.choose() == ("mnist", fresh)
        assert capsys.readouterr().err == ""

    def test_one_process_stays_with_the_stand_in_and_says_so_once(self, hold, fresh, capsys):
        assert loading.choose().name == "glyphs"
        hold(fresh)  # MNIST arrives in the middle: two splits must not get mixed up
        assert loading.choose().name == "glyphs"
        assert capsys.readouterr().err.count("NOT MNIST") == 1
        assert loading.choose("mnist").name == "mnist"

    @pytest.mark.parametrize("by", ["argument", "variable"])
    def test_what_was_asked_for_is_never_swapped(self, fresh, by, monkeypatch, capsys):
        if by == "variable":
            monkeypatch.setenv("VAELIB_DATASET", "mnist")
        with pytest.raises(UnreachableError) as caught:
            loading.choose("mnist" if by == "argument" else None)
        assert "NOT MNIST" not in capsys.readouterr().err
        for file in files_of("mnist"):
            assert f"{fresh / file.place}  {file.md5}" in str(caught.value)

    def test_a_disk_that_fails_is_an_error_and_no_reason_for_glyphs(self, mirror, fresh):
        fresh.parent.mkdir(parents=True)
        fresh.write_text("a file where the folder should be")
        with pytest.raises(DataError, match="cannot be written") as caught:
            loading.choose()
        assert not isinstance(caught.value, UnreachableError)

    def test_an_unpacked_file_that_cannot_be_verified_is_not_read(self, root, monkeypatch):
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        (root / "MNIST").rename(root / "FashionMNIST")
        assert loading.load("fashion_mnist").name == "fashion_mnist"
        archive = root / files_of("fashion_mnist")[0].place
        archive.rename(archive.with_suffix(""))
        with pytest.raises(DataError, match=r"files are missing:\n.*/raw/train-images-idx3-ubyte"):
            loading.load("fashion_mnist")


def test_all_is_training_and_test_images(mirror, fresh):
    both, train, test = (loading.load("mnist", split) for split in ("all", "train", "test"))
    assert torch.equal(both.images, torch.cat([train.images, test.images]))
    assert torch.equal(both.labels, torch.cat([train.labels, test.labels]))
