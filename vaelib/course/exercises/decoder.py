"""Exercises of notebook 3."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.course.exercises.judging import Answer, Exercise, Mistake


def _sum_of(term: Callable[[Tensor, Tensor], Tensor]) -> Answer:
    return lambda image, logits: term(image, logits).sum(-1)


def _of_signs(image: Tensor, logits: Tensor) -> Tensor:
    return -F.softplus(-image * logits)


def _by_library(image: Tensor, probability: Tensor) -> Tensor:
    return -F.binary_cross_entropy(probability, image, reduction="none")


def _from_probabilities(image: Tensor, probability: Tensor) -> Tensor:
    return image * probability.log() + (1 - image) * (1 - probability).log()


def _score_all(images: Tensor, logits: Tensor) -> Tensor:
    return images @ logits.T - F.softplus(logits).sum(-1)


_coins = torch.tensor([[0.02, 0.1, 0.3, 0.45, 0.0, 0.4], [0.97, 0.6, 0.55, 0.3, 0.05, 0.8]])
_signs = torch.tensor([[1.0, -1.0, 1.0, -1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0, -1.0, 1.0]])
_mild = torch.tensor([[0.5, -1.5, 2.0, 1.0, -0.3, -2.5], [1.2, 0.1, -0.7, 3.0, -2.2, 0.4]])
_wild = torch.tensor(
    [[200.0, -200.0, 3.0, -1.0, 0.5, -150.0], [120.0, 1.0, -20.0, 9.0, 0.0, 200.0]]
)
_three_images = (torch.cat([_signs, -_signs[:1]]) + 1) / 2
_three_codes = torch.cat([_mild, 0.6 * _mild[:1].flip(1)])
_four_codes = torch.cat([_mild, _wild])

_epsilons = (1e-6, 1e-7, torch.finfo(torch.float32).eps, 1e-8, 1e-10, 1e-12)

EXERCISES = {
    "3.1": Exercise(
        "The most likely image",
        "warm-up",
        3,
        answer=lambda coins: (coins > 0.5).float(),
        probes=[(_coins,), (_coins[1:].double(),), (_coins[:, 2:],)],
        mistakes=[
            Mistake(
                lambda coins: coins,
                "Those are the coins, the mean image. Could a toss give a pixel of 0.3?",
            ),
            Mistake(
                lambda coins: (coins < 0.5).float(),
                "That is the least likely image: each coin shows its rarer side.",
            ),
            Mistake(
                lambda coins: (coins > 0).float(),
                "Every coin that can fall on ink is ink in it. Which side is a coin of 0.1 "
                "more likely to show? (They are probabilities already, not logits.)",
            ),
            Mistake(
                lambda coins: (coins > coins.mean(-1, keepdim=True)).float(),
                "Each coin is compared with the others of its image. The coins fall "
                "independently: with what does one compare a coin on its own?",
            ),
            Mistake(
                lambda coins: F.one_hot(coins.argmax(-1), coins.shape[-1]),
                "It has a single pixel of ink. What do the other coins most likely show?",
            ),
            Mistake(
                lambda coins: torch.sign(coins - 0.5),
                "The right sides, under other names: this notebook's images have pixels 0 and 1.",
            ),
            Mistake(
                lambda coins: (coins > 0.5) * coins,
                "The background is right. What does a coin show when it falls on ink?",
            ),
            Mistake(
                lambda coins: torch.maximum(coins, 1 - coins),
                "That is how probable the likelier side of each coin is. The side is asked for.",
            ),
            Mistake(
                lambda coins: torch.maximum(coins, 1 - coins).prod(-1),
                "That is how probable the most likely image is. The image itself is asked for.",
            ),
            Mistake(
                lambda coins: (coins.mean(0) > 0.5).float(),
                "It is one image for the whole batch. Each row of coins has its own.",
            ),
        ],
        hints=[
            "Begin with one coin of 0.3: does it fall on ink or on background more often?",
            "The coins are independent: the product is largest where each factor is.",
            "A comparison such as coins < 0.2 gives True and False for all pixels at once; "
            ".float() turns them into 1 and 0.",
        ],
        fact="The most likely image need not look like a toss: of 784 coins of 0.1 it is the blank "
        "one, with probability 10⁻³⁶, while a toss has some 78 pixels of ink.",
    ),
    "3.2": Exercise(
        "Pixels of plus and minus one",
        "core",
        6,
        answer=_sum_of(_of_signs),
        probes=[(_signs, _mild), (_signs, _wild), (_signs[:1, :4], _mild[:1, :4])],
        mistakes=[
            Mistake(
                _sum_of(lambda s, logits: s * logits - F.softplus(logits)),
                "That is the formula for pixels 0 and 1, as it stands. What does it say of a −1 "
                "under logit 0?",
            ),
            Mistake(
                _sum_of(lambda s, logits: (s * logits).sigmoid().log()),
                "For mild logits it is right. In 32 bits the sigmoid of −200 is exactly 0, and "
                "the exponential of 200 is infinite: which function of torch has neither?",
            ),
            *(
                Mistake(
                    _sum_of(lambda s, logits, eps=eps: ((s * logits).sigmoid() + eps).log()),
                    f"An epsilon of {eps:.3g}, or a clamp there, keeps log 0 away, and caps what a "
                    f"pixel can cost at {-math.log(eps):.1f} nats. What should one cost at ±200?",
                )
                for eps in _epsilons
            ),
            *(
                Mistake(
                    _sum_of(
                        lambda s, logits, eps=eps: (s * logits).sigmoid().clamp(eps, 1 - eps).log()
                    ),
                    f"A clamp at {eps:.3g} keeps log 0 away, and caps what a pixel can cost at "
                    f"{-math.log(eps):.1f} nats. What should one cost at ±200?",
                )
                for eps in _epsilons[1:-1]  # a clamp at either end is like one added
            ),
            *(
                Mistake(
                    _sum_of(
                        lambda s, logits, eps=eps: _from_probabilities(
                            (s + 1) / 2, logits.sigmoid().clamp(eps, 1 - eps)
                        )
                    ),
                    f"A clamp between {eps:.3g} and 1 − {eps:.3g} keeps log 0 away, and caps what "
                    f"a pixel can cost at {-math.log(eps):.1f} nats. What should one cost at ±200?",
                )
                for eps in _epsilons[:2]
            ),
            Mistake(
                _sum_of(lambda s, logits: s * F.logsigmoid(logits)),
                "The sign of the pixel stands before the logarithm. Is −log π what background "
                "gets, log(1 − π)?",
            ),
            Mistake(
                lambda s, logits: F.logsigmoid((s * logits).sum(-1)),
                "It adds up all logits and tosses once. Each pixel has a coin of its own.",
            ),
            Mistake(
                _sum_of(lambda s, logits: _by_library((s + 1) / 2, logits.sigmoid())),
                "A pixel costs 100 nats at most: binary_cross_entropy, which takes probabilities, "
                "clips its logarithms there. It has a sister which takes logits.",
            ),
            Mistake(
                _sum_of(lambda s, logits: _from_probabilities((s + 1) / 2, logits.sigmoid())),
                "For mild logits it is right. At ±200 it multiplies 0 by the log of 0, and that "
                "is no number.",
            ),
            Mistake(
                _sum_of(lambda s, logits: _from_probabilities(s, logits.sigmoid())),
                "For a pixel of −1, what is 1 − x? The formula of the notebook wants 0 and 1.",
            ),
            Mistake(
                _sum_of(lambda s, logits: -_of_signs(s, logits)),
                "That is what the image costs, −log p. Its log p is asked for.",
            ),
            Mistake(
                _sum_of(lambda s, logits: _of_signs(-s, logits)),
                "It scores the negative of the image: should ink like a large logit or not?",
            ),
            Mistake(
                lambda s, logits: _of_signs(s, logits).mean(-1),
                "It averages over the pixels. An image's log-probability is a sum.",
            ),
            Mistake(
                lambda s, logits: _of_signs(s, logits).sum(),
                "It is one number for the whole batch. Over which dimension should it sum?",
            ),
            Mistake(
                _of_signs,
                "That is each pixel's log-probability, and right so far. What is an image's?",
            ),
        ],
        hints=[
            "Write log π and log(1 − π) each as −log(1 + something). How do the two differ?",
            "sigmoid(−ℓ) = 1 − sigmoid(ℓ): background under ℓ is what ink would be under −ℓ.",
            "Let the sign of the pixel choose the sign of the logit.",
            "F.softplus, F.logsigmoid and torch.logaddexp are all exact at ±200.",
        ],
        fact="This is the logistic loss of classifiers, whose classes are ±1. log(1 + eˢ) is safe "
        "to compute as max(s, 0) + log1p(e^−|s|), where no exponent is positive.",
    ),
    "3.3": Exercise(
        "Where the gradient is lost",
        "core",
        5,
        answer=math.log(1e-6),
        within=0.3,
        mistakes=[
            Mistake(
                math.log(torch.finfo(torch.float32).eps),
                "That is where the picture's own eps puts it. Here eps is eight times larger.",
            ),
            Mistake(
                2 * math.log(torch.finfo(torch.float32).eps) - math.log(1e-6),
                "The right step from the picture's value, but which way? A larger eps is felt by "
                "larger probabilities.",
            ),
            Mistake(
                -math.log(1e-6),
                "There the coin is all but certain of ink. The pixel is lost where it is certain "
                "of background.",
            ),
            Mistake(-6.0, "The logarithm is the natural one, of base e; this looks like base 10."),
            Mistake(
                math.log2(1e-6),
                "The logarithm is the natural one, of base e; this looks like base 2.",
            ),
            Mistake(
                0.0,
                "There a fair coin has its gradient of ½, with or without eps. Look further to "
                "the left, where only the dashed line falls.",
            ),
            Mistake(
                math.log(5e-7),
                "There the gradient is down to a third already. How do π and eps compare where it "
                "is a half?",
            ),
            Mistake(
                math.log(2e-6),
                "There two thirds of the gradient are left. On what does it depend how much is?",
            ),
            Mistake(
                math.log(1e-6) / 2,
                "There the gradient is still 0.998. Half of the logit is not half of the gradient.",
            ),
            Mistake(
                math.log(torch.finfo(torch.float64).eps),
                "That belongs to the eps of 64 bits. Here it is 10⁻⁶.",
            ),
        ],
        hints=[
            "On the right of the fall π is far larger than eps, on its left far smaller. What is "
            "special about the middle?",
            "The sigmoid has the slope π(1 − π), so the gradient of log(π + eps) is "
            "π(1 − π) / (π + eps). So far to the left 1 − π is nearly 1.",
            "Which probability makes π / (π + eps) one half? And which logit gives it?",
            "For such a small π the odds, e^ℓ, are nearly π itself.",
        ],
        fact="Here the value, too, has left its straight line, by log 2. Each factor of ten in eps "
        "moves both by 2.3 units of logit; no eps removes them.",
    ),
    "3.4": Exercise(
        "One sigmoid too many",
        "core",
        6,
        answer=-(196 * math.log1p(math.exp(-1)) + 588 * math.log(2)),
        within=0.3,
        mistakes=[
            Mistake(
                0.0,
                "A decoder that was sure of every pixel would get there. Between which numbers "
                "do the “logits” of this one lie?",
            ),
            Mistake(
                -784 * math.log(2),
                "That is 784 fair coins, which it can have. For one kind of pixel it can do "
                "better.",
            ),
            Mistake(
                -784 * math.log1p(math.exp(-1)),
                "There every pixel is right with probability 0.73. Can the sigmoid of a positive "
                "number give background that much?",
            ),
            Mistake(
                -(588 * math.log1p(math.exp(-1)) + 196 * math.log(2)),
                "The two kinds of pixel have changed places: which of them can be no better "
                "than a fair coin?",
            ),
            Mistake(
                -(196 * math.log1p(math.exp(-1)) + 588 * math.log1p(math.exp(1))),
                "There every “logit” is 1, which is best for ink alone. Each pixel may have its "
                "own.",
            ),
            Mistake(
                -(196 * math.log1p(math.exp(-0.5)) + 588 * math.log1p(math.exp(0.5))),
                "There every “logit” is ½, as in a decoder that has learnt nothing. How far can "
                "training move each?",
            ),
            Mistake(
                -784 * (0.25 * math.log(4) + 0.75 * math.log(4 / 3)),
                "That is one coin of 0.25 for all pixels. It cannot make that coin, and it need "
                "not give all pixels the same.",
            ),
            Mistake(
                196 * math.log1p(math.exp(-1)) + 588 * math.log(2),
                "Check the sign: what is the log of a probability?",
            ),
            Mistake(
                -196 * math.log1p(math.exp(-1)),
                "That is what the ink costs. Does the background cost nothing?",
            ),
            Mistake(
                -588 * math.log(2),
                "That is what the background costs. Is the ink certain?",
            ),
            Mistake(
                -(0.25 * math.log1p(math.exp(-1)) + 0.75 * math.log(2)),
                "That is an average pixel's score. The snippet sums over 784 of them.",
            ),
            Mistake(
                -(196 * math.log1p(math.exp(-1)) / math.log(2) + 588),
                "That is the right amount, in bits. The course counts in nats.",
            ),
        ],
        hints=[
            "The function's name says what it takes. What is it given?",
            "The sigmoid of any number lies between 0 and 1. Taken for logits, those numbers "
            "give probabilities of ink between sigmoid(0) and sigmoid(1).",
            "Choose the best end of that range for a pixel of ink, then for one of background.",
            "Two kinds of pixel, two charges of log(1 + e^ℓ) − x·ℓ: multiply and add.",
        ],
        fact="No coin of it falls below ½, however long it trains; but its loss still goes down, "
        "so the bug lives long. It shows at the start: untrained it is charged some 666 nats for "
        "this image, not 543.",
    ),
    "3.5": Exercise(
        "Every image under every code",
        "stretch",
        8,
        answer=_score_all,
        probes=[
            (_three_images, _three_codes),
            (_three_images[:1], _four_codes),
            (_three_images[:, :5], _three_codes[:, :5]),
        ],
        too_large=len(_three_codes) * _three_images.numel(),
        mistakes=[
            Mistake(
                lambda images, logits: _score_all(images, logits).T,
                "Rows and columns have changed places: images go down, codes across.",
            ),
            Mistake(
                lambda images, logits: (images * logits - F.softplus(logits)).sum(-1),
                "It pairs each image with one code. All pairs are asked for.",
            ),
            Mistake(
                lambda images, logits: images @ logits.T,
                "That is the sum of x·ℓ, and right so far. What is taken off it?",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - (1 + logits.exp()).log().sum(-1),
                "For mild logits it is right. The exponential of 200 is infinite in 32 bits: "
                "which function of torch is log(1 + e^ℓ) without it?",
            ),
            Mistake(
                lambda images, logits: images @ logits.T + F.softplus(logits).sum(-1),
                "The softplus is added. No probability exceeds 1, so what must hold of the log?",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(-logits).sum(-1),
                "It takes softplus(−ℓ) off. Try one pixel of background under ℓ = −5: what should "
                "it cost, and what does it?",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(logits).mean(-1),
                "x·ℓ is summed over the pixels, softplus(ℓ) is averaged. Each pixel has both.",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(logits).sum(-1)[:, None],
                "The softplus belongs to a code, so it must be the same down a column, not "
                "along a row.",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(logits).sum(),
                "Each pair is charged the softplus of all codes together.",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(images @ logits.T),
                "It takes one softplus of the sum over pixels. Each pixel has its own coin.",
            ),
            Mistake(
                lambda images, logits: images @ logits.T - F.softplus(images).sum(-1)[:, None],
                "It takes the softplus of the image. Whose is it?",
            ),
            Mistake(
                lambda images, logits: images @ F.logsigmoid(logits).T,
                "It counts the pixels of ink alone. Background has a probability as well.",
            ),
            Mistake(
                lambda images, logits: (
                    images @ logits.sigmoid().log().T
                    + (1 - images) @ (1 - logits.sigmoid()).log().T
                ),
                "For mild logits it is right. For strong ones the sigmoid is exactly 0 or 1, and "
                "0 times log 0 is no number.",
            ),
            *(
                Mistake(
                    lambda images, logits, eps=eps: (
                        images @ (logits.sigmoid() + eps).log().T
                        + (1 - images) @ (1 - logits.sigmoid() + eps).log().T
                    ),
                    f"An epsilon of {eps:.3g} keeps log 0 away, and caps what a pixel can cost at "
                    f"{-math.log(eps):.1f} nats. Can log p be had from ℓ, without probabilities?",
                )
                for eps in _epsilons
            ),
            *(
                Mistake(
                    lambda images, logits, eps=eps: (
                        images @ logits.sigmoid().clamp(eps, 1 - eps).log().T
                        + (1 - images) @ (1 - logits.sigmoid().clamp(eps, 1 - eps)).log().T
                    ),
                    f"A clamp at {eps:.3g} keeps log 0 away, and caps what a pixel can cost at "
                    f"{-math.log(eps):.1f} nats. Can log p be had from ℓ, without probabilities?",
                )
                for eps in _epsilons[:3]  # 1 - 1e-8 is 1
            ),
            Mistake(
                lambda images, logits: _score_all(images, logits) / images.shape[-1],
                "It averages over the pixels. An image's log-probability is a sum.",
            ),
            Mistake(
                lambda images, logits: -_score_all(images, logits),
                "That is what each image costs. Its log p is asked for.",
            ),
            Mistake(
                lambda images, logits: _score_all(images, logits).sum(-1),
                "It sums over codes as well, and leaves one number an image.",
            ),
        ],
        hints=[
            "Σ (x·ℓ − softplus(ℓ)) = Σ x·ℓ − Σ softplus(ℓ). Which of the two needs the image?",
            "A sum of products, for all pairs of rows of two matrices: that is a matrix product.",
            "The other sum is one number for each code, shape (code,). Broadcasting lines it up "
            "with the last dimension of (image, code).",
        ],
        fact="10,000 images under 1,000 codes as one (image, code, pixel) tensor are 31 GB; by a "
        "matrix product they are 40 MB. The softmax of a row says how probably each "
        "code made the image, if all were equally likely before.",
    ),
}
