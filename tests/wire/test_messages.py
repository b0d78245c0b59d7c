"""What may stand in a wire message, and what a message never shows."""

from __future__ import annotations

import typing

import msgspec
import pytest

from entrenous_wire import messages
from entrenous_wire.codec import decode_from_node, decode_from_server, encode
from entrenous_wire.messages import (
    Accepted,
    Deliver,
    Live,
    LiveCall,
    Message,
    Resume,
    Turn,
    Welcome,
)
from world.samples import ADDRESS, CALL, DEVICE, FROM_NODE, FROM_SERVER


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
        *(
            msgspec.structs.replace(sample, record=b"SECRET".ljust(16))
            for sample in FROM_SERVER
            if isinstance(sample, Accepted | Deliver)
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_secrets_are_not_shown(message: Message) -> None:
    assert "SECRET" not in repr(message)


def test_field_names_are_part_of_the_protocol() -> None:
    sent = msgspec.json.decode(encode(FROM_NODE[6]))
    assert sorted(sent) == ["body", "call", "device", "id", "kind", "to", "type"]
    assert sent["type"] == "send"
    assert sent["kind"] == "accept"
