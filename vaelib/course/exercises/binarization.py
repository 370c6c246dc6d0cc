"""Exercises on binarization, and on what a nat is."""

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
    question=r"""Find what is wrong with this loss: [PyTorch's own
        example](https://github.com/pytorch/examples/issues/460) gives grey pixels to the Bernoulli
        formula as they are. In some grey image 100 pixels have intensity ¼; all its other pixels
        are exactly 0 or 1. Predict: what does a perfect reconstruction, $\pi = x$ everywhere, pay
        for the whole image by the Bernoulli formula, in nats (natural logarithms)? Work it out on
        paper, with a pocket calculator if you like, and give one decimal.""",
    solution="""
        quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)  # what one pixel of ¼ pays
        copy_nats = 100 * quarter  # nats""",
    reasoning=r"""A pixel that is 0 or 1 pays nothing when π = x, because its factor is
        $1^1\,0^0 = 1$. A pixel of ¼ pays

        $$-\log\left[\left(\tfrac14\right)^{1/4}\left(\tfrac34\right)^{3/4}\right] = \tfrac14\log 4 + \tfrac34\log\tfrac43 = 0.562\ \text{nats},$$

        the entropy of a coin of ¼. The pixels are independent given their coins, so their prices
        add up: a hundred of them pay 56.2 nats. The average test image pays something of this
        size, although the copy is flawless.
    """,  # noqa: E501
    within=0.1,
    mistakes="""
        0
            A flawless copy is free where x is 0 or 1. What does it pay where x is ¼?
        quarter
            That is what one grey pixel pays. How many are there?
        784 * quarter
            That charges every pixel of the image. Which of them pay nothing?
        right / log(2)
            That is the right amount, but in bits, with the logarithm of base 2.
        right / log(10)
            Use the natural logarithm; this looks like base 10.
        25 * log(4)
            That is the factor with the power x alone. What does the other factor add?
        75 * log(4 / 3)
            That is the factor with the power 1 − x alone. What does the other factor add?
        100 * log(4)
            That charges each grey pixel as if it were ink. To which power is π raised?
        100 * log(4 / 3)
            That charges each grey pixel as if it were background. Look at the two powers.
        100 * log(2)
            That is the price of a coin of ½. These coins are less uncertain.
        784 * log(2)
            That is a coin of ½ for every pixel of the image. How many pixels are uncertain at
            all, and are they that uncertain?
        100 * 0.25 * 0.75
            That is the variance of the tosses, π(1 − π) for each pixel. Where is the logarithm
            of the formula?
        -right
            That is the logarithm. What is paid is its negative.""",
    hints="""
        - Put x = ¼ and π = ¼ into the Bernoulli formula: what are the two powers?
        - The negative logarithm of a product is a sum: one term with ¼, one with ¾.
        - log 4 is 1.386 and log 4/3 is 0.288. A hundred such pixels pay a hundred times as much.
    """,
    fact="""A pixel of ¼ pays 0.56 nats, not much less than the most expensive one, ½, with 0.69.
        The entropy is flat on top, so even pale rims are expensive.""",
)


def to_ink(pixels):
    """Ink (1) or background (0) by the threshold ½, of bytes or of intensities, same shape."""
    intensity = pixels / 255 if pixels.dtype == torch.uint8 else pixels
    return threshold(intensity)


DIVIDED_TWICE = Exercise(
    slug="divided-twice",
    title="Find what is divided twice",
    kind="core",
    minutes=5,
    question="""Find the bug. With these two lines every binarized image is blank, background alone:

        ```python
        image = torchvision.transforms.ToTensor()(picture)  # a picture of bytes becomes floats, / 255
        binary = (image / 255 > 0.5).float()
        ```

        Write a function that avoids this trap. It takes pixels of either kind, bytes
        (`torch.uint8`, 0 to 255) or intensities (`torch.float32`, 0 to 1), whatever the picture
        shows, and returns 1 where `threshold` at level ½ would give ink, else 0.
    """,  # noqa: E501
    solution=to_ink,
    reasoning="""`ToTensor` has already divided by 255, so a pixel of full ink is 1.0 when it
        reaches the second line, and 1/255 after it. Nothing exceeds ½ and every image is blank. The
        loss is excellent, because blank images are easy to model. The values cannot tell bytes from
        intensities: an image of bytes 0 and 1 is almost blank, an image of intensities 0 and 1 has
        full ink, and the largest value in both is 1. The dtype can. The comparison is strict, so an
        intensity of exactly ½ stays background; no byte lies there, because 127 / 255 is below ½
        and 128 / 255 above.""",
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
            No intensity becomes ink, as in the snippet: none of them exceeds 1. Are they divided
            once more, or compared with a level that is meant for bytes?
        pixels > 0.5
            It is right for intensities, but makes ink of byte 1, which is nearly background.
        grey >= 0.5
            One grey is on the wrong side, the one at the level itself: what does `threshold`
            make of it?
        (pixels / 255 if pixels.max() > 1 else pixels) > 0.5
            It tells bytes from intensities by their largest value. What about a faint image?
        pixels / pixels.max() > 0.5
            It divides by the largest value that it is given, so one pixel decides about the
            others. What is full ink?
        pixels > (128 if are_bytes else 0.5)
            One byte is background that should be ink. On which side of ½ is 128 / 255?
        pixels > (126 if are_bytes else 0.5)
            One byte is ink that should be background. On which side of ½ is 127 / 255?
        1 - right
            Ink and background are swapped.
        grey
            These are the intensities, and they are right. They still have to be made 0 or 1.""",
    hints="""
        - Follow a pixel of full ink through the snippet: 255 at first, and then?
        - Bytes and intensities overlap in value, but never in dtype.
        - Test pixels.dtype. Which of the two kinds has still to be divided?""",
    fact="""`ToTensor` surprised others too: github.com/pytorch/pytorch/issues/6390. This is why the
        functions of `vaelib.binarization` refuse bytes, or intensities, that they do not
        expect.""",
)


def views(intensity, noise):
    """Each epoch's coins: intensity (images, pixels); noise, result (epochs, images, pixels)."""
    return torch.stack([bernoulli(intensity, fresh) for fresh in noise])


_coins = torch.tensor([[0.0, 0.2, 0.5, 1.0], [0.6, 0.4, 0.9, 0.1], [0.3, 0.7, 0.5, 0.8]])
_noise = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1))
_noise[0, 0, 0] = 0.0

FROZEN_COINS = Exercise(
    slug="where-the-coins-freeze",
    title="Find where the coins freeze",
    kind="core",
    minutes=5,
    question="""Find the bug. This function should give what a model sees in each epoch (each pass
        through the data) under the dynamic protocol. `noise` is uniform between 0 and 1 and has an
        epoch's worth of it for each epoch.

        ```python
        def views(intensity, noise):
            seen = []
            for fresh in noise:
                intensity = bernoulli(intensity, fresh)
                seen.append(intensity)
            return torch.stack(seen)
        ```

        It runs, and its first epoch is right, but it is not the dynamic protocol. Which one is
        it? Write the function as it should be.""",
    solution=views,
    reasoning="""The first turn of the loop overwrites `intensity` with zeros and ones. From then on
        every coin has probability 0 or 1, and falls the same way whatever its noise is, because
        noise is never below 0, and always below 1. So the model sees the first toss again in each
        epoch, which is the static protocol under the name of the dynamic one. Nothing fails, and
        only two epochs laid side by side show it. Without a loop, `(noise < intensity).float()`
        does the same, because a missing first dimension is broadcast.""",
    probes=[
        (_coins, _noise),
        (_coins[:2], _noise[1:4, :2]),
        (_coins[:, 1:], _noise[:4, :, 1:]),
    ],
    mistakes="""
        right[:1].expand_as(noise)
            Every epoch looks like the first, as in the snippet. What does the second one toss?
        right[-1:].expand_as(noise)
            Every epoch looks like the last. Each has noise of its own.
        (noise[:, :1] < intensity).float()
            All images of an epoch share one image's noise, so their rims flip together.
        (noise > intensity).float()
            The faintest pixels become ink and full ink becomes background: is the comparison the
            right way round?
        (noise <= intensity).float()
            A pixel of intensity 0 has become ink, because its noise was 0 too. Such a coin never
            shows ink.
        (intensity > 0.5).float().expand_as(noise)
            It does not use the noise: this is the threshold protocol.
        intensity.expand_as(noise)
            These are greys. What does the model see, once the coins are tossed?
        right.cummax(0).values
            A pixel that was ink once stays ink. An epoch must not remember earlier ones.""",
    hints="""
        - Write down what `intensity` holds at the start of the second turn of the loop.
        - A coin of probability 0 or 1 falls the same way whatever its noise is.
        - Give the toss a name of its own. (Or do without the loop: shapes broadcast.)""",
    fact="""Overwritten greys turn the dynamic protocol into the static one, without an error. A
        published example that should have tossed anew after each epoch did not, and a reader could
        not reach its results: github.com/casperkaae/parmesan/issues/18.""",
)

NINE_TO_ONE = Exercise(
    slug="nine-to-one",
    title="Nine to one on every pixel",
    kind="warm-up",
    minutes=3,
    question="""A model predicts an image of 784 binary pixels, one after the other. To each pixel's
        true value, ink or background, it had given the probability 0.9. Predict: how many **bits**
        long is the code for this image that is built for this model? Give one decimal.""",
    solution="image_bits = 784 * -math.log2(0.9)  # bits",
    reasoning=r"""The image has probability $0.9^{784}$, and a code built for the model needs

        $$-\log_2 0.9^{784} = -784\,\log_2 0.9 = 784 \times 0.152 = 119.2\ \text{bits},$$

        or 82.6 nats. Knowing nothing costs one bit a pixel; being nine to one sure, and right,
        costs 0.15. Being sure has its price too: a pixel predicted wrongly at nine to one costs
        $\log_2 10 = 3.3$ bits. If one pixel in ten went wrong the image would cost 368 bits, the
        entropy of its coins.""",
    within=0.3,
    mistakes="""
        right * log(2)
            That is the right length, in nats. Bits are asked for.
        right / 784
            That is one pixel's surprise. What happens to the surprises of 784 pixels?
        0.9**784
            That is about the probability of the whole image. How long is its code?
        -784 * log10(0.9)
            It looks as if the logarithm had base 10. Which base gives bits?
        -right
            A code has no negative length: check the sign.
        -784 * (0.9 * log2(0.9) + 0.1 * log2(0.1))
            That is the entropy of such coins: the price if they are wrong one time in ten. Here
            the outcome is known.
        -784 * log2(0.1)
            That is the price of an image of which every pixel was predicted wrongly.
        784
            That is the price of knowing nothing, a coin of ½ for each pixel.
        784 * log(2)
            That is a coin of ½ for each pixel, and in nats. How much less surprised is this
            model, and what are bits?
        right * log(2) ** 2
            One bit is less than one nat. Has the code then more bits than nats, or fewer?
        784 * 0.9
            Probabilities of pixels do not add up to lengths. What is −log₂ of a product?
        784 * 0.1
            That adds up 0.1 for each pixel. A length is made of logarithms.""",
    hints="""
        - The probability of the image is a product of 784 equal factors.
        - The logarithm turns the product into a sum, so one pixel's surprise is enough.
        - log₂ 0.9 is −0.152.""",
    fact="""As a probability it is 10⁻³⁶. Images are that improbable even under good models, so
        programs work with logarithms, and never multiply the pixels first.""",
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
    title="Ten tables, and no digit named",
    kind="stretch",
    minutes=10,
    question=r"""The independent-pixel model has one table of frequencies. Give it $K$ tables, for
        example one for each digit: an image comes from any of them with probability $1/K$, and
        given the table its pixels are independent coins,

        $$p(x) = \frac1K \sum_{k=1}^{K} p(x \mid k), \qquad p(x \mid k) = \prod_j f_{kj}^{\,x_j}\,(1-f_{kj})^{1-x_j}.$$

        Write a function that returns $-\log p(x)$ of each image, in nats. It must work for images
        of thousands of pixels, whose probability is smaller than any float. All frequencies lie
        strictly between 0 and 1.
    """,  # noqa: E501
    solution=mixture_nats,
    reasoning=r"""The two matrix products give $\log p(x\mid k)$ for every image and every table, in
        shape (n, K): one adds $\log f$ where there is ink, the other $\log(1-f)$ where there is
        none. The model averages probabilities, so

        $$-\log p(x) = -\log\frac1K\sum_k e^{\log p(x\mid k)} = \log K - \operatorname{logsumexp}_k \log p(x\mid k).$$

        `logsumexp` takes out the largest term before it exponentiates, so nothing underflows,
        while $e^{-200}$ by itself is 0 in float32. Keeping only the largest term gives
        $\log K - \max_k\log p(x\mid k)$, the price of naming the table that fits best. The other
        terms can only add probability, so naming never costs less; it costs about the same where
        one table fits far better than all others.
    """,  # noqa: E501
    probes=[(_small, _pair), (_large, _three)],
    given="""
        count = len(tables)
        log_p = images @ tables.log().T + (1 - images) @ (1 - tables).log().T""",
    mistakes="""
        -log_p.double().exp().mean(1).log()
            Right for a few pixels, infinite for many: the probability is too small for a float.
            Which function of torch adds probabilities given as logarithms?
        -log_p.mean(1)
            It averages the logarithms. The model averages the probabilities.
        log(count) - log_p.amax(1)
            It names the table that fits best, and pays for the name. The other tables add to the
            probability as well.
        -log_p.logsumexp(1)
            It adds the tables' probabilities up. With two equal tables it would charge less than
            with one of them.
        -log_p.logsumexp(1) - log(count)
            The number of tables is there, but makes images cheaper. Is an average of
            probabilities more than their sum, or less?
        -log_p.logsumexp(1) / count
            It divides the logarithm by the number of tables. What does 1/K multiply?
        -log_p.amax(1)
            That is what the table that fits best charges on its own. With which probability does
            an image come from this one, and do the others add nothing?
        -log_p.sum(1)
            It adds the tables' logarithms, as if an image had to come from all of them at once.
            It comes from any one of them.
        (-log_p).logsumexp(1) - log(count)
            Here the table that fits worst counts most. What is averaged, p(x | k) or one over
            it, and so on which side of the logarithm does the minus stand?
        -(log_p.exp().mean(1) + eps).log() for eps in (1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-30)
            An epsilon of {eps} keeps log 0 away, and limits what an image can cost to {cap}
            nats. Can it be done without leaving the logarithms?
        mixture_nats(images, tables.mean(0, keepdim=True))
            It averages the tables first, which is the independent-pixel model again.
        log(count) - (images @ tables.log().T).logsumexp(1)
            It charges for ink alone. Background has a probability too.
        mixture_nats(1 - images, tables)
            Ink and background are swapped.""",
    hints="""
        - First find log p(x | table) for every image and every table: two dimensions.
        - Pixels multiply within a table, so their logarithms add up. Tables are averaged as
          probabilities, not as logarithms.
        - torch.logsumexp adds probabilities that are given as logarithms, and never leaves the
          logarithms.
        - An average of K is a sum divided by K. What does that do to a logarithm?""",
    fact="""Naming the best table, at log K nats for the name, never costs less. A VAE has a table
        for each of infinitely many codes, and no sum over them; the notebook on the ELBO finds a
        bound instead.""",
)

EXERCISES = (FLAWLESS_COPY, DIVIDED_TWICE, FROZEN_COINS, NINE_TO_ONE, TEN_TABLES)
