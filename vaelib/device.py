"""Where the arithmetic happens: on the CPU, or on an accelerator that runs behind the host."""

import torch
from torch import Generator


def reading_waits(device: torch.device) -> bool:
    """Whether the host, to read one value, must wait for all the work that it has handed out.

    So it is on every device but the CPU; within an epoch of training nothing is read there.
    """
    return device.type != "cpu"


def keep_freed_memory() -> None:
    """Have the C library keep the memory that a step frees for the next, as far as it can.

    glibc gives blocks back to the system, and has every page of them made anew on the next use,
    until a block as large, up to 32 MB, has been freed once (mallopt(3), M_MMAP_THRESHOLD).
    Elsewhere this does nothing.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def generator_on(device: torch.device, generator: Generator | None = None) -> Generator:
    """A generator whose numbers are made on `device`: `generator` itself if it is of there.

    Else a fresh one, seeded by a number drawn from `generator`, so that one seed still decides
    everything; without a `generator` the global one of the CPU is meant, as in PyTorch.
    """
    generator = generator or torch.default_generator
    if generator.device.type == device.type:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    return Generator(device).manual_seed(seed)
