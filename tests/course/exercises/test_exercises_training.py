"""Notebook 5's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
from answers import accepted, rejected
from torch.distributions import Normal, kl_divergence

from vaelib.course.exercises.judging import mistake_of
from vaelib.course.exercises.training import EXERCISES


def adam(gradients):
    """How far PyTorch's Adam moves a weight in each step, in units of the learning rate."""
    theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer, moved = torch.optim.Adam([theta], lr=1.0), []
    for gradient in gradients:
        before, theta.grad = theta.item(), torch.full_like(theta, gradient)
        optimizer.step()
        moved.append(before - theta.item())
    return moved


def parts_by_optimizer(theta, images, loss_of, batch_size, part_size):
    theta = torch.nn.Parameter(theta)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    for batch in images.split(batch_size):
        for part in batch.split(part_size):
            (len(part) / len(batch) * loss_of(theta, part)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return theta


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


def whole_batches(theta, images, loss_of, batch_size, part_size):
    theta = theta.double().requires_grad_()
    for batch in images.double().split(batch_size):
        (gradient,) = torch.autograd.grad(loss_of(theta, batch), theta)
        theta = (theta - 0.1 * gradient).detach().requires_grad_()
    return theta


def parts_with_a_record(theta, images, loss_of, batch_size, part_size):
    """Keeps every loss, but none that has not gone backward, and looks at each part twice."""
    theta, kept, seen = theta.requires_grad_(), [], 0.0
    for batch in images.split(batch_size):
        theta.grad = None
        for part in batch.split(part_size):
            seen += loss_of(theta, part).item()
            loss = loss_of(theta, part)
            loss *= len(part) / len(batch)
            loss.backward()
            kept.append(loss)
        theta = (theta - 0.1 * theta.grad).detach().requires_grad_()
    assert math.isfinite(seen + sum(kept).item())
    return theta


def parts_by_functions(theta, images, loss_of, batch_size, part_size):
    for batch in images.split(batch_size):
        slopes = [
            torch.func.grad(loss_of)(theta, part) * len(part) for part in batch.split(part_size)
        ]
        theta = theta - 0.1 * sum(slopes) / len(batch)
    return theta


def loop(body):
    """A student's loop over batches with its body, which is given the optimizer and more."""

    def trained(theta, images, loss_of, batch_size, part_size):
        theta = theta.requires_grad_()
        optimizer = torch.optim.SGD([theta], lr=0.1)
        for batch in torch.split(images, batch_size):
            body(optimizer, lambda part: loss_of(theta, part), batch, batch.split(part_size))
        return theta

    return trained


def no_factor(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    for part in parts:
        loss(part).backward()
    optimizer.step()


def mean_of_means(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    for part in parts:
        loss(part).div(len(parts)).backward()
    optimizer.step()


def sum_over_images(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    for part in parts:
        loss(part).mul(len(part)).backward()
    optimizer.step()


def all_at_once(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    total = 0.0
    for part in parts:
        total = total + loss(part) * len(part)
    (total / len(batch)).backward()
    optimizer.step()


def one_after_the_other_at_the_end(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    for each in [loss(part) * len(part) / len(batch) for part in parts]:
        each.backward()
    optimizer.step()


def stacked(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    torch.stack([loss(part) for part in parts]).mean().backward()
    optimizer.step()


def weighted(weight):
    """A student's function whose parts' losses are multiplied by a wrong weight."""

    def trained(theta, images, loss_of, batch_size, part_size):
        theta.requires_grad_()
        for batch in images.split(batch_size):
            theta.grad = None
            for part in batch.split(part_size):
                factor = weight(len(part), len(batch), part_size, batch_size, len(images))
                (loss_of(theta, part) * factor).backward()
            theta.data -= 0.1 * theta.grad
        return theta

    return trained


def stepping_once(clear):
    def trained(theta, images, loss_of, batch_size, part_size):
        theta.requires_grad_()
        for batch in images.split(batch_size):
            if clear:
                theta.grad = None
            for part in batch.split(part_size):
                (loss_of(theta, part) * len(part) / len(batch)).backward()
        return theta - 0.1 * theta.grad

    return trained


def returning_early(theta, images, loss_of, batch_size, part_size):  # noqa: RET503
    theta = theta.requires_grad_()
    for batch in images.split(batch_size):
        for part in batch.split(part_size):
            (loss_of(theta, part) * len(part) / len(batch)).backward()
        theta.data -= 0.1 * theta.grad
        return theta


def without_batches(theta, images, loss_of, batch_size, part_size):
    for part in images.split(part_size):
        theta = theta - 0.1 * torch.func.grad(loss_of)(theta, part)
    return theta


def never_cleared(optimizer, loss, batch, parts):
    for part in parts:
        (loss(part) * len(part) / len(batch)).backward()
    optimizer.step()


def cleared_in_parts(optimizer, loss, batch, parts):
    for part in parts:
        optimizer.zero_grad()
        (loss(part) * (len(part) / len(batch))).backward()
    optimizer.step()


def cleared_in_parts_and_unweighted(optimizer, loss, batch, parts):
    for part in parts:
        optimizer.zero_grad()
        loss(part).backward()
    optimizer.step()


def small_batches(optimizer, loss, batch, parts):
    for part in parts:
        optimizer.zero_grad()
        loss(part).backward()
        optimizer.step()


def small_steps(optimizer, loss, batch, parts):
    for part in parts:
        optimizer.zero_grad()
        (loss(part) * (len(part) / len(batch))).backward()
        optimizer.step()


def steps_in_between(optimizer, loss, batch, parts):
    optimizer.zero_grad()
    for part in parts:
        (loss(part) * (len(part) / len(batch))).backward()
        optimizer.step()


def cleared_before_the_step(optimizer, loss, batch, parts):
    for part in parts:
        (loss(part) * (len(part) / len(batch))).backward()
    optimizer.zero_grad()
    optimizer.step()


def price(mean, log_std):
    return kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(-1)


def bound(log_likelihood, mean, log_std, noise):
    kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
    return (log_likelihood(mean + log_std.exp() * noise) - kl).mean(0)


def bound_sample_by_sample(log_likelihood, mean, log_std, noise):
    total = 0
    for e in noise:
        total = total + log_likelihood(torch.addcmul(mean, log_std.exp(), e))
    return total / len(noise) - price(mean, log_std)


def bound_in_numpy(log_likelihood, mean, log_std, noise):
    m, s, e = (x.double().numpy() for x in (mean, log_std, noise))
    likelihoods = log_likelihood(torch.from_numpy(m + np.exp(s) * e).to(mean.dtype)).numpy()
    return likelihoods.mean(axis=0) - np.sum(m**2 + np.exp(2 * s) - 1 - 2 * s, axis=-1) / 2


def with_codes(code):
    return lambda f, m, s, e: f(code(m, s, e)).mean(0) - price(m, s)


def drawn(f, m, s, e):
    return f(m + s.exp() * e)


RIGHT = {
    "5.1": [adam([3.0, 0.0])[1], 0.67, torch.tensor(0.6701), np.float64(0.67006)],
    "5.2": [parts_by_optimizer, parts_by_autograd, parts_with_a_record, parts_by_functions],
    "5.3": [bound, bound_sample_by_sample, bound_in_numpy],
    "5.4": [11.25, -20 * (0.75 * np.log(0.75) + 0.25 * np.log(0.25)), torch.tensor(11.2), 11.246],
    "5.5": [66.9, 784 * 0.16 * np.log(2) - 20, torch.tensor(67.0)],
}
WRONG = {
    "5.1": [
        (0, "is m?"),
        (0.00067, "in units of η"),
        (1, "whatever the gradient"),
        (-0.67, "go on, or back"),
        (2.847, "What divides them"),
        (0.9004, "What is t now"),
        (14.99, "v is not"),
        (0.127, "m is not"),
        (0.316, "stands around v"),
        (0.7445, "still what the first step made it"),
        (1.42, "the average gradient alone"),
        (0.27, "m as it stands"),
        (0.7, "one decimal"),
        (sum(adam([3.0, 0.0])), "both steps together"),
        (adam([3.0, 0.0, 0.0])[2], "too small"),
        (math.nan, "no finite number"),
        (3, "too large"),
    ],
    "5.2": [
        (whole_batches, "the memory takes 2"),
        (loop(no_factor), "the more parts"),
        (loop(mean_of_means), "the bug of the thread"),
        (loop(sum_over_images), "a batch's sum"),
        (loop(all_at_once), "2 more were kept for losses that have not gone backward"),
        (loop(one_after_the_other_at_the_end), "How soon can a part's loss go backward"),
        (loop(stacked), "How soon can a part's loss go backward"),
        (weighted(lambda own, batch, part, full, total: own / full), "but for the last batch"),
        (weighted(lambda own, batch, part, full, total: own / total), "share of all images"),
        (weighted(lambda own, batch, part, full, total: part / full), "parts that are not full"),
        (weighted(lambda own, batch, part, full, total: part / batch), "Does each part"),
        (
            weighted(lambda own, batch, part, full, total: 1 / -(-full // part)),
            "as the others have",
        ),
        (weighted(lambda own, batch, part, full, total: 1 / (full // part)), "of full parts"),
        (stepping_once(clear=True), "that batch alone is in .grad"),
        (stepping_once(clear=False), "All batches add up"),
        (returning_early, "Where does the return stand"),
        (without_batches, "Where are the batches"),
        (loop(cleared_in_parts_and_unweighted), "two slips"),
        (loop(never_cleared), "when the second batch begins"),
        (loop(cleared_in_parts), "Only the last part"),
        (loop(small_batches), "training in smaller batches"),
        (loop(small_steps), "weights that have moved"),
        (loop(steps_in_between), "with the parts before it still in .grad"),
        (loop(cleared_before_the_step), "has not moved at all"),
        (lambda theta, *_: theta, "has not moved at all"),
        (lambda theta, images, *_: images @ theta, "expected shape (2,)"),
        (lambda theta, images, loss_of, *_: loss_of(images, theta), "stops with RuntimeError"),
        (lambda *_: None, "has it a return"),
    ],
    "5.3": [
        (lambda f, m, s, e: f(m) - price(m, s), "as it stands"),
        (with_codes(lambda m, s, e: m + e), "standard deviation of 1"),
        (with_codes(lambda m, s, e: m + s * e), "log σ for σ"),
        (with_codes(lambda m, s, e: m + torch.exp(s / 2) * e), "halves log_std"),
        (with_codes(lambda m, s, e: m + torch.exp(s) ** 2 * e), "by the variance"),
        (with_codes(lambda m, s, e: s.exp() * e), "lie around 0"),
        (lambda f, m, s, e: f(m + s.exp() * e.mean(0)) - price(m, s), "averages the codes"),
        (lambda f, m, s, e: f(m + s.exp() * e[0]) - price(m, s), "the first sample only"),
        (lambda f, m, s, e: drawn(f, m, s, e) - price(m, s), "each sample and image"),
        (lambda f, m, s, e: torch.mean(drawn(f, m, s, e) - price(m, s)), "one number"),
        (lambda f, m, s, e: drawn(f, m, s, e).sum(0) - price(m, s), "grows with the number"),
        (lambda f, m, s, e: drawn(f, m, s, e).mean() - price(m, s), "so that all get the same"),
        (lambda f, m, s, e: drawn(f, m, s, e).mean(0) - price(m, s).sum(), "Whose codes"),
        (lambda f, m, s, e: drawn(f, m, s, e).mean(0) + price(m, s), "check its sign"),
        (lambda f, m, s, e: price(m, s) - drawn(f, m, s, e).mean(0), "That is the loss"),
        (
            lambda f, m, s, e: drawn(f, m, s, e).exp().mean(0).log() - price(m, s),
            "log of an average",
        ),
        (
            lambda f, m, s, e: (
                drawn(f, m, s, e)
                + Normal(0.0, 1.0).log_prob(m + s.exp() * e).sum(-1)
                - Normal(m, s.exp()).log_prob(m + s.exp() * e).sum(-1)
            ).mean(0),
            "KL from samples",
        ),
        (lambda f, m, s, e: drawn(f, m, s, e).mean(1) - price(m, s), "stops with RuntimeError"),
    ],
    "5.4": [
        (0.5623, "one of the pixels"),
        (13.86, "coins of ½"),
        (16.22, "in bits"),
        (5.75, "likelier image comes"),
        (27.73, "less likely image comes"),
        (5, "always given"),
        (4.9, "base 10"),
        (4.88, "base 10"),
        (4.3, "likelier sides"),
        (6.9, "rarer sides"),
        (33.5, "How often does each of them come"),
        (3.75, "the variance of the coins"),
        (440.9, "where the two images agree".capitalize()),
        (0, "when the other one does"),
        (-11.25, "log-likelihood"),
        (20, "too large"),
        (11.0, "is close, but too small"),
        (44.99, "bill of four"),
        (16.7, "equally frequent"),
        (22.2, "wrong way round"),
        (14, "coins of ½"),
        ([11.25, 0.5623], "One number"),
        (math.inf, "no finite number"),
    ],
    "5.5": [
        (86.95, "the whole bill, in nats"),
        (125.44, "the whole bill, in bits"),
        (105.44, "nats from bits"),
        (96.6, "in bits. It is asked for in nats"),
        (106.95, "Here the bill is known"),
        (73.1, "converted once more"),
        (161, "One nat is more than one bit"),
        (-19.9, "how many pixels"),
        (17.76, "base 10"),
        (58.1, "but the rate into bits"),
        (152, "converts what is left the wrong way"),
        (181, "were a nat less than a bit"),
        (0.085, "for one pixel"),
        (-66.9, "which sign"),
        (0.16 * 28 * 28 / 8, "too small"),
    ],
}


def test_what_one_answer_keeps_in_memory_is_not_held_against_the_next():
    kept = []

    def keeping(theta, images, loss_of, batch_size, part_size):
        kept.append(loss_of(theta.requires_grad_(), images[:part_size]))
        return theta

    def in_cycles(theta, images, loss_of, batch_size, part_size):
        for part in images.split(part_size):
            cycle = [loss_of(theta.clone().requires_grad_(), part)]
            cycle.append(cycle)
            del cycle
        return parts_by_optimizer(theta, images, loss_of, batch_size, part_size)

    assert "has not moved" in mistake_of(EXERCISES["5.2"], keeping)
    assert mistake_of(EXERCISES["5.2"], in_cycles) == ""
    assert kept[0].requires_grad


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
