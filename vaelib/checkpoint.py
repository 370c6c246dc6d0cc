"""Keep a model, or a whole run: weights as safetensors, architecture in the metadata."""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from vaelib.decoder import ConvDecoder, Decoder
from vaelib.encoder import ConvEncoder, Encoder
from vaelib.files import digest
from vaelib.vae import VAE

FORMAT = "vaelib 2"
NETWORKS = {network.__name__: network for network in (Encoder, ConvEncoder, Decoder, ConvDecoder)}
DESCRIPTION = ("format", "encoder", "decoder", "trained_steps", "settings")
RUN = "run."  # what the names of tensors begin with that are a run's and not the model's
PICKLES = (b"\x80", b"PK\x03\x04")  # how a bare pickle begins, and torch.save's archive of one
HOUR = 3600.0


class CheckpointError(RuntimeError):
    """A file is no checkpoint of ours, or a model cannot be kept as one."""


class Run(NamedTuple):
    """A model with what else a run needs to go on: tensors by name, and its settings."""

    vae: VAE
    tensors: dict[str, Tensor]
    settings: dict[str, object]


def save(
    vae: VAE,
    path: str | Path,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Write `vae` to `path` and return the path; with `tensors` and `settings`, a run's state too.

    The file appears whole or not at all, whatever happens meanwhile: it is written beside the
    target, flushed to the disk, and moved into place. Raises `CheckpointError` for a network
    that `load` could not rebuild by name, and the operating system's error if the disk fails.
    """
    check(vae)
    metadata = {
        "format": FORMAT,
        "encoder": _describe(vae.encoder),
        "decoder": _describe(vae.decoder),
        "trained_steps": str(vae.trained_steps),
        "settings": json.dumps(dict(settings or {})),
    }
    named = vae.state_dict() | {RUN + name: tensor for name, tensor in (tensors or {}).items()}
    content = {name: tensor.detach().contiguous() for name, tensor in named.items()}
    metadata["sha256"] = digest(content, *(metadata[name] for name in DESCRIPTION))
    target = Path(path).resolve()  # through a link, not in its place
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(to_bytes(content, metadata))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Path(path)


def check(vae: VAE) -> None:
    """Raise `CheckpointError` for a model that `load` could not rebuild as it is."""
    texts = [_describe(network) for network in (vae.encoder, vae.decoder)]
    with torch.device("meta"):
        twin = VAE(*map(_rebuild, texts))
    lines = differences(twin.state_dict(), vae.state_dict())
    if list(map(type, vae.modules())) != list(map(type, twin.modules())):
        lines.append("its layers are of other types, or in another order")
    if lines:
        raise CheckpointError(
            "this model is not what its settings say, so it could not be loaded again:\n  "
            + "\n  ".join(lines)
        )


def load(path: str | Path) -> VAE:
    """Rebuild the VAE that `save` wrote to `path`, on the CPU. Nothing is unpickled.

    Raises `CheckpointError` if the file is missing, damaged, or no such checkpoint, or holds
    weights whose names or shapes are not those of the architecture it names; it says which.
    """
    return load_run(path).vae


def load_run(path: str | Path) -> Run:
    """Rebuild the VAE and the run's state that `save` wrote to `path`. Raises as `load` does."""
    tensors, metadata = _read(Path(path))
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {metadata.get('format')!r}; this version reads {FORMAT!r}"
        )
    texts = [metadata.get(name, "") for name in DESCRIPTION]
    if digest(tensors, *texts) != metadata.get("sha256"):
        raise CheckpointError(f"{path} is damaged: its contents have another checksum")
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(RUN)}
    try:
        with torch.device("meta"):  # sizes only: nothing is allocated before they are compared
            vae = VAE(_rebuild(metadata["encoder"]), _rebuild(metadata["decoder"]))
        vae.trained_steps = int(metadata["trained_steps"])
        settings = json.loads(metadata.get("settings", "{}"))
        lines = differences(vae.state_dict(), weights)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path} does not describe a VAE of ours: {error!r}") from error
    if lines:
        raise CheckpointError(f"{path} does not fit its own architecture:\n  " + "\n  ".join(lines))
    vae.load_state_dict(weights, assign=True)
    run = {name.removeprefix(RUN): tensors[name] for name in tensors.keys() - weights.keys()}
    return Run(vae, run, settings)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            # Copies, since what stays mapped would hold on to the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        if path.read_bytes()[:4].startswith(PICKLES):
            raise CheckpointError(
                f"{path} is a pickle or an archive of one, as torch.save writes it, and "
                "unpickling can run any code; it is not opened. Build the model yourself, fill it "
                "by load_state_dict, and keep it by vaelib.checkpoint.save"
            ) from error
        raise CheckpointError(f"{path} is not a safetensors file, or damaged ({error})") from error


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps the tensors `found` from being the `expected` ones, a line each."""
    lines = [f"{name} is missing" for name in expected.keys() - found.keys()]
    lines += [f"{name} is not expected" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        shapes = tuple(expected[name].shape), tuple(found[name].shape)
        if shapes[0] != shapes[1]:
            lines.append(f"{name} has shape {shapes[1]}, expected {shapes[0]}")
        elif found[name].is_floating_point() != expected[name].is_floating_point():
            lines.append(f"{name} has type {found[name].dtype}, expected {expected[name].dtype}")
    kinds = {str(tensor.dtype) for tensor in found.values() if tensor.is_floating_point()}
    if len(kinds) > 1:
        lines.append(f"weights of different types: {', '.join(sorted(kinds))}")
    return sorted(lines)


def _sweep(path: Path) -> None:
    """Remove what killed processes left of earlier savings, once it is an hour old."""
    for old in path.parent.glob(f".{path.name}.*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > HOUR:
                old.unlink()


def _describe(network: object) -> str:
    kind = type(network).__name__
    if NETWORKS.get(kind) is not type(network):
        raise CheckpointError(
            f"only vaelib's own {', '.join(NETWORKS)} can be saved by name, not {type(network)}"
        )
    return json.dumps({"kind": kind, **network.settings})


def _rebuild(description: str) -> object:
    settings = json.loads(description)
    kind = settings.pop("kind")
    if kind not in NETWORKS:
        raise ValueError(f"a network called {kind!r} is not known here")
    return NETWORKS[kind](**settings)
