"""Images of one's own: what comes is compared with arrays that the test wrote, by hand."""

import gzip
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import survive_damage
from mirror import idx
from PIL import Image

from vaelib.data import DataError, load, loading


@pytest.fixture
def noise():
    """25 grey pictures, 6 high and 4 wide; pixel 0 of each is its number."""
    values = np.random.default_rng(0).integers(0, 256, (25, 6, 4), np.uint8)
    values[:, 0, 0] = np.arange(25)
    return values


LABELS = np.arange(25, dtype=np.uint8) % 3


def refused(path, *words, split="train", **settings):
    """The message with which `path` is refused; it has all of `words`."""
    with pytest.raises(DataError) as caught:
        load(path, split, **settings)
    for word in words:
        assert str(word) in str(caught.value)
    return str(caught.value)


def is_the(data, images, labels):
    """Whether a loaded data set has exactly these images and labels, and says their shape."""
    assert data.images.dtype == data.labels.dtype == torch.uint8
    assert data.shape == images.shape[1:]
    assert data.images.shape == (len(images), images[0].size)
    return (data.images.numpy() == images.reshape(len(images), -1)).all() and (
        data.labels.tolist() == list(labels)
    )


def draw(path, values, **settings):
    """Write an array as a picture; its folder, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path, **settings)
    return path


def grey(path):
    """The one picture of a folder, as an array of its height and width."""
    for number in range(1, 10):  # "train" is all but every tenth
        (path / f"b{number}.png").write_bytes((path / "a.png").read_bytes())
    data = load(path, "test")
    return data.images.view(data.shape).numpy()


class TestNames:
    @pytest.mark.usefixtures("fresh")
    def test_what_is_neither_a_name_nor_a_path_lists_the_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("minst", "MNIST.npz", Path("kmnist"), "x" * 5000):
            refused(name, f"no data set is called {str(name)!r}; there is 'mnist', 'fashion_mnist'")
            refused(name, f"Nor is there a file or folder {tmp_path / name}")

    def test_a_known_name_wins_and_a_path_of_that_name_is_a_path(
        self, root, tmp_path, monkeypatch, noise
    ):
        monkeypatch.chdir(tmp_path)
        np.save(tmp_path / "mnist", noise)
        (tmp_path / "mnist.npy").rename(tmp_path / "mnist")
        assert load("mnist").images.shape == (30, 784)
        for name in (Path("mnist"), "./mnist", str(tmp_path / "mnist")):
            refused(name, f"{tmp_path / 'mnist'} is not a source of images")
        (tmp_path / "mnist").unlink()
        draw(tmp_path / "mnist" / "a.png", noise[0])
        own = load(Path("mnist"))
        assert own.images.shape == (1, 24)
        assert own.name == f"{tmp_path.name}/mnist", "or it would be held to the bands of MNIST"
        own.expect(1e9, mnist=(0.0, 1.0))

    def test_home_is_understood(self, tmp_path, monkeypatch, noise):
        for variable in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(variable, str(tmp_path))
        np.save(tmp_path / "mine.npy", noise)
        for name in ("~/mine.npy", Path("~/mine.npy"), str(tmp_path / "mine.npy")):
            data = load(name)
            assert data.name == "mine.npy"
            assert data.shape == (6, 4)

    def test_the_variable_takes_known_names_only(self, tmp_path, monkeypatch, noise):
        np.save(tmp_path / "mine.npy", noise)
        monkeypatch.setenv("VAELIB_DATASET", str(tmp_path / "mine.npy"))
        with pytest.raises(DataError, match=r"\(VAELIB_DATASET says so\); there is 'mnist'"):
            load()

    def test_published_images_say_their_shape_and_cannot_be_resized(self, root):
        assert load("mnist").shape == (28, 28)
        few = torch.zeros(1, 9, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8)
        assert loading.Dataset(*few, "glyphs").shape == (28, 28)
        with pytest.raises(DataError, match="resizes folders of pictures only"):
            load("mnist", size=(14, 14))

    def test_pictures_that_are_no_squares_can_be_drawn(self, tmp_path, noise):
        from vaelib.course import plotting

        np.save(tmp_path / "mine.npy", noise)
        data = load(tmp_path / "mine.npy")
        sheet = plotting.montage(data.images[:1] / 255, shape=data.shape)
        assert np.allclose(255 * sheet, noise[0], atol=1e-3)


class TestFolder:
    @pytest.fixture
    def classes(self, tmp_path, noise):
        """Two classes of ten and fifteen pictures, beside files that are no pictures."""
        folder = tmp_path / "pets"
        for number, values in enumerate(noise):
            draw(folder / ("cat" if number < 10 else "dog") / f"{number:02}.png", values)
        for name in ("readme.txt", ".DS_Store", "cat/Thumbs.db", "cat/._01.png", "dog/labels.csv"):
            (folder / name).write_text("no picture", encoding="utf-8")
        draw(folder / ".hidden" / "x.png", noise[0])
        (folder / "empty").mkdir()
        return folder

    def test_folders_are_classes_and_every_tenth_is_for_testing(self, classes, noise):
        train, test = load(classes), load(str(classes), "test")
        rows = [row for row in range(25) if row not in (9, 19)]
        assert is_the(train, noise[rows], [int(row > 9) for row in rows])
        assert is_the(test, noise[[9, 19]], [0, 1])
        assert train.name == test.name == "pets"

    def test_torchvision_numbers_and_orders_them_alike(self, classes):
        from torchvision.datasets import ImageFolder

        (classes / "empty").rmdir()
        (classes / "cat" / "._01.png").unlink()
        (classes / ".hidden" / "x.png").unlink()
        (classes / ".hidden").rmdir()
        theirs = [(np.asarray(image)[0, 0, 0], label) for image, label in ImageFolder(classes)]
        del theirs[9::10]
        train = load(classes)
        ours = zip(train.images[:, 0].tolist(), train.labels.tolist(), strict=True)
        assert list(ours) == theirs

    def test_a_flat_folder_has_label_0_and_the_order_of_its_names(self, tmp_path, noise):
        for number, name in enumerate(["b.png", "a.PNG", "c.bmp", "B.tif"]):
            draw(tmp_path / name, noise[number])
        assert is_the(load(tmp_path), noise[[3, 1, 0, 2]], [0] * 4)

    def test_within_a_class_the_whole_path_decides(self, tmp_path, noise):
        for number, name in enumerate(["cat/b.png", "cat/a/z.png", "cat/c/a.png"]):
            draw(tmp_path / name, noise[number])
        assert is_the(load(tmp_path), noise[[1, 0, 2]], [0] * 3)

    @pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "pgm", "gif", "tga"])
    def test_any_lossless_format_comes_as_it_was(self, tmp_path, noise, ending):
        draw(tmp_path / f"a.{ending}", noise[0], **({"lossless": True} if ending == "webp" else {}))
        assert is_the(load(tmp_path), noise[:1], [0])

    @pytest.mark.parametrize("names", [("train", "test"), ("Train", "TEST")])
    def test_train_and_test_are_splits_with_the_same_classes(self, tmp_path, noise, names):
        train, test = names
        draw(tmp_path / train / "b" / "1.png", noise[1])
        draw(tmp_path / train / "c" / "1.png", noise[2])
        draw(tmp_path / test / "a" / "1.png", noise[3])  # a class that training images lack
        draw(tmp_path / test / "c" / "deep" / "1.png", noise[4])
        draw(tmp_path / "val" / "z.png", noise[5])
        assert is_the(load(tmp_path), noise[[1, 2]], [1, 2])
        assert is_the(load(tmp_path, "test"), noise[[3, 4]], [0, 2])

    @pytest.mark.parametrize("only", ["train", "test"])
    def test_one_split_alone_is_ambiguous(self, tmp_path, noise, only):
        draw(tmp_path / only / "a.png", noise[0])
        draw(tmp_path / "more" / "a.png", noise[0])
        refused(tmp_path, "not both of 'train' and 'test'", f"name {tmp_path / only}")

    def test_what_is_in_no_split_is_ambiguous(self, tmp_path, noise):
        for name in ("train/a.png", "test/a.png"):
            draw(tmp_path / name, noise[0])
        load(tmp_path)
        stray = draw(tmp_path / "cat" / "a.png", noise[0])
        refused(tmp_path, f"{stray} is in neither")
        stray.unlink()
        refused(tmp_path, f"{draw(tmp_path / 'a.png', noise[0])} is in neither")

    def test_pictures_beside_classes_are_ambiguous(self, classes, noise):
        draw(classes / "cover.png", noise[0])
        refused(classes, "cover.png", "their class is unclear")

    def test_classes_in_one_split_only_are_ambiguous(self, tmp_path, noise):
        draw(tmp_path / "train" / "cat" / "a.png", noise[0])
        draw(tmp_path / "test" / "a.png", noise[0])
        refused(tmp_path, "folders of classes in one of its splits only")

    def test_pictures_beside_idx_files_are_ambiguous(self, tmp_path, noise):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(noise))
        picture = draw(tmp_path / "a.png", noise[0])
        refused(tmp_path, "both IDX files and pictures", picture)

    def test_a_folder_without_pictures_says_what_is_expected(self, tmp_path, noise):
        (tmp_path / "notes.txt").touch()
        draw(tmp_path / "train" / "a.png", noise[0])
        (tmp_path / "test").mkdir()
        refused(tmp_path, f"{tmp_path / 'test'} has no picture that Pillow can read (.png, .jpg")
        refused(tmp_path / "test", "train-images-idx3-ubyte")

    def test_fewer_than_ten_have_no_test_images(self, tmp_path, noise):
        draw(tmp_path / "a.png", noise[0])
        assert len(load(tmp_path).images) == 1
        refused(tmp_path, "no image for the split 'test'", "every tenth", split="test")

    @pytest.mark.parametrize("count", [256, 257])
    def test_256_classes_fit(self, tmp_path, count):
        for number in range(count):
            draw(tmp_path / f"{number:03}" / "a.png", [[number % 256, 5]])
        if count == 256:
            assert load(tmp_path).labels.max() == 255
        else:
            refused(tmp_path, "has 257 folders, but at most 256 classes fit")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda raw: raw[: len(raw) // 2],
            lambda raw: b"",
            lambda raw: b"<html>" * 30,
            lambda raw: raw[:50] + bytes([raw[50] ^ 255]) + raw[51:],
        ],
    )
    def test_a_damaged_picture_is_named(self, classes, damage):
        path = classes / "dog" / "12.png"
        path.write_bytes(damage(path.read_bytes()))
        refused(classes, f"{path} is damaged", "Delete it or replace it")

    @pytest.mark.parametrize("header", [b"P5 x 1 255\n", b"P5 99999 99999 255\n", b"P5 0 0 255\n"])
    def test_a_header_that_promises_nonsense_is_named(self, tmp_path, header):
        path = tmp_path / "a.pgm"
        path.write_bytes(header + bytes(9))
        refused(tmp_path, f"{path} is damaged")

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif"])
    def test_a_picture_that_is_cut_short_is_named(self, tmp_path, noise, ending):
        path = draw(tmp_path / f"a.{ending}", noise[0])
        whole = path.read_bytes()
        for length in range(0, int(0.8 * len(whole)), 7):
            path.write_bytes(whole[:length])
            refused(tmp_path, path)

    def test_links_to_folders_are_followed_once(self, tmp_path, noise):
        if sys.platform == "win32":
            pytest.skip("Windows lets only administrators make links")
        draw(tmp_path / "elsewhere" / "a.png", noise[0])
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "cat").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "mine" / "cat" / "loop").symlink_to(tmp_path / "mine")
        assert is_the(load(tmp_path / "mine"), noise[:1], [0])


class TestSizes:
    @pytest.fixture
    def mixed(self, tmp_path):
        for name, (high, wide) in {"a": (6, 4), "b": (6, 4), "c": (4, 6)}.items():
            draw(tmp_path / f"{name}.png", np.full((high, wide), 100))
        return tmp_path

    def test_different_sizes_are_named_with_the_fix(self, mixed):
        refused(mixed, f"1 of 4 × 6, such as {mixed / 'c.png'}; 2 of 6 × 4", "size=(6, 4)")

    def test_splits_of_different_sizes_are_refused(self, tmp_path, noise):
        draw(tmp_path / "train" / "a.png", noise[0])
        other = draw(tmp_path / "test" / "a.png", noise[0].T)
        for split in ("train", "test"):
            refused(tmp_path, "different sizes", other, split=split)

    def test_size_resizes_each_to_height_and_width(self, mixed):
        data = load(mixed, size=(3, 5))
        assert data.shape == (3, 5)
        assert data.images.tolist() == [[100] * 15] * 3

    def test_a_picture_is_averaged_when_it_shrinks(self, tmp_path):
        draw(tmp_path / "a.png", np.kron([[0, 200], [100, 40]], np.ones((50, 50))))
        assert load(tmp_path, size=(2, 2)).images[0].tolist() == [0, 200, 100, 40]
        draw(tmp_path / "a.png", np.tile([[0, 200]], (40, 20)))
        assert load(tmp_path, size=(4, 5)).images[0].tolist() == [100] * 20

    @pytest.mark.usefixtures("as_users_run")
    def test_a_size_that_is_none_is_refused(self, mixed):
        for size in ((0, 5), (5,), 28, (3.0, 5)):
            refused(mixed, "expected (height, width)", size=size)

    def test_only_folders_of_pictures_take_a_size(self, tmp_path, noise):
        np.save(tmp_path / "a.npy", noise)
        (tmp_path / "images-idx3-ubyte").write_bytes(idx(noise))
        for name in ("a.npy", "images-idx3-ubyte", ""):
            refused(tmp_path / name, "only those take size=", size=(5, 5))


class TestColours:
    """What each kind of picture looks like in grey, worked out by hand."""

    def test_the_right_way_up(self, tmp_path):
        """Orientation 6: the camera lay on its side, row 0 is the right-hand column."""
        lying = [[10, 20, 30], [40, 50, 60]]
        exif = Image.Exif()
        exif[0x0112] = 6
        draw(tmp_path / "a.png", lying, exif=exif)
        assert grey(tmp_path).tolist() == [[40, 10], [50, 20], [60, 30]]

    def test_colour_becomes_luminance(self, tmp_path):
        draw(tmp_path / "a.png", [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]])
        assert grey(tmp_path)[0].tolist() == pytest.approx([76.2, 149.7, 29.1, 255], abs=1)

    def test_transparent_is_white(self, tmp_path):
        draw(tmp_path / "a.png", [[[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 51]]])
        assert grey(tmp_path)[0].tolist() == [255, 0, 204]

    def test_grey_with_alpha(self, tmp_path):
        Image.merge("LA", [Image.new("L", (3, 1), 100), Image.new("L", (3, 1), 0)]).save(
            tmp_path / "a.png"
        )
        assert grey(tmp_path)[0].tolist() == [255] * 3

    @pytest.mark.parametrize("transparent", [None, 2])
    def test_a_palette_is_looked_up(self, tmp_path, transparent):
        picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode=None).convert("P")
        picture.putpalette([10, 10, 10, 200, 200, 200, 90, 90, 90])
        settings = {} if transparent is None else {"transparency": transparent}
        picture.save(tmp_path / "a.png", **settings)
        assert grey(tmp_path)[0].tolist() == [10, 200, 90 if transparent is None else 255]

    def test_black_and_white(self, tmp_path):
        Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
        assert grey(tmp_path)[0].tolist() == [0, 255, 255]

    @pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
    def test_16_bits_become_8(self, tmp_path, ending):
        deep = np.array([[0, 257, 128, 129, 32896, 65535]], np.uint16)
        if ending == "pgm":
            content = b"P5 6 1 65535\n" + deep.astype(">u2").tobytes()
            (tmp_path / "a.pgm").write_bytes(content)
        else:
            Image.fromarray(deep).save(tmp_path / f"a.{ending}")
        assert load(tmp_path).images.tolist() == [[0, 1, 0, 1, 128, 255]]

    @pytest.mark.parametrize("kind", [np.float32, np.int32])
    def test_32_bits_have_no_white(self, tmp_path, kind):
        Image.fromarray(np.array([[0, 1, 2]], kind)).save(tmp_path / "a.tiff")
        refused(tmp_path, f"{tmp_path / 'a.tiff'} has pixels of 32 bits", "save it with 8 or 16")

    def test_cmyk_ink_is_dark(self, tmp_path):
        Image.new("CMYK", (2, 2), (0, 0, 0, 255)).save(tmp_path / "a.tiff")
        assert load(tmp_path).images.tolist() == [[0] * 4]

    @pytest.mark.parametrize("ending", ["gif", "tiff"])
    def test_several_pictures_in_one_file_are_refused(self, tmp_path, noise, ending):
        frames = [Image.fromarray(values) for values in noise[:3]]
        path = tmp_path / f"a.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        refused(tmp_path, f"{path} holds several pictures")

    def test_a_photograph_with_a_preview_is_one_picture(self, tmp_path):
        photograph, preview = Image.new("L", (6, 4), 100), Image.new("L", (3, 2), 9)
        path = tmp_path / "a.jpg"
        photograph.save(path, format="MPO", save_all=True, append_images=[preview])
        with Image.open(path) as image:
            assert image.n_frames == 2
        assert load(tmp_path).images.tolist() == [[100] * 24]

    def test_only_0_and_1_is_nearly_black(self, tmp_path):
        draw(tmp_path / "a.png", [[0, 1, 1]])
        refused(tmp_path, "only the pixels 0 and 1", "Multiply the pixels by 255")
        draw(tmp_path / "a.png", [[0, 0, 0]])
        assert load(tmp_path).images.tolist() == [[0, 0, 0]], "black is black"


class TestNumpy:
    @pytest.mark.parametrize(
        "shape", [lambda x: x, lambda x: x[:, None], lambda x: x[..., None], lambda x: x.copy("F")]
    )
    def test_every_clear_shape(self, tmp_path, noise, shape):
        np.save(tmp_path / "mine.npy", shape(noise))
        rows = [row for row in range(25) if row not in (9, 19)]
        assert is_the(load(tmp_path / "mine.npy"), noise[rows], [0] * 23)
        assert is_the(load(tmp_path / "mine.npy", "test"), noise[[9, 19]], [0, 0])

    def test_rows_of_square_pictures(self, tmp_path, noise):
        np.save(tmp_path / "mine.npy", noise[:, :4].reshape(25, 16))
        data = load(tmp_path / "mine.npy", "test")
        assert is_the(data, noise[[9, 19], :4], [0, 0])
        np.save(tmp_path / "mine.npy", noise.reshape(25, 24))
        refused(tmp_path / "mine.npy", "shape (25, 24)", "images.reshape(len(images), height")

    def test_booleans_are_black_and_white(self, tmp_path, noise):
        np.save(tmp_path / "mine.npy", noise > 127)
        data = load(tmp_path / "mine.npy")
        assert data.images[0].tolist() == [255 * (value > 127) for value in noise[0].flatten()]

    @pytest.mark.parametrize(
        "kind",
        [np.uint8, np.int64, ">i2"],
    )
    def test_labels_of_any_whole_type(self, tmp_path, noise, kind):
        for shape in ((25,), (25, 1)):
            np.savez(tmp_path / "a.npz", images=noise, labels=LABELS.astype(kind).reshape(shape))
            assert is_the(load(tmp_path / "a.npz", "test"), noise[[9, 19]], LABELS[[9, 19]])

    @pytest.mark.parametrize(
        ("images", "labels"),
        [("x", "y"), ("X", "Y"), ("data", "target"), ("images", "labels"), ("images", None)],
    )
    def test_names_of_arrays(self, tmp_path, noise, images, labels):
        arrays = {images: noise} | ({labels: LABELS} if labels else {})
        np.savez_compressed(tmp_path / "a.npz", **arrays)
        expected = LABELS[[9, 19]] if labels else [0, 0]
        assert is_the(load(tmp_path / "a.npz", "test"), noise[[9, 19]], expected)

    def test_an_only_array_needs_no_name(self, tmp_path, noise):
        for name in ("arr_0", "faces", "x_train"):
            np.savez(tmp_path / "a.npz", **{name: noise})
            assert len(load(tmp_path / "a.npz").images) == 23

    @pytest.mark.parametrize("names", ["x_{} y_{}", "{}_images {}_labels", "X.{} Y.{}", "x_{}"])
    def test_splits_of_its_own(self, tmp_path, noise, names):
        arrays = {}
        for split, rows in (("train", slice(0, 20)), ("test", slice(20, 25)), ("val", slice(3))):
            both = zip(names.format(split, split).split(), (noise, LABELS), strict=False)
            arrays |= {name: values[rows] for name, values in both}
        np.savez(tmp_path / "a.npz", **arrays)
        labels = LABELS if " " in names else 0 * LABELS
        assert is_the(load(tmp_path / "a.npz"), noise[:20], labels[:20])
        assert is_the(load(tmp_path / "a.npz", "test"), noise[20:], labels[20:])

    @pytest.mark.parametrize(
        "names",
        [
            "x_train y_train",
            "x_train x_test y_train",
            "x x_train x_test",
            "images y_train y_test",
            "x images",
            "arr_0 arr_1",
            "images names",
            "labels y",
            "train_test_x y",
        ],
    )
    def test_ambiguous_names_are_refused_with_the_way(self, tmp_path, noise, names):
        values = {name: LABELS if name[0] in "yln" else noise for name in names.split()}
        np.savez(tmp_path / "a.npz", **values)
        refused(tmp_path / "a.npz", tmp_path, "Save images=… and labels=… with np.savez")

    def test_splits_of_different_sizes_are_refused(self, tmp_path, noise):
        np.savez(tmp_path / "a.npz", x_train=noise, x_test=noise[:, :3])
        refused(tmp_path / "a.npz", "different sizes", "(6, 4)", "(3, 4)")

    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda x: x / 255, lambda x: x),
            (lambda x: (x / 255).astype(np.float16), lambda x: x),
            (lambda x: x.astype(np.float32), lambda x: x),
            (lambda x: x.astype(np.int64), lambda x: x),
            (lambda x: (x > 127).astype(np.int8), lambda x: 255 * (x > 127)),
            (lambda x: x / 127.5 - 1, lambda x: x),
            (lambda x: (x.astype(int) - 128).astype(np.int8), lambda x: x),
            (lambda x: x.astype(np.uint16) * 257, lambda x: x),
            (lambda x: np.where(x == x, np.nan, x), lambda x: 0 * x),
        ],
    )
    def test_other_types_are_refused_with_a_line_that_works(self, tmp_path, noise, make, expected):
        noise.flat[:2] = 0, 255
        images, lines = make(noise), 0
        np.save(tmp_path / "a.npy", images)
        while images.dtype != np.uint8:
            said = refused(tmp_path / "a.npy", "expected uint8 from 0, black, to 255, white")
            (line,) = re.findall(r"images = (.*)$", said)
            images, lines = eval(line, {"np": np, "images": images}), lines + 1
            np.save(tmp_path / "a.npy", images)
            assert lines < 3
        found = load(tmp_path / "a.npy", "test").images.numpy()
        off = found - expected(noise)[[9, 19]].reshape(2, -1).astype(int)
        assert abs(off).max() <= (1 if make(noise).dtype == np.float16 else 0)

    @pytest.mark.parametrize(
        ("shape", "count"),
        [((25, 6, 4, 3), 25), ((25, 3, 6, 4), 25), ((20, 19, 4), 1), ((6, 10), 1)],
    )
    def test_colours_and_single_pictures_are_refused_with_a_line_that_works(
        self, tmp_path, shape, count
    ):
        images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        np.save(tmp_path / "a.npy", images)
        said = refused(tmp_path / "a.npy", f"shape {shape}", "not clearly (n, h, w)")
        line = re.findall(r"images = (.*?)(?:\. If each|$)", said)[0]
        np.save(tmp_path / "a.npy", eval(line, {"images": images}))
        assert load(tmp_path / "a.npy").images.shape[0] == count - count // 10

    @pytest.mark.parametrize(
        "make",
        [
            lambda x: x.astype(complex),
            lambda x: x.astype(str),
            lambda x: x[0, 0],
            lambda x: x[:0],
            lambda x: x[:16, :4, :4].reshape(16, 16),
            lambda x: x[:, None, :, :1],
            lambda x: x[None, None],
        ],
    )
    def test_what_is_no_set_of_pictures_is_refused(self, tmp_path, noise, make):
        np.save(tmp_path / "a.npy", make(noise))
        refused(tmp_path / "a.npy", tmp_path / "a.npy", "expected" if make(noise).ndim < 2 else "")

    def test_bytes_0_and_1_are_told_to_be_multiplied(self, tmp_path, noise):
        np.save(tmp_path / "a.npy", noise // 128)
        line = refused(tmp_path / "a.npy", "only the pixels 0 and 1").split("images = ")[1]
        np.save(tmp_path / "a.npy", eval(line, {"images": noise // 128}))
        assert load(tmp_path / "a.npy").images.unique().tolist() == [0, 255]

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda y: y[:-1], "shape (24,); expected (25,)"),
            (lambda y: np.eye(3)[y], "labels = labels.argmax(1)"),
            (lambda y: y.astype(float), "labels = np.unique(labels, return_inverse=True)[1]"),
            (lambda y: np.array(["cat", "dog", "eel"])[y], "labels = np.unique("),
            (lambda y: y + 254, "labels = np.unique("),
            (lambda y: y.astype(int) - 1, "labels = np.unique("),
        ],
    )
    def test_other_labels_are_refused_with_a_line_that_works(self, tmp_path, noise, make, words):
        labels = make(LABELS.astype(int))
        np.savez(tmp_path / "a.npz", images=noise, labels=labels)
        said = refused(tmp_path / "a.npz", "array 'labels'", words)
        if "labels = " in said:
            fixed = eval(said.split("labels = ")[1], {"np": np, "labels": labels})
            np.savez(tmp_path / "a.npz", images=noise, labels=fixed)
            assert load(tmp_path / "a.npz", "test").labels.tolist() == LABELS[[9, 19]].tolist()

    def test_more_than_256_classes_do_not_fit(self, tmp_path):
        images = np.arange(300 * 6).reshape(300, 2, 3).astype(np.uint8)
        np.savez(tmp_path / "a.npz", x=images, y=np.arange(300) % 256)
        assert load(tmp_path / "a.npz").labels.max() == 255
        np.savez(tmp_path / "a.npz", x=images, y=np.arange(300))
        refused(tmp_path / "a.npz", "300 classes, but at most 256 fit")

    @pytest.mark.filterwarnings("ignore:.*:UserWarning")
    def test_nothing_is_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "sprung"),))

        np.save(tmp_path / "a.npy", np.array([Trap()], object))
        np.savez(tmp_path / "a.npz", images=np.array([Trap()], object))
        for name in ("a.npy", "a.npz"):
            refused(tmp_path / name, f"{tmp_path / name} cannot be read", "without pickled objects")
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("name", ["a.npy", "a.npz"])
    def test_a_file_that_is_something_else_is_named(self, tmp_path, name):
        for content in (b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(50)):
            (tmp_path / name).write_bytes(content)
            refused(tmp_path / name, f"{tmp_path / name} cannot be read")

    def test_damage_is_refused_by_name_or_harmless(self, tmp_path, noise):
        path = tmp_path / "a.npz"
        np.savez(path, images=noise, labels=LABELS)
        good = load(path)
        survive_damage(path, lambda: load(path)[:2], good[:2], cases=200)


class TestIdx:
    FOUR = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )

    @pytest.fixture
    def write(self, tmp_path, noise):
        """Write MNIST's four files, or the first ones, with names that `rename` makes."""

        def write(rename=lambda name: name, pack=lambda raw: raw, first=4):
            contents = (noise[:20], LABELS[:20], noise[20:], LABELS[20:])
            for name, values in list(zip(self.FOUR, contents, strict=True))[:first]:
                path = tmp_path / "set" / rename(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pack(idx(values)))
            return tmp_path / "set"

        return write

    @pytest.mark.parametrize(
        "rename",
        [
            lambda name: name,
            lambda name: name.replace("-idx", ".idx"),
            lambda name: f"{name}/{name}",
            lambda name: name.upper(),
            lambda name: f"emnist-letters-{name}".replace("t10k", "test"),
            lambda name: name.replace("-idx3-ubyte", ".idx").replace("-idx1-ubyte", ".idx"),
        ],
    )
    @pytest.mark.parametrize("packed", [False, True])
    def test_a_folder_with_mnists_four_names(self, write, rename, packed, noise):
        ending = ".gz" if packed else ""
        folder = write(lambda name: rename(name) + ending, gzip.compress if packed else bytes)
        assert is_the(load(folder), noise[:20], LABELS[:20])
        assert is_the(load(folder, "test"), noise[20:], LABELS[20:])

    def test_without_t10k_every_tenth_is_for_testing(self, write, noise):
        folder = write(first=2)
        for source in (folder, folder / self.FOUR[0]):
            assert is_the(load(source, "test"), noise[[9, 19]], LABELS[[9, 19]])
            assert len(load(source).images) == 18

    @pytest.mark.parametrize("name", ["mine-images.idx3-ubyte", "images-idx3-ubyte", "m.idx3"])
    def test_a_single_file_with_its_labels_beside_it(self, tmp_path, noise, name):
        path = tmp_path / name
        path.write_bytes(idx(noise))
        labels = name.replace("images", "labels").replace("idx3", "idx1")
        refused(path, f"labels of {path} are missing: expected {labels} beside it")
        (tmp_path / f"{labels}.gz").write_bytes(gzip.compress(idx(LABELS)))
        assert is_the(load(path, "test"), noise[[9, 19]], LABELS[[9, 19]])

    def test_the_named_one_of_two_copies_is_read(self, write, noise):
        path = write(first=2) / self.FOUR[0]
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(idx(255 - noise[:20])))
        assert is_the(load(packed, "test"), 255 - noise[[9, 19]], LABELS[[9, 19]])
        assert is_the(load(path, "test"), noise[[9, 19]], LABELS[[9, 19]])
        assert is_the(load(path.parent, "test"), noise[[9, 19]], LABELS[[9, 19]])

    def test_training_images_bring_their_test_images(self, write, noise):
        folder = write()
        assert is_the(load(folder / self.FOUR[0]), noise[:20], LABELS[:20])
        assert is_the(load(folder / self.FOUR[0], "test"), noise[20:], LABELS[20:])
        refused(folder / self.FOUR[2], "lies beside its training images")
        refused(folder / self.FOUR[1], "is not a source of images")

    def test_what_is_ambiguous_is_refused(self, write, tmp_path, noise):
        folder = write()
        (folder / "more-images-idx3-ubyte").write_bytes(idx(noise))
        refused(folder, "these sets of IDX images: …, more…", "Name one file of images")
        (folder / "more-images-idx3-ubyte").rename(folder / "images-idx3-ubyte")
        refused(folder, "no clear training images")
        (folder / "images-idx3-ubyte").unlink()
        for name in self.FOUR[:2]:
            (folder / name).unlink()
        refused(folder, "no clear training images", split="test")
        (folder / self.FOUR[2]).unlink()
        refused(folder, "these sets of IDX images: none")

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda raw: raw[:-1], "bytes of data where its header promises"),
            (lambda raw: raw[:2] + b"\x0d" + raw[3:], "is not an IDX file of bytes"),
            (lambda raw: b"\x1f\x8b" + raw, "cannot be unpacked"),
            (lambda raw: idx(LABELS), "has 1 dimensions; expected 3"),
            (lambda raw: raw[:4] + struct.pack(">I", 19) + raw[8 : -6 * 4], "has 19 images, but"),
            (lambda raw: raw[:4] + struct.pack(">III", 20, 0, 4), "without a pixel"),
        ],
    )
    def test_damaged_files_are_named(self, write, damage, words):
        folder = write(first=2)
        path = folder / self.FOUR[0]
        path.write_bytes(damage(path.read_bytes()))
        refused(folder, folder, words)


def test_a_folder_that_only_wraps_another_is_refused(tmp_path, noise):
    """As some archives unpack: its class and its splits would be lost without a word."""
    for name in ("train/a", "train/b", "test/a", "test/b"):
        for number in range(3):
            draw(tmp_path / "wrap" / "dataset" / name / f"{number}.png", noise[number])
    refused(tmp_path / "wrap", "a single folder", tmp_path / "wrap" / "dataset")
    assert load(tmp_path / "wrap" / "dataset", "test").labels.tolist() == [0, 0, 0, 1, 1, 1]
    for number in range(12):
        draw(tmp_path / "one class" / "a" / f"{number}.png", noise[number])
    assert len(load(tmp_path / "one class", "test").images) == 1


def test_splits_by_another_name_are_refused(tmp_path, noise):
    for name in ("training", "testing"):
        for number in range(12):
            draw(tmp_path / name / f"{number}.png", noise[number])
    refused(tmp_path, "has the folder testing; call the two splits train and test")
