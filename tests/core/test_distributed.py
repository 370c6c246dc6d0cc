"""Two and four processes make the run that one makes, and end together."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import together
import torch

from vaelib import processes
from vaelib.distributed import share, weight
from vaelib.processes import Team

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not tried on this system")
HOME = Path(__file__).parents[2]


def environment():
    path = os.pathsep.join([str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def one():
    """What a single process gives."""
    return together.all_cases(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes went on with a run of one, and others left what they found."""
    folder = tmp_path_factory.mktemp("together")
    together.case("dense", epochs=1, save_to=folder / "run-0.safetensors")
    works = ("everything:2", "few:4", "error_in_one:2", "error_in_all:2")
    command = [sys.executable, HOME / "tests" / "together.py", folder, *works]
    subprocess.run(command, check=True, timeout=600, env=environment())
    return folder


def ended(work, folder):
    """The exit codes of its processes, and what they wrote to standard error."""
    return json.loads((folder / f"{work}.json").read_text(encoding="utf-8")).values()


def found_by(work, size, folder):
    """What each of so many processes gives."""
    codes, errors = ended(work, folder)
    assert codes == [0] * size, errors
    assert not errors
    return [torch.load(folder / f"{work}-{rank}.pt", weights_only=False) for rank in range(size)]


@pytest.fixture(scope="module")
def two(folder):
    return found_by("everything", 2, folder)


def same_run(ours, theirs):
    """As the same seed gives on one machine, but for the rounding of sums."""
    (weights, history, state, _), (expected, known, final, _) = ours, theirs
    assert (weights - expected).norm() <= 1e-4 * expected.norm()
    ours, theirs = (torch.stack([*each.train, *each.test]) for each in (history, known))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    assert torch.equal(state, final)


class TestShares:
    @pytest.mark.parametrize(("batch", "size"), [(10, 1), (10, 2), (10, 4), (7, 3), (4, 4)])
    def test_every_row_is_computed_once_and_weighs_the_same(self, batch, size):
        teams = [Team(rank, size) for rank in range(size)]
        rows = [list(range(batch))[share(batch, team)] for team in teams]
        assert list(itertools.chain(*rows)) == list(range(batch))
        assert max(map(len, rows)) - min(map(len, rows)) <= 1
        assert [weight(batch, team) for team in teams] == [len(some) / batch for some in rows]

    def test_a_batch_with_fewer_rows_than_processes_is_everyones(self):
        assert [share(3, Team(rank, 4)) for rank in range(4)] == [slice(0, 3)] * 4
        assert sum(weight(3, Team(rank, 4)) for rank in range(4)) == 1


class TestOneRun:
    def test_weights_history_and_generator_are_those_of_one_process(self, two, one):
        for found in two:
            for name, ours in found["all_cases"].items():
                same_run(ours, one[name])

    def test_also_with_four(self, one, folder):
        for found in found_by("few", 4, folder):
            for name, ours in found["all_cases"].items():
                same_run(ours, one[name])

    def test_the_first_process_reports_whole_batches_and_the_others_nothing(self, two, one):
        first, *others = (found["all_cases"]["dense"][3] for found in two)
        assert [len(bound) for bound in first] == [9, 9, 9, 9, 1] * 2
        torch.testing.assert_close(first, one["dense"][3], rtol=0, atol=1e-3)
        assert not any(others)

    def test_no_noise_is_drawn_twice(self, two):
        steps = list(zip(*(found["noise"] for found in two), strict=True))
        alone = together.noise(None)
        for (expected, _), parts in zip(alone[:-1], steps[:-1], strict=True):
            assert torch.equal(torch.cat([noise for noise, _ in parts]), expected)
        masks = torch.stack([mask for parts in steps for _, mask in parts])
        assert len(masks.unique(dim=0)) == len(masks)

    def test_a_run_goes_on_with_another_number_and_the_first_alone_writes(self, two, one, folder):
        for each in two:
            same_run(each["resumed"], one["dense"])
        assert [path.name for path in folder.glob("run-*")] == ["run-0.safetensors"]
        longer = together.case("dense", epochs=3, resume=folder / "run-0.safetensors")
        same_run(longer, together.case("dense", epochs=3))

    def test_processes_with_different_images_are_refused(self, two):
        for found in two:
            assert "images is 36 with SHA-256" in found["unlike"]
            assert "in process 1, but 37 with SHA-256" in found["unlike"]

    def test_seeds_are_spread_over_processes(self, two, folder):
        first, second = (found["seeds"] for found in two)
        assert "Processes of two threads are slower there than one" in first
        assert [text.count("now the judge") for text in (first, second)] == [2, 1]
        rows = json.loads((folder / "one-layer.json").read_text(encoding="utf-8"))["runs"]
        assert [row["seed"] for row in rows] == [0, 1, 2]
        assert {row["minutes"] for row in rows} == {1}, "each is trained by its process alone"


class TestEnding:
    @pytest.mark.parametrize(
        ("work", "message"),
        [
            ("error_in_one", "MemoryError: no room in process 1"),
            ("error_in_all", "NonFiniteError: the loss is not a finite number in epoch 1"),
        ],
    )
    def test_an_error_ends_all_and_is_told_once(self, work, message, folder):
        codes, errors = ended(work, folder)
        assert 1 in codes
        assert errors.count("Traceback") == 1
        assert message in errors

    def test_ctrl_c_in_one_process_ends_all_with_one_warning(self):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*torchrun, "--nproc-per-node", "2", HOME / "tests" / "together.py"]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with subprocess.Popen([*command, "."], env=environment(), **pipes) as run:
            try:
                said = sorted(run.stdout.readline().split() for _ in range(3))
                assert [line[:-1] for line in said] == [[], ["process", "0"], ["process", "1"]]
                os.kill(int(said[2][-1]), signal.SIGINT)
                told, warned = run.communicate(timeout=600)
            finally:
                run.terminate()
        assert sorted(map(str.split, told.splitlines())) == [["ended", "0"], ["ended", "1"]], warned
        assert warned.count("training was stopped in epoch") == 1
        assert run.returncode == 0


def test_alone_each_process_trains_a_model_of_its_own(monkeypatch):
    for name in processes.STARTED:
        monkeypatch.setenv(name, "2")
    with processes.alone():
        assert processes.team() == Team(0, 1)
