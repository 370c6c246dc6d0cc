"""Exercises on the latent: what a dimension costs, and how q(z) differs from the prior."""

import math

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Ellipse

from vaelib.course import plotting
from vaelib.course.exercises.exercise import Exercise

ONE_DIMENSION = Exercise(
    slug="what-a-dimension-costs",
    title="What a dimension costs",
    kind="core",
    minutes=5,
    question="""Take one latent dimension. The latents of all images together have mean 0 and
        variance 1, as under the prior. Each image's own q(z|x) has σ = ½, and z = μ + σε. What is
        the KL of this dimension, averaged over the images? Give it in nats, to two decimals.""",
    solution="""
        average_variance = 0.5**2
        variance_of_means = 1 - average_variance
        cost = 0.5 * (variance_of_means + average_variance - 1 - 2 * math.log(0.5))  # nats""",
    reasoning=r"""The variance of all latents is the variance of the means plus the average of the
        variances: $1 = \mathrm{Var}_x(\mu) + \frac14$. The means average to 0, so the average of
        $\mu^2$ is their variance, $\frac34$. In $\frac12(\mu^2+\sigma^2-1-2\log\sigma)$, the first
        three terms then cancel on average. What is left is $-\log\frac12 = \log 2 \approx 0.693$
        nats, which is one bit.

        The threshold of 0.01 for an active unit is low in comparison. A dimension with
        $\mathrm{Var}_x(\mu) = 0.01$ and $\sigma^2 = 0.99$ carries
        $-\frac12\log 0.99 \approx 0.005$ nats.""",
    within=0.005,
    given="cost = lambda square, logarithm=2 * log(2): 0.5 * (square + 0.25 - 1 + logarithm)",
    mistakes="""
        cost(0)
            This takes every mean to be 0. Then the variance of all latents together would be only
            σ².
        cost(1)
            A little too large. The variance of the means and the average variance within an image
            add up to the variance of all latents.
        cost(0.5)
            Standard deviations do not add up. Variances do.
        cost(0.75**2)
            A variance is already an average of squares, so it is not squared again.
        0.75
            This is the variance of the means, which decides whether a unit is active. It is only
            one term of the KL.
        2 * right
            Twice too large. Which factor stands in front of the bracket?
        -right
            A divergence is never negative. Check the sign of log σ.
        right / 2
            Half is missing. Is ½ the value of σ or of σ²? And does the bracket contain log σ or
            log σ²?
        cost(1.75)
            Too large by a constant. Which term of the bracket is missing?
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        log10(2)
            Use the natural logarithm, of base e. This looks like base 10.""",
    hints="""
        - The average over images of ½(μ² + σ² − 1 − 2 log σ) needs the average of μ².
        - Variance of all latents = variance of the means + average of the variances.
        - The means average to 0, so the average of μ² is their variance.""",
    fact="""If the latents of all images have the prior's mean and variance, the KL is −log σ on
        average. Halving σ then costs log 2 nats, which is one bit.""",
)

LEAST_KL = Exercise(
    slug="how-small-can-it-be",
    title="How small can the mismatch be?",
    kind="warm-up",
    minutes=3,
    question=r"""On its 60,000 training images, a model has a rate of 15.0 nats. Take these images
        as all the data. What is the smallest value that $\mathrm{KL}(q(z)\,\|\,p(z))$ can have?
        Give it in nats, to one decimal. (Nothing else about the model is known.)""",
    solution="""
        most_information = math.log(60_000)
        least_kl = 15.0 - most_information  # nats""",
    reasoning=r"""The rate is the sum of $I(x; z)$ and $\mathrm{KL}(q(z)\,\|\,p(z))$. A latent
        cannot tell more about the image than which of the 60,000 it is, so
        $I(x; z)\le\log 60{,}000\approx 11.0$ nats. At least $15.0 - 11.0 = 4.0$ nats are left for
        the KL. If the rate were below 11 nats, this argument would give no more than 0.""",
    within=0.06,
    mistakes="""
        log(60_000)
            This is the largest possible I(x; z). How much of the rate remains?
        15 + log(60_000)
            The rate is the sum of the two parts. So the KL is a difference.
        15 - log2(60_000)
            log₂ counts in bits, and the rate is in nats.
        15 - log10(60_000)
            Use the natural logarithm, of base e. This looks like base 10.
        0
            A KL can be 0, but then I(x; z) would have to be 15.0 nats. Can a
            latent tell so much about which of 60,000 images it came from?
        15
            Then I(x; z) would be 0. The question is how small the KL can be, so how large can
            I(x; z) be?
        -right
            A divergence is never negative. Which of the two numbers is larger?
        15 - log(10_000)
            This is the limit for the 10,000 test images.""",
    hints="""
        - The rate is I(x; z) + KL(q(z) ‖ p(z)). The KL is smallest if I(x; z) is largest.
        - To name one of N images, log N nats are enough.
        - log 60,000 is about 11.0.""",
    fact="""If N images count as all the data, a rate above log N means that q(z) differs from the
        prior. For 60,000 images, log N is 11 nats.""",
)


def log_average_density(mean, log_std, z):
    """log q(z) of each latent in nats, where q(z) is the average over images: shape (sample,)."""
    each = torch.distributions.Normal(mean, log_std.exp())
    log_densities = each.log_prob(z[:, None]).sum(-1)  # (sample, image)
    return torch.logsumexp(log_densities, 1) - math.log(len(mean))


_generator = torch.Generator().manual_seed(0)
_mean, _log_std = torch.randn(2, 5, 3, generator=_generator) * torch.tensor([[[2.0]], [[0.3]]])
_latent = 2 * torch.randn(4, 3, generator=_generator)
_far = torch.tensor([[60.0, 0.0, 0.0], [0.0, -90.0, 0.0], [0.5, 0.5, 0.5]])

AGGREGATE = Exercise(
    slug="log-average-density",
    title="The density of q(z)",
    kind="core",
    minutes=9,
    question=r"""Write a function that returns $\log q(z)$ for several latents at once, where
        $q(z)=\frac1N\sum_{i=1}^N q(z\mid x_i)$.

        - `mean` and `log_std` describe the Gaussians q(z|x) of N images and have shape
          (image, latent).
        - `z` has shape (sample, latent).
        - The result has shape (sample,), in nats.

        Some of the latents in the checks are so far from all images that each density is 0 as a
        float. The logarithm of each density is still an ordinary number.""",
    solution=log_average_density,
    reasoning=r"""`z[:, None]` has shape (sample, 1, latent), so it is broadcast over all
        images. The dimensions of one Gaussian are independent, so their log-densities are summed.
        Then the *densities* of the images are averaged, not their logarithms: `logsumexp` over the
        images, minus $\log N$. It subtracts the largest logarithm before the exponential, so
        nothing underflows.""",
    probes=[
        (_mean, _log_std, _latent),
        (_mean, _log_std, _far),
        (_mean[:1, :2], _log_std[:1, :2], _latent[:, :2]),
    ],
    given="""
        import torch
        each = torch.distributions.Normal(mean, log_std.exp()).log_prob(z[:, None])
        total = each.sum(-1)
        count = len(mean)
        square = -0.5 * ((z[:, None] - mean) / log_std.exp()) ** 2
        constant = 0.5 * log(2 * pi)""",
    mistakes="""
        total.exp().mean(1).log()
            Far from all images this gives −∞, because every density is 0 as a float. `logsumexp`
            computes the same without leaving the logarithms.
        total.mean(1)
            This averages the logarithms. q(z) is an average of densities.
        torch.logsumexp(total, 1)
            This is the logarithm of the sum over the images. What turns a sum into an average?
        torch.logsumexp(total, 1) - log(z.shape[0])
            It divides by the number of latents. q(z) is an average over images.
        torch.logsumexp(total, 1) + log(count)
            To divide by N, subtract log N.
        total.logsumexp(0)[:1].expand(z.shape[0]) - log(count)
            The sum runs over the latents. Which dimension counts the images?
        torch.logsumexp(each, 1).sum(-1) - log(count)
            It averages over images in each dimension separately. First multiply the densities of
            one image's dimensions, so sum their logarithms. Then average over images.
        (torch.logsumexp(each, 1) - log(count)).sum(-1)
            It averages over images in each dimension separately, and multiplies the averages.
            Which comes first, the product over dimensions or the average over images?
        torch.logsumexp(square.sum(-1), 1) - log(count)
            Two terms of a Gaussian's log-density are missing: −log σ and −½ log 2π.
        torch.logsumexp((square - constant).sum(-1), 1) - log(count)
            A term of the log-density is missing: a narrow Gaussian is higher, so −log σ belongs to
            it.
        torch.logsumexp((square - log_std).sum(-1), 1) - log(count)
            Every value is off by the same amount. Is ½ log 2π missing for each dimension?
        total.amax(1)
            This is the density of the nearest image only. q(z) averages over all of them.""",
    hints="""
        - Give `z` a dimension for the images: z[:, None] has shape (sample, 1, latent).
        - The log-density of a Gaussian is −½((z − μ)/σ)² − log σ − ½ log 2π. Sum it over latent
          dimensions, so that the shape is (sample, image).
        - The log of an average of N densities is logsumexp of their logarithms, minus log N.""",
    fact="""With this function and one latent from each q(z|x), the average of log q(z|x) − log q(z)
        estimates I(x; z).""",
)

_PANELS = {  # a panel's spread of the means, σ, and centre, each for the two dimensions
    "A": ((2.0, 2.0), (0.05, 0.05), (0.0, 0.0)),
    "B": ((0.954, 0.954), (0.3, 0.3), (0.0, 0.0)),
    "C": ((0.0, 0.0), (0.5, 0.5), (1.885, 0.0)),
    "D": ((0.954, 0.0), (0.3, 1.0), (0.0, 0.0)),
}


def _draw_four_clouds():
    _, axes = plt.subplots(1, 4, figsize=(9.6, 2.9), sharex=True, sharey=True)
    generator = torch.Generator().manual_seed(4)
    for ax, (name, (spread, std, centre)) in zip(axes, _PANELS.items(), strict=True):
        means = torch.tensor(centre) + torch.tensor(spread) * torch.randn(
            40, 2, generator=generator
        )
        prior = dict(fill=False, ls="--", lw=2, ec=plotting.ORANGE, zorder=3)
        ax.add_patch(Ellipse((0, 0), 4, 4, **prior))
        for x, y in means.tolist():
            size = [4 * max(value, 0.03) for value in std]
            ax.add_patch(Ellipse((x, y), *size, fill=False, lw=1, ec=plotting.BLACK))
        ax.set(title=name, xlim=(-5, 5), ylim=(-5, 5), aspect="equal", xlabel="$z_1$")
        ax.set(xticks=[-4, 0, 4], yticks=[-4, 0, 4])
    axes[0].set_ylabel("$z_2$")


FOUR_CLOUDS = Exercise(
    slug="four-clouds",
    title="Which cloud is which?",
    kind="core",
    minutes=6,
    question=r"""Each panel shows the q(z|x) of forty images of a made-up model with two latent
        dimensions. An ellipse reaches two standard deviations from the mean. The dashed circle does
        the same for the prior. In one panel, all forty ellipses lie on top of each other. The
        table gives the rate and its two parts, in nats, for very many images of each model:

        | line | rate | I(x; z) | KL(q(z) ‖ p(z)) |
        |---|---|---|---|
        | 1 | 2.4 | 2.4 | 0.0 |
        | 2 | 1.2 | 1.2 | 0.0 |
        | 3 | 9.0 | 7.4 | 1.6 |
        | 4 | 2.4 | 0.0 | 2.4 |

        Which panel belongs to which line? Answer with four letters: the panel of line 1, of 2, of
        3, of 4.""",
    solution='clouds = "BDAC"  # four letters, such as "ABCD"',
    reasoning=r"""In C, all images have the same q(z|x), so a latent says nothing about the image:
        $I(x; z)=0$, and the whole rate is spent on being different from the prior (line 4). In A,
        the ellipses are tiny, so a latent says almost exactly which image it came from, and the
        cloud is wider than the prior: the largest $I(x; z)$, and a KL that is not 0 (line 3). In B
        and D, the ellipses together fill the prior's circle, so the KL is 0. In D, $z_2$ is the
        same for every image (it has collapsed), and only $z_1$ carries information: half of the
        information in B. So D is line 2 and B is line 1.""",
    picture=_draw_four_clouds,
    mistakes="""
        "DBAC"
            1 and 2 are swapped. In one of these panels both dimensions differ between images, in
            the other only one.
        "CDAB"
            1 and 4 are swapped: they have the same rate. In which panel does a latent tell you
            nothing about the image?
        "ADBC"
            1 and 3 are swapped. Smaller ellipses tell more about the image, and a cloud wider than
            the dashed circle has a KL above 0.
        "BADC"
            2 and 3 are swapped. Which panel has the smallest ellipses?
        "BCAD"
            2 and 4 are swapped. If all ellipses are the same, the latent cannot carry information.
        "BDCA"
            3 and 4 are swapped. If all ellipses are the same, the latent cannot carry information.
        "CADB"
            It looks as if you went through the panels from A to D. Go through the lines, from 1 to
            4, and name the panel of each.""",
    hints="""
        - I(x; z) is 0 if all images have the same q(z|x).
        - KL(q(z) ‖ p(z)) is 0 if the ellipses together fill the prior's circle, and no more.
        - A dimension in which all images have the same q carries no information. The other one
          carries all of it.""",
    fact="""Lines 1 and 4 have the same rate. In one, it is all information. In the other, it is all
        mismatch with the prior.""",
)

EXERCISES = (ONE_DIMENSION, LEAST_KL, AGGREGATE, FOUR_CLOUDS)
