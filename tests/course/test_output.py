import os
from pathlib import Path

import pytest

from vaelib.course import output


def test_it_is_a_folder_of_the_working_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert output.folder("output") == Path("output")
    assert list(tmp_path.iterdir()) == [tmp_path / "output"]
    assert not list((tmp_path / "output").iterdir())
    assert output.folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not capsys.readouterr().out


@pytest.mark.parametrize("hindrance", ["a file of that name", "a folder that is read-only"])
def test_where_it_cannot_be_made_a_temporary_one_is_named(hindrance, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if hindrance == "a file of that name":
        (tmp_path / "output").write_text("mine")
    else:

        def refuse(*arguments, **settings):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(output.tempfile, "TemporaryFile", refuse)  # root may write anywhere
    made = output.folder("output")
    assert made.is_dir()
    assert made.is_absolute()
    assert str(made) in capsys.readouterr().out
    if hindrance == "a file of that name":
        assert (tmp_path / "output").read_text() == "mine"
    os.rmdir(made)
