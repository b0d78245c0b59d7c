"""Which devices of the calls that go on are here: their rows are kept alive for as long as one is.

::

    connected, resumed ──> in its calls
    started afresh ──> in none, until it claims them; what it has not claimed in time it has forgotten
    brought a call here ──> that is kept alive as soon as its end would have been said
    the last one left ──> that is noted on disk, and the grace begins
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from .call_rows import TOUCH_SECONDS, CallRows
from .mailbox import DeviceKey
from .open_calls import SURE_SECONDS, OpenCall, OpenCalls
from .timers import Timers

CLAIM_SECONDS: Final = 10.0
"""How long a device that logs in afresh may take to claim its calls: it does so before it says anything else, so a
device that has not done so by then has forgotten them."""


@dataclass(frozen=True, slots=True)
class _NotClaimed:
    call: bytes
    device: DeviceKey


@dataclass(frozen=True, slots=True)
class _Sure:
    call: bytes


@dataclass(frozen=True, slots=True)
class _Touch:
    pass


class CallPresence:
    """Notes who comes and goes.

    Args:
        calls: that go on.
        rows: kept alive.
        forgotten: told when a device has not claimed a call in time.
    """

    def __init__(self, calls: OpenCalls, rows: CallRows, forgotten: Callable[[OpenCall, DeviceKey], None]) -> None:
        self._calls = calls
        self._rows = rows
        self._forgotten = forgotten
        self._timers: Timers[_NotClaimed | _Sure | _Touch] = Timers()

    def enter(self, found: OpenCall, device: DeviceKey, now: float) -> None:
        """A device is here, and in the call."""
        found.enter(device, now)
        self.expect_no_claim(found, device)
        if found.is_in_doubt(now):
            self._timers.set(_Sure(found.call), now + SURE_SECONDS)

    def came(self, device: DeviceKey, now: float) -> None:
        """A device has resumed its session: it is in its calls as before."""
        for found in self._calls.of_device(device):
            if device in found.left_at and device not in found.restarted:
                self.enter(found, device, now)

    def started_afresh(self, device: DeviceKey, now: float) -> None:
        """A device has logged in without resuming: it is in none of its calls until it claims them."""
        self.left(device, now)
        for found in self._calls.of_device(device):
            found.restarted.add(device)
            found.left_at.setdefault(device, now)
            self._timers.set(_NotClaimed(found.call, device), now + CLAIM_SECONDS)

    def left(self, device: DeviceKey, now: float) -> None:
        """A device is not connected any more."""
        for found in self._calls.of_device(device):
            found.leave(device, now)
            self.note_absence(found, now)

    def note_absence(self, found: OpenCall, now: float) -> None:
        """When no device of a call is here any more, note on disk when the last was, and wait for them."""
        if found.is_left(now):
            token, seen = found.seen(now)
            if not found.is_in_doubt(now):
                self._rows.touch((token, seen))
            self._rows.expect_sweep(seen)

    def expect_no_claim(self, found: OpenCall, device: DeviceKey) -> None:
        """A device has claimed the call, or does not have to any more."""
        self._timers.cancel(_NotClaimed(found.call, device))

    def over(self, found: OpenCall) -> None:
        """The call goes on no more, as far as this node knows."""
        self._timers.cancel(_Sure(found.call))

    def begin(self, now: float) -> None:
        """There is a call now, where there was none: touch what goes on from time to time."""
        self._timers.set(_Touch(), now + TOUCH_SECONDS)

    def end(self) -> None:
        """There is none left."""
        self._timers.cancel(_Touch())

    def touch(self, now: float) -> None:
        """Note on disk that the calls that go on were alive now, and of the others when they were."""
        seen = [found.seen(now) for found in self._calls if not found.is_in_doubt(now)]
        if seen:
            self._rows.touch(*seen)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._timers.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for deadline in self._timers.due(now):
            match deadline:
                case _NotClaimed(call, device):
                    found = self._calls.find(call)
                    if found is not None:
                        self._forgotten(found, device)
                case _Sure(call):
                    found = self._calls.find(call)
                    if found is not None and not found.is_in_doubt(now):
                        self._rows.touch(found.seen(now))
                case _Touch():
                    self.touch(now)
                    self.begin(now)
                case _:
                    assert_never(deadline)
