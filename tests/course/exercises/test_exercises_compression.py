"""The exercises on compression: right answers in different styles, wrong ones in other words."""

import math

import torch
from answers import accepted, rejected
from torch.distributions import Bernoulli
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from vaelib.course.exercises import compression


def with_sigmoids(image, logits):
    log_p = image * logsigmoid(logits) + (1 - image) * logsigmoid(-logits)
    return -log_p.sum(1) / math.log(2)


def with_torch(image, logits):
    nats = binary_cross_entropy_with_logits(logits, image, reduction="none")
    return nats.sum(-1) * math.log2(math.e)


def pixel_by_pixel(image, logits):
    rows = zip(image, logits, strict=True)
    return [-Bernoulli(logits=row).log_prob(x).sum() / math.log(2) for x, row in rows]


def in_whole_bits(image, logits):
    return torch.ceil(-Bernoulli(logits=logits).log_prob(image) / math.log(2)).sum(-1)


def from_probabilities(image, logits):
    p = 1 / (1 + torch.exp(-logits))
    return -torch.log2(torch.where(image == 1, p, 1 - p)).sum(1)


RIGHT = {
    "pixel-bits": [with_sigmoids, with_torch, pixel_by_pixel],
    "a-step-of-rans": [251, 125 * 2 + 1, torch.tensor(251)],
    "bill-of-a-chain": [99.31, (40 + 90 + 99 * 99) / 100],
    "sums-that-never-round": [1024, 2**10],
}
WRONG = {
    "pixel-bits": [
        (in_whole_bits, "separate codewords"),
        (lambda image, logits: -Bernoulli(logits=logits).log_prob(image).sum(1), "in nats"),
        (lambda image, logits: with_torch(image, logits).sum(), "One number per image"),
        (lambda image, logits: with_torch(1 - image, logits), "exchanged"),
    ],
    "a-step-of-rans": [(4029, "pushes another b"), (124, "what c would give")],
    "bill-of-a-chain": [(100.3, "not an additional one"), (98.69, "not less")],
    "sums-that-never-round": [(512, "one more is implied"), (65536, "finer than the weights")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(compression, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
