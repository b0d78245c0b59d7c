"""The rate that delay allows: up while no queue builds up, down to below what arrives when one does (pure).

Far from any known limit the rate grows by a share of itself, close to where it last had to come down by about one
packet for each response of the path (draft-ietf-rmcat-gcc-02 §5.5).
"""

from __future__ import annotations

import math
from typing import assert_never

from .trendline import Usage

BACKOFF = 0.85
"""Share of what arrives that is sent after the path was found overused."""

GROWTH = 1.08
"""Factor of a second, far from any known limit."""

CLIMB = 2.0
"""Factor of a second where the rate is far below one that the path carried or may carry."""

HEADROOM = 1.5
HEADROOM_BITS = 10_000.0
"""Times what arrives, and bits a second on top, to which the rate may grow: beyond it nothing has been tried."""

_PACKET_BITS = 1200 * 8
_RESPONSE_MARGIN = 0.1
_LEAST_SLOPE = 4_000.0
"""Bits a second that a rate close to its limit gains each second at least."""


class LinkCapacity:
    """What arrived each time that the path was overused: its mean and how far single ones are off.

    Deviations are kept in units of the square root of the mean, as draft and practice have it, so that they scale.
    """

    def __init__(self) -> None:
        self.estimate: float | None = None
        self._deviation = 0.4

    @property
    def _spread(self) -> float:
        return 3.0 * math.sqrt(self._deviation * (self.estimate or 0.0) / 1000.0) * 1000.0

    def exceeded(self, rate: float) -> bool:
        """Whether more arrives than the path was thought to carry."""
        return self.estimate is not None and rate > self.estimate + self._spread

    def overused_at(self, rate: float) -> None:
        """Note what arrived while the path was overused; a value far below makes a new beginning."""
        if self.estimate is None or rate < self.estimate - self._spread:
            self.estimate = rate
            return
        share = 0.05
        error = (self.estimate - rate) / 1000.0
        self.estimate += share * (rate - self.estimate)
        norm = max(self.estimate / 1000.0, 1.0)
        self._deviation = max(0.4, min(2.5, (1 - share) * self._deviation + share * error * error / norm))

    def forget(self) -> None:
        """Nothing is known any more."""
        self.estimate = None


class DelayBasedRate:
    """The rate, and when it last changed.

    Args:
        rate: bits a second to begin with.
        now: monotonic seconds.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.capacity = LinkCapacity()
        self.decreased_at = float("-inf")
        self._grown_at = now
        self._holding = False

    def update(
        self,
        usage: Usage,
        arriving: float | None,
        round_trip: float,
        now: float,
        *,
        limited: bool,
        climbing: bool = False,
    ) -> bool:
        """Follow one judgement of the path.

        Args:
            usage: of the path.
            arriving: bits a second that arrive, None while unknown.
            round_trip: seconds.
            now: monotonic seconds.
            limited: whether less than the rate is sent for want of something to send.
            climbing: whether the rate is to grow fast, though a limit is known.

        Returns:
            Whether the rate was taken down.
        """
        match usage:
            case Usage.OVERUSED:
                return self._decrease(arriving, round_trip, now)
            case Usage.UNDERUSED:
                self._holding = True  # the queue drains: what arrives now is more than the path carries
            case Usage.NORMAL:
                self._grow(arriving, round_trip, now, limited=limited, climbing=climbing)
            case _ as never:
                assert_never(never)
        return False

    def _decrease(self, arriving: float | None, round_trip: float, now: float) -> bool:
        measured = self.rate if arriving is None else arriving
        self._holding = True
        if now - self.decreased_at < round_trip + _RESPONSE_MARGIN and measured >= self.rate / 2:
            return False
        lower = BACKOFF * measured
        if lower >= self.rate and self.capacity.estimate is not None:
            lower = BACKOFF * self.capacity.estimate
        if arriving is not None:
            self.capacity.overused_at(arriving)
        self.decreased_at = now
        if lower >= self.rate:
            return False
        self.rate = lower
        return True

    def _grow(self, arriving: float | None, round_trip: float, now: float, *, limited: bool, climbing: bool) -> None:
        passed = min(1.0, now - self._grown_at)
        self._grown_at = now
        if self._holding:
            self._holding = False
            return
        if arriving is not None and self.capacity.exceeded(arriving):
            self.capacity.forget()
        ceiling = self.rate if arriving is None else HEADROOM * arriving + HEADROOM_BITS
        if climbing:
            grown = self.rate * CLIMB**passed
        elif self.capacity.estimate is not None and not limited:
            slope = max(_LEAST_SLOPE, _PACKET_BITS / (round_trip + _RESPONSE_MARGIN))
            grown = self.rate + slope * passed
        else:
            grown = self.rate * GROWTH**passed
        self.rate = max(self.rate, min(grown, ceiling))

    def raise_to(self, rate: float) -> None:
        """Take over a higher rate that a probe has shown to arrive."""
        if rate > self.rate:
            self.rate = rate
            if self.capacity.exceeded(rate):
                self.capacity.forget()
