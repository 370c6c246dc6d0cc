"""Images in a mapped file: the same run, bit for bit, without loading them."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from vaelib import vae
from vaelib.data import rows
from vaelib.data.rows import check_ink, in_order, rows_of, some_of
from vaelib.training import train


@pytest.fixture
def file(pixels, tmp_path):
    np.save(tmp_path / "images.npy", pixels.view(-1, 28, 28).numpy())
    return tmp_path / "images.npy"


def trained(images, **settings):
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(hidden=20, latent=2, generator=generator)
    settings = dict(epochs=2, batch_size=8, protocol="dynamic", generator=generator) | settings
    history = train(model, images, **settings)
    return torch.cat([value.flatten() for value in model.state_dict().values()]), history


@pytest.mark.parametrize("gathered", [rows.GATHERED, 20_000])  # all batches together, or three
def test_a_map_and_a_path_give_the_run_of_images_in_memory(file, pixels, gathered, monkeypatch):
    expected, known = trained(pixels)
    monkeypatch.setattr(rows, "GATHERED", gathered)
    for given in (np.load(file, mmap_mode="r"), file, str(file)):
        weights, history = trained(given)
        assert torch.equal(weights, expected)
        assert torch.equal(history.train.bound, known.train.bound)
    half = trained(file, epochs=1)[1]
    assert torch.equal(trained(file, resume=half)[0], expected)


def test_batches_come_in_order_whatever_is_gathered_together(pixels, monkeypatch):
    order = torch.randperm(len(pixels))
    expected = pixels[order].split(7)
    for gathered in (1, 7 * 784, 20 * 784, 10**6):
        monkeypatch.setattr(rows, "GATHERED", gathered)
        assert all(map(torch.equal, in_order(pixels, order, 7), expected))


def test_many_images_are_known_by_some_of_them(pixels, monkeypatch):
    assert torch.equal(some_of(pixels), pixels)
    monkeypatch.setattr(rows, "AT_ONCE", 784 * 20)
    assert torch.equal(some_of(pixels), pixels[::3])


def test_ink_is_looked_for_until_it_is_found(monkeypatch):
    monkeypatch.setattr(rows, "AT_ONCE", 10)
    late = torch.zeros(7, 4, dtype=torch.uint8)
    late[-1, -1] = 200
    check_ink(late)
    with pytest.raises(ValueError, match="the largest one is 12"):
        check_ink(late.clamp(max=12))


def test_a_map_is_not_copied(file):
    mapped = np.load(file, mmap_mode="r")
    assert rows_of(mapped).data_ptr() == mapped.ctypes.data


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_file_larger_than_the_memory_allowed_is_trained_on(tmp_path):
    script = """
        import re, resource, sys
        from pathlib import Path
        import numpy as np
        from vaelib import training, vae

        path, side = sys.argv[1], 100
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (18_000, side, side))
        images[:, 40:60, ::5] = 255
        images.flush()
        del images
        used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
        allowed = used * 1024 + 160 * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))  # maps of files do not count
        model = vae.dense(pixels=side**2, hidden=2, latent=1)
        training.train(model, path, epochs=1)
        print("trained on", model.trained_steps * 100)
        try:
            np.load(path)
        except MemoryError:
            print("larger than the limit")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), tmp_path / "large.npy"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == ["trained on 18000", "larger than the limit"]
