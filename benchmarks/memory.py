"""Peak memory and import time, each in a process of its own: `measure(task, folder)`."""

import json
import subprocess
import sys
import time
from pathlib import Path

MEGABYTE = 2**20
TASKS = (
    "train",
    "train dynamic",
    "train and test",
    "usual loop",
    "evaluate",
    "importance-weighted, 100 samples",
    "importance-weighted, 2000 samples",
)


def measure(task: str, folder: str) -> dict[str, float]:
    """Run `task` in a fresh process; its report (see `main`). `folder` is the usual loop's."""
    command = [sys.executable, "-m", "benchmarks.memory", task, folder]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak() -> float:
    """The most resident memory that this process has had so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the process that started this one, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MEGABYTE
    import psutil

    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):
        return memory.peak_wset / MEGABYTE
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


def main(task: str, folder: str) -> None:
    """Print what importing cost in seconds and MB, and what `task` needed above that in MB."""
    began = time.perf_counter()
    import torch

    with_torch = time.perf_counter()
    from vaelib import data, evaluation, sampling, training, vae  # noqa: F401

    with_vaelib = time.perf_counter()
    report = {"torch_seconds": with_torch - began, "vaelib_seconds": with_vaelib - with_torch}
    report |= {"imports": peak(), "torchvision": "torchvision" in sys.modules}

    def load(split: str) -> torch.Tensor:
        return data.load(split=split).images

    def train(**settings: object) -> None:
        training.train(vae.dense(), load("train"), epochs=1, **settings)

    def usual() -> None:
        from benchmarks import contenders

        report["imports"] = peak()  # with torchvision, which vaelib leaves out
        contenders.usual(contenders.Setting("post"), folder)()

    tasks = {
        "train": lambda: train(protocol="threshold"),
        "train dynamic": lambda: train(protocol="dynamic"),
        "train and test": lambda: train(test_images=load("test")),
        "usual loop": usual,
        "evaluate": lambda: evaluation.evaluate(vae.dense(), load("test")),
        "importance-weighted, 100 samples": lambda: evaluation.estimate(
            vae.dense(), load("test")[:1000], protocol="threshold", samples=100
        ),
        "importance-weighted, 2000 samples": lambda: evaluation.estimate(
            vae.dense(), load("test")[:100], protocol="threshold", samples=2000
        ),
    }
    tasks[task]()
    print(json.dumps(report | {"above_imports": peak() - report["imports"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
