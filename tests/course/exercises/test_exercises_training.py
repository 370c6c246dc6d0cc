"""The exercises on training: right answers in different styles, wrong ones in other words."""

import numpy as np
import torch
from answers import accepted, rejected
from torch.distributions import Normal, kl_divergence

from vaelib.course.exercises import training


def adam(gradients):
    """How far PyTorch's Adam moves a weight in each step, in units of the learning rate."""
    theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer, moved = torch.optim.Adam([theta], lr=1.0), []
    for gradient in gradients:
        before, theta.grad = theta.item(), torch.full_like(theta, gradient)
        optimizer.step()
        moved.append(before - theta.item())
    return moved


def parts_by_autograd(theta, images, loss_of, batch_size, part_size):
    for at in range(0, len(images), batch_size):
        batch = images[at : at + batch_size]
        gradient = torch.zeros_like(theta)
        for start in range(0, len(batch), part_size):
            part = batch[start : start + part_size]
            theta = theta.detach().requires_grad_()
            gradient += torch.autograd.grad(loss_of(theta, part) * len(part), theta)[0]
        theta = theta.detach() - 0.1 * gradient / len(batch)
    return theta.numpy()


def parts_by_functions(theta, images, loss_of, batch_size, part_size):
    for batch in images.split(batch_size):
        slopes = [
            torch.func.grad(loss_of)(theta, part) * len(part) for part in batch.split(part_size)
        ]
        theta = theta - 0.1 * sum(slopes) / len(batch)
    return theta


def parts_averaged(theta, images, loss_of, batch_size, part_size):
    for batch in images.split(batch_size):
        slopes = [torch.func.grad(loss_of)(theta, part) for part in batch.split(part_size)]
        theta = theta - 0.1 * torch.stack(slopes).mean(0)
    return theta


def parts_returning_early(theta, images, loss_of, batch_size, part_size):  # noqa: RET503
    theta = theta.requires_grad_()
    for batch in images.split(batch_size):
        for part in batch.split(part_size):
            (loss_of(theta, part) * len(part) / len(batch)).backward()
        theta.data -= 0.1 * theta.grad
        return theta


def price(mean, log_std):
    return kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(-1)


def bound_sample_by_sample(log_likelihood, mean, log_std, noise):
    total = 0
    for e in noise:
        total = total + log_likelihood(torch.addcmul(mean, log_std.exp(), e))
    return total / len(noise) - price(mean, log_std)


def bound_in_numpy(log_likelihood, mean, log_std, noise):
    m, s, e = (x.double().numpy() for x in (mean, log_std, noise))
    likelihoods = log_likelihood(torch.from_numpy(m + np.exp(s) * e).to(mean.dtype)).numpy()
    return likelihoods.mean(axis=0) - np.sum(m**2 + np.exp(2 * s) - 1 - 2 * s, axis=-1) / 2


RIGHT = {
    "step-without-a-gradient": [adam([3.0, 0.0])[1], 0.67, torch.tensor(0.6701)],
    "batch-in-parts": [parts_by_autograd, parts_by_functions],
    "no-noise-when-testing": [bound_sample_by_sample, bound_in_numpy],
    "what-a-code-leaves-open": [
        11.25,
        -20 * (0.75 * np.log(0.75) + 0.25 * np.log(0.25)),
        torch.tensor(11.2),
    ],
    "budget-in-bits": [66.9, torch.tensor(67.0)],
}
WRONG = {
    "step-without-a-gradient": [(0.00067, "in units of η"), (0.9004, "What is t now")],
    "batch-in-parts": [
        (parts_averaged, "the bug of the thread"),
        (parts_returning_early, "Where does the return stand"),
    ],
    "no-noise-when-testing": [
        (lambda f, m, s, e: f(m + s.exp() * e.mean(0)) - price(m, s), "averages the codes"),
        (
            lambda f, m, s, e: f(m + s.exp() * e).exp().mean(0).log() - price(m, s),
            "log of an average",
        ),
    ],
    "what-a-code-leaves-open": [(4.9, "base 10"), (6.9, "rarer sides")],
    "budget-in-bits": [(96.6, "in bits. It is asked for in nats"), (-19.9, "how many pixels")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(training, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
