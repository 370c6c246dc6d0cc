import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from damage import survive_damage
from safetensors.torch import save_file
from torch import nn

from vaelib import checkpoint, vae
from vaelib.data.files import digest, load_tensors
from vaelib.decoder import Decoder


def write(path, tensors, metadata):
    """A file as `save` writes it, with these contents and the checksum that they have."""
    texts = json.dumps(metadata, sort_keys=True)
    save_file(tensors, path, metadata | {"sha256": digest(tensors, texts)})


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


class Encoder(nn.Module):
    """A stranger of the same name as one of ours."""

    latent, pixels, settings = 5, 784, {}


def test_a_stranger_of_the_same_name_is_not_taken_for_ours(tmp_path):
    path = checkpoint.save(vae.VAE(Encoder(), Decoder()), tmp_path / "model.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match=r"code of your own \(Encoder, Decoder\)"):
        checkpoint.load(path)
    model = checkpoint.load(path, vae.VAE(Encoder(), Decoder()))
    assert isinstance(model.encoder, Encoder)


def test_precision_survives_and_the_global_generator_is_left_alone(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4).double(), tmp_path / "model.safetensors")
    state = torch.random.get_rng_state()
    assert next(checkpoint.load(path).parameters()).dtype == torch.float64
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {}},
        {"encoder": {"kind": "Encoder", "extra": 1}},
        {"encoder": {"kind": "Encoder", "activation": "gelu"}},
        {"encoder": {"kind": "Encoder", "latent": 9}},
        {"decoder": {"kind": "Unknown"}},
        {"decoder": 3},
        {"trained_steps": "many"},
    ],
)
@pytest.mark.usefixtures("as_users_run")
def test_metadata_that_describes_no_vae_is_refused(tmp_path, change):
    model = vae.dense(hidden=4)
    described = {
        "encoder": {"kind": "Encoder", "hidden": 4},
        "decoder": {"kind": "Decoder", "hidden": 4},
        "trained_steps": 0,
    }
    path, shared = tmp_path / "model.safetensors", {"format": checkpoint.FORMAT, "settings": "{}"}
    write(path, model.state_dict(), shared | {"model": json.dumps(described)})
    checkpoint.load(path)
    for wrong in (json.dumps(described | change), "not json", "[]", "3"):
        write(path, model.state_dict(), shared | {"model": wrong})
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(checkpoint.CheckpointError, match="there is no file"):
        checkpoint.load(missing)
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(checkpoint.CheckpointError, match=r"is a pickle.*can run any code"):
        checkpoint.load(pickled)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, foreign)
    with pytest.raises(checkpoint.CheckpointError, match="has format None; this version reads"):
        checkpoint.load(foreign)


def test_what_differs_is_said_by_name_and_shape(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4), tmp_path / "model.safetensors")
    tensors, metadata = load_tensors(path, checkpoint.FORMAT)
    described = json.loads(metadata["model"])
    described["encoder"]["hidden"] = 5
    write(path, tensors, metadata | {"model": json.dumps(described)})
    with pytest.raises(checkpoint.CheckpointError, match="does not fit its architecture") as e:
        checkpoint.load(path)
    assert "encoder.mean.weight has shape (5, 4), expected (5, 5)" in str(e.value)
    assert "decoder" not in str(e.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.encoder.settings.update(hidden=5),
        lambda model: model.encoder.hidden.append(nn.BatchNorm1d(4)),
        lambda model: model.decoder.hidden.append(nn.Dropout()),
    ],
)
def test_what_its_settings_do_not_describe_is_loaded_into_a_model_of_its_kind(tmp_path, change):
    models = vae.dense(hidden=4), vae.dense(hidden=4)
    for model in models:
        change(model)
    path = checkpoint.save(models[0], tmp_path / "model.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match=r"call load\(path, model\)"):
        checkpoint.load(path)
    again = checkpoint.load(path, models[1]).state_dict()
    assert all(torch.equal(again[name], value) for name, value in models[0].state_dict().items())


def test_widths_as_a_tuple_are_those_of_a_list(tmp_path):
    path = checkpoint.save(vae.dense(hidden=(8, 8)), tmp_path / "m")
    again = checkpoint.load(path)
    assert again.encoder.settings["hidden"] == [8, 8]
    assert checkpoint.description_of(again) == checkpoint.description_of(vae.dense(hidden=(8, 8)))


def test_parts_called_run_and_buffers_of_another_type_come_back(tmp_path):
    def fresh():
        model = vae.dense(hidden=4)
        model.encoder.run = nn.Linear(2, 2)
        model.encoder.register_buffer("mean_image", torch.zeros(3, dtype=torch.float64))
        return model

    model = fresh()
    again = checkpoint.load(checkpoint.save(model, tmp_path / "m"), fresh())
    assert torch.equal(again.encoder.run.weight, model.encoder.run.weight)
    assert again.encoder.mean_image.dtype == torch.float64


def test_a_loaded_model_remembers_that_it_was_trained(tmp_path):
    model = vae.dense(hidden=4)
    model.trained_steps = 77
    assert checkpoint.load(checkpoint.save(model, tmp_path / "m")).trained_steps == 77


def test_saving_to_a_link_writes_through_it(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    checkpoint.save(vae.dense(hidden=4), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").is_file()


def test_missing_and_unexpected_weights_are_named(tmp_path):
    model = vae.dense(hidden=4)
    path = checkpoint.save(model, tmp_path / "model.safetensors")
    tensors, metadata = load_tensors(path, checkpoint.FORMAT)
    tensors["decoder.logits.wait"] = tensors.pop("decoder.logits.weight")
    tensors["encoder.mean.bias"] = tensors["encoder.mean.bias"].double()
    write(path, tensors, metadata)
    with pytest.raises(checkpoint.CheckpointError) as caught:
        checkpoint.load(path)
    assert "decoder.logits.weight is missing" in str(caught.value)
    assert "decoder.logits.wait is not expected" in str(caught.value)
    assert "weights of different types: torch.float32, torch.float64" in str(caught.value)


def test_another_version_of_the_format_is_named(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4), tmp_path / "model.safetensors")
    tensors, metadata = load_tensors(path, checkpoint.FORMAT)
    write(path, tensors, metadata | {"format": "vaelib 9"})
    with pytest.raises(checkpoint.CheckpointError, match="format 'vaelib 9'; this version reads"):
        checkpoint.load(path)


def test_a_giant_that_the_metadata_describes_is_refused_before_it_is_built(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4), tmp_path / "model.safetensors")
    tensors, metadata = load_tensors(path, checkpoint.FORMAT)
    described = json.loads(metadata["model"])
    described["encoder"]["hidden"] = 10**12
    write(path, tensors, metadata | {"model": json.dumps(described)})
    with pytest.raises(checkpoint.CheckpointError, match=r"expected \(1000000000000, 784\)"):
        checkpoint.load(path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("kind", ["pickle", "torch.save", "old torch.save"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_pickle_is_refused_with_the_reason_and_never_opened(tmp_path, monkeypatch, kind, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"model{suffix}"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    else:
        torch.save(Evil(), path, _use_new_zipfile_serialization=kind == "torch.save")
    with pytest.raises(checkpoint.CheckpointError, match=r"is a pickle.*can run any code"):
        checkpoint.load(path)
    assert not Path("pwned").exists()


def test_a_run_brings_its_tensors_and_settings(tmp_path):
    model = vae.dense(hidden=4)
    tensors = {"order": torch.arange(3), "empty": torch.zeros(0, 2)}
    path = checkpoint.save(model, tmp_path / "r", tensors=tensors, settings={"rate": 1e-3, "n": 2})
    run = checkpoint.read_checkpoint(path)
    assert run.settings == {"rate": 1e-3, "n": 2}
    assert run.tensors.keys() == tensors.keys()
    assert all(torch.equal(run.tensors[name], tensors[name]) for name in tensors)
    assert torch.equal(run.weights["decoder.logits.weight"], model.decoder.logits.weight)
    assert all(parameter.requires_grad for parameter in checkpoint.load(path).parameters())


def test_what_is_loaded_does_not_hold_on_to_the_file(tmp_path):
    path = checkpoint.save(vae.dense(hidden=4), tmp_path / "model.safetensors")
    model = checkpoint.load(path)
    before = model.decoder.logits.weight.clone()
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(model.decoder.logits.weight, before)


def test_500_damaged_files_are_refused_or_read_as_they_were(tmp_path):
    path = checkpoint.save(
        vae.dense(pixels=9, hidden=4, latent=2),
        tmp_path / "folder" / "model.safetensors",
        tensors={"step": torch.tensor(3)},
    )

    def load():
        run = checkpoint.read_checkpoint(path)
        return [*checkpoint.load(path).state_dict().values(), *run.tensors.values()]

    survive_damage(path, load, load(), checkpoint.CheckpointError)


def test_what_a_killed_process_left_is_swept_away_once_it_is_old(tmp_path):
    path = tmp_path / "model.safetensors"
    young, old = (tmp_path / f".model.safetensors.{pid}.partial" for pid in (1, 2))
    young.touch()
    old.touch()
    os.utime(old, (1e9, 1e9))
    checkpoint.save(vae.dense(hidden=4), path)
    assert young.exists()
    assert not old.exists()
