"""A real server on loopback that misbehaves: each misbehaviour has one clear outcome."""

import multiprocessing
import os
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from mirror import PAGE, Mirror

from vaelib.data import fetch, loading, store
from vaelib.data.catalogue import DataError, UnreachableError, files_of

FIRST = files_of("mnist")[0].place
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits and signals")


def kept(root):
    """The files that a cache holds, but for the lock."""
    return [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]


def test_archives_arrive_whole_and_are_not_fetched_again(mirror, fresh, published):
    fetch.download("mnist", fresh)
    assert {path.relative_to(fresh).as_posix(): path.read_bytes() for path in kept(fresh)} == (
        published
    )
    asked = len(mirror.asked)
    fetch.download("mnist", fresh)
    assert len(mirror.asked) == asked


def test_the_real_archives_arrive_too(fresh, real_archives, monkeypatch):
    """The published files over HTTP, through torchvision's code, verified by what we pin."""
    from torchvision.datasets import MNIST

    server = Mirror(real_archives)
    try:
        monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}MNIST/raw/"])
        fetch.download("mnist", fresh, files_of("mnist", "test"))
    finally:
        server.close()
    assert {path.relative_to(fresh).as_posix(): path.read_bytes() for path in kept(fresh)} == (
        real_archives
    )


@pytest.fixture(scope="session")
def real_archives():
    """The published archives of MNIST's test images, if they are on this machine."""
    for root in store.places():
        found = {file.place: root / file.place for file in files_of("mnist", "test")}
        if all(path.is_file() for path in found.values()):
            return {place: path.read_bytes() for place, path in found.items()}
    pytest.skip("MNIST's archives are not on this machine")


OUTCOMES = {
    "forbidden": "HTTP Error 403",
    "gone": "HTTP Error 404",
    "broken": "HTTP Error 500",
    "redirect": "came with another checksum (a web page came, perhaps a network's login)",
    "wrong_bytes": "came with another checksum (cut short or damaged)",
    "cut_off": "came with another checksum (cut short or damaged)",
    "shortened": "came with another checksum (cut short or damaged)",
    "stall": "no answer for 0.4 seconds",
    "hang_up": "emote end closed connection",
}


class TestMisbehaviour:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setattr(fetch, "TIMEOUT", 0.4)

    @pytest.mark.parametrize("behaviour", OUTCOMES)
    def test_it_is_an_error_or_glyphs_and_both_say_what_came(
        self, mirror, fresh, behaviour, capsys
    ):
        mirror.behaviour = behaviour
        with pytest.raises(UnreachableError) as caught:
            loading.load("mnist")
        assert OUTCOMES[behaviour] in str(caught.value)
        assert f"{mirror.url}MNIST/raw/" in str(caught.value)
        assert loading.choose().name == "glyphs"
        said = " ".join(capsys.readouterr().err.replace("┃", " ").split())
        assert OUTCOMES[behaviour].split("(")[0].strip() in said
        assert not kept(fresh)

    @pytest.mark.parametrize("behaviour", OUTCOMES)
    def test_the_next_mirror_is_tried(self, mirror, fresh, published, behaviour, monkeypatch):
        bad = Mirror(published)
        bad.behaviour = behaviour
        monkeypatch.setenv("VAELIB_MIRROR", bad.url)
        try:
            fetch.download("mnist", fresh, files_of("mnist")[:1])
        finally:
            bad.close()
        assert f"/{FIRST}" in bad.asked
        assert kept(fresh) == [fresh / FIRST]
        assert (fresh / FIRST).read_bytes() == published[FIRST]

    def test_a_slow_one_that_arrives_is_no_failure(self, mirror, fresh):
        mirror.behaviour, mirror.pause = "drip", 0.07
        start = time.monotonic()
        fetch.download("mnist", fresh, files_of("mnist")[:1])
        assert time.monotonic() - start > fetch.TIMEOUT
        assert kept(fresh) == [fresh / FIRST]

    def test_nobody_there(self, fresh, published):
        with pytest.raises(UnreachableError, match=r"no connection .*(Connection refused|refused)"):
            fetch.download("mnist", fresh)
        assert not kept(fresh)


def test_what_has_arrived_before_a_failure_is_kept(mirror, fresh, published):
    second = files_of("mnist")[1]
    del mirror.files[second.place]
    with pytest.raises(UnreachableError, match=f"download of {Path(second.place).name} failed"):
        fetch.download("mnist", fresh)
    assert kept(fresh) == [fresh / FIRST]
    assert (fresh / FIRST).read_bytes() == published[FIRST]


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


def test_offline_no_network_is_tried(mirror, fresh, monkeypatch):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    with pytest.raises(UnreachableError, match="VAELIB_OFFLINE=1 forbids to download it"):
        fetch.download("mnist", fresh)
    assert mirror.asked == []
    monkeypatch.setenv("VAELIB_OFFLINE", "0")
    assert fetch.offline() is None
    monkeypatch.setenv("VAELIB_OFFLINE", "no mirror could be reached")
    assert fetch.offline() == "no mirror could be reached"


def test_the_timeout_holds_during_a_download_and_is_put_back(fresh, published, monkeypatch):
    before, during = socket.getdefaulttimeout(), []
    socket.setdefaulttimeout(3.5)

    def arrive(file, path):
        during.append(socket.getdefaulttimeout())
        path.touch()

    monkeypatch.setattr(fetch, "_fetch", arrive)
    fetch.download("mnist", fresh)
    after = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before)
    assert during == [fetch.TIMEOUT] * 4
    assert after == 3.5


def test_a_cancelled_download_leaves_nothing(mirror, fresh, monkeypatch):
    def cancelled(file, path):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_fetch", cancelled)
    with pytest.raises(KeyboardInterrupt):
        fetch.download("mnist", fresh)
    assert not kept(fresh)


@UNIX
def test_a_full_disk_is_named_and_nothing_is_kept(mirror, fresh):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(DataError, match="cannot be written") as caught:
            fetch.download("mnist", fresh)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not isinstance(caught.value, UnreachableError)
    assert "File too large" in str(caught.value)
    assert not kept(fresh)


@UNIX
def test_a_read_only_cache_is_named(mirror, fresh):
    fresh.mkdir(parents=True)
    fresh.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # who may write anywhere
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match=r"cannot be written.*Permission denied"):
            fetch.download("mnist", fresh)
    finally:
        os.seteuid(user)
        fresh.chmod(0o755)
    assert not kept(fresh)


def test_three_at_once_fetch_each_file_once(mirror, fresh, published, capsys):
    mirror.behaviour = "drip"
    threads = [threading.Thread(target=fetch.download, args=("mnist", fresh)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().err.count("Downloading mnist") == 1
    assert {path.relative_to(fresh).as_posix(): path.read_bytes() for path in kept(fresh)} == (
        published
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely beside threads")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it is multi-threaded
def test_a_process_that_waits_for_one_that_is_killed_sweeps_and_fetches_all(
    mirror, fresh, monkeypatch, capsys
):
    mirror.behaviour = "stall"
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=fetch.download, args=("mnist", fresh))
    child.start()
    while not kept(fresh):
        time.sleep(0.02)
        assert child.is_alive()
    assert [path.name for path in kept(fresh)] == [f".{Path(FIRST).name}.{child.pid}.partial"]
    assert len(store.missing("mnist", fresh)) == 4
    mirror.behaviour = "well"
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    killer = threading.Timer(0.3, child.kill)
    killer.start()
    assert loading.load("mnist").images.shape == (30, 784)
    killer.join()
    child.join()
    assert f"Waiting: another process is filling {fresh}" in capsys.readouterr().err
    assert len(kept(fresh)) == 4


def test_a_class_that_inherits_mnists_mirrors_is_refused(monkeypatch):
    from vaelib.data import catalogue

    entry = catalogue.PUBLISHED["mnist"]._replace(kind="EMNIST")
    monkeypatch.setitem(catalogue.PUBLISHED, "emnist", entry)
    with pytest.raises(DataError, match="EMNIST does not publish four archives as MNIST does"):
        fetch.torchvision_mirrors("emnist")


class TestProxy:
    """A proxy in the environment; 127.0.0.1 is no exception to it, since no_proxy is empty."""

    DEAD = "http://127.0.0.1:9"  # nobody answers there
    FAR = "http://mirror.invalid/"  # no name server knows it

    @pytest.fixture(autouse=True)
    def no_exceptions(self, monkeypatch):
        for variable in list(os.environ):
            if variable.lower().endswith("_proxy"):
                monkeypatch.delenv(variable)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers earlier proxies

    @pytest.fixture
    def own(self, published, monkeypatch):
        """The room's own mirror, named by VAELIB_MIRROR."""
        server = Mirror(published)
        monkeypatch.setenv("VAELIB_MIRROR", server.url)
        yield server
        server.close()

    @pytest.fixture
    def proxy(self, published):
        """A proxy that reaches one mirror, `FAR`, and refuses every other address."""
        server = Mirror({f"{self.FAR}MNIST/raw/{Path(p).name}": published[p] for p in published})
        yield server
        server.close()

    @pytest.mark.parametrize("behaviour", ["dead", "refuses", "login"])
    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    def test_the_rooms_own_mirror_is_reached_directly(
        self, fresh, own, proxy, monkeypatch, behaviour, variable, published
    ):
        if behaviour == "login":
            for place in published:
                proxy.files[f"{own.url}{place}"] = PAGE
        monkeypatch.setenv(variable, self.DEAD if behaviour == "dead" else proxy.url)
        fetch.download("mnist", fresh)
        assert len(kept(fresh)) == 4
        assert proxy.asked == []
        assert f"/{FIRST}" in own.asked

    @pytest.mark.parametrize("fault", ["unreachable", "gone", "wrong_bytes"])
    def test_a_mirror_outside_is_reached_through_the_proxy(
        self, fresh, own, proxy, monkeypatch, fault, published
    ):
        monkeypatch.setenv("http_proxy", proxy.url)
        if fault == "unreachable":
            monkeypatch.setenv("VAELIB_MIRROR", self.FAR)
        else:
            own.behaviour = fault
            proxy.files |= {f"{own.url}{place}": published[place] for place in published}
        fetch.download("mnist", fresh)
        assert {path.relative_to(fresh).as_posix(): path.read_bytes() for path in kept(fresh)} == (
            published
        )
        assert len(proxy.asked) >= 4

    def test_torchvisions_mirrors_are_asked_as_the_environment_says(
        self, mirror, fresh, proxy, monkeypatch
    ):
        from torchvision.datasets import MNIST

        monkeypatch.setenv("http_proxy", self.DEAD)
        with pytest.raises(UnreachableError):
            fetch.download("mnist", fresh)
        assert mirror.asked == [], "it can be reached, but only around the proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch.download("mnist", fresh, files_of("mnist")[:1])
        mirror.behaviour = "gone"
        with pytest.raises(UnreachableError) as caught:
            fetch.download("mnist", fresh)
        assert "proxy" not in str(caught.value), "none was used"
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setattr(MNIST, "mirrors", [f"{self.FAR}MNIST/raw/"])
        fetch.download("mnist", fresh)
        assert len(kept(fresh)) == 4

    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("http://127.0.0.1:9", "http://127.0.0.1:9"),
            ("http://pupil:s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
            ("pupil:s3cret@127.0.0.1:9", "127.0.0.1:9"),
            ("http://pupil:s3cret@s3cret@127.0.0.1:9/", "http://127.0.0.1:9/"),
            ("http://pupil:s3cret/s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
            ("http:s3cret://s3cret@127.0.0.1:9", "127.0.0.1:9"),
            ("http:/s3cret@127.0.0.1:9", "127.0.0.1:9"),
            ("socks5://pupil:s3cret@127.0.0.1:9", "socks5://127.0.0.1:9"),
        ],
    )
    def test_a_failure_names_the_proxy_without_its_password(
        self, mirror, fresh, monkeypatch, capsys, address, shown
    ):
        monkeypatch.setenv("http_proxy", address)
        with pytest.raises(UnreachableError) as caught:
            loading.load("mnist")
        assert f"-ubyte.gz through the proxy {shown} (http_proxy is set to it): " in str(
            caught.value
        )
        assert loading.choose().name == "glyphs"
        said = capsys.readouterr().err
        assert "http_proxy" in said
        assert "s3cret" not in f"{caught.value}{said}"

    def test_a_failure_names_each_way_that_was_tried(self, mirror, fresh, own, monkeypatch):
        own.behaviour = mirror.behaviour = "gone"
        monkeypatch.setenv("http_proxy", self.DEAD)
        with pytest.raises(UnreachableError) as caught:
            fetch.download("mnist", fresh)
        first, second, third = str(caught.value).splitlines()[1:]
        assert first == f"  {own.url}{FIRST}: HTTP Error 404: Not Found"
        via = f" through the proxy {self.DEAD} (http_proxy is set to it): no connection ("
        assert second.startswith(f"  {own.url}{FIRST}{via}")
        assert third.startswith(f"  {mirror.url}{FIRST}{via}")

    def test_an_all_proxy_is_said_to_be_ignored(self, mirror, fresh, monkeypatch):
        mirror.behaviour = "gone"
        monkeypatch.setenv("all_proxy", "http://pupil:s3cret@10.0.0.1:3128")
        with pytest.raises(UnreachableError) as caught:
            fetch.download("mnist", fresh)
        assert "all_proxy is set to http://10.0.0.1:3128, which Python ignores" in str(caught.value)

    def test_an_address_that_cannot_be_read_is_only_the_first_to_fail(
        self, mirror, fresh, monkeypatch
    ):
        for wrong in ("http://[half/", "http://", "http://127.0.0.1:x/"):
            monkeypatch.setenv("VAELIB_MIRROR", wrong)
            fetch.download("mnist", fresh, files_of("mnist")[:1])
            (fresh / FIRST).unlink()
