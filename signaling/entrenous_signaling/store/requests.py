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

ENDED_STEP_SECONDS: Final = 300
"""When a call ended is kept beside the hash of its token rounded up to so much: to the second it would tell which
record is that of which call."""


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
        now: Unix seconds; other devices of the account that have expired make room.

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

    A certificate of another device key makes the stored prekeys worthless: they are deleted.

    The result is a `DeviceOutcome`.
    """

    username: str
    identity_key: bytes
    device: str
    certificate: bytes
    not_after: int
    now: int


class DeviceOutcome(Enum):
    """What became of a device."""

    STORED = "stored"
    TOO_MANY_DEVICES = "too-many-devices"
    NO_ACCOUNT = "no-account"
    """It was removed since it was looked up, whether its name is registered anew or not."""


@dataclass(frozen=True, slots=True)
class ReplacePrekeys:
    """Replace the prekeys of a device; the result is a `PrekeysOutcome`.

    Args:
        username, device: whose.
        device_key: the Ed25519 key that has signed them, 32 bytes.
        prekeys: as they travelled, newest last.
    """

    username: str
    device: str
    device_key: bytes
    prekeys: tuple[bytes, ...]


class PrekeysOutcome(Enum):
    """What became of prekeys."""

    REPLACED = "replaced"
    OTHER_KEY = "other-key"
    """The device is gone, or has got a certificate of another key since they were checked: nothing was replaced."""


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
class ReadClock:
    """Look at the clock of the database; the result is a `DatabaseClock`."""


@dataclass(frozen=True, slots=True)
class DatabaseClock:
    """What its clock showed, in Unix seconds; None when it has none but that of this machine."""

    seconds: float | None


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
    """Open a call record; the result is a `RecordState`, and repeating it comes to the same.

    Args:
        token: stands for the record of one call, and is the same whoever opens it.
        start: Unix seconds; one that is open already keeps its own.
    """

    token: bytes = field(repr=False)
    start: int


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """Ask whether a record is open, and let it count as seen at `seen` or later; the result is a `RecordState`.

    Args:
        token: of the record.
        seen: Unix seconds.
        fresh_since: Unix seconds; of one that was last seen before, nothing is noted.
    """

    token: bytes = field(repr=False)
    seen: int
    fresh_since: int


class RecordState(Enum):
    """Whether a record is open on disk.

    OVER: its call has ended already, lately, or nobody has opened it.
    """

    OPEN = "open"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class TouchRecords:
    """Note when open records were alive; the result is `Done`.

    Args:
        seen: tokens and Unix seconds; an earlier time than the one noted changes nothing.
    """

    seen: tuple[tuple[bytes, int], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """Delete the open record and append the closed one, in one transaction; the result is `Closed`.

    The closed one is appended by the transaction that has deleted the open one and by no other. So there is exactly
    one, whoever closes it and however often: repeated, or by two processes at the same moment, the rest find nothing
    to delete and have closed nothing. It follows that a record has to be open on disk before anybody closes it. That
    the call is over is remembered until `SweepRecords` forgets it: nobody opens its record again until then.

    Args:
        token: of the open record.
        at: Unix seconds at which the call ended; before its start counts as its start.
        fresh_since: Unix seconds; one that was last seen before has ended when it was last seen.
    """

    token: bytes = field(repr=False)
    at: int
    fresh_since: int = 0


@dataclass(frozen=True, slots=True)
class SweepRecords:
    """Close the records that nobody keeps alive any more, each at the time it was last seen; the result is `Closed`.

    It is done in small steps, between which other requests have their turn; one that failed may have closed some, and
    is asked again. Several processes may do it at once.

    Args:
        seen_before: Unix seconds; open records that were last seen earlier are closed.
        ended_before: Unix seconds; that a call is over is forgotten when it ended earlier, to `ENDED_STEP_SECONDS`.
    """

    seen_before: int
    ended_before: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The durations in seconds of the records that were closed, by this request and no other."""

    durations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DiscardRecord:
    """Let there be no record of a call that was over before it began; the result is `Done`.

    Args:
        token: of its record, whether somebody has opened that yet or only will.
        at: Unix seconds.
    """

    token: bytes = field(repr=False)
    at: int


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open record as the database holds it; times are Unix seconds."""

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
    | ReadClock
    | StoreMessage
    | ReadMessages
    | DeleteMessages
    | OpenRecord
    | ClaimRecord
    | TouchRecords
    | CloseRecord
    | DiscardRecord
)
"""What is carried out in batches: everything but housekeeping."""
StoreRequest = BatchRequest | Expire | SweepRecords
StoreResult = (
    Account
    | None
    | RegisterOutcome
    | DeviceOutcome
    | PrekeysOutcome
    | MessageOutcome
    | StoredMessages
    | Removed
    | AccountTotals
    | DatabaseClock
    | RecordState
    | Closed
    | Done
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
