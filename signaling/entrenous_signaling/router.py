"""Routing between devices: in order and at least once, with a queue per device that outlives its connections.

What becomes of a message::

    send ──> refused for now (too-many): nothing from this device to that receiver overtakes it
         ──> offline: the receiver is not connected and not expected back
         ──> queued: deliver follows at once or when the receiver is back; `accepted` when the call record it opens
             or closes, if any, is on disk
    ack  ──> gone from the queue, `delivered` to the sender
    grace over ──> error offline to each sender

A device is expected back for the grace after its connection dropped, and, when it is registered, for the grace
after the start of the server: a server that was killed comes back to nodes that still hold what they said.
"""

from __future__ import annotations

from typing import Final, NamedTuple, assert_never

from entrenous_wire.messages import Accepted, Deliver, Delivered, Error, ErrorCode, Kind, Live, Send

from .auth import RETRY_SECONDS, Refused, local_user
from .call_rows import Kept, Waiter
from .calls import CallRecords
from .counters import Counters
from .limits import Bounds
from .mailbox import Delivery, DeviceKey, Durability, Mailbox, Queued, Sent
from .outputs import Outbox
from .store.requests import Account, Failed, ReadAccount, StoreResult
from .timers import Timers, earliest

_PATIENCE_SECONDS: Final = 5.0
"""How long after its time a refused message is waited for before others may overtake it."""


_HELD_BACK: Final = 64
"""Receivers per sender for which that is remembered."""

_MEMORY_GRACES: Final = 2.0
"""After how many times the grace a mailbox ages: a dead connection is noticed, and its device gone, well before."""

_UNAVAILABLE: Final = "The server cannot store the call record now."
_OFFLINE: Final = "The device is not connected, or was not back in time."


class _Memory(NamedTuple):
    """Names the moment at which the mailbox of a device ages."""

    of: DeviceKey


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
    ) -> None:
        self._server = server
        self._bounds = bounds
        self._grace = grace_seconds
        self._outbox = outbox
        self._counters = counters
        self._expected_until = now + grace_seconds
        self._mailboxes: dict[DeviceKey, Mailbox] = {}
        self._left: set[DeviceKey] = set()  # on purpose, while the server still expects everybody back
        self._timers: Timers[DeviceKey | _Memory] = Timers()  # a device itself is named for the end of its grace
        self._calls = CallRecords(
            outbox,
            self._record_kept,
            key=record_key,
            grace_seconds=grace_seconds,
            per_account=bounds.open_records,
            counters=counters,
            now=now,
        )

    @property
    def calls(self) -> CallRecords:
        """The records of the calls that this router carries."""
        return self._calls

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
        mailbox.connection = connection
        self._calls.started_afresh(key, now)
        return mailbox

    def reattach(self, mailbox: Mailbox, connection: int, now: float) -> None:
        """A device has resumed its session on a new connection."""
        self._timers.cancel(mailbox.key)
        mailbox.rewind()
        mailbox.connection = connection
        self._calls.came(mailbox.key, now)

    def catch_up(self, mailbox: Mailbox) -> None:
        """Say what a device missed: what became of its own messages, and what waits for it, in order."""
        if mailbox.connection is None:
            return
        for message_id, sent in mailbox.sent.items():
            if not sent.told and sent.delivery is not Delivery.QUEUED:
                self._answer(mailbox, message_id, sent)
        self._pump(mailbox)

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
        self._give_up(mailbox.key)

    def acknowledge(self, mailbox: Mailbox, seq: int, now: float) -> bool:
        """A device has everything up to and including `seq`.

        Returns:
            False when it was never said that much; nothing changes then.
        """
        if seq > mailbox.last_transmitted:
            return False
        for item in mailbox.acknowledge(seq):
            self._counters.delivered += 1
            if item.message.record is not None:
                self._calls.heard_of(item.message.call, mailbox.key, item.sender, now)
            self._settle(item, Delivery.DELIVERED)
        self._pump(mailbox)
        return True

    def send(self, sender: Mailbox, message: Send, now: float) -> None:
        """Route a message; the answer follows, at once or when its call record is on disk.

        Raises:
            Refused: the receiver is of another server (`unknown-user`), its queue is full or an earlier message to it
                was refused, or its account is in too many calls (`too-many`): nothing of this message happened.
        """
        receiver_key = self._receiver(message)
        self._refuse_overtaking(sender, receiver_key, message.id, now)
        known = sender.sent.get(message.id)
        if known is not None and known.delivery is not Delivery.LOST:
            self._counters.repeated += 1
            if known.record is not None:
                self._calls.heard_of(message.call, sender.key, receiver_key, now)
            self._answer_again(sender, message, known)
            return
        sender.sent.pop(message.id, None)
        receiver = self._mailboxes.get(receiver_key)
        if receiver is None:  # not `or`: an empty mailbox is false
            receiver = self._expect_back(receiver_key, now)
        if receiver is not None and not receiver.has_room(sender.key, len(message.body)):
            self._hold_back(sender, receiver_key, message.id, now + RETRY_SECONDS)
            raise Refused(ErrorCode.TOO_MANY, "Too much waits for that device.", RETRY_SECONDS)
        sent = self._apply_to_record(sender, receiver, receiver_key, message, now)
        sender.remember(message.id, sent)
        self._let_age(sender, now)
        if receiver is not None:
            self._counters.routed[message.kind] += 1
            receiver.put(self._deliverable(sender, receiver, message, sent))
            self._pump(receiver)
        else:
            self._counters.lost += 1
        self._answer(sender, message.id, sent)

    def postpone(self, sender: Mailbox, message: Send, retry_at: float) -> None:
        """A message over the rate is refused until `retry_at`: nothing may overtake it for a while.

        Raises:
            Refused: as `send`.
        """
        self._hold_back(sender, self._receiver(message), message.id, retry_at)

    def claim(self, mailbox: Mailbox, live: Live, now: float) -> None:
        """A device says which calls go on."""
        for claim in live.calls:
            try:
                peer = DeviceKey(local_user(claim.peer, self._server), claim.device)
            except Refused:
                self._counters.claims_refused += 1
            else:
                self._calls.claimed(mailbox.key, claim.call, claim.record, peer, now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(self._timers.next(), self._calls.next_deadline())

    def tick(self, now: float) -> list[Mailbox]:
        """Do what is due; returns the mailboxes that are given up."""
        gone = []
        for due in self._timers.due(now):
            match due:
                case _Memory(key):
                    self._age(self._mailboxes[key], now)
                case DeviceKey():
                    mailbox = self._give_up(due)
                    if mailbox is not None:
                        gone.append(mailbox)
                case _:
                    assert_never(due)
        self._calls.tick(now)
        return gone

    def _let_age(self, mailbox: Mailbox, now: float) -> None:
        """What a mailbox remembers from now on is forgotten in time."""
        if not mailbox.ageing:
            mailbox.ageing = True
            self._timers.set(_Memory(mailbox.key), now + _MEMORY_GRACES * self._grace)

    def _age(self, mailbox: Mailbox, now: float) -> None:
        mailbox.age(now)
        if mailbox.ageing:
            self._timers.set(_Memory(mailbox.key), now + _MEMORY_GRACES * self._grace)

    def _receiver(self, message: Send) -> DeviceKey:
        return DeviceKey(local_user(message.to, self._server), message.device)

    def _hold_back(self, sender: Mailbox, receiver: DeviceKey, message_id: bytes, retry_at: float) -> None:
        if receiver not in sender.held_back:
            if len(sender.held_back) >= _HELD_BACK:
                del sender.held_back[next(iter(sender.held_back))]
            sender.held_back[receiver] = (message_id, retry_at + _PATIENCE_SECONDS)
            self._let_age(sender, retry_at)

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
        return Mailbox(key, f"{key.username}@{self._server}", self._bounds)

    def _looked_up(self, mailbox: Mailbox, result: StoreResult | Failed) -> None:
        registered = isinstance(result, Failed) or (
            isinstance(result, Account) and any(device.device == mailbox.key.device for device in result.devices)
        )
        if not registered and mailbox.connection is None and self._mailboxes.get(mailbox.key) is mailbox:
            self._timers.cancel(mailbox.key)
            self._give_up(mailbox.key)

    def _give_up(self, key: DeviceKey) -> Mailbox | None:
        mailbox = self._mailboxes.pop(key, None)
        if mailbox is not None:
            self._timers.cancel(_Memory(key))
            for item in mailbox.clear():
                self._counters.lost += 1
                self._settle(item, Delivery.LOST)
        return mailbox

    def _settle(self, item: Queued, delivery: Delivery) -> None:
        """Note what became of a message, and tell its sender when it can be told."""
        sender = self._mailboxes.get(item.sender)
        sent = None if sender is None else sender.sent.get(item.message.id)
        if sender is None or sent is None:
            return
        sent.delivery = delivery
        if sent.durability is Durability.STORED and sender.connection is not None:
            self._tell_outcome(sender, item.message.id, sent)

    def _pump(self, mailbox: Mailbox) -> None:
        if mailbox.connection is not None:
            for message in mailbox.take_for_transmission():
                self._outbox.transmit(mailbox.connection, message)

    def _refuse_overtaking(self, sender: Mailbox, receiver: DeviceKey, message_id: bytes, now: float) -> None:
        held = sender.held_back.get(receiver)
        if held is None:
            return
        first, until = held
        if first == message_id or now >= until:
            del sender.held_back[receiver]
            return
        wait = max(RETRY_SECONDS, until - _PATIENCE_SECONDS - now)
        raise Refused(ErrorCode.TOO_MANY, "An earlier message to that device was refused; say it first.", wait)

    def _apply_to_record(
        self, sender: Mailbox, receiver: Mailbox | None, receiver_key: DeviceKey, message: Send, now: float
    ) -> Sent:
        """Open or close the call record, as the kind of the message asks."""
        delivery = Delivery.LOST if receiver is None else Delivery.QUEUED
        sent = Sent(delivery, Durability.STORED, message.call)
        match message.kind:
            case Kind.SIGNAL | Kind.RING | Kind.MESSAGE:
                pass
            case Kind.ACCEPT:
                if receiver is not None:
                    connected, waiter = receiver.connection is not None, (sender.key, message.id)
                    sent.record = self._calls.accepted(
                        *(message.call, sender.key, receiver_key),
                        connected=connected,
                        waiter=waiter,
                        now=now,
                    )
                    if sent.record is not None:
                        sent.durability = Durability.STORING
            case Kind.END:
                if self._calls.ended(message.call, sender.key, receiver_key, (sender.key, message.id), now):
                    sent.durability = Durability.STORING
            case _:
                assert_never(message.kind)
        return sent

    def _deliverable(self, sender: Mailbox, receiver: Mailbox, message: Send, sent: Sent) -> Queued:
        deliver = Deliver(
            seq=receiver.next_seq(),
            id=message.id,
            sender=sender.address,
            device=sender.key.device,
            call=message.call,
            kind=message.kind,
            body=message.body,
            record=sent.record,
        )
        return Queued(deliver, sender.key)

    def _answer_again(self, sender: Mailbox, message: Send, sent: Sent) -> None:
        if sent.durability is Durability.FAILED:
            waits = self._calls.retry(sent.call, (sender.key, message.id))
            sent.durability = Durability.STORING if waits else Durability.STORED
        self._answer(sender, message.id, sent)

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
        self._answer(sender, waiter[1], sent)

    def _answer(self, sender: Mailbox, message_id: bytes, sent: Sent) -> None:
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
                self._tell_outcome(sender, message_id, sent)
            case _:
                assert_never(sent.durability)

    def _tell_outcome(self, sender: Mailbox, message_id: bytes, sent: Sent) -> None:
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
