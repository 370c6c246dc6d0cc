"""Exercises on compression: codewords, a step of rANS, bits back, and sums that never round."""

import math

import torch

from vaelib.course.exercises.exercise import Exercise


def pixel_bits(image, logits):
    """Bits of an ideal codeword for each image's pixels, shape (batch,)."""
    nats = torch.nn.functional.softplus(logits) - image * logits
    return nats.sum(-1) / math.log(2)


_image = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
_logits = torch.tensor([[2.0, -3.0, 0.3, -1.0], [-5.0, 1.5, 0.0, 4.0], [0.7, -0.2, 3.3, 90.0]])

PIXELS = Exercise(
    slug="pixel-bits",
    title="How long is the codeword?",
    kind="core",
    minutes=6,
    question="""The decoder outputs logits, and arithmetic coding spends −log₂ π bits on a pixel
        that is ink and −log₂(1 − π) bits on one that is not. Return the total number of bits for
        all pixels of each image. The arguments have shape (batch, pixel), and the result has shape
        (batch,). The checks contain a logit of 90.""",
    solution=pixel_bits,
    reasoning=r"""The cost in nats is
        $-\log p(x\mid z)=\sum_j\big(\mathrm{softplus}(\ell_j)-x_j\ell_j\big)$,
        as in notebook 3. Dividing by $\log 2$ turns nats into bits. The lengths of single pixels
        are *not* rounded: in a message, only the total is.""",
    probes=[
        (_image, _logits),
        (_image[:2].double(), _logits[:2].double()),
        (
            (torch.linspace(0, 9, 12).cos() > 0).float().view(2, 6),
            torch.linspace(-4, 7, 12).view(2, 6),
        ),
    ],
    given="""
        from torch import where
        from torch.nn.functional import softplus as soft

        nats = soft(logits) - image * logits
        pi = logits.sigmoid()
        p = where(image > 0, pi, 1 - pi)""",
    mistakes="""
        nats.sum(-1)
            That is the right amount, but in nats. How many bits is a nat?
        nats.sum(-1) * log(2)
            You multiply by log 2. A bit is smaller than a nat, so there must be more bits than
            nats.
        (nats / log(2)).ceil().sum(-1)
            You round every pixel up to whole bits, as separate codewords would. Arithmetic coding
            spends fractions of a bit.
        (nats / log(2)).sum(-1).ceil()
            You round up to whole bits. The question asks for −log₂ p itself.
        nats.mean(-1) / log(2)
            You average over the pixels. The message contains all of them.
        nats.sum() / log(2)
            You add up the images, too. One number per image is asked for.
        nats / log(2)
            That is the cost of each pixel. Add up the pixels of an image.
        -nats.sum(-1) / log(2)
            The sign is wrong: a length is not negative.
        -(image * pi.log2()).nan_to_num(0).sum(-1)
            You count only the ink. The receiver must also learn which pixels are not ink.
        -p.log2().sum(-1)
            The formula is right, but it breaks for large logits. With logits instead of
            probabilities (notebook 3), it does not.
        (soft(logits) + image * logits).sum(-1) / log(2)
            Check the sign of x·ℓ: a large logit must make ink cheap.
        (soft(-logits) + image * logits).sum(-1) / log(2)
            Ink and paper are exchanged.""",
    hints="""
        - Start from −log p(x|z) in nats, as the notebook on the decoder computes it from logits.
        - For one pixel, it is softplus(ℓ) − x·ℓ.
        - Sum over the last dimension, and divide by log 2.""",
    fact="""Rounding every pixel up to whole bits would cost at least 784 bits for an image of 784
        pixels: nothing would be compressed at all.""",
)

DECODE = Exercise(
    slug="a-step-of-rans",
    title="Decode one letter by hand",
    kind="core",
    minutes=4,
    question="""Another alphabet has 8 slots: **a** has slots 0 to 4, **b** has slots 5 and 6, and
        **c** has slot 7. The state is 1006. Pop one letter. What is the state afterwards?""",
    solution="""
        state, slots = 1006, 8
        slot = state % slots  # 6, so the letter is b, which starts at 5 and has 2 slots
        start, size = 5, 2
        state_after = state // slots * size + slot - start  # a whole number""",
    reasoning=r"""$1006 = 125\cdot 8 + 6$. Slot 6 belongs to b, which has 2 slots from 5. So the
        state becomes $125\cdot 2 + 6 - 5 = 251$. Check by pushing b again:
        $251 = 125\cdot 2 + 1$, and $125\cdot 8 + 5 + 1 = 1006$. The state shrank by a factor of
        about 4, which is 2 bits, the cost of a letter of probability ¼.""",
    within=0.4,
    mistakes="""
        125 * 2 + 6
            Subtract the slot at which b starts.
        125 * 2
            The position within b's two slots is lost: slot 6 is the second of them.
        125 * 5 + 6
            That is what a would give. Which letter has slot 6?
        125 * 1 + 6 - 7
            That is what c would give. Which letter has slot 6?
        125
            You divide by the number of slots. Then multiply by the number of slots that b has.
        1006 // 2
            You divide by b's two slots. Divide by all 8, and multiply by 2.
        1006 // 2 * 8 + 5
            That pushes another b. Popping makes the state smaller.
        125 * 2 + 6 + 5
            The start of b's slots is subtracted, not added.
        5
            A state is asked for, not a slot.
        6
            6 is the slot. It says which letter is popped. What is the state afterwards?""",
    hints="""
        - The slot is the remainder of 1006 divided by 8.
        - Which letter has this slot? Where do its slots start, and how many does it have?
        - New state = (state // 8) · size + slot − start.""",
    fact="""Push the letter again, and you are back at 1006: popping and pushing are each other's
        inverses.""",
)

CHAIN = Exercise(
    slug="bill-of-a-chain",
    title="The bill of a chain",
    kind="core",
    minutes=5,
    question="""Each of 100 images costs the same: 40 bits for its latent under the prior, 90 bits
        for its pixels, and q gives 31 bits back. The stack is empty at first, so the first image
        pops bits that everyone knows and gains nothing from it. How many bits per
        image does the file have, on average? Give two decimals.""",
    solution="""
        latent, pixels, back, images = 40, 90, 31, 100
        first = latent + pixels  # what it popped was not information
        later = latent + pixels - back
        bits_per_image = (first + (images - 1) * later) / images  # bits""",
    reasoning="""The first image adds 130 bits, because the 31 bits that it pops carry no
        information. The other 99 images add 99 bits each: what they pop was stored before. So the
        file has 130 + 99 · 99 = 9,931 bits, or 99.31 per image. One image alone would cost
        130.""",
    within=0.005,
    mistakes="""
        99
            Does the first image get back something that had been stored?
        130
            That is an image without bits back. 99 of the 100 images get theirs.
        161
            You add the bits that come back. Subtract them: popping makes the stack shorter.
        99 + 130 / 100
            Almost: the first image is not an additional one.
        (130 * 99 + 99) / 100
            It is the other way round: one image pays in full, and 99 get bits back.
        9931
            That is the whole file. Divide by the number of images.
        99 - 31 / 100
            The first image costs more than the others, not less.
        59
            You give back 31 bits and leave out the latent. Pay for the latent first.
        90
            Those are the pixels alone.""",
    hints="""
        - An image pops 31 bits, pushes 90 bits and then 40 bits. By how much does a long stack
          grow?
        - The first image pops 31 bits that no other image had stored.
        - One image costs 130 bits, 99 images cost 99 bits each.""",
    fact="""The additional 31 bits are paid once per file, however many images follow.""",
)

SUMS = Exercise(
    slug="sums-that-never-round",
    title="Sums that never round",
    kind="stretch",
    minutes=5,
    question="""float32 holds every whole number up to 2²⁴ exactly. Suppose that all weights are
        multiples of 2⁻⁸ and all inputs of a layer are multiples of 2⁻⁶. Up to which value may its
        sums grow (in absolute value), so that float32 computes each of them exactly, in whatever
        order it adds?""",
    solution="""
        exact_up_to = 2.0**24
        steps_per_unit = 2.0 ** (8 + 6)  # a product of the two is a multiple of 2⁻¹⁴
        largest_sum = exact_up_to / steps_per_unit  # in absolute value""",
    reasoning=r"""Every product is a multiple of $2^{-8}\cdot 2^{-6}=2^{-14}$, and so is every sum
        of products, in any order. Written as $n\cdot 2^{-14}$, it is exact as long as
        $|n|\le 2^{24}$, because a power of two only changes the exponent. So sums may reach
        $2^{24-14}=2^{10}=1024$. If they may become larger, the last bits depend on the order of
        the additions, and so on the batch size and on the library.""",
    within=0.5,
    mistakes="""
        2.0**24
            That would be right for whole numbers. How fine are the steps of a product?
        2.0 ** (24 - 8)
            The products are finer than the weights. Count the steps of the inputs, too.
        2.0 ** (24 - 6)
            The products are finer than the inputs. Count the steps of the weights, too.
        2.0 ** (24 - 8 * 6)
            Exponents add when powers are multiplied: 2⁻⁸ · 2⁻⁶ = 2⁻¹⁴.
        2.0 ** (23 - 14)
            Half as large: a float32 stores 23 bits of the fraction, and one more is implied. It
            holds whole numbers up to 2²⁴.
        2.0**14
            That is the number of steps per unit. How many steps can float32 count, and how many
            units are these?
        2.0 ** (24 + 14)
            Finer steps leave less room for large numbers, not more.
        2.0 ** (53 - 14)
            That is float64, which holds whole numbers up to 2⁵³.
        10
            1024 is 2 to that power; the value itself is asked for.""",
    hints="""
        - A multiple of 2⁻⁸ times a multiple of 2⁻⁶ is a multiple of which power of 2?
        - Write a sum as n · 2⁻¹⁴, with a whole number n. Up to which n is it exact?
        - 2²⁴ · 2⁻¹⁴.""",
    fact="""The course's codec uses finer steps: its products are multiples of 2⁻²⁶. It adds in
        float64, so its sums may reach 2²⁷.""",
)

EXERCISES = (PIXELS, DECODE, CHAIN, SUMS)
