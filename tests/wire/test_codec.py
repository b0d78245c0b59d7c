"""Frames that are messages, and all the others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous_wire.codec import WireError, decode_from_node, decode_from_server, encode
from entrenous_wire.limits import BODY_SIZES, MAX_DELIVERED, MAX_FRAME_BYTES, MAX_TAKEN
from entrenous_wire.messages import Ack, Deliver, Delivered, Error, ErrorCode, Kind, Letter, Message, Publish, Send

SEND = {
    "type": "send",
    "id": "AAAAAAAAAAAAAAAAAAAAAA==",
    "to": "bob@calls.example.org",
    "device": "00112233445566ff",
    "call": "AAAAAAAAAAAAAAAAAAAAAA==",
    "kind": "ring",
    "body": "A" * 1366 + "==",
}


def code_of(frame: str | bytes) -> ErrorCode:
    with pytest.raises(WireError) as error:
        decode_from_node(frame)
    return error.value.code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", ErrorCode.MALFORMED),
        ("{", ErrorCode.MALFORMED),
        ("null", ErrorCode.MALFORMED),
        ("[]", ErrorCode.MALFORMED),
        ('{"type":"ack","seq":1} trailing', ErrorCode.MALFORMED),
        (b'{"type":"fetch-devices","request":1,"address":"\xff\xff\xff"}', ErrorCode.MALFORMED),
        ('{"type":"\ud800"}', ErrorCode.MALFORMED),
        ("[" * 30_000, ErrorCode.MALFORMED),
        ('{"type":"ack","seq":-1}', ErrorCode.MALFORMED),
        ('{"type":"ack","seq":9007199254740993}', ErrorCode.MALFORMED),
        ('{"type":"ack","seq":NaN}', ErrorCode.MALFORMED),
        ('{"type":"ack"}', ErrorCode.MALFORMED),
        ("{}", ErrorCode.UNKNOWN_TYPE),
        ('{"type":"dance"}', ErrorCode.UNKNOWN_TYPE),
        ('{"type":7}', ErrorCode.UNKNOWN_TYPE),
        ('{"type":"hello"}', ErrorCode.UNKNOWN_TYPE),
        (" " * (MAX_FRAME_BYTES + 1), ErrorCode.TOO_LARGE),
    ],
)
def test_what_is_no_message_is_told_apart(frame: str | bytes, code: ErrorCode) -> None:
    assert code_of(frame) is code


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "AAAA"),
        ("id", "not base64"),
        ("to", ""),
        ("device", "00112233445566FF"),
        ("device", "0011223g445566ff"),
        ("device", "00112233445566ff\n"),
        ("kind", "shout"),
        ("body", "AAAA"),
        ("body", "A" * 1370 + "=="),
        ("call", None),
    ],
)
def test_each_field_has_its_shape(field: str, value: object) -> None:
    assert isinstance(decode_from_node(json.dumps(SEND)), Send)
    assert code_of(json.dumps(SEND | {field: value})) is ErrorCode.MALFORMED


def test_a_message_to_be_stored_belongs_to_no_call() -> None:
    message = SEND | {"kind": "message"}
    assert isinstance(decode_from_node(json.dumps(message)), Send)
    assert code_of(json.dumps(message | {"call": "B" + "A" * 21 + "=="})) is ErrorCode.MALFORMED


@pytest.mark.parametrize(
    ("count", "fits"),
    [(0, False), (1, True), (MAX_TAKEN, True), (MAX_TAKEN + 1, False)],
)
def test_so_many_letters_are_taken_at_a_time(count: int, fits: bool) -> None:
    frame = json.dumps({"type": "taken", "ids": [SEND["id"]] * count})
    if fits:
        decode_from_node(frame)
    else:
        assert code_of(frame) is ErrorCode.MALFORMED


@pytest.mark.parametrize(
    ("count", "fits"),
    [(0, False), (1, True), (MAX_DELIVERED, True), (MAX_DELIVERED + 1, False)],
)
def test_so_many_messages_are_told_to_have_arrived_at_a_time(count: int, fits: bool) -> None:
    frame = json.dumps({"type": "delivered", "ids": [SEND["id"]] * count})
    if fits:
        assert decode_from_server(frame) == Delivered(ids=[bytes(16)] * count)
    else:
        with pytest.raises(WireError) as caught:
            decode_from_server(frame)
        assert caught.value.code is ErrorCode.MALFORMED


def test_unknown_fields_of_newer_peers_are_ignored() -> None:
    assert decode_from_node('{"type":"ack","seq":1,"newer":[1,2,{"x":3}]}') == Ack(seq=1)


def deliver(kind: Kind, size: int) -> Deliver:
    return Deliver(
        seq=1,
        id=bytes(16),
        sender="bob@calls.example.org",
        device="00112233445566ff",
        call=bytes(16),
        kind=kind,
        body=bytes(size),
    )


@pytest.mark.parametrize(
    "message",
    [deliver(Kind.SIGNAL, BODY_SIZES[0] + 1), Letter(id=bytes(16), body=bytes(BODY_SIZES[0] + 1))],
    ids=lambda message: type(message).__name__,
)
def test_the_server_cannot_deliver_an_odd_body_either(message: Message) -> None:
    with pytest.raises(WireError, match="padded"):
        decode_from_server(encode(message))


def test_a_stored_message_is_not_delivered_among_those_of_calls() -> None:
    with pytest.raises(WireError, match="letter"):
        decode_from_server(encode(deliver(Kind.MESSAGE, BODY_SIZES[0])))


def test_what_is_too_large_is_not_said() -> None:
    with pytest.raises(WireError) as error:
        encode(Publish(request=1, prekeys=[bytes(60_000)]))
    assert error.value.code is ErrorCode.TOO_LARGE


@given(st.one_of(st.text(), st.binary()))
def test_any_frame_is_a_message_or_a_wire_error(frame: str | bytes) -> None:
    for decode in (decode_from_node, decode_from_server):
        try:
            decode(frame)
        except WireError as error:
            assert error.code in (ErrorCode.MALFORMED, ErrorCode.UNKNOWN_TYPE)


def test_a_refusal_fits_a_frame_whatever_it_quotes() -> None:
    begin, end = '{"type":"send","kind":"', '"}'
    with pytest.raises(WireError) as error:
        decode_from_node(begin + "x" * (MAX_FRAME_BYTES - len(begin) - len(end)) + end)
    assert len(encode(Error(code=error.value.code, message=str(error.value)))) < 1024
