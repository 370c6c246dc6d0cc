"""Asymmetric numeral systems: a stack of bits that grows by −log₂ p with each symbol pushed.

Duda 2009 (arXiv 0902.0271), in the form with a range, rANS (arXiv 1311.2540, section 3).
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

LOW = 1 << 32  # the head is in [LOW, LOW²); what it cannot hold goes to the tail, 32 bits a word
WORD = LOW - 1
Symbol = TypeVar("Symbol")


class StackError(RuntimeError):
    """A stack is empty before everything was popped, or does not end with the known words."""


class Stack:
    """Symbols pushed last are popped first; a symbol of probability p takes −log₂ p bits.

    A symbol is an interval of slots: `size` of the 2**`bits` equally likely slots, from `start` on.
    Below the first symbol are words that everyone knows. With `borrow`, they can be popped, too.
    Pushing back what was popped restores them, which `check_returned` tests.
    """

    def __init__(self, *, borrow: bool = False) -> None:
        self.borrow, self.borrowed = borrow, 0
        self.head, self.tail = LOW * LOW >> 1 | known(-1), array("I")

    def push(self, starts: Iterable[int], sizes: Iterable[int], bits: int) -> None:
        """Push symbols, given by their intervals, the first one first."""
        head, append, room = self.head, self.tail.append, 64 - bits
        for start, size in zip(starts, sizes, strict=True):
            if head >= size << room:
                append(head & WORD)
                head >>= 32
            whole, slot = divmod(head, size)
            head = (whole << bits) + slot + start
        self.head = head

    def pop(self, find: Callable[[int], tuple[Symbol, int, int]], bits: int) -> Symbol:
        """Pop a symbol; `find` maps a slot to its symbol, and that symbol's start and size."""
        slot = self.head & (1 << bits) - 1
        symbol, start, size = find(slot)
        self.head = size * (self.head >> bits) + slot - start
        if self.head < LOW:
            self.head = self.head << 32 | self._word()
        return symbol

    def pop_binary(self, sizes: Sequence[int], bits: int) -> list[int]:
        """Pop one symbol for each of `sizes`: 1 if its slot is below the size, otherwise 0."""
        head, tail, mask, whole, symbols = self.head, self.tail, (1 << bits) - 1, 1 << bits, []
        for size in sizes:
            slot = head & mask
            if slot < size:
                head = size * (head >> bits) + slot
                symbols.append(1)
            else:
                head = (whole - size) * (head >> bits) + slot - size
                symbols.append(0)
            if head < LOW:
                head = head << 32 | (tail.pop() if tail else self._word())
        self.head = head
        return symbols

    def pop_uniform(self, count: int, bits: int) -> list[int]:
        """Pop symbols that are numbers below 2**`bits`, all equally likely."""
        return [self.pop(lambda slot: (slot, slot, 1), bits) for _ in range(count)]

    def _word(self) -> int:
        if self.tail:
            return self.tail.pop()
        if not self.borrow:
            raise StackError("the stack is empty, and there is more to pop")
        self.borrowed += 1
        return known(self.borrowed - 1)

    def check_returned(self) -> None:
        """Raise StackError unless only the known words are left, as before the first push."""
        below = [known(number) for number in reversed(range(len(self.tail)))]
        if self.head != Stack().head or self.tail.tolist() != below:
            raise StackError("what is below the last symbol is not what was there before the first")


def known(number: int) -> int:
    """A word that everyone knows, and that looks random: four bytes of a digest."""
    return int.from_bytes(hashlib.sha256(b"vaelib %d" % number).digest()[:4], "big")
