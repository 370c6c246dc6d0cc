"""What must hold for all inputs, tried on many that Hypothesis makes up, extreme ones included.

Bounds of rounding are those of the type: u = 2⁻²⁴ for 32 bits, 2⁻⁵³ for 64. A sum of n terms is
trusted to n · u times the sum of their sizes.
"""

import math

import numpy as np
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.distributions import Bernoulli, Normal, kl_divergence

from vaelib import binarization, elbo, encoder, evaluation, sampling, vae
from vaelib.course import blog_post
from vaelib.decoder import log_likelihood

U32, U64 = 2.0**-24, 2.0**-53
settings.register_profile(
    "course",
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("course")


def arrays(low, high, shape=None):
    shape = shape or hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
    values = st.floats(low, high, width=32)
    return hnp.arrays(np.float64, shape, elements=values).map(torch.from_numpy)


@st.composite
def gaussians(draw, mean=50.0, log_std=20.0):
    means = draw(arrays(-mean, mean))
    return encoder.Gaussian(means, draw(arrays(-log_std, log_std, tuple(means.shape))))


@st.composite
def scored(draw, size=200.0):
    """Binary images and logits of one shape."""
    logits = draw(arrays(-size, size))
    bits = draw(hnp.arrays(np.bool_, tuple(logits.shape)))
    return torch.from_numpy(bits).double(), logits


class TestKL:
    @given(gaussians())
    def test_it_is_never_negative(self, posterior):
        """But for rounding: next to the prior, terms of size 1 cancel but for their last bits."""
        sizes = posterior.mean**2 + (2 * posterior.log_std).exp() + 1 + 2 * posterior.log_std.abs()
        assert (elbo.kl(posterior) >= -4 * U64 * sizes.sum(1)).all()
        assert (elbo.kl(posterior)[posterior.mean.abs().amax(1) > 1e-6] > 0).all()

    @given(gaussians(mean=4.0, log_std=4.0))
    def test_it_is_zero_only_at_the_prior(self, posterior):
        away = torch.maximum(posterior.mean.abs(), posterior.log_std.abs()).amax(1)
        assert (elbo.kl(posterior)[away > 1e-3] > 0).all()
        prior = encoder.Gaussian(*(0 * part for part in posterior))
        assert (elbo.kl(prior) == 0).all()

    @given(gaussians(mean=30.0, log_std=15.0))
    def test_it_is_that_of_torch_distributions(self, posterior):
        mean, log_std = posterior
        exact = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(elbo.kl(posterior), exact.double(), rtol=1e-6, atol=1e-6)

    @given(gaussians())
    def test_dimensions_add_up(self, posterior):
        parts = [
            elbo.kl(encoder.Gaussian(m[:, None], s[:, None]))
            for m, s in zip(posterior.mean.T, posterior.log_std.T, strict=True)
        ]
        torch.testing.assert_close(elbo.kl(posterior), sum(parts), rtol=1e-12, atol=1e-9)

    @given(gaussians())
    def test_the_sign_of_the_mean_does_not_matter(self, posterior):
        mirrored = encoder.Gaussian(-posterior.mean, posterior.log_std)
        assert torch.equal(elbo.kl(posterior), elbo.kl(mirrored))

    @given(gaussians(), st.randoms(use_true_random=False))
    def test_it_follows_a_permutation_of_the_batch(self, posterior, dice):
        order = list(range(len(posterior.mean)))
        dice.shuffle(order)
        moved = encoder.Gaussian(*(part[order] for part in posterior))
        assert torch.equal(elbo.kl(moved), elbo.kl(posterior)[order])

    @given(gaussians())
    def test_32_bits_agree_with_64(self, posterior):
        """Also at extreme log σ: the terms' sizes, times the roundings that each goes through."""
        mean, log_std = posterior
        single = elbo.kl(encoder.Gaussian(mean.float(), log_std.float())).double()
        variance = (2 * log_std).exp()
        # exp of a rounded 2 log σ is off by up to |2 log σ| roundings
        size = mean**2 + variance * (1 + 2 * log_std.abs()) + 1 + 2 * log_std.abs()
        bound = 0.5 * size.sum(1) * U32 * (mean.shape[1] + 4)
        assert ((single - elbo.kl(posterior)).abs() <= bound).all()


class TestLogLikelihood:
    @given(scored())
    def test_it_is_never_positive(self, pair):
        assert (log_likelihood(*pair) <= 0).all()

    @given(scored())
    def test_pixels_add_up(self, pair):
        image, logits = pair
        parts = sum(log_likelihood(image[:, [j]], logits[:, [j]]) for j in range(image.shape[1]))
        torch.testing.assert_close(log_likelihood(image, logits), parts, rtol=1e-12, atol=1e-9)

    @given(scored())
    def test_the_complement_under_the_opposite_logits_is_as_likely(self, pair):
        image, logits = pair
        torch.testing.assert_close(
            log_likelihood(1 - image, -logits),
            log_likelihood(image, logits),
            rtol=1e-12,
            atol=1e-12,
        )

    @given(scored(size=30.0))
    def test_it_is_that_of_torch_distributions(self, pair):
        image, logits = pair
        exact = Bernoulli(logits=logits).log_prob(image).sum(1)
        torch.testing.assert_close(log_likelihood(image, logits), exact, rtol=1e-9, atol=1e-9)

    @given(arrays(-700.0, 700.0))
    def test_the_two_outcomes_share_a_probability_of_one(self, logits):
        one, zero = (
            log_likelihood(torch.full_like(logits.flatten()[:, None], x), logits.flatten()[:, None])
            for x in (1.0, 0.0)
        )
        torch.testing.assert_close(torch.logaddexp(one, zero), torch.zeros_like(one))

    @given(scored(), st.randoms(use_true_random=False))
    def test_it_follows_a_permutation_of_the_batch(self, pair, dice):
        image, logits = pair
        order = list(range(len(image)))
        dice.shuffle(order)
        moved = log_likelihood(image[order], logits[order])
        assert torch.equal(moved, log_likelihood(image, logits)[order])

    @example((torch.zeros(1, 1).double(), torch.full((1, 1), -9.0).double()))
    @given(scored(size=1e4))
    def test_32_bits_agree_with_64(self, pair):
        """Also at extreme logits l: PyTorch takes log σ(l) from (1 − x)·l, each as large as |l|."""
        image, logits = pair
        single = log_likelihood(image.float(), logits.float()).double()
        size = logits.abs() + 1
        bound = size.sum(1) * U32 * (image.shape[1] + 4)
        assert ((single - log_likelihood(image, logits)).abs() <= bound).all()


class TestReparameterize:
    @given(gaussians(mean=1e3, log_std=10.0), st.data())
    def test_it_is_undone_by_standardizing(self, posterior, data):
        mean, log_std = posterior
        noise = data.draw(arrays(-6.0, 6.0, tuple(mean.shape)))
        code = encoder.reparameterize(posterior, noise)
        found = (code - mean) / log_std.exp()
        lost = (mean.abs() / log_std.exp() + noise.abs() + 1) * 2.0**-50
        assert ((found - noise).abs() <= lost).all()

    @given(gaussians(), st.data())
    def test_more_noise_is_more_code_and_none_is_the_mean(self, posterior, data):
        noise = data.draw(arrays(-6.0, 6.0, tuple(posterior.mean.shape)))
        more = noise + data.draw(arrays(0.0, 3.0, tuple(posterior.mean.shape)))
        low, high = (encoder.reparameterize(posterior, x) for x in (noise, more))
        assert (high >= low).all()
        assert torch.equal(encoder.reparameterize(posterior, 0 * noise), posterior.mean)

    @given(gaussians(mean=1e3, log_std=10.0), st.data())
    def test_32_bits_agree_with_64(self, posterior, data):
        mean, log_std = posterior
        noise = data.draw(arrays(-6.0, 6.0, tuple(mean.shape)))
        single = encoder.reparameterize(
            encoder.Gaussian(mean.float(), log_std.float()), noise.float()
        ).double()
        size = mean.abs() + log_std.exp() * noise.abs() * (1 + log_std.abs()) + 1e-30
        exact = encoder.reparameterize(posterior, noise)
        assert ((single - exact).abs() <= 8 * U32 * size).all()


bytes_ = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)).map(
    torch.from_numpy
)


class TestBinarization:
    @given(bytes_)
    def test_intensity_keeps_order_and_range(self, pixels):
        grey = binarization.intensity(pixels)
        assert torch.equal((grey * 255).round().to(torch.uint8), pixels)
        assert 0 <= grey.min() <= grey.max() <= 1

    @given(bytes_, st.integers(0, 2**31))
    def test_coins_are_binary_and_certain_where_the_pixel_is(self, pixels, seed):
        generator = torch.Generator().manual_seed(seed)
        coins = binarization.dynamic(pixels, generator)
        assert ((coins == 0) | (coins == 1)).all()
        assert (coins[pixels == 0] == 0).all()
        assert (coins[pixels == 255] == 1).all()
        assume(pixels.max() == 0 or pixels.max() > 16)  # as bytes of a whole data set have
        frozen = binarization.freeze(pixels, torch.Generator().manual_seed(seed))
        assert torch.equal(binarization.threshold(frozen), coins)
        assert torch.equal(binarization.dynamic(frozen, generator), coins)

    @given(bytes_, st.data())
    def test_more_intensity_is_more_ink_under_the_same_noise(self, pixels, data):
        grey = binarization.intensity(pixels)
        noise = data.draw(arrays(0.0, 0.96875, tuple(grey.shape))).float()
        brighter = (grey + 0.2).clamp(max=1)
        assert (
            binarization.bernoulli(brighter, noise) >= binarization.bernoulli(grey, noise)
        ).all()


MODEL = vae.dense(pixels=6, hidden=5, latent=3, generator=torch.Generator().manual_seed(0)).double()


class TestElbo:
    @given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 5), st.just(6))), st.data())
    def test_it_is_its_terms_and_follows_a_permutation(self, bits, data):
        image = torch.from_numpy(bits).double()
        noise = data.draw(arrays(-5.0, 5.0, (len(image), 3)))
        terms = elbo.elbo(MODEL, image, noise)
        assert torch.equal(terms.bound, terms.log_likelihood - terms.kl)
        assert (terms.log_likelihood <= 0).all()
        assert (terms.kl >= 0).all()
        order = torch.randperm(len(image))
        moved = elbo.elbo(MODEL, image[order], noise[order])
        torch.testing.assert_close(moved.bound, terms.bound[order], rtol=1e-12, atol=1e-12)

    @given(st.integers(0, 2**31))
    def test_its_mean_is_below_the_log_evidence(self, seed):
        """All 64 images of six pixels: their probabilities share one, and the bound is below."""
        images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6).double()
        generator = torch.Generator().manual_seed(seed)
        codes = torch.randn(4000, 3, generator=generator).double()
        with torch.no_grad():
            logits = MODEL.decoder(codes)
            each = torch.stack([log_likelihood(x.expand(4000, -1), logits) for x in images])
            log_p = torch.logsumexp(each, 1) - math.log(4000)
            assert abs(log_p.exp().sum() - 1) < 1e-9
            noise = torch.randn(500, 64, 3, generator=generator).double().flatten(0, 1)
            bounds = elbo.elbo(MODEL, images.repeat(500, 1), noise).bound.view(500, 64)
        error = bounds.std(0) / math.sqrt(500)
        assert (bounds.mean(0) <= log_p + 5 * error + 0.05).all()


class TestSampling:
    @given(arrays(-50.0, 50.0, (4, 3)))
    def test_mean_images_are_probabilities(self, code):
        intensity = sampling.decode(MODEL, code)
        assert ((intensity >= 0) & (intensity <= 1)).all()


class TestTraining:
    @given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.just(6))), st.integers(1, 9))
    def test_evaluation_is_per_image_and_its_mean_the_mean(self, pixels, batch_size):
        assume(pixels.max() == 0 or pixels.max() > 127)
        images = torch.from_numpy(pixels)
        terms = evaluation.evaluate(MODEL, images, batch_size=batch_size)
        assert terms.bound.shape == (len(images),)
        mean = evaluation.mean_terms(MODEL, images, batch_size=batch_size)
        torch.testing.assert_close(mean.bound, terms.bound.mean())
        exact = elbo.kl(MODEL.encoder(binarization.threshold(images).double()))
        torch.testing.assert_close(terms.kl, exact.detach())

    @given(st.lists(arrays(-9.0, 9.0), min_size=1, max_size=4))
    def test_the_sum_of_squares_is_that_of_all_values_together(self, parts):
        together = torch.cat([part.flatten() for part in parts])
        torch.testing.assert_close(blog_post.sum_of_squares(parts), together @ together)
