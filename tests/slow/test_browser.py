"""Every notebook as a person meets it, in JupyterLab and in Notebook 7: run, turned, drawn on."""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property, partial
from pathlib import Path

import browser
import journey
import nbformat
import pytest
import torch
from torch import Generator

from vaelib import checkpoint, data
from vaelib.binarization import freeze, threshold
from vaelib.compression import Codec
from vaelib.course import demonstration, handwriting
from vaelib.course.explorers import bits, sketch
from vaelib.vae import VAE, LatentModel

HOME = Path(__file__).resolve().parents[2]


NOTEBOOKS = sorted(path.name for path in (HOME / "notebooks").glob("*.ipynb"))
PATIENCE = 500  # seconds for a notebook to run; the one that trains takes about seventy
MOVES = {
    "jupyterlab": (journey.keyboard, journey.mouse, journey.burst),
    "notebook": (journey.keyboard, journey.mouse),
}
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "jupyterlab": (),
    # Notebook 7.6's own: while the page loads, before any cell runs, its plugin for shortcuts
    # (notebook_core.js, on pluginChanged) reads the schema of a plugin that is not loaded yet.
    "notebook": ("uncaught: Cannot read properties of undefined (reading 'schema')",),
}
OWN_STEPS = journey.OWN_STEPS | {"draw": journey.drawing_is_recognised}
KEEP = """from vaelib import checkpoint
from vaelib.course import output
folder = output.folder("output")
"""
KEPT = {  # cells that save an explorer's models, which its notebook does not
    "weigh": f"""{KEEP}
for beta, kept in family.items():
    checkpoint.save(kept, folder / f"beta-{{beta}}.safetensors")""",
    "levels": f"""{KEEP}
checkpoint.save(model, folder / "layered.safetensors")""",
}


class Course:
    """What the course's notebooks work on; `output` is the folder that they write to."""

    def __init__(self, output: Path) -> None:
        self.output = output
        tests = data.load(split="test")
        self.images, self.labels = tests.images, tests.labels

    @cached_property
    def demonstrated(self) -> VAE:
        return demonstration.model()

    @cached_property
    def trained(self) -> VAE:
        """The model that the notebook on training has trained in this run."""
        return checkpoint.load(self.output / "vae.safetensors")

    @cached_property
    def family(self) -> dict[float, VAE]:
        """The models by their β that the notebook on the latent has trained in this run."""
        paths = self.output.glob("beta-*.safetensors")
        found = {float(path.stem.removeprefix("beta-")): path for path in paths}
        return {beta: checkpoint.load(found[beta]) for beta in sorted(found)}

    @cached_property
    def layered(self) -> LatentModel:
        """The model with two levels that the notebook on hierarchies has trained in this run."""
        return checkpoint.load(self.output / "layered.safetensors")

    @cached_property
    def chain(self) -> bits.Chain:
        """What the notebook on compression shows, by the model that it has trained in this run."""
        codec = Codec(checkpoint.load(self.output / "compressor.safetensors"))
        digits = freeze(self.images[:2000], Generator().manual_seed(1))
        letters = threshold(handwriting.letters()).mul(255).byte()
        noise = (torch.rand(40, 784, generator=Generator().manual_seed(2)) < 0.5).byte() * 255
        return bits.chain_of(codec, torch.cat([digits[:80], letters[:10], noise[:10]]))

    @cached_property
    def gallery(self) -> sketch.Gallery:
        return sketch.gallery(self.trained, self.images, self.labels)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[journey.Desk]:
    """Servers on a copy of the notebooks and of what they read, begun when first needed."""

    @cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        if name.endswith("-home"):
            return made
        (made / "notebooks").mkdir()
        for notebook in NOTEBOOKS:
            source = HOME / "notebooks" / notebook
            browser.put_uncounted(source, made / "notebooks" / notebook, KEPT)
        return made / "notebooks"

    @cache
    def course(app: str) -> Course:
        return Course(folder(app) / "output")

    with (
        journey.chromium() as chromium,
        journey.Desk(chromium, folder, course, PATIENCE) as made,
    ):
        yield made


@cache
def explorers_of(notebook: str) -> tuple[str, ...]:
    """The names of the explorers that a notebook makes, in order."""
    cells = nbformat.read(HOME / "notebooks" / notebook, as_version=4).cells
    return tuple(call for cell in cells for call in browser.calls(cell))


def steps_in() -> Iterator[object]:
    """All that is done, in order: a notebook is opened once in each interface."""
    for app, moves in MOVES.items():
        for notebook in NOTEBOOKS:
            made = explorers_of(notebook)
            steps = {"runs": journey.every_cell_runs}
            for case in (case for case in journey.CASES if case.call in made):
                steps |= {f"{case.call}-{do.__name__}": partial(do, case) for do in moves}
            steps |= {call: OWN_STEPS[call] for call in made if call in OWN_STEPS}
            steps |= {f"{call}-heard": partial(journey.can_be_heard, call) for call in made}
            steps["console"] = partial(journey.the_console_shows_no_error, allowed=ALLOWED[app])
            for name, step in steps.items():
                yield pytest.param(app, notebook, step, id=f"{app}-{notebook[:2]}-{name}")


@pytest.mark.parametrize(("app", "notebook", "step"), list(steps_in()))
def test_a_person(desk, app, notebook, step):
    step(desk.turn_to(app, notebook))


def test_every_explorer_is_met_in_a_notebook():
    assert {call for notebook in NOTEBOOKS for call in explorers_of(notebook)} == journey.EXPLORERS
