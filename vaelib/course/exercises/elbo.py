"""Exercises on the ELBO: the KL, the bound from samples, and what is averaged."""

import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal

from vaelib.course import plotting
from vaelib.course.exercises.exercise import Exercise


def kl_from_log_variance(mean, log_variance):
    """KL(N(mean, exp(log_variance)) ‖ N(0, I)) of each image, shape (batch,)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)


_means = torch.tensor([[0.0, 0.0], [1.0, -2.0], [0.5, 0.1]])
_spreads = torch.tensor([[0.0, 0.0], [0.3, -1.2], [-2.0, 0.4]])

LOG_VARIANCE = Exercise(
    slug="kl-from-log-variance",
    title="The KL from a log-variance",
    kind="core",
    minutes=6,
    question="""In most published code, the encoder outputs the logarithm of the *variance*,
        log σ², instead of log σ. Write the KL of each image for such an encoder. The arguments have
        shape (batch, latent), and the result has shape (batch,), in nats.""",
    solution=kl_from_log_variance,
    reasoning=r"""With $v=\log\sigma^2$ we have $\sigma^2=e^{v}$ and $2\log\sigma=v$, so
        $\tfrac12\sum_d(\mu_d^2+e^{v_d}-1-v_d)$. Nothing else changes. The sum runs over the last
        dimension, the latent one, and leaves one value per image.""",
    probes=[
        (_means, _spreads),
        (_means[1:].double(), _spreads[1:].double()),
        tuple(torch.linspace(-3, 9, 20).cos().view(2, 2, 5)),
    ],
    given="""
        from vaelib import elbo
        from vaelib.encoder import Gaussian

        v, variance = log_variance, log_variance.exp()

        def kl(square=mean**2, variance=variance, logarithm=v):
            return 0.5 * (square + variance - 1 - logarithm).sum(-1)""",
    mistakes="""
        elbo.kl(Gaussian(mean, v))
            You pass log σ² where log σ is expected. How do you get log σ from log σ²?
        elbo.kl(Gaussian(mean, variance.sqrt()))
            You pass σ to `Gaussian`. What does its second field expect?
        elbo.kl(Gaussian(mean, variance))
            You pass σ² to `Gaussian`. What does its second field expect?
        kl(variance=variance.sqrt(), logarithm=v / 2)
            You halve log σ² in both places. Rewrite the text's formula with σ² and log σ²: which
            factors of 2 remain?
        0.5 * ((mean**2 + 1) / variance - 1 + v).sum(-1)
            That is the KL with q and the prior exchanged. KL(q‖prior) does not divide by σ².
        kl(0)
            Your result does not depend on the mean. What should a mean far from 0 cost?
        kl(logarithm=-(v**2))
            The KL does not contain the square of a logarithm. Which term has the logarithm itself?
        kl(variance=variance.sqrt())
            One term has σ instead of σ²: what is the exponential of half of log σ²?
        kl(logarithm=-v)
            Check the sign of the logarithm: what happens to your result as σ goes to 0?
        kl(logarithm=v / 2)
            The logarithm has a factor ½ too many: −2 log σ is how many times log σ²?
        kl(logarithm=2 * v)
            The logarithm has a factor 2 too many: log σ² already contains the 2.
        -right
            Every value has the wrong sign. (Some texts write −½ Σ(1 + …): check the signs in the
            bracket.)
        kl(mean)
            μ = −1 and μ = 1 are equally far from the prior and must cost the same. Is μ squared?
        kl(variance=variance**2)
            One term has the square of σ². exp(log σ²) is already σ².
        kl(variance=v, logarithm=variance)
            σ² and its logarithm are swapped: which of them is subtracted?
        (0.5 * mean**2 + variance - 1 - v).sum(-1)
            Your ½ multiplies only μ². It should multiply the whole bracket.
        kl(logarithm=v.log())
            It takes the logarithm of values that are logarithms already.
        kl(variance=-variance)
            Check the sign of σ²: can a wide q have a negative KL? (A minus in front of a bracket
            changes every sign inside.)
        kl(-(mean**2))
            Check the sign of μ²: can a mean far from 0 have a negative KL? (A minus in front of a
            bracket changes every sign inside.)""",
    hints="""
        - Rewrite the formula above so that it contains only μ², σ² and log σ².
        - 2 log σ = log σ², and σ² = exp(log σ²).
        - The latent dimension is the last one of each tensor, so .sum(-1) leaves one value per
          image.""",
    fact="""Most published encoders output log σ². If you mix up the two, so that σ stands where σ²
        should be, training raises no error.""",
)


def sampled_bound(log_joint, mean, std, noise):
    """Average of log p(x, z) − log q(z) over z = mean + std · noise, in nats."""
    z = mean + std * noise
    return (log_joint(z) - Normal(mean, std).log_prob(z)).mean()


def _toy_joint(z):
    """log p(x, z) for z ~ N(0, 1), seen as 1 with Gaussian noise of σ = ½."""
    return Normal(0.0, 1.0).log_prob(z) + Normal(z, 0.5).log_prob(torch.ones_like(z))


_noise = torch.linspace(-1.9, 2.3, 40)

FROM_SAMPLES = Exercise(
    slug="bound-from-samples",
    title="A bound from samples alone",
    kind="core",
    minutes=6,
    question=r"""The ELBO can also be estimated without any closed form: average
        $\log p(x,z)-\log q(z)$ over samples of $q=\mathcal N(\mu,\sigma^2)$. Write this for one
        latent dimension. The argument `log_joint` is a function, not a tensor: `log_joint(z)`
        returns log p(x, z) for latents of shape (sample,), `mean` and `std` are numbers, and
        `noise` is ε ~ N(0, 1) of shape (sample,). The result is one number.""",
    solution=sampled_bound,
    reasoning=r"""The ELBO is $\mathbb E_q[\log p(x,z)-\log q(z)]$, so both logarithms are taken at
        samples of $q$ and averaged. The density of $q$ must be that of $z$, not of $\varepsilon$:
        stretching by $\sigma$ divides the density by $\sigma$,
        $\log q(z)=\log\mathcal N(\varepsilon;0,1)-\log\sigma$. If $q$ is the true posterior,
        $\log p(x,z)-\log q(z)=\log p(x)$ for every $z$, so the estimate has no variance at all.""",
    probes=[
        (_toy_joint, 0.8, 0.45, _noise),
        (_toy_joint, -0.3, 1.4, _noise),
        (_toy_joint, 0.1, 0.7, _noise[::3]),
    ],
    given="""
        q, prior = Normal(mean, std), Normal(0.0, 1.0)
        z = mean + std * noise
        joint, log_q = log_joint(z), q.log_prob(z)
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * log(std))""",
    mistakes="""
        joint.mean()
            It averages log p(x, z). Which density of z must be subtracted?
        (joint - prior.log_prob(z)).mean()
            It subtracts the prior's density. From which distribution were the z drawn?
        (joint - prior.log_prob(noise)).mean()
            It subtracts the density of ε, not of z. Stretching by σ divides a density by σ.
        (log_joint(mean + noise) - q.log_prob(mean + noise)).mean()
            Its z has a standard deviation of 1, whatever σ is.
        (joint - log_q).sum()
            It is a sum over samples: the more samples, the larger.
        (joint - log_q).exp().mean().log()
            It takes the log of the average. The ELBO is the average of the log; yours is a
            tighter bound, which comes in the notebook on evaluation.
        (joint - prior.log_prob(z)).mean() - kl
            This estimates the same bound, but with the closed form of the KL. Use only the
            samples.
        joint.mean() - kl
            It subtracts the KL from log p(x, z), but the KL belongs to log p(x|z). Which
            distribution is counted twice?
        (joint + prior.log_prob(z) - log_q).mean()
            It adds log p(z), but log p(x, z) already contains it.
        joint.mean() + q.entropy()
            Right on average, because the entropy is the average of −log q. But it is a closed form.
            Average over the given samples instead.
        (log_joint(noise) - log_q).mean()
            log p(x, z) is evaluated at ε, log q(z) at z. Which of the two is the latent?
        (joint - Normal(mean, std**2).log_prob(z)).mean()
            The density expects σ and gets σ². torch.distributions.Normal takes σ.
        (joint + log_q).mean()
            You need the logarithm of a ratio. Is that a sum or a difference of logarithms?
        (log_joint(noise) - q.log_prob(noise)).mean()
            It uses the noise as the latent. How does ε become a sample of q?
        (joint - q.log_prob(noise)).mean()
            One of your densities is evaluated at ε, the other at z. Both should be at z.
        (joint - log_q.exp()).mean()
            It subtracts a density from a logarithm. log_prob is already the logarithm.
        (log_joint(mean + std**2 * noise) - q.log_prob(mean + std**2 * noise)).mean()
            It multiplies ε by σ². What is the standard deviation of q?
        log_joint(torch.tensor(mean)) - q.log_prob(torch.tensor(mean))
            It uses only the mean of q. The bound is an average over samples of q.
        sampled_bound(log_joint, mean, exp(std), noise)
            It takes the exponential of σ. Here σ is given as it is, not as its logarithm.""",
    hints="""
        - From which distribution were these z drawn? Subtract the log of its density.
        - The cell that compares the KL formula with three other ways also averages a difference of
          two logarithms.
        - torch.distributions.Normal(mean, std).log_prob(z) is log q(z).""",
    fact="""If q is the true posterior, every sample gives the same number, log p(x). Then this
        estimator has no variance, although it uses no closed form.""",
)

CERTAINTY = Exercise(
    slug="price-of-certainty",
    title="The price of certainty",
    kind="warm-up",
    minutes=3,
    question="""On paper (a calculator is fine), compute the correct KL from the prior for a
        five-dimensional q with μ = 0 and σ = 0.1 in every dimension. Round to one decimal
        place.""",
    solution="price = 5 * 0.5 * (0.1**2 - 1 - 2 * math.log(0.1))  # nats",
    reasoning=r"""One dimension with $\mu=0$ costs $\tfrac12(\sigma^2-1-2\log\sigma)$; with
        $\sigma=0.1$ the logarithm contributes $2.303$ nats and the other terms about $-0.5$. The
        KLs of independent dimensions add, so five dimensions cost five times as much. The blog
        post's formula gives a different number, because $(\log\sigma)^2$ equals $-2\log\sigma$
        only at $\sigma=1$ and $\sigma=e^{-2}$.""",
    within=0.05,
    mistakes="""
        right / 5
            That is one dimension. How many are there, and what happens to their KLs?
        2.5 * (0.01 - 1 + log(0.1) ** 2)
            That is what the blog post's formula gives. Which of its terms does not belong to the
            KL?
        2.5 * (exp(0.2) - 1 - 0.2)
            You seem to have used 0.1 where log σ belongs. 0.1 is σ itself.
        5 * log(10)
            That is only the logarithm. What do the other two nonzero terms add?
        2.5 * (0.01 + 2 * log(10))
            Too large by a constant: which term of the bracket is missing?
        2.5 * (0.01 - 1 + log(10))
            You counted log σ once. How often does the bracket contain it?
        2.5 * (0.01 - 1)
            A divergence is never negative. Which term, the largest of all here, was left out?
        2 * right
            Too large by a factor of 2: what stands in front of the sum?
        -right
            A divergence is never negative: check the sign.
        5 * (1 - 0.495)
            Use the natural logarithm, of base e; this looks like base 10.
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        2.5 * (0.1 - 1 + log(10))
            You seem to have used 0.1 as σ². It is σ: what are σ² and log σ²?
        2.5 * (0.01 - 1 - 2 * log(10))
            A divergence is never negative. Which sign does the logarithm have in the formula?
        5 * (log(10) - 0.45)
            Close: σ² is not σ. What is the square of 0.1?""",
    hints="""
        - Begin with one dimension: write down ½(μ² + σ² − 1 − 2 log σ) and put in μ = 0.
        - log 0.1 is −2.303, and −2 log 0.1 is 4.605.
        - KLs of independent dimensions add up.""",
    fact="""A latent that is ten times sharper than the prior, σ = 0.1 at μ = 0, costs 1.8 nats, or
        2.6 bits, per dimension. Ten times sharper again costs 2.3 nats more.""",
)


def _draw_four_curves():
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


FOUR_CURVES = Exercise(
    slug="four-curves",
    title="Explain the picture",
    kind="core",
    minutes=6,
    question=r"""Four people have computed "the KL" of a q with μ = 0, where the encoder's output is
        $s=\log\sigma$:

        1. $\tfrac12\,(\sigma^2-1-2\log\sigma)$, the correct one;
        2. the same, but with $s$ mistaken for $\log\sigma^2$: $\tfrac12\,(e^{s}-1-s)$, as
           [a library of graph networks once had it](https://github.com/pyg-team/pytorch_geometric/pull/1368);
        3. the divergence with q and p exchanged,
           $\mathrm{KL}(p\|q)=\tfrac12\,(1/\sigma^2-1+2\log\sigma)$;
        4. $\tfrac12\,(\sigma^2-1+2\log\sigma)$, the wrong fix of pull request 76.

        All four are plotted against the encoder's $\sigma=e^s$. Which curve belongs to which
        formula? Answer with four letters: the curve of formula 1, of 2, of 3, of 4.""",
    solution='curves = "DABC"  # four letters, such as "ABCD"',
    reasoning=r"""Look at small σ, where the formulas differ most. Formula 3 contains $1/\sigma^2$
        and is the largest: B. In formula 4 the logarithm has the opposite sign and no other term
        outweighs it, so it falls without limit: C. It is also the only one that is negative, so it
        cannot be a divergence. Formulas 1 and 2 both contain $-\log\sigma$, but 2 has only half of
        it: A is the flat curve, and D is the correct one. A network trained with A is charged too
        little for a narrow q *and* for a wide one, and training raises no error.""",
    picture=_draw_four_curves,
    mistakes="""
        "ADBC"
            1 and 2 are swapped. For large σ, one grows with σ², the other only with σ: which is
            steeper on the right?
        "BADC"
            1 and 3 are swapped: both are real divergences. Only one contains 1/σ². For which σ is
            that large?
        "CABD"
            1 and 4 are swapped: one of the two curves goes below zero. Can a divergence do that?
        "DBAC"
            2 and 3 are swapped. Put σ = 0.1 into both: which one is huge?
        "DCBA"
            2 and 4 are swapped: only one of these formulas can be negative. Which one?
        "DACB"
            3 and 4 are swapped: for σ near 0 one has a large 1/σ², the other a large negative
            logarithm.
        "BCDA"
            It looks as if you went through the curves from A to D. Go through the formulas, from 1
            to 4, and name the curve of each.""",
    hints="""
        - Only one of the formulas can be negative: look at its signs where σ is small.
        - At σ = 0.1 the numbers are far apart: 1/σ² is 100, log σ is −2.3.
        - Formula 2 has σ = e^s where formula 1 has σ². At σ it has the value that formula 1
          has at √σ, which is nearer to 1. So curve 2 is flatter than curve 1.""",
    fact="""All four are 0 at σ = 1, so a test at σ = 1 alone passes for every one of them.
        Formula 2 was in a library of graph networks:
        github.com/pyg-team/pytorch_geometric/pull/1368.""",
)


def fixed_loss(log_likelihoods, divergences):
    """−ELBO in nats per image, averaged over the batch: a single number."""
    return -(log_likelihoods.sum(1) - divergences.sum(1)).mean()


_pixels = -torch.linspace(0.01, 3.0, 24).view(2, 12)
_divergences = torch.tensor([[0.3, 1.7, 0.2], [2.0, 0.0, 0.4]])

AVERAGED = Exercise(
    slug="what-is-averaged",
    title="Find what is averaged",
    kind="core",
    minutes=8,
    question="""Find the bug. A loss function receives the log-likelihood of every pixel, of shape
        (batch, pixel), and the KL of every latent dimension, of shape (batch, latent). It returns

            -(log_likelihoods.mean() - divergences.mean())

        (A similar question was asked about
        [PyTorch's own example](https://github.com/pytorch/examples/issues/234).) Fix it, so that it
        returns −ELBO in nats per image, averaged over the batch.""",
    solution=fixed_loss,
    reasoning=r"""`log_likelihoods.mean()` divides by batch × pixels, `divergences.mean()` by batch
        × dimensions. Their difference is $\frac1P(\text{log-likelihood}-\frac PL\,\mathrm{KL})$ of
        an average image, an ELBO with the hidden weight $\beta=P/L$ that the section above
        measured. Summing within each image and then averaging over images once gives every nat the
        same weight.""",
    probes=[
        (_pixels, _divergences),
        (_pixels[:1].repeat(3, 1), _divergences[:1].repeat(3, 1)),
        (
            -torch.linspace(0.02, 2.5, 40).view(2, 20),
            torch.rand(2, 4, generator=torch.Generator().manual_seed(0)),
        ),
    ],
    given="p, kl = log_likelihoods, divergences",
    mistakes="""
        -(p.mean() - kl.mean())
            That is the snippet as it stands: each mean divides by a different number of things.
        -(p.sum() - kl.sum())
            The sums are right, but the loss grows with the batch. What should be averaged once?
        -(p.mean() - kl.sum(1).mean())
            The KL is right now. The pixels are still averaged: the KL weighs too much.
        -(p.sum(1).mean() - kl.mean())
            The pixels are right now. The KL is still averaged over latent dimensions.
        right / p.shape[1]
            The optimum is right, but with P pixels the loss is P times too small.
        -(p.sum(1) + kl.sum(1)).mean()
            Here a larger KL lowers the loss. The KL is a cost: check its sign.
        -(p.sum(0) - kl.sum()).mean()
            Dimension 0 is the batch; pixels and latent dimensions come after it.
        -(p.sum(0).mean() - kl.sum(0).mean())
            It sums over the batch and averages within an image. It should be the other way round.
        -(p.sum(1).mean() - kl.sum())
            The pixels are right now. The KL is also summed over the batch, so each image gets the
            KL of all images.
        -(p.sum() - kl.sum(1).mean())
            The KL is right now. The log-likelihood is also summed over the batch, so the KL weighs
            less in a larger batch.
        -(p - kl.sum(1, keepdim=True)).sum(1).mean()
            The KL is subtracted from every pixel. How many times is the KL counted for one image?
        -p.sum(1).mean()
            That is the distortion. Where is the KL?
        (p.sum(1) + kl.sum(1)).mean()
            Minimizing this makes the images less probable. Which term needs a minus?""",
    hints="""
        - Write down the number of values that each mean divides by.
        - One image's log-likelihood is a sum over its pixels, its KL a sum over dimensions.
        - Sum within an image, subtract, average over images, change the sign.""",
    fact="""With 784 pixels and 5 latent dimensions, this loss weights the KL by 157. The same
        loss is discussed at github.com/pytorch/examples/issues/234 and in many other places.""",
)

EXERCISES = (LOG_VARIANCE, FROM_SAMPLES, CERTAINTY, FOUR_CURVES, AVERAGED)
