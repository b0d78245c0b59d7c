"""The handshake of RFC 6455: what is one, and what answers it."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from entrenous_signaling.upgrade import NoUpgrade, accept_key, answer, offers

ASKED = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def asked(**changed: str | None) -> CIMultiDict[str]:
    """The headers of RFC 6455 1.3, some of them changed or left out."""
    headers = {**ASKED, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return CIMultiDict({name: value for name, value in headers.items() if value is not None})


def test_the_example_of_the_rfc() -> None:
    assert accept_key(asked()) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "headers",
    [
        asked(Upgrade="h2c, WebSocket"),
        asked(Connection="keep-alive, upgrade"),
        CIMultiDict((name.lower(), value) for name, value in ASKED.items()),
    ],
)
def test_ways_to_say_the_same(headers: CIMultiDict[str]) -> None:
    assert accept_key(headers) == accept_key(asked())


@pytest.mark.parametrize(
    "headers",
    [
        *(asked(**{name.replace("-", "_"): None}) for name in ASKED if name != "Host"),
        asked(Upgrade="h2c"),
        asked(Connection="close"),
        asked(Sec_WebSocket_Version="8"),
        asked(Sec_WebSocket_Version="13, 8"),
        *(
            asked(Sec_WebSocket_Key=key)
            for key in ("", "AA==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==é", 24 * "!")
        ),
    ],
)
def test_what_is_no_such_request(headers: CIMultiDict[str]) -> None:
    with pytest.raises(NoUpgrade):
        accept_key(headers)


@pytest.mark.parametrize(
    ("said", "offered"),
    [("a.v1", True), ("b, a.v1", True), ("b,a.v1 ,c", True), ("", False), ("a.v10", False), ("A.V1", False)],
)
def test_subprotocols_that_are_offered(said: str, offered: bool) -> None:
    assert offers(asked(Sec_WebSocket_Protocol=said), "a.v1") is offered
    assert not offers(asked(), "a.v1")


def test_the_answer_is_a_whole_head_and_accepts_no_extension() -> None:
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: x=\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    )
    assert answer("x=", None, 784111777.9) == (head + "\r\n").encode()
    assert answer("x=", "a.v1", 784111777.9) == (head + "Sec-WebSocket-Protocol: a.v1\r\n\r\n").encode()
