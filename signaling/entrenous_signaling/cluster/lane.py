"""The lane between two nodes: everything arrives, once and in order, whatever the bus loses, repeats or reorders.

::

    send ──> waiting ──window──> unacknowledged ──ack──> gone
                                    │   ^
                                    └───┘ said again when no acknowledgement has moved for RESEND_SECONDS

Envelopes travel in numbered packets, as many in one as wait at a time. Numbers begin at 1 with each lane, and a lane
ends when one of the two nodes gives the other up: what was in it then is void (see `peers`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Raw

from ..timers import earliest
from .envelopes import FILL_BYTES

WINDOW_PACKETS: Final = 256
WINDOW_BYTES: Final = 1024 * 1024
"""What is said and not acknowledged at a time; a packet may go beyond the bytes."""

ROOM_ENVELOPES: Final = 4096
ROOM_BYTES: Final = 8 * 1024 * 1024
"""What a lane holds before messages have to wait where they are; what nodes owe each other besides always enters."""

RESEND_SECONDS: Final = 0.2
ACK_SECONDS: Final = 0.02
"""How long an acknowledgement may wait for something to travel with."""

ACK_PACKETS: Final = 64
"""After so many packets it waits no longer."""


class Packet(NamedTuple):
    """What to say to the other node; number 0 is an acknowledgement and carries nothing."""

    number: int
    envelopes: Sequence[bytes]


class Lane:
    """Both directions between this node and another one.

    Args:
        epoch: tells this lane from older ones between the two; both nodes use the same.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.received = 0
        """Everything up to this number is in hand: what every packet acknowledges."""
        self._waiting: deque[bytes] = deque()
        self._unacknowledged: deque[Packet] = deque()
        self._unacknowledged_bytes = 0
        self._envelopes = 0
        self._bytes = 0
        self._next = 1
        self._resend_at: float | None = None
        self._unanswered_since: float | None = None  # since when nothing of what was said is acknowledged
        self._early: dict[int, Sequence[Raw]] = {}
        self._owed = 0  # packets since the last acknowledgement
        self._ack_at: float | None = None

    @property
    def envelopes(self) -> int:
        """Envelopes that the other node has not acknowledged."""
        return self._envelopes

    @property
    def size(self) -> int:
        """Their size together."""
        return self._bytes

    @property
    def has_room(self) -> bool:
        """Whether more messages may be put in."""
        return self._envelopes < ROOM_ENVELOPES and self._bytes < ROOM_BYTES

    def send(self, envelope: bytes) -> None:
        """Put a packed envelope in; `outgoing` lets it out."""
        self._waiting.append(envelope)
        self._envelopes += 1
        self._bytes += len(envelope)

    def receive(self, number: int, ack: int, envelopes: Sequence[Raw], now: float) -> list[Raw]:
        """A packet has come.

        Args:
            number: of the packet.
            ack: what the other node has.
            envelopes: what it carries.
            now: Unix seconds.

        Returns:
            The envelopes that are next in order, be it that they came earlier.
        """
        self._acknowledged(ack, now)
        if number == 0:
            return []
        self._owed += 1
        if self.received < number <= self.received + WINDOW_PACKETS:
            self._early[number] = envelopes
        ready: list[Raw] = []
        while self.received + 1 in self._early:
            self.received += 1
            ready += self._early.pop(self.received)
        in_order = bool(ready) and not self._early
        if not in_order or self._owed >= ACK_PACKETS:
            self._ack_at = now
        elif self._ack_at is None:
            self._ack_at = now + ACK_SECONDS
        return ready

    def say_again(self, now: float) -> None:
        """The bus may have lost everything that was said: do not wait for the time to be over."""
        if self._unacknowledged:
            self._resend_at = now

    def is_unanswered(self, since: float) -> bool:
        """Whether the other node has acknowledged nothing since then, and was told something by then."""
        return self._unanswered_since is not None and self._unanswered_since <= since

    def excuse(self, now: float) -> None:
        """The other node could not answer up to now."""
        if self._unanswered_since is not None:
            self._unanswered_since = now

    def outgoing(self, now: float) -> list[Packet]:
        """What is to be said now; it counts as said."""
        packets: list[Packet] = []
        if not self._waiting and not self._is_due(now):  # as it is after most turns of the loop, to most nodes
            return packets
        if self._resend_at is not None and now >= self._resend_at:
            packets += self._unacknowledged
            self._resend_at = None
        while self._waiting and self._is_window_open():
            packets.append(self._close_packet())
        if self._unacknowledged and self._unanswered_since is None:
            self._unanswered_since = now
        if packets and self._resend_at is None:
            self._resend_at = now + RESEND_SECONDS
        if not packets and self._ack_at is not None and now >= self._ack_at:
            packets.append(Packet(0, ()))
        if packets:
            self._owed = 0
            self._ack_at = None
        return packets

    def next_deadline(self) -> float | None:
        """When `outgoing` has something to say by itself, or None."""
        return earliest(self._resend_at, self._ack_at)

    def _is_due(self, now: float) -> bool:
        resend_at, ack_at = self._resend_at, self._ack_at
        return (resend_at is not None and now >= resend_at) or (ack_at is not None and now >= ack_at)

    def _acknowledged(self, ack: int, now: float) -> None:
        moved = False
        while self._unacknowledged and self._unacknowledged[0].number <= ack:
            packet = self._unacknowledged.popleft()
            size = sum(map(len, packet.envelopes))
            self._unacknowledged_bytes -= size
            self._bytes -= size
            self._envelopes -= len(packet.envelopes)
            moved = True
        if moved:
            self._resend_at = now + RESEND_SECONDS if self._unacknowledged else None
            self._unanswered_since = now if self._unacknowledged else None

    def _is_window_open(self) -> bool:
        return len(self._unacknowledged) < WINDOW_PACKETS and self._unacknowledged_bytes < WINDOW_BYTES

    def _close_packet(self) -> Packet:
        envelopes: list[bytes] = []
        size = 0
        while self._waiting and size < FILL_BYTES:
            envelope = self._waiting.popleft()
            size += len(envelope)
            envelopes.append(envelope)
        packet = Packet(self._next, envelopes)
        self._next += 1
        self._unacknowledged.append(packet)
        self._unacknowledged_bytes += size
        return packet
