"""Exercises on objectives: bounds of several latents, and gradients that vary less."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise

SHARE = Exercise(
    slug="share-of-the-gradient",
    title="Who gets the gradient?",
    kind="warm-up",
    minutes=4,
    question=r"""Two latents are drawn for an image. Their log weights are −100 and −102. What share
        of the gradient of $\log\frac12(w_1+w_2)$ does the *first* latent get? Work it out by hand,
        to three decimals. On paper, also compute $\log\frac12(w_1+w_2)$.""",
    solution="""
        first, second = -100, -102
        share = 1 / (1 + math.exp(second - first))  # between 0 and 1""",
    reasoning=r"""The share is $\frac{w_1}{w_1+w_2} = \frac{e^{-100}}{e^{-100}+e^{-102}}$. Divide by
        $e^{-100}$: it is $\frac{1}{1+e^{-2}} = 0.881$, and the second latent gets the other 0.119.
        The value is $-100+\log\frac{1+e^{-2}}{2} = -100.566$ nats. The average of the logs is −101,
        and its gradient gives each latent ½. A difference of two nats is enough for the first
        latent to get nearly nine tenths of the gradient.""",
    within=0.002,
    mistakes="""
        1 - right
            That is the share of the second latent, which has the smaller weight.
        0.5
            That is its share of the ELBO's gradient. Here the logarithm is taken after the average.
        first / (first + second)
            These are shares of the log weights. The shares are those of the weights themselves.
        second / (first + second)
            This is the share of the second log weight. Use the first latent, and the weights.
        exp(2)
            That is how many times larger the first weight is. What share of the sum of both is it?
        exp(-2)
            That is the ratio of the two weights. What share of their sum is the first one?
        1 - exp(-2)
            Divide the first weight by the sum of the two, rather than subtracting.
        right / 2
            The factor ½ of the mean is in the numerator and in the denominator.
        1 / (1 + 10**-2)
            These are natural logarithms, so the base is e, not 10.
        first + log((1 + exp(-2)) / 2)
            This is the value of the bound, and it is right. Enter the share of the gradient.""",
    hints="""
        - What is the derivative of log(w₁ + w₂) with respect to log w₁?
        - Divide numerator and denominator by e^−100 before you compute.
        - Only the difference of the two log weights matters.""",
    fact="""The two shares are 0.881 and 0.119, and the value is −100.566. The shares are a softmax
        of the log weights.""",
)


def tighter_loss(losses):
    """Minus the bound of all latents, averaged over images; losses (image, latent) -> ()."""
    bounds = torch.logsumexp(-losses, dim=1) - math.log(losses.shape[1])
    return -bounds.mean()


_losses = torch.tensor(
    [[112.0, 110.5, 111.1, 114.0], [81.0, 80.2, 83.5, 80.4], [910.9, 910.9, 912.2, 911.0]]
)

TWO_BUGS = Exercise(
    slug="two-bugs-in-one-line",
    title="Two bugs in one line",
    kind="stretch",
    minutes=8,
    question="""A program computes the loss −log w for each image and each latent, and should
        train on the tighter bound. It computes

        ```python
        def tighter_loss(losses):  # −log w, shape (image, latent)
            return torch.logsumexp(losses, dim=1).mean()
        ```

        The result should be minus the bound of all latents of an image, averaged over the images,
        and gradients must flow back through it. There are two bugs in the line. Fix both.""",
    solution=tighter_loss,
    reasoning=r"""The losses are $-\log w$, so the exponential needs $-$`losses`. The line above
        sums $1/w$ instead, so the *worst* latent of each image dominates. And the bound is the log
        of a *mean*, which is the log of the sum minus $\log k$. Without it, the result grows with
        every latent that is added, so it is not a bound. The missing $\log k$ has no gradient, so
        training is not affected by it, but the number that is printed is wrong. The wrong sign does
        affect training. The last mean, over images, stays outside the logarithm, because the
        log-likelihood of a data set is a sum of logarithms.""",
    probes=[
        (_losses,),
        (_losses[:2, :3].double() / 10,),
        (torch.tensor([[110.3, 112.0], [250.9, 249.5]]),),  # too far apart for float32 alone
        (_losses[2:].repeat(2, 1) + 0.5,),
    ],
    trains=True,
    given="""
        images, latents = losses.shape

        def naive(losses, eps=0):
            return -((-losses).exp().mean(1) + eps).log().mean()""",
    mistakes="""
        losses.logsumexp(1).mean()
            That is the line as it stands. What should it return for a row of equal losses, and
            what does it return?
        (-losses).logsumexp(1).mean()
            The best latent now counts most, which is right. But what sign does a loss have, and
            what does a row of equal losses give?
        -losses.logsumexp(1).mean()
            The minus is outside, but inside the logarithm the worst latent still counts most. How
            do you get a log weight from its loss?
        -(-losses).logsumexp(1).mean()
            One bug is fixed. The other: for a row of equal losses, the result should be that loss.
        losses.logsumexp(1).mean() - log(latents)
            One bug is fixed. The other: which latent of a row counts most, the best or the worst?
        losses.amin(1).mean()
            It uses only the best latent. The weights of the others are small, but they belong to
            the average.
        (-(-losses).logsumexp(1) / latents).mean()
            It divides the logarithm by the number of latents. The mean is inside the logarithm.
        losses.mean()
            That averages the losses, so it trains on the ELBO. Average the weights before you take
            the logarithm.
        log(losses.numel()) - (-losses).flatten().logsumexp(0)
            It averages the weights of all images inside one logarithm. Each image has its own log
            p(x). What is averaged over images?
        right * images
            The loss grows with the number of images. Should it?
        -(-losses).logsumexp(1).mean() - log(latents)
            The number of latents is there, but with the wrong sign.
        -(-losses).logsumexp(1).mean() + log(images)
            It divides by the number of images. Divide by the number of latents.
        tighter_loss(losses.T)
            It averages over images inside the logarithm, and over latents outside. Here the latents
            are the second dimension.
        -(-losses / latents).logsumexp(1).mean()
            It divides each log weight by the number of latents. A mean divides the weights, or
            their sum. What does that change in the logarithm?
        ((-losses).softmax(1) * losses).sum(1).mean()
            It averages the losses, each with its latent's share of the weights. The bound averages
            the weights, and then takes the logarithm.
        naive(losses, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} prevents log 0, but it limits the loss of an image to {cap}, where
            the gradient is 0. Which function of torch needs no epsilon?
        naive(losses)
            This is right on paper. But in float32, e^−110 is 0, and its logarithm is −∞.
        naive(losses.double())
            This is right on paper, and float64 works down to e^−745. How large can a loss be?
        losses.min() + naive(losses - losses.min())
            It subtracts one minimum from the losses of all images. Where an image's losses are far
            above it, the weights become 0. Each image needs its own minimum.
        losses.min() + naive(losses.double() - losses.min())
            Even in float64, one minimum for all images gives weights of 0 where the losses are far
            above it. Whose minimum does each image need?""",
    hints="""
        - Try the line on torch.full((1, 4), 100.0). Four equal latents should give 100.
        - What is log w in terms of the loss?
        - The log of a mean is the log of a sum, minus something. What?""",
    fact="""Both bugs are in a sketch at github.com/YosefLab/scVI-dev/issues/8, and are fixed in its
        copy at github.com/scverse/scvi-tools/issues/13. The buggy loss lets the worst latent
        decide.""",
)

TWO_WAYS = Exercise(
    slug="two-ways-to-spend",
    title="Two ways to spend 64 latents",
    kind="core",
    minutes=5,
    question=r"""With k = 64 latents, one estimate of the encoder's gradient has a signal-to-noise
        ratio of 0.1. Instead of one estimate with k = 64, you can average M = 64 independent
        estimates with k = 1 (of the ELBO's gradient). According to Rainforth et al., the ratio for
        M estimates of k latents each is about $c\sqrt{M/k}$. Take this formula as exact. What is
        the ratio of the average?""",
    solution="""
        one_of_many = 0.1  # M = 1, k = 64
        constant = one_of_many / math.sqrt(1 / 64)
        ratio_of_many = constant * math.sqrt(64 / 1)  # M = 64, k = 1""",
    reasoning=r"""$0.1 = c\sqrt{1/64}$ gives $c = 0.8$. With M = 64 and k = 1 the ratio is
        $0.8\cdot\sqrt{64} = 6.4$. It gains a factor of 8 because averaging 64 independent estimates
        divides the standard deviation by 8, and another factor of 8 because with k = 1 the ratio
        of each is 8 times as large. The two gradients are not those of the same objective: with
        k = 1 it is the ELBO's, with k = 64 that of the tighter bound. The decoder is different. Its
        ratio grows like $\sqrt{Mk}$, so only the number of latents matters.""",
    within=0.05,
    mistakes="""
        0.1
            Both use 64 latents, but the formula does not depend on the product of M and k.
        0.1 / 8
            More estimates or fewer latents each: does either of them lower the ratio?
        0.1 / 64
            Check the direction: M is in the numerator, and k in the denominator.
        0.1 * 64**2
            The formula has a square root.
        0.8
            That is one factor of 8. M and k both change: what does each do to the ratio?
        0.1 * 8 * 64
            M and k both change by a factor of 64, and both are under the square root.""",
    hints="""
        - First find c from the ratio of 0.1 at M = 1 and k = 64.
        - Then insert M = 64 and k = 1.
        - M/k changes from 1/64 to 64.""",
    fact="""The ratio is 64 times as large, for the same number of passes through the decoder. But
        it is the gradient of the ELBO, not of the bound of 64 latents.""",
)


def path_gradient(slope, noise, std):
    """Path derivatives with respect to μ and log σ, stacked: (sample,) each -> (2, sample)."""
    along_z = slope + noise / std
    return torch.stack([along_z, along_z * std * noise])


_slope, _noise = torch.tensor([[2.1, -0.4, 0.3, 5.0, -1.2], [0.5, -1.3, 2.2, -0.1, 0.9]])

PATH_GRADIENT = Exercise(
    slug="path-derivative-by-hand",
    title="The path derivative by hand",
    kind="core",
    minutes=8,
    question=r"""For one latent dimension, let $q=\mathcal N(\mu,\sigma^2)$ and
        $z=\mu+\sigma\varepsilon$. A program has computed the slope of $\log p(x,z)$, its derivative
        with respect to z, at several samples z. Write the path derivative of
        $\log p(x,z)-\log q(z)$ for each sample, with respect to μ and with respect to log σ,
        without autograd. The arguments are the slopes and the noise ε, of shape (sample,), and the
        number σ. Stack the two results.""",
    solution=path_gradient,
    reasoning=r"""The path derivative differentiates along z only. So it is the derivative of
        $\log p(x,z)-\log q(z)$ with respect to z, times the derivative of z. For the normal
        density, $\frac{\partial}{\partial z}\log q(z) = -\frac{z-\mu}{\sigma^2}$, which is
        $-\varepsilon/\sigma$. So the first factor is the slope plus $\varepsilon/\sigma$. The
        derivative of z with respect to μ is 1. With respect to log σ it is $\sigma\varepsilon$,
        because the derivative of $\sigma=e^{\log\sigma}$ with respect to log σ is σ itself. The
        total derivative also subtracts the score function, $\varepsilon/\sigma$ and
        $\varepsilon^2-1$. With respect to μ, only the slope is then left: if μ moves, z moves with
        it, and $q(z)$ stays the same.""",
    probes=[(_slope, _noise, 0.5), (_slope[:3].double(), _noise[2:].double(), 1.7)],
    given="""
        along, score = slope + noise / std, torch.stack([noise / std, noise**2 - 1])

        def both(along):
            return torch.stack([along, along * std * noise])""",
    mistakes="""
        right - score
            That is the total derivative. The score function, the direct part, should be left out.
        both(slope)
            That is the gradient of log p(x, z) alone. log q(z) also changes along z.
        both(slope - noise / std)
            Check a sign: log q(z) falls as z moves away from μ, and it is subtracted.
        both(slope + noise)
            The derivative of log q(z) along z is not ε alone. In which units is ε?
        both(slope + noise / std**2)
            (z − μ)/σ² is not ε/σ². How large is z − μ?
        both(slope - noise / std**2)
            (z − μ)/σ² is not ε/σ². How large is z − μ? Check the sign as well.
        torch.stack([along, along * noise])
            The second row is the derivative with respect to σ. The question asks for log σ.
        torch.stack([along, along])
            How does z change when log σ changes? The second row needs another factor.
        torch.stack([along, along * std])
            How does z change when log σ changes? The noise is missing in the second row.
        torch.stack([along * std * noise, along])
            The two rows are in the wrong order: μ comes first.
        score
            That is the score function, the part that should be left out.
        -score
            That is minus the score function, the part that should be left out.
        right.T
            The two parameters come first, then the samples.""",
    hints="""
        - Use the chain rule: a derivative along z, times the derivative of z.
        - log q(z) is −(z − μ)²/(2σ²) plus terms without z, and z − μ = σε.
        - The derivative of σ = e^(log σ) with respect to log σ is σ.""",
    fact="""If q is the true posterior, the slope of log p(x, z) equals that of log q(z), which is
        −ε/σ. Then both rows are exactly 0 for every sample.""",
)

EXERCISES = (SHARE, TWO_BUGS, TWO_WAYS, PATH_GRADIENT)
