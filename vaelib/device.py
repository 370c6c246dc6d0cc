"""Where the arithmetic happens: on the CPU, or on an accelerator that runs behind the host."""

import operator
import os

import torch
from torch import Generator, Tensor

from vaelib.calm import cores

if "OMP_NUM_THREADS" not in os.environ and cores() < torch.get_num_threads():
    torch.set_num_threads(cores())  # under a quota, more threads only wait for each other


def reading_waits(device: torch.device) -> bool:
    """Whether the host must wait for all its work to read one value: anywhere but on a CPU."""
    return device.type != "cpu"


def keep_freed_memory() -> None:
    """Have the C library keep the memory that one step frees for the next step.

    glibc returns large blocks to the system, so the next step needs new pages. It stops doing so
    once a block as large, up to 32 MB, has been freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def checked_generator(generator: object) -> Generator | None:
    """`generator`, if it is one or None; a seed, which is neither, raises TypeError."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    try:
        seed = 0 if isinstance(generator, bool) else operator.index(generator)
    except TypeError:
        seed = 0
    raise TypeError(
        f"expected a random generator or None, got {generator!r}. Make a generator from a seed "
        f"with torch.Generator().manual_seed({seed})"
    )


def generator_on(device: torch.device, generator: Generator | None = None) -> Generator:
    """A generator on `device`: `generator` itself if it is there.

    Else a fresh one, seeded by a number drawn from `generator`, so that one seed still decides
    everything. Without a `generator`, PyTorch's global one of the CPU takes its place. Raises
    TypeError for a seed in place of a generator.
    """
    generator = checked_generator(generator) or torch.default_generator
    if generator.device.type == device.type:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    return Generator(device).manual_seed(seed)


def without_autocast(device: torch.device) -> torch.autocast:
    """A context in which operations keep the types that they are given, whatever surrounds it."""
    known = device.type if torch.amp.is_autocast_available(device.type) else "cpu"
    return torch.autocast(known, enabled=False)


def standard_normal(*shape: int, like: Tensor, generator: Generator) -> Tensor:
    """Numbers drawn from N(0, 1), on the device and in the type of `like`.

    They are drawn in float32 and then converted, so a seed gives every type the same noise.
    """
    drawn = torch.randn(shape, generator=generator, device=like.device, dtype=torch.float32)
    return drawn.to(like.dtype)
