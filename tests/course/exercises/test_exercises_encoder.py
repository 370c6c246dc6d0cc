"""The exercises on the encoder: right answers in different styles, wrong ones in other words."""

import math

import numpy as np
import torch
from answers import accepted, rejected
from torch.distributions import Independent, Normal

from vaelib.course.exercises import encoder
from vaelib.encoder import ConvEncoder, Gaussian, reparameterize


def latents_in_numpy(mean, log_std, noise):
    mean, log_std, noise = (tensor.double().numpy() for tensor in (mean, log_std, noise))
    return np.stack([m + np.exp(s) * e for m, s, e in zip(mean, log_std, noise, strict=True)])


def latents_by_a_loop(mean, log_std, noise):
    latents = torch.zeros_like(noise)
    for image in range(noise.shape[0]):
        for sample in range(noise.shape[1]):
            latents[image, sample] = mean[image] + log_std[image].exp() * noise[image, sample]
    return latents


def density_by_a_loop(latents, mean, log_std):
    images = []
    for row in zip(latents.tolist(), mean.tolist(), log_std.tolist(), strict=True):
        total = 0.0
        for z, m, s in zip(*row, strict=True):
            std = math.exp(s)
            total += math.log(math.exp(-0.5 * ((z - m) / std) ** 2) / std / math.sqrt(2 * math.pi))
        images.append(total)
    return np.array(images)


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


def baseline_off_the_product(f, mean, std, noise):
    y = f(mean + std * noise)
    others = (y.sum() - y) / (len(y) - 1)
    return [(y * noise / std - others).mean().item(), (y * (noise**2 - 1) - others).mean().item()]


def gradients_at_the_noise(f, mean, std, noise):
    less = f(noise) - f(noise).sum() / (len(noise) - 1) + f(noise) / (len(noise) - 1)
    return torch.stack([(less * noise / std).mean(), (less * (noise**2 - 1)).mean()])


def parameters_of_the_package(side):
    """Counted on the layers themselves, with heads of another size."""
    convolutions = ConvEncoder(generator=torch.Generator().manual_seed(0)).hidden
    head = torch.nn.Linear(32 * (side // 4) ** 2, 5)
    count = sum(parameter.numel() for parameter in convolutions.parameters())
    return count + 2 * sum(parameter.numel() for parameter in head.parameters())


RIGHT = {
    "misread-head": [20.09, 20, torch.tensor(3.0).exp()],
    "several-latents": [
        latents_in_numpy,
        latents_by_a_loop,
        lambda m, s, e: reparameterize(Gaussian(m, s), e.transpose(0, 1)).transpose(0, 1),
    ],
    "misread-density": [
        density_by_a_loop,
        lambda z, m, s: Independent(Normal(m, s.exp()), 1).log_prob(z),
    ],
    "baseline-from-the-others": [gradients_by_covariance, gradients_by_a_loop],
    "larger-picture": [67_530, parameters_of_the_package(56)],
}
WRONG = {
    "misread-head": [(4.48, "for each width"), (2.72, "If it is e")],
    "several-latents": [
        (
            lambda m, s, e: reparameterize(Gaussian(m, s), e.transpose(0, 1)),
            "their shape is (sample, batch, latent)",
        ),
        (
            lambda m, s, e: torch.stack([m + s.exp() * e[:, 0]] * e.shape[1], 1),
            "one ε for all of them",
        ),
    ],
    "misread-density": [
        (lambda z, m, s: Normal(m, (2 * s).exp()).log_prob(z).sum(1), "does torch's Normal"),
        (lambda z, m, s: Normal(m, s.exp()).log_prob(z).exp().prod(1), "That is the density"),
    ],
    "baseline-from-the-others": [
        (baseline_off_the_product, "from the product"),
        (gradients_at_the_noise, "It expects the latent"),
    ],
    "larger-picture": [(20_490, "at 28 × 28"), (4_126_976, "multiply-adds")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(encoder, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
