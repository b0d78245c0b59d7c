"""The call record rule: one record a call, with its start and its duration, exactly once.

::

    accept ──> open ──last end of its pairs──> closing ──on disk──> closed
                │ both ends gone for the grace: closes at the time they were last seen
                │ an end starts afresh and does not claim the call: closes at the time that end was last seen
    start of the server: open rows wait unclaimed ──live──> open
                │ nobody claims: closes at last seen

A call's *pair* is the device that accepted and the device that called. When two devices of the callee accept at the
same moment, both pairs belong to the record, and the caller's `end` to the one that lost takes only that pair out;
an `end` to a device that never accepted touches nothing. What is here knows ids and names and lives in memory only;
what goes to disk is a random token, the start and the time last seen, and later start and duration.
"""

from __future__ import annotations

import hmac
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from entrenous_wire.limits import MAX_DEVICES, RECORD_TOKEN_BYTES
from entrenous_wire.messages import ErrorCode

from .auth import Refused
from .mailbox import DeviceKey
from .outputs import Outbox
from .store.requests import (
    CloseRecord,
    DiscardRecord,
    Failed,
    OpenRecord,
    OpenRow,
    StoreResult,
    TouchRecords,
)
from .timers import Timers

TOUCH_SECONDS: Final = 10.0
"""How often the time last seen of the open records is written, all of them at once."""

CLAIM_SECONDS: Final = 10.0
"""How long a device that logs in afresh may take to claim its calls: it does so before it says anything else, so a
device that has not done so by then has forgotten them."""

ENDED_REMEMBERED: Final = 10_000
"""Calls, and pairs of calls, that have ended and are remembered, so that an accept that comes late (it crossed the
end, or is said again) opens no record that nobody would close."""

_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 30.0

Pair = frozenset[DeviceKey]
Waiter = tuple[DeviceKey, bytes]
"""A sending device and the id of its message that is answered when the record is on disk."""
Tell = Callable[[Waiter, bool], None]
"""Told for each waiter whether the record is on disk."""


@dataclass(slots=True)
class _Open:
    token: bytes
    start: int
    account: str
    pairs: set[Pair]
    present: set[DeviceKey] = field(default_factory=set)
    left_at: dict[DeviceKey, float] = field(default_factory=dict)
    restarted: set[DeviceKey] = field(default_factory=set)
    gone_since: float | None = None
    stored: bool = False
    waiters: list[Waiter] = field(default_factory=list)

    def ends(self) -> set[DeviceKey]:
        return {device for pair in self.pairs for device in pair}


@dataclass(slots=True)
class _Closing:
    request: CloseRecord
    opened: bool
    retry_seconds: float = _FIRST_RETRY_SECONDS
    failed: bool = False
    waiters: list[Waiter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _CallGone:
    call: bytes


@dataclass(frozen=True, slots=True)
class _NotClaimed:
    call: bytes
    device: DeviceKey


@dataclass(frozen=True, slots=True)
class _RetryClosing:
    token: bytes


@dataclass(frozen=True, slots=True)
class _Unclaimed:
    pass


@dataclass(frozen=True, slots=True)
class _Touch:
    pass


_Deadline = _CallGone | _NotClaimed | _RetryClosing | _Unclaimed | _Touch


class CallRecords:
    """Opens, keeps and closes the records of calls.

    Args:
        outbox: where store requests go.
        tell: told about each message that waited for a record, and whether the record is on disk.
        draw: returns so many random bytes, for tokens.
        grace_seconds: how long a call waits for its ends.
        per_account: records that the devices of one account may have opened and not closed.
        open_rows: what the database held open when the server started.
        now: Unix seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        tell: Tell,
        draw: Callable[[int], bytes],
        grace_seconds: float,
        per_account: int,
        open_rows: Iterable[OpenRow],
        now: float,
    ) -> None:
        self._outbox = outbox
        self._tell = tell
        self._draw = draw
        self._grace = grace_seconds
        self._per_account = per_account
        self._open: dict[bytes, _Open] = {}
        self._tokens: set[bytes] = set()  # of what is open
        self._opened_by: Counter[str] = Counter()  # username → records that are open
        self._of_device: dict[DeviceKey, set[bytes]] = {}
        self._unclaimed = {row.token: row for row in open_rows}
        self._closing: dict[bytes, _Closing] = {}
        self._ended: OrderedDict[tuple[bytes, Pair], None] = OrderedDict()
        self._closed: OrderedDict[bytes, bytes] = OrderedDict()  # call id → token
        self._timers: Timers[_Deadline] = Timers()
        if self._unclaimed:
            self._timers.set(_Unclaimed(), now + grace_seconds)

    @property
    def open_count(self) -> int:
        """Records that are open, claimed or not."""
        return len(self._open) + len(self._unclaimed)

    @property
    def failing(self) -> bool:
        """Whether a record could not be closed on disk at the last attempt."""
        return any(closing.failed for closing in self._closing.values())

    def accepted(
        self,
        call: bytes,
        sender: DeviceKey,
        receiver: DeviceKey,
        token: bytes | None = None,
        *,
        connected: bool,
        waiter: Waiter,
        now: float,
    ) -> bytes | None:
        """A device accepts: open the record, or join the open one.

        Args:
            call: the call id.
            sender: the device that accepts, which is connected.
            receiver: the device that called.
            token: what the sender drew to name the record, or None to have one drawn; when the database holds it open
                already, the accept was said before the server was started. A token of another record is not taken,
                and one is drawn.
            connected: whether the receiver is connected now.
            waiter: the message to answer when the record is on disk.
            now: Unix seconds.

        Returns:
            The token, with `tell` to follow for `waiter`; or None when the message has to do with no record (the
            call has ended, or belongs to others) and nothing follows.

        Raises:
            Refused: `too-many`, when the account of the sender has as many records open as it may have.
        """
        pair = frozenset((sender, receiver))
        if call in self._closed or (call, pair) in self._ended:
            return None
        found = self._open.get(call)
        if found is None:
            row = None if token is None else self._unclaimed.pop(token, None)
            if row is not None:
                found = _Open(row.token, row.start, sender.username, {pair}, stored=True)
            elif self._opened_by[sender.username] >= self._per_account:
                raise Refused(ErrorCode.TOO_MANY, "The account is in as many calls as it may be.")
            else:
                if token is None or token in self._tokens or token in self._closing:
                    token = self._draw(RECORD_TOKEN_BYTES)
                found = _Open(token, int(now), sender.username, {pair})
            self._add(call, found, now)
        elif pair.isdisjoint(found.ends()):
            return None
        elif pair not in found.pairs:
            if len(found.pairs) >= MAX_DEVICES:
                return None
            found.pairs.add(pair)
            self._index(call, pair)
        self._enter(call, sender)
        if connected:
            self._enter(call, receiver)
        self._wait_for_opening(found, waiter)
        return found.token

    def ended(self, call: bytes, sender: DeviceKey, receiver: DeviceKey, waiter: Waiter, now: float) -> bool:
        """An end travels from one device to another: close the record if it is the last of its pairs.

        Returns:
            True when the answer to `waiter` has to wait for the disk; `tell` follows then.
        """
        token = self._closed.get(call)
        if token is not None:
            return self._wait_for_closing(token, waiter)
        found = self._open.get(call)
        pair = frozenset((sender, receiver))
        self._ended[call, pair] = None
        if len(self._ended) > ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        if found is None or pair not in found.pairs:
            return False
        found.pairs.remove(pair)
        if found.pairs:
            for device in pair - found.ends():
                self._leave_pair(call, found, device)
            self._note_absence(call, found, now)
            return False
        self._close(call, found, pair, now)
        return self._wait_for_closing(found.token, waiter)

    def retry(self, call: bytes, waiter: Waiter) -> bool:
        """A message whose record could not be stored is said again.

        Returns:
            True when the answer has to wait for the disk; `tell` follows then.
        """
        found = self._open.get(call)
        if found is not None:
            self._wait_for_opening(found, waiter)
            return True
        token = self._closed.get(call)
        return token is not None and self._wait_for_closing(token, waiter)

    def came(self, device: DeviceKey) -> None:
        """A device has resumed its session: it is in its calls as before."""
        for call in self._of_device.get(device, ()):
            if device not in self._open[call].restarted:
                self._enter(call, device)

    def heard_of(self, call: bytes, device: DeviceKey) -> None:
        """A device has acknowledged an accept: it is in that call, whether it could claim it at its login or not."""
        found = self._open.get(call)
        if found is not None and device in found.ends():
            self._enter(call, device)

    def started_afresh(self, device: DeviceKey, now: float) -> None:
        """A device has logged in without resuming: it is in none of its calls until it claims them."""
        self.left(device, now)
        for call in self._of_device.get(device, ()):
            found = self._open[call]
            found.restarted.add(device)
            found.left_at.setdefault(device, now)
            self._timers.set(_NotClaimed(call, device), now + CLAIM_SECONDS)

    def left(self, device: DeviceKey, now: float) -> None:
        """A device is not connected any more."""
        for call in self._of_device.get(device, ()):
            found = self._open[call]
            if device in found.present:
                found.present.discard(device)
                found.left_at[device] = now
            self._note_absence(call, found, now)

    def claimed(self, device: DeviceKey, call: bytes, token: bytes, peer: DeviceKey, now: float) -> bool:
        """A device that has started afresh goes on with a call.

        Returns:
            False when there is no such open record: the claim changes nothing.
        """
        found = self._open.get(call)
        if found is not None and device not in found.ends():
            return False
        row = self._unclaimed.pop(token, None)
        if row is None:
            if found is None or not hmac.compare_digest(found.token, token):
                return False
        elif call in self._closed:
            self._discard(token)
            return False
        elif found is not None:  # an accept that was said again came before the claim and opened a second record
            self._discard(found.token)
            self._tokens.discard(found.token)
            self._tokens.add(row.token)
            found.token, found.start, found.stored = row.token, row.start, True
        else:
            pairs = {frozenset((device, peer))}
            self._add(call, _Open(row.token, row.start, device.username, pairs, stored=True), now)
        self._enter(call, device)
        return True

    def touch(self, now: float) -> None:
        """Note on disk that the calls that go on were alive now."""
        tokens = tuple(found.token for found in self._open.values() if found.present and found.stored)
        if tokens:
            self._outbox.execute(TouchRecords(tokens, int(now)), lambda result, at: None)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._timers.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for deadline in self._timers.due(now):
            match deadline:
                case _CallGone(call):
                    found = self._open[call]
                    self._close(call, found, found.ends(), found.gone_since if found.gone_since is not None else now)
                case _NotClaimed(call, device):
                    self._forgotten_by(call, device, now)
                case _RetryClosing(token):
                    self._store_closing(self._closing[token])
                case _Unclaimed():
                    for row in self._unclaimed.values():
                        self._start_closing(row.token, row.start, row.seen, opened=True)
                    self._unclaimed.clear()
                case _Touch():
                    self.touch(now)
                    self._timers.set(_Touch(), now + TOUCH_SECONDS)
                case _:
                    assert_never(deadline)

    def _forgotten_by(self, call: bytes, device: DeviceKey, now: float) -> None:
        """A device that started afresh has not claimed this call: its pairs are over since it was last seen."""
        found = self._open[call]
        over = {pair for pair in found.pairs if device in pair}
        ends = found.ends()
        found.pairs -= over
        if not found.pairs:
            self._close(call, found, ends, found.left_at[device])
            return
        for other in ends - found.ends():
            self._leave_pair(call, found, other)
        self._note_absence(call, found, now)

    def _note_absence(self, call: bytes, found: _Open, now: float) -> None:
        """Begin to wait for the ends of a call when none of them is there."""
        if not found.present and found.gone_since is None:
            found.gone_since = max((found.left_at[end] for end in found.ends() if end in found.left_at), default=now)
            self._timers.set(_CallGone(call), found.gone_since + self._grace)

    def _leave_pair(self, call: bytes, found: _Open, device: DeviceKey) -> None:
        found.present.discard(device)
        found.restarted.discard(device)
        found.left_at.pop(device, None)
        self._timers.cancel(_NotClaimed(call, device))
        self._unindex(call, device)

    def _add(self, call: bytes, found: _Open, now: float) -> None:
        if not self._open:
            self._timers.set(_Touch(), now + TOUCH_SECONDS)
        self._open[call] = found
        self._tokens.add(found.token)
        self._opened_by[found.account] += 1
        self._index(call, found.ends())

    def _index(self, call: bytes, devices: Iterable[DeviceKey]) -> None:
        for device in devices:
            self._of_device.setdefault(device, set()).add(call)

    def _unindex(self, call: bytes, device: DeviceKey) -> None:
        calls = self._of_device[device]
        calls.discard(call)
        if not calls:
            del self._of_device[device]

    def _enter(self, call: bytes, device: DeviceKey) -> None:
        found = self._open[call]
        found.present.add(device)
        found.restarted.discard(device)
        self._timers.cancel(_NotClaimed(call, device))
        found.gone_since = None
        self._timers.cancel(_CallGone(call))

    def _wait_for_opening(self, found: _Open, waiter: Waiter) -> None:
        found.waiters.append(waiter)
        if len(found.waiters) == 1:
            self._outbox.execute(OpenRecord(found.token, found.start), lambda result, now: self._opened(found, result))

    def _opened(self, found: _Open, result: StoreResult | Failed) -> None:
        found.stored = not isinstance(result, Failed)
        for waiter in _drain(found.waiters):
            self._tell(waiter, found.stored)

    def _discard(self, token: bytes) -> None:
        # Should it fail, the row is closed at its last seen after the next start: nothing that is said waits for it.
        self._outbox.execute(DiscardRecord(token), lambda result, now: None)

    def _close(self, call: bytes, found: _Open, ends: Iterable[DeviceKey], at: float) -> None:
        for device in set(ends):
            self._timers.cancel(_NotClaimed(call, device))
            self._unindex(call, device)
        del self._open[call]
        self._tokens.discard(found.token)
        self._opened_by[found.account] -= 1
        if not self._opened_by[found.account]:
            del self._opened_by[found.account]
        self._timers.cancel(_CallGone(call))
        if not self._open:
            self._timers.cancel(_Touch())
        self._closed[call] = found.token
        if len(self._closed) > ENDED_REMEMBERED:
            self._closed.popitem(last=False)
        self._start_closing(found.token, found.start, at, opened=found.stored)

    def _start_closing(self, token: bytes, start: int, at: float, *, opened: bool) -> None:
        closing = _Closing(CloseRecord(token, start, max(0, int(at) - start)), opened)
        self._closing[token] = closing
        self._store_closing(closing)

    def _store_closing(self, closing: _Closing) -> None:
        """Close a record on disk; one that is not open there yet is opened first, since only an open one is closed."""
        request = closing.request
        self._outbox.execute(
            request if closing.opened else OpenRecord(request.token, request.start),
            lambda result, now: self._closing_stored(closing, result, now),
        )

    def _closing_stored(self, closing: _Closing, result: StoreResult | Failed, now: float) -> None:
        token = closing.request.token
        stored = not isinstance(result, Failed)
        if stored and not closing.opened:
            closing.opened = True
            self._store_closing(closing)
            return
        if stored:
            del self._closing[token]
        else:
            closing.failed = True
            self._timers.set(_RetryClosing(token), now + closing.retry_seconds)
            closing.retry_seconds = min(2 * closing.retry_seconds, _LAST_RETRY_SECONDS)
        for waiter in _drain(closing.waiters):
            self._tell(waiter, stored)

    def _wait_for_closing(self, token: bytes, waiter: Waiter) -> bool:
        closing = self._closing.get(token)
        if closing is None:
            return False
        closing.waiters.append(waiter)
        return True


def _drain(waiters: list[Waiter]) -> Iterator[Waiter]:
    taken = list(waiters)
    waiters.clear()
    return iter(taken)
