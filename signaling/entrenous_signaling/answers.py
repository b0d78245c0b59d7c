"""What a device is told of the messages that it has sent."""

from __future__ import annotations

from typing import Final, assert_never

from entrenous_wire.messages import Accepted, Delivered, Error, ErrorCode

from .auth import RETRY_SECONDS
from .counters import Counters
from .mailbox import Delivery, Durability, Mailbox, Sent
from .outputs import Outbox

_UNAVAILABLE: Final = "The server cannot store the call record now."
_OFFLINE: Final = "The device is not connected, or was not back in time."


class Answers:
    """Says of messages what can be said, on the connection of their sender; nothing when there is none.

    Args:
        outbox: where it goes.
        counters: what is counted.
    """

    def __init__(self, outbox: Outbox, counters: Counters) -> None:
        self._outbox = outbox
        self._counters = counters

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
                if sent.delivery is not Delivery.LOST:
                    self._outbox.transmit(sender.connection, Accepted(id=message_id, record=sent.record))
                self.tell_outcome(sender, message_id, sent)
            case _:
                assert_never(sent.durability)

    def tell_outcome(self, sender: Mailbox, message_id: bytes, sent: Sent) -> None:
        """Say what became of a message in the end, if that is known."""
        if sender.connection is None:
            return
        match sent.delivery:
            case Delivery.QUEUED:
                return
            case Delivery.DELIVERED:
                self._outbox.transmit(sender.connection, Delivered(id=message_id))
            case Delivery.LOST:
                self._error(sender.connection, message_id, ErrorCode.OFFLINE, _OFFLINE, None)
            case _:
                assert_never(sent.delivery)
        sent.told, sent.aged = True, False

    def _error(self, connection: int, message_id: bytes, code: ErrorCode, text: str, retry: float | None) -> None:
        self._counters.refused[code] += 1
        self._outbox.transmit(connection, Error(code=code, message=text, id=message_id, retry_after=retry))
