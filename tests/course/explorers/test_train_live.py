import time

import pytest
import torch

from vaelib import sampling, training, vae
from vaelib.course import explorers
from vaelib.course.explorers import training as live
from vaelib.course.explorers.shell import png


@pytest.fixture
def turned(digits):
    explorer = explorers.train_live(digits, digits[:200])
    yield explorer
    explorer.stop()
    explorer.wait()


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_run_is_that_of_train_and_its_last_picture_the_view_of_it(turned, digits):
    turned.controls["epochs"].value, turned.controls["count"].value = 2, 1000
    turned.buttons["Train"].click()
    turned.wait()
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(generator=generator)
    history = training.train(
        model, digits[:1000], test_images=digits[:200], epochs=2, generator=generator
    )
    assert torch.equal(turned.history.test.bound, history.test.bound)
    codes = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    expected = live.view(-history.test.bound, sampling.decode(model, codes), epochs=2)
    assert turned.picture.value == png(expected.figure)
    assert f"<b>{-history.test.bound[-1]:.1f}</b> nats" in turned.words.value
    assert not turned.buttons["Train"].disabled
    assert turned.buttons["Stop"].disabled


def test_the_picture_changes_after_each_epoch(turned):
    pictures = []
    turned.picture.observe(lambda change: pictures.append(change["new"]), "value")
    turned.controls["epochs"].value, turned.controls["count"].value = 3, 1000
    turned.start()
    turned.wait()
    assert len(set(pictures)) == len(pictures) >= 3


def test_stop_ends_a_long_run_at_once_and_keeps_the_model(turned):
    turned.controls["epochs"].value, turned.controls["count"].value = 20, 2000
    turned.buttons["Train"].click()
    until(lambda: turned.history is not None)
    assert turned.running
    assert turned.buttons["Train"].disabled
    turned.buttons["Stop"].click()
    turned.wait()
    assert "Stopped after step" in turned.words.value
    steps = turned.model.trained_steps
    assert 20 <= steps < 400
    picture = turned.picture.value
    time.sleep(0.3)
    assert turned.model.trained_steps == steps
    assert turned.picture.value == picture
    assert not turned.buttons["Train"].disabled


def test_two_presses_start_one_run(turned):
    turned.controls["count"].value = 2000
    turned.start()
    first = turned._thread
    turned.start()
    assert turned._thread is first


def test_each_run_starts_afresh(turned):
    turned.controls["epochs"].value, turned.controls["count"].value = 1, 1000
    bounds = []
    for _ in range(2):
        turned.start()
        turned.wait()
        bounds.append(turned.history.test.bound)
    assert torch.equal(*bounds)


def test_reset_stops_and_shows_an_untrained_model(turned):
    first, settings = turned.picture.value, turned.settings
    turned.controls["epochs"].value, turned.controls["count"].value = 20, 2000
    turned.controls["latent"].value = 2
    turned.start()
    turned.buttons["Reset"].click()
    assert not turned.running
    assert turned.settings == settings
    assert turned.picture.value == first
    assert "Untrained" in turned.words.value


def test_a_loss_that_is_no_number_is_told(turned, monkeypatch):
    monkeypatch.setattr(live, "train", fails_with(live.NonFiniteError("the loss is not a number")))
    turned.start()
    turned.wait()
    assert "the loss is not a number" in turned.words.value
    assert not turned.buttons["Train"].disabled


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_any_other_fault_is_told_too(turned, monkeypatch):
    monkeypatch.setattr(live, "train", fails_with(RuntimeError("out of memory")))
    turned.start()
    turned.wait()
    assert "The run failed: RuntimeError: out of memory" in turned.words.value
    assert not turned.buttons["Train"].disabled


def fails_with(error):
    def fail(*arguments, **settings):
        raise error

    return fail


def test_a_loss_beyond_the_frame_stays_in_it_and_is_told():
    digits = torch.full((20, 784), 0.5)
    far = live.view(torch.tensor([6e28]), digits, epochs=3)
    assert "<b>6e+28</b>" in far.words
    edge = live.view(torch.tensor([live.HIGH]), digits, epochs=3)
    assert (far.figure.pixels() == edge.figure.pixels()).all()


def test_more_images_than_there_are_cannot_be_asked_for(digits):
    turned = explorers.train_live(digits[:500], digits[:100])
    assert turned.settings["count"] == 500
