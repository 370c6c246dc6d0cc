"""Every explorer lives in a real JupyterLab: mouse, keyboard, pictures; on one toy notebook."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import browser
import journey
import nbformat
import pytest
from browser import Sheet
from toy import Toy

NOTEBOOK = "toy.ipynb"
TRAINED = 40  # times the toy digits, so that an epoch takes long enough to be stopped in
BEGIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from toy import Toy, hold, toy
from vaelib.course import explorers
world = Toy()
seconds = iter((0, 4, None))
"""
CELLS = {
    "binarize": "explorers.binarize(world.images)",
    "compress": "explorers.compress(world.codec, world.shown)",
    "encode": "explorers.encode()",
    "decode": "explorers.decode(world.demonstrated, world.images)",
    "bound": "explorers.bound(*toy())",
    "diverge": "explorers.diverge()",
    "estimate": "explorers.estimate(*toy())",
    "differentiate": "explorers.differentiate(*toy())",
    "weigh": "explorers.weigh(world.family, world.images)",
    "levels": "explorers.levels(world.layered, world.images)",
    "walk": "explorers.walk(world.trained, world.images, world.labels)",
    "train_live": f"explorers.train_live(world.images.repeat({TRAINED}, 1), world.images)",
    "draw": "explorers.draw(world.trained, world.images, world.labels)",
}
HOLD = "hold(next(seconds))"  # the last cell; a step that wants the kernel busy runs it again


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> Iterator[Callable[[], Sheet]]:
    """Opens the page when first called; later calls fail at once if that went wrong."""
    sources = [BEGIN.strip(), *CELLS.values(), HOLD]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    # without it JupyterLab asks which kernel to take
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}

    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        nbformat.write(notebook, made / NOTEBOOK)
        return made

    with (
        journey.chromium() as chromium,
        journey.Desk(chromium, folder, lambda app: Toy(), seconds=120) as desk,
    ):
        yield partial(desk.turn_to, "jupyterlab", NOTEBOOK)


STEPS = {
    "every cell runs": journey.every_cell_runs,
    **{
        f"{case.call}, {move.__name__}": partial(move, case)
        for case in journey.CASES
        for move in (journey.keyboard, journey.mouse)
    },
    "decode, burst": partial(journey.burst, *[c for c in journey.CASES if c.call == "decode"]),
    **journey.OWN_STEPS,
    **{f"{call}, heard": partial(journey.can_be_heard, call) for call in CELLS},
    "pictures can be told apart": journey.pictures_can_be_told_apart,
    **journey.KERNEL_STEPS,
    "the console shows no error": journey.the_console_shows_no_error,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_person(sheet, step):
    STEPS[step](sheet())


def test_every_explorer_of_the_notebooks_is_in_the_toy_notebook():
    made = {
        call
        for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        for call in browser.calls(cell)
    }
    assert made == set(CELLS) == journey.EXPLORERS
