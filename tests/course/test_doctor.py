import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import jupyter_client.kernelspec
import psutil
import pytest
import torch

from vaelib import __main__ as command
from vaelib.course import doctor
from vaelib.course.doctor import Finding
from vaelib.data import store


def test_a_line_says_ok_or_fail_and_what_to_do():
    assert str(Finding("memory", "8 GB free")) == "OK    memory     8 GB free"
    failed = str(Finding("memory", "1 GB free", "close something"))
    assert failed == "FAIL  memory     1 GB free\n      → close something"


def test_python_is_compared_with_the_oldest_supported(monkeypatch):
    assert not doctor.python().advice
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 1))
    assert "install Python 3.10 or newer" in doctor.python().advice


def test_the_oldest_python_is_the_one_that_is_declared():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'requires-python = ">={".".join(map(str, doctor.OLDEST_PYTHON))}"' in text


def test_each_requirement_is_there_and_new_enough():
    found = list(doctor.requirements())
    names = {finding.found.split()[0] for finding in found}
    assert {"torch", "jaxtyping", "ipywidgets", "safetensors"} <= names
    assert "pytest" not in names, "what developers need is not looked for"
    assert not [finding for finding in found if finding.advice]


def test_old_and_missing_packages_are_named_with_the_command_that_fixes_them():
    def installed(name):
        if name == "numpy":
            raise metadata.PackageNotFoundError(name)
        return {"torch": "2.0.1", "matplotlib": "3.99.0rc1"}.get(name, metadata.version(name))

    found = {line.found.split()[0]: line for line in doctor.requirements(installed)}
    assert found["torch"].found == "torch 2.0.1, needed >=2.4"
    assert found["torch"].advice == 'python -m pip install "torch>=2.4"'
    assert found["numpy"].found == "numpy is not installed"
    assert not found["matplotlib"].advice, "a pre-release that is new enough will do"


@pytest.mark.parametrize(("free", "fails"), [(1.9e9, True), (2.1e9, False)])
def test_memory(monkeypatch, free, fails):
    Facts = namedtuple("Facts", "available total")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Facts(free, 8e9))
    found = doctor.memory([])
    assert found.found == f"{free / 1e9:.1f} of 8.0 GB free"
    assert ("until 2 GB are free" in found.advice) == fails


@pytest.mark.parametrize(("used", "fails"), [(2, False), (3, True)])
def test_threads(monkeypatch, used, fails):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(doctor.calm, "quota", lambda: 99.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: used)
    found = doctor.threads()
    assert ("set OMP_NUM_THREADS=2" in found.advice) == fails


@pytest.mark.parametrize(("used", "fails"), [(1, False), (2, True)])
def test_threads_under_a_quota(monkeypatch, used, fails):
    monkeypatch.setattr(doctor.calm, "quota", lambda: 0.6)
    monkeypatch.setattr(torch, "get_num_threads", lambda: used)
    found = doctor.threads()
    said = f"PyTorch uses {used}, and this process may use 1 core (a quota of 0.6)"
    assert found.found == said
    assert ("set OMP_NUM_THREADS=1" in found.advice) == fails


class TestHome:
    def test_the_one_of_the_tests(self):
        assert doctor.home() == Finding("home", "Jupyter can write its files")

    def test_none(self, monkeypatch):
        def unknown():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr("jupyter_core.paths.jupyter_runtime_dir", unknown)
        assert doctor.home().found == "there is no home folder, and Jupyter needs one"
        assert doctor.home().advice.startswith("set HOME to a folder")

    def test_one_that_is_read_only(self, monkeypatch, tmp_path):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "a" / "b"))
        monkeypatch.setattr(doctor.os, "access", lambda path, mode: path != tmp_path)
        assert doctor.home().found == f"Jupyter cannot write into {tmp_path}"
        assert doctor.home().advice.startswith("set HOME to a folder")

    @pytest.mark.skipif(not hasattr(os, "setuid"), reason="only POSIX has user ids")
    def test_a_user_whom_nobody_knows(self):
        """The whole report, without HOME and, if the tests may, under an id without a name.

        It is made twice, since such a user may not be able to read what is yet to be imported.
        """
        script = (
            "import os, contextlib, io\n"
            "from vaelib.course import doctor\n"
            "with contextlib.redirect_stdout(io.StringIO()): doctor.main()\n"
            "if not os.geteuid(): os.setgid(54321), os.setuid(54321)\n"
            "os.environ.pop('HOME', None)\n"
            "doctor.main()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
        )
        assert "Traceback" not in done.stdout + done.stderr
        lines = {
            line.split()[1]: line for line in done.stdout.splitlines() if line[:2] in ("OK", "FA")
        }
        assert "images a second" in lines["training"]  # few of them, if the machine is busy
        if os.geteuid() == 0:
            assert lines["home"].startswith("FAIL")


class TestKernel:
    def test_the_one_that_the_tests_run_with(self):
        assert doctor.kernel() == Finding("kernel", "python3 is this Python")

    def test_another_python(self, monkeypatch, tmp_path):
        other = tmp_path / "python"
        other.write_text("")
        spec = namedtuple("Spec", "argv")([str(other), "-m", "ipykernel"])
        manager = jupyter_client.kernelspec.KernelSpecManager
        monkeypatch.setattr(manager, "get_kernel_spec", lambda *_: spec)
        found = doctor.kernel()
        assert found.found.startswith("python3 is another Python")
        assert "ipykernel install" in found.advice

    def test_one_whose_python_is_gone(self, monkeypatch, tmp_path):
        spec = namedtuple("Spec", "argv")([str(tmp_path / "gone"), "-m", "ipykernel"])
        manager = jupyter_client.kernelspec.KernelSpecManager
        monkeypatch.setattr(manager, "get_kernel_spec", lambda *_: spec)
        assert "ipykernel install" in doctor.kernel().advice

    def test_none(self, monkeypatch):
        def missing(*_):
            raise jupyter_client.kernelspec.NoSuchKernel("python3")

        manager = jupyter_client.kernelspec.KernelSpecManager
        monkeypatch.setattr(manager, "get_kernel_spec", missing)
        assert doctor.kernel().found == "there is no kernel python3"

    def test_without_ipykernel_the_advice_does_not_use_it(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert doctor.kernel() == Finding(
            "kernel", "ipykernel is not installed", "python -m pip install ipykernel"
        )


class TestData:
    def test_sound_files(self, root):
        assert doctor.data() == Finding("data", f"mnist in {root}, all files verified")

    def test_a_damaged_file_is_named(self, root):
        file = next(root.rglob("train-images*"))
        file.write_bytes(file.read_bytes()[:-9])
        found = doctor.data()
        assert "damaged" in found.found
        assert file.name in found.advice

    def test_none(self, fresh, monkeypatch, tmp_path):
        cache = doctor._short(store.cache_folder())
        assert f"mnist is not in {cache} (the cache);" in doctor.data().found
        assert "python -m vaelib data prefetch mnist" in doctor.data().advice
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "gone"))
        assert f"not in {tmp_path / 'gone'} (VAELIB_DATA) nor in " in doctor.data().found

    def test_a_folder_too_deep_is_seen(self, root, monkeypatch):
        monkeypatch.setenv("VAELIB_DATA", str(root / "MNIST" / "raw"))
        assert f"But {root} has it: set VAELIB_DATA to that." in doctor.data().advice

    def test_data_that_are_not_where_they_were_said_to_be(self, root, monkeypatch, tmp_path):
        monkeypatch.setattr(store, "cache_folder", lambda: root)
        monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "gone"))
        assert doctor.data().found.endswith(f"verified; not in {tmp_path / 'gone'} (VAELIB_DATA)")

    def test_the_data_set_that_was_chosen_is_looked_at(self, fresh, monkeypatch):
        monkeypatch.setenv("VAELIB_DATASET", "glyphs")
        assert "prefetch glyphs" in doctor.data().advice
        monkeypatch.setenv("VAELIB_DATASET", "cifar")
        assert doctor.data().advice.startswith("set it to one of mnist")

    def test_the_home_folder_is_not_told(self, root, monkeypatch):
        for variable in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(variable, str(root.parent))
        assert doctor.data().found == f"mnist in ~{os.sep}{root.name}, all files verified"


class TestTraining:
    def test_ten_steps_are_timed(self):
        found = doctor.training()
        assert found.found.startswith("10 steps, ")
        assert 300 < float(found.found.split()[-2]) < 800

    def test_a_slow_machine(self, monkeypatch):
        monkeypatch.setattr(doctor, "SLOW", 1e12)
        assert doctor.training().advice.startswith("very slow")

    def test_a_training_that_fails_is_told(self, monkeypatch):
        def broken(*_, **__):
            raise RuntimeError("no such instruction")

        monkeypatch.setattr("vaelib.training.train", broken)
        found = doctor.training()
        assert found.found == "RuntimeError: no such instruction"
        assert found.advice


def test_the_command_prints_all_and_returns_what_failed(monkeypatch, capsys):
    def both():
        yield Finding("memory", "fine")
        yield Finding("data", "gone", "get it")

    monkeypatch.setattr(doctor, "findings", both)
    assert command.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "→ get it" in printed
    assert "1 to fix" in printed
    monkeypatch.setattr(doctor, "findings", lambda: [Finding("memory", "fine")])
    assert command.main(["doctor"]) == 0
    assert "All is well" in capsys.readouterr().out


def test_the_report_has_a_line_for_each_check(root, capsys):
    code = command.main(["doctor"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("vaelib ")
    about = [line.split()[1] for line in lines if line.startswith(("OK  ", "FAIL"))]
    kinds = ["Python", "package", "memory", "threads", "home", "kernel", "data", "training"]
    assert list(dict.fromkeys(about)) == kinds
    assert code == any(line.startswith("FAIL") for line in lines)


def test_it_says_fail_where_something_cannot_be_imported():
    missing = ["psutil", "torch", "packaging", "jupyter_client"]
    script = (
        f"import runpy, sys; sys.modules |= dict.fromkeys({missing}); "
        "sys.argv = ['vaelib', 'doctor']; runpy.run_module('vaelib', run_name='__main__')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}  # a Windows pipe, without an arrow
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment, timeout=120
    )
    said = done.stdout.decode("cp1252")
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    failed = [line for line in said.splitlines() if line.startswith("FAIL")]
    for name in missing:
        assert any(name in line for line in failed), said
    well = [line.split()[1] for line in said.splitlines() if line.startswith("OK")]
    assert well == ["Python", "home"]
    assert "to fix" in said


def test_a_torchvision_that_cannot_be_imported_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    (found,) = (finding for finding in doctor.findings() if finding.about == "training")
    assert "torchvision" in found.found
    assert found.advice


@pytest.mark.parametrize(("limit", "fails"), [("1073741824\n", True), ("max\n", False)])
def test_memory_is_what_a_container_may_use(monkeypatch, tmp_path, limit, fails):
    Facts = namedtuple("Facts", "available total")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Facts(200e9, 256e9))
    (tmp_path / "memory.max").write_text(limit)
    found = doctor.memory([tmp_path / "memory.max", tmp_path / "not there"])
    assert bool(found.advice) == fails
    assert found.found == ("1.1 of 1.1 GB free" if fails else "200.0 of 256.0 GB free")


HOME = Path(__file__).parents[2]
BEFORE_THE_ADVICE = [  # what runs before a Python that is too old has been told so
    HOME / "vaelib" / "__init__.py",
    HOME / "vaelib" / "__main__.py",
    HOME / "vaelib" / "calm.py",
    HOME / "vaelib" / "course" / "__init__.py",
    HOME / "vaelib" / "course" / "doctor.py",
    HOME / "vaelib" / "course" / "tasks.py",
    HOME / "tools" / "workshop" / "start.py",
]


def old_pythons():
    """The Pythons before 3.10 on this machine, as commands."""
    named = [shutil.which(name) for name in ("python3.8", "python3.9", "pypy3", "python3")]
    say = [(name, "import sys; print(sys.version_info[:2] < (3, 10))") for name in named if name]
    return [
        name
        for name, script in say
        if subprocess.run([name, "-c", script], capture_output=True, text=True).stdout == "True\n"
    ]


class TestOldPython:
    @pytest.mark.parametrize("path", BEFORE_THE_ADVICE, ids=lambda path: path.stem)
    def test_its_grammar_and_no_newer_annotations(self, path):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        annotated = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign)
            or (isinstance(node, ast.FunctionDef) and (node.returns or node.args.args))
        ]
        futures = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert not annotated or futures[0].module == "__future__"

    def test_these_are_all_the_files(self, monkeypatch):
        """With an old version's number, nothing else of the package is imported."""
        script = (
            "import runpy, sys; sys.version_info = (3, 9, 0, 'final', 0); "
            "sys.argv = ['vaelib', 'doctor']\n"
            "try: runpy.run_module('vaelib', run_name='__main__')\n"
            "finally: print(*(m.__file__ for n, m in sys.modules.items() if n[:6] == 'vaelib'), "
            "sep='|')"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        *_, files = done.stdout.splitlines()
        assert {Path(file) for file in files.split("|")} <= set(BEFORE_THE_ADVICE)
        assert "install Python 3.10 or newer" in done.stdout
        assert done.returncode == 1
        assert not done.stderr

    @pytest.mark.skipif(not old_pythons(), reason="no Python before 3.10 on this machine")
    def test_doctor_and_start_say_so_and_stop(self, tmp_path):
        shutil.copytree(HOME / "vaelib", tmp_path / "vaelib")
        shutil.copy(HOME / "tools" / "workshop" / "start.py", tmp_path)
        environment = os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
        for python in old_pythons():
            for arguments in (["-m", "vaelib", "doctor"], ["start.py", "--check"], ["start.py"]):
                done = subprocess.run(
                    [python, *arguments],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert "→ install Python 3.10 or newer" in done.stdout, done.stderr
                assert done.returncode == 1
                assert not done.stderr
