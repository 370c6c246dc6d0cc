import math
import random
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelib.ans import LOW, Stack, StackError


def length(stack):
    return 32 * len(stack.tail) + math.log2(stack.head)


class TestByHand:
    """Three letters, a with 2 of 4 slots, b and c with one each."""

    LETTERS: ClassVar = {"a": (0, 2), "b": (2, 1), "c": (3, 1)}

    def find(self, slot):
        return next((name, *at) for name, at in self.LETTERS.items() if slot < sum(at))

    def test_the_head_is_multiplied_and_the_slot_added(self):
        stack = Stack()
        stack.head = LOW + 5
        stack.push([0], [2], 2)
        assert stack.head == (LOW + 5) // 2 * 4 + 1
        stack.push([3], [1], 2)
        assert stack.head == ((LOW + 5) // 2 * 4 + 1) * 4 + 3

    def test_letters_come_back_last_one_first_and_cost_what_they_should(self):
        stack, text = Stack(), "abacabaacab" * 30
        before = length(stack)
        stack.push(*zip(*[self.LETTERS[letter] for letter in text], strict=True), 2)
        wanted = sum(1 if letter == "a" else 2 for letter in text)
        assert abs(length(stack) - before - wanted) < 1e-3
        assert "".join(stack.pop(self.find, 2) for _ in text) == text[::-1]
        stack.check_returned()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 24))
def test_whatever_is_pushed_is_popped(seed, bits):
    dice, stack, pushed = random.Random(seed), Stack(borrow=True), []
    for _ in range(300):
        if pushed and dice.random() < 0.3:
            start, size = pushed.pop()
            assert stack.pop(lambda slot, at=start, of=size: (slot, at, of), bits) in range(
                start, start + size
            )
        else:
            start = dice.randrange(2**bits)
            pushed.append((start, dice.randint(1, 2**bits - start)))
            stack.push(*([part] for part in pushed[-1]), bits)
        assert LOW <= stack.head < LOW * LOW
    for start, size in reversed(pushed):
        stack.pop(lambda slot, at=start, of=size: (slot, at, of), bits)
    stack.check_returned()


def test_binary_and_uniform_symbols_are_those_of_their_intervals():
    dice, one, other = random.Random(0), Stack(), Stack()
    sizes = [dice.randint(1, 2**16 - 1) for _ in range(500)]
    symbols = [int(dice.random() < size / 2**16) for size in sizes]
    starts = [0 if symbol else size for symbol, size in zip(symbols, sizes, strict=True)]
    widths = [s if symbol else 2**16 - s for symbol, s in zip(symbols, sizes, strict=True)]
    for stack in (one, other):
        stack.push(starts, widths, 16)
        stack.push(range(256), [1] * 256, 8)
    assert one.pop_uniform(256, 8) == list(range(256))[::-1]
    assert one.pop_binary(sizes[::-1], 16) == symbols[::-1]
    one.check_returned()


def test_as_short_as_an_independent_coder(generator):
    """constriction's stack, on the same symbols, within its own first word and our head."""
    import constriction

    dice = np.random.default_rng(0)
    probability = dice.uniform(0.001, 0.999, 20_000)
    symbols = (dice.random(20_000) < probability).astype(np.int32)
    coder = constriction.stream.stack.AnsCoder()
    family = constriction.stream.model.Bernoulli(perfect=False)
    coder.encode_reverse(symbols, family, probability)
    stack, ones = Stack(), np.clip((probability * 2**16).round().astype(int), 1, 2**16 - 1)
    stack.push(
        np.where(symbols, 0, ones).tolist(), np.where(symbols, ones, 2**16 - ones).tolist(), 16
    )
    assert abs(length(stack) - 64 - coder.num_bits()) < 100
    assert stack.pop_binary(ones[::-1].tolist(), 16) == symbols[::-1].tolist()


class TestTheBottom:
    def test_popping_too_much_is_an_error_unless_words_are_borrowed(self):
        with pytest.raises(StackError, match="there is more to pop"):
            Stack().pop_uniform(20, 8)
        stack = Stack(borrow=True)
        drawn = stack.pop_uniform(1000, 8)
        assert stack.borrowed >= 240
        assert len(set(drawn)) > 200, "what lies below looks random"
        stack.push(drawn[::-1], [1] * 1000, 8)
        stack.check_returned()

    def test_what_is_not_returned_is_noticed(self):
        stack = Stack()
        stack.push([3], [1], 8)
        with pytest.raises(StackError, match="below the last symbol"):
            stack.check_returned()
        stack = Stack(borrow=True)
        drawn = stack.pop_uniform(50, 8)
        drawn[7] ^= 1
        stack.push(drawn[::-1], [1] * 50, 8)
        with pytest.raises(StackError, match="below the last symbol"):
            stack.check_returned()
