"""Finding out whether the path carries more: short trains of packets at a higher rate (pure).

A probe is judged by how fast its packets arrive: as fast as they left, and the path carries that rate; more slowly,
and the rate of arrival is what it carries. It is so short that what it adds to a queue is soon gone again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .history import Arrival

FIRST_FACTOR = 3.0
NEXT_FACTOR = 2.0
"""Times the rate that a first probe tries, and one after a probe that went through."""

ENOUGH = 0.7
"""Share of its rate at which a probe counts as gone through: the next one tries more at once."""

RECOVERY_INTERVALS = (2.0, 3.0)
RECOVERY_SECONDS = 60.0
"""Seconds between probes, first and later, and for how long, after the rate has fallen far: it may soon be back."""

FAR = 0.66
"""Share of the rate of a moment before below which it has fallen far."""

IDLE_INTERVAL = 5.0
"""Seconds between probes while less is sent than the path is thought to carry: nothing else tells."""

PERIODIC_INTERVAL = 10.0
"""Seconds between probes while no limit of the path is known; once one is, the rate stays around it by itself."""

AFTER_OVERUSE = 1.0
"""Seconds without a queue building up before a probe."""

SECONDS = 0.015
LEAST_PACKETS = 5
"""How long a probe lasts, and how many packets it has at least."""

PATIENCE = 1.0
"""Seconds after which a probe whose packets were not reported is given up."""

TREMBLING = 0.016
"""Seconds of jitter beyond which a probe short enough for a narrow path says nothing."""

_HARMLESS_JITTER = 0.005
_REPORTED_SHARE = 0.8
_MAX_COMPRESSION = 2.0
"""Times the rate of sending beyond which arrivals were bunched on the way and say nothing."""
_KEPT_SHARE = 0.9
_SLOWED = 0.9
"""Share of the rate of sending below which a queue has formed; then some less than what arrived is what there is."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe to be sent.

    Args:
        number: tells it from others.
        rate: bits a second at which its packets leave.
        packets: that it has at least.
        size: bytes that it has at least.
    """

    number: int
    rate: float
    packets: int
    size: int


@dataclass(slots=True)
class _Train:
    probe: Probe
    began_at: float
    packets: int = 0
    octets: int = 0
    first_sent: float = math.inf
    last_sent: float = -math.inf
    last_sent_size: int = 0
    first_arrived: float = math.inf
    first_arrived_size: int = 0
    last_arrived: float = -math.inf

    def add(self, arrival: Arrival) -> None:
        self.packets += 1
        self.octets += arrival.size
        self.first_sent = min(self.first_sent, arrival.sent_at)
        if arrival.sent_at >= self.last_sent:
            self.last_sent, self.last_sent_size = arrival.sent_at, arrival.size
        if arrival.arrived_at < self.first_arrived:
            self.first_arrived, self.first_arrived_size = arrival.arrived_at, arrival.size
        self.last_arrived = max(self.last_arrived, arrival.arrived_at)

    @property
    def complete(self) -> bool:
        enough = _REPORTED_SHARE * self.probe.packets
        return self.packets >= enough and self.octets >= _REPORTED_SHARE * self.probe.size

    @property
    def slowed_to(self) -> float | None:
        """The rate at which it arrived, if that was clearly slower than it was sent."""
        match self._rates():
            case sent, arrived if arrived < _SLOWED * sent:
                return arrived
            case _:
                return None

    def rate(self, jitter: float) -> float | None:
        """What the path was seen to carry, None when the train says nothing."""
        # The first may have been held up and the last not: then the train looks shorter than it was.
        match self._rates(hidden=2.0 * _harm(jitter)):
            case sent, arrived if arrived <= _MAX_COMPRESSION * sent:
                return _KEPT_SHARE * arrived if arrived < _SLOWED * sent else min(sent, arrived)
            case _:
                return None

    def _rates(self, hidden: float = 0.0) -> tuple[float, float] | None:
        """Bits a second at which it was sent, and at which it arrived if that took `hidden` seconds more than seen."""
        sending = self.last_sent - self.first_sent
        arriving = self.last_arrived - self.first_arrived + hidden
        if sending <= 0.0 or arriving <= 0.0:
            return None
        sent, arrived = self.octets - self.last_sent_size, self.octets - self.first_arrived_size
        return sent * 8 / sending, arrived * 8 / arriving


def _harm(jitter: float) -> float:
    return max(0.0, jitter - _HARMLESS_JITTER)


class Prober:
    """Decides when to probe and at what rate, and reads the results.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self.sent = 0
        """Probes so far."""
        self.carried: float | None = None
        """Bits a second at which the last probe arrived, if that is all that the path carries or the next one is to
        find out; None: unknown, or all that could be used."""
        self._beyond = False
        """Whether more than the last probe could be used."""
        self._train: _Train | None = None
        self._next_at = now
        self._wanted: float | None = None
        """Factor of a probe to be sent as soon as one may be."""
        self._before_fall = 0.0
        self._fell_at = -math.inf
        self._recovery_interval = RECOVERY_INTERVALS[0]
        self._climbing = False
        self.start(now)

    def start(self, now: float) -> None:
        """Find out about a path of which nothing is known."""
        self._wanted = FIRST_FACTOR
        self._next_at = now
        self._train = None
        self._fell_at = -math.inf
        self._unknown = True
        self.carried = None

    def fell(self, before: float, after: float, now: float) -> None:
        """Note that the rate was taken down from `before`."""
        self._wanted = self.carried = None
        unknown, self._unknown = self._unknown, False
        self._train = None
        if self._climbing and not unknown:
            self._next_at = now + self._recovery_interval
            self._recovery_interval = min(RECOVERY_INTERVALS[1], 1.5 * self._recovery_interval)
            return
        if after < FAR * before or now - self._fell_at < AFTER_OVERUSE:
            recent = now - self._fell_at < RECOVERY_SECONDS
            self._before_fall = max(before, self._before_fall) if recent else before
            self._fell_at = now
            self._recovery_interval = RECOVERY_INTERVALS[0]
        self._next_at = max(self._next_at, now + AFTER_OVERUSE)

    def climbs(self, rate: float, jitter: float, now: float) -> bool:
        """Whether the rate is to rise fast until a queue shows: jitter hides what a probe could say.

        Args:
            rate: bits a second that the path is thought to carry.
            jitter: seconds by which the delays of packets differ.
            now: monotonic seconds.
        """
        far = self._unknown or self._recovers(rate, now)
        self._climbing = far and jitter > TREMBLING and now >= self._next_at
        return self._climbing

    def _recovers(self, rate: float, now: float) -> bool:
        """Whether the rate is far below what it was a moment ago."""
        return now - self._fell_at < RECOVERY_SECONDS and rate < FAR * self._before_fall

    def widened(self, now: float) -> None:
        """Note that more arrives than the path was thought to carry: there may be much more."""
        self._wanted = FIRST_FACTOR
        self._next_at = min(self._next_at, now)
        self.carried = None

    def rests(self, rate: float, most: float, now: float) -> bool:
        """Whether there is nothing to probe now, however the path is; the arguments are those of `due`."""
        if self._train is not None and now - self._train.began_at > PATIENCE:
            self._train = None
        return self._train is not None or rate >= most or now < self._next_at

    def due(
        self, rate: float, most: float, jitter: float, now: float, *, quiet: bool, limited: bool, bounded: bool
    ) -> Probe | None:
        """The probe to begin now, if any.

        Args:
            rate: bits a second that the path is thought to carry.
            most: bits a second that could be used at all.
            jitter: seconds by which the delays of packets differ; the probe is long against it.
            now: monotonic seconds.
            quiet: whether no queue is building up.
            limited: whether less than `rate` is sent for want of something to send.
            bounded: whether a limit of the path is known.
        """
        if not quiet or self.rests(rate, most, now):
            return None
        recovering = self._recovers(rate, now)
        if recovering and jitter > TREMBLING:
            return None
        if bounded and not recovering and not limited and self._wanted is None:
            return None
        factor = self._wanted
        if factor is None:
            factor = FIRST_FACTOR if recovering else NEXT_FACTOR
        self._wanted = None
        interval = self._recovery_interval if recovering else IDLE_INTERVAL if limited else PERIODIC_INTERVAL
        self._next_at = now + interval
        target = min(factor * rate, most)
        self._beyond = target < most
        probe = Probe(self.sent, target, LEAST_PACKETS, round(target * (SECONDS + 2.0 * _harm(jitter)) / 8))
        self.sent += 1
        self._train = _Train(probe, now)
        return probe

    def arrived(self, arrival: Arrival, jitter: float, now: float) -> float | None:
        """Note one packet of a probe.

        Args:
            arrival: of the packet.
            jitter: seconds by which the delays of packets differ.
            now: monotonic seconds.

        Returns:
            The rate in bits a second that the path was seen to carry, once the probe is complete.
        """
        train = self._train
        if train is None or arrival.probe != train.probe.number:
            return None
        train.add(arrival)
        if not train.complete:
            return None
        self._train = None
        rate = train.rate(jitter)
        self.carried = train.slowed_to or (rate if self._beyond else None)
        if rate is not None and rate >= ENOUGH * train.probe.rate:
            self._wanted = NEXT_FACTOR
            self._next_at = now
            self._recovery_interval = RECOVERY_INTERVALS[0]
        else:
            self._recovery_interval = min(RECOVERY_INTERVALS[1], 1.5 * self._recovery_interval)
        return rate
