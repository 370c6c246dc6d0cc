"""Someone who opens the book: its pages as files, in a browser, and what a page asks for."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

HOME = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"""<(\w+)\b[^>]*?\s(?:href|src)\s*=\s*["']([^"'>]*)["']""")
ID = re.compile(r"""\s(?:id|name)\s*=\s*["']([^"'>]+)["']""")
BARE = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)


def build(into: Path) -> Path:
    """Build the book into a folder, where a warning is an error, and return the folder."""
    done = subprocess.run(
        [sys.executable, str(HOME / "tools" / "book.py"), "--into", str(into)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return into


def shared(factory: pytest.TempPathFactory) -> Path:
    """The book, built once for all processes of a test run, in a folder whose name has a space."""
    own = factory.getbasetemp()
    place = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "my book"
    with FileLock(f"{place}.lock"):
        return place if (place / "searchindex.js").exists() else build(place)


def pages(book: Path) -> list[Path]:
    """All pages, without the templates that come with the theme."""
    return sorted(page for page in book.rglob("*.html") if "_static" not in page.parts)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def addresses(page: Path) -> Iterator[tuple[str, str]]:
    """What a page links to, shows and loads: the element and the address."""
    whole = text(page)
    loaded = ((tag, where) for tag, where in ADDRESS.findall(whole) if tag == "script")
    for tag, where in (*loaded, *ADDRESS.findall(BARE.sub("", whole))):
        yield tag, unescape(where)


def broken(book: Path) -> list[str]:
    """Each link to a file or an anchor of the book that is not there, with its page."""
    anchors: dict[Path, set[str]] = {}
    found = []
    for page in pages(book):
        for _, address in addresses(page):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or address in ("", "#"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                found.append(f"{page.relative_to(book)}: {address}")
            elif parts.fragment and target.suffix == ".html":
                if target not in anchors:
                    anchors[target] = {*map(unescape, ID.findall(text(target)))}
                if unquote(parts.fragment) not in anchors[target]:
                    found.append(f"{page.relative_to(book)}: {address}")
    return found


def elsewhere(book: Path) -> list[str]:
    """What a page would load from another host: anything but a link that a reader follows."""
    return [
        f"{page.relative_to(book)}: {tag} {address}"
        for page in pages(book)
        for tag, address in addresses(page)
        if tag != "a"
        and (urlsplit(address).netloc or urlsplit(address).scheme in ("http", "https"))
    ]


WIDTH, HEIGHT = 1280, 720  # of a slide, as tools/slides/deck.html.j2 has them
OUTSIDE = f"""() => {{
    Reveal.configure({{viewDistance: 1000}});
    return [...document.querySelectorAll(".slides > section")].map((slide, number) => {{
        const before = slide.style.display;
        slide.style.display = "block";
        const parts = slide.querySelectorAll("*:not(.notes, .notes *, mjx-container *)");
        const wide = Math.max(slide.scrollWidth, ...[...parts].map(part => part.scrollWidth));
        const found = `slide ${{number}}: ${{wide}} x ${{slide.scrollHeight}}`;
        slide.style.display = before;
        return wide > {WIDTH} || slide.scrollHeight > {HEIGHT} ? found : "";
    }}).filter(found => found);
}}"""


class Leaf:
    """A page open in the browser; `asked` are the addresses that it has asked for."""

    def __init__(self, context, address: str):
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", lambda request: self.faults.append(request.url))
        self.page.set_default_timeout(120_000)  # beside other work, drawing formulas takes long
        self.page.goto(address)
        self.page.evaluate("window.MathJax?.startup?.promise")
        self.page.evaluate("document.fonts.ready")

    def look(self, width: int, scheme: str, height: int = 800) -> None:
        """Look at the page in a window of another width, and in "light" or "dark" colours."""
        resized = self.page.viewport_size != {"width": width, "height": height}
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": height})
        if resized:  # the theme makes boxes that scroll tab stops, 300 ms later
            self.page.wait_for_timeout(400)
        frame = "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
        self.page.evaluate(frame)
        self.page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")

    def outside(self, base: str) -> list[str]:
        """What was asked for that does not lie below an address."""
        return [url for url in self.asked if not url.startswith((base, "data:", "blob:"))]

    @property
    def formulas(self) -> tuple[int, int]:
        """How many formulas the page has, and how many of them are drawn."""
        return tuple(
            self.page.locator(f".math.notranslate{drawn}").count()
            for drawn in ("", ":has(mjx-container)")
        )

    @property
    def overflow(self) -> list[str]:
        """What reaches beyond the right edge of the window, and cannot be scrolled in a box.

        A box that hides what does not fit is none that scrolls.
        """
        return self.page.evaluate(
            """() => {
                const width = document.documentElement.clientWidth;
                const article = document.querySelector("article") ?? document.body;
                const boxed = element => {
                    for (let box = element.parentElement; box && box !== article;
                         box = box.parentElement)
                        if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return true;
                };
                const seen = "*:not(mjx-assistive-mml, mjx-assistive-mml *)";
                const beyond = [...article.querySelectorAll(seen)]
                    .filter(element => element.getBoundingClientRect().right > width + 1)
                    .filter(element => !boxed(element))
                    .map(element => element.outerHTML.slice(0, 120));
                const whole = document.documentElement.scrollWidth;
                return whole > width ? [`the page is ${whole} pixels wide`, ...beyond] : beyond;
            }"""
        )

    @property
    def slides_outside(self) -> list[str]:
        """The slides of a deck that need more room than a slide has."""
        return self.page.evaluate(OUTSIDE)

    def axe(self) -> list[str]:
        """Serious and critical faults of accessibility, each with the first place that has it."""
        from axe_playwright_python.sync_playwright import Axe

        options = {"resultTypes": ["violations"], "preload": False}  # it would ask for all styles
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{fault['id']}: {fault['nodes'][0]['html'][:200]} ({len(fault['nodes'])} times)"
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        self.page.close()
