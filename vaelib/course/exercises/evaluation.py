"""Exercises on evaluation: estimates of log p(x) from importance weights, and two models compared.

Log weights have shape (sample, image), as in `vaelib.evaluation`.
"""

import math

import torch

from vaelib.course.exercises.exercise import Exercise

TWO_LATENTS = Exercise(
    slug="two-latents",
    title="Two samples of two kinds",
    kind="warm-up",
    minutes=4,
    question=r"""For one image, suppose that q proposes only two kinds of latents, each half of the
        time: good ones with log w = −100 and poor ones with log w = −110. With one sample, the
        estimate is −105 nats on average. What is its average with *two* samples,
        $\mathbb E[\widehat{\log p}_2]$? Work it out by hand, to two decimals.""",
    solution="""
        good, poor = -100, -110
        mixed = math.log((math.exp(good) + math.exp(poor)) / 2)
        two_latents = good / 4 + mixed / 2 + poor / 4  # nats""",
    reasoning=r"""There are four equally likely pairs, and two of them are mixed. Two good latents
        give an estimate of −100, two poor ones −110. For a mixed pair, average the weights first:
        $\log\frac{e^{-100}+e^{-110}}2 = -100 - \log 2 + \log(1+e^{-10}) \approx -100.69$. So the
        average is $\frac14(-100) + \frac12(-100.69) + \frac14(-110) = -102.85$. (Python's floats
        can hold $e^{-110}$. In float32 it is 0, so use `log_mean_exp` there.)

        Only the mixed pairs raise the average above the ELBO of −105. In such a pair, the good
        weight decides the average, and it is divided by 2, which costs $\log 2$.""",
    within=0.02,
    mistakes="""
        -105
            That is the ELBO, the average of the logarithms. With two samples, the weights are
            averaged first. What does a mixed pair give?
        mixed
            That is log p(x), which the estimate approaches with more and more samples. With two
            samples, both may be poor.
        (good + mixed + poor) / 3
            It treats the three kinds of pairs as equally likely. In how many ways can each of them
            be drawn?
        (good + mixed + poor) / 4
            The probabilities do not add up to 1. In how many orders can a mixed pair be drawn?
        right + log(2)
            It adds the two weights of each pair. The estimate averages them.
        good / 4 + good / 2 + poor / 4
            It treats a mixed pair like a pair of good ones. The poor weight is almost 0, but it
            still counts in the average.
        good / 4 + (good - log10(2)) / 2 + poor / 4
            Use the natural logarithm, with base e. This looks like base 10.
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        -right
            The logarithm of a weight far below 1 is negative. Check the sign.
        mixed - right
            That is how far the bound is below log p(x). The question asks for the bound itself.
        -105 + log(2)
            It adds log 2 to the result for one sample. Would two equally good samples, averaged,
            give more than one of them?
        good / 4 + poor / 2 + poor / 4
            It treats a mixed pair like a pair of poor ones. Which of its two weights decides the
            average?""",
    hints="""
        - List the pairs that can be drawn, with their probabilities.
        - For each kind of pair, average the two weights, then take the logarithm.
        - Compared with e^−100, a weight of e^−110 is almost nothing. So the average of a mixed pair
          is about half of e^−100.""",
    fact="""Here log p(x) is −100.69, so one sample is 4.31 nats too low on average, and two are
        2.15 nats too low. What remains comes from the quarter of the pairs in which both latents
        are poor.""",
)


def effective_sample_size(log_weights):
    """The effective sample size of each image; log weights (sample, image) -> (image,)."""
    shares = log_weights.softmax(0)
    return 1 / shares.square().sum(0)


# One column per image. The fourth has one poor latent among good ones and the sixth one good latent
# among poor ones, so only subtracting each column's largest log weight works, even in float64. The
# last column is so far below the fifth that subtracting one number from all columns fails in
# float64, although subtracting nothing works there. The last entries of the piles are like it.
_weights = torch.tensor(
    [
        [-110.0, -900.0, -20.0, -400.0, 200.0, -10.0, -600.2],
        [-110.7, -901.5, -21.2, -110.0, 199.3, -900.0, -601.1],
        [-112.4, -900.3, -20.1, -112.0, 198.0, -902.0, -600.0],
        [-109.6, -907.0, -23.0, -114.0, 201.0, -901.0, -602.7],
        [-110.1, -900.9, -20.4, -115.0, 200.4, -903.0, -600.9],
    ]
)

EFFECTIVE = Exercise(
    slug="effective-sample-size",
    title="The effective sample size",
    kind="core",
    minutes=6,
    question=r"""Write a function that computes the effective sample size
        $1/\sum_i\tilde w_i^2$ of each image from a table of *log* weights. It must work even where
        `exp` of a log weight is 0: the checks have log weights of −110 and of −900.""",
    solution=effective_sample_size,
    reasoning=r"""The shares $\tilde w_i = w_i/\sum_j w_j$ of an image are the softmax of its log
        weights over the samples. Softmax subtracts the largest log weight before it takes the
        exponential, so weights of $e^{-110}$ or $e^{-900}$ are no problem. Dividing
        `log_weights.exp()` by its sum would be 0/0. Equal shares of $1/k$ give
        $1/(k\cdot k^{-2}) = k$, and one share of 1 gives 1. It can also be computed without shares:
        $2\log\sum w - \log\sum w^2$ is the logarithm of the same number.""",
    probes=[(_weights,), (_weights[:3, :2].double(),)],
    given="""
        w, shares = log_weights, log_weights.softmax(0)

        def ess(w, eps=0):
            return 1 / (w.exp() / (w.exp().sum(0) + eps)).square().sum(0)""",
    mistakes="""
        ess(w)
            Some values are not numbers: e^−110 is 0 in float32, and 0/0 is undefined. What can you
            subtract from all log weights of an image without changing their shares?
        ess(w - w.max())
            It subtracts one number from the weights of all images, and those far below it become 0
            again. Each image needs a number of its own.
        ess(w.double() - w.max())
            Even in float64, if one number is subtracted for all images, the weights of some images
            become 0. Which number does each image need?
        ess(w - w.mean(0))
            If one latent is far better than the others, e to a large positive power is infinite.
            What must be subtracted so that no exponent is positive?
        ess(w - w.amin(0))
            The number that it subtracts lies far below the largest log weight of an image, and e to
            the difference is infinite. What must be subtracted so that no exponent is positive?
        ess(w, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} avoids 0/0, but the shares of weights that are all 0 do not add up
            to 1. What can you subtract from all log weights of an image without changing their
            shares?
        ess(w.double())
            float64 only moves the limit, from e^−103 to e^−745. There is a way without any limit.
        1 / right
            It lies between 0 and 1 and falls as the weights become more equal. Which step is
            missing?
        1 / shares.sum(0).square()
            It is 1 whatever the weights are. Do you need a sum of squares or the square of a sum?
        1 / shares.amax(0)
            It uses only the largest share. All shares count, through their squares.
        right.log()
            That is still a logarithm. Which number is it the logarithm of?
        1 / shares.norm(dim=0)
            For equal weights it gives the square root of the number of samples. What does a norm
            do in its last step?
        torch.distributions.Categorical(shares.T).entropy().exp()
            That is the exponential of the entropy of the shares. It agrees in the two extreme
            cases, but it is a different measure.
        1 / (w / w.sum(0)).square().sum(0)
            It uses the logarithms as if they were the weights, so all weights look alike.
        1 / (w - w.amax(0)).exp().square().sum(0)
            Subtracting the largest log weight is right. But then the shares must still be made to
            add up to 1.""",
    hints="""
        - There are two steps: the shares, which add up to 1 for each image; then 1 divided by the
          sum of their squares.
        - The shares do not change if the largest log weight is subtracted first, as in
          `log_mean_exp`.
        - torch has a function that turns logarithms into such shares. Classifiers use it as their
          last layer.""",
    fact="""For equal weights it is the number of samples, and at worst it is 1. Without shares it
        is (Σw)²/Σw².""",
)


def merge(first, n, second, m):
    """log of the mean of n + m weights, from those of n and of m; (image,) each -> (image,)."""
    return torch.logaddexp(first + math.log(n), second + math.log(m)) - math.log(n + m)


_first = torch.tensor([-110.0, -82.3, -900.0, -3.0, -900.0, 300.0, -500.0])
_second = torch.tensor([-109.3, -82.9, -901.2, -2.1, -100.0, 299.1, -501.3])

TWO_PILES = Exercise(
    slug="two-piles-of-weights",
    title="Two piles of weights",
    kind="core",
    minutes=8,
    question="""The 5,000 weights of an image need not be in memory at the same time. Suppose that
        you have deleted the first `n` weights and kept only the logarithm of their mean, `first`.
        The next `m` weights have the log mean `second`. Merge the two: for each image, return the
        logarithm of the mean of all `n + m` weights, computed stably. `n` and `m` are whole numbers
        of at least 1 and may differ. Some log means are near −900.""",
    solution=merge,
    reasoning=r"""A mean times its count is a sum, so the mean of all weights is
        $\frac{n e^a + m e^b}{n+m}$ for $a$ = `first` and $b$ = `second`. To take its logarithm
        without leaving log space, write $n e^a = e^{a+\log n}$. `logaddexp` adds two such numbers
        and subtracts the larger one first. With $n = m$, the counts reduce to $-\log 2$, but the
        last chunk is rarely a full one. If you keep the logarithm of the *sum* instead, and
        subtract $\log k$ once at the end, you need one logarithm less per chunk.""",
    probes=[(_first, 3, _second, 5), (_second[1:].double(), 200, _first[1:].double(), 50)],
    given="""
        a, b, add = first, second, torch.logaddexp
        largest = torch.maximum(a, b)

        def naive(a, b, eps=0):
            return ((n * a.exp() + m * b.exp()) / (n + m) + eps).log()""",
    mistakes="""
        add(a, b) - log(2)
            It gives both piles the same weight, but one of them contains more weights.
        (n * a + m * b) / (n + m)
            It averages logarithms, which is how ELBOs are merged. These are logarithms of
            averages.
        (a + b) / 2
            It averages logarithms, and it ignores the counts. What may be averaged?
        add(a, b)
            It adds the two averages. If all weights are equal, merging should not change anything.
        right + log(n + m)
            That is the logarithm of the sum of all weights, and so far it is right. How do you
            get from a sum to a mean?
        add(a, b) - log(n + m)
            It divides by the number of all weights, but the two numbers that it adds are already
            means.
        merge(a, m, b, n)
            The two counts are exchanged.
        add(n * a, m * b) - log(n + m)
            The count multiplies the logarithm. It should multiply the mean inside the logarithm.
        naive(a - largest.max(), b - largest.max()) + largest.max()
            It subtracts one maximum from all images, and those far below it become −∞. Each image
            needs its own.
        naive(a.double() - largest.max(), b.double() - largest.max()) + largest.max()
            Even in float64, one maximum for all images makes some of them −∞. Which maximum does
            each image need?
        right - largest
            Something was subtracted before the exponential, as it should be. It must be added
            again after the logarithm.
        a + naive(a - a, b - a)
            It subtracts the value of the first pile. Where the second is far larger, e^(b − a) is
            infinite. Which of the two must be subtracted, image by image?
        (right + log(n + m)) / (n + m)
            It divides the logarithm by the number of weights. What does a division inside the
            logarithm become outside?
        add(a - log(n), b - log(m)) - log(n + m)
            It divides each mean by its count. How do you get from a mean back to a sum?
        naive(a, b, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} avoids log 0, but no result can then be below −{cap}. Can you
            avoid taking exp of such a large negative number?
        naive(a, b)
            Right on paper. But in float32, e^−110 is 0, and its logarithm is −∞.
        naive(a.double(), b.double())
            Right on paper, and float64 helps down to e^−745. One image lies below that.""",
    hints="""
        - Start on paper: given the mean of each pile, what is the mean of all weights? Then take
          its logarithm.
        - n·e^a is e^(a + log n).
        - torch.logaddexp(a, b) is log(e^a + e^b), computed stably.""",
    fact="""In this way an estimate can use any number of samples, chunk after chunk, in the memory
        of a single chunk.""",
)


def mean_difference(first, second):
    """Mean of first − second over the images, and its standard error; (image,) each."""
    difference = first - second
    return difference.mean(), difference.std() / math.sqrt(len(difference))


_hardness = torch.tensor([92.0, 131.5, 60.2, 118.0, 75.9, 104.3, 88.8])
_gains = torch.tensor([1.9, -0.4, 0.8, 2.6, -1.1, 1.3, 0.7])

TWO_MODELS = Exercise(
    slug="two-models",
    title="Compare two models",
    kind="core",
    minutes=8,
    question="""Two models were evaluated on the same images. `first` and `second` hold their
        −log p(x) of each image, in the same order. Return two numbers: the mean of
        first − second, and the standard error of this mean.""",
    solution=mean_difference,
    reasoning=r"""Take the difference image by image, so that whatever makes an image hard for both
        models cancels. The mean of $n$ independent numbers has the standard error $s/\sqrt n$,
        where $s$ is their standard deviation, and here the numbers are the differences. The means
        subtract, so the mean difference is also the difference of the means. The errors do not:
        $\sqrt{(s_1^2+s_2^2)/n}$ would be right only for models evaluated on different images.""",
    probes=[
        (_hardness + _gains, _hardness),
        (_hardness[2:].double(), (_hardness * 1.1 - _gains)[2:].double()),
    ],
    given="""
        d, n = first - second, len(first)
        mean, s, root = d.mean(), d.std(), math.sqrt(n)
        unpaired = ((first.var() + second.var()) / n).sqrt()""",
    mistakes="""
        (mean, unpaired)
            That is the standard error for models evaluated on different images. Here, both see the
            same images, and what makes an image hard for both cancels if you subtract first.
        (mean, s)
            That is the standard deviation: how much the difference varies from image to image. How
            well does an average over n images determine the mean?
        (mean, s / n)
            With four times as many images, the error should halve. By which power of n is the
            standard deviation divided?
        (mean, s**2 / n)
            That is the square of the standard error.
        (mean, s**2)
            That is the variance of the differences. The standard error is two steps further.
        (-mean, s / root)
            The error is right. The sign of the mean is not: which one is subtracted from which?
        (-mean, unpaired)
            The mean has the wrong sign, and the error is for models evaluated on different images.
        (-mean, s)
            The mean has the wrong sign, and the second number is a standard deviation.
        (mean, (first.std() + second.std()) / root)
            It adds the errors of the two models. Subtract image by image first; then there is only
            one list of numbers.
        (mean, (first.std() - second.std()) / root)
            It subtracts the spreads of the two models. Subtract image by image first, then take the
            spread of the differences.
        (mean, abs(first.std() - second.std()) / root)
            It subtracts the spreads of the two models. Subtract image by image first; then take the
            spread of these differences.
        (mean, (first.std() / root))
            That is the error of the first model's own mean. Which numbers does the mean difference
            average?
        (mean, (second.std() / root))
            That is the error of the second model's own mean. Which numbers does the mean difference
            average?
        (d.abs().mean(), d.abs().std() / root)
            It takes absolute values. Then a gain on one image and a loss on another no longer
            cancel.
        (mean, d.std(correction=0) / root)
            Almost: inside the standard deviation it divides by n. The mean was estimated from the
            same n numbers, so divide by n − 1, as torch's `std` does. NumPy needs `ddof=1`.
        (mean, s / math.sqrt(n - 1))
            Almost: n − 1 belongs inside the standard deviation, and `std` has it already. The mean
            of n numbers divides by √n.
        (d.sum(), s * root)
            That is the sum of the differences and its error. The question asks for the mean.
        mean
            Two numbers are asked for, and this is the first one.
        s / root
            Two numbers are asked for, and this is the second one.
        d
            That is the difference of each image. Average it, and add the error of the average.""",
    hints="""
        - Subtract first, image by image. From then on there is only one list of numbers.
        - How uncertain is the mean of n numbers with standard deviation s?
        - It is s/√n, with s the standard deviation of the differences.""",
    fact="""This is the error that a paired t-test uses: its t is the mean difference divided by
        it.""",
)

EXERCISES = (TWO_LATENTS, EFFECTIVE, TWO_PILES, TWO_MODELS)
