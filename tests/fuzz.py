"""Damaged files: each must be refused with our own error, or read as it was written."""

import random

import torch


def mutate(dice, raw):
    """A few random changes: bits, bytes, blocks, lengths; or now and then none."""
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


def survive(path, load, expected, error, cases=700):
    """Load so many mutants of the file at `path`; how many were read, and how many refused."""
    dice, good = random.Random(path.name), path.read_bytes()
    read = refused = 0
    for _ in range(cases):
        path.write_bytes(mutate(dice, good))
        try:
            found = load()
        except error as refusal:
            well = str(path.parent.parent) in str(refusal)
            refused += 1
        else:
            well = all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
            read += 1
        assert well
    assert read > 20
    assert refused > 400
    return read, refused
