"""What a device is told of the messages that it has sent.

Where the receiver is connected, its acknowledgement mostly comes within some 20 ms, and `delivered` says more than
`accepted` would have. So `accepted` waits a moment there, and is said only of what is still on its way then: one
frame less for nearly all messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, assert_never

from entrenous_wire.limits import MAX_DELIVERED
from entrenous_wire.messages import Accepted, Delivered, Error, ErrorCode

from .auth import RETRY_SECONDS
from .counters import Counters
from .mailbox import DELIVERED, LOST, QUEUED, STORED, Delivery, DeviceKey, Durability, Mailbox, Queued, Sent
from .outputs import Outbox

ACCEPT_SECONDS: Final = 0.05
"""How long `accepted` waits at least for an acknowledgement that makes it needless; at most it waits twice as long.

Well above ACK_SECONDS, for which the receiver may gather it."""

_UNAVAILABLE: Final = "The server cannot store the call record now."
_OFFLINE: Final = "The device is not connected, or was not back in time."


class Answers:
    """Says of messages what can be said, on the connection of their sender; nothing when there is none.

    Args:
        outbox: where it goes.
        counters: what is counted.
        find: the mailbox of a sender, if it has one.
    """

    def __init__(self, outbox: Outbox, counters: Counters, find: Callable[[DeviceKey], Mailbox | None]) -> None:
        self._outbox = outbox
        self._counters = counters
        self._find = find
        self._waiting: list[tuple[DeviceKey, bytes, Sent]] = []  # since the tick before the next
        self._overdue: list[tuple[DeviceKey, bytes, Sent]] = []  # those that waited for a tick already
        self._tick_at: float | None = None

    def answer_soon(self, sender: DeviceKey, message_id: bytes, sent: Sent, now: float) -> None:
        """Say `accepted` of a message that is on its way to a connected device, unless there is more to say soon."""
        self._waiting.append((sender, message_id, sent))
        if self._tick_at is None:
            self._tick_at = now + ACCEPT_SECONDS

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._tick_at

    def tick(self, now: float) -> None:
        """Say `accepted` of what has waited for long enough and is still on its way."""
        if self._tick_at is None or now < self._tick_at:
            return
        overdue, self._overdue, self._waiting = self._overdue, self._waiting, []
        for key, message_id, sent in overdue:
            if sent.delivery is not QUEUED:  # nearly all
                continue
            sender = self._find(key)
            if sender is not None and sender.sent.get(message_id) is sent:
                self.answer(sender, message_id, sent)
        self._tick_at = now + ACCEPT_SECONDS if self._overdue else None

    def answer(self, sender: Mailbox, message_id: bytes, sent: Sent) -> None:
        """Say what can be said of a message now."""
        if sender.connection is None:
            return
        match sent.durability:
            case Durability.STORING:
                return
            case Durability.FAILED:
                self._error(sender.connection, message_id, ErrorCode.UNAVAILABLE, _UNAVAILABLE, RETRY_SECONDS)
            case Durability.STORED:
                self._accept(sender.connection, message_id, sent)
                self._tell_outcome(sender, message_id, sent)
            case _:
                assert_never(sent.durability)

    def _tell_outcome(self, sender: Mailbox, message_id: bytes, sent: Sent) -> None:
        """Say what became of a message in the end, if that is known."""
        if sender.connection is None:
            return
        match sent.delivery:
            case Delivery.QUEUED:
                return
            case Delivery.DELIVERED:
                self._outbox.transmit(sender.connection, Delivered(ids=[message_id]))
            case Delivery.LOST:
                self._error(sender.connection, message_id, ErrorCode.OFFLINE, _OFFLINE, None)
            case _:
                assert_never(sent.delivery)
        sent.told = True
        sent.aged = False

    def arrived(self, items: Iterable[Queued]) -> None:
        """Note that messages of devices of this node have arrived, and tell each of these once of all of its own."""
        ids: dict[DeviceKey, list[bytes]] = {}
        for item in items:
            ids.setdefault(item.sender, []).append(item.message.id)
        for key, arrived in ids.items():
            sender = self._find(key)
            if sender is not None:
                self._tell_arrived(sender, arrived)

    def lost(self, item: Queued) -> None:
        """Note that a message of a device of this node does not arrive, and tell it so, if it can be told."""
        sender = self._find(item.sender)
        sent = None if sender is None else sender.sent.get(item.message.id)
        if sender is None or sent is None:
            return
        sent.delivery = LOST
        sent.receiver = None
        if sent.durability is STORED:
            self._tell_outcome(sender, item.message.id, sent)

    def _tell_arrived(self, sender: Mailbox, message_ids: Iterable[bytes]) -> None:
        told = []
        for message_id in message_ids:
            sent = sender.sent.get(message_id)
            if sent is None:
                continue
            sent.delivery = DELIVERED
            sent.receiver = None
            if sender.connection is not None and sent.durability is STORED:
                sent.told = True
                sent.aged = False
                told.append(message_id)
        if sender.connection is not None:
            for start in range(0, len(told), MAX_DELIVERED):
                self._outbox.transmit(sender.connection, Delivered(ids=told[start : start + MAX_DELIVERED]))

    def _accept(self, connection: int, message_id: bytes, sent: Sent) -> None:
        """Say `accepted`, where it tells more than what became of the message in the end."""
        match sent.delivery:
            case Delivery.QUEUED:
                accepted = True
            case Delivery.DELIVERED:
                accepted = sent.record is not None  # the token of which is told nowhere else
            case Delivery.LOST:
                accepted = False
            case _:
                assert_never(sent.delivery)
        if accepted:
            self._outbox.transmit(connection, Accepted(id=message_id, record=sent.record))

    def _error(self, connection: int, message_id: bytes, code: ErrorCode, text: str, retry: float | None) -> None:
        self._counters.refused[code] += 1
        self._outbox.transmit(connection, Error(code=code, message=text, id=message_id, retry_after=retry))
