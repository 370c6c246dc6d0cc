"""Shared pieces: shapes checked in every call, small random data, real digits."""

import gzip
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import leafing
import pytest
import torch
from jaxtyping import config, install_import_hook
from mirror import Mirror, idx

vaelib_path = [str(Path(__file__).parents[1] / "vaelib")]
with install_import_hook("vaelib", "beartype.beartype"):
    for module in pkgutil.walk_packages(vaelib_path, "vaelib."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # all of them, so that the hook sees all of them
    from vaelib.data import catalogue, loading, store


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the book, built."""
    return leafing.shared(tmp_path_factory)


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
    """2,000 training images of MNIST, or of glyphs where MNIST cannot be had."""
    return loading.load(split="train").images[:2000]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of a new user without network: an empty cache, whose folder this is."""
    home = tmp_path / "home"
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))
    for variable in ("VAELIB_DATA", "VAELIB_DATASET", "VAELIB_OFFLINE", "VAELIB_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    from torchvision.datasets import KMNIST, MNIST, FashionMNIST

    for kind in (MNIST, FashionMNIST, KMNIST):
        monkeypatch.setattr(kind, "mirrors", ["http://127.0.0.1:9/"])  # nobody answers there
    monkeypatch.setattr(loading, "_stand_in", False)
    return store.cache_folder()


@pytest.fixture(scope="session")
def small_archives() -> dict[str, bytes]:
    """A data set in the published form, but of 30 training and 20 test images of noise."""
    generator = torch.Generator().manual_seed(0)
    archives = {}
    for file in catalogue.files_of("mnist"):
        count = 30 if "train" in file.place else 20
        values = torch.arange(count).remainder(10)
        if "images" in file.place:
            values = torch.randint(0, 256, (count, 28, 28), generator=generator)
        content = idx(values.to(torch.uint8).numpy())
        archives[file.place] = gzip.compress(content, mtime=0)
    return archives


@pytest.fixture
def published(
    small_archives: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """The small data set, as if it were MNIST (and FashionMNIST): its archives by place."""
    contents = small_archives.values()
    md5 = tuple(hashlib.md5(content).hexdigest() for content in contents)
    sha256 = tuple(hashlib.sha256(gzip.decompress(content)).hexdigest() for content in contents)
    for name, published in (
        ("mnist", catalogue.Published("MNIST", md5, sha256)),
        ("fashion_mnist", catalogue.Published("FashionMNIST", md5)),
    ):
        monkeypatch.setitem(catalogue.PUBLISHED, name, published)
    return small_archives


@pytest.fixture
def hold(published: dict[str, bytes], fresh: Path) -> Callable[[Path], Path]:
    """Write the small data set into a folder, and return that."""

    def write(folder: Path) -> Path:
        for place, content in published.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        return folder

    return write


@pytest.fixture
def root(hold: Callable[[Path], Path], tmp_path: Path, monkeypatch) -> Path:
    """A folder of the user's that holds the small data set, named by VAELIB_DATA."""
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "my data"))
    return hold(tmp_path / "my data")


@pytest.fixture
def mirror(published: dict[str, bytes], fresh: Path, monkeypatch) -> Iterator[Mirror]:
    """A mirror of the small data set, the only one that torchvision knows."""
    from torchvision.datasets import MNIST, FashionMNIST

    both = published | {f"Fashion{file}": content for file, content in published.items()}
    server = Mirror(both)
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}MNIST/raw/"])
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"{server.url}FashionMNIST/raw/"])
    yield server
    server.close()
