"""NetworkState: what the kernel says is news once, its repetitions are not."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from entrenous import netlink
from entrenous.netlink import NetworkState

NEW_LINK, DEL_LINK, NEW_ADDRESS, DEL_ADDRESS, NEW_ROUTE, DEL_ROUTE = 16, 17, 20, 21, 24, 25
UP = 0x1 | 0x40 | 0x10000


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
    return whole + bytes(-len(whole) % 4)


def link(index: int, flags: int, *, kind: int = NEW_LINK, signal: bytes = b"") -> bytes:
    return message(kind, struct.pack("=BxHiII", 0, 1, index, flags, 0) + attribute(11, signal))


def address(text: str, *, kind: int = NEW_ADDRESS, flags: int = 0, lifetime: bytes = b"") -> bytes:
    packed = socket.inet_aton(text)
    body = struct.pack("=BBBBI", socket.AF_INET, 24, flags, 0, 2)
    return message(kind, body + attribute(1, packed) + attribute(2, packed) + attribute(6, lifetime))


def route(gateway: str, *, kind: int = NEW_ROUTE, table: int = 254, flags: int = 0, expires: bytes = b"") -> bytes:
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 16, 0, 1, flags)
    return message(kind, body + attribute(5, socket.inet_aton(gateway)) + attribute(12, expires))


def test_an_address_is_news_when_it_comes_and_when_it_goes() -> None:
    state = NetworkState()
    assert state.take(address("192.0.2.7"))
    assert not state.take(address("192.0.2.7", lifetime=b"\1" * 16)), "only its lifetime is new"
    assert state.take(address("192.0.2.7", kind=DEL_ADDRESS))
    assert state.take(address("192.0.2.7"))
    assert state.take(address("192.0.2.8"))


def test_an_address_is_news_again_once_it_can_be_used() -> None:
    state = NetworkState()
    assert state.take(address("192.0.2.7", flags=0x40))
    assert state.take(address("192.0.2.7"))
    assert not state.take(address("192.0.2.7", flags=0x80)), "that it is permanent changes nothing"


def test_another_gateway_is_news_though_every_address_stays() -> None:
    state = NetworkState()
    assert state.take(route("192.0.2.1"))
    assert not state.take(route("192.0.2.1", expires=b"\2" * 4))
    assert state.take(route("192.0.2.254"))
    assert state.take(route("192.0.2.1", kind=DEL_ROUTE))


def test_routes_to_ourselves_and_cached_ones_are_no_news() -> None:
    state = NetworkState()
    assert not state.take(route("192.0.2.1", table=255))
    assert not state.take(route("192.0.2.1", flags=0x200))


def test_a_link_is_news_when_it_goes_up_or_down_and_not_for_its_signal() -> None:
    state = NetworkState()
    assert state.take(link(3, UP))
    assert not state.take(link(3, UP, signal=b"-60 dBm "))
    assert not state.take(link(3, UP | 0x100))
    assert state.take(link(3, 0x1))
    assert state.take(link(3, 0x1, kind=DEL_LINK))


def test_several_messages_come_in_one_read() -> None:
    state = NetworkState()
    assert state.take(address("192.0.2.7") + route("192.0.2.1"))
    assert not state.take(address("192.0.2.7") + route("192.0.2.1"))
    assert state.take(address("192.0.2.7") + route("192.0.2.2"))


def test_lost_news_are_news_and_what_they_may_have_been_is_not_taken_for_known() -> None:
    for lose in (lambda state: state.take(message(4, b"")), lambda state: state.forget() or True):
        state = NetworkState()
        assert state.take(address("192.0.2.7"))
        assert lose(state)
        assert state.take(address("192.0.2.7")), "that it went was among what was lost: it has come back"


def test_what_is_remembered_is_bounded() -> None:
    state = NetworkState()
    for index in range(netlink.MAX_KNOWN + 10):
        state.take(link(index, UP))
    assert len(state._known) <= netlink.MAX_KNOWN


@given(st.binary(max_size=200))
def test_nonsense_is_survived(data: bytes) -> None:
    NetworkState().take(data)
    NetworkState().take(message(NEW_ADDRESS, data))
