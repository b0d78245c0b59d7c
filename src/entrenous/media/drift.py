"""How much faster a sender's clock runs than ours, told from arrivals (pure; a figure for statistics only).

The play-out needs no estimate: it holds its delay whatever the clocks do. But the figure tells a drifting sound card
from a congested path.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations
from statistics import median
from typing import Final

_SPAN: Final = 4.0
"""Seconds whose fastest packet makes one point: the network's jitter is left out that way."""

_POINTS: Final = 30
"""Points that are kept: two minutes."""

_ENOUGH: Final = 5
"""Points from which an estimate is made."""


class ClockDrift:
    """Follows the fastest transits of two minutes."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=_POINTS)
        self._fastest: tuple[float, float] | None = None
        self._span_end = 0.0

    def add(self, at: float, transit: float) -> None:
        """Take a packet that arrived at monotonic time `at` after a way of `transit` seconds, up to a constant."""
        fastest = self._fastest
        if fastest is None:
            self._span_end = at + _SPAN
        elif at >= self._span_end:
            self._points.append(fastest)
            self._span_end = at + _SPAN
        elif transit >= fastest[1]:
            return
        self._fastest = (at, transit)

    @property
    def parts_per_million(self) -> float | None:
        """How much faster the sender's clock is (negative: slower); None for the first twenty seconds.

        The median of the slopes between all pairs of points (Theil and Sen): a change of the path in the middle of
        the two minutes leaves it where it was.
        """
        if len(self._points) < _ENOUGH:
            return None
        slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(self._points, 2)]
        return -median(slopes) * 1e6
