"""Models that a stranger writes: everything works with them, and the package is untouched.

Each of the three models below takes at most forty lines; a test counts them. The package's own
models with several levels are asked the same.
"""

import inspect
import math
import warnings

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.parallel import DistributedDataParallel

from vaelib import checkpoint, evaluation, hierarchy, objectives, sampling, schedule
from vaelib.binarization import intensity
from vaelib.decoder import Bernoulli
from vaelib.elbo import elbo
from vaelib.encoder import Encoder, Gaussian
from vaelib.training import InterruptedTraining, train
from vaelib.vae import VAE, LatentModel


class TwoLevels(LatentModel):
    """Two stochastic layers: the lower q corrects the prior that the upper latent predicts."""

    def __init__(self, pixels=784, width=16, top=2, low=3):
        super().__init__()
        self.sizes, self.pixels = (top, low), pixels
        self.up = nn.Sequential(nn.Linear(pixels, width), nn.SiLU())
        self.top = nn.Linear(width, 2 * top)
        self.down = nn.Sequential(nn.Linear(top, width), nn.SiLU())
        self.low_prior = nn.Linear(width, 2 * low)
        self.correction = nn.Linear(2 * width, 2 * low)
        self.mix = nn.Linear(low, width)
        self.logits = nn.Linear(width, pixels)

    def prior(self, above):
        return Gaussian(*self.low_prior(self.down(above[0])).chunk(2, -1)) if above else None

    def posterior(self, image, above):
        seen = self.up(image)
        if not above:
            return Gaussian(*self.top(seen).chunk(2, -1))
        told, prior = self.down(above[0]), self.prior(above)
        mean, log_std = self.correction(torch.cat([seen, told], -1)).chunk(2, -1)
        return Gaussian(prior.mean + mean, prior.log_std + log_std)

    def likelihood(self, latents):
        return Bernoulli(self.logits((self.down(latents[0]) + self.mix(latents[1])).tanh()))


class GreyPixels:
    """A likelihood of one's own: bytes that a Gaussian of learned width has rounded and cut."""

    def __init__(self, mean, log_std):
        self.mean, self.log_std = mean.sigmoid(), log_std

    def log_prob(self, image):
        normal, half = Normal(self.mean, self.log_std.exp()), 0.5 / 255
        below = normal.cdf(image - half).where(image > half, 0.0)  # 0 and 255 have open tails
        above = normal.cdf(image + half).where(image < 1 - half, 1.0)
        return (above - below).clamp(min=1e-9).log().sum(-1)

    def draw(self, noise):
        drawn = Normal(self.mean, self.log_std.exp()).icdf(noise.clamp(1e-6, 1 - 1e-6))
        return (drawn.clamp(0, 1) * 255).round() / 255

    def check(self, image):
        if not ((image >= 0) & (image <= 1)).all():
            raise ValueError("expected grey levels from 0 to 1")


class GreyVAE(VAE):
    """The course's VAE for grey bytes."""

    def __init__(self, encoder, decoder):
        super().__init__(encoder, decoder)
        self.log_std = nn.Parameter(torch.tensor(-1.5))

    def likelihood(self, latents):
        return GreyPixels(self.decoder(*latents), self.log_std)


class SkipDecoder(nn.Module):
    """A decoder of one's own, in which the latent reaches every layer."""

    def __init__(self, latent=2, width=16, pixels=784):
        super().__init__()
        self.latent, self.pixels = latent, pixels
        self.first, self.last = nn.Linear(latent, width), nn.Linear(width + latent, pixels)

    def forward(self, latent):
        return self.last(torch.cat([self.first(latent).relu(), latent], -1))


def two_levels(pixels=784):
    return TwoLevels(pixels)


def grey(pixels=784):
    return GreyVAE(Encoder(pixels=pixels, hidden=16, latent=2), SkipDecoder(pixels=pixels))


def skipping(pixels=784):
    return VAE(Encoder(pixels=pixels, hidden=16, latent=2), SkipDecoder(pixels=pixels))


def dense_levels(pixels=784):
    return hierarchy.dense(sizes=(2, 2, 3), width=16, blocks=1, pixels=pixels)


def convolutional_levels(pixels=784):
    return hierarchy.convolutional(maps=((1, 7), (1, 14)), channels=6)


STRANGERS = [two_levels, grey, skipping]
ANY_SIZE = [*STRANGERS, dense_levels]
MAKERS = [*ANY_SIZE, convolutional_levels]


def making(maker):
    def fresh(pixels=784, seed=0):
        torch.manual_seed(seed)
        return maker(pixels)

    fresh.protocol = intensity if maker is grey else "dynamic"
    return fresh


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def make(request):
    return making(request.param)


@pytest.fixture(params=STRANGERS, ids=lambda maker: maker.__name__)
def make_strange(request):
    return making(request.param)


@pytest.fixture(params=ANY_SIZE, ids=lambda maker: maker.__name__)
def make_any_size(request):
    return making(request.param)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def run(make, model, images, **settings):
    given = dict(epochs=3, batch_size=16, protocol=make.protocol, test_images=images[:9])
    generator = torch.Generator().manual_seed(1)
    return train(model, images, generator=generator, **given | settings)


def test_each_is_written_in_forty_lines():
    for parts in ([TwoLevels], [GreyPixels, GreyVAE], [SkipDecoder]):
        assert sum(len(inspect.getsource(part).splitlines()) for part in parts) <= 40


@pytest.mark.filterwarnings("ignore:.*gradients were longer than")  # of so small a model
def test_it_trains_and_is_evaluated(make, digits):
    model, images = make(), digits[:600]
    settings = dict(protocol=make.protocol, generator=torch.Generator().manual_seed(2))
    before = evaluation.mean_terms(model, images, **settings).bound
    history = run(make, model, images, batch_size=50, epochs=4)
    after = evaluation.mean_terms(model, images, **settings).bound
    assert after > before + 50
    assert history.train.bound[-1] > history.train.bound[0]
    assert history.test.bound.shape == (4,)
    found = evaluation.estimate(model, images[:20], protocol=make.protocol, samples=200)
    one = evaluation.evaluate(model, images[:20], protocol=make.protocol).bound
    assert (found.log_evidence > found.elbo).all()
    assert abs(found.elbo.mean() / one.mean() - 1) < 0.02


OTHERS = [
    objectives.path_derivative,
    objectives.ImportanceWeighted(3),
    objectives.FreeBits(0.5),
    objectives.Weighted(schedule.WarmUp(5), objectives.FreeBits(0.5)),
]


@pytest.mark.parametrize("objective", OTHERS)
def test_it_trains_with_other_objectives(make, pixels, objective):
    history = run(make, make(), pixels, objective=objective)
    assert history.train.bound.isfinite().all()


def test_stopped_and_resumed_it_is_the_same_bit_for_bit(make, pixels, tmp_path):
    def stop(report):
        if report.step == 6:
            raise KeyboardInterrupt

    whole = make()
    run(make, whole, pixels, save_to=tmp_path / "whole")
    file = tmp_path / "run.safetensors"
    with pytest.warns(InterruptedTraining, match="after step 6"):
        half = run(make, make(), pixels, save_to=file, watch=stop)
    by_history, by_file = make(seed=7), make(seed=8)
    run(make, by_history, pixels, resume=half)
    run(make, by_file, pixels, save_to=file, resume=file)
    assert torch.equal(weights(by_history), weights(whole))
    assert torch.equal(weights(by_file), weights(whole))


def test_it_is_saved_and_loaded_into_a_model_of_its_kind(make_strange, pixels, tmp_path):
    make = make_strange
    model, path = make(), tmp_path / "model.safetensors"
    run(make, model, pixels, epochs=1)
    checkpoint.save(model, path)
    again = checkpoint.load(path, make(seed=9))
    assert torch.equal(weights(again), weights(model))
    assert again.trained_steps == model.trained_steps == 4
    with pytest.raises(checkpoint.CheckpointError, match=r"Build a model .* load\(path, model\)"):
        checkpoint.load(path)
    with pytest.raises(checkpoint.CheckpointError, match="does not fit its architecture"):
        checkpoint.load(path, make(pixels=100))


def test_it_makes_images(make, pixels):
    model = make()
    made = sampling.sample_prior(model, 5, generator=torch.Generator().manual_seed(3))
    assert made.image.shape == made.mean.shape == (5, 784)
    assert torch.allclose(sampling.decode(model, made.latent), made.mean)
    again = sampling.sample_prior(model, 5, generator=torch.Generator().manual_seed(3))
    assert torch.equal(made.image, again.image)
    image = intensity(pixels[:4]) if make.protocol is intensity else (pixels[:4] > 127).float()
    rebuilt = sampling.reconstruct(model, image, generator=torch.Generator().manual_seed(3))
    assert rebuilt.latent.shape == (4, model.latent)
    assert not torch.equal(rebuilt.mean[0], rebuilt.mean[1])


def test_what_is_rebuilt_is_what_its_latents_decode_to(make, pixels):
    model = make()
    image = intensity(pixels[:4]) if make.protocol is intensity else (pixels[:4] > 127).float()
    rebuilt = sampling.reconstruct(model, image, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(sampling.decode(model, rebuilt.latent), rebuilt.mean)


def test_grey_pixels_are_a_distribution():
    levels = torch.linspace(0, 1, 256)[:, None]
    for mean in (-9.0, -6.0, 0.0, 6.0):
        pixel = GreyPixels(torch.full((256, 1), mean), torch.tensor(-3.0))
        assert abs(pixel.log_prob(levels).exp().sum() - 1) < 1e-4


def test_a_likelihood_of_ones_own_is_asked_for_every_protocol(pixels):
    class Refusing(Bernoulli):
        def check(self, image):
            raise ValueError("not these")

    model = skipping()
    model.likelihood = lambda latents: Refusing(model.decoder(*latents))
    for protocol in ("threshold", "dynamic", intensity):
        with pytest.raises(ValueError, match="not these"):
            evaluation.evaluate(model, pixels, protocol=protocol)


def test_many_samples_are_judged_by_the_likelihoods_own_formula(pixels):
    class Halved(Bernoulli):
        def log_prob(self, image):
            return super().log_prob(image) / 2

    model = skipping()
    plain = evaluation.estimate(model, pixels[:5], protocol="threshold", samples=20).elbo
    model.likelihood = lambda latents: Halved(model.decoder(*latents))
    assert (
        evaluation.estimate(model, pixels[:5], protocol="threshold", samples=20).elbo > plain / 1.9
    ).all()


@pytest.mark.usefixtures("as_users_run")
def test_a_likelihood_of_each_pixel_is_refused(pixels):
    class Forgetful(Bernoulli):
        def log_prob(self, image):
            return -(image - self.mean).abs()

    model = skipping()
    model.likelihood = lambda latents: Forgetful(model.decoder(*latents))
    with pytest.raises(ValueError, match="expected rows and values of log_prob of one shape"):
        evaluation.evaluate(model, pixels)


def test_evaluation_leaves_every_part_in_its_mode(pixels):
    model = skipping()
    model.encoder.eval()
    evaluation.evaluate(model, pixels)
    assert model.training
    assert model.decoder.training
    assert not model.encoder.training


@pytest.fixture(scope="module")
def gloo(tmp_path_factory):
    file = tmp_path_factory.mktemp("gloo") / "rendezvous"
    torch.distributed.init_process_group("gloo", f"file://{file}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("gloo")
def test_wrapped_for_several_processes_it_takes_the_same_step(make, pixels):
    gradients = []
    for wrap in (lambda model: model, DistributedDataParallel):
        model = make()
        image = intensity(pixels[:8]) if make.protocol is intensity else (pixels[:8] > 127).float()
        noise = torch.randn(8, model.latent, generator=torch.Generator().manual_seed(4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            elbo(wrap(model), image, noise).loss.backward()
        gradients.append(torch.cat([value.grad.flatten() for value in model.parameters()]))
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients)


class TestTwoLevels:
    """The derived formulas against torch.distributions."""

    @pytest.fixture
    def parts(self):
        torch.manual_seed(5)
        model = TwoLevels(pixels=12).double()
        image = (torch.rand(7, 12) < 0.4).double()
        noise = torch.randn(7, 5, dtype=torch.float64)
        return model, image, noise

    @staticmethod
    def normal(gaussian):
        return Independent(Normal(gaussian.mean, gaussian.log_std.exp()), 1)

    def by_hand(self, model, image, noise):
        q1 = self.normal(model.posterior(image, []))
        z1 = q1.base_dist.loc + q1.base_dist.scale * noise[:, :2]
        p1 = self.normal(Gaussian(torch.zeros_like(z1), torch.zeros_like(z1)))
        q2, p2 = self.normal(model.posterior(image, [z1])), self.normal(model.prior([z1]))
        z2 = q2.base_dist.loc + q2.base_dist.scale * noise[:, 2:]
        pixels = torch.distributions.Bernoulli(logits=model.likelihood([z1, z2]).logits)
        return (q1, z1, p1), (q2, z2, p2), pixels.log_prob(image).sum(-1)

    def test_terms_add_a_kl_for_each_level(self, parts):
        (q1, _, p1), (q2, _, p2), explained = self.by_hand(*parts)
        terms = parts[0].terms(*parts[1:])
        assert torch.allclose(terms.log_likelihood, explained)
        assert torch.allclose(terms.kl, kl_divergence(q1, p1) + kl_divergence(q2, p2))

    def test_weights_add_a_log_ratio_for_each_level(self, parts):
        top, low, explained = self.by_hand(*parts)
        ratio = sum(p.log_prob(z) - q.log_prob(z) for q, z, p in (top, low))
        assert torch.allclose(parts[0].sampled_terms(*parts[1:]).bound, explained + ratio)

    def test_several_samples_are_the_same_as_one_at_a_time(self, parts):
        model, image, _ = parts
        noise = torch.randn(3, 7, 5, dtype=torch.float64)
        for kind in (model.terms, model.sampled_terms):
            together = kind(image, noise)
            for sample in range(3):
                for a, b in zip(together, kind(image, noise[sample]), strict=True):
                    assert torch.allclose(a.expand(3, 7)[sample], b)

    def test_weights_average_to_the_evidence(self, parts):
        """p(x) by drawing from the prior, and by importance weights, of an untrained model."""
        model, image, _ = parts
        generator = torch.Generator().manual_seed(6)
        with torch.no_grad():
            noise = torch.randn(100_000, 5, generator=generator, dtype=torch.float64)
            log_p = torch.distributions.Bernoulli(
                logits=model.decode(model.from_prior(noise)).logits
            )
            by_prior = log_p.log_prob(image[0]).sum(-1).logsumexp(0) - math.log(100_000)
        by_weights = evaluation.draw_log_weights(
            model, image[:1], samples=20_000, generator=generator
        )
        assert abs(by_weights.logsumexp(0) - math.log(20_000) - by_prior) < 0.03


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 30)])
def test_other_sizes_train_and_are_evaluated(make_any_size, height, width):
    make = make_any_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, height * width), generator=generator).to(torch.uint8)
    model = make(pixels=height * width)
    history = run(make, model, images, epochs=1)
    assert history.test.bound.isfinite().all()
    found = evaluation.estimate(model, images[:5], protocol=make.protocol, samples=20)
    assert (found.log_evidence >= found.elbo).all()
