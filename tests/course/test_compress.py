"""`python -m vaelib compress` and `decompress`, as a person types them."""

import gzip

import numpy as np
import pytest
import torch
from mirror import idx
from PIL import Image

from vaelib import __main__ as command_line
from vaelib import archive, checkpoint, vae
from vaelib.binarization import freeze


@pytest.fixture(scope="module")
def bits(digits):
    """Twelve binary digits, as pictures of bytes 0 and 255."""
    return freeze(digits[:12], torch.Generator().manual_seed(0)).view(-1, 28, 28).numpy()


@pytest.fixture
def model(tmp_path):
    made = vae.dense(hidden=20, latent=3, generator=torch.Generator().manual_seed(0))
    return checkpoint.save(made, tmp_path / "model.safetensors")


def vaelib(*arguments):
    """The exit code of `python -m vaelib …`."""
    return command_line.main([str(argument) for argument in arguments])


def as_npy(folder, bits):
    np.save(folder / "images.npy", bits)
    return folder / "images.npy"


def as_npz(folder, bits):
    np.savez(folder / "images.npz", images=bits, labels=np.zeros(len(bits), np.uint8))
    return folder / "images.npz"


def as_idx(folder, bits):
    (folder / "idx").mkdir()
    for kind, values in (("images-idx3", bits), ("labels-idx1", np.zeros(len(bits), np.uint8))):
        (folder / "idx" / f"my-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(values)))
    return folder / "idx"


def as_pictures(folder, bits):
    (folder / "pictures").mkdir()
    for number, picture in enumerate(bits):
        Image.fromarray(picture).save(folder / "pictures" / f"{number:02}.png")
    return folder / "pictures"


@pytest.mark.parametrize("source", [as_npy, as_npz, as_idx, as_pictures])
def test_images_come_back_in_their_order_from_every_kind_of_source(
    source, tmp_path, bits, model, capsys
):
    made, back = tmp_path / "new folder" / "images.vae", tmp_path / "back.npy"
    assert vaelib("compress", source(tmp_path, bits), "-o", made, "--model", model) == 0
    assert f"12 images in {made.stat().st_size:,} bytes" in capsys.readouterr().out
    assert vaelib("decompress", made, "-o", back, "--model", model) == 0
    printed, shown = capsys.readouterr()
    assert "12 images of 28 × 28 pixels" in printed
    assert "12/12" in shown, "progress"
    assert (np.load(back) == bits).all()


def test_grey_pixels_are_refused_or_binarized_as_asked(tmp_path, digits, model, capsys):
    grey = digits[:10].view(-1, 28, 28).numpy()
    source, made = as_npy(tmp_path, grey), tmp_path / "images.vae"
    assert vaelib("compress", source, "-o", made, "--model", model) == 1
    assert "--binarize" in capsys.readouterr().err
    assert not made.exists()
    files = set()
    for how in (["threshold"], ["dynamic"], ["dynamic", "--seed", "1"]):
        arguments = ["-o", made, "--model", model, "--binarize", *how]
        assert vaelib("compress", source, *arguments) == 0
        files.add(made.read_bytes())
    assert len(files) == 3
    assert vaelib("decompress", made, "-o", tmp_path / "back.npy", "--model", model) == 0
    drawn = freeze(digits[:10], torch.Generator().manual_seed(1)).view(-1, 28, 28).numpy()
    assert (np.load(tmp_path / "back.npy") == drawn).all()


class TestRefusals:
    @pytest.fixture
    def made(self, tmp_path, bits, model):
        path = tmp_path / "images.vae"
        assert vaelib("compress", as_npy(tmp_path, bits), "-o", path, "--model", model) == 0
        return path

    def refused(self, capsys, *arguments, words):
        assert vaelib(*arguments) == 1
        said = capsys.readouterr().err
        for word in words:
            assert str(word) in said

    def test_files_that_are_no_archives_are_named(self, tmp_path, made, model, capsys):
        back = ["-o", tmp_path / "back.npy", "--model", model]
        for file, words in (
            (tmp_path / "nowhere.vae", ["nowhere.vae"]),
            (tmp_path, [tmp_path]),
            (as_npy(tmp_path, np.zeros((10, 28, 28), np.uint8)), ["images.npy", "compressed"]),
        ):
            self.refused(capsys, "decompress", file, *back, words=words)
        made.write_bytes(made.read_bytes()[:-4])
        self.refused(capsys, "decompress", made, *back, words=[made, "damaged or cut short"])
        assert not (tmp_path / "back.npy").exists()

    def test_another_model_is_refused(self, tmp_path, made, capsys):
        other = vae.dense(hidden=20, latent=3, generator=torch.Generator().manual_seed(1))
        path = checkpoint.save(other, tmp_path / "other.safetensors")
        arguments = ["decompress", made, "-o", tmp_path / "back.npy", "--model", path]
        self.refused(capsys, *arguments, words=[made, "another model"])

    def test_missing_images_and_models_and_other_sizes(self, tmp_path, bits, model, capsys):
        source, to = as_npy(tmp_path, bits), ["-o", tmp_path / "x.vae"]
        for arguments, words in (
            ([tmp_path / "none", *to, "--model", model], ["Nor is there a file or folder"]),
            ([source, *to, "--model", tmp_path / "none"], ["there is no file", "none"]),
            ([as_npy(tmp_path, bits[:, :9]), *to, "--model", model], ["784"]),
        ):
            self.refused(capsys, "compress", *arguments, words=words)
        assert not (tmp_path / "x.vae").exists()

    def test_what_is_read_is_not_replaced_nor_a_folder(self, tmp_path, bits, model, capsys):
        source = as_npy(tmp_path, bits)
        before = model.read_bytes(), source.read_bytes()
        for output, words in (
            (model, ["is what is read"]),
            (source, ["is what is read"]),
            (tmp_path, ["is a folder"]),
        ):
            arguments = ["compress", source, "-o", output, "--model", model]
            self.refused(capsys, *arguments, words=words)
        assert (model.read_bytes(), source.read_bytes()) == before

    def test_a_threshold_that_makes_all_blank_is_refused(self, tmp_path, bits, model, capsys):
        arguments = ["-o", tmp_path / "x.vae", "--model", model, "--binarize", "threshold"]
        faint = as_npy(tmp_path, bits // 3)
        self.refused(capsys, "compress", faint, *arguments, words=["blank"])

    def test_wrong_usage_is_exit_code_two(self, tmp_path, made, model):
        for arguments in (["compress"], ["decompress", made, "-o", "x.png", "--model", model]):
            with pytest.raises(SystemExit) as ended:
                vaelib(*arguments)
            assert ended.value.code == 2

    def test_an_interruption_leaves_what_was_there(
        self, tmp_path, made, bits, model, monkeypatch, capsys
    ):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        before = made.read_bytes()
        monkeypatch.setattr(archive, "compress", interrupt)
        source = as_npy(tmp_path, bits)
        assert vaelib("compress", source, "-o", made, "--model", model) == 130
        assert "nothing half-written was kept" in capsys.readouterr().err
        assert made.read_bytes() == before
        assert [path.name for path in tmp_path.glob(".*")] == []
