"""What a device is told of what it has sent, in each state that a message can be in."""

from __future__ import annotations

import pytest

from entrenous_signaling.answers import Answers
from entrenous_signaling.counters import Counters
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import Delivery, DeviceKey, Durability, Mailbox, Sent
from entrenous_signaling.outputs import Outbox, Transmit
from entrenous_wire.messages import Accepted, Delivered, Error, ErrorCode

ALICE, BOB = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16)
TOKEN = bytes(16)


def told(delivery: Delivery, durability: Durability, *, connected: bool = True) -> tuple[list[object], Sent, Counters]:
    """What is said of a message of Alice, and what is remembered of it then."""
    outbox, counters, mailbox = Outbox(), Counters(), Mailbox(ALICE, "alice@calls.example.org", Bounds())
    mailbox.connection = 7 if connected else None
    sent = Sent(delivery, durability, bytes(16), BOB, record=TOKEN)
    Answers(outbox, counters).answer(mailbox, bytes(16), sent)
    said = outbox.take()
    assert all(isinstance(output, Transmit) and output.connection == 7 for output in said)
    return [output.message for output in said if isinstance(output, Transmit)], sent, counters


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


def test_nothing_is_said_to_who_is_not_there_and_it_counts_as_untold() -> None:
    messages, sent, _ = told(Delivery.DELIVERED, Durability.STORED, connected=False)
    assert (messages, sent.told) == ([], False)
