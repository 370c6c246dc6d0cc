import pytest
from torchvision import datasets

from vaelib.__main__ import main
from vaelib.data import catalogue, loading
from vaelib.data.catalogue import PUBLISHED, DataError, files_of


@pytest.mark.parametrize("name", PUBLISHED)
def test_archives_and_checksums_are_those_that_torchvision_pins(name):
    kind = PUBLISHED[name].kind
    pinned = [(f"{kind}/raw/{file}", md5) for file, md5 in getattr(datasets, kind).resources]
    assert [(file.place, file.md5) for file in files_of(name)] == pinned


def test_files_of_a_split_are_images_then_labels():
    train, test = files_of("kmnist", "train"), files_of("kmnist", "test")
    assert [file.place for file in train] == [
        "KMNIST/raw/train-images-idx3-ubyte.gz",
        "KMNIST/raw/train-labels-idx1-ubyte.gz",
    ]
    assert [file.place.split("/")[-1][:11] for file in test] == ["t10k-images", "t10k-labels"]
    assert files_of("kmnist") == train + test
    assert files_of("glyphs", "train") == files_of("glyphs") == [catalogue.GLYPHS]


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(DataError, match="no data set is called 'minst'!; there is 'mnist', 'fash"):
        catalogue.known_name("minst", "!")


def test_one_entry_is_all_that_a_new_data_set_needs(mirror, fresh, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "new", PUBLISHED["fashion_mnist"])
    monkeypatch.setattr(catalogue, "NAMES", (*catalogue.NAMES, "new"))
    assert loading.load("new", "test").images.shape == (20, 784)
    assert main(["data", "verify", "new"]) == 0
