"""tools/notebooks.py and nbval under our conftest, seen succeeding and seen failing."""

import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import nbformat
import psutil
import pytest

import vaelib.__main__
from vaelib.data import glyphs

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME / "tools"))

import notebooks as runner  # noqa: E402


def write_notebook(path, *sources, output=None):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source, execution_count=count)
        for count, source in enumerate(sources, 1)
    ]
    if output is not None:
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def build(tmp_path, monkeypatch):
    """The runner's build/ in a temporary folder, and nothing to be got ready."""
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    monkeypatch.setattr(runner, "OUTPUT", tmp_path / "build" / "output")
    monkeypatch.setattr(runner, "RESULT", tmp_path / "build" / "output" / "result.json")
    runner.OUTPUT.mkdir(parents=True)
    monkeypatch.setattr(runner, "get_data", lambda name=None: None)
    return tmp_path / "build"


@pytest.fixture
def canned(build, monkeypatch):
    """Instead of kernels: what each notebook's first cell evaluates to, or its failure."""

    def execute(path):
        notebook = runner.blank(nbformat.read(path, as_version=4))
        try:
            value = repr(eval(notebook.cells[0].source, {"RESULT": runner.RESULT}))
        except Exception as error:
            return notebook, "   1.0 s    90 MB", type(error).__name__
        output = nbformat.v4.new_output("execute_result", {"text/plain": value}, execution_count=1)
        notebook.cells[0].outputs, notebook.cells[0].execution_count = [output], 1
        return notebook, "   1.0 s    90 MB", ""

    monkeypatch.setattr(runner, "execute", execute)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Exception ignored")
class TestExecute:
    """Three kernels: in one all is well, in one a cell fails, and one dies."""

    @pytest.fixture(autouse=True)
    def _swept(self):
        """What nbclient leaves open when a kernel dies is collected, and warned of, here."""
        yield
        gc.collect()

    def test_all_is_well(self, build, tmp_path):
        path = write_notebook(tmp_path / "one.ipynb", "big = bytearray(200_000_000)\nbig[-1]")
        notebook, figures, failure = runner.execute(path)
        assert failure == ""
        assert notebook.cells[0].outputs[0]["data"]["text/plain"] == "0"
        memory = re.fullmatch(r" *\d+\.\d s +(\d+) MB", figures)
        assert 200 < int(memory[1]) < 600

    def test_the_failing_cell_and_its_error_are_named(self, build, tmp_path):
        path = write_notebook(tmp_path / "broken.ipynb", "x = 1", "print(x)\n1 / 0", "y = 2")
        notebook, _, failure = runner.execute(path)
        assert failure == (
            "code cell 2 of 3:\n    print(x)\n    1 / 0\n  ZeroDivisionError: division by zero"
        )
        assert notebook.cells[2].execution_count is None, "what was there before this run is gone"

    def test_a_dead_kernel_is_survived(self, build, tmp_path):
        path = write_notebook(tmp_path / "dead.ipynb", "x = 1", "import os\nos._exit(1)", "y = 2")
        start = time.monotonic()
        failure = runner.execute(path)[2]
        assert failure.startswith("code cell 2 of 3:")
        assert "DeadKernelError" in failure
        assert time.monotonic() - start < 60

    def test_what_is_no_notebook_is_named_as_such(self, build, tmp_path):
        torn = tmp_path / "torn.ipynb"
        torn.write_text("<<<<<<< not a notebook")
        assert runner.execute(torn)[2].startswith("cannot be read: ")


def test_run_prints_a_line_each_writes_copies_and_reports(canned, build, tmp_path, capsys):
    result = {"dataset": "mnist", "negative_elbo": 119.234, "band": [118.0, 121.0]}
    one = write_notebook(tmp_path / "01_one.ipynb", "1 + 1")
    two = write_notebook(tmp_path / "02_two.ipynb", f"RESULT.write_text({json.dumps(result)!r})")
    before = one.read_bytes()
    assert runner.run([one, two]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"01_one +1\.0 s +90 MB  ok", first)
    assert re.fullmatch(r"02_two +1\.0 s +90 MB  ok", second)
    report = "\n".join(rest)
    assert "Data set: mnist" in report
    assert "119.23 nats per image (expected between 118.0 and 121.0)" in report
    assert "build/output/sample.png" in report
    copy = nbformat.read(build / "notebooks" / "01_one.ipynb", as_version=4)
    assert copy.cells[0].outputs[0]["data"]["text/plain"] == "2"
    assert one.read_bytes() == before


def test_run_goes_on_after_a_failure_and_reports_nothing_stale(canned, build, tmp_path, capsys):
    runner.RESULT.write_text("{}")
    bad = write_notebook(tmp_path / "01_bad.ipynb", "1 / 0")
    good = write_notebook(tmp_path / "02_good.ipynb", "1 + 1")
    assert runner.run([bad, good]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"01_bad .* FAILED, ZeroDivisionError", printed)
    assert re.search(r"02_good .* ok", printed)
    assert "Test −ELBO" not in printed
    assert (build / "notebooks" / "01_bad.ipynb").exists(), "as far as it went"


def test_refresh_normalises_what_runs_and_leaves_what_fails(canned, tmp_path, capsys):
    good = write_notebook(tmp_path / "good.ipynb", "1 + 1")
    bad = write_notebook(tmp_path / "bad.ipynb", "1 / 0")
    notebook = nbformat.read(good, as_version=4)
    notebook.metadata["widgets"] = {}
    notebook.cells[0].metadata["editable"] = True
    nbformat.write(notebook, good)
    before = bad.read_bytes()
    assert runner.refresh([good, bad]) == 1
    after = nbformat.read(good, as_version=4)
    assert set(after.metadata) == {"kernelspec", "language_info"}
    assert after.cells[0].metadata == {}
    assert after.cells[0].outputs[0]["data"]["text/plain"] == "2"
    assert bad.read_bytes() == before
    assert "FAILED and left as it was, ZeroDivisionError" in capsys.readouterr().out


class TestData:
    def test_what_was_asked_for_and_is_not_there_ends_it_before_it_starts(
        self, fresh, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("VAELIB_DATASET", "mnist")
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        with pytest.raises(SystemExit, match="VAELIB_OFFLINE"):
            runner.run([write_notebook(tmp_path / "good.ipynb", "1 + 1")])

    def test_refresh_of_the_course_insists_on_mnist(self, fresh, monkeypatch):
        monkeypatch.setenv("VAELIB_OFFLINE", "1")
        path = min((HOME / "notebooks").glob("*.ipynb"))
        before = path.read_bytes()
        with pytest.raises(SystemExit, match="mnist"):
            runner.refresh([path])
        assert path.read_bytes() == before

    def test_without_network_glyphs_are_drawn_and_kernels_kept_from_waiting(
        self, fresh, monkeypatch, capsys
    ):
        """The package's own commands, in this process and for few glyphs."""
        monkeypatch.setattr(glyphs, "COUNTS", {"train": 40, "test": 20})
        monkeypatch.setenv("VAELIB_MIRROR", "http://127.0.0.1:9")  # nobody answers there
        monkeypatch.setattr(os, "environ", os.environ.copy())

        def python(dash_m, module, *arguments):
            assert dash_m == "-m"
            monkeypatch.setattr(sys, "argv", [module, *arguments])
            if module == "vaelib":
                assert vaelib.__main__.main() == 0
            else:
                runpy.run_path(str(HOME / f"{module.replace('.', '/')}.py"), run_name="__main__")

        monkeypatch.setattr(runner, "python", python)
        runner.get_data()
        assert os.environ["VAELIB_OFFLINE"] == "no mirror could be reached"
        assert "THIS IS NOT MNIST" in capsys.readouterr().err
        assert (fresh / "glyphs").is_dir()
        assert list((fresh / "models").glob("glyphs-*.safetensors")), "the demonstration's model"


# Ctrl-C.

STAGES = {  # where it may come: {stage: source that runs before `main`}
    "data": "n.get_data = lambda *name: (begun.touch(), time.sleep(100))",
    "kernel": """
execute = n.NotebookClient.execute
n.NotebookClient.execute = lambda *a, **k: (begun.touch(), time.sleep(1), execute(*a, **k))""",
    "cell": "",
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """What a runner leaves behind on a Ctrl-C, by stage; all of them run side by side."""
    runners, found = {}, {}
    for stage, source in STAGES.items():
        folder = tmp_path_factory.mktemp(stage)
        begun = folder / "begun"
        cell = f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(100)"
        path = write_notebook(folder / "long.ipynb", cell)
        script = f"""
import pathlib, sys, time
sys.path.insert(0, "tools")
import notebooks as n
begun = pathlib.Path({str(begun)!r})
n.get_data = lambda *name: None
{source}
sys.argv = ["notebooks.py", "refresh", {str(path)!r}]
sys.exit(n.main())"""
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background jobs ignore Ctrl-C, and so would what they start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        runners[stage] = process, begun, path, path.read_bytes()
    for stage, (process, begun, path, before) in runners.items():
        deadline = time.monotonic() + 120
        while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:  # it ends only when its kernel, which shares its standard output, has ended too
            printed, errors = process.communicate(timeout=30)
        finally:
            process.kill()
        unchanged = path.read_bytes() == before
        found[stage] = begun.exists(), process.returncode, printed, errors, unchanged
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_ends_the_runner_quietly_and_leaves_the_notebook(stopped, stage):
    begun, status, printed, errors, unchanged = stopped[stage]
    assert begun, "the runner never came as far as this test wants to stop it"
    assert status == 130, errors
    assert "interrupted" in printed
    assert "Traceback" not in errors, errors
    assert unchanged


def test_ctrl_c_when_there_is_no_kernel_does_not_kill_the_runner(
    build, tmp_path, monkeypatch, capsys
):
    """psutil takes a pid that is None for this process."""

    class Ended(Future):
        def result(self, timeout=None):
            raise KeyboardInterrupt

    def submit(self, *arguments, **settings):
        ended = Ended()
        ended.set_result(None)
        return ended

    monkeypatch.setattr(runner.ThreadPoolExecutor, "submit", submit)
    monkeypatch.setattr(psutil.Process, "kill", lambda process: pytest.fail(f"killed {process}"))
    path = write_notebook(tmp_path / "a.ipynb", "1 + 1")
    monkeypatch.setattr(sys, "argv", ["notebooks.py", "refresh", str(path)])
    assert runner.main() == 130
    assert "interrupted" in capsys.readouterr().out


# nbval: five notebooks in one run.

SWALLOWS = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass"
PLANTED = {
    "right": ["print(1 + 1)", "big = bytearray(300_000_000)", "del big"],
    "changed": ["print(1 + 1)"],
    "failing": ["x = 1", "x / 0"],
    "dead": ["import os\nos._exit(1)", "x = 1"],
    "slow": [SWALLOWS, "assert False"],
}
OUTPUTS = {"right": "2\n", "changed": "3\n"}


@pytest.fixture(scope="module")
def nbval(tmp_path_factory):
    """What pytest prints of the planted notebooks, and the line of its summary for each."""
    folder = tmp_path_factory.mktemp("planted")
    for name, sources in PLANTED.items():
        write_notebook(folder / f"{name}.ipynb", *sources, output=OUTPUTS.get(name))
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=2", "-p", "no:cacheprovider"]
    options += [
        f"--rootdir={HOME}",
        "-p",
        "conftest",
    ]  # ours, which pytest finds by itself for notebooks of the course
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=HOME,
        env=os.environ | {"COLUMNS": "200"},  # or pytest would wrap a line of outcomes
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    summary = re.findall(r"^(\w+)\.ipynb +(\d+ cells.* MB)$", done.stdout, re.MULTILINE)
    return done.stdout, dict(summary)


def outcomes(printed, name):
    """How the cells of a notebook ended, as pytest writes it: F failed, . passed, x expected."""
    return re.search(rf"{name}\.ipynb ([.FxX]+)", printed)[1]


def test_nbval_passes_what_is_right_and_sums_it_up(nbval):
    printed, summary = nbval
    assert outcomes(printed, "right") == "..."
    figures = re.fullmatch(r"3 cells, +1 outputs compared, +[\d.]+ s, +(\d+) MB", summary["right"])
    assert 300 < int(figures[1]) < 800, "the most that it had, not what it has at the end"


def test_nbval_fails_on_an_output_that_has_changed(nbval):
    printed, summary = nbval
    assert outcomes(printed, "changed") == "F"
    assert "print(1 + 1)" in printed
    assert summary["changed"].startswith("1 cells, 1 failed,")


def test_nbval_names_the_cell_that_fails(nbval):
    printed, _ = nbval
    assert outcomes(printed, "failing") == ".F"
    assert "x / 0" in printed
    assert "ZeroDivisionError" in printed


def test_nbval_fails_on_a_dead_kernel(nbval):
    assert outcomes(nbval[0], "dead") == "Fx"


def test_a_cell_that_swallows_the_interrupt_of_its_timeout_fails_all_the_same(nbval):
    """As `train` does, which ends well when it is interrupted."""
    printed, _ = nbval
    assert outcomes(printed, "slow")[0] == "F"
    assert "ran longer than --nbval-cell-timeout allows" in printed


def test_a_saved_widget_is_words_alone():
    output = nbformat.v4.new_output("display_data", {runner.WIDGET: {}, "text/plain": "a slider"})
    cell = nbformat.v4.new_code_cell("slider", outputs=[output], metadata={"editable": True})
    (kept,) = runner.normalise(nbformat.v4.new_notebook(cells=[cell])).cells
    assert kept.outputs[0].data == {"text/plain": "a slider"}
    assert kept.metadata == {}


# Alternative text.
