"""A learner's machine has the installed package and a notebook, in whatever folder."""

import zipfile
from pathlib import Path

import nbformat
from installed import HOME, papermill, site, wheel  # noqa: F401  (fixtures)


def test_all_files_of_the_package_are_installed(wheel):  # noqa: F811
    kinds = {".py", ".js", ".css", ".json"}
    ours = {
        path.relative_to(HOME).as_posix()
        for path in (HOME / "vaelib").rglob("*")
        if path.suffix in kinds
    }
    with zipfile.ZipFile(wheel) as archive:
        theirs = {name for name in archive.namelist() if not name.startswith("vaelib-")}
    assert theirs == ours
    assert "vaelib/course/results/seeds.json" in ours


def test_a_notebook_runs_from_a_folder_that_has_nothing_to_do_with_it(site, tmp_path):  # noqa: F811
    """In a folder with an awkward name: what the package ships is found, output stays there."""
    folder = tmp_path / "Łukasz' course (2)"
    folder.mkdir()
    cells = [
        "from vaelib.course import explorers, output, plotting, results\n"
        "import vaelib\n"
        "print(vaelib.__file__)",
        "print(len(results.published()), *map(results.read, ('seeds', 'objectives')))",
        "import torch\n"
        "OUTPUT = output.folder('output')\n"
        "plotting.save_images(torch.rand(3, 784), OUTPUT / 'a.png').exists()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    source = tmp_path / "elsewhere" / "toy.ipynb"
    source.parent.mkdir()
    nbformat.write(notebook, source)
    made = papermill(source, site, folder)
    assert Path(made.cells[0].outputs[0].text.strip()) == site / "vaelib" / "__init__.py"
    assert sorted(path.name for path in folder.iterdir()) == ["made toy.ipynb", "output"]
    assert [path.name for path in (folder / "output").iterdir()] == ["a.png"]
    assert list(source.parent.iterdir()) == [source]
