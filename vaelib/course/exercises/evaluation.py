"""Exercises on evaluation: estimates of log p(x) from importance weights."""

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

EXERCISES = (TWO_CODES, EFFECTIVE, TWO_PILES)
