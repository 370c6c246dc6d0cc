"""Notebook 1's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
from answers import accepted, rejected
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily

from vaelib.course.exercises.binarization import EXERCISES


def ink_in_numpy(pixels):
    values = pixels.numpy()
    if values.dtype == np.uint8:
        values = values / 255
    return np.where(values > 0.5, 1, 0)


def ink_by_a_loop(pixels):
    level = 0.5 if pixels.is_floating_point() else 127.5
    return [[int(pixel > level) for pixel in row] for row in pixels.tolist()]


def ink_by_the_top_bit(pixels):
    return pixels >> 7 if pixels.dtype == torch.uint8 else pixels > 0.5


def tossed(intensity, noise):
    return (noise < intensity).float()


def views_with_a_name_of_their_own(intensity, noise):
    seen = []
    for fresh in noise:
        binary = tossed(intensity, fresh)
        seen.append(binary)
    return torch.stack(seen)


def views_in_numpy(intensity, noise):
    return np.less(noise.numpy(), intensity.numpy()[None]).astype(np.float64)


def views_by_loops(intensity, noise):
    return [
        [
            [1.0 if e < p else 0.0 for e, p in zip(some, coins, strict=True)]
            for some, coins in zip(fresh, intensity.tolist(), strict=True)
        ]
        for fresh in noise.tolist()
    ]


def views_as_in_the_snippet(intensity, noise):
    seen = []
    for fresh in noise:
        intensity = tossed(intensity, fresh)
        seen.append(intensity)
    return torch.stack(seen)


def views_that_remember(intensity, noise):
    seen = [tossed(intensity, noise[0])]
    for fresh in noise[1:]:
        seen.append(torch.maximum(seen[-1], tossed(intensity, fresh)))
    return torch.stack(seen)


def each_table(images, tables):
    return Independent(Bernoulli(tables), 1).log_prob(images[:, None])


def mixture(images, tables):
    return torch.log(torch.tensor(len(tables))) - torch.logsumexp(each_table(images, tables), -1)


def mixture_by_distributions(images, tables):
    equally = Categorical(torch.ones(len(tables)))
    return -MixtureSameFamily(equally, Independent(Bernoulli(tables), 1)).log_prob(images)


def mixture_in_numpy(images, tables):
    x, f = images.double().numpy()[:, None], tables.double().numpy()[None]
    log_p = np.sum(x * np.log(f) + (1 - x) * np.log1p(-f), axis=-1)
    best = log_p.max(axis=1, keepdims=True)
    return -(best[:, 0] + np.log(np.mean(np.exp(log_p - best), axis=1)))


def mixture_by_loops(images, tables):
    answers = []
    for image in images.tolist():
        total = -math.inf
        for table in tables.tolist():
            pairs = zip(image, table, strict=True)
            log_p = sum(math.log(f if x else 1 - f) for x, f in pairs)
            total = float(np.logaddexp(total, log_p))
        answers.append(math.log(len(tables)) - total)
    return answers


def mixture_that_underflows(images, tables):
    each = torch.where(images[:, None] == 1, tables, 1 - tables).prod(-1)
    return -each.mean(1).log()


def underflowing_with(eps):
    return lambda x, f: -torch.log(each_table(x, f).double().exp().sum(1) / len(f) + eps)


EPSILONS = (1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-30)

RIGHT = {
    "1.1": [56.2, 56.23, torch.tensor(56.2335), np.float64(56.23)],
    "1.2": [ink_in_numpy, ink_by_a_loop, ink_by_the_top_bit],
    "1.3": [views_with_a_name_of_their_own, views_in_numpy, views_by_loops],
    "1.4": [119.2, 119.17, np.float64(119.171), torch.tensor([119.17])],
    "1.5": [mixture, mixture_by_distributions, mixture_in_numpy, mixture_by_loops],
}
WRONG = {
    "1.1": [
        (0, "is free where"),
        (0.5623, "one grey pixel"),
        (440.9, "every pixel of the image"),
        (81.1, "in bits"),
        (24.4, "base 10"),
        (34.66, "the power x alone"),
        (21.58, "the power 1 − x alone"),
        (138.6, "as if it were ink"),
        (28.8, "as if it were background"),
        (69.3, "a coin of ½"),
        (543.4, "for every pixel of the image. How many"),
        (18.75, "variance of the tosses"),
        (-56.2, "its negative"),
        (100, "too large"),
        (10, "too small"),
        (math.nan, "no finite number"),
        ([0.25, 0.75], "One number"),
    ],
    "1.2": [
        (lambda p: torch.gt(p / 255, 0.5), "as in the snippet"),
        (lambda p: (p > 127).float(), "a level that is meant for bytes"),
        (lambda p: p.numpy() > 127.5, "divided once more, or compared"),
        (lambda p: torch.div(p, 128, rounding_mode="floor"), "No intensity becomes ink"),
        (lambda p: [[float(v > 0.5) for v in row] for row in p.tolist()], "right for intensities"),
        (lambda p: (p >= 128) if p.dtype == torch.uint8 else (p >= 0.5), "at the level itself"),
        (lambda p: (p > 127.5) if p.max() > 1 else (p > 0.5), "largest value. What of a faint"),
        (lambda p: (p.double() / p.double().max()) > 0.5, "one pixel decides"),
        (lambda p: (p > 128) if p.dtype == torch.uint8 else (p > 0.5), "128 / 255"),
        (lambda p: (p >= 127) if p.dtype == torch.uint8 else (p > 0.5), "127 / 255"),
        (lambda p: np.logical_not(ink_in_numpy(p)), "changed places"),
        (lambda p: p / 255 if p.dtype == torch.uint8 else p, "still have to be made"),
        (lambda p: ink_in_numpy(p).ravel(), "returns shape"),
        (lambda p: p.float().sigmoid(), "The shape is right, the values are not"),
    ],
    "1.3": [
        (views_as_in_the_snippet, "Every epoch looks like the first"),
        (lambda p, e: torch.stack([tossed(p, e[0])] * len(e)), "Every epoch looks like the first"),
        (lambda p, e: torch.stack([tossed(p, e[-1])] * len(e)), "Every epoch looks like the last"),
        (lambda p, e: torch.stack([tossed(p, n[0]) for n in e]), "share one image's noise"),
        (lambda p, e: tossed(p, e[0])[None], "the first epoch alone"),
        (lambda p, e: torch.stack([(n > p).float() for n in e]), "which way round"),
        (lambda p, e: torch.stack([(n <= p).float() for n in e]), "its noise was 0 too"),
        (lambda p, e: torch.stack([(p > 0.5).float() for _ in e]), "does not use the noise"),
        (lambda p, e: torch.stack([p for _ in e]), "These are greys"),
        (lambda p, e: sum(tossed(p, n) for n in e) / len(e), "averages over the epochs"),
        (views_that_remember, "What was ink once"),
        (lambda p, e: torch.stack([tossed(p, n) for n in e], dim=1), "Images come first"),
        (lambda p, e: [tossed(p, n).sum() for n in e], "returns shape"),
    ],
    "1.4": [
        (82.6, "in nats"),
        (0.152, "one pixel's"),
        (0.9**784, "probability of the whole image"),
        (35.9, "base 10"),
        (-119.2, "no negative length"),
        (367.7, "entropy of such coins"),
        (2604.4, "forecast wrongly"),
        (784, "knowing nothing"),
        (543.4, "and in nats"),
        (57.3, "less than one nat"),
        (705.6, "do not add up"),
        (78.4, "counts doubt"),
        (171.9, "too large"),
        ("119 bits", "A number is asked for"),
    ],
    "1.5": [
        (mixture_that_underflows, "infinite for many"),
        (lambda x, f: -each_table(x, f).exp().mean(-1).log(), "infinite for many"),
        (lambda x, f: -each_table(x, f).mean(-1), "averages the logarithms"),
        (lambda x, f: (-each_table(x, f)).min(1).values + math.log(len(f)), "names the table"),
        (lambda x, f: -torch.logsumexp(each_table(x, f), 1), "adds the tables' probabilities"),
        (lambda x, f: mixture(x, f) - 2 * math.log(len(f)), "makes images cheaper"),
        (lambda x, f: -each_table(x, f).logsumexp(1) / f.size(0), "divides the logarithm"),
        (lambda x, f: (-each_table(x, f)).min(1).values, "charges on its own"),
        (lambda x, f: -each_table(x, f).sum(1), "from all of them at once"),
        (
            lambda x, f: torch.logsumexp(-each_table(x, f), 1) - math.log(f.size(0)),
            "fits worst counts most",
        ),
        *((underflowing_with(eps), f"An epsilon of {eps:g} keeps") for eps in EPSILONS),
        (lambda x, f: -each_table(x, f).exp().mean(1).clamp(1e-12).log(), "cost at 28 nats"),
        (lambda x, f: -Bernoulli(f.mean(0)).log_prob(x).sum(1), "averages the tables first"),
        (lambda x, f: -mixture(x, f), "That is log p(x)"),
        (lambda x, f: mixture(x, f) / math.log(2), "in bits"),
        (lambda x, f: mixture(x, f).mean(), "averaged over the images"),
        (lambda x, f: mixture(x, f) / x.size(-1), "nats per pixel"),
        (
            lambda x, f: -((x[:, None] * f.log()).sum(-1).logsumexp(1) - math.log(len(f))),
            "charges for ink alone",
        ),
        (lambda x, f: mixture(1 - x, f), "changed places"),
        (each_table, "returns shape"),
    ],
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
