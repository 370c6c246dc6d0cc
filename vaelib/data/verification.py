"""Are these the published files? Checksums, and a memory of files that have passed.

Hashing MNIST takes a moment, so a file that has passed is remembered in the user's cache by its
size and times, and hashed again only when one of them has changed.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from vaelib.data.store import ARCHIVES, DataError, cache_folder

# SHA-256 of MNIST's values as they are decoded, without the header of the file.
VALUES = {
    "MNIST/raw/train-images-idx3-ubyte.gz": (
        "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
    ),
    "MNIST/raw/train-labels-idx1-ubyte.gz": (
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"
    ),
    "MNIST/raw/t10k-images-idx3-ubyte.gz": (
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"
    ),
    "MNIST/raw/t10k-labels-idx1-ubyte.gz": (
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"
    ),
}
SETTLED = 2.0  # seconds after a change within which a second one could leave the times alike


def check(path: Path, file: str, raw: bytes, values: bytes) -> None:
    """Raise `DataError` unless `path` is the published `file`.

    `raw` is what the file holds, `values` what it decodes to, without the header. MNIST is known
    by its values, however they are packed; other data sets by the archives that torchvision pins.
    """
    if file in VALUES:
        expected, found = VALUES[file], hashlib.sha256(values).hexdigest()
        known = {digest: name for name, digest in VALUES.items()}
    else:
        pinned = {name: md5 for archives in ARCHIVES.values() for name, md5 in archives.items()}
        expected, found = pinned[file], hashlib.md5(raw, usedforsecurity=False).hexdigest()
        known = {digest: name for name, digest in pinned.items()}
    if found != expected:
        really = f"it holds what belongs into {known[found]}" if found in known else "damaged"
        raise DataError(
            f"{path} is not the published {file} ({really}): its checksum is {found}, expected "
            f"{expected}. {advice(path, file)}"
        )


def advice(path: Path, file: str) -> str:
    """What to do about a damaged file."""
    names = [name for name, archives in ARCHIVES.items() if file in archives]
    root = path.parents[file.count("/")]
    return (
        f"Delete it and get it anew: python -m vaelib data prefetch {' '.join(names)} "
        f'--root "{root}"'
    )


def marks_file() -> Path:
    """The file that remembers which files have passed."""
    return cache_folder() / "verified.json"


def is_remembered(path: Path, file: str, facts: os.stat_result) -> bool:
    """Whether `path` has passed as `file` before, and has the size and the times it had then."""
    return _marks().get(str(path.absolute())) == _mark(file, facts)


def remember(path: Path, file: str, facts: os.stat_result) -> None:
    """Note that `path`, with the `facts` taken before it was read, has passed as `file`.

    Not yet if it was changed a moment ago. Where the cache can't be written, nothing is
    remembered, and the file is hashed each time.
    """
    if time.time() - max(facts.st_mtime, facts.st_ctime) < SETTLED:
        return
    marks = _marks() | {str(path.absolute()): _mark(file, facts)}
    target = marks_file()
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(marks, indent=1))
        partial.replace(target)
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)


def _mark(file: str, facts: os.stat_result) -> list[str | int]:
    return [file, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _marks() -> dict[str, object]:
    try:
        marks = json.loads(marks_file().read_text())
    except (OSError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}
