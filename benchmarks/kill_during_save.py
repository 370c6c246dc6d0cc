"""Kill -9 a process at a random moment while it saves, again and again, and look at the file.

`python -m benchmarks.kill_during_save [--times 200]` prints how often the old and how often the
new model was found, whole each time, as JSON; the exit code is 1 if a file was ever neither.
`while_writing` counts the kills that left a partial file behind, so came in the middle.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from vaelib import checkpoint, vae


def constant(value: float) -> vae.VAE:
    """A small VAE all of whose parameters have one value."""
    model = vae.dense(hidden=100)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def which(path: Path) -> float | None:
    """The one value of all parameters of the model at `path`, or None if it is not one."""
    try:
        values = torch.cat([p.detach().flatten() for p in checkpoint.load(path).parameters()])
    except checkpoint.CheckpointError:
        return None
    return values[0].item() if (values == values[0]).all() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    times = parser.parse_args().times
    dice, old, new = random.Random(0), constant(0.0), constant(1.0)
    found = {0.0: 0, 1.0: 0, None: 0}
    while_writing = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        start = time.perf_counter()
        for _ in range(5):
            checkpoint.save(old, path)
        duration = (time.perf_counter() - start) / 5
        for _ in range(times):
            checkpoint.save(old, path)
            child = os.fork()
            if child == 0:
                checkpoint.save(new, path)
                time.sleep(60)
            time.sleep(dice.uniform(0, 4 * duration))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found[which(path)] += 1
            for scrap in Path(folder).glob(".*.partial"):
                while_writing += 1
                scrap.unlink()
    counts = {"kills": times, "old": found[0.0], "new": found[1.0], "torn": found[None]}
    print(json.dumps(counts | {"while_writing": while_writing}))
    return 1 if found[None] else 0


if __name__ == "__main__":
    sys.exit(main())
