"""How much of what is sent arrives, bits a second (pure)."""

from __future__ import annotations

from collections import deque

WINDOW = 0.5
"""Seconds that are averaged over."""

LEAST_PACKETS = 8
"""Packets below which nothing can be said."""

_KEPT_SECONDS = 2.0


class Throughput:
    """Measures what arrives by the receiver's clock."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int]] = deque()

    def add(self, arrived_at: float, size: int) -> None:
        """Note one packet of `size` bytes; one that was overtaken counts as arrived with what overtook it."""
        if self._arrivals:
            arrived_at = max(arrived_at, self._arrivals[-1][0])
        self._arrivals.append((arrived_at, size))
        while arrived_at - self._arrivals[0][0] > _KEPT_SECONDS:
            self._arrivals.popleft()

    def rate(self, window: float = WINDOW) -> float | None:
        """Bits a second over the last `window` seconds, over longer while packets are few; None: not known yet."""
        if len(self._arrivals) < LEAST_PACKETS:
            return None
        newest = self._arrivals[-1][0]
        octets = 0
        for count, (at, size) in enumerate(reversed(self._arrivals)):
            if count > LEAST_PACKETS and newest - at >= window:
                break
            # The first packet of the window only marks its beginning.
            octets, first_size, first_at = octets + size, size, at
        span = newest - first_at
        return (octets - first_size) * 8 / span if span > 0.0 else None
