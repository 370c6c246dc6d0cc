"""Bits per pixel of MNIST's binary test images: formats, a table of counts, and VAEs.

`python -m benchmarks.compression [NAME ...]` measures the rows called NAME, or all (about half an
hour, most of it training), and writes them into the results that the notebook on compression
reads; other rows stay as they are. Every number is the size of a real file, or says that it is an
ideal length. Formats get all 10,000 images as one picture, a mosaic of 100 × 100, so that headers
do not decide, and compressors get the packed bits. For formats that are not installed (Debian:
apt install jbigkit-bin libjxl-tools zstd), the row says so.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Generator, Tensor

from benchmarks.published.judge import binarized_test_images
from benchmarks.published.recipes import RECIPES
from benchmarks.published.reproduce import build, fit_model
from benchmarks.timing import facts
from vaelib import archive, checkpoint, data, evaluation, vae
from vaelib.binarization import dynamic, threshold
from vaelib.compression import Codec
from vaelib.course import results
from vaelib.data.files import written_whole
from vaelib.training import train

RESULTS = results.FOLDER / "compression.json"
MODELS = Path(__file__).parent.parent / "build" / "compression"
PROTOCOLS = ("dynamic", "threshold")
Bits = UInt8[np.ndarray, "image height width"]  # zeros and ones


def test_images(protocol: str) -> UInt8[Tensor, "image pixel"]:
    """MNIST's test images as bytes 0 and 255; dynamic ones are the judge's fixed draw."""
    if protocol == "dynamic":
        return binarized_test_images()
    return threshold(data.load("mnist", "test").images).mul(255).byte()


def mosaic(bits: Bits) -> UInt8[np.ndarray, "height width"]:
    """10,000 images as one picture of 100 rows of 100."""
    return bits.reshape(100, 100, 28, 28).transpose(0, 2, 1, 3).reshape(2800, 2800)


def as_picture(bits: Bits, **settings: object) -> int:
    """Bytes of the mosaic as a file that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(mosaic(bits) * 255).convert("1").save(file, **settings)
    return file.tell()


def as_packed(bits: Bits, compress: Callable[[bytes], bytes]) -> int:
    """Bytes of the packed bits, 98 to an image, after a compressor of bytes."""
    return len(compress(np.packbits(bits.reshape(len(bits), -1), axis=1).tobytes()))


def by_program(bits: Bits, command: list[str]) -> int:
    """Bytes of the file that a program makes of the mosaic; IN and OUT stand for the paths."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"IN": Path(folder) / "in.pbm", "OUT": Path(folder) / "out.jxl"}
        if command[0] == "zstd":
            paths["IN"].write_bytes(np.packbits(bits.reshape(len(bits), -1), axis=1).tobytes())
        else:
            Image.fromarray(mosaic(bits) * 255).convert("1").save(paths["IN"])
        if command[0] == "cjxl":  # which does not read PBM
            paths["IN"] = paths["IN"].with_suffix(".png")
            Image.fromarray(mosaic(bits) * 255).save(paths["IN"])
        made = [str(paths.get(part, part)) for part in command]
        subprocess.run(made, check=True, capture_output=True)
        return paths["OUT"].stat().st_size


FORMATS: dict[str, Callable[[Bits], int]] = {
    "JBIG1 (1993)": partial(by_program, command=["pbmtojbg", "-q", "IN", "OUT"]),
    "JPEG XL": partial(by_program, command=["cjxl", "IN", "OUT", "-d", "0", "-e", "9"]),
    "bz2": partial(as_packed, compress=partial(bz2.compress, compresslevel=9)),
    "xz": partial(as_packed, compress=partial(lzma.compress, preset=9 | lzma.PRESET_EXTREME)),
    "zstd": partial(by_program, command=["zstd", "--ultra", "-22", "-q", "IN", "-o", "OUT"]),
    "gzip": partial(as_packed, compress=partial(gzip.compress, compresslevel=9)),
    "WebP": partial(as_picture, format="WebP", lossless=True, quality=100, method=6),
    "PNG": partial(as_picture, format="PNG", optimize=True),
}


NEIGHBOURS = [  # rows and columns before a pixel, nearest first
    *[(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1)],
    *[(-2, -2), (-2, 2), (0, -3), (-3, 0), (-1, -3), (-1, 3), (-3, -1), (-3, 1), (-2, -3)],
    *[(-2, 3), (0, -4), (-4, 0)],
]


def contexts(bits: Bits) -> np.ndarray:
    """For each pixel the number that its neighbours' bits make; outside an image all is 0."""
    padded = np.pad(bits, ((0, 0), (4, 0), (4, 4))).astype(np.int32)
    height, width = bits.shape[1:]
    found = np.zeros(bits.shape, np.int32)
    for place, (down, right) in enumerate(NEIGHBOURS):
        top, left = 4 + down, 4 + right
        found |= padded[:, top : top + height, left : left + width] << place
    return found


def by_counts(train_bits: list[Bits], bits: Bits, weight: float = 0.1) -> float:
    """The ideal length, in bytes, by the frequencies of ink in the training images.

    Each frequency is mixed, as one more pixel, with that of the context's nearest twelve pixels.
    """
    size = 1 << len(NEIGHBOURS)
    near = (1 << 12) - 1  # the nearest twelve
    inks, alls = np.zeros(size), np.zeros(size)
    for some in train_bits:
        place = contexts(some).ravel()
        inks += np.bincount(place, weights=some.ravel(), minlength=size)
        alls += np.bincount(place, minlength=size)
    nearer = np.arange(size) & near
    ink_near, all_near = (np.bincount(nearer, weights=x, minlength=near + 1) for x in (inks, alls))
    coarse = ((ink_near + weight) / (all_near + 2 * weight))[nearer]
    probability = (inks + coarse) / (alls + 1)
    place = contexts(bits)
    right = np.where(bits > 0, probability[place], 1 - probability[place])
    return float(-np.log2(right).sum() / 8)


def counted(protocol: str) -> float:
    """Bytes of the test images by a table that the training images made."""
    images, generator = data.load("mnist", "train").images, Generator().manual_seed(0)
    draws = [threshold(images)] if protocol == "threshold" else []
    draws = draws or [dynamic(images, generator) for _ in range(10)]
    train_bits = [as_bits(draw.mul(255).byte()) for draw in draws]
    return by_counts(train_bits, as_bits(test_images(protocol)))


def as_bits(images: UInt8[Tensor, "image pixel"]) -> Bits:
    """Bytes 0 and 255 as pictures of zeros and ones."""
    return (images.view(-1, 28, 28) > 0).byte().numpy()


def notebook_model(protocol: str) -> vae.VAE:
    """The network of the blog post, trained for ten epochs under this protocol."""
    generator = Generator().manual_seed(0)
    model = vae.dense(generator=generator)
    train(model, data.load("mnist", "train").images, protocol=protocol, generator=generator)
    return model


def recipe_model(protocol: str, epochs: int | None = None) -> vae.VAE:
    """The recipe `one-layer` of benchmarks.published, trained under this protocol."""
    recipe, images = RECIPES["one-layer"], data.load("mnist", "train").images
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    generator = Generator().manual_seed(0)
    model = build(recipe, images, generator)
    fit_model(recipe, model, images, generator, protocol=protocol)
    return model


VAES = {
    "VAE of notebook 5, five latents, ten epochs": notebook_model,
    "VAE, 50 latents, eight epochs": partial(recipe_model, epochs=8),
    "VAE, 50 latents, 52 epochs (one-layer)": recipe_model,
}


def by_vae(name: str, protocol: str) -> dict[str, object]:
    """Size and speed of a VAE's file of the test images; minutes only if it is trained now."""
    path = MODELS / f"{hashlib.sha256(name.encode()).hexdigest()[:8]}-{protocol}.safetensors"
    minutes = None
    if not path.exists():
        start = time.process_time()
        model = VAES[name](protocol)
        minutes = (time.process_time() - start) / 60
        checkpoint.save(model, path)
    model, images = checkpoint.load(path), test_images(protocol)
    codec, start = Codec(model), time.process_time()
    made = archive.compress(codec, images)
    middle = time.process_time()
    assert torch.equal(archive.decompress(codec, made), images), "lossless"
    end = time.process_time()
    bound = -evaluation.mean_terms(model, images, protocol="static").bound.item()
    weights = sum(parameter.numel() for parameter in model.parameters())
    return {
        "bytes": len(made),
        "minutes": minutes and round(minutes, 1),
        "negative_elbo": round(bound, 3),
        "overhead": round(8 * len(made) / len(images) / (bound / math.log(2)) - 1, 6),
        "images_per_second": [round(len(images) / s) for s in (middle - start, end - middle)],
        "weights": weights,
        "sha256": hashlib.sha256(made).hexdigest(),
    }


def row(name: str) -> dict[str, object]:
    """One row of the table."""
    found: dict[str, object] = {"what": name, "kind": "format", "note": ""}
    for protocol in PROTOCOLS:
        images = test_images(protocol)
        if name in FORMATS:
            command = getattr(FORMATS[name], "keywords", {}).get("command")
            if command and not shutil.which(command[0]):
                return found | {"note": f"not measured: {command[0]} is not installed"}
            size = FORMATS[name](as_bits(images))
        elif name == COUNTS:
            size, found["kind"], found["note"] = counted(protocol), "counts", "ideal length"
        else:
            details = by_vae(name, protocol)
            size, found["kind"] = details["bytes"], "vae"
            found[f"{protocol}_details"] = details
        found[protocol] = round(8 * size / images.numel(), 4)
    return found


COUNTS = "table of counts over 22 neighbours"
NAMES = (*FORMATS, COUNTS, *VAES)


def installed() -> dict[str, str]:
    """The versions of what wrote the files, as Debian's packages and Python say."""
    packages = ("jbigkit-bin", "libjxl-tools", "zstd")
    found = {"pillow": PIL.__version__}
    for package in packages:
        command = ["dpkg-query", "--show", "--showformat=${Version}", package]
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            found[package] = said.stdout or "not installed"
    return found


def main(names: list[str]) -> None:
    """Measure the rows with these names, or all."""
    old = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = {one["what"]: one for one in old if one["what"] in NAMES}
    for name in names or NAMES:
        if name not in NAMES:
            sys.exit(f"no row is called {name!r}; there is {', '.join(NAMES)}")
        rows[name] = row(name)
        print(json.dumps(rows[name]), flush=True)
        with written_whole(RESULTS) as partial_file:
            made = [rows[one] for one in NAMES if one in rows]
            about = facts() | {"installed": installed()}
            partial_file.write_text(json.dumps({"facts": about, "rows": made}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
