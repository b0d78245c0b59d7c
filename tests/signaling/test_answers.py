"""What a device is told of what it has sent, in each state that a message can be in."""

from __future__ import annotations

import pytest

from entrenous_signaling.answers import ACCEPT_SECONDS, Answers
from entrenous_signaling.counters import Counters
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import Delivery, DeviceKey, Durability, Mailbox, Queued, Sent
from entrenous_signaling.outputs import Outbox, Transmit
from entrenous_wire.limits import ACK_SECONDS, MAX_DELIVERED
from entrenous_wire.messages import Accepted, Deliver, Delivered, Error, ErrorCode, Kind

ALICE, BOB, EVE = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16), DeviceKey("eve", "e" * 16)
TOKEN = bytes(16)


def messages(outbox: Outbox) -> list[object]:
    """What was said since the last time, all of it to Alice."""
    said = outbox.take()
    assert all(isinstance(output, Transmit) and output.connection == 7 for output in said)
    return [output.message for output in said if isinstance(output, Transmit)]


def told(
    delivery: Delivery, durability: Durability, *, connected: bool = True, record: bytes | None = TOKEN
) -> tuple[list[object], Sent, Counters]:
    """What is said of a message of Alice, and what is remembered of it then."""
    outbox, counters, mailbox = Outbox(), Counters(), Mailbox(ALICE, "alice@calls.example.org", Bounds())
    mailbox.connection = 7 if connected else None
    sent = Sent(delivery, durability, bytes(16), BOB, record=record)
    Answers(outbox, counters, {ALICE: mailbox}.get).answer(mailbox, bytes(16), sent)
    return messages(outbox), sent, counters


def queued(number: int, sender: DeviceKey) -> Queued:
    """A message of a device to Bob."""
    deliver = Deliver(
        seq=number,
        id=number.to_bytes(16, "big"),
        sender=f"{sender.username}@calls.example.org",
        device=sender.device,
        call=bytes(16),
        kind=Kind.SIGNAL,
        body=bytes(1024),
    )
    return Queued(deliver, sender)


class Waiting:
    """A message of Alice on its way to a connected device, at 100 s."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.mailbox = Mailbox(ALICE, "alice@calls.example.org", Bounds())
        self.mailbox.connection = 7
        self.there = {ALICE: self.mailbox}
        self.answers = Answers(self.outbox, Counters(), self.there.get)
        self.sent = self.say(1, 100.0)

    def say(self, number: int, now: float) -> Sent:
        """One more message."""
        sent = Sent(Delivery.QUEUED, Durability.STORED, bytes(16), BOB)
        self.mailbox.remember(bytes([number]), sent)
        self.answers.answer_soon(ALICE, bytes([number]), sent, now)
        return sent

    def tick(self) -> list[object]:
        """What is said when the next deadline has come."""
        due = self.answers.next_deadline()
        assert due is not None
        self.answers.tick(due)
        return messages(self.outbox)


@pytest.mark.parametrize(
    ("delivery", "durability", "kinds"),
    [
        (Delivery.QUEUED, Durability.STORED, [Accepted]),
        (Delivery.DELIVERED, Durability.STORED, [Accepted, Delivered]),
        (Delivery.LOST, Durability.STORED, [Error]),
        (Delivery.QUEUED, Durability.STORING, []),
        (Delivery.LOST, Durability.STORING, []),
        (Delivery.QUEUED, Durability.FAILED, [Error]),
    ],
)
def test_what_is_said_in_each_state(delivery: Delivery, durability: Durability, kinds: list[type]) -> None:
    messages, sent, counters = told(delivery, durability)
    assert [type(message) for message in messages] == kinds
    in_the_end = delivery is not Delivery.QUEUED and durability is Durability.STORED
    assert sent.told is in_the_end
    assert sum(counters.refused.values()) == kinds.count(Error)


def test_an_accept_is_told_the_token_of_its_record() -> None:
    (accepted,), _, _ = told(Delivery.QUEUED, Durability.STORED)
    assert isinstance(accepted, Accepted)
    assert accepted.record == TOKEN


def test_what_may_be_said_again_says_when() -> None:
    (failed,), _, _ = told(Delivery.QUEUED, Durability.FAILED)
    (offline,), _, _ = told(Delivery.LOST, Durability.STORED)
    assert isinstance(failed, Error)
    assert isinstance(offline, Error)
    assert (failed.code, failed.retry_after is None) == (ErrorCode.UNAVAILABLE, False)
    assert (offline.code, offline.retry_after) == (ErrorCode.OFFLINE, None)


def test_what_is_there_needs_no_accepted_where_no_token_comes_with_it() -> None:
    messages, _, _ = told(Delivery.DELIVERED, Durability.STORED, record=None)
    assert [type(message) for message in messages] == [Delivered]


def test_accepted_is_patient_with_who_gathers_acknowledgements() -> None:
    assert ACCEPT_SECONDS > 2 * ACK_SECONDS, "as long again is left for the way to the receiver and back"


def test_accepted_waits_for_a_moment_and_at_most_for_two() -> None:
    waiting = Waiting()
    assert waiting.answers.next_deadline() == 100.0 + ACCEPT_SECONDS
    waiting.answers.tick(100.0)
    assert waiting.tick() == []
    waiting.say(2, 100.0 + ACCEPT_SECONDS)
    assert waiting.answers.next_deadline() == 100.0 + 2 * ACCEPT_SECONDS
    assert waiting.tick() == [Accepted(id=bytes([1]))]
    assert waiting.tick() == [Accepted(id=bytes([2]))]
    assert waiting.answers.next_deadline() is None


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.LOST])
def test_accepted_is_not_said_of_what_came_to_an_end_meanwhile(delivery: Delivery) -> None:
    waiting = Waiting()
    waiting.sent.delivery = delivery
    assert waiting.tick() + waiting.tick() == []
    assert waiting.answers.next_deadline() is None


def test_accepted_is_not_said_to_who_is_gone_and_of_what_is_forgotten() -> None:
    away, forgotten, given_up = Waiting(), Waiting(), Waiting()
    away.mailbox.connection = None
    forgotten.mailbox.sent.clear()
    given_up.there.clear()
    for waiting in (away, forgotten, given_up):
        assert waiting.tick() + waiting.tick() == []


def test_nothing_is_said_to_who_is_not_there_and_it_counts_as_untold() -> None:
    messages, sent, _ = told(Delivery.DELIVERED, Durability.STORED, connected=False)
    assert (messages, sent.told) == ([], False)


def test_what_arrives_together_is_told_each_sender_at_once() -> None:
    outbox, there = Outbox(), {}
    for connection, key in enumerate((ALICE, EVE), 7):
        mailbox = there[key] = Mailbox(key, f"{key.username}@calls.example.org", Bounds(remembered=1000))
        mailbox.connection = connection
    senders = [ALICE, EVE, *[ALICE] * MAX_DELIVERED]
    items = [queued(number, sender) for number, sender in enumerate(senders)]
    for item in items:
        sent = Sent(Delivery.QUEUED, Durability.STORED, bytes(16), BOB, aged=True)
        there[item.sender].remember(item.message.id, sent)
    Answers(outbox, Counters(), there.get).arrived(items)
    of_alice = [item.message.id for item in items if item.sender == ALICE]
    assert outbox.take() == [
        Transmit(7, Delivered(ids=of_alice[:MAX_DELIVERED])),
        Transmit(7, Delivered(ids=of_alice[MAX_DELIVERED:])),
        Transmit(8, Delivered(ids=[items[1].message.id])),
    ]
    for mailbox in there.values():
        for sent in mailbox.sent.values():
            assert (sent.delivery, sent.receiver) == (Delivery.DELIVERED, None)
            assert (sent.told, sent.aged) == (True, False)


def test_of_what_arrives_only_that_is_told_which_can_be() -> None:
    outbox, mailbox = Outbox(), Mailbox(ALICE, "alice@calls.example.org", Bounds())
    mailbox.connection = 7
    items = [queued(number, ALICE) for number in range(4)]
    for item, durability in zip(items, Durability, strict=False):  # what was said last is not remembered
        mailbox.remember(item.message.id, Sent(Delivery.QUEUED, durability, bytes(16), BOB))
    answers = Answers(outbox, Counters(), {ALICE: mailbox}.get)
    answers.arrived([items[3], *items[:3], queued(9, EVE)])
    assert messages(outbox) == [Delivered(ids=[items[0].message.id])]
    assert [sent.told for sent in mailbox.sent.values()] == [True, False, False]
    assert {sent.delivery for sent in mailbox.sent.values()} == {Delivery.DELIVERED}
    mailbox.connection = None
    mailbox.remember(items[3].message.id, Sent(Delivery.QUEUED, Durability.STORED, bytes(16), BOB))
    answers.arrived(items[3:])
    assert messages(outbox) == []
    assert not mailbox.sent[items[3].message.id].told


def test_what_is_lost_is_told_as_it_can_be() -> None:
    outbox, mailbox = Outbox(), Mailbox(ALICE, "alice@calls.example.org", Bounds())
    mailbox.connection = 7
    answers = Answers(outbox, Counters(), {ALICE: mailbox}.get)
    for number, durability in enumerate((Durability.STORED, Durability.STORING)):
        mailbox.remember(number.to_bytes(16, "big"), Sent(Delivery.QUEUED, durability, bytes(16), BOB))
        answers.lost(queued(number, ALICE))
    answers.lost(queued(2, ALICE))
    answers.lost(queued(0, EVE))
    (error,) = messages(outbox)
    assert isinstance(error, Error)
    assert (error.code, error.id) == (ErrorCode.OFFLINE, bytes(16))
    assert [(sent.delivery, sent.told) for sent in mailbox.sent.values()] == [
        (Delivery.LOST, True),
        (Delivery.LOST, False),
    ]
