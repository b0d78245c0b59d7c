"""Legs between devices of the simulation: they come up, fail, stall and go, at each end in its own time."""

from __future__ import annotations

import random
from typing import Protocol

from entrenous.protocol.inputs import (
    Device,
    EndReceived,
    Flowed,
    Input,
    Leg,
    LegClosed,
    LegFailed,
    PathFound,
    Secured,
    Stalled,
)
from entrenous.protocol.states import Stage

from .clock import Clock
from .habits import Habits


class LegEnd(Protocol):
    """A device as far as legs go."""

    me: Device
    incarnation: int
    """How many processes it had before this one."""
    legs: set[tuple[bytes, Leg]]
    """That are open at it, with their calls."""

    def hear(self, fact: Input) -> None:
        """Something happened to its calls."""


class SimLegs:
    """All legs of a run.

    Args:
        clock: simulated time.
        draw: the randomness of the run.
        habits: say how often what happens to legs.
    """

    def __init__(self, clock: Clock, draw: random.Random, habits: Habits) -> None:
        self._clock = clock
        self._draw = draw
        self._habits = habits
        self._ends: dict[Device, LegEnd] = {}

    def join(self, end: LegEnd) -> None:
        """A device is there from now on."""
        self._ends[end.me] = end

    def establish(self, offerer: LegEnd, call: bytes, leg: Leg) -> None:
        """Both ends of a leg know each other: it comes up, or fails, at each end in its own time."""
        ends = ((offerer, leg), (self._ends[leg.device], Leg(offerer.me, leg.generation)))
        fails = self._draw.random() < self._habits.leg_fails
        for end, its_leg in ends:
            first, second = sorted(self._draw.uniform(0.05, 1.0) for _ in range(2))
            if fails:
                self._tell(first * 5, end, call, its_leg, LegFailed(call, its_leg, Stage.PATH))
            else:
                self._tell(first, end, call, its_leg, PathFound(call, its_leg))
                self._tell(second, end, call, its_leg, Secured(call, its_leg))

    def vanish(self, device: Device, call: bytes, leg: Leg) -> None:
        """One end of a leg is closed; the other end learns of it."""
        other, its_leg = self._ends[leg.device], Leg(device, leg.generation)

        def happen() -> None:
            if (call, its_leg) in other.legs:
                other.hear(LegClosed(call, its_leg))

        self._clock.after(self._draw.uniform(0.05, 5.0), happen)

    def carry_media(self, end: LegEnd, call: bytes, leg: Leg) -> None:
        """Media uses a leg: it may stall, and may flow again."""
        if self._draw.random() < self._habits.stalls:
            at = self._draw.uniform(1.0, 30.0)
            self._tell(at, end, call, leg, Stalled(call, leg))
            if self._draw.random() < self._habits.flows_again:
                self._tell(at + self._draw.uniform(0.5, 5.0), end, call, leg, Flowed(call, leg))

    def carry_end(self, end: LegEnd, call: bytes, to: Device, fact: EndReceived) -> None:
        """An end goes over a secured leg too, when there is one."""
        other = self._ends[to]
        connected = any(c == call and leg.device == to for c, leg in end.legs)
        if connected and self._draw.random() < 0.7:
            incarnation = other.incarnation
            self._clock.after(
                self._draw.uniform(0.02, 0.3), lambda: other.hear(fact) if other.incarnation == incarnation else None
            )

    def _tell(self, seconds: float, end: LegEnd, call: bytes, leg: Leg, fact: Input) -> None:
        def happen() -> None:
            other = self._ends[leg.device]
            both = (call, leg) in end.legs and (call, Leg(end.me, leg.generation)) in other.legs
            if both or (isinstance(fact, LegFailed) and (call, leg) in end.legs):
                end.hear(fact)

        self._clock.after(seconds, happen)
