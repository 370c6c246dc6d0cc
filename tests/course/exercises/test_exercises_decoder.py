"""Notebook 3's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import accepted, rejected
from torch.distributions import Bernoulli

from vaelib.course.exercises.decoder import EXERCISES


def likelier_sides(coins):
    return [[1 if p > 1 - p else 0 for p in row] for row in coins.tolist()]


def log_p(image, logits):
    return Bernoulli(logits=logits).log_prob(image).sum(-1)


def signs_by_logaddexp(image, logits):
    return -torch.logaddexp(torch.zeros_like(logits), -image * logits).sum(-1)


def signs_in_numpy(image, logits):
    return -np.logaddexp(0, -image.double().numpy() * logits.double().numpy()).sum(1)


def signs_by_a_loop(image, logits):
    totals = []
    for pixels, row in zip(image.tolist(), logits.tolist(), strict=True):
        scores = [x * logit for x, logit in zip(pixels, row, strict=True)]
        totals.append(sum(min(s, 0) - math.log1p(math.exp(-abs(s))) for s in scores))
    return totals


def signs_capped(image, logits):
    cost = F.binary_cross_entropy(torch.sigmoid(logits), (image + 1) / 2, reduction="none")
    return -cost.sum(1)


def from_probabilities(image, logits):
    pi = 1 / (1 + torch.exp(-logits))
    return (image * torch.log(pi) + (1 - image) * torch.log(1 - pi)).sum(1)


def with_epsilon(eps):
    return lambda image, logits: (torch.sigmoid(image * logits) + eps).log().sum(1)


def clamped(eps):
    return lambda image, logits: torch.sigmoid(image * logits).clip(min=eps).log().sum(1)


def clamped_between(eps):
    def score(image, logits):
        pi = torch.clip(torch.sigmoid(logits), eps, 1 - eps)
        return -F.binary_cross_entropy(pi, (image + 1) / 2, reduction="none").sum(1)

    return score


def all_with_epsilon(eps):
    def scores(images, logits):
        pi, images = torch.sigmoid(logits), images[:, None]
        return (images * torch.log(pi + eps) + (1 - images) * torch.log(1 - pi + eps)).sum(-1)

    return scores


def all_clamped(eps):
    def scores(images, logits):
        pi = torch.clip(torch.sigmoid(logits), eps, 1 - eps)
        return log_p(images[:, None], torch.logit(pi))

    return scores


def all_by_a_loop(images, logits):
    return [[float(log_p(image, row)) for row in logits] for image in images]


def all_in_numpy(images, logits):
    x, logit = images.double().numpy(), logits.double().numpy()
    return x @ -np.logaddexp(0, -logit).T + (1 - x) @ -np.logaddexp(0, logit).T


def from_probabilities_of_all(images, logits):
    pi = torch.sigmoid(logits)
    return torch.log(pi).matmul(images.T).T + torch.log(1 - pi).matmul(1 - images.T).T


def softplus(logits):
    return torch.logaddexp(torch.zeros_like(logits), logits)


EPSILONS = (1e-6, 1e-7, 1e-8, 1e-10, 1e-12)

RIGHT = {
    "3.1": [
        torch.round,
        likelier_sides,
        lambda coins: coins.numpy() >= 0.5,
        lambda coins: torch.where(coins > 1 - coins, 1, 0),
    ],
    "3.2": [
        signs_by_logaddexp,
        signs_in_numpy,
        signs_by_a_loop,
        lambda s, logits: F.logsigmoid(s * logits).sum(1),
        lambda s, logits: log_p((s + 1) / 2, logits),
        lambda s, logits: ((s + 1) / 2 * logits - F.softplus(logits)).sum(-1),
    ],
    "3.3": [-13.8, -14, np.log(1e-6), torch.logit(torch.tensor(1e-6))],
    "3.4": [
        -469,
        -468.97,
        torch.tensor([196 * math.log(1 / (1 + math.exp(-1))) + 588 * math.log(0.5)]),
        np.float64(-468.9699),
    ],
    "3.5": [
        all_by_a_loop,
        all_in_numpy,
        lambda images, logits: torch.stack([log_p(images, row) for row in logits], 1),
        lambda images, logits: torch.vmap(lambda x: (logits @ x) - softplus(logits).sum(1))(images),
        lambda images, logits: torch.einsum("np,mp->nm", images, logits) - softplus(logits).sum(1),
    ],
}
WRONG = {
    "3.1": [
        (lambda coins: coins.clone(), "the mean image"),
        (lambda coins: 1 - coins.round(), "the least likely image"),
        (lambda coins: coins.ceil(), "Every coin that can fall on ink"),
        (lambda coins: torch.sigmoid(coins) > 0.5, "already, not logits"),
        (lambda coins: torch.heaviside(coins, torch.zeros(1).to(coins)), "already, not logits"),
        (lambda coins: coins > coins.mean(1)[:, None], "compared with the others"),
        (lambda coins: coins == coins.amax(1, keepdim=True), "a single pixel of ink"),
        (lambda coins: 2 * coins.round() - 1, "under other names"),
        (lambda coins: torch.where(coins > 0.5, coins, 0), "The background is right"),
        (lambda coins: 0.5 + (coins - 0.5).abs(), "The side is asked for"),
        (lambda coins: (0.5 + (coins - 0.5).abs()).prod(1), "The image itself"),
        (lambda coins: coins.mean(0).round(), "one image for the whole batch"),
        (lambda coins: coins.argmax(1), "returns shape"),
    ],
    "3.2": [
        (lambda s, logits: (s * logits - softplus(logits)).sum(1), "as it stands"),
        (
            lambda s, logits: (
                -F.binary_cross_entropy_with_logits(logits, s, reduction="none").sum(1)
            ),
            "as it stands",
        ),
        (lambda s, logits: -torch.log(1 + torch.exp(-s * logits)).sum(1), "For mild logits"),
        (lambda s, logits: torch.log(torch.sigmoid(s * logits)).sum(1), "exactly 0"),
        *((with_epsilon(eps), f"An epsilon of {eps:g}, or a clamp") for eps in EPSILONS),
        (with_epsilon(2**-23), "An epsilon of 1.19e-07, or a clamp"),
        (clamped(1e-6), "An epsilon of 1e-06, or a clamp"),
        *((clamped(eps), f"A clamp at {eps:g} keeps") for eps in EPSILONS[1:-1]),
        (clamped(1e-12), "An epsilon of 1e-12, or a clamp"),
        (clamped(2**-23), "A clamp at 1.19e-07 keeps"),
        *((clamped_between(eps), f"A clamp between {eps:g} and") for eps in EPSILONS[:2]),
        (clamped_between(2**-23), "A clamp at 1.19e-07 keeps"),
        (lambda s, logits: -(s * softplus(-logits)).sum(1), "stands before the logarithm"),
        (lambda s, logits: -softplus(-torch.einsum("np,np->n", s, logits)), "tosses once"),
        (signs_capped, "100 nats at most"),
        (lambda s, logits: from_probabilities((s + 1) / 2, logits), "multiplies 0 by the log of 0"),
        (from_probabilities, "what is 1 − x"),
        (lambda s, logits: -signs_by_logaddexp(s, logits), "what the image costs"),
        (lambda s, logits: signs_by_logaddexp(s, -logits), "the negative of the image"),
        (lambda s, logits: signs_by_logaddexp(s, logits) / s.shape[1], "averages over the pixels"),
        (lambda s, logits: signs_by_logaddexp(s, logits).sum(), "one number for the whole batch"),
        (lambda s, logits: F.logsigmoid(s * logits), "each pixel's log-probability"),
        (lambda s, logits: s @ logits, "stops with RuntimeError"),
    ],
    "3.3": [
        (-15.94, "the picture's own eps"),
        (-16, "the picture's own eps"),
        (-18.1, "which way"),
        (13.8, "certain of ink"),
        (-6, "base 10"),
        (-19.9, "base 2"),
        (0, "a fair coin"),
        (-14.5, "down to a third"),
        (-13.1, "two thirds"),
        (-6.9, "Half of the logit"),
        (-36, "64 bits"),
        (-11, "too large"),
        (-25, "too small"),
    ],
    "3.4": [
        (0, "sure of every pixel"),
        (-543.4, "784 fair coins"),
        (784 * math.log(0.731), "right with probability 0.73"),
        (-320.1, "changed places"),
        (-833.6, "best for ink alone"),
        (-666, "learnt nothing"),
        (-440.9, "one coin of 0.25"),
        (469, "the log of a probability"),
        (-61.4, "what the ink costs"),
        (-407.6, "what the background costs"),
        (-0.598, "an average pixel"),
        (-676.6, "in bits"),
        (-200, "too large"),
    ],
    "3.5": [
        (lambda a, b: log_p(a, b[:, None]), "Rows and columns"),
        (log_p, "pairs each image with one code"),
        (lambda a, b: torch.einsum("np,mp->nm", a, b), "right so far"),
        (
            lambda a, b: a @ b.T - softplus(b).sum(1, keepdim=True),
            "belongs to a code",
        ),
        (lambda a, b: a @ b.T - softplus(b).sum(), "all codes together"),
        (lambda a, b: a @ b.T - torch.log(1 + b.exp()).sum(1), "The exponential of 200"),
        (lambda a, b: a @ b.T - torch.log1p(torch.exp(b)).sum(1), "The exponential of 200"),
        (lambda a, b: a @ b.T + softplus(b).sum(1), "is added"),
        (lambda a, b: a @ b.T + F.logsigmoid(b).sum(1), "It takes softplus(−ℓ) off"),
        (lambda a, b: a @ b.T - softplus(b).sum(1) / b.shape[1], "is averaged. Each pixel"),
        *((all_with_epsilon(eps), f"An epsilon of {eps:g} keeps") for eps in EPSILONS),
        (all_with_epsilon(2**-23), "An epsilon of 1.19e-07 keeps"),
        *((all_clamped(eps), f"A clamp at {eps:g} keeps") for eps in EPSILONS[:2]),
        (all_clamped(2**-23), "A clamp at 1.19e-07 keeps"),
        (lambda a, b: F.logsigmoid(a @ b.T), "one softplus of the sum"),
        (lambda a, b: a @ b.T - softplus(a).sum(1, keepdim=True), "softplus of the image"),
        (lambda a, b: a @ -softplus(-b).T, "the pixels of ink alone"),
        (from_probabilities_of_all, "0 times log 0"),
        (lambda a, b: log_p(a[:, None], b) / a.shape[1], "averages over the pixels"),
        (lambda a, b: -log_p(a[:, None], b), "what each image costs"),
        (lambda a, b: log_p(a[:, None], b).sum(1), "one number an image"),
        (lambda a, b: log_p(a[:, None], b), "without writing down all"),
        (lambda a, b: (a[:, None] * b - softplus(b)).sum(-1), "without writing down all"),
    ],
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
