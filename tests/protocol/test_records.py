"""Which records a device claims, and for how long."""

from __future__ import annotations

from entrenous.protocol.outbox import Outbox
from entrenous.protocol.records import Records
from entrenous_wire.limits import MAX_LIVE_CALLS
from entrenous_wire.messages import Kind, LiveCall, Send

CALL = b"c" * 16


def record(call: bytes = CALL, device: str = "b" * 16, *, over: bool = False) -> LiveCall:
    return LiveCall(call=call, record=b"r" * 16, peer="bob@x", device=device, over=over)


def test_the_first_device_to_accept_is_the_one_that_counts() -> None:
    records = Records()
    records.open(record())
    records.open(record(device="c" * 16))
    assert records.live() == [record()]
    records.ended_by(CALL, "bob@x", "c" * 16)
    assert records.live() == [record()]
    records.ended_by(CALL, "bob@x", "b" * 16)
    assert records.live() == []


def test_a_finished_call_is_claimed_until_its_end_is_out() -> None:
    records, outbox = Records(), Outbox(60.0)
    end = Send(id=b"m" * 16, to="bob@x", device="b" * 16, call=CALL, kind=Kind.END, body=bytes(1024))
    records.open(record())
    outbox.hold(end, 0.0)
    records.finish(CALL)
    records.tidy(outbox)
    assert records.live() == [record(over=True)]
    outbox.settle(end.id)
    records.tidy(outbox)
    assert records.live() == []


def test_an_end_to_another_device_that_is_still_on_its_way_claims_nothing() -> None:
    records, outbox = Records(), Outbox(60.0)
    for number, device in enumerate(("b" * 16, "c" * 16)):
        message_id = bytes([number]) * 16
        outbox.hold(Send(id=message_id, to="bob@x", device=device, call=CALL, kind=Kind.END, body=bytes(1024)), 0.0)
    records.open(record())
    records.finish(CALL)
    records.tidy(outbox)
    assert records.live() == [record(over=True)]
    outbox.settle(bytes(16))
    records.tidy(outbox)
    assert records.live() == []
    assert outbox.holds_end(CALL)


def test_a_record_that_comes_after_the_end_is_not_claimed() -> None:
    records = Records()
    records.finish(CALL)
    records.open(record())
    assert records.live() == []


def test_claims_are_bounded() -> None:
    records = Records()
    for number in range(MAX_LIVE_CALLS + 3):
        records.open(record(call=number.to_bytes(16)))
    assert len(records.live()) == MAX_LIVE_CALLS
    for number in range(1000):
        records.finish(number.to_bytes(16))
    assert len(records.__dict__["_finished"]) < 1000
