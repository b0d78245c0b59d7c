"""What a line between a home and the core does to packets: delay, loss, rate, outages; each way for itself.

Pure: packets and times in, packets out. `carrier` moves them between real devices.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field

REORDER_SECONDS = 0.02
"""By how much a packet that is overtaken is late."""


@dataclass(frozen=True, slots=True)
class Link:
    """What one direction of an access line does. A packet from home to home passes two: one up, one down.

    Args:
        delay: seconds.
        jitter: seconds, uniform, either side of `delay`; packets stay in order.
        loss: share of the packets that is lost, 0 to 1.
        burst: mean seconds for which everything is lost, again and again; 0 means independent losses.
        reorder: share of the packets that is held back by `REORDER_SECONDS` more, so that others overtake them.
        rate: bits a second, 0 for no limit.
        queue: with a rate, a packet that would wait for longer than these seconds is dropped.
        up: False swallows everything, and nobody is told (no event of the operating system).
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 0.0
    reorder: float = 0.0
    rate: float = 0.0
    queue: float = 0.2
    up: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.loss <= 1 and 0 <= self.reorder <= 1):
            raise ValueError(f"loss and reorder are shares of 1: {self}")


@dataclass(slots=True)
class Counts:
    """What one direction has done since it was made."""

    packets: int = 0
    octets: int = 0
    lost: int = 0
    overflowed: int = 0


@dataclass(slots=True)
class Direction:
    """Decides which packets arrive, and when.

    Args:
        rng: source of the losses and the jitter; a seeded one repeats itself.
        link: may be replaced at any time; what is under way keeps its old time.
    """

    rng: random.Random
    link: Link = field(default_factory=Link)
    counts: Counts = field(default_factory=Counts)
    _waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    _serial: itertools.count[int] = field(default_factory=itertools.count)
    _busy_until: float = 0.0
    _last_due: float = 0.0
    _losing: bool = False
    _asked_at: float = -math.inf

    def accept(self, packet: bytes, now: float) -> None:
        """Take a packet in at `now`, or lose it."""
        link, start = self.link, max(now, self._busy_until)
        if not link.up or self._loses(now):
            self.counts.lost += 1
            return
        if link.rate and start - now > link.queue:
            self.counts.overflowed += 1
            return
        self._busy_until = start + (len(packet) * 8 / link.rate if link.rate else 0.0)
        delay = link.delay
        if link.jitter:
            delay = max(0.0, delay + link.jitter * self.rng.uniform(-1, 1))
        due = self._last_due = max(self._busy_until + delay, self._last_due)
        if link.reorder and self.rng.random() < link.reorder:
            due += REORDER_SECONDS
        heapq.heappush(self._waiting, (due, next(self._serial), packet))

    def due(self, now: float) -> list[bytes]:
        """The packets that have arrived by `now`, in the order in which they did; they are forgotten here."""
        arrived = []
        while self._waiting and self._waiting[0][0] <= now:
            packet = heapq.heappop(self._waiting)[2]
            arrived.append(packet)
            self.counts.packets += 1
            self.counts.octets += len(packet)
        return arrived

    def next_due(self) -> float | None:
        """When the next packet arrives; None while none is under way."""
        return self._waiting[0][0] if self._waiting else None

    def _loses(self, now: float) -> bool:
        """Gilbert's model: two states by turns, one loses everything; in time, so that a rare packet meets both."""
        loss, burst = self.link.loss, self.link.burst
        if loss in (0.0, 1.0) or not burst:
            return loss > 0.0 and self.rng.random() < loss
        memory = math.exp((self._asked_at - now) / (burst * (1 - loss)))
        self._asked_at = now
        self._losing = self.rng.random() < loss + (self._losing - loss) * memory
        return self._losing
