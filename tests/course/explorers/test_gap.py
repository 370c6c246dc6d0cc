import itertools
import math
import re

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch
from torch.distributions import Normal, kl_divergence
from toy import toy

from vaelib.course import explorers
from vaelib.course.explorers import gap
from vaelib.course.explorers.density import normal


@pytest.fixture(scope="module")
def model():
    return toy()


@pytest.fixture(scope="module")
def log_evidence():
    """log p(x) of the toy by scipy's quadrature, from the coins' probabilities."""

    def joint(z):
        coins = [scipy.special.expit(x) for x in (3 * z - 1, 2 * z + 1, -z + 1)]
        normal = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        return coins[0] * coins[1] * (1 - coins[2]) * normal

    return math.log(scipy.integrate.quad(joint, -12, 12, epsabs=1e-12)[0])


def numbers(words):
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", words)]


def test_bound_and_gap_add_up_to_log_evidence_and_the_gap_is_never_negative(model, log_evidence):
    gaps = []
    for mean, log_std in itertools.product(np.arange(-3, 3.1, 0.5), np.arange(-2, 0.71, 0.3)):
        found = gap.bound_and_gap(*model, normal(mean, log_std))
        assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)
        # A wide q reaches a little beyond the grid; what lies within is shared out exactly.
        within = Normal(mean, math.exp(log_std)).cdf(torch.tensor([-12.0, 12.0])).diff().item()
        assert within > 1 - 1e-5
        assert found.elbo + found.gap == pytest.approx(log_evidence * within, abs=1e-6)
        gaps.append(found.gap)
    assert min(gaps) > 0
    assert max(gaps) > 20


def test_the_bound_is_log_likelihood_minus_kl(model):
    grid, log_joint = model
    for mean, log_std in ((0.0, math.log(0.8)), (1.1, -0.4), (-2.0, 0.5)):
        q = Normal(torch.tensor(mean, dtype=torch.float64), math.exp(log_std))
        explained = log_joint - Normal(0.0, 1.0).log_prob(grid)
        explain = torch.trapezoid(q.log_prob(grid).exp() * explained, grid)
        expected = explain - kl_divergence(q, Normal(0.0, 1.0))
        found = gap.bound_and_gap(grid, log_joint, normal(mean, log_std)).elbo
        assert found == pytest.approx(expected.item(), abs=1e-6)


def test_no_gap_is_left_where_the_posterior_is_a_gaussian():
    # A code z ~ N(0, 1), seen with Gaussian noise of variance ¼ as 1: the posterior is N(0.8, 0.2).
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    log_joint = Normal(grid, 0.5).log_prob(torch.tensor(1.0)) + Normal(0.0, 1.0).log_prob(grid)
    best = gap.best_gaussian(grid, log_joint)
    assert best == pytest.approx((0.8, 0.5 * math.log(0.2)), abs=1e-4)
    found = gap.bound_and_gap(grid, log_joint, normal(*best))
    assert found.gap == pytest.approx(0, abs=1e-6)
    evidence = Normal(0.0, math.sqrt(1.25)).log_prob(torch.tensor(1.0)).item()
    assert found.elbo == pytest.approx(evidence, abs=1e-6)


@pytest.mark.parametrize("image", [(1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_the_best_gaussian_beats_its_neighbours_and_the_posteriors_mean_and_width(image):
    grid, log_joint = toy(image=image)
    best = gap.best_gaussian(grid, log_joint)
    highest = gap.bound_and_gap(grid, log_joint, normal(*best)).elbo
    for step in itertools.product((-0.01, 0, 0.01), repeat=2):
        if any(step):
            at = [x + move for x, move in zip(best, step, strict=True)]
            assert gap.bound_and_gap(grid, log_joint, normal(*at)).elbo < highest
    posterior = (log_joint - torch.logsumexp(log_joint, 0)).exp()
    mean = (posterior * grid).sum().item()
    std = (posterior * (grid - mean) ** 2).sum().sqrt().item()
    matched = gap.bound_and_gap(grid, log_joint, normal(mean, math.log(std)))
    assert matched.elbo < highest < matched.log_evidence


@pytest.mark.parametrize(("mean", "log_std"), [(-1.0, 0.0), (0.9, -1.2), (-3.0, -2.0), (3.0, 0.7)])
def test_the_words_hold_the_sum_and_it_adds_up(model, log_evidence, mean, log_std):
    found = gap.bound_and_gap(*model, normal(mean, log_std))
    shown = numbers(gap.view_bound(*model, mean=mean, log_std=log_std).words)
    truth = [mean, math.exp(log_std), log_evidence, found.elbo, found.gap]
    assert shown == pytest.approx(truth, abs=0.006)
    assert shown[2:] == pytest.approx(truth[2:], abs=0.00151)
    assert round(shown[3] + shown[4], 3) == shown[2], "what is shown adds up"


def test_the_column_is_filled_up_to_the_bound(model, log_evidence):
    left, bottom, wide, high = gap.COLUMN
    for mean, log_std in ((-1.0, 0.0), (0.9, -1.2), (3.0, 0.7), (1.14, -0.42)):
        picture = gap.view_bound(*model, mean=mean, log_std=log_std).figure.pixels()
        column = picture[:, round((left + 0.5 * wide) * 150)]
        (blue,) = np.nonzero((column == (0, 0x72, 0xB2)).all(-1))
        top = (picture.shape[0] - blue.min()) / 150
        height = -9 + (top - bottom) / high * 8  # the ceiling is at −1 nat, the floor at −9
        assert height == pytest.approx(
            gap.bound_and_gap(*model, normal(mean, log_std)).elbo, abs=0.1
        )
        ceiling = picture.shape[0] - (bottom + (log_evidence + 9) / 8 * high) * 150
        above = column[round(ceiling) : blue.min()]
        assert (above < 255).any(-1).all(), "hatched all the way up to log p(x)"


def test_the_picture_does_not_depend_on_how_fine_or_exact_the_grid_is(model):
    for other in (toy(2401), toy(dtype=torch.float32)):
        for settings in ({"mean": 1.0, "log_std": -2.0}, {"mean": -1, "log_std": 0}):
            ours, theirs = (gap.view_bound(*one, **settings) for one in (model, other))
            assert ours.words == theirs.words


def test_the_button_finds_the_best_gaussian(model):
    turned = explorers.bound(*model)
    turned.buttons["Best Gaussian"].click()
    found = turned.settings["mean"], turned.settings["log_std"]
    assert found == gap.best_gaussian(*model)
    assert gap.bound_and_gap(*model, normal(*found)).gap == pytest.approx(0.0124, abs=0.0005)
