"""The store of the server in memory: answers the requests of the pure hub without a database."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from entrenous_signaling.store.requests import (
    ENDED_STEP_SECONDS,
    WEEK_SECONDS,
    Account,
    AccountTotals,
    ClaimRecord,
    Closed,
    CloseRecord,
    CountAccounts,
    DatabaseClock,
    DeleteMessages,
    DeviceOutcome,
    DiscardRecord,
    Done,
    Expire,
    MarkActive,
    MessageOutcome,
    OpenRecord,
    OpenRow,
    PrekeysOutcome,
    ReadAccount,
    ReadClock,
    ReadMessages,
    RecordState,
    RegisterAccount,
    RegisterOutcome,
    RemoveAccount,
    Removed,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoredMessage,
    StoredMessages,
    StoreMessage,
    StoreRequest,
    StoreResult,
    SweepRecords,
    TouchRecords,
)
from entrenous_wire.certificate import CertificateError, DeviceCertificate
from entrenous_wire.limits import MAX_DEVICES


@dataclass
class MemoryStore:
    """Keeps what the database would keep.

    Args:
        identities: identity key by username.
        devices: devices by username and device id, with the time their certificate expires.
        invites: hashes of unused codes.
        open_rows: open records by token.
        records: (start, duration) of the closed ones, in the order in which they were closed.
        ended: when calls ended, to five minutes, by the hash of their token, as long as that is remembered.
        weeks: the week of the last login, by username.
        messages: those that wait, by username and device, and by their numbers.
        numbers: the numbers that messages get.
        clock: shows Unix seconds, if it has a clock of its own.
    """

    identities: dict[str, bytes] = field(default_factory=dict)
    devices: dict[str, dict[str, tuple[StoredDevice, int]]] = field(default_factory=dict)
    invites: set[bytes] = field(default_factory=set)
    open_rows: dict[bytes, OpenRow] = field(default_factory=dict)
    records: list[tuple[int, int]] = field(default_factory=list)
    ended: dict[bytes, int] = field(default_factory=dict)
    weeks: dict[str, int] = field(default_factory=dict)
    messages: dict[tuple[str, str], dict[int, StoreMessage]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    clock: Callable[[], float | None] = lambda: None

    def apply(self, request: StoreRequest) -> StoreResult:
        """Carry a request out; the result is what `Hub.stored` takes."""
        match request:
            case ReadAccount(username):
                if username not in self.identities:
                    return None
                devices = tuple(device for device, _ in self.devices[username].values())
                return Account(self.identities[username], devices)
            case RegisterAccount():
                return self._register(request)
            case StoreDevice():
                if self.identities.get(request.username) != request.identity_key:
                    return DeviceOutcome.NO_ACCOUNT
                known = self.devices[request.username].get(request.device)
                key = _device_key(request.certificate)
                same = known is not None and key is not None and _device_key(known[0].certificate) == key
                prekeys = known[0].prekeys if known is not None and same else ()
                return self._store(request.username, request, prekeys)
            case ReplacePrekeys(username, device, device_key, prekeys):
                stored, not_after = self.devices.get(username, {}).get(device, (None, 0))
                if stored is None or _device_key(stored.certificate) != device_key:
                    return PrekeysOutcome.OTHER_KEY
                self.devices[username][device] = (StoredDevice(device, stored.certificate, prekeys), not_after)
                return PrekeysOutcome.REPLACED
            case ReadClock():
                return DatabaseClock(self.clock())
            case MarkActive(username, week):
                if username in self.identities:
                    self.weeks[username] = max(week, self.weeks.get(username, week))
            case RemoveAccount(username):
                return self._remove(username)
            case CountAccounts():
                devices = sum(len(devices) for devices in self.devices.values())
                waiting = sum(len(messages) for messages in self.messages.values())
                return AccountTotals(len(self.identities), devices, waiting)
            case StoreMessage():
                return self._store_message(request)
            case ReadMessages(username, device, after, limit):
                later = [item for item in self.messages.get((username, device), {}).items() if item[0] > after]
                return StoredMessages(
                    tuple(StoredMessage(number, kept.id, kept.body) for number, kept in later[:limit])
                )
            case DeleteMessages(username, device, ids):
                kept = self.messages.get((username, device), {})
                for number in [number for number, message in kept.items() if message.id in ids]:
                    del kept[number]
            case Expire():
                self._expire(request)
            case OpenRecord(token, start):
                if _hash(token) in self.ended:
                    return RecordState.OVER
                self.open_rows.setdefault(token, OpenRow(token, start, start))
                return RecordState.OPEN
            case ClaimRecord(token, seen, fresh_since):
                row = self.open_rows.get(token)
                if row is not None and row.seen >= fresh_since:
                    self._touch(token, seen)
                return RecordState.OVER if row is None else RecordState.OPEN
            case TouchRecords(touched):
                for token, seen in touched:
                    self._touch(token, seen)
            case CloseRecord(token, at, fresh_since):
                row = self.open_rows.get(token)
                if row is None:
                    return Closed(())
                return Closed((self._close(token, row.seen if row.seen < fresh_since else at),))
            case DiscardRecord(token, at):
                self.open_rows.pop(token, None)
                self._remember(token, at)
            case SweepRecords(seen_before, ended_before):
                stale = [row for row in self.open_rows.values() if row.seen < seen_before]
                durations = tuple(self._close(row.token, row.seen) for row in stale)
                self.ended = {token: at for token, at in self.ended.items() if at >= ended_before}
                return Closed(durations)
            case _:
                assert_never(request)
        return Done.DONE

    def _touch(self, token: bytes, seen: int) -> None:
        row = self.open_rows.get(token)
        if row is not None:
            self.open_rows[token] = OpenRow(token, row.start, max(seen, row.seen))

    def _close(self, token: bytes, at: int) -> int:
        row = self.open_rows.pop(token)
        duration = max(0, at - row.start)
        self.records.append((row.start, duration))
        self._remember(token, at)
        return duration

    def _remember(self, token: bytes, at: int) -> None:
        self.ended[_hash(token)] = math.ceil(at / ENDED_STEP_SECONDS) * ENDED_STEP_SECONDS

    def _register(self, request: RegisterAccount) -> RegisterOutcome:
        identity = self.identities.get(request.username)
        if identity is None:
            if not request.may_create:
                return RegisterOutcome.CLOSED
            if request.invite is not None and request.invite not in self.invites:
                return RegisterOutcome.BAD_INVITE
            self.invites.discard(request.invite or b"")
            self.identities[request.username] = request.identity_key
            self.devices[request.username] = {}
            self.weeks[request.username] = request.now // WEEK_SECONDS
        elif identity != request.identity_key:
            return RegisterOutcome.NAME_TAKEN
        if self._store(request.username, request, request.prekeys) is DeviceOutcome.TOO_MANY_DEVICES:
            return RegisterOutcome.TOO_MANY_DEVICES
        return RegisterOutcome.REGISTERED

    def _store(
        self, username: str, request: RegisterAccount | StoreDevice, prekeys: tuple[bytes, ...]
    ) -> DeviceOutcome:
        devices = self.devices[username]
        expired = [device for device, (_, not_after) in devices.items() if not_after <= request.now]
        for device in [device for device in expired if device != request.device]:
            del devices[device]
            self.messages.pop((username, device), None)
        if request.device not in devices and len(devices) >= MAX_DEVICES:
            return DeviceOutcome.TOO_MANY_DEVICES
        devices[request.device] = (StoredDevice(request.device, request.certificate, prekeys), request.not_after)
        return DeviceOutcome.STORED

    def _remove(self, username: str) -> Removed | None:
        if self.identities.pop(username, None) is None:
            return None
        self.weeks.pop(username, None)
        devices = self.devices.pop(username)
        messages = sum(len(self.messages.pop((username, device), {})) for device in devices)
        return Removed(len(devices), sum(len(device.prekeys) for device, _ in devices.values()), messages)

    def _store_message(self, request: StoreMessage) -> MessageOutcome:
        if request.device not in self.devices.get(request.username, {}):
            return MessageOutcome.NO_DEVICE
        kept = self.messages.setdefault((request.username, request.device), {})
        if any(message.id == request.id for message in kept.values()):
            return MessageOutcome.KNOWN
        if sum(message.sender_tag == request.sender_tag for message in kept.values()) >= request.bounds.per_sender:
            return MessageOutcome.SENDER_FULL
        size = sum(len(message.body) for message in kept.values()) + len(request.body)
        if len(kept) >= request.bounds.per_receiver or size > request.bounds.bytes_per_receiver:
            return MessageOutcome.FULL
        kept[next(self.numbers)] = request
        return MessageOutcome.STORED

    def _expire(self, request: Expire) -> None:
        for kept in self.messages.values():
            for number in [number for number, message in kept.items() if message.expires <= request.now]:
                del kept[number]
        for username in [name for name, week in self.weeks.items() if week < request.inactive_before_week]:
            self._remove(username)
        self.records = [record for record in self.records if record[0] >= request.records_before]


def _device_key(certificate: bytes) -> bytes | None:
    try:
        return DeviceCertificate.parse(certificate).device_key
    except CertificateError:
        return None


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
