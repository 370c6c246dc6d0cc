"""The exercises on training: right answers in different styles, wrong ones in other words."""

import numpy as np
import torch
from answers import accepted, rejected
from torch.distributions import Normal, kl_divergence

from vaelib.course.exercises import training


def closeness_image_by_image(samples, train, test):
    def nearest(image):
        return min(int((image != other).sum()) for other in train)

    usual = np.array([nearest(image) for image in test])
    return np.array([np.mean(usual <= nearest(image)) for image in samples])


def closeness_by_matrices(samples, train, test):
    def nearest(images):
        return (images @ (1 - train).T + (1 - images) @ train.T).min(1).values

    usual = nearest(test).sort().values
    return torch.searchsorted(usual, nearest(samples), right=True) / len(test)


def closeness_from_the_rest(samples, train, test):
    from_test = torch.cdist(test, train, p=1).min(1).values
    from_train = torch.cdist(samples, train, p=1).min(1).values
    return torch.stack([(from_test < distance).double().mean() for distance in from_train])


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
    "printed-means": [121.5, 0.14 * 28 * 28 + 11.75, torch.tensor(121.51)],
    "no-noise-when-testing": [bound_sample_by_sample, bound_in_numpy],
    "copied-or-new": [closeness_image_by_image, closeness_by_matrices],
    "what-a-latent-leaves-open": [
        11.25,
        -20 * (0.75 * np.log(0.75) + 0.25 * np.log(0.25)),
        torch.tensor(11.2),
    ],
}
WRONG = {
    "printed-means": [(112.1, "how many dimensions"), (98.0, "minus sign")],
    "no-noise-when-testing": [
        (lambda f, m, s, e: f(m + s.exp() * e.mean(0)) - price(m, s), "averages the latents"),
        (
            lambda f, m, s, e: f(m + s.exp() * e).exp().mean(0).log() - price(m, s),
            "log of an average",
        ),
    ],
    "copied-or-new": [
        (closeness_from_the_rest, "same distance as the sample counts"),
        (lambda s, r, t: torch.cdist(s, r, p=1).min(1).values, "Are they unusual"),
    ],
    "what-a-latent-leaves-open": [(4.9, "base 10"), (6.9, "part of the rare case")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(training, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
