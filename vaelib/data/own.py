"""Images of one's own: a folder of pictures, a NumPy file, or IDX files of any image size.

Each reader returns `Pictures`. A source with training and test images of its own gives those;
of any other, "test" is every tenth image (the 10th, the 20th, …) and "train" the rest. "all" is
both: in the source's order, or the training images first if it has splits. What could be read in
two ways is refused with a `DataError`, whose message names the way.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps

from vaelib.data.catalogue import SPLITS, DataError
from vaelib.data.verification import decode_idx, unpacked

CLASSES = 256  # as many as a label's byte can tell apart
TENTH = 10
COLOURED = 16  # from this height and width on, (h, w, 3) is rather one picture in colour
ASIDE = ("val", "valid", "validation")  # folders and arrays that are neither of the two splits
STUBS = ("BUFR", "GRIB", "HDF5", "MPEG")  # formats that Pillow knows by name and cannot read
ORDINARY = ".png, .jpg, .gif, .bmp, .tif, .webp, …"
WAY = "Save images=… and labels=… with np.savez; or x_train=…, y_train=…, x_test=… and y_test=…"
ROLES = dict.fromkeys(("images", "image", "x", "data"), "images")
ROLES |= dict.fromkeys(("labels", "label", "y", "target", "targets"), "labels")
IDX_NAME = re.compile(r"(.*?)(images|labels)?[-_.]?(idx[13])?[-_.]?(ubyte|idx)?(?:\.gz)?")


class Pictures(NamedTuple):
    """Grey pictures of one size, 0 black and 255 white, and the number of each one's class."""

    images: UInt8[np.ndarray, "image height width"]
    labels: UInt8[np.ndarray, " image"]


Parts = dict[str, Pictures]  # by split; or all of them under "", if the source has no splits


def read(path: Path, split: str, size: tuple[int, int] | None = None) -> Pictures:
    """One split of the images at `path`, a folder or a file that exists.

    `size` is the height and width that each picture of a folder is stretched or shrunk to; a
    smaller picture's pixel is the mean of the area that it covers.
    Raises `DataError`, naming the file, for what cannot be read, is ambiguous, or does not fit.
    """
    try:
        if path.is_dir() and not _has_idx(path):
            found = read_folder(path, split, size)
        elif size is not None:
            raise DataError(f"{path} is no folder of pictures, and only those take size=")
        elif path.suffix.lower() in (".npy", ".npz"):
            found = _pick(read_numpy(path), split, path)
        else:
            found = _pick(read_idx(path), split, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    if found.images.max() == 1:
        raise DataError(
            f"{path} has only the pixels 0 and 1, but 255 is white, so all is nearly black. "
            "Multiply the pixels by 255 and save them again; in NumPy: images = images * 255"
        )
    return found


def is_tenth(count: int) -> Bool[np.ndarray, " image"]:
    """Which of `count` images are the test images of a source that has no splits."""
    return np.arange(count) % TENTH == TENTH - 1


def _pick(parts: Parts, split: str, path: Path) -> Pictures:
    """One split of what was read from `path`; raise `DataError` if it is empty or does not fit."""
    sizes = {name or "all": part.images.shape[1:] for name, part in parts.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{path} has images of different sizes (height, width): {sizes}")
    if split == "all":
        both = [parts[name] for name in ("", *SPLITS) if name in parts]
        chosen = Pictures(*map(np.concatenate, zip(*both, strict=True)))
    elif split in parts:
        chosen = parts[split]
    else:
        tenth = is_tenth(len(parts[""].labels))
        rows = tenth if split == "test" else ~tenth
        chosen = Pictures(*(part[rows] for part in parts[""]))
    _check_some(len(chosen.labels), split, path)
    if not chosen.images.size:
        raise DataError(f"{path} has images without a pixel")
    return chosen


def _check_some(count: int, split: str, path: Path) -> None:
    if not count:
        raise DataError(
            f"{path} has no image for the split {split!r}. Without splits of its own, a source's "
            "test images are every tenth; so it needs ten, or a folder or an array for each split"
        )


# Folders of pictures


def read_folder(folder: Path, split: str, size: tuple[int, int] | None = None) -> Pictures:
    """One split of a folder of pictures, in the order of their paths.

    Folders `train` and `test` are the splits. Within a split each folder is a class, numbered in
    alphabetical order from 0; if there are none, every label is 0. Files that are hidden or have
    no picture's ending are ignored. Raises `DataError` if a picture is damaged or the sizes
    differ and no `size` is given.
    """
    if size is not None and not _is_size(size):
        raise DataError(f"size={size!r} is no size; expected (height, width), such as (28, 28)")
    groups = _groups(folder)
    names = sorted({name for classes in groups.values() for name in classes})
    if len(names) > CLASSES:
        raise DataError(f"{folder} has {len(names)} folders, but at most {CLASSES} classes fit")
    if "" in names and len(names) > 1:
        raise DataError(
            f"{folder} has folders of classes in one of its splits only; put the pictures of both "
            "into folders that are named after their classes"
        )
    listed = {
        part: [(path, names.index(name)) for name in sorted(classes) for path in classes[name]]
        for part, classes in groups.items()
    }
    listed["all"] = [entry for part in ("", *SPLITS) for entry in listed.get(part, [])]
    if "" in listed:
        tenth = is_tenth(len(listed[""]))
        listed |= {
            part: list(compress(listed[""], tenth if part == "test" else ~tenth)) for part in SPLITS
        }
    _check_some(len(listed[split]), split, folder)
    paths, labels = zip(*listed[split], strict=True)
    other = listed["test" if split == "train" else "train"][:1]  # to see whether its size fits
    pictures = {path: read_picture(path, size) for path in (*paths, *(path for path, _ in other))}
    _check_sizes(pictures)
    return Pictures(np.stack([pictures[path] for path in paths]), np.array(labels, np.uint8))


def _is_size(size: object) -> bool:
    pair = isinstance(size, tuple | list) and len(size) == 2
    return pair and all(isinstance(side, int) and side > 0 for side in size)


def _groups(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """The pictures of each split (of "" if there are none), by their class."""
    inside = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    if other := {"training", "testing"} & set(inside):
        raise DataError(
            f"{folder} has the folder {inside[min(other)].name}; call the two splits train and test"
        )
    own = [name for name in SPLITS if name in inside]
    if not own:
        return {"": _classes(folder)}
    if len(own) == 1:
        raise DataError(
            f"{folder} has a folder {own[0]!r}, but not both of 'train' and 'test'. Add the other "
            f"one; or, to have every tenth picture as test images, name {inside[own[0]]}"
        )
    apart = {inside[name] for name in (*SPLITS, *ASIDE) if name in inside}
    for path in _pictures(folder):
        if not apart & set(path.parents):
            raise DataError(
                f"{folder} has folders 'train' and 'test', and {path} is in neither; move it"
            )
    return {name: _classes(inside[name]) for name in SPLITS}


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The pictures below a folder by the folder in it that they are in, or "" if it has none."""
    classes: dict[str, list[Path]] = {}
    for path in _pictures(folder):
        inner = path.relative_to(folder).parts[:-1]
        classes.setdefault(inner[0] if inner else "", []).append(path)
    if not classes:
        raise DataError(
            f"{folder} has no picture that Pillow can read ({ORDINARY}), nor IDX files such as "
            "train-images-idx3-ubyte. If the pictures' names have no ending, add it"
        )
    (only, *others) = classes
    inner = {path.relative_to(folder / only).parts for path in classes[only]}
    wraps = all(len(parts) > 1 for parts in inner) and len({parts[0] for parts in inner}) > 1
    if only and not others and wraps:
        raise DataError(
            f"{folder} has a single folder, which has only folders. Name that: {folder / only}"
        )
    if "" in classes and len(classes) > 1:
        raise DataError(
            f"{folder} has pictures, such as {classes[''][0].name}, beside folders of pictures, so "
            "their class is unclear. Move them into a folder that is named after their class"
        )
    return classes


def _pictures(folder: Path) -> list[Path]:
    """The pictures at any depth below a folder, by their names, in the order of their paths."""
    Image.init()
    formats = Image.registered_extensions().items()
    endings = {end for end, kind in formats if kind in Image.OPEN and kind not in STUBS}
    found = [path for path in _visible_files(folder, set()) if path.suffix.lower() in endings]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _visible_files(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """The files at any depth, through links too; no folder twice, so that a circle ends."""
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _visible_files(path, seen)
        elif path.is_file():
            yield path


def _check_sizes(pictures: Mapping[Path, np.ndarray]) -> None:
    """Raise `DataError` unless all pictures have one size; it names a picture of each size."""
    of_size: dict[tuple[int, ...], list[Path]] = {}
    for path, picture in pictures.items():
        of_size.setdefault(picture.shape, []).append(path)
    if len(of_size) > 1:
        common = max(of_size, key=lambda shape: len(of_size[shape]))
        found = "; ".join(
            f"{len(paths)} of {high} × {wide}, such as {paths[0]}"
            for (high, wide), paths in sorted(of_size.items(), key=lambda pair: len(pair[1]))
        )
        raise DataError(
            f"the pictures have different sizes (height × width): {found}. Give load, for example, "
            f"size={common}, which every picture is then stretched or shrunk to; or crop them first"
        )


def read_picture(
    path: Path, size: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "height width"]:
    """A picture as grey bytes, the right way up, on white where it is transparent.

    Raises `DataError`, naming the file, if Pillow cannot read it or it holds several pictures.
    """
    try:
        with Image.open(path) as image:
            # A phone's photograph may have a preview behind it (MPO), which is no other picture.
            several = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
            deep = image.mode == "I" and image.format in ("PNG", "PPM")  # 16 bits, in old Pillows
            grey = None if several else _grey(ImageOps.exif_transpose(image), deep)
            if grey and size:
                grey = grey.resize(tuple(size)[::-1], Image.Resampling.BOX)
    except Exception as error:  # Pillow's readers raise almost anything
        raise DataError(
            f"{path} is damaged, or not what its ending says ({error}). Delete it or replace it"
        ) from error
    if several:
        raise DataError(f"{path} holds several pictures; save each one in a file of its own")
    if grey is None:
        raise DataError(
            f"{path} has pixels of 32 bits, which do not say what is white; save it with 8 or 16"
        )
    return np.array(grey)


def _grey(image: Image.Image, deep: bool) -> Image.Image | None:
    """An image with one byte per pixel; None if it has 32 bits, whose range is unknown."""
    if deep or image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(int) + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        return None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


# NumPy files


def read_numpy(path: Path) -> Parts:
    """The images and labels of a file of np.save or np.savez; nothing is unpickled.

    A file of np.save holds images. In one of np.savez the arrays are called images (or x) and
    labels (or y), or x_train, y_train, x_test and y_test, or the like; labels may be absent, and
    are 0 then. Raises `DataError` for other names, types, shapes and values.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"images": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except Exception as error:  # a damaged header can mean anything
        raise DataError(
            f"{path} cannot be read ({error}). Expected arrays of numbers, saved by np.save or "
            "np.savez, without pickled objects"
        ) from error
    roles = _roles(list(arrays), path)
    parts = {}
    for split in {split for split, _ in roles}:
        name, labelled = roles[split, "images"], roles.get((split, "labels"))
        images = as_images(arrays[name], f"{path}, array {name!r},")
        labels = np.zeros(len(images), np.uint8)
        if labelled:
            labels = as_labels(arrays[labelled], len(images), f"{path}, array {labelled!r},")
        parts[split] = Pictures(images, labels)
    return parts


def _roles(names: Sequence[str], path: Path) -> dict[tuple[str, str], str]:
    """The arrays' names by split ("" for none) and by kind, "images" or "labels"."""
    if len(names) == 1:
        return {("", "images"): names[0]}
    roles: dict[tuple[str, str], str] = {}
    unknown = []
    for name in names:
        words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
        kind = ROLES.get("_".join(word for word in words if word not in SPLITS))
        key = ("".join(word for word in words if word in SPLITS), kind)
        if key in roles:
            raise DataError(f"{path} has two arrays of {kind}, {roles[key]} and {name}. {WAY}")
        if kind:
            roles[key] = name
        elif not set(words) & set(ASIDE):
            unknown.append(name)
    splits = {split for split, kind in roles if kind == "images"}
    labelled = {split for split, kind in roles if kind == "labels"}
    if splits not in ({""}, set(SPLITS)) or labelled not in (set(), splits):
        raise DataError(f"{path} has the arrays {', '.join(names)}: not what is expected. {WAY}")
    if unknown and not labelled:
        raise DataError(f"{path} has no labels, unless {' or '.join(unknown)} holds them. {WAY}")
    return roles


def as_images(array: np.ndarray, about: str) -> UInt8[np.ndarray, "image height width"]:
    """Bytes, or booleans where True is 255, as grey pictures.

    Accepts the shapes (n, h, w), (n, 1, h, w), (n, h, w, 1), and (n, p) if p is a square number.
    Raises `DataError`, which begins with `about` and ends with the line of NumPy that helps.
    """
    if not array.size or array.ndim < 2:
        raise DataError(f"{about} has shape {array.shape}; expected images of shape (n, h, w)")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8:
        raise DataError(f"{about} has {_in_bytes(array)}")
    shape, side = array.shape, round(array.shape[-1] ** 0.5)
    if array.ndim == 3 and not (shape[2] in (3, 4) and min(shape[:2]) >= COLOURED):
        return array
    if array.ndim == 4 and (shape[1] == 1) != (shape[3] == 1):
        return array[:, 0] if shape[1] == 1 else array[..., 0]
    if array.ndim == 2 and shape[0] != shape[1] == side**2:
        return array.reshape(-1, side, side)
    raise DataError(
        f"{about} has shape {shape}, which is not clearly (n, h, w): n grey pictures of height h "
        f"and width w. {_in_shape(shape)}"
    )


def _in_bytes(array: np.ndarray) -> str:
    """What an array of another type holds, and the line that makes bytes of it."""
    expected = "expected uint8 from 0, black, to 255, white."
    if array.dtype.kind not in "iuf":
        return f"type {array.dtype}; {expected}"
    if not np.isfinite(array).all():
        return f"values that are not finite; {expected} images = np.nan_to_num(images)"
    low, high = array.min(), array.max()
    line = 'np.interp(images, (images.min(), images.max()), (0, 255)).round().astype("uint8")'
    if low >= 0 and high <= 1:
        line = '(255.0 * images).round().astype("uint8")'
    elif low >= 0 and high <= 255:
        line = 'images.round().astype("uint8")'
    return f"{array.dtype} from {low:g} to {high:g}; {expected} Convert it: images = {line}"


def _in_shape(shape: tuple[int, ...]) -> str:
    """The line that gives an array of bytes the shape (n, h, w)."""
    if shape[-1] in (3, 4) and len(shape) in (3, 4):
        line = 'images[..., :3].mean(-1).round().astype("uint8")'
        one = "[None]" if len(shape) == 3 else ""
        return f"If the last axis is colour: images = {line}{one}"
    if len(shape) == 4 and shape[1] in (3, 4):
        return 'If axis 1 is colour: images = images[:, :3].mean(1).round().astype("uint8")'
    if len(shape) == 2:
        return (
            "If it is a single picture: images = images[None]. If each row is a picture: "
            "images = images.reshape(len(images), height, width)"
        )
    return "Reshape it: images = images.reshape(len(images), height, width)"


def as_labels(array: np.ndarray, count: int, about: str) -> UInt8[np.ndarray, " image"]:
    """Whole numbers from 0 to 255, of shape (count,) or (count, 1), as the bytes of `count` labels.

    Raises `DataError`, which begins with `about` and ends with the line of NumPy that helps.
    """
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.shape != (count,):
        one_hot = array.ndim == 2 and len(array) == count
        help_ = " If they are one-hot: labels = labels.argmax(1)" if one_hot else ""
        raise DataError(f"{about} has shape {array.shape}; expected ({count},), as images.{help_}")
    classes = len(np.unique(array))
    if classes > CLASSES:
        raise DataError(f"{about} has {classes} classes, but at most {CLASSES} fit")
    if array.dtype.kind not in "iub" or array.min() < 0 or array.max() >= CLASSES:
        raise DataError(
            f"{about} holds other labels than whole numbers from 0 to {CLASSES - 1}. Number them: "
            "labels = np.unique(labels, return_inverse=True)[1]"
        )
    return array.astype(np.uint8)


# IDX files


def read_idx(path: Path) -> Parts:
    """The images and labels of IDX files: of a folder, or of a file of images and those beside it.

    Test images, called t10k or test, are a split of their own if they are beside the training
    images. Raises `DataError` if labels are missing, a file is damaged, or several sets are there.
    """
    files = _idx_files(path if path.is_dir() else path.parent)
    if path.is_dir():
        bases = sorted({base for base, _, kind in files if kind == "images"})
        if len(bases) != 1:
            sets = ", ".join(f"{base}…" for base in bases) or "none"
            raise DataError(f"{path} has these sets of IDX images: {sets}. Name one file of images")
        (base,) = bases
        splits = {split for one, split, kind in files if (one, kind) == (base, "images")}
    else:
        base, split, kind = _idx_key(path) or ("", "", "")
        if kind != "images":
            raise DataError(
                f"{path} is not a source of images. Expected a folder of pictures, a NumPy file "
                "(.npy or .npz), or IDX images whose name is like train-images-idx3-ubyte. A "
                "single picture belongs into a folder"
            )
        files[base, split, kind] = path
        both = all((base, one, "images") in files for one in SPLITS)
        splits = set(SPLITS) if both and split == "train" else {split}
        if both and split == "test":
            raise DataError(f"{path} lies beside its training images; name the folder or those")
    if splits == set(SPLITS):
        return {split: _read_idx_pair(files, base, split) for split in SPLITS}
    if len(splits) > 1 or (path.is_dir() and splits == {"test"}):
        raise DataError(f"{path} has no clear training images; name the file of images to use")
    return {"": _read_idx_pair(files, base, *splits)}


def _has_idx(folder: Path) -> bool:
    """Whether a folder is one of IDX files; raise `DataError` if pictures are in it, too."""
    files = _idx_files(folder)
    if files and (pictures := _pictures(folder)):
        raise DataError(
            f"{folder} has both IDX files and pictures, such as {pictures[0]}; move one of the two"
        )
    return bool(files)


def _idx_key(path: Path) -> tuple[str, str, str] | None:
    """Which set, split ("" for none) and kind an IDX file has by its name; None if it is none."""
    found = IDX_NAME.fullmatch(path.name.lower())
    kind = found and (found[2] or {"idx3": "images", "idx1": "labels"}.get(found[3]))
    if not kind or not (found[3] or found[4]) or path.name.startswith("."):
        return None
    words = [word for word in re.split(r"[-_.]", found[1]) if word]
    split = "train" if "train" in words else "test" if {"test", "t10k"} & {*words} else ""
    return "-".join(word for word in words if word not in (*SPLITS, "t10k")), split, kind


def _idx_files(folder: Path) -> dict[tuple[str, str, str], Path]:
    """The IDX files of a folder by set, split and kind; unpacked files before archives.

    A folder that is called as an IDX file, as in Kaggle's copy of MNIST, is looked into.
    """
    files: dict[tuple[str, str, str], Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.suffix == ".gz")):
        key = _idx_key(path)
        if key and path.is_dir():
            files = _idx_files(path) | files
        elif key:
            files.setdefault(key, path)
    return files


def _read_idx_pair(files: Mapping[tuple[str, str, str], Path], base: str, split: str) -> Pictures:
    images = files[base, split, "images"]
    labels = files.get((base, split, "labels"))
    if labels is None:
        expected = images.name.replace("images", "labels").replace("idx3", "idx1")
        raise DataError(f"the labels of {images} are missing: expected {expected} beside it")
    pictures = Pictures(*(_decoded(images, 3), _decoded(labels, 1)))
    if len(pictures.images) != len(pictures.labels):
        raise DataError(
            f"{images} has {len(pictures.images)} images, but {labels} has "
            f"{len(pictures.labels)} labels"
        )
    return pictures


def _decoded(path: Path, dimensions: int) -> np.ndarray:
    try:
        values = decode_idx(unpacked(path.read_bytes()))
    except ValueError as error:
        raise DataError(f"{path} {error}. Get or make it anew") from error
    if values.ndim != dimensions:
        raise DataError(f"{path} has {values.ndim} dimensions; expected {dimensions}")
    return values
