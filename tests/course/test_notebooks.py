"""What no single cell can say: that notebooks are whole, tidy, and agree with the package."""

import ast
import importlib
import math
import pkgutil
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import torch

import vaelib
from vaelib import (
    binarization,
    decoder,
    elbo,
    encoder,
    evaluation,
    objectives,
    sampling,
    training,
    vae,
)

HOME = Path(__file__).parents[2]
PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))
TAGS = {"nbval-ignore-output"}


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


def test_there_are_six_in_order():
    assert [path.stem[:2] for path in PATHS] == ["01", "02", "03", "04", "05", "06"]


def test_each_has_a_module_and_a_test_file_of_its_name(path):
    topic = path.stem[3:]
    assert (HOME / "vaelib" / f"{topic}.py").exists()
    assert (HOME / "tests" / f"test_{topic}.py").exists()


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
        assert set(cell.metadata) <= {"tags"}
        assert set(cell.metadata.get("tags", [])) <= TAGS


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
        assert any(re.search(r"\*[^*]{40,}\*", cell.source) for cell in told)


def shows_explorer(cell):
    return any("Explorer “" in text_of(output) for output in cell.get("outputs", []))


def test_it_is_small_enough_to_be_shown_on_a_code_host(path):
    assert path.stat().st_size < 1_500_000


def test_cells_are_short(code):
    lengths = sorted(len(cell.source.splitlines()) for cell in code)
    assert lengths[-1] <= 20
    assert lengths[len(lengths) // 2] < 12


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
        assert any(map(asserts, code[i : i + 3]))


def asserts(cell):
    return bool(re.search(r"^\s*assert |\.expect\(", cell.source, re.MULTILINE))


def test_a_cell_whose_output_is_not_compared_meets_an_assertion(code):
    for i, cell in enumerate(code):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert any(map(asserts, code[max(0, i - 1) : i + 3])), cell.source


def test_data_are_not_asked_for_by_name_so_that_a_room_without_network_gets_glyphs(code):
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"datasets\.load\(\s*[\"']", source)
    for cell in code:
        if "data.load(" in cell.source:
            assert "nbval-ignore-output" in cell.metadata.get("tags", []), "the notice comes here"


def test_bands_are_given_for_mnist_and_for_glyphs(code):
    for cell in code:
        for call in re.findall(r"\.expect\(.*", cell.source):
            assert "mnist=" in call, call
            assert "glyphs=" in call, call


def untold_figures(notebook):
    """The sources of cells that draw, without a paragraph in italics near that says what is drawn.

    Of two cells that draw one after the other, one paragraph may tell both.
    """
    untold = []
    for i, cell in enumerate(notebook.cells):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            near = [c.source for c in notebook.cells[i + 1 : i + 3] if c.cell_type == "markdown"]
            if not any(re.search(r"^\*(?!\*)[^*]{40,}\*(?!\*)", text, re.M) for text in near):
                untold.append(cell.source)
    return untold


def test_every_figure_is_told_in_words_next_to_it(notebook):
    assert untold_figures(notebook) == []


def test_a_figure_that_is_not_told_is_found(notebook):
    first = re.compile(r"^\*(?!\*)[^*]{40,}\*(?!\*)", re.M)
    told = [c for c in notebook.cells if c.cell_type == "markdown" and first.search(c.source)]
    assert told
    for cell in told:
        cell.source = first.sub("**What to notice.** This picture is beautiful.", cell.source)
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


# The lesson's own functions against their twins in the package.


def definitions(stem):
    """The names that a notebook's code cells define, from imports, constants and definitions."""
    (path,) = (path for path in PATHS if path.stem == stem)
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
    exec(compile(ast.Module(kept, type_ignores=[]), stem, "exec"), scope)
    defined = {n.name for n in kept if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return {name: scope[name] for name in defined}


def networks(lesson, package):
    a, b = (network(generator=torch.Generator().manual_seed(3)) for network in (lesson, package))
    for ours, theirs in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
    return a, b


def same_threshold(lesson):
    x = torch.rand(50, 784)
    for level in (0.0, 0.3, 0.5, 1.0):
        assert torch.equal(lesson(x, level), binarization.threshold(x, level))
    assert torch.equal(lesson(x), binarization.threshold(x))


def same_bernoulli(lesson):
    x, noise = torch.rand(2, 50, 784)
    assert torch.equal(lesson(x, noise), binarization.bernoulli(x, noise))


def same_encoder(lesson):
    ours, theirs = networks(lesson, encoder.Encoder)
    image = (torch.rand(9, 784) < 0.3).float()
    for a, b in zip(ours(image), theirs(image), strict=True):
        assert torch.equal(a, b)


def same_reparameterize(lesson):
    posterior = encoder.Gaussian(*torch.randn(2, 9, 5))
    noise = torch.randn(9, 5)
    assert torch.equal(lesson(posterior, noise), encoder.reparameterize(posterior, noise))


def same_decoder(lesson):
    ours, theirs = networks(lesson, decoder.Decoder)
    code = torch.randn(9, 5)
    assert torch.equal(ours(code), theirs(code))


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
        assert torch.equal(a, b)


def same_weighted(lesson):
    model, image, noise = vae.dense(), (torch.rand(9, 784) < 0.3).float(), torch.randn(9, 5)
    for beta in (0.0, 1.0, 784 / 5):
        ours, theirs = (make(beta)(model, image, noise) for make in (lesson, objectives.weighted))
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)


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
    torch.testing.assert_close(lesson(values), objectives.log_mean_exp(values), rtol=1e-12, atol=0)


def same_active_units(lesson):
    mean = torch.randn(200, 9) * torch.logspace(-2, 0, 9)
    for threshold in (0.01, 0.1):
        ours, theirs = (count(mean, threshold) for count in (lesson, evaluation.active_units))
        assert torch.equal(ours, theirs)
        assert 0 < ours.sum() < 9
    assert torch.equal(lesson(mean), evaluation.active_units(mean))


def same_objective(lesson, package, noise):
    model, image = vae.dense(), (torch.rand(9, 784) < 0.3).float()
    gradients = []
    for objective in (lesson, package):
        terms = objective(model, image, noise)
        gradients.append((*terms, *torch.autograd.grad(terms.bound.sum(), model.parameters())))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def same_importance_weighted(lesson):
    same_objective(lesson, objectives.importance_weighted, torch.randn(7, 9, 5))


def same_path_derivative(lesson):
    same_objective(lesson, objectives.path_derivative, torch.randn(9, 5))


TWINS = {
    ("01_binarization", "threshold"): same_threshold,
    ("01_binarization", "bernoulli"): same_bernoulli,
    ("02_encoder", "Encoder"): same_encoder,
    ("02_encoder", "reparameterize"): same_reparameterize,
    ("03_decoder", "Decoder"): same_decoder,
    ("03_decoder", "log_likelihood"): same_log_likelihood,
    ("04_elbo", "kl"): same_kl,
    ("04_elbo", "wrong_kl"): same_wrong_kl,
    ("04_elbo", "elbo_terms"): same_elbo,
    ("04_elbo", "weighted"): same_weighted,
    ("05_training", "fit"): same_fit,
    ("05_training", "sample"): same_sample,
    ("06_evaluation", "log_mean_exp"): same_log_mean_exp,
    ("06_evaluation", "active_units"): same_active_units,
    ("06_evaluation", "importance_weighted"): same_importance_weighted,
    ("06_evaluation", "path_derivative"): same_path_derivative,
}


@pytest.mark.parametrize(("stem", "name"), TWINS)
def test_what_a_lesson_defines_equals_its_twin(stem, name):
    torch.manual_seed(0)
    TWINS[stem, name](definitions(stem)[name])


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
    for name in definitions(path.stem).keys() & public:
        assert (path.stem, name) in TWINS


# The runner and nbval, seen failing.


def write_notebook(path, *sources, output=None):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if output is not None:
        notebook.cells[0].execution_count = 1
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    nbformat.write(notebook, path)
    return path


def run(*command):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=HOME, capture_output=True, text=True, timeout=280
    )
    return done.returncode, done.stdout, time.perf_counter() - start


def nbval(path):
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=5", "-p", "no:cacheprovider"]
    options += ["-p", "conftest"]  # ours, which pytest finds by itself for notebooks of the course
    return run("-m", "pytest", *options, path)


def test_nbval_sums_up_each_notebook(tmp_path):
    path = write_notebook(
        tmp_path / "small.ipynb", "print(1)", "big = bytearray(300_000_000)", output="1\n"
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 2
    notebook.cells.append(nbformat.v4.new_code_cell("del big\n1 / 0", execution_count=3))
    nbformat.write(notebook, path)
    status, printed, _ = nbval(path)
    assert status == 1
    found = re.search(
        r"small\.ipynb +3 cells, 1 failed, +1 outputs compared, +[\d.]+ s, +(\d+) MB", printed
    )
    assert found, printed
    assert 300 < int(found[1]) < 800, "the most that it had, not what it has at the end"
    assert "1 / 0" in printed


def test_the_runner_names_the_failing_cell_and_its_error(tmp_path):
    path = write_notebook(tmp_path / "broken.ipynb", "x = 1", "print(x)\n1 / 0", "y = 2")
    before = path.read_bytes()
    status, printed, _ = run("tools/notebooks.py", "refresh", path)
    assert status == 1
    assert "code cell 2 of 3" in printed
    assert "    1 / 0" in printed
    assert "ZeroDivisionError: division by zero" in printed
    assert path.read_bytes() == before


def test_the_runner_survives_a_dead_kernel(tmp_path):
    path = write_notebook(tmp_path / "dead.ipynb", "x = 1", "import os\nos._exit(1)", "y = 2")
    notebook = nbformat.read(path, as_version=4)
    for count, cell in enumerate(notebook.cells, 1):
        cell.execution_count = count
    nbformat.write(notebook, path)
    status, printed, seconds = run("tools/notebooks.py", "refresh", path)
    assert status == 1
    assert "code cell 2 of 3" in printed
    assert "DeadKernelError" in printed
    assert seconds < 60


@pytest.fixture
def runner(tmp_path):
    """The runner with build/ in a temporary folder: (task, *paths) -> (status, printed)."""

    def call(task, *paths):
        script = (
            "import pathlib, sys; sys.path.insert(0, 'tools'); import notebooks as n; "
            f"n.BUILD = pathlib.Path({str(tmp_path / 'build')!r}); "
            "n.RESULT = n.BUILD / 'result.json'; "
            f"sys.exit(n.{task}([pathlib.Path(p) for p in {list(map(str, paths))!r}]))"
        )
        return run("-c", script)[:2]

    return call


def test_run_prints_a_line_each_writes_copies_and_reports(tmp_path, runner):
    result = '{"dataset": "mnist", "negative_elbo": 119.234, "band": [118.0, 121.0]}'
    one = write_notebook(tmp_path / "01_one.ipynb", "big = bytearray(200_000_000)\nbig[-1]")
    source = f"open('build/result.json', 'w').write({result!r})"
    two = write_notebook(tmp_path / "02_two.ipynb", source)
    status, printed = runner("run", one, two)
    assert status == 0
    first, second, *rest = printed.splitlines()
    line = re.compile(r"(\w+) +(\d+\.\d) s +(\d+) MB  ok")
    assert line.fullmatch(first)[1] == "01_one"
    assert line.fullmatch(second)[1] == "02_two"
    assert int(line.fullmatch(first)[3]) > 200
    report = "\n".join(rest)
    assert "Data set: mnist" in report
    assert "119.23 nats per image (expected between 118.0 and 121.0)" in report
    assert "build/sample.png" in report
    copy = nbformat.read(tmp_path / "build" / "notebooks" / "01_one.ipynb", as_version=4)
    assert copy.cells[0].execution_count == 1
    assert nbformat.read(one, as_version=4).cells[0].execution_count is None


def test_run_goes_on_after_a_failure_and_reports_nothing_stale(tmp_path, runner):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "result.json").write_text("{}")
    bad = write_notebook(tmp_path / "01_bad.ipynb", "1 / 0")
    torn = tmp_path / "02_torn.ipynb"
    torn.write_text("<<<<<<< not a notebook")
    good = write_notebook(tmp_path / "03_good.ipynb", "1 + 1")
    status, printed = runner("run", bad, torn, good)
    assert status == 1
    assert "ZeroDivisionError" in printed
    assert "02_torn" in printed
    assert re.search(r"03_good .* ok", printed)
    assert "Test −ELBO" not in printed


def test_ctrl_c_before_a_kernel_exists_does_not_kill_the_runner(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", "1 + 1")
    script = f"""
import pathlib, sys; sys.path.insert(0, 'tools')
import notebooks as n
def early(self, *a, **k): raise KeyboardInterrupt
n.ThreadPoolExecutor.submit = early
sys.argv = ['notebooks.py', 'refresh', {str(path)!r}]
sys.exit(n.main())
"""
    status, printed, _ = run("-c", script)
    assert status == 130
    assert "interrupted" in printed


def test_run_without_the_data_that_was_asked_for_fails_before_it_starts(
    fresh, tmp_path, runner, monkeypatch
):
    monkeypatch.setenv("VAELIB_DATASET", "mnist")
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    good = write_notebook(tmp_path / "good.ipynb", "1 + 1")
    assert runner("run", good) == (1, "")


def test_run_without_network_draws_glyphs_and_keeps_kernels_from_waiting(
    fresh, tmp_path, runner, monkeypatch
):
    monkeypatch.setenv("VAELIB_MIRROR", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("PYTHONPATH", str(HOME / "tools" / "offline"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two would wait for each other beside other work
    show = "import os; from vaelib import data; print(data.load(split='test').name)"
    path = write_notebook(tmp_path / "show.ipynb", f"{show}; print(os.environ['VAELIB_OFFLINE'])")
    assert runner("run", path)[0] == 0
    copy = nbformat.read(tmp_path / "build" / "notebooks" / "show.ipynb", as_version=4)
    said = {o.name: o.text for o in copy.cells[0].outputs}
    assert said["stdout"] == "glyphs\nno mirror could be reached\n"
    assert "THIS IS NOT MNIST" in said["stderr"]
    assert (fresh / "glyphs").is_dir()
    assert list((fresh / "models").glob("glyphs-*.safetensors")), "the demonstration's model"


def test_refresh_of_the_course_insists_on_mnist(fresh, runner, monkeypatch):
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    before = PATHS[2].read_bytes()
    assert runner("refresh", PATHS[2]) == (1, "")
    assert PATHS[2].read_bytes() == before


def test_refresh_normalises(tmp_path, runner):
    path = write_notebook(tmp_path / "a.ipynb", "1 + 1")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["widgets"] = {}
    notebook.cells[0].metadata["editable"] = True
    nbformat.write(notebook, path)
    assert runner("refresh", path)[0] == 0
    after = nbformat.read(path, as_version=4)
    assert set(after.metadata) == {"kernelspec", "language_info"}
    assert after.cells[0].metadata == {}
    assert after.cells[0].outputs[0]["data"]["text/plain"] == "2"


def interrupted(runner: subprocess.Popen, begun: Path) -> tuple[int, str, str]:
    """What `runner` leaves behind on a Ctrl-C after the file `begun` came to be."""
    deadline = time.monotonic() + 120
    while not begun.exists() and runner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert begun.exists(), "the runner never came as far as this test wants to stop it"
    runner.send_signal(signal.SIGINT)
    try:
        printed, errors = runner.communicate(timeout=30)
    finally:
        runner.kill()
    return runner.returncode, printed, errors


SLOW = {  # where a Ctrl-C may come, made slow: {stage: source before `main`}
    "data": "loading.choose = lambda name: (begun.touch(), time.sleep(100))",
    "kernel": """
execute = n.NotebookClient.execute
n.NotebookClient.execute = lambda *a, **k: (begun.touch(), time.sleep(3), execute(*a, **k))""",
    "cell": "",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("stage", SLOW)
def test_ctrl_c_ends_the_runner_quietly_and_leaves_the_notebook(tmp_path, stage):
    begun = tmp_path / "begun"
    source = f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(100)"
    path = write_notebook(tmp_path / "long.ipynb", source)
    before = path.read_bytes()
    script = f"""
import pathlib, sys, time
sys.path.insert(0, "tools")
import notebooks as n
from vaelib.data import loading
begun = pathlib.Path({str(begun)!r})
{SLOW[stage]}
sys.argv = ["notebooks.py", "refresh", {str(path)!r}]
sys.exit(n.main())"""
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore Ctrl-C, and so would what they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    status, printed, errors = interrupted(runner, begun)
    assert status == 130, errors
    assert "interrupted" in printed
    assert "Traceback" not in errors, errors
    assert path.read_bytes() == before


def test_nbval_passes_what_is_right_and_fails_what_changed(tmp_path):
    right = write_notebook(tmp_path / "right.ipynb", "print(1 + 1)", output="2\n")
    wrong = write_notebook(tmp_path / "wrong.ipynb", "print(1 + 1)", output="3\n")
    assert nbval(right)[0] == 0
    status, printed, _ = nbval(wrong)
    assert status == 1
    assert "print(1 + 1)" in printed


def test_nbval_fails_on_a_dead_kernel_within_its_cell_timeout(tmp_path):
    path = write_notebook(tmp_path / "dead.ipynb", "import os\nos._exit(1)", "x = 1")
    status, _, seconds = nbval(path)
    assert status == 1
    assert seconds < 60


def test_a_cell_that_swallows_the_interrupt_of_its_timeout_fails_all_the_same(tmp_path):
    """As `train` does, which ends well when it is interrupted."""
    source = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass"
    path = write_notebook(tmp_path / "slow.ipynb", source, "assert False")
    status, printed, seconds = nbval(path)
    assert status == 1
    assert "ran longer than --nbval-cell-timeout allows" in printed
    assert "1 failed" in printed
    assert seconds < 60
