"""Stored messages: what is asked of the store for a `message`, and how a device gets what is stored for it.

::

    send (kind message) ──> StoreMessage ──stored──> accepted, and the receiver's connection is rung
    login, resume, ring ──> ReadMessages ──> letter, letter … up to the window
    taken ──> DeleteMessages ──> ReadMessages ──> letter …  until nothing is left: no-letters, once a connection

Nothing is said before it is stored, and nothing is kept here but the ids of what a connection was told and has not
taken: a device that was killed, or a server that was, goes on with what the store holds.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass, field
from typing import Final, assert_never

from entrenous_wire.limits import LETTERS_IN_FLIGHT
from entrenous_wire.messages import ErrorCode, Kind, Letter, NoLetters, Send, Taken

from .auth import RETRY_SECONDS, Refused, local_user, refuse_failure
from .cluster.cluster import Cluster
from .counters import Counters
from .mailbox import DeviceKey
from .outputs import Outbox
from .settings import HubSettings
from .store.requests import (
    DeleteMessages,
    Failed,
    MessageOutcome,
    ReadMessages,
    StoredMessages,
    StoreMessage,
    StoreResult,
    expect,
)
from .timers import Timers

_DAY_SECONDS: Final = 86_400
_TAG_BYTES: Final = 16
_RUNG_PER_SECOND: Final = 1000.0


@dataclass(slots=True)
class _Letter:
    """A letter that was said and is not deleted yet."""

    size: int
    taken: bool = False


@dataclass(slots=True, eq=False)
class _Reader:
    """How far the connection of a device has come with what is stored for it.

    Args:
        connection: its number.
        last: the number of the last message that was said here.
        in_flight: what was said and is not deleted yet, by id.
        reading: the store was asked and has not answered.
        rung: there may be more than was read.
        full: the next letter does not fit the window before one is deleted.
        told: the device knows that nothing was left once.
    """

    connection: int
    last: int = 0
    in_flight: dict[bytes, _Letter] = field(default_factory=dict)
    reading: bool = False
    rung: bool = True
    full: bool = False
    told: bool = False


class Letters:
    """Stores messages, and brings them to their devices.

    Args:
        settings: what the hub has to know: its name, the key of the senders' tags, bounds and days.
        outbox: where letters and store requests go.
        counters: what is counted.
        cluster: the other nodes, if there may be any.
    """

    def __init__(
        self, settings: HubSettings, outbox: Outbox, counters: Counters, cluster: Cluster | None = None
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._outbox = outbox
        self._counters = counters
        self._readers: dict[DeviceKey, _Reader] = {}
        self._retries: Timers[DeviceKey] = Timers()

    # --- from a sender to the store ---

    def request(self, sender: DeviceKey, message: Send, now: float) -> StoreMessage:
        """What to ask of the store for a message.

        Args:
            sender: the device that says it.
            message: of kind `message`.
            now: Unix seconds.

        Raises:
            Refused: the receiver is of another server (`unknown-user`), or no address (`malformed`).
        """
        receiver = local_user(message.to, self._settings.name)
        pair = f"{sender.username}\0{receiver}".encode()
        return StoreMessage(
            username=receiver,
            device=message.device,
            id=message.id,
            sender_tag=hmac.digest(self._settings.message_key, pair, hashlib.sha256)[:_TAG_BYTES],
            body=message.body,
            expires=math.ceil(now / _DAY_SECONDS + self._settings.messages.days) * _DAY_SECONDS,
            bounds=self._settings.messages,
        )

    def stored(self, request: StoreMessage, result: StoreResult | Failed) -> None:
        """The store has answered: bring the message to its device if that is here."""
        if result is MessageOutcome.STORED:
            self._counters.routed[Kind.MESSAGE] += 1
        elif result is MessageOutcome.KNOWN:
            self._counters.repeated += 1
        else:
            return
        # Also of one that was there: when the database was lost, or this server was, nobody was rung the first time.
        key = DeviceKey(request.username, request.device)
        if self._cluster is not None and key not in self._readers:
            self._cluster.ring(key)
        self.ring(key)

    @staticmethod
    def check(result: StoreResult | Failed) -> None:
        """Whether its sender may forget a message.

        Raises:
            Refused: `unavailable`, `unknown-user` or `mailbox-full`.
        """
        refuse_failure(result)
        outcome = expect(result, MessageOutcome)
        match outcome:
            case MessageOutcome.STORED | MessageOutcome.KNOWN:
                return
            case MessageOutcome.NO_DEVICE:
                raise Refused(ErrorCode.UNKNOWN_USER, "No such device on this server.")
            case MessageOutcome.FULL:
                raise Refused(ErrorCode.MAILBOX_FULL, "As much is stored for that device as may be.")
            case MessageOutcome.SENDER_FULL:
                raise Refused(ErrorCode.MAILBOX_FULL, "As much of you is stored for that device as may be.")
            case _:
                assert_never(outcome)

    # --- from the store to a receiver ---

    def attach(self, key: DeviceKey, connection: int) -> None:
        """A device has logged in or resumed: everything that is stored for it is said on this connection."""
        reader = self._readers[key] = _Reader(connection)
        self._read(key, reader)

    def detach(self, key: DeviceKey) -> None:
        """The connection of a device is gone."""
        self._readers.pop(key, None)
        self._retries.cancel(key)

    def ring(self, key: DeviceKey) -> None:
        """Something was stored for a device; harmless when it is not here."""
        reader = self._readers.get(key)
        if reader is not None:
            reader.rung = True
            self._read(key, reader)

    def ring_all(self, now: float) -> None:
        """Something may have been stored for any device that is here; the store is asked of one after the other."""
        for count, (key, reader) in enumerate(self._readers.items()):
            reader.rung = True
            self._retries.set(key, now + count / _RUNG_PER_SECOND)

    def settles(self, key: DeviceKey, message: Taken) -> bool:
        """Whether the device was told any of what it says it has taken, and has not said so before."""
        reader = self._readers.get(key)
        if reader is None:
            return False
        told = (reader.in_flight.get(id_) for id_ in message.ids)
        return any(letter is not None and not letter.taken for letter in told)

    def taken(self, key: DeviceKey, message: Taken) -> None:
        """A device has letters in hand: they are deleted, be it that it was told them on an earlier connection."""
        reader = self._readers[key]
        for id_ in message.ids:
            letter = reader.in_flight.get(id_)
            if letter is not None and not letter.taken:
                letter.taken = True
                self._counters.delivered += 1
        self._delete(key, reader, tuple(message.ids))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._retries.next()

    def tick(self, now: float) -> None:
        """Ask the store again for what it could not do."""
        for key in self._retries.due(now):
            reader = self._readers[key]
            taken = tuple(id_ for id_, letter in reader.in_flight.items() if letter.taken)
            if taken:
                self._delete(key, reader, taken)
            self._read(key, reader)

    def _delete(self, key: DeviceKey, reader: _Reader, ids: tuple[bytes, ...]) -> None:
        def deleted(result: StoreResult | Failed, now: float) -> None:
            if self._readers.get(key) is not reader:
                return
            if isinstance(result, Failed):
                self._retries.set(key, now + RETRY_SECONDS)
                return
            for id_ in ids:
                reader.in_flight.pop(id_, None)
            reader.full = False
            self._read(key, reader)

        self._outbox.execute(DeleteMessages(key.username, key.device, ids), deleted)

    def _read(self, key: DeviceKey, reader: _Reader) -> None:
        """Read on when there may be more, and room for half a window of it."""
        if not reader.rung and not reader.reading and not reader.in_flight and not reader.told:
            reader.told = True
            self._outbox.transmit(reader.connection, NoLetters())
        room = LETTERS_IN_FLIGHT - len(reader.in_flight)
        if not reader.rung or reader.reading or reader.full or room < LETTERS_IN_FLIGHT // 2:
            return
        reader.reading, reader.rung = True, False

        def read(result: StoreResult | Failed, now: float) -> None:
            if self._readers.get(key) is not reader:
                return
            reader.reading = False
            if isinstance(result, Failed):
                reader.rung = True
                self._retries.set(key, now + RETRY_SECONDS)
                return
            found = expect(result, StoredMessages)
            self._say(reader, found)
            if len(found.messages) == room:
                reader.rung = True
            self._read(key, reader)

        self._outbox.execute(ReadMessages(key.username, key.device, reader.last, room), read)

    def _say(self, reader: _Reader, found: StoredMessages) -> None:
        """Say what was read as far as the window goes; the rest is read again."""
        waiting = sum(letter.size for letter in reader.in_flight.values())
        for message in found.messages:
            waiting += len(message.body)
            if reader.in_flight and waiting > self._settings.bounds.window_bytes:
                reader.rung = reader.full = True
                return
            reader.last = message.number
            reader.in_flight[message.id] = _Letter(len(message.body))
            self._outbox.transmit(reader.connection, Letter(id=message.id, body=message.body))
