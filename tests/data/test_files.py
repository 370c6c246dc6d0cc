import os
import time

import pytest
import torch

from vaelib.data.files import HOUR, digest, written_whole


def test_a_file_is_replaced_at_the_end_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new folder" / "file"
    for text in ("first", "second"):
        with written_whole(path) as partial:
            partial.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_on_an_error_the_old_content_stays(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with written_whole(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(OSError, match="is a folder or a device"), written_whole(tmp_path):
        raise AssertionError("nothing is to be written")


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with written_whole(link) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_what_killed_processes_left_goes_after_an_hour(tmp_path):
    young, old = tmp_path / ".file.1.partial", tmp_path / ".file.2.partial"
    for path in (young, old):
        path.touch()
    os.utime(old, (0, time.time() - HOUR - 1))
    with written_whole(tmp_path / "file") as partial:
        partial.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "file"]


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
