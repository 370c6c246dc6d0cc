"""Exercises of notebook 4."""

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from vaelib import elbo
from vaelib.course import plotting
from vaelib.course.exercises.judging import Answer, Exercise, Mistake, Number
from vaelib.encoder import Gaussian


def _kl_of(term: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    return lambda mean, log_std: term(mean, log_std).sum(-1)


def _negative_elbo(log_likelihoods: Tensor, divergences: Tensor) -> Tensor:
    return -(log_likelihoods.sum(1) - divergences.sum(1)).mean()


def _log_normal(z: Tensor, mean: Number | Tensor, std: Number | Tensor) -> Tensor:
    return torch.distributions.Normal(torch.as_tensor(mean), torch.as_tensor(std)).log_prob(z)


def _sampled_bound(log_joint: Answer, mean: Number, std: Number, noise: Tensor) -> Tensor:
    z = mean + std * noise
    return (log_joint(z) - _log_normal(z, mean, std)).mean()


def _toy_joint(z: Tensor) -> Tensor:
    """log p(x, z) for z ~ N(0, 1), seen as 1 with Gaussian noise of σ = ½."""
    return _log_normal(z, 0.0, 1.0) + _log_normal(torch.ones_like(z), z, 0.5)


def _draw_four_bills() -> None:
    std = torch.linspace(0.08, 3, 300)
    curves = {
        "A": 0.5 * (std - 1 - std.log()),
        "B": 0.5 * (std**-2 - 1 + 2 * std.log()),
        "C": 0.5 * (std**2 - 1 + 2 * std.log()),
        "D": 0.5 * (std**2 - 1 - 2 * std.log()),
    }
    axes = plt.figure(figsize=(8, 3.6)).add_subplot()
    axes.axhline(0, color=plotting.GREY, lw=1)
    for (name, curve), line in zip(curves.items(), ("-", "--", "-.", ":"), strict=True):
        axes.plot(std, curve, line, color=plotting.BLACK, label=name)  # no colour gives it away
    axes.set(ylim=(-2, 3.2), xlabel="the encoder's σ (μ = 0)", ylabel="nats per dimension")
    axes.set_title("Which formula draws which curve?")
    axes.legend(loc="lower right", ncols=4)


_noise = torch.linspace(-1.9, 2.3, 40)
_codes = torch.tensor([[0.0, 0.0], [1.0, -2.0], [0.5, 0.1]])
_spreads = torch.tensor([[0.0, 0.0], [0.3, -1.2], [-2.0, 0.4]])
_wide_codes, _wide_spreads = torch.linspace(-3, 9, 20).cos().view(2, 2, 5)
_pixels = -torch.linspace(0.01, 3.0, 24).view(2, 12)
_bills = torch.tensor([[0.3, 1.7, 0.2], [2.0, 0.0, 0.4]])
_more_pixels, _more_bills = (
    -torch.linspace(0.02, 2.5, 40).view(2, 20),
    torch.rand(2, 4, generator=torch.Generator().manual_seed(0)),
)

EXERCISES = {
    "4.1": Exercise(
        "The KL from a log-variance",
        "core",
        6,
        answer=lambda mean, log_variance: elbo.kl(Gaussian(mean, log_variance / 2)),
        probes=[
            (_codes, _spreads),
            (_codes[1:].double(), _spreads[1:].double()),
            (_wide_codes, _wide_spreads),
        ],
        mistakes=[
            Mistake(
                lambda mean, log_variance: elbo.kl(Gaussian(mean, log_variance)),
                "It takes log σ² for log σ. What is σ², in terms of what the function is given?",
            ),
            Mistake(
                lambda mean, log_variance: elbo.kl(Gaussian(mean, (log_variance / 2).exp())),
                "It gives `Gaussian` σ. Which form of it does the second field want?",
            ),
            Mistake(
                lambda mean, log_variance: elbo.kl(Gaussian(mean, log_variance.exp())),
                "It gives `Gaussian` σ². Which form of σ does the second field want?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - 1 - v / 2)),
                "log σ² is halved everywhere, but the formula that it goes into wants σ² and "
                "log σ². Where does the text's formula have its twos?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * ((m**2 + 1) / v.exp() - 1 + v)),
                "That is the divergence with q and the prior exchanged. Which one divides by σ²?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (v.exp() - 1 - v)),
                "The mean makes no difference to it. What does a code far away from 0 cost?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v**2)),
                "The square of a logarithm has no business here. Which term is linear in it?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - 1 - v)),
                "One term has σ where σ² belongs: what is the exponential of half of log σ²?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v)),
                "Check the sign of the logarithm: for which σ does this one plunge without limit?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v / 2)),
                "The logarithm is halved once too often: −2 log σ is how many times log σ²?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - 2 * v)),
                "The logarithm is doubled once too often: log σ² has the 2 in it already.",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v) / math.log(2)),
                "That is right, but in bits. The course counts in nats.",
            ),
            Mistake(
                _kl_of(lambda m, v: m**2 + v.exp() - 1 - v),
                "Every value is twice too large.",
            ),
            Mistake(
                _kl_of(lambda m, v: -0.5 * (m**2 + v.exp() - 1 - v)),
                "Every value has the wrong sign. (Some texts write −½ Σ(1 + …): mind the bracket.)",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m + v.exp() - 1 - v)),
                "Put in μ = −1 and μ = 1: both are as far from the prior. Is μ squared?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 1 - v)),
                "One term squares σ² once more: exp(log σ²) is σ² already.",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v - 1 - v.exp())),
                "σ² and its logarithm have changed places: which of them is taken off?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * m**2 + v.exp() - 1 - v),
                "The ½ stands before μ² alone. How far does the bracket reach?",
            ),
            Mistake(
                _kl_of(lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v.log())),
                "It takes the logarithm of what are logarithms already.",
            ),
            Mistake(
                _kl_of(lambda m, v: -0.5 * (1 + v - m**2 + v.exp())),
                "Check the sign of σ²: should a wide q ever cost less than nothing? (A minus "
                "before a bracket turns every sign inside.)",
            ),
            Mistake(
                _kl_of(lambda m, v: -0.5 * (1 + v + m**2 - v.exp())),
                "Check the sign of μ²: should a mean far away from 0 be paid for? (A minus before "
                "a bracket turns every sign inside.)",
            ),
            Mistake(
                lambda m, v: (0.5 * (m**2 + v.exp() - 1 - v)).mean(),
                "It averages over images and dimensions alike. What belongs to one image is "
                "summed, and the images stay apart.",
            ),
            Mistake(
                lambda m, v: (0.5 * (m**2 + v.exp() - 1 - v)).sum(0),
                "It sums over the images, the first dimension, and keeps the latent ones apart.",
            ),
            Mistake(
                lambda mean, log_variance: (
                    elbo.kl(Gaussian(mean, log_variance / 2)) / mean.shape[-1]
                ),
                "It averages over the latent dimensions. A KL of independent dimensions is a sum.",
            ),
            Mistake(
                lambda mean, log_variance: elbo.kl(Gaussian(mean, log_variance / 2)).sum(),
                "It is one number for the whole batch. Over which dimension should it sum?",
            ),
            Mistake(
                lambda mean, log_variance: elbo.kl(Gaussian(mean, log_variance / 2)).mean(),
                "It is averaged over the batch already. One value for each image is asked for.",
            ),
            Mistake(
                lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v),
                "That is each dimension's KL, and right so far. What is left to do for an image's?",
            ),
        ],
        hints=[
            "Write the formula above in σ² and log σ² alone.",
            "2 log σ = log σ², and σ² = exp(log σ²).",
            "The latent dimensions are the last ones of each tensor: .sum(-1) leaves the images.",
        ],
        fact="Most published code has its encoder answer log σ². Mixing up the two "
        "parametrisations trains without complaint, with σ where σ² should be.",
    ),
    "4.2": Exercise(
        "A bound from samples alone",
        "core",
        6,
        answer=_sampled_bound,
        probes=[
            (_toy_joint, 0.8, 0.45, _noise),
            (_toy_joint, -0.3, 1.4, _noise),
            (_toy_joint, 0.1, 0.7, _noise[::3]),
        ],
        mistakes=[
            Mistake(
                lambda joint, mean, std, noise: joint(mean + std * noise).mean(),
                "It averages log p(x, z). Which density of z must be taken off?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(mean + std * noise, 0.0, 1.0)
                ).mean(),
                "It takes off the prior's density. The z came from another distribution.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(noise, 0.0, 1.0)
                ).mean(),
                "It takes off the density of ε, not of z. Stretching by σ thins a density by σ.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + noise) - _log_normal(mean + noise, mean, std)
                ).mean(),
                "Its z has a standard deviation of 1, whatever σ is.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std)
                ).sum(),
                "It is a sum over samples: the more samples, the larger.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    (joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std))
                    .exp()
                    .mean()
                    .log()
                ),
                "It takes the log of the average. The ELBO is the average of the log; yours is "
                "the tighter bound of notebook 6.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    (joint(mean + std * noise) - _log_normal(mean + std * noise, 0.0, 1.0)).mean()
                    - 0.5 * (mean**2 + std**2 - 1 - 2 * math.log(std))
                ),
                "A fair estimate of the same bound, but with the closed form of the KL. Here the "
                "samples are to do all the work.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise).mean()
                    - 0.5 * (mean**2 + std**2 - 1 - 2 * math.log(std))
                ),
                "It takes the KL off log p(x, z), where one takes it off log p(x|z). Which "
                "distribution is counted twice?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise)
                    + _log_normal(mean + std * noise, 0.0, 1.0)
                    - _log_normal(mean + std * noise, mean, std)
                ).mean(),
                "It adds log p(z). Is that not in log p(x, z) already?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise).mean()
                    + 0.5 * math.log(2 * math.pi * math.e)
                    + math.log(std)
                ),
                "Right on average: the entropy is what −log q averages to. But it is a closed "
                "form, and none is wanted: what do these samples average to?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(noise) - _log_normal(mean + std * noise, mean, std)
                ).mean(),
                "log p(x, z) is asked about ε, log q(z) about z. Which of the two is a code?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    -(joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std)).mean()
                ),
                "That is the loss. The bound itself is asked for.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std**2)
                ).mean(),
                "The density wants σ and gets σ². torch.distributions.Normal takes σ.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) + _log_normal(mean + std * noise, mean, std)
                ).mean(),
                "A quotient of densities is wanted: what does dividing become under a logarithm?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(noise) - _log_normal(noise, mean, std)
                ).mean(),
                "It takes the noise for the code. How does ε become a draw from q?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(noise, mean, std)
                ).mean(),
                "One of its densities is asked about ε, the other one about z. Both are of z.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std).exp()
                ).mean(),
                "It takes a density off a logarithm: log_prob is the logarithm as it is.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std**2 * noise) - _log_normal(mean + std**2 * noise, mean, std)
                ).mean(),
                "It stretches ε by σ². A draw from q is as wide as σ.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(torch.tensor(mean)) - _log_normal(torch.tensor(mean), mean, std)
                ),
                "It looks at the mean of q alone. The bound is an average over all that q draws.",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + std * noise) - _log_normal(mean + std * noise, mean, std)
                ),
                "That is each sample's log ratio, and right so far. What is left to do?",
            ),
            Mistake(
                lambda joint, mean, std, noise: (
                    joint(mean + math.exp(std) * noise)
                    - _log_normal(mean + math.exp(std) * noise, mean, math.exp(std))
                ).mean(),
                "It takes the exponential of σ. Here σ is given as it is, not as its logarithm.",
            ),
        ],
        hints=[
            "From which distribution did these z come? The log of its density is taken off.",
            "The cell above that compares the closed form “with three other ways” averages such "
            "a difference of two logarithms.",
            "torch.distributions.Normal(mean, std).log_prob(z) is log q(z).",
        ],
        fact="Where q is the true posterior every sample gives the same number, log p(x): the "
        "estimator without any closed form is then the one without any noise.",
    ),
    "4.3": Exercise(
        "The price of certainty",
        "warm-up",
        3,
        answer=5 * (math.log(10) - 0.495),
        within=0.05,
        mistakes=[
            Mistake(
                math.log(10) - 0.495,
                "That is one dimension. How many are there, and what happens to their KLs?",
            ),
            Mistake(
                2.5 * (0.01 - 1 + math.log(0.1) ** 2),
                "That is what the blog post's formula gives. Which of its terms is not the "
                "divergence's?",
            ),
            Mistake(
                2.5 * (math.exp(0.2) - 1 - 0.2),
                "It looks as if 0.1 went in where log σ belongs. Which of the two is 0.1?",
            ),
            Mistake(
                5 * math.log(10),
                "That is the logarithm alone. What do the other two terms add that are not 0?",
            ),
            Mistake(
                2.5 * (0.01 + 2 * math.log(10)),
                "Too much by a constant: which term of the bracket got lost?",
            ),
            Mistake(
                2.5 * (0.01 - 1 + math.log(10)),
                "It has log σ once. How many of them has the bracket?",
            ),
            Mistake(
                2.5 * (0.01 - 1),
                "A divergence is never negative. Which term, the largest of all here, was left "
                "out?",
            ),
            Mistake(10 * (math.log(10) - 0.495), "Twice too much: what stands before the sum?"),
            Mistake(-5 * (math.log(10) - 0.495), "A divergence is never negative: check the sign."),
            Mistake(
                5 * (1 - 0.495),
                "The logarithm is the natural one, of base e; this looks like base 10.",
            ),
            Mistake(
                5 * (math.log(10) - 0.495) / math.log(2),
                "That is the right amount, in bits. The course counts in nats.",
            ),
            Mistake(
                2.5 * (0.1 - 1 + math.log(10)),
                "Was 0.1 taken for σ²? It is σ: what are its square, and the log of its square?",
            ),
            Mistake(
                2.5 * (0.01 - 1 - 2 * math.log(10)),
                "A divergence is never negative. Which sign has the logarithm in the formula?",
            ),
            Mistake(
                5 * (math.log(10) - 0.45),
                "Close: σ² is not σ. What is the square of 0.1?",
            ),
        ],
        hints=[
            "Begin with one dimension: write down ½(μ² + σ² − 1 − 2 log σ) and put in μ = 0.",
            "log 0.1 is −2.303, and −2 log 0.1 is 4.605.",
            "KLs of independent dimensions add up.",
        ],
        fact="A code that is ten times sharper than the prior costs 1.8 nats, 2.6 bits, a "
        "dimension; a hundred times sharper costs 2.3 nats more.",
    ),
    "4.4": Exercise(
        "Explain the picture",
        "core",
        6,
        answer="DABC",
        picture=_draw_four_bills,
        mistakes=[
            Mistake(
                "ADBC",
                "1 and 2 have changed places: both are 0 at σ = 1 alone. One grows with σ², the "
                "other only with σ: which is the steeper one on the right?",
            ),
            Mistake(
                "BADC",
                "1 and 3 have changed places: both are right divergences. Which one holds 1/σ², "
                "and where does that grow?",
            ),
            Mistake(
                "CABD",
                "1 and 4 have changed places: one of the two goes below zero. Can a divergence?",
            ),
            Mistake(
                "DBAC",
                "2 and 3 have changed places. Put σ = 0.1 into both: which one is huge?",
            ),
            Mistake(
                "DCBA",
                "2 and 4 have changed places: one of them never falls as σ grows. Which, by its "
                "signs?",
            ),
            Mistake(
                "DACB",
                "3 and 4 have changed places: for σ near 0 one has a large 1/σ², the other a "
                "large negative logarithm.",
            ),
            Mistake(
                "BCDA",
                "It looks as if this went through the curves from A to D. Go through the formulas, "
                "from 1 to 4, and name the curve of each.",
            ),
        ],
        hints=[
            "Only one of the formulas can be negative: look at its signs where σ is small.",
            "At σ = 0.1 the numbers are far apart: 1/σ² is 100, log σ is −2.3.",
            "Misread, e^s is σ where σ² belongs: the curve of 2 at σ is that of 1 at √σ, which "
            "lies nearer to 1. So it is the gentler of the two.",
        ],
        fact="All four are 0 at σ = 1, so a test of a KL at the prior alone lets every one pass. "
        "The misread output was in a library of graph networks: "
        "github.com/pyg-team/pytorch_geometric/pull/1368.",
    ),
    "4.5": Exercise(
        "Find what is averaged",
        "core",
        8,
        answer=_negative_elbo,
        probes=[
            (_pixels, _bills),
            (_pixels[:1].repeat(3, 1), _bills[:1].repeat(3, 1)),
            (_more_pixels, _more_bills),
        ],
        mistakes=[
            Mistake(
                lambda likelihoods, bills: -(likelihoods.mean() - bills.mean()),
                "That is the snippet as it stands: each mean divides by another number of things.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum() - bills.sum()),
                "The sums are right, but the loss grows with the batch: what is averaged, once?",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.mean() - bills.sum(1).mean()),
                "The KL is right now. The pixels are still averaged: the KL weighs too much.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(1).mean() - bills.mean()),
                "The pixels are right now. The KL is still averaged over latent dimensions.",
            ),
            Mistake(
                lambda likelihoods, bills: (
                    _negative_elbo(likelihoods, bills) / likelihoods.shape[1]
                ),
                "It has the right optimum, but is as many times too small as an image has pixels.",
            ),
            Mistake(
                lambda likelihoods, bills: (likelihoods.sum(1) - bills.sum(1)).mean(),
                "That is the bound. A loss is minimised: what has to change?",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(1) + bills.sum(1)).mean(),
                "The two terms pull in the same direction here. The KL is a price: check its sign.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(1) - bills.sum(1)),
                "One value for each image: right so far. A loss is one number for the batch.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(0) - bills.sum()).mean(),
                "Dimension 0 is the batch; pixels and latent dimensions come after it.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(0).mean() - bills.sum(0).mean()),
                "It sums over the batch, dimension 0, and averages over what belongs to one image. "
                "Which of the two should be which?",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum(1).mean() - bills.sum()),
                "The pixels are right now. The KL is a sum over the batch as well: each of its "
                "images pays for all.",
            ),
            Mistake(
                lambda likelihoods, bills: -(likelihoods.sum() - bills.sum(1).mean()),
                "The KL is right now. The log-likelihood is a sum over the batch as well: the KL "
                "weighs less, the larger the batch.",
            ),
            Mistake(
                lambda likelihoods, bills: (
                    -(likelihoods - bills.sum(1, keepdim=True)).sum(1).mean()
                ),
                "The KL is taken off every pixel. How often does an image pay for its code?",
            ),
            Mistake(
                lambda likelihoods, bills: -likelihoods.sum(1).mean(),
                "That is what the pixels cost. What does the code cost?",
            ),
            Mistake(
                lambda likelihoods, bills: (likelihoods.sum(1) + bills.sum(1)).mean(),
                "To lower this, training would make the images less probable. Which of the two "
                "terms lacks its minus?",
            ),
        ],
        hints=[
            "Write down the number of values that each mean divides by.",
            "One image's log-likelihood is a sum over its pixels, its KL a sum over dimensions.",
            "Sum within an image, subtract, average over images, change the sign.",
        ],
        fact="With 784 pixels and 5 latent dimensions the snippet weighs the KL 157 times. "
        "The same loss is discussed at github.com/pytorch/examples/issues/234 and in many others.",
    ),
}
