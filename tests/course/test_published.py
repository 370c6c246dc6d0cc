"""The harness of the published numbers: recipes, clock, trainer and judge, on small things."""

import itertools
import json
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Generator

from benchmarks.published import judge as judging
from benchmarks.published import reproduce as published
from benchmarks.published import tuning
from benchmarks.published.recipes import RECIPES
from vaelib import binarization, checkpoint, data, hierarchy, vae
from vaelib.binarization import freeze, threshold
from vaelib.course import results
from vaelib.data import loading
from vaelib.elbo import elbo, kl
from vaelib.evaluation import Estimate, estimate
from vaelib.hierarchy import Hierarchy
from vaelib.latent import active_units
from vaelib.objectives import Weighted
from vaelib.schedule import WarmUp


@pytest.fixture
def recipe():
    return replace(RECIPES["one-layer"], hidden=20, latent=3, epochs=4, batch_size=20)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_a_model_that_can_be_kept(name, pixels, tmp_path):
    model = published.build(RECIPES[name], pixels, Generator().manual_seed(0))
    again = checkpoint.load(checkpoint.save(model, tmp_path / "model.safetensors"))
    assert again.latent == model.latent
    bias = published.output_bias(model)
    assert bias.abs().max() > 0, "biases begin at the pixels' log-odds"
    json.dumps(published.describe(RECIPES[name]))


SIZES = {
    "latent-5": (5,),
    "latent-20": (20,),
    "one-layer": (50,),
    "iwae-network": (50,),
    "conv-one-layer": (50,),
    "two-level": (20, 50),
    "conv-two-level": (20, 2 * 7 * 7),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_recipe_becomes_the_model_that_it_names(name, pixels):
    model = published.build(RECIPES[name], pixels, Generator().manual_seed(0))
    assert model.sizes == SIZES[name]
    assert isinstance(model, Hierarchy) == ("level" in name)
    has = any(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    assert has == name.startswith("conv")


@pytest.mark.parametrize("name", RECIPES)
def test_biases_alone_give_each_pixels_mean_or_that_of_all(name, pixels):
    """With every weight of the last layer 0, whatever the latents are."""
    dark = pixels.clone()
    dark[:40, :500] = 0
    model = published.build(RECIPES[name], dark, Generator().manual_seed(0))
    last = [part for part in model.modules() if getattr(part, "bias", None) is not None]
    (last,) = (part for part in last if part.bias is published.output_bias(model))
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        found = model.decode(torch.randn(3, model.latent)).mean
    mean = dark.float().mean(0, keepdim=True) / 255
    expected = mean.mean() if RECIPES[name].convolutional else mean
    torch.testing.assert_close(found, expected.expand(3, 784), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("settings", "steps"), [({}, 3), ({"epochs": 8}, 5), ({"batch_size": 60}, 1)]
)
def test_a_share_of_all_steps_warms_up(recipe, pixels, monkeypatch, settings, steps):
    """Of 4 epochs of 3 steps a fifth, rounded up; the weight is 0 at first and then 1."""
    seen = {}
    monkeypatch.setattr(published, "train", lambda *_, **settings: seen.update(settings))
    published.fit_model(replace(recipe, warm_up=0.2), None, pixels, Generator(), **settings)
    assert seen["objective"] == Weighted(WarmUp(steps), recipe.objective)
    published.fit_model(recipe, None, pixels, Generator())
    assert seen["objective"] == recipe.objective


def test_the_papers_own_network_is_as_the_paper_has_it():
    recipe = RECIPES["iwae-network"]
    model = published.build(recipe, torch.zeros(2, 784, dtype=torch.uint8), Generator())
    shapes = [tuple(value.shape) for value in model.parameters() if value.ndim == 2]
    encoder = [(200, 784), (200, 200), (50, 200), (50, 200)]
    assert shapes == [*encoder, (200, 50), (200, 200), (784, 200)]
    assert recipe.activation == "tanh"


class TestClock:
    def test_a_pause_costs_nothing(self):
        clock = published.Clock()
        clock.pause(lambda: time.sleep(0.3))
        assert clock.read()[0] < 0.2
        time.sleep(0.3)
        assert clock.read()[0] >= 0.3


class TestFit:
    def test_a_seed_gives_one_checkpoint_and_snapshots_on_the_way(self, recipe, pixels, tmp_path):
        run = published.fit(recipe, pixels, 3, tmp_path, "tiny")
        again = published.fit(recipe, pixels, 3, tmp_path, "again")
        weights = [checkpoint.load(r["checkpoint"]).state_dict() for r in (run, again)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        epochs, minutes, _ = zip(*run["snapshots"], strict=True)
        assert len(minutes) == 4, "no more than one an epoch"
        assert list(minutes) == sorted(minutes)
        assert (epochs[0], epochs[-1]) == (1, recipe.epochs)
        assert 0 < minutes[0] < minutes[-1] <= run["minutes"]
        last = checkpoint.load(run["snapshots"][-1][2]).state_dict()
        assert all(torch.equal(last[name], weights[0][name]) for name in last)
        first = checkpoint.load(run["snapshots"][0][2]).state_dict()
        assert not all(torch.equal(last[name], first[name]) for name in last)

    @pytest.mark.parametrize(("minutes", "epochs"), [(0.5, 3), (2, 12), (0.1, 1), (1e-9, 1)])
    def test_minutes_become_epochs(self, recipe, pixels, monkeypatch, minutes, epochs):
        """By a clock on which a twentieth of an epoch takes half a second."""
        ticks = itertools.count()
        clock = SimpleNamespace(perf_counter=lambda: 0.5 * next(ticks))
        monkeypatch.setattr(published, "time", clock)
        assert published.epochs_within(minutes, recipe, pixels.repeat(20, 1)) == epochs


class TestJudge:
    def test_scores_what_the_file_holds(self, pixels, tmp_path):
        model = vae.dense(hidden=20, generator=Generator().manual_seed(0))
        path = checkpoint.save(model, tmp_path / "model.safetensors")
        images = freeze(pixels, Generator().manual_seed(1))
        found = judging.judge(str(path), images, samples=50)
        expected = estimate(model, images, protocol="static", samples=50)
        assert found["negative_log_likelihood"] == -expected.log_evidence.mean().item()
        assert found["negative_elbo"] == -expected.elbo.mean().item()
        assert (found["images"], found["samples"]) == (60, 50)
        assert found["negative_log_likelihood"] < found["negative_elbo"]
        q = model.encoder(threshold(images))
        assert found["active_units"] == active_units(q.mean).sum()
        assert found["levels"] == [pytest.approx(kl(q).mean().item(), rel=1e-5)]

    def test_counts_the_active_units_of_each_level(self, pixels, tmp_path):
        """By hand: the lower q has one latent of the image's, one of the upper mean's, one of 0."""
        model = hierarchy.dense(sizes=(2, 3), width=4, blocks=0, generator=Generator())
        top, low = (stage.correction[-1].weight for stage in model.stages)
        with torch.no_grad():
            top[0], low[0] = 1.0, 1.0
            model.stages[1].prior_head[-1].weight[1] = 1.0
        path = checkpoint.save(model, tmp_path / "model.safetensors")
        images = freeze(pixels, Generator().manual_seed(1))
        found = judging.judge(str(path), images, samples=5)
        assert found["active_units_of_levels"] == [1, 2]
        assert found["active_units"] == 3

    def test_some_images_with_all_samples_correct_the_mean_over_all(self, pixels, tmp_path):
        """By the estimates themselves: every other image has 400 samples, each has 200."""
        model = vae.dense(hidden=20, generator=Generator().manual_seed(0))
        path = str(checkpoint.save(model, tmp_path / "model.safetensors"))
        images = freeze(pixels, Generator().manual_seed(1))
        few = estimate(model, images, protocol="static", samples=judging.FEW).log_evidence
        many = estimate(model, images[::2], protocol="static", samples=400).log_evidence
        found = judging.judge(path, images, 400, on=30)
        change = many - few[::2]
        wanted = few.mean() + change.mean()
        assert found["negative_log_likelihood"] == pytest.approx(-wanted.item(), abs=1e-4)
        correction = found["correction"]
        assert (correction["images"], correction["few"], found["samples"]) == (30, 200, 400)
        assert correction["error"] == pytest.approx(change.std().item() / 30**0.5, rel=1e-4)
        for wrong in (0, 1, 7, 61):
            with pytest.raises(ValueError, match="a divisor of 60"):
                judging.judge(path, images, 400, on=wrong)

    def test_the_correction_has_the_expectation_of_all_samples_for_all_images(self):
        """By a slow definition, with a model of which only the estimates are known."""
        generator = Generator().manual_seed(0)
        at_few = torch.randn(1000, generator=generator)
        gain = 1 + 0.1 * torch.randn(1000, generator=generator)

        def measured(model, images, samples):
            return Estimate("static", samples, images, images + gain[:: 1000 // len(images)])

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(judging, "measured", measured)
            few = Estimate("static", 200, at_few, at_few)
            found = judging.correction(None, at_few, few, samples=5000, on=100)
        exact = -gain.mean().item()
        assert abs(found["mean"] - exact) < 4 * found["error"] < 0.05

    @pytest.mark.parametrize(
        ("more", "samples"), [([], [judging.SAMPLES]), (["7"], [7]), (["300", "3"], [300, 3])]
    )
    def test_the_command_takes_a_file_and_a_number_of_samples(
        self, more, samples, pixels, tmp_path, monkeypatch, capsys
    ):
        model = vae.dense(hidden=20, generator=Generator().manual_seed(0))
        path = str(checkpoint.save(model, tmp_path / "model.safetensors"))
        images = freeze(pixels[:3], Generator().manual_seed(1))
        monkeypatch.setattr(judging, "binarized_test_images", lambda: images)
        judging.main([path, *more])
        found = json.loads(capsys.readouterr().out)
        assert found == judging.judge(path, images, *samples)
        assert found["samples"] == samples[0]

    def test_refuses_other_images_than_all_were_judged_by(self, monkeypatch, pixels):
        other = data.Dataset(pixels, torch.zeros(60, dtype=torch.uint8), "mnist")
        monkeypatch.setattr(judging.data, "load", lambda *_: other)
        with pytest.raises(judging.JudgeError, match=r"have SHA-256 .*, expected 9e5b"):
            judging.binarized_test_images()

    def test_the_committed_seed_gives_the_committed_images(self):
        if loading.choose().name != "mnist":
            pytest.skip("MNIST is not on this machine")
        images = judging.binarized_test_images()
        assert images.shape == (10_000, 784)
        assert set(images.unique().tolist()) == {0, 255}
        with pytest.raises(judging.JudgeError, match="another seed"):
            judging.binarized_test_images(1)


def test_a_summary_has_mean_spread_and_the_longest_training():
    rows = [
        {"negative_log_likelihood": value, "negative_elbo": value + 3, "minutes": value / 20}
        for value in (86.0, 87.0, 88.5)
    ]
    found = published.summary(rows)
    assert found["seeds"] == 3
    assert found["negative_log_likelihood"] == {"mean": 87.167, "std": 1.258, "greatest": 88.5}
    assert found["minutes"]["greatest"] == 4.425
    assert published.summary(rows[:1])["negative_elbo"]["std"] is None


@pytest.fixture
def small_world(recipe, pixels, tmp_path, monkeypatch):
    """The whole command on sixty images, with a judge that only reads its arguments."""
    images = freeze(pixels, Generator().manual_seed(1))
    some = data.Dataset(pixels, torch.zeros(60, dtype=torch.uint8), "mnist")
    monkeypatch.setitem(published.RECIPES, "one-layer", recipe)
    monkeypatch.setattr(published.data, "load", lambda *_: some)
    monkeypatch.setattr(published, "binarized_test_images", lambda: images)
    monkeypatch.setattr(published, "BUILD", tmp_path / "build")
    script = tmp_path / "judge.py"
    script.write_text(
        "import json, sys\n"
        "size = len(open(sys.argv[1], 'rb').read())\n"
        "found = {'negative_log_likelihood': 103.0, 'negative_elbo': 105.0 + 0 * size}\n"
        "print(json.dumps(found | {'told': sys.argv[2:]}))"
    )
    monkeypatch.setattr(published, "JUDGE", [sys.executable, str(script)])
    return tmp_path


def test_the_command_writes_recipe_runs_and_summary(small_world, capsys):
    published.main(["one-layer", "--seeds", "2", "--into", str(small_world / "into")])
    found = json.loads((small_world / "into" / "one-layer.json").read_text())
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert found["summary"]["negative_log_likelihood"]["mean"] == 103.0
    assert found["recipe"]["objective"] == "path_derivative"
    assert found["test"]["sha256"] == judging.BINARIZATION_SHA256
    for run in found["runs"]:
        assert len(run["curve"]) == 4
        assert all(nats > 0 for _, _, nats in run["curve"])
    left = sorted(path.name for path in (small_world / "build").iterdir())
    assert left == ["one-layer-0.safetensors", "one-layer-1.safetensors"]
    assert "seed 1: 4 epochs" in capsys.readouterr().out


def test_other_epochs_than_the_recipes_are_written_as_they_were(small_world):
    published.main(["one-layer", "--seeds", "1", "--epochs", "2", "--into", str(small_world)])
    found = json.loads((small_world / "one-layer.json").read_text())
    assert found["recipe"]["epochs"] == found["runs"][0]["epochs"] == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [([], ["5000"]), (["--samples", "7"], ["7"]), (["--on", "30"], ["5000", "30"])],
)
def test_the_judge_is_told_how_many_samples_to_take(small_world, more, told):
    command = ["one-layer", "--seeds", "1", "--epochs", "1", "--into", str(small_world)]
    published.main([*command, *more])
    (run,) = json.loads((small_world / "one-layer.json").read_text())["runs"]
    assert run["told"] == told


def test_a_seed_that_is_done_is_kept_when_the_next_one_fails(small_world, monkeypatch):
    fit = published.fit

    def failing(recipe, images, seed, *rest):
        if seed == 1:
            raise KeyboardInterrupt
        return fit(recipe, images, seed, *rest)

    monkeypatch.setattr(published, "fit", failing)
    with pytest.raises(KeyboardInterrupt):
        published.main(["one-layer", "--seeds", "2", "--into", str(small_world)])
    found = json.loads((small_world / "one-layer.json").read_text())
    assert [run["seed"] for run in found["runs"]] == [0]


def test_further_seeds_are_added_to_those_of_the_same_recipe(small_world, recipe, monkeypatch):
    command = ["one-layer", "--into", str(small_world), "--seeds", "1"]
    path = small_world / "one-layer.json"
    published.main([*command, "--first", "2"])
    published.main([*command, "--first", "0", "--add"])
    found = json.loads(path.read_text())
    assert [run["seed"] for run in found["runs"]] == [0, 2]
    assert found["summary"]["seeds"] == 2
    published.main([*command, "--first", "2", "--add"])
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [0, 2], "not twice"
    monkeypatch.setitem(published.RECIPES, "one-layer", replace(recipe, epochs=5))
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="runs of another recipe; without --add"):
        published.main([*command, "--first", "1", "--add"])
    assert path.read_bytes() == before
    published.main([*command, "--first", "1"])
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [1]


def test_a_run_of_another_length_has_files_of_its_own(small_world):
    command = ["one-layer", "--seeds", "1", "--into", str(small_world)]
    published.main(command)
    published.main([*command, "--epochs", "2", "--called", "shorter"])
    for name, epochs in {"one-layer": 4, "one-layer-shorter": 2}.items():
        found = json.loads((small_world / f"{name}.json").read_text())
        assert found["runs"][0]["epochs"] == epochs
        assert (small_world / "build" / f"{name}-0.safetensors").exists()


COMMITTED = results.published()
OTHERS = [name for name in COMMITTED if name not in RECIPES]
LITERATURE = results.read("literature")


def enough(runs):
    """Whether there are three seeds, all judged on every test image and by 5,000 samples."""
    judged = {(run["images"], run["samples"]) for run in runs}
    return judged == {(10_000, judging.SAMPLES)} and len({run["seed"] for run in runs}) >= 3


@pytest.mark.parametrize(
    ("seeds", "samples", "is_enough"),
    [
        ([0, 1, 2], [5000] * 3, True),
        ([0, 1, 2], [4999] * 3, False),
        ([0, 1, 2], [5000, 5000, 5001], False),
        ([0, 1], [5000] * 2, False),
        ([0, 1, 1], [5000] * 3, False),
    ],
)
def test_what_is_enough(seeds, samples, is_enough):
    runs = [
        {"seed": seed, "images": 10_000, "samples": count}
        for seed, count in zip(seeds, samples, strict=True)
    ]
    assert enough(runs) == is_enough
    runs[-1]["images"] = 9999
    assert not enough(runs)


@pytest.fixture(params=sorted(RECIPES))
def result(request):
    return request.param, COMMITTED[request.param]


class TestCommittedResults:
    def test_the_recipe_is_the_one_in_the_table(self, result):
        name, found = result
        assert found["recipe"] == json.loads(json.dumps(published.describe(RECIPES[name])))

    def test_the_summary_is_that_of_enough_seeds_judged_alike(self, result):
        _, found = result
        assert enough(found["runs"])
        assert found["summary"] == published.summary(found["runs"])
        assert found["test"]["sha256"] == judging.BINARIZATION_SHA256
        for run in found["runs"]:
            assert run["negative_log_likelihood"] < run["negative_elbo"]

    def test_the_curve_falls_to_near_the_judged_number(self, result):
        for run in result[1]["runs"]:
            epochs, minutes, nats = zip(*run["curve"], strict=True)
            assert list(epochs) == sorted(set(epochs))
            assert list(minutes) == sorted(minutes)
            assert epochs[-1] == run["epochs"]
            assert minutes[-1] == pytest.approx(run["minutes"], abs=0.01)
            assert nats[0] > nats[-1] + 5
            assert abs(nats[-1] - run["negative_log_likelihood"]) < 5, "a tenth of the images"

    @pytest.mark.parametrize("name", OTHERS)
    def test_other_runs_are_of_a_recipe_but_for_the_epochs(self, name):
        found, base = COMMITTED[name], name.rpartition("-")[0]
        recipe = replace(RECIPES[base], epochs=found["recipe"]["epochs"])
        assert found["recipe"] == json.loads(json.dumps(published.describe(recipe)))
        assert found["summary"] == published.summary(found["runs"])
        assert found["test"]["sha256"] == judging.BINARIZATION_SHA256

    @pytest.mark.parametrize("kind", ["negative_log_likelihood", "negative_elbo"])
    @pytest.mark.parametrize("name", [name for name in OTHERS if name.endswith("-fresh")])
    def test_a_fresh_seed_falls_within_the_stated_spread(self, name, kind):
        (run,), stated = COMMITTED[name]["runs"], COMMITTED[name.removesuffix("-fresh")]
        assert run["seed"] not in {row["seed"] for row in stated["runs"]}
        found = stated["summary"][kind]
        assert abs(run[kind] - found["mean"]) <= 2 * found["std"]


class TestLiterature:
    def test_has_what_a_recipe_is_set_beside(self):
        known = {
            (row["negative_log_likelihood"], row["negative_elbo"], row["protocol"])
            for row in LITERATURE
        }
        for recipe in RECIPES.values():
            for figure in recipe.published:
                numbers = (figure.negative_log_likelihood, figure.negative_elbo)
                assert (*numbers, "dynamic") in known, figure

    def test_every_number_has_a_protocol_and_a_source_to_follow(self):
        for row in LITERATURE:
            assert row["protocol"] in binarization.PROTOCOLS, row
            assert row["source"]
            assert row["links"]
            assert all(link.startswith("https://") for link in row["links"]), row
            assert (
                row["negative_elbo"] is None
                or row["negative_elbo"] > (row["negative_log_likelihood"])
            ), "a bound cannot be better than what it bounds"

    def test_protocols_do_not_share_a_setting(self):
        protocols = {(row["setting"], row["protocol"]) for row in LITERATURE}
        assert len(protocols) == len({setting for setting, _ in protocols})


@pytest.mark.parametrize(
    "wrong",
    [
        ["unknown"],
        *(["one-layer", name, "0"] for name in ("--seeds", "--epochs", "--samples", "--minutes")),
        ["one-layer", "--epochs", "3", "--minutes", "1"],
    ],
)
def test_wrong_arguments_are_explained(wrong, capsys):
    with pytest.raises(SystemExit):
        published.main(wrong)
    said = capsys.readouterr().err
    assert {1: "invalid choice", 3: "at least one seed", 5: "not allowed with"}[len(wrong)] in said


class TestTuning:
    def test_a_change_is_one_field(self):
        recipe = RECIPES["one-layer"]
        found = tuning.changed(
            recipe, ["epochs=7", "hidden=[30, 20]", "activation=tanh", "objective=elbo"]
        )
        assert (found.epochs, found.hidden, found.activation) == (7, [30, 20], "tanh")
        assert found.objective is elbo
        assert replace(found, epochs=1) == replace(
            recipe, epochs=1, hidden=[30, 20], activation="tanh", objective=elbo
        )

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("epochs", "expected changes like epochs=20, got 'epochs'"),
            ("depth=3", "there is about, hidden, latent"),
            ("objective=iwae", "no objective is called 'iwae'"),
        ],
    )
    def test_a_change_that_is_none_is_explained(self, change, said, capsys):
        with pytest.raises(SystemExit):
            tuning.main(["one-layer", "--threads", "1", change])
        assert said in capsys.readouterr().err

    def test_trains_on_some_images_and_scores_on_others(self, recipe, pixels, monkeypatch):
        monkeypatch.setattr(tuning, "TRAINING", 40)
        seen = {}
        fit_model, scored = tuning.fit_model, tuning.estimate

        def fit(recipe, model, images, generator):
            seen["training"] = images
            return fit_model(recipe, model, images, generator)

        def judge(model, images, **settings):
            seen["validation"] = images
            return scored(model, images, **settings)

        monkeypatch.setattr(tuning, "fit_model", fit)
        monkeypatch.setattr(tuning, "estimate", judge)
        found = tuning.validate(recipe, pixels)
        assert torch.equal(seen["training"], pixels[:40])
        assert torch.equal(seen["validation"], freeze(pixels[40:], Generator().manual_seed(0)))
        assert found["negative_log_likelihood"] < found["negative_elbo"]

    def test_each_lever_changes_what_is_scored(self, recipe, pixels, monkeypatch):
        monkeypatch.setattr(tuning, "TRAINING", 40)
        rates, fit_model = [], tuning.fit_model

        def fit(recipe, model, images, generator, **settings):
            rates.append(settings.get("learning_rate", "falling"))
            return fit_model(recipe, model, images, generator, **settings)

        monkeypatch.setattr(tuning, "fit_model", fit)
        levers = [{}, {"average": 0.5}, {"constant_rate": True}]
        scores = [
            tuning.validate(recipe, pixels, **lever)["negative_log_likelihood"] for lever in levers
        ]
        assert len(set(scores)) == 3
        assert rates == ["falling", "falling", recipe.learning_rate]

    def test_an_average_without_memory_is_the_last_step(self, recipe, pixels, monkeypatch):
        monkeypatch.setattr(tuning, "TRAINING", 40)
        name = "negative_log_likelihood"
        last = tuning.validate(recipe, pixels)[name]
        assert tuning.validate(recipe, pixels, average=1e-12)[name] == pytest.approx(last)

    def test_a_hierarchy_is_tuned_as_well(self, pixels, monkeypatch):
        monkeypatch.setattr(tuning, "TRAINING", 40)
        changes = ["hidden=8", "latent=[3, 4, 5]", "epochs=1", "batch_size=20", "warm_up=0.5"]
        recipe = tuning.changed(RECIPES["two-level"], changes)
        found = tuning.validate(recipe, pixels)
        assert len(found["levels"]) == 3
        assert found["negative_log_likelihood"] < found["negative_elbo"]

    def test_a_lever_out_of_range_is_explained(self, capsys):
        with pytest.raises(SystemExit):
            tuning.main(["one-layer", "--average", "1"])
        assert "a decay from 0 up to below 1" in capsys.readouterr().err


def test_pixel_log_odds_alone_are_the_model_of_independent_pixels(generator):
    pixels = torch.tensor([[255, 0, 51], [255, 0, 0], [255, 0, 102]], dtype=torch.uint8)
    expected = torch.tensor([3.5 / 4, 0.5 / 4, 1.1 / 4])
    torch.testing.assert_close(published.pixel_log_odds(pixels).sigmoid(), expected)
    many = torch.randint(0, 256, (20_000, 5), generator=generator).to(torch.uint8)
    assert (published.pixel_log_odds(many).sigmoid() - 0.5).abs().max() < 0.02
