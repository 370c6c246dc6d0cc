"""The parts of every explorer: controls, and a picture drawn by a pure function of their values.

An explorer's `view` is a function from settings to a `View`. The explorer only changes the
settings and shows what the function returns, so a printed page can do without it.
"""

import io
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import anywidget
import ipywidgets as widgets
import matplotlib.font_manager
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import traitlets
from IPython.display import Image
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from torch import Tensor

from vaelib.course import plotting

WIDTH = 7.2  # inches of a picture; each is 100 pixels of the page
SHARPNESS = 1.5  # pixels of the picture per pixel of the page
GAP = 0.12  # inches between two images
Number = float | int
DRAWING = threading.Lock()  # matplotlib is not made for two threads at once
WIDE = {  # the same for all sliders, so that they line up in columns
    "style": {"description_width": "11.5em"},
    "layout": {"width": "28em", "max_width": "100%"},
}


class View(NamedTuple):
    """What is shown for some settings: a picture, and the same in words (HTML)."""

    figure: "Picture"
    words: str


class Picture(Figure):
    """A figure that is drawn in milliseconds; its size is in inches.

    Parts that never change (frames, ticks, labels) are drawn once. Their pixels are passed as
    `ground`, and the rest is drawn on top. Images and their titles are copied into the pixels
    without axes. matplotlib would spend most of a small figure's time on these parts.
    """

    def __init__(
        self, height: Number, width: Number = WIDTH, *, ground: np.ndarray | None = None
    ) -> None:
        super().__init__(figsize=(width, height), dpi=100 * SHARPNESS, layout="none")
        self.ground = ground
        self.laid: list[tuple[np.ndarray, int, int]] = []
        self.titles: list[tuple[str, int, int]] = []
        self.patch.set_visible(False)

    def lay(self, sheet: np.ndarray, left: Number, bottom: Number) -> None:
        """Put an array of colours (row, column, 3), one byte each, at a place."""
        top = round((self.get_figheight() - bottom) * self.dpi) - len(sheet)
        self.laid.append((sheet, round(left * self.dpi), top))

    def title(self, text: str, left: Number, bottom: Number) -> None:
        """Write a line of text `bottom` inches above the picture's lower edge."""
        top = round((self.get_figheight() - bottom) * self.dpi)
        self.titles.append((text, round(left * self.dpi), top))

    def pixels(self) -> np.ndarray:
        """The picture as an array (row, column, 3) of bytes."""
        with DRAWING:
            renderer = _renderer(*self.bbox.size.round().astype(int).tolist(), self.dpi)
            drawn = np.asarray(renderer.buffer_rgba())
            drawn[:] = 255 if self.ground is None else _converted(self.ground, "RGBA")
            if self.axes or self.artists or self.texts or self.lines or self.patches:
                with plt.rc_context(plotting.STYLE):
                    self.draw(renderer)
            for sheet, left, top in self.laid:
                drawn[top : top + sheet.shape[0], left : left + sheet.shape[1], :3] = sheet
            image = PIL.Image.fromarray(drawn).convert("RGB")
        pen = PIL.ImageDraw.Draw(image)
        for text, left, top in self.titles:
            pen.text((left, top), text, fill="black", font=_font(), anchor="ls")
        return np.asarray(image)


@cache
def _renderer(width: int, height: int, dpi: Number) -> RendererAgg:
    """One renderer per size: texts of a figure keep it alive, with megabytes, until collected."""
    return RendererAgg(width, height, dpi)


def _converted(sheet: np.ndarray, mode: str) -> np.ndarray:
    """The same colours with or without opacity; PIL is ten times as fast as a slice."""
    return np.asarray(PIL.Image.fromarray(sheet).convert(mode))


@cache
def _font() -> PIL.ImageFont.FreeTypeFont:
    path = matplotlib.font_manager.findfont("DejaVu Sans")
    return PIL.ImageFont.truetype(path, round(12 * 100 * SHARPNESS / 72))


def panel(
    figure: Figure,
    place: tuple[Number, Number, Number, Number],
    *,
    xlim: tuple[Number, Number],
    ylim: tuple[Number, Number],
    bare: bool = True,
    **settings: object,
) -> Axes:
    """Axes at `place` (left, bottom, width, height, in inches from the lower left).

    `bare` axes have neither frame nor ticks. They are for the parts that change, on a ground with
    axes of the same place and limits that shows both; pass `settings` such as labels to that one.
    """
    width, height = figure.get_size_inches()
    left, bottom, wide, high = place
    axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    axes.set(xlim=xlim, ylim=ylim, autoscale_on=False, **settings)
    if bare:
        axes.axis("off")
    return axes


class Digit(NamedTuple):
    """An image with values from 0 to `most`, and its title."""

    image: Float[Tensor, " pixel"]
    title: str = ""
    most: Number = 1
    colours: str = "gray_r"


def digit_row(
    figure: Picture,
    left: Number,
    bottom: Number,
    side: Number,
    *digits: Digit,
    shape: tuple[int, int] | None = None,
) -> None:
    """Images side by side, framed, each with its title above.

    Each is as large as fits into a square of `side` inches. If there is room, it is enlarged by a
    whole number. `shape` is height and width in pixels; without it images are square.
    """
    high, wide = plotting.image_shape(len(digits[0].image), shape)
    scale = side * figure.dpi / max(high, wide)
    scale = int(scale) or scale
    size = round(scale * wide), round(scale * high)
    for image, title, most, colours in digits:
        level = (image.reshape(high, wide).numpy() / most).clip(0, 1)
        paint = _colour_table(colours)[(level * 255).round().astype(np.uint8)]
        sheet = np.array(PIL.Image.fromarray(paint).resize(size, PIL.Image.Resampling.BOX))
        sheet[[0, -1]] = sheet[:, [0, -1]] = 0xBB
        figure.lay(sheet, left, bottom)
        figure.title(title, left, bottom + size[1] / figure.dpi + 0.08)
        left += max(size) / figure.dpi + GAP


@cache
def _colour_table(name: str) -> np.ndarray:
    return plt.get_cmap(name)(np.arange(256), bytes=True)[:, :3]


def png(figure: Picture) -> bytes:
    """The picture as the bytes of a PNG; equal pictures give equal bytes.

    Rows are not filtered, because PIL tries five filters on each, which takes most of the time.
    """
    sheet = figure.pixels()
    height, width, _ = sheet.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # a row's first byte 0: no filter
    rows[:, 1:] = sheet.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green, blue
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def strip(*views: View) -> Image:
    """Pictures of several settings, one below another, for anyone who is only reading."""
    file = io.BytesIO()
    sheet = np.concatenate([view.figure.pixels() for view in views])
    PIL.Image.fromarray(sheet).quantize(64).save(file, "png", optimize=True)
    return Image(file.getvalue(), width=round(sheet.shape[1] / SHARPNESS))


class Again(widgets.Button):
    """A button whose `value` counts its presses, from 1, so that each draw has its own number."""

    value = traitlets.Int(1)

    def __init__(self, label: str) -> None:
        super().__init__(description=label, layout=widgets.Layout(width="auto"))
        self.on_click(lambda _: self.set_trait("value", self.value + 1))


class Keys(anywidget.AnyWidget):
    """Invisible. It passes keys to an explorer's controls before Jupyter uses them as shortcuts."""

    _esm = Path(__file__).parent / "keys.js"


class Names(anywidget.AnyWidget):
    """Invisible. It gives a screen reader names: `picture` is the picture's alternative text."""

    _esm = Path(__file__).parent / "names.js"
    picture = traitlets.Unicode().tag(sync=True)


class Notice(anywidget.AnyWidget):
    """A notice on the picture if the kernel has ended, is busy or does not answer."""

    _esm = Path(__file__).parent / "notice.js"
    _css = Path(__file__).parent / "notice.css"

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(lambda *_: self.send("yes"))


class Stage(widgets.VBox):
    """A picture that changes in place, and a line that describes it in words.

    The picture keeps its size, so that nothing on the page jumps. `shows` is its alternative text:
    what is drawn where, for all settings; the words have the numbers. `above` has rows of controls.
    `beside` has what is shown to the left of the picture, or above it on a narrow page.
    """

    def __init__(
        self,
        name: str,
        shows: str,
        above: Sequence[Sequence[widgets.Widget]],
        beside: Sequence[widgets.Widget] = (),
    ) -> None:
        self.name = name
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.words = widgets.HTML(layout=widgets.Layout(min_height="5em", width="100%"))
        wrap = widgets.Layout(flex_flow="row wrap", grid_gap="2px 14px")
        rows = [widgets.Box(list(row), layout=wrap) for row in above]
        screen = widgets.Box([self.picture, Notice()], layout=widgets.Layout(max_width="100%"))
        screen.add_class("vaelib-screen")
        shown = widgets.Box([*beside, screen], layout=wrap)
        frame = widgets.Layout(padding="4px 0", overflow="hidden", max_width="960px")
        names = Names(picture=shows)
        super().__init__([*rows, shown, self.words, Keys(), names], layout=frame)
        self.add_class("vaelib-explorer")

    def show(self, view: View) -> None:
        """Change the picture and the words, which a screen reader then reads out."""
        self.picture.value = png(view.figure)
        for side, inches in zip(("width", "height"), view.figure.get_size_inches(), strict=True):
            setattr(self.picture, side, f"{100 * inches:.0f}")
        self.say(view.words)

    def say(self, words: str) -> None:
        """Change only the words."""
        self.words.value = (
            f'<div role="status" aria-live="polite" style="line-height: 1.5">{words}</div>'
        )

    def __repr__(self) -> str:
        return (
            f"Explorer “{self.name}”: run the notebook to use it; the strip above shows settings."
        )


class Explorer(Stage):
    """Controls above a picture that is drawn by a pure function of their values.

    `view(**settings)` is called with the value of every control by its name. `actions` has more
    buttons by label: each maps the current settings to those that change. `links` has, by the name
    of a control, a function of the same kind, which is called when that control moves. While a
    control is dragged, the browser waits for a picture before it sends the newest value. `beside`
    names the controls to the left of the picture. `shows` is as in `Stage`.
    """

    def __init__(
        self,
        name: str,
        view: Callable[..., View],
        controls: Mapping[str, widgets.Widget],
        *,
        shows: str,
        actions: Mapping[str, Callable[[dict], Mapping[str, object]]] | None = None,
        links: Mapping[str, Callable[[dict], Mapping[str, object]]] | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        self.view, self.controls, self.links = view, dict(controls), links or {}
        self.drawn, self._holding = 0, False
        self.first = self.settings
        every = (actions or {}) | {"Reset": lambda _: self.first}
        self.buttons = {label: self._button(label, change) for label, change in every.items()}
        aside = [self.controls[key] for key in beside]
        rest = [control for key, control in self.controls.items() if key not in beside]
        pressed = [control for control in rest if isinstance(control, Again)]
        moved = [control for control in rest if not isinstance(control, Again)]
        super().__init__(name, shows, [moved, [*pressed, *self.buttons.values()]], aside)
        for key, control in self.controls.items():
            control.observe(partial(self._moved, key), "value")
        self._draw()

    @property
    def settings(self) -> dict[str, object]:
        """The value of every control by name: the arguments of `view`."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings: object) -> None:
        """Change several controls and those linked to them, and draw once."""
        if unknown := settings.keys() - self.controls.keys():
            raise ValueError(
                f"{self.name} has no control {', '.join(sorted(unknown))}; there is "
                f"{', '.join(self.controls)}"
            )
        with self._hold():
            for key, value in settings.items():
                self.controls[key].value = value
            for key in settings.keys() & self.links.keys():
                for linked, value in self.links[key](self.settings).items():
                    if linked not in settings:
                        self.controls[linked].value = value

    @contextmanager
    def _hold(self) -> Iterator[None]:
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self._draw()

    def _moved(self, key: str, change: Mapping) -> None:
        if self._holding:
            return
        if key in self.links:
            self.set(**{key: change["new"]})
        else:
            self._draw()

    def _draw(self) -> None:
        self.show(self.view(**self.settings))
        self.drawn += 1

    def _button(self, label: str, change: Callable[[dict], Mapping]) -> widgets.Button:
        button = push_button(label)
        button.on_click(lambda _: self.set(**change(self.settings)))
        return button


def push_button(label: str) -> widgets.Button:
    """A button as wide as its label."""
    return widgets.Button(description=label, layout=widgets.Layout(width="auto"))


def signed(value: Number, digits: int = 3) -> str:
    """A number with this many decimals, a true minus sign, and no minus before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def slider(
    description: str, value: Number, low: Number, high: Number, step: Number, unit: str = ""
) -> widgets.FloatSlider:
    """A slider with its label and, in brackets, its unit."""
    label = f"{description} ({unit})" if unit else description
    return widgets.FloatSlider(
        value, min=low, max=high, step=step, description=label, readout_format=".2f", **WIDE
    )


def chooser(description: str, count: int, value: int = 0) -> widgets.IntSlider:
    """A slider that picks one of `count` things by its number."""
    return widgets.IntSlider(value, min=0, max=count - 1, description=description, **WIDE)
