"""Exercises on training a VAE, judging it, and what rate and distortion mean."""

import torch

from vaelib.course.exercises.exercise import Exercise

PRINTED_MEANS = Exercise(
    slug="printed-means",
    title="Read a friend's loss",
    kind="warm-up",
    minutes=5,
    question="""A friend trains the network of this notebook on the same images with the right
        objective, but the program prints two **means**: a binary cross-entropy of 0.140, averaged
        over the 784 pixels, and a KL of 2.35, averaged over the five latent dimensions. Both use
        the natural logarithm. What is the friend's −ELBO in nats per image? Take the printed means
        as exact, give one decimal, and compare the result with the band.""",
    solution="""
        distortion, rate = 784 * 0.140, 5 * 2.35  # sums, not means
        friends_loss = distortion + rate  # nats per image""",
    reasoning=r"""A mean is a sum divided by a count, so we multiply by the count to get the sum
        back. The distortion is $784 \cdot 0.140 = 109.8$ nats, the rate is
        $5 \cdot 2.35 = 11.75$ nats, and the −ELBO is their sum, 121.5 nats per image. That is half
        a nat above the band for MNIST, so something is slightly different: perhaps the number of
        epochs, the batch size or the learning rate.""",
    within=0.06,
    mistakes="""
        0.140 + 2.35
            These are means over different counts. What does each sum over?
        784 * (0.140 + 2.35)
            The KL is a mean over 5 dimensions, not over 784 pixels.
        5 * (0.140 + 2.35)
            The cross-entropy is a mean over 784 pixels, not over 5 dimensions.
        784 * 0.140 + 2.35
            The distortion is right. The KL is still a mean: how many dimensions are there?
        0.140 + 5 * 2.35
            The rate is right. The cross-entropy is still a mean: how many pixels are there?
        distortion
            That is the distortion alone. Which other term does the −ELBO have?
        rate
            That is the rate alone. Which other term does the −ELBO have?
        distortion - rate
            The ELBO is the log-likelihood minus the KL. What does another minus sign in front do
            to each term?
        -right
            The size is right. The −ELBO is a cost. What is its sign?
        right / log(2)
            That is right in bits. The question asks for nats.
        right * log(2)
            The printed values are in nats already. Nothing has to be converted.
        28 * 0.140 + rate
            An image has 28 rows of 28 pixels.
        right / 2
            The image has two costs, and they add up. They are not averaged.""",
    hints="""
        - How do you get a sum from a mean?
        - The cross-entropy is a mean of 784 values, and the KL is a mean of 5.
        - −ELBO = distortion + rate.""",
    fact="""Printing means is harmless. Training on them is not: with the sum of these two means as
        the loss, the model would be trained with β = 784 / 5 ≈ 157 (notebook 4).""",
)


def tested_bound(log_likelihood, mean, log_std, noise):
    """The ELBO of each image in nats, averaged over the samples of noise, shape (batch,)."""
    z = mean + log_std.exp() * noise
    kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
    return log_likelihood(z).mean(0) - kl


def _four_pixels(z):
    """Log-likelihood of three images of four pixels."""
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
    question="""Find and fix the bug. PyTorch's own VAE example once tested its model like this
        ([pull request 419](https://github.com/pytorch/examples/pull/419) corrected it):

        ```python
        def tested_bound(log_likelihood, mean, log_std, noise):
            z = mean  # no noise when testing
            kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
            return log_likelihood(z) - kl
        ```

        Rewrite it so that it estimates the ELBO of each image from several samples of z at once.

        - `mean` and `log_std` are those of q(z|x), of shape (batch, latent).
        - `noise` is drawn from N(0, 1), of shape (sample, batch, latent).
        - `log_likelihood(z)` receives latents of shape (…, batch, latent) and returns log p(x|z)
          in nats, of shape (…, batch).

        Keep the exact KL.""",
    solution=tested_bound,
    reasoning=r"""The ELBO is $\mathbb E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}$. The snippet replaces
        the average of log p(x|z) over z by its value at the average z. The two differ because
        $\log p(x|z)$ is not linear in $z$. The KL in the snippet belongs to a latent with standard
        deviation $\sigma$, but the decoder receives a latent without any spread. Neither the sign
        nor the size of the difference is known beforehand, so the result is not the ELBO and need
        not be a bound at all. To show a *picture*, the mean is a good latent. To report a *number*,
        use the noise.""",
    probes=[
        (_four_pixels, _means, _spreads, _noise),
        (_bell, _means[:2].double(), _spreads[:2].double(), _noise[:, :2].double()),
        (_bell, _means.T, _spreads.T, 1.5 * torch.linspace(0, 37, 30).sin().view(5, 2, 3)),
    ],
    given="""
        from torch.distributions import Normal

        from vaelib.elbo import kl
        from vaelib.encoder import Gaussian

        f, std = log_likelihood, log_std.exp()
        z = mean + std * noise
        cost, likelihoods = kl(Gaussian(mean, log_std)), f(z)""",
    mistakes="""
        f(mean) - cost
            That is the snippet as it stands. Its KL belongs to a latent with spread σ. Which latent
            does the decoder receive?
        f(mean + noise).mean(0) - cost
            These latents have a standard deviation of 1, whatever log_std is.
        f(mean + log_std * noise).mean(0) - cost
            This uses log σ where σ belongs.
        f(mean + std.sqrt() * noise).mean(0) - cost
            This halves log_std, which would be right for log σ². Here it is log σ.
        f(mean + std**2 * noise).mean(0) - cost
            This multiplies the noise by the variance.
        f(std * noise).mean(0) - cost
            These latents are centred at 0, not at the mean of the image.
        f(z.mean(0)) - cost
            This averages the latents and decodes once, which leads back to the mean. What should be
            averaged?
        likelihoods[0] - cost
            This uses the first sample only.
        likelihoods.mean() - cost
            The KL is right for each image. The log-likelihood is averaged over the images too, so
            every image gets the same value.
        likelihoods.mean(0) - cost.sum()
            The log-likelihood is right for each image. The KL is summed over the images.
        likelihoods.sum(0) - cost
            This log-likelihood grows with the number of samples.
        likelihoods.mean(0)
            That is the average log-likelihood. Which term is missing?
        likelihoods.mean(0) - cost / mean.shape[-1]
            This averages the KL over the latent dimensions. The KL of independent dimensions is a
            sum.
        likelihoods.mean(0) + cost
            Check the sign of the KL.
        likelihoods.logsumexp(0) - log(len(noise)) - cost
            This takes the log of an average likelihood. The ELBO has the average of the log.
        (likelihoods - (Normal(mean, std).log_prob(z) - Normal(0, 1).log_prob(z)).sum(-1)).mean(0)
            This estimates the same bound, but its KL comes from samples. The KL of the snippet is
            exact: keep it.""",
    hints="""
        - The first term of the ELBO is an average over z from q(z|x). Does the snippet draw any z?
        - z = μ + σ·ε, the reparameterization, gives all samples at once, in the shape of the
          noise.
        - log_likelihood then returns one value per sample and image, with the samples as
          dimension 0.""",
    fact="""D. P. Kingma, one of the two authors of the VAE paper, corrected this in PyTorch's own
        example. The wrong number may be above the ELBO or below it.""",
)


def closeness(samples, train, test):
    """For each sample, the share of test images at least as near to the training set."""
    near = torch.cdist(samples, train, p=1).amin(1)
    usual = torch.cdist(test, train, p=1).amin(1)
    return (usual <= near[:, None]).float().mean(1)


def _waves(count, pixels, speed):
    """Binary images that no random generator is needed for."""
    return (torch.linspace(0, speed, count * pixels).sin() > 0).float().view(count, pixels)


COPIED = Exercise(
    slug="copied-or-new",
    title="Copied or new?",
    kind="stretch",
    minutes=10,
    question="""Write a test for copying. The **distance** of an image from the training set is the
        number of pixels in which it differs from its *nearest* training image. For each sample,
        return the share of test images that are at least as near to the training set: their own
        distance is **at most** that of the sample.

        All three arguments are binary images of zeros and ones as floats, of shape
        (image, pixel). The result has one value for each sample. A share near 0 is suspicious: the
        sample is nearer to a training image than almost every test image is.""",
    solution=closeness,
    reasoning="""For zeros and ones, the number of different pixels is the sum of absolute
        differences, which is `torch.cdist` with `p=1`. The minimum over the training images is the
        distance of an image from the training set. The test images were not used for training, so
        *their* distances say what is normal for images that are new. The comparison
        `usual <= near[:, None]` has the shape (sample, test image), and its mean over the test
        images is the share.""",
    probes=[
        (_waves(5, 6, 61), _waves(4, 6, 47), _waves(7, 6, 83)),
        (_waves(6, 9, 140), _waves(8, 9, 97), _waves(5, 9, 333)),
    ],
    given="""
        def apart(images, others):
            return torch.cdist(images, others, p=1)

        near, usual = apart(samples, train).amin(1), apart(test, train).amin(1)
        below = (usual <= near[:, None]).float()""",
    mistakes="""
        (usual < near[:, None]).float().mean(1)
            A test image at the same distance as the sample counts too.
        (usual >= near[:, None]).float().mean(1)
            This is the share of test images that are at least as *far* away. A suspicious sample
            should get a share near 0.
        (usual > near[:, None]).float().mean(1)
            This is the share of test images that are farther away. A suspicious sample should get a
            share near 0.
        below.sum(1)
            This is the number of test images. The question asks for their share.
        below.mean(0)
            This averages over the samples, so there is one value for each test image.
        below.mean()
            This is one number for all samples together.
        (usual <= apart(samples, test).amin(1)[:, None]).float().mean(1)
            For the samples, this takes the distance from the *test* images. Which set could the
            model have copied?
        (apart(test, samples).amin(1) <= near[:, None]).float().mean(1)
            For the test images, this takes the distance from the samples. Which set should it be
            measured from?
        (apart(samples, test) <= near[:, None]).float().mean(1)
            This compares samples with test images directly. A test image is needed only for its own
            distance from the training set.
        (apart(test, train).mean(1) <= apart(samples, train).mean(1)[:, None]).float().mean(1)
            This takes the mean distance from all training images. A copy is near to *one* of them.
        (apart(test, train).amax(1) <= apart(samples, train).amax(1)[:, None]).float().mean(1)
            This takes the farthest training image.
        (apart(test, train).argmin(1) <= apart(samples, train).argmin(1)[:, None]).float().mean(1)
            argmin returns *which* training image is nearest, not how far away it is.
        near
            These are the distances of the samples. Are they unusual? Compare them with those of the
            test images.
        near / usual.mean()
            This divides by the average distance of the test images. How many of them are at most as
            far away?
        (usual.median() <= near).float()
            This says only on which side of the median a sample is. The question asks for the share
            of test images.""",
    hints="""
        - torch.cdist(a, b, p=1) is the number of different pixels, for each image of a and each of
          b.
        - Take the minimum over the training images, once for the samples and once for the test
          images.
        - Compare each sample with each test image, in the shape (sample, test image). Then take the
          mean over the test images.""",
    fact="""Distances between pixels find exact copies only: an image that is moved by a few pixels
        is far from the original (Theis, van den Oord and Bethge 2016, arXiv 1511.01844).""",
)

LEFT_OPEN = Exercise(
    slug="what-a-latent-leaves-open",
    title="What a latent leaves open",
    kind="core",
    minutes=5,
    question="""Suppose that for one latent z two sharp images are possible: image A with
        probability ¾ and image B with probability ¼. They differ in 20 pixels and agree in all
        other pixels. For this z, the decoder outputs a single set of pixel probabilities. With the
        best possible set, what is the expected distortion in nats per image? Give one decimal.""",
    solution="""
        per_pixel = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # nats
        open_nats = 20 * per_pixel  # nats""",
    reasoning="""For each of the twenty pixels, the best probability is the frequency of ink there,
        ¾ or ¼: grey in both cases. The distortion of such a pixel is the entropy of its
        distribution, 0.56 nats on average. Where the two images agree, the probability is 0 or 1
        and the distortion is 0. A sharp output, the more frequent image itself, would cost nothing
        in three of four cases and infinitely many nats in the fourth. So blur is the *best* output
        that independent pixels allow here. For a lower distortion, the latent itself must say more
        about the image.""",
    within=0.1,
    mistakes="""
        per_pixel
            That is the distortion of one of these pixels. How many differ?
        20 * log(2)
            That is the distortion with probabilities of ½. The two images are not equally frequent,
            so a better probability exists.
        right / log(2)
            That is the right amount, but in bits. The course uses nats.
        right / log(10)
            Use the natural logarithm, of base e. This looks like base 10.
        20 * 0.75 * log(4 / 3)
            That is the part of the frequent case. What does the rare case add?
        20 * 0.25 * log(4)
            That is the part of the rare case. What does the frequent case add?
        20 * (log(4 / 3) + log(4))
            This adds both cases in full. How often does each occur?
        20 * 0.75 * 0.25
            That is a variance, π(1 − π) for each pixel. A distortion is made of logarithms.
        20 * log(4 / 3)
            That is the distortion of the more frequent image. What does the other one add?
        20 * log(4)
            That is the distortion of the rarer image. What does the other one add?
        5
            That is the average number of wrong pixels if the decoder always outputs the more
            frequent image. With probabilities of 0 and 1, each wrong pixel costs infinitely many
            nats.
        784 * per_pixel
            This counts all pixels. Where the two images agree, which probability is best, and what
            does it cost?
        0
            If the decoder outputs the more frequent image, that image costs nothing. What does the
            other one cost?
        4 * right
            That is the distortion of four images. The question asks for the average of one.
        10 * (log(4) + log(4 / 3))
            This takes both images as equally frequent. One is three times as frequent.
        20 * (0.25 * log(4 / 3) + 0.75 * log(4))
            The probabilities are the wrong way round: they give the rarer image ¾.
        -right
            That is the log-likelihood. The distortion is its negative.""",
    hints="""
        - One probability serves both images. The best one is how often the pixel is ink.
        - Take a pixel that is ink only in the more frequent image: it is ink in ¾ of the cases.
        - What is −log p when this pixel is ink, and when it is not? Weight both by their
          frequencies, then count the pixels.""",
    fact="""Stating once which of the two images it is would cost 0.56 nats. Independent pixels pay
        this twenty times, once for each pixel that differs.""",
)

EXERCISES = (PRINTED_MEANS, NO_NOISE, COPIED, LEFT_OPEN)
