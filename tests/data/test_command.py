"""The command line of a teacher who prepares a room or a stick."""

import gzip
import runpy
import sys

import pytest
import torch

from vaelib import __main__ as command_line
from vaelib.data import fetch, glyphs, loading, store, verification
from vaelib.data.catalogue import GLYPHS, NAMES, files_of

FILES = [file.place for file in files_of("mnist")]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(glyphs, "COUNTS", {"train": 40, "test": 20})


@pytest.fixture
def stick(tmp_path):
    return tmp_path / "usb stick"


def data(*arguments):
    """The exit code of `python -m vaelib data …`."""
    return command_line.main(["data", *map(str, arguments)])


class TestPrefetch:
    def test_it_gets_mnist_and_glyphs_into_a_folder_and_shows_progress(
        self, mirror, fresh, stick, capsys
    ):
        assert data("prefetch", "--root", stick) == 0
        printed, said = capsys.readouterr()
        for place in (*FILES, GLYPHS.place):
            assert f"ok    {stick / place}" in printed
        assert store.missing("mnist", stick) == store.missing("glyphs", stick) == []
        assert not (fresh / "MNIST").exists()
        assert "Downloading mnist into" in said
        assert said.count("100%") + said.count("100.0%") >= 5, "four downloads and the drawing"

    def test_a_folder_serves_a_room_without_network_and_is_not_filled_twice(
        self, mirror, fresh, stick, monkeypatch
    ):
        assert data("prefetch", "mnist", "--root", stick) == 0
        asked = len(mirror.asked)
        monkeypatch.setenv("VAELIB_DATA", str(stick))
        assert loading.load().name == "mnist"
        assert data("prefetch", "mnist") == 0
        assert len(mirror.asked) == asked

    def test_it_fills_the_folder_of_ones_own_else_the_cache(
        self, mirror, fresh, tmp_path, monkeypatch
    ):
        assert data("prefetch", "mnist") == 0
        assert store.missing("mnist", fresh) == []
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "own"))
        assert data("prefetch", "mnist") == 0
        assert store.missing("mnist", tmp_path / "own") == []

    def test_it_repairs_what_is_damaged(self, mirror, root, capsys, published):
        packed, unpacked = root / FILES[0], (root / FILES[1]).with_suffix("")
        packed.write_bytes(packed.read_bytes()[:100])
        unpacked.write_bytes(b"broken")
        assert data("verify", "mnist") == 1
        printed = capsys.readouterr().out
        assert f"FAIL  {packed} cannot be unpacked" in printed
        assert f"ok    {root / FILES[1]}" in printed, "the archive beside the unpacked file is well"
        assert f"FAIL  {unpacked} is not an IDX file" in printed
        assert f"ok    {root / FILES[2]}" in printed
        assert data("prefetch", "mnist") == 0
        assert packed.read_bytes() == published[FILES[0]]
        assert unpacked.with_name(unpacked.name + ".damaged").read_bytes() == b"broken"
        assert {path.strip("/") for path in mirror.asked} == {FILES[0]}
        assert data("verify", "mnist") == 0

    def test_a_damaged_unpacked_file_alone_is_fetched_anew(self, mirror, root):
        (root / FILES[0]).unlink()
        (root / FILES[0]).with_suffix("").write_bytes(b"broken")
        assert data("prefetch", "mnist") == 0
        assert not (root / FILES[0]).with_suffix("").exists()

    def test_damaged_glyphs_are_drawn_again(self, fresh):
        assert data("prefetch", "glyphs") == 0
        path, good = fresh / GLYPHS.place, loading.load("glyphs")
        path.write_bytes(path.read_bytes()[:-1])
        assert data("verify", "glyphs") == 1
        assert data("prefetch", "glyphs") == 0
        assert torch.equal(loading.load("glyphs").images, good.images)

    def test_what_is_already_on_the_machine_is_copied(self, root, fresh, stick, capsys, published):
        """Without network, from the folder of VAELIB_DATA (and glyphs from the cache)."""
        assert data("prefetch", "glyphs", "--root", fresh) == 0
        assert data("prefetch", "--root", stick) == 0
        assert capsys.readouterr().out.count("copied ") == 5
        for place, content in published.items():
            assert (stick / place).read_bytes() == content
        assert not list(stick.rglob("*.partial"))

    def test_of_two_sound_copies_the_published_archive_is_copied(
        self, root, fresh, stick, published
    ):
        for place, content in published.items():
            (root / place).with_suffix("").write_bytes(gzip.decompress(content))
            content = gzip.compress(gzip.decompress(content), mtime=5)
            (root / place).write_bytes(content)
            published[place] = content
        assert data("prefetch", "mnist", "--root", stick) == 0
        assert {place: (stick / place).read_bytes() for place in FILES} == published

    def test_nothing_that_is_damaged_is_copied(self, root, fresh, stick):
        (root / FILES[2]).write_bytes(b"damaged")
        assert data("prefetch", "mnist", "--root", stick) == 1
        assert not (stick / FILES[2]).exists()
        assert (stick / FILES[1]).exists()

    def test_when_every_mirror_fails_it_says_what_to_copy_where(
        self, mirror, fresh, stick, capsys, monkeypatch
    ):
        mirror.behaviour = "forbidden"
        monkeypatch.setenv("VAELIB_MIRROR", "http://127.0.0.1:9")
        assert data("prefetch", "mnist", "glyphs", "--root", stick) == 1
        printed = capsys.readouterr().out
        assert "HTTP Error 403" in printed
        for file in files_of("mnist"):
            assert f"  {stick / file.place}  {file.md5}" in printed
        published = printed.partition("They are published in:")[2]
        assert published.startswith(f"\n  {mirror.url}MNIST/raw/\n"), "without the own mirror"
        assert f'verify mnist --root "{stick}"' in published
        assert f"ok    {stick / GLYPHS.place}" in published, "the others are still prepared"

    def test_a_failed_repair_keeps_what_was_there(self, mirror, root):
        path = root / FILES[0]
        path.write_bytes(b"damaged")
        mirror.behaviour = "gone"
        assert data("prefetch", "mnist") == 1
        assert path.read_bytes() == b"damaged"

    @pytest.mark.parametrize(
        ("variable", "setting", "said"),
        [
            ("VAELIB_OFFLINE", "1", "VAELIB_OFFLINE=1 forbids to download it"),
            ("VAELIB_MIRROR", "127.0.0.1:8000", "VAELIB_MIRROR=127.0.0.1:8000 is no address"),
        ],
    )
    def test_it_obeys_the_settings_of_the_network(
        self, mirror, fresh, monkeypatch, capsys, variable, setting, said
    ):
        monkeypatch.setenv(variable, setting)
        assert data("prefetch", "mnist") == 1
        assert said in capsys.readouterr().out
        assert mirror.asked == []

    def test_ctrl_c_is_130(self, mirror, fresh, monkeypatch, capsys):
        def cancelled(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(fetch, "_fetch", cancelled)
        assert data("prefetch", "mnist") == 130
        assert "nothing half-written was kept" in capsys.readouterr().out

    @pytest.mark.parametrize("again", [True, False])
    def test_a_stick_that_is_pulled_out_is_not_called_unwritable(
        self, root, fresh, stick, capsys, monkeypatch, again, request
    ):
        """The source is sound when it is looked at, and gone when it is copied."""
        real = verification.problem_of

        def pulled(file, path):
            problem = real(file, path)
            if path.is_relative_to(root):
                path.unlink(missing_ok=True)
            return problem

        if again:
            request.getfixturevalue("mirror")
        monkeypatch.setattr(verification, "problem_of", pulled)
        assert data("prefetch", "mnist", "--root", stick) == (0 if again else 1)
        printed = capsys.readouterr().out
        assert f"{root / FILES[0]} cannot be read (" in printed
        assert "cannot be written" not in printed

    def test_a_typeface_that_is_missing_is_not_called_an_unwritable_folder(
        self, fresh, capsys, monkeypatch, tmp_path
    ):
        import matplotlib

        monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path / "gone"))
        monkeypatch.setattr(glyphs, "templates", glyphs.templates.__wrapped__)
        assert data("prefetch", "glyphs") == 1
        printed = capsys.readouterr().out
        assert "matplotlib's typefaces cannot be read" in printed
        assert str(tmp_path / "gone") in printed
        assert "cannot be written" not in printed


RENAMED = [
    lambda path: path.with_name(path.name.replace("-idx", ".idx")),
    lambda path: path / path.name,
    lambda path: path / path.name.replace("-idx", ".idx"),
]


@pytest.mark.parametrize("rename", RENAMED)
@pytest.mark.parametrize("packed", [True, False])
class TestOtherNames:
    """7-Zip and `gunzip -N` put a dot into the names; Kaggle's copy has folders of these names."""

    @pytest.fixture
    def renamed(self, root, rename, packed):
        """The folder `root`, its archives renamed and perhaps unpacked; the new paths."""
        paths = []
        for place in FILES:
            archive = root / place
            content = archive.read_bytes()
            archive.unlink()
            path = rename(archive.with_suffix(""))
            path.parent.mkdir(exist_ok=True)
            paths.append(path.with_name(f"{path.name}.gz") if packed else path)
            paths[-1].write_bytes(content if packed else gzip.decompress(content))
        return paths

    def test_all_tasks_and_load_agree_without_a_network(
        self, renamed, root, fresh, capsys, published
    ):
        assert data("where", "mnist") == 0
        assert capsys.readouterr().out == f"mnist          {root}\n"
        assert data("verify", "mnist") == 0
        assert capsys.readouterr().out == "".join(f"ok    {path}\n" for path in renamed)
        assert data("prefetch", "mnist") == 0
        assert sorted(path for path in root.rglob("*") if path.suffix != ".lock") == sorted(
            {*renamed, *(path.parent for path in renamed), root / "MNIST", root / "MNIST" / "raw"}
        )
        images = gzip.decompress(published[FILES[0]])[16:]
        assert loading.load("mnist").images.flatten().tolist() == list(images)

    def test_they_are_copied_as_archives(self, renamed, root, fresh, stick, published):
        assert data("prefetch", "mnist", "--root", stick) == 0
        for place, content in published.items():
            assert gzip.decompress((stick / place).read_bytes()) == gzip.decompress(content)

    def test_a_damaged_one_is_named_and_replaced(self, renamed, mirror, root, capsys):
        renamed[0].write_bytes(b"broken")
        assert data("verify", "mnist") == 1
        printed = capsys.readouterr().out
        assert f"FAIL  {renamed[0]} is not an IDX file" in printed
        assert f'prefetch mnist --root "{root}"\n' in printed
        assert data("prefetch", "mnist") == 0
        assert renamed[0].with_name(f"{renamed[0].name}.damaged").read_bytes() == b"broken"
        assert {path.strip("/") for path in mirror.asked} == {FILES[0]}
        assert loading.load("mnist").images.shape == (30, 784)

    def test_a_damaged_one_beside_a_sound_one_is_put_aside(self, renamed, root, published):
        plain = (root / FILES[1]).with_suffix("")
        if plain.is_dir():
            plain = plain.parent / plain.name.replace("-idx", ".idx")
        plain.write_bytes(b"broken")
        assert data("prefetch", "mnist") == 0
        assert plain.with_name(f"{plain.name}.damaged").is_file()


class TestVerify:
    def test_without_names_it_takes_mnist_and_what_else_is_there(self, root, fresh, capsys):
        assert data("verify") == 0
        assert "Fashion" not in capsys.readouterr().out
        assert data("prefetch", "glyphs") == 0
        capsys.readouterr()
        assert data("verify") == 0
        assert GLYPHS.place in capsys.readouterr().out
        assert data("verify", "kmnist") == 1
        missing = root / files_of("kmnist")[0].place
        assert f"FAIL  {missing} is missing" in capsys.readouterr().out

    @pytest.mark.parametrize("lack", ["all", "folder", "one"])
    def test_without_names_it_fails_where_mnist_is_not(
        self, fresh, root, capsys, monkeypatch, lack
    ):
        if lack == "folder":
            monkeypatch.setenv("VAELIB_DATA", str(root / "typo"))
        elif lack == "one":
            (root / FILES[3]).unlink()
        else:
            monkeypatch.delenv("VAELIB_DATA")
        assert data("verify") == 1
        assert f"{FILES[3]} is missing" in capsys.readouterr().out

    def test_it_reads_every_copy_and_names_the_one_that_it_read(self, root, capsys):
        archive, plain = root / FILES[0], (root / FILES[0]).with_suffix("")
        plain.write_bytes(gzip.decompress(archive.read_bytes()))
        assert data("verify", "mnist") == 0
        printed = capsys.readouterr().out
        assert f"ok    {plain}\n" in printed
        assert f"ok    {archive}\n" in printed
        damaged = bytearray(archive.read_bytes())
        damaged[99] ^= 255
        archive.write_bytes(damaged)
        assert loading.load("mnist").images.shape == (30, 784), "the unpacked file is well"
        assert data("verify", "mnist") == 1
        archive.unlink()
        capsys.readouterr()
        assert data("verify", "mnist") == 0
        assert str(archive) not in capsys.readouterr().out.split()


def test_where_names_each_folder_and_fails_without_mnist(root, fresh, capsys, monkeypatch):
    assert data("where", "mnist") == 0
    assert capsys.readouterr().out == f"mnist          {root}\n"
    assert data("where") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NAMES)
    assert lines[2] == f"kmnist         missing, would go to {root}"
    assert data("where", "kmnist") == 1
    monkeypatch.delenv("VAELIB_DATA")
    assert data("where") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"missing, would go to {fresh}")


def test_wrong_usage_is_2(capsys):
    for arguments in (["fetch"], ["prefetch", "cifar"], []):
        with pytest.raises(SystemExit) as caught:
            data(*arguments)
        assert caught.value.code == 2
    assert "no data set is called 'cifar'; there is 'mnist', 'fas" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        command_line.main([])
    assert caught.value.code == 2


def test_help_says_what_there_is(capsys):
    for arguments in (["--help"], ["data", "--help"], ["data", "prefetch", "--help"]):
        with pytest.raises(SystemExit) as caught:
            command_line.main(arguments)
        assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for text in ("doctor", "prefetch", "verify", "where", *NAMES, "--root DIR", "Exit codes: 0"):
        assert text in said


def test_the_package_runs_as_a_command(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vaelib", "data", "where", "mnist", "kmnist"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(command_line.__file__, run_name="__main__")
    assert caught.value.code == 1
    assert f"mnist          {root}\n" in capsys.readouterr().out


def test_an_empty_name_is_no_folder(fresh, tmp_path, monkeypatch, capsys):
    """As an unset variable of a shell gives it: the files would go wherever one stands."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        command_line.main(["data", "prefetch", "glyphs", "--root", ""])
    assert "expected a folder, got an empty name" in capsys.readouterr().err
    monkeypatch.setenv("VAELIB_DATA", " ")
    assert store.own_folder() is None
