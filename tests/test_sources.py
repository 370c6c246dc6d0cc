from pathlib import Path

import pytest

from vaelib import sources


def test_a_missing_folder_names_the_files_and_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(sources.DataError) as caught:
        sources.find("mnist")
    message = str(caught.value)
    assert "This folder does not exist" in message
    for pair in sources.FILES["mnist"].values():
        for file in pair:
            assert str(tmp_path / "nowhere" / file) in message


def test_one_missing_file_is_the_only_one_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    files = [file for pair in sources.FILES["mnist"].values() for file in pair]
    for file in files[1:]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(sources.DataError) as caught:
        sources.find("mnist")
    assert str(tmp_path / files[0]) in str(caught.value)
    assert str(tmp_path / files[1]) not in str(caught.value)


def test_without_the_variable_the_cache_is_used_and_filled(tmp_path, monkeypatch):
    monkeypatch.delenv("VAELIB_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    asked = []
    monkeypatch.setattr(sources, "download", lambda name, root: asked.append((name, root)))
    assert sources.find("mnist") == tmp_path
    assert asked == [("mnist", tmp_path)]


def test_a_failed_download_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.delenv("VAELIB_DATA", raising=False)

    def broken(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST", broken)
    with pytest.raises(sources.DataError, match="The download failed: Error downloading") as caught:
        sources.download("mnist", tmp_path)
    assert "set VAELIB_DATA to a folder" in str(caught.value)


def test_home_and_relative_folders_are_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("~/data", "./data"):
        monkeypatch.setenv("VAELIB_DATA", folder)
        with pytest.raises(sources.DataError) as caught:
            sources.find("mnist")
        assert f"was looked for in {tmp_path / 'data'} " in str(caught.value)


def test_the_cache_follows_the_users_setting(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert sources.cache_folder() == Path("/somewhere/vaelib")


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(sources.DataError, match="no data set is called 'cifar'; there is 'mnist'"):
        sources.find("cifar")
