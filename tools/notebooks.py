"""Execute the course's notebooks: `run` into build/, or `refresh` in place.

python tools/notebooks.py run        executed copies in build/, one line a notebook
python tools/notebooks.py refresh    the committed notebooks, re-executed and normalised
"""

import argparse
import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from pictures import describe_pictures

HOME = Path(__file__).resolve().parent.parent
NOTEBOOKS = HOME / "notebooks"
BUILD = HOME / "build"
OUTPUT = BUILD / "output"  # where kernels, which run in build/, write
RESULT = OUTPUT / "result.json"
WIDGET = "application/vnd.jupyter.widget-view+json"
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
    try:
        notebook = blank(nbformat.read(path, as_version=4))
    except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
        reason = f"cannot be read: {str(error).partition(chr(10))[0]}"
        return nbformat.v4.new_notebook(), f"{'':18}", reason
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        coalesce_streams=True,
        resources={"metadata": {"path": str(BUILD)}},
    )
    begun: list[int] = []
    client.on_cell_execute = lambda cell, cell_index: begun.append(cell_index)
    memory, start, failure = PeakMemory(client), time.perf_counter(), ""
    BUILD.mkdir(exist_ok=True)
    log = (BUILD / "kernels.log").open("a", encoding="utf-8")
    memory.start()
    # In a thread of its own, since in the main thread nbclient takes Ctrl-C for itself.
    execution = ThreadPoolExecutor(1).submit(client.execute, stderr=log)
    try:
        execution.result()
    except KeyboardInterrupt:
        while (pid := kernel_pid(client)) is None and not execution.done():
            time.sleep(0.05)  # the kernel is about to start, and would run on without us
        if pid is not None:  # psutil takes None for this process
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()
        wait([execution])
        raise
    except Exception as error:  # whatever it is, the other notebooks still run
        failure = describe_failure(notebook, begun[-1] if begun else None, error)
    finally:
        # nbclient leaves this behind, to fail at exit, if the kernel never came up.
        atexit.unregister(client._cleanup_kernel)
        peak = memory.stop()
        log.close()
    figures = f"{time.perf_counter() - start:6.1f} s  {peak / 1e6:5.0f} MB"
    return notebook, figures, failure


def describe_failure(notebook: nbformat.NotebookNode, at: int | None, error: Exception) -> str:
    """Which cell failed (`at` is the last one that was begun), its source and the error."""
    reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if at is None:
        return f"before its first cell: {reason}"
    outputs = [output for output in notebook.cells[at].outputs if output.output_type == "error"]
    if outputs and not isinstance(error, CellTimeoutError):
        reason = f"{outputs[0].ename}: {outputs[0].evalue}"
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    source = "\n".join(f"    {line}" for line in notebook.cells[at].source.splitlines())
    return f"code cell {code.index(at) + 1} of {len(code)}:\n{source}\n  {reason}"


def blank(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without outputs and counts, so that what it has afterwards comes from this run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop timings, versions and widget state; give each picture its alternative text."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(kept(cell.metadata))
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)  # its state stays behind in the kernel
    describe_pictures(notebook.cells)
    return notebook


def kept(metadata: dict) -> dict:
    """Of a cell's metadata, its tags, and whether its source is folded."""
    hidden = metadata.get("jupyter", {}).get("source_hidden")
    return ({"tags": metadata["tags"]} if metadata.get("tags") else {}) | (
        {"jupyter": {"source_hidden": True}} if hidden else {}
    )


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    from vaelib.data.files import written_whole

    with written_whole(path) as partial:
        nbformat.write(notebook, partial)


def get_data(name: str | None = None) -> None:
    """Have data and demonstration model ready before a kernel starts, and let all find the same."""
    from vaelib.course import demonstration
    from vaelib.data import DataError, catalogue, fetch, loading

    try:
        chosen = loading.choose(name)
    except DataError as error:
        sys.exit(str(error))
    if chosen.name == catalogue.STAND_IN:
        if not os.environ.get("VAELIB_DATASET"):
            # Or each kernel would wait for the network again.
            os.environ["VAELIB_OFFLINE"] = fetch.offline() or "no mirror could be reached"
        if chosen.root is None:
            python("-m", "vaelib", "data", "prefetch", chosen.name)
    if name:
        os.environ["VAELIB_DATASET"] = name
    if not demonstration.model_file(chosen.name).exists():
        python("-m", "vaelib.course.demonstration")


def python(*arguments: str) -> None:
    """Run a command of the package; if it fails, the notebooks say what they lack."""
    subprocess.run([sys.executable, *arguments], check=False)


def report() -> None:
    """Print what the notebook on training measured, beside the band that it must fall in."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    low, high = result["band"]
    stand_in = ", the stand-in for MNIST" if result["dataset"] == "glyphs" else ""
    print(f"\nData set: {result['dataset']}{stand_in}")
    print(
        f"Test −ELBO: {result['negative_elbo']:.2f} nats per image "
        f"(expected between {low} and {high})"
    )
    pictures = f"{BUILD.name}/{OUTPUT.name}/sample.png"
    print(f"Pictures: {pictures} and in the notebooks under {BUILD.name}/notebooks/")


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
    ours = any(NOTEBOOKS in path.resolve().parents for path in paths)
    get_data("mnist" if ours else None)  # committed outputs are MNIST's
    failures = 0
    for path in paths:
        print(f"{path.stem:<18}", end="", flush=True)
        notebook, figures, failure = execute(path)
        if not failure:
            write(normalise(notebook), path)
        kept = f"FAILED and left as it was, {failure}"
        print(f"{figures}  {kept if failure else 'refreshed'}", flush=True)
        failures += bool(failure)
    picture = OUTPUT / "digits.png"
    if not failures and any(path.stem.endswith("_training") for path in paths):
        (HOME / "docs").mkdir(exist_ok=True)
        shutil.copyfile(picture, HOME / "docs" / picture.name)
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("run", "refresh"))
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all, in order")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Proactor event loop")
    sys.stdout.reconfigure(errors="replace")  # a console may lack the minus of −ELBO
    if os.environ.get("VAELIB_DATA"):  # kernels run in another folder
        os.environ["VAELIB_DATA"] = os.path.abspath(os.path.expanduser(os.environ["VAELIB_DATA"]))
    paths = arguments.notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    try:
        return {"run": run, "refresh": refresh}[arguments.task](paths)
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished before is kept")
        return 130


if __name__ == "__main__":
    sys.exit(main())
