"""Whether the clock of this node agrees with that of the database that it shares with other nodes.

Call records are kept alive with times. A node whose clock is far ahead of the others' would take their calls for
forgotten and sweep them up; one whose clock is far behind would have its own taken for that. So all compare themselves
with the one clock that they have in common, at the start and again and again, and say by that one when something was.

That clock may be set, and each node notices at its own time. So none follows it before all have had the time to look,
and until all have followed nobody sweeps anything up.
"""

from __future__ import annotations

from functools import partial
from typing import Final, assert_never

from .outputs import Outbox
from .store.requests import (
    ClaimRecord,
    CloseRecord,
    DatabaseClock,
    DiscardRecord,
    Failed,
    OpenRecord,
    ReadClock,
    StoreResult,
    SweepRecords,
    TouchRecords,
    expect,
)
from .timers import Timers

AGREED_SECONDS: Final = 30.0
"""By how much two clocks may differ."""

LOOK_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0

_SET_SECONDS: Final = 5.0
"""By how much a clock goes off between two looks when somebody has set it."""

TimedRequest = OpenRecord | ClaimRecord | TouchRecords | CloseRecord | DiscardRecord | SweepRecords
"""What says when something was."""


class ClockWatch:
    """Compares the clocks.

    Args:
        outbox: where store requests go.
        now: Unix seconds.
        shared: whether other nodes use the same database; a node that is alone agrees with itself.
    """

    def __init__(self, outbox: Outbox, now: float, *, shared: bool) -> None:
        self._outbox = outbox
        self._shared = shared
        self._followed = 0.0
        self._followed_at: float | None = None
        self._due: Timers[None] = Timers()
        if shared:
            self._due.set(None, now)
        self.has_looked = False
        """Whether they have been compared: never where the node is alone."""
        self.ahead = 0.0
        """By how many seconds this node was ahead of the database at the last look; negative when it was behind."""

    @property
    def agrees(self) -> bool:
        """Whether the clocks are known to agree."""
        return (self.has_looked or not self._shared) and not self.differs

    @property
    def differs(self) -> bool:
        """Whether they are known not to."""
        return abs(self.ahead) > AGREED_SECONDS

    def may_compare(self, now: float) -> bool:
        """Whether what all nodes have said of late was said by the same clock."""
        follows = abs(self.ahead - self._followed) <= _SET_SECONDS
        return self.agrees and follows and (self._followed_at is None or now >= self._followed_at + 2 * LOOK_SECONDS)

    def by_database(self, request: TimedRequest) -> TimedRequest:
        """A request in which the times are those of this node, with those of the database."""
        ahead = round(self._followed)
        if not ahead:
            return request
        match request:
            case OpenRecord(token, start):
                return OpenRecord(token, start - ahead)
            case ClaimRecord(token, seen, fresh_since):
                return ClaimRecord(token, seen - ahead, fresh_since - ahead)
            case TouchRecords(rows):
                return TouchRecords(tuple((token, seen - ahead) for token, seen in rows))
            case CloseRecord(token, at, fresh_since):
                return CloseRecord(token, at - ahead, fresh_since - ahead)
            case DiscardRecord(token, at):
                return DiscardRecord(token, at - ahead)
            case SweepRecords(seen_before, ended_before):
                return SweepRecords(seen_before - ahead, ended_before - ahead)
            case _:
                assert_never(request)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._due.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for _ in self._due.due(now):
            self._outbox.execute(ReadClock(), partial(self._read, now))

    def _read(self, asked_at: float, result: StoreResult | Failed, now: float) -> None:
        if isinstance(result, Failed):
            self._due.set(None, now + _RETRY_SECONDS)
            return
        there = expect(result, DatabaseClock).seconds
        # It was read at some moment between the question and the answer: nobody is blamed for how long that took.
        before, self.ahead = self.ahead, 0.0 if there is None else max(asked_at - there, min(now - there, 0.0))
        if not self.has_looked:
            self._followed = self.ahead
        elif abs(self.ahead - before) <= _SET_SECONDS:
            if abs(self.ahead - self._followed) > _SET_SECONDS:
                self._followed_at = now
            self._followed = self.ahead
        self.has_looked = True
        self._due.set(None, now + LOOK_SECONDS)
