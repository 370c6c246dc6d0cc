"""What holds for every explorer, and images of other sizes than MNIST's in all that show images."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from looking import image_at
from toy import toy

from vaelib import hierarchy, sampling, vae
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course import explorers
from vaelib.course.explorers import (
    balance,
    bits,
    cloud,
    coins,
    decoding,
    divergence,
    gap,
    gradients,
    latent_map,
    live,
    redraw,
    sketch,
    weights,
)
from vaelib.course.explorers.shell import View, png

SIZES = {"square": (None, 32 * 32), "oblong": ((20, 30), 20 * 30)}


def model_of(pixels: int, latent: int = 3) -> vae.VAE:
    generator = torch.Generator().manual_seed(0)
    return vae.dense(pixels=pixels, hidden=20, latent=latent, generator=generator)


def levels_of(pixels: int) -> hierarchy.Hierarchy:
    generator = torch.Generator().manual_seed(0)
    return hierarchy.dense(sizes=(2, 3), width=16, blocks=1, pixels=pixels, generator=generator)


def bytes_of(count: int, pixels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, pixels), generator=generator).to(torch.uint8)


IMAGES, LABELS, MODEL = bytes_of(12, 784), torch.arange(12).to(torch.uint8) % 10, model_of(784)
GRID, LOG_JOINT = toy(2401)
DIGITS = threshold(IMAGES)
FAMILY = {0.5: MODEL, 2.0: model_of(784)}
BINARY = DIGITS.mul(255).byte()
CODEC = Codec(MODEL)
LEVELS = levels_of(784)


def view_decoded(*, digit: int, tossed: int, **code: float) -> View:
    z = torch.tensor([code[f"z{i}"] for i in (1, 2, 3)])
    return decoding.view_decoded(MODEL, DIGITS[digit], z, tossed=tossed)


def view_walk(*, start: int, end: int, along: float, across: int, up: int, point: list) -> View:
    ends = decoding.posterior_of(MODEL, DIGITS[[start, end]]).mean
    return latent_map.view_walk(MODEL, ends, along=along, axes=(across, up), point=tuple(point))


def view_cloud(*, frozen: bool, **settings: object) -> View:
    return cloud.view_gradient(**settings)


# How each is made, and what its picture must be.
EXPLORERS = {
    "binarize": (
        lambda: explorers.binarize(IMAGES),
        lambda digit, **settings: coins.view_binarized(IMAGES[digit], **settings),
    ),
    "encode": (explorers.encode, view_cloud),
    "compress": (
        lambda: explorers.compress(CODEC, BINARY),
        partial(bits.view_bits, bits.chain_of(CODEC, BINARY)),
    ),
    "decode": (lambda: explorers.decode(MODEL, IMAGES), view_decoded),
    "diverge": (explorers.diverge, divergence.view_divergence),
    "bound": (
        lambda: explorers.bound(GRID, LOG_JOINT),
        partial(gap.view_bound, GRID, LOG_JOINT),
    ),
    "estimate": (
        lambda: explorers.estimate(GRID, LOG_JOINT),
        partial(weights.view_estimate, GRID, LOG_JOINT),
    ),
    "differentiate": (
        lambda: explorers.differentiate(GRID, LOG_JOINT),
        partial(gradients.view_gradients, GRID, LOG_JOINT),
    ),
    "walk": (lambda: explorers.walk(MODEL, IMAGES, LABELS), view_walk),
    "weigh": (
        lambda: explorers.weigh(FAMILY, IMAGES),
        lambda **settings: balance.view_balance(balance.family(FAMILY, IMAGES), **settings),
    ),
    "levels": (
        lambda: explorers.levels(LEVELS, IMAGES),
        lambda digit, **settings: redraw.view_levels(LEVELS, DIGITS[digit], **settings),
    ),
}


@pytest.fixture(params=EXPLORERS)
def both(request):
    make, view = EXPLORERS[request.param]
    return make(), view


def sliders(turned):
    return {name: c for name, c in turned.controls.items() if hasattr(c, "readout_format")}


def test_every_control_says_what_it_is_and_in_which_unit(both):
    turned, _ = both
    for name, control in turned.controls.items():
        if name not in ("point", "tossed", "drawn", "draw"):
            assert control.description
    for control in sliders(turned).values():
        assert re.fullmatch(r".+ \(.+\)", control.description)
        assert control.min <= control.value <= control.max
        assert control.min < control.max


def test_turning_it_shows_the_view_of_the_settings_and_reset_the_first(both):
    turned, view = both
    first, settings = turned.picture.value, turned.settings
    for control in sliders(turned).values():
        before = turned.drawn
        control.value = control.min + type(control.value)(0.4 * (control.max - control.min))
        assert turned.drawn == before + 1
        expected = view(**turned.settings)
        assert turned.picture.value == png(expected.figure)
        assert expected.words in turned.words.value
    for name in {"tossed", "drawn", "draw"} & turned.controls.keys():
        turned.controls[name].click()
        assert turned.settings[name] == settings[name] + 1
        assert turned.picture.value == png(view(**turned.settings).figure)
    assert turned.picture.value != first
    drawn = turned.drawn
    turned.buttons["Reset"].click()
    assert (turned.settings, turned.picture.value) == (settings, first)
    assert turned.drawn == drawn + 1


def test_the_ends_of_all_ranges_are_drawn_in_one_size(both):
    turned, view = both
    size, ends = turned.picture.width, sliders(turned)
    corners = [{name: getattr(c, end) for name, c in ends.items()} for end in ("min", "max")]
    mixed = [(c.min, c.max)[i % 2] for i, c in enumerate(ends.values())]
    for corner in (*corners, dict(zip(ends, mixed, strict=True))):
        turned.set(**corner)
        assert turned.picture.value == png(view(**turned.settings).figure)
        assert turned.picture.width == size
        assert not re.search(r"\b(nan|inf)\b", turned.words.value)


# Other sizes.


@pytest.mark.parametrize(("shape", "pixels"), SIZES.values(), ids=SIZES)
class TestSizes:
    def test_binarize(self, shape, pixels):
        images = bytes_of(3, pixels)
        turned = explorers.binarize(images, shape=shape)
        turned.set(digit=1, level=0.3)
        expected = coins.view_binarized(images[1], level=0.3, shape=shape)
        assert turned.picture.value == png(expected.figure)
        drawn, size = expected.figure.pixels(), shape or (32, 32)
        for i, values in enumerate((images[1] / 255, images[1] > 0.3 * 255)):
            left = 0.05 + i * (int(252 / max(size)) * max(size) / 150 + 0.12)
            same(image_at(drawn, left, 0.05, 1.68, size), values.view(size))

    def test_compress(self, shape, pixels):
        images = threshold(bytes_of(3, pixels)).mul(255).byte()
        turned = explorers.compress(Codec(model_of(pixels)), images, shape=shape)
        turned.set(image=1, before=2)
        picture, size = turned.view(**turned.settings).figure.pixels(), shape or (32, 32)
        same(image_at(picture, 0.05, bits.TOP, bits.SIDE, size), (images[1] / 255).view(size))

    def test_decode(self, shape, pixels):
        model, images = model_of(pixels), bytes_of(3, pixels)
        turned = explorers.decode(model, images, shape=shape)
        turned.buttons["Encode this digit"].click()
        code = decoding.mean_code(model, threshold(images[0]))
        expected = sampling.decode(model, code[None])
        picture = turned.view(**turned.settings).figure.pixels()
        size = shape or (32, 32)
        same(image_at(picture, 0.05, 0.05, 1.68, size), expected.view(size))
        assert f"π = ½ for all {pixels} pixels" in turned.words.value

    def test_walk(self, shape, pixels):
        model = model_of(pixels)
        turned = explorers.walk(model, bytes_of(3, pixels), LABELS[:3], shape=shape)
        turned.set(along=0.0, start=1)
        code = decoding.mean_code(model, threshold(bytes_of(3, pixels)[1]))
        code[:2] = torch.tensor(turned.settings["point"])
        picture = turned.view(**turned.settings).figure.pixels()
        size = shape or (32, 32)
        same(
            image_at(picture, 0.6, 0.72, 1.95, size), sampling.decode(model, code[None]).view(size)
        )

    def test_weigh(self, shape, pixels):
        model, images = model_of(pixels), bytes_of(3, pixels)
        turned = explorers.weigh({1: model, 4: model}, images, shape=shape)
        turned.set(digit=2)
        picture, size = turned.view(**turned.settings).figure.pixels(), shape or (32, 32)
        digit = threshold(images[2]).view(size)
        same(image_at(picture, 0.05, balance.PAIR, balance.SIDE, size), digit)

    def test_levels(self, shape, pixels):
        model, images = levels_of(pixels), bytes_of(3, pixels)
        turned = explorers.levels(model, images, shape=shape)
        turned.set(digit=2, kept=2)
        picture, size = turned.view(**turned.settings).figure.pixels(), shape or (32, 32)
        digit = threshold(images[2])
        same(image_at(picture, 0.05, 0.05, redraw.SIDE, size), digit.view(size))
        latents = redraw.redraw(model, digit, 2, torch.zeros(1, 5))
        shown = image_at(picture, redraw.LEFT, redraw.ROWS[1], redraw.SMALL, size)
        same(shown, sampling.decode(model, latents).view(size))
        assert f"of {pixels} pixels" in turned.words.value

    def test_train_live(self, shape, pixels):
        images = bytes_of(100, pixels)
        turned = explorers.train_live(images, images[:20], shape=shape)
        turned.controls["epochs"].value = 1
        turned.start()
        turned.wait()
        assert turned.model.trained_steps == 1
        assert turned.history.test.bound.shape == (1,)
        codes = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
        made = sampling.decode(turned.model, codes)
        expected = live.view_training(-turned.history.test.bound, made, epochs=1, shape=shape)
        assert turned.picture.value == png(expected.figure)
        size = shape or (32, 32)
        shown = image_at(expected.figure.pixels(), 3.85, 0.08 + 3 * 0.67, 0.56, size)
        same(shown, made[0].view(size))

    @pytest.mark.usefixtures("as_users_run")
    def test_draw_says_that_it_needs_mnists_size(self, shape, pixels, monkeypatch):
        monkeypatch.setattr(sketch, "Picture", None)  # and says it before anything is drawn
        with pytest.raises(ValueError, match=f"needs MNIST's 28 × 28 .* has {pixels:,} pixels"):
            explorers.draw(model_of(pixels), bytes_of(3, pixels), LABELS[:3])


def same(shown, expected):
    """Equal but for rounding to bytes, and for the frame around the image."""
    inside = slice(1, -1)
    difference = np.abs(shown - expected.double().numpy())[inside, inside]
    assert difference.max() < 0.01


@pytest.mark.parametrize(
    "build",
    [
        lambda: explorers.binarize(bytes_of(2, 600)),
        lambda: explorers.compress(Codec(model_of(600)), bytes_of(2, 600)),
        lambda: explorers.decode(model_of(600), bytes_of(2, 600)),
        lambda: explorers.walk(model_of(600), bytes_of(2, 600), LABELS[:2]),
        lambda: explorers.levels(levels_of(600), bytes_of(2, 600)),
        lambda: explorers.train_live(bytes_of(9, 600), bytes_of(9, 600)),
    ],
)
def test_images_that_are_not_square_ask_for_their_shape(build):
    with pytest.raises(ValueError, match=r"600 pixels each.*give shape=\(height, width\)"):
        build()
