"""What no single cell can say: that notebooks are whole, tidy, and agree with the package."""

import ast
import contextlib
import importlib
import io
import math
import pkgutil
import re
import sys
from pathlib import Path

import nbformat
import pytest
import torch

import vaelib
from benchmarks import bands
from vaelib import (
    binarization,
    decoder,
    elbo,
    encoder,
    latent,
    objectives,
    sampling,
    sharpness,
    training,
    vae,
)

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME / "tools"))

from minutes import counts  # noqa: E402
from solutions import answers, is_answer, questions  # noqa: E402

PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))
TAGS = {"nbval-ignore-output", "check", "drawing", "slide"}


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(output):
    data = output.get("data", {})
    parts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(parts)


def test_they_are_numbered_from_one_without_a_gap():
    assert PATHS
    assert [path.stem[:3] for path in PATHS] == [f"{n:02}_" for n in range(1, len(PATHS) + 1)]


def test_each_has_a_module_and_a_test_file_of_its_name(path):
    topic = path.stem[3:]
    assert (HOME / "vaelib" / f"{topic}.py").exists()
    assert (HOME / "tests" / "core" / f"test_{topic}.py").exists()


def test_it_was_run_from_top_to_bottom(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_no_errors_and_nothing_on_stderr(code):
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert not [o for o in outputs if re.search(r"\w*Warning\b", text_of(o))]


def test_no_absolute_paths(notebook):
    roots = "home|root|tmp|usr|opt|Users|mnt|work|var|srv|data|private"
    pattern = re.compile(rf"(?<![\w.:/])/({roots})/|[A-Z]:\\")
    for cell in notebook.cells:
        for text in (cell.source, *map(text_of, cell.get("outputs", []))):
            assert not pattern.search(text), text


def test_nothing_of_the_machine_or_of_widgets_in_the_metadata(notebook):
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}
        tags = set(cell.metadata.get("tags", []))
        assert tags <= TAGS
        folded = cell.metadata.get("jupyter", {}) == {"source_hidden": True}
        assert folded == bool(tags & {"check", "drawing"}), "checks and drawings are folded"


def test_saved_widgets_are_words_since_their_state_is_not_saved(code):
    for cell in code:
        for output in cell.outputs:
            kinds = output.get("data", {})
            assert "application/vnd.jupyter.widget-view+json" not in kinds
            assert "widget" not in kinds.get("text/plain", "").lower()


def test_each_has_an_explorer_and_before_it_a_strip_for_who_only_reads(notebook):
    """A strip of settings, a text that tells it, then the explorer: in this order, and near."""
    explored = [i for i, cell in enumerate(notebook.cells) if shows_explorer(cell)]
    assert explored
    for i in explored:
        before = notebook.cells[max(0, i - 5) : i]
        strips = [k for k, cell in enumerate(before) if "explorers.strip(" in cell.source]
        assert strips, notebook.cells[i].source
        told = [cell for cell in before[strips[-1] :] if cell.cell_type == "markdown"]
        assert any(TOLD.search(cell.source) for cell in told)


def shows_explorer(cell):
    return any("Explorer “" in text_of(output) for output in cell.get("outputs", []))


def test_it_is_small_enough_to_be_shown_on_a_code_host(path):
    assert path.stat().st_size < 1_500_000


def test_cells_are_short(code):
    visible = [cell for cell in code if "jupyter" not in cell.metadata]
    lengths = sorted(len(cell.source.splitlines()) for cell in visible)
    assert lengths[-1] <= 20
    assert lengths[len(lengths) // 2] < 12
    assert max(len(cell.source.splitlines()) for cell in code) <= 25, "folded ones, too"


def test_it_is_within_its_budget(notebook):
    """Exercises and folded descriptions apart."""
    exercise = re.compile(r"### Exercise|.*exercises\.(check|picture)\(", re.S)
    lesson = [cell for cell in notebook.cells if not exercise.match(cell.source)]
    assert len(lesson) <= 70
    assert counts(notebook)[0] <= 3000, "words of prose"


def test_vaelib_comes_before_torch_so_that_its_threads_wait_calmly(code):
    imported = [
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for cell in code
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    first = [name for name in imported if name not in sys.stdlib_module_names]
    assert first[0] == "vaelib"
    assert "torch" in first


def test_it_names_no_file_relative_to_where_it_lies(code):
    for cell in code:
        assert not re.search(r"""["']\.\.?/|__file__|getcwd|chdir""", cell.source), cell.source
        assert cell.source.count("output.folder(") <= 1
    written = [
        cell.source for cell in code if re.search(r"save_images|write_text|[.]save[(]", cell.source)
    ]
    assert all("OUTPUT / " in source for source in written)


def test_run_all_needs_no_reader(code):
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"\binput\(|NotImplementedError|^\s*\.\.\.\s*$", source, re.MULTILINE)


def test_cells_that_train_ignore_their_output_and_meet_an_assertion(code):
    training_cells = [
        i for i, cell in enumerate(code) if re.search(r"training\.train\(", cell.source)
    ]
    for i in training_cells:
        bare = "torch.equal" in code[i].source  # a bitwise comparison needs no band
        assert bare or "nbval-ignore-output" in code[i].metadata.get("tags", [])
        assert checked_soon(code, i), code[i].source


def checked_soon(code, i):
    """Whether a cell near asserts, or a check cell does that comes before the next exercise."""
    if any(map(asserts, code[max(0, i - 1) : i + 3])):
        return True
    for cell in code[i:]:
        if "exercises.check(" in cell.source:
            return False
        if "check" in cell.metadata.get("tags", []):
            return asserts(cell)
    return False


def asserts(cell):
    return bool(re.search(r"^\s*assert |\.expect\(", cell.source, re.MULTILINE))


def test_a_cell_whose_output_is_not_compared_meets_an_assertion(code):
    for i, cell in enumerate(code):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert checked_soon(code, i), cell.source


def test_data_are_not_asked_for_by_name_so_that_a_room_without_network_gets_glyphs(code):
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"datasets\.load\(\s*[\"']", source)
    for cell in code:
        if "data.load(" in cell.source:
            assert "nbval-ignore-output" in cell.metadata.get("tags", []), "the notice comes here"


def test_bands_are_given_for_mnist_and_for_glyphs(notebook):
    for what, allowed in bands.expectations(notebook).items():
        assert {*allowed} == {"mnist", "glyphs"}, what


TOLD = re.compile(
    r"<details>\s*<summary>Description</summary>.{40,}?</details>|^\*(?!\*)[^*]{40,}\*(?!\*)",
    re.M | re.S,
)


def untold_figures(notebook):
    """The sources of cells that draw, without a text near that says what is drawn.

    It is a folded description, or a paragraph in italics. Of two cells that draw one after the
    other, one text may tell both.
    """
    untold = []
    for i, cell in enumerate(notebook.cells):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            near = [c.source for c in notebook.cells[i + 1 : i + 3] if c.cell_type == "markdown"]
            if not any(TOLD.search(text) for text in near):
                untold.append(cell.source)
    return untold


def test_every_figure_is_told_in_words_next_to_it(notebook):
    assert untold_figures(notebook) == []


def test_a_figure_that_is_not_told_is_found(notebook):
    told = [c for c in notebook.cells if c.cell_type == "markdown" and TOLD.search(c.source)]
    assert told
    for cell in told:
        cell.source = TOLD.sub("**What to notice.** This picture is beautiful.", cell.source)
    drawn = [
        c
        for c in notebook.cells
        if any("image/png" in o.get("data", {}) for o in c.get("outputs", []))
    ]
    assert len(untold_figures(notebook)) == len(drawn) > 2


def wrong_headings(notebook):
    """Headings that break the tree: a level skipped, a second title, twins under one parent."""
    wrong, path = [], []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)
        for marks, title in re.findall(r"^(#+) (.+)$", prose, re.M):
            level = len(marks)
            if level > len(path) + 1 or (level == 1 and path):
                wrong.append(title)
            path = path[: level - 1]
            siblings = path[-1][1] if path else set()
            if title in siblings:
                wrong.append(title)
            siblings.add(title)
            path.append((title, set()))
    return wrong


def test_headings_are_a_tree(notebook):
    assert wrong_headings(notebook) == []


@pytest.mark.parametrize(
    ("headings", "wrong"),
    [
        (["# A", "## B", "### C", "## D", "### C"], []),
        (["# A", "### C"], ["C"]),
        (["## B"], ["B"]),
        (["# A", "# B"], ["B"]),
        (["# A", "## B", "## B"], ["B"]),
        (["# A", "```\n# a comment\n```", "## B"], []),
    ],
)
def test_a_tree_with_a_missing_level_or_twins_is_found(headings, wrong):
    cells = [nbformat.v4.new_markdown_cell(heading) for heading in headings]
    assert wrong_headings(nbformat.v4.new_notebook(cells=cells)) == wrong


def test_it_opens_and_closes_as_all_do(notebook, path):
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = re.findall(r"^(#+) (.+)$", "\n".join(markdown), re.MULTILINE)
    assert headings[0][0] == "#"
    assert headings[0][1].startswith(f"{int(path.stem[:2])} · ")
    assert [level for level, _ in headings].count("#") == 1
    assert [title for _, title in headings[-2:]] == ["Go further", "Take away"]
    for row in ("You will do", "You will learn", "You need", "Time"):
        assert f"**{row}**" in markdown[0]
    for link in re.findall(r"\]\((?!http)([^)]+)\)", "\n".join(markdown)):
        assert (path.parent / link).exists(), link


# The solved notebooks are executed by `make test`; the others must say the same.


def pairs(path):
    """The code cells of a notebook, each with its own in the solved notebook."""
    cells = nbformat.read(path, as_version=4).cells, solved(path)
    code = [[c for c in some if c.cell_type == "code" and not is_answer(c)] for some in cells]
    return list(zip(*code, strict=True))


def solved(path):
    """The cells of the solved notebook."""
    return nbformat.read(path.parent / "solutions" / path.name, as_version=4).cells


def alike(ours, theirs):
    """Whether it is one cell: that of an exercise is not."""
    return ours.source == theirs.source


def compared(cell):
    """What nbval compares of a cell's outputs: all kinds but pictures."""
    if "nbval-ignore-output" in cell.metadata.get("tags", []):
        return []
    return [
        (
            output.output_type,
            output.get("name"),
            output.get("text"),
            {
                kind: v
                for kind, v in output.get("data", {}).items()
                if not kind.startswith("image/")
            },
        )
        for output in cell.outputs
    ]


def drifted(cells):
    """The sources of cells that are alike in both notebooks, and whose outputs are not."""
    return [a.source for a, b in cells if alike(a, b) and compared(a) != compared(b)]


def test_cells_that_are_alike_in_the_solved_notebook_say_the_same_there(path):
    cells = pairs(path)
    assert sum(bool(compared(a)) for a, b in cells if alike(a, b)) >= 5
    assert drifted(cells) == []


def test_an_output_that_differs_from_the_solved_notebooks_is_found(path):
    cells = pairs(path)
    told = next(a for a, b in cells if alike(a, b) and compared(a) and "text" in a.outputs[0])
    told.outputs[0].text += "0"
    assert drifted(cells) == [told.source]


def test_exercise_cells_say_what_is_committed(path):
    """Run here, after the notebook's imports and definitions, instead of in a kernel."""
    scope, _ = defined_in(path)
    exercises = [a for a, b in pairs(path) if not alike(a, b)]
    assert exercises
    for cell in exercises:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(cell.source, path.stem, "exec"), scope)
        assert said.getvalue() == "".join(o.get("text", "") for o in cell.outputs)


def names(cells, kind):
    """The names that cells read (`ast.Load`) or bind (`ast.Store`), functions' own included."""
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
    if kind is ast.Store:
        found |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        found |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    return found


def needed(cells):
    """The names that a lesson's cells read and only exercises, open or solved, bind."""
    lesson = [ours for ours, theirs in cells if alike(ours, theirs)]
    answers = [cell for pair in cells if not alike(*pair) for cell in pair]
    return (names(answers, ast.Store) - names(lesson, ast.Store)) & names(lesson, ast.Load)


def test_the_lesson_needs_no_answer(path):
    assert needed(pairs(path)) == set()


def test_a_lesson_that_needs_an_answer_is_found(path):
    cells = pairs(path)
    answer = next(theirs for ours, theirs in cells if not alike(ours, theirs))
    answer.source += "\nspoiled = 1"
    lesson = next(both for both in cells if alike(*both))
    for cell in lesson:
        cell.source += "\nprint(spoiled)"
    assert needed(cells) == {"spoiled"}


def unanswered(cells):
    """The questions without a check that a solved notebook does not answer."""
    answered, missing = answers(cells), []
    for name, place in questions(cells).items():
        asked = cells[place].source
        numbers = re.findall(r"^(\d)\. ", asked, re.M) if "## Go further" in asked else [""]
        told = "\n".join(cell.source for cell in answered.get(name, []))
        begins = [f"**Answer to question {n}.**" if n else "**Answer.**" for n in numbers]
        missing += [f"{name}: {begin}" for begin in begins if begin not in told]
    return missing


def test_every_question_without_a_check_has_its_answer(path):
    assert questions(solved(path))
    assert unanswered(solved(path)) == []


def test_a_missing_answer_is_found(path):
    cells = solved(path)
    count = sum(cell.source.startswith("**Answer") for cell in cells)
    assert len(unanswered([cell for cell in cells if not is_answer(cell)])) == count


def disturbed(cells):
    """The names that a lesson's cells expect from a cell above, and an answer between changes."""
    changed, found = set(), set()
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        if is_answer(cell):
            body = ast.parse(cell.source).body
            kept = [n for n in body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
            nodes = [node for part in kept for node in ast.walk(part)]
            changed |= {
                n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            changed |= {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        else:
            found |= (names([cell], ast.Load) - names([cell], ast.Store)) & changed
    return found


def test_answers_leave_the_lesson_as_it_is(path):
    assert disturbed(solved(path)) == set()


def test_an_answer_that_changes_what_the_lesson_needs_is_found(path):
    cells = solved(path)
    lesson = [c for c in cells if c.cell_type == "code" and not is_answer(c)]
    answer = nbformat.v4.new_code_cell("train = None", metadata={"tags": ["answer"]})
    lesson[-1].source += "\nprint(train)"
    assert disturbed([answer, *lesson[1:]]) == {"train"}


def test_an_answer_whose_output_is_not_compared_meets_an_assertion(path):
    code = [cell for cell in solved(path) if cell.cell_type == "code"]
    for i, cell in enumerate(code):
        if is_answer(cell) and "nbval-ignore-output" in cell.metadata.tags:
            assert any(map(asserts, code[i : i + 3])), cell.source


# The lesson's own functions against their twins in the package.


def defined_in(path):
    """What a notebook's imports, constants and definitions bind, and the names it defines."""
    kept = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.parse(cell.source).body:
            constant = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()
            if constant or isinstance(
                node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
            ):
                kept.append(node)
    scope = {}
    exec(compile(ast.Module(kept, type_ignores=[]), path.stem, "exec"), scope)
    return scope, {n.name for n in kept if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def networks(lesson, package):
    a, b = (network(generator=torch.Generator().manual_seed(3)) for network in (lesson, package))
    for ours, theirs in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
    return a, b


def same_threshold(lesson):
    x = torch.rand(50, 784)
    for level in (0.0, 0.3, 0.5, 1.0):
        assert torch.equal(lesson(x, level), (x > level).float())
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(lesson(pixels / 255), binarization.threshold(pixels))


def same_bernoulli(lesson):
    x, noise = torch.rand(2, 50, 784)
    assert torch.equal(lesson(x, noise), binarization.bernoulli(x, noise))


def same_encoder(lesson):
    ours, theirs = networks(lesson, encoder.Encoder)
    image = (torch.rand(9, 784) < 0.3).float()
    for a, b in zip(ours(image), theirs(image), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def same_reparameterize(lesson):
    posterior = encoder.Gaussian(*torch.randn(2, 9, 5))
    noise = torch.randn(9, 5)
    assert torch.equal(lesson(posterior, noise), encoder.reparameterize(posterior, noise))


def same_decoder(lesson):
    ours, theirs = networks(lesson, decoder.Decoder)
    code = torch.randn(9, 5)
    torch.testing.assert_close(ours(code), theirs(code), rtol=0, atol=1e-6)


def same_log_likelihood(lesson):
    image = (torch.rand(9, 784) < 0.3).double()
    logits = 20 * torch.randn(9, 784, dtype=torch.float64)
    torch.testing.assert_close(
        lesson(image, logits),
        decoder.log_likelihood(image, logits),
        rtol=0,
        atol=784 * math.exp(-20),  # torch's softplus(x) is x from 20 on
    )


def same_kl(lesson):
    posterior = encoder.Gaussian(*torch.randn(2, 9, 5))
    assert torch.equal(lesson(posterior), elbo.kl(posterior))


def same_wrong_kl(lesson):
    from vaelib.course.blog_post import wrong_kl

    posterior = encoder.Gaussian(*torch.randn(2, 9, 5))
    assert torch.equal(lesson(posterior), wrong_kl(posterior))
    assert not torch.allclose(lesson(posterior), elbo.kl(posterior))


def same_elbo(lesson):
    model, image, noise = vae.dense(), (torch.rand(9, 784) < 0.3).float(), torch.randn(9, 5)
    for a, b in zip(lesson(model, image, noise), elbo.elbo(model, image, noise), strict=True):
        torch.testing.assert_close(a, b)


def same_weighted(lesson):
    model, image, noise = vae.dense(), (torch.rand(9, 784) < 0.3).float(), torch.randn(9, 5)
    for beta in (0.0, 1.0, 784 / 5):
        ours, theirs = (make(beta)(model, image, noise) for make in (lesson, objectives.Weighted))
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)


def same_undecided(lesson):
    mean_image = torch.rand(9, 784).square()
    assert lesson(mean_image) == pytest.approx(sharpness.undecided(mean_image).mean().item())


def same_fit(lesson):
    images = torch.randint(0, 256, (250, 784)).to(torch.uint8)
    models = []
    for run in (
        lambda model, generator: lesson(model, images, 2, generator),
        lambda model, generator: training.train(model, images, epochs=2, generator=generator),
    ):
        generator = torch.Generator().manual_seed(1)
        model = vae.dense(generator=generator)
        run(model, generator)
        models.append(model)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


def same_sample(lesson):
    model, code, noise = vae.dense(), torch.randn(9, 5), torch.rand(9, 784)
    assert torch.equal(lesson(model, code, noise), sampling.sample(model, code, noise).image)


def same_log_mean_exp(lesson):
    values = 300 * torch.randn(50, 9, dtype=torch.float64)
    torch.testing.assert_close(lesson(values), elbo.log_mean_exp(values), rtol=1e-12, atol=0)


def same_active_units(lesson):
    mean = torch.randn(200, 9) * torch.logspace(-2, 0, 9)
    for threshold in (0.01, 0.1):
        ours, theirs = (count(mean, threshold) for count in (lesson, latent.active_units))
        assert torch.equal(ours, theirs)
        assert 0 < ours.sum() < 9
    assert torch.equal(lesson(mean), latent.active_units(mean))


def same_objective(lesson, package, noise):
    model, image = vae.dense(), (torch.rand(9, 784) < 0.3).float()
    gradients = []
    for objective in (lesson, package):
        terms = objective(model, image, noise)
        gradients.append((*terms, *torch.autograd.grad(terms.bound.sum(), model.parameters())))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def same_importance_weighted(lesson):
    same_objective(lesson, objectives.ImportanceWeighted(7), torch.randn(7, 9, 5))


def same_path_derivative(lesson):
    same_objective(lesson, objectives.path_derivative, torch.randn(9, 5))


TWINS = {
    ("binarization", "threshold"): same_threshold,
    ("binarization", "bernoulli"): same_bernoulli,
    ("encoder", "Encoder"): same_encoder,
    ("encoder", "reparameterize"): same_reparameterize,
    ("decoder", "Decoder"): same_decoder,
    ("decoder", "log_likelihood"): same_log_likelihood,
    ("elbo", "kl"): same_kl,
    ("elbo", "wrong_kl"): same_wrong_kl,
    ("elbo", "elbo_terms"): same_elbo,
    ("elbo", "weighted"): same_weighted,
    ("training", "fit"): same_fit,
    ("training", "sample"): same_sample,
    ("training", "undecided"): same_undecided,
    ("evaluation", "log_mean_exp"): same_log_mean_exp,
    ("latent", "active_units"): same_active_units,
    ("objectives", "importance_weighted"): same_importance_weighted,
    ("objectives", "path_derivative"): same_path_derivative,
}


@pytest.mark.parametrize(("topic", "name"), TWINS)
def test_what_a_lesson_defines_equals_its_twin(topic, name):
    torch.manual_seed(0)
    (path,) = (path for path in PATHS if path.stem[3:] == topic)
    TWINS[topic, name](defined_in(path)[0][name])


def test_no_twin_is_left_out(path):
    modules = [
        importlib.import_module(f"vaelib.{info.name}")
        for info in pkgutil.iter_modules(vaelib.__path__)
    ]
    public = {
        name
        for module in modules
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith("vaelib") and not name.startswith("_")
    }
    for name in defined_in(path)[1] & public:
        assert (path.stem[3:], name) in TWINS
