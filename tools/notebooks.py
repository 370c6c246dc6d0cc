"""Execute the course's notebooks: `run` into build/, or `refresh` in place.

python tools/notebooks.py run        executed copies in build/, one line a notebook
python tools/notebooks.py refresh    the committed notebooks, re-executed and normalised
"""

import argparse
import json
import shutil
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

HOME = Path(__file__).resolve().parent.parent
NOTEBOOKS = HOME / "notebooks"
BUILD = HOME / "build"
RESULT = BUILD / "result.json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}


def kernel_pid(client: NotebookClient) -> int | None:
    return getattr(getattr(client.km, "provisioner", None), "pid", None)


class PeakMemory(threading.Thread):
    """Watches a kernel's resident memory until `stop`; `bytes` is the most that it saw."""

    def __init__(self, client: NotebookClient) -> None:
        super().__init__(daemon=True)
        self.client, self.bytes, self.done = client, 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            pid = kernel_pid(self.client)
            if pid is None:
                continue
            try:
                self.bytes = max(self.bytes, psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue

    def stop(self) -> int:
        self.done.set()
        self.join()
        return self.bytes


def execute(path: Path) -> tuple[nbformat.NotebookNode, str, str]:
    """The notebook executed as far as it went, a line of figures, and its failure or ''."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    memory, start, failure = PeakMemory(client), time.perf_counter(), ""
    BUILD.mkdir(exist_ok=True)
    log = (BUILD / "kernels.log").open("a")
    memory.start()
    # In a thread of its own, since in the main thread nbclient takes Ctrl-C for itself.
    worker = ThreadPoolExecutor(1)
    try:
        worker.submit(client.execute, stderr=log).result()
    except KeyboardInterrupt:
        if (pid := kernel_pid(client)) is not None:
            psutil.Process(pid).kill()
        raise
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        failure = describe_failure(notebook, error)
    finally:
        peak = memory.stop()
        log.close()
    figures = f"{time.perf_counter() - start:6.1f} s  {peak / 1e6:5.0f} MB"
    return notebook, figures, failure


def describe_failure(notebook: nbformat.NotebookNode, error: Exception) -> str:
    """Which cell failed, its source and the error's last line."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
    failed = [
        (i, cell, output)
        for i, cell in enumerate(code, 1)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    if not failed:
        reached = sum(cell.execution_count is not None for cell in code)
        return f"at code cell {reached} of {len(code)}: {type(error).__name__}: {error}"
    i, cell, output = failed[0]
    source = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return f"code cell {i} of {len(code)}:\n{source}\n  {output.ename}: {output.evalue}"


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from one machine to the next: timings, versions, widget state."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    partial = path.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)


def get_data() -> None:
    from vaelib import sources

    try:
        sources.find("mnist")
    except sources.DataError as error:
        sys.exit(str(error))


def report() -> None:
    """Print what notebook 5 measured, beside the band that it must fall in."""
    result = json.loads(RESULT.read_text())
    low, high = result["band"]
    print(f"\nData set: {result['dataset']}")
    print(
        f"Test −ELBO: {result['negative_elbo']:.2f} nats per image "
        f"(expected between {low} and {high})"
    )
    print(f"Pictures: {BUILD.name}/sample.png and in the notebooks under {BUILD.name}/notebooks/")


def run(paths: list[Path]) -> int:
    get_data()
    RESULT.unlink(missing_ok=True)
    (BUILD / "notebooks").mkdir(parents=True, exist_ok=True)
    failures = 0
    for path in paths:
        print(f"{path.stem:<18}", end="", flush=True)
        notebook, figures, failure = execute(path)
        write(normalise(notebook), BUILD / "notebooks" / path.name)
        print(f"{figures}  {'FAILED, ' + failure if failure else 'ok'}", flush=True)
        failures += bool(failure)
    if RESULT.exists():
        report()
    return 1 if failures else 0


def refresh(paths: list[Path]) -> int:
    get_data()
    failures = 0
    for path in paths:
        print(f"{path.stem:<18}", end="", flush=True)
        notebook, figures, failure = execute(path)
        if not failure:
            write(normalise(notebook), path)
        kept = f"FAILED and left as it was, {failure}"
        print(f"{figures}  {kept if failure else 'refreshed'}", flush=True)
        failures += bool(failure)
    picture = BUILD / "digits.png"
    if not failures and "05_training" in {path.stem for path in paths}:
        (HOME / "docs").mkdir(exist_ok=True)
        shutil.copyfile(picture, HOME / "docs" / picture.name)
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("run", "refresh"))
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all, in order")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Proactor event loop")
    paths = arguments.notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    try:
        return {"run": run, "refresh": refresh}[arguments.task](paths)
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished before is kept")
        return 130


if __name__ == "__main__":
    sys.exit(main())
