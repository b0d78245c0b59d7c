"""What the server holds for one device: the queue to it, and what it has said itself lately.

::

    waiting ──window──> in flight ──ack──> gone, its sender is told

The queue belongs to the device, not to a connection: when a connection drops, everything that is not acknowledged
waits again, in order. Nothing here is ever written to disk.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Struct, structs

from entrenous_wire.messages import Deliver

from .held_back import HeldBack
from .limits import Bounds


class DeviceKey(NamedTuple):
    """One device of one account of this server."""

    username: str
    device: str


class Memory(NamedTuple):
    """Names the moment at which the mailbox of a device ages."""

    of: DeviceKey


class Delivery(Enum):
    """How far a routed message came."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    LOST = "lost"


class Durability(Enum):
    """Whether the call record that a message opens or closes is on disk."""

    STORED = "stored"
    """It is, or the message has to do with none."""
    STORING = "storing"
    """The answer waits for the disk."""
    FAILED = "failed"
    """The sender was told `unavailable` and will say the message again."""


# For the way of each message: looking a member up in its class takes as long as all else in its line (CPython 3.11).
QUEUED: Final = Delivery.QUEUED
DELIVERED: Final = Delivery.DELIVERED
LOST: Final = Delivery.LOST
STORED: Final = Durability.STORED


class Sent(Struct, gc=False):
    """A message that a device has sent, remembered so that it is routed once and answered as often as it is said.

    Args:
        delivery: how far it came.
        durability: of the record that it opens or closes.
        call: its call id.
        receiver: whom it is for, as long as it waits for that.
        record: the token of the record that it opened, if any.
        told: the sender was told what became of it in the end.
        aged: it was told so before the mailbox aged last.
    """

    delivery: Delivery
    durability: Durability
    call: bytes
    receiver: DeviceKey | None
    record: bytes | None = None
    told: bool = False
    aged: bool = False


class Origin(NamedTuple):
    """The queue at another node in which a message stays until its device has it."""

    node: bytes
    box: int
    seq: int


class Queued(Struct, frozen=True, gc=False):
    """A message on its way to a device.

    Args:
        message: as it is said to the device.
        sender: who said it.
        origin: where it stays meanwhile, when its sender is at another node.
    """

    message: Deliver
    sender: DeviceKey
    origin: Origin | None = None

    @property
    def size(self) -> int:
        """Bytes that count against the bounds."""
        return len(self.message.body)


class Mailbox:
    """The queue of one device, and its memory of what the device sent.

    Args:
        key: the device.
        address: of its account, as others see it.
        bounds: how much it may hold.
        box: names this numbering of its queue; no other of this server has the same.
    """

    def __init__(self, key: DeviceKey, address: str, bounds: Bounds, box: int = 0) -> None:
        self.key = key
        self.address = address
        self.box = box
        self.connection: int | None = None
        self.home: bytes | None = None
        """The other node at which the device has its session: the queue goes there."""
        self.session: bytes | None = None
        """The hash of the session token, when there is a session."""
        self.expires = 0
        """Unix seconds at which the certificate of the device expires."""
        self.device_key = b""
        """The Ed25519 key of the device, once it has logged in."""
        self.last_transmitted = 0
        """The highest sequence number ever said to the device: what it may acknowledge."""
        self.sent: OrderedDict[bytes, Sent] = OrderedDict()
        self.held_back: HeldBack | None = None
        """What was refused for now of what it said, if anything was."""
        self.ageing = False
        """Whether it is to `age` at some time."""
        self._bounds = bounds
        self._queue: deque[Queued] = deque()
        self._in_flight = 0  # so many at its front
        self._in_flight_bytes = 0
        self._bytes = 0
        self._by_sender: dict[str, int] = {}
        self._next_seq = 1

    @property
    def count(self) -> int:
        """Messages that wait for an acknowledgement."""
        return len(self._queue)

    @property
    def is_reached(self) -> bool:
        """Whether the device is connected, here or at another node."""
        return self.connection is not None or self.home is not None

    def has_room(self, sender: DeviceKey, size: int) -> bool:
        """Whether a body of `size` bytes from `sender` fits the bounds."""
        bounds = self._bounds
        return (
            len(self._queue) < bounds.queue_messages
            and self._bytes + size <= bounds.queue_bytes
            and self._by_sender.get(sender.username, 0) < bounds.sender_messages
        )

    def next_seq(self) -> int:
        """Take the sequence number for the next message."""
        seq = self._next_seq
        self._next_seq += 1
        return seq

    def put(self, item: Queued) -> None:
        """Queue a message that `has_room` allowed."""
        username = item.sender.username
        self._queue.append(item)
        self._bytes += len(item.message.body)
        self._by_sender[username] = self._by_sender.get(username, 0) + 1

    def take_for_transmission(self) -> list[Deliver]:
        """The waiting messages that the window lets out now; each counts as in flight from then on."""
        taken: list[Deliver] = []
        queue = self._queue
        while self._in_flight < len(queue):
            message = queue[self._in_flight].message
            in_flight_bytes = self._in_flight_bytes + len(message.body)
            if in_flight_bytes > self._bounds.window_bytes and self._in_flight:
                break
            self._in_flight += 1
            self._in_flight_bytes = in_flight_bytes
            if message.seq > self.last_transmitted:
                self.last_transmitted = message.seq
            taken.append(message)
        return taken

    def held(self) -> Iterator[Queued]:
        """Everything that waits for an acknowledgement, in order."""
        return iter(self._queue)

    def is_settled_by(self, seq: int) -> bool:
        """Whether anything that waits for an acknowledgement has it by `seq`."""
        queue = self._queue
        return bool(queue) and queue[0].message.seq <= seq

    def acknowledge(self, seq: int) -> list[Queued]:
        """Take out everything up to and including `seq`, whether it is in flight or was put back by `rewind`."""
        queue = self._queue
        done = []
        while queue and queue[0].message.seq <= seq:
            item = queue.popleft()
            if self._in_flight:
                self._in_flight -= 1
                self._in_flight_bytes -= len(item.message.body)
            self._forget(item)
            done.append(item)
        return done

    def rewind(self) -> None:
        """Let what is in flight wait again: the connection is gone."""
        self._in_flight = 0
        self._in_flight_bytes = 0

    def continue_from(self, seq: int, box: int) -> None:
        """Number what waits anew, after `seq`, which is beyond all that the device has been told by another node."""
        self.rewind()
        self.box = box
        self.last_transmitted = seq
        self._next_seq = seq + 1
        for _ in range(len(self._queue)):
            item = self._queue.popleft()
            renumbered = structs.replace(item.message, seq=self.next_seq())
            self._queue.append(Queued(renumbered, item.sender, item.origin))

    def drop(self, unwanted: Callable[[Queued], bool]) -> list[Queued]:
        """Take out what is not wanted any more, in flight or not; returns it."""
        dropped: list[Queued] = []
        kept: deque[Queued] = deque()
        in_flight = 0
        for number, item in enumerate(self._queue):
            if unwanted(item):
                dropped.append(item)
            else:
                kept.append(item)
                in_flight += number < self._in_flight
        self._queue, self._in_flight = kept, in_flight
        self._in_flight_bytes = sum(item.size for item in islice(kept, in_flight))
        for item in dropped:
            self._forget(item)
        return dropped

    def clear(self) -> list[Queued]:
        """Take everything out: the device does not come back."""
        self.rewind()
        items = list(self._queue)
        self._queue.clear()
        for item in items:
            self._forget(item)
        return items

    def remember(self, message_id: bytes, sent: Sent) -> None:
        """Remember what the device sent, in place of something else when the memory is full.

        That is the oldest whose outcome was told. What was not told is forgotten last: its sender would go on saying
        it, and in the end believe it lost.
        """
        self.sent[message_id] = sent
        if len(self.sent) > self._bounds.remembered:
            oldest, known = self.sent.popitem(last=False)
            told = None if known.told else next((other for other, sent in self.sent.items() if sent.told), None)
            if told is not None:
                del self.sent[told]
                self.sent[oldest] = known
                self.sent.move_to_end(oldest, last=False)

    def hold_back(self, receiver: DeviceKey, message_id: bytes, retry_at: float) -> None:
        """Let nothing that the device says overtake a message that is refused until `retry_at` (Unix seconds)."""
        if self.held_back is None:
            self.held_back = HeldBack()
        self.held_back.put_off(receiver, message_id, retry_at)

    def age(self, now: float) -> None:
        """Forget whose outcome was told before this was called last, and what others may overtake again.

        Where that is longer ago than a connection can be dead without being noticed, and its device be away for, the
        sender has heard it or has asked again.

        Args:
            now: Unix seconds.
        """
        for message_id in [known for known, sent in self.sent.items() if sent.aged]:
            del self.sent[message_id]
        for sent in self.sent.values():
            sent.aged = sent.told
        if self.held_back is not None:
            self.held_back.age(now)
            self.held_back = self.held_back or None
        self.ageing = bool(self.sent or self.held_back)

    def _forget(self, item: Queued) -> None:
        self._bytes -= len(item.message.body)
        username = item.sender.username
        left = self._by_sender[username] - 1
        if left:
            self._by_sender[username] = left
        else:
            del self._by_sender[username]
