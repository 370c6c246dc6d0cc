"""The moving picture of the playground that opens the README: `python tools/stills.py`.

It draws a digit on the page "Draw" in headless Chromium and writes docs/playground.gif, which plays
once. Run `make playground` and `python tools/playground.py` first.
"""

import contextlib
import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import PIL.Image

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME / "tests"))

import browser  # noqa: E402
import playground  # noqa: E402

PICTURE = HOME / "docs" / "playground.gif"
WIDTH, HEIGHT = 820, 470
COLOURS = 128
PAUSE, LAST = 180, 1500  # milliseconds of a picture, and of the last one; below five seconds in all
PAGE = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">
<title>{name}</title><link rel="stylesheet" href="playground.css">
<script defer src="model.js"></script><script defer src="playground.js"></script>
<style>body {{ margin: 16px; font: 16px/1.5 sans-serif; background: #fff; }}</style>
<div class="playground" data-playground="{name}"></div></html>"""
ARCS = ((0.34, 0.16, -160, 80), (0.65, 0.19, -80, 155))  # of a 3: height, radius, from and to
STEPS = 9  # of each arc


def three() -> list[tuple[float, float]]:
    """The line of a 3, in shares of the box: an arc, and a larger one below it."""
    return [
        (0.48 + radius * math.cos(angle), height + radius * math.sin(angle))
        for height, radius, start, end in ARCS
        for angle in (math.radians(start + (end - start) * i / STEPS) for i in range(STEPS + 1))
    ]


@contextlib.contextmanager
def open_page(name: str, *, width: int, height: int) -> Iterator:
    """A page of the playground alone, in headless Chromium."""
    from playwright.sync_api import sync_playwright

    place = playground.BUILD / f"{name}.html"
    place.write_text(PAGE.format(name=name), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=browser.find_browser(), args=browser.QUIET
            )
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.goto(place.as_uri())
            page.evaluate("playgroundModule.filled")
            yield page
            chromium.close()
    finally:
        place.unlink()


def pictures() -> list[PIL.Image.Image]:
    """What is seen while a digit is drawn."""
    taken = []

    def take(page) -> None:
        page.evaluate("() => new Promise(requestAnimationFrame)")
        png = page.screenshot()
        taken.append(PIL.Image.open(io.BytesIO(png)).convert("RGB"))

    with open_page("draw", width=WIDTH, height=HEIGHT) as page:
        page.get_by_role("button", name="Clear").click()
        take(page)
        box = page.locator(".vaelib-sketch-box").bounding_box()
        spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in three()]
        page.mouse.move(*spots[0])
        page.mouse.down()
        for number, spot in enumerate(spots):
            page.mouse.move(*spot, steps=2)
            if number % 2:
                take(page)
        page.mouse.up()
        take(page)
    return taken


def save(taken: list[PIL.Image.Image], path: Path) -> None:
    """Write pictures as one that moves once, in the colours of the last."""
    few = PIL.Image.Quantize.MAXCOVERAGE  # keeps a colour that only a thin line has
    palette = taken[-1].quantize(COLOURS, few, dither=PIL.Image.Dither.NONE)
    first, *others = (
        each.quantize(palette=palette, dither=PIL.Image.Dither.NONE) for each in taken
    )
    pauses = [PAUSE] * len(others) + [LAST]
    first.save(path, save_all=True, append_images=others, duration=pauses, optimize=True)


def main() -> None:
    save(pictures(), PICTURE)
    print(f"{PICTURE.relative_to(HOME)}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
