"""The rows of call records, as one node asks the database for them: opening, keeping alive, ending, sweeping up.

::

    open, claim ──> touch, again and again ──> end: said until it is on disk
    nobody touches it for the grace ──> any node sweeps it up: it ends when it was last seen
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, assert_never

from .clock_watch import ClockWatch, TimedRequest
from .mailbox import DeviceKey
from .outputs import Continuation, Outbox
from .store.requests import (
    ENDED_STEP_SECONDS,
    ClaimRecord,
    Closed,
    CloseRecord,
    DiscardRecord,
    Failed,
    OpenRecord,
    RecordState,
    StoreResult,
    SweepRecords,
    TouchRecords,
)
from .timers import Timers

TOUCH_SECONDS: Final = 10.0
"""How often the time last seen of the open records is written, all of them at once."""

_SPARED_SECONDS: Final = TOUCH_SECONDS
"""For how long at least nobody sweeps up what was claimed within the grace."""

ENDED_SECONDS: Final = 300
"""How long the database remembers that a call has ended: longer than devices go on saying an accept again."""

_FORGOTTEN_SECONDS: Final = ENDED_SECONDS + ENDED_STEP_SECONDS + 1
"""How long after the end of a call the database has nothing but its record."""

_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 30.0

Waiter = tuple[DeviceKey, bytes]
"""A sending device and the id of its message that is answered when the record is on disk."""


class Kept(Enum):
    """What became of the record that a message opens or closes."""

    STORED = "stored"
    """It is on disk."""
    FAILED = "failed"
    """It could not be stored: the message has to be said again."""
    OVER = "over"
    """There is none for this message: the call had ended before."""


Tell = Callable[[Waiter, Kept], None]
Seen = tuple[bytes, int]
"""A token, and when its call was last seen (Unix seconds)."""


@dataclass(slots=True)
class _End:
    """The last that is said of a record; one that is not on disk yet is opened first, since only an open one ends."""

    request: CloseRecord | TouchRecords
    opening: OpenRecord | None
    retry_seconds: float = _FIRST_RETRY_SECONDS
    failed: bool = False
    waiters: list[Waiter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Retry:
    token: bytes


@dataclass(frozen=True, slots=True)
class _Sweep:
    pass


class CallRows:
    """Asks for what is to become of rows.

    Args:
        outbox: where store requests go.
        tell: told about each message that waited for an end to be on disk.
        swept: told when everything that was last seen before a time (Unix seconds) has been swept up.
        grace_seconds: how long a row stays that nobody touches.
        now: Unix seconds.
        shared: whether other nodes keep rows in the same database.
        clock: whether this node's agrees with theirs.
    """

    def __init__(
        self,
        outbox: Outbox,
        tell: Tell,
        swept: Callable[[int], None],
        *,
        grace_seconds: float,
        now: float,
        shared: bool,
        clock: ClockWatch,
    ) -> None:
        self._outbox = outbox
        self._tell = tell
        self._swept = swept
        self._grace = max(grace_seconds, 3 * TOUCH_SECONDS)  # or what is alive would be swept up between two touches
        self._shared = shared
        self._clock = clock
        self._ends: dict[bytes, _End] = {}
        self._last_end = now
        self._works_since: float | None = now
        self._timers: Timers[_Retry | _Sweep] = Timers()
        self._sweep_at: float | None = None
        self._plan_sweep(now + (TOUCH_SECONDS if shared else self._grace + 1))

    @property
    def failing(self) -> bool:
        """Whether an end could not be written at the last attempt."""
        return any(end.failed for end in self._ends.values())

    def open(self, token: bytes, start: int, then: Continuation) -> None:
        """Open a record; the result is a `RecordState`."""
        self._ask(OpenRecord(token, start), then)

    def claim(self, token: bytes, now: float, then: Continuation) -> None:
        """Ask whether a record is open; the result is a `RecordState`.

        Who claims a call may do so only to say that it is over. So one within the grace is not noted as alive, but
        spared for as long as it takes to see whether it goes on, and to touch it then.
        """
        self._ask(ClaimRecord(token, self.fresh_since(now + _SPARED_SECONDS), self.fresh_since(now)), then)

    def fresh_since(self, now: float) -> int:
        """What was last seen before (Unix seconds) has nobody kept alive for the grace."""
        return int(now - self._grace)

    def touch(self, *seen: Seen) -> None:
        """Note when calls were last seen."""
        self._ask(TouchRecords(seen))

    def discard(self, token: bytes, now: float) -> None:
        """Let there be no record of a call."""
        self._ask(DiscardRecord(token, int(now)))

    def end(self, request: CloseRecord | TouchRecords, token: bytes, opening: OpenRecord | None, now: float) -> None:
        """Say the last of a record, until it is on disk.

        Args:
            request: closes it, or notes when it was last seen and leaves it to the others.
            token: of the record.
            opening: opens it before, when it is not known to be on disk.
            now: Unix seconds.
        """
        self._ends[token] = _End(request, opening)
        self._timers.cancel(_Retry(token))
        self._last_end = max(self._last_end, now)
        self._plan_sweep(now + _FORGOTTEN_SECONDS)
        self._say_end(token)

    def wait_for_end(self, token: bytes, waiter: Waiter | None) -> bool:
        """Have a message wait until an end is on disk; False when there is nothing to wait for."""
        end = self._ends.get(token)
        if end is None or waiter is None:
            return False
        end.waiters.append(waiter)
        return True

    def expect_sweep(self, seen: int) -> None:
        """Nobody here keeps a record alive that was last seen at `seen` (Unix seconds)."""
        self._plan_sweep(seen + 1 + self._grace)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._timers.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for deadline in self._timers.due(now):
            match deadline:
                case _Retry(token):
                    self._say_end(token)
                case _Sweep():
                    self._sweep(now)
                case _:
                    assert_never(deadline)

    def _ask(self, request: TimedRequest, then: Continuation | None = None) -> None:
        """Carry out a request, in the time of the database; note since when the store has worked without a break."""

        def answered(result: StoreResult | Failed, now: float) -> None:
            if isinstance(result, Failed):
                self._works_since = None
            elif self._works_since is None:
                self._works_since = now
            if then is not None:
                then(result, now)

        self._outbox.execute(self._clock.by_database(request), answered)

    def _say_end(self, token: bytes) -> None:
        end = self._ends[token]
        self._ask(end.opening or end.request, lambda result, now: self._end_answered(token, end, result, now))

    def _end_answered(self, token: bytes, end: _End, result: StoreResult | Failed, now: float) -> None:
        latest = self._ends.get(token) is end  # devices may have come here in between, and ended the call once more
        if latest and end.opening is not None and result is RecordState.OPEN:
            end.opening = None
            self._say_end(token)
            return
        failed = isinstance(result, Failed)
        if latest and failed:
            end.failed = True
            self._timers.set(_Retry(token), now + end.retry_seconds)
            end.retry_seconds = min(2 * end.retry_seconds, _LAST_RETRY_SECONDS)
        elif latest:
            del self._ends[token]
        waiters, end.waiters = end.waiters, []
        for waiter in waiters:
            self._tell(waiter, Kept.FAILED if failed else Kept.STORED)

    def _plan_sweep(self, at: float) -> None:
        if self._sweep_at is None or at < self._sweep_at:
            self._sweep_at = at
            self._timers.set(_Sweep(), at)

    def _sweep(self, now: float) -> None:
        """Sweep up what nobody has kept alive for the grace, wherever it was opened, and forget what is long over.

        Only when the store has worked for as long: before that, others could not keep theirs alive, or their devices
        had no time to come back and claim them. And only while the clock agrees with that of the others, whose times it
        compares. Until then nothing is old enough, and the answer tells if the store works.
        """
        self._sweep_at = None
        steady = (
            self._works_since is not None and now - self._works_since >= self._grace and self._clock.may_compare(now)
        )
        seen_before = self.fresh_since(now) if steady else 0

        def swept(result: StoreResult | Failed, now: float) -> None:
            if self._shared or self._works_since is None:
                self._plan_sweep(now + TOUCH_SECONDS)
            elif not steady:
                self._plan_sweep(self._works_since + self._grace + 1)
            if isinstance(result, Closed) and result.durations:
                self._last_end = now
            if now < self._last_end + _FORGOTTEN_SECONDS:
                self._plan_sweep(self._last_end + _FORGOTTEN_SECONDS)
            if steady and not isinstance(result, Failed):
                self._swept(seen_before)

        self._ask(SweepRecords(seen_before, int(now) - ENDED_SECONDS if steady else 0), swept)
