"""Exercises on the encoder: log σ, the reparameterization trick and the score function."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise

MISREAD_HEAD = Exercise(
    slug="misread-head",
    title="The cloud of a misread head",
    kind="warm-up",
    minutes=3,
    question="""A head for codes in the plane outputs log σ² = −3 for both dimensions, and a program
        takes that for log σ. How many times too small is the area of the ellipse (1σ or 2σ, it
        makes no difference) that it draws its codes from? A pocket calculator will do.""",
    solution="""
        width = math.exp(0.5 * -3) / math.exp(-3)
        times = width**2  # the right area / the misread one""",
    reasoning=r"""Meant is $\sigma=e^{\frac12\cdot(-3)}=e^{-1.5}$, read is $\sigma=e^{-3}$: each
        width is too small by $e^{1.5}\approx4.5$. An ellipse's area is $\pi$ times the product of
        its half-widths, so the two factors multiply, $e^{1.5}\cdot e^{1.5}=e^{3}$, and the $\pi$
        cancels. It is the same for the ellipse at 1σ and the one at 2σ.""",
    within=0.5,
    mistakes="""
        width
            That is by how much each width is too small. What does it do to an area?
        2 * width
            It adds up the two dimensions. How does an ellipse's area depend on its widths?
        exp(6)
            It looks as if variances were compared. A cloud is as wide as σ.
        1 / width
            That is the fraction that is left of each width. What does it do to an area, and which
            way round is the question?
        1 / right
            That is the fraction that is left of the area. How many times too small is the area
            then?
        3
            If this is 3, it is the logarithm of the factor, and one step is left. If it is e: how
            far apart are the logarithms of the two areas?
        6
            Are these the −3 of both dimensions, added up? How far is one dimension's log σ from
            the misread one, and what must become of a logarithm in the end?
        pi * right
            The π belongs to both areas: what becomes of it when you divide them?
        1
            The two readings agree only where σ = 1. What is σ here, by each of them?""",
    hints="""
        - Write down both σ for one dimension: the one that was meant, and the misread one.
        - The area of an ellipse is π times the product of its two half-widths.
        - Exponentials multiply by adding what is in the exponent.""",
    fact="""In the course's five dimensions the cloud's volume would be too small by e^7.5, a factor
        of 1,800: a small error in one width is a large one in the precision of a code.""",
)


def several_codes(mean, log_std, noise):
    """Codes of every image, shape (batch, sample, latent)."""
    return mean[:, None] + log_std.exp()[:, None] * noise


_means = torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.6]])
_log_stds = torch.tensor([[0.4, -1.1], [-0.3, 0.8], [-2.0, 0.2]])
_noise = torch.linspace(-1.9, 2.3, 18).view(3, 3, 2).flip(1)
_wide_means, _wide_log_stds = torch.linspace(-3, 9, 18).cos().view(2, 3, 3)
_wide_noise = torch.linspace(0, 31, 27).sin().view(3, 3, 3)

SEVERAL_CODES = Exercise(
    slug="several-codes",
    title="Several codes for each image",
    kind="core",
    minutes=5,
    question=r"""Above, samples came first. Often one wants several codes *for each image*, image by
        image: from `mean` and `log_std` of shape (batch, latent) and `noise` of shape (batch,
        sample, latent) to codes of shape (batch, sample, latent). Sample $s$ of image $i$ is made
        the μ and σ of that image and `noise[i, s]`. Be careful where there are as many samples as
        images.""",
    solution=several_codes,
    reasoning=r"""Broadcasting compares shapes from the right. (batch, latent) flush right below
        (batch, sample, latent) puts the images of $\mu$ where the noise has its samples: with
        unequal sizes an error, with equal ones a wrong result that nobody reports. `mean[:, None]`
        has shape (batch, 1, latent), and the 1 is stretched over the samples; $\sigma$ needs the
        same. Another way is to bring the samples to the front, where `reparameterize` expects them,
        and back: `reparameterize((mean, log_std), noise.transpose(0, 1)).transpose(0, 1)`.""",
    probes=[
        (_means, _log_stds, _noise),
        (_means[:2].double(), _log_stds[1:].double(), _noise[1:, 1:].double()),
        (_wide_means, _wide_log_stds, _wide_noise),
    ],
    given="""
        std = log_std.exp()
        mean_, std_ = mean[:, None], std[:, None]""",
    mistakes="""
        mean + std * noise
            Image 1's noise does not meet image 1's μ, but the μ of one image after another.
            Which dimension of μ is an image in, and which of the noise?
        mean_ + std * noise
            μ is matched to its image. σ is not.
        mean + std_ * noise
            σ is matched to its image. μ is not.
        mean + std * noise.transpose(0, 1)
            All codes are right, but they come out as (sample, batch, latent).
        mean_ + log_std[:, None] * noise
            It takes log σ for σ.
        mean_ + (0.5 * log_std).exp()[:, None] * noise
            It halves the logarithm, as you would if the head gave log σ².
        mean_ + std_**2 * noise
            It stretches the noise by σ², not by σ.
        (mean_ + noise) * std_
            It stretches μ as well. What should σ multiply?
        mean_ + std_ * noise[:, :1].expand_as(noise)
            All codes of an image are the same: it uses one ε for all of them.""",
    hints="""
        - Broadcasting compares shapes from the right: write (batch, latent) below
          (batch, sample, latent), flush right, and see which dimension meets which.
        - μ and σ need a dimension of size 1 where the samples are.
        - tensor[:, None] puts a new dimension second.""",
    fact="""With 4 samples for 3 images, PyTorch would have refused the naive line. A test whose
        sizes all differ catches what one with equal sizes lets pass.""",
)


def log_density(codes, mean, log_std):
    """log N(codes; mean, exp(log_std)²) of each image's code, shape (batch,)."""
    squares = (codes - mean) ** 2 / (2 * log_std.exp() ** 2)
    normaliser = 0.5 * mean.shape[1] * math.log(2 * math.pi) + log_std.sum(1)
    return -squares.sum(1) - normaliser


_codes = torch.tensor([[1.0, -1.2], [0.9, 2.5], [-0.6, 1.9]])

MISREAD_DENSITY = Exercise(
    slug="misread-density",
    title="Find what is misread",
    kind="core",
    minutes=8,
    question=r"""Find the bug. Later notebooks need $\log q(z\mid x)$ itself, the log density of a
        code under its image's Gaussian. Someone computes it, with all arguments of shape (batch,
        latent), as

            squares = (codes - mean) ** 2 / (2 * log_std.exp())
            normaliser = 0.5 * mean.shape[1] * math.log(2 * math.pi) + 0.5 * log_std.sum(1)
            return -squares.sum(1) - normaliser

        (A reinforcement learning library
        [had just this](https://github.com/hill-a/stable-baselines/issues/1059).) Fix it:
        `log_std` is log σ, as everywhere in the course.""",
    solution=log_density,
    reasoning=r"""In one dimension
        $\log\mathcal N(z;\mu,\sigma^2)=-\frac{(z-\mu)^2}{2\sigma^2}-\log\sigma-\tfrac12\log2\pi$,
        and independent dimensions add up. The snippet divides by $2\sigma$, where $2\sigma^2$
        belongs, and subtracts $\tfrac12\log\sigma$, where $\log\sigma$ belongs: both would be right
        if `log_std` were $\log\sigma^2$. At $\sigma=1$ the logarithm is 0 and $\sigma=\sigma^2$, so
        neither bug shows. `torch.distributions.Normal(mean, log_std.exp()).log_prob(codes).sum(1)`
        is the same function.""",
    probes=[
        (_codes, _means, _log_stds),
        (_codes[:2].double(), _means[1:].double(), _log_stds[:2].double()),
        (_wide_noise[0], _wide_means, _wide_log_stds),
    ],
    given="""
        std, off, size = log_std.exp(), codes - mean, mean.shape[1]
        half_log_2pi = 0.5 * log(2 * pi)
        squares, volume, constant = (off / std) ** 2 / 2, log_std.sum(1), size * half_log_2pi

        def density(squares=squares, volume=volume, constant=constant):
            return -squares.sum(1) - volume - constant""",
    mistakes="""
        density(off**2 / (2 * std), volume / 2)
            That is the snippet as it stands. Which quantity is exp(log_std), and which one
            belongs below the squared distance?
        density(volume=volume / 2)
            The distance is right now. There is a second place that misreads the head.
        density(off**2 / (2 * std))
            The normaliser is right now. The distance still is not.
        density(volume=2 * volume)
            The distance is right. The normaliser has log σ² now: it should be the log of which
            of the two?
        density(volume=-volume)
            A wide cloud is a thin one: which sign does the normaliser get?
        density(volume=-volume, constant=-constant)
            The whole normaliser is added, 2π and all. A density is divided by it: what does a
            logarithm make of that?
        density(off**2 / (2 * std**4), 2 * volume)
            Distance and normaliser both have σ² for σ: which of the two does torch's Normal
            expect?
        density(volume=std.sum(1))
            The normaliser has σ itself where its logarithm belongs.
        density(off**2 / (2 * (log_std**2).exp()))
            The square of a logarithm is not the logarithm of a square.
        density(-squares)
            The further z lies from μ, the denser: which sign does the distance get?
        density(volume=0)
            The distance is right, and the normaliser is gone: what keeps a wide bell's area at 1?
        density(off / (2 * std**2))
            Left of μ it is denser than at μ. What happens to z − μ in a bell?
        density(off**2 / (2 * log_std**2))
            The distance is divided by 2 (log σ)². Where has the exponential gone?
        density(2 * squares)
            The squared distance weighs twice too much.
        density(squares / 2)
            The squared distance weighs half of what it should: how far does the square below it
            reach?
        density(off**2 / (2 * std**0.5))
            The normaliser is right. In the distance log σ is halved: of what is that the
            logarithm, and what belongs there?
        density(constant=0)
            Everything is right except for a constant: where has the 2π gone?
        density(constant=half_log_2pi)
            Everything is right except for a constant: how many dimensions have a 2π?
        density(constant=2 * constant)
            Everything is right except for a constant: each 2π stands below a square root.
        right.exp()
            That is the density. Its logarithm is asked for.""",
    hints="""
        - Try it on one dimension with μ = 0 and σ = 2, beside torch.distributions.Normal.
        - The density of N(μ, σ²) is exp(−(z − μ)² / 2σ²) / (σ √(2π)). Take its logarithm.
        - The snippet reads log_std as log σ², in two places. For each: is σ or σ² meant?""",
    fact="""The two bugs were in a widely used library, and were fixed together
        (github.com/hill-a/stable-baselines/pull/1060). At σ = 1 neither can be seen: test a density
        at another σ.""",
)


def gradients_with_baseline(f, mean, std, noise):
    """Score-function estimates for μ and log σ, each less the others' mean, shape (2,)."""
    values = f(mean + std * noise)
    others = (values.sum() - values) / (len(values) - 1)
    scores = torch.stack([noise / std, noise**2 - 1])
    return ((values - others) * scores).mean(1)


def _step(z):
    """1 right of 0.7, else 0: its derivative is 0 wherever there is one."""
    return (z > 0.7).to(z.dtype)


_draws = torch.tensor([-1.3, 0.4, 2.1, -0.2, 0.9])

BASELINE = Exercise(
    slug="baseline-from-the-others",
    title="A baseline from the other samples",
    kind="stretch",
    minutes=10,
    question="""A score is 0 on average, so $f$ may be replaced by $f-b$ without a change of the
        mean, as long as $b$, the *baseline*, does not depend on the sample's own ε. A good one
        costs nothing: for each sample, the mean of $f$ over all the *other* samples. Write the
        score-function estimator with it, in one dimension. `f` takes a tensor of codes, shape
        (sample,), and returns as many values; `mean` and `std` are numbers; `noise` is ε, shape
        (sample,). The result is the gradient for μ and the one for log σ, averaged over the
        samples.""",
    solution=gradients_with_baseline,
    reasoning=r"""A score is 0 on average, $\mathbb E[\nabla\log q]=\nabla\int q=0$, so a baseline
        $b$ that does not depend on the sample's own ε changes no average:
        $\mathbb E[b\,\nabla\log q]=\mathbb E[b]\cdot0$. The mean of the *other* values is such a
        $b$. The mean of all is not: its share $f_i/n$ comes from the sample itself, and the
        estimate comes out $(n-1)/n$ times what it should be. For $f(z)=z^2$, $\mu=1$,
        $\sigma=\tfrac12$ the constant baseline $b=\mathbb E[f]=\mu^2+\sigma^2$ brings one sample's
        variance for μ from 21.75 to 10.5: half, and still ten times the reparameterized one's.""",
    probes=[
        (torch.square, 1.0, 0.5, _draws),
        (_step, 0.4, 1.5, _draws.double()),
        (torch.exp, -0.3, 0.8, _draws[:3]),
    ],
    given="""
        values = f(mean + std * noise)
        total, count = values.sum(), len(values)
        others = (total - values) / (count - 1)
        score_mean, score_log_std = noise / std, noise**2 - 1

        def estimate(baseline=others, for_mean=score_mean, for_log_std=score_log_std):
            return ((values - baseline) * torch.stack([for_mean, for_log_std])).mean(1)""",
    mistakes="""
        estimate(0)
            That is the estimator without a baseline: right on average, and noisy.
        estimate(values.mean())
            It subtracts the mean of all values, which depends on the sample's own ε: the estimate
            is too small on average. Which value must be left out?
        estimate((total - values) / count)
            It leaves a sample out of the sum and still divides by the number of all samples.
        estimate(total - values)
            It subtracts the sum of the others. Their mean is asked for.
        estimate(total / (count - 1))
            It divides by the number of the others, but whose values are in the sum?
        estimate(values.mean()) / values.std()
            It standardises f. The mean of all depends on the sample's own ε, and what has the
            spread to do with the gradient?
        (values * torch.stack([score_mean, score_log_std]) - others).mean(1)
            It subtracts the baseline from the product. That shifts the average: from what should
            it be subtracted?
        -right
            Both have the wrong sign: is the baseline subtracted from f, or f from the baseline?
        right.flip(0)
            The two gradients are right but in the wrong order: μ comes first.
        estimate(for_mean=noise)
            For log σ it is right. The score for μ is not yet: is it made of the noise, and
            divided by what makes it larger where σ is small?
        estimate(for_mean=noise / std**2)
            For log σ it is right. The score for μ is (z − μ)/σ²: what is that in terms of ε?
        estimate(for_log_std=score_log_std / std)
            For μ it is right. The second is the gradient for σ; the one for log σ is different.
        estimate(for_log_std=-score_log_std)
            For μ it is right. If f is large far away from μ, should σ grow or shrink, and which
            of them does your second gradient ask for?
        estimate(for_mean=noise * std)
            For log σ it is right. The score for μ looks like z − μ alone: what is left of 2σ²
            when log q is differentiated?
        right / values.std()
            It divides by the spread of f. That is done in reinforcement learning, but then it is
            no longer the gradient.
        gradients_with_baseline(f, 0.0, 1.0, noise) / torch.tensor([std, 1.0])
            f is given the noise. It expects the code.""",
    hints="""
        - The scores are in the text: ε/σ for μ, and ε² − 1 for log σ.
        - The mean of the others is the sum of all, less the sample's own value, divided by how
          many are left.
        - Subtract each sample's baseline from its f, multiply by its score, average over samples.
    """,
    fact="""It is the covariance of f and the score over the samples (with n − 1 below), so a
        constant in a score, such as the −1, makes no difference. The baseline is free, and f may be
        a step that has no slope.""",
)

LARGER_PICTURE = Exercise(
    slug="larger-picture",
    title="A larger picture",
    kind="core",
    minutes=5,
    question="""Predict: how many parameters, biases included, would the convolutional encoder have
        for images of 56 × 56 pixels? All else stays as above: two rounds of 3 × 3 convolution, with
        16 and then 32 filters, and max pooling, then two heads of 5.""",
    solution="""
        convolutions = (3 * 3 * 1 + 1) * 16 + (3 * 3 * 16 + 1) * 32  # the 1 added is the bias
        heads = 2 * (32 * 14 * 14 + 1) * 5
        parameters = convolutions + heads  # weights and biases""",
    reasoning=r"""A filter is as large as before, and there are as many of them, so the convolutions
        keep their $160+4640$ parameters whatever the size of the picture. After two poolings the
        picture is $14\times14$ instead of $7\times7$, with 32 channels, so each head receives four
        times as many numbers, $6272$, and has $6272\cdot5+5$ parameters. The multiply-adds of the
        convolutions, on the other hand, all grow four times: there are four times as many
        positions.""",
    within=0.5,
    given="head = lambda inputs: inputs * 5 + 5",
    mistakes="""
        convolutions + 2 * head(32 * 7 * 7)
            That is what it has at 28 × 28. Which of its layers sees how large an image is?
        4 * (convolutions + 2 * head(32 * 7 * 7))
            Four times as many pixels, but a filter is as large as before: which layers grow at
            all?
        convolutions + 2 * head(2 * 32 * 7 * 7)
            The heads do grow, but more: a picture twice as wide is also twice as high.
        convolutions + head(32 * 14 * 14)
            There are two heads.
        144 + 4608 + 2 * 32 * 14 * 14 * 5
            Those are the weights. Every output has a bias too.
        right - 16
            The first convolution has weights alone here. What else has each filter?
        right - 32
            The second convolution has weights alone here. What else has each filter?
        right - 48
            The heads have their biases. Have the filters none?
        right - 10
            The filters have their biases. Have the heads none?
        convolutions + 2 * head(14 * 14)
            The heads receive one channel of the picture here. How many come out of the second
            convolution?
        convolutions + 2 * head(32 * 12 * 12)
            The picture loses its rim at each convolution here. What does the encoder above do, so
            that 28 becomes 14 and then 7?
        convolutions
            Those are the convolutions. Which layers make μ and log σ?
        heads
            Those are the heads. Convolutions have weights, too.
        convolutions + 2 * head(32 * 28 * 28)
            How many times does the encoder halve the picture?
        convolutions + 2 * head(32 * 56 * 56)
            Pooling costs no parameters, but it saves some: what size do the heads receive?
        160 + 320 + heads
            A filter of the second round looks at one channel only. How many are there?
        144 * 56**2 + 4608 * 28**2 + 2 * 32 * 14 * 14 * 5
            Those are the multiply-adds. A filter's weights are counted once.
        3136 * 500 + 500 + 2 * head(500)
            That is the dense encoder. The convolutional one is asked for.""",
    hints="""
        - Go through the layers from the first to the last. Which have weights?
        - A convolution's weights are the filter's size times the channels in and out. The size
          of the picture does not matter.
        - How large is the picture after two poolings, and how many channels has it? Each head
          receives all of that.""",
    fact="""The dense encoder grows from 397,510 to 1,573,510. Networks that average each channel
        before the heads do not grow at all.""",
)

EXERCISES = (MISREAD_HEAD, SEVERAL_CODES, MISREAD_DENSITY, BASELINE, LARGER_PICTURE)
