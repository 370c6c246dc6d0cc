"""Damage to files, at random: what reads them must notice."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from vaelib.data import DataError


def survive_damage(
    path: Path,
    read: Callable[[], Sequence],
    expected: Sequence,
    error: type[Exception] = DataError,
    cases: int = 500,
) -> None:
    """Read damaged versions of the file at `path`: each is refused by name, or is as `expected`."""
    dice, good = random.Random(path.name), path.read_bytes()
    refused = 0
    for _ in range(cases):
        path.write_bytes(damaged(dice, good))
        try:
            found = read()
        except error as refusal:
            well = str(path) in str(refusal)
            refused += 1
        else:
            well = all((a == b).all() for a, b in zip(found, expected, strict=True))
        assert well
    assert 0.57 * cases < refused < 0.97 * cases


def damaged(dice: random.Random, raw: bytes) -> bytes:
    """`raw` with a few random changes: bits, bytes, blocks, lengths; or now and then none."""
    raw = bytearray(raw)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 8))):
        kind = dice.choice(("bit", "byte", "head", "cut", "drop", "insert", "swap", "zero"))
        at = dice.randrange(len(raw) + 1)
        some = dice.randrange(1, 64)
        if kind == "bit" and raw:
            raw[at % len(raw)] ^= 1 << dice.randrange(8)
        elif kind == "byte" and raw:
            raw[at % len(raw)] = dice.randrange(256)
        elif kind == "head" and raw:
            raw[dice.randrange(min(len(raw), 64))] = dice.choice((0, 1, 3, 8, 127, 255))
        elif kind == "cut":
            del raw[at:]
        elif kind == "drop":
            del raw[at : at + some]
        elif kind == "insert":
            raw[at:at] = dice.randbytes(some)
        elif kind == "swap":
            raw[at : at + some], raw[:some] = raw[:some], raw[at : at + some]
        elif kind == "zero":
            raw[at : at + some] = bytes(len(raw[at : at + some]))
    return bytes(raw)
