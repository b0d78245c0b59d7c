"""What takes turns when more has come than is done in a moment, so that nobody who says little waits for who says much.

What a connection says above its share, and what it says before it is let in, waits in a line with all others of that
kind. Between two looks at the sockets the line has a slice of time: so long somebody else waits for all who stand in
it, however many they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from .limits import Rate

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle]

A_VISIT: Final = 2
"""Units of one connection, before the next one in the line is heard."""

SLICE_PART: Final = 0.2
LEAST_SECONDS: Final = 0.0002
MOST_SECONDS: Final = 0.005
"""How long a slice is: see `Slice`."""

ALONE_SECONDS: Final = 0.002
"""How long a slice of the line is at least when nobody else has said anything since the last one: after a restart all
nodes come back, and a turn of the loop for each of them would take longer than what they want."""

BYTES_A_UNIT: Final = 16 * 1024

_SAVED_SECONDS: Final = 0.1
MOST_SAVED: Final = 64.0
"""What a connection did not say, it may say later: its share of _SAVED_SECONDS, and never more than MOST_SAVED."""


def units(payload: bytes) -> int:
    """What a frame takes of the time of everybody: one unit, and one more for each BYTES_A_UNIT."""
    return 1 + len(payload) // BYTES_A_UNIT


class Share:
    """What a connection may say before it has to wait in the line: nothing, as long as it is a stranger's.

    Args:
        rate: what is its share, in units.
        now: seconds, of any origin.
    """

    __slots__ = ("_at", "_is_strange", "_most", "_per_second", "_saved")

    def __init__(self, rate: Rate, now: float) -> None:
        self._is_strange = True
        self._per_second = rate.per_second
        self._most = min(max(1.0, rate.per_second * _SAVED_SECONDS), MOST_SAVED)
        self._saved = self._most
        self._at = now

    def let_in(self) -> None:
        """It is that of a device from now on; a login takes longer than anything that a device says."""
        self._is_strange = False

    def left(self, now: float) -> int:
        """The units that it may say now."""
        if self._is_strange:
            return 0
        saved = self._saved + (now - self._at) * self._per_second
        self._saved = saved if saved < self._most else self._most
        self._at = now
        return int(self._saved)

    def spend(self, said: int) -> None:
        """So many units were said; what was above the share is owed, up to as much again."""
        saved = self._saved - said
        self._saved = saved if saved > -self._most else -self._most


class Slice:
    """So long something goes on in one turn of the loop.

    It is SLICE_PART of the time since the last turn, if that is more: a loop that has much to do goes round seldom.

    Args:
        clock: seconds, of any origin.
        least, most: seconds.
    """

    __slots__ = ("_began_to_wait", "_clock", "_least", "_most", "_until")

    def __init__(self, clock: Callable[[], float], least: float = LEAST_SECONDS, most: float = MOST_SECONDS) -> None:
        self._clock = clock
        self._least = least
        self._most = most
        self._began_to_wait = self._until = clock()

    def wait(self) -> None:
        """Others have their turn."""
        self._began_to_wait = self._clock()

    def begin(self, least: float = 0.0) -> None:
        """It goes on, for `least` seconds or longer."""
        now = self._clock()
        seconds = max(self._least, min(self._most, SLICE_PART * (now - self._began_to_wait)))
        self._until = now + max(least, seconds)

    def is_over(self, to_come: float = 0.0) -> bool:
        """Whether others have their turn.

        Args:
            to_come: seconds that were begun in this turn and will be spent in the next one.
        """
        self._until -= to_come
        return self._clock() >= self._until


class Waits(Protocol):
    """What can wait in a line."""

    def hear_some(self) -> float:
        """Hear a little of what has come; the seconds that will be spent on it in the next turn."""

    @property
    def waits(self) -> bool:
        """Whether there is more."""


class Line:
    """Connections that wait until they are heard: a little of the first one, then it stands behind all others.

    Args:
        call_later: calls something after so many seconds.
        clock: seconds, of any origin.
    """

    def __init__(self, call_later: CallLater, clock: Callable[[], float]) -> None:
        self._call_later = call_later
        self._slice = Slice(clock)
        self._waiting: deque[Waits] = deque()
        self._is_due = False
        self.others_were_heard = False
        """Whether somebody was heard who does not have to wait in it, since the last slice."""

    def join(self, who: Waits) -> None:
        """Let somebody wait who is not in the line."""
        self._waiting.append(who)
        self._wait()

    def _wait(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            self._slice.wait()
            self._call_later(0.0, self._hear)

    def _hear(self) -> None:
        self._is_due = False
        self._slice.begin(0.0 if self.others_were_heard else ALONE_SECONDS)
        self.others_were_heard = False
        while self._waiting:
            who = self._waiting.popleft()
            to_come = who.hear_some()
            if who.waits:
                self._waiting.append(who)
            if self._slice.is_over(to_come):
                break
        self._wait()
