"""The exercises on evaluation: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
from answers import accepted, rejected
from scipy import stats

from vaelib.course.exercises import evaluation
from vaelib.elbo import log_mean_exp


def ess_by_logarithms(log_weights):
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def ess_by_a_loop(log_weights):
    sizes = []
    for image in log_weights.T.tolist():
        weights = [math.exp(value - max(image)) for value in image]
        total = sum(weights)
        sizes.append(1 / sum((weight / total) ** 2 for weight in weights))
    return sizes


def merged_by_a_pivot(first, n, second, m):
    largest = torch.maximum(first, second)
    inside = n * (first - largest).exp() + m * (second - largest).exp()
    return largest + (inside / (n + m)).log()


def merged_by_repeating(first, n, second, m):
    return log_mean_exp(torch.cat([first.expand(n, -1), second.expand(m, -1)]))


def merged_in_numpy(first, n, second, m):
    a, b = first.double().numpy(), second.double().numpy()
    return np.logaddexp(a + np.log(n / (n + m)), b + np.log(m / (n + m)))


def compared_by_scipy(first, second):
    difference = (first - second).numpy()
    return difference.mean(), stats.sem(difference)


def compared_by_covariance(first, second):
    table = torch.stack([first, second]).double()
    (a, both), (_, b) = torch.cov(table)
    return torch.stack(
        [table[0].mean() - table[1].mean(), ((a + b - 2 * both) / len(first)).sqrt()]
    )


def compared_as_a_list(first, second):
    differences = [a - b for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    n, mean = len(differences), sum(differences) / len(differences)
    return [mean, math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)]


RIGHT = {
    "two-latents": [-102.85, torch.tensor(-102.8465), np.float64(-102.84)],
    "effective-sample-size": [ess_by_logarithms, ess_by_a_loop],
    "two-piles-of-weights": [merged_by_a_pivot, merged_by_repeating, merged_in_numpy],
    "two-models": [compared_by_scipy, compared_by_covariance, compared_as_a_list],
}
WRONG = {
    "two-latents": [(-103.56, "equally likely"), (-102.65, "base 10")],
    "effective-sample-size": [
        (lambda w: w.exp().sum(0) ** 2 / w.exp().square().sum(0), "e^−110 is 0"),
        (lambda w: w.sum(0) ** 2 / w.square().sum(0), "as if they were the weights"),
    ],
    "two-piles-of-weights": [
        (lambda a, n, b, m: log_mean_exp(torch.stack([a, b])), "the same weight"),
        (
            lambda a, n, b, m: a + torch.log(n / (n + m) + m / (n + m) * torch.exp(b - a)),
            "e^(b − a) is infinite",
        ),
    ],
    "two-models": [
        (
            lambda a, b: [
                a.mean() - b.mean(),
                torch.hypot(a.std(), b.std()) / math.sqrt(len(a)),
            ],
            "models evaluated on different images",
        ),
        (lambda a, b: ((a - b).mean(), np.std((a - b).numpy()) / len(a) ** 0.5), "ddof=1"),
        (lambda a, b: ((b - a).mean(), (b - a).std() / len(a) ** 0.5), "The sign of the mean"),
        (lambda a, b: torch.std_mean(a - b)[::-1], "standard deviation"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(evaluation, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
