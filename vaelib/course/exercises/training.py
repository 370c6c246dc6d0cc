"""Exercises of notebook 5."""

import gc
import math
from collections.abc import Callable, Sequence
from typing import Literal
from weakref import WeakSet

import torch
from torch import Tensor

from vaelib import elbo
from vaelib.course.exercises.judging import Answer, Exercise, Mistake
from vaelib.encoder import Gaussian

_m, _v = 0.9 * 0.1 * 3, 0.999 * 0.001 * 3**2
_unbiased_m, _unbiased_v = _m / (1 - 0.9**2), _v / (1 - 0.999**2)

Weight = Callable[[Tensor, Tensor, Sequence[Tensor]], float]
When = Literal["batch", "part", "late", "epoch", "never"]


def _in_parts(weight: Weight, *, clear: When = "batch", step: When = "batch") -> Answer:
    """A loop that weighs the parts of a batch so, and clears and steps then."""

    def trained(
        theta: Tensor, images: Tensor, loss_of: Answer, batch_size: int, part_size: int
    ) -> Tensor:
        theta = theta.clone().requires_grad_()
        optimizer = torch.optim.SGD([theta], lr=0.1)
        for batch in images.split(batch_size):
            if clear == "batch":
                optimizer.zero_grad()
            parts = batch.split(part_size)
            for part in parts:
                if clear == "part":
                    optimizer.zero_grad()
                (loss_of(theta, part) * weight(part, batch, parts)).backward()
                if step == "part":
                    optimizer.step()
            if clear == "late":
                optimizer.zero_grad()
            if step == "batch":
                optimizer.step()
        if step == "epoch":
            optimizer.step()
        return theta.detach()

    return trained


def _share(part: Tensor, batch: Tensor, parts: Sequence[Tensor]) -> float:
    return len(part) / len(batch)


class _Graph:
    """So many images that a loss keeps in memory, until it goes backward or is gone itself."""

    def __init__(self, images: int) -> None:
        self.images = images

    def release(self, gradient: Tensor) -> None:
        self.images = 0


def _in_memory_of(most: int, loss_of: Answer, first: Tensor) -> Answer:
    """The loss, on a machine whose memory takes no more than so many images at once.

    What earlier answers have kept is forgotten when the first image comes.
    """
    graphs: WeakSet[_Graph] = WeakSet()

    def kept() -> int:
        return sum(graph.images for graph in graphs)

    def loss(theta: Tensor, images: Tensor) -> Tensor:
        if len(images) > most:
            raise MemoryError(f"loss_of was given {len(images)} images, the memory takes {most}")
        if (images[:1] == first).all():
            graphs.clear()
        if kept() + len(images) > most:
            gc.collect()  # a graph that only a cycle holds is gone as well
        if kept() + len(images) > most:
            raise MemoryError(
                f"loss_of was given {len(images)} images while {kept()} more were kept for "
                f"losses that have not gone backward, the memory takes {most}. How soon can a "
                "part's loss go backward?"
            )
        value = loss_of(theta, images)
        if value.requires_grad:
            graph = _Graph(len(images))
            graphs.add(graph)
            value.register_hook(graph.release)  # the hook holds it, and the graph the hook
        return value

    return loss


def _squared_error(theta: Tensor, images: Tensor) -> Tensor:
    return (images @ theta - 1).square().mean()


def _mixed_error(theta: Tensor, images: Tensor) -> Tensor:
    return torch.nn.functional.softplus(images @ theta).mean() + 0.5 * theta.square().sum()


def _tested(code: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Answer:
    """The bound from the average log-likelihood over samples of codes that are made so."""

    def bound(log_likelihood: Answer, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        likelihoods = log_likelihood(code(mean, log_std, noise))
        return likelihoods.mean(0) - elbo.kl(Gaussian(mean, log_std))

    return bound


def _code(mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
    return mean + log_std.exp() * noise


def _of_both(
    combine: Callable[[Tensor, Tensor], Tensor],
) -> Answer:
    """What becomes of log-likelihoods (sample, image) and KLs (image) that are right."""
    return lambda log_likelihood, mean, log_std, noise: combine(
        log_likelihood(_code(mean, log_std, noise)), elbo.kl(Gaussian(mean, log_std))
    )


def _sampled_kl(log_likelihood: Answer, mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
    z = _code(mean, log_std, noise)
    log_ratio = (0.5 * z**2 - 0.5 * noise**2 - log_std).sum(-1)
    return (log_likelihood(z) - log_ratio).mean(0)


def _coins(z: Tensor) -> Tensor:
    """Log-likelihood of three images of four pixels, each a coin."""
    image = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    logits = z @ torch.tensor([[2.0, -1.0, 0.5, 3.0], [0.3, 1.5, -2.0, 1.0]]).to(z)
    return (image * logits - torch.nn.functional.softplus(logits)).sum(-1)


def _bell(z: Tensor) -> Tensor:
    return -0.5 * (z - 0.7).square().sum(-1)


_features = torch.linspace(0, 20, 26).sin().view(13, 2)
_more_features = torch.linspace(1, 40, 33).cos().view(11, 3)
_start, _other_start = torch.tensor([0.4, -1.1]), torch.tensor([0.2, 0.9, -0.5])
_means = torch.tensor([[0.5, -1.0], [1.2, 0.3], [-0.7, 0.9]])
_spreads = torch.tensor([[-0.4, 0.3], [-1.0, -0.2], [0.2, -0.6]])
_noise = 1.5 * torch.linspace(0, 47, 24).sin().view(4, 3, 2)

_open = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)  # nats: the entropy of a coin of ¾

EXERCISES = {
    "5.1": Exercise(
        "A step without a gradient",
        "warm-up",
        5,
        answer=_unbiased_m / _unbiased_v**0.5,
        within=0.004,
        mistakes=[
            Mistake(
                0.0,
                "The gradient is 0, but is m? (If yours is tiny and not 0: it is asked for in "
                "units of η.)",
            ),
            Mistake(
                1.0,
                "The first step is of that size, whatever the gradient. Go through m and v once "
                "more for the second.",
            ),
            Mistake(
                -_unbiased_m / _unbiased_v**0.5,
                "The size is right. The gradient that m remembers was positive: does θ go on, or "
                "back?",
            ),
            Mistake(
                _m / _v**0.5,
                "Both averages began at 0, and these still lean towards it. What divides them?",
            ),
            Mistake(
                (_m / 0.1) / (_v / 0.001) ** 0.5,
                "The divisors are those of the first step. What is t now?",
            ),
            Mistake(
                _unbiased_m / _v**0.5,
                "m is freed of its bias, v is not: both are divided by something.",
            ),
            Mistake(
                _m / _unbiased_v**0.5,
                "v is freed of its bias, m is not: both are divided by something.",
            ),
            Mistake(_unbiased_m / _unbiased_v, "Look at what stands around v in the formula."),
            Mistake(
                0.3 / (1 - 0.9**2) / (0.009 / (1 - 0.999**2)) ** 0.5,
                "m is still what the first step made it. What does a gradient of 0 do to it?",
            ),
            Mistake(
                _unbiased_m,
                "That is the average gradient alone, as in descent with momentum. Adam divides it.",
            ),
            Mistake(
                _m,
                "That is m as it stands, biased and not yet divided. What does Adam divide it by?",
            ),
            Mistake(
                round(_unbiased_m / _unbiased_v**0.5, 1),
                "It looks as if it were rounded to one decimal. How many are asked for?",
            ),
            Mistake(
                1 + _unbiased_m / _unbiased_v**0.5,
                "That is the way of both steps together. The second alone is asked for.",
            ),
        ],
        hints=[
            "After the first step m = 0.1 · 3 and v = 0.001 · 9. Put them through the formulas "
            "with g = 0.",
            "t is 2 now, so the divisors are 1 − 0.9² and 1 − 0.999².",
            "The 3 cancels: you could have begun with a gradient of 1.",
        ],
        fact="Of a single gradient Adam makes a whole walk: with nothing but zeros after it the "
        "weight coasts on for another 5 η. A weight whose gradient is None stays where it is.",
    ),
    "5.2": Exercise(
        "A batch in parts",
        "stretch",
        10,
        answer=_in_parts(_share),
        probes=[
            (_start, _features, _in_memory_of(2, _squared_error, _features[0]), 5, 2),
            (
                _other_start,
                _more_features,
                _in_memory_of(3, _mixed_error, _more_features[0]),
                7,
                3,
            ),
        ],
        mistakes=[
            Mistake(
                _in_parts(lambda part, batch, parts: 1),
                "The gradients of the parts add up, so the more parts, the longer the step. What "
                "should each part's loss be multiplied by?",
            ),
            Mistake(
                _in_parts(lambda part, batch, parts: 1 / len(parts)),
                "All parts count the same here, though the last has fewer images: the bug of the "
                "thread.",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: part_size / batch_size
                )(theta, images, loss_of, batch_size, part_size),
                "Right, but for parts that are not full: how many images has the last one?",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: 1 / math.ceil(batch_size / part_size)
                )(theta, images, loss_of, batch_size, part_size),
                "All parts count the same, whatever their size, and the last batch is divided by "
                "as many parts as the others have. What is a part's share of its batch?",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: 1 / (batch_size // part_size)
                )(theta, images, loss_of, batch_size, part_size),
                "It divides by the number of full parts. A part that is not full is one more, and "
                "should it count like them?",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: part_size / len(batch)
                )(theta, images, loss_of, batch_size, part_size),
                "Each batch counts by the images that it has. Does each part?",
            ),
            Mistake(
                _in_parts(lambda part, batch, parts: len(part)),
                "These are steps on a batch's sum. The loss is a mean over its images.",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: len(part) / batch_size
                )(theta, images, loss_of, batch_size, part_size),
                "Right, but for the last batch: how many images has it?",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: len(part) / len(images)
                )(theta, images, loss_of, batch_size, part_size),
                "Each part counts by its share of all images. A step is on one batch.",
            ),
            Mistake(
                _in_parts(_share, clear="never"),
                "The weights of the parts are right. What does .grad hold when the second batch "
                "begins?",
            ),
            Mistake(
                _in_parts(_share, clear="part"),
                "Only the last part of each batch is left in .grad when the step is taken.",
            ),
            Mistake(
                _in_parts(lambda part, batch, parts: 1, clear="part"),
                "Only the last part of each batch is left in .grad when the step is taken, and "
                "that one counts as if it were the batch: these are two slips.",
            ),
            Mistake(
                _in_parts(lambda part, batch, parts: 1, clear="part", step="part"),
                "That is training in smaller batches: a step for each part. How many steps should "
                "a batch make?",
            ),
            Mistake(
                _in_parts(_share, clear="part", step="part"),
                "The shares are right, but each part makes a step, and the next part meets "
                "weights that have moved.",
            ),
            Mistake(
                _in_parts(_share, step="part"),
                "It steps after each part, with the parts before it still in .grad.",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(
                    lambda part, batch, parts: 1
                )(theta, images, loss_of, part_size, part_size),
                "It splits all images into parts and steps on each. Where are the batches?",
            ),
            Mistake(
                lambda theta, images, loss_of, batch_size, part_size: _in_parts(_share)(
                    theta, images[:batch_size], loss_of, batch_size, part_size
                ),
                "It makes the first batch's step, rightly, and no other. Where does the return "
                "stand?",
            ),
            Mistake(
                _in_parts(_share, step="epoch"),
                "It makes one step, after the last batch, when that batch alone is in .grad. How "
                "many steps has an epoch?",
            ),
            Mistake(
                _in_parts(_share, clear="never", step="epoch"),
                "All batches add up in .grad, for a single step after them. How many steps has "
                "an epoch?",
            ),
            Mistake(
                _in_parts(_share, clear="late"),
                "θ has not moved at all: is a step taken, with .grad filled, and is it the stepped "
                "θ that is returned?",
            ),
        ],
        hints=[
            "Two loops: over images.split(batch_size), and in it over batch.split(part_size).",
            "Of zero_grad, backward and step only one belongs in the inner loop.",
            "Write a batch's mean loss as a sum over its images, then over its parts: with which "
            "factor does a part's mean come in?",
        ],
        fact="It is called gradient accumulation. Plain descent shows every wrong factor; Adam "
        "divides by the gradient's size and hides those that are the same at every step.",
    ),
    "5.3": Exercise(
        "No noise when testing",
        "core",
        8,
        answer=_tested(_code),
        probes=[
            (_coins, _means, _spreads, _noise),
            (_bell, _means[:2].double(), _spreads[:2].double(), _noise[:, :2].double()),
            (_bell, _means.T, _spreads.T, 1.5 * torch.linspace(0, 37, 30).sin().view(5, 2, 3)),
        ],
        mistakes=[
            Mistake(
                lambda log_likelihood, mean, log_std, noise: (
                    log_likelihood(mean) - elbo.kl(Gaussian(mean, log_std))
                ),
                "That is the snippet as it stands. The KL pays for a spread; which code does the "
                "decoder get?",
            ),
            Mistake(
                _tested(lambda mean, log_std, noise: mean + noise),
                "Its codes have a standard deviation of 1, whatever log_std is.",
            ),
            Mistake(
                _tested(lambda mean, log_std, noise: mean + log_std * noise),
                "It takes log σ for σ.",
            ),
            Mistake(
                _tested(lambda mean, log_std, noise: mean + (0.5 * log_std).exp() * noise),
                "It halves log_std, as one would log σ². Here it is log σ.",
            ),
            Mistake(
                _tested(lambda mean, log_std, noise: mean + (2 * log_std).exp() * noise),
                "It stretches the noise by the variance.",
            ),
            Mistake(
                _tested(lambda mean, log_std, noise: log_std.exp() * noise),
                "Its codes lie around 0, not around the image's mean.",
            ),
            Mistake(
                lambda log_likelihood, mean, log_std, noise: (
                    log_likelihood(_code(mean, log_std, noise).mean(0))
                    - elbo.kl(Gaussian(mean, log_std))
                ),
                "It averages the codes and decodes once, which leads back to the mean. What is to "
                "be averaged?",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods[0] - kl),
                "It uses the first sample only.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods - kl),
                "One bound for each sample and image: right so far. One for each image is asked "
                "for.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: (likelihoods - kl).mean()),
                "It is one number. Over which of the two dimensions should it average?",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods.mean() - kl),
                "The KL is each image's own. The log-likelihood is averaged over the images too, "
                "so that all get the same.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods.mean(0) - kl.sum()),
                "The log-likelihood is each image's own. Whose codes does each pay for?",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods.sum(0) - kl),
                "Its log-likelihood grows with the number of samples.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods.mean(0)),
                "That is the average log-likelihood. What has the code cost?",
            ),
            Mistake(
                lambda log_likelihood, mean, log_std, noise: (
                    log_likelihood(_code(mean, log_std, noise)).mean(0)
                    - elbo.kl(Gaussian(mean, log_std)) / mean.shape[-1]
                ),
                "It averages the KL over the latent dimensions. A KL of independent dimensions is "
                "a sum.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: likelihoods.mean(0) + kl),
                "The KL is a price: check its sign.",
            ),
            Mistake(
                _of_both(lambda likelihoods, kl: kl - likelihoods.mean(0)),
                "That is the loss. The bound itself is asked for.",
            ),
            Mistake(
                _of_both(
                    lambda likelihoods, kl: (
                        likelihoods.logsumexp(0) - math.log(len(likelihoods)) - kl
                    )
                ),
                "It takes the log of an average likelihood. The ELBO has the average of the log.",
            ),
            Mistake(
                _sampled_kl,
                "An estimate of the same bound, with a KL from samples. The snippet's KL is "
                "exact: keep it.",
            ),
        ],
        hints=[
            "The ELBO's first term is an average over z from q(z|x). Does the snippet draw any z?",
            "z = μ + σ·ε of notebook 2 gives all samples at once, of the shape of the noise.",
            "The samples are dimension 0 of what log_likelihood then returns.",
        ],
        fact="D. P. Kingma, who wrote the VAE paper with M. Welling, put this right in PyTorch's "
        "own example himself. The wrong number may lie above the ELBO or below it.",
    ),
    "5.4": Exercise(
        "What a code leaves open",
        "core",
        5,
        answer=20 * _open,
        within=0.1,
        mistakes=[
            Mistake(_open, "That is what one of the pixels pays. How many differ?"),
            Mistake(
                20 * math.log(2),
                "That is the price under coins of ½. The two images are not equally probable: "
                "which coin is better?",
            ),
            Mistake(
                20 * _open / math.log(2),
                "That is the right amount, but in bits. The course counts in nats.",
            ),
            Mistake(
                20 * _open / math.log(10),
                "The logarithm is the natural one, of base e; this looks like base 10.",
            ),
            Mistake(
                20 * 0.75 * math.log(4 / 3),
                "That is what the pixels' likelier sides add to the bill. What do the others add?",
            ),
            Mistake(
                20 * 0.25 * math.log(4),
                "That is what the pixels' rarer sides add to the bill. What do the others add?",
            ),
            Mistake(
                20 * (math.log(4 / 3) + math.log(4)),
                "It charges both sides of each coin in full. How often does each of them come?",
            ),
            Mistake(
                20 * 0.75 * 0.25,
                "That is the variance of the coins, π(1 − π) for each. A bill in nats is made of "
                "logarithms: of what?",
            ),
            Mistake(
                20 * math.log(4 / 3),
                "That is the bill when the likelier image comes. What of the other times?",
            ),
            Mistake(
                20 * math.log(4),
                "That is the bill when the less likely image comes. What of the other times?",
            ),
            Mistake(
                5.0,
                "That many pixels are wrong on average if the likelier image is always given. A "
                "decoder so sure would pay without limit for each of them.",
            ),
            Mistake(
                784 * _open,
                "That charges all pixels. Where the two images agree, what does a sure coin pay?",
            ),
            Mistake(
                0.0,
                "Sharp coins, those of the likelier image, pay nothing when it comes; and when "
                "the other one does?",
            ),
            Mistake(
                80 * _open,
                "That is the bill of four images. It is asked for one, on average.",
            ),
            Mistake(
                10 * (math.log(4) + math.log(4 / 3)),
                "It takes both images for equally frequent. One comes three times as often.",
            ),
            Mistake(
                20 * (0.25 * math.log(4 / 3) + 0.75 * math.log(4)),
                "The coins are the wrong way round: they give the rarer image ¾.",
            ),
            Mistake(
                -20 * _open,
                "That is the log-likelihood. What is paid is its negative.",
            ),
        ],
        hints=[
            "One coin answers for both images. What is best for it is how often its pixel is ink.",
            "Take a pixel that is ink in the likelier image alone: it is ink in ¾ of the cases.",
            "What does it pay when its pixel is ink, and what when it is not? Weigh both by how "
            "often they happen; then count the pixels.",
        ],
        fact="To be told which of the two images it is would cost 0.56 nats, once. Coins that fall "
        "on their own pay it for each of the twenty pixels: that is the price of blur.",
    ),
    "5.5": Exercise(
        "A budget in bits",
        "core",
        4,
        answer=0.16 * 784 * math.log(2) - 20,
        within=0.5,
        mistakes=[
            Mistake(
                0.16 * 784 * math.log(2),
                "That is the whole bill, in nats. Which part of it is spoken for?",
            ),
            Mistake(
                0.16 * 784, "That is the whole bill, in bits. Nats are asked for, and one part."
            ),
            Mistake(
                0.16 * 784 - 20,
                "It takes nats from bits: which of the two must be converted first?",
            ),
            Mistake(
                0.16 * 784 - 20 / math.log(2),
                "The right amount, in bits. It is asked for in nats.",
            ),
            Mistake(
                0.16 * 784 * math.log(2) + 20,
                "Rate and distortion add up to the bill. Here the bill is known.",
            ),
            Mistake(
                (0.16 * 784 - 20) * math.log(2),
                "The rate was in nats already, and is converted once more.",
            ),
            Mistake(
                0.16 * 784 / math.log(2) - 20,
                "One nat is more than one bit. Are there then more nats or fewer in the bill?",
            ),
            Mistake(
                0.16 * 784 * math.log(2) - 20 / math.log(2),
                "The bill was turned into nats, but the rate into bits. Which of them had to be "
                "converted?",
            ),
            Mistake(
                (0.16 * 784 - 20) / math.log(2),
                "It takes nats from bits, and then converts what is left the wrong way. Which of "
                "the two is to be converted, and does it get smaller or larger?",
            ),
            Mistake(
                0.16 * 784 / math.log(2),
                "That would be the whole bill, were a nat less than a bit. Is it, and what is "
                "spoken for?",
            ),
            Mistake(
                (0.16 * 784 * math.log(2) - 20) / 784,
                "That is for one pixel. How many has an image?",
            ),
            Mistake(
                0.16 * math.log(2) - 20,
                "The budget is for a pixel, the rate for an image: how many pixels has one?",
            ),
            Mistake(
                0.16 * 784 * math.log10(2) - 20,
                "The logarithm of a nat is the natural one; this looks like base 10.",
            ),
            Mistake(
                -(0.16 * 784 * math.log(2) - 20),
                "The size is right. A distortion is minus the log-likelihood: which sign has it?",
            ),
        ],
        hints=[
            "How many bits may an image cost?",
            "The section divides nats by log 2 to get bits. Here it goes the other way.",
            "Rate + distortion = −ELBO, all three in nats.",
        ],
        fact="Papers give nats per image or bits per dimension; for 28 × 28 pixels 0.01 bits per "
        "dimension are 5.4 nats, so two digits of the one hide a good deal of the other.",
    ),
}
