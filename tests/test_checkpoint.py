import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vaelib import checkpoint, vae
from vaelib.decoder import Decoder


@pytest.mark.parametrize(
    "model",
    [vae.dense(), vae.dense(hidden=40, latent=3, activation="relu"), vae.convolutional(latent=7)],
)
def test_what_is_saved_comes_back_the_same(model, tmp_path, generator):
    path = checkpoint.save(model, tmp_path / "new folder" / "model.safetensors")
    again = checkpoint.load(path)
    code = torch.randn(3, model.latent, generator=generator)
    image = torch.rand(3, 784, generator=generator)
    assert torch.equal(again.decoder(code), model.decoder(code))
    assert torch.equal(again.encoder(image).log_std, model.encoder(image).log_std)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_save_leaves_the_old_file_and_no_scraps(tmp_path, monkeypatch):
    path = checkpoint.save(vae.dense(hidden=4), tmp_path / "model.safetensors")
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(vae.dense(hidden=8), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_network_that_cannot_be_rebuilt_is_not_saved(tmp_path):
    class Mine(nn.Module):
        latent, pixels, settings = 5, 784, {}

    with pytest.raises(checkpoint.CheckpointError, match="Mine"):
        checkpoint.save(vae.VAE(Mine(), Decoder()), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_stranger_of_the_same_name_is_not_taken_for_ours(tmp_path):
    encoder = type("Encoder", (nn.Module,), {"latent": 5, "pixels": 784, "settings": {}})()
    with pytest.raises(checkpoint.CheckpointError, match="can be saved by name"):
        checkpoint.save(vae.VAE(encoder, Decoder()), tmp_path / "model.safetensors")


def test_precision_survives_and_the_global_generator_is_left_alone(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4).double(), tmp_path / "model.safetensors")
    state = torch.random.get_rng_state()
    assert next(checkpoint.load(path).parameters()).dtype == torch.float64
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "{}"},
        {"encoder": "not json"},
        {"encoder": '{"kind": "Encoder", "extra": 1}'},
        {"encoder": '{"kind": "Encoder", "activation": "gelu"}'},
        {"encoder": '{"kind": "Encoder", "latent": 9}'},
        {"decoder": '{"kind": "Unknown"}'},
    ],
)
@pytest.mark.usefixtures("as_users_run")
def test_metadata_that_describes_no_vae_is_refused(tmp_path, change):
    model = vae.dense(hidden=4)
    described = {
        "format": checkpoint.FORMAT,
        "encoder": '{"kind": "Encoder", "hidden": 4}',
        "decoder": '{"kind": "Decoder", "hidden": 4}',
    }
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), path, described)
    checkpoint.load(path)
    save_file(model.state_dict(), path, described | change)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(checkpoint.CheckpointError, match="there is no file"):
        checkpoint.load(missing)
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(checkpoint.CheckpointError, match="not a safetensors file"):
        checkpoint.load(pickled)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, foreign)
    with pytest.raises(checkpoint.CheckpointError, match="has format None; this version reads"):
        checkpoint.load(foreign)


def test_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    model = vae.dense(hidden=4)
    model.encoder.settings["hidden"] = 5
    path = checkpoint.save(model, tmp_path / "model.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match="does not fit its own architecture"):
        checkpoint.load(path)
