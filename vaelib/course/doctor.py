"""Is this machine ready for the course? One line for each check, OK or FAIL, and what to do.

`python -m vaelib doctor` prints the report. People paste it when they ask for help, so it names
versions and sizes and writes the home folder as ~.
"""

from __future__ import annotations  # or a Python that is too old would not get to say so

import importlib.util
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from vaelib import __version__, calm  # all else is imported where it is checked: it may be missing

OLDEST_PYTHON = (3, 10)
ENOUGH_MEMORY = 2e9  # bytes; no notebook's kernel takes more than 1.5 GB
SLOW = 2000  # images a second; below it the course takes far longer than it says
STEPS, BATCH = 10, 100
CGROUPS = Path("/sys/fs/cgroup")
LIMITS = (CGROUPS / "memory.max", CGROUPS / "memory" / "memory.limit_in_bytes")  # version 2, 1


class Finding(NamedTuple):
    """What was found about one thing, and how to fix it; `advice` is empty if all is well."""

    about: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{'FAIL' if self.advice else 'OK  '}  {self.about:<10} {self.found}"
        return line + (f"\n      → {self.advice}" if self.advice else "")


def python() -> Finding:
    """The running Python, compared with the oldest that is supported."""
    found = f"{platform.python_version()} ({platform.python_implementation()})"
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("Python", found)
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Finding(
        "Python", found, f"install Python {wanted} or newer, then set up the course again with it"
    )


def requirements(installed: Callable[[str], str] = metadata.version) -> Iterator[Finding]:
    """Each requirement of the package, compared with what is installed."""
    from packaging.requirements import Requirement

    for text in metadata.requires("vaelib") or ():
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        fix = f'python -m pip install "{wanted.name}{wanted.specifier}"'
        try:
            version = installed(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding("package", f"{wanted.name} is not installed", fix)
            continue
        found = f"{wanted.name} {version}"
        if wanted.specifier.contains(version, prereleases=True):
            yield Finding("package", found)
        else:
            yield Finding("package", f"{found}, needed {wanted.specifier}", fix)


def memory(limits: Iterable[Path] = LIMITS) -> Finding:
    """The free memory of this machine or container, compared with what the largest notebook needs.

    `limits` are the files in which Linux states how much a container, such as a hub's, may use.
    """
    import psutil

    facts = psutil.virtual_memory()
    allowed = min([facts.total, *map(_limit, limits)])
    free = min(facts.available, allowed)
    found = f"{free / 1e9:.1f} of {allowed / 1e9:.1f} GB free"
    if free >= ENOUGH_MEMORY:
        return Finding("memory", found)
    return Finding(
        "memory",
        found,
        f"close other programs and kernels (Kernel > Shut Down All) until "
        f"{ENOUGH_MEMORY / 1e9:g} GB are free",
    )


def _limit(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):  # no Linux, or "max": no limit
        return math.inf


def threads() -> Finding:
    """PyTorch's threads, compared with the cores, or the quota, that this process may use."""
    import torch

    from vaelib import device  # noqa: F401  (sets the number of threads)

    usable, used, quota = calm.cores(), torch.get_num_threads(), calm.quota()
    limited = f" (a quota of {quota:g})" if quota < math.inf else ""
    found = (
        f"PyTorch uses {used}, and this process may use {usable} core{'s' * (usable != 1)}{limited}"
    )
    if used <= usable:
        return Finding("threads", found)
    return Finding(
        "threads",
        found,
        "with more threads than cores, they wait for each other: set "
        f"OMP_NUM_THREADS={usable} before Jupyter starts",
    )


def home() -> Finding:
    """Whether Jupyter can write where it keeps the files of running kernels."""
    from jupyter_core.paths import jupyter_runtime_dir

    fix = "set HOME to a folder of yours that can be written, before Jupyter starts"
    try:
        folder = Path(jupyter_runtime_dir()).expanduser()
    except RuntimeError:
        return Finding("home", "there is no home folder, and Jupyter needs one", fix)
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(nearest, os.W_OK):
        return Finding("home", "Jupyter can write its files")
    return Finding("home", f"Jupyter cannot write into {_short(nearest)}", fix)


def kernel() -> Finding:
    """Whether the kernel that the notebooks ask for, python3, is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    if importlib.util.find_spec("ipykernel") is None:
        return Finding("kernel", "ipykernel is not installed", "python -m pip install ipykernel")
    fix = "python -m ipykernel install --sys-prefix --name python3"
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel", "there is no kernel python3", fix)
    here = Path(sys.executable).parent  # not resolved: all environments link to one Python
    if command in ("python", "python3") or Path(command).parent == here:
        return Finding("kernel", "python3 is this Python")
    return Finding("kernel", f"python3 is another Python, {_short(command)}", fix)


def data() -> Finding:
    """Where the data set is that notebooks load, and whether its files are those published."""
    from vaelib.data import catalogue, store, verification

    name = os.environ.get("VAELIB_DATASET") or catalogue.DEFAULT
    if name not in catalogue.NAMES:
        there_is = ", ".join(catalogue.NAMES)
        return Finding("data", f"VAELIB_DATASET is {name!r}", f"set it to one of {there_is}")
    own, root = store.own_folder(), store.locate(name)
    if root is None:
        searched = [f"{_short(own)} (VAELIB_DATA)"] if own else []
        searched.append(f"{_short(store.cache_folder())} (the cache)")
        return Finding(
            "data",
            f"{name} is not in {' nor in '.join(searched)}; a notebook will try to download it, "
            "and if that fails, draw digits of its own",
            f"with a network, run: python -m vaelib data prefetch {name}; or set VAELIB_DATA to a "
            f"folder that has it.{_short(store.deeper(name))}",
        )
    problems = [problem for _, _, problem in verification.inspect(name, root) if problem]
    if problems:
        return Finding("data", f"{name} in {_short(root)} is damaged", _short(problems[0]))
    elsewhere = f"; not in {_short(own)} (VAELIB_DATA)" if own not in (None, root) else ""
    return Finding("data", f"{name} in {_short(root)}, all files verified{elsewhere}")


def training() -> Finding:
    """Ten steps of the blog post's model on random images, timed."""
    import torch
    import torchvision  # noqa: F401  (not used here, but one that does not fit torch stops the course)

    from vaelib import vae
    from vaelib.training import train

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (STEPS * BATCH, 784), generator=generator).to(torch.uint8)
    try:
        train(vae.dense(generator=generator), images, epochs=1, generator=generator)  # warms up
        model, start = vae.dense(generator=generator), time.perf_counter()
        loss = -train(model, images, epochs=1, generator=generator).train.bound.item()
        speed = len(images) / (time.perf_counter() - start)
    except Exception as error:
        return Finding(
            "training",
            f"{type(error).__name__}: {error}",
            "ask for help, and paste this whole report",
        )
    found = f"{STEPS} steps, {speed:,.0f} images a second, loss {loss:.0f} nats"
    if speed >= SLOW:
        return Finding("training", found)
    return Finding(
        "training",
        found,
        "very slow: close other programs, plug in the laptop, or ask for help",
    )


def _short(path: str | Path) -> str:
    home = os.path.expanduser("~")  # stays "~" where there is no home folder
    return str(path).replace(home, "~") if len(home) > 1 else str(path)


def findings() -> Iterator[Finding]:
    """The results of all checks, in the order in which they are printed."""
    yield python()
    if sys.version_info[:2] < OLDEST_PYTHON:  # nothing else can be found out, or be fixed before it
        return
    for examine in (requirements, memory, threads, home, kernel, data, training):
        try:
            found = examine()
            yield from [found] if isinstance(found, Finding) else found
        except Exception as error:  # whatever it is, the other checks still run
            yield Finding(
                examine.__name__,
                f"{type(error).__name__}: {error}",
                "activate the environment of the course, and install everything in it",
            )


def main() -> int:
    """Print the results of all checks; return 1 if any failed, else 0."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a Windows pipe may lack the arrow
    print(f"vaelib {__version__} on {platform.platform()}")
    failed = 0
    for finding in findings():
        print(finding, flush=True)
        failed += bool(finding.advice)
    if failed:
        print(
            f"{failed} to fix: the lines after → say how. If you ask for help, paste all of this."
        )
    else:
        print("All is well. Start with notebooks/01_binarization.ipynb.")
    return int(failed > 0)
