"""Notebook 6's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
from answers import accepted, rejected

from vaelib.course.exercises.evaluation import EXERCISES
from vaelib.elbo import log_mean_exp


def worth_by_logarithms(log_weights):
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def worth_in_numpy(log_weights):
    logs = log_weights.double().numpy()
    weights = np.exp(logs - logs.max(axis=0))
    return weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)


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


def loss_by_a_loop(losses):
    total = 0.0
    for image in losses:
        best = image.min()
        total += best - sum(torch.exp(best - loss) for loss in image).div(len(image)).log()
    return total / len(losses)


def loss_of_numbers(losses):
    total = 0.0
    for image in losses.tolist():
        best = min(image)
        total += best - math.log(sum(math.exp(best - loss) for loss in image) / len(image))
    return total / len(losses)


def loss_half_detached(losses):
    best = losses.min(1).values
    weights = torch.exp(best.detach()[:, None] - losses)
    return (best - weights.mean(1).log()).mean()


def shares(log_weights):
    weights = torch.exp(log_weights - log_weights.max(0).values)
    return weights / weights.sum(0)


def entropy(log_weights):
    return -torch.xlogy(shares(log_weights), shares(log_weights)).sum(0)


def worth_with_pivot(pivot):
    def worth(log_weights):
        weights = torch.exp(log_weights - pivot(log_weights))
        return 1 / ((weights / weights.sum(0)) ** 2).sum(0)

    return worth


def worth_in_float64_with_pivot(pivot):
    return lambda w: worth_with_pivot(pivot)(w.double())


def worth_with_epsilon(eps):
    return lambda w: 1 / torch.sum((torch.exp(w) / (torch.exp(w).sum(0) + eps)) ** 2, 0)


def merged_by_one_pivot(first, n, second, m):
    largest = max(first.max(), second.max())
    inside = n * (first - largest).exp() + m * (second - largest).exp()
    return largest + torch.log(inside / (n + m))


def merged_with_epsilon(eps):
    return lambda a, n, b, m: torch.log(a.exp() * n / (n + m) + b.exp() * m / (n + m) + eps)


def loss_by_one_pivot(losses):
    best = losses.min()
    return (best - torch.log(torch.exp(best - losses).mean(1))).mean()


def loss_with_epsilon(eps):
    return lambda losses: -torch.log(torch.exp(-losses).sum(1) / losses.size(1) + eps).mean()


EPSILONS = (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)

RIGHT = {
    "6.1": [-102.85, torch.tensor(-102.8465), np.float64(-102.84)],
    "6.2": [worth_by_logarithms, worth_in_numpy, worth_by_a_loop],
    "6.3": [merged_by_a_pivot, merged_by_repeating, merged_in_numpy],
    "6.4": [0.693, math.log(2), np.log(2), torch.tensor(0.6931)],
    "6.5": [
        lambda losses: -log_mean_exp(-losses.T).mean(),
        lambda losses: np.log(losses.shape[1]) - torch.logsumexp(-losses, dim=-1).mean(),
        loss_by_a_loop,
        lambda losses: -torch.vmap(log_mean_exp)(-losses).mean(),
    ],
}
WRONG = {
    "6.1": [
        (-105.0, "That is the ELBO"),
        (-100.693, "That is log p(x)"),
        (-103.56, "equally likely"),
        (-77.67, "do not add up to 1"),
        (-102.15, "adds the two weights"),
        (-102.5, "counted in the average"),
        (-102.65, "base 10"),
        (-148.38, "in bits"),
        (102.85, "check the sign"),
        (2.153, "falls short"),
        (-104.31, "It adds log 2"),
        (-107.5, "a pair of poor ones"),
        (-104.0, "too small"),
        (-101.0, "too large"),
    ],
    "6.2": [
        (lambda w: w.exp().sum(0) ** 2 / w.exp().square().sum(0), "e^−110 is 0"),
        (lambda w: 1 / (w.double().exp() / w.double().exp().sum(0)).pow(2).sum(0), "the cliff"),
        (worth_with_pivot(lambda w: w.max()), "Each image needs its own"),
        (worth_in_float64_with_pivot(lambda w: w.max()), "In float64, too"),
        (worth_with_pivot(lambda w: w.mean(0, keepdim=True)), "so that no exponent is positive"),
        (worth_in_float64_with_pivot(lambda w: w.mean(0)), "one code is far better"),
        (worth_in_float64_with_pivot(lambda w: w.amin(0)), "one code is far better"),
        (worth_with_pivot(lambda w: w.min(0).values), "far below an image's largest"),
        *((worth_with_epsilon(eps), f"An epsilon of {eps:g} keeps") for eps in EPSILONS),
        (lambda w: worth_by_logarithms(w).log(), "still a logarithm"),
        (lambda w: 1 / shares(w).square().sum(0).sqrt(), "what does a norm do last"),
        (lambda w: (shares(w) ** 2).sum(0), "falls as the codes get better"),
        (lambda w: 1 / (torch.softmax(w, -1) ** 2).sum(-1), "Which dimension are the codes"),
        (lambda w: worth_by_logarithms(w.reshape(-1)), "one number for all images"),
        (lambda w: 1 / shares(w).sum(0) ** 2, "a square of the sum"),
        (lambda w: 1 / (shares(w) ** 2).mean(0), "Sum or mean"),
        (lambda w: worth_by_logarithms(w) / w.size(0), "as a fraction"),
        (lambda w: 1 / shares(w).max(0).values, "the largest share alone"),
        (lambda w: entropy(w).exp(), "entropy"),
        (lambda w: w.sum(0) ** 2 / w.square().sum(0), "takes the logarithms for the weights"),
        (lambda w: 1 / (2 * (w - w.max(0).values)).exp().sum(0), "do not add up to 1"),
        (lambda w: 2 * worth_by_logarithms(w), "every value is 2 times the right one"),
        (lambda w: worth_by_logarithms(w)[:, None], "returns shape"),
    ],
    "6.3": [
        (lambda a, n, b, m: log_mean_exp(torch.stack([a, b])), "equal say"),
        (lambda a, n, b, m: a * n / (n + m) + b * m / (n + m), "how ELBOs are merged"),
        (lambda a, n, b, m: torch.stack([a, b]).mean(0), "the counts have no say"),
        (lambda a, n, b, m: torch.stack([a, b]).logsumexp(0), "adds the two averages"),
        (
            lambda a, n, b, m: merged_by_a_pivot(a, n, b, m) + math.log(n + m),
            "What makes a mean",
        ),
        (
            lambda a, n, b, m: torch.stack([a, b]).logsumexp(0) - math.log(n + m),
            "are means already",
        ),
        (lambda a, n, b, m: merged_by_a_pivot(a, m, b, n), "the other's count"),
        (
            lambda a, n, b, m: torch.stack([a * n, b * m]).logsumexp(0) - math.log(n + m),
            "The count multiplies the logarithm",
        ),
        (
            lambda a, n, b, m: torch.log(a.exp() * n / (n + m) + b.exp() * m / (n + m)),
            "In float32",
        ),
        (
            lambda a, n, b, m: torch.log(
                (a.double().exp() * n + b.double().exp() * m).div(n + m),
            ),
            "float64 helps",
        ),
        (merged_by_one_pivot, "One maximum is taken off"),
        (
            lambda a, n, b, m: merged_by_one_pivot(a.double(), n, b.double(), m),
            "In float64, too",
        ),
        (
            lambda a, n, b, m: merged_by_a_pivot(a, n, b, m) - torch.maximum(a, b),
            "What became of it after",
        ),
        (
            lambda a, n, b, m: a + torch.log(n / (n + m) + m / (n + m) * torch.exp(b - a)),
            "e^(b − a) is infinite",
        ),
        (
            lambda a, n, b, m: (merged_by_a_pivot(a, n, b, m) + math.log(n + m)) / (n + m),
            "divides the logarithm",
        ),
        (
            lambda a, n, b, m: (
                torch.stack([a - math.log(n), b - math.log(m)]).logsumexp(0) - math.log(n + m)
            ),
            "from a mean back to a sum",
        ),
        *((merged_with_epsilon(eps), f"An epsilon of {eps:g} keeps") for eps in EPSILONS),
    ],
    "6.4": [
        (0.318, "every mean for 0"),
        (0.818, "add up to that of all codes"),
        (0.568, "not the standard deviations"),
        (0.599, "left to be squared"),
        (0.75, "how much the means vary"),
        (1.386, "Twice too much"),
        (-0.693, "never negative"),
        (0.3466, "Half is missing"),
        (1.193, "got lost"),
        (1, "in bits"),
        (0.301, "base 10"),
        (5.0, "too large"),
    ],
    "6.5": [
        (lambda losses: torch.logsumexp(losses, dim=1).mean(), "as it stands"),
        (lambda losses: torch.mean(-torch.logsumexp(-losses, dim=1)), "is still not that loss"),
        (lambda losses: log_mean_exp(losses.T).mean(), "the best one or the worst"),
        (lambda losses: losses.mean(1).mean(), "the ELBO's"),
        (lambda losses: losses.amin(-1).mean(), "the best code alone"),
        (
            lambda losses: -torch.logsumexp(-losses, 1).mean() / losses.size(1),
            "The mean is under the logarithm",
        ),
        (lambda losses: -log_mean_exp(-losses.reshape(-1)), "of all images in one logarithm"),
        (lambda losses: log_mean_exp(-losses.T).mean(), "That is the bound"),
        (lambda losses: -log_mean_exp(-losses.T), "One value for each image"),
        (lambda losses: -log_mean_exp(-losses.T).sum(), "grows with the number of images"),
        (
            lambda losses: -torch.logsumexp(-losses, 1).mean() - math.log(losses.size(1)),
            "makes things worse",
        ),
        (
            lambda losses: -torch.logsumexp(-losses, 1).mean() + math.log(losses.size(0)),
            "the number of codes belongs",
        ),
        (lambda losses: -log_mean_exp(-losses).mean(), "the codes come second"),
        (
            lambda losses: -torch.logsumexp(losses / -losses.size(1), 1).mean(),
            "divides each log weight",
        ),
        (
            lambda losses: (losses * shares(-losses.T).T).sum() / len(losses),
            "by its code's share",
        ),
        *((loss_with_epsilon(eps), f"An epsilon of {eps:g} keeps") for eps in EPSILONS),
        (lambda losses: -torch.exp(-losses).mean(1).log().mean(), "In float32 e^−110 is 0"),
        (lambda losses: -torch.exp(-losses.double()).mean(1).log().mean(), "float64 helps"),
        (loss_by_one_pivot, "One minimum is taken off"),
        (lambda losses: loss_by_one_pivot(losses.double()), "In float64, too"),
        (loss_of_numbers, "the gradient is not"),
        (lambda losses: loss_by_a_loop(losses.detach()), "the gradient is not"),
        (loss_half_detached, "the gradient is not"),
    ],
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
