"""The exercises on objectives: right answers in different styles, wrong ones in other words."""

import numpy as np
import torch
from answers import accepted, rejected

from vaelib.course.exercises import objectives
from vaelib.elbo import log_mean_exp


def loss_by_a_loop(losses):
    total = 0.0
    for image in losses:
        best = image.min()
        total += best - sum(torch.exp(best - loss) for loss in image).div(len(image)).log()
    return total / len(losses)


def loss_half_detached(losses):
    best = losses.min(1).values
    weights = torch.exp(best.detach()[:, None] - losses)
    return (best - weights.mean(1).log()).mean()


RIGHT = {
    "two-bugs-in-one-line": [
        loss_by_a_loop,
        lambda losses: -torch.vmap(log_mean_exp)(-losses).mean(),
        lambda losses: np.log(losses.shape[1]) - torch.logsumexp(-losses, dim=-1).mean(),
    ],
}
WRONG = {
    "two-bugs-in-one-line": [
        (lambda losses: -log_mean_exp(-losses.reshape(-1)), "of all images in one logarithm"),
        (loss_half_detached, "the gradient is not"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(objectives, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
