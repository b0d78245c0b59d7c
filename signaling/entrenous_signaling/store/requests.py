"""What the hub may ask the store to read or write, and what it gets back.

Plain data without any database in it: the hub stays pure, and a test answers requests from memory. A request that
cannot be carried out now (database locked, disk full) has no result; `Hub.store_failed` is told instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from ..limits import MessageBounds

WEEK_SECONDS: Final = 7 * 24 * 3600
"""Of when an account was last there, the week is kept (Unix seconds divided by this) and nothing finer."""


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
    NO_ACCOUNT = "no-account"
    """It was removed since it was looked up."""


@dataclass(frozen=True, slots=True)
class ReplacePrekeys:
    """Replace the prekeys of a device; the result is `Done`."""

    username: str
    device: str
    prekeys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MarkActive:
    """Note in which week a device of an account logged in; the result is `Done`.

    Only a later week than the one noted is written, so that the database says a week and never a time.

    Args:
        username: the account; an unknown one is nothing to note.
        week: Unix seconds // `WEEK_SECONDS`.
    """

    username: str
    week: int


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """Delete an account with its devices, prekeys and stored messages; the result is `Removed`, or None if unknown.

    Its name is free afterwards.
    """

    username: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What went with an account."""

    devices: int
    prekeys: int
    messages: int


@dataclass(frozen=True, slots=True)
class CountAccounts:
    """Count what is kept; the result is `AccountTotals`."""


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """How many accounts there are, devices of theirs, and messages that wait for those."""

    accounts: int
    devices: int
    messages: int


@dataclass(frozen=True, slots=True)
class StoreMessage:
    """Keep a sealed message for a device until that has it in hand; the result is a `MessageOutcome`.

    Args:
        username, device: whom it is for.
        id: which a receiver tells repetitions by; it is unique for the receiving device.
        sender_tag: counts the messages of one sender for this receiver without naming the sender.
        body: sealed.
        expires: Unix seconds after which nobody needs it, in whole days, so that it does not say when it came.
        bounds: how much may wait for a device.
    """

    username: str
    device: str
    id: bytes
    sender_tag: bytes = field(repr=False)
    body: bytes = field(repr=False)
    expires: int
    bounds: MessageBounds


class MessageOutcome(Enum):
    """What became of a message.

    STORED: it is on disk. KNOWN: one with this id is there already, which is as good. NO_DEVICE: there is no such
    device. FULL: as much is stored for the device as may be. SENDER_FULL: as much of this sender.
    """

    STORED = "stored"
    KNOWN = "known"
    NO_DEVICE = "no-device"
    FULL = "full"
    SENDER_FULL = "sender-full"


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """Read what is stored for a device, the earliest first; the result is `StoredMessages`.

    Args:
        username, device: whose.
        after: only messages with a higher number: 0 for all, then the number of the last one that was read. Of one
            device, no message appears later under a lower number.
        limit: how many at most.
    """

    username: str
    device: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that waits; its number says nothing but its place in the order."""

    number: int
    id: bytes
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredMessages:
    """Messages of one device in the order of their numbers."""

    messages: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class DeleteMessages:
    """Delete messages that their device has in hand, unknown ids among them or not; the result is `Done`."""

    username: str
    device: str
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Expire:
    """Delete what nobody may keep any longer, and give its space on disk back; the result is `Done`.

    It is done in small steps, between which other requests have their turn; so one that failed may have deleted
    something already, and is asked again.

    Args:
        now: Unix seconds; messages that expired by then go.
        records_before: Unix seconds; records of calls that started before go.
        inactive_before_week: accounts that were last active in an earlier week go, with all that is theirs. One of
            which no week is known, from before weeks were kept, counts as active now.
    """

    now: int
    records_before: int
    inactive_before_week: int


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """Open a call record; the result is `Done`. Repeating it changes nothing.

    Args:
        token: random, stands for the open record.
        start: Unix seconds.
    """

    token: bytes = field(repr=False)
    start: int


@dataclass(frozen=True, slots=True)
class TouchRecords:
    """Note that the open records were alive at `seen` (Unix seconds); the result is `Done`."""

    tokens: tuple[bytes, ...] = field(repr=False)
    seen: int


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """Delete the open record and append the closed one, in one transaction; the result is `Done`.

    The closed one is appended by the transaction that has deleted the open one and by no other. So there is exactly
    one, whoever closes it and however often: repeated, or by two processes at the same moment, the rest find nothing
    to delete and are `Done` as well. It follows that a record has to be open on disk before anybody closes it, and
    that only the process which drew the token opens it, and never again after somebody was asked to close it.

    Args:
        token: of the open record.
        start: Unix seconds.
        duration: seconds.
    """

    token: bytes = field(repr=False)
    start: int
    duration: int


@dataclass(frozen=True, slots=True)
class DiscardRecord:
    """Delete an open record that turned out to be a second one of its call; the result is `Done`."""

    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open record as the database holds it when the server starts; times are Unix seconds."""

    token: bytes = field(repr=False)
    start: int
    seen: int


class Done(Enum):
    """A write is on disk."""

    DONE = "done"


class Failed(Enum):
    """A request could not be carried out now, and nothing of it happened.

    Only when the connection to the database broke while it was committing may it have happened all the same. Asking
    again is right in either case: every request comes to the same when it is repeated.
    """

    FAILED = "failed"


BatchRequest = (
    ReadAccount
    | RegisterAccount
    | StoreDevice
    | ReplacePrekeys
    | MarkActive
    | RemoveAccount
    | CountAccounts
    | StoreMessage
    | ReadMessages
    | DeleteMessages
    | OpenRecord
    | TouchRecords
    | CloseRecord
    | DiscardRecord
)
"""What is carried out in batches: everything but housekeeping."""
StoreRequest = BatchRequest | Expire
StoreResult = (
    Account | None | RegisterOutcome | DeviceOutcome | MessageOutcome | StoredMessages | Removed | AccountTotals | Done
)

Outcome = TypeVar("Outcome")


def expect(result: object, kind: type[Outcome]) -> Outcome:
    """The result of a request, which is of one kind.

    Raises:
        TypeError: it is of another: the store answered another request than it was asked.
    """
    if not isinstance(result, kind):
        raise TypeError(f"the store answered with {type(result).__name__} where {kind.__name__} was asked for")
    return result
