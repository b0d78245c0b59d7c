"""Which counters were already seen, in bounded memory.

Packets and messages arrive late, twice and in the wrong order, so "larger than the last one" is not the test.
A window remembers the highest counter and one bit for each of the `size` counters below it; anything older is
treated as seen. The order of use is part of the contract: `state` before the tag is checked, `commit` only
after it held, so that a forged counter never moves the window (RFC 4303 §3.4.3 has the same two steps).
"""

from __future__ import annotations

from enum import Enum


class Seen(Enum):
    """What a window knows about a counter."""

    FRESH = "fresh"
    REPEATED = "repeated"
    TOO_OLD = "too old"


class ReplayWindow:
    """The last `size` counters of one key.

    Args:
        size: how many counters behind the highest one may still arrive.
    """

    __slots__ = ("_bits", "_highest", "_mask", "_size")

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._highest = -1
        self._bits = 0  # bit n stands for the counter `highest - n`

    def state(self, counter: int) -> Seen:
        """Tell whether `counter` (>= 0) may still be accepted; changes nothing."""
        behind = self._highest - counter
        if behind < 0:
            return Seen.FRESH
        if behind >= self._size:
            return Seen.TOO_OLD
        return Seen.REPEATED if (self._bits >> behind) & 1 else Seen.FRESH

    def commit(self, counter: int) -> None:
        """Remember `counter`, whose message has been authenticated and was `FRESH`."""
        behind = self._highest - counter
        if behind >= 0:
            self._bits |= 1 << behind
            return
        ahead = -behind
        # A jump of more than the window clears it; shifting by the jump itself could ask for 2**64 bits.
        self._bits = ((self._bits << ahead) & self._mask if ahead < self._size else 0) | 1
        self._highest = counter
