"""How durations are spread: counts in buckets, as Prometheus reads them.

Not the histograms of prometheus_client: those take a lock for each value, and one of ours is filled while memory is
being collected, which may happen in the middle of anything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """Counts values by the first bound that they do not exceed.

    Args:
        bounds: ascending; what exceeds the last one is counted above it.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as text, with how many values did not exceed it; the last one is `+Inf`."""
        found = []
        below = 0
        for bound, count in zip((*(str(float(bound)) for bound in self._bounds), "+Inf"), self._counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found
