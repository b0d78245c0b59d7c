"""The store of the server in memory: answers the requests of the pure hub without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from entrenous_signaling.store.requests import (
    Account,
    CloseRecord,
    DeviceOutcome,
    DiscardRecord,
    Done,
    OpenRecord,
    OpenRow,
    ReadAccount,
    RegisterAccount,
    RegisterOutcome,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoreRequest,
    StoreResult,
    TouchRecords,
)
from entrenous_wire.limits import MAX_DEVICES


@dataclass
class MemoryStore:
    """Keeps what the database would keep.

    Args:
        identities: identity key by username.
        devices: devices by username and device id, with the time their certificate expires.
        invites: hashes of unused codes.
        open_rows: open records by token; pass `open_rows.values()` to a hub that starts again.
        records: (start, duration) of the closed ones, in the order in which they were closed.
    """

    identities: dict[str, bytes] = field(default_factory=dict)
    devices: dict[str, dict[str, tuple[StoredDevice, int]]] = field(default_factory=dict)
    invites: set[bytes] = field(default_factory=set)
    open_rows: dict[bytes, OpenRow] = field(default_factory=dict)
    records: list[tuple[int, int]] = field(default_factory=list)

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
                known = self.devices[request.username].get(request.device)
                prekeys = known[0].prekeys if known else ()
                return self._store(request.username, request, prekeys)
            case ReplacePrekeys(username, device, prekeys):
                stored, not_after = self.devices[username][device]
                self.devices[username][device] = (StoredDevice(device, stored.certificate, prekeys), not_after)
            case OpenRecord(token, start):
                self.open_rows.setdefault(token, OpenRow(token, start, start))
            case TouchRecords(tokens, seen):
                for token in tokens:
                    if token in self.open_rows:
                        self.open_rows[token] = OpenRow(token, self.open_rows[token].start, seen)
            case CloseRecord(token, start, duration):
                self.open_rows.pop(token, None)
                self.records.append((start, duration))
            case DiscardRecord(token):
                self.open_rows.pop(token, None)
            case _:
                assert_never(request)
        return Done.DONE

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
        elif identity != request.identity_key:
            return RegisterOutcome.NAME_TAKEN
        if self._store(request.username, request, request.prekeys) is DeviceOutcome.TOO_MANY_DEVICES:
            return RegisterOutcome.TOO_MANY_DEVICES
        return RegisterOutcome.REGISTERED

    def _store(
        self, username: str, request: RegisterAccount | StoreDevice, prekeys: tuple[bytes, ...]
    ) -> DeviceOutcome:
        devices = self.devices[username]
        for device in [device for device, (_, not_after) in devices.items() if not_after <= request.now]:
            del devices[device]
        if request.device not in devices and len(devices) >= MAX_DEVICES:
            return DeviceOutcome.TOO_MANY_DEVICES
        devices[request.device] = (StoredDevice(request.device, request.certificate, prekeys), request.not_after)
        return DeviceOutcome.STORED
