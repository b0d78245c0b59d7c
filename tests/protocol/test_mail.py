"""What a session carries; the scripts of whole sessions are in test_session_messages."""

from __future__ import annotations

import math

import pytest

from entrenous.protocol.mail import Mail
from entrenous.protocol.session_outputs import (
    Arrived,
    LetterArrived,
    NothingStored,
    SendDelivered,
    SendFailed,
    SessionOutput,
    Transmit,
)
from entrenous_wire.limits import ACK_SECONDS
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deliver,
    Delivered,
    Error,
    ErrorCode,
    Kind,
    Letter,
    Live,
    LiveCall,
    NoLetters,
    Send,
)

CALL, RECORD = b"c" * 16, b"r" * 16


def send(number: int, kind: Kind = Kind.SIGNAL) -> Send:
    id_ = number.to_bytes(16)
    call = id_ if kind is Kind.MESSAGE else CALL
    return Send(id=id_, to="bob@x", device="b" * 16, call=call, kind=kind, body=bytes(1024))


def told() -> tuple[Mail, list[SessionOutput]]:
    outputs: list[SessionOutput] = []
    return Mail(60.0, outputs.append), outputs


def test_what_is_stored_is_settled_by_being_accepted_and_what_is_routed_is_not() -> None:
    mail, outputs = told()
    for message in (send(1), send(2, Kind.MESSAGE)):
        mail.hold(message, 0.0)
    mail.say(0.0)
    assert outputs == [Transmit(send(1)), Transmit(send(2, Kind.MESSAGE))]
    assert mail.holds_for("bob@x", "b" * 16)
    outputs.clear()
    mail.take(Accepted(id=send(1).id), 0.0)
    mail.take(Accepted(id=send(2).id), 0.0)
    assert outputs == [SendDelivered(send(2).id)]
    assert mail.held == 1


def test_what_arrives_is_told_once_and_acknowledged_each_time() -> None:
    mail, outputs = told()
    message = Deliver(
        seq=4,
        id=b"i" * 16,
        sender="bob@x",
        device="b" * 16,
        call=CALL,
        kind=Kind.ACCEPT,
        body=bytes(1024),
        record=RECORD,
    )
    mail.take(message, 0.0)
    mail.take(message, 0.0)
    assert outputs == [Arrived(message), Transmit(Ack(seq=4)), Transmit(Ack(seq=4))]
    outputs.clear()
    mail.welcomed(resumed=True)
    assert mail.last_seq == 4
    mail.welcomed(resumed=False)
    assert mail.last_seq == 0
    claim = Transmit(Live(calls=[LiveCall(call=CALL, record=RECORD, peer="bob@x", device="b" * 16)]))
    assert outputs == [claim, claim]


def test_letters_are_passed_on_as_they_come() -> None:
    mail, outputs = told()
    letter = Letter(id=b"l" * 16, body=bytes(1024))
    for _ in range(2):
        mail.take(letter, 0.0)
    mail.take(NoLetters(), 0.0)
    assert outputs == [LetterArrived(letter), LetterArrived(letter), NothingStored()]


def test_a_refusal_is_for_now_or_for_good() -> None:
    mail, outputs = told()
    mail.hold(send(1), 0.0)
    mail.say(0.0)
    outputs.clear()
    error = Error(code=ErrorCode.UNAVAILABLE, message="No.")
    mail.refused(send(1).id, error, 5.0)
    mail.say(4.0)
    assert not outputs
    mail.say(5.0)
    assert outputs == [Transmit(send(1))]
    mail.refused(send(1).id, error, None)
    assert outputs[1:] == [SendFailed(send(1).id, ErrorCode.UNAVAILABLE, "No.")]
    mail.refused(send(1).id, error, None)
    assert len(outputs) == 2


def test_what_is_kept_for_too_long_fails() -> None:
    mail, outputs = told()
    mail.hold(send(1), 0.0)
    assert mail.next_deadline() == 60.0
    mail.fail_expired(59.0, "Late.")
    assert not outputs
    mail.fail_expired(math.inf, "Over.")
    assert outputs == [SendFailed(send(1).id, ErrorCode.UNAVAILABLE, "Over.")]


def test_all_messages_that_are_delivered_together_are_settled() -> None:
    mail, outputs = told()
    for number in (1, 2, 3):
        mail.hold(send(number), 0.0)
    mail.take(Delivered(ids=[send(3).id, b"?" * 16, send(1).id]), 0.0)
    assert outputs == [SendDelivered(send(3).id), SendDelivered(send(1).id)]
    assert mail.held == 1


def test_what_is_owed_first_is_due_first() -> None:
    mail, outputs = told()
    signal = Deliver(
        seq=4, id=b"i" * 16, sender="bob@x", device="b" * 16, call=CALL, kind=Kind.SIGNAL, body=bytes(1024)
    )
    assert mail.next_deadline() is None
    mail.take(signal, 10.0)
    assert mail.next_deadline() == 10.0 + ACK_SECONDS
    mail.hold(send(1), 10.0 + ACK_SECONDS - 60.0 - 0.001)
    assert mail.next_deadline() == pytest.approx(10.0 + ACK_SECONDS - 0.001)
    outputs.clear()
    mail.acknowledge(10.0)
    assert outputs == []
    mail.acknowledge(10.0 + ACK_SECONDS)
    mail.acknowledge(math.inf)
    assert outputs == [Transmit(Ack(seq=4))]
    mail.acknowledge_again(50.0)
    mail.rewind()
    mail.acknowledge(math.inf)
    assert outputs == [Transmit(Ack(seq=4))]
