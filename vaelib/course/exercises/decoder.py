"""Exercises on the decoder: log-likelihoods of binary pixels from logits."""

import torch
import torch.nn.functional as F

from vaelib.course.exercises.exercise import Exercise


def most_likely(coins):
    """The most likely image under each row of coins, pixels 0 or 1, shape (batch, pixel)."""
    return (coins > 0.5).float()


_coins = torch.tensor([[0.02, 0.1, 0.3, 0.45, 0.0, 0.4], [0.97, 0.6, 0.55, 0.3, 0.05, 0.8]])

MOST_LIKELY = Exercise(
    slug="most-likely-image",
    title="The most likely image",
    kind="warm-up",
    minutes=3,
    question="""Of all images, which single one is the most likely under given coins? `coins` holds
        the probability of ink of each pixel, shape (batch, pixel), and none is exactly ½. Return
        one image of 0s and 1s for each row.""",
    solution=most_likely,
    reasoning=r"""The coins are independent, so the probability of an image is a product with one
        factor per pixel, $\pi$ for ink and $1-\pi$ for background. It is largest where every factor
        is, that is where each coin shows its likelier side. This image is not the mean image, which
        holds the coins themselves and is no outcome at all. It is not what a toss looks like
        either: among many coins of 0.1 some fall on ink almost surely, yet the most likely image
        has none.""",
    probes=[(_coins,), (_coins[1:].double(),), (_coins[:, 2:],)],
    mistakes="""
        coins
            Those are the coins, the mean image. Could a toss give a pixel of 0.3?
        coins < 0.5
            That is the least likely image: each coin shows its rarer side.
        coins > 0
            Every coin that can fall on ink is ink here. Which side is a coin of 0.1 more likely to
            show? (They are probabilities already, not logits.)
        coins > coins.mean(-1, keepdim=True)
            Each coin is compared with the others of its image. The coins fall independently: with
            what do you compare a coin on its own?
        F.one_hot(coins.argmax(-1), coins.shape[-1])
            It has a single pixel of ink. What do the other coins most likely show?
        torch.sign(coins - 0.5)
            The right sides, under other names: this notebook's images have pixels 0 and 1.
        (coins > 0.5) * coins
            The background is right. What does a coin show when it falls on ink?
        torch.maximum(coins, 1 - coins)
            That is how probable the likelier side of each coin is. The side is asked for.
        torch.maximum(coins, 1 - coins).prod(-1)
            That is how probable the most likely image is. The image itself is asked for.""",
    hints="""
        - Begin with one coin of 0.3: does it fall on ink or on background more often?
        - The coins are independent: the product is largest where each factor is.
        - A comparison such as coins < 0.2 gives True and False for all pixels at once; .float()
          turns them into 1 and 0.""",
    fact="""The most likely image need not look like a toss: of 784 coins of 0.1 it is the blank
        one, with probability 10⁻³⁶, while a toss has some 78 pixels of ink.""",
)


def log_likelihood_of_signs(image, logits):
    """log p(x|z) in nats of each image with pixels −1 and +1, shape (batch,)."""
    return -F.softplus(-image * logits).sum(-1)


_signs = torch.tensor([[1.0, -1.0, 1.0, -1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0, -1.0, 1.0]])
_mild = torch.tensor([[0.5, -1.5, 2.0, 1.0, -0.3, -2.5], [1.2, 0.1, -0.7, 3.0, -2.2, 0.4]])
_wild = torch.tensor(
    [[200.0, -200.0, 3.0, -1.0, 0.5, -150.0], [120.0, 1.0, -20.0, 9.0, 0.0, 200.0]]
)

PIXELS_OF_SIGNS = Exercise(
    slug="pixels-of-signs",
    title="Pixels of plus and minus one",
    kind="core",
    minutes=6,
    question=r"""Some programs keep pixels as +1 (ink) and −1 (background). Then the sign can do
        what the two cases $x=1$ and $x=0$ did above. Write $\log p(x\mid z)$ in nats of each such
        image: `image` and `logits` have shape (batch, pixel), the result has shape (batch,). It
        must be right in 32 bits for logits of ±200 as well.""",
    solution=log_likelihood_of_signs,
    reasoning=r"""For ink, $\log\pi=-\log(1+e^{-\ell})$; for background,
        $\log(1-\pi)=-\log(1+e^{\ell})$. The two differ by the sign of $\ell$ alone, and that is the
        sign $s$ of the pixel: $\log p=-\log(1+e^{-s\ell})=-\operatorname{softplus}(-s\ell)$.
        `F.logsigmoid(image * logits)` is the same. A sigmoid followed by a log is not, on a
        computer: in 32 bits the sigmoid of $-200$ is 0, and its log infinite.""",
    probes=[(_signs, _mild), (_signs, _wild), (_signs[:1, :4], _mild[:1, :4])],
    given="""
        ink, pi, p = (image + 1) / 2, logits.sigmoid(), (image * logits).sigmoid()

        def bernoulli(ink, pi):
            return (ink * pi.log() + (1 - ink) * (1 - pi).log()).sum(-1)""",
    mistakes="""
        (image * logits - F.softplus(logits)).sum(-1)
            That is the formula for pixels 0 and 1, as it stands. What does it give for a −1 under
            logit 0?
        p.log().sum(-1)
            For mild logits it is right. In 32 bits the sigmoid of −200 is exactly 0, and the
            exponential of 200 is infinite: which function of torch has neither problem?
        (p + eps).log().sum(-1) for eps in (1e-6, 1e-7, 2**-23, 1e-8, 1e-10, 1e-12)
            An epsilon of {eps}, or a clamp there, keeps log 0 away, and limits what a pixel can
            cost to {cap} nats. What should one cost at ±200?
        p.clamp(eps, 1 - eps).log().sum(-1) for eps in (1e-7, 2**-23, 1e-8, 1e-10)
            A clamp at {eps} keeps log 0 away, and limits what a pixel can cost to {cap} nats.
            What should one cost at ±200?
        bernoulli(ink, pi.clamp(eps, 1 - eps)) for eps in (1e-6, 1e-7)
            A clamp between {eps} and 1 − {eps} keeps log 0 away, and limits what a pixel can cost
            to {cap} nats. What should one cost at ±200?
        (image * F.logsigmoid(logits)).sum(-1)
            The sign of the pixel stands before the logarithm. Is −log π what background gets,
            log(1 − π)?
        F.logsigmoid((image * logits).sum(-1))
            It adds up all logits and tosses once. Each pixel has a coin of its own.
        -F.binary_cross_entropy(pi, ink, reduction="none").sum(-1)
            A pixel costs at most 100 nats: binary_cross_entropy, which takes probabilities, clips
            its logarithms there. There is another version that takes logits.
        bernoulli(ink, pi)
            For mild logits it is right. At ±200 it multiplies 0 by the log of 0, and that is not
            a number.
        bernoulli(image, pi)
            For a pixel of −1, what is 1 − x? The formula of the notebook expects 0 and 1.
        log_likelihood_of_signs(-image, logits)
            It evaluates the negative of the image: should ink be likely under a large logit or
            not?""",
    hints="""
        - Write log π and log(1 − π) each as −log(1 + something). How do the two differ?
        - sigmoid(−ℓ) = 1 − sigmoid(ℓ): background under ℓ is what ink would be under −ℓ.
        - Let the sign of the pixel choose the sign of the logit.
        - F.softplus, F.logsigmoid and torch.logaddexp are all exact at ±200.""",
    fact="""This is the logistic loss of classifiers, whose classes are ±1. log(1 + eˢ) is safe to
        compute as max(s, 0) + log1p(e^−|s|), where no exponent is positive.""",
)

LOST_GRADIENT = Exercise(
    slug="lost-gradient",
    title="Where the gradient is lost",
    kind="core",
    minutes=5,
    question="""Look at the right-hand picture above, left of logit −5. Read off where the dashed
        gradient has fallen to ½, and find out what sets this place. Now somebody writes
        `log(p + 1e-6)` instead: at which logit, left of −5, is the gradient of an ink pixel ½
        then?""",
    solution="half_gradient = math.log(1e-6)  # logit",
    reasoning=r"""The sigmoid has the slope $\pi(1-\pi)$, so the gradient of $\log(\pi+\varepsilon)$
        is $\pi(1-\pi)/(\pi+\varepsilon)$. Far to the left $1-\pi$ is nearly 1, and what remains,
        $\pi/(\pi+\varepsilon)$, is one half where $\pi=\varepsilon$. There $\pi\approx e^{\ell}$,
        hence $\ell=\log\varepsilon$. The picture's own eps, $1.2\cdot10^{-7}$, is eight times
        smaller, and its fall lies $\log 8.4=2.1$ units of logit further to the left, near
        $-16$.""",
    within=0.3,
    mistakes="""
        log(2**-23)
            That is where the picture's own eps puts it. Here eps is eight times larger.
        2 * log(2**-23) - right
            The right step from the picture's value, but which way? A larger eps is felt by larger
            probabilities.
        -right
            There the coin is all but certain of ink. The gradient is lost where it is certain of
            background.
        -6
            Use the natural logarithm, of base e; this looks like base 10.
        log2(1e-6)
            Use the natural logarithm, of base e; this looks like base 2.
        0
            There a fair coin has its gradient of ½, with or without eps. Look further to the left,
            where only the dashed line falls.
        log(5e-7)
            There the gradient is down to a third already. How do π and eps compare where it is a
            half?
        log(2e-6)
            There two thirds of the gradient are left. What does the remaining share depend on?
        right / 2
            There the gradient is still 0.998. Half of the logit is not half of the gradient.
        log(2**-52)
            That belongs to the eps of 64 bits. Here it is 10⁻⁶.""",
    hints="""
        - On the right of the fall π is far larger than eps, on its left far smaller. What is
          special about the middle?
        - The sigmoid has the slope π(1 − π), so the gradient of log(π + eps) is
          π(1 − π) / (π + eps). So far to the left 1 − π is nearly 1.
        - Which probability makes π / (π + eps) one half? And which logit gives it?
        - For such a small π the odds, e^ℓ, are nearly π itself.""",
    fact="""Here the value, too, has left its straight line, by log 2. Each factor of ten in eps
        moves both by 2.3 units of logit; no eps removes them.""",
)

SIGMOID_TOO_MANY = Exercise(
    slug="one-sigmoid-too-many",
    title="One sigmoid too many",
    kind="core",
    minutes=6,
    question="""Find the bug. A decoder's output is evaluated like this:

            pi = torch.sigmoid(network(code))
            return -F.binary_cross_entropy_with_logits(pi, image, reduction="none").sum(-1)

        (The same was found [in another project](https://github.com/cansyl/DEEPred/issues/5), whose
        authors agreed.) It runs, and training improves the result. But which value can it approach
        at best, however well `network` is trained, for an image of 784 pixels of which 196 are
        ink? Give it as a log-likelihood, in nats.""",
    solution="""
        ink, background = math.log1p(math.exp(-1)), math.log(2)  # the least that a pixel costs
        best_score = -(196 * ink + 588 * background)  # nats""",
    reasoning=r"""`binary_cross_entropy_with_logits` applies a sigmoid itself, and is given what has
        been through one. What it takes for logits lies between 0 and 1, so the coins lie between
        $\operatorname{sigmoid}(0)=0.5$ and $\operatorname{sigmoid}(1)=0.731$. A pixel of ink is
        best off at 1 and still costs $\log(1+e^{-1})=0.313$ nats; a pixel of background is best off
        at 0 and costs $\log 2=0.693$. With 196 of the one and 588 of the other, training can
        approach $-469$ nats, and never reach it. The fix is to leave out the first sigmoid.""",
    within=0.3,
    mistakes="""
        0
            A decoder that was sure of every pixel would get there. Between which numbers do the
            “logits” of this one lie?
        -784 * background
            That is 784 fair coins, which it can have. For one kind of pixel it can do better.
        -784 * ink
            There every pixel is right with probability 0.73. Can the sigmoid of a positive number
            give background that much?
        -(588 * ink + 196 * background)
            The two kinds of pixel are swapped: which of them can be no better than a fair coin?
        -(196 * ink + 588 * log1p(e))
            There every “logit” is 1, which is best for ink alone. Each pixel may have its own.
        -(196 * log1p(exp(-0.5)) + 588 * log1p(exp(0.5)))
            There every “logit” is ½, as in a decoder that has learnt nothing. How far can training
            move each?
        -784 * (0.25 * log(4) + 0.75 * log(4 / 3))
            That is one coin of 0.25 for all pixels. It cannot make that coin, and it need not give
            all pixels the same.
        -right
            Check the sign: what is the log of a probability?
        -196 * ink
            That is what the ink costs. Does the background cost nothing?
        -588 * background
            That is what the background costs. Is the ink certain?
        right / 784
            That is an average pixel's value. The snippet sums over 784 of them.
        right / log(2)
            That is the right amount, in bits. The course counts in nats.""",
    hints="""
        - The function's name says what it takes. What is it given?
        - The sigmoid of any number lies between 0 and 1. Taken for logits, those numbers give
          probabilities of ink between sigmoid(0) and sigmoid(1).
        - Choose the best end of that range for a pixel of ink, then for one of background.
        - Two kinds of pixel, two costs of log(1 + e^ℓ) − x·ℓ: multiply and add.""",
    fact="""No coin of it falls below ½, however long it trains; but its loss still goes down, so
        the bug lives long. It shows at the start: untrained it pays some 666 nats for this image,
        not 543.""",
)


def score_all(images, logits):
    """log p(image i | code j) in nats at [i, j], shape (image, code)."""
    return images @ logits.T - F.softplus(logits).sum(-1)


_three_images = (torch.cat([_signs, -_signs[:1]]) + 1) / 2
_three_codes = torch.cat([_mild, 0.6 * _mild[:1].flip(1)])

EVERY_IMAGE = Exercise(
    slug="every-image-under-every-code",
    title="Every image under every code",
    kind="stretch",
    minutes=8,
    question=r"""Which code explains which image? Evaluate all images under all codes: `images` has
        shape (image, pixel), `logits`, one row per code, has shape (code, pixel), and the result
        has shape (image, code), with $\log p(x_i\mid z_j)$ in nats in row $i$ and column $j$. Write
        it so that it would do for 10,000 images and 1,000 codes, without a tensor of shape (image,
        code, pixel).""",
    solution=score_all,
    reasoning=r"""In $\sum_k x_{ik}\ell_{jk}-\sum_k\log(1+e^{\ell_{jk}})$ only the first sum depends
        on both the image and the code, and it is the matrix product $X L^\top$. The second is one
        number for each code; broadcasting subtracts it from every row.
        `log_likelihood(images[:, None], logits)` gives the same, by way of a tensor with a number
        for every image, code *and* pixel.""",
    probes=[
        (_three_images, _three_codes),
        (_three_images[:1], torch.cat([_mild, _wild])),
        (_three_images[:, :5], _three_codes[:, :5]),
    ],
    given="""
        ink, softplus, pi = images @ logits.T, F.softplus(logits), logits.sigmoid()

        def bernoulli(pi, eps=0):
            return images @ (pi + eps).log().T + (1 - images) @ (1 - pi + eps).log().T""",
    mistakes="""
        (images * logits - softplus).sum(-1)
            It pairs each image with one code. All pairs are asked for.
        ink
            That is the sum of x·ℓ, and right so far. What must be subtracted from it?
        ink - (1 + logits.exp()).log().sum(-1)
            For mild logits it is right. The exponential of 200 is infinite in 32 bits: which
            function of torch is log(1 + e^ℓ) without it?
        ink + softplus.sum(-1)
            The softplus is added. No probability exceeds 1, so what must hold for its log?
        ink - F.softplus(-logits).sum(-1)
            It subtracts softplus(−ℓ). Try one pixel of background under ℓ = −5: what should it
            cost, and what does it cost?
        ink - softplus.mean(-1)
            x·ℓ is summed over the pixels, softplus(ℓ) is averaged. Each pixel has both.
        ink - softplus.sum(-1)[:, None]
            The softplus belongs to a code, so it must be the same down a column, not along a row.
        ink - softplus.sum()
            Each pair is charged the softplus of all codes together.
        ink - F.softplus(ink)
            It takes one softplus of the sum over pixels. Each pixel has its own coin.
        ink - F.softplus(images).sum(-1)[:, None]
            It takes the softplus of the image. It belongs to something else: to what?
        images @ F.logsigmoid(logits).T
            It counts the pixels of ink alone. Background has a probability as well.
        bernoulli(pi)
            For mild logits it is right. For strong ones the sigmoid is exactly 0 or 1, and 0 times
            log 0 is not a number.
        bernoulli(pi, eps) for eps in (1e-6, 1e-7, 2**-23, 1e-8, 1e-10, 1e-12)
            An epsilon of {eps} keeps log 0 away, and limits what a pixel can cost to {cap} nats.
            Can log p be computed from ℓ, without probabilities?
        bernoulli(pi.clamp(eps, 1 - eps)) for eps in (1e-6, 1e-7, 2**-23)
            A clamp at {eps} keeps log 0 away, and limits what a pixel can cost to {cap} nats. Can
            log p be computed from ℓ, without probabilities?""",
    hints="""
        - Σ (x·ℓ − softplus(ℓ)) = Σ x·ℓ − Σ softplus(ℓ). Which of the two needs the image?
        - A sum of products, for all pairs of rows of two matrices: that is a matrix product.
        - The other sum is one number for each code, shape (code,). Broadcasting lines it up with
          the last dimension of (image, code).""",
    fact="""10,000 images under 1,000 codes as one (image, code, pixel) tensor are 31 GB; by a
        matrix product they are 40 MB. The softmax of a row says how probably each code made the
        image, if all were equally likely before.""",
)

EXERCISES = (MOST_LIKELY, PIXELS_OF_SIGNS, LOST_GRADIENT, SIGMOID_TOO_MANY, EVERY_IMAGE)
