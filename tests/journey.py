"""What a person does with each explorer in a browser, and what must be seen afterwards."""

import contextlib
import importlib.util
import os
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import browser
import numpy as np
import pytest
import torch
from browser import SOON, Screen, Sheet, soon
from toy import Toy, toy

from vaelib import sampling
from vaelib.binarization import threshold
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
    redraw,
    shell,
    sketch,
    weights,
)
from vaelib.course.explorers.shell import View
from vaelib.course.handwriting import as_mnist

Settings = dict[str, object]
DRAW_PIXELS, RESET = "Draw the pixels again", "Reset"


class Case(NamedTuple):
    """An explorer, and what its picture must be for the settings that are shown.

    `expected` takes what the notebook works on, as `Toy` has it, and the values of the controls
    by label, and `DRAW_PIXELS`, the number of the draw of pixels. `key` and `drag` are the labels
    of sliders, `buttons` what each button sets.
    """

    call: str
    expected: Callable[[Toy, Settings], View]
    key: str
    drag: str
    buttons: Mapping[str, Callable[[Toy, Settings], Settings]]


def digit(world: Toy, settings: Settings) -> torch.Tensor:
    return world.images[settings["digit (index)"]]


def again(world: Toy, settings: Settings) -> Settings:
    return {DRAW_PIXELS: settings[DRAW_PIXELS] + 1}


def binarized(world: Toy, settings: Settings) -> View:
    level = settings["threshold (intensity)"]
    return coins.view_binarized(digit(world, settings), level=level, tossed=settings[DRAW_PIXELS])


CLOUD = {
    "μ₁ (prior σ)": "mean_1",
    "μ₂ (prior σ)": "mean_2",
    "log σ₁ (base e)": "log_std_1",
    "log σ₂ (base e)": "log_std_2",
    "ε₁ (σ₁)": "noise_1",
    "ε₂ (σ₂)": "noise_2",
    "climb the": "pull",
}


def clouded(world: Toy, settings: Settings) -> View:
    return cloud.view_gradient(**{name: settings[label] for label, name in CLOUD.items()})


def first_noise(world: Toy, settings: Settings) -> Settings:
    noise = torch.randn(2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).tolist()
    return {"ε₁ (σ₁)": noise[0], "ε₂ (σ₂)": noise[1]}


def decoded(world: Toy, settings: Settings) -> View:
    code = torch.tensor([float(settings[f"z{i} (prior σ)"]) for i in range(1, 6)])
    image = threshold(digit(world, settings))
    return decoding.view_decoded(world.demonstrated, image, code, tossed=settings[DRAW_PIXELS])


def encoded(world: Toy, settings: Settings) -> Settings:
    code = decoding.mean_code(world.demonstrated, threshold(digit(world, settings)))
    return {f"z{i + 1} (prior σ)": value for i, value in enumerate(code.clamp(-3, 3).tolist())}


def first_surprise(world: Toy, settings: Settings) -> Settings:
    code = torch.randn(5, generator=torch.Generator().manual_seed(0))
    return {f"z{i + 1} (prior σ)": value for i, value in enumerate(code.clamp(-3, 3).tolist())}


def guess(settings: Settings) -> dict[str, float]:
    return {"mean": settings["μ of q (prior σ)"], "log_std": settings["log σ of q (base e)"]}


def bounded(world: Toy, settings: Settings) -> View:
    return gap.view_bound(*toy(), **guess(settings))


def best(world: Toy, settings: Settings) -> Settings:
    mean, log_std = gap.best_gaussian(*toy())
    return {"μ of q (prior σ)": mean, "log σ of q (base e)": log_std}


DOUBLINGS, LATENTS, DRAW = "draws k (log₂)", "latents k (log₂)", "Draw again"


def estimated(world: Toy, settings: Settings) -> View:
    return weights.view_estimate(
        *toy(), doublings=settings[DOUBLINGS], drawn=settings.get(DRAW, 1), **guess(settings)
    )


def drawn_again(world: Toy, settings: Settings) -> Settings:
    return {DRAW: settings.get(DRAW, 1) + 1}


def differentiated(world: Toy, settings: Settings) -> View:
    return gradients.view_gradients(
        *toy(), doublings=settings[LATENTS], parameter=settings["gradient of"], **guess(settings)
    )


def diverged(world: Toy, settings: Settings) -> View:
    return divergence.view_divergence(**guess(settings))


def equal(world: Toy, settings: Settings) -> Settings:
    return {"μ of q (prior σ)": 0.0, "log σ of q (base e)": 0.0}


def weighed(world: Toy, settings: Settings) -> View:
    among = balance.family(world.family, world.images)
    return balance.view_balance(
        among,
        beta=settings["β (weight of the KL)"],
        digit=settings["digit (index)"],
        drawn=settings.get(DRAW, 1),
    )


def compressed(world: Toy, settings: Settings) -> View:
    image, before = settings["image (index)"], settings["images before it (number)"]
    return bits.view_bits(world.chain, image=image, before=before)


REDRAW = "Redraw"


def layered(world: Toy, settings: Settings) -> View:
    return redraw.view_levels(
        world.layered,
        threshold(digit(world, settings)),
        kept=settings["levels kept (number)"],
        temperature=settings["temperature (prior σ)"],
        draw=settings.get(REDRAW, 1),
    )


def redrawn(world: Toy, settings: Settings) -> Settings:
    return {REDRAW: settings.get(REDRAW, 1) + 1}


CASES = [
    Case(
        "binarize",
        binarized,
        key="threshold (intensity)",
        drag="digit (index)",
        buttons={DRAW_PIXELS: again},
    ),
    Case(
        "encode",
        clouded,
        key="μ₂ (prior σ)",
        drag="log σ₁ (base e)",
        buttons={"Draw a new ε": first_noise},
    ),
    Case(
        "decode",
        decoded,
        key="z2 (prior σ)",
        drag="digit (index)",
        buttons={DRAW_PIXELS: again, "Encode this digit": encoded, "Surprise me": first_surprise},
    ),
    Case(
        "bound",
        bounded,
        key="μ of q (prior σ)",
        drag="log σ of q (base e)",
        buttons={"Best Gaussian": best},
    ),
    Case(
        "diverge",
        diverged,
        key="log σ of q (base e)",
        drag="μ of q (prior σ)",
        buttons={"q = p": equal},
    ),
    Case(
        "estimate",
        estimated,
        key=DOUBLINGS,
        drag="log σ of q (base e)",
        buttons={DRAW: drawn_again},
    ),
    Case(
        "differentiate",
        differentiated,
        key=LATENTS,
        drag="log σ of q (base e)",
        buttons={"Best Gaussian": best},
    ),
    Case(
        "weigh",
        weighed,
        key="β (weight of the KL)",
        drag="digit (index)",
        buttons={DRAW: drawn_again},
    ),
    Case(
        "compress",
        compressed,
        key="images before it (number)",
        drag="image (index)",
        buttons={},
    ),
    Case(
        "levels",
        layered,
        key="temperature (prior σ)",
        drag="digit (index)",
        buttons={REDRAW: redrawn},
    ),
]


@contextlib.contextmanager
def chromium() -> Iterator[object]:
    """A headless Chromium; without one the tests are skipped, but in CI they fail."""
    missing = []
    if browser.find_browser() is None:
        missing.append("Chromium (Debian's package `chromium`, or name one by VAELIB_BROWSER)")
    if importlib.util.find_spec("playwright") is None:
        missing.append("playwright (`pip install playwright`)")
    if missing:
        reason = f"to test in a browser, install {' and '.join(missing)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=browser.find_browser(), args=browser.QUIET
        )
        yield found
        found.close()


class Desk:
    """One page at a time, with a notebook that was opened, and run from the menu.

    `course` gives the folder to serve for each interface, and `world` what its notebooks work on.
    """

    def __init__(
        self, chromium, course: Callable[[str], Path], world: Callable[[str], Toy], seconds: float
    ):
        self.chromium, self.course, self.world, self.seconds = chromium, course, world, seconds
        self.stack = contextlib.ExitStack()
        self.servers: dict[str, browser.Server] = {}
        self.sheet: Sheet | None = None
        self.open: tuple[str, str] | None = None
        self.ready = False

    def turn_to(self, app: str, notebook: str) -> Sheet:
        """The notebook's page; one that could not be run fails at once for every later step."""
        if self.open != (app, notebook):
            self.clear()
            self.open = app, notebook
            folder = self.course(app)
            if app not in self.servers:
                self.servers[app] = self.stack.enter_context(
                    browser.serve(app, folder, self.course(f"{app}-home"))
                )
            self.sheet = Sheet(self.chromium, self.servers[app], notebook, folder)
            self.sheet.app, self.sheet.world = app, self.world(app)
            self.sheet.run_all(self.seconds)
            self.ready = True
        assert self.ready, f"{notebook} was not opened, or did not run to its end; see above"
        return self.sheet

    def clear(self) -> None:
        self.ready = False
        if self.sheet is not None:
            self.sheet.close()
            self.sheet = None

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *failure: object) -> None:
        with self.stack:
            self.clear()


def expect(screen: Screen, view: View) -> None:
    """The picture on the page is, or within seconds becomes, that of `view`: every pixel."""
    wanted = view.figure.pixels()
    if soon(lambda: np.array_equal(screen.picture(), wanted)):
        return
    got = screen.picture()
    assert got.shape == wanted.shape
    off = (got != wanted).any(2)
    pytest.fail(f"{off.sum()} of {off.size} pixels differ; the page shows {screen.settings}")


def expect_to_follow(screen: Screen, expected: Callable[[Settings], View]) -> None:
    """The picture becomes that of the settings, some of which the kernel is still to change."""

    def follows() -> bool:
        return np.array_equal(screen.picture(), expected(screen.settings).figure.pixels())

    if not soon(follows):
        expect(screen, expected(screen.settings))


def agree(shown: Settings, meant: Settings) -> bool:
    """Whether the page's sliders, in steps of at most 0.05, stand at these values."""
    return all(
        abs(value - meant[label]) <= 0.0251 if isinstance(value, (int, float)) else True
        for label, value in shown.items()
    )


def every_cell_runs(sheet: Sheet) -> None:
    assert sheet.errors == [], sheet.errors
    code = [cell for cell in sheet.cells if cell.cell_type == "code"]
    assert sheet.counts == [f"[{n + 1}]:" for n in range(len(code))]


def keyboard(case: Case, sheet: Sheet) -> None:
    """Arrow keys move the slider that has the focus, and neither the page nor its cells."""
    screen = sheet.explorer(case.call)
    expected = partial(case.expected, sheet.world)
    before = screen.settings
    expect(screen, expected(before | {DRAW_PIXELS: 1}))
    layout = screen.layout()
    screen.press(case.key, "ArrowRight")
    place = sheet.selected, screen.top
    screen.press(case.key, "ArrowUp", 2)
    screen.press(case.key, "ArrowLeft")
    after = screen.settings
    assert (sheet.selected, screen.top) == place, "the keys moved the page or the selected cell"
    assert after[case.key] > before[case.key]
    assert after == before | {case.key: after[case.key]}
    expect(screen, expected(after | {DRAW_PIXELS: 1}))
    assert screen.layout() == layout
    screen.button(RESET).focus()
    sheet.page.keyboard.press("Enter")
    expect(screen, expected(before | {DRAW_PIXELS: 1}))
    assert screen.settings == before
    assert (sheet.selected, screen.top) == place, "the keys moved the page or the selected cell"


def mouse(case: Case, sheet: Sheet) -> None:
    """A slider is dragged, each button pressed; Reset brings back what was first."""
    screen = sheet.explorer(case.call)
    expected = partial(case.expected, sheet.world)
    first = screen.settings
    screen.drag(case.drag, 0.3)
    assert screen.settings[case.drag] != first[case.drag]
    settings = screen.settings | {DRAW_PIXELS: 1}
    expect(screen, expected(settings))
    layout = screen.layout()
    for button, change in case.buttons.items():
        screen.click(button)
        settings |= change(sheet.world, settings)
        reached = soon(lambda meant=settings: agree(screen.settings, meant))
        assert reached, (button, screen.settings, settings)
        settings |= screen.settings  # a slider rounds what it is given to its steps
        expect(screen, expected(settings))
    screen.click(RESET)
    expect(screen, expected(first | {DRAW_PIXELS: 1}))
    assert screen.settings == first
    assert screen.layout() == layout


def burst(case: Case, sheet: Sheet) -> None:
    """Of many moves that come while a picture is drawn only the newest is drawn."""
    screen = sheet.explorer(case.call)
    expected = partial(case.expected, sheet.world)
    first = screen.settings
    with screen.counted() as seen:
        screen.burst(case.key, "ArrowRight", 30)
        last = screen.settings
        assert last != first
        expect(screen, expected(last | {DRAW_PIXELS: 1}))
        time.sleep(0.5)
    assert len(seen) <= 3, f"{len(seen)} pictures for one burst: the first, the newest, no more"
    screen.press(case.key, "ArrowLeft", 30)
    expect(screen, expected(screen.settings | {DRAW_PIXELS: 1}))
    screen.click(RESET)
    expect(screen, expected(first | {DRAW_PIXELS: 1}))


def codes_of(world: Toy, *numbers: int) -> torch.Tensor:
    """The posterior means of some test digits, computed together with the first 2,000's."""
    with torch.no_grad():
        return world.trained.encoder(threshold(world.images[:2000])).mean[list(numbers)]


def walked(world: Toy, settings: Settings) -> View:
    ends = codes_of(world, settings["from digit (index)"], settings["to digit (index)"])
    axes = tuple(int(settings[f"{way} (latent axis)"][1:]) - 1 for way in ("across", "up"))
    along = float(settings["along the line (0 to 1)"])
    point = tuple(settings["pad"])
    return latent_map.view_walk(world.trained, ends, along=along, axes=axes, point=point)


def walk(sheet: Sheet) -> None:
    """The pad is pointed at by mouse and moved by keyboard, and follows the line."""
    screen = sheet.explorer("walk")
    expected = partial(walked, sheet.world)
    first = screen.settings
    expect(screen, expected(first))
    layout = screen.layout()
    screen.trace([(0.5, 0.5), (0.7, 0.3)])
    x, y = screen.settings["pad"]
    assert (x, y) == pytest.approx((1.6, 1.6), abs=0.05)
    expect(screen, expected(screen.settings))
    place = sheet.selected, screen.top
    screen.press("pad", "ArrowUp", 3)
    screen.press("pad", "ArrowLeft", 2)
    assert (sheet.selected, screen.top) == place, "the keys moved the page or the selected cell"
    moved = screen.settings["pad"]
    assert moved == pytest.approx([x - 0.2, y + 0.3], abs=1e-6)
    expect(screen, expected(screen.settings))
    screen.drag("along the line (0 to 1)", 0.9)
    assert screen.settings["along the line (0 to 1)"] > 0.8
    assert soon(lambda: screen.settings["pad"] != moved), "the pad does not follow the line"
    expect_to_follow(screen, expected)
    assert screen.layout() == layout
    screen.click(RESET)
    expect(screen, expected(first))
    assert screen.settings == first


def training(sheet: Sheet) -> None:
    """A run is watched for an epoch, and stopped."""
    screen = sheet.explorer("train_live")
    start, stop = screen.button("Train"), screen.button("Stop")
    assert "Untrained" in screen.words
    untrained = screen.picture()
    screen.press("epochs (passes)", "End")
    assert screen.settings["epochs (passes)"] == 20, "a run that would go on for half a minute"
    screen.click("Train")
    begun = time.monotonic()
    assert soon(lambda: "Epoch 1 of 20" in screen.words)
    assert start.is_disabled()
    assert soon(lambda: "Epoch 2 of 20" in screen.words, 60)
    assert not np.array_equal(screen.picture(), untrained)
    epoch = time.monotonic() - begun
    screen.click("Stop")
    assert soon(lambda: screen.words.startswith("Stopped after step"), 5)
    assert soon(start.is_enabled)
    assert stop.is_disabled()
    words, picture = screen.words, screen.picture()
    time.sleep(1.5 * epoch)
    assert screen.words == words
    assert np.array_equal(screen.picture(), picture)
    screen.click(RESET)
    assert soon(lambda: "Untrained" in screen.words)
    assert soon(lambda: screen.settings["epochs (passes)"] == 5)


CONTROLS = {"application", "button", "checkbox", "combobox", "slider", "textbox"}


def can_be_heard(call: str, sheet: Sheet) -> None:
    """A screen reader is told of each control, of each picture, and of the words that change."""
    screen = sheet.explorer(call)
    parts = screen.heard()
    controls = [
        part
        for part in parts
        if part.role != "option" and (part.focusable or part.role in CONTROLS)
    ]
    assert {part.role for part in controls} <= CONTROLS
    names = [part.name for part in controls]
    assert all(names), controls
    assert len(set(names)) == len(names), names
    unheard = {*screen.settings} - {"pad", *names}
    assert not unheard, ascii((unheard, names))
    assert screen.values_said == screen.values_shown
    pictures = [part.name for part in parts if part.role == "image"]
    assert all(pictures), pictures
    assert screen.image.get_attribute("alt") in pictures, "nothing stands for the picture"
    assert screen.words in [part.text for part in parts if part.role == "status" and part.live]


def pictures_can_be_told_apart(sheet: Sheet) -> None:
    """No two explorers have the same alternative text, nor one that is too long to listen to."""
    texts = sheet.alternative_texts
    assert len(texts) == len({*texts}) == len(EXPLORERS)
    assert max(map(len, texts)) <= 300


def circle(x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    turn = np.linspace(0, 2 * np.pi, 25)
    return list(zip(x - wide * np.sin(turn), y - high * np.cos(turn), strict=True))


DRAWN = {
    0: [circle(0.5, 0.5, 0.22, 0.32)],
    1: [[(0.52, 0.15), (0.5, 0.85)]],
    7: [[(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]],
}


def drawing(sheet: Sheet) -> None:
    """A digit drawn by mouse is judged as `view` judges it, and a wiped box is blank again."""
    draw(sheet, lambda number, ink, words: None)


def drawing_is_recognised(sheet: Sheet) -> None:
    """A digit drawn by mouse is rebuilt as one that test digits of its kind look like."""
    world = sheet.world
    images = threshold(world.images)

    def recognised(number: int, ink: torch.Tensor, words: str) -> None:
        assert f"labelled {', '.join([str(number)] * 3)}" in words
        with torch.no_grad():
            code = world.trained.encoder(threshold(as_mnist(ink))[None]).mean
        decoded = sampling.decode(world.trained, code)
        near = torch.cdist(decoded, images)[0].topk(5, largest=False).indices
        assert (world.labels[near] == number).sum() >= 4

    draw(sheet, recognised)


def draw(sheet: Sheet, judge: Callable[[int, torch.Tensor, str], None]) -> None:
    """Draw each digit with the mouse; `judge` gets its number, its ink and the words about it."""
    screen, world = sheet.explorer("draw"), sheet.world
    blank = torch.zeros(sketch.SIDE, sketch.SIDE)
    expect(screen, sketch.view_drawing(world.trained, world.gallery, blank))
    layout = screen.layout()
    for number, lines in DRAWN.items():
        for line in lines:
            screen.trace(line)
        # a byte a pixel is what the page sends
        ink = (255 * torch.from_numpy(screen.ink(sketch.SIDE))).round().float() / 255
        expect(screen, sketch.view_drawing(world.trained, world.gallery, ink))
        judge(number, ink, screen.words)
        screen.click("Clear")
        expect(screen, sketch.view_drawing(world.trained, world.gallery, blank))
    assert screen.layout() == layout
    screen.click("Use a test digit")
    assert soon(lambda: "nearest test digits" in screen.words)
    screen.click(RESET)
    expect(screen, sketch.view_drawing(world.trained, world.gallery, blank))


OWN_STEPS = {"walk": walk, "train_live": training, "draw": drawing}
ENDED, BUSY, SILENT = "no longer answers", "kernel is busy", "does not answer"
TRIED = next(case for case in CASES if case.call == "encode")  # which needs nothing of the notebook


def follows(sheet: Sheet) -> None:
    """The explorer that is tried says nothing of its kernel and shows what its controls say."""
    screen = sheet.explorer(TRIED.call)
    screen.press(TRIED.key, "ArrowRight")
    expect(screen, TRIED.expected(sheet.world, screen.settings | {DRAW_PIXELS: 1}))
    assert soon(lambda: screen.notice == "")
    assert not screen.dimmed


def a_kernel_that_is_busy_is_no_fault(sheet: Sheet) -> None:
    """While a cell runs, an explorer answers, or says that the kernel is busy if it is old."""
    assert sheet.notices == [""] * len(EXPLORERS)
    screen = sheet.explorer(TRIED.call)
    sheet.run(len(sheet.cells) - 1)
    assert soon(lambda: "[*]:" in sheet.counts)
    screen.press(TRIED.key, "ArrowRight")
    while "[*]:" in sheet.counts:
        assert all(BUSY in text for text in sheet.notices if text), sheet.notices
        time.sleep(0.2)
    follows(sheet)


def a_kernel_that_is_too_busy_to_answer(sheet: Sheet) -> None:
    """It is said of the explorer whose control was moved, until the kernel is free."""
    screen = sheet.explorer(TRIED.call)
    sheet.run(len(sheet.cells) - 1)
    unanswered(sheet, screen, BUSY, lambda: sheet.server.kernel().status() == "stopped")


def a_kernel_that_stands_still(sheet: Sheet) -> None:
    """Where it is not known to be busy, it is not said to be."""
    sheet.server.kernel().suspend()
    unanswered(sheet, sheet.explorer(TRIED.call), SILENT, lambda: True)


def unanswered(sheet: Sheet, screen: Screen, said: str, begun: Callable[[], bool]) -> None:
    """The control that is moved gets no answer, which is `said`, until the kernel is resumed."""
    try:
        assert soon(begun)
        layout = screen.layout()
        screen.press(TRIED.key, "ArrowRight")
        assert screen.notice == "", "said before the kernel had time to answer"
        assert soon(lambda: said in screen.notice), screen.notice
        assert screen.dimmed
        assert screen.layout() == layout
        assert sum(map(bool, sheet.notices)) == 1, "the others have asked nothing"
    finally:
        sheet.server.kernel().resume()
    sheet.await_run(SOON)
    follows(sheet)


def every_explorer_has_ended(sheet: Sheet) -> None:
    assert soon(lambda: all(ENDED in text for text in sheet.notices)), sheet.notices
    assert len(sheet.notices) == len(EXPLORERS)


def a_kernel_that_is_killed(sheet: Sheet) -> None:
    """Every explorer says so, until its cell is run again."""
    layout = sheet.explorer(TRIED.call).layout()
    sheet.server.kernel().kill()
    every_explorer_has_ended(sheet)
    sheet.confirm()
    screen = sheet.explorer(TRIED.call)
    assert screen.dimmed
    assert screen.layout() == layout
    run_again(sheet)


def run_again(sheet: Sheet) -> None:
    """One explorer is made by the new kernel and answers; the others' kernel remains ended."""
    for number in (0, sheet.number(TRIED.call)):
        sheet.run(number)
    sheet.await_run(60)
    follows(sheet)
    assert [ENDED in text for text in sheet.notices].count(False) == 1


def a_kernel_that_is_restarted(sheet: Sheet) -> None:
    """As when it is killed, though Jupyter takes another way."""
    layout = sheet.explorer(TRIED.call).layout()
    sheet.choose("Kernel", "Restart Kernel…")
    sheet.confirm()
    every_explorer_has_ended(sheet)
    assert sheet.explorer(TRIED.call).layout() == layout
    run_again(sheet)


def a_kernel_that_is_shut_down(sheet: Sheet) -> None:
    """Where there is no kernel, an explorer says so at once."""
    sheet.choose("Kernel", "Shut Down Kernel")
    every_explorer_has_ended(sheet)
    assert sheet.explorer(TRIED.call).dimmed


def a_page_that_does_not_tell_its_kernel(sheet: Sheet) -> None:
    """There an explorer that gets no answer says so, until one comes."""
    page = sheet.page.context.browser.new_page()
    page.clock.install()
    page.set_content('<div class="vaelib-explorer"><p></p><button>Reset</button></div>')
    page.evaluate(
        """async source => {
            const {default: widget} = await import('data:text/javascript,' + source);
            const hears = (event, answer) => (window.answer = answer);
            const model = {on: hears, send: question => (window.question = question)};
            widget.render({model, el: document.querySelector('p')});
        }""",
        urllib.parse.quote((Path(shell.__file__).parent / "notice.js").read_text()),
    )
    said = page.locator("[role=status]").text_content
    page.clock.run_for(9000)
    assert said() == "", "nothing was touched"
    page.get_by_role("button").press("Enter")
    page.clock.run_for(2900)
    assert said() == ""
    page.clock.run_for(700)
    assert SILENT in said()
    assert page.evaluate("window.question") == "do you answer?"
    page.evaluate("window.answer()")
    assert said() == ""
    page.close()


KERNEL_STEPS = {
    step.__name__.replace("_", " "): step
    for step in (
        a_kernel_that_is_busy_is_no_fault,
        a_kernel_that_is_too_busy_to_answer,
        a_kernel_that_stands_still,
        a_kernel_that_is_killed,
        a_kernel_that_is_restarted,
        a_kernel_that_is_shut_down,
        a_page_that_does_not_tell_its_kernel,
    )
}
EXPLORERS = {*OWN_STEPS, *(case.call for case in CASES)}


def the_console_shows_no_error(sheet: Sheet, allowed: tuple[str, ...] = ()) -> None:
    """Last of a notebook's steps, since it is about all that was done before."""
    assert [fault for fault in sheet.faults if fault not in allowed] == []
