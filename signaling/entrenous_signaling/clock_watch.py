"""Whether the clock of this node agrees with that of the database that it shares with other nodes.

Call records are kept alive with times. A node whose clock is far ahead of the others' would take their calls for
forgotten and sweep them up; one whose clock is far behind has its own taken for that. So all compare themselves with
the one clock that they have in common, at the start and again and again.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from .outputs import Outbox
from .store.requests import DatabaseClock, Failed, ReadClock, StoreResult, expect
from .timers import Timers

AGREED_SECONDS: Final = 30.0
"""By how much two clocks may differ."""

LOOK_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0


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
        self.ahead = 0.0 if there is None else max(asked_at - there, min(now - there, 0.0))
        self.has_looked = True
        self._due.set(None, now + LOOK_SECONDS)
