"""Chooses how sound is sent, from the rate that congestion control leaves it and from what the path loses (pure).

The best plan that fits the rate is that with the highest worth: its measured score at the present loss, less what its
delay costs. Plans change rarely: down at once when the rate demands it, to more protection within a second or two, and
up when a better plan has fitted without a break for some seconds, longer each time that it turned out to be too soon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .allocation import Demand
from .audio_plan import AudioPlan
from .audio_scores import MEASURED, Scores

LOOK_EVERY = 0.25
"""Seconds between two looks for a better plan."""

LEAST_GAIN = 0.06
"""How much more a plan must be worth to be changed to: what nobody hears is not worth a change."""

PROTECT_AFTER = 0.5
IMPROVE_AFTER = 5.0
LONGEST_WAIT = 60.0
"""Seconds for which a better plan must have been so: one against loss, any other at first, and after many relapses."""

STAY = 2.0
"""Seconds between two changes that the rate does not demand."""

HEADROOM = 1.1
"""Times what a plan takes that must be there before it is changed to from a cheaper one."""

_START_RATE, _START_LOSS = 75_000, 0.01
"""What the path is taken for until it is known."""

_BAND = 0.15
"""The worth of what lies above 8 kHz, which PESQ does not hear and FEC cuts off."""

_BIT_RATE = 0.002
_WIRE_RATE = 0.001
"""The worth of a kbit/s of sound beyond its score, and the cost of one on the wire, which a picture could use."""

_DELAY = 5.0
_LONG_DELAY = 10.0
_LONG_ROUND_TRIP = 0.15
"""The cost of a second of delay; and of one when the conversation is slow already: beyond 177 ms from mouth to ear
(ITU-T G.107), of which we take up to 100 ourselves, each millisecond counts more. Both are about twice what G.107 takes
off: above 4 a listener hears less of what PESQ still counts than of the wait."""


class _Path(NamedTuple):
    """What decides how much each plan is worth: the share lost, how many in a row, the cost of a second of delay."""

    loss: float
    burst: float
    delay_cost: float


@dataclass(frozen=True, slots=True)
class _Choice:
    """One plan with what is known of it: bits a second on the wire, seconds of delay that it adds."""

    plan: AudioPlan
    scores: Scores
    wire_rate: int
    delay: float

    @property
    def protection(self) -> int:
        return 2 * (self.plan.duplicate_distance > 0) + self.plan.fec

    def worth(self, path: _Path) -> float:
        return (
            self.scores.at(path.loss, path.burst)
            + (0.0 if self.plan.fec else _BAND)
            + _BIT_RATE * self.plan.bitrate / 1000
            - _WIRE_RATE * self.wire_rate / 1000
            - path.delay_cost * self.delay
        )


class AudioPlanner:
    """Plans the sound of one call.

    Args:
        top: the highest bit rate of Opus to use, as configured.
        overhead: bytes of each packet beside its RTP payload: IP, UDP, SRTP and the RTP header.
    """

    def __init__(self, top: int, overhead: int) -> None:
        self._top = top
        self._choices = sorted(_choices(top, overhead), key=lambda choice: choice.wire_rate)
        self._path = _Path(_START_LOSS, 1.0, _DELAY)
        self._ranked: list[_Choice] | None = None  # for this path, once it was asked for
        self._chosen = self._best(_START_RATE)
        self._wanted = self._best(float("inf"))
        self._changed_at = float("-inf")
        self._improved_at = float("-inf")
        self._look_at = float("-inf")
        self._better_since: float | None = None
        self._exposed_since: float | None = None
        self._wait = IMPROVE_AFTER

    @property
    def plan(self) -> AudioPlan:
        """The plan that stands."""
        return self._chosen.plan

    @property
    def demand(self) -> Demand:
        """What sound can use of the rate: from the cheapest plan to that which is best now if the rate is no matter."""
        return Demand(self._choices[0].wire_rate, max(self._wanted.wire_rate, self._chosen.wire_rate) * 11 // 10)

    def overhead_changed(self, overhead: int) -> None:
        """Reckon with so many bytes of each packet beside its RTP payload from now on; the plan stands."""
        self._choices = sorted(_choices(self._top, overhead), key=lambda choice: choice.wire_rate)
        by_plan = {choice.plan: choice for choice in self._choices}
        self._chosen, self._wanted = by_plan[self._chosen.plan], by_plan[self._wanted.plan]
        self._ranked = None

    def update(self, now: float, rate: float, loss: float, burst: float, round_trip: float | None) -> AudioPlan:
        """Take the state of the path.

        Args:
            now: monotonic seconds.
            rate: bits a second that sound may take on the wire, with all headers.
            loss: the share of packets of sound that are lost, 0..1.
            burst: how many are lost in a row on average, from 1.
            round_trip: seconds, None while unknown.

        Returns:
            The plan that stands from now on.
        """
        slow = round_trip is not None and round_trip > _LONG_ROUND_TRIP
        path = _Path(loss, burst, _LONG_DELAY if slow else _DELAY)
        if path != self._path:
            self._path, self._ranked = path, None
        if rate < self._chosen.wire_rate and self._chosen is not self._choices[0]:
            self._fall(now, rate)
        elif now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look(now, rate)
        return self._chosen.plan

    def _fall(self, now: float, rate: float) -> None:
        """Take what fits; if the last improvement was short-lived, the next one has to wait longer."""
        relapsed = now - self._improved_at < 2 * self._wait
        self._wait = min(LONGEST_WAIT, 2 * self._wait) if relapsed else max(IMPROVE_AFTER, self._wait / 2)
        self._change(now, self._best(rate / 1.05))

    def _look(self, now: float, rate: float) -> None:
        wanted = self._best(float("inf"))
        if wanted.worth(self._path) - self._wanted.worth(self._path) >= LEAST_GAIN:
            self._wanted = wanted
        best = self._best(rate / HEADROOM, also=self._chosen.wire_rate)
        if best.worth(self._path) - self._chosen.worth(self._path) < LEAST_GAIN:
            self._better_since = self._exposed_since = None
            return
        if self._better_since is None:
            self._better_since = now
        if best.protection <= self._chosen.protection:
            self._exposed_since = None
        elif self._exposed_since is None:
            self._exposed_since = now
        climbs = best.wire_rate > self._chosen.wire_rate
        # After a relapse protection that takes more of the rate has to wait as well: it is what did not fit.
        if self._exposed_since is not None and (not climbs or self._wait == IMPROVE_AFTER):
            due = self._exposed_since + PROTECT_AFTER
        else:
            due = self._better_since + self._wait
        if now >= max(due, self._changed_at + STAY):
            if climbs:
                self._improved_at = now
            self._change(now, best)

    def _change(self, now: float, choice: _Choice) -> None:
        self._chosen = choice
        self._changed_at = now
        self._better_since = self._exposed_since = None

    def _best(self, rate: float, *, also: int = 0) -> _Choice:
        """The plan of the highest worth that takes at most `rate`, or no more than `also`; else the cheapest."""
        if self._ranked is None:
            self._ranked = self._rank()
        most = max(rate, also)
        return next((choice for choice in self._ranked if choice.wire_rate <= most), self._choices[0])

    def _rank(self) -> list[_Choice]:
        """All plans by their worth, the best first, and the cheapest of those of one worth."""
        return sorted(self._choices, key=lambda choice: choice.worth(self._path), reverse=True)


def _choices(top: int, overhead: int) -> list[_Choice]:
    """Every plan up to the highest bit rate, which is a plan itself when it lies beyond what was measured."""
    measured = [(plan, plan) for plan in MEASURED if plan.bitrate <= top]
    if top > max(plan.bitrate for plan in MEASURED):
        highest = max(measured, key=lambda pair: pair[0].bitrate)[0].bitrate
        measured += [
            (AudioPlan(top, plan.fec), plan)
            for plan in MEASURED
            if plan.bitrate == highest and plan.duplicate_distance == 0
        ]
    if not measured:
        cheapest = MEASURED[0]
        measured = [(AudioPlan(top, frame_ms=cheapest.frame_ms), cheapest)]
    return [_Choice(plan, Scores(like), plan.wire_rate(overhead), _delay(plan)) for plan, like in measured]


def _delay(plan: AudioPlan) -> float:
    """Seconds by which a packet plays out later than one of 20 ms that nothing is waited for."""
    waited = plan.duplicate_distance * plan.frame_ms if plan.duplicate_distance else 20 * plan.fec
    return (plan.frame_ms - 20 + waited) / 1000
