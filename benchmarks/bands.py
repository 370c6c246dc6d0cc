"""What the notebooks check by a band, on several arithmetics: two BLAS, threads, and seeds.

`python -m benchmarks.bands 05_training --blas libopenblas.so.0` executes a notebook from each of
three seeds, with one thread and with two, by PyTorch's own BLAS and by the one named, which is
loaded before it (Debian: `apt install libopenblas0-pthread`). Each run is a row of bands.json: what
every `expect` received (least and greatest, where a loop asks more than once), and which assertions
failed. The run goes on in either case. A seed of 1 or 2 is added to every seed in the notebook and
of the demonstration models. A band is wrong if it leaves out one of the values, which are named
after each run.
"""

import argparse
import ast
import itertools
import json
import math
import os
import tempfile
from pathlib import Path

import nbformat
import torch
from nbclient import NotebookClient

from benchmarks.published.reproduce import rounded, write
from benchmarks.timing import facts
from vaelib import evaluation
from vaelib.course import demonstration

HOME = Path(__file__).parent.parent
NOTEBOOKS = HOME / "notebooks"
RESULTS = Path(__file__).with_name("bands.json")
SEEDS = (0, 1, 2)
THREADS = (1, 2)
KEY = ("notebook", "dataset", "blas", "threads", "seed")


def expectations(notebook: nbformat.NotebookNode) -> dict[str, dict[str, tuple[float, float]]]:
    """Of each `expect`, by the source of its value: the bands, by data set."""
    trees = [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id.endswith("BANDS")
    }
    found: dict[str, dict] = {}
    for call in filter(_expects, nodes):
        given = ast.Call(ast.Name("dict"), [], call.keywords)
        what = ast.unparse(call.args[0])
        assert what not in found, f"two bands for {what}: give one of them another name"
        found[what] = eval(ast.unparse(given), {}, constants)
    return found


def outside(row: dict, allowed: dict[str, dict]) -> dict[str, list[float]]:
    """The values of a row that lie outside the band of its data set; without a band, none."""
    found = {}
    for what, (least, greatest) in row["values"].items():
        low, high = allowed[what].get(row["dataset"], (-math.inf, math.inf))
        if not low <= least <= greatest <= high:
            found[what] = [least, greatest]
    return found


def _expects(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr == "expect"


class Watch(ast.NodeTransformer):
    """Makes a cell's checks report to `Record`, which raises nothing."""

    def visit_Assert(self, node: ast.Assert) -> ast.Expr:
        return _report("asserted", node.test, [node.test], node)

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if not _expects(node.value):
            return node
        value = node.value.args[0]
        return _report("expected", value, [node.value.func.value, value], node)


def _report(kind: str, what: ast.expr, given: list[ast.expr], node: ast.stmt) -> ast.Expr:
    name = ast.Attribute(ast.Name("_record", ast.Load()), kind, ast.Load())
    made = ast.Expr(ast.Call(name, [ast.Constant(ast.unparse(what)), *given], []))
    return ast.fix_missing_locations(ast.copy_location(made, node))


class Record:
    """What a notebook's checks received."""

    def __init__(self) -> None:
        self.dataset, self.values, self.failed = "", {}, []

    def expected(self, what: str, dataset: object, value: float) -> None:
        self.dataset = dataset.name
        low, high = self.values.get(what, (float(value),) * 2)
        self.values[what] = [min(low, float(value)), max(high, float(value))]

    def asserted(self, what: str, holds: object) -> None:
        if not holds and what not in self.failed:
            self.failed.append(what)


def watch(seed: int, folder: str) -> None:
    """In a kernel, before a notebook's cells: shift all seeds, and record the checks."""
    generator = torch.Generator

    class Known(type(generator)):
        """Any of PyTorch's own generators, such as the global one, passes for a shifted one."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, generator)

    class Shifted(torch.Generator, metaclass=Known):
        def manual_seed(self, given: int) -> torch.Generator:
            return super().manual_seed(given + seed)

    torch.Generator = demonstration.Generator = evaluation.Generator = Shifted
    demonstration.model_file = lambda name: Path(folder) / f"{name}.safetensors"
    shell = get_ipython()  # noqa: F821
    shell.ast_transformers.append(Watch())
    shell.user_ns["_record"] = Record()


def measure(notebook: nbformat.NotebookNode, threads: int, seed: int, blas: str = "") -> dict:
    """The row of one execution, in a kernel of its own."""
    code = nbformat.v4.new_code_cell
    with tempfile.TemporaryDirectory() as folder:
        first = code(f"from benchmarks import bands\nbands.watch({seed}, {folder!r})")
        last = code("import json\nprint(json.dumps(vars(_record)))")
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        watched = nbformat.v4.new_notebook(cells=[first, *cells, last])
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "PYTHONPATH": str(HOME),
        }
        kernel = NotebookClient(
            watched,
            kernel_name="python3",
            timeout=3600,
            startup_timeout=600,  # another program may have the processor
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        kernel.execute(env=environment | ({"LD_PRELOAD": blas} if blas else {}))
    row = json.loads(watched.cells[-1].outputs[0].text)
    return {"blas": Path(blas).name or "PyTorch's", "threads": threads, "seed": seed} | row


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bands", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="such as 05_training; default: all")
    parser.add_argument("--blas", default="", help="a library to load before PyTorch's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS)
    given = parser.parse_args(arguments)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    names = given.notebooks or [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    libraries = dict.fromkeys(("", given.blas))
    for name, seed, threads, blas in itertools.product(
        names, given.seeds, given.threads, libraries
    ):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        row = {"notebook": name} | rounded(measure(notebook, threads, seed, blas), 4)
        print(json.dumps(row), flush=True)
        print("outside their bands:", outside(row, expectations(notebook)) or "none", flush=True)
        made = {tuple(row[key] for key in KEY): row for row in [*rows, row]}
        rows = sorted(made.values(), key=lambda row: [row[key] for key in KEY])
        write(RESULTS, {"facts": facts(), "rows": rows})


if __name__ == "__main__":
    main()
