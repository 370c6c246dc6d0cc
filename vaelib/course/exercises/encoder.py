"""Exercises of notebook 2."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaelib.course.exercises.judging import Answer, Exercise, Mistake, Number


def _codes_per_image(mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
    return mean[:, None] + log_std.exp()[:, None] * noise


def _log_density(
    distance: Callable[[Tensor, Tensor], Tensor], normaliser: Callable[[Tensor], Tensor]
) -> Answer:
    """A log density from its two parts, of which either may be wrong."""
    return lambda codes, mean, log_std: (
        -distance(codes - mean, log_std)
        - normaliser(log_std)
        - 0.5 * mean.shape[1] * math.log(2 * math.pi)
    )


def _distance(error: Tensor, log_std: Tensor) -> Tensor:
    return (error**2 / (2 * (2 * log_std).exp())).sum(1)


def _volume(log_std: Tensor) -> Tensor:
    return log_std.sum(1)


_right_density = _log_density(_distance, _volume)

Function = Callable[[Tensor], Tensor]


def _others(values: Tensor) -> Tensor:
    """For each value, the mean of all the others."""
    return (values.sum() - values) / (len(values) - 1)


def _scores(std: Number, noise: Tensor) -> Tensor:
    return torch.stack([noise / std, noise**2 - 1])


def _with_baseline(baseline: Function) -> Answer:
    """The score-function estimate for μ and log σ, with a baseline made of the values of f."""

    def estimate(f: Function, mean: Number, std: Number, noise: Tensor) -> Tensor:
        values = f(mean + std * noise)
        return ((values - baseline(values)) * _scores(std, noise)).mean(1)

    return estimate


def _with_scores(scores: Callable[[Number, Tensor], Tensor]) -> Answer:
    """The right estimate but for its scores."""

    def estimate(f: Function, mean: Number, std: Number, noise: Tensor) -> Tensor:
        values = f(mean + std * noise)
        return ((values - _others(values)) * scores(std, noise)).mean(1)

    return estimate


_right_gradients = _with_baseline(_others)


def _each_samples_gradients(f: Function, mean: Number, std: Number, noise: Tensor) -> Tensor:
    values = f(mean + std * noise)
    return (values - _others(values)) * _scores(std, noise)


def _baseline_off_the_product(f: Function, mean: Number, std: Number, noise: Tensor) -> Tensor:
    values = f(mean + std * noise)
    return (values * _scores(std, noise) - _others(values)).mean(1)


def _step(z: Tensor) -> Tensor:
    """1 right of 0.7, else 0: no derivative says anything about it."""
    return (z > 0.7).to(z.dtype)


_means = torch.tensor([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.6]])
_log_stds = torch.tensor([[0.4, -1.1], [-0.3, 0.8], [-2.0, 0.2]])
_noise = torch.linspace(-1.9, 2.3, 18).view(3, 3, 2).flip(1)
_wide_means, _wide_log_stds = torch.linspace(-3, 9, 18).cos().view(2, 3, 3)
_wide_noise = torch.linspace(0, 31, 27).sin().view(3, 3, 3)
_codes = torch.tensor([[1.0, -1.2], [0.9, 2.5], [-0.6, 1.9]])
_draws = torch.tensor([-1.3, 0.4, 2.1, -0.2, 0.9])

EXERCISES = {
    "2.1": Exercise(
        "The cloud of a head misread",
        "warm-up",
        3,
        answer=math.exp(3),
        within=0.5,
        mistakes=[
            Mistake(
                math.exp(1.5),
                "That is by how much each width is too small. What does it do to an area?",
            ),
            Mistake(
                2 * math.exp(1.5),
                "It adds up the two dimensions. How does an ellipse's area depend on its widths?",
            ),
            Mistake(
                math.exp(6),
                "It looks as if variances were compared. A cloud is as wide as σ says.",
            ),
            Mistake(
                math.exp(-1.5),
                "That is the fraction that is left of each width. What does it do to an area, and "
                "which way round is the question?",
            ),
            Mistake(
                math.exp(-3),
                "That is the fraction that is left of the area. Turn the question round.",
            ),
            Mistake(
                3.0,
                "If this is 3, it is the logarithm of the factor, and one step is left. If it is "
                "e: how far apart are the logarithms of the two areas?",
            ),
            Mistake(
                6.0,
                "Are these the −3 of both dimensions, added up? How far is one dimension's σ from "
                "the misread one, and what has a logarithm to become in the end?",
            ),
            Mistake(
                math.pi * math.exp(3),
                "The π belongs to both areas: what becomes of it when one divides them?",
            ),
            Mistake(
                1.0,
                "The two readings agree only where σ = 1. What is σ here, by either of them?",
            ),
        ],
        hints=[
            "Write down both σ for one dimension: the one that was meant, and the misread one.",
            "The area of an ellipse is π times the product of its two half-widths.",
            "Exponentials multiply by adding what is in the exponent.",
        ],
        fact="In the course's five dimensions the cloud's volume would be too small by e^7.5, "
        "some 1,800 times: a small slip in one width is a large one in the precision of a code.",
    ),
    "2.2": Exercise(
        "Several codes for each image",
        "core",
        5,
        answer=_codes_per_image,
        probes=[
            (_means, _log_stds, _noise),
            (_means[:2].double(), _log_stds[1:].double(), _noise[1:, 1:].double()),
            (_wide_means, _wide_log_stds, _wide_noise),
        ],
        mistakes=[
            Mistake(
                lambda mean, log_std, noise: mean + log_std.exp() * noise,
                "Image 1's noise does not meet image 1's μ, but the μ of one image after another. "
                "Which dimension of μ is an image in, and which of the noise?",
            ),
            Mistake(
                lambda mean, log_std, noise: mean[:, None] + log_std.exp() * noise,
                "μ finds its image. σ does not.",
            ),
            Mistake(
                lambda mean, log_std, noise: mean + log_std.exp()[:, None] * noise,
                "σ finds its image. μ does not.",
            ),
            Mistake(
                lambda mean, log_std, noise: mean + log_std.exp() * noise.transpose(0, 1),
                "All codes are right, but they come out as (sample, batch, latent).",
            ),
            Mistake(
                lambda mean, log_std, noise: mean[:, None] + log_std[:, None] * noise,
                "It takes log σ for σ.",
            ),
            Mistake(
                lambda mean, log_std, noise: mean[:, None] + (0.5 * log_std).exp()[:, None] * noise,
                "It halves the logarithm, as one would if the head said log σ².",
            ),
            Mistake(
                lambda mean, log_std, noise: mean[:, None] + (2 * log_std).exp()[:, None] * noise,
                "It stretches the noise by σ², not by σ.",
            ),
            Mistake(
                lambda mean, log_std, noise: (mean[:, None] + noise) * log_std.exp()[:, None],
                "It stretches μ as well. What is σ to act on?",
            ),
            Mistake(
                lambda mean, log_std, noise: (
                    mean[:, None] + log_std.exp()[:, None] * noise[:, :1].expand_as(noise)
                ),
                "All codes of an image are the same: it uses one ε for all of them.",
            ),
            Mistake(
                lambda mean, log_std, noise: _codes_per_image(mean, log_std, noise)[:, 0],
                "That is one code for each image. Where have the other samples gone?",
            ),
            Mistake(
                lambda mean, log_std, noise: _codes_per_image(mean, log_std, noise).mean(1),
                "It averages over the samples. All of them are asked for.",
            ),
            Mistake(
                lambda mean, log_std, noise: _codes_per_image(mean, log_std, noise).flatten(0, 1),
                "Right codes in the right order, but image and sample share one dimension.",
            ),
        ],
        hints=[
            "Broadcasting compares shapes from the right: write (batch, latent) below "
            "(batch, sample, latent), flush right, and see which meets which.",
            "μ and σ need a dimension of size 1 where the samples are.",
            "tensor[:, None] puts a new dimension second.",
        ],
        fact="Had there been 4 samples for 3 images, PyTorch would have refused the naive line. "
        "A test whose sizes all differ catches what one with equal sizes lets pass.",
    ),
    "2.3": Exercise(
        "Find what is misread",
        "core",
        8,
        answer=_right_density,
        probes=[
            (_codes, _means, _log_stds),
            (_codes[:2].double(), _means[1:].double(), _log_stds[:2].double()),
            (_wide_noise[0], _wide_means, _wide_log_stds),
        ],
        mistakes=[
            Mistake(
                _log_density(
                    lambda error, s: (error**2 / (2 * s.exp())).sum(1), lambda s: 0.5 * s.sum(1)
                ),
                "That is the snippet as it stands. Which quantity is exp(log_std), and which one "
                "belongs below the squared distance?",
            ),
            Mistake(
                _log_density(_distance, lambda s: 0.5 * s.sum(1)),
                "The distance is right now. There is a second place that misreads the head.",
            ),
            Mistake(
                _log_density(lambda error, s: (error**2 / (2 * s.exp())).sum(1), _volume),
                "The normaliser is right now. The distance still is not.",
            ),
            Mistake(
                _log_density(_distance, lambda s: 2 * s.sum(1)),
                "The distance is right. The normaliser has log σ² now: it should be the log of "
                "which of the two?",
            ),
            Mistake(
                _log_density(_distance, lambda s: -s.sum(1)),
                "A wide cloud is a thin one: which sign does the normaliser get?",
            ),
            Mistake(
                lambda codes, mean, log_std: (
                    -_distance(codes - mean, log_std)
                    + _volume(log_std)
                    + 0.5 * mean.shape[1] * math.log(2 * math.pi)
                ),
                "The whole normaliser is added, 2π and all. A density is divided by it: what does "
                "a logarithm make of that?",
            ),
            Mistake(
                _log_density(
                    lambda error, s: (error**2 / (2 * (4 * s).exp())).sum(1), lambda s: 2 * s.sum(1)
                ),
                "Distance and normaliser both have σ² for σ: which of the two does a Normal of "
                "torch want?",
            ),
            Mistake(
                _log_density(_distance, lambda s: s.exp().sum(1)),
                "The normaliser has σ itself where its logarithm belongs.",
            ),
            Mistake(
                _log_density(lambda error, s: (error**2 / (2 * (s**2).exp())).sum(1), _volume),
                "The square of a logarithm is not the logarithm of a square.",
            ),
            Mistake(
                _log_density(lambda error, s: -_distance(error, s), _volume),
                "The further z lies from μ, the denser: which sign does the distance get?",
            ),
            Mistake(
                _log_density(_distance, lambda s: 0 * s.sum(1)),
                "The distance is right, and the normaliser is gone: what keeps a wide bell's area "
                "at 1?",
            ),
            Mistake(
                _log_density(lambda error, s: (error / (2 * (2 * s).exp())).sum(1), _volume),
                "Left of μ it is denser than at μ. What happens to z − μ in a bell?",
            ),
            Mistake(
                _log_density(lambda error, s: (error**2 / (2 * s**2)).sum(1), _volume),
                "The distance is divided by 2 (log σ)². Where has the exponential gone?",
            ),
            Mistake(
                _log_density(lambda error, s: (error**2 / (2 * s).exp()).sum(1), _volume),
                "The squared distance weighs twice too much.",
            ),
            Mistake(
                _log_density(lambda error, s: (error / (2 * s.exp())).square().sum(1), _volume),
                "The squared distance weighs half of what it should: how far does the square "
                "below it reach?",
            ),
            Mistake(
                _log_density(lambda error, s: (error**2 / (2 * (s / 2).exp())).sum(1), _volume),
                "The normaliser is right. In the distance log σ is halved: of what is that the "
                "logarithm, and what belongs there?",
            ),
            Mistake(
                lambda codes, mean, log_std: (
                    _right_density(codes, mean, log_std)
                    + 0.5 * mean.shape[1] * math.log(2 * math.pi)
                ),
                "All is right but a constant: where has the 2π gone?",
            ),
            Mistake(
                lambda codes, mean, log_std: (
                    _right_density(codes, mean, log_std)
                    + 0.5 * (mean.shape[1] - 1) * math.log(2 * math.pi)
                ),
                "All is right but a constant: how many dimensions have a 2π?",
            ),
            Mistake(
                lambda codes, mean, log_std: (
                    -_distance(codes - mean, log_std)
                    - _volume(log_std)
                    - mean.shape[1] * math.log(2 * math.pi)
                ),
                "All is right but a constant: each 2π stands below a square root.",
            ),
            Mistake(
                lambda codes, mean, log_std: _right_density(codes, mean, log_std) / mean.shape[1],
                "It averages over dimensions. Densities of independent dimensions multiply.",
            ),
            Mistake(
                lambda codes, mean, log_std: _right_density(codes, mean, log_std).sum(),
                "It is one number for the batch. One for each image is asked for.",
            ),
            Mistake(
                lambda codes, mean, log_std: torch.distributions.Normal(
                    mean, log_std.exp()
                ).log_prob(codes),
                "That is each dimension's log density. What is left to do for an image's?",
            ),
            Mistake(
                lambda codes, mean, log_std: -_right_density(codes, mean, log_std),
                "Every value has the wrong sign.",
            ),
            Mistake(
                lambda codes, mean, log_std: _right_density(codes, mean, log_std).exp(),
                "That is the density. Its logarithm is asked for.",
            ),
        ],
        hints=[
            "Try it on one dimension with μ = 0 and σ = 2, beside torch.distributions.Normal.",
            "The density of N(μ, σ²) is exp(−(z − μ)² / 2σ²) / (σ √(2π)). Take its logarithm.",
            "The snippet reads log_std as log σ², in two places. For each: is σ or σ² meant?",
        ],
        fact="The two slips were in a library that many used, and were mended together "
        "(github.com/hill-a/stable-baselines/pull/1060). At σ = 1 neither can be seen: test a "
        "density at another.",
    ),
    "2.4": Exercise(
        "A baseline from the other samples",
        "stretch",
        10,
        answer=_right_gradients,
        probes=[
            (torch.square, 1.0, 0.5, _draws),
            (_step, 0.4, 1.5, _draws.double()),
            (torch.exp, -0.3, 0.8, _draws[:3]),
        ],
        mistakes=[
            Mistake(
                _with_baseline(torch.zeros_like),
                "That is the estimator without a baseline: right on average, and noisy.",
            ),
            Mistake(
                _with_baseline(lambda values: values.mean()),
                "It takes off the mean of all values, which knows the sample's own ε: the "
                "estimate is too small on average. Which value must be left out?",
            ),
            Mistake(
                _with_baseline(lambda values: (values.sum() - values) / len(values)),
                "It leaves a sample out of the sum and still divides by the number of all.",
            ),
            Mistake(
                _with_baseline(lambda values: values.sum() - values),
                "It takes off the sum of the others. Their mean is asked for.",
            ),
            Mistake(
                _with_baseline(lambda values: values.sum() / (len(values) - 1)),
                "It divides by the number of the others, but whose values are in the sum?",
            ),
            Mistake(
                lambda f, mean, std, noise: (
                    _with_baseline(lambda values: values.mean())(f, mean, std, noise)
                    / f(mean + std * noise).std()
                ),
                "It standardises f. The mean of all knows the sample's own ε, and what has the "
                "spread to do with the gradient?",
            ),
            Mistake(
                _baseline_off_the_product,
                "It takes the baseline off the product. That shifts the average: off what is it "
                "to be taken?",
            ),
            Mistake(
                lambda f, mean, std, noise: len(noise) * _right_gradients(f, mean, std, noise),
                "It is a sum over samples: the more samples, the larger.",
            ),
            Mistake(
                _each_samples_gradients,
                "Each sample's estimate is right. Average them.",
            ),
            Mistake(
                lambda f, mean, std, noise: -_right_gradients(f, mean, std, noise),
                "Both have the wrong sign: is the baseline taken off f, or f off the baseline?",
            ),
            Mistake(
                lambda f, mean, std, noise: _right_gradients(f, mean, std, noise).flip(0),
                "The two gradients are right and in the other order: μ first.",
            ),
            Mistake(
                _with_scores(lambda std, noise: torch.stack([noise, noise**2 - 1])),
                "For log σ it is right. The score for μ is not yet: is it made of the noise, and "
                "divided by what makes it larger where σ is small?",
            ),
            Mistake(
                _with_scores(lambda std, noise: torch.stack([noise / std**2, noise**2 - 1])),
                "For log σ it is right. The score for μ is (z − μ)/σ²: what is that in terms of ε?",
            ),
            Mistake(
                _with_scores(lambda std, noise: torch.stack([noise / std, (noise**2 - 1) / std])),
                "For μ it is right. The second is the gradient for σ; for log σ it is another.",
            ),
            Mistake(
                _with_scores(lambda std, noise: torch.stack([noise / std, 1 - noise**2])),
                "For μ it is right. If f is large far away from μ, should σ grow or shrink, and "
                "which does the second one say?",
            ),
            Mistake(
                _with_scores(lambda std, noise: torch.stack([noise * std, noise**2 - 1])),
                "For log σ it is right. The score for μ looks like z − μ alone: what is left "
                "of 2σ² when log q is differentiated?",
            ),
            Mistake(
                lambda f, mean, std, noise: (
                    _right_gradients(f, mean, std, noise) / f(mean + std * noise).std()
                ),
                "It divides by the spread of f. That is done to policies, but it is then no "
                "longer the gradient.",
            ),
            Mistake(
                lambda f, mean, std, noise: (
                    _with_scores(_scores)(f, 0.0, 1.0, noise) / torch.tensor([std, 1.0])
                ),
                "f is given the noise. It wants the code.",
            ),
        ],
        hints=[
            "The scores are in the text: ε/σ for μ, and ε² − 1 for log σ.",
            "The mean of the others is the sum of all, less the own value, divided by how many "
            "are left.",
            "Take each sample's baseline off its f, multiply by its score, average over samples.",
        ],
        fact="It is the covariance of f and the score over the samples (with n − 1 below), so a "
        "constant in a score, such as the −1, makes no difference. The baseline is free, and f may "
        "be a step that has no slope.",
    ),
    "2.5": Exercise(
        "A larger picture",
        "core",
        5,
        answer=160 + 4640 + 2 * (32 * 14 * 14 * 5 + 5),
        within=0.5,
        mistakes=[
            Mistake(
                20_490,
                "That is what it has at 28 × 28. Which of its layers sees how large an image is?",
            ),
            Mistake(
                4 * 20_490,
                "Four times as many pixels, but a filter is as large as before: which "
                "layers grow at all?",
            ),
            Mistake(
                4800 + 2 * (2 * 32 * 7 * 7 * 5 + 5),
                "The heads do grow, but more: a picture twice as wide is also twice as high.",
            ),
            Mistake(4800 + 32 * 14 * 14 * 5 + 5, "There are two heads."),
            Mistake(
                144 + 4608 + 2 * 32 * 14 * 14 * 5,
                "Those are the weights. Every output has a bias too.",
            ),
            Mistake(
                144 + 4640 + 2 * (32 * 14 * 14 * 5 + 5),
                "The first convolution has weights alone here. What else has each filter?",
            ),
            Mistake(
                160 + 4608 + 2 * (32 * 14 * 14 * 5 + 5),
                "The second convolution has weights alone here. What else has each filter?",
            ),
            Mistake(
                144 + 4608 + 2 * (32 * 14 * 14 * 5 + 5),
                "The heads have their biases. Have the filters none?",
            ),
            Mistake(
                160 + 4640 + 2 * 32 * 14 * 14 * 5,
                "The filters have their biases. Have the heads none?",
            ),
            Mistake(
                4800 + 2 * (14 * 14 * 5 + 5),
                "The heads read one channel of the picture here. How many come out of the second "
                "convolution?",
            ),
            Mistake(
                4800 + 2 * (32 * 12 * 12 * 5 + 5),
                "The picture loses its rim at each convolution here. What does the encoder above "
                "do, so that 28 becomes 14 and then 7?",
            ),
            Mistake(4800, "Those are the convolutions. Who makes μ and log σ?"),
            Mistake(2 * (32 * 14 * 14 * 5 + 5), "Those are the heads. Convolutions have weights."),
            Mistake(
                4800 + 2 * (32 * 28 * 28 * 5 + 5),
                "How many times does the encoder halve the picture?",
            ),
            Mistake(
                4800 + 2 * (32 * 56 * 56 * 5 + 5),
                "Pooling costs no parameters, but it saves some: what size do the heads read?",
            ),
            Mistake(
                160 + 320 + 2 * (32 * 14 * 14 * 5 + 5),
                "A filter of the second round looks at one channel only. How many are there?",
            ),
            Mistake(
                144 * 56**2 + 4608 * 28**2 + 2 * 32 * 14 * 14 * 5,
                "Those are the multiply-adds. A filter's weights are counted once.",
            ),
            Mistake(
                3136 * 500 + 500 + 2 * (500 * 5 + 5),
                "That is the dense encoder, of which one can ask the same.",
            ),
        ],
        hints=[
            "Go through the layers from the first to the last. Which have weights?",
            "A convolution's weights are the filter's size times the channels in and out; it "
            "does not know the picture's size.",
            "How large is the picture after two poolings, and how many channels has it? Each "
            "head reads all of that.",
        ],
        fact="The dense encoder grows from 397,510 to 1,573,510. Networks that average each "
        "channel before the heads do not grow at all.",
    ),
}
