"""Fits sound to the path: what is known of the path goes in, plans come out (pure).

::

    feedback ─► PacketFates ─► LossMeter ─┐
    congestion control ─► rate ───────────┼─► AudioPlanner ─► use_plan
    reports ─► round trip ────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable

from .allocation import Demand
from .audio_plan import AudioPlan
from .audio_planner import AudioPlanner
from .feedback import TransportFeedback
from .loss_meter import LossMeter
from .packet_fates import PacketFates


class AudioAdaptation:
    """Tells the sender of sound how to send.

    Args:
        top: the highest bit rate of Opus to use.
        overhead: bytes of each packet beside its RTP payload: IP, UDP, SRTP and the RTP header.
        use_plan: takes each new plan; not called for the first one.
        use_demand: told what sound can use of the rate of the session whenever that changes: before the plan does, for
            a plan needs its rate first.
    """

    def __init__(
        self,
        top: int,
        overhead: int,
        use_plan: Callable[[AudioPlan], None],
        use_demand: Callable[[Demand], None],
    ) -> None:
        self.losses = LossMeter()
        self._fates = PacketFates()
        self._planner = AudioPlanner(top, overhead)
        self._use_plan = use_plan
        self._use_demand = use_demand
        self._demand_told = self._planner.demand
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

    def overhead_changed(self, overhead: int) -> None:
        """Each packet has so many bytes beside its RTP payload from now on."""
        self._planner.overhead_changed(overhead)
        self._tell_demand()

    def rate_changed(self, rate: float, now: float) -> None:
        """Congestion control leaves sound so many bits a second on the wire."""
        self._rate = rate
        self._update(now)

    def sent(self, transport_sequence: int) -> None:
        """Note the transport-wide sequence number, 16 bits, with which a packet of sound has left."""
        self._fates.sent(transport_sequence)

    def fed_back(self, feedback: TransportFeedback, now: float) -> None:
        """Take transport-wide feedback, of which what concerns sound counts."""
        self.losses.arrived(self._fates.tell(feedback), now)
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
        self._tell_demand()

    def _tell_demand(self) -> None:
        if self.demand != self._demand_told:
            self._demand_told = self.demand
            self._use_demand(self._demand_told)
