import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.image import imread

from vaelib import plotting

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


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="square images, got 10 pixels"):
        plotting.montage(torch.zeros(2, 10))


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
    axes = plotting.scatter_codes(codes, labels)
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
