"""The measurement of blur and samples on a small world, and the form of the committed file."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Generator

from benchmarks import sharpness as benchmark
from benchmarks.published.recipes import RECIPES
from vaelib import archive, checkpoint, data, hierarchy, sampling, vae
from vaelib.binarization import freeze, threshold
from vaelib.compression import Codec
from vaelib.course import results
from vaelib.sharpness import undecided

LOOK = {"confidence", "classes", "precision", "recall"}


def shaken(model, size, seed=0):
    """The model with noise added to its weights, so that its pixels are not all undecided."""
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(size * torch.randn(value.shape, generator=generator))
    return model


def small_vae(seed=0):
    return shaken(vae.dense(hidden=8, latent=3, generator=Generator()), 0.3, seed)


def small_hierarchy():
    return shaken(hierarchy.dense(sizes=(2, 3), width=8, generator=Generator()), 0.2)


MODELS = {"one-layer": small_vae, "two-level": small_hierarchy}


@pytest.fixture
def world(pixels, tmp_path, monkeypatch):
    """Sixty images, and two recipes with two trained seeds each."""
    labels = (torch.arange(60) % 10).byte()
    some = data.Dataset(pixels, labels, "mnist")
    monkeypatch.setattr(benchmark.data, "load", lambda *_: some)
    images = freeze(pixels, Generator().manual_seed(1))
    monkeypatch.setattr(benchmark, "binarized_test_images", lambda: images)
    for name, value in {"BUILD": tmp_path, "COUNT": 20, "AT_ONCE": 25, "FEW": 30}.items():
        monkeypatch.setattr(benchmark, name, value)
    monkeypatch.setattr(benchmark, "JUDGE", tmp_path / "judge.safetensors")
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results" / "sharpness.json")
    for name, make in MODELS.items():
        runs = []
        for seed in (0, 1):
            checkpoint.save(make(), tmp_path / f"{name}-{seed}.safetensors")
            run = {"seed": seed, "epochs": 4, "minutes": 3.0, "cpu_minutes": 1.5}
            run |= {"negative_log_likelihood": 90.0 + seed, "negative_elbo": 95.0}
            runs.append(run | {"levels": [2.0, 1.0], "curve": [[1, 1.0, 110.0], [4, 3.0, 91.0]]})
        content = {"recipe": {"about": f"about {name}"}, "runs": runs}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def written():
    return json.loads(benchmark.RESULTS.read_text())


def by_name():
    return {row["name"]: row for row in written()["rows"]}


class TestRows:
    def test_a_run_has_what_was_published_and_what_its_model_shows(self, world):
        benchmark.main(["--names", "two-level"])
        (row,) = written()["rows"]
        assert (row["name"], row["about"]) == ("two-level", "about two-level")
        assert row["latents"] == [2, 3]
        assert [run["seed"] for run in row["runs"]] == [0, 1]
        run = row["runs"][1]
        assert (run["epochs"], run["minutes"]) == (4, 1.5)
        assert (run["negative_log_likelihood"], run["negative_elbo"]) == (91.0, 95.0)
        assert run["levels"] == [2.0, 1.0]
        assert run["curve"] == [[1, 0.5, 110.0], [4, 1.5, 91.0]], "minutes of the processor"
        assert run.keys() >= LOOK
        assert run["reconstructions"].keys() == LOOK
        assert run["aggregate"].keys() == LOOK | {"undecided"}
        assert 0 < run["undecided"]["reconstructions"] < 784

    def test_undecided_pixels_and_bits_are_those_of_the_model(self, world):
        benchmark.main(["--names", "one-layer"])
        model, images = small_vae(), benchmark.binarized_test_images()
        generator = Generator().manual_seed(1)
        parts = [
            sampling.reconstruct(model, threshold(some), generator=generator)
            for some in images[:30].split(25)
        ]
        expected = undecided(torch.cat([part.mean for part in parts])).mean().item()
        (row,) = written()["rows"]
        found = row["runs"][0]["undecided"]["reconstructions"]
        assert found == pytest.approx(expected, abs=1e-3)
        size = len(archive.compress(Codec(model), images))
        assert row["bits_per_pixel"] == pytest.approx(8 * size / 60 / 784, abs=1e-4)

    def test_levels_are_measured_where_the_judge_had_none(self, world):
        source = json.loads((world / "one-layer.json").read_text())
        for run in source["runs"]:
            del run["levels"]
        (world / "one-layer.json").write_text(json.dumps(source))
        benchmark.main(["--names", "one-layer"])
        images = threshold(benchmark.binarized_test_images())
        noise = torch.zeros(60, 3)  # the KL of one level does not depend on it
        expected = small_vae().terms(images, noise).kl.mean().item()
        assert by_name()["one-layer"]["runs"][0]["levels"] == [pytest.approx(expected, abs=2e-3)]

    def test_a_run_is_measured_once_unless_its_checkpoint_changes(self, world, monkeypatch):
        benchmark.main(["--names", "one-layer"])
        first = written()
        measured, measure = [], benchmark.measure
        monkeypatch.setattr(
            benchmark, "measure", lambda *args: measured.append(1) or measure(*args)
        )
        benchmark.main(["--names", "one-layer"])
        assert measured == []
        assert written()["rows"] == first["rows"]
        checkpoint.save(small_vae(5), world / "one-layer-1.safetensors")
        benchmark.main(["--names", "one-layer"])
        assert measured == [1]
        runs = [old["rows"][0]["runs"] for old in (first, written())]
        assert runs[0][0] == runs[1][0]
        assert runs[0][1]["undecided"] != runs[1][1]["undecided"]
        benchmark.main(["--names", "one-layer", "--again"])
        assert measured == [1] * 3

    def test_what_is_done_is_kept_when_the_next_run_fails(self, world, monkeypatch):
        benchmark.main(["--names", "one-layer"])
        before, measure = by_name()["one-layer"], benchmark.measure

        def failing(model, scene):
            if by_name().keys() >= {"two-level"}:
                raise KeyboardInterrupt
            return measure(model, scene)

        monkeypatch.setattr(benchmark, "measure", failing)
        with pytest.raises(KeyboardInterrupt):
            benchmark.main(["--names", "two-level"])
        found = by_name()
        assert found["one-layer"] == before
        assert [run["seed"] for run in found["two-level"]["runs"]] == [0]
        monkeypatch.setattr(benchmark, "measure", measure)
        benchmark.main(["--names", "two-level"])
        assert [run["seed"] for run in by_name()["two-level"]["runs"]] == [0, 1]

    def test_made_up_rows_are_replaced(self, world):
        made_up = {"name": "one-layer", "provisional": True, "bits_per_pixel": 7, "runs": []}
        other = made_up | {"name": "hour"}
        content = {"provisional": True, "rows": [made_up, other]}
        benchmark.RESULTS.parent.mkdir()
        benchmark.RESULTS.write_text(json.dumps(content))
        benchmark.main(["--names", "one-layer"])
        assert "provisional" not in by_name()["one-layer"]
        assert by_name()["one-layer"]["bits_per_pixel"] != 7
        assert by_name()["hour"] == other
        assert written()["provisional"]

    def test_what_is_missing_is_named(self, world, capsys):
        (world / "one-layer-1.safetensors").unlink()
        for name, lack in {"one-layer": "one-layer-1.safetensors", "hour": "hour.json"}.items():
            with pytest.raises(SystemExit):
                benchmark.main(["--names", name])
            assert f"{name}: no {lack}" in capsys.readouterr().out
        assert not benchmark.RESULTS.exists()


class TestAggregate:
    def test_one_level_is_drawn_from_q(self, generator):
        """10,000 times for one image: by its q, the noise is standard normal."""
        model = small_vae()
        image = (torch.rand(1, 784, generator=generator) < 0.3).float()
        q = model.encoder(image)
        found = benchmark.aggregate(model, image.expand(10_000, -1), generator).latent
        noise = (found - q.mean) / q.log_std.exp()
        assert noise.mean(0).abs().max() < 0.05
        assert (noise.std(0) - 1).abs().max() < 0.05

    def test_lower_levels_are_drawn_from_the_prior_below_the_top(self, generator):
        """The lower level's noise, recovered from its prior, is standard normal; by q it is not."""
        model = small_hierarchy()
        image = (torch.rand(1, 784, generator=generator) < 0.3).float().expand(10_000, -1)
        found = benchmark.aggregate(model, image, generator).latent
        top, lower = found.split([2, 3], 1)
        q = model.posterior(model.features(image), [])
        prior = model.prior(model.descend([], top))
        for values, gaussian in ((top, q), (lower, prior)):
            noise = (values - gaussian.mean) / gaussian.log_std.exp()
            assert noise.mean(0).abs().max() < 0.05
            assert (noise.std(0) - 1).abs().max() < 0.05
        wrong = model.posterior(model.features(image), model.descend([], top))
        noise = (lower - wrong.mean) / wrong.log_std.exp()
        assert noise.mean(0).abs().max() > 0.1


class TestParts:
    def test_reference_is_real_images_and_the_judge(self, world):
        benchmark.main(["--names", "reference"])
        found = written()["reference"]
        assert 0 <= found["judge"]["accuracy"] <= 1
        assert found["training_images"].keys() == found["test_images"].keys() == LOOK
        assert benchmark.JUDGE.exists()

    def test_the_judge_is_trained_once(self, world, monkeypatch):
        first = benchmark.Scene().judge.state_dict()
        monkeypatch.setattr(benchmark, "train_judge", None)
        again = benchmark.Scene().judge.state_dict()
        assert all(torch.equal(first[name], again[name]) for name in first)

    def test_real_images_are_not_compared_with_themselves(self, world):
        scene = benchmark.Scene()
        assert len(scene.real) == len(scene.others) == 20
        assert torch.cdist(scene.real, scene.others).min() > 0

    def test_overconfidence_buys_decided_pixels_with_nats(self, world):
        benchmark.main(["--names", "overconfident"])
        found = written()["overconfident"]
        rows = found["rows"]
        assert [row["factor"] for row in rows] == [1, 2, 3]
        nats = [row["negative_log_likelihood"] for row in rows]
        pixels = [row["undecided"]["samples"] for row in rows]
        assert nats[0] < nats[1] < nats[2]
        assert pixels[0] > pixels[1] > pixels[2]
        assert rows[0].keys() >= LOOK

    def test_few_images_are_compared_for_equal_epochs_and_minutes(self, world, monkeypatch):
        tiny = {"one-layer": {"hidden": 8, "blocks": 0}, "conv-one-layer": {"hidden": [2, 2]}}
        for name, changes in tiny.items():
            monkeypatch.setitem(
                benchmark.RECIPES, name, replace(RECIPES[name], latent=3, **changes)
            )
        monkeypatch.setattr(benchmark, "FEWER", 40)
        minutes = iter([6.0, 1.5, 5.9])

        def trained(recipe, images, seed):
            assert len(images) == 40
            return benchmark.build(recipe, images, Generator().manual_seed(seed)), next(minutes)

        monkeypatch.setattr(benchmark, "trained", trained)
        monkeypatch.setattr(benchmark, "SEEDS", (7,))
        monkeypatch.setattr(benchmark, "EPOCHS", 3)
        benchmark.main(["--names", "fewer"])
        found = {(row["equal"], row["network"]): row for row in written()["fewer"]}
        assert {key: row["epochs"] for key, row in found.items()} == {
            ("epochs", "convolutional"): 3,
            ("epochs", "dense"): 3,
            ("minutes", "convolutional"): 3,
            ("minutes", "dense"): 12,
        }
        slow = [found[equal, "convolutional"] for equal in ("epochs", "minutes")]
        assert slow[0] == slow[1] | {"equal": "epochs"}
        assert all(row["seed"] == 7 for row in found.values())


def test_training_on_few_images_takes_time_of_the_processor(pixels):
    recipe = replace(RECIPES["one-layer"], hidden=8, latent=3, epochs=2)
    model, minutes = benchmark.trained(recipe, pixels, 3)
    assert model.trained_steps == 2
    assert 0 < minutes < 1


COMMITTED = results.read("sharpness")


class TestCommittedFile:
    def test_rows_are_complete_and_copied_from_the_published_results(self):
        published = results.published()
        for row in COMMITTED["rows"]:
            assert row["name"] in benchmark.NAMES
            assert len(row["latents"]) == len(row["runs"][0]["levels"])
            for run in row["runs"]:
                assert run.keys() >= LOOK
                assert run["curve"][-1][0] == run["epochs"]
                assert run["curve"][-1][1] == pytest.approx(run["minutes"], abs=0.02)
                assert run["negative_log_likelihood"] < run["negative_elbo"]
                assert 1 <= run["classes"] <= 10
            if not row.get("provisional"):
                stated = [run["negative_elbo"] for run in published[row["name"]]["runs"]]
                found = [run["negative_elbo"] for run in row["runs"]]
                assert found == pytest.approx(stated, abs=1e-3)

    def test_the_judge_is_good_and_knows_all_digits(self):
        found = COMMITTED["reference"]
        assert found["judge"]["accuracy"] >= 0.98
        for images in ("training_images", "test_images"):
            assert found[images]["classes"] > 9.9

    def test_the_overconfident_model_is_caught_by_its_nats(self):
        rows = COMMITTED["overconfident"]["rows"]
        nats = [row["negative_log_likelihood"] for row in rows]
        pixels = [row["undecided"]["samples"] for row in rows]
        assert [row["factor"] for row in rows] == list(benchmark.FACTORS)
        assert nats == sorted(nats)
        assert pixels == sorted(pixels, reverse=True)

    def test_few_images_are_compared_with_three_seeds(self):
        keys = {(row["equal"], row["network"], row["seed"]) for row in COMMITTED["fewer"]}
        assert len(keys) == len(COMMITTED["fewer"]) == 2 * 2 * 3
        slow = {row["seed"]: row for row in COMMITTED["fewer"] if row["network"] == "convolutional"}
        for row in COMMITTED["fewer"]:
            other = slow[row["seed"]]
            assert math.isclose(row[row["equal"]], other[row["equal"]], rel_tol=0.3)
