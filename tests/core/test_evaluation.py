import copy
import math

import pytest
import torch
from scipy import stats
from torch.distributions import Normal

from vaelib import device, evaluation, vae
from vaelib.binarization import freeze, threshold
from vaelib.decoder import log_likelihood
from vaelib.elbo import log_mean_exp
from vaelib.encoder import Gaussian, reparameterize
from vaelib.evaluation import (
    bound_of,
    draw_log_weights,
    estimate,
    fit_posterior,
    mean_terms,
    paired_difference,
)
from vaelib.training import train


@pytest.fixture(scope="module")
def digits(digits):
    """Real digits, but of 5 × 5 pixels, so that what needs many samples takes little time."""
    return digits.view(-1, 28, 28)[:, 5:25:4, 5:25:4].flatten(1)


@pytest.fixture
def pixels(pixels):
    return pixels[:, :25]


def small(latent=2, pixels=25):
    return vae.dense(
        hidden=20, latent=latent, pixels=pixels, generator=torch.Generator().manual_seed(0)
    )


def evidence(model, images, **settings):
    """The estimate of log p(x) of each image, thresholded unless told otherwise."""
    return estimate(model, images, **{"protocol": "threshold"} | settings).log_evidence


@pytest.fixture
def weights(monkeypatch):
    """Every tensor of log-weights that is made, in a list."""
    made = []

    def spy(*arguments):
        terms = sampled_terms(*arguments)
        made.append(terms.bound)
        return terms

    sampled_terms = evaluation.Guided.sampled_terms
    monkeypatch.setattr(evaluation.Guided, "sampled_terms", spy)
    return made


def test_log_weights_are_three_densities(pixels, generator):
    model, image = small(), threshold(pixels[:7])
    noise = torch.randn(3, 7, 2, generator=generator)
    posterior = model.encoder(image)
    code = reparameterize(posterior, noise)
    logits = model.decoder(code.flatten(0, 1)).view(3, 7, 25)
    expected = (
        log_likelihood(image.expand(3, 7, 25), logits)
        + Normal(0, 1).log_prob(code).sum(-1)
        - Normal(posterior.mean, posterior.log_std.exp()).log_prob(code).sum(-1)
    )
    given = [value.clone() for value in (image, *posterior, noise)]
    for found in (
        model.sampled_terms(image, noise).bound,
        evaluation.Guided(model, posterior).sampled_terms(image, noise).bound,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-3)
    for before, after in zip(given, (image, *posterior, noise), strict=True):
        assert torch.equal(before, after)


def test_a_guided_model_needs_a_q_or_images(pixels, generator):
    model, image = small(), threshold(pixels[:7])
    noise = torch.randn(7, 2, generator=generator)
    with pytest.raises(ValueError, match="expected q or an image"):
        evaluation.Guided(model, None)
    found = evaluation.Guided(model, None, image).terms(image, noise)
    torch.testing.assert_close(found, model.terms(image, noise))


class Deaf(torch.nn.Module):
    """A decoder that says the same of every code, by a view of one parameter."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.linspace(-2, 2, 25))

    def forward(self, code):
        return self.logits.expand(len(code), -1)


@pytest.mark.parametrize(("images", "samples"), [(1, 1), (3, 4)])
def test_a_decoder_may_give_views_of_its_parameters(images, samples, pixels, generator):
    model, image = small(), threshold(pixels[:images])
    model.decoder = Deaf()
    before = model.decoder.logits.detach().clone()
    posterior = Gaussian(torch.zeros(images, 2), torch.zeros(images, 2))  # the prior
    found = draw_log_weights(model, image, posterior, samples=samples, generator=generator)
    assert torch.equal(model.decoder.logits, before)
    expected = log_likelihood(image, before.expand(images, -1)).expand(samples, -1)
    assert torch.allclose(found, expected, rtol=1e-5)


def test_noise_is_made_where_the_model_is(pixels, monkeypatch, generator):
    asked = []

    def spy(device, own=None):
        asked.append(device.type)
        return own

    monkeypatch.setattr(device, "generator_on", spy)
    monkeypatch.setattr(evaluation, "generator_on", spy)
    model, image = small(), threshold(pixels[:3])
    evaluation.estimate(model, pixels[:3], protocol="threshold", samples=1, generator=generator)
    draw_log_weights(model, image, samples=1, generator=generator)
    fit_posterior(model, image, model.encoder(image), steps=1, generator=generator)
    assert asked == ["cpu"] * 4


def trained_on(digits, latent):
    model = small(latent=latent)
    train(
        model,
        digits,
        epochs=8,
        batch_size=40,
        learning_rate=4e-3,
        generator=torch.Generator().manual_seed(1),
    )
    return model


@pytest.fixture(scope="module")
def trained(digits):
    """A model with one latent dimension, that has seen some digits."""
    return trained_on(digits, latent=1)


def test_many_samples_reach_the_true_likelihood(trained, digits):
    image = threshold(digits[:20]).double()
    model = copy.deepcopy(trained).double()
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    with torch.no_grad():
        given_code = model.decoder(grid[:, None])
    prior = Normal(0, 1).log_prob(grid)
    joint = torch.stack([log_likelihood(x.expand_as(given_code), given_code) for x in image])
    truth = (joint + prior + math.log(grid[1] - grid[0])).logsumexp(1)
    found = evidence(model, digits[:20], samples=20_000)
    assert (found - truth).abs().median() < 0.01
    assert abs((found - truth).mean()) < 0.1


def test_more_samples_raise_the_bound_from_the_elbo(trained, digits):
    bounds = [evidence(trained, digits, samples=k).mean() for k in (1, 5, 50)]
    assert abs(bounds[0] - mean_terms(trained, digits).bound) < 1
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("samples", [1, 19, 20, 21, 45])
def test_samples_in_pieces_are_one_mean(samples, pixels, weights, monkeypatch):
    monkeypatch.setattr(evaluation, "LATENTS_AT_ONCE", 1200)  # twenty samples of sixty images
    found = evidence(small(), pixels, samples=samples)
    together = torch.cat(weights)
    assert together.shape == (samples, 60)
    assert max(piece.numel() for piece in weights) <= 1200
    torch.testing.assert_close(found, together.logsumexp(0) - math.log(samples))


def test_memory_does_not_grow_with_the_samples(pixels, weights):
    evidence(small(), pixels, samples=1000)
    assert sum(len(piece) for piece in weights) == 1000
    assert max(piece.numel() for piece in weights) <= evaluation.LATENTS_AT_ONCE


def test_images_in_pieces_keep_their_order(trained, digits, monkeypatch):
    monkeypatch.setattr(evaluation, "WEIGHTS_AT_ONCE", 25 * 200)
    found = evidence(trained, digits[:60], samples=200)
    alone = [evidence(trained, digits[n : n + 1], samples=200) for n in range(60)]
    assert found.shape == (60,)
    assert (found - torch.cat(alone)).abs().max() < 5
    assert found.std() > 2


def test_a_progress_bar_ends_at_the_number_of_images(digits):
    done = []
    estimate(small(), digits[:250], protocol="threshold", samples=2, watch=done.append)
    assert done == [100, 100, 50]


def test_seeds_and_protocols(pixels):
    model = small()
    settings = {"samples": 3, "protocol": "dynamic"}
    one, same = (evidence(model, pixels, **settings) for _ in range(2))
    assert torch.equal(one, same)
    other = torch.Generator().manual_seed(1)
    assert not torch.equal(one, evidence(model, pixels, **settings, generator=other))
    assert not torch.equal(one, evidence(model, pixels, samples=3))


def test_one_seed_tosses_one_test_set_for_every_model_and_number_of_samples(digits):
    images = digits[:250]  # more than are scored at once
    seen = []
    for latent, samples in ((2, 1), (2, 2), (3, 2)):
        model = small(latent=latent)
        given: list[torch.Tensor] = []
        model.encoder.register_forward_pre_hook(lambda _, images, to=given: to.append(images[0]))
        estimate(model, images, protocol="dynamic", samples=samples)
        seen.append(torch.cat(given))
    assert seen[0].shape == (250, 25)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], threshold(images))


def test_evaluation_neither_drops_out_nor_changes_the_model(pixels):
    model = small()
    model.decoder.hidden.append(torch.nn.Dropout(0.5))
    one, same = (evidence(model, pixels, samples=3) for _ in range(2))
    assert torch.equal(one, same)
    assert model.training


class TestScore:
    def test_keeps_how_it_was_measured(self, pixels):
        found = estimate(small(), pixels, protocol="dynamic", samples=4)
        assert (found.protocol, found.samples) == ("dynamic", 4)
        assert found.elbo.shape == found.log_evidence.shape == (60,)

    def test_elbo_is_the_mean_log_weight(self, pixels, weights):
        found = estimate(small(), pixels, protocol="threshold", samples=45)
        torch.testing.assert_close(found.elbo, torch.cat(weights).mean(0))
        assert (found.elbo < found.log_evidence).all()

    def test_of_one_sample_both_are_one(self, pixels):
        found = estimate(small(), pixels, protocol="threshold", samples=1)
        torch.testing.assert_close(found.elbo, found.log_evidence)

    def test_elbo_agrees_with_the_one_that_train_reports(self, trained, digits):
        found = estimate(trained, digits, protocol="threshold", samples=50)
        assert abs(found.elbo.mean() - mean_terms(trained, digits).bound) < 0.5

    def test_static_wants_frozen_images_and_scores_these_very_ones(self, pixels):
        frozen = freeze(pixels, torch.Generator().manual_seed(1))
        model, shared = small(), {"samples": 3}
        static = estimate(model, frozen, protocol="static", **shared)
        assert torch.equal(
            static.elbo, estimate(model, frozen, protocol="threshold", **shared).elbo
        )
        with pytest.raises(ValueError, match="expected frozen images"):
            estimate(model, pixels, protocol="static")

    def test_static_is_one_draw_of_dynamic_and_threshold_is_another_question(self, trained, digits):
        images = digits[:300]
        frozen = freeze(images, torch.Generator().manual_seed(1))
        threshold, dynamic, static = (
            estimate(trained, some, protocol=name, samples=20).log_evidence
            for name, some in (("threshold", images), ("dynamic", images), ("static", frozen))
        )
        error = (dynamic - static).std() / math.sqrt(300)
        assert abs((dynamic - static).mean()) < 4 * error
        assert (dynamic - threshold).abs().mean() > 0.2, "image by image, they are apart"

    @pytest.mark.parametrize("latent", [1, 3])
    def test_an_independent_implementation_agrees(self, latent, digits):
        """By torch.distributions, image by image, with samples of its own."""
        images, samples = digits[:25], 2000
        model = trained_on(digits, latent)
        with torch.no_grad():
            model.encoder.log_std.bias += 1  # a wide q has weights that are easy to average
        found = estimate(model, images, protocol="threshold", samples=samples).log_evidence
        generator = torch.Generator().manual_seed(7)
        model = copy.deepcopy(model).double()
        distances = []  # in standard errors; half of them should be below 0.67
        for n, image in enumerate(threshold(images).double()):
            with torch.no_grad():
                posterior = model.encoder(image[None])
                q = torch.distributions.Normal(posterior.mean, posterior.log_std.exp())
                draw = torch.randn(samples, latent, generator=generator, dtype=torch.float64)
                code = posterior.mean + posterior.log_std.exp() * draw
                pixel = torch.distributions.Bernoulli(logits=model.decoder(code))
                prior = torch.distributions.Normal(0.0, 1.0)
                log_p = pixel.log_prob(image).sum(1) + prior.log_prob(code).sum(1)
                weight = (log_p - q.log_prob(code).sum(1)).exp()
            error = math.sqrt(2 / samples) * weight.std() / weight.mean()  # both have it
            distances.append(abs(found[n] - weight.mean().log()) / error)
        distances = torch.stack(distances)
        assert distances.median() < 1
        assert distances.max() < 6


class TestBounds:
    """On weights whose log-mean is known: log-normal ones, with E[w] = 1."""

    spread = 1.5
    weights = spread * torch.randn(
        5000, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ) - (spread**2 / 2)

    def test_one_sample_gives_the_mean_and_all_the_log_mean(self):
        torch.testing.assert_close(bound_of(self.weights, 1), self.weights.mean(0))
        torch.testing.assert_close(bound_of(self.weights, 5000), log_mean_exp(self.weights))

    def test_groups_are_disjoint_runs_of_samples(self):
        by_hand = torch.stack([log_mean_exp(some) for some in self.weights.split(50)]).mean(0)
        torch.testing.assert_close(bound_of(self.weights, 50), by_hand)

    def test_rises_to_the_truth_which_is_zero(self):
        counts = (1, 2, 5, 10, 100, 1000, 5000)
        means = [bound_of(self.weights, count).mean().item() for count in counts]
        assert means == sorted(means)
        assert means[0] == pytest.approx(-(self.spread**2) / 2, abs=0.02)
        assert abs(means[-1]) < 0.02

    @pytest.mark.parametrize("count", [0, -1, 3, 5001, 10_000])
    def test_wants_whole_groups(self, count):
        with pytest.raises(ValueError, match=f"5000 samples do not make whole groups of {count}"):
            bound_of(self.weights, count)
        with pytest.raises(ValueError, match="0 samples do not make"):
            bound_of(self.weights[:0], 1)

    def test_weights_are_drawn_in_pieces_from_the_posterior_that_is_given(self, weights, generator):
        model, image = small(), (torch.rand(7, 25, generator=generator) < 0.3).float()
        found = draw_log_weights(model, image, samples=700, generator=generator)
        assert found.shape == (700, 7)
        assert torch.equal(found, torch.cat(weights))
        assert len(weights) > 1
        elsewhere = Gaussian(torch.full((7, 2), 3.0), torch.zeros(7, 2))
        other = draw_log_weights(model, image, elsewhere, samples=700, generator=generator)
        assert (other.mean(0) < found.mean(0) - 3).all()


class TestFittedPosterior:
    def test_finds_the_best_gaussian_of_a_model_whose_posterior_is_known(self, generator):
        """A decoder without weights explains every image by no code: the posterior is the prior."""
        model = small()
        torch.nn.init.zeros_(model.decoder.logits.weight)
        image = (torch.rand(3, 25, generator=generator) < 0.3).float()
        start = Gaussian(torch.full((3, 2), 1.0), torch.full((3, 2), -1.0))
        found = fit_posterior(model, image, start, steps=400, generator=generator)
        assert found.mean.abs().max() < 0.05
        assert found.log_std.abs().max() < 0.05
        assert start.mean.eq(1.0).all(), "what is given is left alone"

    def test_closes_part_of_the_gap_and_never_more_than_all(self, trained, digits, generator):
        image = threshold(digits[:24])
        posterior = trained.encoder(image)
        trained.zero_grad(set_to_none=True)
        before = [value.clone() for value in trained.parameters()]
        fitted = fit_posterior(trained, image, posterior, generator=generator)
        for a, b in zip(before, trained.parameters(), strict=True):
            assert torch.equal(a, b)
            assert b.grad is None
        draw = {"samples": 4000, "generator": generator}
        before = draw_log_weights(trained, image, **draw)
        weights = draw_log_weights(trained, image, fitted, **draw)
        truth = log_mean_exp(draw_log_weights(trained, image, fitted, **draw))  # other codes
        gained = weights.mean(0) - before.mean(0)
        error = (weights.var(0) + before.var(0)).mean().sqrt() / math.sqrt(4000 * 24)
        assert gained.mean() > 4 * error
        assert (gained > -0.2).all()
        assert weights.mean() < truth.mean()
        assert (weights.mean(0) < truth + 0.1).all(), "but for the error of two estimates"

    def test_climbs_where_gradients_are_switched_off(self, pixels):
        model, image = small(), threshold(pixels[:3])
        start = model.encoder(image)
        seed = torch.Generator().manual_seed
        outside = fit_posterior(model, image, start, steps=3, generator=seed(0))
        with torch.no_grad():
            inside = fit_posterior(model, image, start, steps=3, generator=seed(0))
        assert torch.equal(inside.mean, outside.mean)
        assert not torch.equal(inside.mean, start.mean)

    def test_noise_decides(self, trained, digits):
        image = threshold(digits[:3])
        seeds = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
        one, same, other = (
            fit_posterior(trained, image, trained.encoder(image), steps=5, generator=seed).mean
            for seed in seeds
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    def test_unknown_protocol(self, pixels):
        with pytest.raises(ValueError, match="no protocol is called 'stochastic'; there is thresh"):
            estimate(small(), pixels, protocol="stochastic")

    def test_too_few_samples(self, pixels):
        with pytest.raises(ValueError, match="expected at least 1 sample, got 0"):
            evidence(small(), pixels, samples=0)
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            evidence(small(), pixels, samples=2.5)

    def test_images_as_evaluate_wants_them(self, pixels):
        with pytest.raises(TypeError, match="expected images as uint8"):
            evidence(small(), pixels.float())
        with pytest.raises(ValueError, match=r"expected images of shape \(batch, 25\)"):
            evidence(small(), pixels[:, :20])

    @pytest.mark.parametrize("samples", [0, -5])
    def test_codes_to_draw(self, samples, pixels, generator):
        model, image = small(), threshold(pixels[:4])
        said = f"expected at least 1 sample, got {samples}"
        with pytest.raises(ValueError, match=said):
            draw_log_weights(model, image, samples=samples, generator=generator)
        with pytest.raises(ValueError, match=said):
            fit_posterior(model, image, model.encoder(image), samples=samples, generator=generator)
        with pytest.raises(ValueError, match="expected at least 1 step, got 0"):
            fit_posterior(model, image, model.encoder(image), steps=0, generator=generator)

    def test_binary_images_of_the_models_size(self, pixels, generator):
        model, image = small(), threshold(pixels[:4])
        posterior = Gaussian(*model.encoder(image))
        for wrong, said in (
            (image / 2, "pixels 0 and 1 only, but one is 0.5"),
            (image[:, :20], r"expected images of shape \(batch, 25\)"),
            (image[:0], r"one row each, got \(0, 25\)"),
        ):
            with pytest.raises(ValueError, match=said):
                draw_log_weights(model, wrong, samples=3, generator=generator)
            with pytest.raises(ValueError, match=said):
                fit_posterior(model, wrong, posterior, generator=generator)

    def test_a_posterior_for_each_image(self, pixels, generator):
        model, image = small(), threshold(pixels[:4])
        one = Gaussian(torch.zeros(1, 2), torch.zeros(1, 2))
        said = r"expected noise of shape \(1, 2\)"
        with pytest.raises(ValueError, match=said):
            draw_log_weights(model, image, one, samples=3, generator=generator)
        with pytest.raises(ValueError, match=said):
            fit_posterior(model, image, one, generator=generator)


def test_half_precision_models_are_scored_in_single(pixels):
    model = small()
    half = copy.deepcopy(model).half()
    found = estimate(half, pixels, protocol="threshold", samples=20)
    exact = estimate(copy.deepcopy(half).float(), pixels, protocol="threshold", samples=20)
    assert torch.equal(found.log_evidence, exact.log_evidence)
    image, fit = threshold(pixels[:3]), {"steps": 3, "generator": torch.Generator()}
    q = half.encoder(image.half())
    assert fit_posterior(half, image.half(), q, **fit).mean.dtype == torch.float32
    with torch.inference_mode():
        q = model.encoder(image)
        assert fit_posterior(model, image, q, **fit).mean.isfinite().all()


def test_a_paired_difference_is_that_of_the_paired_t_test():
    shared, first, second = 30 * torch.randn(3, 200, dtype=torch.float64)
    first, second = shared + first / 30, shared + second / 30 + 0.5
    mean, error = paired_difference(first, second)
    assert mean.item() == pytest.approx(-0.5, abs=0.5)
    assert (mean / error).item() == pytest.approx(stats.ttest_rel(first, second).statistic)
    assert error < 0.2 < 30 / math.sqrt(200), "what the images share does not count"


def test_the_rates_of_the_levels_add_up_to_the_kl(pixels):
    model = small()
    for settings in ({}, dict(protocol="dynamic", batch_size=7)):
        rates = evaluation.level_rates(model, pixels, **settings)
        assert rates.shape == (1,)
        torch.testing.assert_close(rates[0], mean_terms(model, pixels, **settings).kl)
