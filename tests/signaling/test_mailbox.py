"""The queue of one device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import Delivery, DeviceKey, Durability, Mailbox, Queued, Sent
from entrenous_wire.messages import Deliver, Kind

ALICE, BOB = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16)
BOUNDS = Bounds(queue_messages=5, queue_bytes=8192, sender_messages=4, window_bytes=2048, remembered=3)


def item(mailbox: Mailbox, sender: DeviceKey = ALICE, size: int = 1024) -> Queued:
    seq = mailbox.next_seq()
    message = Deliver(
        seq=seq,
        id=seq.to_bytes(16, "big"),
        sender=f"{sender.username}@h",
        device=sender.device,
        call=bytes(16),
        kind=Kind.SIGNAL,
        body=bytes(size),
    )
    return Queued(message, sender)


def transmitted(mailbox: Mailbox) -> list[int]:
    return [message.seq for message in mailbox.take_for_transmission()]


def test_the_window_lets_out_so_much_and_acknowledgements_the_rest() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    for _ in range(4):
        mailbox.put(item(mailbox))
    assert transmitted(mailbox) == [1, 2]
    assert mailbox.last_transmitted == 2
    assert [done.message.seq for done in mailbox.acknowledge(1)] == [1]
    assert transmitted(mailbox) == [3]
    assert mailbox.count == 3


def test_a_message_larger_than_the_window_goes_alone() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    mailbox.put(item(mailbox, size=4096))
    mailbox.put(item(mailbox))
    assert transmitted(mailbox) == [1]


def test_the_bounds_are_in_messages_bytes_and_per_sender() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    for _ in range(4):
        assert mailbox.has_room(ALICE, 1024)
        mailbox.put(item(mailbox))
    assert not mailbox.has_room(ALICE, 1024)
    eve = DeviceKey("eve", "e" * 16)
    assert mailbox.has_room(eve, 4096)
    assert not mailbox.has_room(eve, 8192)
    mailbox.put(item(mailbox, eve))
    assert not mailbox.has_room(eve, 1)
    assert len(mailbox.clear()) == 5
    assert mailbox.has_room(ALICE, 8192)


def test_the_memory_of_what_was_sent_is_bounded() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    for number in range(5):
        mailbox.remember(bytes([number]), Sent(Delivery.QUEUED, Durability.STORED, b"", BOB))
    assert list(mailbox.sent) == [b"\2", b"\3", b"\4"]


@given(st.lists(st.sampled_from(["put", "pump", "ack", "cut"]), max_size=60), st.randoms())
def test_whatever_happens_order_is_kept_and_nothing_is_lost(steps: list[str], chance: object) -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", Bounds())
    put, acknowledged = 0, 0
    for step in steps:
        match step:
            case "put":
                mailbox.put(item(mailbox))
                put += 1
            case "pump":
                numbers = transmitted(mailbox)
                assert numbers == sorted(numbers)
            case "ack":
                seq = (acknowledged + mailbox.last_transmitted + 1) // 2
                done = [queued.message.seq for queued in mailbox.acknowledge(seq)]
                assert done == list(range(acknowledged + 1, seq + 1))
                acknowledged = seq
            case "cut":
                mailbox.rewind()
        assert mailbox.count == put - acknowledged
    mailbox.rewind()
    assert [queued.message.seq for queued in mailbox.clear()] == list(range(acknowledged + 1, put + 1))


def test_what_the_sender_was_told_nothing_of_is_forgotten_last() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    for number in range(5):
        told = number in (1, 3)
        mailbox.remember(bytes([number]), Sent(Delivery.DELIVERED, Durability.STORED, b"", BOB, told=told))
    assert list(mailbox.sent) == [b"\0", b"\2", b"\4"]


def test_what_is_not_wanted_any_more_makes_room_in_flight_and_waiting() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    eve = DeviceKey("eve", "e" * 16)
    for sender in (ALICE, eve, ALICE, eve):
        mailbox.put(item(mailbox, sender))
    assert transmitted(mailbox) == [1, 2]
    assert [dropped.message.seq for dropped in mailbox.drop(lambda one: one.sender == ALICE)] == [1, 3]
    assert mailbox.count == 2
    assert transmitted(mailbox) == [4], "the window has room again"
    assert [done.message.seq for done in mailbox.acknowledge(4)] == [2, 4]
    assert mailbox.drop(lambda _: True) == []
    assert mailbox.has_room(ALICE, 8192)


def test_a_session_that_was_somewhere_else_gets_what_waits_under_other_numbers() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS, 1)
    for _ in range(3):
        mailbox.put(item(mailbox))
    assert transmitted(mailbox) == [1, 2]
    mailbox.continue_from(40, 2)
    assert (mailbox.box, mailbox.last_transmitted, mailbox.next_seq()) == (2, 40, 44)
    assert transmitted(mailbox) == [41, 42]
    assert [done.message.id[-1] for done in mailbox.acknowledge(41)] == [1]
    assert not mailbox.is_settled_by(40)


def test_what_was_told_is_forgotten_when_the_mailbox_ages_for_the_second_time() -> None:
    mailbox = Mailbox(BOB, "bob@calls.example.org", BOUNDS)
    mailbox.remember(b"told", Sent(Delivery.DELIVERED, Durability.STORED, b"call", ALICE, told=True))
    mailbox.remember(b"under way", Sent(Delivery.QUEUED, Durability.STORED, b"call", ALICE))
    mailbox.hold_back(ALICE, b"refused", 10.0)
    mailbox.age(10.0)
    assert list(mailbox.sent) == [b"told", b"under way"]
    assert mailbox.held_back is not None
    mailbox.age(20.0)
    assert list(mailbox.sent) == [b"under way"]
    assert (mailbox.held_back, mailbox.ageing) == (None, True)
    mailbox.sent[b"under way"].told = True
    mailbox.age(30.0)
    assert mailbox.ageing
    mailbox.age(40.0)
    assert (list(mailbox.sent), mailbox.ageing) == ([], False)
