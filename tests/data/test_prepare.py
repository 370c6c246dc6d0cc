"""The command line of a teacher who prepares a room or a stick."""

import gzip
import json
import subprocess
import sys

import pytest
import torch
from mirror import idx

from vaelib.data import glyphs, loading, prepare, store, verification

FILES = store.files("mnist")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(glyphs, "COUNTS", {"train": 40, "test": 20})


def test_prefetch_gets_mnist_and_glyphs_into_a_folder(mirror, fresh, tmp_path, capsys):
    stick = tmp_path / "usb stick"
    assert prepare.main(["prefetch", "--root", str(stick)]) == 0
    printed = capsys.readouterr().out
    for file in (*FILES, store.GLYPHS):
        assert f"ok    {stick / file}" in printed
    assert store.missing("mnist", stick) == store.missing("glyphs", stick) == []
    assert not (fresh / "MNIST").exists()


def test_a_prefetched_folder_serves_a_room_without_network(mirror, fresh, tmp_path, monkeypatch):
    assert prepare.main(["prefetch", "mnist", "--root", str(tmp_path / "stick")]) == 0
    mirror.behaviour = "gone"
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "stick"))
    assert loading.load().name == "mnist"


def test_prefetch_shows_progress(mirror, fresh, capfd):
    assert prepare.main(["prefetch"]) == 0
    said = capfd.readouterr().err
    assert "Downloading mnist into" in said
    assert said.count("100.0%") + said.count("100%") >= 5


def test_prefetch_twice_fetches_once(mirror, fresh):
    assert prepare.main(["prefetch", "mnist"]) == 0
    asked = len(mirror.asked)
    assert prepare.main(["prefetch", "mnist"]) == 0
    assert len(mirror.asked) == asked


def test_prefetch_repairs_what_is_damaged(mirror, root, capsys, published):
    packed, unpacked = root / FILES[0], (root / FILES[1]).with_suffix("")
    packed.write_bytes(packed.read_bytes()[:100])
    unpacked.write_bytes(b"broken")
    assert prepare.main(["verify", "mnist"]) == 1
    printed = capsys.readouterr().out
    assert f"FAIL  {packed} cannot be unpacked" in printed
    assert "ok    " + str(root / FILES[1]) in printed, (
        "the archive beside the unpacked file is well"
    )
    assert f"FAIL  {unpacked} is not an IDX file" in printed
    assert f"ok    {root / FILES[2]}" in printed
    assert prepare.main(["prefetch", "mnist"]) == 0
    assert packed.read_bytes() == published[FILES[0]]
    assert unpacked.with_name(unpacked.name + ".damaged").read_bytes() == b"broken"
    assert prepare.main(["verify", "mnist"]) == 0
    assert loading.load("mnist").images.shape == (30, 784)


def test_a_damaged_unpacked_file_beside_its_archive_needs_no_network(mirror, root):
    plain = (root / FILES[0]).with_suffix("")
    plain.write_bytes(b"broken")
    assert prepare.main(["prefetch", "mnist"]) == 0
    assert mirror.asked == []
    assert not plain.exists()


def test_prefetch_draws_damaged_glyphs_again(fresh):
    assert prepare.main(["prefetch", "glyphs"]) == 0
    path, good = fresh / store.GLYPHS, loading.load("glyphs")
    path.write_bytes(path.read_bytes()[:-1])
    assert prepare.main(["verify", "glyphs"]) == 1
    assert prepare.main(["prefetch", "glyphs"]) == 0
    assert torch.equal(loading.load("glyphs").images, good.images)


def test_when_every_mirror_fails_it_says_what_to_copy_where(mirror, fresh, tmp_path, capsys):
    mirror.behaviour = "forbidden"
    stick = tmp_path / "stick"
    assert prepare.main(["prefetch", "mnist", "glyphs", "--root", str(stick)]) == 1
    printed = capsys.readouterr().out
    assert "HTTP Error 403" in printed
    for file, md5 in store.ARCHIVES["mnist"].items():
        assert f"  {stick / file}  {md5}" in printed
    assert f"They are published in:\n  {mirror.url}MNIST/raw/" in printed
    assert f'verify mnist --root "{stick}"' in printed
    assert f"ok    {stick / store.GLYPHS}" in printed, "the others are still prepared"


def test_prefetch_too_obeys_the_wish_to_stay_offline(mirror, fresh, monkeypatch, capsys):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    assert prepare.main(["prefetch", "mnist"]) == 1
    assert "VAELIB_OFFLINE=1 forbids to download it" in capsys.readouterr().out
    assert mirror.asked == []


def test_a_failed_repair_keeps_what_was_there(mirror, root):
    path = root / FILES[0]
    path.write_bytes(b"damaged")
    mirror.behaviour = "gone"
    assert prepare.main(["prefetch", "mnist"]) == 1
    assert path.read_bytes() == b"damaged"


def test_verify_hashes_again_and_sees_what_loading_does_not(root, monkeypatch, capsys):
    """A memory that vouches for a damaged file is not asked."""
    monkeypatch.setattr(verification, "SETTLED", -1e12)
    path = root / FILES[0]
    good = path.read_bytes()
    loading.load("mnist")
    loading.load("mnist", "test")
    other = loading.read_idx(good).copy()
    other[0, 14, 14] ^= 1
    path.write_bytes(gzip.compress(idx(other), mtime=0))
    mark = verification._mark(FILES[0], path.stat())
    lying = verification._marks() | {str(path.absolute()): mark}
    verification.marks_file().write_text(json.dumps(lying))
    loading.load("mnist")
    assert prepare.main(["verify", "mnist"]) == 1
    assert f"FAIL  {path} is not the published" in capsys.readouterr().out


def test_verify_without_names_takes_mnist_and_what_else_is_there(root, fresh, capsys):
    assert prepare.main(["verify"]) == 0
    assert "fashion" not in capsys.readouterr().out
    assert prepare.main(["verify", "kmnist"]) == 1
    assert f"FAIL  {root / store.files('kmnist')[0]} is missing" in capsys.readouterr().out


@pytest.mark.parametrize("lack", ["all", "folder", "one"])
def test_verify_without_names_fails_where_mnist_is_not(fresh, root, capsys, monkeypatch, lack):
    assert prepare.main(["prefetch", "glyphs"]) == 0
    if lack == "folder":
        monkeypatch.setenv("VAELIB_DATA", str(root / "typo"))
    elif lack == "one":
        (root / FILES[3]).unlink()
    else:
        monkeypatch.delenv("VAELIB_DATA")
    assert prepare.main(["verify"]) == 1
    printed = capsys.readouterr().out
    assert f"{FILES[3]} is missing" in printed


def test_verify_reads_every_copy_and_names_the_one_that_it_read(root, capsys):
    plain = (root / FILES[0]).with_suffix("")
    plain.write_bytes(gzip.decompress((root / FILES[0]).read_bytes()))
    assert prepare.main(["verify", "mnist"]) == 0
    printed = capsys.readouterr().out
    assert f"ok    {plain}\n" in printed
    assert f"ok    {root / FILES[0]}\n" in printed
    damaged = bytearray((root / FILES[0]).read_bytes())
    damaged[99] ^= 255
    (root / FILES[0]).write_bytes(damaged)
    assert loading.load("mnist").images.shape == (30, 784), "the unpacked file is well"
    assert prepare.main(["verify", "mnist"]) == 1
    (root / FILES[0]).unlink()
    capsys.readouterr()
    assert prepare.main(["verify", "mnist"]) == 0
    assert str(root / FILES[0]) not in capsys.readouterr().out.splitlines()


def test_prefetch_copies_what_is_already_on_the_machine(root, fresh, tmp_path, capsys, published):
    """Without network, from the folder of VAELIB_DATA (and glyphs from the cache) to a stick."""
    assert prepare.main(["prefetch", "glyphs", "--root", str(fresh)]) == 0
    stick = tmp_path / "stick"
    assert prepare.main(["prefetch", "--root", str(stick)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("copied ") == 5
    for file, content in published.items():
        assert (stick / file).read_bytes() == content
    assert not list(stick.glob(".partial-*"))


def test_prefetch_copies_nothing_that_is_damaged(root, fresh, tmp_path):
    (root / FILES[2]).write_bytes(b"damaged")
    stick = tmp_path / "stick"
    assert prepare.main(["prefetch", "mnist", "--root", str(stick)]) == 1
    assert not (stick / FILES[2]).exists()
    assert (stick / FILES[1]).exists()


def test_prefetch_fills_the_folder_of_ones_own(mirror, fresh, tmp_path, monkeypatch):
    assert prepare.main(["prefetch", "mnist"]) == 0
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "own"))
    assert prepare.main(["prefetch", "mnist"]) == 0
    assert store.missing("mnist", tmp_path / "own") == []


def test_where_names_each_folder_and_fails_without_mnist(root, fresh, capsys, monkeypatch):
    assert prepare.main(["where", "mnist"]) == 0
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == str(root)
    assert prepare.main(["where"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(store.NAMES)
    assert lines[2] == f"kmnist         missing, would go to {root}"
    assert prepare.main(["where", "kmnist"]) == 1
    monkeypatch.delenv("VAELIB_DATA")
    assert prepare.main(["where"]) == 1


def test_a_mirror_that_is_no_address_is_named(mirror, fresh, monkeypatch, capsys):
    monkeypatch.setenv("VAELIB_MIRROR", "127.0.0.1:8000")
    assert prepare.main(["prefetch", "mnist"]) == 1
    assert "VAELIB_MIRROR=127.0.0.1:8000 is no address" in capsys.readouterr().out


def test_ones_own_mirror_is_not_where_files_are_published(mirror, fresh, monkeypatch, capsys):
    mirror.behaviour = "gone"
    monkeypatch.setenv("VAELIB_MIRROR", "http://127.0.0.1:9")
    assert prepare.main(["prefetch", "mnist"]) == 1
    published = capsys.readouterr().out.partition("They are published in:")[2]
    assert mirror.url in published
    assert "127.0.0.1:9/" not in published


def test_wrong_usage_is_2(capsys):
    for arguments in (["fetch"], ["prefetch", "cifar"], []):
        with pytest.raises(SystemExit) as caught:
            prepare.main(arguments)
        assert caught.value.code == 2
    assert "no data set is called 'cifar'; there is mnist, fashion_mnist" in capsys.readouterr().err


def test_ctrl_c_is_130(mirror, fresh, monkeypatch, capsys):
    def cancelled(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "fetch", cancelled)
    assert prepare.main(["prefetch", "mnist"]) == 130
    assert "nothing half-written was kept" in capsys.readouterr().out


def test_the_module_runs_as_a_command(root):
    command = [sys.executable, "-m", "vaelib.data", "where", "mnist", "kmnist"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert str(root) in done.stdout
    assert done.stderr == ""
