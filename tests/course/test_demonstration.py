import runpy
import sys

import pytest
import torch

from vaelib import data, evaluation, training
from vaelib.course import demonstration
from vaelib.data import store


@pytest.fixture
def small(fresh, digits, monkeypatch):
    """A cache of one's own, a data set of 500 digits, and a count of trainings."""
    some = data.Dataset(digits[:500], torch.zeros(500, dtype=torch.uint8), "mnist")
    monkeypatch.setattr(data, "load", lambda name=None, split=None: some)
    trained = []

    def count(*arguments, **settings):
        trained.append(settings)
        return training.train(*arguments, **settings)

    monkeypatch.setattr(demonstration, "train", count)
    return trained


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_it_is_trained_once_and_kept(small, digits):
    first = demonstration.model()
    assert -evaluation.mean_terms(first, digits).bound < 350 < 543, "it has learnt something"
    assert equal(first, demonstration.model())
    assert len(small) == 1
    assert demonstration.model_file("mnist").is_file()
    assert demonstration.model_file("mnist").is_relative_to(store.cache_folder())


def test_a_damaged_file_is_replaced(small):
    first = demonstration.model()
    demonstration.model_file("mnist").write_bytes(b"\x00" * 100)
    assert equal(first, demonstration.model())
    assert len(small) == 2
    assert equal(first, demonstration.model())
    assert len(small) == 2


def test_data_sets_have_models_of_their_own():
    assert demonstration.model_file("mnist") != demonstration.model_file("glyphs")


def test_a_cache_that_cannot_be_written_costs_time_and_a_warning(small, fresh):
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be kept in"):
        model = demonstration.model()
    assert model.trained_steps == 15


def test_the_command_makes_it_and_says_so_once(small, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "vaelib.course.demonstration")
    for said in (True, False):
        runpy.run_module("vaelib.course.demonstration", run_name="__main__")
        assert demonstration.model_file("mnist").is_file()
        assert ("Training a small model" in capsys.readouterr().err) == said
