"""The exercises on the decoder: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import accepted, rejected
from torch.distributions import Bernoulli

from vaelib.course.exercises import decoder


def log_p(image, logits):
    return Bernoulli(logits=logits).log_prob(image).sum(-1)


def signs_by_a_loop(image, logits):
    totals = []
    for pixels, row in zip(image.tolist(), logits.tolist(), strict=True):
        signed = [x * logit for x, logit in zip(pixels, row, strict=True)]
        totals.append(sum(min(s, 0) - math.log1p(math.exp(-abs(s))) for s in signed))
    return totals


def signs_clamped_between(image, logits):
    pi = torch.clip(torch.sigmoid(logits), 1e-7, 1 - 1e-7)
    return -F.binary_cross_entropy(pi, (image + 1) / 2, reduction="none").sum(1)


def all_in_numpy(images, logits):
    x, logit = images.double().numpy(), logits.double().numpy()
    return x @ -np.logaddexp(0, -logit).T + (1 - x) @ -np.logaddexp(0, logit).T


def all_clamped(images, logits):
    pi = torch.clip(torch.sigmoid(logits), 1e-6, 1 - 1e-6)
    return log_p(images[:, None], torch.logit(pi))


RIGHT = {
    "most-likely-image": [
        torch.round,
        lambda pi: pi.numpy() >= 0.5,
        lambda pi: [[1 if p > 1 - p else 0 for p in row] for row in pi.tolist()],
    ],
    "pixels-of-signs": [
        signs_by_a_loop,
        lambda s, logits: log_p((s + 1) / 2, logits),
        lambda s, logits: -np.logaddexp(0, -s.double().numpy() * logits.double().numpy()).sum(1),
    ],
    "lost-gradient": [-13.8, -14, torch.logit(torch.tensor(1e-6))],
    "one-sigmoid-too-many": [
        -469,
        torch.tensor([196 * math.log(1 / (1 + math.exp(-1))) + 588 * math.log(0.5)]),
    ],
    "every-image-under-every-latent": [
        all_in_numpy,
        lambda images, logits: [[float(log_p(image, row)) for row in logits] for image in images],
        lambda images, logits: log_p(images[:, None], logits),
    ],
}
WRONG = {
    "most-likely-image": [
        (lambda pi: 2 * pi.round() - 1, "values are −1 and 1"),
        (lambda pi: torch.sigmoid(pi) > 0.5, "already, not logits"),
    ],
    "pixels-of-signs": [
        (signs_clamped_between, "A clamp between 1e-07 and"),
        (lambda s, logits: -torch.log(1 + torch.exp(-s * logits)).sum(1), "For small logits"),
    ],
    "lost-gradient": [(-16, "the eps in the plot"), (-13.1, "two thirds")],
    "one-sigmoid-too-many": [(-320.1, "are swapped"), (-666, "an untrained decoder")],
    "every-image-under-every-latent": [
        (all_clamped, "A clamp at 1e-06 avoids"),
        (lambda a, b: a @ b.T - torch.log1p(torch.exp(b)).sum(1), "The exponential of 200"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(decoder, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
