"""Exercises on the decoder: log-likelihoods of binary pixels from logits."""

import torch
import torch.nn.functional as F

from vaelib.course.exercises.exercise import Exercise


def most_likely(probabilities):
    """The most likely image of each row, pixels 0 or 1, shape (batch, pixel)."""
    return (probabilities > 0.5).float()


_two_rows = torch.tensor([[0.02, 0.1, 0.3, 0.45, 0.0, 0.4], [0.97, 0.6, 0.55, 0.3, 0.05, 0.8]])

MOST_LIKELY = Exercise(
    slug="most-likely-image",
    title="The most likely image",
    kind="warm-up",
    minutes=3,
    question="""`probabilities` has shape (batch, pixel). Each row contains one pixel probability π
        for every pixel. For each row, return the single most likely image, with pixels 0 and 1. No
        probability is exactly ½.""",
    solution=most_likely,
    reasoning=r"""The pixels are independent, so the probability of an image is a product with one
        factor per pixel: $\pi$ for ink and $1-\pi$ for background. The product is largest if every
        factor is as large as possible, so each pixel takes its more likely value. This image is not
        the mean image, which holds the probabilities themselves. It does not look like a sample
        either. If many pixels have π = 0.1, almost every sample has ink in some of them, but the
        most likely image has none.""",
    probes=[(_two_rows,), (_two_rows[1:].double(),), (_two_rows[:, 2:],)],
    mistakes="""
        probabilities
            These are the probabilities, the mean image. Can a pixel of a sample be 0.3?
        probabilities < 0.5
            This is the least likely image: each pixel takes its less likely value.
        probabilities > 0
            Here every pixel that can be ink is ink. Which value is more likely for a pixel with
            π = 0.1? (These are probabilities already, not logits.)
        probabilities > probabilities.mean(-1, keepdim=True)
            Each pixel is compared with the other pixels of its image. But the pixels are
            independent: what should you compare one π with?
        F.one_hot(probabilities.argmax(-1), probabilities.shape[-1])
            This image has a single pixel of ink. What are the most likely values of the others?
        torch.sign(probabilities - 0.5)
            The choice is right, but the values are −1 and 1. In this notebook, pixels are 0 and 1.
        (probabilities > 0.5) * probabilities
            The background is right. Which value does a pixel of ink have?
        torch.maximum(probabilities, 1 - probabilities)
            This is the probability of the more likely value of each pixel. The question asks for
            the value itself.
        torch.maximum(probabilities, 1 - probabilities).prod(-1)
            This is the probability of the most likely image. The question asks for the image.""",
    hints="""
        - Begin with one pixel with π = 0.3. Is it more often ink or background?
        - The pixels are independent, so the product is largest if each factor is largest.
        - A comparison such as probabilities < 0.2 gives True or False for all pixels at once;
          .float() turns them into 1 and 0.""",
    fact="""The most likely image can look unlike any sample. If all 784 pixels have π = 0.1, it is
        the blank image, with probability 10⁻³⁶, but a sample has about 78 pixels of ink.""",
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
    question=r"""Some programs store pixels as +1 (ink) and −1 (background). Write a function that
        returns $\log p(x\mid z)$ of each such image, in nats. Can you find one formula for both
        kinds of pixel? `image` and `logits` have shape (batch, pixel), the result has shape
        (batch,). It must also be right for 32-bit logits of ±200.""",
    solution=log_likelihood_of_signs,
    reasoning=r"""For ink, $\log\pi=-\log(1+e^{-\ell})$; for background,
        $\log(1-\pi)=-\log(1+e^{\ell})$. The two differ only in the sign of $\ell$. With the pixel
        $s=\pm1$ they become one formula,
        $\log p=-\log(1+e^{-s\ell})=-\operatorname{softplus}(-s\ell)$.
        `F.logsigmoid(image * logits)`, summed over the pixels, gives the same. A sigmoid followed
        by a log does not: in 32 bits, the sigmoid of $-200$ is 0, and its log is −∞.""",
    probes=[(_signs, _mild), (_signs, _wild), (_signs[:1, :4], _mild[:1, :4])],
    given="""
        ink, pi, p = (image + 1) / 2, logits.sigmoid(), (image * logits).sigmoid()

        def bernoulli(ink, pi):
            return (ink * pi.log() + (1 - ink) * (1 - pi).log()).sum(-1)""",
    mistakes="""
        (image * logits - F.softplus(logits)).sum(-1)
            This is the formula for pixels 0 and 1, unchanged. What does it give for a pixel of −1
            with logit 0?
        p.log().sum(-1)
            For small logits this is right. In 32 bits, the sigmoid of −200 is exactly 0, and the
            exponential of 200 is infinite. Which function of PyTorch avoids both problems?
        (p + eps).log().sum(-1) for eps in (1e-6, 1e-7, 2**-23, 1e-8, 1e-10, 1e-12)
            An epsilon of {eps} avoids log 0, and so does a clamp at {eps}. But either limits the
            loss of a pixel to {cap} nats. What should the loss be at ±200?
        p.clamp(eps, 1 - eps).log().sum(-1) for eps in (1e-7, 2**-23, 1e-8, 1e-10)
            A clamp at {eps} avoids log 0, but it limits the loss of a pixel to {cap} nats. What
            should the loss be at ±200?
        bernoulli(ink, pi.clamp(eps, 1 - eps)) for eps in (1e-6, 1e-7)
            A clamp between {eps} and 1 − {eps} avoids log 0, but it limits the loss of a pixel to
            {cap} nats. What should the loss be at ±200?
        (image * F.logsigmoid(logits)).sum(-1)
            Here the sign of the pixel multiplies the logarithm, so a background pixel gets −log π.
            Is this log(1 − π)?
        F.logsigmoid((image * logits).sum(-1))
            This adds up all logits first and takes one logarithm. Each pixel has its own
            probability.
        -F.binary_cross_entropy(pi, ink, reduction="none").sum(-1)
            The loss of a pixel is at most 100 nats here, because binary_cross_entropy, which takes
            probabilities, clips its logarithms. There is another version that takes logits.
        bernoulli(ink, pi)
            For small logits this is right. At ±200 it multiplies 0 by log 0, which is not a
            number.
        bernoulli(image, pi)
            What is 1 − x for a pixel of −1? The formula of the notebook expects 0 and 1.
        log_likelihood_of_signs(-image, logits)
            This evaluates the negative of the image. Should ink be likely or unlikely if the logit
            is large?""",
    hints="""
        - Write log π and log(1 − π) each as −log(1 + something). How do the two differ?
        - sigmoid(−ℓ) = 1 − sigmoid(ℓ), so background with logit ℓ is as likely as ink with −ℓ.
        - Let the sign of the pixel choose the sign of the logit.
        - F.softplus, F.logsigmoid and torch.logaddexp are all accurate at ±200.""",
    fact="""With the sign flipped, this is the logistic loss of classifiers with classes ±1. A safe
        way to compute log(1 + eˢ) is max(s, 0) + log1p(e^−|s|), where no exponent is positive.""",
)

LOST_GRADIENT = Exercise(
    slug="lost-gradient",
    title="Where the gradient is lost",
    kind="core",
    minutes=5,
    question="""In the right-hand plot above, the dashed gradient is ½ at two logits: near 0 and
        near −16. Now suppose that the code uses `log(p + 1e-6)` instead of `log(p + EPS)`. To which
        logit does the point near −16 move?""",
    solution="half_gradient = math.log(1e-6)  # logit",
    reasoning=r"""The sigmoid has the slope $\pi(1-\pi)$, so the gradient of $\log(\pi+\varepsilon)$
        is $\pi(1-\pi)/(\pi+\varepsilon)$. Far to the left, $1-\pi$ is nearly 1, and
        $\pi/(\pi+\varepsilon)$ remains. It is ½ where $\pi=\varepsilon$. There
        $\pi\approx e^{\ell}$, so $\ell=\log\varepsilon$. The eps in the plot,
        $1.2\cdot10^{-7}$, is smaller by a factor of 8.4. So its gradient falls to ½ further to the
        left, by $\log 8.4=2.1$ units of logit, near −16.""",
    within=0.3,
    mistakes="""
        log(2**-23)
            This is the logit for the eps in the plot. The new eps is larger by a factor of 8.4.
        2 * log(2**-23) - right
            The size of the step from the plot's logit is right, but not its direction. A larger
            eps already matters at larger probabilities.
        -right
            There the model is almost certain of ink. The gradient is lost where it is almost
            certain of background.
        -6
            This looks like a logarithm to base 10. Use the natural logarithm.
        log2(1e-6)
            This looks like a logarithm to base 2. Use the natural logarithm.
        0
            At logit 0 the gradient is ½ with or without eps. Look further to the left, where only
            the dashed line falls.
        log(5e-7)
            There the gradient has already fallen to a third. How do π and eps compare where it
            is one half?
        log(2e-6)
            There the gradient is still two thirds. What does the remaining fraction depend on?
        right / 2
            There the gradient is still 0.998. Half of the logit does not mean half of the gradient.
        log(2**-52)
            This belongs to the eps of 64-bit numbers. Here eps is 10⁻⁶.""",
    hints="""
        - To the right of the drop, π is far larger than eps; to the left, it is far smaller. How do
          they compare in the middle?
        - The sigmoid has the slope π(1 − π), so the gradient of log(π + eps) is
          π(1 − π) / (π + eps). Far to the left, 1 − π is nearly 1.
        - For which π is π / (π + eps) one half? And which logit gives this π?
        - If π is this small, the odds e^ℓ are nearly equal to π.""",
    fact="""At this logit the value is also too high, by log 2. If eps is ten times smaller, the
        drop moves left by 2.3 units of logit, but no eps removes it.""",
)

SIGMOID_TOO_MANY = Exercise(
    slug="one-sigmoid-too-many",
    title="One sigmoid too many",
    kind="core",
    minutes=6,
    question="""Find the bug. This code should compute log p(x|z) from the output of a decoder:

            pi = torch.sigmoid(network(latent))
            return -F.binary_cross_entropy_with_logits(pi, image, reduction="none").sum(-1)

        (A similar bug was reported [in another
        project](https://github.com/cansyl/DEEPred/issues/5).) The code runs, and training improves
        the result. But it can only approach a limit, never reach it, however well `network`
        is trained. What is this limit for an image of 784 pixels, 196 of them ink? Give it as a
        log-likelihood, in nats.""",
    solution="""
        ink, background = math.log1p(math.exp(-1)), math.log(2)  # the smallest loss of a pixel
        highest = -(196 * ink + 588 * background)  # nats""",
    reasoning=r"""`binary_cross_entropy_with_logits` applies a sigmoid itself, but its input has
        already been through one. So the numbers that it treats as logits lie between 0 and 1, and
        the pixel probabilities lie between $\operatorname{sigmoid}(0)=0.5$ and
        $\operatorname{sigmoid}(1)=0.731$. For ink, 1 is best, and the loss is still
        $\log(1+e^{-1})=0.313$ nats. For background, 0 is best, and the loss is $\log 2=0.693$
        nats. With 196 pixels of ink and 588 of background, training can approach $-469$ nats but
        never reach it. To fix the bug, remove the first sigmoid.""",
    within=0.3,
    mistakes="""
        0
            A decoder that is certain and right about every pixel would get there. Which values can
            the “logits” of this one have?
        -784 * background
            This is π = ½ for every pixel, which this decoder can produce. For one of the two kinds
            of pixel it can do better.
        -784 * ink
            Here every pixel has the probability 0.73 of being right. Can the sigmoid of a positive
            number give background that much?
        -(588 * ink + 196 * background)
            The two kinds of pixel are swapped. Which kind cannot do better than π = ½?
        -(196 * ink + 588 * log1p(e))
            Here every “logit” is 1, which is best for ink only. Each pixel has its own logit.
        -(196 * log1p(exp(-0.5)) + 588 * log1p(exp(0.5)))
            Here every “logit” is ½, as in an untrained decoder. How far can training move each of
            them?
        -784 * (0.25 * log(4) + 0.75 * log(4 / 3))
            This is π = 0.25 for every pixel. The decoder cannot produce this value. And it can give
            each pixel a probability of its own.
        -right
            Check the sign. Is the log of a probability positive or negative?
        -196 * ink
            This is the loss of the ink pixels. What do the background pixels add?
        -588 * background
            This is the loss of the background pixels. Is the loss of an ink pixel really 0?
        right / 784
            This is the average over pixels. The code sums over all 784.
        right / log(2)
            The amount is right, but in bits. The course uses nats.""",
    hints="""
        - Read the name of the function. Which input does it expect, and which does it get?
        - The sigmoid of any number lies between 0 and 1. If you treat these numbers as logits, the
          probability of ink lies between sigmoid(0) and sigmoid(1).
        - Which end of this range is best for a pixel of ink? And for a pixel of background?
        - Each kind of pixel has its own smallest loss log(1 + e^ℓ) − x·ℓ. Multiply by the numbers
          of pixels and add.""",
    fact="""No pixel probability can fall below ½ here, however long the training. The loss still
        goes down, so the bug is easy to miss. It shows before training: the loss of this image
        starts near 666 nats, not 543.""",
)


def evaluate_all(images, logits):
    """log p(image i | latent j) in nats at [i, j], shape (image, latent)."""
    return images @ logits.T - F.softplus(logits).sum(-1)


_three_images = (torch.cat([_signs, -_signs[:1]]) + 1) / 2
_three_latents = torch.cat([_mild, 0.6 * _mild[:1].flip(1)])

EVERY_IMAGE = Exercise(
    slug="every-image-under-every-latent",
    title="Every image under every latent",
    kind="stretch",
    minutes=8,
    question=r"""Which latent explains which image? Compute the log-likelihood of every image under
        every latent. `images` has shape (image, pixel). `logits` has shape (latent, pixel), one row
        per latent. The result has shape (image, latent), with $\log p(x_i\mid z_j)$ in nats in row
        $i$ and column $j$. Your function should also work for 10,000 images and 1,000 latents, so
        avoid a tensor of shape (image, latent, pixel).""",
    solution=evaluate_all,
    reasoning=r"""We write $\log p(x_i\mid z_j)=\sum_k x_{ik}\ell_{jk}-\sum_k\log(1+e^{\ell_{jk}})$.
        Only the first sum depends on both the image and the latent, and it is the matrix product
        $X L^\top$. The second sum is one number per latent, and broadcasting subtracts it from
        every row. `log_likelihood(images[:, None], logits)` gives the same result, but it creates a
        tensor with a number for every image, latent *and* pixel.""",
    probes=[
        (_three_images, _three_latents),
        (_three_images[:1], torch.cat([_mild, _wild])),
        (_three_images[:, :5], _three_latents[:, :5]),
    ],
    given="""
        ink, softplus, pi = images @ logits.T, F.softplus(logits), logits.sigmoid()

        def bernoulli(pi, eps=0):
            return images @ (pi + eps).log().T + (1 - images) @ (1 - pi + eps).log().T""",
    mistakes="""
        (images * logits - softplus).sum(-1)
            This pairs each image with one latent. The question asks for all pairs.
        ink
            This is the sum of x·ℓ, which is the first part. What must be subtracted from it?
        ink - (1 + logits.exp()).log().sum(-1)
            For small logits this is right. The exponential of 200 is infinite in 32 bits. Which
            function of PyTorch computes log(1 + e^ℓ) without it?
        ink + softplus.sum(-1)
            The softplus is added. No probability exceeds 1, so which sign must its log have?
        ink - F.softplus(-logits).sum(-1)
            This subtracts softplus(−ℓ). Take one pixel of background with ℓ = −5: what should its
            log-probability be, and what do you get?
        ink - softplus.mean(-1)
            x·ℓ is summed over the pixels, but softplus(ℓ) is averaged. Each pixel has both terms.
        ink - softplus.sum(-1)[:, None]
            The softplus belongs to a latent, so it must be the same down a column, not along a row.
        ink - softplus.sum()
            From each pair you subtract the softplus of all latents together.
        ink - F.softplus(ink)
            This takes one softplus of the sum over pixels. Each pixel has its own probability.
        ink - F.softplus(images).sum(-1)[:, None]
            This takes the softplus of the image. Which variable does the softplus belong to?
        images @ F.logsigmoid(logits).T
            This counts only the pixels of ink. A pixel of background has a probability, too.
        bernoulli(pi)
            For small logits this is right. For large ones the sigmoid is exactly 0 or 1, and 0
            times log 0 is not a number.
        bernoulli(pi, eps) for eps in (1e-6, 1e-7, 2**-23, 1e-8, 1e-10, 1e-12)
            An epsilon of {eps} avoids log 0, but it limits the loss of a pixel to {cap} nats. Can
            you compute log p from ℓ, without probabilities?
        bernoulli(pi.clamp(eps, 1 - eps)) for eps in (1e-6, 1e-7, 2**-23)
            A clamp at {eps} avoids log 0, but it limits the loss of a pixel to {cap} nats. Can you
            compute log p from ℓ, without probabilities?""",
    hints="""
        - Σ (x·ℓ − softplus(ℓ)) = Σ x·ℓ − Σ softplus(ℓ). Which of the two sums needs the image?
        - A sum of products for all pairs of rows of two matrices is a matrix product.
        - The other sum is one number per latent, shape (latent,). Broadcasting aligns it with the
          last dimension of (image, latent).""",
    fact="""For 10,000 images and 1,000 latents, a tensor of shape (image, latent, pixel) takes 31
        GB; the result of the matrix product takes 40 MB. The softmax of a row gives the probability
        that each latent produced the image, if all latents were equally likely before.""",
)

EXERCISES = (MOST_LIKELY, PIXELS_OF_SIGNS, LOST_GRADIENT, SIGMOID_TOO_MANY, EVERY_IMAGE)
