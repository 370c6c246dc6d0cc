"""What more processes and mapped files cost: `python -m benchmarks.scaling [--into FOLDER]`.

Trains the blog post's model on MNIST, and writes build/benchmarks/scaling.json and a table in
Markdown: milliseconds a step by 1, 2 and 4 processes, each with its share of this machine's
threads; and of images in a mapped file beside the same images in memory. Start it on an idle
machine. `torchrun --nproc-per-node N -m benchmarks.scaling --step` measures one row elsewhere, such
as on N GPUs, and prints it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import facts, race, ratios
from vaelib import data, processes, vae
from vaelib.calm import cores
from vaelib.training import train

HOME = Path(__file__).resolve().parents[1]
SIZES, BATCHES, ROUNDS = (1, 2, 4), (100, 1000), 5


def milliseconds(images: object, batch_size: int) -> float:
    """Of one step, in one epoch on `images`, after an epoch that warms up."""
    model = vae.dense(generator=torch.Generator().manual_seed(0)).to(processes.device())
    settings = dict(batch_size=batch_size, generator=torch.Generator().manual_seed(0))
    history = train(model, images, epochs=2, **settings)
    seconds = history.seconds.diff().item()
    return 1000 * seconds / (model.trained_steps / 2)


def steps() -> dict[int, float]:
    """Milliseconds a step for each batch size, by the processes that torchrun started."""
    images = data.load("mnist", "train").images
    return {batch_size: milliseconds(images, batch_size) for batch_size in BATCHES}


def by_processes(size: int) -> dict[str, float]:
    """As `steps`, in so many processes of this machine."""
    threads = str(max(1, cores() // size))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", str(size), "-m", "benchmarks.scaling", "--step"]
    told = subprocess.run(
        command,
        cwd=HOME,
        env=os.environ | {"OMP_NUM_THREADS": threads},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(told.stdout.splitlines()[-1])


def mapped() -> dict[str, float]:
    """Milliseconds a step from memory and from a mapped file, and the median of their ratios."""
    images = data.load("mnist", "train").images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images.numpy())
        given = {"memory": images, "file": path}
        contenders = {name: partial(milliseconds, some, 100) for name, some in given.items()}
        seconds = race(contenders, ROUNDS)
    scale = 1000 * 100 / (2 * len(images))  # each contender trains two epochs in batches of 100
    found = {name: scale * statistics.median(times) for name, times in seconds.items()}
    return found | {"ratio": statistics.median(ratios(seconds["file"], seconds["memory"]))}


def table(rows: dict[str, dict[str, float]], files: dict[str, float]) -> str:
    """What was measured, as docs/scaling.md shows it."""
    lines = [
        "| processes | " + " | ".join(f"batch {batch}, ms a step" for batch in BATCHES) + " |",
        "|---" * (len(BATCHES) + 1) + "|",
        *(
            f"| {size} | " + " | ".join(f"{row[str(batch)]:.2f}" for batch in BATCHES) + " |"
            for size, row in rows.items()
        ),
        "",
        f"Images in a mapped file: {files['file']:.2f} ms a step, in memory: "
        f"{files['memory']:.2f}; median ratio of {ROUNDS} rounds: {files['ratio']:.3f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--step", action="store_true", help="measure one row under torchrun")
    parser.add_argument("--into", type=Path, default=HOME / "build" / "benchmarks")
    options = parser.parse_args()
    if options.step:
        found = steps()
        if processes.is_first():
            print(json.dumps(found))
        return
    rows, files = {str(size): by_processes(size) for size in SIZES}, mapped()
    options.into.mkdir(parents=True, exist_ok=True)
    content = {"facts": facts(), "processes": rows, "mapped": files}
    (options.into / "scaling.json").write_text(json.dumps(content, indent=1) + "\n")
    print(table(rows, files))


if __name__ == "__main__":
    main()
