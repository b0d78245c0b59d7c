"""Letting a queue that has built up run empty, and noticing when it is not ours to empty (pure).

A rate just below what the path carries would leave sound waiting for seconds. So almost nothing is sent until the
queue is gone. Where it stays although nothing of ours is in it, others fill it as fast as we leave: a transfer that
only loss slows down. Giving way to that one would be giving up, so for a while loss alone decides.
"""

from __future__ import annotations

LONG_QUEUE = 0.100
EMPTY_QUEUE = 0.030
"""Seconds of waiting from which on a queue is drained, and at which it is as good as empty."""

DRAIN_SECONDS = 0.4
"""Seconds in which it is to be drained."""

LONGEST_DRAIN = 1.2
"""Seconds after which draining ends in any case."""

FUTILE = 0.7
"""Share of the queue that is left at the least for draining to have been futile: others keep it full."""

CONTENDED_SECONDS = 5.0
"""Seconds for which delay is ignored after that, before it is tried again."""

PERSISTENCE = 2.0
YIELDS = 3
"""Seconds for which a queue too short to be drained has to stay, and times that the rate is taken down meanwhile, until
it is clear that it is not ours: one of ours would have run empty."""

GONE_SECONDS = 1.0
"""Seconds without a queue after which those that kept it full have gone."""


class Drain:
    """The draining of one path's queue."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._queue_at_first = 0.0
        self._least = 0.0
        self._contended_until = float("-inf")
        self._filled_since: float | None = None
        self._empty_since: float | None = None
        self._yields = 0

    @property
    def active(self) -> bool:
        """Whether the queue is being drained."""
        return self._since is not None

    def contended(self, now: float) -> bool:
        """Whether others keep the queue full, whatever we do."""
        return now < self._contended_until

    def begin(self, queue: float, now: float) -> None:
        """Drain a queue of `queue` seconds because of which the rate was taken down, if it is long and not others'."""
        self._yields += 1
        if self._since is None and queue > LONG_QUEUE and not self.contended(now):
            self._since = now
            self._queue_at_first = self._least = queue

    def follow(self, queue: float, standing: float, now: float) -> None:
        """Note how long the queue is now, and how long it was at the least lately, in seconds."""
        self._watch(standing, now)
        if self._since is None:
            return
        self._least = min(self._least, queue)
        if queue < EMPTY_QUEUE:
            self._since = None
        elif now - self._since > LONGEST_DRAIN:
            self._since = None
            if self._least > FUTILE * self._queue_at_first:
                self._contended_until = now + CONTENDED_SECONDS

    def _watch(self, standing: float, now: float) -> None:
        """See whether the queue is emptied at all, whatever we do."""
        if standing >= EMPTY_QUEUE:
            self._empty_since = None
            if self._filled_since is None:
                self._filled_since, self._yields = now, 0
            elif self._yields >= YIELDS and now - self._filled_since > PERSISTENCE:
                self._filled_since, self._yields = now, 0
                self._contended_until = now + CONTENDED_SECONDS
        elif self.contended(now):
            if self._empty_since is None:
                self._empty_since = now
            elif now - self._empty_since > GONE_SECONDS:
                self._contended_until = now
        else:
            self._filled_since = None

    def share(self, queue: float) -> float:
        """How much of the rate may be sent, 0..1, with a queue of `queue` seconds."""
        return 1.0 if self._since is None else max(0.0, 1.0 - queue / DRAIN_SECONDS)
