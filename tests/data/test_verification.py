import gzip
import json
import os

import pytest
import torch

from vaelib.data import loading, store, verification
from vaelib.data.files import digest
from vaelib.data.store import DataError

FILE = store.files("mnist")[0]


@pytest.fixture
def old(fresh, tmp_path):
    """A file that was last changed long ago, and its facts."""
    path = tmp_path / "old"
    path.write_bytes(b"values")
    past = os.stat_result(
        [*path.stat()[:7], 1e9, 1e9, 1e9],
        {"st_mtime_ns": 10**18, "st_ctime_ns": 10**18, "st_mtime": 1e9, "st_ctime": 1e9},
    )
    return path, past


def facts_of(past, **changes):
    named = {name: getattr(past, name) for name in ("st_mtime_ns", "st_ctime_ns")} | changes
    sequence = list(past[:10])
    sequence[6] = changes.get("st_size", past.st_size)
    return os.stat_result(sequence, named | {"st_mtime": 1e9, "st_ctime": 1e9})


def test_a_file_is_remembered_by_its_size_and_times(old):
    path, past = old
    assert not verification.is_remembered(path, FILE, past)
    verification.remember(path, FILE, past)
    assert verification.is_remembered(path, FILE, past)
    for change in ({"st_size": 7}, {"st_mtime_ns": 10**18 + 1}, {"st_ctime_ns": 10**18 + 1}):
        assert not verification.is_remembered(path, FILE, facts_of(past, **change)), change
    assert not verification.is_remembered(path.with_name("other"), FILE, past)
    assert not verification.is_remembered(path, f"Fashion{FILE}", past), "it passed as another"


def test_a_file_that_was_changed_a_moment_ago_is_not_remembered_yet(fresh, tmp_path):
    path = tmp_path / "new"
    path.write_bytes(b"values")
    verification.remember(path, FILE, path.stat())
    assert not verification.is_remembered(path, FILE, path.stat())


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 3}', "null", "\0"])
def test_a_damaged_memory_is_no_memory(old, content):
    path, past = old
    verification.remember(path, FILE, past)
    verification.marks_file().write_text(content)
    assert not verification.is_remembered(path, FILE, past)
    verification.remember(path, FILE, past)
    assert verification.is_remembered(path, FILE, past)
    assert json.loads(verification.marks_file().read_text())


def test_where_the_cache_cannot_be_written_nothing_is_remembered_and_nothing_fails(old, fresh):
    path, past = old
    fresh.parent.mkdir(parents=True)
    fresh.write_text("a file where the folder should be")
    verification.remember(path, FILE, past)
    assert not verification.is_remembered(path, FILE, past)


def test_no_scraps_are_left_beside_the_memory(old, fresh):
    verification.remember(old[0], FILE, old[1])
    assert [path.name for path in fresh.iterdir()] == ["verified.json"]


def test_mnist_is_known_by_its_values_however_they_are_packed(root):
    path = root / FILE
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=5))
    assert loading.read(path, FILE).shape == (30, 28, 28)


def test_the_advice_is_a_command_that_names_data_set_and_root(root):
    said = verification.advice(root / FILE, FILE)
    assert f'python -m vaelib data prefetch mnist --root "{root}"' in said
    plain = (root / FILE).with_suffix("")
    assert f'--root "{root}"' in verification.advice(plain, FILE)


def test_what_differs_is_said_in_checksums(root):
    with pytest.raises(DataError, match=r"its checksum is [0-9a-f]{64}, expected [0-9a-f]{64}"):
        verification.check(root / FILE, FILE, b"", b"other values")


def test_the_digest_depends_on_everything_and_on_no_order():
    tensors = {"a": torch.arange(6), "b": torch.zeros(2, 0)}
    first = digest(tensors, "x", "y")
    assert digest(dict(reversed(tensors.items())), "x", "y") == first
    others = [
        digest(tensors, "y", "x"),
        digest(tensors, "xy"),
        digest({"a": torch.arange(6).int(), "b": tensors["b"]}, "x", "y"),
        digest({"a": torch.arange(6).view(2, 3), "b": tensors["b"]}, "x", "y"),
        digest({"c": torch.arange(6), "b": tensors["b"]}, "x", "y"),
        digest({"a": torch.arange(6)}, "x", "y"),
        digest({"a": torch.arange(6).flip(0), "b": tensors["b"]}, "x", "y"),
    ]
    assert len({first, *others}) == 8
    assert digest({"a": torch.arange(6)[::2]}) == digest({"a": torch.tensor([0, 2, 4])})
    assert digest({"a": torch.ones(2).bfloat16()})


def test_one_file_under_two_names_has_to_pass_as_both(root, monkeypatch):
    """MNIST's files, linked to where FashionMNIST's belong, once MNIST is remembered."""
    monkeypatch.setattr(verification, "SETTLED", -1e12)
    monkeypatch.setitem(store.ARCHIVES["fashion_mnist"], f"Fashion{FILE}", "0" * 32)
    loading.load("mnist")
    (root / "FashionMNIST").symlink_to(root / "MNIST")
    with pytest.raises(DataError, match="is not the published FashionMNIST"):
        loading.load("fashion_mnist")
