"""What has arrived in a session: repeats are dropped, and acknowledgements gathered.

One acknowledgement says all that has arrived so far, and the server answers each with a message to everybody who is
concerned. So one of signals, of which many come close together, waits for others for a moment, as TCP delays its own
(RFC 9293 3.8.6.3): it saves node and server a message each way. What begins and ends a call is acknowledged at once:
little follows it that its acknowledgement could be shared with, and whoever hangs up waits for this one before leaving.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, assert_never

from entrenous_wire.limits import ACK_BYTES, ACK_MESSAGES, ACK_SECONDS
from entrenous_wire.messages import Deliver, Kind

MAX_REMEMBERED: Final = 4096
"""Ids of arrived messages that are remembered; more than a server queues for one device."""


class Inbox:
    """What has arrived: drops repeats, and knows what to acknowledge, and when."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._messages = 0
        self._bytes = 0
        self._ack_at: float | None = None
        self.last_seq = 0
        """The highest sequence number of this session."""

    @property
    def ack_at(self) -> float | None:
        """When what has arrived is to be acknowledged; None when that was done."""
        return self._ack_at

    def arrive(self, message: Deliver, now: float) -> bool:
        """Note an arrival, which is to be acknowledged; False when it is a repeat."""
        self.last_seq = max(self.last_seq, message.seq)
        self._messages += 1
        self._bytes += len(message.body)
        self.acknowledge_at(now + self._patience(message.kind))
        if message.id in self._remembered:
            self._remembered.move_to_end(message.id)
            return False
        self._remembered[message.id] = None
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return True

    def acknowledge_at(self, at: float) -> None:
        """Acknowledge (again) what has arrived, at `at` or with what is to be acknowledged before that."""
        self._ack_at = at if self._ack_at is None else min(self._ack_at, at)

    def take_ack(self, now: float) -> int | None:
        """The number up to which everything is to be acknowledged now, once; None when that is not to be done yet."""
        if self._ack_at is None or self._ack_at > now:
            return None
        self.rewind()
        return self.last_seq

    def rewind(self) -> None:
        """Acknowledge nothing on a new connection of the session: it begins with the highest number."""
        self._messages = self._bytes = 0
        self._ack_at = None

    def start_afresh(self) -> None:
        """The server counts from the start; ids stay remembered."""
        self.last_seq = 0

    def _patience(self, kind: Kind) -> float:
        match kind:
            case Kind.SIGNAL:
                return 0.0 if self._messages >= ACK_MESSAGES or self._bytes >= ACK_BYTES else ACK_SECONDS
            case Kind.RING | Kind.ACCEPT | Kind.END | Kind.MESSAGE:
                return 0.0
            case _:
                assert_never(kind)
