"""Every notebook, run by papermill with the installed package from an unrelated folder."""

import pytest
from installed import HOME, papermill, site, wheel  # noqa: F401  (fixtures)

PATHS = sorted((HOME / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_runs_and_writes_nowhere_else(path, site, tmp_path):  # noqa: F811
    before = {file: file.stat().st_mtime_ns for file in HOME.rglob("*") if ignored(file)}
    made = papermill(path, site, tmp_path)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    after = {file: file.stat().st_mtime_ns for file in HOME.rglob("*") if ignored(file)}
    assert after == before
    assert {file.name for file in tmp_path.iterdir()} <= {f"made {path.name}", "output"}


def ignored(file):
    """Whether a file is one that a notebook might have written beside itself or in build/."""
    return file.relative_to(HOME).parts[0] in ("notebooks", "build") and file.is_file()
