"""How much later than it was sent each group of packets arrived, compared with the group before (pure).

Packets that leave within 5 ms are one group, since a pacer sends in such bursts; so are those that arrive together
although they left apart, as a network releases them that has held them back (draft-ietf-rmcat-gcc-02 §5.2 and §5.3).
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP_SECONDS = 0.005
"""Seconds of sending that make one group, and of arriving that continue one."""

LONGEST_BURST = 0.100
"""Seconds that packets released together may stretch over."""

MAX_REORDERED = 3
"""Groups in a row that arrive before their predecessor, after which the count begins anew."""


@dataclass(slots=True)
class _Group:
    first_sent: float
    last_sent: float
    first_arrived: float
    last_arrived: float


@dataclass(slots=True)
class Step:
    """From one group to the next.

    Args:
        sent: seconds between their last packets, when they left.
        arrived: and when they arrived.
        at: the arrival of the later one, seconds of the receiver's clock.
    """

    sent: float
    arrived: float
    at: float


class ArrivalGroups:
    """Gathers arrivals, in the order of sending, into groups."""

    def __init__(self) -> None:
        self._previous: _Group | None = None
        self._current: _Group | None = None
        self._reordered = 0

    def add(self, sent_at: float, arrived_at: float) -> Step | None:
        """Note one arrival; the step between the two groups before, when it begins a new one."""
        current = self._current
        if current is None:
            self._current = _Group(sent_at, sent_at, arrived_at, arrived_at)
            return None
        if sent_at < current.first_sent:
            return None
        if self._belongs(current, sent_at, arrived_at):
            current.last_sent = max(current.last_sent, sent_at)
            current.last_arrived = max(current.last_arrived, arrived_at)
            return None
        step = self._step(current)
        self._current = _Group(sent_at, sent_at, arrived_at, arrived_at)
        return step

    def _step(self, current: _Group) -> Step | None:
        previous, self._previous = self._previous, current
        if previous is None:
            return None
        arrived = current.last_arrived - previous.last_arrived
        if arrived < 0.0:
            self._reordered += 1
            if self._reordered < MAX_REORDERED:
                self._previous = previous
            else:
                self._reordered = 0
            return None
        self._reordered = 0
        return Step(current.last_sent - previous.last_sent, arrived, current.last_arrived)

    @staticmethod
    def _belongs(group: _Group, sent_at: float, arrived_at: float) -> bool:
        if sent_at - group.first_sent <= GROUP_SECONDS:
            return True
        arrival_gap = arrived_at - group.last_arrived
        return (
            arrival_gap < sent_at - group.last_sent
            and -LONGEST_BURST < arrival_gap <= GROUP_SECONDS
            and arrived_at - group.first_arrived < LONGEST_BURST
        )
