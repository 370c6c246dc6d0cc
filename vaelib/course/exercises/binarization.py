"""Exercises of notebook 1."""

import math

import torch
from torch import Tensor

from vaelib import binarization
from vaelib.course.exercises.judging import Exercise, Mistake


def _to_ink(pixels: Tensor) -> Tensor:
    return binarization.threshold(_intensity(pixels))


def _intensity(pixels: Tensor) -> Tensor:
    return binarization.intensity(pixels) if pixels.dtype == torch.uint8 else pixels


def _views(intensity: Tensor, noise: Tensor) -> Tensor:
    return (noise < intensity).float()


def _log_p(images: Tensor, tables: Tensor) -> Tensor:
    """log p(image | table), (images, tables)."""
    return images @ tables.log().T + (1 - images) @ (1 - tables).log().T


def _mixture_nats(images: Tensor, tables: Tensor) -> Tensor:
    return math.log(len(tables)) - _log_p(images, tables).logsumexp(1)


_bytes = torch.tensor([[0, 1, 127], [128, 254, 255]], dtype=torch.uint8)
_faint = torch.tensor([[0, 1, 1, 0]], dtype=torch.uint8)
_greys = torch.tensor([[0.0, 0.25, 0.499, 0.5], [0.501, 0.75, 0.996, 1.0]])
_pale = torch.tensor([[0.0, 0.2, 0.4, 0.6]])

_coins = torch.tensor([[0.0, 0.2, 0.5, 1.0], [0.6, 0.4, 0.9, 0.1], [0.3, 0.7, 0.5, 0.8]])
_noise = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1))
_noise[0, 0, 0] = 0.0

_small = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
_pair = torch.tensor([[0.9, 0.2, 1 - 1e-5], [0.1, 1e-5, 0.3]])
_large = (torch.arange(4000).view(2, 2000) % 3 == 0).float()
_three = torch.stack([torch.linspace(a, b, 2000) for a, b in ((0.2, 0.5), (0.6, 0.3), (0.4, 0.4))])

_a_quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
_epsilons = (1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-30)

EXERCISES = {
    "1.1": Exercise(
        "The price of a flawless copy",
        "warm-up",
        3,
        answer=100 * _a_quarter,
        within=0.1,
        mistakes=[
            Mistake(
                0.0,
                "A flawless copy is free where x is 0 or 1. What does it pay where x is ¼?",
            ),
            Mistake(_a_quarter, "That is what one grey pixel pays. How many are there?"),
            Mistake(
                784 * _a_quarter,
                "That charges every pixel of the image. Which of them pay nothing?",
            ),
            Mistake(
                100 * _a_quarter / math.log(2),
                "That is the right amount, but in bits, with the logarithm of base 2.",
            ),
            Mistake(
                100 * _a_quarter / math.log(10),
                "The logarithm is the natural one; this looks like base 10.",
            ),
            Mistake(
                25 * math.log(4),
                "That is the factor with the power x alone. What does the other factor add?",
            ),
            Mistake(
                75 * math.log(4 / 3),
                "That is the factor with the power 1 − x alone. What does the other factor add?",
            ),
            Mistake(
                100 * math.log(4),
                "That charges each grey pixel as if it were ink. To which power is π raised?",
            ),
            Mistake(
                100 * math.log(4 / 3),
                "That charges each grey pixel as if it were background. Look at the two powers.",
            ),
            Mistake(
                100 * math.log(2),
                "That is the price of a coin of ½. These coins are less in doubt.",
            ),
            Mistake(
                784 * math.log(2),
                "That is a coin of ½ for every pixel of the image. How many are in doubt at all, "
                "and are they that much?",
            ),
            Mistake(
                100 * 0.25 * 0.75,
                "That is the variance of the tosses, π(1 − π) for each pixel. Where is the "
                "logarithm of the formula?",
            ),
            Mistake(
                -100 * _a_quarter,
                "That is the logarithm. What is paid is its negative.",
            ),
        ],
        hints=[
            "Put x = ¼ and π = ¼ into the Bernoulli formula: what are the two powers?",
            "The negative logarithm of a product is a sum: one term with ¼, one with ¾.",
            "log 4 is 1.386 and log 4/3 is 0.288. A hundred such pixels pay a hundred times.",
        ],
        fact="A pixel of ¼ pays 0.56 nats, not much less than the dearest, ½, with 0.69: "
        "the entropy is flat on top, so even pale rims are expensive.",
    ),
    "1.2": Exercise(
        "Find what is divided twice",
        "core",
        5,
        answer=_to_ink,
        probes=[(_bytes,), (_greys,), (_faint,), (_pale,)],
        mistakes=[
            Mistake(
                lambda pixels: (pixels.float() / 255 > 0.5).float(),
                "No intensity becomes ink, as in the snippet: none of them exceeds 1. Are they "
                "divided once more, or compared with a level that is meant for bytes?",
            ),
            Mistake(
                lambda pixels: (pixels > 0.5).float(),
                "It is right for intensities, but makes ink of byte 1, which is nearly background.",
            ),
            Mistake(
                lambda pixels: (_intensity(pixels) >= 0.5).float(),
                "One grey is on the wrong side, the one at the level itself: what does `threshold` "
                "make of it?",
            ),
            Mistake(
                lambda pixels: ((pixels / 255 if pixels.max() > 1 else pixels) > 0.5).float(),
                "It tells bytes from intensities by their largest value. What of a faint image?",
            ),
            Mistake(
                lambda pixels: (pixels / pixels.max() > 0.5).float(),
                "It divides by the largest value that it is given, so one pixel decides "
                "about the others. What is full ink?",
            ),
            Mistake(
                lambda pixels: (pixels > (128 if pixels.dtype == torch.uint8 else 0.5)).float(),
                "One byte is background that should be ink. On which side of ½ is 128 / 255?",
            ),
            Mistake(
                lambda pixels: (pixels > (126 if pixels.dtype == torch.uint8 else 0.5)).float(),
                "One byte is ink that should be background. On which side of ½ is 127 / 255?",
            ),
            Mistake(
                lambda pixels: 1 - _to_ink(pixels),
                "Ink and background have changed places.",
            ),
            Mistake(
                _intensity,
                "These are the intensities, and right. They still have to be made 0 or 1.",
            ),
        ],
        hints=[
            "Follow a pixel of full ink through the snippet: 255 at first, and then?",
            "Bytes and intensities overlap in value, but never in dtype.",
            "Ask for pixels.dtype. Which of the two kinds has still to be divided?",
        ],
        fact="`ToTensor` surprised others too: github.com/pytorch/pytorch/issues/6390. This is why "
        "the functions of `vaelib.binarization` refuse bytes, or intensities, that they do not "
        "expect.",
    ),
    "1.3": Exercise(
        "Find where the coins freeze",
        "core",
        5,
        answer=_views,
        probes=[
            (_coins, _noise),
            (_coins[:2], _noise[1:4, :2]),
            (_coins[:, 1:], _noise[:4, :, 1:]),
        ],
        mistakes=[
            Mistake(
                lambda intensity, noise: _views(intensity, noise[:1]).repeat(len(noise), 1, 1),
                "Every epoch looks like the first, as in the snippet. What does the second toss?",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise[-1:]).repeat(len(noise), 1, 1),
                "Every epoch looks like the last. Each has noise of its own.",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise[:, :1]),
                "All images of an epoch share one image's noise, so their rims flip together.",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise[:1]),
                "That is the first epoch alone. Where are the others?",
            ),
            Mistake(
                lambda intensity, noise: (noise > intensity).float(),
                "The faintest pixels become ink and full ink becomes background: which way round "
                "is the comparison?",
            ),
            Mistake(
                lambda intensity, noise: (noise <= intensity).float(),
                "A pixel of intensity 0 has become ink, because its noise was 0 too. Such a coin "
                "never shows ink.",
            ),
            Mistake(
                lambda intensity, noise: (intensity > 0.5).float().expand(noise.shape),
                "It does not use the noise: this is the threshold protocol.",
            ),
            Mistake(
                lambda intensity, noise: intensity.expand(noise.shape),
                "These are greys. What does the model see, once the coins are tossed?",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise).mean(0),
                "It averages over the epochs. The model sees them one after the other.",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise).cummax(0).values,
                "What was ink once stays ink. An epoch must not remember those before it.",
            ),
            Mistake(
                lambda intensity, noise: _views(intensity, noise).transpose(0, 1),
                "Images come first here. Epochs should.",
            ),
        ],
        hints=[
            "Write down what `intensity` holds at the start of the second turn of the loop.",
            "A coin of probability 0 or 1 falls the same way whatever its noise is.",
            "Give what was tossed a name of its own. (Or do without the loop: shapes broadcast.)",
        ],
        fact="Overwritten greys turn the dynamic protocol into the static one, without an error. "
        "A published example that should have tossed anew after each epoch did not, and a "
        "reader could not reach its results: github.com/casperkaae/parmesan/issues/18.",
    ),
    "1.4": Exercise(
        "Nine to one on every pixel",
        "warm-up",
        3,
        answer=-784 * math.log2(0.9),
        within=0.3,
        mistakes=[
            Mistake(
                -784 * math.log(0.9),
                "That is the right length, in nats. Bits are asked for.",
            ),
            Mistake(-math.log2(0.9), "That is one pixel's. What do the surprises of 784 do?"),
            Mistake(
                0.9**784,
                "That is about the probability of the whole image. How long is its code?",
            ),
            Mistake(
                -784 * math.log10(0.9),
                "It looks as if the logarithm had base 10. Which base gives bits?",
            ),
            Mistake(784 * math.log2(0.9), "A code has no negative length: check the sign."),
            Mistake(
                -784 * (0.9 * math.log2(0.9) + 0.1 * math.log2(0.1)),
                "That is the entropy of such coins: what is paid if they err one time in ten. "
                "Here the outcome is known.",
            ),
            Mistake(
                -784 * math.log2(0.1),
                "That is the price of an image of which every pixel was forecast wrongly.",
            ),
            Mistake(784.0, "That is the price of knowing nothing, a coin of ½ for each pixel."),
            Mistake(
                784 * math.log(2),
                "That is a coin of ½ for each pixel, and in nats. How much less surprised is this "
                "model, and what are bits?",
            ),
            Mistake(
                -784 * math.log(0.9) * math.log(2),
                "One bit is less than one nat. Has the code then more bits than nats, or fewer?",
            ),
            Mistake(
                784 * 0.9,
                "Probabilities of pixels do not add up to lengths. What is −log₂ of a product?",
            ),
            Mistake(
                784 * 0.1,
                "That counts doubt, 0.1 a pixel. A length is made of logarithms.",
            ),
        ],
        hints=[
            "The probability of the image is a product of 784 equal factors.",
            "The logarithm turns the product into a sum, so one pixel's surprise is enough.",
            "log₂ 0.9 is −0.152.",
        ],
        fact="As a probability it is 10⁻³⁶. Images are that improbable even for good models, so "
        "one writes logarithms, and never multiplies the pixels first.",
    ),
    "1.5": Exercise(
        "Ten tables, and no digit named",
        "stretch",
        10,
        answer=_mixture_nats,
        probes=[(_small, _pair), (_large, _three)],
        mistakes=[
            Mistake(
                lambda images, tables: -_log_p(images, tables).double().exp().mean(1).log(),
                "Right for a few pixels, infinite for many: the probability is too small for a "
                "float. Which function of torch adds probabilities given as logarithms?",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).mean(1),
                "It averages the logarithms. The model averages the probabilities.",
            ),
            Mistake(
                lambda images, tables: math.log(len(tables)) - _log_p(images, tables).amax(1),
                "It names the table that fits best, and pays for the name. The other tables add "
                "to the probability as well.",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).logsumexp(1),
                "It adds the tables' probabilities up. With two equal tables it would charge less "
                "than with one of them.",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).logsumexp(1) - math.log(len(tables)),
                "The number of tables is there, but makes images cheaper. Is an average of "
                "probabilities more than their sum, or less?",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).logsumexp(1) / len(tables),
                "It divides the logarithm by the number of tables. What does 1/K multiply?",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).amax(1),
                "That is what the table that fits best charges on its own. With which probability "
                "does an image come from this one, and do the others add nothing?",
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables).sum(1),
                "It adds the tables' logarithms, as if an image had to come from all of them at "
                "once. It comes from any one of them.",
            ),
            Mistake(
                lambda images, tables: (
                    (-_log_p(images, tables)).logsumexp(1) - math.log(len(tables))
                ),
                "Here the table that fits worst counts most. What is averaged, p(x | k) or one "
                "over it, and so on which side of the logarithm does the minus stand?",
            ),
            *(
                Mistake(
                    lambda images, tables, eps=eps: (
                        -(_log_p(images, tables).exp().mean(1) + eps).log()
                    ),
                    f"An epsilon of {eps:g} keeps log 0 away, and caps what an image can cost at "
                    f"{-math.log(eps):.0f} nats. Can it be done without leaving the logarithms?",
                )
                for eps in _epsilons
            ),
            Mistake(
                lambda images, tables: -_log_p(images, tables.mean(0, keepdim=True))[:, 0],
                "It averages the tables first, which is the independent-pixel model again.",
            ),
            Mistake(
                lambda images, tables: -_mixture_nats(images, tables),
                "That is log p(x). Nats to pay are its negative.",
            ),
            Mistake(
                lambda images, tables: _mixture_nats(images, tables) / math.log(2),
                "Right, but in bits.",
            ),
            Mistake(
                lambda images, tables: _mixture_nats(images, tables).mean(),
                "It is averaged over the images already. One value for each is asked for.",
            ),
            Mistake(
                lambda images, tables: _mixture_nats(images, tables) / images.shape[1],
                "That is nats per pixel. Nats per image are asked for.",
            ),
            Mistake(
                lambda images, tables: (
                    math.log(len(tables)) - (images @ tables.log().T).logsumexp(1)
                ),
                "It charges for ink alone. Background has a probability too.",
            ),
            Mistake(
                lambda images, tables: _mixture_nats(1 - images, tables),
                "Ink and background have changed places.",
            ),
        ],
        hints=[
            "First find log p(x | table) for every image and every table: two dimensions.",
            "Pixels multiply within a table, so their logarithms add up. Tables are averaged as "
            "probabilities, not as logarithms.",
            "torch.logsumexp adds probabilities that are given as logarithms, and never leaves "
            "the logarithms.",
            "An average of K is a sum divided by K. What does that do to a logarithm?",
        ],
        fact="Naming the best table, at log K nats for the name, never costs less. A VAE "
        "has a table for each of infinitely many codes, and no sum over them; notebook 4 finds a "
        "bound instead.",
    ),
}
