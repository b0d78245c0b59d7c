"""Held messages keep their order whatever happens to them."""

from __future__ import annotations

from entrenous.protocol.outbox import MAX_HELD, RESERVED, Outbox
from entrenous_wire.messages import Kind, Send


def message(number: int, device: str = "b" * 16, kind: Kind = Kind.SIGNAL, call: bytes = bytes(16)) -> Send:
    return Send(id=number.to_bytes(16), to="bob@x", device=device, call=call, kind=kind, body=bytes(1024))


def test_messages_are_said_once_and_in_order() -> None:
    outbox = Outbox(60.0)
    one, two, three = message(1), message(2), message(3)
    assert outbox.hold(one, 0.0)
    assert outbox.hold(two, 0.0)
    assert outbox.take_sayable(0.0) == [one, two]
    assert outbox.hold(three, 0.0)
    assert outbox.take_sayable(0.0) == [three]
    assert outbox.take_sayable(0.0) == []
    outbox.settle(two.id)
    outbox.rewind()
    assert outbox.take_sayable(0.0) == [one, three]


def test_a_refusal_stops_everything_to_that_device_only() -> None:
    outbox = Outbox(60.0)
    one, two, other = message(1), message(2), message(3, device="c" * 16)
    outbox.hold(one, 0.0)
    outbox.take_sayable(0.0)
    assert outbox.refuse(one.id, 5.0)
    outbox.hold(two, 1.0)
    outbox.hold(other, 1.0)
    assert outbox.take_sayable(1.0) == [other]
    assert outbox.next_deadline() == 5.0
    assert outbox.take_sayable(5.0) == [one, two]
    assert not outbox.refuse(b"?" * 16, 9.0)


def test_a_later_refusal_does_not_shorten_an_earlier_one() -> None:
    outbox = Outbox(60.0)
    for number in (1, 2):
        outbox.hold(message(number), 0.0)
    outbox.take_sayable(0.0)
    outbox.refuse(message(1).id, 5.0)
    outbox.refuse(message(2).id, 2.0)
    assert outbox.take_sayable(2.0) == []


def test_a_device_is_owed_something_until_all_of_it_is_delivered() -> None:
    outbox = Outbox(60.0)
    outbox.hold(message(1), 0.0)
    outbox.hold(message(2), 0.0)
    receiver = (message(1).to, message(1).device)
    outbox.settle(message(1).id)
    assert outbox.holds_for(receiver)
    assert not outbox.holds_for((message(1).to, "another"))
    outbox.settle(message(2).id)
    assert not outbox.holds_for(receiver)


def test_what_is_held_is_bounded_in_number_and_time() -> None:
    outbox = Outbox(60.0)
    for number in range(MAX_HELD - RESERVED):
        assert outbox.hold(message(number), float(number))
    assert not outbox.hold(message(MAX_HELD), 0.0)
    for number in range(MAX_HELD - RESERVED, MAX_HELD):
        kind = (Kind.RING, Kind.ACCEPT, Kind.END)[number % 3]
        assert outbox.hold(message(number, kind=kind), float(number)), "what calls begin and end with has room"
    assert not outbox.hold(message(MAX_HELD, kind=Kind.END), 0.0)
    assert outbox.next_deadline() == 60.0
    assert outbox.take_expired(61.0) == [message(0), message(1)]
    assert len(outbox) == MAX_HELD - 2


def test_it_knows_whether_an_end_is_on_its_way() -> None:
    outbox = Outbox(60.0)
    call = b"c" * 16
    outbox.hold(message(1, call=call), 0.0)
    assert not outbox.holds_end(call)
    outbox.hold(message(2, call=call, kind=Kind.END), 0.0)
    assert outbox.holds_end(call)
    assert not outbox.holds_end(b"d" * 16)
    assert outbox.settle(message(2).id)
    assert not outbox.settle(message(2).id)
    assert not outbox.holds_end(call)
    assert outbox.confirm(message(1).id) == message(1, call=call)
    assert outbox.confirm(message(2).id) is None


def test_accepts_of_one_call_can_be_taken_back() -> None:
    outbox = Outbox(60.0)
    seen, unseen = message(1, kind=Kind.ACCEPT), message(2, kind=Kind.ACCEPT)
    other, signal = message(3, kind=Kind.ACCEPT, call=b"d" * 16), message(4)
    for held in (seen, unseen, other, signal):
        assert outbox.hold(held, 0.0)
    assert outbox.confirm(seen.id) == seen
    assert outbox.confirm(b"?" * 16) is None
    assert outbox.take_accepts(seen.call, confirmed_only=True) == [seen]
    assert outbox.take_accepts(seen.call, confirmed_only=False) == [unseen]
    assert outbox.take_sayable(0.0) == [other, signal]
