"""Files that appear whole or not at all, and tensors in them, without pickles, with a checksum."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

HOUR = 3600.0
PICKLES = (b"\x80", b"PK\x03\x04")  # how a bare pickle begins, and torch.save's archive of one


class FileError(RuntimeError):
    """A file of tensors is missing, damaged or of another kind; the message names it."""


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path to write to, whose content replaces `path` at the end, or never.

    It lies beside the target (through a link, not in its place), is flushed to the disk and
    moved into place; on any error, Ctrl-C included, it is removed. What killed processes left
    there is removed once it is an hour old. Raises OSError where a folder or a device is.
    """
    target = Path(path).expanduser().resolve()
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is a folder or a device, not a file that can be replaced")
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f".{target.name}.*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > HOUR:
                old.unlink()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256 of tensors (names, types, shapes and values) and of texts that belong to them."""
    parts = [json.dumps(texts).encode()]
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        parts.append(tensor.flatten().view(torch.uint8).numpy())
    together = hashlib.sha256()
    for part in parts:
        together.update(part)
    return together.hexdigest()


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], **about: str) -> None:
    """Write tensors and texts about them to a safetensors file, whole or not at all."""
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    checksum = digest(content, json.dumps(about, sort_keys=True))
    with written_whole(path) as partial:
        partial.write_bytes(save(content, about | {"sha256": checksum}))


def load_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts that `save_tensors` wrote, on the CPU. Nothing is unpickled.

    Raises `FileError` if there is no such file, its text "format" is not `kind`, or its contents
    are not what was written.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            # Copies, since what stays mapped would hold on to the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        if path.read_bytes()[:4].startswith(PICKLES):
            raise FileError(
                f"{path} is a pickle or an archive of one, as torch.save writes it, and "
                "unpickling can run any code; it is not opened. Build the model yourself, fill it "
                "with load_state_dict, and save it with vaelib.checkpoint.save"
            ) from error
        raise FileError(f"{path} is not a safetensors file, or damaged ({error})") from error
    if about.get("format") != kind:
        raise FileError(f"{path} has format {about.get('format')!r}; this version reads {kind!r}")
    checksum = about.pop("sha256", "")
    if digest(tensors, json.dumps(about, sort_keys=True)) != checksum:
        raise FileError(f"{path} is damaged: its contents have another checksum")
    return tensors, about
