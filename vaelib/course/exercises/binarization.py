"""Exercises on binarization and on nats."""

import math

import torch

from vaelib.binarization import bernoulli
from vaelib.course.exercises.exercise import Exercise


def threshold(intensity, level=0.5):  # as notebook 1 defines it
    return (intensity > level).float()


FLAWLESS_COPY = Exercise(
    slug="price-of-a-flawless-copy",
    title="The price of a flawless copy",
    kind="warm-up",
    minutes=3,
    question=r"""[An example in PyTorch's repository](https://github.com/pytorch/examples/issues/460)
        puts grey pixels into the Bernoulli formula. Suppose that in one grey image, 100 pixels
        have intensity ¼ and all other pixels are exactly 0 or 1. What is the loss of a perfect
        reconstruction of the whole image, with $\pi = x$ for each pixel? Work it out on paper
        with a calculator. Give it in nats (natural logarithms), to one decimal.
    """,
    solution="""
        quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)  # the loss of one pixel of ¼
        copy_nats = 100 * quarter  # nats""",
    reasoning=r"""A pixel that is 0 or 1 has no loss if π = x, because its factor is
        $1^1\,0^0 = 1$. (Here $0^0$ is 1.) A pixel of ¼ has the loss

        $$-\log\left[\left(\tfrac14\right)^{1/4}\left(\tfrac34\right)^{3/4}\right] = \tfrac14\log 4 + \tfrac34\log\tfrac43 = 0.562\ \text{nats}.$$

        This is the entropy of a binary pixel with probability ¼. The factors of all pixels are
        multiplied, so their losses add up: a hundred of them give 56.2 nats. The average test
        image has a loss of similar size, although the reconstruction is perfect.
    """,  # noqa: E501
    within=0.1,
    mistakes="""
        0
            A perfect reconstruction has no loss where x is 0 or 1. What is its loss where x is ¼?
        quarter
            That is the loss of one grey pixel. How many are there?
        784 * quarter
            That counts every pixel of the image. Which of them have no loss?
        right / log(2)
            That is the right amount, but in bits, with the logarithm of base 2.
        right / log(10)
            Use the natural logarithm; this looks like base 10.
        25 * log(4)
            That is only the factor with the power x. What does the other factor add?
        75 * log(4 / 3)
            That is only the factor with the power 1 − x. What does the other factor add?
        100 * log(4)
            That treats each grey pixel as ink. To which power is π raised?
        100 * log(4 / 3)
            That treats each grey pixel as background. Look at the two powers.
        100 * log(2)
            That is the loss for π = ½. Here π is ¼.
        784 * log(2)
            That is the loss for π = ½ in every pixel of the image. How many pixels have a loss at
            all, and what is their π?
        100 * 0.25 * 0.75
            That is the variance π(1 − π) of a binary pixel, added up. Where is the logarithm of
            the formula?
        -right
            That is the logarithm. The loss is its negative.""",
    hints="""
        - Put x = ¼ and π = ¼ into the Bernoulli formula: what are the two powers?
        - The negative logarithm of a product is a sum: one term with ¼, one with ¾.
        - log 4 is 1.386 and log 4/3 is 0.288. A hundred such pixels have a hundred times the loss.
    """,
    fact="""A pixel of ¼ has a loss of 0.56 nats, not much less than the maximum of 0.69 at ½.
        The entropy is flat near its maximum, so even pale edges add a lot.""",
)


def to_ink(pixels):
    """Ink (1) or background (0) by the threshold ½, for bytes or intensities, same shape."""
    intensity = pixels / 255 if pixels.dtype == torch.uint8 else pixels
    return threshold(intensity)


DIVIDED_TWICE = Exercise(
    slug="divided-twice",
    title="Find what is divided twice",
    kind="core",
    minutes=5,
    question="""Find the bug. After these two lines, every image is blank (all background):

        ```python
        image = torchvision.transforms.ToTensor()(picture)  # a picture of bytes becomes floats, / 255
        binary = (image / 255 > 0.5).float()
        ```

        Write a function that cannot make this error. It receives either bytes (`torch.uint8`,
        0 to 255) or intensities (`torch.float32`, 0 to 1). It returns 1 where the intensity is above
        ½, and 0 elsewhere. It must work for every image, including very faint ones.
    """,  # noqa: E501
    solution=to_ink,
    reasoning="""`ToTensor` has already divided by 255, so a pixel of full ink is 1.0 when it
        reaches the second line, and 1/255 after the second division. No value is above ½, so every
        image is blank. Training does not show the error: blank images are easy to model, so the
        loss is very low. The values alone cannot tell bytes from intensities: bytes 0 and 1 are an
        almost blank image, intensities 0 and 1 are a black and white one, and the largest value of
        both is 1. The dtype can. An intensity of exactly ½ stays background, because the
        comparison is strict. No byte is affected: 127 / 255 is below ½ and 128 / 255 above.""",
    probes=[
        (torch.tensor([[0, 1, 127], [128, 254, 255]], dtype=torch.uint8),),
        (torch.tensor([[0.0, 0.25, 0.499, 0.5], [0.501, 0.75, 0.996, 1.0]]),),
        (torch.tensor([[0, 1, 1, 0]], dtype=torch.uint8),),
        (torch.tensor([[0.0, 0.2, 0.4, 0.6]]),),
    ],
    given="""
        are_bytes = pixels.dtype == torch.uint8
        grey = pixels / 255 if are_bytes else pixels""",
    mistakes="""
        pixels.float() / 255 > 0.5
            No intensity becomes ink, as in the snippet. Are intensities divided once more, or
            compared with a level that is meant for bytes?
        pixels > 0.5
            This is right for intensities, but it turns byte 1 into ink, although that is nearly
            background.
        grey >= 0.5
            One grey value is on the wrong side: the level itself. What does `threshold` return
            for it?
        (pixels / 255 if pixels.max() > 1 else pixels) > 0.5
            This tells bytes from intensities by their largest value. What about a faint image?
        pixels / pixels.max() > 0.5
            This divides by the largest value in the image, so one pixel decides about the
            others. Which value is full ink?
        pixels > (128 if are_bytes else 0.5)
            One byte is background that should be ink. On which side of ½ is 128 / 255?
        pixels > (126 if are_bytes else 0.5)
            One byte is ink that should be background. On which side of ½ is 127 / 255?
        1 - right
            Ink and background are swapped.
        grey
            These are the right intensities. They still have to become 0 or 1.""",
    hints="""
        - Follow a pixel of full ink through the snippet: 255 at first, and then?
        - Bytes and intensities overlap in value, but never in dtype.
        - Look at pixels.dtype. Which of the two kinds still has to be divided?""",
    fact="""That `ToTensor` divides by 255 has surprised other users too:
        github.com/pytorch/pytorch/issues/6390. For this reason, `threshold`, `dynamic` and `freeze`
        in `vaelib.binarization` raise an error if they receive intensities instead of bytes.""",
)


def views(intensity, noise):
    """Each epoch's pixels: intensity (images, pixels); noise, result (epochs, images, pixels)."""
    return torch.stack([bernoulli(intensity, fresh) for fresh in noise])


_greys = torch.tensor([[0.0, 0.2, 0.5, 1.0], [0.6, 0.4, 0.9, 0.1], [0.3, 0.7, 0.5, 0.8]])
_noise = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1))
_noise[0, 0, 0] = 0.0

FROZEN_PIXELS = Exercise(
    slug="where-the-pixels-freeze",
    title="Find where the pixels freeze",
    kind="core",
    minutes=5,
    question="""Find the bug. This function should return what a model sees in each epoch (each
        pass through the data) under the dynamic protocol. `noise` is uniform between 0 and 1, and
        its first dimension is the epoch.

        ```python
        def views(intensity, noise):
            seen = []
            for fresh in noise:
                intensity = bernoulli(intensity, fresh)
                seen.append(intensity)
            return torch.stack(seen)
        ```

        The code runs and the first epoch is right, but this is not the dynamic protocol. Which
        protocol is it? Write the corrected function. Its result has the same shape as `noise`.""",
    solution=views,
    reasoning="""The first pass through the loop overwrites `intensity` with zeros and ones. From
        then on, every pixel has probability 0 or 1, so it gets the same value whatever its noise
        is (noise is never below 0 and always below 1). The model sees the pixels of the first
        epoch again in each epoch, which is the static protocol. There is no error message, and
        only a comparison of two epochs shows the bug. `(noise < intensity).float()` also
        works, without a loop, because a missing first dimension is broadcast.""",
    probes=[
        (_greys, _noise),
        (_greys[:2], _noise[1:4, :2]),
        (_greys[:, 1:], _noise[:4, :, 1:]),
    ],
    mistakes="""
        right[:1].expand_as(noise)
            Every epoch looks like the first, as in the snippet. What does the second epoch draw
            from?
        right[-1:].expand_as(noise)
            Every epoch looks like the last. Each epoch has its own noise.
        (noise[:, :1] < intensity).float()
            All images of an epoch share the noise of one image, so their edges change together.
        (noise > intensity).float()
            The faintest pixels become ink and full ink becomes background. Is the comparison the
            right way round?
        (noise <= intensity).float()
            A pixel of intensity 0 has become ink, because its noise was 0 too. A pixel with
            probability 0 must never be ink.
        (intensity > 0.5).float().expand_as(noise)
            This does not use the noise: it is the threshold protocol.
        intensity.expand_as(noise)
            These are the grey values. What does the model see after the pixels are drawn?
        right.cummax(0).values
            A pixel that was ink once stays ink. An epoch must not remember earlier ones.""",
    hints="""
        - Write down what `intensity` contains at the start of the second pass through the loop.
        - A pixel with probability 0 or 1 gets the same value whatever its noise is.
        - Give the drawn pixels a name of their own. (Or avoid the loop by broadcasting.)""",
    fact="""Overwriting the grey values turns the dynamic protocol into the static one, without an
        error message. A published example also failed to draw new pixels after each epoch, and a
        reader could not reproduce its results: github.com/casperkaae/parmesan/issues/18.""",
)

NINETEEN_TO_ONE = Exercise(
    slug="nineteen-to-one",
    title="The length of a confident prediction",
    kind="warm-up",
    minutes=3,
    question="""A model predicts the 784 binary pixels of an image, one after the other. Each time,
        it assigns probability 0.95 to the value that the pixel really has, ink or background. A
        compressor is built from this model. How many **bits** does it need for the image? Give one
        decimal.""",
    solution="image_bits = 784 * -math.log2(0.95)  # bits",
    reasoning=r"""The image has the probability $0.95^{784}$, so the compressor needs

        $$-\log_2 0.95^{784} = -784\,\log_2 0.95 = 784 \times 0.0740 = 58.0\ \text{bits},$$

        or 40.2 nats. A model that knows nothing needs one bit per pixel. This model gives 0.95
        to the right value of every pixel, so it needs only 0.074. A wrong prediction is
        expensive: a pixel with the probability 0.05 costs $\log_2 20 = 4.3$ bits. If one
        pixel in twenty were wrong, the image would need 224.5 bits, the entropy of its pixels.""",
    within=0.3,
    mistakes="""
        right * log(2)
            That is the right length, but in nats. The question asks for bits.
        right / 784
            That is the length for one pixel. How do the lengths of 784 pixels combine?
        0.95**784
            That is the probability of the whole image. How many bits does it need?
        -784 * log10(0.95)
            This looks like a logarithm of base 10. Which base gives bits?
        -right
            A length cannot be negative: check the sign.
        -784 * (0.95 * log2(0.95) + 0.05 * log2(0.05))
            That is the entropy: the average if one prediction in twenty is wrong. Here all of
            them are right.
        -784 * log2(0.05)
            That is the length if every pixel was predicted wrongly.
        784
            That is the length for a model that knows nothing, with π = ½ for each pixel.
        784 * log(2)
            That is the length for a model that knows nothing, and in nats. What changes with a
            better prediction, and what are bits?
        right * log(2) ** 2
            One bit is less than one nat. Is the number of bits then larger than the number of
            nats, or smaller?
        784 * 0.95
            Adding the probabilities of pixels does not give a length. What is −log₂ of a product?
        784 * 0.05
            This adds 0.05 for each pixel. Lengths are made of logarithms.""",
    hints="""
        - The probability of the image is a product of 784 equal factors.
        - The logarithm turns the product into a sum, so it is enough to work out one pixel.
        - log₂ 0.95 is −0.074.""",
    fact="""The probability itself is about 3 · 10⁻¹⁸. Even good models give images such small
        probabilities, so programs add logarithms and never multiply the pixel probabilities.""",
)


def mixture_nats(images, tables):
    """−log p(x) of each image: images (n, pixels) of 0 and 1, tables (K, pixels); returns (n,)."""
    log_p = images @ tables.log().T + (1 - images) @ (1 - tables).log().T
    return math.log(len(tables)) - log_p.logsumexp(1)


_small = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
_pair = torch.tensor([[0.9, 0.2, 1 - 1e-5], [0.1, 1e-5, 0.3]])
_large = (torch.arange(4000).view(2, 2000) % 3 == 0).float()
_three = torch.stack([torch.linspace(a, b, 2000) for a, b in ((0.2, 0.5), (0.6, 0.3), (0.4, 0.4))])

TEN_TABLES = Exercise(
    slug="ten-tables",
    title="A latent with ten values",
    kind="stretch",
    minutes=10,
    question=r"""The model with independent pixels has one table of frequencies. Now let the model
        have $K$ tables, for example one for each digit, and a latent $k$ that says which table is
        used. Each $k$ has the prior probability $1/K$. Given $k$, the pixels are independent:

        $$p(x) = \frac1K \sum_{k=1}^{K} p(x \mid k), \qquad p(x \mid k) = \prod_j f_{kj}^{\,x_j}\,(1-f_{kj})^{1-x_j}.$$

        This is the evidence again, with a sum instead of an integral. Write a function that
        returns $-\log p(x)$ of each image, in nats. It must work for images of thousands of pixels,
        whose probability is so small that a float rounds it to 0. All frequencies lie strictly
        between 0 and 1.
    """,  # noqa: E501
    solution=mixture_nats,
    reasoning=r"""The two matrix products give $\log p(x\mid k)$ for every image and every table, in
        shape (n, K): the first adds $\log f$ where there is ink, the second $\log(1-f)$ where there
        is none. The model averages probabilities, so

        $$-\log p(x) = -\log\frac1K\sum_k e^{\log p(x\mid k)} = \log K - \operatorname{logsumexp}_k \log p(x\mid k).$$

        `logsumexp` subtracts the largest term before it exponentiates, so the sum does not become
        0, while $e^{-200}$ by itself is 0 in float32. If we keep only the largest term, we get
        $\log K - \max_k\log p(x\mid k)$: the length if we first name the best table, for log K
        nats, and then use it. The other terms can only add probability, so this length is never
        smaller than $-\log p(x)$. The two are almost equal if one table fits much better than all
        others.
    """,  # noqa: E501
    probes=[(_small, _pair), (_large, _three)],
    given="""
        count = len(tables)
        log_p = images @ tables.log().T + (1 - images) @ (1 - tables).log().T""",
    mistakes="""
        -log_p.double().exp().mean(1).log()
            This is right for a few pixels and infinite for many, because the probability is too
            small for a float. Which function of torch adds probabilities given as logarithms?
        -log_p.mean(1)
            This averages the logarithms. The model averages the probabilities.
        log(count) - log_p.amax(1)
            This names the best table and uses only that one. The other tables add to the
            probability as well.
        -log_p.logsumexp(1)
            This is the sum of the tables' probabilities. The model takes their average. With two
            equal tables, the sum is twice what one of them gives.
        -log_p.logsumexp(1) - log(count)
            The number of tables is there, but it makes images more probable. Is an average of
            probabilities larger than their sum, or smaller?
        -log_p.logsumexp(1) / count
            This divides the logarithm by the number of tables. What does 1/K multiply?
        -log_p.amax(1)
            This uses only the best table, as if every image came from it. Where is its prior
            probability 1/K, and what do the other tables add?
        -log_p.sum(1)
            This adds the tables' logarithms, as if an image had to come from all of them at once.
            It comes from any one of them.
        (-log_p).logsumexp(1) - log(count)
            Here the worst table counts most, because this averages 1/p(x | k) instead of p(x | k).
            Does the minus belong inside or outside the logsumexp?
        -(log_p.exp().mean(1) + eps).log() for eps in (1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-30)
            The added {eps} avoids log 0, but no image can then have more than {cap} nats. Can
            you stay with logarithms throughout?
        mixture_nats(images, tables.mean(0, keepdim=True))
            This averages the tables first, which gives the model with independent pixels again.
        log(count) - (images @ tables.log().T).logsumexp(1)
            This counts only the ink. Background has a probability too.
        mixture_nats(1 - images, tables)
            Ink and background are swapped.""",
    hints="""
        - First find log p(x | k) for every image and every table: a tensor of two dimensions.
        - Pixels multiply within a table, so their logarithms add up. Tables are averaged as
          probabilities, not as logarithms.
        - torch.logsumexp adds probabilities that are given as logarithms, and returns a logarithm.
        - An average of K terms is their sum divided by K. What does that do to a logarithm?""",
    fact="""Here the latent has K values, and the evidence is a sum of K terms. The latent of a VAE
        has infinitely many values, so the sum becomes an integral that cannot be computed. Notebook
        4 (the ELBO) replaces it by a bound.""",
)

EXERCISES = (FLAWLESS_COPY, DIVIDED_TWICE, FROZEN_PIXELS, NINETEEN_TO_ONE, TEN_TABLES)
