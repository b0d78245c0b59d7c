"""The ways to a server: whose an address is, and what is made of each failure; whole connections are in test_link."""

from __future__ import annotations

import collections
import errno
import socket

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from entrenous import NodeConfig, RequestRefused, ServerUnreachable
from entrenous.link_ways import (
    ATTEMPTS,
    PersistentResolver,
    given_up,
    is_ours,
    is_without_network,
    refusal,
    retry_after,
    tls_context,
    why_not_connected,
)
from entrenous.protocol.session_outputs import GaveUp, RequestFailed
from entrenous_wire.messages import ErrorCode


def test_whose_an_address_is() -> None:
    assert is_ours(("127.0.0.1", 4242))
    assert not is_ours(("192.0.2.77", 4242))
    assert not is_ours(None)


async def test_every_address_of_a_host_is_tried_more_than_once() -> None:
    found = await PersistentResolver().resolve("localhost", 443, socket.AF_UNSPEC)
    assert "127.0.0.1" in {each["host"] for each in found}
    assert set(collections.Counter(each["host"] for each in found).values()) == {ATTEMPTS}
    with pytest.raises(OSError, match=r"."):
        await PersistentResolver().resolve("nobody.invalid", 443)


def test_a_missing_network_says_nothing_about_the_server() -> None:
    assert is_without_network(OSError(errno.ENETUNREACH, "Network is unreachable"))
    assert not is_without_network(OSError(errno.ECONNREFUSED, "Connection refused"))
    assert not is_without_network(TimeoutError())
    assert not is_without_network(aiohttp.ClientError())


@pytest.mark.parametrize("error", [TimeoutError(), OSError("x"), aiohttp.ClientError("x")])
def test_every_failure_is_a_sentence_about_the_server(error: Exception) -> None:
    text = why_not_connected(error, "calls.example.org")
    assert text.startswith("calls.example.org")
    assert text.endswith(".")


def handshake_error(status: int, **headers: str) -> aiohttp.WSServerHandshakeError:
    info = aiohttp.RequestInfo(URL("ws://x"), "GET", CIMultiDictProxy(CIMultiDict()), URL("ws://x"))
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return aiohttp.WSServerHandshakeError(info, (), status=status, message="x", headers=given)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("²", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("", 0.0),
    ],
)
def test_what_a_server_asks_for_is_read_as_whole_seconds(text: str, seconds: float) -> None:
    for status in (503, 429):
        assert retry_after(handshake_error(status, Retry_After=text)) == seconds
    assert retry_after(handshake_error(503)) == retry_after(TimeoutError()) == 0.0


def test_a_server_that_has_too_much_to_do_is_told_from_one_that_is_something_else() -> None:
    assert "too much to do" in why_not_connected(handshake_error(503), "x.example")
    assert "too much to do" in why_not_connected(handshake_error(429), "x.example")
    assert "no entrenous server (HTTP 404)" in why_not_connected(handshake_error(404), "x.example")


def test_a_refusal_and_silence_are_told_apart() -> None:
    assert isinstance(refusal(RequestFailed(1, ErrorCode.UNAVAILABLE, "x")), ServerUnreachable)
    for pause in (None, 60.0):
        refused = refusal(RequestFailed(1, ErrorCode.NO_RELAY, "x", pause))
        assert isinstance(refused, RequestRefused)
        assert (refused.code, refused.retry_after) == ("no-relay", pause)
    assert isinstance(given_up(GaveUp(None, "x")), ServerUnreachable)
    assert isinstance(given_up(GaveUp(ErrorCode.UNKNOWN_USER, "x")), RequestRefused)


def test_on_this_machine_there_is_nothing_to_check() -> None:
    assert tls_context(NodeConfig(server="ws://127.0.0.1:8440")) is True
