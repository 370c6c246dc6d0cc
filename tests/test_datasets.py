import gzip
import struct

import numpy as np
import pytest
import torch

from vaelib import datasets
from vaelib.sources import FILES, DataError


def idx(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A torchvision root with three training and two test images, one of its files gzipped."""
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        images, labels = FILES["mnist"][split]
        (tmp_path / images).parent.mkdir(parents=True, exist_ok=True)
        picture = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (tmp_path / images).write_bytes(idx(picture))
        packed = gzip.compress(idx(np.arange(count, dtype=np.uint8)))
        (tmp_path / (labels + ".gz")).write_bytes(packed)
    return tmp_path


def test_load_reads_plain_and_gzipped_files(root):
    data = datasets.load("mnist", "train")
    assert data.images.shape == (3, 784)
    assert data.images.dtype == data.labels.dtype == torch.uint8
    assert data.labels.tolist() == [0, 1, 2]
    assert data.name == "mnist"
    raw = (root / FILES["mnist"]["train"][0]).read_bytes()
    assert data.images[0, :5].tolist() == list(raw[16:21])


def test_real_mnist_is_what_it_should_be():
    train, test = datasets.load("mnist", "train"), datasets.load("mnist", "test")
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(train.images.float().mean() / 255 - 0.1307) < 1e-4


def test_torchvision_reads_the_same(root):
    from torchvision.datasets.mnist import read_image_file

    path = root / FILES["mnist"]["test"][0]
    assert torch.equal(read_image_file(str(path)).flatten(1), datasets.load("mnist", "test").images)


@pytest.mark.usefixtures("as_users_run", "root")
def test_unknown_names_say_what_there_is():
    with pytest.raises(DataError, match="no data set is called 'minst'; there is 'mnist'"):
        datasets.load("minst")
    with pytest.raises(DataError, match="no split is called 'valid'; there is 'train' and 'test'"):
        datasets.load("mnist", "valid")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-1], "has 2351 bytes of data where its header promises 2352"),
        (lambda raw: raw + b"\0", "has 2353 bytes"),
        (lambda raw: raw[:10], "is not an IDX file"),
        (lambda raw: b"", "is not an IDX file"),
        (lambda raw: b"<html>" + raw, "is not an IDX file"),
        (lambda raw: idx(np.zeros((3, 14, 14), np.uint8)), r"expected \(n, 28, 28\)"),
    ],
)
def test_damaged_files_are_named(root, damage, message):
    path = root / FILES["mnist"]["train"][0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        datasets.load("mnist", "train")
    assert str(root) in str(caught.value)


def test_labels_that_do_not_match_are_named(root):
    path = root / (FILES["mnist"]["train"][1] + ".gz")
    path.write_bytes(gzip.compress(idx(np.arange(4, dtype=np.uint8))))
    with pytest.raises(DataError, match=r"labels of shape \(4,\)"):
        datasets.load("mnist", "train")


def test_a_truncated_gzip_is_named(root):
    path = root / (FILES["mnist"]["train"][1] + ".gz")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz cannot be read"):
        datasets.load("mnist", "train")
