"""How long the packets of the last seconds took, and what delay would have been enough for them. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

_TURN = 0.020
"""Seconds of arrival time that make one sample: a queue that empties in a burst is one event, not fifty."""

_OUTLIERS = 0.02
"""Share of samples that may be later than what is called enough: what FEC repairs almost unheard."""


class ArrivalWindow:
    """The fastest and the slowest transit of each 20 ms of arrivals within a sliding window.

    A transit is arrival time minus media time, in seconds; both clocks have origins of their own, so that only
    differences between transits mean anything.

    Args:
        length: seconds that a sample counts for.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._turns: deque[tuple[int, float, float]] = deque()
        self._fastest: list[float] = []
        self._slowest: list[float] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived yet."""
        return not self._turns

    @property
    def fastest(self) -> float:
        """The smallest transit, which stands for an empty network; there must have been an arrival."""
        return self._fastest[0]

    def needed(self) -> float:
        """Seconds beyond the fastest transit within which all but the outliers arrived; 0 before the first."""
        if not self._turns:
            return 0.0
        outliers = int(len(self._slowest) * _OUTLIERS)
        return self._slowest[-1 - outliers] - self._fastest[0]

    def add(self, now: float, transit: float) -> None:
        """Take the transit of a packet that arrived `now`, and forget what is too old."""
        turn = int(now / _TURN)
        fastest = slowest = transit
        if self._turns and self._turns[-1][0] == turn:
            _, earlier_fastest, earlier_slowest = self._remove(self._turns.pop())
            fastest, slowest = min(fastest, earlier_fastest), max(slowest, earlier_slowest)
        self._turns.append((turn, fastest, slowest))
        insort(self._fastest, fastest)
        insort(self._slowest, slowest)
        while self._turns[0][0] < turn - self._length / _TURN:
            self._remove(self._turns.popleft())

    def _remove(self, sample: tuple[int, float, float]) -> tuple[int, float, float]:
        del self._fastest[bisect_left(self._fastest, sample[1])]
        del self._slowest[bisect_left(self._slowest, sample[2])]
        return sample
