"""How long packets wait in the queue of the path now: one-way delay above the least of the last seconds (pure).

The clocks of both ends differ by an unknown amount and drift; only differences of delays are used, over a window short
enough that drift does not show.
"""

from __future__ import annotations

from collections import deque

BASE_SECONDS = 10.0
"""Seconds within which the least delay is taken for that of an empty queue."""

_BUCKET = 1.0
_JITTER_SHARE = 1 / 16
RECENT_PACKETS = 3
"""Packets of which the least delayed tells the delay now: single ones wait for other reasons."""

STANDING_PACKETS = 30
STANDING_QUEUE = 0.030
"""Packets in a row of which jitter spares one and a queue none, and the seconds that none is spared at the least."""

FEW_SECONDS = 0.4
"""Seconds over which so many packets are sent where there is sound alone."""

MEDIAN_STEP = 0.0005
"""Seconds by which the median of what packets wait follows each look: half of what was seen was above it."""

USUAL_FACTOR = 1.5
MOST_USUAL = 0.070
"""Times that median which jitter alone makes packets wait often, and the seconds that it accounts for at the most."""


class QueueDelay:
    """Follows the delay of one path."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, float]] = deque()
        self._least = 0.0  # of all buckets
        self._recent: deque[float] = deque(maxlen=RECENT_PACKETS)
        self._last: deque[tuple[float, float]] = deque(maxlen=STANDING_PACKETS)
        self._median = 0.0
        self.jitter = 0.0
        """Seconds by which the delays of successive packets differ, on a sliding average."""

    def add(self, sent_at: float, arrived_at: float) -> None:
        """Note one arrival, both times in seconds of their own clocks."""
        delay = arrived_at - sent_at
        if self._recent:
            self.jitter += _JITTER_SHARE * (abs(delay - self._recent[-1]) - self.jitter)
        self._recent.append(delay)
        self._last.append((sent_at, delay))
        if not self._buckets or sent_at - self._buckets[-1][0] >= _BUCKET:
            self._buckets.append((sent_at, delay))
            while sent_at - self._buckets[0][0] > BASE_SECONDS:
                self._buckets.popleft()
            self._least = min(least for _, least in self._buckets)
        elif delay < self._buckets[-1][1]:
            self._buckets[-1] = (self._buckets[-1][0], delay)
            self._least = min(self._least, delay)

    @property
    def seconds(self) -> float:
        """How long the last packets waited more than those that waited least."""
        if not self._recent:
            return 0.0
        return max(0.0, min(self._recent) - self._least)

    @property
    def standing(self) -> float:
        """How long all of the last packets waited at the least: what jitter spares now and then, and a queue never."""
        return min(delay for _, delay in self._last) - self._least if self._last else 0.0

    def look(self) -> None:
        """Let what packets wait now count for what they usually wait; to be called at regular times."""
        self._median = max(0.0, self._median + (MEDIAN_STEP if self.seconds > self._median else -MEDIAN_STEP))

    @property
    def usual(self) -> float:
        """Seconds up to which packets usually wait, for jitter alone."""
        return min(MOST_USUAL, USUAL_FACTOR * self._median)

    @property
    def trembling(self) -> float:
        """Seconds by which the delays of packets differ without a queue, as far as can be told."""
        return max(self.jitter, self.usual / 2)

    @property
    def only_trembles(self) -> bool:
        """Whether there is sound alone, and no queue for certain: some of its last packets were spared it.

        It has so few packets that the slope of a delay that trembles is sometimes as steep as that of a queue.
        """
        if not self._last or self._last[-1][0] - self._last[0][0] < FEW_SECONDS:
            return False
        delays = [delay for _, delay in self._last]
        return self.standing <= max(STANDING_QUEUE, max(delays) - min(delays))
