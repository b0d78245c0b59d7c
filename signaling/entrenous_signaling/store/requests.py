"""What the hub may ask the store to read or write, and what it gets back.

Plain data without any database in it: the hub stays pure, and a test answers requests from memory. A request that
cannot be carried out now (database locked, disk full) has no result; `Hub.store_failed` is told instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class StoredDevice:
    """A device of an account.

    Args:
        device: the device id.
        certificate: the certificate as it travelled.
        prekeys: the published prekeys as they travelled, newest last.
    """

    device: str
    certificate: bytes
    prekeys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """An account: its registered identity key and its devices."""

    identity_key: bytes
    devices: tuple[StoredDevice, ...]


@dataclass(frozen=True, slots=True)
class ReadAccount:
    """Look an account up; the result is an `Account` or None."""

    username: str


@dataclass(frozen=True, slots=True)
class RegisterAccount:
    """Create an account with its first device, or add a device to an account of the same identity key.

    Args:
        username, identity_key, device, certificate, prekeys: what was claimed and verified.
        not_after: Unix seconds at which the certificate expires.
        may_create: False when the operator takes no new accounts.
        invite: the hash of the invite code that a new account uses up, or None when none is asked for.
        now: Unix seconds; expired devices of the account make room.

    The result is a `RegisterOutcome`.
    """

    username: str
    identity_key: bytes
    device: str
    certificate: bytes
    prekeys: tuple[bytes, ...]
    not_after: int
    may_create: bool
    invite: bytes | None
    now: int


class RegisterOutcome(Enum):
    """What became of a registration."""

    REGISTERED = "registered"
    NAME_TAKEN = "name-taken"
    CLOSED = "closed"
    BAD_INVITE = "bad-invite"
    TOO_MANY_DEVICES = "too-many-devices"


@dataclass(frozen=True, slots=True)
class StoreDevice:
    """Add a device to an account, or give a known device its newer certificate; see `RegisterAccount` for the fields.

    The result is a `DeviceOutcome`.
    """

    username: str
    device: str
    certificate: bytes
    not_after: int
    now: int


class DeviceOutcome(Enum):
    """What became of a device."""

    STORED = "stored"
    TOO_MANY_DEVICES = "too-many-devices"


@dataclass(frozen=True, slots=True)
class ReplacePrekeys:
    """Replace the prekeys of a device; the result is `Done`."""

    username: str
    device: str
    prekeys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """Open a call record; the result is `Done`. Repeating it changes nothing.

    Args:
        token: random, stands for the open record.
        start: Unix seconds.
    """

    token: bytes
    start: int


@dataclass(frozen=True, slots=True)
class TouchRecords:
    """Note that the open records were alive at `seen` (Unix seconds); the result is `Done`."""

    tokens: tuple[bytes, ...]
    seen: int


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """Delete the open record and append the closed one, in one transaction; the result is `Done`.

    Args:
        token: of the open record; when none was ever stored, the closed one is appended all the same.
        start: Unix seconds.
        duration: seconds.
    """

    token: bytes
    start: int
    duration: int


@dataclass(frozen=True, slots=True)
class DiscardRecord:
    """Delete an open record that turned out to be a second one of its call; the result is `Done`."""

    token: bytes


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open record as the database holds it when the server starts; times are Unix seconds."""

    token: bytes
    start: int
    seen: int


class Done(Enum):
    """A write is on disk."""

    DONE = "done"


class Failed(Enum):
    """A request could not be carried out now; nothing of it happened."""

    FAILED = "failed"


StoreRequest = (
    ReadAccount
    | RegisterAccount
    | StoreDevice
    | ReplacePrekeys
    | OpenRecord
    | TouchRecords
    | CloseRecord
    | DiscardRecord
)
StoreResult = Account | None | RegisterOutcome | DeviceOutcome | Done

Outcome = TypeVar("Outcome")


def expect(result: object, kind: type[Outcome]) -> Outcome:
    """The result of a request, which is of one kind.

    Raises:
        TypeError: it is of another: the store answered another request than it was asked.
    """
    if not isinstance(result, kind):
        raise TypeError(f"the store answered with {type(result).__name__} where {kind.__name__} was asked for")
    return result
