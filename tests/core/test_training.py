import contextlib
import copy
import inspect
import itertools
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from watching import each_step

from vaelib import vae
from vaelib.binarization import dynamic, intensity, threshold
from vaelib.course.blog_post import Penalised, sum_of_squares
from vaelib.decoder import log_likelihood
from vaelib.elbo import ElboTerms, elbo, kl
from vaelib.encoder import reparameterize
from vaelib.evaluation import estimate, evaluate, mean_terms
from vaelib.guard import NonFiniteError
from vaelib.objectives import ImportanceWeighted, Weighted
from vaelib.schedule import Progress, ToZero, WarmUp
from vaelib.training import train


def small(seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"pixels": 784, "hidden": 20, "latent": 2} | settings
    return vae.dense(**sizes, generator=generator), generator


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_the_bound_rises_and_history_says_so(digits):
    model, generator = small()
    history = train(
        model, digits, epochs=3, batch_size=20, test_images=digits[:500], generator=generator
    )
    assert history.train.bound.shape == history.test.kl.shape == history.seconds.shape == (3,)
    assert (history.test.bound.diff() > 0).all()
    assert history.test.bound[-1] > -240
    assert history.test.bound[-1] == mean_terms(model, digits[:500]).bound
    assert (history.seconds.diff() > 0).all()


def test_a_seed_repeats_exactly_and_another_differs(pixels):
    runs = []
    for seed in (0, 0, 1):
        model, generator = small(seed)
        history = train(model, pixels, epochs=2, batch_size=16, generator=generator)
        runs.append((weights(model), history.train.bound))
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][0], runs[2][0])


def test_looking_at_test_images_changes_nothing(pixels):
    found = []
    for test_images in (None, pixels):
        model, generator = small()
        train(model, pixels, epochs=2, test_images=test_images, generator=generator)
        found.append(weights(model))
    assert torch.equal(*found)


def test_one_step_is_adams_on_the_mean_loss(pixels):
    model, generator = small()
    by_hand, same = small()
    order = torch.randperm(len(pixels), generator=same)
    image = threshold(pixels[order])
    noise = torch.randn(len(pixels), 2, generator=same)
    penalty = 0.01 * sum(p.square().sum() for p in by_hand.decoder.parameters())
    loss = -elbo(by_hand, image, noise).bound.mean() + penalty
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    loss.backward()
    optimizer.step()
    train(model, pixels, epochs=1, batch_size=60, objective=Penalised(0.01), generator=generator)
    torch.testing.assert_close(weights(model), weights(by_hand), rtol=1e-5, atol=1e-7)


def test_every_image_is_used_once_an_epoch_also_in_a_short_last_batch(pixels):
    seen, sizes = [], []

    def spy(images, generator):
        seen.append(images)
        sizes.append(len(images))
        return threshold(images)

    model, generator = small()
    train(model, pixels, epochs=1, batch_size=25, protocol=spy, generator=generator)
    assert sizes == [60, 25, 25, 10], "once at entry, to see that nothing stays grey, then batches"
    assert torch.equal(torch.cat(seen[1:]).sum(1).sort().values, pixels.sum(1).sort().values)


def test_the_history_averages_over_images_not_batches(pixels):
    model, generator = small()
    terms = []
    history = train(
        model,
        pixels,
        epochs=1,
        batch_size=25,
        generator=generator,
        watch=each_step(lambda step, batch: terms.append(batch.bound)),
    )
    torch.testing.assert_close(history.train.bound[0], torch.cat(terms).mean())
    assert history.test is None


def test_reports_count_from_one_and_carry_no_gradient(pixels):
    steps, epochs = [], []
    model, generator = small()

    def note(report):
        steps.append((report.step, report.epoch, report.terms.bound.requires_grad))
        if report.history is not None:
            epochs.append((report.step, len(report.history.train.bound)))

    train(
        model,
        pixels,
        epochs=2,
        batch_size=30,
        generator=generator,
        watch=note,
    )
    assert steps == [(1, 1, False), (2, 1, False), (3, 2, False), (4, 2, False)]
    assert epochs == [(2, 1), (4, 2)]


def test_another_objective_and_binarization_are_one_argument(digits):
    def without_kl(model, image, noise):
        posterior = model.encoder(image)
        logits = model.decoder(reparameterize(posterior, noise))
        return ElboTerms(log_likelihood(image, logits), 0 * kl(posterior))

    rates = []
    for objective in (elbo, without_kl):
        model, generator = small()
        train(
            model,
            digits,
            epochs=3,
            batch_size=20,
            objective=objective,
            protocol="dynamic",
            generator=generator,
        )
        rates.append(mean_terms(model, digits).kl)
    assert rates[1] > 2 * rates[0]


def test_the_penalty_shrinks_the_decoder_alone(pixels):
    norms = []
    for penalty in (0.0, 1.0):
        model, generator = small()
        train(model, pixels, epochs=20, objective=Penalised(penalty), generator=generator)
        norms.append(sum_of_squares(model.decoder.parameters()).item())
    assert norms[1] < 0.8 * norms[0]


def test_the_defaults_are_the_blog_posts():
    defaults = {n: p.default for n, p in inspect.signature(train).parameters.items()}
    assert defaults["epochs"] == 10
    assert defaults["batch_size"] == 100
    assert defaults["learning_rate"] == 1e-3
    assert defaults["protocol"] == "threshold"
    assert defaults["objective"] is elbo
    assert len(defaults) <= 12


def test_the_generator_decides_the_coins_too(pixels):
    found = []
    for _ in range(2):
        model, generator = small()
        train(model, pixels, epochs=1, protocol="dynamic", generator=generator)
        found.append(weights(model))
    assert torch.equal(*found)


def test_the_learning_rate_is_the_size_of_the_first_step(pixels):
    for rate in (1e-3, 0.1):
        model, generator = small()
        before = weights(model)
        train(model, pixels, epochs=1, learning_rate=rate, generator=generator)
        assert abs((weights(model) - before).abs().max() / rate - 1) < 0.01


def test_the_penalty_takes_in_biases(pixels):
    moved = []
    for penalty in (0.0, 1e6):
        model, generator = small()
        torch.nn.init.ones_(model.decoder.logits.bias)
        ink = torch.full_like(pixels, 255)  # the likelihood alone would raise every bias
        train(model, ink, epochs=1, objective=Penalised(penalty), generator=generator)
        moved.append(model.decoder.logits.bias.detach() - 1)
    assert (moved[1] < 0).all()
    assert (moved[0] > 0).all()


def test_test_curve_and_evaluation_follow_the_protocol(pixels):
    model, generator = small()
    history = train(
        model,
        pixels,
        epochs=1,
        protocol="dynamic",
        test_images=pixels,
        learning_rate=0.0,
        generator=generator,
    )
    by_coins = mean_terms(model, pixels, protocol="dynamic")
    assert history.test.bound[0] == by_coins.bound
    assert by_coins.bound != mean_terms(model, pixels).bound


def test_mean_terms_are_means_and_noise_follows_the_generator(pixels):
    model, _ = small()
    assert mean_terms(model, pixels).kl == evaluate(model, pixels).kl.mean()
    one, two = (
        evaluate(model, pixels, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    assert not torch.equal(one.log_likelihood, two.log_likelihood)
    assert torch.equal(one.kl, two.kl)


def test_double_precision_trains_and_evaluates(pixels):
    model, generator = small()
    history = train(model.double(), pixels, epochs=1, test_images=pixels, generator=generator)
    assert history.test.bound.isfinite().all()


@contextlib.contextmanager
def default(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "default bfloat16": (lambda: default(torch.bfloat16), torch.float32),
    "default float16": (lambda: default(torch.float16), torch.float32),
    "default float64": (lambda: default(torch.float64), torch.float32),
    "autocast bfloat16": (lambda: torch.autocast("cpu", torch.bfloat16), torch.float32),
    "autocast float16": (lambda: torch.autocast("cpu", torch.float16), torch.float32),
    "model bfloat16": (contextlib.nullcontext, torch.bfloat16),
    "model and default bfloat16": (lambda: default(torch.bfloat16), torch.bfloat16),
    "model bfloat16 in autocast": (lambda: torch.autocast("cpu", torch.bfloat16), torch.bfloat16),
    "model float64": (contextlib.nullcontext, torch.float64),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_is_reported_is_what_the_weights_give_in_float32(name, digits):
    surroundings, dtype = SURROUNDINGS[name]
    model, generator = small()
    model.to(dtype)
    reported, measured = [], []

    def objective(network, image, noise):
        """The ELBO; for each batch also what a twin in float32 makes of it."""
        if image.dtype == dtype:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                terms = elbo(copy.deepcopy(model).float(), image.float(), noise.float())
            measured.append(terms.bound.mean().item())
        return elbo(network, image, noise)

    with surroundings():
        history = train(
            model, digits, epochs=2, test_images=digits[:500], generator=generator,
            objective=objective, watch=lambda at: reported.append(at.terms.bound.mean().item()),
        )  # fmt: skip
        found = mean_terms(model, digits[:500]).bound
        scored = estimate(model, digits[:100], protocol="threshold", samples=9)
    np.testing.assert_allclose(reported, measured, atol=2e-3)
    assert abs(history.train.bound[-1] - np.mean(measured[20:])) < 0.01
    exact = mean_terms(copy.deepcopy(model).float(), digits[:500]).bound
    assert abs(history.test.bound[-1] - exact) < 0.01
    assert abs(found - exact) < 0.01
    twin = copy.deepcopy(model).float()
    exact = estimate(twin, digits[:100], protocol="threshold", samples=9)
    assert abs(scored.log_evidence.mean() - exact.log_evidence.mean()) < 0.01
    assert exact.elbo.mean() > -450, "it has learnt"


def test_a_narrow_model_need_not_be_copied(digits):
    """One that keeps a result, or whose likelihood is a closure over the model itself."""

    class Keeping(vae.VAE):
        def posterior(self, image, above):
            self.last = super().posterior(image, above)
            return self.last

    model = Keeping(*small()[0].children())
    model.likelihood = lambda latents: vae.Bernoulli(model.decoder(*latents))
    model.bfloat16()
    history = train(model, digits[:200], epochs=1, test_images=digits[:100])
    assert all(value.dtype == torch.bfloat16 for value in model.parameters())
    exact = mean_terms(copy.deepcopy(vae.VAE(model.encoder, model.decoder)).float(), digits[:100])
    assert abs(history.test.bound[-1] - exact.bound) < 0.01


def test_autocast_does_not_change_the_run(pixels):
    """It would keep its first copy of the weights, so that training does not move."""
    plain, generator = small()
    train(plain, pixels, epochs=2, generator=generator)
    cast, generator = small()
    with torch.autocast("cpu", torch.bfloat16):
        train(cast, pixels, epochs=2, generator=generator)
    assert torch.equal(weights(plain), weights(cast))


def test_float16_that_diverges_is_the_likely_cause(digits):
    model, generator = small(hidden=500)
    with pytest.raises(NonFiniteError, match=r"Likely causes: torch.float16.* 65,504") as caught:
        train(model.half(), digits, generator=generator)
    assert "learning rate" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "size", "named"),
    [
        ("log_std", 60.0, r"exp\(2 log σ\) overflows in float32 when log σ is above 44\)"),
        ("mean", 1e38, r"\|log σ\| up to [0-9.]+\)"),
    ],
)
def test_an_exp_that_overflows_is_named_only_where_it_does(pixels, head, size, named):
    """Either head makes the KL infinite: by exp(2 · 60), or by the square of 1e38."""
    model, generator = small()
    torch.nn.init.constant_(getattr(model.encoder, head).bias, size)
    with pytest.raises(NonFiniteError, match=rf": the KL \(its q has .*{named} went first"):
        train(model, pixels, generator=generator)


def test_evaluation_neither_drops_out_nor_learns(pixels):
    model, _ = small()
    model.encoder.hidden.append(torch.nn.BatchNorm1d(20))
    model.decoder.hidden.append(torch.nn.Dropout(0.5))
    before = model.encoder.hidden[-1].running_mean.clone()
    assert torch.equal(evaluate(model, pixels).bound, evaluate(model, pixels).bound)
    assert torch.equal(model.encoder.hidden[-1].running_mean, before)
    assert model.training


def test_evaluate_is_per_image_and_its_kl_is_exact_in_any_batch(pixels):
    model, _ = small()
    terms = evaluate(model, pixels)
    assert terms.bound.shape == (60,)
    assert not terms.bound.requires_grad
    smaller = evaluate(model, pixels, batch_size=7)
    torch.testing.assert_close(terms.kl, smaller.kl)
    noise = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(terms.bound, elbo(model, threshold(pixels), noise).bound.detach())


def test_a_schedule_says_the_learning_rate_of_every_step(pixels):
    """Where the rate is 0, the weights stay."""
    asked, weights = [], []

    def stairs(at):
        asked.append(at)
        return 1e-3 if at.step < 3 else 0.0

    model = vae.dense(hidden=20)

    def note(step, terms):
        weights.append(model.decoder.logits.weight.clone())

    train(model, pixels, epochs=2, batch_size=25, learning_rate=stairs, watch=each_step(note))
    assert asked == [Progress(n, 6) for n in range(6)], "three steps an epoch"
    still = [torch.equal(a, b) for a, b in itertools.pairwise(weights)]
    assert still == [False, False, True, True, True]


def test_the_line_to_zero_ends_there():
    assert [ToZero(0.1)(Progress(step, 8)) for step in (0, 2, 8)] == [0.1, 0.1 * 0.75, 0.0]


def test_a_warm_up_ends_at_one():
    assert [WarmUp(4)(Progress(step, 8)) for step in (0, 1, 4, 8)] == [0.0, 0.25, 1.0, 1.0]


def weighted_elbo(model, image, noise, beta):
    return Weighted(beta)(model, image, noise)


def stopped_at_step_4(pixels, **settings):
    """A model of a run that was stopped in the second of three epochs, and its history."""

    def stop(step, terms):
        if step == 4:
            raise KeyboardInterrupt

    model, generator = small(seed=3)
    shared = dict(epochs=3, batch_size=20, generator=generator, watch=each_step(stop))
    with pytest.warns(UserWarning, match="stopped in epoch 2 after step 4"):
        return model, train(model, pixels, **shared, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": ToZero(1e-3)},
        {"objective": Weighted(WarmUp(8))},
        {"objective": ImportanceWeighted(3)},
    ],
)
def test_whatever_grows_or_falls_a_run_goes_on_as_if_it_had_not_stopped(pixels, settings):
    whole, generator = small(seed=3)
    train(whole, pixels, epochs=3, batch_size=20, generator=generator, **settings)
    broken, history = stopped_at_step_4(pixels, **settings)
    train(broken, pixels, epochs=3, batch_size=20, resume=history, **settings)
    assert torch.equal(weights(whole), weights(broken))


@pytest.mark.parametrize(
    ("settings", "other", "said"),
    [
        (
            {"objective": partial(weighted_elbo, beta=1.0)},
            {"objective": partial(weighted_elbo, beta=9.0)},
            r"weighted_elbo\(\('beta', 1.0\)\), now weighted_elbo\(\('beta', 9.0\)\)",
        ),
        (
            {"learning_rate": ToZero(1e-3)},
            {},
            r"was ToZero\(0.001\), now 0.001",
        ),
        (
            {},
            {"learning_rate": ToZero(1e-3)},
            r"was 0.001, now ToZero\(0.001\)",
        ),
        (
            {"learning_rate": ToZero(1e-3)},
            {"learning_rate": ToZero(1e-3), "epochs": 4},
            "schedule was over 3 epochs, now over 4 epochs",
        ),
        (
            {"objective": ImportanceWeighted(3)},
            {"objective": ImportanceWeighted(5)},
            r"objective was ImportanceWeighted\(3\), now ImportanceWeighted\(5\)",
        ),
    ],
)
def test_another_schedule_or_number_of_samples_is_another_run(pixels, settings, other, said):
    broken, history = stopped_at_step_4(pixels, **settings)
    with pytest.raises(ValueError, match=said):
        train(broken, pixels, **{"epochs": 3, "batch_size": 20, "resume": history} | other)


def test_sum_of_squares_by_hand():
    assert sum_of_squares([torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]) == 14


class Reads(TorchDispatchMode):
    """Counts the operations whose result the host must wait for."""

    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        name = function.name().split("::")[-1].split(".")[0]
        self.count += name in self.waiting
        return function(*arguments, **(settings or {}))


@pytest.fixture
def behind(monkeypatch):
    """The CPU stands for an accelerator: to read a value is to wait for it."""
    for module in ("guard", "decoder"):
        monkeypatch.setattr(f"vaelib.{module}.reading_waits", lambda device: True)


class TestAccelerator:
    def reads(self, pixels):
        """How many values had been read after an epoch's first three steps, in two epochs."""
        model, generator = small()
        counts = []
        with Reads() as reads:
            train(
                model,
                pixels,
                epochs=2,
                batch_size=16,
                objective=Penalised(0.01),
                generator=generator,
                watch=each_step(lambda step, terms: counts.append(reads.count)),
            )
        return counts[:3], counts[4:7]

    @pytest.mark.usefixtures("behind")
    def test_nothing_is_read_within_an_epoch(self, pixels):
        first, second = self.reads(pixels)
        assert len(set(first)) == len(set(second)) == 1
        assert second[0] > first[0], "between two epochs all is looked at"

    def test_on_the_cpu_every_step_is_looked_at(self, pixels):
        first, _ = self.reads(pixels)
        assert first[1] - first[0] > 2

    @pytest.mark.usefixtures("as_users_run")
    def test_an_epoch_runs_where_no_value_can_be_read(self, pixels, monkeypatch):
        class EnoughError(Exception):
            pass

        def stop(step, terms):
            assert terms.kl.is_meta
            if step == 3:
                raise EnoughError

        monkeypatch.setattr("vaelib.training.generator_on", lambda device, generator: None)
        model, _ = small()
        with pytest.raises(EnoughError):
            train(
                model.to("meta"),
                pixels,
                epochs=1,
                batch_size=16,
                protocol="dynamic",
                watch=each_step(stop),
            )
        assert all(value.is_meta for value in model.parameters())

    @pytest.mark.usefixtures("behind")
    def test_the_result_is_the_same(self, pixels):
        model, generator = small()
        history = train(model, pixels, epochs=2, generator=generator)
        twin, generator = small()
        assert torch.equal(history.train.bound, train(twin, pixels, epochs=2,
                                                      generator=generator).train.bound)  # fmt: skip
        assert torch.equal(weights(model), weights(twin))


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    def test_a_refused_model_uses_up_no_noise(self, pixels):
        model, generator = small()
        train(model, pixels, epochs=1, generator=generator)
        before = generator.get_state()
        with pytest.raises(ValueError, match="this model has been trained for 1 steps"):
            train(model, pixels, epochs=1, generator=generator)
        assert torch.equal(generator.get_state(), before)

    def test_floats_instead_of_bytes(self):
        model, _ = small()
        for function in (train, evaluate):
            with pytest.raises(TypeError, match=r"expected images as uint8 .* \(255 \* images\)"):
                function(model, torch.rand(3, 784))

    @pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}])
    def test_settings_outside_their_range(self, pixels, wrong):
        model, _ = small()
        with pytest.raises(ValueError, match="expected at least 1 epoch and 1 image"):
            train(model, pixels, **wrong)

    def test_bad_test_images_are_found_before_training(self, pixels):
        model, generator = small()
        before = weights(model)
        with pytest.raises(TypeError, match="expected images as uint8"):
            train(model, pixels, test_images=torch.rand(3, 784), generator=generator)
        assert torch.equal(weights(model), before)

    def test_grey_pixels_are_refused_before_anything_happens(self, pixels):
        def grey(some, generator):
            return intensity(some)

        model, generator = small()
        before, draws = weights(model), generator.get_state()
        binary = threshold(pixels).to(torch.uint8) * 255
        almost = binary.clone()
        almost[-1, -1] = 77  # one grey pixel in the last image
        given = {"protocol": grey, "generator": generator}
        with pytest.raises(ValueError, match=r"0 and 1 only, but one is 0.302.*Bernoulli"):
            train(model, almost, **given)
        with pytest.raises(ValueError, match="expected binary images"):
            train(model, binary, test_images=almost, **given)
        with pytest.raises(ValueError, match="expected binary images"):
            evaluate(model, almost, **given)
        assert torch.equal(weights(model), before)
        assert torch.equal(generator.get_state(), draws)
        assert evaluate(model, binary, **given).bound.isfinite().all()

    def test_a_protocol_of_ones_own_is_tried_before_it_is_used(self, pixels):
        calls = []

        def mine(some, generator):
            calls.append(len(some))
            return dynamic(some, generator)

        model, generator = small()
        settings = {"epochs": 3, "test_images": pixels[:7], "generator": generator}
        state = torch.random.get_rng_state()
        train(model, pixels, protocol=mine, **settings)
        assert calls == [60, 7] + [60, 7, 7] * 3
        assert torch.equal(torch.random.get_rng_state(), state)
        twin, generator = small()
        train(twin, pixels, protocol="dynamic", **settings | {"generator": generator})
        assert torch.equal(weights(model), weights(twin)), "the trial used up the run's own noise"

    def test_binary_images_as_bytes_0_and_1(self, pixels):
        model, generator = small()
        for images in ((pixels > 127).to(torch.uint8), pixels[:, :784] // 255):
            for given in ({}, {"protocol": "dynamic"}, {"protocol": "static"}):
                with pytest.raises(ValueError, match=r"Multiply them by 255: images \* 255"):
                    train(model, images, generator=generator, **given)
                with pytest.raises(ValueError, match=r"Multiply them by 255: images \* 255"):
                    evaluate(model, images, **given)
            with pytest.raises(ValueError, match="Multiply them by 255"):
                train(model, pixels, test_images=images, generator=generator)
        scaled = (pixels > 127).to(torch.uint8) * 255
        train(model, scaled, protocol="static", epochs=1, generator=generator)

    def test_a_scale_that_ends_at_16(self, pixels):
        model, generator = small()
        for protocol in ("threshold", "dynamic"):
            with pytest.raises(ValueError, match=r"largest one is 16, .* \(255 / 16\)"):
                train(model, pixels // 16 + 1, protocol=protocol, generator=generator)
        train(model, pixels // 3, protocol="dynamic", epochs=1, generator=generator)
        with pytest.raises(ValueError, match="largest one is 85"):
            evaluate(model, pixels // 3, protocol="threshold")

    @pytest.mark.parametrize(
        "wrong", [lambda x, g: None, lambda x, g: x.numpy(), lambda x, g: x[0]]
    )
    def test_a_binarization_that_returns_something_else_is_named(self, pixels, wrong):
        model, generator = small()
        with pytest.raises(TypeError, match=r"returns a tensor of shape \(60, 784\)"):
            train(model, pixels, protocol=wrong, generator=generator)

    def test_halves_are_no_whole_numbers(self, pixels):
        for wrong in ({"epochs": 2.5}, {"batch_size": 2.5}):
            with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
                train(small()[0], pixels, **wrong)
        train(small()[0], pixels, epochs=np.int64(1), batch_size=np.int64(30))

    def test_bytes_that_are_already_binary_may_be_scaled(self, pixels):
        model, generator = small()
        binary = threshold(pixels).to(torch.uint8) * 255
        train(model, binary, epochs=1, protocol=lambda x, g: intensity(x), generator=generator)

    def test_what_is_no_model_or_no_protocol(self, pixels):
        with pytest.raises(
            TypeError, match=r"a model such as vaelib\.vae\.dense\(\) gives, got Lin"
        ):
            train(torch.nn.Linear(784, 5), pixels)
        with pytest.raises(ValueError, match="no protocol is called None"):
            evaluate(small()[0], pixels, protocol=None)
        with pytest.raises(ValueError, match="at least 1 image, got 0"):
            evaluate(small()[0], pixels, batch_size=0)

    @pytest.mark.parametrize("shape", [(0, 784), (3, 783), (3, 27, 28), (3, 28, 28, 3), (784,)])
    def test_images_of_another_shape(self, shape):
        model, _ = small()
        with pytest.raises(ValueError, match=r"expected images of shape \(batch, 784\)"):
            train(model, torch.zeros(shape, dtype=torch.uint8))
