"""Colab and Kaggle: check their versions against ours, and make notebooks that install the course.

python tools/colab.py check                         install nothing, and say what would change
python tools/colab.py make SOURCE [--into FOLDER]   notebooks that begin by installing SOURCE

`check` needs pip 22.2 and a network. SOURCE is what pip installs: workshop.zip, or
git+https://... of the repository.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PINS = HOME / "tools" / "colab.txt"
BUILD = HOME / "build" / "colab"
CELL = """\
# On Colab or Kaggle, this cell installs the course. Where vaelib is there, it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("vaelib") is None:
    %pip install --quiet {source}
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()"""


class ColabError(RuntimeError):
    """An installation that would change Colab's packages, or failed; the message says which."""


def pins(text: str) -> dict[str, str]:
    """Name and version of each line `name==version`."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def requirements(text: str) -> list[str]:
    """What the lessons import: the list `dependencies` of a pyproject.toml."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'^\s*"([^"]+)",', listed[1], re.MULTILINE)


def pretend(folder: Path, versions: dict[str, str]) -> None:
    """Let pip believe that these versions are installed: their metadata without their files."""
    for name, version in versions.items():
        record = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}")
        (record / "INSTALLER").write_text("pip\n")
        (record / "RECORD").write_text("")


def canonical(name: str) -> str:
    """The spelling of a package's name that all its spellings share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def changed(versions: dict[str, str], wanted: list[str], *options: str) -> list[str]:
    """What pip would replace among `versions` to install `wanted`, as `name old -> new`."""
    with tempfile.TemporaryDirectory() as folder:
        pretend(Path(folder), versions)
        report = Path(folder) / "report.json"
        command = ["pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [sys.executable, "-m", *command, "--report", str(report), *options, *wanted],
            env=os.environ | {"PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ColabError(f"pip found no way to install the course:\n{done.stderr.strip()}")
        new = [item["metadata"] for item in json.loads(report.read_text("utf-8"))["install"]]
    old = {canonical(name): version for name, version in versions.items()}
    return [
        f"{item['name']} {old[canonical(item['name'])]} -> {item['version']}"
        for item in new
        if canonical(item["name"]) in old
    ]


def check() -> str:
    """A sentence that says that nothing would change, or an error that says what would."""
    versions = pins(PINS.read_text("utf-8"))
    found = changed(versions, requirements((HOME / "pyproject.toml").read_text("utf-8")))
    if found:
        raise ColabError(
            f"installing the course would replace packages of Colab's: {', '.join(found)}. "
            "Lower their bounds in pyproject.toml, or bring tools/colab.txt up to date."
        )
    return f"Installing the course changes none of {len(versions)} packages of Colab's."


def with_install_cell(notebook: dict, source: str) -> dict:
    """The notebook, as JSON, with the cell that installs `source` before its first code cell."""
    code = {
        "cell_type": "code",
        "id": "install-the-course",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": CELL.format(source=source).splitlines(keepends=True),
    }
    cells = notebook["cells"]
    first = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "code")
    return notebook | {"cells": [*cells[:first], code, *cells[first:]]}


def make(source: str, into: Path) -> list[Path]:
    """Write each notebook with its install cell, and return the paths."""
    if not re.fullmatch(r"[\w.:/@+-]+", source):
        raise ColabError(f"{source!r} is no source for pip: give workshop.zip or git+https://...")
    into.mkdir(parents=True, exist_ok=True)
    made = []
    for path in sorted((HOME / "notebooks").glob("*.ipynb")):
        notebook = with_install_cell(json.loads(path.read_text("utf-8")), source)
        made.append(into / path.name)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        made[-1].write_text(text, encoding="utf-8")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="tools/colab.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    maker = commands.add_parser("make")
    maker.add_argument("source")
    maker.add_argument("--into", type=Path, default=BUILD)
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            print(check())
        else:
            print(f"{len(make(given.source, given.into))} notebooks in {given.into}")
    except ColabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
