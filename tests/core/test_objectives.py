import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vaelib import hierarchy, vae
from vaelib.course.blog_post import Penalised
from vaelib.decoder import log_likelihood
from vaelib.elbo import elbo, kl, log_mean_exp, log_ratio
from vaelib.encoder import Gaussian, reparameterize
from vaelib.evaluation import level_rates, mean_terms
from vaelib.objectives import FreeBits, ImportanceWeighted, Weighted, path_derivative
from vaelib.schedule import Progress, WarmUp
from vaelib.training import train


@pytest.fixture
def model(generator):
    return vae.dense(pixels=30, hidden=20, latent=3, generator=generator).double()


@pytest.fixture
def image(generator):
    return (torch.rand(6, 30, generator=generator) < 0.4).double()


def noise_of(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gradient(model, objective, image, noise):
    """All of it, in one vector."""
    bound = objective(model, image, noise).bound.mean()
    return torch.cat([g.flatten() for g in torch.autograd.grad(bound, list(model.parameters()))])


def encoder_size(model):
    return sum(value.numel() for value in model.encoder.parameters())


class TestWeighted:
    @pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
    def test_weighs_the_kl_alone(self, model, image, beta):
        noise = noise_of(6, 3)
        plain, found = elbo(model, image, noise), Weighted(beta)(model, image, noise)
        assert torch.equal(found.log_likelihood, plain.log_likelihood)
        assert torch.equal(found.kl, beta * plain.kl)

    def test_names_its_beta_so_that_a_run_is_not_resumed_with_another(self, pixels):
        model, generator = vae.dense(hidden=5), torch.Generator()
        history = train(model, pixels, epochs=1, objective=Weighted(2.0), generator=generator)
        with pytest.raises(
            ValueError, match=r"objective was Weighted\(2, elbo\), now Weighted\(3,"
        ):
            train(model, pixels, epochs=2, objective=Weighted(3.0), resume=history)


class TestWarmUp:
    def test_grows_by_the_steps_of_the_run(self, model, image):
        noise, objective = noise_of(6, 3), Weighted(WarmUp(100))
        plain = elbo(model, image, noise).kl
        for step, beta in ((0, 0.0), (25, 0.25), (100, 1.0), (5000, 1.0)):
            found = objective.at(Progress(step, 6000))(model, image, noise).kl
            torch.testing.assert_close(found, beta * plain)

    def test_warms_up_any_objective(self, model, image):
        noise, objective = noise_of(6, 3), Weighted(4.0, Weighted(WarmUp(100)))
        found = objective.at(Progress(50, 200))(model, image, noise).kl
        torch.testing.assert_close(found, 2 * elbo(model, image, noise).kl)

    def test_has_nothing_to_weigh_where_there_is_no_kl(self):
        with pytest.raises(ValueError, match="expected an objective whose second term is a KL"):
            Weighted(WarmUp(100), ImportanceWeighted(5))

    def test_is_not_called_without_a_run(self, model, image):
        with pytest.raises(ValueError, match="this β is a schedule"):
            Weighted(WarmUp(100))(model, image, noise_of(6, 3))


class TestFreeBits:
    @pytest.fixture
    def two_levels(self, generator):
        """A level whose KL is ½·2² = 2 nats for every image, over one of 4·½·0.1² = 0.02 nats."""
        model = hierarchy.dense(sizes=(2, 4), width=8, pixels=30, generator=generator).double()
        for stage, mean in zip(model.stages, ([2.0, 0.0], [0.1] * 4), strict=True):
            bias = stage.correction[-1].bias
            bias.data[: len(mean)] = torch.tensor(mean, dtype=torch.float64)
        return model

    @staticmethod
    def of_terms(model, terms):
        """The gradient of terms' mean, 0 for a parameter that has no part in it."""
        settings = dict(retain_graph=True, allow_unused=True, materialize_grads=True)
        found = torch.autograd.grad(terms.mean(), [*model.parameters()], **settings)
        return torch.cat([g.flatten() for g in found])

    @pytest.mark.parametrize(
        ("nats", "expected", "gradients"),
        [(0, 2.02, (1, 1)), (0.01, 2.02, (1, 1)), (0.5, 2.5, (1, 0)), (3, 6.0, (0, 0))],
    )
    def test_by_hand(self, two_levels, image, nats, expected, gradients):
        """A level below counts as `nats`, without a gradient; one above as its KL."""
        noise = noise_of(6, 6)
        terms = FreeBits(nats)(two_levels, image, noise)
        torch.testing.assert_close(terms.kl, torch.full((6,), expected).double())
        levels, log_likelihood = two_levels.infer(image, noise)
        torch.testing.assert_close(terms.log_likelihood, log_likelihood)
        rates = (kl(q, prior) for q, prior, _ in levels)
        kept = [self.of_terms(two_levels, rate) for rate in rates]
        kept = kept[0] * gradients[0] + kept[1] * gradients[1]
        found = self.of_terms(two_levels, terms.kl)
        torch.testing.assert_close(found, kept)
        assert (found.abs().max() > 0.1) == any(gradients)

    def test_it_is_the_mean_over_the_batch_that_counts(self, model, image):
        """Images above and below the average alike are raised by what the average lacks."""
        noise = noise_of(6, 3)
        plain = elbo(model, image, noise).kl
        assert plain.std() > 0.01
        raised = FreeBits(plain.mean().item() + 0.5)(model, image, noise).kl
        torch.testing.assert_close(raised, plain + 0.5)

    def test_at_0_it_is_the_elbo(self, model, two_levels, image):
        for each in (model, two_levels):
            noise = noise_of(6, each.latent)
            for a, b in zip(FreeBits(0)(each, image, noise), elbo(each, image, noise), strict=True):
                assert torch.equal(a, b)
            assert torch.equal(
                gradient(each, FreeBits(0), image, noise), gradient(each, elbo, image, noise)
            )

    def test_it_keeps_a_level_from_saying_nothing(self, digits):
        rates = []
        for objective in (Weighted(20.0), Weighted(20.0, FreeBits(2.0))):
            generator = torch.Generator().manual_seed(0)
            model = hierarchy.dense(sizes=(2, 4), width=20, generator=generator)
            settings = dict(epochs=4, batch_size=20, learning_rate=5e-3, objective=objective)
            train(model, digits[:600], generator=generator, **settings)
            rates.append(level_rates(model, digits[:600]))
        assert rates[0].min() < 0.1
        assert rates[1].min() > 0.5

    def test_it_is_named_when_a_run_is_resumed(self, pixels):
        model, generator = vae.dense(hidden=5), torch.Generator()
        history = train(model, pixels, epochs=1, objective=FreeBits(0.5), generator=generator)
        with pytest.raises(ValueError, match=r"objective was FreeBits\(0.5\), now FreeBits\(1\)"):
            train(model, pixels, epochs=2, objective=FreeBits(1.0), resume=history)

    def test_negative_nats_are_refused(self):
        for wrong in (-0.1, math.nan):
            with pytest.raises(ValueError, match="expected at least 0 nats for each level"):
                FreeBits(wrong)


class TestPathDerivative:
    def test_is_an_estimate_of_the_bound(self, model, image):
        noise = noise_of(20_000, 6, 3)
        with torch.no_grad():
            found = path_derivative(model, image, noise)
            one = elbo(model, image, noise[0])
        error = found.kl.std(0) / math.sqrt(len(noise))
        assert ((found.kl.mean(0) - kl(model.encoder(image))).abs() < 4.5 * error).all()
        torch.testing.assert_close(found.log_likelihood[0], one.log_likelihood)

    def test_its_gradient_is_the_bounds_on_average(self, model, image):
        groups = noise_of(100, 60, 6, 3).flatten(1, 2)  # sixty samples for each image in a group
        images = image.repeat(60, 1)
        differences = torch.stack(
            [
                gradient(model, path_derivative, images, noise)
                - gradient(model, elbo, images, noise)
                for noise in groups
            ]
        )
        error = differences.std(0) / math.sqrt(len(groups))
        decoder = slice(encoder_size(model), None)
        assert differences[:, decoder].abs().max() < 1e-12, "of the decoder it is the very same"
        encoder = slice(0, encoder_size(model))
        scores = (differences.mean(0) / error.clamp(min=1e-12))[encoder]
        assert scores.abs().max() < 5
        assert scores.std() < 1.5
        assert differences[:, encoder].abs().max() > 1e-3, "but one by one they differ"

    def test_sticks_the_landing(self, generator):
        """Where q is the posterior, the encoder's gradient is 0 whatever the noise."""
        model = vae.dense(pixels=30, hidden=20, latent=3, generator=generator).double()
        torch.nn.init.zeros_(model.decoder.logits.weight)  # so that the posterior is the prior
        for head in (model.encoder.mean, model.encoder.log_std):
            torch.nn.init.zeros_(head.weight)
        image = (torch.rand(6, 30, generator=generator) < 0.4).double()
        of_encoder = slice(0, encoder_size(model))
        assert gradient(model, path_derivative, image, noise_of(6, 3))[of_encoder].abs().max() == 0
        torch.nn.init.constant_(model.encoder.mean.bias, 0.3)
        assert gradient(model, path_derivative, image, noise_of(6, 3))[of_encoder].abs().max() > 0.1


class TestImportanceWeighted:
    def test_bound_is_the_log_mean_of_the_weights(self, model, image):
        noise = noise_of(7, 6, 3)
        weights = torch.stack([path_derivative(model, image, one).bound for one in noise])
        found = ImportanceWeighted(7)(model, image, noise)
        torch.testing.assert_close(found.bound, log_mean_exp(weights), rtol=1e-9, atol=1e-9)

    def test_of_one_sample_it_is_the_sampled_elbo(self, model, image):
        noise = noise_of(1, 6, 3)
        found = ImportanceWeighted(1)(model, image, noise)
        expected = path_derivative(model, image, noise[0])
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)

    def test_gradient_weighs_the_gradients_of_the_codes(self, model, image):
        """Burda et al., equation 14: the average gradient of log w by normalised weights."""
        noise = noise_of(4, 6, 3)

        def log_weight(model, image, noise):
            posterior = model.encoder(image)
            code = reparameterize(posterior, noise)
            q = Normal(posterior.mean, posterior.log_std.exp()).log_prob(code).sum(-1)
            p = Normal(0, 1).log_prob(code).sum(-1)
            return log_likelihood(image, model.decoder(code)) + p - q

        with torch.no_grad():
            share = torch.stack([log_weight(model, image, one) for one in noise]).softmax(0)
        total = sum(
            (s * log_weight(model, image, n)).mean() for s, n in zip(share, noise, strict=True)
        )
        expected = torch.autograd.grad(total, list(model.parameters()))
        found = gradient(model, ImportanceWeighted(4), image, noise)
        torch.testing.assert_close(found, torch.cat([g.flatten() for g in expected]))

    def test_train_gives_it_its_samples(self, digits):
        def run(**settings):
            generator = torch.Generator().manual_seed(0)
            model = vae.dense(hidden=50, generator=generator)
            train(model, digits, epochs=2, batch_size=50, generator=generator, **settings)
            return model, mean_terms(model, digits).bound

        plain, before = run()
        tight, after = run(objective=ImportanceWeighted(5))
        assert abs(before - after) < 15
        assert not torch.equal(plain.decoder.logits.weight, tight.decoder.logits.weight)

    @pytest.mark.usefixtures("as_users_run")
    def test_wants_noise_for_its_samples(self, model, image):
        for wrong in (noise_of(6, 3), noise_of(4, 6, 3)):
            with pytest.raises(ValueError, match=r"expected noise of shape \(5, 6, 3\), got"):
                ImportanceWeighted(5)(model, image, wrong)
        with pytest.raises(ValueError, match="at least 1 sample for the objective, got 0"):
            ImportanceWeighted(0)


def test_the_average_log_ratio_is_the_kl():
    posterior = Gaussian(noise_of(5, 3), 0.5 * noise_of(5, 3, seed=2))
    ratio = log_ratio(posterior, reparameterize(posterior, noise_of(100_000, 5, 3)))
    error = ratio.std(0) / math.sqrt(len(ratio))
    mean, log_std = posterior
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(-1)
    assert ((ratio.mean(0) - expected).abs() < 4 * error).all()


def test_log_mean_exp_neither_overflows_nor_underflows():
    values = torch.tensor([[1000.0, -1000.0, 0.0], [1000.0, -1000.0 - math.log(3), math.log(3)]])
    expected = torch.tensor([1000.0, -1000.0 + math.log(2 / 3), math.log(2)])
    torch.testing.assert_close(log_mean_exp(values), expected)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="expected a β of at least 0, got -1"):
        Weighted(-1.0)
    with pytest.raises(ValueError, match=r"expected a penalty of at least 0, got -0.1"):
        Penalised(-0.1)
