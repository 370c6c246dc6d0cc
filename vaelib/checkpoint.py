"""Keep a model, or a whole run: weights as safetensors, architecture in the metadata."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.data.files import FileError, load_tensors, save_tensors
from vaelib.decoder import ConvDecoder, Decoder
from vaelib.encoder import ConvEncoder, Encoder
from vaelib.hierarchy import BUILDERS, Hierarchy
from vaelib.vae import VAE, LatentModel

FORMAT = "vaelib 3"
NETWORKS = {network.__name__: network for network in (Encoder, ConvEncoder, Decoder, ConvDecoder)}
RUN = ".run."  # how the names of a run's tensors begin; no name of a model's begins with a dot


class CheckpointError(RuntimeError):
    """A file is not a checkpoint of vaelib, or does not fit the model."""


class Checkpoint(NamedTuple):
    """A model, as a description and its weights, and a run's state: tensors and settings."""

    model: dict[str, object]
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    settings: dict[str, object]


def save(
    model: LatentModel,
    path: str | Path,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Write `model`, and the `tensors` and `settings` of a run, to `path`; return the path.

    The file appears whole or not at all. A model with code of your own is saved without it: to
    `load` it, build it first. Raises the operating system's error if the disk fails.
    """
    description = description_of(model) | {"trained_steps": model.trained_steps}
    texts = {"model": json.dumps(description), "settings": json.dumps(dict(settings or {}))}
    named = {RUN + name: tensor for name, tensor in (tensors or {}).items()}
    save_tensors(path, model.state_dict() | named, format=FORMAT, **texts)
    return Path(path).expanduser()


def load(path: str | Path, model: LatentModel | None = None) -> LatentModel:
    """Rebuild the model that `save` wrote to `path`, on the CPU. Nothing is unpickled.

    For a model with code of your own, give a fresh `model` of the same architecture, which is
    filled and returned. Raises `CheckpointError` if the file is missing, damaged or no checkpoint,
    or has weights whose names, shapes or types do not fit; it says which.
    """
    found = read_checkpoint(path)
    if model is None and "own" in found.model:
        raise CheckpointError(
            f"{path} has a model with code of your own ({found.model['own']}), which is not in "
            "the file. Build a model of the same architecture, and call load(path, model)"
        )
    try:
        with torch.device("meta"):  # sizes only: nothing is allocated before they are compared
            filled = _rebuild(found.model) if model is None else model
        lines = differences(filled.state_dict(), found.weights)
        steps = int(found.model["trained_steps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of vaelib: {error!r}") from error
    if lines:
        raise CheckpointError(f"{path} does not fit its architecture:\n  " + "\n  ".join(lines))
    filled.load_state_dict(found.weights, assign=model is None)
    filled.trained_steps = steps
    return filled


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Everything that `save` wrote to `path`, without building a model; raises as `load`."""
    try:
        tensors, texts = load_tensors(path, FORMAT)
        model, settings = dict(json.loads(texts["model"])), json.loads(texts["settings"])
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of vaelib: {error!r}") from error
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(RUN)}
    run = {name.removeprefix(RUN): tensors[name] for name in tensors.keys() - weights.keys()}
    return Checkpoint(model, weights, run, settings)


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps the tensors `found` from being the `expected` ones, a line each."""
    lines = [f"{name} is missing" for name in expected.keys() - found.keys()]
    lines += [f"{name} is not expected" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        ours, theirs = expected[name], found[name]
        if ours.shape != theirs.shape:
            lines.append(f"{name} has shape {tuple(theirs.shape)}, expected {tuple(ours.shape)}")
        elif ours.is_floating_point() != theirs.is_floating_point():
            lines.append(f"{name} has type {theirs.dtype}, expected {ours.dtype}")
    ours, theirs = (
        {str(tensor.dtype) for tensor in tensors.values() if tensor.is_floating_point()}
        for tensors in (expected, found)
    )
    if len(theirs) > len(ours):
        lines.append(f"weights of different types: {', '.join(sorted(theirs))}")
    return sorted(lines)


def description_of(model: LatentModel) -> dict[str, object]:
    """What `load` needs to rebuild a model; where that needs code of your own, its classes."""
    parts, description = {"": model}, {}
    if type(model) is Hierarchy and model.settings:
        description = {"hierarchy": model.settings}
    elif type(model) is VAE:
        parts = dict(model.named_children())
        if all(type(part) in NETWORKS.values() for part in parts.values()):
            kinds = {name: {"kind": type(part).__name__} for name, part in parts.items()}
            description = {name: kind | parts[name].settings for name, kind in kinds.items()}
    if description:
        with torch.device("meta"):
            twin = _rebuild(description)
        layers = [list(map(type, network.modules())) for network in (twin, model)]
        if layers[0] == layers[1] and not differences(twin.state_dict(), model.state_dict()):
            return description
    return {"own": ", ".join(type(part).__qualname__ for part in parts.values())}


def _rebuild(description: Mapping[str, object]) -> LatentModel:
    if "hierarchy" in description:
        return _made(BUILDERS, **description["hierarchy"])
    return VAE(*(_made(NETWORKS, **description[name]) for name in ("encoder", "decoder")))


def _made(makers: Mapping[str, Callable], kind: str, **settings: object) -> torch.nn.Module:
    if kind not in makers:
        raise ValueError(f"a network called {kind!r} is not known here")
    return makers[kind](**settings)
