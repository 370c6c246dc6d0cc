"""Exercises on evaluation: estimates of log p(x) from weights, and the KL per dimension."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise

TWO_CODES = Exercise(
    slug="two-codes",
    title="Two codes of two kinds",
    kind="warm-up",
    minutes=4,
    question=r"""An image's codes are of two kinds, each drawn half the time: good ones with log w =
        −100 and poor ones with log w = −110. With one code the estimate is −105 nats on average.
        What is its average with *two* codes, $\mathbb E[\widehat{\log p}_2]$? Work it out by hand,
        to two decimals.""",
    solution="""
        good, poor = -100, -110
        mixed = math.log((math.exp(good) + math.exp(poor)) / 2)
        two_codes = good / 4 + mixed / 2 + poor / 4  # nats""",
    reasoning=r"""There are four pairs, equally likely, and two of them are mixed. Two good codes
        estimate −100, two poor ones −110. A mixed pair averages its weights first:
        $\log\frac{e^{-100}+e^{-110}}2 = -100 - \log 2 + \log(1+e^{-10}) \approx -100.69$. Hence
        $\frac14(-100) + \frac12(-100.69) + \frac14(-110) = -102.85$. (Python's floats hold
        $e^{-110}$; those of float32 do not, so there one writes `log_mean_exp`.)

        Only the mixed pairs gain on the ELBO of −105: there the good weight hides the poor one, at
        the price of $\log 2$.""",
    within=0.02,
    mistakes="""
        -105
            That is the ELBO, the average of the logarithms. With two codes the weights are
            averaged first: what does a mixed pair give?
        mixed
            That is log p(x), which more and more codes would approach. Two codes may both be poor
            ones.
        (good + mixed + poor) / 3
            It takes the three kinds of pair for equally likely. In how many ways can each be
            drawn?
        (good + mixed + poor) / 4
            The probabilities do not add up to 1: in how many orders can a mixed pair come?
        right + log(2)
            It adds the two weights of each pair. The estimate averages them.
        good / 4 + good / 2 + poor / 4
            It takes a mixed pair for as good as a pair of good ones. The poor weight is nearly 0,
            but it is counted in the average.
        good / 4 + (good - log10(2)) / 2 + poor / 4
            Use the natural logarithm, of base e; this looks like base 10.
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        -right
            The logarithm of a weight far below 1: check the sign.
        mixed - right
            That is by how much the bound falls short of log p(x). The bound is asked for.
        -105 + log(2)
            It adds log 2 to what one code gives. Would two codes of the same kind, averaged, give
            more than one of them?
        good / 4 + poor / 2 + poor / 4
            It takes a mixed pair for as bad as a pair of poor ones. Which of its two weights
            decides the average?""",
    hints="""
        - List the pairs that can be drawn, with their probabilities.
        - For each kind of pair: average the two weights, then take the logarithm.
        - Beside e^−100 a weight of e^−110 is next to nothing: log ½ decides the mixed pair.""",
    fact="""log p(x) is −100.69 here, so one code is 4.31 nats short on average and two are 2.15.
        What remains comes from the quarter of pairs in which both codes are poor.""",
)


def effective_codes(log_weights):
    """The effective sample size of each image; log weights (code, image) -> (image,)."""
    shares = log_weights.softmax(0)
    return 1 / shares.square().sum(0)


# An image a column: in the fourth one code is poor among good ones, in the sixth one is good among
# poor ones, so that no pivot but the largest will do, in float64 either. The last one is so far
# below the fifth that a single pivot for all fails in float64, where none at all would do; so are
# the last ones of the piles.
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
    slug="effective-codes",
    title="What the codes are worth",
    kind="core",
    minutes=6,
    question=r"""Write the function that computes how many codes of equal weight an image's codes
        are worth, $1/\sum_i\tilde w_i^2$, for a whole table of *log* weights at once. It must work
        where `exp` gives 0: the checks have log weights of −110 and of −900.""",
    solution=effective_codes,
    reasoning=r"""The shares $\tilde w_i = w_i/\sum_j w_j$ of an image are the softmax of its log
        weights over the codes. Softmax takes the largest logarithm out before the exponential, so
        weights of $e^{-110}$ or $e^{-900}$ are no problem; dividing `log_weights.exp()` by its sum
        would be 0/0. Equal shares of $1/k$ give $1/(k\cdot k^{-2}) = k$, one share of 1 gives 1.
        Without shares, $2\log\sum w - \log\sum w^2$ is the logarithm of the same number.""",
    probes=[(_weights,), (_weights[:3, :2].double(),)],
    given="""
        w, shares = log_weights, log_weights.softmax(0)

        def worth(w, eps=0):
            return 1 / (w.exp() / (w.exp().sum(0) + eps)).square().sum(0)""",
    mistakes="""
        worth(w)
            Some values are not numbers: e^−110 is 0 in float32, and 0/0 is undefined. What may be
            subtracted from all log weights of an image without changing their shares?
        worth(w - w.max())
            One number is subtracted from all images' weights, and those far below it are 0 again.
            Each image needs its own.
        worth(w.double() - w.max())
            In float64, too, one number subtracted from all images' weights leaves some of them at
            0. With what should an image's own weights be compared?
        worth(w - w.mean(0))
            Where one code is far better than the others, e to a large positive power is infinite.
            What must be subtracted so that no exponent is positive?
        worth(w - w.amin(0))
            What is subtracted lies far below an image's largest log weight, and e to the
            difference is infinite. What must be subtracted so that no exponent is positive?
        worth(w, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} keeps 0/0 away, but the shares of weights that are all 0 do not add
            up to 1. What may be subtracted from all log weights of an image without changing their
            shares?
        worth(w.double())
            float64 only moves the limit, from e^−103 to e^−745. There is a way that has none.
        1 / right
            It is between 0 and 1 and falls as the codes get better. What is left to do?
        1 / shares.sum(0).square()
            It is 1 whatever the weights are: is it a sum of squares or a square of the sum?
        1 / shares.amax(0)
            It looks at the largest share alone. All shares count, by their squares.
        right.log()
            That is still a logarithm. Of what?
        1 / shares.norm(dim=0)
            For equal weights it gives the root of the number of codes: what does a norm do last?
        torch.distributions.Categorical(shares.T).entropy().exp()
            That is the exponential of the shares' entropy. It agrees in the two extreme cases, but
            it is another measure.
        1 / (w / w.sum(0)).square().sum(0)
            It takes the logarithms for the weights, which makes them all look alike.
        1 / (w - w.amax(0)).exp().square().sum(0)
            The largest is taken out, well done, but then the shares do not add up to 1.""",
    hints="""
        - Two steps: the shares, which add up to 1 for each image; then one over their squares' sum.
        - The shares do not change if the largest log weight is subtracted first, as in
          `log_mean_exp`.
        - torch has a function that turns logarithms into such shares: it is the usual last layer
          of a classifier.""",
    fact="""For equal weights it is the number of codes, at worst it is 1. Without shares it is
        (Σw)²/Σw², the form that Kish gave for surveys.""",
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
    question="""5,000 weights per image need not be in memory together. Suppose the first `n`
        weights are gone, but the logarithm of their mean was kept, and the next `m` weights have
        given theirs. Merge the two: return the log of the mean of all `n + m` weights, for each
        image, stably. `n` and `m` are whole numbers of at least 1, and not equal in general; one
        image's values lie near −900.""",
    solution=merge,
    reasoning=r"""A mean times its count is a sum, so the mean of all is $\frac{n e^a + m e^b}{n+m}$
        for $a$ = `first` and $b$ = `second`. Its logarithm without leaving the logarithms:
        $n e^a = e^{a+\log n}$, and `logaddexp` adds two such numbers with the larger one taken out.
        With $n = m$ the counts cancel to $-\log 2$, but a last chunk is rarely a full one.
        `evaluation.estimate` keeps the logarithm of the *sum* and subtracts $\log k$ once,
        which is the same with one logarithm less per chunk.""",
    probes=[(_first, 3, _second, 5), (_second[1:].double(), 200, _first[1:].double(), 50)],
    given="""
        a, b, add = first, second, torch.logaddexp
        largest = torch.maximum(a, b)

        def naive(a, b, eps=0):
            return ((n * a.exp() + m * b.exp()) / (n + m) + eps).log()""",
    mistakes="""
        add(a, b) - log(2)
            It gives both piles the same weight. One has more weights in it than the other.
        (n * a + m * b) / (n + m)
            It averages logarithms, which is how ELBOs are merged. These are logarithms of
            averages.
        (a + b) / 2
            It averages logarithms, and the counts make no difference. What may be averaged?
        add(a, b)
            It adds the two averages. For piles of equal weights it should leave them as they are.
        right + log(n + m)
            That is the logarithm of the sum of all weights, right so far. What makes a mean of it?
        add(a, b) - log(n + m)
            It divides by the number of all weights, but the two it adds are means already.
        merge(a, m, b, n)
            Each pile got the other's count.
        add(n * a, m * b) - log(n + m)
            The count multiplies the logarithm. It should multiply what is inside.
        naive(a - largest.max(), b - largest.max()) + largest.max()
            One maximum is subtracted from all images, and those far below it become −∞. Each image
            needs its own.
        naive(a.double() - largest.max(), b.double() - largest.max()) + largest.max()
            In float64, too, one maximum for all images sends some of them to −∞. Whose maximum
            does an image need?
        right - largest
            Something was subtracted before the exponential, rightly. What became of it after the
            logarithm?
        a + naive(a - a, b - a)
            It subtracts the first pile's value, and where the second's is far larger e^(b − a) is
            infinite. Which of the two must be subtracted, image by image?
        (right + log(n + m)) / (n + m)
            It divides the logarithm by the number of weights. What becomes of a division that is
            done inside?
        add(a - log(n), b - log(m)) - log(n + m)
            It divides each mean by its count. How does one get from a mean back to a sum?
        naive(a, b, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} keeps log 0 away, and moves everything that lies below −{cap} to
            there. Can the large power be kept out of exp?
        naive(a, b)
            Right on paper. In float32 e^−110 is 0, and its logarithm −∞.
        naive(a.double(), b.double())
            Right on paper, and float64 helps down to e^−745. One image lies below that.""",
    hints="""
        - On paper first: from the mean of each pile, what is the mean of all? Then its logarithm.
        - n·e^a is e^(a + log n).
        - torch.logaddexp(a, b) is log(e^a + e^b), computed stably.""",
    fact="""So an estimate can go on growing, chunk after chunk, in the memory of one chunk:
        `evaluation.estimate` takes its 5,000 codes like this.""",
)

ONE_DIMENSION = Exercise(
    slug="bill-of-a-dimension",
    title="The bill of a dimension",
    kind="core",
    minutes=5,
    question="""Take one latent dimension. All images' codes together have mean 0 and variance 1
        there, as in the prior; each image's own Gaussian has σ = ½. Predict the dimension's KL,
        averaged over the images, in nats, to two decimals.""",
    solution="""
        spread_within = 0.5**2
        spread_of_means = 1 - spread_within
        half_bill = 0.5 * (spread_of_means + spread_within - 1 - 2 * math.log(0.5))  # nats""",
    reasoning=r"""The variance of all codes is the variance of the means plus the average of the
        variances: $1 = \mathrm{Var}_x(\mu) + \frac14$. As the means average to 0, the average of
        $\mu^2$ is $\mathrm{Var}_x(\mu) = \frac34$. So in $\frac12(\mu^2+\sigma^2-1-2\log\sigma)$
        the first three terms cancel on average, and $-\log\frac12 = \log 2 \approx 0.693$ nats are
        left: one bit.

        The threshold of 0.01 is generous in this light. A dimension with
        $\mathrm{Var}_x(\mu) = 0.01$ and $\sigma^2 = 0.99$ carries
        $-\frac12\log 0.99 \approx 0.005$ nats, and is counted.""",
    within=0.005,
    given="bill = lambda square, logarithm=2 * log(2): 0.5 * (square + 0.25 - 1 + logarithm)",
    mistakes="""
        bill(0)
            It takes every mean for 0. Then all codes together would vary by σ² only.
        bill(1)
            A little too much. Do the two variances, of the means and within an image, add up to
            that of all codes?
        bill(0.5)
            It is the variances that add up, not the standard deviations.
        bill(0.75**2)
            A variance is a mean square already: is anything left to be squared?
        0.75
            That is how much the means vary, which is what makes a dimension active. It is one term
            of the KL, not the whole.
        2 * right
            Twice too much: what stands before the bracket?
        -right
            A divergence is never negative: check the sign of log σ.
        right / 2
            Half is missing. Is ½ the σ or the σ²? And has the bracket log σ or log σ²?
        bill(1.75)
            Too much by a constant: which term of the bracket got lost?
        right / log(2)
            That is the right amount, in bits. The course counts in nats.
        log10(2)
            Use the natural logarithm, of base e; this looks like base 10.""",
    hints="""
        - The average over images of ½(μ² + σ² − 1 − 2 log σ) needs the average of μ².
        - Variance of all codes = variance of the means + average of the variances.
        - The means average to 0, so the average of μ² is their variance.""",
    fact="""Where the codes together have the prior's mean and variance the KL is −log σ on average:
        to halve the uncertainty costs one bit. A dimension at the threshold of 0.01 then carries
        only 0.005 nats.""",
)


def tighter_loss(losses):
    """Minus the bound of all codes, averaged over images; losses −log w (image, code) -> ()."""
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
    question="""Somebody has the loss −log w of each image and each of its codes, and wants to train
        on the tighter bound:

        ```python
        def tighter_loss(losses):  # −log w, shape (image, code)
            return torch.logsumexp(losses, dim=1).mean()
        ```

        The loss should be minus the bound of all an image's codes, averaged over the images, and
        gradients must flow back through it. There are two bugs in the line. Fix both.""",
    solution=tighter_loss,
    reasoning=r"""The losses are $-\log w$, so it is $-$`losses` that goes into the exponential: the
        snippet sums $1/w$, and so lets the *worst* code of each image decide. And the bound is the
        log of a *mean*, which is the log of the sum less $\log k$; without that, it grows with
        every code that is added, good or bad, and is no bound. The missing $\log k$ has no
        gradient, so training would not notice; anyone who reads the number would. The change of
        sign training does notice. The last mean, over images, stays outside the logarithm: the data
        set's log-likelihood is a sum of logarithms.""",
    probes=[
        (_losses,),
        (_losses[:2, :3].double() / 10,),
        (torch.tensor([[110.3, 112.0], [250.9, 249.5]]),),  # too far apart for float32 alone
        (_losses[2:].repeat(2, 1) + 0.5,),
    ],
    trains=True,
    given="""
        images, codes = losses.shape

        def naive(losses, eps=0):
            return -((-losses).exp().mean(1) + eps).log().mean()""",
    mistakes="""
        losses.logsumexp(1).mean()
            That is the snippet as it stands. Give it equal losses in a row: what should it return,
            and what does it return?
        (-losses).logsumexp(1).mean()
            The best code counts most now. Which sign has a loss, and what does a row of equal
            losses give?
        -losses.logsumexp(1).mean()
            A minus outside, but inside the logarithm the worst code still counts most. What is a
            log weight, in terms of its loss?
        -(-losses).logsumexp(1).mean()
            One bug is found. The other: for a row of equal losses it is still not that loss.
        losses.logsumexp(1).mean() - log(codes)
            One bug is found. The other: which code of a row counts most, the best one or the
            worst?
        losses.amin(1).mean()
            It keeps the best code alone. The others' weights are small, but they are averaged in.
        (-(-losses).logsumexp(1) / codes).mean()
            It divides the logarithm by the number of codes. The mean is under the logarithm.
        losses.mean()
            That is the loss of one code, averaged, so the ELBO's. The weights must be averaged
            before the logarithm.
        log(losses.numel()) - (-losses).flatten().logsumexp(0)
            It averages the weights of all images in one logarithm. Each image has its own log
            p(x); what is averaged over images?
        right * images
            The loss grows with the number of images: should it?
        -(-losses).logsumexp(1).mean() - log(codes)
            The count of codes is there, but it makes things worse: add it or subtract it?
        -(-losses).logsumexp(1).mean() + log(images)
            It divides by the number of images where the number of codes belongs.
        tighter_loss(losses.T)
            It averages over images inside the logarithm, and over codes outside. Here the codes
            come second.
        -(-losses / codes).logsumexp(1).mean()
            It divides each log weight by the number of codes. It is the weights, or their sum,
            that a mean divides: what does that do to the logarithm?
        ((-losses).softmax(1) * losses).sum(1).mean()
            It averages the losses, each by its code's share of the weights. What does the bound
            average, and what does it take the logarithm of?
        naive(losses, eps) for eps in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} keeps log 0 away, and limits an image's loss to {cap}, where its
            gradient is 0. Which function of torch needs none?
        naive(losses)
            Right on paper. In float32 e^−110 is 0, and its logarithm −∞.
        naive(losses.double())
            Right on paper, and float64 helps down to e^−745. How large may a loss be?
        losses.min() + naive(losses - losses.min())
            One minimum is subtracted from all images' losses, and the weights of those far above
            it are 0. Each image needs its own.
        losses.min() + naive(losses.double() - losses.min())
            In float64, too, one minimum for all images leaves those far above it with weights of
            0. Whose minimum does an image need?""",
    hints="""
        - Try the snippet on torch.full((1, 4), 100.0). Four equal codes should give 100.
        - What is log w in terms of the losses?
        - A log of a mean is a log of a sum, less something. Which something?""",
    fact="""Both bugs are in a sketch at github.com/YosefLab/scVI-dev/issues/8, and are fixed in its
        copy at github.com/scverse/scvi-tools/issues/13. The snippet's loss rewards a model for its
        worst code.""",
)

EXERCISES = (TWO_CODES, EFFECTIVE, TWO_PILES, ONE_DIMENSION, TWO_BUGS)
