"""Shared pieces: shapes checked in every call, small random data, real digits."""

from collections.abc import Iterator

import pytest
import torch
from jaxtyping import config, install_import_hook

with install_import_hook("vaelib", "beartype.beartype"):
    from vaelib import (  # noqa: F401  (all of them, so that the hook sees all of them)
        binarization,
        checkpoint,
        datasets,
        decoder,
        elbo,
        encoder,
        initialization,
        plotting,
        sampling,
        sources,
        training,
        vae,
    )


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pixels(generator: torch.Generator) -> torch.Tensor:
    """Sixty images' worth of random bytes."""
    return torch.randint(0, 256, (60, 784), generator=generator).to(torch.uint8)


@pytest.fixture
def as_users_run() -> Iterator[None]:
    """Switch the shape checker off, as it is outside the tests, to meet our own messages."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def digits() -> torch.Tensor:
    """2,000 real training images."""
    return datasets.load("mnist", "train").images[:2000]
