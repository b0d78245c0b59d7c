"""How much later than the fastest packets arrive, and what delay would have been enough for nearly all. Pure.

A transit is arrival time minus media time, in seconds; both clocks have origins of their own, so that only
differences between transits mean anything. The smallest transit of the last seconds stands for an empty network.

The latest packet of each half second makes one sample, in a histogram that forgets: a queue that empties in one
burst is then one event and not fifty, a burst that happens once is no reason to wait for the next one, and three
within half a minute are. (The idea and the constants are those of NetEQ's delay manager; the buckets are finer.) A
queue may take longer to empty: a half second lasts until it has, so that the queue is one event as well.

What is over is to be forgotten at once. When a narrow link widens, its delays end from one moment to the next: two
half seconds that are far better than each of the last six seconds begin a new history. And whatever was before, little
more than what the last ten seconds needed is enough.

Repairs of lost packets are counted along, but waited for within bounds: a conversation suffers from delay all the
time, and from what a long burst takes away only then.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

_WINDOW: Final = 5.0
"""Seconds in which the fastest packet stands for an empty network."""

_INTERVAL: Final = 0.5
"""Seconds of arrivals that make one sample."""

_PATIENCE: Final = 2.0
"""Seconds more while packets arrive late all the time: half of the window in all, for what lasts is the path."""

_NO_QUEUE: Final = 0.040
"""Seconds of delay down to which a queue has emptied."""

_BUCKET: Final = 0.005
_BUCKETS: Final = 120
"""Seconds of one bucket of the histogram, and how many there are; the last one takes what is beyond."""

_OUTLIERS: Final = 0.05
"""Share of the half seconds in which something may come too late; one of them may as long as there are few."""

_KEEP: Final = 0.983
"""What remains of a sample's weight when the next one comes: half of it after 20 s."""

_CALM: Final = 20
"""Half seconds after which trouble of which there was nothing more is over, be it as frequent as it may before."""

_CALM_MARGIN: Final = 1.25
"""Times the worst of that many half seconds that is enough from then on."""

_BEFORE: Final = 12
_AFTER: Final = 2
_BETTER: Final = 0.5
"""How many half seconds are compared with how many after them, and of the best of the former the share that the worst
of the latter has when the path has changed. By mere chance even their order is so once in 91 times."""

_ROUNDING: Final = 1e-9

REPAIR_WAIT: Final = 0.045
LEAST_BOUND: Final = 0.065
"""Seconds of delay for the sake of repairs at most, beyond what packets themselves need, and where these need next to
nothing the delay in all: a copy three packets behind is then just in time. With jitter most copies still are, for it
is seldom that one is needed and delayed by nearly all that jitter does. (Measured with bursts of 60 ms, 20 % lost and
30 ms of jitter either side: PESQ-WB 2.53 with 164 ms from mouth to ear, without a bound 2.62 with 177.)"""


class ArrivalHistory:
    """The transits of a stream: the fastest, and the delay that nearly all would have needed."""

    def __init__(self) -> None:
        self._fastest: deque[tuple[float, float]] = deque()  # (arrival, transit), both rising
        self._packets = _Latest()
        self._with_repairs = _Latest()
        self._interval_end: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived yet."""
        return not self._fastest

    @property
    def fastest(self) -> float:
        """The smallest transit of the last five seconds of arrivals; there must have been one."""
        return self._fastest[0][1]

    @property
    def needed(self) -> float:
        """Seconds beyond the fastest transit within which nearly all arrived; 0 in the first half second."""
        return min(self._with_repairs.needed, self._bound)

    @property
    def recent(self) -> float:
        """The same for all that arrived in the last half second to second: trouble seldom comes alone."""
        return max(self._packets.recent, min(self._with_repairs.recent, self._bound))

    @property
    def _bound(self) -> float:
        return max(self._packets.needed + REPAIR_WAIT, LEAST_BOUND)

    def add(self, at: float, transit: float, excuse: float = 0.0) -> None:
        """Take a packet.

        Args:
            at: when it reached the socket.
            transit: seconds of its way.
            excuse: seconds that it was of use later than it arrived, because this process was busy.
        """
        fastest = self._fastest
        while fastest and fastest[-1][1] >= transit:
            fastest.pop()
        fastest.append((at, transit))
        while fastest[0][0] < at - _WINDOW:
            fastest.popleft()
        delay = transit - fastest[0][1]
        self._follow(at, delay)
        self._packets.add(delay + excuse)
        self._with_repairs.add(delay + excuse)

    def add_repair(self, transit: float) -> None:
        """Take what can stand in for a lost packet: it need not be fast, but is worth waiting for within bounds.

        Args:
            transit: seconds between the media time of what was lost and the arrival of this at the socket.
        """
        self._with_repairs.add(transit - self._fastest[0][1])

    def _follow(self, at: float, delay: float) -> None:
        """Close the interval if it is over, and the queue, if there was one in it."""
        if self._interval_end is None:
            self._interval_end = at + _INTERVAL
        if at < self._interval_end:
            return
        if min(delay, self._packets.latest) <= _NO_QUEUE or at >= self._interval_end + _PATIENCE:
            self._packets.take_sample()
            self._with_repairs.take_sample()
            self._interval_end = at + _INTERVAL


class _Latest:
    """The latest arrival of each interval, in a histogram that forgets, and the delay that was enough for most."""

    def __init__(self) -> None:
        self.needed = 0.0
        self.latest = 0.0
        """The latest of this interval so far."""
        self._weights = [0.0] * _BUCKETS
        self._samples = 0
        self._before = 0.0
        self._lately: deque[float] = deque(maxlen=_CALM)

    @property
    def recent(self) -> float:
        """The latest of this interval and the one before."""
        return max(self.latest, self._before)

    def add(self, delay: float) -> None:
        """Take an arrival so many seconds after the fastest."""
        if delay > self.latest:
            self.latest = delay

    def take_sample(self) -> None:
        """Close an interval: its latest arrival goes into the histogram."""
        self._lately.append(self.latest)
        if self._is_past():
            self._lately = deque(list(self._lately)[-_AFTER:], maxlen=_CALM)
            self._weights, self._samples = [0.0] * _BUCKETS, 0
            self._weigh(self._lately[0])
        self._weigh(self.latest)
        self._before, self.latest = self.latest, 0.0
        outliers = max(_OUTLIERS, 1.0 / self._samples) + _ROUNDING
        bucket, beyond = _BUCKETS, 0.0
        while bucket > 0 and beyond + self._weights[bucket - 1] <= outliers:
            bucket -= 1
            beyond += self._weights[bucket]
        self.needed = min(bucket, math.ceil(_CALM_MARGIN * max(self._lately) / _BUCKET) + 1) * _BUCKET

    def _weigh(self, latest: float) -> None:
        self._samples += 1
        keep = min(_KEEP, 1.0 - 1.0 / self._samples)
        weights = [weight * keep for weight in self._weights]
        weights[min(int(latest / _BUCKET), _BUCKETS - 1)] += 1.0 - keep
        self._weights = weights

    def _is_past(self) -> bool:
        """Whether the path of the last samples is no longer that of the ones before."""
        if len(self._lately) < _BEFORE + _AFTER:
            return False
        *before, one, other = list(self._lately)[-_BEFORE - _AFTER :]
        return max(one, other) < _BETTER * min(before)
