"""Truths that do not depend on how it is done: where a drawing lands, how large, how exactly."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vaelib import data
from vaelib.binarization import threshold
from vaelib.course.handwriting import as_mnist, letters


def disc_stroke(points, side=280, width=22.0):
    """Ink of a pen with a round nib drawn along straight lines, by the distance to each."""
    y, x = np.mgrid[:side, :side] + 0.5
    nearest = np.full((side, side), np.inf)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max(length, 1e-9)
        along = along.clip(0, 1)
        nearest = np.minimum(
            nearest, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        )
    return torch.from_numpy((width / 2 + 0.5 - nearest).clip(0, 1)).float()


def box_of(image):
    rows, columns = np.nonzero(np.asarray(image))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


SEVEN = [(70, 60), (200, 60), (120, 230)]
L = [(60, 40), (60, 240), (180, 240)]
BAR = [(140, 40), (140, 240)]
DASH = [(40, 140), (240, 140)]


@pytest.mark.parametrize("points", [SEVEN, L, BAR, DASH])
def test_the_longer_side_fills_twenty_pixels_and_the_shorter_keeps_its_ratio(points):
    ink = disc_stroke(points)
    top, bottom, left, right = box_of(ink)
    high, wide = bottom - top, right - left
    top, bottom, left, right = box_of(as_mnist(ink).view(28, 28))
    assert max(bottom - top, right - left) == 20
    scale = 20 / max(high, wide)
    assert bottom - top == pytest.approx(high * scale, abs=1)
    assert right - left == pytest.approx(wide * scale, abs=1)


@pytest.mark.parametrize("points", [SEVEN, L, BAR, DASH])
def test_the_centre_of_mass_lies_in_the_middle_pixel(points):
    image = as_mnist(disc_stroke(points)).view(28, 28).double().numpy()
    assert ndimage.center_of_mass(image) == pytest.approx((14, 14), abs=0.51)


def test_ink_is_kept_as_the_area_shrinks():
    """The sum of an area mean is the sum of the ink times the change of area."""
    ink = disc_stroke(SEVEN)
    top, bottom, left, right = box_of(ink)
    scale = 20 / max(bottom - top, right - left)
    expected = ink.sum().item() * scale**2
    assert as_mnist(ink).double().sum().item() / 255 == pytest.approx(expected, rel=0.01)


@given(right=st.integers(-55, 65), down=st.integers(-45, 35))
@settings(max_examples=20, deadline=None)
def test_where_it_is_drawn_does_not_matter(right, down):
    ink = disc_stroke(SEVEN)
    moved = torch.roll(ink, (down, right), (0, 1))
    assert torch.equal(as_mnist(moved), as_mnist(ink))


@pytest.mark.parametrize("size", [0.5, 0.75, 1.4])
def test_how_large_it_is_drawn_hardly_matters(size):
    """Up to half a pixel of the drawing at its rim, which is a part of one of MNIST's."""
    larger = [(size * x, size * y) for x, y in SEVEN]
    one = as_mnist(disc_stroke(SEVEN)).float() / 255
    two = as_mnist(disc_stroke(larger, side=400, width=22 * size)).float() / 255
    assert (one - two).abs().mean() < 0.01


@pytest.mark.parametrize("times", [1, 5, 10])
def test_digits_of_mnist_come_back_as_they_were(times):
    """From a page of 28 × 28 (as it is) to one of 280 × 280: exactly, every one of them."""
    test = data.load(split="test")
    images = test.images[:100].view(-1, 28, 28) / 255
    pages = images.repeat_interleave(times, 1).repeat_interleave(times, 2)
    back = torch.stack([as_mnist(page) for page in pages])
    same = (back == test.images[:100]).all(1).double().mean()
    test.expect(same, mnist=(1.0, 1.0))  # glyphs are centred between four pixels


def test_digits_enlarged_by_no_whole_number_and_moved_come_back_nearly(digits):
    """Few binary pixels differ, after a step of at most one pixel where a centre is rounded."""
    flipped = []
    nearest = np.arange(238) * 28 // 238  # 8.5 pixels for each
    for pixels in digits[:100]:
        page = torch.zeros(280, 280)
        page[30:268, 20:258] = pixels.view(28, 28)[np.ix_(nearest, nearest)] / 255
        before = threshold(pixels).view(28, 28)
        after = threshold(as_mnist(page)).view(28, 28)
        steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        differ = [(after.roll(step, (0, 1)) != before).sum() / before.sum() for step in steps]
        flipped.append(min(differ).item())
    assert np.median(flipped) < 0.05
    assert max(flipped) < 0.5


@pytest.mark.parametrize("side", [1, 2, 5, 20, 28, 140, 600])
def test_a_dot_and_a_full_page_become_a_block(side):
    ink = torch.zeros(side, side)
    ink[side // 2, side // 3] = 1
    for drawing in (ink, torch.ones(side, side)):
        image = as_mnist(drawing).view(28, 28)
        assert image.sum().item() == 400 * 255
        assert box_of(image) == (4, 24, 4, 24)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("width", [1, 139])
def test_thin_and_wide_strokes_pass(width, across):
    ink = torch.zeros(140, 140)
    ink[:, :width] = 1
    image = as_mnist(ink.T if across else ink).view(28, 28).double()
    top, bottom, left, right = box_of(image)
    assert max(bottom - top, right - left) == 20
    assert image.sum() == pytest.approx(400 * 255 * width / 140, rel=0.02)


def test_ink_far_off_its_centre_stays_on_the_page():
    ink = torch.zeros(140, 140)
    ink[:30] = 1  # a heavy bar, and a thin tail that reaches down to the page's edge
    ink[30:, 70:73] = 1
    top, bottom, *_ = box_of(as_mnist(ink).view(28, 28))
    assert (top, bottom) == (8, 28)


@given(seed=st.integers(0, 10_000), side=st.integers(1, 60), share=st.floats(0.0005, 1))
@settings(max_examples=60, deadline=None)
def test_whatever_is_drawn_lands_within_its_twenty_pixels(seed, side, share):
    generator = torch.Generator().manual_seed(seed)
    ink = torch.rand(side, side, generator=generator)
    ink *= torch.rand(side, side, generator=generator) < share
    ink[0, 0] = 1
    top, bottom, left, right = box_of(as_mnist(ink).view(28, 28))
    assert max(bottom - top, right - left) <= 20
    assert as_mnist(ink).shape == (784,)


def test_an_empty_drawing_is_told_so_to_whoever_draws():
    for ink in (torch.zeros(140, 140), torch.full((140, 140), 1e-6)):
        with pytest.raises(ValueError, match="the drawing is empty: draw a digit first"):
            as_mnist(ink)


@pytest.mark.parametrize("ink", [torch.full((9, 9), 1.5), torch.full((9, 9), float("nan"))])
def test_what_is_no_ink_is_refused(ink):
    with pytest.raises(ValueError, match="expected ink from 0"):
        as_mnist(ink)


@pytest.mark.parametrize("shape", [(3, 4), (9,)])
def test_what_is_no_square_drawing_is_refused(as_users_run, shape):
    with pytest.raises(ValueError, match="square drawing"):
        as_mnist(torch.ones(shape))


def test_printed_letters_are_placed_as_digits_and_all_different():
    made = letters()
    assert made.shape == (40, 784)
    assert len(made.unique(dim=0)) == 40
    ink = made.view(-1, 28, 28) > 0
    assert not ink[:, [0, 1, -1]].any()
    assert (made.amax(1) > 200).all()
