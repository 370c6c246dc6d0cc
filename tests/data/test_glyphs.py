"""The stand-in must be like MNIST in form, read as digits, vary widely, and repeat exactly."""

import re
import threading

import pytest
import torch
from damage import survive_damage
from safetensors.torch import save_file

from vaelib.data import glyphs, loading
from vaelib.data.catalogue import GLYPHS, DataError

COUNTS = {"train": 2000, "test": 500}


@pytest.fixture(scope="module")
def some():
    return glyphs.draw_splits(COUNTS)


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
    few = {"train": 100, "test": 50}
    first, again, other = (glyphs.draw_splits(few, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(again["train"].images, first["train"].images)
    assert torch.equal(again["test"].labels, first["test"].labels)
    assert not torch.equal(other["train"].images, first["train"].images)
    assert not torch.equal(other["train"].labels, first["train"].labels)
    at_once = glyphs.draw_splits({"train": COUNTS["train"]})["train"].labels
    assert torch.equal(at_once, some["train"].labels), "the default seed is not 0"


def test_form_is_mnists(some):
    for split, count in COUNTS.items():
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
    """The nearest neighbour among 2,000 names the digit of nearly all of 500 others."""
    train, test = ((split.images.float() / 255, split.labels) for split in some.values())
    nearest = torch.cdist(test[0], train[0]).argmin(1)
    assert (train[1][nearest] == test[1]).float().mean() > 0.93


def test_every_style_is_drawn_and_no_zero_has_a_slash(monkeypatch):
    count = len(glyphs.styles())
    chosen = []
    real = glyphs.templates()

    class Spy:
        def __getitem__(self, index):
            chosen.append(index)
            return real[index]

    monkeypatch.setattr(glyphs, "templates", Spy)
    labels = torch.arange(2000).remainder(10).to(torch.uint8)
    glyphs.draw_digits(labels, torch.Generator().manual_seed(0))
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
    ones = glyphs.draw_digits(torch.full((200,), 1, dtype=torch.uint8), generator).float().mean()
    eights = glyphs.draw_digits(torch.full((200,), 8, dtype=torch.uint8), generator).float().mean()
    assert eights > 1.3 * ones


def test_progress_counts_every_image():
    drawn = []
    glyphs.draw_splits({"train": 250, "test": 30}, batch=100, on_batch=drawn.append)
    assert drawn == [100, 100, 50, 30]


class TestFile:
    @pytest.fixture
    def few(self, fresh, monkeypatch):
        """Glyphs of which there are only 40 and 20; the folder of the cache."""
        monkeypatch.setattr(glyphs, "COUNTS", {"train": 40, "test": 20})
        return fresh

    def test_they_are_drawn_once_and_kept_in_one_file(self, few, capsys):
        train, test = loading.load("glyphs", "train"), loading.load("glyphs", "test")
        assert train.name == test.name == "glyphs"
        assert train.images.shape == (40, 784)
        assert test.labels.shape == (20,)
        assert capsys.readouterr().err.count("Drawing") == 1
        files = [path for path in few.rglob("*") if path.is_file() and path.name != ".lock"]
        assert files == [few / GLYPHS.place]

    def test_those_in_a_folder_of_ones_own_are_used(self, few, tmp_path, monkeypatch, capsys):
        own = tmp_path / "stick"
        drawn = glyphs.draw_splits({"train": 3, "test": 2}, seed=7)
        (own / GLYPHS.place).parent.mkdir(parents=True)
        glyphs.write_glyphs(drawn, own / GLYPHS.place)
        monkeypatch.setenv("VAELIB_DATA", str(own))
        assert torch.equal(loading.load("glyphs").images, drawn["train"].images)
        assert capsys.readouterr().err == ""
        assert not few.exists()

    def test_two_at_once_draw_them_once(self, few, capsys):
        two = [threading.Thread(target=glyphs.keep_glyphs, args=(few,)) for _ in range(2)]
        for thread in two:
            thread.start()
        for thread in two:
            thread.join()
        assert capsys.readouterr().err.count("Drawing") == 1

    @pytest.mark.parametrize(
        "damage",
        [
            lambda raw: raw[:-100],
            lambda raw: raw[:-9] + bytes([raw[-9] ^ 4]) + raw[-8:],
            lambda raw: b"",
            lambda raw: raw.replace(b"vaelib glyphs 1", b"vaelib glyphs 0"),
        ],
    )
    def test_a_damaged_file_is_drawn_again_or_named(
        self, few, damage, tmp_path, monkeypatch, capsys
    ):
        good = loading.load("glyphs")
        path, own = few / GLYPHS.place, tmp_path / "own" / GLYPHS.place
        own.parent.mkdir(parents=True)
        own.write_bytes(damage(path.read_bytes()))
        path.write_bytes(own.read_bytes())
        capsys.readouterr()
        assert torch.equal(loading.load("glyphs").images, good.images)
        said = capsys.readouterr().err
        assert str(path) in said
        assert "another copy is read, or drawn now" in said
        glyphs.read_glyphs(path, "train")
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "own"))
        advice = f'data prefetch glyphs --root "{tmp_path / "own"}"'
        with pytest.raises(DataError, match=re.escape(advice)) as caught:
            loading.load("glyphs")
        assert str(own) in str(caught.value)

    def test_where_the_cache_cannot_be_written_they_come_all_the_same(self, few, capsys):
        few.parent.mkdir(parents=True)
        few.write_text("a file where the folder should be")
        assert loading.load("glyphs").images.shape == (40, 784)
        assert loading.load("glyphs", "test").images.shape == (20, 784)
        said = capsys.readouterr().err
        assert "could not be kept" in said
        assert "cannot be written" in said
        glyphs._drawn_in_memory.cache_clear()

    def test_a_cancelled_drawing_leaves_nothing_that_is_believed(self, few, monkeypatch):
        def cancelled(drawn, path):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(glyphs, "write_glyphs", cancelled)
        with pytest.raises(KeyboardInterrupt):
            loading.load("glyphs")
        assert [path.name for path in few.rglob("*") if path.is_file()] == [".lock"]

    def test_writing_and_reading_are_inverse(self, some, tmp_path):
        path = tmp_path / "g"
        glyphs.write_glyphs(some, path)
        for split, written in some.items():
            read = glyphs.read_glyphs(path, split)
            assert torch.equal(read.images, written.images)
            assert torch.equal(read.labels, written.labels)
        path.write_bytes(bytes(path.stat().st_size))  # what was read does not hang on the file
        assert torch.equal(read.images, some["test"].images)

    def test_what_is_not_ours_is_refused(self, some, tmp_path):
        glyphs.write_glyphs({"test": some["test"]}, tmp_path / "no train")
        save_file({"w": torch.zeros(1)}, tmp_path / "foreign")
        for name in ("no train", "foreign", "absent"):
            with pytest.raises(DataError, match=f"{name} cannot be read"):
                glyphs.read_glyphs(tmp_path / name, "train")

    def test_damage_is_refused_with_our_own_error(self, some, tmp_path):
        few = {split: glyphs.Labelled(*(part[:20] for part in some[split])) for split in some}
        path = tmp_path / "g"
        glyphs.write_glyphs(few, path)
        survive_damage(path, lambda: glyphs.read_glyphs(path, "test"), few["test"])
