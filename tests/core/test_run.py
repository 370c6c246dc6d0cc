"""Training that is stopped, killed, resumed, spoilt: nothing is lost and nothing half-done."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from watching import each_epoch, each_step

from vaelib import checkpoint, vae
from vaelib.adam import Adam
from vaelib.course import output, plotting
from vaelib.course.blog_post import Penalised
from vaelib.elbo import ElboTerms, elbo
from vaelib.evaluation import evaluate
from vaelib.guard import NonFiniteError, interruptible
from vaelib.run import read_state
from vaelib.training import InterruptedTraining, train


@pytest.fixture(autouse=True)
def interrupts_arrive():
    """Also where a shell that started the tests in the background has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def small(seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"hidden": 20, "latent": 2} | settings
    return vae.dense(**sizes, generator=generator), generator


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def same_history(one, two):
    for a, b in ((one.train, two.train), (one.test, two.test)):
        assert (a is None) == (b is None)
        if a is not None:
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


SETTINGS = {"batch_size": 16, "protocol": "dynamic", "objective": Penalised(0.01)}


@pytest.fixture
def unbroken(pixels):
    """Ten epochs at a stretch."""
    model, generator = small()
    history = train(
        model, pixels, epochs=10, test_images=pixels[:9], generator=generator, **SETTINGS
    )
    return model, history, generator


def stop_at(wanted):
    def on_step(step, terms):
        if step == wanted:
            signal.raise_signal(signal.SIGINT)

    return on_step


class TestResume:
    def test_four_and_six_epochs_are_ten(self, pixels, unbroken):
        model, generator = small()
        first = train(
            model, pixels, epochs=4, test_images=pixels[:9], generator=generator, **SETTINGS
        )
        other, another = small(seed=7)
        history = train(
            other,
            pixels,
            epochs=10,
            test_images=pixels[:9],
            generator=another,
            resume=first,
            **SETTINGS,
        )
        assert torch.equal(weights(other), weights(unbroken[0]))
        assert torch.equal(another.get_state(), unbroken[2].get_state())
        same_history(history, unbroken[1])
        assert (history.seconds.diff() > 0).all()

    def test_also_from_a_file_in_another_process(self, pixels, unbroken, tmp_path):
        script = f"""
            import torch
            from vaelib import training, vae
            from vaelib.course import blog_post
            pixels = torch.randint(0, 256, (60, 784), generator=torch.Generator().manual_seed(0))
            pixels, epochs = pixels.to(torch.uint8), 10
            generator = torch.Generator().manual_seed(0)
            model = vae.dense(hidden=20, latent=2, generator=generator)
            training.train(model, pixels, epochs=epochs, test_images=pixels[:9], batch_size=16,
                           generator=generator, protocol="dynamic",
                           objective=blog_post.Penalised(0.01),
                           save_to={str(tmp_path / "run.safetensors")!r},
                           resume={str(tmp_path / "run.safetensors")!r})
        """
        model, generator = small()
        settings = SETTINGS | {"test_images": pixels[:9], "save_to": tmp_path / "run.safetensors"}
        train(model, pixels, epochs=4, generator=generator, **settings)
        command = [sys.executable, "-c", textwrap.dedent(script)]
        subprocess.run(command, check=True, timeout=120)
        model = checkpoint.load(tmp_path / "run.safetensors")
        assert torch.equal(weights(model), weights(unbroken[0]))

    def test_a_finished_run_is_returned_as_it_is(self, pixels, unbroken):
        model, history, _ = unbroken
        before = weights(model)
        again = train(model, pixels, epochs=10, test_images=pixels[:9], resume=history, **SETTINGS)
        same_history(again, history)
        assert torch.equal(weights(model), before)

    def test_the_global_generator_is_restored_too(self, pixels):
        found = []
        for parts in ((2,), (1, 2)):
            torch.manual_seed(5)
            model, history = vae.dense(hidden=4), None
            for epochs in parts:
                history = train(model, pixels, epochs=epochs, resume=history)
                torch.manual_seed(99)
            found.append(weights(model))
        assert torch.equal(*found)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"batch_size": 17}, "batch_size was 16, now 17"),
            ({"learning_rate": 0.1}, "learning_rate was 0.001, now 0.1"),
            ({"protocol": "threshold"}, "protocol was dynamic, now threshold"),
            ({"test_images": None}, "test_images was 9 with SHA-256"),
        ],
    )
    def test_a_run_is_resumed_as_it_was_begun(self, pixels, unbroken, change, message):
        given = SETTINGS | {"test_images": pixels[:9]} | change
        with pytest.raises(ValueError, match=message):
            train(unbroken[0], pixels, resume=unbroken[1], **given)

    def test_other_images_or_another_network_are_refused(self, pixels, unbroken):
        history = unbroken[1]
        with pytest.raises(ValueError, match="images was 60 with SHA-256"):
            train(small()[0], 255 - pixels, test_images=pixels[:9], resume=history, **SETTINGS)
        with pytest.raises(ValueError, match="images was 60 with SHA-256"):
            train(small()[0], pixels.flip(0), test_images=pixels[:9], resume=history, **SETTINGS)
        for change in ({"hidden": 30}, {"latent": 3}, {"activation": "relu"}):
            other, _ = small(**change)
            before = weights(other)
            with pytest.raises(ValueError, match=r"network was .*Encoder"):
                train(other, pixels, test_images=pixels[:9], resume=history, **SETTINGS)
            assert torch.equal(weights(other), before), "it was touched before it was compared"
        with pytest.raises(ValueError, match=r"in torch.float32, now .* in torch.float64"):
            train(small()[0].double(), pixels, test_images=pixels[:9], resume=history, **SETTINGS)

    def test_what_happens_to_the_model_afterwards_does_not_touch_the_history(
        self, pixels, unbroken
    ):
        model, generator = small()
        settings = SETTINGS | {"test_images": pixels[:9], "generator": generator}
        with pytest.warns(InterruptedTraining):
            history = train(model, pixels, watch=each_step(stop_at(6)), **settings)
        model.trained_steps = 0
        train(model, pixels, **settings)
        for _ in range(2):
            again, _ = small(seed=8)
            train(again, pixels, resume=history, **settings)
            assert torch.equal(weights(again), weights(unbroken[0]))

    @pytest.mark.parametrize("wrong", [True, 3, object()])
    @pytest.mark.usefixtures("as_users_run")
    def test_what_is_no_run_is_named(self, pixels, wrong):
        with pytest.raises(TypeError, match="expected resume to be the history that `train`"):
            train(small()[0], pixels, resume=wrong)

    def test_a_model_without_a_run_cannot_be_resumed(self, pixels, tmp_path):
        model, _ = small()
        path = checkpoint.save(model, tmp_path / "model.safetensors")
        with pytest.raises(checkpoint.CheckpointError, match="has a model but no run"):
            train(model, pixels, resume=path)
        with pytest.raises(checkpoint.CheckpointError, match="there is no file"):
            train(model, pixels, resume=tmp_path / "nothing")
        seen = []
        train(
            model, pixels, epochs=1, watch=each_epoch(lambda epoch, history: seen.append(history))
        )
        with pytest.raises(ValueError, match="this history has no state"):
            train(model, pixels, resume=seen[0])

    def test_the_file_comes_after_every_epoch(self, pixels, tmp_path):
        path, found = tmp_path / "run.safetensors", []
        model, generator = small()

        def look(epoch, history):
            found.append(int(read_state(path).tensors["step"]))

        train(model, pixels, epochs=3, save_to=path, generator=generator, watch=each_epoch(look))
        assert found == [1, 2, 3]
        assert torch.equal(weights(checkpoint.load(path)), weights(model))

    def test_an_older_run_is_not_overwritten_by_accident(self, pixels, tmp_path):
        path = tmp_path / "run.safetensors"
        model, generator = small()
        train(model, pixels, epochs=1, save_to=path, generator=generator)
        before = path.read_bytes()
        model, generator = small()
        with pytest.raises(ValueError, match=r"exists and would be overwritten.*resume="):
            train(model, pixels, epochs=1, save_to=path, generator=generator)
        history = train(model, pixels, epochs=1, generator=generator)
        with pytest.raises(ValueError, match="exists and would be overwritten"):
            train(model, pixels, epochs=2, save_to=path, generator=generator, resume=history)
        assert path.read_bytes() == before

    def test_the_file_of_the_same_run_may_be_written_again(self, pixels, tmp_path):
        path = tmp_path / "run.safetensors"
        model, generator = small()
        history = train(model, pixels, epochs=1, save_to=path, generator=generator)
        train(model, pixels, epochs=2, save_to=path, generator=generator, resume=history)
        assert int(read_state(path).tensors["step"]) == 2

    def test_a_target_that_could_never_be_written_is_found_at_once(self, pixels, tmp_path):
        model, generator = small()
        with pytest.raises(ValueError, match="is a folder; expected the name of a file"):
            train(model, pixels, save_to=tmp_path, generator=generator)
        assert model.trained_steps == 0

    @pytest.mark.usefixtures("as_users_run")
    def test_any_number_is_a_learning_rate(self, pixels, tmp_path):
        for rate in (np.float32(1e-3), torch.tensor(1e-3)):
            model, generator = small()
            path = tmp_path / type(rate).__name__
            train(model, pixels, epochs=1, learning_rate=rate, save_to=path, generator=generator)
            assert path.exists()

    def test_a_disk_that_fails_does_not_end_the_training(self, pixels, tmp_path, monkeypatch):
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        model, generator = small()
        with pytest.warns(UserWarning, match="could not be written: disk full. Training goes on"):
            history = train(model, pixels, epochs=2, save_to=tmp_path / "r", generator=generator)
        assert len(history.seconds) == 2
        assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder_wherever_a_path_is_taken(pixels, tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model, generator = small()
    history = train(model, pixels, epochs=1, save_to="~/a/run", generator=generator)
    train(model, pixels, epochs=2, resume="~/a/run")
    assert read_state("~/a/run").settings == history.state.settings
    for path in ("~/b/model", Path("~/b/model")):
        assert checkpoint.save(model, path) == tmp_path / "home" / "b" / "model"
        assert torch.equal(weights(checkpoint.load(path)), weights(model))
        assert checkpoint.read_checkpoint(path).model["trained_steps"] == 2
    assert plotting.save_images(pixels[:3], "~/c/a.png") == tmp_path / "home" / "c" / "a.png"
    assert output.folder("~/d") == tmp_path / "home" / "d"
    assert list((tmp_path / "here").iterdir()) == [], "a folder called ~ was made"
    kept = {str(file.relative_to(tmp_path / "home")) for file in (tmp_path / "home").rglob("*.*")}
    assert "c/a.png" in {file.replace("\\", "/") for file in kept}


class TestInterrupt:
    @pytest.mark.parametrize("step", [1, 6, 8])  # in the first epoch, in the second, at its end
    def test_it_ends_after_the_step_and_goes_on_exactly(self, pixels, unbroken, step):
        model, generator = small()
        settings = SETTINGS | {"test_images": pixels[:9], "generator": generator}
        with pytest.warns(InterruptedTraining, match=f"after step {step}; .*resume=history"):
            history = train(model, pixels, watch=each_step(stop_at(step)), **settings)
        assert model.trained_steps == step
        assert len(history.seconds) == step // 4
        assert history.test.bound.shape == history.train.kl.shape == (step // 4,)
        assert evaluate(model, pixels).bound.isfinite().all()
        history = train(model, pixels, resume=history, **settings)
        assert torch.equal(weights(model), weights(unbroken[0]))
        same_history(history, unbroken[1])

    def test_the_file_has_the_step_at_which_it_ended(self, pixels, unbroken, tmp_path):
        path = tmp_path / "run.safetensors"
        model, generator = small()
        settings = SETTINGS | {"test_images": pixels[:9], "save_to": path}
        with pytest.warns(InterruptedTraining, match="or after a restart resume="):
            train(model, pixels, generator=generator, watch=each_step(stop_at(6)), **settings)
        model, generator = small(seed=3)
        train(model, pixels, generator=generator, resume=path, **settings)
        assert torch.equal(weights(model), weights(unbroken[0]))

    def test_a_file_that_could_not_be_written_is_not_recommended(
        self, pixels, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        model, generator = small()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            train(
                model,
                pixels,
                save_to=tmp_path / "r",
                generator=generator,
                watch=each_step(stop_at(1)),
                batch_size=10,
            )
        texts = [str(warning.message) for warning in said]
        assert "could not be written: disk full" in texts[0]
        assert "training was stopped" in texts[1]
        assert "after a restart" not in texts[1]

    def test_a_model_that_was_just_spoilt_is_not_handed_back_as_whole(self, pixels, tmp_path):
        def spoil_and_stop(step, terms):
            if step == 3:
                with torch.no_grad():
                    model.encoder.mean.bias.fill_(float("nan"))
                raise KeyboardInterrupt

        model, generator = small()
        with pytest.raises(NonFiniteError, match=r"at step 3: the gradient of encoder.mean.bias"):
            train(
                model,
                pixels,
                batch_size=10,
                save_to=tmp_path / "r",
                generator=generator,
                watch=each_step(spoil_and_stop),
            )
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert not list(tmp_path.iterdir())

    def test_at_the_last_step_there_is_nothing_to_warn_about(self, pixels):
        model, generator = small()
        history = train(model, pixels, epochs=1, generator=generator, watch=each_step(stop_at(1)))
        assert len(history.seconds) == 1

    def test_a_callback_may_ask_too_also_in_a_thread(self, pixels):
        found = []

        def button(epoch, history):
            if epoch == 2:
                raise KeyboardInterrupt

        def work():
            model, generator = small()
            with pytest.warns(InterruptedTraining):
                found.append(train(model, pixels, generator=generator, watch=each_epoch(button)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert len(found[0].seconds) == 2

    def test_the_second_one_ends_at_once_and_the_handler_comes_back(self):
        before = signal.getsignal(signal.SIGINT)
        with interruptible() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.requested
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before

    def test_where_interrupts_are_ignored_they_stay_ignored(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with interruptible() as stop:
                signal.raise_signal(signal.SIGINT)
                assert not stop.requested
        finally:
            signal.signal(signal.SIGINT, before)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
    def test_a_real_ctrl_c_from_outside(self):
        script = """
            import signal, torch, warnings
            from vaelib import training, vae
            signal.signal(signal.SIGINT, signal.default_int_handler)
            warnings.simplefilter("ignore")
            generator = torch.Generator().manual_seed(0)
            model = vae.dense(hidden=20, generator=generator)
            images = torch.zeros(6000, 784, dtype=torch.uint8)
            history = training.train(model, images, epochs=10**6, generator=generator,
                watch=lambda at: print(at.step, flush=True) if at.step == 5 else None)
            print("steps", model.trained_steps, "state", int(history.state.tensors["step"]))
            print("finite", all(p.isfinite().all() for p in model.parameters()))
        """
        command = [sys.executable, "-u", "-c", textwrap.dedent(script)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "5\n"
            os.kill(child.pid, signal.SIGINT)
            printed, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        _, steps, _, state, _, finite = printed.split()
        assert steps == state
        assert finite == "True"


class TestTwice:
    def test_a_trained_model_is_not_trained_on_by_accident(self, pixels):
        model, generator = small()
        train(model, pixels, epochs=1, generator=generator)
        before = weights(model)
        with pytest.raises(ValueError, match="has been trained for 1 steps"):
            train(model, pixels, epochs=1, generator=generator)
        assert torch.equal(weights(model), before)
        model.trained_steps = 0
        train(model, pixels, epochs=1, generator=generator)
        assert not torch.equal(weights(model), before)

    def test_nor_one_that_was_interrupted(self, pixels):
        model, generator = small()
        with pytest.warns(InterruptedTraining):
            train(model, pixels, generator=generator, watch=each_step(stop_at(1)), batch_size=10)
        with pytest.raises(ValueError, match="has been trained for 1 steps"):
            train(model, pixels, generator=generator, batch_size=10)

    def test_nor_one_that_was_loaded_or_has_failed(self, pixels, tmp_path):
        model, generator = small()
        train(model, pixels, epochs=3, save_to=tmp_path / "run", generator=generator)
        with pytest.raises(ValueError, match="has been trained for 3 steps"):
            train(checkpoint.load(tmp_path / "run"), pixels)
        model.trained_steps = 0
        with pytest.raises(NonFiniteError, match="those after step 0"):
            train(model, pixels, learning_rate=1e30, generator=generator)
        model.trained_steps = 3
        with pytest.raises(ValueError, match="has been trained for 3 steps"):
            train(model, pixels)

    def test_nor_one_that_was_left_in_the_middle_of_a_step(self, pixels, monkeypatch):
        def step(self, learning_rate):
            for parameter in self.values:
                parameter.data.add_(1.0)
            raise KeyboardInterrupt

        model, generator = small()
        monkeypatch.setattr(Adam, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(model, pixels, generator=generator)
        with pytest.raises(ValueError, match="has been trained for 1 steps"):
            train(model, pixels, generator=generator)

    def test_but_a_first_step_that_failed_before_it_moved_a_weight(self, pixels, monkeypatch):
        def out_of_memory(*arguments, **settings):
            raise torch.OutOfMemoryError("no memory left")

        class Full(torch.Tensor):
            backward = out_of_memory

        def objective(model, image, noise):
            return ElboTerms(*(term.as_subclass(Full) for term in elbo(model, image, noise)))

        model, generator = small()
        before = weights(model)
        for fails in ({"objective": out_of_memory}, {"objective": objective}):
            with pytest.raises(torch.OutOfMemoryError):
                train(model, pixels, generator=generator, **fails)
        with monkeypatch.context() as context:
            context.setattr(Adam, "_start", out_of_memory)  # makes its averages
            with pytest.raises(torch.OutOfMemoryError):
                train(model, pixels, generator=generator)
        assert torch.equal(weights(model), before)
        assert model.trained_steps == 0
        train(model, pixels, epochs=1, generator=generator)
        assert not torch.equal(weights(model), before)

    @pytest.mark.parametrize("spoil", ["batch statistics", "a weight that is no number"])
    def test_nor_one_of_a_model_that_a_failed_step_has_left_alone(self, pixels, spoil):
        model, generator = small()
        if spoil == "batch statistics":
            model.encoder.hidden.append(torch.nn.BatchNorm1d(20))
        else:
            model.decoder.logits.bias.data[3] = torch.nan

        def objective(model, image, noise):
            elbo(model, image, noise)
            raise torch.OutOfMemoryError("no memory left")

        with pytest.raises(torch.OutOfMemoryError):
            train(model, pixels, objective=objective, generator=generator)
        assert model.trained_steps == 0

    @pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode])
    def test_a_surrounding_without_gradients_changes_nothing(self, pixels, surroundings):
        model, generator = small()
        train(model, pixels, epochs=2, generator=generator)
        twin, generator = small()
        with surroundings():
            train(twin, pixels, epochs=2, generator=generator)
        assert torch.equal(weights(model), weights(twin))
        assert twin.trained_steps == 2


@pytest.mark.parametrize("spoil", [lambda t: t.mean(), lambda t: t[:3], lambda t: t[None]])
@pytest.mark.usefixtures("as_users_run")
def test_an_objective_must_return_a_term_for_each_image(pixels, spoil):
    def objective(model, image, noise):
        return ElboTerms(*map(spoil, elbo(model, image, noise)))

    model, generator = small()
    with pytest.raises(ValueError, match=r"expected an objective that returns terms of shape \(16"):
        train(model, pixels, objective=objective, batch_size=16, generator=generator)


def poisoned(at, term, value=float("nan")):
    """The bound's terms, but call number `at` has `value` in one of them for one image."""
    calls = [0]

    def objective(model, image, noise):
        calls[0] += 1
        terms = elbo(model, image, noise)
        if calls[0] == at:
            spoilt = {name: part.clone() for name, part in terms._asdict().items()}
            for name in term.split("+"):
                spoilt[name][3] = value
            terms = ElboTerms(**spoilt)
        return terms

    return objective


class TestNonFinite:
    @pytest.mark.parametrize(
        ("term", "value", "named"),
        [
            ("log_likelihood", float("nan"), "the log-likelihood went first"),
            ("log_likelihood", -float("inf"), "the log-likelihood went first"),
            ("kl", float("inf"), "the KL went first"),
            ("log_likelihood+kl", float("nan"), "the log-likelihood and the KL went first"),
        ],
    )
    def test_it_names_epoch_step_and_term_and_keeps_the_parameters(
        self, pixels, term, value, named
    ):
        model, generator = small()
        settings = {"batch_size": 16, "generator": generator}
        seen = {}
        with pytest.raises(NonFiniteError, match="Likely causes: ") as caught:
            train(
                model,
                pixels,
                objective=poisoned(7, term, value),
                watch=each_step(lambda step, terms: seen.update({step: weights(model)})),
                **settings,
            )
        assert f"in epoch 2, at step 7: {named}" in str(caught.value)
        assert "those after step 6." in str(caught.value)
        assert torch.equal(weights(model), seen[6])

    def test_parameters_that_have_run_away_are_put_back(self, pixels):
        for rate in (1e4, 1e20, 1e38):
            model, generator = small()
            start = weights(model)
            with pytest.raises(NonFiniteError, match=r"too large \(it is 1"):
                train(model, pixels, learning_rate=rate, batch_size=16, generator=generator)
            assert evaluate(model, pixels).bound.isfinite().all()
            assert torch.equal(weights(model), start)
            assert model.trained_steps == 0

    def test_the_copy_is_at_most_a_hundred_steps_old(self, pixels):
        model, generator = small()
        seen = {}

        def spoils(model, image, noise):
            if len(seen) == 120:
                with torch.no_grad():
                    model.decoder.logits.bias.fill_(float("nan"))
            return elbo(model, image, noise)

        with pytest.raises(
            NonFiniteError,
            match=r"at step 120: the gradient of decoder.logits.bias.*those after step 100",
        ):
            train(
                model,
                pixels,
                epochs=99,
                batch_size=30,
                objective=spoils,
                generator=generator,
                watch=each_step(lambda step, terms: seen.update({step: weights(model)})),
            )
        assert torch.equal(weights(model), seen[100])

    def test_an_accelerator_is_looked_at_once_an_epoch(self, pixels, monkeypatch):
        monkeypatch.setattr("vaelib.guard.reading_waits", lambda device: True)
        model, generator = small()
        seen = {}

        def overflows(model, image, noise):
            terms = elbo(model, image, noise)
            return terms._replace(kl=terms.kl / (len(seen) != 4))

        with pytest.raises(
            NonFiniteError,
            match=r"in epoch 3, at step 6 or before: log-likelihood or KL.*those after step 4",
        ):
            train(
                model,
                pixels,
                epochs=9,
                batch_size=30,
                objective=overflows,
                generator=generator,
                watch=each_step(lambda step, terms: seen.update({step: weights(model)})),
            )
        assert len(seen) == 5, "the sixth step ends an epoch that is found to be spoilt"
        assert torch.equal(weights(model), seen[4])
        assert model.trained_steps == 4

    def test_a_gradient_that_spoils_the_last_step_is_found(self, pixels):
        def bad_slope(model, image, noise):
            terms = elbo(model, image, noise)
            zero = (model.encoder.mean.bias * 0).abs().sum()
            return ElboTerms(terms.log_likelihood, terms.kl + zero.sqrt())  # slope 0 / 0

        model, generator = small()
        start = weights(model)
        with pytest.raises(
            NonFiniteError, match=r"at step 1: the gradient of encoder.mean.bias went first"
        ):
            train(model, pixels, epochs=1, objective=bad_slope, generator=generator)
        assert torch.equal(weights(model), start)

    def test_a_penalty_that_overflows_is_named(self, pixels):
        model, generator = small()
        with pytest.raises(NonFiniteError, match="what the objective adds to the loss"):
            train(model, pixels, objective=Penalised(1e39), generator=generator)
