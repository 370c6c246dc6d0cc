"""The exercises on the ELBO: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
from answers import accepted, rejected
from torch.distributions import Independent, Normal, kl_divergence

from vaelib.course.exercises import elbo


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


def kl_exchanged(mean, log_variance):
    return kl_divergence(Normal(0.0, 1.0), Normal(mean, (log_variance / 2).exp())).sum(1)


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


def bound_of_the_average(log_joint, mean, std, noise):
    z = mean + std * noise
    log_weights = log_joint(z) - Normal(mean, std).log_prob(z)
    return torch.logsumexp(log_weights, 0) - math.log(len(noise))


RIGHT = {
    "kl-from-log-variance": [
        kl_by_distributions,
        kl_in_numpy,
        kl_by_a_loop,
        torch.vmap(lambda mean, s: 0.5 * (mean**2 + s.exp() - 1 - s).sum()),
    ],
    "bound-from-samples": [bound, bound_by_hand],
    "price-of-certainty": [9.04, 9.0, 9.0129, torch.tensor(9.0379), np.float64(9.03)],
    "four-curves": ["DABC", "d, a, b, c", ["D", "A", "B", "C"]],
    "what-is-averaged": [
        lambda a, b: (b.sum() - a.sum()) / len(a),
        lambda a, b: float(np.mean([y.sum() - x.sum() for x, y in zip(a, b, strict=True)])),
    ],
}
WRONG = {
    "kl-from-log-variance": [
        (kl_exchanged, "q and the prior exchanged"),
        (lambda m, v: -0.5 * (1 + v - m**2 + v.exp()).sum(1), "the sign of σ²"),
    ],
    "bound-from-samples": [
        (bound_of_the_average, "log of the average"),
        (
            lambda j, m, s, e: j(m + s * e).mean() - kl_divergence(Normal(m, s), Normal(0.0, 1.0)),
            "is counted twice",
        ),
    ],
    "price-of-certainty": [(0.0535, "where log σ belongs"), (2.525, "base 10")],
    "four-curves": [("b a d c", "1 and 3 are swapped"), (("D", "C", "B", "A"), "2 and 4")],
    "what-is-averaged": [
        (lambda a, b: b.mean() * b.size(1) / a.size(1) - a.mean(), "times too small"),
        (lambda a, b: (b.sum(-1) * a.size(1) - a.sum(-1)).mean(), "from every pixel"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(elbo, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
