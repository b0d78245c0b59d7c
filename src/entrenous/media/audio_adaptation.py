"""Fits sound to the path: what is known of the path goes in, plans come out (pure).

::

    feedback, reports ─► LossMeter ─┐
    congestion control ─► rate ─────┼─► AudioPlanner ─► use_plan
    reports ─► round trip ──────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .allocation import Demand
from .audio_plan import AudioPlan
from .audio_planner import AudioPlanner
from .loss_meter import LossMeter


class AudioAdaptation:
    """Tells the sender of sound how to send.

    Args:
        top: the highest bit rate of Opus to use.
        overhead: bytes of each packet beside its RTP payload: IP, UDP, SRTP and the RTP header.
        use_plan: takes each new plan; not called for the first one.
    """

    def __init__(self, top: int, overhead: int, use_plan: Callable[[AudioPlan], None]) -> None:
        self.losses = LossMeter()
        self._planner = AudioPlanner(top, overhead)
        self._use_plan = use_plan
        self._rate: float | None = None
        self._round_trip: float | None = None

    @property
    def plan(self) -> AudioPlan:
        """The plan that stands; to begin with, one that suits most paths."""
        return self._planner.plan

    @property
    def demand(self) -> Demand:
        """What sound can use now of the rate of the session."""
        return self._planner.demand

    def rate_changed(self, rate: float, now: float) -> None:
        """Congestion control leaves sound so many bits a second on the wire."""
        self._rate = rate
        self._update(now)

    def packets_fed_back(self, received: Iterable[bool], now: float) -> None:
        """Transport-wide feedback says of packets of sound, in the order of sending, whether each arrived."""
        self.losses.arrived(received, now)
        self._update(now)

    def loss_reported(self, fraction: float, packets: int, now: float) -> None:
        """A receiver report says what share of so many packets was lost; only where there is no other feedback."""
        self.losses.reported(fraction, packets, now)
        self._update(now)

    def round_trip_measured(self, round_trip: float) -> None:
        """Reports give the round trip in seconds."""
        self._round_trip = round_trip

    def _update(self, now: float) -> None:
        if self._rate is None:
            return
        before = self._planner.plan
        plan = self._planner.update(now, self._rate, self.losses.loss, self.losses.burst, self._round_trip)
        if plan != before:
            self._use_plan(plan)
