"""Notebook 2's exercises: right answers in different styles, wrong ones as students make them."""

import math

import numpy as np
import pytest
import torch
from answers import accepted, rejected
from torch.distributions import Independent, Normal

from vaelib import encoder
from vaelib.course.exercises.encoder import EXERCISES

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def codes_by_the_package(mean, log_std, noise):
    posterior = encoder.Gaussian(mean, log_std)
    return encoder.reparameterize(posterior, noise.transpose(0, 1)).transpose(0, 1)


def codes_by_einsum(mean, log_std, noise):
    return mean.unsqueeze(1) + torch.einsum("bl,bsl->bsl", torch.exp(log_std), noise)


def codes_in_numpy(mean, log_std, noise):
    mean, log_std, noise = (tensor.double().numpy() for tensor in (mean, log_std, noise))
    return np.stack([m + np.exp(s) * e for m, s, e in zip(mean, log_std, noise, strict=True)])


def codes_by_a_loop(mean, log_std, noise):
    codes = torch.zeros_like(noise)
    for image in range(noise.shape[0]):
        for sample in range(noise.shape[1]):
            codes[image, sample] = mean[image] + log_std[image].exp() * noise[image, sample]
    return codes


def density_by_distributions(codes, mean, log_std):
    return Independent(Normal(mean, log_std.exp()), 1).log_prob(codes)


def density_mended(codes, mean, log_std):
    size = mean.shape[1]
    log_normaliser = size * HALF_LOG_2PI + log_std.sum(1)
    return -((codes - mean) ** 2 / (2 * log_std.exp() ** 2)).sum(1) - log_normaliser


def density_by_a_loop(codes, mean, log_std):
    images = []
    for row in zip(codes.tolist(), mean.tolist(), log_std.tolist(), strict=True):
        total = 0.0
        for z, m, s in zip(*row, strict=True):
            std = math.exp(s)
            total += math.log(math.exp(-0.5 * ((z - m) / std) ** 2) / std / math.sqrt(2 * math.pi))
        images.append(total)
    return np.array(images)


def density(squares, normaliser, constant=HALF_LOG_2PI):
    return lambda z, m, s: -(squares(z - m, s) + normaliser(s) + constant).sum(1)


def gradients_by_covariance(f, mean, std, noise):
    values = f(mean + std * noise)
    for_mean = torch.stack([values, noise / std]).cov()[0, 1]
    for_log_std = torch.stack([values, noise**2 - 1]).cov()[0, 1]
    return torch.stack([for_mean, for_log_std])


def gradients_by_a_loop(f, mean, std, noise):
    values = f(mean + std * noise).tolist()
    total = [0.0, 0.0]
    for i, e in enumerate(noise.tolist()):
        others = values[:i] + values[i + 1 :]
        less = values[i] - sum(others) / len(others)
        total[0] += less * e / std
        total[1] += less * (e * e - 1)
    return [value / len(values) for value in total]


def gradients_by_a_matrix(f, mean, std, noise):
    values = f(mean + std * noise).double().numpy()
    count = len(values)
    centring = np.eye(count) - (1 - np.eye(count)) / (count - 1)
    noise = noise.double().numpy()
    return np.stack([noise / std, noise**2 - 1]) @ (centring @ values) / count


def gradients(weights, scores=lambda e, s: (e / s, e**2 - 1)):
    """Wrong in one of two ways: what the scores are multiplied by, or the scores."""

    def estimate(f, mean, std, noise):
        weight = weights(f(mean + std * noise))
        return torch.stack([(weight * score).mean() for score in scores(noise, std)])

    return estimate


def less_others(y):
    return y - (y.sum() - y) / (len(y) - 1)


def baseline_off_the_product(f, mean, std, noise):
    y = f(mean + std * noise)
    others = (y.sum() - y) / (len(y) - 1)
    return [(y * noise / std - others).mean().item(), (y * (noise**2 - 1) - others).mean().item()]


def gradients_at_the_noise(f, mean, std, noise):
    less = less_others(f(noise))
    return torch.stack([(less * noise / std).mean(), (less * (noise**2 - 1)).mean()])


def unaveraged(f, mean, std, noise):
    less = less_others(f(mean + std * noise))
    return torch.stack([less * noise / std, less * (noise**2 - 1)])


def parameters_of_the_package(side):
    """Counted on the layers themselves, with heads of another size."""
    convolutions = encoder.ConvEncoder(generator=torch.Generator().manual_seed(0)).hidden
    head = torch.nn.Linear(32 * (side // 4) ** 2, 5)
    count = sum(parameter.numel() for parameter in convolutions.parameters())
    return count + 2 * sum(parameter.numel() for parameter in head.parameters())


def head(inputs):
    return inputs * 5 + 5


RIGHT = {
    "2.1": [20.09, 20, torch.tensor(3.0).exp(), np.exp(-1.5) ** 2 / np.exp(-3) ** 2],
    "2.2": [codes_by_the_package, codes_by_einsum, codes_in_numpy, codes_by_a_loop],
    "2.3": [density_by_distributions, density_mended, density_by_a_loop],
    "2.4": [
        gradients_by_covariance,
        gradients_by_a_loop,
        gradients_by_a_matrix,
        gradients(less_others, lambda e, s: (e / s, e**2)),  # as the fact says
    ],
    "2.5": [67_530, parameters_of_the_package(56), 160 + 4640 + 2 * head(6272)],
}
WRONG = {
    "2.1": [
        (4.48, "each width"),
        (8.96, "adds up the two"),
        (403, "variances were compared"),
        (0.05, "fraction that is left"),
        (3, "logarithm of the factor"),
        (2.72, "If it is e"),
        (6, "−3 of both dimensions"),
        (63.1, "The π belongs to both"),
        (1, "agree only where σ = 1"),
        (12.2, "too small"),
        (1808, "too large"),
        (lambda: 20.1, "this is a function"),
    ],
    "2.2": [
        (lambda m, s, e: m + torch.exp(s) * e, "Image 1's noise"),
        (lambda m, s, e: m.unsqueeze(1) + torch.exp(s) * e, "σ does not"),
        (lambda m, s, e: m + torch.exp(s).unsqueeze(1) * e, "μ does not"),
        (
            lambda m, s, e: encoder.reparameterize(encoder.Gaussian(m, s), e.transpose(0, 1)),
            "come out as (sample, batch, latent)",
        ),
        (lambda m, s, e: m[:, None, :] + s[:, None, :] * e, "log σ for σ"),
        (lambda m, s, e: m[:, None] + torch.exp(s / 2)[:, None] * e, "if the head said log σ²"),
        (lambda m, s, e: m[:, None] + torch.exp(s)[:, None] ** 2 * e, "by σ², not by σ"),
        (lambda m, s, e: torch.exp(s)[:, None] * (m[:, None] + e), "stretches μ as well"),
        (
            lambda m, s, e: torch.stack([m + s.exp() * e[:, 0]] * e.shape[1], 1),
            "one ε for all of them",
        ),
        (lambda m, s, e: m + s.exp() * e[:, 0], "one code for each image"),
        (lambda m, s, e: m + s.exp() * e.mean(1), "averages over the samples"),
        (
            lambda m, s, e: codes_by_einsum(m, s, e).reshape(-1, m.shape[1]),
            "share one dimension",
        ),
        (lambda m, s, e: codes_by_einsum(m, s, e).sum(-1), "returns shape"),
    ],
    "2.3": [
        (density(lambda d, s: d**2 / (2 * s.exp()), lambda s: 0.5 * s), "as it stands"),
        (density(lambda d, s: d**2 / (2 * s.exp() ** 2), lambda s: s / 2), "a second place"),
        (density(lambda d, s: d**2 / (2 * s.exp()), lambda s: s), "The distance still is not"),
        (density(lambda d, s: d**2 / (2 * s.exp() ** 2), lambda s: 2 * s), "log σ² now"),
        (density(lambda d, s: 0.5 * (d / s.exp()) ** 2, lambda s: -s), "which sign"),
        (
            lambda z, m, s: -(0.5 * ((z - m) / s.exp()) ** 2).sum(1) + (s + HALF_LOG_2PI).sum(1),
            "2π and all",
        ),
        (lambda z, m, s: Normal(m, (2 * s).exp()).log_prob(z).sum(1), "a Normal of torch"),
        (density(lambda d, s: d**2 / (2 * s.exp()) ** 2, lambda s: s), "below it reach"),
        (density(lambda d, s: d**2 / 2 / s.exp().sqrt(), lambda s: s), "log σ is halved"),
        (density(lambda d, s: 0.5 * (d / s.exp()) ** 2, torch.exp), "σ itself"),
        (density(lambda d, s: 0.5 * d**2 / torch.exp(s**2), lambda s: s), "square of a logarithm"),
        (density(lambda d, s: 0.5 * (d / s) ** 2, lambda s: s), "the exponential gone"),
        (density(lambda d, s: (d / s.exp()) ** 2, lambda s: s), "weighs twice too much"),
        (density(lambda d, s: 0.5 * (d / s.exp()) ** 2, lambda s: s, 0.0), "the 2π gone"),
        (
            lambda z, m, s: (-0.5 * ((z - m) / s.exp()) ** 2 - s).sum(1) - HALF_LOG_2PI,
            "how many dimensions have a 2π",
        ),
        (
            density(lambda d, s: 0.5 * (d / s.exp()) ** 2, lambda s: s, 2 * HALF_LOG_2PI),
            "below a square root",
        ),
        (density(lambda d, s: -0.5 * (d / s.exp()) ** 2, lambda s: s), "the denser"),
        (density(lambda d, s: 0.5 * (d / s.exp()) ** 2, lambda s: 0 * s), "the normaliser is gone"),
        (density(lambda d, s: 0.5 * d / s.exp() ** 2, lambda s: s), "Left of μ"),
        (lambda z, m, s: Normal(m, s.exp()).log_prob(z).mean(1), "averages over dimensions"),
        (lambda z, m, s: Normal(m, s.exp()).log_prob(z).sum(), "one number for the batch"),
        (lambda z, m, s: Normal(m, s.exp()).log_prob(z), "each dimension's"),
        (lambda z, m, s: -Normal(m, s.exp()).log_prob(z).sum(1), "the wrong sign"),
        (lambda z, m, s: Normal(m, s.exp()).log_prob(z).exp().prod(1), "That is the density"),
    ],
    "2.4": [
        (gradients(lambda y: y), "without a baseline"),
        (gradients(lambda y: y - y.mean()), "knows the sample's own ε"),
        (gradients(lambda y: y - (y.sum() - y) / len(y)), "divides by the number of all"),
        (gradients(lambda y: y - (y.sum() - y)), "the sum of the others"),
        (gradients(lambda y: y - y.sum() / (len(y) - 1)), "whose values are in the sum"),
        (gradients(lambda y: (y - y.mean()) / y.std()), "standardises f"),
        (baseline_off_the_product, "off the product"),
        (gradients(lambda y: len(y) * less_others(y)), "a sum over samples"),
        (unaveraged, "Average them"),
        (gradients(lambda y: (y.sum() - y) / (len(y) - 1) - y), "f off the baseline"),
        (gradients(less_others, lambda e, s: (e**2 - 1, e / s)), "in the other order"),
        (gradients(less_others, lambda e, s: (e, e**2 - 1)), "The score for μ is not yet"),
        (gradients(less_others, lambda e, s: (e / s**2, e**2 - 1)), "in terms of ε"),
        (gradients(less_others, lambda e, s: (e / s, (e**2 - 1) / s)), "the gradient for σ"),
        (gradients(less_others, lambda e, s: (e / s, 1 - e**2)), "grow or shrink"),
        (gradients(less_others, lambda e, s: (s * e, e**2 - 1)), "z − μ alone"),
        (gradients(lambda y: less_others(y) / y.std()), "divides by the spread"),
        (gradients_at_the_noise, "It wants the code"),
        (lambda f, m, s, e: gradients_by_covariance(f, m, s, e)[0], "returns one number"),
    ],
    "2.5": [
        (20_490, "at 28 × 28"),
        (81_960, "Four times as many pixels"),
        (4800 + 2 * head(3136), "also twice as high"),
        (4800 + head(6272), "two heads"),
        (144 + 4608 + 62_720, "a bias too"),
        (67_514, "The first convolution has weights alone"),
        (67_498, "The second convolution has weights alone"),
        (67_482, "Have the filters none"),
        (67_520, "Have the heads none"),
        (6770, "read one channel"),
        (50_890, "loses its rim"),
        (4800, "Those are the convolutions"),
        (62_730, "Those are the heads"),
        (4800 + 2 * head(32 * 28 * 28), "How many times"),
        (4800 + 2 * head(32 * 56 * 56), "it saves some"),
        (160 + 9 * 32 + 32 + 2 * head(6272), "one channel only"),
        (4_126_976, "multiply-adds"),
        (1_573_510, "the dense encoder"),
    ],
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_of_every_style_are_accepted(name):
    accepted(EXERCISES[name], RIGHT[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint_that_fits(name):
    rejected(EXERCISES[name], WRONG[name])
