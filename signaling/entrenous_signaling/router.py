"""Routing between devices: in order and at least once, with a queue per device that outlives its connections.

What becomes of a message::

    send ──> refused for now (too-many, unavailable): nothing from this device to that receiver overtakes it
         ──> offline: the receiver is not connected and not expected back
         ──> queued: deliver follows at once or when the receiver is back; `accepted` when the call record it opens
             or closes, if any, is on disk; of what can have none, and is said to a connected device, only after a
             moment without an acknowledgement
    ack  ──> gone from the queue, `delivered` to each sender, once for all of its own that it settled
    grace over ──> error offline to each sender

A device is expected back for the grace after its connection dropped, and, when it is registered, for the grace
after the start of the server: a server that was killed comes back to nodes that still hold what they said.
"""

from __future__ import annotations

from typing import Final, assert_never

from entrenous_wire.messages import Deliver, ErrorCode, Send

from .answers import Answers
from .auth import RETRY_SECONDS, Refused, local_user
from .call_messages import RECORDS_NOTHING, CallMessages
from .call_rows import Kept, Waiter
from .calls import CallRecords
from .cluster.cluster import Cluster
from .cluster.elsewhere import Elsewhere
from .counters import Counters
from .held_back import HeldBack
from .limits import Bounds
from .mailbox import LOST, QUEUED, DeviceKey, Durability, Mailbox, Memory, Queued, Sent
from .outputs import Outbox
from .store.requests import Account, Failed, ReadAccount, StoreResult
from .timers import Timers, earliest

_MEMORY_GRACES: Final = 2.0
"""After how many times the grace a mailbox ages: a dead connection is noticed, and its device gone, well before."""

_CUT_OFF: Final = "The server does not reach the others of its cluster now."


class Router:
    """All mailboxes, and the messages between them.

    Args:
        server: the name of this server, the host of its addresses.
        bounds: how much may be queued and remembered.
        grace_seconds: how long a device is expected back.
        outbox: where messages and store requests go.
        counters: what is counted.
        record_key: the server's own secret, from which the tokens of call records are made.
        now: Unix seconds.
        cluster: the other nodes, if there may be any.
    """

    def __init__(
        self,
        *,
        server: str,
        bounds: Bounds,
        grace_seconds: float,
        outbox: Outbox,
        counters: Counters,
        record_key: bytes,
        now: float,
        cluster: Cluster | None = None,
    ) -> None:
        self._server = server
        self._at_server = f"@{server}"
        self._bounds = bounds
        self._grace = grace_seconds
        self._outbox = outbox
        self._counters = counters
        self._expected_until = now + grace_seconds
        self._mailboxes: dict[tuple[str, str], Mailbox] = {}  # a DeviceKey each, which any pair like it finds
        self._left: set[DeviceKey] = set()  # on purpose, while the server still expects everybody back
        self._timers: Timers[DeviceKey | Memory] = Timers()  # a device itself is named for the end of its grace
        self._boxes = 0
        self._answers = Answers(outbox, counters, self.find)
        self.elsewhere: Elsewhere | None = None
        if cluster is not None:
            self.elsewhere = Elsewhere(
                cluster=cluster,
                mailboxes=self._mailboxes,
                timers=self._timers,
                make=self._new_mailbox,
                next_box=self._next_box,
                pump=self.pump,
                arrived=self._answers.arrived,
                grace=grace_seconds,
            )
        self._calls = CallRecords(
            outbox,
            self._record_kept,
            key=record_key,
            grace_seconds=grace_seconds,
            per_account=bounds.open_records,
            counters=counters,
            now=now,
            shared=cluster is not None,
        )
        self._call_messages = CallMessages(self._calls, server, counters, alone=cluster is None)

    @property
    def calls(self) -> CallRecords:
        """The records of the calls that this router carries."""
        return self._calls

    @property
    def call_messages(self) -> CallMessages:
        """What messages mean for those."""
        return self._call_messages

    @property
    def queued(self) -> int:
        """Messages that wait for an acknowledgement."""
        return sum(mailbox.count for mailbox in self._mailboxes.values())

    def find(self, key: DeviceKey) -> Mailbox | None:
        """The mailbox of a device that is connected or expected back."""
        return self._mailboxes.get(key)

    def attach(self, key: DeviceKey, connection: int, now: float) -> Mailbox:
        """A device has logged in afresh: give it its mailbox; what waits in it comes with `catch_up`."""
        mailbox = self._mailboxes.get(key)
        if mailbox is None:
            mailbox = self._mailboxes[key] = self._new_mailbox(key)
        self._timers.cancel(key)
        self._left.discard(key)
        mailbox.rewind()
        mailbox.home = None
        mailbox.connection = connection
        self._calls.started_afresh(key, now)
        self._call_messages.found_waiting(mailbox, now)
        return mailbox

    def reattach(self, mailbox: Mailbox, connection: int, now: float) -> None:
        """A device has resumed its session on a new connection."""
        self._timers.cancel(mailbox.key)
        mailbox.rewind()
        mailbox.connection = connection
        self._calls.came(mailbox.key, now)
        self._call_messages.found_waiting(mailbox, now)

    def catch_up(self, mailbox: Mailbox) -> None:
        """Say what a device missed: what became of its own messages, and what waits for it, in order."""
        if mailbox.connection is None:
            return
        for message_id, sent in mailbox.sent.items():
            if not sent.told and sent.delivery is not QUEUED:
                self._answers.answer(mailbox, message_id, sent)
        self.pump(mailbox)

    def detach(self, mailbox: Mailbox, now: float) -> None:
        """The connection of a device is gone; it is expected back for the grace."""
        mailbox.connection = None
        mailbox.rewind()
        self._timers.set(mailbox.key, now + self._grace)
        self._calls.left(mailbox.key, now)

    def dismiss(self, mailbox: Mailbox) -> None:
        """A device that has been detached goes offline on purpose: it is not expected back."""
        if len(self._left) < self._bounds.held_devices:
            self._left.add(mailbox.key)
        self._timers.cancel(mailbox.key)
        self.give_up(mailbox.key)

    def acknowledge(self, mailbox: Mailbox, seq: int, now: float) -> bool:
        """A device has everything up to and including `seq`.

        Returns:
            False when it was never said that much; nothing changes then.
        """
        if seq > mailbox.last_transmitted:
            return False
        items = mailbox.acknowledge(seq)
        self._counters.delivered += len(items)
        for item in items:
            if item.message.record is not None:
                self._calls.heard_of(item.message.call, mailbox.key, item.sender, now, called=True)
        if self.elsewhere is None:
            self._answers.arrived(items)
        else:
            self._answers.arrived([item for item in items if item.origin is None])
            origins = [item.origin for item in items if item.origin is not None]
            self.elsewhere.cluster.settled(mailbox.key, origins, now)
        self.pump(mailbox)
        return True

    def send(self, sender: Mailbox, message: Send, now: float) -> None:
        """Route a message; the answer follows, at once or when its call record is on disk.

        Raises:
            Refused: the receiver is of another server (`unknown-user`), its queue is full or an earlier message to it
                was refused, or its account is in too many calls (`too-many`): nothing of this message happened.
        """
        receiver = self._known_receiver(message)
        receiver_key = self._receiver(message) if receiver is None else receiver.key
        known = sender.sent.get(message.id)
        if known is not None:
            if known.delivery is not LOST:
                self._repeat(sender, receiver_key, message, known, now)
                return
            del sender.sent[message.id]
        held_back = sender.held_back
        if held_back is not None:
            self._refuse_overtaking(held_back, sender, receiver_key, message, now)
        if receiver is None:
            receiver = self._mailboxes.get(receiver_key) or self._find_place(sender, receiver_key, message, now)
        if receiver is not None and not receiver.has_room(sender.key, len(message.body)):
            self._hold_back(sender, receiver_key, message, now + RETRY_SECONDS, now)
            raise Refused(ErrorCode.TOO_MANY, "Too much waits for that device.", RETRY_SECONDS)
        if held_back is not None:
            held_back.let_through(receiver_key, message.id)
        sent = self._call_messages.said(sender, receiver, receiver_key, message, now)
        sender.remember(message.id, sent)
        self._let_age(sender, now)
        if receiver is None:
            self._counters.lost += 1
            self._answers.answer(sender, message.id, sent)
            return
        self._counters.routed[message.kind] += 1
        receiver.put(self._deliverable(sender, receiver, message, sent))
        self.pump(receiver)
        if receiver.is_reached and message.kind in RECORDS_NOTHING:
            self._answers.answer_soon(sender.key, message.id, sent, now)
        else:
            self._answers.answer(sender, message.id, sent)

    def postpone(self, sender: Mailbox, message: Send, retry_at: float, now: float) -> None:
        """A message over the rate is refused until `retry_at`: nothing may overtake it for a while.

        Raises:
            Refused: as `send`.
        """
        receiver = self._receiver(message)
        known = sender.sent.get(message.id)
        if known is None or known.delivery is LOST:
            self._hold_back(sender, receiver, message, retry_at, now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(self._timers.next(), self._calls.next_deadline(), self._answers.next_deadline())

    def tick(self, now: float) -> list[Mailbox]:
        """Do what is due; returns the mailboxes that are given up."""
        gone = []
        for due in self._timers.due(now):
            match due:
                case Memory(key):
                    self._age(key, now)
                case DeviceKey():
                    mailbox = self.give_up(due)
                    if mailbox is not None:
                        gone.append(mailbox)
                case _:
                    assert_never(due)
        self._calls.tick(now)
        self._answers.tick(now)
        return gone

    def _let_age(self, mailbox: Mailbox, now: float) -> None:
        """What a mailbox remembers from now on is forgotten in time."""
        if not mailbox.ageing:
            mailbox.ageing = True
            self._timers.set(Memory(mailbox.key), now + _MEMORY_GRACES * self._grace)

    def _age(self, key: DeviceKey, now: float) -> None:
        mailbox = self._mailboxes.get(key)  # that of a device which is elsewhere goes without a word
        if mailbox is None:
            return
        mailbox.age(now)
        if mailbox.ageing:
            self._timers.set(Memory(key), now + _MEMORY_GRACES * self._grace)

    def _known_receiver(self, message: Send) -> Mailbox | None:
        """The mailbox of a receiver that has one, if its address is spelled as this server spells it."""
        if not message.to.endswith(self._at_server):
            return None
        return self._mailboxes.get((message.to[: -len(self._at_server)], message.device))

    def _receiver(self, message: Send) -> DeviceKey:
        return DeviceKey(local_user(message.to, self._server), message.device)

    def _hold_back(self, sender: Mailbox, key: DeviceKey, message: Send, retry_at: float, now: float) -> None:
        """A message is refused until `retry_at`."""
        sender.hold_back(key, message.id, retry_at)
        self._let_age(sender, retry_at)
        self._call_messages.put_off(sender, self._mailboxes.get(key), key, message, now)

    def _find_place(self, sender: Mailbox, key: DeviceKey, message: Send, now: float) -> Mailbox | None:
        """A mailbox for a device that has none here: it is at another node, or may come back."""
        if self.elsewhere is not None:
            mailbox = self.elsewhere.place(key)
            if mailbox is not None:
                return mailbox
            if self.elsewhere.cluster.cut_off:
                self._hold_back(sender, key, message, now + RETRY_SECONDS, now)
                raise Refused(ErrorCode.UNAVAILABLE, _CUT_OFF, RETRY_SECONDS)
        return self._expect_back(key, now)

    def _expect_back(self, key: DeviceKey, now: float) -> Mailbox | None:
        """Hold messages for a registered device that may not have come back yet after the start of the server."""
        if now >= self._expected_until:
            self._left.clear()
            return None
        if key in self._left or len(self._mailboxes) >= self._bounds.held_devices:
            return None
        mailbox = self._mailboxes[key] = self._new_mailbox(key)
        self._timers.set(key, self._expected_until)
        self._outbox.execute(ReadAccount(key.username), lambda result, at: self._looked_up(mailbox, result))
        return mailbox

    def _new_mailbox(self, key: DeviceKey) -> Mailbox:
        return Mailbox(key, f"{key.username}@{self._server}", self._bounds, self._next_box())

    def _next_box(self) -> int:
        self._boxes += 1
        return self._boxes

    def _looked_up(self, mailbox: Mailbox, result: StoreResult | Failed) -> None:
        registered = isinstance(result, Failed) or (
            isinstance(result, Account) and any(device.device == mailbox.key.device for device in result.devices)
        )
        if not registered and mailbox.connection is None and self._mailboxes.get(mailbox.key) is mailbox:
            self._timers.cancel(mailbox.key)
            self.give_up(mailbox.key)

    def give_up(self, key: DeviceKey) -> Mailbox | None:
        """Drop a mailbox, and tell the senders of what is in it; returns it, or None when there is none."""
        mailbox = self._mailboxes.pop(key, None)
        if mailbox is not None:
            self._timers.cancel(Memory(key))
            for item in mailbox.clear():
                if item.origin is None:  # else it is for the node of its sender to say so
                    self._counters.lost += 1
                    self._answers.lost(item)
        return mailbox

    def pump(self, mailbox: Mailbox) -> None:
        """Let out what the window lets out, to the device or to the node where it is."""
        if mailbox.connection is not None:
            for message in mailbox.take_for_transmission():
                self._outbox.transmit(mailbox.connection, message)
        elif mailbox.home is not None and self.elsewhere is not None:
            self.elsewhere.cluster.pump(mailbox.key, mailbox.home)

    def _refuse_overtaking(self, held: HeldBack, sender: Mailbox, key: DeviceKey, message: Send, now: float) -> None:
        wait = held.seconds_to_wait(key, message.id, now)
        if wait is not None:
            self._hold_back(sender, key, message, now + wait, now)
            raise Refused(ErrorCode.TOO_MANY, "An earlier message to that device was refused; say it first.", wait)

    def _deliverable(self, sender: Mailbox, receiver: Mailbox, message: Send, sent: Sent) -> Queued:
        deliver = Deliver(
            seq=receiver.next_seq(),
            id=message.id,
            sender=sender.address,
            device=sender.key.device,
            call=message.call,
            kind=message.kind,
            body=message.body,
            record=None if sent.record is None else self._calls.tokens.of_caller(message.call),
        )
        return Queued(deliver, sender.key)

    def _repeat(self, sender: Mailbox, receiver: DeviceKey, message: Send, sent: Sent, now: float) -> None:
        """A message that is routed already was said again: answer it at once."""
        self._counters.repeated += 1
        if sent.record is not None:
            self._calls.heard_of(message.call, sender.key, receiver, now, called=False)
        if sent.durability is Durability.FAILED:
            waits = self._calls.retry(sent.call, (sender.key, message.id))
            sent.durability = Durability.STORING if waits else Durability.STORED
        self._answers.answer(sender, message.id, sent)

    def _record_kept(self, waiter: Waiter, kept: Kept) -> None:
        sender = self._mailboxes.get(waiter[0])
        sent = None if sender is None else sender.sent.get(waiter[1])
        if sender is None or sent is None:
            return
        match kept:
            case Kept.STORED:
                sent.durability = Durability.STORED
            case Kept.FAILED:
                sent.durability = Durability.FAILED
            case Kept.OVER:
                sent.durability, sent.record = Durability.STORED, None
            case _:
                assert_never(kept)
        self._answers.answer(sender, waiter[1], sent)
