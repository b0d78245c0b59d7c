"""STUN messages: the test vectors of RFC 5769, round trips, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.transport.stun import Address, Attribute, Class, Message, Method, long_term_key, parse

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
"""RFC 5769 §2.1."""

RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
"""RFC 5769 §2.2."""

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes(range(12))


def test_the_vectors_of_the_rfc_are_read() -> None:
    request = parse(REQUEST)
    assert (request.method, request.kind) == (Method.BINDING, Class.REQUEST)
    assert request.attributes[Attribute.USERNAME] == b"evtj:h6vY"
    assert request.number(Attribute.PRIORITY) == 0x6E0001FF
    assert request.number(Attribute.ICE_CONTROLLED, 8) == 0x932FF9B151263B36
    assert request.is_authentic(PASSWORD)
    assert not request.is_authentic(b"another")
    response = parse(RESPONSE)
    assert response.address(Attribute.XOR_MAPPED_ADDRESS) == Address("192.0.2.1", 32853)
    assert response.is_authentic(PASSWORD)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_what_is_written_is_read(host: str) -> None:
    message = Message(Method.ALLOCATE, Class.ERROR, TRANSACTION)
    message.put_address(Attribute.XOR_PEER_ADDRESS, Address(host, 4711))
    message.put_error(438, "Stale Nonce")
    message.put_number(Attribute.CHANNEL_NUMBER, 0x4000, 2)
    message.attributes[Attribute.NONCE] = b"odd"
    read = parse(message.encode(b"key"))
    assert read.address(Attribute.XOR_PEER_ADDRESS) == Address(host, 4711)
    assert read.error_code == 438
    assert read.number(Attribute.CHANNEL_NUMBER, 2) == 0x4000
    assert read.number(Attribute.CHANNEL_NUMBER) is None
    assert read.attributes[Attribute.NONCE] == b"odd"
    assert read.transaction == TRANSACTION
    assert read.is_authentic(b"key")


def test_what_is_not_signed_is_not_authentic_and_not_read() -> None:
    plain = parse(Message(Method.BINDING, Class.REQUEST, TRANSACTION).encode())
    assert not plain.is_authentic(b"key")
    message = Message(Method.BINDING, Class.REQUEST, TRANSACTION, {Attribute.MESSAGE_INTEGRITY: bytes(20)})
    message.attributes[Attribute.USE_CANDIDATE] = b""
    read = parse(message.encode())
    assert Attribute.USE_CANDIDATE not in read.attributes
    assert not read.is_authentic(b"key")


def test_absent_and_malformed_values_are_none() -> None:
    message = Message(Method.BINDING, Class.REQUEST, TRANSACTION)
    assert message.error_code is None
    assert message.address(Attribute.XOR_MAPPED_ADDRESS) is None
    for value in (b"", b"\0\1", b"\0\2\0\0\0\0\0\0", b"\0\1" + bytes(18)):
        message.attributes[Attribute.XOR_MAPPED_ADDRESS] = value
        assert message.address(Attribute.XOR_MAPPED_ADDRESS) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:-1],
        REQUEST + b"\0\0\0\0",
        REQUEST[:4] + b"\0" + REQUEST[5:],
        REQUEST[:-1] + b"\0",
        b"\x3e\x01" + REQUEST[2:],
        b"\0\1\0\4" + REQUEST[4:20] + b"\0\6\0\x09",
        b"\0\1\0\x84" + REQUEST[4:20] + b"\0\6\0\0" * 33,
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(data)


@given(st.binary(max_size=80), st.binary(max_size=200))
def test_nothing_else_is_ever_raised(head: bytes, tail: bytes) -> None:
    for data in (head + tail, REQUEST[:2] + len(tail).to_bytes(2, "big") + REQUEST[4:20] + tail):
        try:
            parse(data).is_authentic(PASSWORD)
        except RemoteProtocolError:
            continue


def test_the_key_of_a_turn_user() -> None:
    # RFC 8489 §9.2.2.
    assert long_term_key("user", b"realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"
