import threading

import pytest
import torch

from vaelib import sampling, training, vae
from vaelib.course import explorers
from vaelib.course.explorers import live
from vaelib.course.explorers.shell import png

SOON = 30.0  # seconds that a thread may take to get somewhere
IMAGES = torch.randint(0, 256, (2000, 36), generator=torch.Generator().manual_seed(0))
IMAGES = IMAGES.to(torch.uint8)


@pytest.fixture
def turned():
    explorer = explorers.train_live(IMAGES, IMAGES[:200])
    yield explorer
    explorer.stop()
    explorer.wait()


def test_a_run_is_that_of_train_and_its_last_picture_the_view_of_it(turned):
    pictures = []
    turned.picture.observe(lambda change: pictures.append(change["new"]), "value")
    turned.controls["epochs"].value, turned.controls["count"].value = 3, 1000
    turned.buttons["Train"].click()
    turned.wait()
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(pixels=36, generator=generator)
    history = training.train(
        model, IMAGES[:1000], test_images=IMAGES[:200], epochs=3, generator=generator
    )
    assert torch.equal(turned.history.test.bound, history.test.bound)
    codes = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    expected = live.view_training(-history.test.bound, sampling.decode(model, codes), epochs=3)
    assert turned.picture.value == png(expected.figure)
    assert f"<b>{-history.test.bound[-1]:.1f}</b> nats" in turned.words.value
    assert len(set(pictures)) == len(pictures) >= 3, "another after each epoch"
    assert not turned.buttons["Train"].disabled
    assert turned.buttons["Stop"].disabled


def test_stop_ends_a_long_run_at_once_and_keeps_the_model(turned):
    after_an_epoch, pressed = threading.Event(), threading.Event()

    def hold(change):
        if "After epoch" in change["new"]:
            after_an_epoch.set()
            pressed.wait(SOON)

    turned.words.observe(hold, "value")
    turned.controls["epochs"].value, turned.controls["count"].value = 20, 2000
    turned.buttons["Train"].click()
    assert after_an_epoch.wait(SOON)
    assert turned.running
    assert turned.buttons["Train"].disabled
    turned.buttons["Stop"].click()
    pressed.set()
    turned.wait()
    assert "Stopped after step" in turned.words.value
    assert 20 <= turned.model.trained_steps <= 21, "an epoch has 20 steps"
    assert not turned.running
    assert not turned.buttons["Train"].disabled


def test_two_presses_start_one_run(turned, monkeypatch):
    runs, end = [], threading.Event()

    def wait(*arguments, **settings):
        runs.append(arguments)
        end.wait(SOON)

    monkeypatch.setattr(live, "train", wait)
    turned.start()
    turned.start()
    end.set()
    turned.wait()
    assert len(runs) == 1


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
    for pixels in (784, 400):
        digits = torch.full((20, pixels), 0.5)
        far = live.view_training(torch.tensor([6e28]), digits, epochs=3)
        assert "<b>6e+28</b>" in far.words
        edge = live.view_training(torch.tensor([240.0 * pixels / 784]), digits, epochs=3)
        assert (far.figure.pixels() == edge.figure.pixels()).all()


def test_more_images_than_there_are_cannot_be_asked_for():
    assert explorers.train_live(IMAGES[:500], IMAGES[:100]).settings["count"] == 500
