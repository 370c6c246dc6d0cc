"""Notebook 4's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
from answers import accepted, rejected
from torch.distributions import Independent, Normal, kl_divergence

from vaelib.course.exercises.elbo import EXERCISES
from vaelib.elbo import kl as kl_of_gaussian
from vaelib.encoder import Gaussian


def kl_by_distributions(mean, log_variance):
    ours = Independent(Normal(mean, log_variance.exp().sqrt()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    return kl_divergence(ours, prior)


def kl_in_numpy(mean, log_variance):
    mean, log_variance = mean.double().numpy(), log_variance.double().numpy()
    return -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance), axis=1)


def kl_by_a_loop(mean, log_variance):
    images = []
    for m, v in zip(mean.tolist(), log_variance.tolist(), strict=True):
        images.append(sum((a * a + math.exp(b) - 1 - b) / 2 for a, b in zip(m, v, strict=True)))
    return images


def kl_of(term):
    return lambda mean, log_variance: term(mean, log_variance, log_variance.exp()).sum(1)


def bound(log_joint, mean, std, noise):
    q = Normal(mean, std)
    z = mean + std * noise
    return torch.mean(log_joint(z) - q.log_prob(z))


def bound_by_hand(log_joint, mean, std, noise):
    total = 0.0
    for e in noise.tolist():
        log_q = -0.5 * e * e - math.log(std) - 0.5 * math.log(2 * math.pi)
        total += float(log_joint(torch.tensor([mean + std * e]))[0]) - log_q
    return total / len(noise)


RIGHT = {
    "4.3": [9.04, 9.0, 9.0129, torch.tensor(9.0379), np.float64(9.03), 9.038],
    "4.1": [
        kl_by_distributions,
        kl_in_numpy,
        kl_by_a_loop,
        torch.vmap(lambda mean, s: 0.5 * (mean**2 + s.exp() - 1 - s).sum()),
    ],
    "4.5": [
        lambda a, b: -torch.mean(torch.sum(a, -1) - torch.sum(b, -1)),
        lambda a, b: (b.sum() - a.sum()) / len(a),
        lambda a, b: float(np.mean([y.sum() - x.sum() for x, y in zip(a, b, strict=True)])),
    ],
    "4.2": [bound, bound_by_hand],
    "4.4": ["DABC", "d, a, b, c", ["D", "A", "B", "C"], "D A B C"],
}
WRONG = {
    "4.3": [
        (1.81, "one dimension"),
        (10.78, "blog post's formula"),
        (0.0535, "where log σ belongs"),
        (18.08, "Twice too much"),
        (-9.04, "never negative"),
        (2.525, "base 10"),
        (13.04, "in bits"),
        (9.26, "square of 0.1"),
        (3.506, "0.1 taken for σ²"),
        (11.51, "the logarithm alone"),
        (11.54, "got lost"),
        (3.28, "has log σ once"),
        (-2.475, "the largest of all"),
        (-13.99, "Which sign has the logarithm"),
        (3.0, "too small"),
        (500, "too large"),
        (math.inf, "no finite number"),
        ("nine", "A number is asked for"),
        ([9.04, 9.04], "One number"),
        (lambda: 9.04, "this is a function"),
    ],
    "4.1": [
        (kl_of(lambda m, v, _: 0.5 * (m**2 + (2 * v).exp() - 1 - 2 * v)), "log σ² for log σ"),
        (kl_of(lambda m, v, var: (m**2 + var - 1 + v**2) / 2), "square of a logarithm"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var.sqrt() - 1 - v)), "σ where σ² belongs"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var - 1 + v)), "sign of the logarithm"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var - 1 - 0.5 * v)), "halved once too often"),
        (kl_of(lambda m, v, var: m.pow(2) + var - 1 - v), "twice too large"),
        (kl_of(lambda m, v, var: 0.5 * (1 + v - m**2 - var)), "wrong sign"),
        (lambda m, s: kl_by_distributions(m, s) / m.size(1), "averages over the latent"),
        (lambda m, s: kl_by_distributions(m, s).sum(), "one number for the whole batch"),
        (lambda m, s: kl_by_distributions(m, s).mean(), "averaged over the batch already"),
        (lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v), "each dimension's KL"),
        (lambda m, s: kl_by_distributions(m, s) * 3, "every value is 3 times the right one"),
        (
            kl_of(lambda m, v, var: 0.5 * (m**2 + var - v)),
            "off by +1 for arguments of shapes (3, 2) and (3, 2), off by +2.5 for",
        ),
        (lambda m, s: kl_by_distributions(m, s) - 0.5, "every value is off by -0.5. Is a constant"),
        (lambda m, s: kl_by_distributions(m, s).log(), "gives -inf, and 0 is right"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var - 1 - 2 * v)), "has the 2 in it already"),
        (lambda m, s: kl_by_distributions(m, s) / math.log(2), "in bits"),
        (
            lambda m, s: kl_by_distributions(m, s) * 2 / m.size(-2),
            "0.6667 times the right one for arguments of shapes (3, 2) and (3, 2), 1 times",
        ),
        (lambda m, s: -kl_by_distributions(m, s) * 3, "-3 times the right one"),
        (
            lambda m, s: kl_by_distributions(m, s) * -m.sum(-1),
            "it gives -0.9413, and 1.96 is right",
        ),
        (lambda m, s: kl_by_distributions(m, s)[:, None], "returns shape"),
        (kl_of(lambda m, v, var: 0.5 * (m + var - 1 - v)), "Is μ squared"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var**2 - 1 - v)), "squares σ² once more"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + v - 1 - var)), "have changed places"),
        (kl_of(lambda m, v, var: 0.5 * m**2 + var - 1 - v), "The ½ stands before μ² alone"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var - 1 - v.log())), "are logarithms already"),
        (kl_of(lambda m, v, var: -0.5 * (1 + v - m**2 + var)), "the sign of σ²"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 - var - 1 - v)), "the sign of σ²"),
        (kl_of(lambda m, v, var: -0.5 * (1 + v + m**2 - var)), "the sign of μ²"),
        (kl_of(lambda m, v, var: 0.5 * (-(m**2) + var - 1 - v)), "the sign of μ²"),
        (lambda m, v: kl_of_gaussian(Gaussian(m, torch.exp(v / 2))), "`Gaussian` σ. Which"),
        (lambda m, v: kl_of_gaussian(Gaussian(m, v.exp())), "`Gaussian` σ². Which"),
        (kl_of(lambda m, v, var: 0.5 * (m**2 + var.sqrt() - 1 - 0.5 * v)), "halved everywhere"),
        (
            lambda m, v: kl_divergence(Normal(0.0, 1.0), Normal(m, (v / 2).exp())).sum(1),
            "q and the prior exchanged",
        ),
        (lambda m, v: kl_by_distributions(0 * m, v), "The mean makes no difference"),
        (lambda m, v: (0.5 * (m**2 + v.exp() - 1 - v)).mean(), "over images and dimensions"),
        (lambda m, v: (0.5 * (m**2 + v.exp() - 1 - v)).sum(0), "over the images"),
        (lambda m, s: None, "has it a return"),
        (lambda m, s: m @ s, "stops with RuntimeError"),
        (lambda m: m, "stops with TypeError"),
        (3.0, "A function is asked for, and this is float"),
        (lambda m, s: "seven", "returns str, expected numbers"),
    ],
    "4.5": [
        (lambda a, b: b.mean() - a.mean(), "as it stands"),
        (lambda a, b: b.mean() * b.size(1) / a.size(1) - a.mean(), "times too small"),
        (lambda a, b: 3 * b.mean() - 12 * a.mean(), "Where it is furthest off"),
        (lambda a, b: b.sum() - a.sum(), "grows with the batch"),
        (lambda a, b: b.sum(-1).mean() - a.mean(), "The pixels are still averaged"),
        (lambda a, b: b.sum(0).mean() - a.sum(0).mean(), "It sums over the batch, dimension 0"),
        (lambda a, b: b.sum() - a.sum(-1).mean(), "each of its images pays for all"),
        (lambda a, b: b.sum(-1).mean() - a.sum(), "weighs less, the larger the batch"),
        (lambda a, b: (b.sum(-1) * a.size(1) - a.sum(-1)).mean(), "taken off every pixel"),
        (lambda a, b: -a.sum(-1).mean(), "What does the code cost"),
        (lambda a, b: (a.sum() + b.sum()) / len(a), "lacks its minus"),
        (lambda a, b: b.mean() - a.sum(-1).mean(), "The KL is still averaged"),
        (lambda a, b: (a.sum(-1) - b.sum(-1)).mean(), "That is the bound"),
        (lambda a, b: -(a.sum(-1) + b.sum(-1)).mean(), "pull in the same direction"),
        (lambda a, b: b.sum(-1) - a.sum(-1), "One value for each image"),
    ],
    "4.2": [
        (lambda j, m, s, e: j(m + s * e).mean(), "must be taken off"),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(0.0, 1.0).log_prob(m + s * e)).mean(),
            "the prior's density",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(0.0, 1.0).log_prob(e)).mean(),
            "density of ε",
        ),
        (
            lambda j, m, s, e: (j(m + e) - Normal(m, s).log_prob(m + e)).mean(),
            "a standard deviation of 1",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(m, s).log_prob(m + s * e)).sum(),
            "a sum over samples",
        ),
        (
            lambda j, m, s, e: (
                torch.logsumexp(j(m + s * e) - Normal(m, s).log_prob(m + s * e), 0)
                - math.log(len(e))
            ),
            "log of the average",
        ),
        (
            lambda j, m, s, e: (
                (j(m + s * e) - Normal(0.0, 1.0).log_prob(m + s * e)).mean()
                - kl_divergence(Normal(m, s), Normal(0.0, 1.0))
            ),
            "with the closed form",
        ),
        (
            lambda j, m, s, e: j(m + s * e).mean() - kl_divergence(Normal(m, s), Normal(0.0, 1.0)),
            "is counted twice",
        ),
        (
            lambda j, m, s, e: bound(lambda z: j(z) + Normal(0.0, 1.0).log_prob(z), m, s, e),
            "It adds log p(z)",
        ),
        (lambda j, m, s, e: j(m + s * e).mean() + Normal(m, s).entropy(), "none is wanted"),
        (
            lambda j, m, s, e: (j(e) - Normal(m, s).log_prob(m + s * e)).mean(),
            "Which of the two is a code",
        ),
        (
            lambda j, m, s, e: (Normal(m, s).log_prob(m + s * e) - j(m + s * e)).mean(),
            "That is the loss",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(m, s**2).log_prob(m + s * e)).mean(),
            "wants σ and gets σ²",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) + Normal(m, s).log_prob(m + s * e)).mean(),
            "A quotient of densities",
        ),
        (
            lambda j, m, s, e: (j(e) - Normal(m, s).log_prob(e)).mean(),
            "takes the noise for the code",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(m, s).log_prob(e)).mean(),
            "One of its densities is asked about ε",
        ),
        (
            lambda j, m, s, e: (j(m + s * e) - Normal(m, s).log_prob(m + s * e).exp()).mean(),
            "a density off a logarithm",
        ),
        (
            lambda j, m, s, e: (j(m + s**2 * e) - Normal(m, s).log_prob(m + s**2 * e)).mean(),
            "stretches ε by σ²",
        ),
        (
            lambda j, m, s, e: j(torch.tensor(m)) - Normal(m, s).log_prob(torch.tensor(m)),
            "at the mean of q alone",
        ),
        (lambda j, m, s, e: j(m + s * e) - Normal(m, s).log_prob(m + s * e), "What is left"),
    ],
    "4.4": [
        ("ADBC", "1 and 2 have changed places"),
        ("b a d c", "1 and 3 have changed places"),
        ("CABD", "1 and 4 have changed places"),
        ("DBAC", "2 and 3 have changed places"),
        (("D", "C", "B", "A"), "2 and 4 have changed places"),
        ("DACB", "3 and 4 have changed places"),
        ("BCDA", "from 1 to 4, and name the curve of each"),
        ("ABCD", "0 of 4 are matched"),
        ("DCAB", "1 of 4 is matched"),
        ("DABB", "once"),
        ("D", "once"),
        ("", "once"),
        (4, "Letters are asked for"),
        ([1, 2, 3, 4], "Letters are asked for"),
        (None, "Letters are asked for"),
    ],
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
