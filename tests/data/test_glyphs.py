"""The stand-in must be like MNIST in form, read as digits, vary widely, and repeat exactly."""

import pytest
import torch

from vaelib.data import glyphs


@pytest.fixture(scope="module")
def some():
    return glyphs.make({"train": 4000, "test": 1000}, seed=0)


def test_templates_are_the_ten_digits_in_every_style():
    styles = glyphs.templates()
    count = len(glyphs.LIGHT) * len(glyphs.PENS["light"])
    count += len(glyphs.BOLD) * len(glyphs.PENS["bold"])
    assert styles.shape == (count, 10, glyphs.TEMPLATE, glyphs.TEMPLATE)
    inked = styles.flatten(2) > 0.5
    assert (inked.sum(2) > 60).all()
    flat = styles.flatten(0, 1).flatten(1)
    distance = torch.cdist(flat, flat).fill_diagonal_(99)
    assert distance.min() > 0.5, "two styles of a digit are the same picture"
    edges = styles[..., 0, :].amax() + styles[..., -1, :].amax()
    edges += styles[..., 0].amax() + styles[..., -1].amax()
    assert edges == 0, "a digit is cut off at the edge of its template"


def test_there_are_several_families_upright_and_slanted_light_and_bold():
    faces = glyphs.LIGHT + glyphs.BOLD
    assert len(set(faces)) == len(faces) == 20
    for part in ("Sans", "Serif", "Mono", "STIX", "cm", "Oblique", "Italic", "Bol"):
        assert any(part in face for face in faces), part


def test_a_seed_repeats_exactly_and_another_differs(some):
    again = glyphs.make({"train": 4000, "test": 1000}, seed=0)
    assert torch.equal(again["train"].images, some["train"].images)
    assert torch.equal(again["test"].labels, some["test"].labels)
    other = glyphs.make({"train": 1000}, seed=1)["train"]
    assert not torch.equal(other.images, some["train"].images[:1000])


def test_form_is_mnists(some):
    for split, count in (("train", 4000), ("test", 1000)):
        images, labels = some[split]
        assert images.shape == (count, 784)
        assert images.dtype == labels.dtype == torch.uint8
        assert (labels.bincount(minlength=10) > 0.07 * count).all()
    assert glyphs.COUNTS == {"train": 60_000, "test": 10_000}


def test_grey_is_mnists(some):
    """MNIST: 0.131 of the ink, 81 % exact background, 9 % between 26 and 229."""
    images = some["train"].images
    assert 0.12 < images.float().mean() / 255 < 0.18
    assert 0.75 < (images == 0).float().mean() < 0.85
    assert 0.05 < ((images > 25) & (images < 230)).float().mean() < 0.12


def test_place_and_size_are_mnists(some):
    """The longer side 20 pixels, the centre of mass in the middle, the margin nearly empty."""
    pictures = some["train"].images.view(-1, 28, 28).float()
    x = torch.arange(28) - 13.5
    mass = pictures.sum((1, 2))
    columns, rows = (pictures.sum(1) * x).sum(1) / mass, (pictures.sum(2) * x).sum(1) / mass
    assert columns.abs().max() < 1.0
    assert rows.abs().max() < 1.0
    spans = []
    for axis in (1, 2):
        inked = (pictures > 127).any(axis).float()
        spans.append(inked.sum(1))
    longer = torch.maximum(*spans)
    assert 18.5 < longer.mean() < 20.5
    assert longer.std() < 1.0
    border = torch.cat([pictures[:, :2].flatten(1), pictures[:, -2:].flatten(1)], 1)
    assert (border > 127).any(1).float().mean() < 0.1  # MNIST: 0.103


def test_they_vary_and_do_not_repeat(some):
    images = some["train"].images.float() / 255
    distance = torch.cdist(images, images).fill_diagonal_(99).amin(1)
    assert distance.min() > 1.0, "two images are nearly the same"
    assert distance.median() > 3.5
    train_test = torch.cdist(some["test"].images.float() / 255, images).amin(1)
    assert train_test.min() > 1.0, "a test image is nearly a training image"
    for digit in range(10):
        of_digit = images[some["train"].labels == digit]
        assert of_digit.std(0).mean() > 0.1


def test_they_read_as_digits(some):
    """The nearest neighbour among 4,000 names the digit of nearly all of 1,000 others."""
    train, test = ((split.images.float() / 255, split.labels) for split in some.values())
    nearest = torch.cdist(test[0], train[0]).argmin(1)
    assert (train[1][nearest] == test[1]).float().mean() > 0.95


def test_every_style_is_drawn_and_no_zero_has_a_slash(monkeypatch):
    count = len(glyphs.styles())
    chosen = []
    real = glyphs.templates()

    class Spy:
        def __getitem__(self, index):
            chosen.append(index)
            return real[index]

    monkeypatch.setattr(glyphs, "templates", Spy)
    labels = torch.arange(4000).remainder(10).to(torch.uint8)
    glyphs.draw(labels, torch.Generator().manual_seed(0))
    style, digit = chosen[0]
    assert torch.equal(digit, labels.long())
    shares = style[digit != 0].bincount(minlength=count) / (digit != 0).sum()
    assert len(shares) == count
    assert shares.min() > 0.3 / count
    assert shares.max() < 2 / count
    for_zero = {glyphs.styles()[row][0] for row in style[digit == 0].tolist()}
    assert len(for_zero) == 16
    assert not any("Mono" in face for face in for_zero)


def test_labels_decide_what_is_drawn():
    generator = torch.Generator().manual_seed(0)
    ones = glyphs.draw(torch.full((200,), 1, dtype=torch.uint8), generator).float().mean()
    eights = glyphs.draw(torch.full((200,), 8, dtype=torch.uint8), generator).float().mean()
    assert eights > 1.3 * ones


def test_progress_counts_every_image():
    drawn = []
    glyphs.make({"train": 250, "test": 30}, batch=100, on_batch=drawn.append)
    assert drawn == [100, 100, 50, 30]
