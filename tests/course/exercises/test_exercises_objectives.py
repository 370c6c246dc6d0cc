"""The exercises on objectives: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
from answers import accepted, rejected

from vaelib.course.exercises import EXERCISES, objectives
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


def path_by_autograd(slope, noise, std):
    """log p(x, z) of the given slope, differentiated by autograd with log q held fixed."""
    noise = torch.as_tensor(noise)
    mean = torch.zeros_like(noise, requires_grad=True)
    log_std = torch.full_like(noise, math.log(std)).requires_grad_()
    z = mean + log_std.exp() * noise
    fixed = torch.distributions.Normal(mean.detach(), log_std.detach().exp())
    bound = slope * z - fixed.log_prob(z)
    return torch.autograd.grad(bound.sum(), (mean, log_std))


def path_by_loops(slope, noise, std):
    rows = [[s + e / std for s, e in zip(slope, noise, strict=True)]]
    rows.append([row * std * e for row, e in zip(rows[0], noise, strict=True)])
    return np.array(rows)


def total_by_autograd(slope, noise, std):
    mean = torch.zeros_like(noise, requires_grad=True)
    log_std = torch.full_like(noise, math.log(std)).requires_grad_()
    z = mean + log_std.exp() * noise
    bound = slope * z - torch.distributions.Normal(mean, log_std.exp()).log_prob(z)
    return torch.stack(torch.autograd.grad(bound.sum(), (mean, log_std)))


RIGHT = {
    "share-of-the-gradient": [
        torch.tensor([-100.0, -102.0]).softmax(0)[0],
        0.881,
        torch.sigmoid(torch.tensor(2.0)).item(),
    ],
    "two-bugs-in-one-line": [
        loss_by_a_loop,
        lambda losses: -torch.vmap(log_mean_exp)(-losses).mean(),
        lambda losses: np.log(losses.shape[1]) - torch.logsumexp(-losses, dim=-1).mean(),
    ],
    "two-ways-to-spend": [0.1 * 8 * 8, 6.4],
    "path-derivative-by-hand": [path_by_autograd, path_by_loops],
}
WRONG = {
    "share-of-the-gradient": [
        (0.119, "second latent"),
        (0.495, "shares of the log weights"),
        (0.865, "rather than subtracting"),
        (-100.566, "the value of the bound"),
    ],
    "two-bugs-in-one-line": [
        (lambda losses: -log_mean_exp(-losses.reshape(-1)), "of all images inside one logarithm"),
        (loss_half_detached, "the gradient is not"),
    ],
    "two-ways-to-spend": [(0.8, "one factor of 8"), (0.1, "product of M and k")],
    "path-derivative-by-hand": [
        (total_by_autograd, "the total derivative"),
        (lambda s, e, d: torch.stack([s + e / d, s * e + e**2 / d]), "with respect to σ"),
        (lambda s, e, d: torch.stack([s, s * d * e]), "log p(x, z) alone"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(objectives, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)


def test_the_share_is_what_autograd_gives():
    log_weights = torch.tensor([-100.0, -102.0], dtype=torch.float64, requires_grad=True)
    value = log_mean_exp(log_weights)
    (gradient,) = torch.autograd.grad(value, log_weights)
    assert abs(gradient[0] - EXERCISES["share-of-the-gradient"].answer) < 1e-9
    assert f"{-value:.3f}" == "100.566"
