import ast
import json
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import (
    bands,
    calm,
    contenders,
    memory,
    objectives,
    peers,
    report,
    seeds,
    speed,
    timing,
)
from benchmarks.contenders import Setting
from vaelib import data, vae
from vaelib.course.demonstration import quick_vae
from vaelib.elbo import elbo
from vaelib.training import mean_terms, train


def test_the_committed_table_is_complete_and_consistent():
    rows = json.loads(objectives.RESULTS.read_text())["rows"]
    keys = {(row["dataset"], row["kl"], row["decoder_penalty"], row["seed"]) for row in rows}
    expected = {
        (name, variant["kl"], variant["decoder_penalty"], seed)
        for name in objectives.DATASETS
        for variant in objectives.VARIANTS
        for seed in objectives.SEEDS
    }
    assert keys == expected
    assert len(rows) == len(expected)
    for row in rows:
        total = row["test_kl"] - row["test_log_likelihood"]
        assert abs(row["test_negative_elbo"] - total) < 1e-3
        assert (row["test_kl_claimed"] < row["test_kl"]) == (row["kl"] == "wrong")


def test_a_variant_is_measured_by_the_true_bound(pixels):
    row = objectives.measure(pixels[:40], pixels[40:], 0, objectives.VARIANTS[2])
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(generator=generator)
    train(model, pixels[:40], objective=objectives.wrong_elbo, generator=generator)
    assert row["test_kl"] == mean_terms(model, pixels[40:]).kl.item()
    assert row["kl"] == "wrong"
    assert abs(row["test_negative_elbo"] - row["test_kl"] + row["test_log_likelihood"]) < 1e-3
    assert row["test_kl_claimed"] != row["test_kl"]


def test_wrong_and_right_objectives_differ_in_the_kl_alone(generator):
    model = vae.dense(generator=generator)
    image = (torch.rand(4, 784, generator=generator) < 0.2).float()
    noise = torch.randn(4, 5, generator=generator)
    right, wrong = elbo(model, image, noise), objectives.wrong_elbo(model, image, noise)
    torch.testing.assert_close(right.log_likelihood, wrong.log_likelihood)
    assert not torch.allclose(right.kl, wrong.kl)


class TestBands:
    CELL = """
for loss in (119, 123):
    train.expect(loss, mnist=(118, 121), glyphs=(92, 96))
assert loss < 120, "too high"
print(torch.rand(1, generator=torch.Generator().manual_seed(3)).item())
"""

    def test_every_measured_value_lies_within_its_band(self):
        for row in json.loads(bands.RESULTS.read_text())["rows"]:
            path = bands.NOTEBOOKS / f"{row['notebook']}.ipynb"
            allowed = bands.expectations(nbformat.read(path, as_version=4))
            assert row["values"].keys() == allowed.keys(), f"measure {path.stem} again"
            outside = bands.outside(row, allowed)
            assert not outside, (path.stem, outside)
            assert not row["failed"], (path.stem, row["failed"])

    def test_a_notebook_is_measured_on_every_arithmetic(self):
        rows = json.loads(bands.RESULTS.read_text())["rows"]
        keys = [tuple(row[key] for key in bands.KEY) for row in rows]
        assert len(set(keys)) == len(keys)
        libraries = {(row["notebook"], row["blas"]) for row in rows}
        for name, count in Counter(key[:2] for key in keys).items():
            assert count == 2 * len(bands.THREADS) * len(bands.SEEDS), name
        assert all(count == 2 for count in Counter(name for name, _ in libraries).values())

    def test_a_value_outside_its_band_is_named(self):
        row = {"dataset": "mnist", "values": {"loss": [119, 123], "rate": [1, 1.5]}}
        allowed = {"loss": {"mnist": (118, 121), "glyphs": (0, 200)}, "rate": {"mnist": (1, 2)}}
        assert bands.outside(row, allowed) == {"loss": [119, 123]}
        assert not bands.outside(row | {"dataset": "kmnist"}, allowed)

    def test_bands_are_read_from_the_source(self):
        cells = [
            self.CELL,
            'BANDS = {"rate": {"mnist": (1, 2)}}',
            'train.expect(r, **BANDS["rate"])',
        ]
        made = [nbformat.v4.new_code_cell(source) for source in cells]
        found = bands.expectations(nbformat.v4.new_notebook(cells=made))
        assert found == {"loss": {"mnist": (118, 121), "glyphs": (92, 96)}, "r": {"mnist": (1, 2)}}

    def test_checks_are_recorded_and_raise_nothing(self):
        record, pixels = bands.Record(), torch.zeros(1, 784, dtype=torch.uint8)
        train = data.loading.Dataset(pixels, torch.zeros(1, dtype=torch.uint8), "mnist")
        tree = bands.Watch().visit(ast.parse(self.CELL))
        exec(compile(tree, "cell", "exec"), {"train": train, "_record": record, "torch": torch})
        assert record.values == {"loss": [119, 123]}
        assert record.failed == ["loss < 120"]
        assert record.dataset == "mnist"

    def test_a_kernel_has_the_threads_and_the_seed(self):
        source = """
import torch
from vaelib import data
train = data.loading.Dataset(None, None, "glyphs")
drawn = torch.rand(1, generator=torch.Generator().manual_seed(3))
train.expect(drawn, glyphs=(0, 1))
assert torch.get_num_threads() == 1
"""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        row = bands.measure(notebook, threads=1, seed=2)
        expected = torch.rand(1, generator=torch.Generator().manual_seed(5)).item()
        assert row["values"] == {"drawn": [expected, expected]}
        assert (row["dataset"], row["failed"]) == ("glyphs", [])


class TestSeeds:
    def test_the_committed_rows_are_those_of_all_seeds(self):
        rows = json.loads(seeds.RESULTS.read_text())["rows"]
        keys = [(row["dataset"], row["seed"]) for row in rows]
        assert keys == [(name, seed) for name in seeds.DATASETS for seed in seeds.SEEDS]
        for row in rows:
            for kind in ("elbo", "iwae"):
                assert row[kind]["negative_log_likelihood"] < row[kind]["negative_elbo"]
            assert 0 < row["paired_error"] < 2

    def test_a_row_is_made_by_the_notebooks_own_models(self, pixels):
        row = seeds.rounded(seeds.measure(pixels[:40], pixels[:40], 3))
        model = quick_vae(pixels[:40], seed=3)
        expected = -mean_terms(model, pixels[:40]).bound.item()
        assert row["elbo"]["negative_elbo"] == pytest.approx(expected, abs=1e-3)
        assert row["iwae"]["negative_elbo"] != row["elbo"]["negative_elbo"]
        assert 0 <= row["plain"]["dimensions"] <= 50
        assert row["plain"]["rate"] != row["warm_up"]["rate"]


class Products(TorchDispatchMode):
    """Counts matrix products by their three sizes, whichever way round they are written."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        if function.name() in ("aten::mm", "aten::addmm"):
            left, right = arguments[-2:]
            self.found[tuple(sorted((*left.shape, right.shape[1])))] += 1
        return function(*arguments, **(settings or {}))


def products(epoch):
    """The shapes of all matrix products, but those of one row: a question to the model."""
    with Products() as counting:
        epoch()
    return Counter({shape: n for shape, n in counting.found.items() if 1 not in shape})


@pytest.fixture
def folder(tmp_path, pixels):
    contenders.write_idx(str(tmp_path), pixels, torch.arange(60) % 10)
    return str(tmp_path)


TINY = Setting("tiny", hidden=30, latent=3, batch_size=25)


class TestSpeed:
    def test_the_floor_has_the_products_of_every_contender_and_nothing_else(self, pixels, folder):
        alone = products(contenders.floor(TINY, 60))
        assert alone.total() == 14 * 3, "five forward, nine back, in three batches"
        assert products(contenders.bare(TINY, pixels)) == alone
        assert products(contenders.ours(TINY, pixels)) == alone
        assert products(contenders.usual(TINY, folder)) == alone

    def test_the_floors_of_evaluation_have_its_products(self, pixels):
        model = TINY.model()
        alone = products(contenders.forward_floor(TINY, 30, 60, 1))
        assert products(lambda: speed.evaluate(model, pixels, batch_size=30)) == alone
        alone = products(contenders.forward_floor(TINY, 480, 60, 64))
        settings = {"protocol": "threshold", "samples": 64}
        assert products(lambda: speed.estimate(model, pixels, **settings)) == alone

    def test_all_train_the_same_network(self, pixels, folder):
        sizes = Counter(value.shape for value in TINY.model().parameters())
        tutorial = contenders.TutorialVAE(TINY)
        assert Counter(value.shape for value in tutorial.parameters()) == sizes
        model = contenders.TutorialVAE(Setting("relu", activation="relu"))
        assert model.activation is torch.relu

    def test_the_usual_loop_reads_these_images(self, pixels, folder):
        dataset = contenders.torchvision_datasets.MNIST(folder, train=True)
        assert torch.equal(dataset.data.flatten(1), pixels)
        assert torch.equal(dataset.targets, torch.arange(60) % 10)

    def test_every_contender_runs_in_every_round_and_each_begins_one(self):
        order = []
        racers = {name: lambda name=name: order.append(name) for name in "abc"}
        seconds = timing.race(racers, 4)
        assert "".join(order) == "abcbcacababc"
        assert [len(times) for times in seconds.values()] == [4, 4, 4]

    def test_exponents_and_spreads_by_hand(self):
        assert abs(timing.slope([1, 2, 4], [3, 6, 12]) - 1) < 1e-9
        assert abs(timing.slope([1, 2, 4], [3, 12, 48]) - 2) < 1e-9
        assert timing.spread([3, 1, 2]) == {"median": 2, "least": 1, "greatest": 3}
        assert timing.ratios([2, 6], [1, 2]) == [2, 3]

    def test_a_small_run_from_end_to_end(self, pixels, folder, tmp_path, monkeypatch):
        monkeypatch.setattr(speed, "SETTINGS", (TINY, TINY._replace(activation="relu"), TINY))
        monkeypatch.setattr(speed, "POST", TINY)
        monkeypatch.setattr(speed, "SAMPLES", 3)
        run = speed.measure(pixels, pixels[:20], folder, 2, counts=(30, 60), widths=(10, 20))
        run["facts"]["dataset"] = "noise"
        run |= {"memory": {"train": 470}, "import": {"torchvision": False}}
        run["import"] |= {f"{name}_seconds": timing.spread([0.1]) for name in ("torch", "vaelib")}
        run = json.loads(json.dumps(run))
        other = run | {"facts": run["facts"] | {"processor": "another"}}
        text = report.tables([other, run])
        assert f"| allowed | run 1: another | run 2: {run['facts']['processor']} |" in text
        assert "| training, MB above imports | 0 to 450 | 470 ✗ | 470 ✗ |" in text
        assert "| import vaelib, seconds | 0 to 0.3 | 0.1 | 0.1 |" in text
        assert "60 images of noise" in text
        report.draw([run], tmp_path / "speed.png")
        assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")

    def test_memory_is_measured_above_the_imports_and_torchvision_is_none_of_them(self, folder):
        found = memory.measure("evaluate", folder)
        assert 10 < found["above_imports"] < 1000
        assert found["torchvision"] is False

    def test_the_page_has_the_committed_results(self):
        home = Path(speed.__file__).parent
        runs = json.loads((home / "speed.json").read_text())["runs"]
        assert 1 <= len(runs) <= speed.RUNS
        assert {run["facts"]["dataset"] for run in runs} == {"mnist"}
        page = (home / "README.md").read_text(encoding="utf-8")
        begin, end = report.BEGIN, report.END
        assert page.partition(begin)[2].partition(end)[0].strip() == report.tables(runs)


class TestPeers:
    def test_ten_epochs_are_the_first_and_nine_times_the_median_of_the_others(self):
        """Over two rounds, by hand."""
        rounds = {"vaelib": [[3, 1, 2, 1], [4, 2, 2, 2]], "JAX": [[6, 1, 1, 1], [8, 1, 2, 1]]}
        found = peers.summary({"100": rounds})["100"]
        assert found["an epoch"]["vaelib"] == {"median": 1.5, "least": 1, "greatest": 2}
        assert found["ten epochs"]["vaelib"] == {"median": 17, "least": 12, "greatest": 22}
        assert found["ten epochs"]["vaelib / JAX"]["greatest"] == 1.294  # 22 / 17

    def test_every_epoch_is_timed_from_before_the_model_is_made(self, pixels, folder):
        for name in ("vaelib", "usual"):
            taken = peers.seconds(name, TINY, pixels, folder, epochs=3)
            assert len(taken) == 3
            assert min(taken) > 0

    def test_the_page_has_the_committed_results(self):
        home = Path(peers.__file__).parent
        result = json.loads((home / "peers.json").read_text(encoding="utf-8"))
        assert result["facts"]["rounds"] >= 3
        assert result["batches"] == json.loads(json.dumps(peers.summary(result["seconds"])))
        page = (home / "README.md").read_text(encoding="utf-8")
        begin, end = peers.PAGE
        text = page.partition(begin)[2].partition(end)[0].strip()
        assert text == peers.table(result)
        missed = sum(
            result["batches"][size][what]["vaelib / JAX"]["median"] > most
            for size in result["batches"]
            for what, most in peers.AIMS.items()
        )
        assert text.count("✗") == missed


class TestCalm:
    def test_the_page_has_the_committed_results_and_the_aims_are_reached(self):
        home = Path(calm.__file__).parent
        result = json.loads((home / "calm.json").read_text(encoding="utf-8"))
        page = (home / "README.md").read_text(encoding="utf-8")
        begin, end = calm.PAGE
        assert page.partition(begin)[2].partition(end)[0].strip() == calm.table(result)
        for situation, most in calm.AIMS.items():
            assert result["slower"][situation]["median"] <= most

    def test_an_aim_that_is_missed_is_marked(self):
        home = Path(calm.__file__).parent
        result = json.loads((home / "calm.json").read_text(encoding="utf-8"))
        result["slower"]["two at once"] = timing.spread([4.1])
        assert "| two at once / alone | at most 4 | 4.1 (4.1–4.1) ✗ |" in calm.table(result)

    def test_two_processes_train_at_once(self, monkeypatch):
        begun = []
        start = calm.subprocess.Popen
        monkeypatch.setattr(
            calm.subprocess, "Popen", lambda *a, **k: begun.append(k) or start(*a, **k)
        )
        assert 0.01 < calm.measure("two at once", "one thread", 0.1) < 100
        assert [settings["env"]["OMP_NUM_THREADS"] for settings in begun] == ["1", "1"]
