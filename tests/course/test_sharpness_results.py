"""The committed measures of blur and of samples: whole, and consistent with the published runs."""

import math

import pytest

from benchmarks import sharpness
from vaelib.course import results

FILE = results.read("sharpness")
ROWS = {row["name"]: row for row in FILE["rows"]}
RUNS = [(name, run) for name, row in ROWS.items() for run in row["runs"]]
PUBLISHED = results.published()
LOOK = {"confidence", "classes", "precision", "recall"}


def test_every_part_is_there_and_measured():
    assert "provisional" not in FILE
    assert list(ROWS) == [name for name in sharpness.NAMES if name in ROWS]
    assert FILE.keys() >= set(sharpness.PARTS)
    assert not any(map(sharpness.made_up, [FILE["rows"], *map(FILE.get, sharpness.PARTS)]))


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_what_is_copied_is_what_was_published(name, run):
    (source,) = (one for one in PUBLISHED[name]["runs"] if one["seed"] == run["seed"])
    for key in ("epochs", "samples", "negative_log_likelihood", "negative_elbo"):
        assert run[key] == pytest.approx(source[key], abs=6e-4), key
    assert run["minutes"] == pytest.approx(source["cpu_minutes"], abs=6e-4)
    assert [point[::2] for point in run["curve"]] == [point[::2] for point in source["curve"]]


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_every_measure_is_in_its_range(name, run):
    for look in (run, run["reconstructions"], run["aggregate"]):
        assert look.keys() >= LOOK
        assert all(0 < look[key] <= 1 for key in ("confidence", "precision", "recall"))
        assert 1 <= look["classes"] <= 10
    assert all(0 < count < 784 for count in run["undecided"].values())
    assert len(run["levels"]) == len(ROWS[name]["latents"])
    assert 0 < sum(run["levels"]) < run["negative_elbo"], "the rest is the distortion"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row["bits_per_pixel"]])
def test_a_file_is_as_long_as_the_bound(name):
    """An image costs −ELBO / log 2 bits; the first run's model was compressed."""
    bound = ROWS[name]["runs"][0]["negative_elbo"] / (784 * math.log(2))
    assert abs(ROWS[name]["bits_per_pixel"] / bound - 1) < 0.01


def test_real_images_look_real():
    reference = FILE["reference"]
    assert reference["judge"]["accuracy"] > 0.97
    for kind in ("training_images", "test_images"):
        assert reference[kind]["confidence"] > 0.95
        assert reference[kind]["classes"] > 9.8
        assert all(run["confidence"] < reference[kind]["confidence"] for _, run in RUNS)


def test_few_images_were_learnt_from_three_seeds_each():
    found = {(row["equal"], row["network"]): [] for row in FILE["fewer"]}
    for row in FILE["fewer"]:
        found[row["equal"], row["network"]].append(row)
    assert len(found) == 4
    assert all({row["seed"] for row in rows} == {0, 1, 2} for rows in found.values())
    for seed in range(3):
        (slow, quick) = (found["minutes", kind][seed] for kind in ("convolutional", "dense"))
        assert quick["minutes"] == pytest.approx(slow["minutes"], rel=0.35)
