"""A real server on loopback that misbehaves: each misbehaviour has one clear outcome."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from mirror import Mirror

from vaelib.data import fetch, loading, store, verification
from vaelib.data.store import DataError, UnreachableError

FIRST = store.files("mnist")[0]


def nothing_kept(root):
    """Whether a cache holds no file but the lock."""
    return [path.name for path in root.rglob("*") if path.is_file()] in ([], [".lock"])


def test_archives_arrive_whole_and_are_not_fetched_again(mirror, fresh, published):
    fetch.download("mnist", fresh)
    for file, content in published.items():
        assert (fresh / file).read_bytes() == content
    assert not list(fresh.glob(".partial-*"))
    asked = len(mirror.asked)
    fetch.download("mnist", fresh)
    assert len(mirror.asked) == asked
    assert loading.load("mnist").images.shape == (30, 784)


def test_the_real_archives_arrive_too(fresh, real_archives, monkeypatch):
    """The published files over HTTP, through torchvision's code, verified by what we pin."""
    from torchvision.datasets import MNIST

    server = Mirror(real_archives)
    try:
        monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}MNIST/raw/"])
        data = loading.load(split="test")
    finally:
        server.close()
    assert data.name == "mnist"
    assert data.images.shape == (10_000, 784)
    assert data.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.fixture(scope="session")
def real_archives():
    """MNIST's published archives, if they are on this machine."""
    for root in store.places():
        found = {file: root / file for file in store.ARCHIVES["mnist"]}
        if all(path.is_file() for path in found.values()):
            return {file: path.read_bytes() for file, path in found.items()}
    pytest.skip("MNIST's archives are not on this machine")


OUTCOMES = {
    "forbidden": "HTTP Error 403",
    "gone": "HTTP Error 404",
    "broken": "HTTP Error 500",
    "redirect": "came with another checksum (a web page came, perhaps a network's login)",
    "wrong_bytes": "came with another checksum (cut short or damaged)",
    "cut_off": "came with another checksum (cut short or damaged)",
    "shortened": "came with another checksum (cut short or damaged)",
    "stall": "no answer for 0.5 seconds",
    "hang_up": "emote end closed connection",
}


class TestMisbehaviour:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setattr(fetch, "TIMEOUT", 0.5)

    @pytest.mark.parametrize("behaviour", OUTCOMES)
    def test_asked_for_by_name_it_is_an_error_that_says_what_came(self, mirror, fresh, behaviour):
        mirror.behaviour = behaviour
        with pytest.raises(UnreachableError) as caught:
            loading.load("mnist")
        assert OUTCOMES[behaviour] in str(caught.value)
        assert f"{mirror.url}MNIST/raw/" in str(caught.value)
        assert nothing_kept(fresh)

    @pytest.mark.parametrize("behaviour", OUTCOMES)
    def test_not_asked_for_it_is_glyphs_and_the_notice_says_what_came(
        self, mirror, fresh, behaviour, capsys
    ):
        mirror.behaviour = behaviour
        assert store.choose().name == "glyphs"
        said = " ".join(capsys.readouterr().err.replace("┃", " ").split())
        assert OUTCOMES[behaviour].split("(")[0].strip() in said
        assert nothing_kept(fresh)

    @pytest.mark.parametrize("behaviour", OUTCOMES)
    def test_the_next_mirror_is_tried(self, mirror, fresh, published, behaviour, monkeypatch):
        bad = Mirror(published)
        bad.behaviour = behaviour
        monkeypatch.setenv("VAELIB_MIRROR", bad.url)
        try:
            assert loading.load().name == "mnist"
        finally:
            bad.close()
        assert len(bad.asked) >= 4
        assert store.missing("mnist", fresh) == []

    def test_a_slow_one_that_arrives_is_no_failure(self, mirror, fresh):
        mirror.behaviour, mirror.pause = "drip", 0.05
        assert loading.load().name == "mnist"

    def test_nobody_there(self, fresh, published):
        with pytest.raises(UnreachableError, match=r"Connection refused|refused it"):
            loading.load("mnist")
        assert nothing_kept(fresh)


def test_a_mirror_of_ones_own_is_asked_first(mirror, fresh, published, monkeypatch):
    own = Mirror(published)
    monkeypatch.setenv("VAELIB_MIRROR", own.url.rstrip("/"))
    try:
        fetch.download("mnist", fresh)
    finally:
        own.close()
    assert mirror.asked == []
    assert f"/{FIRST}" in own.asked


def test_an_address_that_is_none_is_only_the_first_to_fail(mirror, fresh, monkeypatch):
    monkeypatch.setenv("VAELIB_MIRROR", "http://127.0.0.1:9/Übung")
    fetch.download("mnist", fresh)
    assert store.missing("mnist", fresh) == []
    for wrong in ("teacher/data", "127.0.0.1:9"):
        monkeypatch.setenv("VAELIB_MIRROR", wrong)
        with pytest.raises(DataError, match="is no address: expected http://"):
            fetch.mirrors("mnist")


def test_the_timeout_is_put_back():
    import socket

    before = socket.getdefaulttimeout()
    with fetch.timeout(3.5):
        assert socket.getdefaulttimeout() == 3.5
    assert socket.getdefaulttimeout() == before


def test_a_cancelled_download_leaves_nothing(mirror, fresh, monkeypatch):
    def cancelled(*arguments):
        (arguments[-1] / "half a file").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "fetch", cancelled)
    with pytest.raises(KeyboardInterrupt):
        fetch.download("mnist", fresh)
    assert nothing_kept(fresh)
    assert not list(fresh.glob(".partial-*"))


@pytest.mark.parametrize("home", ["/proc/nowhere", "a file"])
def test_a_cache_that_cannot_be_written_is_named(mirror, tmp_path, monkeypatch, home):
    if home == "a file":
        (tmp_path / "file").touch()
        home = tmp_path / "file" / "sub"
    elif not sys.platform.startswith("linux"):
        pytest.skip("only Linux has /proc")
    with pytest.raises(DataError, match="cannot be written") as caught:
        fetch.download("mnist", store.Path(home))
    assert str(home) in str(caught.value)
    assert "prefetch --root DIR, and set VAELIB_DATA to it" in str(caught.value)


CHILD = """
import sys
from vaelib.data import fetch, store
{before}
try:
    fetch.download("mnist", store.cache_folder())
except store.DataError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


@pytest.fixture
def start(mirror, published):
    """Start a process that downloads the small data set from the mirror."""

    def child(before=""):
        publishing = f"""
import torchvision
torchvision.datasets.MNIST.mirrors = [{mirror.url + "MNIST/raw/"!r}]
store.ARCHIVES["mnist"].update({store.ARCHIVES["mnist"]!r})
"""
        script = textwrap.dedent(CHILD).format(before=publishing + before)
        return subprocess.Popen(
            [sys.executable, "-c", script],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return child


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_full_disk_is_named_and_nothing_is_kept(start, fresh):
    child = start("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))")
    _, said = child.communicate(timeout=120)
    assert child.returncode == 3
    assert "cannot be written" in said
    assert "prefetch --root DIR" in said
    assert "Nothing half-written was kept" in said
    assert nothing_kept(fresh)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_read_only_cache_is_named(start, fresh):
    fresh.mkdir(parents=True)
    fresh.chmod(0o555)
    child = start("import os; os.geteuid() or os.setuid(65534)")  # root may write anywhere
    _, said = child.communicate(timeout=120)
    fresh.chmod(0o755)
    assert child.returncode == 3
    assert "cannot be written" in said
    assert "Permission denied" in said
    assert nothing_kept(fresh)


def test_three_at_once_fetch_each_file_once(start, mirror, fresh, published):
    mirror.behaviour, mirror.pause = "drip", 0.1
    children = [start() for _ in range(3)]
    said = [child.communicate(timeout=180)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert any("Waiting: another process" in text for text in said)
    assert sum("Downloading mnist" in text for text in said) == 1
    for file, content in published.items():
        assert (fresh / file).read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_download_is_not_believed_and_is_swept_away(start, mirror, fresh):
    mirror.behaviour, mirror.pause = "drip", 0.3
    child = start()
    while not list(fresh.glob(".partial-*/*")):
        time.sleep(0.02)
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert list(fresh.glob(".partial-*/*"))
    assert len(store.missing("mnist", fresh)) == 4
    mirror.behaviour = "well"
    assert loading.load("mnist").images.shape == (30, 784)
    assert not list(fresh.glob(".partial-*"))


def test_torchvision_believes_a_truncated_file_for_ever_and_we_do_not(mirror, fresh):
    """Its check looks whether a file is there; so a bad first download is never repaired."""
    import gzip

    from torchvision.datasets import MNIST

    fetch.download("mnist", fresh)
    for file in store.files("mnist"):
        (fresh / file).with_suffix("").write_bytes(gzip.decompress((fresh / file).read_bytes()))
    plain = (fresh / FIRST).with_suffix("")
    plain.write_bytes(plain.read_bytes()[:1000])
    theirs = MNIST.__new__(MNIST)
    theirs.root = str(fresh)
    asked = len(mirror.asked)
    for _ in range(3):
        assert theirs._check_exists()
        theirs.download()
    assert len(mirror.asked) == asked, "it did not fetch anything anew"
    with pytest.raises(DataError, match="has 984 bytes of data where its header promises"):
        loading.load("mnist")
    whole = bytearray(gzip.decompress((fresh / FIRST).read_bytes()))
    whole[500] ^= 1
    plain.write_bytes(whole)
    read = MNIST(fresh, download=True).data.flatten(1)
    assert not torch.equal(read, torch.from_numpy(loading.read_idx(published_images(fresh))))
    with pytest.raises(DataError, match="is not the published"):
        loading.load("mnist")


def published_images(root):
    import gzip

    raw = gzip.decompress((root / FIRST).read_bytes())
    return raw[:3] + b"\1" + (30 * 784).to_bytes(4, "big") + raw[16:]


def test_what_is_pinned_is_compared_with_what_is_on_this_machine(monkeypatch, tmp_path):
    """The SHA-256 that we know are those of the MNIST at hand, where it is at hand."""
    root = store.locate("mnist")
    if root is None:
        pytest.skip("MNIST is not on this machine")
    monkeypatch.setattr(verification, "marks_file", lambda: tmp_path / "marks")
    for file in store.files("mnist"):
        assert loading.read(store.on_disk(root, file), file).dtype == "uint8"
