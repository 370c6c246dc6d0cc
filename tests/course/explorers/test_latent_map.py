import io
import math

import numpy as np
import PIL.Image
import pytest
import torch

from vaelib import sampling, vae
from vaelib.binarization import threshold
from vaelib.course import explorers
from vaelib.course.explorers import latent_map
from vaelib.course.explorers.shell import png


@pytest.fixture
def model(generator):
    return vae.dense(hidden=20, generator=generator)


@pytest.fixture
def labels():
    return torch.arange(300).remainder(10).to(torch.uint8)


@pytest.fixture
def turned(model, digits, labels):
    return explorers.walk(model, digits[:300], labels)


def codes_of(model, digits):
    with torch.no_grad():
        return model.encoder(threshold(digits[:300])).mean


def panel_of(view):
    """The large panel's 28 × 28 values, read off the picture."""
    drawn = view.figure.pixels()[..., 0].astype(float)
    side = round(1.95 * 150 / 28)
    left, bottom = round(0.6 * 150), round(0.72 * 150)
    top = round(2.9 * 150) - bottom - 28 * side
    centres = np.arange(28) * side + side // 2
    return 1 - drawn[top + centres][:, left + centres] / 255


def test_the_picture_is_what_the_code_decodes_to(model):
    ends = torch.tensor([[0.0, 0, 0, 0, 0], [1.0, 2, -1, 0, 1]])
    for along, point in ((0.0, None), (0.25, None), (1.0, (3.0, -2.0))):
        code = ends[0] + along * (ends[1] - ends[0])
        if point:
            code[1], code[3] = point
        expected = sampling.decode(model, code[None])[0].view(28, 28).numpy()
        shown = latent_map.view_walk(model, ends, along=along, axes=(1, 3), point=point)
        assert np.abs(panel_of(shown) - expected).max() < 0.01


def test_the_pad_stands_where_the_line_is(turned, model, digits):
    codes = codes_of(model, digits)
    turned.set(start=2, end=7, along=0.25, across=1, up=4)
    expected = torch.lerp(codes[2], codes[7], 0.25)[[1, 4]]
    assert turned.controls["point"].value == pytest.approx(expected.tolist(), abs=0.006)


def test_pointing_replaces_two_values_and_keeps_the_others(turned, model, digits):
    codes = codes_of(model, digits)
    turned.set(start=2, end=7, along=0.5)
    turned.controls["point"].value = [1.5, -0.5]
    expected = latent_map.view_walk(model, codes[[2, 7]], along=0.5, axes=(0, 1), point=(1.5, -0.5))
    assert turned.picture.value == png(expected.figure)


def test_a_step_on_the_line_brings_the_pad_back_and_draws_once(turned):
    turned.controls["point"].value = [3.0, 3.0]
    before = turned.drawn
    turned.controls["along"].value = 0.6
    assert turned.drawn == before + 1
    assert turned.controls["point"].value != [3.0, 3.0]


def test_reset_brings_the_pad_back(turned):
    first = turned.picture.value
    turned.set(along=0.9, across=3)
    turned.controls["point"].value = [1.0, 1.0]
    turned.buttons["Reset"].click()
    assert turned.picture.value == first


def test_the_map_is_of_the_chosen_axes_and_told_in_words(turned, model, digits, labels):
    pad = turned.controls["point"]
    before = pad.map
    turned.set(across=2, up=3)
    expected = latent_map.map_of(codes_of(model, digits)[:, [2, 3]], labels)
    assert pad.map == png(expected.figure) != before
    assert "300 latents" in pad.alt


def test_a_point_on_the_map_lies_where_the_pad_puts_it():
    """A code at (2, −1) is drawn ¾ across and ⅝ down, as pad.js places its cross."""
    code = torch.tensor([[2.0, -1.0]])
    drawn = latent_map.map_of(code, torch.zeros(1, dtype=torch.uint8)).figure
    empty = latent_map.map_of(code + 100, torch.zeros(1, dtype=torch.uint8)).figure
    rows, columns = (drawn.pixels() != empty.pixels()).any(-1).nonzero()
    assert abs((columns.min() + columns.max()) / 2 / 435 - 0.75) < 0.015
    assert abs((rows.min() + rows.max()) / 2 / 435 - 0.625) < 0.02


def test_half_of_all_latents_lie_within_the_median_radius(generator):
    for size in (1, 2, 5, 20):
        norms = torch.randn(20_000, size, generator=generator).norm(dim=1)
        within = (norms < latent_map.median_radius(size)).double().mean()
        assert abs(within - 0.5) < 4 * math.sqrt(0.25 / 20_000)


def test_the_map_is_a_square_of_the_pads_size(turned):
    image = PIL.Image.open(io.BytesIO(turned.controls["point"].map))
    assert image.size == (435, 435)
    assert turned.controls["point"].side == 290


def test_one_latent_dimension_is_enough_to_walk(digits, labels):
    turned = explorers.walk(vae.dense(hidden=4, latent=1), digits[:300], labels)
    turned.set(along=0.9)
    assert turned.drawn == 2
