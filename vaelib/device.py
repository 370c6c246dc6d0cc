"""Where the arithmetic happens: on the CPU, or on an accelerator that runs behind the host."""

import torch
from torch import Generator, Tensor


def reading_waits(device: torch.device) -> bool:
    """Whether the host must wait for all its work to read one value: anywhere but on a CPU."""
    return device.type != "cpu"


def keep_freed_memory() -> None:
    """Have the C library keep the memory that a step frees for the next, as far as it can.

    glibc returns large blocks to the system, and needs new pages for the next, until a block as
    large, up to 32 MB, has been freed once (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def generator_on(device: torch.device, generator: Generator | None = None) -> Generator:
    """A generator on `device`: `generator` itself if it is there.

    Else a fresh one, seeded by a number drawn from `generator`, so that one seed still decides
    everything; without a `generator` the global one of the CPU is meant, as in PyTorch.
    """
    generator = generator or torch.default_generator
    if generator.device.type == device.type:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    return Generator(device).manual_seed(seed)


def drawn_like(like: Tensor, generator: Generator | None) -> dict[str, object]:
    """Keyword arguments for `torch.randn` and `torch.rand`: device and type of `like`."""
    generator = generator_on(like.device, generator)
    return {"generator": generator, "device": like.device, "dtype": like.dtype}
