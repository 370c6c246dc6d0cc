"""A person at a browser: JupyterLab or Notebook 7 in headless Chromium, mouse and keyboard."""

import base64
import contextlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
import PIL.Image
import psutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
QUIET = [  # the browser itself is not to look for updates, nor for anything but our server
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {  # JupyterLab asks whether it may fetch news, in a box over the page
    "apputils-extension/notification": '{"fetchNews": "false"}',
    "docmanager-extension/plugin": '{"autosave": false}',
}
SOON = 15.0  # seconds in which a page must have followed, also on a slow machine
CELLS = ".jp-Notebook .jp-Cell"


def find_browser() -> str | None:
    """The path of a Chromium: the one that VAELIB_BROWSER names, or the first one installed."""
    named = os.environ.get("VAELIB_BROWSER")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


class Server(NamedTuple):
    """A running Jupyter server and how its pages are reached."""

    base: str
    token: str
    view: str  # what stands before a notebook's name in its address
    pid: int

    def address(self, notebook: str) -> str:
        return f"{self.base}/{self.view}/{notebook}?token={self.token}"

    def kernel(self) -> psutil.Process:
        """The process of the one kernel that runs."""
        (kernel,) = psutil.Process(self.pid).children()
        return kernel

    def end_kernels(self) -> None:
        """End every kernel, since each holds half a gigabyte."""
        headers = {"Authorization": f"token {self.token}"}
        kernels = f"{self.base}/api/kernels"
        with urllib.request.urlopen(urllib.request.Request(kernels, headers=headers)) as answer:
            running = json.load(answer)
        for kernel in running:
            url = f"{kernels}/{kernel['id']}"
            request = urllib.request.Request(url, headers=headers, method="DELETE")
            urllib.request.urlopen(request).close()


APPS = {"jupyterlab": "doc/tree", "notebook": "notebooks"}


@contextlib.contextmanager
def serve(app: str, folder: Path, home: Path) -> Iterator[Server]:
    """Run `app`, jupyterlab or notebook, on `folder`; all that it keeps lies under `home`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    for name, text in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = {  # or a user's own settings, kernels and start-up files would take part
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "IPYTHONDIR": home / "ipython",
    }
    command = [
        *(sys.executable, "-m", app, "--no-browser", "--allow-root"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"),
    ]
    log = home / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, env=os.environ | {k: str(v) for k, v in own.items()}, stdout=file, stderr=file
        )
    try:
        base = f"http://127.0.0.1:{port}"
        _await_server(server, f"{base}/api/status?token={token}", log)
        yield Server(base, token, APPS[app], server.pid)
    finally:
        server.terminate()  # it ends its kernels first
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await_server(server: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def put_uncounted(source: Path, target: Path, after: Mapping[str, str]) -> None:
    """Copy a notebook without its counts, so that a count is one of this run.

    `after` has, by the name of an explorer, a cell that is added below the explorer.
    """
    notebook, cells = nbformat.read(source, as_version=4), []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
        added = [after[call] for call in calls(cell) if call in after]
        cells += [cell, *map(nbformat.v4.new_code_cell, added)]
    notebook.cells = cells
    nbformat.write(notebook, target)


class Sheet:
    """A notebook open in the browser; `faults` are the errors that its page has reported."""

    def __init__(self, browser, server: Server, notebook: str, folder: Path, width: int = 1280):
        self.server = server
        self.cells = nbformat.read(folder / notebook, as_version=4).cells
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.faults: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.goto(server.address(notebook))
        self.page.locator(CELLS).nth(len(self.cells) - 1).wait_for(state="attached")
        self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(
            state="attached", timeout=90_000
        )

    def _hear(self, message) -> None:
        if message.type == "error":
            self.faults.append(f"{message.text} ({message.location.get('url')})")

    def run_all(self, seconds: float) -> None:
        """Run > Run All Cells, by mouse, and wait until no cell waits or runs."""
        self.choose("Run", "Run All Cells")
        self.await_run(seconds)

    def run(self, number: int) -> None:
        """Begin to run one cell, by keyboard."""
        editor = self.page.locator(CELLS).nth(number).locator(".jp-InputArea-editor")
        editor.evaluate("editor => editor.scrollIntoView({block: 'center'})")
        editor.click()
        self.page.keyboard.press("Control+Enter")

    def choose(self, menu: str, item: str) -> None:
        """Choose from a menu, by mouse."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_text(item, exact=True).click()

    def confirm(self) -> None:
        """Press the button of a dialog that goes on, which has the focus."""
        self.page.locator(".jp-Dialog-button:focus").click()

    def await_run(self, seconds: float) -> None:
        """Return when no cell waits or runs."""
        ended = soon(lambda: self.has_run, seconds, every=0.5)  # asking costs the kernel time
        assert ended, f"after {seconds} s cells still wait: {self.counts}"

    @property
    def has_run(self) -> bool:
        """Whether no cell waits or runs, and not because none has begun."""
        counts = self.counts
        return "[*]:" not in counts and set(counts) != {"[ ]:"}

    @property
    def counts(self) -> list[str]:
        """What stands before each code cell, such as [3]:"""
        return self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").all_text_contents()

    @property
    def errors(self) -> list[str]:
        """The tracebacks in the outputs, which JupyterLab marks as it does other complaints."""
        shown = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
        said = self.page.locator(shown).all_text_contents()
        return [text for text in said if "Traceback (most recent call last)" in text]

    @property
    def selected(self) -> int:
        """The number of the selected cell."""
        return self.page.evaluate(
            f"""[...document.querySelectorAll('{CELLS}')].findIndex(
                cell => cell.classList.contains('jp-mod-active'))"""
        )

    @property
    def notices(self) -> list[str]:
        """What each explorer says of its kernel: nothing if it answers."""
        return self.page.locator(".vaelib-explorer .vaelib-notice[role=status]").all_text_contents()

    @property
    def alternative_texts(self) -> list[str]:
        """What stands for the picture of each explorer."""
        pictures = self.page.locator(".vaelib-explorer .widget-image")
        return pictures.evaluate_all("pictures => pictures.map(picture => picture.alt)")

    def number(self, call: str) -> int:
        """The number of the cell with `explorers.<call>(`."""
        (number,) = (n for n, cell in enumerate(self.cells) if call in calls(cell))
        return number

    def explorer(self, call: str) -> "Screen":
        """The explorer that the cell with `explorers.<call>(` shows, scrolled to."""
        found = self.page.locator(CELLS).nth(self.number(call)).locator(".vaelib-explorer")
        found.wait_for(state="attached", timeout=1000 * SOON)
        return Screen(self.page, found)

    def close(self) -> None:
        """Close the page and end its kernel; what was run is not saved."""
        self.page.close()
        self.server.end_kernels()


def calls(cell: nbformat.NotebookNode) -> list[str]:
    """The names of the explorers that a cell makes."""
    if cell.cell_type != "code":
        return []
    return [name for name in re.findall(r"explorers\.(\w+)\(", cell.source) if name != "strip"]


class Heard(NamedTuple):
    """What a screen reader is told of a part of the page: `text` is what stands in it."""

    role: str
    name: str
    focusable: bool
    live: bool
    text: str


def heard(node: dict, nodes: Mapping[str, dict]) -> Heard:
    """A node of the browser's accessibility tree; `nodes` has all of them by their identity."""
    has = {part["name"]: part["value"].get("value") for part in node.get("properties", ())}

    def text_in(part: dict) -> str:
        if part["role"]["value"] == "StaticText":
            return part["name"]["value"]
        return "".join(text_in(nodes[child]) for child in part["childIds"] if child in nodes)

    live = has.get("live") == "polite"
    name = node.get("name", {}).get("value") or ""
    return Heard(node["role"]["value"], name, has.get("focusable", False), live, text_in(node))


def value_of(shown: str | bool | list) -> object:
    """What a control's text stands for."""
    if isinstance(shown, list):
        return [float(text) for text in shown]
    if isinstance(shown, str) and re.fullmatch(r"[-−]?[\d,]+(\.\d+)?", shown):
        plain = shown.replace("−", "-").replace(",", "")
        return float(plain) if "." in plain else int(plain)
    return shown


class Screen:
    """An explorer as it is seen and handled: by its labels, with mouse and keyboard."""

    def __init__(self, page, box) -> None:
        self.page, self.box = page, box
        self.image = box.locator(".widget-image").first
        self.come_to()
        self.image.wait_for(timeout=1000 * SOON)

    def come_to(self) -> None:
        """Scroll to the explorer, until the cells above it have found their height.

        Playwright's own scrolling waits for ever for what JupyterLab does not yet render.
        """
        places = []
        while len(places) < 3 or len({*places[-3:]}) > 1:
            self.box.evaluate("box => box.scrollIntoView({block: 'center'})")
            places.append(self.top)
            assert len(places) < 100, f"the page does not come to rest: {places[-3:]}"
            time.sleep(0.1)

    @property
    def top(self) -> float:
        """Where the explorer begins in the window, in pixels; it changes when the page scrolls."""
        return self.box.bounding_box()["y"]

    def picture(self) -> np.ndarray:
        """The picture's pixels, as the browser has them: (row, column, 3)."""
        data = self.image.evaluate(
            """async image => {
                const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
                return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
            }"""
        )
        return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    @property
    def notice(self) -> str:
        """What the explorer says of its kernel."""
        return self.box.locator(".vaelib-notice").inner_text()

    @property
    def dimmed(self) -> bool:
        """Whether the picture and its words are paler than they were drawn."""
        parts = self.box.locator(".widget-image, .widget-html").all()
        shades = {part.evaluate("part => getComputedStyle(part).opacity") for part in parts}
        assert len(shades) == 1
        return float(shades.pop()) < 0.5

    def heard(self) -> list[Heard]:
        """The explorer as a screen reader is told of it, in order."""
        handle = self.box.element_handle()
        self.page.evaluate("box => { window.heard = box; }", handle)
        browser = self.page.context.new_cdp_session(self.page)
        box = browser.send("Runtime.evaluate", {"expression": "window.heard"})["result"]
        found = browser.send("Accessibility.queryAXTree", {"objectId": box["objectId"]})["nodes"]
        browser.detach()
        nodes = {node["nodeId"]: node for node in found}
        return [heard(node, nodes) for node in found if not node["ignored"]]

    @property
    def words(self) -> str:
        return self.box.locator(".widget-html [role=status]").inner_text()

    @property
    def settings(self) -> dict[str, object]:
        """The value that each control shows, by its label: a number where it is one."""
        shown = self.box.evaluate(
            """box => Object.fromEntries([
                ...[...box.querySelectorAll('.widget-slider')].map(slider => {
                    return [slider.querySelector('.widget-label').textContent,
                            slider.querySelector('.widget-readout').textContent];
                }),
                ...[...box.querySelectorAll('.widget-dropdown')].map(choice => {
                    const select = choice.querySelector('select');
                    return [choice.querySelector('.widget-label').textContent,
                            select.selectedOptions[0].textContent];
                }),
                ...[...box.querySelectorAll('.widget-checkbox')].map(choice => {
                    const words = choice.textContent.replace(/\\u200b/, '').trim();
                    return [words, choice.querySelector('input').checked];
                }),
                ...[...box.querySelectorAll('.widget-toggle-button')].map(choice =>
                    [choice.textContent.trim(), choice.classList.contains('mod-active')]),
                ...[...box.querySelectorAll('.vaelib-pad')].map(pad =>
                    ['pad', pad.getAttribute('aria-description').split(', ')]),
            ])"""
        )
        return {label: value_of(text) for label, text in shown.items()}

    @property
    def values_shown(self) -> list[str]:
        """The number beside each slider."""
        return self.box.locator(".widget-readout").all_text_contents()

    @property
    def values_said(self) -> list[str | None]:
        """What a screen reader is told as the value of each slider."""
        said = "handles => handles.map(handle => handle.getAttribute('aria-valuetext'))"
        return self.box.locator(".widget-slider .noUi-handle").evaluate_all(said)

    def slider(self, label: str):
        """The slider with this label."""
        return self.box.locator(".widget-slider").filter(
            has=self.page.locator(f".widget-label:text-is('{label}')")
        )

    def press(self, label: str, key: str, times: int = 1) -> None:
        """Put the keyboard on a slider, or on the pad, and press a key."""
        target = self.pad if label == "pad" else self.slider(label).locator(".noUi-handle")
        target.evaluate("target => target.focus({preventScroll: true})")
        for _ in range(times):
            self.page.keyboard.press(key)

    def drag(self, label: str, fraction: float) -> None:
        """Take a slider's handle with the mouse to a fraction of its track."""
        handle = self.slider(label).locator(".noUi-handle")
        handle.evaluate("handle => handle.scrollIntoView({block: 'center'})")
        start = handle.bounding_box()
        track = self.slider(label).locator(".noUi-base").bounding_box()
        x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(track["x"] + fraction * track["width"], y, steps=8)
        self.page.mouse.up()

    def button(self, label: str):
        """The button with this label."""
        return self.box.get_by_role("button", name=label, exact=True)

    def click(self, button: str) -> None:
        """Press a button by mouse."""
        self.button(button).click()

    @property
    def pad(self):
        """The map to point at, or the box to draw in."""
        return self.box.locator(".vaelib-pad, .vaelib-sketch-box").first

    def trace(self, points: list[tuple[float, float]]) -> None:
        """Draw a line on the pad with the mouse held down; (0, 0) is its upper left corner."""
        self.pad.evaluate("pad => pad.scrollIntoView({block: 'center'})")
        box = self.pad.bounding_box()
        spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for spot in spots[1:]:
            self.page.mouse.move(*spot, steps=4)
        self.page.mouse.up()

    def ink(self, side: int) -> np.ndarray:
        """What is drawn in the box, (side, side), from 0 to 1: the mean over each square of it."""
        width, data = self.box.evaluate(
            """box => {
                const canvas = box.querySelector('.vaelib-sketch-box canvas');
                const page = canvas.getContext('2d');
                const drawn = page.getImageData(0, 0, canvas.width, canvas.height).data;
                let text = '';
                for (let i = 3; i < drawn.length; i += 4) text += String.fromCharCode(drawn[i]);
                return [canvas.width, btoa(text)];
            }"""
        )
        alpha = np.frombuffer(base64.b64decode(data), np.uint8).reshape(width, width)
        return alpha.reshape(side, width // side, side, width // side).mean((1, 3)) / 255

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The pictures that come meanwhile, as the addresses of their bytes."""
        self.image.evaluate(
            """image => {
                image.seen = [];
                image.watch = new MutationObserver(() => {
                    if (image.seen.at(-1) !== image.src) image.seen.push(image.src);
                });
                image.watch.observe(image, {attributeFilter: ['src']});
            }"""
        )
        seen: list[str] = []
        yield seen
        seen += self.image.evaluate("image => (image.watch.disconnect(), image.seen)")

    def burst(self, label: str, key: str, times: int) -> None:
        """Press a key so fast that no answer can come between: all within one task of the page."""
        self.slider(label).locator(".noUi-handle").evaluate(
            """(handle, [key, times]) => {
                for (let i = 0; i < times; i++)
                    handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
            }""",
            [key, times],
        )

    def layout(self) -> list[float]:
        """Where the picture stands in the explorer, its size, and the explorer's height."""
        return self.box.evaluate(
            """box => {
                const outer = box.getBoundingClientRect();
                const inner = box.querySelector('.widget-image').getBoundingClientRect();
                return [inner.left - outer.left, inner.top - outer.top, inner.width, inner.height,
                        outer.height];
            }"""
        )


def soon(holds: Callable[[], bool], seconds: float = SOON, every: float = 0.05) -> bool:
    """Whether something comes to hold within some seconds; it is asked `every` so many."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(every)
    return held
