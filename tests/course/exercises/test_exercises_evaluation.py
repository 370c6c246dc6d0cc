"""The exercises on evaluation: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
from answers import accepted, rejected

from vaelib.course.exercises import evaluation
from vaelib.elbo import log_mean_exp


def worth_by_logarithms(log_weights):
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def worth_by_a_loop(log_weights):
    worths = []
    for image in log_weights.T.tolist():
        weights = [math.exp(value - max(image)) for value in image]
        total = sum(weights)
        worths.append(1 / sum((weight / total) ** 2 for weight in weights))
    return worths


def merged_by_a_pivot(first, n, second, m):
    largest = torch.maximum(first, second)
    inside = n * (first - largest).exp() + m * (second - largest).exp()
    return largest + (inside / (n + m)).log()


def merged_by_repeating(first, n, second, m):
    return log_mean_exp(torch.cat([first.expand(n, -1), second.expand(m, -1)]))


def merged_in_numpy(first, n, second, m):
    a, b = first.double().numpy(), second.double().numpy()
    return np.logaddexp(a + np.log(n / (n + m)), b + np.log(m / (n + m)))


RIGHT = {
    "two-codes": [-102.85, torch.tensor(-102.8465), np.float64(-102.84)],
    "effective-codes": [worth_by_logarithms, worth_by_a_loop],
    "two-piles-of-weights": [merged_by_a_pivot, merged_by_repeating, merged_in_numpy],
}
WRONG = {
    "two-codes": [(-103.56, "equally likely"), (-102.65, "base 10")],
    "effective-codes": [
        (lambda w: w.exp().sum(0) ** 2 / w.exp().square().sum(0), "e^−110 is 0"),
        (lambda w: w.sum(0) ** 2 / w.square().sum(0), "takes the logarithms for the weights"),
    ],
    "two-piles-of-weights": [
        (lambda a, n, b, m: log_mean_exp(torch.stack([a, b])), "the same weight"),
        (
            lambda a, n, b, m: a + torch.log(n / (n + m) + m / (n + m) * torch.exp(b - a)),
            "e^(b − a) is infinite",
        ),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(evaluation, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
