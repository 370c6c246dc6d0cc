"""Exercises on training, testing, and what rate and distortion mean."""

import torch

from vaelib.course.exercises.exercise import Exercise

NO_GRADIENT = Exercise(
    slug="step-without-a-gradient",
    title="A step without a gradient",
    kind="warm-up",
    minutes=5,
    question="""Predict a number. At a weight's first step of Adam its gradient is 3, at its second
        step exactly 0. By how much does the weight θ *fall* in the second step, in units of the
        learning rate η? (As in `adam_by_hand`, t is 1 at the first step; ignore the $10^{-8}$. If θ
        rises, the number is negative.) Give two decimals.""",
    solution="""
        m, v = 0.1 * 3, 0.001 * 3**2  # after the first step
        m, v = 0.9 * m + 0.1 * 0, 0.999 * v + 0.001 * 0**2
        second_step = (m / (1 - 0.9**2)) / math.sqrt(v / (1 - 0.999**2))  # in units of η""",
    reasoning=r"""After the first step $m = 0.1 \cdot 3$ and $v = 0.001 \cdot 9$. A gradient of 0
        shrinks both a little, $m$ by 0.9 and $v$ by 0.999, and the divisors are now
        $1 - 0.9^2 = 0.19$ and $1 - 0.999^2 \approx 0.002$. So
        $\hat m \approx 3 \cdot 0.09 / 0.19 = 3 \cdot 0.474$, and
        $\sqrt{\hat v} \approx 3 \cdot \sqrt{0.5} = 3 \cdot 0.707$. The 3 cancels, and the ratio is
        0.67: two thirds of the first step, with no gradient at all.""",
    within=0.004,
    given="m_hat, v_hat = m / (1 - 0.9**2), v / (1 - 0.999**2)",
    mistakes="""
        0
            The gradient is 0, but is m? (If yours is tiny and not 0: it is asked for in units of
            η.)
        1
            The first step is of that size, whatever the gradient. Go through m and v once more for
            the second.
        -right
            The size is right. The gradient that m remembers was positive: does θ go on, or back?
        m / sqrt(v)
            Both averages began at 0, and are still too close to it. What divides them?
        (m / 0.1) / sqrt(v / 0.001)
            The divisors are those of the first step. What is t now?
        m_hat / sqrt(v)
            m is corrected for its bias, v is not: both are divided by something.
        m / sqrt(v_hat)
            v is corrected for its bias, m is not: both are divided by something.
        m_hat / v_hat
            Look at what stands around v in the formula.
        0.3 / (1 - 0.9**2) / sqrt(0.009 / (1 - 0.999**2))
            m is still what the first step made it. What does a gradient of 0 do to it?
        m_hat
            That is the average gradient alone, as in descent with momentum. Adam divides it.
        m
            That is m as it stands, biased and not yet divided. What does Adam divide it by?
        0.7
            It looks as if it were rounded to one decimal. How many are asked for?
        1 + right
            That is the way of both steps together. The second alone is asked for.""",
    hints="""
        - After the first step m = 0.1 · 3 and v = 0.001 · 9. Put them through the formulas with
          g = 0.
        - t is 2 now, so the divisors are 1 − 0.9² and 1 − 0.999².
        - The 3 cancels: you could have begun with a gradient of 1.""",
    fact="""Adam makes many steps out of a single gradient: with nothing but zeros after it the
        weight moves another 5 η in the same direction. A weight whose gradient is None does not
        move.""",
)


def train_in_parts(theta, images, loss_of, batch_size, part_size):
    """θ after one step of gradient descent for each batch, of θ's shape."""
    theta = theta.clone().requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=0.1)
    for batch in images.split(batch_size):
        optimizer.zero_grad()
        for part in batch.split(part_size):
            share = len(part) / len(batch)
            (share * loss_of(theta, part)).backward()
        optimizer.step()
    return theta.detach()


def _in_memory_of(most, loss_of):
    """The loss, on a machine whose memory takes no more than so many images at once."""

    def loss(theta, images):
        if len(images) > most:
            raise MemoryError(f"loss_of was given {len(images)} images, the memory takes {most}")
        return loss_of(theta, images)

    return loss


def _squared_error(theta, images):
    return (images @ theta - 1).square().mean()


def _mixed_error(theta, images):
    return torch.nn.functional.softplus(images @ theta).mean() + 0.5 * theta.square().sum()


_features = torch.linspace(0, 20, 26).sin().view(13, 2)
_more_features = torch.linspace(1, 40, 33).cos().view(11, 3)

IN_PARTS = Exercise(
    slug="batch-in-parts",
    title="A batch in parts",
    kind="stretch",
    minutes=10,
    question="""A batch that is too large for the memory can go through in *parts*: their gradients
        add up, and then one step is taken, exactly the step that the whole batch would have given.
        Write one epoch of it, in plain gradient descent. Each batch is `images.split(batch_size)`,
        and its parts are `batch.split(part_size)`; the last of either may be smaller, and is used
        like the others. `loss_of(theta, part)` is the **mean** loss of a part's images, a tensor
        that has a `backward`. Do not shuffle. Begin with

        ```python
        theta = theta.clone().requires_grad_()
        optimizer = torch.optim.SGD([theta], lr=0.1)
        ```

        (That the parts need not be of one size has been overlooked in large libraries too:
        [transformers#24725](https://github.com/huggingface/transformers/issues/24725).)""",
    solution=train_in_parts,
    reasoning=r"""`backward` *adds* to `.grad`. That is why a loop needs `zero_grad`, and it is what
        this exercise uses: `zero_grad` and `step` belong to the batch, `backward` to the part. A
        batch of $n$ images with parts of $n_1, n_2, \dots$ has the mean loss
        $\frac1n \sum_i \ell_i = \sum_k \frac{n_k}{n} L_k$, where $L_k$ is the mean of part $k$. So
        each part's loss is multiplied by its share $n_k / n$, where $n$ is `len(batch)`, because
        the last batch may be smaller than `batch_size`. With $1$ over the number of parts instead,
        an image in a small part would count for more than the others.""",
    probes=[
        (torch.tensor([0.4, -1.1]), _features, _in_memory_of(2, _squared_error), 5, 2),
        (torch.tensor([0.2, 0.9, -0.5]), _more_features, _in_memory_of(3, _mixed_error), 7, 3),
    ],
    given="""
        def share(part, batch):
            return len(part) / len(batch)

        def train(weight=share, clear="batch", step="batch", images=images, batch_size=batch_size):
            weights = theta.clone().requires_grad_()
            optimizer = torch.optim.SGD([weights], lr=0.1)

            for batch in images.split(batch_size):
                if clear == "batch":
                    optimizer.zero_grad()
                for part in batch.split(part_size):
                    if clear == "part":
                        optimizer.zero_grad()
                    (loss_of(weights, part) * weight(part, batch)).backward()
                    if step == "part":
                        optimizer.step()
                if clear == "late":
                    optimizer.zero_grad()
                if step == "batch":
                    optimizer.step()
            if step == "epoch":
                optimizer.step()
            return weights.detach()""",
    mistakes="""
        train(lambda part, batch: 1)
            The gradients of the parts add up, so the more parts, the longer the step. What should
            each part's loss be multiplied by?
        train(lambda part, batch: 1 / ceil(len(batch) / part_size))
            All parts count the same here, though the last has fewer images: the bug of the thread.
        train(lambda part, batch: part_size / batch_size)
            Right, except for parts that are not full: how many images has the last one?
        train(lambda part, batch: 1 / ceil(batch_size / part_size))
            All parts count the same, whatever their size, and the last batch is divided by as many
            parts as the others have. What is a part's share of its batch?
        train(lambda part, batch: 1 / (batch_size // part_size))
            It divides by the number of full parts. A part that is not full is one more, and should
            it count like them?
        train(lambda part, batch: part_size / len(batch))
            Each batch counts by the images that it has. Does each part?
        train(lambda part, batch: len(part))
            These are steps on a batch's sum. The loss is a mean over its images.
        train(lambda part, batch: len(part) / batch_size)
            Right, except for the last batch: how many images has it?
        train(lambda part, batch: len(part) / len(images))
            Each part counts by its share of all images. A step is on one batch.
        train(clear="never")
            The weights of the parts are right. What does .grad hold when the second batch begins?
        train(clear="part")
            Only the last part of each batch is left in .grad when the step is taken.
        train(lambda part, batch: 1, clear="part")
            Only the last part of each batch is left in .grad when the step is taken, and that one
            counts as if it were the batch: these are two bugs.
        train(lambda part, batch: 1, clear="part", step="part")
            That is training in smaller batches: a step for each part. How many steps should a
            batch make?
        train(clear="part", step="part")
            The shares are right, but each part makes a step, and the next part meets weights that
            have moved.
        train(step="part")
            It steps after each part, with the parts before it still in .grad.
        train(lambda part, batch: 1, batch_size=part_size)
            It splits all images into parts and steps on each. Where are the batches?
        train(images=images[:batch_size])
            It makes the first batch's step, rightly, and no other. Where does the return stand?
        train(step="epoch")
            It makes one step, after the last batch, when that batch alone is in .grad. How many
            steps has an epoch?
        train(clear="never", step="epoch")
            All batches add up in .grad, for a single step after them. How many steps has an epoch?
        theta
            θ has not moved at all: is a step taken while .grad is filled, and do you return the θ
            after the steps?""",
    hints="""
        - Two loops: over images.split(batch_size), and in it over batch.split(part_size).
        - Of zero_grad, backward and step only one belongs in the inner loop.
        - Write a batch's mean loss as a sum over its images, then over its parts: with which
          factor does a part's mean come in?""",
    fact="""It is called gradient accumulation. Plain descent shows every wrong factor; Adam divides
        by the gradient's size and hides those that are the same at every step.""",
)


def tested_bound(log_likelihood, mean, log_std, noise):
    """The ELBO of each image in nats, averaged over the samples of noise, shape (batch,)."""
    z = mean + log_std.exp() * noise
    kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
    return log_likelihood(z).mean(0) - kl


def _coins(z):
    """Log-likelihood of three images of four pixels, each a coin."""
    image = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    logits = z @ torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.3, 1.5, -2.0, 1.0]]).to(z)
    return (image * logits - torch.nn.functional.softplus(logits)).sum(-1)


def _bell(z):
    return -0.5 * (z - 0.7).square().sum(-1)


_means = torch.tensor([[0.5, -1.0], [1.2, 0.3], [-0.7, 0.9]])
_spreads = torch.tensor([[-0.4, 0.3], [-1.0, -0.2], [0.2, -0.6]])
_noise = 1.5 * torch.linspace(0, 47, 24).sin().view(4, 3, 2)

NO_NOISE = Exercise(
    slug="no-noise-when-testing",
    title="No noise when testing",
    kind="core",
    minutes=8,
    question="""Find the bug. PyTorch's own VAE example once tested its model like this
        ([examples#419](https://github.com/pytorch/examples/pull/419) corrected it), and called the
        result the ELBO:

        ```python
        def tested_bound(log_likelihood, mean, log_std, noise):
            z = mean  # no noise when testing
            kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
            return log_likelihood(z) - kl
        ```

        Write it so that it estimates the ELBO of each image, from several samples of $z$ at once.
        `mean` and `log_std` are those of q(z|x), of shape (batch, latent), `noise` is drawn from
        N(0, 1), of shape (samples, batch, latent), and `log_likelihood(z)` gives log p(x|z) in
        nats for codes of shape (…, batch, latent), of shape (…, batch). Keep the exact KL.""",
    solution=tested_bound,
    reasoning=r"""The ELBO is $\mathbb E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}$, and the snippet
        replaces the average over $z$ by the value at the average $z$. These differ, because
        $\log p(x|z)$ is not linear in $z$. The snippet's KL is the price of a code with spread
        $\sigma$, but its decoder receives a code without any. Neither the sign nor the size of the
        difference is known beforehand, so the number is not the ELBO and need not be a bound at
        all. The mean is a fine code for a *picture*; only the number needs the noise.""",
    probes=[
        (_coins, _means, _spreads, _noise),
        (_bell, _means[:2].double(), _spreads[:2].double(), _noise[:, :2].double()),
        (_bell, _means.T, _spreads.T, 1.5 * torch.linspace(0, 37, 30).sin().view(5, 2, 3)),
    ],
    given="""
        from torch.distributions import Normal

        from vaelib.elbo import kl
        from vaelib.encoder import Gaussian

        f, std = log_likelihood, log_std.exp()
        z = mean + std * noise
        price, likelihoods = kl(Gaussian(mean, log_std)), f(z)""",
    mistakes="""
        f(mean) - price
            That is the snippet as it stands. The KL pays for a spread; which code does the decoder
            receive?
        f(mean + noise).mean(0) - price
            Its codes have a standard deviation of 1, whatever log_std is.
        f(mean + log_std * noise).mean(0) - price
            It takes log σ for σ.
        f(mean + std.sqrt() * noise).mean(0) - price
            It halves log_std, as you would halve log σ². Here it is log σ.
        f(mean + std**2 * noise).mean(0) - price
            It stretches the noise by the variance.
        f(std * noise).mean(0) - price
            Its codes lie around 0, not around the image's mean.
        f(z.mean(0)) - price
            It averages the codes and decodes once, which leads back to the mean. What should be
            averaged?
        likelihoods[0] - price
            It uses the first sample only.
        likelihoods.mean() - price
            The KL is each image's own. The log-likelihood is averaged over the images too, so that
            all get the same.
        likelihoods.mean(0) - price.sum()
            The log-likelihood is each image's own. Whose codes does each image pay for?
        likelihoods.sum(0) - price
            Its log-likelihood grows with the number of samples.
        likelihoods.mean(0)
            That is the average log-likelihood. What has the code cost?
        likelihoods.mean(0) - price / mean.shape[-1]
            It averages the KL over the latent dimensions. A KL of independent dimensions is a sum.
        likelihoods.mean(0) + price
            The KL is a price: check its sign.
        likelihoods.logsumexp(0) - log(len(noise)) - price
            It takes the log of an average likelihood. The ELBO has the average of the log.
        (likelihoods - (Normal(mean, std).log_prob(z) - Normal(0, 1).log_prob(z)).sum(-1)).mean(0)
            An estimate of the same bound, with a KL from samples. The snippet's KL is exact: keep
            it.""",
    hints="""
        - The ELBO's first term is an average over z from q(z|x). Does the snippet draw any z?
        - z = μ + σ·ε, the reparameterization, gives all samples at once, of the shape of the
          noise.
        - The samples are dimension 0 of what log_likelihood then returns.""",
    fact="""D. P. Kingma, who wrote the VAE paper with M. Welling, corrected this in PyTorch's own
        example himself. The wrong number may lie above the ELBO or below it.""",
)

LEFT_OPEN = Exercise(
    slug="what-a-code-leaves-open",
    title="What a code leaves open",
    kind="core",
    minutes=5,
    question="""Predict a number. Some code leaves two sharp images possible, one in three cases of
        four, the other in the fourth. They differ in 20 pixels and agree in all the others. The
        decoder has only one set of coins for this code. With the best ones, what does it pay on
        average over the four cases, in nats per image? Give one decimal.""",
    solution="""
        coin = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # nats per pixel
        open_nats = 20 * coin  # nats""",
    reasoning="""For each of the twenty pixels the best coin is the average of the two images, each
        weighted by its probability: ¾ or ¼, soft either way. Such a coin pays its entropy, 0.56
        nats on average. The pixels on which the images agree have sure coins and pay nothing. A
        sharp output, the likelier image as it is, would pay nothing three times in four and without
        limit the fourth time. So blur is the *best* output of independent coins, and the only
        cheaper way is to leave less open.""",
    within=0.1,
    mistakes="""
        coin
            That is what one of the pixels pays. How many differ?
        20 * log(2)
            That is the price under coins of ½. The two images are not equally probable: which coin
            is better?
        right / log(2)
            That is the right amount, but in bits. The course counts in nats.
        right / log(10)
            Use the natural logarithm, of base e; this looks like base 10.
        20 * 0.75 * log(4 / 3)
            That is what the pixels' likelier sides add to the price. What do the others add?
        20 * 0.25 * log(4)
            That is what the pixels' rarer sides add to the price. What do the others add?
        20 * (log(4 / 3) + log(4))
            It charges both sides of each coin in full. How often does each of them come?
        20 * 0.75 * 0.25
            That is the variance of the coins, π(1 − π) for each. A price in nats is made of
            logarithms: of what?
        20 * log(4 / 3)
            That is the price when the likelier image comes. What about the other times?
        20 * log(4)
            That is the price when the less likely image comes. What about the other times?
        5
            That many pixels are wrong on average if the decoder always outputs the likelier image.
            A decoder so sure would pay without limit for each of them.
        784 * coin
            That charges all pixels. Where the two images agree, what does a sure coin pay?
        0
            Sharp coins, those of the likelier image, pay nothing when it comes; and when the other
            one does?
        4 * right
            That is the price of four images. It is asked for one, on average.
        10 * (log(4) + log(4 / 3))
            It takes both images for equally frequent. One comes three times as often.
        20 * (0.25 * log(4 / 3) + 0.75 * log(4))
            The coins are the wrong way round: they give the rarer image ¾.
        -right
            That is the log-likelihood. What is paid is its negative.""",
    hints="""
        - One coin has to do for both images. The best value for it is how often its pixel is ink.
        - Take a pixel that is ink in the likelier image alone: it is ink in ¾ of the cases.
        - What does it pay when its pixel is ink, and what when it is not? Weight both by how often
          they happen; then count the pixels.""",
    fact="""To say which of the two images it is would cost 0.56 nats, once. Independent coins pay
        it for each of the twenty pixels: that is the price of blur.""",
)

IN_BITS = Exercise(
    slug="budget-in-bits",
    title="A budget in bits",
    kind="core",
    minutes=4,
    question="""Predict a number, in the other direction. Someone asks for lossless compression of
        binary images of 28 × 28 pixels at 0.16 **bits per pixel**, code and correction together.
        Your model has a rate of 20 **nats** per image. How large may its distortion be, in nats per
        image, to the nearest nat?""",
    solution="""
        budget = 0.16 * 28 * 28 * math.log(2)  # −ELBO in nats per image
        distortion_allowed = budget - 20  # nats per image""",
    reasoning=r"""An image may cost $0.16 \cdot 784 = 125.4$ bits. A bit is $\log 2 = 0.693$ nats,
        so that is a $-$ELBO of 86.9 nats. It is the sum of rate and distortion, and the rate takes
        20 of it, so 66.9 nats are left for correcting the decoder's guess.""",
    within=0.5,
    given="bits = 0.16 * 784",
    mistakes="""
        budget
            That is the whole budget, in nats. Which part of it is already used?
        bits
            That is the whole budget, in bits. Nats are asked for, and one part.
        bits - 20
            It subtracts nats from bits: which of the two must be converted first?
        bits - 20 / log(2)
            The right amount, in bits. It is asked for in nats.
        budget + 20
            Rate and distortion add up to the budget. Here the budget is known.
        (bits - 20) * log(2)
            The rate was in nats already, and is converted once more.
        bits / log(2) - 20
            One nat is more than one bit. Are there then more nats or fewer in the budget?
        budget - 20 / log(2)
            The budget was turned into nats, but the rate into bits. Which of them had to be
            converted?
        (bits - 20) / log(2)
            It subtracts nats from bits, and then converts what is left the wrong way. Which of the
            two should be converted, and does it get smaller or larger?
        bits / log(2)
            That would be the whole budget if a nat were less than a bit. Is it, and which part is
            already used?
        right / 784
            That is for one pixel. How many has an image?
        0.16 * log(2) - 20
            The budget is for a pixel, the rate for an image: how many pixels has one?
        bits * log10(2) - 20
            For nats, use the natural logarithm; this looks like base 10.
        -right
            The size is right. A distortion is minus the log-likelihood: which sign has it?""",
    hints="""
        - How many bits may an image cost?
        - The section divides nats by log 2 to get bits. Here it goes the other way.
        - Rate + distortion = −ELBO, all three in nats.""",
    fact="""Papers give nats per image or bits per dimension; for 28 × 28 pixels 0.01 bits per
        dimension are 5.4 nats, so two digits of the one hide a good deal of the other.""",
)

EXERCISES = (NO_GRADIENT, IN_PARTS, NO_NOISE, LEFT_OPEN, IN_BITS)
