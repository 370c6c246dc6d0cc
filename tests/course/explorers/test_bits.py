"""The explorer of an image's bits: its words and its picture against the codec itself."""

import math
import re

import pytest
import torch

from vaelib import evaluation, vae
from vaelib.ans import Stack
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course import explorers
from vaelib.course.explorers import bits


@pytest.fixture(scope="module")
def images(digits):
    return threshold(digits[:70]).mul(255).byte()


@pytest.fixture(scope="module")
def model():
    generator = torch.Generator().manual_seed(0)
    return vae.dense(hidden=30, latent=4, activation="silu", generator=generator)


@pytest.fixture(scope="module")
def chain(model, images):
    return bits.chain_of(Codec(model), images)


def numbers(words):
    return [float(text.replace(",", "")) for text in re.findall(r"<b>([\d.,]+)</b>", words)]


def test_a_chain_has_sixty_images_or_all_that_there_are(model, chain, images):
    assert len(chain.stacks) == 61
    short = bits.chain_of(Codec(model), images[:3])
    assert len(short.stacks) == 4
    assert short.length == pytest.approx(chain.length[:4])
    assert chain.length[0] == 0


def test_what_is_pushed_in_the_chain_comes_back(chain, images):
    stack = bits.copied(chain.stacks[20])
    for number in reversed(range(20)):
        assert torch.equal(chain.codec.pop(stack, 1)[0] > 0, images[number] > 0)
    assert stack.head != chain.stacks[20].head, "the copy changes alone"


@pytest.mark.parametrize(("image", "before"), [(0, 0), (3, 10), (65, 60)])
def test_the_words_are_the_codecs_bill_and_the_stack_grows_by_it(chain, image, before):
    latent, pixels, back, total, length = numbers(
        bits.view_bits(chain, image=image, before=before).words
    )
    stack = bits.copied(chain.stacks[before])
    grown = bits.bits_of(stack)
    bill = chain.codec.push(stack, chain.images[image][None])
    assert [latent, pixels, back, total] == pytest.approx(
        [x.item() for x in (*bill, bill.total)], abs=0.51
    )
    assert length == pytest.approx(bits.bits_of(stack), abs=0.51)
    if before:
        assert bits.bits_of(stack) - grown == pytest.approx(bill.total.item(), abs=0.1)
    else:
        assert length > total, "what is popped from words that everyone knows is no information"


def test_only_the_first_image_says_that_nothing_was_stored(chain):
    assert "everyone knows" in bits.view_bits(chain, image=2, before=0).words
    assert "everyone knows" not in bits.view_bits(chain, image=2, before=1).words


def test_the_bound_is_that_of_the_model(model, chain, images):
    expected = -evaluation.mean_terms(model, images, protocol="static").bound / math.log(2)
    assert chain.bound.mean() == pytest.approx(expected.item(), rel=0.01)


def column_of(picture, share):
    left, _, wide, _ = bits.BARS
    return round((left + share * wide) * 150)


def test_the_bars_end_where_the_bill_says(chain):
    view = bits.view_bits(chain, image=5, before=30)
    latent, pixels, _, total, _ = numbers(view.words)
    scale = next(size for size in bits.SCALES if size >= latent + pixels)
    picture = view.figure.pixels().astype(int)
    _, bottom, _, high = bits.BARS

    def row(place):  # a little above the middle of a bar, where no axis crosses it
        return picture.shape[0] - round((bottom + (place + 0.6) / 3 * high) * 150)

    for place, end in ((2, latent + pixels), (1, latent + pixels), (0, total)):
        at = column_of(picture, end / scale)
        assert picture[row(place), at - 6].sum() < 765, "filled up to its end"
        assert picture[row(place), at + 12].sum() == 765, "and white beyond"
    before = column_of(picture, total / scale)
    assert picture[row(1), before - 12].sum() == 765, "what comes back begins where all else ends"


def test_a_dear_image_gets_a_longer_scale(chain):
    codec = chain.codec
    noise = (torch.rand(1, 784, generator=torch.Generator().manual_seed(0)) < 0.5).byte() * 255
    turned = explorers.compress(codec, torch.cat([noise, 255 - noise]))
    turned.set(image=1, before=2)
    assert numbers(turned.words.value)[1] > 500


def test_copies_and_lengths_of_stacks():
    stack = Stack()
    assert bits.bits_of(stack) == 0
    stack.push([0] * 100, [1] * 100, 8)
    assert bits.bits_of(stack) == pytest.approx(800, abs=1e-6)
    twin = bits.copied(stack)
    twin.pop_uniform(5, 8)
    assert bits.bits_of(twin) == pytest.approx(760, abs=1e-6)
    assert bits.bits_of(stack) == pytest.approx(800, abs=1e-6)
