"""Blur, the judge of samples, and precision and recall, against hand counts and slow versions."""

import math

import pytest
import scipy.stats
import torch
from torch import Generator

from vaelib import hierarchy, sampling, sharpness, vae
from vaelib.decoder import log_likelihood
from vaelib.elbo import kl
from vaelib.evaluation import estimate
from vaelib.sharpness import Judge, Overconfident, opinion, overlap, train_judge, undecided


def randn(generator, *shape):
    return torch.randn(*shape, generator=generator)


def test_undecided_pixels_are_counted_by_hand():
    mean_image = torch.tensor(
        [[0.0, 0.05, 0.11, 0.5, 0.89, 0.95], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0.5] * 6]
    )
    assert undecided(mean_image).tolist() == [3, 0, 6]


MODELS = {
    "vae": lambda: vae.dense(hidden=8, latent=3, generator=Generator().manual_seed(0)),
    "hierarchy": lambda: hierarchy.dense(
        sizes=(2, 3), width=8, generator=Generator().manual_seed(0)
    ),
}


@pytest.fixture(params=MODELS)
def model(request, generator):
    made = MODELS[request.param]()
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.1 * randn(generator, *value.shape))
    return made


class TestOverconfident:
    @pytest.fixture
    def image(self, generator):
        return (torch.rand(5, 784, generator=generator) < 0.3).float()

    def test_its_likelihood_is_that_of_scaled_logits_and_its_kl_the_models(
        self, model, image, generator
    ):
        noise = randn(generator, 5, model.latent)
        levels, _ = model.infer(image, noise)
        logits = model.decode(torch.cat([level.latent for level in levels], 1)).logits
        found = Overconfident(model, 2.5).terms(image, noise)
        torch.testing.assert_close(found.log_likelihood, log_likelihood(image, 2.5 * logits))
        torch.testing.assert_close(found.kl, sum(kl(q, prior) for q, prior, *_ in levels))

    def test_a_factor_of_one_changes_nothing(self, model, image, generator):
        noise = randn(generator, 5, model.latent)
        expected = model.terms(image, noise)
        assert torch.equal(Overconfident(model, 1.0).terms(image, noise).bound, expected.bound)

    def test_it_is_sampled_and_evaluated_like_any_model(self, model):
        drawn = [
            sampling.sample_prior(one, 50, generator=Generator().manual_seed(0))
            for one in (model, Overconfident(model, 3.0))
        ]
        assert torch.equal(drawn[0].latent, drawn[1].latent)
        logits = [one.mean.logit() for one in drawn]
        torch.testing.assert_close(logits[1], 3 * logits[0], atol=1e-3, rtol=1e-3)
        assert undecided(drawn[1].mean).sum() < undecided(drawn[0].mean).sum()
        pixels = torch.full((4, 784), 255, dtype=torch.uint8)
        assert estimate(Overconfident(model, 3.0), pixels, protocol="static").samples == 100


@pytest.fixture
def tiles(generator):
    """Four classes: the bright quarter of an image says which."""
    labels = torch.arange(400) % 4
    images = torch.randint(0, 60, (400, 28, 28), generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = 14 * (label // 2), 14 * (label % 2)
        image[top : top + 14, left : left + 14] += 190
    return images.flatten(1).byte(), labels.byte()


class TestJudge:
    @pytest.fixture
    def judge(self, tiles):
        settings = {"epochs": 3, "batch_size": 40}
        return train_judge(*tiles, generator=Generator().manual_seed(0), **settings)

    def test_learns_what_can_be_seen(self, judge, tiles):
        images, labels = tiles
        binary = (images > 127).float()
        assert (judge(binary).argmax(1) == labels).float().mean() > 0.99
        found = opinion(judge, binary)
        assert found.confidence > 0.9
        assert found.entropy == pytest.approx(math.log(4), abs=0.01)
        assert found.classes == pytest.approx(4, abs=0.05)

    def test_a_seed_decides_everything(self, tiles):
        images, labels = tiles
        judges = [
            train_judge(images, labels, epochs=1, generator=Generator().manual_seed(seed))
            for seed in (0, 0, 1)
        ]
        first, second, third = (judge.logits.weight for judge in judges)
        assert torch.equal(first, second)
        assert not torch.equal(first, third)

    def test_refuses_labels_that_do_not_belong_to_the_images(self, tiles):
        with pytest.raises(ValueError, match="expected 400 labels, one per image, got 10"):
            train_judge(tiles[0], tiles[1][:10], generator=Generator())

    def test_its_output_is_a_linear_layer_of_its_features(self, generator):
        judge = Judge(features=7, generator=generator)
        images = (torch.rand(1003, 784, generator=generator) < 0.5).float()
        found = sharpness.features(judge, images)
        assert found.shape == (1003, 7)
        assert found.min() >= 0
        expected = torch.softmax(found @ judge.logits.weight.T + judge.logits.bias, 1)
        torch.testing.assert_close(sharpness.probabilities(judge, images), expected)


class Told(Judge):
    """A judge whose images say, in their first pixels, what it is to think of them."""

    def forward(self, image):
        return image[:, :10].log()


def test_confidence_and_entropy_are_those_of_its_classes():
    """Six images: three of class 0, two of class 4 and one of class 9."""
    thought = torch.full((6, 784), 0.0)
    for row, (chosen, sure) in enumerate([(0, 0.7), (0, 1), (0, 0.9), (4, 0.6), (4, 0.8), (9, 1)]):
        thought[row, :10] = (1 - sure) / 9
        thought[row, chosen] = sure
    found = opinion(Told(), thought)
    assert found.confidence == pytest.approx((0.7 + 1 + 0.9 + 0.6 + 0.8 + 1) / 6)
    assert found.entropy == pytest.approx(scipy.stats.entropy([3, 2, 1]))
    assert found.classes == pytest.approx(math.exp(scipy.stats.entropy([3, 2, 1])))
    one = opinion(Told(), thought[:3])
    assert (one.entropy, one.classes) == (0, 1)


def slow_share(points, others, neighbours):
    """The share of points within a ball of the others, one distance at a time."""
    found = 0
    for point in points.tolist():
        for place, other in enumerate(others.tolist()):
            rest = [math.dist(other, x) for n, x in enumerate(others.tolist()) if n != place]
            if math.dist(point, other) <= sorted(rest)[neighbours - 1]:
                found += 1
                break
    return found / len(points)


class TestOverlap:
    @pytest.mark.parametrize("neighbours", [1, 3, 5])
    @pytest.mark.parametrize("at_once", [7, 100, sharpness.AT_ONCE])
    def test_agrees_with_a_slow_version(self, generator, monkeypatch, neighbours, at_once):
        monkeypatch.setattr(sharpness, "AT_ONCE", at_once)
        real, made = randn(generator, 30, 3), 1.5 + randn(generator, 23, 3)
        found = overlap(real, made, neighbours=neighbours)
        assert found.precision == pytest.approx(slow_share(made, real, neighbours))
        assert found.recall == pytest.approx(slow_share(real, made, neighbours))
        assert 0 < found.precision < 1
        assert found.precision != found.recall

    def test_points_on_a_line_by_hand(self):
        """With k = 1 the balls around 0, 1, 3, 10 reach 1, 1, 2, 7, around 2, 4, 20 2, 2, 16.

        Of 2, 4, 20 the first two lie in 3's ball, and 20 in none: 10's ends at 17. All of
        0, 1, 3, 10 lie in balls of the samples: 0 at the edge of 2's, 10 in 20's.
        """
        real, made = (torch.tensor(x).view(-1, 1) for x in ([0.0, 1, 3, 10], [2.0, 4, 20]))
        assert overlap(real, made, neighbours=1) == (pytest.approx(2 / 3), 1)

    def test_equal_sets_agree_and_distant_ones_do_not(self, generator):
        real = randn(generator, 40, 5)
        assert overlap(real, real) == (1, 1)
        assert overlap(real, real + 100) == (0, 0)

    def test_samples_of_one_kind_are_precise_and_recall_little(self, generator):
        """Two clusters, of which the samples have only one."""
        real = torch.cat([randn(generator, 100, 2), 50 + randn(generator, 100, 2)])
        found = overlap(real, randn(generator, 200, 2))
        assert found.precision > 0.9
        assert found.recall == pytest.approx(0.5, abs=0.05)

    def test_samples_that_are_spread_too_far_are_not_precise_and_recall_all(self, generator):
        real, made = randn(generator, 200, 2), 10 * randn(generator, 200, 2)
        found = overlap(real, made)
        assert found.precision < 0.2
        assert found.recall > 0.9

    def test_refuses_features_that_do_not_fit(self, generator, as_users_run):
        real = randn(generator, 10, 4)
        with pytest.raises(ValueError, match=r"features of samples of shape \(batch, 4\)"):
            overlap(real, randn(generator, 10, 5))
        for wrong in (0, 4):
            with pytest.raises(ValueError, match="fewer than the 4 images"):
                overlap(real, randn(generator, 4, 4), neighbours=wrong)
