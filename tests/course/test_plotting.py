import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from vaelib import data
from vaelib.course import plotting

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_montage_puts_every_image_where_it_belongs():
    images = torch.stack([torch.full((4,), value) for value in (0.1, 0.2, 0.3)])
    sheet = plotting.montage(images, columns=2, margin=1)
    assert sheet.shape == (5, 5)
    assert (sheet[:2, :2] == images[0, 0].item()).all()
    assert (sheet[:2, 3:] == images[1, 0].item()).all()
    assert (sheet[3:, :2] == images[2, 0].item()).all()
    assert (sheet[2] == 0).all()
    assert (sheet[3:, 3:] == 0).all()


def test_montage_keeps_rows_of_pixels_as_rows():
    image = torch.arange(4.0).view(1, 4) / 4
    assert plotting.montage(image).tolist() == [[0, 0.25], [0.5, 0.75]]


@pytest.mark.parametrize(("shape", "columns"), [((0, 784), 10), ((784,), 10), ((2, 784), 0)])
@pytest.mark.usefixtures("as_users_run")
def test_a_sheet_needs_images_and_columns(shape, columns):
    with pytest.raises(ValueError, match="at least one column"):
        plotting.montage(torch.zeros(shape), columns)


@pytest.mark.parametrize("draw", ["montage", "show_images", "show_rows", "save_images"])
class TestShapes:
    """Each function draws square and other images, or says which shape it needs."""

    def drawn(self, draw, images, tmp_path, **shape):
        """The values that a function drew in one row."""
        if draw == "save_images":
            picture = imread(plotting.save_images(images, tmp_path / "a.png", **shape))
            return 1 - picture[1::3, 1::3, 0]
        if draw == "show_rows":
            figure = plotting.show_rows({"one": images, "two": 1 - images}, **shape)
            return figure.axes[0].images[0].get_array()
        made = getattr(plotting, draw)(images, **shape)
        return made if draw == "montage" else made.images[0].get_array()

    @pytest.mark.parametrize(("shape", "size"), [(None, (32, 32)), ((20, 30), (20, 30))])
    def test_each_image_is_drawn_in_its_shape(self, draw, shape, size, tmp_path, generator):
        images = torch.rand(3, size[0] * size[1], generator=generator)
        sheet = self.drawn(draw, images, tmp_path, shape=shape)
        assert sheet.shape == (size[0], 3 * size[1] + 4)
        for i, image in enumerate(images):
            left = i * (size[1] + 2)
            found = np.asarray(sheet[:, left : left + size[1]])
            assert np.abs(found - image.view(size).numpy()).max() < 0.01

    def test_images_that_are_not_square_need_a_shape(self, draw, tmp_path):
        with pytest.raises(ValueError, match=r"got 10 pixels each.*give shape=\(height, width\)"):
            self.drawn(draw, torch.zeros(2, 10), tmp_path)
        with pytest.raises(ValueError, match=r"shape=\(3, 4\) holds 12 pixels.*image has 10"):
            self.drawn(draw, torch.zeros(2, 10), tmp_path, shape=(3, 4))


@pytest.mark.usefixtures("as_users_run")
class TestIntensities:
    def test_bytes_keep_their_levels(self):
        levels = torch.arange(256).to(torch.uint8)
        for given in (levels, levels.numpy()):
            sheet = plotting.montage(given.reshape(1, 256))
            assert np.abs(sheet.flatten() - np.arange(256) / 255).max() < 1e-6

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64])
    def test_other_types_are_drawn_as_float32(self, dtype, tmp_path):
        images = torch.tensor([[0, 1, 1, 0]]).to(dtype)
        assert plotting.montage(images).tolist() == [[0, 1], [1, 0]]
        assert plotting.save_images(images, tmp_path / "a.png").exists()
        plotting.show_rows({"one": images, "two": images.bool()})

    def test_bytes_0_and_1_are_paper_and_ink(self):
        binary = torch.tensor([[0, 1, 1, 0]], dtype=torch.uint8)
        assert plotting.montage(binary).tolist() == [[0, 1], [1, 0]]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (torch.tensor([[0.0, 1.0, 128.0, 255.0]]), "from 0 to 255. If they end at 255, divide"),
            (torch.tensor([[-7.5, 0.0, 3.25, 1.0]]), r"from -7.5 to 3.25\..* logits\.sigmoid\(\)"),
            (torch.tensor([[0.0, float("nan"), 1.0, 1.0]]), "from nan to nan"),
            (np.array([[0, 1, 128, 255]]), "from 0 to 255"),
        ],
    )
    def test_other_values_are_refused(self, wrong, said, tmp_path):
        for draw in (
            plotting.show_images,
            lambda images: plotting.show_rows({"one": images}),
            lambda images: plotting.save_images(images, tmp_path / "a.png"),
        ):
            with pytest.raises(ValueError, match=said):
                draw(wrong)
        assert not list(tmp_path.iterdir())

    def test_images_with_side_lengths_or_upside_down(self, generator):
        images = torch.rand(3, 5, 7, generator=generator)
        flat = plotting.montage(images.flatten(1), shape=(5, 7))
        assert np.array_equal(plotting.montage(images), flat)
        assert np.array_equal(plotting.montage(images.numpy()[::-1])[:, :7], images[2].numpy())

    def test_what_holds_images_is_told_apart_from_them(self, pixels):
        with pytest.raises(TypeError, match=r"got Dataset: give its \.images"):
            plotting.show_images(data.Dataset(pixels, pixels[:, 0], "own"))
        with pytest.raises(TypeError, match="got list"):
            plotting.show_images([[0.0, 1.0]])

    def test_latents_and_curves_of_a_narrow_type(self, generator):
        codes = torch.randn(20, 2, generator=generator).bfloat16()
        axes = plotting.scatter_latents(codes, torch.arange(20) % 2)
        drawn = np.concatenate([dots.get_offsets() for dots in axes.collections])
        assert set(drawn.flatten().tolist()) == set(codes.float().flatten().tolist())
        axes = plotting.plot_history({"train": torch.tensor([1.0, 2.0]).bfloat16()})
        assert axes.lines[0].get_ydata().tolist() == [1, 2]


def test_rows_of_any_shape_have_room_for_their_images():
    tall, flat = (
        plotting.show_rows({"one": torch.zeros(3, 600)}, shape=shape).get_figheight()
        for shape in ((30, 20), (20, 30))
    )
    assert (tall - 0.49) / (flat - 0.49) == pytest.approx(30 / 64 / (20 / 94))


def test_the_strip_shows_ink_dark_on_white(tmp_path):
    images = torch.zeros(10, 784)
    images[0] = 1
    picture = imread(plotting.save_images(images, tmp_path / "build" / "sample.png"))
    assert picture.shape[:2] == (84, 3 * (10 * 30 - 2))
    assert (picture[:, :84, :3] == 0).all()
    assert (picture[:, 90:, :3] == 1).all()


def test_rows_carry_their_names_and_images():
    rows = {"input": torch.zeros(3, 784), "output": torch.ones(3, 784)}
    figure = plotting.show_rows(rows, title="both")
    assert [axes.get_ylabel() for axes in figure.axes] == ["input", "output"]
    assert figure.axes[1].images[0].get_array().max() == 1


def test_history_has_a_curve_a_name_and_its_band():
    axes = plotting.plot_history(
        {"train": [3.0, 2.0], "test": [4.0, 3.0]}, band=(1.0, 2.0), title="loss"
    )
    assert [line.get_label() for line in axes.lines] == ["train", "test"]
    assert axes.lines[1].get_ydata().tolist() == [4, 3]
    assert axes.get_xlabel() == "epoch"
    (patch,) = axes.patches
    band = patch.get_extents().transformed(axes.transData.inverted()).intervaly
    assert band == pytest.approx([1, 2])
    many = plotting.plot_history({str(i): [1.0] for i in range(12)})
    assert len(many.lines) == 12


def test_each_digit_has_its_own_marker_and_entry():
    codes, labels = torch.randn(20, 2), torch.arange(20) % 10
    axes = plotting.scatter_latents(codes, labels)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list("0123456789")
    assert len(axes.collections) == 10
    shapes = {c.get_paths()[0].vertices.tobytes() for c in axes.collections}
    assert len(shapes) == 10
    assert axes.collections[3].get_offsets().data == pytest.approx(codes[labels == 3].numpy())


def test_the_architecture_names_its_sizes():
    figure = plotting.draw_architecture(pixels=784, hidden=500, latent=5)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("784") == texts.count("500") == 2
    assert "2 × 5" in texts
    small = plotting.draw_architecture(pixels=600, hidden=2000, latent=2).axes[0]
    texts = [text.get_text() for text in small.texts]
    assert texts.count("600") == texts.count("2000") == 2
    assert all(abs(y) < 1.2 for line in small.lines for y in line.get_ydata()), "in the picture"


def contrast(colour, opacity=1.0):
    """Contrast of a colour with white, between 1 and 21, as WCAG 2.2 defines it."""
    light = torch.tensor(to_rgb(colour), dtype=torch.float64) * opacity + 1 - opacity
    linear = torch.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    return 1.05 / (0.05 + linear @ torch.tensor([0.2126, 0.7152, 0.0722]).double()).item()


def test_the_contrast_is_that_of_the_guidelines():
    assert contrast("black") == pytest.approx(21)
    assert contrast("white") == pytest.approx(1)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)
    assert contrast("#767676") > 4.5 > contrast("#777777")  # the guidelines' own example
    assert contrast("black", 0.5) == pytest.approx(contrast("#808080"), rel=0.01)


def test_colours_stand_out_from_white():
    named = {k: v for k, v in vars(plotting).items() if k.isupper() and str(v).startswith("#")}
    assert set(named) == {"BLUE", "ORANGE", "GREEN", "PURPLE", "BLACK", "GREY"}
    for name, colour in named.items():
        assert contrast(colour) >= 3, name
    assert contrast(plotting.GREY) >= 4.5
    assert len(set(plotting.DIGITS)) == 10
    for colour in plotting.DIGITS:
        assert contrast(colour, plotting.OPACITY) >= 3, colour
    for entry in plotting.STYLE["axes.prop_cycle"]:
        assert entry["color"] in named.values()


# They carry no meaning alone; the last is the ground of a box with black text.
FRAMES = {"#bbbbbb", "#dddddd", "#c4c4c4", "white", "none", "0.9", "#FFD9B8"}


def test_what_is_drawn_takes_these_colours():
    """No colour is written out elsewhere but for frames, grids, grounds and dark greys."""
    home = Path(__file__).resolve().parents[2]
    paths = [*home.glob("vaelib/**/*.py"), *home.glob("notebooks/*.ipynb")]
    written = re.compile(
        r"""(?:color|colour|fc|ec|mec|facecolor|edgecolor)\\?["']?[=:] ?\\?["']([^"'\\]+)"""
        r"""|["'](#[0-9A-Fa-f]{6})["']|get_cmap\((?:name|["'](\w+)["'])"""
    )
    seen = 0
    for path in paths:
        if path.name == "plotting.py":
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = nbformat.reads(text, as_version=4).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        for found in written.finditer(text):
            colour = next(filter(None, found.groups()), "gray")
            seen += 1
            if colour not in FRAMES and not colour.startswith("gray"):
                assert contrast(colour) >= 3, (path.name, found[0])
    assert seen > 10


def test_each_digit_has_a_colour_of_its_own():
    axes = plotting.scatter_latents(torch.zeros(10, 2), torch.arange(10))
    assert len({tuple(dots.get_facecolor()[0]) for dots in axes.collections}) == 10
    plt.close(axes.figure)


def test_the_hierarchy_has_an_arrow_for_each_dependence():
    """The lower q sees image and upper latent; the pixels see both latents."""
    figure = plotting.draw_hierarchy()
    axes = figure.axes[0]
    at = {text.get_position(): text.get_text() for text in axes.texts if text.get_text()}
    arrows = {
        (at[note.xyann], at[note.xy]) for note in axes.texts if getattr(note, "arrow_patch", None)
    }
    assert len(arrows) == 12
    into = {end: {begin for begin, other in arrows if other == end} for end in at.values()}
    assert into["Δμ, Δ"] == {"features\nfor z₂", "z₁"}
    assert into["z₂"] == {"Δμ, Δ", "μ, σ"}
    assert into["p(x|z₁, z₂)"] == {"z₁", "z₂"}
    assert not into["image x"]
    plt.close(figure)
