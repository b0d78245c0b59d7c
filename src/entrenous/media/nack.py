"""Which packets are missing, and when to ask for them again (RFC 4585 §6.2.1; pure, driven by `now`).

How long an overtaken packet is given before it counts as lost is learned from those that came by themselves after all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

REORDERING = 0.010
"""Seconds that an overtaken packet gets before it is asked for, where packets keep their order."""

MAX_REORDERING = 0.100
"""The same where they do not: waiting longer costs more than asking in vain."""

_REORDERING_MARGIN = 1.2
_REORDERING_MEMORY = 10.0
"""Seconds in which what was learned about reordering loses most of its weight."""

LEAST_HOLD = 0.200
"""Seconds that a missing packet is waited for on the fastest path."""

_TRIES = 4.0
"""Round trips that a packet is waited for: the request is made three times, and each may be lost on either way."""

MINIMUM_INTERVAL = 0.020
"""Seconds between two requests for the same packet, on the fastest path."""

LONG_ROUND_TRIP = 0.100
"""Seconds of a round trip from which on the first request is made twice, `MINIMUM_INTERVAL` apart: a lost request would
cost a round trip, and a sender answers only one of the two."""

UNKNOWN_ROUND_TRIP = 0.100
"""Seconds taken for the round trip while it is not measured."""

MAX_MISSING = 512
"""Missing packets beyond which asking is pointless: a key frame is smaller."""

MAX_REQUESTS = 10
"""Requests for one packet."""


@dataclass(slots=True)
class _Missing:
    since: float
    ask_at: float
    requests: int = 0


class NackTracker:
    """Follows the endless sequence numbers of one stream."""

    def __init__(self) -> None:
        self._missing: dict[int, _Missing] = {}
        self._highest: int | None = None
        self._reordering = REORDERING
        self._learned_at = 0.0

    def __len__(self) -> int:
        """Packets that are missing."""
        return len(self._missing)

    def arrived(self, extended: int, now: float, *, repaired: bool = False) -> None:
        """Note a packet, be it new, late or repaired; whatever lies between it and the highest one is missing.

        Args:
            extended: its endless sequence number.
            now: monotonic seconds.
            repaired: whether it was sent again.
        """
        if self._highest is None:
            self._highest = extended
            return
        if extended == self._highest + 1 and not self._missing:
            self._highest = extended
            return
        missing = self._missing.pop(extended, None)
        if missing is not None and not repaired:
            late = _REORDERING_MARGIN * (now - missing.since)
            self._reordering = min(MAX_REORDERING, max(self._tolerance(now), late))
            self._learned_at = now
        for sequence in range(max(self._highest + 1, extended - MAX_MISSING), extended):
            self._missing[sequence] = _Missing(since=now, ask_at=now + self._tolerance(now))
        self._highest = max(self._highest, extended)

    def _tolerance(self, now: float) -> float:
        """Seconds that an overtaken packet gets at this time."""
        weight = math.exp(-(now - self._learned_at) / _REORDERING_MEMORY)
        return REORDERING + (self._reordering - REORDERING) * weight

    def hold(self, now: float, round_trip: float | None, limit: float) -> float:
        """Seconds that a missing packet is worth waiting for: as many as it takes to ask for it a few times.

        Args:
            now: monotonic seconds.
            round_trip: seconds, None while unknown.
            limit: seconds beyond which the picture is not left standing.
        """
        trips = _TRIES * (UNKNOWN_ROUND_TRIP if round_trip is None else round_trip)
        return min(limit, max(LEAST_HOLD, self._tolerance(now) + trips))

    def due(self, now: float, round_trip: float | None) -> list[int]:
        """The packets to ask for now, in order; each comes again after a round trip until it is here.

        Args:
            now: monotonic seconds.
            round_trip: seconds, None while unknown.
        """
        interval = max(MINIMUM_INTERVAL, 1.5 * (UNKNOWN_ROUND_TRIP if round_trip is None else round_trip))
        due = []
        for sequence, missing in self._missing.items():
            if missing.ask_at <= now and missing.requests < MAX_REQUESTS:
                missing.requests += 1
                twice = missing.requests == 1 and (round_trip or 0.0) >= LONG_ROUND_TRIP
                missing.ask_at = now + (MINIMUM_INTERVAL if twice else interval)
                due.append(sequence)
        return sorted(due)

    def next_at(self, hold: float) -> float | None:
        """When something is to be done next: a request, or the end of `hold` seconds of waiting. None: nothing."""
        times = [min(each.ask_at, each.since + hold) for each in self._missing.values() if each.requests < MAX_REQUESTS]
        times += [each.since + hold for each in self._missing.values() if each.requests >= MAX_REQUESTS]
        return min(times, default=None)

    def given_up(self, now: float, hold: float) -> int | None:
        """The highest packet that has been missing for `hold` seconds, or because too many are; None: none."""
        overdue = [sequence for sequence, missing in self._missing.items() if now - missing.since >= hold]
        if len(self._missing) >= MAX_MISSING:
            overdue += self._missing
        return max(overdue, default=None)

    def forget_before(self, extended: int) -> None:
        """Stop missing everything below `extended`: it is played or given up."""
        for sequence in [sequence for sequence in self._missing if sequence < extended]:
            del self._missing[sequence]
