"""How soon the playground's pictures follow a stroke, in headless Chromium.

`python -m benchmarks.playground` (a minute) draws on the page "Draw" as a hand would, and writes
playground.json: for each of 200 moves of the mouse, the milliseconds from the move's arrival in the
page until the reconstruction and the nats have been drawn. It makes the page first, and needs
Chromium.
"""

import json
import math
import statistics
import sys
from pathlib import Path

from benchmarks.timing import facts

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME / "tests"), str(HOME / "tools")]

import playground  # noqa: E402
import stills  # noqa: E402

RESULTS = Path(__file__).with_suffix(".json")
AIM = 16.0  # milliseconds at the 95th percentile
MOVES, WARM = 200, 40
WATCH = """() => {
    globalThis.took = [];
    let arrived = null;
    addEventListener("pointermove", () => (arrived ??= performance.now()), true);
    new MutationObserver(() => {
        if (arrived !== null) took.push(performance.now() - arrived);
        arrived = null;
    }).observe(document.querySelector(".pg-numbers"), { subtree: true, childList: true });
}"""


def spiral(turn: int) -> tuple[float, float]:
    """Where the mouse is at a move, as shares of the box: a slow line that never ends."""
    radius = 0.15 + 0.2 * abs(math.sin(turn / 37))
    return 0.5 + radius * math.cos(turn / 9), 0.5 + radius * math.sin(turn / 9)


def measure(page) -> list[float]:
    """Milliseconds of each move that was drawn, without those that warm up."""
    page.evaluate(WATCH)
    box = page.locator(".vaelib-sketch-box").bounding_box()
    page.get_by_role("button", name="Clear").click()
    for turn in range(WARM + MOVES):
        x, y = spiral(turn)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if turn == 0:
            page.mouse.down()
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.mouse.up()
    return page.evaluate("took")[WARM:]


def main() -> None:
    """Measure, print and write the result."""
    playground.write(playground.BUILD)
    with stills.open_page("draw", width=1000, height=900) as page:
        took = sorted(measure(page))
    row = {
        "moves": len(took),
        "median ms": round(statistics.median(took), 1),
        "95th percentile ms": round(took[int(0.95 * len(took))], 1),
    }
    print(row, "" if row["95th percentile ms"] < AIM else f"(aim: {AIM:g} ms) ✗")
    RESULTS.write_text(json.dumps({"facts": facts(), **row}, indent=1) + "\n")


if __name__ == "__main__":
    main()
