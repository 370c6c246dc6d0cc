"""Training beside other work: `python -m benchmarks.calm` (ten minutes on two cores).

Trains the blog post's model for a while in processes of their own: one alone, two at once, one
beside a busy loop, one under a quota of CPU time. Each with the waiting that `import vaelib` sets,
as PyTorch's threads wait without vaelib, and with one thread. Writes calm.json, and the table of
README.md, into a folder.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.contenders import Setting, ours
from benchmarks.timing import facts, ratios, spread

WAYS = {  # 200 ms is LLVM's default; GNU's runtime has no such variable
    "vaelib": {},
    "PyTorch's default": {"KMP_BLOCKTIME": "200", "OMP_NUM_THREADS": str(os.cpu_count())},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
SITUATIONS = ("alone", "two at once", "beside a busy loop", "under a quota")
QUOTA = 0.6  # cores
IMAGES = 12_000  # a fifth of an epoch
SECONDS = 8.0  # that a process trains in each situation
AIMS = {"alone": 1.15, "two at once": 4.0, "beside a busy loop": 3.0}
PAGE = ("<!-- calm: written by python -m benchmarks.calm -->", "<!-- end of calm -->")
BUSY = [sys.executable, "-c", "while True: pass"]


def worker(seconds: float) -> None:
    """Say when all is ready, wait for a line, train until the time is over, print the median."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 784), generator=generator).to(torch.uint8)
    train = ours(Setting("the post's network, batch 100"), images)
    train()
    print("ready", flush=True)
    sys.stdin.readline()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        train()
        times.append(time.perf_counter() - start)
    print(statistics.median(times), torch.get_num_threads())


def measure(situation: str, way: str, seconds: float) -> float | None:
    """Seconds for a fifth of an epoch, of the slower process; None without a quota."""
    with group(QUOTA) if situation == "under a quota" else contextlib.nullcontext() as quota:
        if situation == "under a quota" and quota is None:
            return None
        count = 2 if situation == "two at once" else 1
        command = [sys.executable, "-m", "benchmarks.calm", "--worker", str(seconds)]
        if quota:
            command = ["sh", "-c", f'echo $$ >"{quota}"; exec "$@"', "sh", *command]
        free = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP", "KMP", "OMP"))}
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        workers = [subprocess.Popen(command, env=free | WAYS[way], **pipes) for _ in range(count)]
        for process in workers:
            assert process.stdout.readline() == "ready\n", "a process that trains has failed"
        busy = subprocess.Popen(BUSY) if situation == "beside a busy loop" else None
        for process in workers:
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = [process.communicate()[0].split() for process in workers]
        if busy:
            busy.kill()
            busy.wait()
    return max(float(words[0]) for words in printed)


@contextlib.contextmanager
def group(cores: float) -> Iterator[Path | None]:
    """A control group with a quota, as the file that takes a process in; None where none can be."""
    for mount, limit, value in (
        (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", f"{cores * 1e5:.0f}"),
        (Path("/sys/fs/cgroup"), "cpu.max", f"{cores * 1e5:.0f} 100000"),
    ):
        made = mount / f"vaelib-{os.getpid()}"
        try:
            made.mkdir()
            (made / limit).write_text(value)
        except OSError:
            with contextlib.suppress(OSError):
                made.rmdir()
            continue
        try:
            yield made / "cgroup.procs"
        finally:
            made.rmdir()
        return
    yield None


def run(rounds: int, seconds: float) -> dict:
    """All situations in all ways, side by side in every round, and ratios within a round."""
    found = {situation: {way: [] for way in WAYS} for situation in SITUATIONS}
    for turn in range(rounds):
        for situation in SITUATIONS:
            for way in list(WAYS)[turn % len(WAYS) :] + list(WAYS)[: turn % len(WAYS)]:
                found[situation][way].append(measure(situation, way, seconds))
    if None in found["under a quota"]["vaelib"]:
        del found["under a quota"]
    default, calm = found["alone"]["PyTorch's default"], found["alone"]["vaelib"]
    return {
        "facts": facts() | {"rounds": rounds, "quota": QUOTA},
        "seconds": {
            situation: {way: spread(times) for way, times in ways.items()}
            for situation, ways in found.items()
        },
        "slower": {
            situation: spread(ratios(found[situation]["vaelib"], calm if beside else default))
            for situation, beside in zip(AIMS, (False, True, True), strict=True)
        },
        "default_slower": {
            situation: spread(ratios(ways["PyTorch's default"], default))
            for situation, ways in found.items()
        },
    }


def table(result: dict) -> str:
    """The results in Markdown."""
    about = result["facts"]
    seconds = [
        (
            situation.replace("a quota", f"a quota of {QUOTA:g} cores"),
            *(report.range_of(ways[way]) for way in WAYS),
        )
        for situation, ways in result["seconds"].items()
    ]
    aims = [
        (what, f"at most {most:g}", report.range_of(found) + " ✗" * (found["median"] > most))
        for what, found, most in (
            ("alone, vaelib / PyTorch's default", result["slower"]["alone"], AIMS["alone"]),
            *(
                (f"{name} / alone", result["slower"][name], AIMS[name])
                for name in ("two at once", "beside a busy loop")
            ),
        )
    ]
    return "\n\n".join(
        [
            f"{about['processor']}, {about['cores']} cores, {about['system']}; Python "
            f"{about['python']}, torch {about['torch']}; {about['rounds']} rounds, "
            f"{about['date']}. Medians, with the least and the greatest in brackets.",
            report.table(("seconds for a fifth of an epoch", *WAYS), *seconds),
            report.table(("slower by a factor of", "aim", "measured"), *aims),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, default=Path("build/benchmarks"), metavar="FOLDER")
    parser.add_argument("--worker", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return
    options.into.mkdir(parents=True, exist_ok=True)
    result = run(options.rounds, SECONDS)
    path = options.into / "calm.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    report.insert(table(result), options.into / "README.md", *PAGE)
    print(table(result))


if __name__ == "__main__":
    main()
