"""Exercises of notebook 6."""

import math

import torch
from torch import Tensor

from vaelib.course.exercises.judging import Exercise, Mistake

_mixed = -100 + math.log((1 + math.exp(-10)) / 2)
_two_codes = -100 / 4 + _mixed / 2 - 110 / 4


def _worth(log_weights: Tensor) -> Tensor:
    return 1 / log_weights.softmax(0).square().sum(0)


def _naive_worth(log_weights: Tensor) -> Tensor:
    weights = log_weights.exp()
    return 1 / (weights / weights.sum(0)).square().sum(0)


def _perplexity(log_weights: Tensor) -> Tensor:
    return torch.distributions.Categorical(logits=log_weights.T).entropy().exp()


def _merged(first: Tensor, n: int, second: Tensor, m: int) -> Tensor:
    return torch.logaddexp(first + math.log(n), second + math.log(m)) - math.log(n + m)


def _naively_merged(first: Tensor, n: int, second: Tensor, m: int) -> Tensor:
    return ((n * first.exp() + m * second.exp()) / (n + m)).log()


def _bounds(losses: Tensor) -> Tensor:
    return (-losses).logsumexp(1) - math.log(losses.shape[1])


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
_first = torch.tensor([-110.0, -82.3, -900.0, -3.0, -900.0, 300.0, -500.0])
_second = torch.tensor([-109.3, -82.9, -901.2, -2.1, -100.0, 299.1, -501.3])
_losses = torch.tensor(
    [[112.0, 110.5, 111.1, 114.0], [81.0, 80.2, 83.5, 80.4], [910.9, 910.9, 912.2, 911.0]]
)
_far_losses = torch.tensor([[110.3, 112.0], [250.9, 249.5]])  # too far for float32 alone
_epsilons = (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)

EXERCISES = {
    "6.1": Exercise(
        "Two codes of two kinds",
        "warm-up",
        4,
        answer=_two_codes,
        within=0.02,
        mistakes=[
            Mistake(
                -105,
                "That is the ELBO, the average of the logarithms. With two codes the weights are "
                "averaged first: what does a mixed pair give?",
            ),
            Mistake(
                _mixed,
                "That is log p(x), what more and more codes would arrive at. Two codes may both "
                "be poor ones.",
            ),
            Mistake(
                (-100 + _mixed - 110) / 3,
                "It takes the three kinds of pair for equally likely. In how many ways can each "
                "be drawn?",
            ),
            Mistake(
                (-100 + _mixed - 110) / 4,
                "The probabilities do not add up to 1: in how many orders can a mixed pair come?",
            ),
            Mistake(
                _two_codes + math.log(2),
                "It adds the two weights of each pair. The estimate averages them.",
            ),
            Mistake(
                -100 / 4 - 100 / 2 - 110 / 4,
                "It takes a mixed pair for as good as a pair of good ones. The poor weight is as "
                "good as 0, but it is counted in the average.",
            ),
            Mistake(
                -100 / 4 - (100 + math.log10(2)) / 2 - 110 / 4,
                "The logarithm is the natural one, of base e; this looks like base 10.",
            ),
            Mistake(
                _two_codes / math.log(2),
                "That is the right amount, in bits. The course counts in nats.",
            ),
            Mistake(-_two_codes, "The logarithm of a weight far below 1: check the sign."),
            Mistake(
                _mixed - _two_codes,
                "That is by how much the bound falls short of log p(x). The bound is asked for.",
            ),
            Mistake(
                -105 + math.log(2),
                "It adds log 2 to what one code gives. Would two codes of the same kind, averaged, "
                "give more than one of them?",
            ),
            Mistake(
                -100 / 4 - 110 / 2 - 110 / 4,
                "It takes a mixed pair for as bad as a pair of poor ones. Which of its two weights "
                "decides the average?",
            ),
        ],
        hints=[
            "List the pairs that can be drawn, with their probabilities.",
            "For each kind of pair: average the two weights, then take the logarithm.",
            "Beside e^−100 a weight of e^−110 is next to nothing: log ½ decides the mixed pair.",
        ],
        fact="log p(x) is −100.69 here, so one code is 4.31 nats short on average and two are "
        "2.15. What remains is the doing of the quarter of pairs in which both codes are poor.",
    ),
    "6.2": Exercise(
        "What the codes are worth",
        "core",
        6,
        answer=_worth,
        probes=[(_weights,), (_weights[:3, :2].double(),)],
        mistakes=[
            Mistake(
                _naive_worth,
                "Some values are no numbers: e^−110 is 0 in float32, and 0/0 nothing. What may be "
                "taken off all log weights of an image without changing their shares?",
            ),
            Mistake(
                lambda w: _naive_worth(w - w.max()),
                "One number is taken off all images' weights, and those far below it are 0 again. "
                "Each image needs its own.",
            ),
            Mistake(
                lambda w: _naive_worth(w.double() - w.max()),
                "In float64, too, one number taken off all images' weights leaves some of them "
                "at 0. What is it that an image's own weights are compared with?",
            ),
            Mistake(
                lambda w: _naive_worth(w - w.mean(0)),
                "Where one code is far better than the others, e to a large positive power is "
                "infinite. What must be taken off so that no exponent is positive?",
            ),
            Mistake(
                lambda w: _naive_worth(w - w.amin(0)),
                "What is taken off lies far below an image's largest log weight, and e to the "
                "difference is infinite. What must be taken off so that no exponent is positive?",
            ),
            *(
                Mistake(
                    lambda w, eps=eps: 1 / (w.exp() / (w.exp().sum(0) + eps)).square().sum(0),
                    f"An epsilon of {eps:g} keeps 0/0 away, but the shares of weights that "
                    "are all 0 do not add up to 1. What may be taken off all log weights of an "
                    "image without changing their shares?",
                )
                for eps in _epsilons
            ),
            Mistake(
                lambda w: _naive_worth(w.double()),
                "float64 only moves the cliff, from e^−103 to e^−745. There is a way that has "
                "none.",
            ),
            Mistake(
                lambda w: w.softmax(0).square().sum(0),
                "It is between 0 and 1 and falls as the codes get better. What is left to do?",
            ),
            Mistake(
                lambda w: 1 / w.softmax(1).square().sum(1),
                "It gives one value for each code, with the shares taken over images. Which "
                "dimension are the codes?",
            ),
            Mistake(
                lambda w: 1 / w.flatten().softmax(0).square().sum(),
                "It is one number for all images together. An image's shares are its own.",
            ),
            Mistake(
                lambda w: 1 / w.softmax(0).sum(0).square(),
                "It is 1 whatever the weights are: is it a sum of squares or a square of the sum?",
            ),
            Mistake(
                lambda w: 1 / w.softmax(0).square().mean(0),
                "For equal weights it gives the square of the number of codes. Sum or mean?",
            ),
            Mistake(
                lambda w: _worth(w) / len(w),
                "That is the worth as a fraction of the codes drawn. A number of codes is asked "
                "for.",
            ),
            Mistake(
                lambda w: 1 / w.softmax(0).amax(0),
                "It looks at the largest share alone. All shares count, by their squares.",
            ),
            Mistake(
                lambda w: -(2 * w.log_softmax(0)).logsumexp(0),
                "That is still a logarithm. Of what?",
            ),
            Mistake(
                lambda w: 1 / w.softmax(0).norm(dim=0),
                "For equal weights it gives the root of the number of codes: what does a norm do "
                "last?",
            ),
            Mistake(
                _perplexity,
                "That is the exponential of the shares' entropy, a measure with the same two "
                "ends, but not this one.",
            ),
            Mistake(
                lambda w: 1 / (w / w.sum(0)).square().sum(0),
                "It takes the logarithms for the weights, which makes them all look alike.",
            ),
            Mistake(
                lambda w: 1 / (w - w.amax(0)).exp().square().sum(0),
                "The largest is taken out, well done, but then the shares do not add up to 1.",
            ),
        ],
        hints=[
            "Two steps: the shares, which add up to 1 for each image; then one over their squares' "
            "sum.",
            "The shares do not change if the largest log weight is taken off first, as in "
            "`log_mean_exp`.",
            "torch has a function that turns logarithms into such shares: you met it as the last "
            "layer of classifiers.",
        ],
        fact="For equal weights it is the number of codes, at worst it is 1. Without shares it "
        "reads (Σw)²/Σw², the form that Kish gave for surveys.",
    ),
    "6.3": Exercise(
        "Two piles of weights",
        "core",
        8,
        answer=_merged,
        probes=[(_first, 3, _second, 5), (_second[1:].double(), 200, _first[1:].double(), 50)],
        mistakes=[
            Mistake(
                lambda a, n, b, m: torch.logaddexp(a, b) - math.log(2),
                "It gives both piles equal say. One has more weights than the other.",
            ),
            Mistake(
                lambda a, n, b, m: (n * a + m * b) / (n + m),
                "It averages logarithms, which is how ELBOs are merged. These are logarithms of "
                "averages.",
            ),
            Mistake(
                lambda a, n, b, m: (a + b) / 2,
                "It averages logarithms, and the counts have no say. What is it that may be "
                "averaged?",
            ),
            Mistake(
                lambda a, n, b, m: torch.logaddexp(a, b),
                "It adds the two averages. For piles of equal weights it should leave them as "
                "they are.",
            ),
            Mistake(
                lambda a, n, b, m: torch.logaddexp(a + math.log(n), b + math.log(m)),
                "That is the logarithm of the sum of all weights, right so far. What makes a mean "
                "of it?",
            ),
            Mistake(
                lambda a, n, b, m: torch.logaddexp(a, b) - math.log(n + m),
                "It divides by the number of all weights, but the two it adds are means already.",
            ),
            Mistake(
                lambda a, n, b, m: _merged(a, m, b, n),
                "Each pile got the other's count.",
            ),
            Mistake(
                lambda a, n, b, m: torch.logaddexp(n * a, m * b) - math.log(n + m),
                "The count multiplies the logarithm. It should multiply what is inside.",
            ),
            Mistake(
                lambda a, n, b, m: (
                    _naively_merged(
                        a - torch.maximum(a, b).max(), n, b - torch.maximum(a, b).max(), m
                    )
                    + torch.maximum(a, b).max()
                ),
                "One maximum is taken off all images, and those far below it become −∞. Each "
                "image needs its own.",
            ),
            Mistake(
                lambda a, n, b, m: (
                    _naively_merged(
                        a.double() - torch.maximum(a, b).max(),
                        n,
                        b.double() - torch.maximum(a, b).max(),
                        m,
                    )
                    + torch.maximum(a, b).max()
                ),
                "In float64, too, one maximum for all images sends some of them to −∞. Whose "
                "maximum does an image need?",
            ),
            Mistake(
                lambda a, n, b, m: _merged(a, n, b, m) - torch.maximum(a, b),
                "Something was taken off before the exponential, rightly. What became of it after "
                "the logarithm?",
            ),
            Mistake(
                lambda a, n, b, m: a + ((n + m * (b - a).exp()) / (n + m)).log(),
                "It takes the first pile's value off, and where the second's is far larger "
                "e^(b − a) is infinite. Which of the two must be taken off, image by image?",
            ),
            Mistake(
                lambda a, n, b, m: torch.logaddexp(a + math.log(n), b + math.log(m)) / (n + m),
                "It divides the logarithm by the number of weights. What becomes of a division "
                "that is done inside?",
            ),
            Mistake(
                lambda a, n, b, m: (
                    torch.logaddexp(a - math.log(n), b - math.log(m)) - math.log(n + m)
                ),
                "It divides each mean by its count. How does one get from a mean back to a sum?",
            ),
            *(
                Mistake(
                    lambda a, n, b, m, eps=eps: ((n * a.exp() + m * b.exp()) / (n + m) + eps).log(),
                    f"An epsilon of {eps:g} keeps log 0 away, and puts all that lies below "
                    f"{math.log(eps):.0f} there. Can the large power be kept out of exp?",
                )
                for eps in _epsilons
            ),
            Mistake(
                _naively_merged,
                "Right on paper. In float32 e^−110 is 0, and its logarithm −∞.",
            ),
            Mistake(
                lambda a, n, b, m: _naively_merged(a.double(), n, b.double(), m),
                "Right on paper, and float64 helps down to e^−745. One image lies below that.",
            ),
        ],
        hints=[
            "On paper first: from the mean of each pile, what is the mean of all? Then its "
            "logarithm.",
            "n·e^a is e^(a + log n).",
            "torch.logaddexp(a, b) is log(e^a + e^b), done stably.",
        ],
        fact="So an estimate can go on growing, chunk after chunk, in the memory of one chunk: "
        "`evaluation.score` takes its 5,000 codes like this.",
    ),
    "6.4": Exercise(
        "The bill of a dimension",
        "core",
        5,
        answer=math.log(2),
        within=0.005,
        mistakes=[
            Mistake(
                0.5 * (0.25 - 1 + 2 * math.log(2)),
                "It takes every mean for 0. Then all codes together would vary by σ² only.",
            ),
            Mistake(
                0.5 * (1 + 0.25 - 1 + 2 * math.log(2)),
                "A little too much. Do the two variances, of the means and within an image, add "
                "up to that of all codes?",
            ),
            Mistake(
                0.5 * (0.5 + 0.25 - 1 + 2 * math.log(2)),
                "It is the variances that add up, not the standard deviations.",
            ),
            Mistake(
                0.5 * (0.75**2 + 0.25 - 1 + 2 * math.log(2)),
                "A variance is a mean square already: is anything left to be squared?",
            ),
            Mistake(
                0.75,
                "That is how much the means vary, which is what makes a dimension active. It goes "
                "into the bill, but is not it.",
            ),
            Mistake(2 * math.log(2), "Twice too much: what stands before the bracket?"),
            Mistake(-math.log(2), "A divergence is never negative: check the sign of log σ."),
            Mistake(
                0.5 * math.log(2),
                "Half is missing. Is ½ the σ or the σ²? And has the bracket log σ or log σ²?",
            ),
            Mistake(
                0.5 * (1 + 2 * math.log(2)),
                "Too much by a constant: which term of the bracket got lost?",
            ),
            Mistake(1.0, "That is the right amount, in bits. The course counts in nats."),
            Mistake(
                math.log10(2),
                "The logarithm is the natural one, of base e; this looks like base 10.",
            ),
        ],
        hints=[
            "The average over images of ½(μ² + σ² − 1 − 2 log σ) needs the average of μ².",
            "Variance of all codes = variance of the means + average of the variances.",
            "The means average to 0, so the average of μ² is their variance.",
        ],
        fact="Where the codes together have the prior's mean and variance the bill is −log σ: to "
        "halve the uncertainty costs one bit. A dimension at the threshold of 0.01 then carries "
        "only 0.005 nats.",
    ),
    "6.5": Exercise(
        "Two bugs in one line",
        "stretch",
        8,
        answer=lambda losses: -_bounds(losses).mean(),
        probes=[
            (_losses,),
            (_losses[:2, :3].double() / 10,),
            (_far_losses,),
            (_losses[2:].repeat(2, 1) + 0.5,),
        ],
        trains=True,
        mistakes=[
            Mistake(
                lambda losses: losses.logsumexp(1).mean(),
                "That is the snippet as it stands. Give it equal losses in a row: what should it "
                "return, and what does it?",
            ),
            Mistake(
                lambda losses: (-losses).logsumexp(1).mean(),
                "The best code counts most now. Which sign has a loss, and what does a row of "
                "equal losses give?",
            ),
            Mistake(
                lambda losses: -losses.logsumexp(1).mean(),
                "A minus outside, but inside the logarithm the worst code still counts most. What "
                "is a log weight, in terms of its loss?",
            ),
            Mistake(
                lambda losses: -(-losses).logsumexp(1).mean(),
                "One bug is found. The other: for a row of equal losses it is still not that loss.",
            ),
            Mistake(
                lambda losses: (losses.logsumexp(1) - math.log(losses.shape[1])).mean(),
                "One bug is found. The other: which code of a row counts most, the best one or "
                "the worst?",
            ),
            Mistake(
                lambda losses: losses.min(1).values.mean(),
                "It keeps the best code alone. The others' weights are small, but are averaged in.",
            ),
            Mistake(
                lambda losses: (-(-losses).logsumexp(1) / losses.shape[1]).mean(),
                "It divides the logarithm by the number of codes. The mean is under the logarithm.",
            ),
            Mistake(
                lambda losses: losses.mean(),
                "That is the loss of one code, averaged, so the ELBO's. The weights must be "
                "averaged before the logarithm.",
            ),
            Mistake(
                lambda losses: -((-losses).flatten().logsumexp(0) - math.log(losses.numel())),
                "It averages the weights of all images in one logarithm. Each image has its own "
                "log p(x); what is averaged over images?",
            ),
            Mistake(
                lambda losses: _bounds(losses).mean(),
                "That is the bound. A loss is minimised: what has to change?",
            ),
            Mistake(
                lambda losses: -_bounds(losses),
                "One value for each image: right so far. A loss is one number for the batch.",
            ),
            Mistake(
                lambda losses: -_bounds(losses).sum(),
                "The loss grows with the number of images: should it?",
            ),
            Mistake(
                lambda losses: -((-losses).logsumexp(1) + math.log(losses.shape[1])).mean(),
                "The count of codes is there, but it makes things worse: add it or take it off?",
            ),
            Mistake(
                lambda losses: -((-losses).logsumexp(1) - math.log(len(losses))).mean(),
                "It divides by the number of images where the number of codes belongs.",
            ),
            Mistake(
                lambda losses: -_bounds(losses.T).mean(),
                "It averages over images inside the logarithm, and over codes outside. Here the "
                "codes come second.",
            ),
            Mistake(
                lambda losses: -(-losses / losses.shape[1]).logsumexp(1).mean(),
                "It divides each log weight by the number of codes. It is the weights, or their "
                "sum, that a mean divides: what does that do to the logarithm?",
            ),
            Mistake(
                lambda losses: ((-losses).softmax(1) * losses).sum(1).mean(),
                "It averages the losses, each by its code's share of the weights. What does the "
                "bound average, and what does it take the logarithm of?",
            ),
            *(
                Mistake(
                    lambda losses, eps=eps: -((-losses).exp().mean(1) + eps).log().mean(),
                    f"An epsilon of {eps:g} keeps log 0 away, and caps an image's loss at "
                    f"{-math.log(eps):.0f}, where its gradient is 0. Which function of torch "
                    "needs none?",
                )
                for eps in _epsilons
            ),
            Mistake(
                lambda losses: -(-losses).exp().mean(1).log().mean(),
                "Right on paper. In float32 e^−110 is 0, and its logarithm −∞.",
            ),
            Mistake(
                lambda losses: -(-losses.double()).exp().mean(1).log().mean(),
                "Right on paper, and float64 helps down to e^−745. How large may a loss be?",
            ),
            Mistake(
                lambda losses: losses.min() - (losses.min() - losses).exp().mean(1).log().mean(),
                "One minimum is taken off all images' losses, and the weights of those far above "
                "it are 0. Each image needs its own.",
            ),
            Mistake(
                lambda losses: (
                    losses.min() - (losses.min() - losses.double()).exp().mean(1).log().mean()
                ),
                "In float64, too, one minimum for all images leaves those far above it with "
                "weights of 0. Whose minimum does an image need?",
            ),
        ],
        hints=[
            "Try the snippet on torch.full((1, 4), 100.0). Four equal codes should give 100.",
            "What is log w in terms of the losses?",
            "A log of a mean is a log of a sum, less something. Which something?",
        ],
        fact="Both bugs stand in a sketch at github.com/YosefLab/scVI-dev/issues/8, and are mended "
        "in its copy at github.com/scverse/scvi-tools/issues/13. The snippet's loss rewards a "
        "model for its worst code.",
    ),
}
