import gzip
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from mirror import idx
from safetensors.torch import save_file

from vaelib.data import glyphs, loading, store, verification
from vaelib.data.store import DataError

TRAIN, LABELS = store.files("mnist", "train")


def unpack(root, file):
    """Replace an archive by the file that is in it; its path."""
    path = root / file
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return plain


def test_load_reads_archives_and_unpacked_files(root):
    from_archive = loading.load("mnist", "train")
    plain = unpack(root, TRAIN)
    data = loading.load("mnist", "train")
    assert data.images.shape == (30, 784)
    assert data.images.dtype == data.labels.dtype == torch.uint8
    assert data.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert data.name == "mnist"
    assert torch.equal(data.images, from_archive.images)
    assert data.images[0, :300].tolist() == list(plain.read_bytes()[16:316])
    assert loading.load("mnist", "test").images.shape == (20, 784)


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


def test_torchvision_reads_the_same(root):
    from torchvision.loading.mnist import read_image_file

    path = unpack(root, store.files("mnist", "test")[0])
    assert torch.equal(read_image_file(str(path)).flatten(1), loading.load("mnist", "test").images)


@pytest.mark.usefixtures("as_users_run", "root")
def test_unknown_names_say_what_there_is():
    with pytest.raises(DataError, match="no data set is called 'minst'; there is 'mnist', 'fash"):
        loading.load("minst")
    with pytest.raises(DataError, match="no split is called 'valid'; there is 'train' and 'test'"):
        loading.load("mnist", "valid")


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
        (lambda raw: raw[:4] + raw[8:12] + raw[4:8] + raw[12:], r"expected \(n, 28, 28\)"),
        (flip, r"is not the published MNIST/raw/train-images-idx3-ubyte.gz \(damaged\)"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_named_with_what_to_do(root, damage, message, packed):
    path = unpack(root, TRAIN)
    content = damage(path.read_bytes())
    if packed:
        path.unlink()
        path = path.with_name(path.name + ".gz")
        content = gzip.compress(content)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        loading.load(split="train")
    assert str(root) in str(caught.value)
    assert "anew" in str(caught.value)


def test_a_truncated_archive_is_named(root):
    path = root / LABELS
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz cannot be unpacked"):
        loading.load("mnist", "train")


def test_swapped_files_are_recognised(root):
    test_labels = store.files("mnist", "test")[1]
    (root / LABELS).write_bytes((root / test_labels).read_bytes())
    with pytest.raises(DataError, match=rf"holds what belongs into {test_labels}"):
        loading.load("mnist", "train")


def test_an_unpacked_file_of_another_data_set_cannot_be_verified_so_it_is_not_read(
    root, monkeypatch
):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    (root / "MNIST").rename(root / "FashionMNIST")
    assert loading.load("fashion_mnist").name == "fashion_mnist"
    unpack(root, f"Fashion{TRAIN}")
    with pytest.raises(DataError, match=r"files are missing:\n.*/raw/train-images-idx3-ubyte\.gz"):
        loading.load("fashion_mnist")


def test_archives_of_other_data_sets_are_verified_by_torchvisions_checksum(root):
    (root / "MNIST").rename(root / "FashionMNIST")
    path = root / f"Fashion{TRAIN}"
    values = loading.read_idx(path.read_bytes())
    path.write_bytes(gzip.compress(idx(values), compresslevel=1, mtime=3))
    with pytest.raises(DataError, match="is not the published FashionMNIST"):
        loading.load("fashion_mnist")


def test_expect_holds_a_value_to_the_band_of_its_data_set(published):
    few = torch.zeros(1, 784, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8)
    bands = {"mnist": (1.0, 2.0), "glyphs": (5.0, 6.0)}
    for name, value in (("mnist", 1.0), ("mnist", torch.tensor(2.0)), ("glyphs", 5.5)):
        loading.Dataset(*few, name).expect(value, **bands)
    loading.Dataset(*few, "kmnist").expect(1e9, **bands)
    for name, value in (("mnist", 5.5), ("glyphs", 1.5), ("mnist", float("nan"))):
        with pytest.raises(AssertionError, match=f"outside .*, the band for {name}"):
            loading.Dataset(*few, name).expect(value, **bands)
    with pytest.raises(DataError, match="no data set is called 'minst'"):
        loading.Dataset(*few, "mnist").expect(1.5, minst=(1.0, 2.0))


class TestGlyphs:
    @pytest.fixture
    def few(self, fresh, monkeypatch):
        """Glyphs of which there are only 40 and 20; the folder of the cache."""
        monkeypatch.setattr(glyphs, "COUNTS", {"train": 40, "test": 20})
        return fresh

    def test_they_are_drawn_once_and_kept_in_one_file(self, few, capsys):
        train, test = loading.load("glyphs", "train"), loading.load("glyphs", "test")
        assert train.name == test.name == "glyphs"
        assert train.images.shape == (40, 784)
        assert test.labels.shape == (20,)
        assert capsys.readouterr().err.count("Drawing") == 1
        files = [path for path in few.rglob("*") if path.is_file() and path.name != ".lock"]
        assert [path.name for path in files] == ["glyphs.safetensors"]

    def test_those_in_a_folder_of_ones_own_are_used(self, few, tmp_path, monkeypatch, capsys):
        loading.draw_glyphs(tmp_path / "stick")
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "stick"))
        capsys.readouterr()
        assert loading.load("glyphs").images.shape == (40, 784)
        assert capsys.readouterr().err == ""
        assert not few.exists()

    def test_two_processes_at_once_draw_them_once(self, few):
        script = (
            "from vaelib.data import glyphs; glyphs.COUNTS = {'train': 2000, 'test': 500}; "
            "from vaelib.data import loading; print(len(loading.load('glyphs').images))"
        )
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        two = [subprocess.Popen([sys.executable, "-c", script], **pipes) for _ in range(2)]
        said = [child.communicate(timeout=120) for child in two]
        assert [out for out, _ in said] == ["2000\n", "2000\n"]
        assert sum("Drawing" in err for _, err in said) == 1

    @pytest.mark.parametrize(
        "damage",
        [
            lambda raw: raw[:-100],
            lambda raw: flip(raw),
            lambda raw: b"",
            lambda raw: raw.replace(b"vaelib glyphs 1", b"vaelib glyphs 0"),
        ],
    )
    def test_a_damaged_file_is_drawn_again_or_named(
        self, few, damage, tmp_path, monkeypatch, capsys
    ):
        good = loading.load("glyphs")
        path = few / store.GLYPHS
        path.write_bytes(damage(path.read_bytes()))
        capsys.readouterr()
        assert torch.equal(loading.load("glyphs").images, good.images)
        said = capsys.readouterr().err
        assert str(path) in said
        assert "Drawing them again" in said
        own = tmp_path / "own" / store.GLYPHS
        own.parent.mkdir(parents=True)
        own.write_bytes(damage(path.read_bytes()))
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "own"))
        with pytest.raises(DataError, match="prefetch glyphs --root") as caught:
            loading.load("glyphs")
        assert str(own) in str(caught.value)

    def test_where_the_cache_cannot_be_written_they_come_all_the_same(self, few, capsys):
        few.parent.mkdir(parents=True)
        few.write_text("a file where the folder should be")
        assert loading.load("glyphs").images.shape == (40, 784)
        assert loading.load("glyphs", "test").images.shape == (20, 784)
        said = capsys.readouterr().err
        assert "could not be kept" in said
        assert "cannot be written" in said
        loading._drawn_in_memory.cache_clear()

    def test_a_killed_drawing_leaves_nothing_that_is_believed(self, few, monkeypatch):
        def killed(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(loading, "keep_glyphs", killed)
        with pytest.raises(KeyboardInterrupt):
            loading.load("glyphs")
        assert [path.name for path in few.rglob("*")] == [".lock"]


class TestFuzz:
    """2,100 damaged files: each is refused with our own error, or read as it was published."""

    CASES = 700

    @pytest.fixture(autouse=True)
    def no_hang(self):
        if not hasattr(signal, "SIGALRM"):
            yield
            return
        signal.alarm(240)
        yield
        signal.alarm(0)

    @staticmethod
    def mutate(dice, raw):
        """A few random changes: bits, bytes, blocks, lengths; or now and then none."""
        raw = bytearray(raw)
        for _ in range(dice.choice((0, 1, 1, 1, 2, 8))):
            kind = dice.choice(("bit", "byte", "head", "cut", "drop", "insert", "swap", "zero"))
            at = dice.randrange(len(raw) + 1)
            some = dice.randrange(1, 64)
            if kind == "bit" and raw:
                raw[at % len(raw)] ^= 1 << dice.randrange(8)
            elif kind == "byte" and raw:
                raw[at % len(raw)] = dice.randrange(256)
            elif kind == "head" and raw:
                raw[dice.randrange(min(len(raw), 64))] = dice.choice((0, 1, 3, 8, 127, 255))
            elif kind == "cut":
                del raw[at:]
            elif kind == "drop":
                del raw[at : at + some]
            elif kind == "insert":
                raw[at:at] = dice.randbytes(some)
            elif kind == "swap":
                raw[at : at + some], raw[:some] = raw[:some], raw[at : at + some]
            elif kind == "zero":
                raw[at : at + some] = bytes(len(raw[at : at + some]))
        return bytes(raw)

    def survive(self, path, load, expected, error):
        """Load 700 mutants of the file at `path`; how many were read, and how many refused."""
        dice, good = random.Random(path.name), path.read_bytes()
        read = refused = 0
        for _ in range(self.CASES):
            path.write_bytes(self.mutate(dice, good))
            try:
                found = load()
            except error as refusal:
                well = str(path.parent.parent) in str(refusal)
                refused += 1
            else:
                well = all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
                read += 1
            assert well
        assert read > 20
        assert refused > 400
        return read, refused

    @pytest.mark.parametrize("packed", [False, True])
    def test_idx(self, root, packed):
        path = root / TRAIN if packed else unpack(root, TRAIN)

        def load():
            return loading.load("mnist", "train")[:2]

        self.survive(path, load, load(), DataError)

    def test_cache(self, fresh):
        path = fresh / store.GLYPHS
        path.parent.mkdir(parents=True)
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(20).to(torch.uint8)
        made = {
            split: glyphs.Labelled(glyphs.draw(labels % 10, generator), labels.clone())
            for split in store.SPLITS
        }
        loading.keep_glyphs(made, path)
        self.survive(path, lambda: loading.read_glyphs(path, "test"), made["test"], DataError)

    def test_remembered_files_are_not_believed_when_they_change(self, root):
        """The same, with a memory that has seen the good file, and times that are put back."""
        path = unpack(root, TRAIN)
        old = time.time_ns() - 10**12
        dice, good = random.Random(1), path.read_bytes()
        for _ in range(40):
            path.write_bytes(good)
            os.utime(path, ns=(old, old))
            loading.load("mnist", "train")
            at = dice.randrange(16, len(good))
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            os.utime(path, ns=(old, old))
            with pytest.raises(DataError, match="is not the published"):
                loading.load("mnist", "train")


def test_keep_and_read_are_inverse_and_check_what_they_read(tmp_path):
    images = torch.arange(4 * 784).remainder(251).to(torch.uint8).view(4, 784)
    labels = torch.tensor([3, 1, 4, 1], dtype=torch.uint8)
    path = tmp_path / "g"
    loading.keep_glyphs({"test": glyphs.Labelled(images, labels)}, path)
    read = loading.read_glyphs(path, "test")
    assert torch.equal(read.images, images)
    assert torch.equal(read.labels, labels)
    with pytest.raises(DataError, match="cannot be read"):
        loading.read_glyphs(path, "train")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(DataError, match="cannot be read"):
        loading.read_glyphs(tmp_path / "foreign", "test")


def test_verification_is_remembered_and_can_be_asked_for_again(root, monkeypatch):
    for file in store.files("mnist"):
        os.utime(root / file, (1e9, 1e9))
    monkeypatch.setattr(verification, "SETTLED", -1e12)  # as if the files were old
    hashed = []
    check = verification.check
    monkeypatch.setattr(verification, "check", lambda *a: (hashed.append(a[1]), check(*a)))
    for _ in range(3):
        loading.load("mnist", "train")
    assert hashed == [TRAIN, LABELS]
    loading.read(root / TRAIN, TRAIN, again=True)
    assert len(hashed) == 3
    os.utime(root / TRAIN, (1e9, 1e9 + 1))
    loading.load("mnist", "train")
    assert len(hashed) == 4
