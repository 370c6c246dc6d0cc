"""The exercises on hierarchies: right answers in different styles, wrong ones in other words."""

import itertools
import math

import torch
from answers import accepted, rejected
from torch.distributions import Bernoulli, Normal, kl_divergence

from vaelib.course.exercises import hierarchy
from vaelib.elbo import kl
from vaelib.encoder import Gaussian


def by_entropies(images):
    pi = images.double().mean(0).clamp(1e-12, 1 - 1e-12)
    return Bernoulli(probs=pi).entropy().sum() - math.log(len(images))


def by_all_images(images):
    """KL from the images to the product of their pixels, over every binary image there is."""
    pi, total = images.mean(0).tolist(), 0.0
    given = {tuple(row) for row in images.tolist()}
    for image in itertools.product((0.0, 1.0), repeat=len(pi)):
        q = math.prod(p if x else 1 - p for x, p in zip(image, pi, strict=True))
        total += 1 / len(given) * math.log(1 / len(given) / q) if image in given else 0.0
    return total


def image_by_image(images):
    pi, cost = images.mean(0), []
    for image in images:
        cost.append(-torch.where(image == 1, pi, 1 - pi).log().sum())
    return torch.stack(cost).mean() - math.log(images.shape[0])


def with_torch(change_mean, change_log_std, log_std):
    prior = Normal(7.0, log_std.exp())
    q = Normal(7.0 + change_mean, (log_std + change_log_std).exp())
    return kl_divergence(q, prior).sum(dim=1)


def as_two_gaussians(change_mean, change_log_std, log_std):
    q = Gaussian(change_mean - 3, log_std + change_log_std)
    return kl(q, Gaussian(torch.full_like(change_mean, -3.0), log_std))


def other_way_round(change_mean, change_log_std, log_std):
    prior = Normal(0.0, log_std.exp())
    q = Normal(change_mean, (log_std + change_log_std).exp())
    return kl_divergence(prior, q).sum(-1)


def from_row(model, top, noise):
    row = torch.cat([top, noise], -1)  # the top level's noise is its latent
    return model.from_prior(row)


def by_stages(model, top, noise):
    prior = model.stages[1].prior(model.stages[0].below(None, top))
    return torch.hstack([top, prior.mean + torch.exp(prior.log_std) * noise])


RIGHT = {
    "wasted-nats": [by_entropies, by_all_images, image_by_image],
    "correction-kl": [with_torch, as_two_gaussians],
    "redraw-lower": [from_row, by_stages],
    "free-bits-bill": [80, 70 + 2 + 6 + 2.0, torch.tensor(80.0)],
}
WRONG = {
    "wasted-nats": [
        (lambda images: by_entropies(images) + math.log(len(images)), "Subtract the cost"),
        (lambda images: by_entropies(images) / math.log(2), "in bits"),
        (lambda images: -by_entropies(images), "never cost less"),
    ],
    "correction-kl": [
        (other_way_round, "the other direction"),
        (lambda *given: with_torch(*given).sum(), "One number per image"),
        (lambda m, s, t: with_torch(m, s, torch.zeros_like(t)), "in units of the prior's σ"),
    ],
    "redraw-lower": [
        (lambda model, top, noise: by_stages(model, top, noise * 0), "You use the mean"),
        (lambda model, top, noise: by_stages(model, top, -noise), "sign of the noise"),
        (lambda model, top, noise: by_stages(model, top, noise)[:, top.shape[1] :], "both levels"),
    ],
    "free-bits-bill": [(77.5, "That is the −ELBO"), (10, "Add the distortion")],
}


def test_right_answers_of_every_style_are_accepted():
    accepted(hierarchy, RIGHT)


def test_wrong_answers_in_other_words_get_the_hint_that_fits():
    rejected(WRONG)
