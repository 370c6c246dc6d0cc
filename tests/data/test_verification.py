import gzip

import numpy as np
import pytest
from damage import survive_damage
from mirror import idx

from vaelib.data import store, verification
from vaelib.data.catalogue import DataError, files_of


@pytest.fixture
def train(root):
    """The file of the small training images, as it is published."""
    return files_of("mnist", "train")[0]


def unpack(root, file):
    """Replace an archive by the file that is in it; its path."""
    path = root / file.place
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return plain


def flip(raw):
    return raw[:-9] + bytes([raw[-9] ^ 4]) + raw[-8:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-1], "has 23519 bytes of data where its header promises 23520"),
        (lambda raw: raw + b"\0", "has 23521 bytes"),
        (lambda raw: raw[:10], "is not an IDX file"),
        (lambda raw: b"", "is not an IDX file"),
        (lambda raw: b"<html>" + raw, "is not an IDX file"),
        (lambda raw: raw[:3] + b"\xff" + bytes(4 * 255), "is not an IDX file"),
        (lambda raw: idx(np.zeros((30, 14, 14), np.uint8)), "is not the published"),
        (lambda raw: raw[:4] + raw[8:12] + raw[4:8] + raw[12:], "is not the published"),
        (flip, r"is not the published MNIST/raw/train-images-idx3-ubyte.gz \(damaged\)"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_named_with_what_to_do(root, train, damage, message, packed):
    path = unpack(root, train)
    content = damage(path.read_bytes())
    if packed:
        path.unlink()
        path, content = root / train.place, gzip.compress(content)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        verification.read_published(train, path)
    assert str(caught.value).startswith(f"{path} ")
    advice = f'Delete it and get it anew: python -m vaelib data prefetch mnist --root "{root}"'
    assert str(caught.value).endswith(advice)


def test_a_truncated_archive_is_named(root, train):
    path = root / train.place
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"images-idx3-ubyte\.gz cannot be unpacked"):
        verification.read_published(train, path)


def test_a_file_that_cannot_be_opened_is_named(root, train):
    with pytest.raises(DataError, match=r"MNIST cannot be read \(.*directory"):
        verification.read_published(train, root / "MNIST")


def test_what_differs_is_said_in_checksums_and_swapped_files_are_recognised(root):
    (_, labels), (_, others) = files_of("mnist", "train"), files_of("mnist", "test")
    (root / labels.place).write_bytes((root / others.place).read_bytes())
    with pytest.raises(DataError, match=rf"\(it holds what belongs into {others.place}") as caught:
        verification.read_published(labels, root / labels.place)
    assert f"its checksum is {others.sha256}, expected {labels.sha256}" in str(caught.value)


def test_a_known_content_is_recognised_however_it_is_packed(root, train):
    path = root / train.place
    values = verification.read_published(train, path)
    path.write_bytes(gzip.compress(idx(values), compresslevel=1, mtime=3))
    assert (verification.read_published(train, path) == values).all()
    assert (verification.read_published(train, unpack(root, train)) == values).all()


def test_other_archives_are_verified_by_torchvisions_checksum(root, train):
    (fashion, _) = files_of("fashion_mnist", "train")
    path = root / train.place
    values = verification.read_published(fashion, path)
    assert values.shape == (30, 28, 28)
    path.write_bytes(gzip.compress(idx(values), compresslevel=1, mtime=3))
    with pytest.raises(DataError, match="is not the published FashionMNIST"):
        verification.read_published(fashion, path)


def test_torchvision_reads_the_same(root, train):
    from torchvision.datasets.mnist import read_image_file

    path = unpack(root, train)
    ours = verification.read_published(train, path)
    assert (read_image_file(str(path)).numpy() == ours).all()
    assert ours.flags.writeable


def test_what_is_pinned_is_compared_with_what_is_on_this_machine():
    """The SHA-256 that we know are those of the MNIST at hand, where it is at hand."""
    root = store.locate("mnist")
    if root is None:
        pytest.skip("MNIST is not on this machine")
    assert [problem for *_, problem in verification.inspect("mnist", root)] == [""] * sum(
        len(store.copies_of(file, root)) for file in files_of("mnist")
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file_is_refused_with_our_own_error_or_read_as_it_was(root, train, packed):
    path = root / train.place if packed else unpack(root, train)

    def read():
        return verification.read_published(train, path)

    survive_damage(path, read, read())
