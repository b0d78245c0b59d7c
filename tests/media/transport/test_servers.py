"""STUN and TURN URLs."""

from __future__ import annotations

import pytest

from entrenous.errors import ConfigError
from entrenous.media.settings import IceServer
from entrenous.media.transport.servers import ServerAddress, parse_server


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("stun:stun.example", ServerAddress(False, "stun.example", 3478)),
        ("stun:192.0.2.1:19302", ServerAddress(False, "192.0.2.1", 19302)),
        ("turn:t.example", ServerAddress(True, "t.example", 3478, "udp", False, "user", "word")),
        ("turn:t.example:80?transport=tcp", ServerAddress(True, "t.example", 80, "tcp", False, "user", "word")),
        ("turns:t.example", ServerAddress(True, "t.example", 5349, "tcp", True, "user", "word")),
        ("turn:[2001:db8::1]:3479", ServerAddress(True, "2001:db8::1", 3479, "udp", False, "user", "word")),
    ],
)
def test_urls_are_read(url: str, expected: ServerAddress) -> None:
    credential = ("user", "word") if expected.is_turn else (None, None)
    assert parse_server(IceServer(url, *credential)) == expected


@pytest.mark.parametrize(
    "url",
    ["", "t.example", "http://t.example", "turn:", "turn:a b", "stun:a?transport=udp", "turn:a:0", "turn:a:70000",
     "turns:a?transport=udp", "turn:a?transport=sctp"],
)  # fmt: skip
def test_what_is_no_such_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        parse_server(IceServer(url, "user", "word"))


def test_a_turn_server_needs_a_credential_which_is_not_shown() -> None:
    with pytest.raises(ConfigError):
        parse_server(IceServer("turn:a"))
    assert "word" not in repr(parse_server(IceServer("turn:a", "user", "word")))
