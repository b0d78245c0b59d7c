"""The calls that go on with a device of this node: which devices they are of, and which of those are here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from entrenous_wire.limits import MAX_DEVICES

from .call_rows import Seen, Waiter
from .mailbox import DeviceKey
from .store.requests import CloseRecord, TouchRecords

SURE_SECONDS: Final = 3.0
"""How soon an end comes that was waiting to be said, behind the claim that has to come before it: when nobody of the
call was here, it was over by then, and not only now."""

Pair = frozenset[DeviceKey]
"""The device that accepted and the device that called."""


class Row(Enum):
    """What is known of the row of a record."""

    UNSTORED = "unstored"
    """An accept was said here, or at another node, and it is not known to be on disk."""
    CLAIMED = "claimed"
    """A device says that it is there, and the database is asked."""
    STORED = "stored"
    """It is there."""


@dataclass(slots=True)
class OpenCall:
    """A call that goes on.

    Args:
        call: its id.
        token: stands for its record.
        start: when this node heard of it, in Unix seconds.
        account: on which it counts.
        row: of the record.
        caller: the device that called.
    """

    call: bytes
    token: bytes
    start: int
    account: str
    row: Row
    caller: DeviceKey
    pairs: set[Pair] = field(default_factory=set)
    present: set[DeviceKey] = field(default_factory=set)
    left_at: dict[DeviceKey, float] = field(default_factory=dict)
    """When devices that are not present were last here."""
    restarted: set[DeviceKey] = field(default_factory=set)
    """Devices that have started afresh, and have not claimed the call since."""
    gone_since: float | None = None
    """When the last device left that was here; None while one is."""
    back_at: float | None = None
    """When a device came back to it after none was here: maybe only to say that it is over; None once it goes on."""
    back_from: float | None = None
    """When the last device had left before; None when this node does not know."""
    is_only_claimed: bool = False
    """Whether a device has brought it here, and nothing else has shown that it goes on."""
    waiters: list[Waiter] = field(default_factory=list)
    """Messages that are answered when the record is on disk."""

    def ends(self) -> set[DeviceKey]:
        """All devices of the call."""
        return {device for pair in self.pairs for device in pair}

    def seen(self, now: float) -> Seen:
        """When one of its devices was last here."""
        return self.token, int(now if self.gone_since is None else self.gone_since)

    def is_between(self, device: DeviceKey, peer: DeviceKey) -> bool:
        """Whether both are devices of accounts that are in the call, or nobody is yet."""
        accounts = {end.username for end in self.ends()}
        return not accounts or {device.username, peer.username} <= accounts

    def bring(self, now: float) -> None:
        """A device claims it, and this node does not know of it."""
        self.back_at, self.is_only_claimed = now, True

    def enter(self, device: DeviceKey, now: float) -> None:
        """A device is here, and in the call."""
        if self.gone_since is not None:
            self.is_only_claimed = self.is_in_doubt(now)
            self.back_at, self.back_from = now, self.gone_since
        elif self.present - {device}:
            self.back_at = self.back_from = None
            self.is_only_claimed = False
        elif self.back_at is not None:
            self.back_at = now
        self.present.add(device)
        self.restarted.discard(device)
        self.gone_since = None

    def leave(self, device: DeviceKey, now: float) -> None:
        """A device is not here any more."""
        if device in self.present:
            self.present.discard(device)
            self.left_at[device] = now

    def is_in_doubt(self, now: float) -> bool:
        """Whether a device has claimed a call that this node did not know of, and could not yet say that it is over.

        Nor had one that left again too soon. It is not kept alive then: if nobody was seen for the grace, it has ended
        when they were last seen.
        """
        seen = now if self.gone_since is None else self.gone_since
        return self.is_only_claimed and self.back_at is not None and seen < self.back_at + SURE_SECONDS

    def is_left(self, now: float) -> bool:
        """Whether the last device that was here has just left; notes when."""
        if self.present or self.gone_since is not None:
            return False
        self.gone_since = max((self.left_at[end] for end in self.ends() if end in self.left_at), default=now)
        return True

    def last_word(self, at: float, fresh_since: Callable[[float], int], *, closes: bool) -> CloseRecord | TouchRecords:
        """What is said of its row when it has ended: that, or only when it was last seen.

        Args:
            at: when it ended, in Unix seconds.
            fresh_since: what was last seen before (Unix seconds) nobody has kept alive for the grace, at a time.
            closes: whether this node closes the record.
        """
        is_sure = self.back_at is None or at >= self.back_at + SURE_SECONDS
        if not closes:  # 0 changes nothing: who came back only to say so was not in the call until then
            return TouchRecords(((self.token, int(at if is_sure else self.back_from or 0)),))
        if self.back_at is None or is_sure:
            return CloseRecord(self.token, int(at))
        return CloseRecord(self.token, int(self.back_from or at), fresh_since(self.back_at))


class OpenCalls:
    """All of them, by call id and by device."""

    def __init__(self) -> None:
        self._calls: dict[bytes, OpenCall] = {}
        self._of_device: dict[DeviceKey, set[bytes]] = {}
        self._of_account: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[OpenCall]:
        return iter(list(self._calls.values()))

    def find(self, call: bytes) -> OpenCall | None:
        """The call of that id, if it goes on here."""
        return self._calls.get(call)

    def is_present(self, call: bytes, device: DeviceKey) -> bool:
        """Whether a device is here, and in a call."""
        found = self.find(call)
        return found is not None and device in found.present

    def of_device(self, device: DeviceKey) -> Iterator[OpenCall]:
        """The calls that a device is in."""
        return (self._calls[call] for call in self._of_device.get(device, ()))

    def count(self, account: str) -> int:
        """How many count on an account."""
        return self._of_account[account]

    def add(self, found: OpenCall) -> None:
        """A call begins here; its pairs come with `join`."""
        self._calls[found.call] = found
        self._of_account[found.account] += 1

    def join(self, found: OpenCall, pair: Pair) -> bool:
        """Take a pair in; False when it is of others, or when there are as many as there may be."""
        if pair in found.pairs:
            return True
        if found.pairs and (pair.isdisjoint(found.ends()) or len(found.pairs) >= MAX_DEVICES):
            return False
        found.pairs.add(pair)
        for device in pair:
            self._of_device.setdefault(device, set()).add(found.call)
        return True

    def take_out(self, found: OpenCall, over: set[Pair]) -> set[DeviceKey]:
        """Pairs are over: the devices that are in the call no more. Without any pair left, it goes on no more."""
        before = found.ends()
        found.pairs -= over
        gone = before - found.ends()
        for device in gone:
            found.present.discard(device)
            found.restarted.discard(device)
            found.left_at.pop(device, None)
            calls = self._of_device[device]
            calls.discard(found.call)
            if not calls:
                del self._of_device[device]
        if not found.pairs and self._calls.get(found.call) is found:
            del self._calls[found.call]
            self._of_account[found.account] -= 1
            if not self._of_account[found.account]:
                del self._of_account[found.account]
        return gone
