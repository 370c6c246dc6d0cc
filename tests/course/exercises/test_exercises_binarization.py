"""The exercises on binarization: right answers in different styles, and wrong ones."""

import math

import numpy as np
import torch
from answers import accepted, rejected
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily

from vaelib.course.exercises import binarization


def ink_in_numpy(pixels):
    values = pixels.numpy()
    if values.dtype == np.uint8:
        values = values / 255
    return np.where(values > 0.5, 1, 0)


def ink_by_a_loop(pixels):
    level = 0.5 if pixels.is_floating_point() else 127.5
    return [[int(pixel > level) for pixel in row] for row in pixels.tolist()]


def drawn(intensity, noise):
    return (noise < intensity).float()


def views_by_loops(intensity, noise):
    return [
        [
            [1.0 if e < p else 0.0 for e, p in zip(some, greys, strict=True)]
            for some, greys in zip(fresh, intensity.tolist(), strict=True)
        ]
        for fresh in noise.tolist()
    ]


def views_as_in_the_snippet(intensity, noise):
    seen = []
    for fresh in noise:
        intensity = drawn(intensity, fresh)
        seen.append(intensity)
    return torch.stack(seen)


def views_that_remember(intensity, noise):
    seen = [drawn(intensity, noise[0])]
    for fresh in noise[1:]:
        seen.append(torch.maximum(seen[-1], drawn(intensity, fresh)))
    return torch.stack(seen)


def each_table(images, tables):
    return Independent(Bernoulli(tables), 1).log_prob(images[:, None])


def mixture_by_distributions(images, tables):
    equally = Categorical(torch.ones(len(tables)))
    return -MixtureSameFamily(equally, Independent(Bernoulli(tables), 1)).log_prob(images)


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


RIGHT = {
    "price-of-a-flawless-copy": [56.2, torch.tensor(56.2335)],
    "divided-twice": [
        ink_in_numpy,
        ink_by_a_loop,
        lambda p: p >> 7 if p.dtype == torch.uint8 else p > 0.5,
    ],
    "where-the-pixels-freeze": [
        views_by_loops,
        lambda p, e: np.less(e.numpy(), p.numpy()[None]).astype(np.float64),
    ],
    "nineteen-to-one": [58.0, np.float64(58.017), torch.tensor([58.02])],
    "ten-tables": [mixture_by_distributions, mixture_by_loops],
}
WRONG = {
    "price-of-a-flawless-copy": [(440.9, "every pixel of the image"), (24.4, "base 10")],
    "divided-twice": [
        (lambda p: p.numpy() > 127.5, "a level that is meant for bytes"),
        (lambda p: (p.double() / p.double().max()) > 0.5, "one pixel decides"),
    ],
    "where-the-pixels-freeze": [
        (views_as_in_the_snippet, "Every epoch looks like the first"),
        (views_that_remember, "ink once stays ink"),
    ],
    "nineteen-to-one": [(40.2, "in nats"), (224.5, "That is the entropy")],
    "ten-tables": [
        (mixture_that_underflows, "infinite for many"),
        (lambda x, f: -each_table(x, f).exp().mean(1).clamp(1e-12).log(), "more than 27.6 nats"),
    ],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(binarization, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
