"""Exercises on blur and hierarchies: wasted nats, a correction's KL, redrawing, free bits."""

import math

import torch

from vaelib import hierarchy
from vaelib.course.exercises.exercise import Exercise


def wasted_nats(images):
    """Nats per image lost with independent pixels instead of a latent that tells the image."""
    pi = images.mean(0)
    log_p = torch.xlogy(images, pi) + torch.xlogy(1 - images, 1 - pi)
    return -log_p.sum(1).mean() - math.log(len(images))


_six = torch.tensor([[0, 1, 1, 0, 0, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]]).float()

WASTED = Exercise(
    slug="wasted-nats",
    title="What independent pixels waste",
    kind="core",
    minutes=6,
    question="""`images` has shape (image, pixel). Its rows are binary, different and equally
        likely, and z does not tell them apart. With the best independent pixels, π is the mean of
        the images. How many nats more does an image cost, on average, than with a latent that tells
        which image it is? Where π is 0 or 1, a pixel costs nothing, but take care with log 0.""",
    solution=wasted_nats,
    reasoning=r"""With independent pixels, image n costs
        $-\sum_j\big(x_{nj}\log\pi_j+(1-x_{nj})\log(1-\pi_j)\big)$. A latent that tells the image
        costs $\log N$ nats, and then every pixel is certain and free. The difference is never
        negative: it is the KL from the true distribution to the product of its pixels.
        `torch.xlogy(x, π)` is x·log π, with 0 · log 0 = 0.""",
    probes=[(torch.eye(4),), (_six,), (torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),)],
    given="""
        pi = images.mean(0)
        entropy = -(torch.xlogy(pi, pi) + torch.xlogy(1 - pi, 1 - pi)).sum()
        log_p = torch.xlogy(images, pi) + torch.xlogy(1 - images, 1 - pi)
        naive = images * pi.log() + (1 - images) * (1 - pi).log()
        ink = -torch.xlogy(images, pi).sum(1).mean()
        N = len(images)""",
    mistakes="""
        entropy
            That is the cost with independent pixels. Subtract the cost with a latent that tells
            which of the N images it is.
        (entropy - log(N)) / log(2)
            That is the right amount, but in bits.
        log(N)
            That is the cost with the latent. How much more do independent pixels cost?
        log(N) - entropy
            The sign is wrong: independent pixels never cost less.
        entropy - log(images.shape[1])
            You take the logarithm of the number of pixels. The latent chooses among the images.
        entropy - math.log2(N)
            log₂ N is in bits, the rest in nats. Use the natural logarithm.
        -log_p.sum() - log(N)
            You add up the images. The average per image is asked for.
        -log_p.mean() - log(N)
            You average over the pixels, too. An image contains all of them: sum over pixels,
            average over images.
        ink - log(N)
            You count only the ink. A pixel without ink must be sent, too.
        -naive.sum(1).mean() - log(N)
            0 · log 0 is NaN in floating point. For these pixels, the cost is 0: torch.xlogy does
            this.
        -log_p.sum(1) - log(N)
            That is the loss of each image. Average over them.""",
    hints="""
        - The best pixel probabilities are `images.mean(0)`.
        - Sum the cost over the pixels, average over the images, and subtract log N.
        - Use torch.xlogy(a, b), which is a·log b, and 0 where a is 0.""",
    fact="""For the four images of the lesson, 0.86 nats are wasted. If there were 100 places
        instead of four, the waste would be nearly one nat per image, and a drawn image would
        contain exactly one ink pixel in 37% of the cases.""",
)


def correction_kl(change_mean, change_log_std, log_std):
    """KL(N(μ + Δμ, (σ·exp Δ)²) ‖ N(μ, σ²)) in nats, summed over the last dimension."""
    ratio = (2 * change_log_std).exp()
    shift = (change_mean * (-log_std).exp()) ** 2
    return 0.5 * (shift + ratio - 1 - 2 * change_log_std).sum(-1)


_changes = torch.linspace(-1.5, 2, 12).view(4, 3)
_more = _changes.flip(0) * 0.6 - 0.2

CORRECTION = Exercise(
    slug="correction-kl",
    title="What does a correction cost?",
    kind="core",
    minutes=6,
    question=r"""The prior is $\mathcal N(\mu,\sigma^2)$ and q is
        $\mathcal N(\mu+\Delta\mu,(\sigma e^{\Delta})^2)$, separately for each latent. Return
        KL(q ‖ prior) in nats, summed over the latents (the last dimension). The arguments
        are Δμ, Δ and log σ, with shape (batch, latent). Why is μ not among them?""",
    solution=correction_kl,
    reasoning=r"""Measure z in units of the prior: $(z-\mu)/\sigma$. There, the prior is
        $\mathcal N(0,1)$ and q is $\mathcal N(\Delta\mu/\sigma, e^{2\Delta})$. A KL does not depend
        on the units, so the formula of notebook 4 gives
        $\tfrac12\sum\big(\Delta\mu^2/\sigma^2+e^{2\Delta}-1-2\Delta\big)$. μ shifts both
        distributions alike, so it does not matter.""",
    probes=[
        (_changes, _more, _changes.roll(1, 0)),
        (_more[:, :2].double(), _changes[:, :2].double() / 2, _more[:, 1:].double()),
        (torch.zeros(2, 3), torch.zeros(2, 3), _changes[:2]),
    ],
    given="""
        d, s, t = change_mean, change_log_std, log_std
        good = 0.5 * ((d / t.exp()) ** 2 + (2 * s).exp() - 1 - 2 * s)""",
    mistakes="""
        good
            That is the KL of each latent. Sum over the last dimension.
        good.mean(-1)
            You average over the latents. A KL is summed over them.
        good.sum()
            You add up the images, too. One number per image is asked for.
        0.5 * (d ** 2 + (2 * s).exp() - 1 - 2 * s).sum(-1)
            The shift of the mean counts in units of the prior's σ: divide Δμ by σ.
        0.5 * ((d / t.exp()) ** 2 + s.exp() - 1 - s).sum(-1)
            You use e^Δ as the ratio of the variances. It is the ratio of the standard deviations.
        0.5 * ((d / t.exp()) ** 2 + s.exp() - 1 - 2 * s).sum(-1)
            The ratio of the variances is e^(2Δ).
        0.5 * (d ** 2 / t.exp() + (2 * s).exp() - 1 - 2 * s).sum(-1)
            You divide Δμ² by σ. Divide it by σ².
        0.5 * ((d * t.exp()) ** 2 + (2 * s).exp() - 1 - 2 * s).sum(-1)
            You multiply by σ. Divide Δμ by it.
        0.5 * ((d / t.exp()) ** 2 + (2 * s).exp() - 2 * s).sum(-1)
            Without the −1, two equal Gaussians have a KL above 0.
        0.5 * ((d / t.exp()) ** 2 + (2 * s).exp() - 1 + 2 * s).sum(-1)
            Check the sign of 2Δ: a narrower q is not cheaper.
        0.5 * (((d / t.exp()) ** 2 + 1) / (2 * s).exp() - 1 + 2 * s).sum(-1)
            That is the KL in the other direction, from the prior to q.
        0.5 * (d ** 2 + (2 * (s + t)).exp() - 1 - 2 * (s + t)).sum(-1)
            You compare q with N(μ, 1). The prior has standard deviation σ.
        2 * good.sum(-1)
            The factor ½ is missing.""",
    hints="""
        - Measure z in units of the prior: subtract μ and divide by σ. What are the two Gaussians
          now?
        - The mean of q is Δμ/σ, and its standard deviation is e^Δ. The prior is N(0, 1).
        - Notebook 4: KL = ½(mean² + variance − 1 − log variance) for each latent.""",
    fact="""With Δμ = 0 and Δ = 0 the cost is 0, whatever the prior is. So a new level cannot
        make the bound worse at the start: it begins for free.""",
)


def redraw_lower(model, top, noise):
    """Latents of both levels: the top one as given, the lower one drawn from its prior."""
    above = model.descend([], top)
    prior = model.prior(above)
    lower = prior.mean + prior.log_std.exp() * noise
    return torch.cat([top, lower], 1)


def _small(*sizes):
    generator = torch.Generator().manual_seed(1)
    model = hierarchy.dense(sizes=sizes, width=6, pixels=9, generator=generator)
    torch.nn.init.normal_(model.stages[1].prior_head[-1].weight, generator=generator)
    return model.requires_grad_(False)


_top = torch.linspace(-1.4, 1.1, 8).view(4, 2)
_noise = torch.linspace(2, -1.7, 12).view(4, 3)

REDRAW = Exercise(
    slug="redraw-lower",
    title="Redraw the lower level",
    kind="core",
    minutes=6,
    question="""`top` has latents of the top level, shape (batch, size of the top level), and
        `noise` has standard normal numbers for the lower one. Return the latents of both levels in
        one row per image, the top level first, and the lower ones drawn from their prior p(z₂|z₁).
        A model has two methods for this: `above = model.descend([], top)` computes what the lower
        level gets from above (the empty list says that nothing is above the top level), and
        `model.prior(above)` returns its prior as a Gaussian with `mean` and `log_std`.""",
    solution=redraw_lower,
    reasoning="""This is what the model does when it generates, except that the top level is given
        instead of drawn. The noise becomes a latent by reparameterization, z₂ = μ + σε, with the
        prior's μ and σ instead of q's.""",
    probes=[(_small(2, 3), _top, _noise), (_small(3, 2), _noise[1:3], _top[:2].flip(0))],
    given="""
        above = model.descend([], top)
        prior = model.prior(above)
        z = prior.mean + prior.log_std.exp() * noise""",
    mistakes="""
        torch.cat([top, noise], 1)
            That is N(0, I) for the lower level. Its prior depends on the level above.
        z
            These are the lower latents. Return both levels, the top one first.
        torch.cat([z, top], 1)
            The order is wrong: the top level comes first.
        torch.cat([top, prior.mean], 1)
            You use the mean of the prior. Draw from it, with the noise.
        torch.cat([top, prior.mean + prior.log_std * noise], 1)
            log_std is the logarithm of σ. Take its exponential.
        torch.cat([top, prior.mean + (prior.log_std / 2).exp() * noise], 1)
            That would be right for a log-variance. Here, log_std is log σ.
        torch.cat([top, prior.mean + noise], 1)
            The prior's σ is missing.
        torch.cat([top, prior.mean - prior.log_std.exp() * noise], 1)
            The sign of the noise is flipped. The distribution is the same, but z = μ + σε is
            asked for.
        torch.cat([0 * top, z], 1)
            The top level is given: return it as it is.""",
    hints="""
        - First compute what the lower level gets from above, then its prior.
        - z₂ = μ + σε, with the prior's mean and the exponential of its log_std.
        - torch.cat([top, lower], 1) puts both levels in one row.""",
    fact="""With an image's own top-level latents as `top`, this shows what the top level knows
        about the image. Everything that varies between your draws is known by the lower level
        alone.""",
)

BILL = Exercise(
    slug="free-bits-bill",
    title="The loss with free bits",
    kind="warm-up",
    minutes=3,
    question="""Three levels have KLs of 0.3, 6.0 and 1.2 nats, averaged over a batch. The
        distortion, −log p(x|z), is 70 nats on average. Each level has two free nats. What is the
        loss that is minimized?""",
    solution="""
        distortion, levels, free = 70, [0.3, 6.0, 1.2], 2
        bill = distortion + sum(max(level, free) for level in levels)  # nats""",
    reasoning="""Each level counts as its KL or as two nats, whichever is larger: 2 + 6 + 2 = 10.
        With the distortion of 70, the loss is 80. The first and third level have no reason to
        shrink: below two nats, their share of the loss stays the same. The −ELBO is 77.5.""",
    within=0.04,
    mistakes="""
        77.5
            That is the −ELBO. With free bits, a level below two nats counts as two.
        74
            You subtract the free nats. A level below λ counts as λ, and one above counts whole.
        76
            The levels below two nats do not become free of charge: they count as two.
        73.5
            Two nats are not subtracted from all levels together.
        71.5
            Two nats are not subtracted from each level.
        10
            That is what the levels count. Add the distortion.
        83.5
            Two nats are not added to each level. A level below two counts as two, one above as it
            is.
        60
            The KLs are costs, so they are added.""",
    hints="""
        - A level counts as the larger of its KL and λ.
        - The three levels count 2, 6 and 2 nats.
        - Add the distortion.""",
    fact="""The free nats are no gift: the loss is never below the −ELBO. They only remove the
        reward for switching a level off.""",
)

EXERCISES = (WASTED, CORRECTION, REDRAW, BILL)
