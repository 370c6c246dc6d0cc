"""The data sets that there are: their names, files and checksums, and the errors about them.

To add a data set in exactly MNIST's form, the four archives of `ARCHIVES` on mirrors that a class
of torchvision names, add one entry to `PUBLISHED`: its name here, that class, and the MD5s from
its `resources`. Download, verification, `data.load` and the command line follow from this entry.
Any other data set (EMNIST is one zip, QMNIST has other file names) also needs a reader and a way
to get it, as `vaelib.data.glyphs` has for the stand-in.
"""

from typing import NamedTuple

DEFAULT, STAND_IN = "mnist", "glyphs"
SPLITS = ("train", "test")
ARCHIVES = (  # images and labels of each split, in the order of SPLITS
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


class Published(NamedTuple):
    """A data set that torchvision downloads: its class there, and checksums as in `ARCHIVES`.

    The class also names the folder. With the SHA-256 of the unpacked files, those are read, too.
    """

    kind: str
    md5: tuple[str, ...]
    sha256: tuple[str, ...] = ("",) * len(ARCHIVES)


PUBLISHED = {
    "mnist": Published(
        "MNIST",
        md5=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion_mnist": Published(
        "FashionMNIST",
        md5=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": Published(
        "KMNIST",
        md5=(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}
NAMES = (*PUBLISHED, STAND_IN)


class DataFile(NamedTuple):
    """A file of a data set: where it belongs below a root, and its checksums."""

    dataset: str
    place: str
    md5: str = ""
    sha256: str = ""  # of the unpacked content


GLYPHS = DataFile(STAND_IN, "glyphs/glyphs.safetensors")


class DataError(RuntimeError):
    """A data set is unknown, missing or damaged; the message says what to do."""


class UnreachableError(DataError):
    """A data set is nowhere on this machine and cannot be fetched: no network, or a bad mirror."""


def known_name(name: str, origin: str = "") -> str:
    """`name`, if a data set has it; else raise `DataError`, which lists those that there are."""
    if name not in NAMES:
        there_is = ", ".join(map(repr, NAMES))
        raise DataError(f"no data set is called {name!r}{origin}; there is {there_is}")
    return name


def files_of(name: str, split: str | None = None) -> list[DataFile]:
    """The files of a data set, or of one split: images, then labels."""
    if known_name(name) == STAND_IN:
        return [GLYPHS]
    kind, *checksums = PUBLISHED[name]
    files = [
        DataFile(name, f"{kind}/raw/{archive}", md5, sha256)
        for archive, md5, sha256 in zip(ARCHIVES, *checksums, strict=True)
    ]
    first = 2 * SPLITS.index(split) if split else 0
    return files[first : first + 2] if split else files
