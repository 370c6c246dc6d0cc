import gc
import io
import tracemalloc

import numpy as np
import PIL.Image
import psutil
import pytest
import torch

from vaelib.course import explorers, plotting
from vaelib.course.explorers import shell
from vaelib.course.explorers.shell import Again, Digit, Explorer, Picture, View, png, slider


def grey_view(*, level: float = 0.25, tossed: int = 1) -> View:
    figure = Picture(1.0, 2.0)
    shell.digit_row(figure, 0.1, 0.1, 0.5, Digit(torch.full((16,), level), f"toss {tossed}"))
    return View(figure, f"level {level:.2f}")


def explorer(**settings) -> Explorer:
    controls = {"level": slider("level", 0.25, 0, 1, 0.01, "ink"), "tossed": Again("Toss")}
    return Explorer("grey", grey_view, controls, shows="A grey square.", **settings)


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def test_the_picture_is_the_view_of_the_settings():
    turned = explorer()
    assert turned.picture.value == png(grey_view(level=0.25).figure)
    turned.controls["level"].value = 0.5
    assert turned.picture.value == png(grey_view(level=0.5).figure)
    assert turned.picture.value != png(grey_view(level=0.51).figure)
    assert "level 0.50" in turned.words.value


def test_a_press_counts_and_changes_the_picture():
    turned = explorer()
    turned.controls["tossed"].click()
    assert turned.settings == {"level": 0.25, "tossed": 2}
    assert turned.picture.value == png(grey_view(tossed=2).figure)


def test_several_controls_move_at_once_and_are_drawn_once():
    turned = explorer()
    before = turned.drawn
    turned.set(level=0.75, tossed=4)
    assert turned.drawn == before + 1
    assert turned.settings == {"level": 0.75, "tossed": 4}


def test_reset_puts_everything_back():
    turned = explorer()
    first = turned.picture.value
    turned.set(level=0.75, tossed=4)
    turned.buttons["Reset"].click()
    assert turned.settings == {"level": 0.25, "tossed": 1}
    assert turned.picture.value == first


def test_an_action_sees_the_settings_and_changes_them():
    seen = []

    def double(settings: dict) -> dict:
        seen.append(settings)
        return {"level": 2 * settings["level"]}

    turned = explorer(actions={"Double": double})
    turned.buttons["Double"].click()
    assert seen == [{"level": 0.25, "tossed": 1}]
    assert turned.settings["level"] == 0.5


def test_a_control_that_moves_another_along_is_drawn_once_and_what_is_set_stays():
    turned = explorer(links={"level": lambda settings: {"tossed": round(10 * settings["level"])}})
    before = turned.drawn
    turned.controls["level"].value = 0.5
    assert turned.settings == {"level": 0.5, "tossed": 5}
    assert turned.drawn == before + 1
    turned.set(level=0.7, tossed=2)
    assert turned.settings == {"level": 0.7, "tossed": 2}


def test_an_unknown_control_is_named_with_those_that_there_are():
    turned = explorer()
    with pytest.raises(ValueError, match="no control lvl; there is level, tossed"):
        turned.set(lvl=1)
    assert turned.settings == turned.first


def test_a_fault_in_the_view_leaves_the_explorer_usable():
    def picky(*, level: float, tossed: int) -> View:
        if level > 0.9:
            raise ValueError("too much")
        return grey_view(level=level)

    controls = {"level": slider("level", 0.25, 0, 1, 0.01), "tossed": Again("Toss")}
    turned = Explorer("picky", picky, controls, shows="A grey square.")
    with pytest.raises(ValueError, match="too much"):
        turned.set(level=1.0)
    turned.set(level=0.5)
    assert turned.picture.value == png(grey_view(level=0.5).figure)


def test_its_text_is_the_same_each_time_and_short_enough_to_be_shown_whole():
    assert repr(explorer()) == repr(explorer())
    assert "grey" in repr(explorer())
    data = explorer()._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert data["text/plain"] == repr(explorer())


def test_names_of_all_explorers_leave_the_text_whole():
    longest = Explorer.__repr__(type("Named", (), {"name": "x" * 30})())
    assert len(longest) <= 110


def test_words_are_spoken_when_they_change():
    assert 'aria-live="polite"' in explorer().words.value


def test_the_picture_has_the_alternative_text_that_says_what_it_shows():
    names = [part for part in explorer().children if isinstance(part, shell.Names)]
    assert [part.get_state()["picture"] for part in names] == ["A grey square."]


def test_it_answers_when_the_page_asks_whether_it_does(monkeypatch):
    sent = []
    monkeypatch.setattr(shell.Notice, "send", lambda notice, content: sent.append(content))
    question = {"method": "custom", "content": "?"}
    shell.Notice()._handle_msg({"content": {"data": question}, "buffers": []})
    assert sent == ["yes"]


def test_the_picture_has_the_size_of_the_page_and_keeps_it():
    turned = explorer()
    size = turned.picture.width, turned.picture.height
    assert size == ("200", "100")
    assert pixels_of(turned.picture.value).shape == (150, 300, 3)
    turned.set(level=1.0)
    assert (turned.picture.width, turned.picture.height) == size


def test_digits_are_drawn_dark_on_white_where_their_pixels_are():
    image = torch.zeros(16)
    image[0] = 1.0  # the upper left pixel
    figure = Picture(1.0, 1.0)
    shell.digit_row(figure, 0.0, 0.0, 0.8, Digit(image))
    drawn = figure.pixels()
    top = 150 - 4 * 30
    assert (drawn[top + 5 : top + 25, 5:25] == 0).all()
    assert (drawn[top + 35 : top + 55, 35:55] == 255).all()
    assert (drawn[:top] == 255).all()


def test_an_image_with_more_pixels_than_there_is_room_for_is_shrunk():
    image = torch.zeros(240, 240)
    image[:, :120] = 1.0
    figure = Picture(1.0, 1.0)
    shell.digit_row(figure, 0.0, 0.0, 0.8, Digit(image.flatten()))
    drawn = figure.pixels()
    assert (drawn[35:145, 5:55] == 0).all()
    assert (drawn[35:145, 65:115] == 255).all()
    assert (drawn[:, 121:] == 255).all()
    assert (drawn[:29] == 255).all()


def test_values_beyond_the_most_are_as_dark_as_the_most():
    figure = Picture(1.0, 1.0)
    shell.digit_row(figure, 0.0, 0.0, 0.8, Digit(torch.tensor([5.0, 9.0, 0.0, -1.0]), most=5))
    drawn = figure.pixels()
    assert (drawn[60, 30] == drawn[60, 90]).all()
    assert (drawn[120, 30] == 255).all()


def test_what_changes_is_drawn_upon_the_ground():
    ground = Picture(1.0, 1.0)
    shell.panel(ground, (0.2, 0.2, 0.7, 0.7), xlim=(0, 1), ylim=(0, 1), bare=False)
    figure = Picture(1.0, 1.0, ground=ground.pixels())
    axes = shell.panel(figure, (0.2, 0.2, 0.7, 0.7), xlim=(0, 1), ylim=(0, 1))
    assert (figure.pixels() == ground.pixels()).all()
    axes.plot([0.5], [0.5], "s", color=plotting.ORANGE)
    changed = (figure.pixels() != ground.pixels()).any(-1)
    rows, columns = changed.nonzero()
    # The point (½, ½) lies 0.55 inches from the left and from below, at 150 pixels an inch.
    assert abs(columns.mean() - 0.55 * 150) < 1.5
    assert abs(rows.mean() - 0.45 * 150) < 1.5


def test_the_picture_does_not_depend_on_what_the_reader_has_set():
    import matplotlib.pyplot as plt

    first = png(grey_view().figure)
    with plt.rc_context({"font.size": 30, "figure.constrained_layout.use": True}):
        assert png(grey_view().figure) == first


def test_a_strip_has_every_view_below_the_other():
    views = [grey_view(level=level) for level in (0.0, 0.5, 1.0)]
    image = explorers.strip(*views)
    sheet = np.asarray(PIL.Image.open(io.BytesIO(image.data)).convert("RGB"))
    assert sheet.shape == (450, 300, 3)
    for i, view in enumerate(views):
        drawn = view.figure.pixels().astype(int)
        assert np.abs(sheet[150 * i : 150 * (i + 1)] - drawn).max() < 16  # fewer colours


@pytest.mark.parametrize(
    "build", [lambda: slider("a", 0, -1, 1, 0.1), lambda: shell.chooser("b", 5)]
)
def test_sliders_have_labels_and_follow_the_hand(build):
    control = build()
    assert control.description
    assert control.continuous_update


def test_memory_stays_flat_over_many_moves():
    turned = explorer()
    control = turned.controls["level"]

    def move(times: int) -> int:
        for i in range(times):
            control.value = (i % 50) / 50
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = move(350)  # until what is kept of each value of the control is complete
        after = move(250)
    finally:
        tracemalloc.stop()
    assert after - before < 40_000


def test_no_pixels_outlive_their_picture_until_garbage_is_collected():
    """A canvas would: it and its figure hold each other, two megabytes a picture here."""

    def draw(times: int) -> int:
        for i in range(times):
            figure = Picture(4.0)
            axes = shell.panel(figure, (1, 1, 2, 2), xlim=(0, 1), ylim=(0, 1))
            axes.plot([0, 1], [0, i % 7])
            png(figure)
        return psutil.Process().memory_info().rss

    draw(5)
    gc.collect()
    gc.disable()
    try:
        before = draw(1)
        after = draw(20)
    finally:
        gc.enable()
    assert after - before < 20e6


def test_no_minus_before_zero():
    assert shell.signed(-0.0001) == "0.000"
    assert shell.signed(-0.5, 1) == "−0.5"
