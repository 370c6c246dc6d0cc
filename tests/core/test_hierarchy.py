"""Several levels of latents: their formulas against other ways to the same numbers, and their use.

test_seam asks of the models of `vaelib.hierarchy` what it asks of any other model as well.
"""

import copy
import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.special import expit
from scipy.stats import norm
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F

from vaelib import archive, checkpoint, hierarchy, sampling
from vaelib.ans import Stack
from vaelib.binarization import dynamic, freeze, threshold
from vaelib.compression import Codec
from vaelib.elbo import ElboTerms, elbo
from vaelib.evaluation import draw_log_weights, estimate, evaluate, level_rates, mean_terms
from vaelib.guard import NonFiniteError
from vaelib.objectives import Weighted, path_derivative
from vaelib.training import InterruptedTraining, train

SIZES = {f"dense {levels}": (3, 2, 4, 2)[:levels] for levels in (1, 2, 3, 4)}
MAPS = {
    "convolutional 1": ((2, 7),),
    "convolutional 1, large": ((1, 14),),
    "convolutional 2": ((2, 7), (1, 14)),
    "convolutional 2, whole images": ((3, 1), (2, 1)),
    "convolutional 3": ((3, 1), (1, 7), (1, 14)),
    "convolutional 4": ((1, 7), (2, 7), (1, 14), (2, 14)),
}
NAMES = [*SIZES, *MAPS]


def build(name, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if name in SIZES:
        return hierarchy.dense(sizes=SIZES[name], width=10, blocks=1, generator=generator)
    return hierarchy.convolutional(maps=MAPS[name], channels=4, generator=generator)


def stirred(model, amount=0.3, seed=1):
    """The model with heads that are not 0 any more, so that every part of it has a say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(amount * torch.randn(weights.shape, generator=generator).to(weights))
    return model


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def noise_for(model, *shape, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, model.latent, generator=generator).to(next(model.parameters()))


def images_for(model, count, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, model.pixels, generator=generator) < 0.4).to(next(model.parameters()))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return stirred(build(name), 0.1).double()


def residual(block, values):
    """h + W₂·a(W₁·h), from the block's weights."""
    first, second = (part for part in block.correction if list(part.parameters()))
    if values.ndim == 2:
        return values + F.linear(
            F.silu(F.linear(values, *first.parameters())), *second.parameters()
        )
    inner = F.silu(F.conv2d(values, first.weight, first.bias, padding=1))
    return values + F.conv2d(inner, second.weight, second.bias, padding=1)


def applied(modules, values):
    for module in modules:
        values = residual(module, values) if hasattr(module, "correction") else module(values)
    return values


def bounded(values):
    return 4 * torch.tanh(values / 4)


class ByHand:
    """log p(x|z), and each level's q, p and latent, by torch.distributions, from the modules."""

    def __init__(self, model, image, noise):
        seen, values, hidden, self.levels = [], image, None, []
        for part in model.up:
            values = applied(part, values)
            seen.insert(0, values)
        parts = noise.split([math.prod(stage.shape) for stage in model.stages], -1)
        for stage, features, part in zip(model.stages, seen, parts, strict=True):
            given = features if hidden is None else hidden + features
            change, raw = applied(stage.correction, given).chunk(2, 1)
            mean, log_std = torch.zeros_like(change), torch.zeros_like(raw)
            if hidden is not None:
                mean, log_std = applied(stage.prior_head, hidden).chunk(2, 1)
            p = Normal(mean, bounded(log_std).exp())
            q = Normal(mean + change, (bounded(log_std) + bounded(raw)).exp())
            z = q.mean + q.stddev * part.view_as(mean)
            self.levels.append((q, p, z))
            joined = stage.join(z) if hidden is None else stage.join(z) + hidden
            hidden = applied(stage.down, joined)
        self.log_likelihood = Bernoulli(logits=model.logits(hidden)).log_prob(image).sum(1)

    def rates(self):
        return [kl_divergence(q, p).flatten(1).sum(1) for q, p, _ in self.levels]

    def ratios(self):
        return [(q.log_prob(z) - p.log_prob(z)).flatten(1).sum(1) for q, p, z in self.levels]


class TestFormulas:
    """The model against the same model written down a second time."""

    def test_terms_and_weights_are_those_by_hand(self, model):
        image, noise = images_for(model, 4), noise_for(model, 4)
        found, terms = ByHand(model, image, noise), model.terms(image, noise)
        exact = dict(rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(terms.log_likelihood, found.log_likelihood, **exact)
        torch.testing.assert_close(terms.kl, sum(found.rates()), **exact)
        sampled = model.sampled_terms(image, noise)
        torch.testing.assert_close(sampled.kl, sum(found.ratios()), **exact)
        levels, _ = model.infer(image, noise)
        for level, rate, (_, _, z) in zip(levels, found.rates(), found.levels, strict=True):
            torch.testing.assert_close(level.kl, rate, **exact)
            torch.testing.assert_close(level.latent, z.flatten(1), **exact)
            assert rate.min() > 0.01, "every level has something to say in this test"

    def test_what_the_prior_draws_is_what_a_walk_down_its_heads_gives(self, model):
        noise, hidden, latents = noise_for(model, 5), None, []
        for stage, part in zip(model.stages, noise.split(model.sizes, 1), strict=True):
            z = part.unflatten(1, stage.shape)
            if hidden is not None:
                mean, log_std = stage.prior_head(hidden).chunk(2, 1)
                z = mean + bounded(log_std).exp() * z
            latents.append(z.flatten(1))
            hidden = stage.down(stage.join(z) + (0 if hidden is None else hidden))
        found = model.from_prior(noise)
        torch.testing.assert_close(found, torch.cat(latents, 1))
        torch.testing.assert_close(model.decode(found).logits, model.logits(hidden))

    def test_many_samples_are_the_same_as_one_at_a_time(self, model):
        image, noise = images_for(model, 4), noise_for(model, 3, 4)
        for kind, gradient in itertools.product((model.terms, model.sampled_terms), (True, False)):
            with torch.set_grad_enabled(gradient):
                together = kind(image, noise)
                for sample, part in enumerate(noise):
                    for a, b in zip(together, kind(image, part), strict=True):
                        torch.testing.assert_close(a.expand(3, 4)[sample], b)

    def test_gradients_are_those_by_hand(self, model):
        """Of the ELBO; and of the path derivative, where q's mean and deviation are held."""
        image, noise = images_for(model, 4), noise_for(model, 4)
        found = ByHand(model, image, noise)
        held = [
            Normal(q.mean.detach(), q.stddev.detach()).log_prob(z) - p.log_prob(z)
            for q, p, z in found.levels
        ]
        ratio = sum(value.flatten(1).sum(1) for value in held)
        for objective, bound in (
            (elbo, found.log_likelihood - sum(found.rates())),
            (path_derivative, found.log_likelihood - ratio),
        ):
            expected, actual = (
                torch.autograd.grad(value.mean(), [*model.parameters()], retain_graph=True)
                for value in (bound, objective(model, image, noise).bound)
            )
            for a, b in zip(actual, expected, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
                assert a.abs().max() > 0, "every weight has a say"


class TestStart:
    def test_every_prior_and_every_q_is_a_standard_normal(self, name):
        model = build(name)
        image, noise = images_for(model, 4), noise_for(model, 4)
        levels, _ = model.infer(image, noise)
        assert len(levels) == len(model.sizes)
        for q, prior, _ in levels:
            for value in (*q, *(prior or ())):
                assert torch.equal(value, torch.zeros_like(value))
        assert torch.equal(model.terms(image, noise).kl, torch.zeros(4))
        torch.testing.assert_close(model.from_prior(noise), noise)

    def test_the_heads_learn_from_the_first_step(self, name):
        model = build(name)
        elbo(model, images_for(model, 4), noise_for(model, 4)).loss.backward()
        for stage in model.stages:
            assert stage.correction[-1].weight.grad.abs().max() > 0

    def test_a_correction_of_0_leaves_the_prior_and_costs_nothing(self, model):
        for stage in model.stages[1:]:
            for value in stage.correction[-1].parameters():
                nn.init.zeros_(value)
        levels, _ = model.infer(images_for(model, 4), noise_for(model, 4))
        for q, prior, _ in levels[1:]:
            assert torch.equal(q.mean, prior.mean)
            assert prior.mean.abs().max() > 0.01
        for level in levels[1:]:
            assert torch.equal(level.kl, torch.zeros(4).double())

    def test_what_corrects_is_added_to_the_prior(self):
        """By hand: Δμ = 0.5 and Δ log σ = 0.2 in each of two dimensions, on any prior."""
        model = stirred(build("dense 2")).double()
        last = model.stages[1].correction[-1]
        nn.init.zeros_(last.weight)
        last.bias.data = torch.tensor([0.5, 0.5, 0.2, 0.2], dtype=torch.float64)
        (_, (q, prior, _)), _ = model.infer(images_for(model, 4), noise_for(model, 4))
        torch.testing.assert_close(q.mean, prior.mean + 0.5)
        torch.testing.assert_close(q.log_std, prior.log_std + 4 * math.tanh(0.05))

    def test_every_log_std_is_bounded(self):
        model = stirred(build("dense 3"), 3.0)
        levels, _ = model.infer(images_for(model, 4), noise_for(model, 4))
        for number, (q, prior, _) in enumerate(levels):
            assert q.log_std.abs().max() <= (8 if number else 4)
            assert prior is None or prior.log_std.abs().max() <= 4


def toy(levels, seed=0):
    """One latent for each level, three pixels: all of z fits on a grid."""
    generator = torch.Generator().manual_seed(seed)
    model = hierarchy.dense(sizes=[1] * levels, width=4, pixels=3, generator=generator)
    return stirred(model, 0.2 if levels < 3 else 0.1).double().requires_grad_(False)


def log_evidence(model, image, points):
    """log p(x) of each image by the trapezoidal rule, from −8 to 8 in every level's own unit."""
    line = torch.linspace(-8, 8, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[line] * len(model.sizes)).view(-1, len(model.sizes))
    hidden, log_mass = None, len(model.sizes) * math.log(16 / (points - 1))
    for stage, unit in zip(model.stages, grid.split(1, 1), strict=True):
        z = unit
        if hidden is not None:
            mean, raw = stage.prior_head(hidden).chunk(2, 1)
            z = mean + bounded(raw).exp() * unit
        hidden = stage.down(stage.join(z) + (0 if hidden is None else hidden))
        log_mass = log_mass + Normal(0, 1).log_prob(unit).squeeze(1)
    pixels = Bernoulli(logits=model.logits(hidden)[:, None]).log_prob(image).sum(-1)
    return (pixels + log_mass[:, None]).logsumexp(0)


EVERY_IMAGE = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)


@pytest.mark.parametrize(("levels", "points"), [(1, 400), (2, 200), (3, 41)])
class TestEvidence:
    """Against log p(x) by quadrature, where one latent for each level makes that possible."""

    def test_probabilities_of_all_images_add_up_to_1(self, levels, points):
        assert abs(log_evidence(toy(levels), EVERY_IMAGE, points).exp().sum() - 1) < 1e-6

    def test_the_estimate_is_within_its_error_and_the_elbo_below(self, levels, points):
        model, samples = toy(levels), 20_000
        exactly = log_evidence(model, EVERY_IMAGE, points)
        generator = torch.Generator().manual_seed(1)
        log_weights = draw_log_weights(model, EVERY_IMAGE, samples=samples, generator=generator)
        relative = (log_weights - exactly).exp()
        error = relative.std(0) / math.sqrt(samples)
        assert error.max() < 0.05
        assert ((relative.mean(0) - 1).abs() < 4 * error).all()
        bound, spread = log_weights.mean(0), log_weights.std(0) / math.sqrt(samples)
        assert (bound + 4 * spread < exactly).all()
        bytes_of = (EVERY_IMAGE * 255).to(torch.uint8)
        found = estimate(model.float(), bytes_of, protocol="static", samples=10_000)
        torch.testing.assert_close(found.log_evidence.double(), exactly, rtol=0, atol=0.2)

    def test_sampled_and_exact_kl_agree_on_average(self, levels, points):
        model = toy(levels)
        noise = noise_for(model, 40_000, 8)
        exact, sampled = model.terms(EVERY_IMAGE, noise), model.sampled_terms(EVERY_IMAGE, noise)
        torch.testing.assert_close(exact.log_likelihood, sampled.log_likelihood)
        difference = sampled.bound - exact.bound
        error = difference.std(0) / math.sqrt(len(noise))
        assert error.max() < 0.05
        assert (difference.mean(0).abs() < 4.5 * error).all()


def test_the_path_derivative_is_the_gradient_of_the_bound_on_average():
    model = toy(2).requires_grad_(True)
    images, noise = EVERY_IMAGE.repeat(25, 1), noise_for(model, 100, 200)

    def gradient(objective, some):
        bound = objective(model, images, some).bound.mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(bound, [*model.parameters()])])

    differences = torch.stack([gradient(path_derivative, n) - gradient(elbo, n) for n in noise])
    scores = differences.mean(0) / (differences.std(0) / math.sqrt(len(noise))).clamp(min=1e-12)
    assert differences.abs().max() > 1e-3
    assert scores.abs().max() < 5
    assert scores.std() < 1.6


class Calls:
    """How often, and for how many rows, each module of a model is called."""

    def __init__(self, model):
        self.rows = {name: [] for name, _ in model.named_modules()}
        for name, module in model.named_modules():
            module.register_forward_hook(
                lambda _, given, __, name=name: self.rows[name].append(len(given[0]))
            )

    def __getitem__(self, name):
        return self.rows[name]


class TestNothingTwice:
    def test_features_once_for_each_image_and_each_level_once_for_each_sample(self, name):
        model = build(name)
        calls = Calls(model)
        model.sampled_terms(images_for(model, 4), noise_for(model, 3, 4))
        for level in range(len(model.sizes)):
            assert calls[f"up.{level}"] == [4]
            assert calls[f"stages.{level}.correction"] == ([12] if level else [4])
            assert calls[f"stages.{level}.down"] == [12]
        assert calls["logits"] == [12]

    def test_many_weights_are_drawn_from_the_features_of_one_pass(self, name):
        model = build(name)
        calls, generator = Calls(model), torch.Generator().manual_seed(0)
        draw_log_weights(model, images_for(model, 300), samples=4, generator=generator)
        assert calls["up.0"] == [300]
        assert calls["stages.0.correction"] == [300]
        assert calls["logits"].count(300) == 4


class TestUse:
    """Trained, stopped, resumed, saved, loaded, evaluated, sampled, compressed: 1 to 4 levels."""

    def test_stopped_and_resumed_it_is_the_same_bit_for_bit(self, name, pixels, tmp_path):
        def stop(report):
            if report.step == 4:
                raise KeyboardInterrupt

        def run(model, **more):
            settings = dict(epochs=2, batch_size=20, protocol="dynamic", learning_rate=3e-3)
            return train(
                model, pixels, generator=torch.Generator().manual_seed(1), **settings, **more
            )

        whole, half, file = build(name), build(name), tmp_path / "run"
        run(whole)
        with pytest.warns(InterruptedTraining, match="after step 4"):
            run(half, watch=stop, save_to=file)
        again = checkpoint.load(file)
        run(again, save_to=file, resume=file)
        assert torch.equal(weights(again), weights(whole))
        assert not torch.equal(weights(half), weights(whole))

    def test_a_file_is_enough_to_rebuild_it(self, name, pixels, tmp_path):
        model = stirred(build(name))
        again = checkpoint.load(checkpoint.save(model, tmp_path / "model"))
        assert type(again) is hierarchy.Hierarchy
        assert torch.equal(weights(again), weights(model))
        assert again.sizes == model.sizes
        for one, other in zip(evaluate(again, pixels), evaluate(model, pixels), strict=True):
            assert torch.equal(one, other)
        made = [sampling.sample_prior(m, 3, generator=torch.Generator()) for m in (model, again)]
        assert torch.equal(made[0].image, made[1].image)
        image = threshold(pixels[:2])
        rebuilt = sampling.reconstruct(model, image, generator=torch.Generator())
        torch.testing.assert_close(sampling.decode(model, rebuilt.latent), rebuilt.mean)

    def test_it_compresses_without_loss(self, name, digits):
        images = freeze(digits[:4], torch.Generator().manual_seed(1))
        codec = Codec(stirred(build(name), 0.1))
        made = archive.compress(codec, images)
        assert torch.equal(archive.decompress(codec, made), images)


@pytest.fixture(scope="module", params=["dense", "convolutional"])
def trained(request, digits):
    generator = torch.Generator().manual_seed(0)
    model = (
        hierarchy.dense(sizes=(4, 8, 8), width=64, blocks=1, generator=generator)
        if request.param == "dense"
        else hierarchy.convolutional(maps=((4, 7), (1, 14)), channels=8, generator=generator)
    )
    settings = dict(epochs=3, batch_size=25, learning_rate=5e-3, protocol="dynamic")
    model.largest_gradient = math.inf  # so few channels have large gradients
    train(model, digits, generator=generator, **settings)
    return model


class TestTrained:
    def test_it_has_learnt_and_its_levels_carry_nats(self, trained, digits):
        assert mean_terms(trained, digits, protocol="dynamic").bound > -200
        assert level_rates(trained, digits, protocol="dynamic").max() > 3

    def test_its_latents_cost_their_kl_and_its_pixels_the_rest(self, trained, digits):
        """What a group costs, less what comes back, in nats: the terms of the ELBO."""
        images = dynamic(digits[:300], torch.Generator().manual_seed(1))
        bill = Codec(trained).push(Stack(borrow=True), images.double())
        with torch.no_grad():
            expected = trained.sampled_terms(images, noise_for(trained, 300))
        for bits, nats, wasted in (
            (bill.latent - bill.back, expected.kl, 0.01 * trained.latent),  # bins have a width
            (bill.pixels, -expected.log_likelihood, 0.5),
        ):
            difference = bits * math.log(2) - nats
            error = difference.std() / math.sqrt(300)
            assert error < 1
            assert -4 * error < difference.mean() < 4 * error + wasted


class InNumpy:
    """The log weights of a dense hierarchy with one block, from nothing but its file's arrays."""

    def __init__(self, path):
        arrays = load_file(path)
        self.arrays = {name: values.astype(np.float64) for name, values in arrays.items()}

    def linear(self, name, x):
        return x @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]

    def block(self, name, x):
        inner = self.linear(f"{name}.correction.0", x)
        return x + self.linear(f"{name}.correction.2", inner * expit(inner))

    def gaussian(self, name, x):
        mean, log_std = np.split(self.linear(name, x * expit(x)), 2, -1)
        return mean, 4 * np.tanh(log_std / 4)

    def log_weights(self, image, noise, sizes):
        first = self.linear("up.0.0", image)
        seen = [self.block("up.0.2", first * expit(first))]
        for level in range(1, len(sizes)):
            seen.append(self.block(f"up.{level}.0", seen[-1]))
        hidden, total = 0, 0
        for level, part in enumerate(np.split(noise, np.cumsum(sizes)[:-1], -1)):
            x, stage = seen[-1 - level] + hidden, f"stages.{level}"
            prior = np.zeros(1), np.zeros(1)
            if level == 0:
                q = self.gaussian(f"{stage}.correction.1", x)
            else:
                prior = self.gaussian(f"{stage}.prior_head.1", hidden)
                change = self.gaussian(
                    f"{stage}.correction.2", self.block(f"{stage}.correction.0", x)
                )
                q = prior[0] + change[0], prior[1] + change[1]
            z = q[0] + np.exp(q[1]) * part
            for sign, (mean, log_std) in ((1, prior), (-1, q)):
                total = total + sign * norm.logpdf(z, mean, np.exp(log_std)).sum(-1)
            hidden = self.block(f"{stage}.down.0", hidden + self.linear(f"{stage}.join", z))
        logits = self.linear("logits", hidden)
        return total + (image * logits - np.logaddexp(0, logits)).sum(-1)


@pytest.mark.parametrize("trained", ["dense"], indirect=True)
def test_an_estimate_in_numpy_alone_agrees_on_a_trained_model(trained, digits, tmp_path):
    file = InNumpy(checkpoint.save(trained, tmp_path / "model.safetensors"))
    images, noise = threshold(digits[:20]).double(), noise_for(trained, 50, 20).double()
    with torch.no_grad():
        found = copy.deepcopy(trained).double().sampled_terms(images, noise).bound
    expected = file.log_weights(images.numpy(), noise.numpy(), trained.sizes)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: hierarchy.dense(sizes=(2, 3), width=7, blocks=2, activation="tanh", pixels=784),
        lambda: hierarchy.dense(sizes=[4], width=5, blocks=0, activation="relu"),
        lambda: hierarchy.convolutional(maps=((1, 7),), channels=3, blocks=0, activation="tanh"),
        lambda: hierarchy.convolutional(maps=[[2, 7], [1, 7]], channels=2, blocks=2),
    ],
)
def test_every_setting_is_kept_in_a_file(make, tmp_path):
    model = stirred(make())
    again = checkpoint.load(checkpoint.save(model, tmp_path / "model"))
    image, noise = images_for(model, 3), noise_for(model, 3)
    assert torch.equal(again.terms(image, noise).bound, model.terms(image, noise).bound)
    assert again.settings == model.settings


def test_models_that_no_builder_would_build_again_are_called_own_code(tmp_path, pixels):
    changed, bare = build("dense 2"), build("dense 2")
    changed.stages[0].down.append(nn.Dropout())
    parts = [*bare.up], bare.shapes, [*bare.stages], bare.logits
    made = hierarchy.Hierarchy(*parts, pixels=784)
    train(made, pixels, epochs=1)
    for model in (changed, made):
        path = checkpoint.save(model, tmp_path / "model")
        with pytest.raises(checkpoint.CheckpointError, match=r"code of your own \(Hierarchy\)"):
            checkpoint.load(path)
        assert checkpoint.load(path, model) is model


class TestMaps:
    """A map's place is a place of the image, on the way up as on the way down."""

    @pytest.mark.parametrize(("level", "side", "reach"), [(0, 7, 16), (1, 14, 7)])
    def test_a_latent_changes_the_pixels_around_its_own_place(self, level, side, reach):
        model = stirred(build("convolutional 2"))
        size = 784 // side // side
        latent = torch.zeros(1, model.latent)
        parts = [part.unflatten(1, (-1, side if n == level else 1, side if n == level else 1))
                 for n, part in enumerate(latent.split(model.sizes, 1))]  # fmt: skip
        before = model.decode(latent).logits.view(28, 28)
        row, column = 1, side - 2
        parts[level][0, 0, row, column] = 3.0
        changed = (model.decode(latent).logits.view(28, 28) - before).abs() > 1e-6
        rows, columns = changed.nonzero().T
        step = 28 // side
        assert changed[row * step, column * step]
        assert (rows - row * step).abs().max() <= reach
        assert (columns - column * step).abs().max() <= reach
        assert size >= 4

    def test_a_pixel_changes_the_features_around_its_own_place(self):
        model = stirred(build("convolutional 2"))
        image = torch.zeros(1, 784)
        before = model.features(image)
        image.view(28, 28)[1, 26] = 1.0  # near a corner
        top, low = (model.features(image) - before).abs().split([4 * 49, 4 * 196], 1)
        for values, side in ((top, 7), (low, 14)):
            rows, columns = (values.view(4, side, side).sum(0) > 1e-6).nonzero().T
            assert rows.max() <= 4
            assert columns.min() >= side - 5


class TestRates:
    def test_they_are_the_levels_kl_over_all_images(self, name, pixels):
        model = stirred(build(name), 0.1)
        rates = level_rates(model, pixels, protocol="dynamic", batch_size=25)
        whole = mean_terms(model, pixels, protocol="dynamic", batch_size=25)
        assert rates.shape == (len(model.sizes),)
        torch.testing.assert_close(rates.sum(), whole.kl)

    def test_a_level_that_says_nothing_is_seen(self, pixels):
        """Known nats at the top, 0 in the middle, where q is the prior, and at the bottom."""
        model = stirred(build("dense 3"))
        for number, bias in enumerate(([2.0, 0, 0, 0, 0, 0], [0.0] * 4, [0.1] * 4 + [0.0] * 4)):
            nn.init.zeros_(model.stages[number].correction[-1].weight)
            model.stages[number].correction[-1].bias.data = torch.tensor(bias)
        nn.init.zeros_(model.stages[2].prior_head[-1].weight)
        nn.init.zeros_(model.stages[2].prior_head[-1].bias)
        found = level_rates(model, pixels)
        torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 4 * 0.5 * 0.01]))

    def test_a_collapse_of_all_levels_is_seen_while_the_loss_has_a_plateau(self, digits):
        """openai/vdvae, issue 8. With a large β, learning the pixels' means is all that is left."""
        rates = []
        for beta in (1.0, 300.0):
            model, generator = build("dense 2"), torch.Generator().manual_seed(0)
            settings = dict(batch_size=20, learning_rate=5e-3, epochs=4, generator=generator)
            train(model, digits[:600], objective=Weighted(beta), **settings)
            rates.append(level_rates(model, digits[600:]))
        assert rates[0].sum() > 1
        assert rates[1].sum() < 0.1


class TestTrouble:
    """What users of other hierarchies report."""

    @pytest.mark.parametrize("limit", [200, 3, math.inf])
    def test_no_step_is_skipped_however_large_the_gradient(self, limit, pixels):
        """openai/vdvae, issue 25: skipping steps above a threshold can skip all that follow."""
        model, norms = build("dense 3"), []
        model.largest_gradient, seen = limit, [weights(model)]

        def thousandfold(model, image, noise):
            return ElboTerms(*(1000 * term for term in elbo(model, image, noise)))

        def watch(report):
            gradients = [value.grad.norm() for value in model.parameters()]
            norms.append(torch.stack(gradients).norm().item())
            seen.append(weights(model))

        settings = dict(epochs=3, batch_size=5, objective=thousandfold, watch=watch)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = train(model, pixels, generator=torch.Generator().manual_seed(0), **settings)
        told = [f"in epoch {epoch}, 12 of 12 gradients were longer than" for epoch in (1, 2, 3)]
        assert len(said) == len(told) * (limit < math.inf)
        for warning, words in zip(said, told, strict=False):
            assert str(warning.message).startswith(words)
        if limit < math.inf:
            assert norms == pytest.approx([limit] * 36, rel=1e-3)
        else:
            assert min(norms) > 400, "the threshold of that report"
        assert len(seen) == 37
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(seen))
        assert history.train.bound[-1] > history.train.bound[0] + 1000

    def test_a_long_gradient_keeps_its_direction_and_a_short_one_its_length(self, pixels):
        gradients = {}
        for limit in (math.inf, 200.0, 0.5):
            model = build("dense 2")
            model.largest_gradient = limit
            settings = dict(epochs=1, batch_size=len(pixels))
            train(model, pixels, generator=torch.Generator().manual_seed(0), **settings)
            parts = [value.grad.flatten() for value in model.parameters()]
            gradients[limit] = torch.cat(parts)
        whole, short = gradients[math.inf], gradients[0.5]
        assert 0.5 < whole.norm() < 200
        assert torch.equal(gradients[200.0], whole)
        assert torch.allclose(short, whole * 0.5 / whole.norm(), atol=1e-6)

    @pytest.mark.filterwarnings("ignore:.*gradients were longer than")
    @pytest.mark.parametrize("name", ["dense 3", "convolutional 3"])
    @pytest.mark.parametrize("rate", [0.1, 1.0, 1e4])
    def test_large_steps_on_small_batches_stay_finite_or_are_explained(self, name, rate, pixels):
        """NVlabs/NVAE, issues 2 and 17."""
        model = build(name)
        settings = dict(epochs=1, batch_size=2, learning_rate=rate)
        try:
            train(model, pixels, generator=torch.Generator().manual_seed(0), **settings)
        except NonFiniteError as error:
            text = str(error)
            assert f"(it is {rate:g}, with batches of 2; 0.001 is usual)" in text
            assert "(its q has |μ| up to" in text or "the gradient of" in text
            assert "exp(2 log σ)" not in text
        else:
            assert rate < 1e4
        assert weights(model).isfinite().all()
        assert evaluate(model, pixels).bound.isfinite().all()

    @pytest.mark.parametrize(
        ("part", "named"),
        [
            ("stages.0.correction.1.bias", "the KL of level 1 of 3 from the top (its q has |μ| up"),
            ("stages.1.correction.2.bias", "the KL of level 2 of 3 from the top (its q has |μ| up"),
            ("stages.2.correction.2.bias", "the KL of level 3 of 3 from the top (its q has |μ| up"),
            ("logits.bias", "the log-likelihood"),
        ],
    )
    def test_the_level_that_went_first_is_named(self, part, named, pixels):
        model, good = build("dense 3"), []

        def spoil(report):
            if report.step == 2:
                with torch.no_grad():
                    model.get_parameter(part).fill_(1e38)
            good.append(weights(model))

        good.append(weights(model))
        settings = dict(batch_size=20, generator=torch.Generator().manual_seed(0))
        with pytest.raises(NonFiniteError) as caught:
            train(model, pixels, watch=spoil, **settings)
        assert f"in epoch 1, at step 3: {named}" in str(caught.value)
        assert "exp(2 log σ)" not in str(caught.value), "log σ is bounded"
        assert torch.equal(weights(model), good[0])
        assert model.trained_steps == 0


@pytest.mark.usefixtures("as_users_run")
class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            (dict(sizes=()), "at least one level.* got 0 levels"),
            (dict(sizes=(3, 0)), r"positive sizes.* levels of \[3, 0\], sizes of \[200, 784\]"),
            (dict(width=0), "positive sizes"),
            (dict(pixels=-1), "positive sizes"),
            (dict(blocks=-1), "0 blocks or more; got .* -1 blocks"),
            (dict(activation="gelu"), "no activation is called 'gelu'; there is tanh, relu, silu"),
        ],
    )
    def test_dense(self, settings, words):
        with pytest.raises(ValueError, match=words):
            hierarchy.dense(**settings)

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            (dict(maps=()), "at least one level.* got 0 levels"),
            (dict(maps=((4, 14), (1, 7))), r"growing from the top down, got \[14, 7\]"),
            (dict(maps=((4, 28),)), r"sides of 1, 7 or 14, .* got \[28\]"),
            (dict(maps=((0, 7),)), "positive sizes"),
            (dict(maps=(4, 7)), r"expected \(maps, side\) for each level, .* got \(4, 7\)"),
            (dict(maps=((4, 7, 1),)), r"expected \(maps, side\) for each level"),
            (dict(channels=0), "positive sizes"),
            (dict(blocks=-1), "0 blocks or more"),
            (dict(activation="gelu"), "no activation is called 'gelu'"),
        ],
    )
    def test_convolutional(self, settings, words):
        with pytest.raises(ValueError, match=words):
            hierarchy.convolutional(**settings)

    def test_images_and_noise_of_other_shapes(self):
        model = build("dense 2")
        with pytest.raises(ValueError, match=r"expected images of shape \(batch, 784\)"):
            model.terms(torch.zeros(2, 100), noise_for(model, 2))
        with pytest.raises(ValueError, match=r"expected noise of shape \(2, 5\)"):
            model.terms(torch.zeros(2, 784), torch.zeros(2, 4))
