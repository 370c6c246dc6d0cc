"""The two lists of what the course needs, in pyproject.toml and environment.yml, agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HOME = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch-cpu"}

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def project():
    return tomllib.loads((HOME / "pyproject.toml").read_text())["project"]


@pytest.fixture
def environment():
    return yaml.safe_load((HOME / "environment.yml").read_text())


def bounds(requirements):
    pattern = re.compile(r"^([A-Za-z0-9_.-]+)\s*(.*)$")
    return dict(pattern.match(requirement).groups() for requirement in requirements)


def conda(environment):
    return bounds(item for item in environment["dependencies"] if isinstance(item, str))


def with_lab(project):
    """The bounds on a machine with JupyterLab: the extra `lab` asks for newer versions of some."""
    return bounds(project["dependencies"]) | bounds(project["optional-dependencies"]["lab"])


def test_bounds_are_the_same_in_both(project, environment):
    in_conda = conda(environment)
    shared = 0
    for name, bound in with_lab(project).items():
        name = CONDA_NAMES.get(name, name)
        if name in in_conda:
            assert in_conda.pop(name) == bound, name
            shared += 1
    assert shared == 7
    assert in_conda.pop("python") == project["requires-python"]
    assert set(in_conda) == {"pip"}, "conda lists something that pyproject.toml does not"


def test_pip_adds_nbval_and_the_package_itself(project, environment):
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert "-e ." in pip
    developers = bounds(project["optional-dependencies"]["dev"])
    assert f"nbval{developers['nbval']}" in pip


def test_every_import_of_the_package_and_the_notebooks_is_declared(project):
    import nbformat

    sources = [path.read_text(encoding="utf-8") for path in (HOME / "vaelib").rglob("*.py")]
    for path in (HOME / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources += [cell.source for cell in cells if cell.cell_type == "code"]
    found = re.findall(r"^\s*(?:from|import) (\w+)", "\n".join(sources), re.MULTILINE)
    named = {"PIL": "pillow", "IPython": "ipython"}
    found = {named.get(name, name) for name in found}
    foreign = found - set(sys.stdlib_module_names) - {"vaelib"}
    assert foreign <= set(bounds(project["dependencies"])), foreign
    assert "torch" in foreign


def test_pre_commit_runs_the_linter_that_ci_runs(project):
    hooks = yaml.safe_load((HOME / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pinned = {item for hook in hooks for item in hook["additional_dependencies"]}
    (ruff,) = (item for item in project["optional-dependencies"]["dev"] if item.startswith("ruff"))
    assert ruff in pinned


def test_the_network_is_forbidden_where_make_offline_says_so():
    script = """
import socket, threading, urllib.request
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5).close()
socket.getaddrinfo("localhost", 80)
for attempt in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: urllib.request.urlopen("http://example.org", timeout=5),
):
    try:
        attempt()
    except OSError as error:
        print("forbidden" in str(error))
"""
    environment = os.environ | {"PYTHONPATH": str(HOME / "tools" / "offline")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_the_version_is_the_same_wherever_it_is_written():
    import vaelib

    citation = yaml.safe_load((HOME / "CITATION.cff").read_text())
    assert citation["version"] == vaelib.__version__
    assert f"## {vaelib.__version__} " in (HOME / "CHANGELOG.md").read_text()


def test_the_issue_form_for_failures_asks_for_the_doctors_text():
    form = yaml.safe_load((HOME / ".github/ISSUE_TEMPLATE/notebook-fails.yml").read_text())
    (doctor,) = (field for field in form["body"] if field["id"] == "doctor")
    assert "python -m vaelib doctor" in doctor["attributes"]["description"]
    assert doctor["validations"]["required"]


def test_the_oldest_versions_are_those_of_every_dependency(project):
    done = subprocess.run(
        [sys.executable, str(HOME / "tools" / "oldest.py")], capture_output=True, text=True
    )
    expected = [f"{name}=={bound[2:]}.*" for name, bound in with_lab(project).items()]
    assert done.stdout.split() == expected
    assert {"jupyterlab==4.2.*", "ipywidgets==8.1.*"} <= set(expected)


def test_the_extras_only_add_to_what_the_lessons_import(project):
    lessons, lab = bounds(project["dependencies"]), bounds(project["optional-dependencies"]["lab"])
    assert set(lab) - set(lessons) == {"jupyterlab"}
    for name in set(lab) & set(lessons):
        older, newer = (tuple(map(int, b[2:].split("."))) for b in (lessons[name], lab[name]))
        assert older < newer, name
    assert "vaelib[book,lab]" in project["optional-dependencies"]["dev"]


WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_actions_have_least_permissions_and_a_time_limit(path):
    text = path.read_text()
    used = re.findall(r"uses: *(\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90


def test_actions_have_one_version_each_and_a_robot_that_looks_for_newer_ones():
    used = [line for path in WORKFLOWS for line in re.findall(r"uses: (.+)", path.read_text())]
    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in used)
    assert len({line.partition("@")[0] for line in used}) == len(set(used))
    robot = yaml.safe_load((HOME / ".github" / "dependabot.yml").read_text())
    assert [update["package-ecosystem"] for update in robot["updates"]] == ["github-actions"]


def test_only_what_publishes_may_write():
    may = {
        (path.stem, name): job["permissions"]
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text())["jobs"].items()
        if "permissions" in job
    }
    assert may == {
        ("book", "publish"): {"pages": "write", "id-token": "write"},
        ("ci", "report"): {"issues": "write"},
        ("colab", "notebooks"): {"contents": "write"},
        ("release", "publish"): {"contents": "write", "id-token": "write"},
    }


def test_every_week_deprecations_are_errors_and_a_failure_opens_an_issue():
    workflow = yaml.safe_load((HOME / ".github" / "workflows" / "ci.yml").read_text())
    jobs = workflow["jobs"]
    (make_all,) = (step["run"] for step in jobs["all"]["steps"] if step.get("name") == "make all")
    assert "WARNINGS=error" in make_all
    assert "schedule" in jobs["all"]["if"]
    assert set(jobs["report"]["needs"]) == set(jobs) - {"report"}
    assert jobs["report"]["if"] == "failure() && github.event_name == 'schedule'"
    assert "gh issue create" in jobs["report"]["steps"][0]["run"]


def test_every_python_that_is_declared_is_newest_or_oldest_or_tried(project):
    workflow = yaml.safe_load((HOME / ".github" / "workflows" / "ci.yml").read_text())
    tried = {row["python"] for row in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]}
    assert {"3.10", "3.13", "3.14"} <= tried
    declared = {kind.rpartition(" ")[2] for kind in project["classifiers"] if ":: 3." in kind}
    assert declared >= tried - {"3.x"}


def test_workflows_run_make_targets_that_there_are():
    makefile = (HOME / "Makefile").read_text()
    called = {
        target for path in WORKFLOWS for target in re.findall(r"run: make (\w+)", path.read_text())
    }
    assert called == {
        *("test", "offline", "all", "quick", "links", "dist", "workshop", "playground", "book")
    }
    for target in called:
        assert re.search(rf"^{target}: ", makefile, re.MULTILINE)


def test_a_release_is_tried_like_a_pull_request_before_it_is_published():
    """Wheel and sdist are built and tried by the same steps in both workflows."""
    ci, release = (
        yaml.safe_load((HOME / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]
        for name in ("ci", "release")
    )
    tried = [step for step in ci["package"]["steps"] if "run" in step]
    assert len(tried) == 4
    assert [step for step in tried if step not in release["build"]["steps"]] == []
    assert release["publish"]["needs"] == "build"


def test_make_runs_every_folder_of_tests():
    """`make test` all but the slow ones, which `make all` adds."""
    makefile = (HOME / "Makefile").read_text()
    named = re.search(r"^TESTS := (.+)$", makefile, re.MULTILINE)[1].split()
    there = {path.relative_to(HOME).parts[1] for path in (HOME / "tests").rglob("test_*.py")}
    assert there == {*(name.removeprefix("tests/") for name in named), "slow"}
    assert "tests/slow $(SOLVED) $(NOTEBOOKS) $(TESTS)" in makefile


def test_contributing_names_every_job_that_ci_runs_for_a_pull_request():
    """`make test` here does not promise that CI passes, and the page says what else runs."""
    page = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| CI job |")[2].partition("\n\n")[0]
    jobs = yaml.safe_load((HOME / ".github/workflows/ci.yml").read_text())["jobs"]
    words = {
        "test": ("3.13 and 3.14", "oldest", "macOS and Windows"),
        "all": ("make all WARNINGS=error",),
        "conda": ("conda",),
        "colab": ("Colab",),
        "package": ("wheel and sdist",),
    }
    assert set(words) == set(jobs) - {"report"}
    assert [word for named in words.values() for word in named if word not in table] == []


def test_the_pages_that_a_code_host_looks_for_are_there_and_are_linked():
    page = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in ("CODE_OF_CONDUCT.md", "SECURITY.md"):
        assert f"]({name})" in page
        assert len((HOME / name).read_text(encoding="utf-8").split()) > 80
    assert (HOME / ".github" / "CODEOWNERS").exists()
