"""The exercises on the latent: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from answers import accepted, rejected

from vaelib.course.exercises import latent
from vaelib.encoder import Gaussian
from vaelib.latent import aggregate_log_density


def in_numpy(mean, log_std, latent):
    mean, log_std, latent = (x.double().numpy() for x in (mean, log_std, latent))
    images = zip(mean, np.exp(log_std), strict=True)
    each = [scipy.stats.norm(*image).logpdf(latent).sum(1) for image in images]
    return scipy.special.logsumexp(np.stack(each), 0, b=1 / len(mean))


def one_by_one(mean, log_std, latent):
    rows = []
    for z in latent:
        logs = (-0.5 * ((z - mean) / log_std.exp()) ** 2 - log_std).sum(1)
        logs = logs - 0.5 * mean.shape[1] * math.log(2 * math.pi)
        rows.append(logs.max() + (logs - logs.max()).exp().mean().log())
    return torch.stack(rows)


RIGHT = {
    "what-a-dimension-costs": [0.693, torch.tensor(0.6931)],
    "how-small-can-it-be": [4.0, 15 - math.log(6e4)],
    "log-average-density": [
        in_numpy,
        one_by_one,
        lambda mean, log_std, z: aggregate_log_density(Gaussian(mean, log_std), z),
    ],
    "four-clouds": ["bdac", ["B", "D", "A", "C"]],
}


def underflowing(mean, log_std, z):
    each = torch.distributions.Normal(mean, log_std.exp())
    return torch.stack([each.log_prob(one).sum(1).exp().sum() / len(mean) for one in z]).log()


def of_logarithms(mean, log_std, z):
    each = torch.distributions.Normal(mean, log_std.exp())
    return sum(each.log_prob(z[:, None]).sum(2).T) / len(mean)


WRONG = {
    "what-a-dimension-costs": [(0.599, "not squared again"), (1.193, "is missing")],
    "how-small-can-it-be": [(11.0, "remains"), (-0.87, "counts in bits"), (26.0, "a difference")],
    "log-average-density": [
        (underflowing, "gives −∞"),
        (of_logarithms, "averages the logarithms"),
        (lambda m, s, z: in_numpy(m, s, z) + math.log(len(m)), "a sum into an average"),
        (lambda m, s, z: in_numpy(m, s, z)[:, None], "expected shape (4,)"),
        (lambda m, s, z: in_numpy(m, s**0, z), "Where it is furthest off"),
    ],
    "four-clouds": [("CDAB", "have the same rate"), ("ABCD", "matched")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(latent, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)


@pytest.mark.parametrize(
    ("panel", "rate", "information"),
    [("B", 2.4, 2.4), ("D", 1.2, 1.2), ("A", 9.0, 7.4), ("C", 2.4, 0.0)],
)
def test_the_table_of_the_clouds_is_that_of_the_pictures(panel, rate, information):
    """With Gaussian means, q(z) is Gaussian, and both parts have closed forms."""
    assert panel in latent.FOUR_CLOUDS.answer
    assert f"| {rate} | {information} |" in latent.FOUR_CLOUDS.question
    spread, std, centre = (np.array(values) for values in latent._PANELS[panel])
    whole = spread**2 + std**2
    found = 0.5 * np.log(whole / std**2).sum()
    mismatch = 0.5 * (whole + centre**2 - 1 - np.log(whole)).sum()
    assert round(found, 1) == information
    assert round(mismatch + found, 1) == rate
    assert round(mismatch, 1) == round(rate - information, 1)
