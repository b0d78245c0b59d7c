"""Simulated time: what is to happen, in the order of its times."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(order=True)
class Appointment:
    """Something that will happen, unless it is cancelled."""

    at: float
    number: int
    action: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Let it not happen."""
        self.action = None


class Clock:
    """A clock that jumps from one appointment to the next; equal times keep the order in which they were made.

    Args:
        now: seconds at which it begins.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._appointments: list[Appointment] = []
        self._count = 0

    def after(self, seconds: float, action: Callable[[], None]) -> Appointment:
        """Do `action` in so many seconds."""
        return self.at(self.now + seconds, action)

    def at(self, when: float, action: Callable[[], None]) -> Appointment:
        """Do `action` at `when`, or now when that is past."""
        self._count += 1
        appointment = Appointment(max(when, self.now), self._count, action)
        heapq.heappush(self._appointments, appointment)
        return appointment

    def run(self, until: float) -> None:
        """Do everything that is due up to `until`, and stand there."""
        while self._appointments and self._appointments[0].at <= until:
            appointment = heapq.heappop(self._appointments)
            self.now = appointment.at
            if appointment.action is not None:
                appointment.action()
        self.now = until
