"""Keep a trained model: its weights as safetensors, its architecture in the metadata."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from vaelib.decoder import ConvDecoder, Decoder
from vaelib.encoder import ConvEncoder, Encoder
from vaelib.vae import VAE

FORMAT = "vaelib 1"
NETWORKS = {network.__name__: network for network in (Encoder, ConvEncoder, Decoder, ConvDecoder)}


class CheckpointError(RuntimeError):
    """A file is no checkpoint of ours, or a model cannot be kept as one."""


def save(vae: VAE, path: str | Path) -> Path:
    """Write `vae` to `path` and return the path.

    The file appears whole or not at all: it is written beside the target and moved into place.
    Raises `CheckpointError` for a network that `load` could not rebuild by name.
    """
    metadata = {
        "format": FORMAT,
        "encoder": _describe(vae.encoder),
        "decoder": _describe(vae.decoder),
    }
    weights = {name: value.detach().contiguous() for name, value in vae.state_dict().items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(to_bytes(weights, metadata))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> VAE:
    """Rebuild the VAE that `save` wrote to `path`, on the CPU. Nothing is unpickled.

    Raises `CheckpointError` if the file is missing, is no such checkpoint, or holds weights
    that do not fit the architecture it names.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {metadata.get('format')!r}; this version reads {FORMAT!r}"
        )
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn, then replaced
            vae = VAE(_rebuild(metadata["encoder"]), _rebuild(metadata["decoder"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a VAE of ours: {error!r}") from error
    vae.to({value.dtype for value in weights.values()}.pop() if weights else None)
    try:
        vae.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit its own architecture: {error}") from error
    return vae


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
        raise CheckpointError(f"a network called {kind!r} is not known here")
    return NETWORKS[kind](**settings)
