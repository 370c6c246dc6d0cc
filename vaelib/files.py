"""Files that appear whole or not at all, and a checksum of what tensors hold."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

HOUR = 3600.0


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path to write to, whose content replaces `path` at the end, or never.

    It lies beside the target (through a link, not in its place), is flushed to the disk and
    moved into place; on any error, Ctrl-C included, it is removed. What killed processes left
    there is removed once it is an hour old.
    """
    target = Path(path).expanduser().resolve()
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
