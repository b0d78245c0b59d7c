"""What may stand in a wire message, and what a message never shows."""

from __future__ import annotations

import typing

import msgspec
import pytest

from entrenous_wire import messages
from entrenous_wire.codec import decode_from_node, decode_from_server, encode
from entrenous_wire.messages import (
    Accepted,
    Ack,
    DeleteAccount,
    Deleted,
    Deliver,
    Delivered,
    DeviceEntry,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    Hello,
    Kind,
    Leave,
    Letter,
    Live,
    LiveCall,
    Login,
    Message,
    NoLetters,
    Publish,
    Published,
    Register,
    RegistrationPolicy,
    Resume,
    Send,
    Taken,
    Turn,
    TurnRequest,
    Welcome,
)

ID, CALL, TOKEN, DEVICE, ADDRESS = b"i" * 16, b"c" * 16, b"t" * 16, "00112233445566ff", "bob@calls.example.org"
FROM_NODE: list[Message] = [
    Login(address=ADDRESS, device=DEVICE, certificate=b"c", signature=bytes(64)),
    Register(
        username="bob",
        identity_key=bytes(32),
        certificate=b"c",
        prekeys=[b"p"],
        identity_signature=bytes(64),
        signature=bytes(64),
        invite="code",
    ),
    Resume(token=bytes(32), last_seq=7),
    Leave(),
    Publish(request=1, prekeys=[b"p", b"q"]),
    FetchDevices(request=2, address=ADDRESS),
    Send(id=ID, to=ADDRESS, device=DEVICE, call=CALL, kind=Kind.ACCEPT, body=bytes(1024), record=TOKEN),
    Ack(seq=3),
    Live(calls=[LiveCall(call=CALL, record=TOKEN, peer=ADDRESS, device=DEVICE)]),
    Taken(ids=[ID, CALL]),
    DeleteAccount(request=5, signature=bytes(64)),
    TurnRequest(request=4),
]
FROM_SERVER: list[Message] = [
    Hello(server="calls.example.org", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.INVITE),
    Welcome(token=bytes(32), address=ADDRESS, resumed=True),
    Published(request=1),
    Devices(request=2, address=ADDRESS, identity_key=bytes(32), devices=[DeviceEntry(certificate=b"c", prekey=b"p")]),
    Accepted(id=ID, record=TOKEN),
    Delivered(id=ID),
    Deliver(seq=1, id=ID, sender=ADDRESS, device=DEVICE, call=CALL, kind=Kind.END, body=bytes(2048), record=TOKEN),
    Letter(id=ID, body=bytes(1024)),
    NoLetters(),
    Deleted(request=5),
    Turn(request=4, urls=["turn:192.0.2.1:3478"], username="u", password="hush", ttl=600),
    Error(code=ErrorCode.OFFLINE, message="The device is not connected.", id=ID, retry_after=1.5),
]


def tags(union: object) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in typing.get_args(union)}


def test_every_message_has_its_sample_here() -> None:
    assert {str(type(message).__struct_config__.tag) for message in FROM_NODE} == tags(messages.FromNode)
    assert {str(type(message).__struct_config__.tag) for message in FROM_SERVER} == tags(messages.FromServer)


def test_no_type_is_said_in_both_directions() -> None:
    assert not tags(messages.FromNode) & tags(messages.FromServer)


@pytest.mark.parametrize("message", FROM_NODE, ids=lambda message: type(message).__name__)
def test_what_a_node_says_comes_back_the_same(message: Message) -> None:
    assert decode_from_node(encode(message)) == message


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda message: type(message).__name__)
def test_what_a_server_says_comes_back_the_same(message: Message) -> None:
    assert decode_from_server(encode(message)) == message


def test_messages_do_not_change() -> None:
    with pytest.raises(AttributeError):
        FROM_NODE[0].address = "eve@calls.example.org"  # type: ignore[attr-defined]  # it is frozen: that is the test


@pytest.mark.parametrize(
    "message",
    [
        msgspec.structs.replace(FROM_NODE[1], invite="SECRET"),
        Resume(token=b"SECRET".ljust(32), last_seq=1),
        Live(calls=[LiveCall(call=CALL, record=b"SECRET".ljust(16), peer=ADDRESS, device=DEVICE)]),
        Welcome(token=b"SECRET".ljust(32), address=ADDRESS),
        Turn(request=4, urls=[], username="SECRET", password="SECRET", ttl=600),
    ],
    ids=lambda message: type(message).__name__,
)
def test_secrets_are_not_shown(message: Message) -> None:
    assert "SECRET" not in repr(message)


def test_field_names_are_part_of_the_protocol() -> None:
    sent = msgspec.json.decode(encode(FROM_NODE[6]))
    assert sorted(sent) == ["body", "call", "device", "id", "kind", "record", "to", "type"]
    assert sent["type"] == "send"
    assert sent["kind"] == "accept"
