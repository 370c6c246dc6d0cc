"""Exercises on the encoder: log σ, the reparameterization trick and the score function."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise

MISREAD_HEAD = Exercise(
    slug="misread-head",
    title="How much too small is the ellipse?",
    kind="warm-up",
    minutes=3,
    question="""A head for two latent dimensions outputs log σ² = −3 for both. A program mistakes
        the −3 for log σ and draws latents with this wrong σ. By what factor is the area of its
        1σ ellipse too small? (Its semi-axes are σ₁ and σ₂.) A calculator is all you need.""",
    solution="""
        width = math.exp(0.5 * -3) / math.exp(-3)
        times = width**2  # the right area / the misread one""",
    reasoning=r"""The correct value is $\sigma=e^{\frac12\cdot(-3)}=e^{-1.5}$, and the program uses
        $\sigma=e^{-3}$. So each width is too small by the factor $e^{1.5}\approx4.5$. The area of
        an ellipse is 3.14… (the number π) times the product of its half-widths. This number
        cancels, and the two factors multiply: $e^{1.5}\cdot e^{1.5}=e^{3}\approx20$. The
        same holds at 1σ and 2σ.""",
    within=0.5,
    mistakes="""
        width
            That is the factor for each width. What is the factor for an area?
        2 * width
            You added the factors of the two widths. How does the area depend on the widths?
        exp(6)
            You seem to have compared variances. The width of the ellipse is proportional to σ.
        1 / width
            That is the misread width divided by the correct one. The question is about areas, and
            asks for the correct one divided by the misread one.
        1 / right
            That is the misread area divided by the correct one. By what factor is it too small?
        3
            If this is 3, it is the logarithm of the factor, so one step is left. If it is e: by how
            much do the logarithms of the two areas differ?
        6
            Did you add the −3 of both dimensions? For one dimension, by how much do the correct and
            the misread log σ differ? And how do you get from a logarithm to a factor?
        pi * right
            Both areas contain 3.14… What happens to this number when you divide the areas?
        1
            The two areas would be equal only at σ = 1. What is the correct σ here, and what is the
            misread one?""",
    hints="""
        - Write down both σ for one dimension: the correct one and the misread one.
        - The area of an ellipse is 3.14… times the product of its two half-widths.
        - To multiply exponentials, add their exponents.""",
    fact="""With five latents, as in the course's model, the volume would be too small by e^7.5, a
        factor of about 1,800. A moderate error in each width makes a large error in the volume.""",
)


def several_latents(mean, log_std, noise):
    """Latents of every image, shape (batch, sample, latent)."""
    return mean[:, None] + log_std.exp()[:, None] * noise


_means = torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.6]])
_log_stds = torch.tensor([[0.4, -1.1], [-0.3, 0.8], [-2.0, 0.2]])
_noise = torch.linspace(-1.9, 2.3, 18).view(3, 3, 2).flip(1)
_wide_means, _wide_log_stds = torch.linspace(-3, 9, 18).cos().view(2, 3, 3)
_wide_noise = torch.linspace(0, 31, 27).sin().view(3, 3, 3)

SEVERAL_LATENTS = Exercise(
    slug="several-latents",
    title="Several latents for each image",
    kind="core",
    minutes=5,
    question="""Often we want several latents *for each image*. Write a function
        that receives `mean` and `log_std` of shape (batch, latent) and `noise` of shape (batch,
        sample, latent). It returns latents of shape (batch, sample, latent). Sample $s$ of image
        $i$ uses the μ and σ of that image and `noise[i, s]`. Be careful when there are as many
        samples as images: wrong broadcasting then raises no error.""",
    solution=several_latents,
    reasoning=r"""Broadcasting aligns shapes from the right. So it aligns the images of `mean`, of
        shape (batch, latent), with the samples of `noise`, of shape (batch, sample, latent). If
        there are 4 samples for 3 images, this raises an error. If the numbers are equal, no error
        is raised, but the result is wrong. `mean[:, None]` has shape (batch, 1, latent), and the 1
        is expanded over the samples. `log_std` needs the same. You can also move the
        samples to the front, where `reparameterize` expects them, and back:
        `reparameterize((mean, log_std), noise.transpose(0, 1)).transpose(0, 1)`.""",
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
            The noise of image 1 is combined with the μ of one image after another. Which dimension
            of μ counts the images, and which dimension of the noise?
        mean_ + std * noise
            μ is matched to its image. σ is not.
        mean + std_ * noise
            σ is matched to its image. μ is not.
        mean + std * noise.transpose(0, 1)
            All latents are right, but their shape is (sample, batch, latent).
        mean_ + log_std[:, None] * noise
            It uses log σ as if it were σ.
        mean_ + (0.5 * log_std).exp()[:, None] * noise
            It halves the logarithm, which is right only if the head outputs log σ².
        mean_ + std_**2 * noise
            It multiplies the noise by σ², not by σ.
        (mean_ + noise) * std_
            It multiplies μ by σ as well. What should σ multiply?
        mean_ + std_ * noise[:, :1].expand_as(noise)
            All latents of an image are equal, because it uses one ε for all of them.""",
    hints="""
        - Broadcasting aligns shapes from the right. Write (batch, latent) below
          (batch, sample, latent), aligned at the right, and see which dimensions are matched.
        - μ and σ need a dimension of size 1 in the place of the samples.
        - tensor[:, None] inserts a new second dimension.""",
    fact="""With 4 samples for 3 images, mean + std * noise would have raised an error. In tests,
        use sizes that all differ: equal sizes hide mistakes like this one.""",
)


def log_density(latents, mean, log_std):
    """log N(latents; mean, exp(log_std)²) of each image's latent, shape (batch,)."""
    squares = (latents - mean) ** 2 / (2 * log_std.exp() ** 2)
    normaliser = 0.5 * mean.shape[1] * math.log(2 * math.pi) + log_std.sum(1)
    return -squares.sum(1) - normaliser


_latents = torch.tensor([[1.0, -1.2], [0.9, 2.5], [-0.6, 1.9]])

MISREAD_DENSITY = Exercise(
    slug="misread-density",
    title="Find and fix the log density",
    kind="core",
    minutes=8,
    question=r"""Notebooks 4 (the ELBO) and 6 (evaluation) need $\log q(z\mid x)$, the log density
        of a latent under the Gaussian of its image. The code below should compute it. All its
        arguments have the shape (batch, latent). Find and fix the bug (it affects two lines).

            squares = (latents - mean) ** 2 / (2 * log_std.exp())
            normaliser = 0.5 * mean.shape[1] * math.log(2 * math.pi) + 0.5 * log_std.sum(1)
            return -squares.sum(1) - normaliser

        Here `log_std` is log σ, as everywhere in the course. The same bug once appeared in
        [a reinforcement learning library](https://github.com/hill-a/stable-baselines/issues/1059).
        """,
    solution=log_density,
    reasoning=r"""In one dimension,
        $\log\mathcal N(z;\mu,\sigma^2)=-\frac{(z-\mu)^2}{2\sigma^2}-\log\sigma-\tfrac12\log2\pi$.
        The dimensions are independent, so their log densities are added. The code divides by
        $2\sigma$ instead of $2\sigma^2$, and subtracts $\tfrac12\log\sigma$ instead of
        $\log\sigma$. Both would be right if `log_std` were $\log\sigma^2$. At $\sigma=1$ the
        logarithm is 0 and $\sigma=\sigma^2$, so the bug does not show. The same function in one
        line is `torch.distributions.Normal(mean, log_std.exp()).log_prob(latents).sum(1)`.""",
    probes=[
        (_latents, _means, _log_stds),
        (_latents[:2].double(), _means[1:].double(), _log_stds[:2].double()),
        (_wide_noise[0], _wide_means, _wide_log_stds),
    ],
    given="""
        std, off, size = log_std.exp(), latents - mean, mean.shape[1]
        half_log_2pi = 0.5 * log(2 * pi)
        squares, volume, constant = (off / std) ** 2 / 2, log_std.sum(1), size * half_log_2pi

        def density(squares=squares, volume=volume, constant=constant):
            return -squares.sum(1) - volume - constant""",
    mistakes="""
        density(off**2 / (2 * std), volume / 2)
            That is the original code. Is exp(log_std) σ or σ²? Which of them should the squared
            distance be divided by?
        density(volume=volume / 2)
            The distance is right now. There is a second place where log σ is read as log σ².
        density(off**2 / (2 * std))
            The normaliser is right now. The distance is not.
        density(volume=2 * volume)
            The distance is right. The normaliser now contains log σ². Should it be log σ or
            log σ²?
        density(volume=-volume)
            A wider Gaussian has a lower density. Which sign must log σ have?
        density(volume=-volume, constant=-constant)
            You added the whole normaliser, including 2π. The density is divided by it. What does a
            division become in a logarithm?
        density(off**2 / (2 * std**4), 2 * volume)
            Distance and normaliser both contain σ² instead of σ. Which of the two does torch's
            Normal expect?
        density(volume=std.sum(1))
            The normaliser contains σ instead of log σ.
        density(off**2 / (2 * (log_std**2).exp()))
            The square of a logarithm is not the logarithm of a square.
        density(-squares)
            Here the density grows with the distance from μ. Which sign must the distance have?
        density(volume=0)
            The distance is right, but log σ is missing. What keeps the area under a wide Gaussian
            at 1?
        density(off / (2 * std**2))
            Here the density is higher to the left of μ than at μ. What happens to z − μ in the
            formula of the Gaussian?
        density(off**2 / (2 * log_std**2))
            The distance is divided by 2 (log σ)². The exponential is missing.
        density(2 * squares)
            The squared distance has twice the right factor.
        density(squares / 2)
            The squared distance has half the right factor: in 2σ², only σ is squared.
        density(off**2 / (2 * std**0.5))
            The normaliser is right. In the distance, log σ is halved. That is right for log σ²,
            but log_std is log σ.
        density(constant=0)
            Everything is right except for a constant: 2π is missing.
        density(constant=half_log_2pi)
            Everything is right except for a constant: each dimension contributes a 2π.
        density(constant=2 * constant)
            Everything is right except for a constant: the density contains the square root of 2π.
        right.exp()
            That is the density. The question asks for its logarithm.""",
    hints="""
        - Compare it with torch.distributions.Normal in one dimension, at μ = 0 and σ = 2.
        - The density of N(μ, σ²) is exp(−(z − μ)² / 2σ²) / (σ √(2π)). Take its logarithm.
        - The code reads log_std as log σ² in two places. For each: is σ needed, or σ²?""",
    fact="""In the library, both places were fixed together
        (github.com/hill-a/stable-baselines/pull/1060). At σ = 1 the bug is invisible, so test a
        density at a different σ.""",
)


def gradients_with_baseline(f, mean, std, noise):
    """Score-function estimates for μ and log σ; each sample's baseline is the others' mean."""
    values = f(mean + std * noise)
    others = (values.sum() - values) / (len(values) - 1)
    score_function = torch.stack([noise / std, noise**2 - 1])
    return ((values - others) * score_function).mean(1)


def _step(z):
    """1 right of 0.7, else 0: its derivative is 0 wherever there is one."""
    return (z > 0.7).to(z.dtype)


_draws = torch.tensor([-1.3, 0.4, 2.1, -0.2, 0.9])

BASELINE = Exercise(
    slug="baseline-from-the-others",
    title="A baseline from the other samples",
    kind="stretch",
    minutes=10,
    question="""In practice, the average of f is unknown, but it can be estimated from samples. For
        each sample, use the mean of f over all the *other* samples as the baseline. This b is
        independent of the sample's own ε, so it does not change the average gradient either. Write
        the score-function estimator with this baseline, in one dimension.

        - `f` is a function that receives latents of shape (sample,) and returns one value for each.
        - `mean` and `std` are numbers, and `noise` is ε, of shape (sample,).
        - The result has shape (2,): the gradient for μ and the gradient for log σ, both averaged
          over the samples.""",
    solution=gradients_with_baseline,
    reasoning=r"""The score function has mean 0. So a baseline $b$ that is independent of the
        sample's own ε does not change the average:
        $\mathbb E[b\,\nabla\log q]=\mathbb E[b]\cdot0$. The mean of the *other* values is such a
        $b$. The mean of all values is not, because it contains $f_i/n$ from the sample itself; with
        it, the estimate is on average $(n-1)/n$ of the exact gradient. For $f(z)=z^2$, $\mu=1$ and
        $\sigma=\tfrac12$, the constant baseline $b=\mathbb E[f]=\mu^2+\sigma^2$ reduces the
        variance of one sample for μ from 21.75 to 10.5. Reparameterization has 1.""",
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
            That is the estimator without a baseline: right on average, but with a large variance.
        estimate(values.mean())
            It subtracts the mean of all values, which depends on the sample's own ε. So the
            estimate is too small on average. Which value must be left out?
        estimate((total - values) / count)
            It leaves the sample out of the sum, but divides by the number of all samples.
        estimate(total - values)
            It subtracts the sum of the others, not their mean.
        estimate(total / (count - 1))
            It divides by the number of the others, but the sum contains the sample's own value.
        estimate(values.mean()) / values.std()
            It standardises f. The mean of all values depends on the sample's own ε, and dividing
            by the standard deviation changes the size of the gradient.
        (values * torch.stack([score_mean, score_log_std]) - others).mean(1)
            It subtracts the baseline from the product, which shifts the average. What should the
            baseline be subtracted from?
        -right
            Both have the wrong sign. Is the baseline subtracted from f, or f from the baseline?
        right.flip(0)
            The two gradients are right, but in the wrong order. The one for μ comes first.
        estimate(for_mean=noise)
            For log σ it is right. The score function for μ is ε/σ, so the division by σ is
            missing.
        estimate(for_mean=noise / std**2)
            For log σ it is right. The score function for μ is (z − μ)/σ². What is that in terms
            of ε?
        estimate(for_log_std=score_log_std / std)
            For μ it is right. The second number is the gradient for σ. The question asks for the
            one for log σ.
        estimate(for_log_std=-score_log_std)
            For μ it is right. If f is large far away from μ, σ should grow. Does your second
            gradient have the sign for that?
        estimate(for_mean=noise * std)
            For log σ it is right. For μ you used z − μ. Differentiate log q again: what is z − μ
            divided by?
        right / values.std()
            It divides by the standard deviation of f. That is common in reinforcement learning,
            but the result is no longer the gradient.
        gradients_with_baseline(f, 0.0, 1.0, noise) / torch.tensor([std, 1.0])
            f receives the noise. It expects the latent.""",
    hints="""
        - The score functions are in the text: ε/σ for μ, and ε² − 1 for log σ.
        - The mean of the others is the sum of all values minus the sample's own value, divided by
          n − 1.
        - Subtract each sample's baseline from its f, multiply by its score function, and average
          over the samples.
    """,
    fact="""The result equals the sample covariance of f and the score function (divided by
        n − 1). This baseline needs no extra values of f, and f may even be a step function.""",
)

LARGER_PICTURE = Exercise(
    slug="larger-picture",
    title="A larger image",
    kind="core",
    minutes=5,
    question="""How many parameters, including biases, would the convolutional encoder have for
        images of 56 × 56 pixels? Everything else stays as above: two rounds of 3 × 3 convolution
        and max pooling, with 16 and then 32 filters, and two heads with 5 outputs each.""",
    solution="""
        convolutions = (3 * 3 * 1 + 1) * 16 + (3 * 3 * 16 + 1) * 32  # the 1 added is the bias
        heads = 2 * (32 * 14 * 14 + 1) * 5
        parameters = convolutions + heads  # weights and biases""",
    reasoning=r"""The size and the number of the filters do not depend on the size of the image, so
        the convolutions keep their $160+4640$ parameters. After two poolings, the image has
        $14\times14$ positions instead of $7\times7$, with 32 channels. So each head receives four
        times as many numbers, $6272$, and has $6272\cdot5+5$ parameters. The multiply-adds of all
        layers become four times as many: the convolutions have four times as many positions, and
        the heads four times as many inputs.""",
    within=0.5,
    given="head = lambda inputs: inputs * 5 + 5",
    mistakes="""
        convolutions + 2 * head(32 * 7 * 7)
            That is the number at 28 × 28. Which layers depend on the size of the image?
        4 * (convolutions + 2 * head(32 * 7 * 7))
            There are four times as many pixels, but a filter is as large as before. Which layers
            grow?
        convolutions + 2 * head(2 * 32 * 7 * 7)
            The heads grow more than that: the image is twice as wide and twice as high.
        convolutions + head(32 * 14 * 14)
            There are two heads.
        144 + 4608 + 2 * 32 * 14 * 14 * 5
            Those are the weights. Every filter and every output of a head has a bias too.
        right - 16
            Here the first convolution has no biases. Each filter has one.
        right - 32
            Here the second convolution has no biases. Each filter has one.
        right - 48
            The biases of the heads are counted, but those of the filters are missing.
        right - 10
            The biases of the filters are counted, but those of the heads are missing.
        convolutions + 2 * head(14 * 14)
            Here the heads receive one channel. How many does the second convolution output?
        convolutions + 2 * head(32 * 12 * 12)
            Here each convolution loses the border of the image. The encoder above pads it, so
            that 28 becomes 14 and then 7.
        convolutions
            Those are the convolutions only. Which layers output μ and log σ?
        heads
            Those are the heads only. Convolutions have weights too.
        convolutions + 2 * head(32 * 28 * 28)
            How many times does the encoder halve the image?
        convolutions + 2 * head(32 * 56 * 56)
            Pooling has no parameters, but it reduces the size. What size do the heads receive?
        160 + 320 + heads
            Here a filter of the second round uses one channel only. How many channels are there?
        144 * 56**2 + 4608 * 28**2 + 2 * 32 * 14 * 14 * 5
            Those are the multiply-adds. For parameters, count each filter's weights once.
        3136 * 500 + 500 + 2 * head(500)
            That is the dense encoder. The question is about the convolutional one.""",
    hints="""
        - Go through the layers from the first to the last. Which have weights?
        - A convolution has (filter size × input channels × filters) weights. The size of the image
          does not matter.
        - What is the size of the image after two poolings, and how many channels does it have? Each
          head receives all of these numbers.""",
    fact="""The dense encoder grows from 397,510 to 1,573,510 parameters. Networks that average
        each channel before the heads do not grow at all.""",
)

EXERCISES = (MISREAD_HEAD, SEVERAL_LATENTS, MISREAD_DENSITY, BASELINE, LARGER_PICTURE)
