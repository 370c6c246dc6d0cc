"""The book and the slides in a browser: no request leaves the host, all fits, axe is content."""

import functools
import http.server
import sys
import threading
from collections.abc import Iterator

import journey
import pytest
from leafing import HEIGHT, HOME, WIDTH, Leaf

sys.path.insert(0, str(HOME / "tools"))

import slides

SHOWN = (  # a page of each kind; tests/slow/test_every_page.py has all
    "index.html",
    "notebooks/04_elbo.html",
    "docs/glossary.html",
    "api/vae.html",
    "results.html",
    "playground/draw.html",
    "playground/loss.html",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with journey.chromium() as found:
        yield found


@pytest.fixture
def served(book) -> Iterator[str]:
    """The address of the book on a server, below a path."""
    handler = functools.partial(Quiet, directory=str(book.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/my%20book/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


def test_a_page_from_a_folder_asks_for_nothing_else(book, chromium):
    leaf = Leaf(chromium, (book / "notebooks" / "04_elbo.html").as_uri())
    assert leaf.outside(f"{book.as_uri()}/") == []
    assert leaf.faults == []
    there, drawn = leaf.formulas
    assert there == drawn > 50
    assert any("MathJax_Math-Italic.woff" in url for url in leaf.asked)
    leaf.close()


def test_a_page_below_a_path_asks_its_own_host_only(served, chromium):
    leaf = Leaf(chromium, f"{served}notebooks/01_binarization.html")
    assert leaf.outside(served) == []
    assert leaf.faults == []
    assert leaf.formulas[0] == leaf.formulas[1] > 20
    leaf.close()


def test_the_search_works_from_a_folder(book, chromium):
    leaf = Leaf(chromium, f"{(book / 'search.html').as_uri()}?q=posterior+collapse")
    found = leaf.page.locator("#search-results li a", has_text="What does the latent carry")
    found.first.wait_for()
    assert leaf.outside(f"{book.as_uri()}/") == []
    leaf.close()


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_fits_a_phone_and_is_accessible(book, chromium, name):
    with chromium.new_context(viewport={"width": 360, "height": 740}) as context:
        leaf = Leaf(context, (book / name).as_uri())
        assert leaf.overflow == []
        assert leaf.axe() == []


@pytest.mark.parametrize(
    ("broken", "outside", "overflow"),
    [
        ("<div style='width: 2000px'>x</div>", [], ["the page is", "<div style="]),
        ("<p style='overflow: hidden'><b style='padding: 999px'>x</b></p>", [], ["<b style="]),
        ("<p style='overflow: auto'><b style='padding: 999px'>x</b></p>", [], []),
        ("<img alt='' src='http://127.0.0.1:9/x.png'>", ["http://127.0.0.1:9/x.png"], []),
    ],
    ids=["wide", "cut off", "scrolls", "from elsewhere"],
)
def test_a_broken_page_would_be_found(tmp_path, chromium, broken, outside, overflow):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><body><article>{broken}</article>", encoding="utf-8")
    with chromium.new_context(viewport={"width": 360, "height": 740}) as context:
        leaf = Leaf(context, page.as_uri())
        assert [found[:8] for found in leaf.overflow] == [text[:8] for text in overflow]
        assert leaf.outside(f"{tmp_path.as_uri()}/") == leaf.faults == outside


def test_a_wide_formula_scrolls_in_its_box_by_keyboard(book, chromium):
    with chromium.new_context(viewport={"width": 360, "height": 740}) as context:
        leaf = Leaf(context, (book / "notebooks" / "04_elbo.html").as_uri())
        wide = leaf.page.locator("div.math mjx-container[tabindex='0']")
        wide.first.focus()
        leaf.page.keyboard.press("ArrowRight")
        leaf.page.wait_for_function("document.activeElement.scrollLeft > 0")


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    return slides.build(tmp_path_factory.mktemp("decks") / "my slides")


@pytest.mark.parametrize("number", range(len(slides.DECKS)), ids=list(slides.DECKS))
def test_every_slide_has_room_for_what_it_shows(decks, chromium, number):
    path = decks[number]
    with chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
        leaf = Leaf(context, path.as_uri())
        assert leaf.page.locator(".slides > section").count() > 40
        assert leaf.slides_outside == []
        assert leaf.outside(f"{path.parent.as_uri()}/") == []
        assert leaf.faults == []
        assert leaf.page.locator("section > mjx-container, section p mjx-container").count() > 20


def test_a_slide_without_room_would_be_found(decks, chromium):
    with chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
        leaf = Leaf(context, decks[0].as_uri())
        add = "(slide, css) => slide.insertAdjacentHTML('beforeend', `<p style='${css}'>x</p>`)"
        for number, css in ((1, "height: 800px"), (3, "width: 1500px; overflow: hidden")):
            leaf.page.locator(".slides > section").nth(number).evaluate(add, css)
        assert [found.partition(":")[0] for found in leaf.slides_outside] == ["slide 1", "slide 3"]
