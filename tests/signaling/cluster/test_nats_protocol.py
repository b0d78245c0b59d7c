"""NATS' protocol: what a server says however it is cut, what is said to it, and what is none of it."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.cluster.bus import ClusterError
from entrenous_signaling.cluster.nats_protocol import (
    LARGEST_PARCEL,
    Arrived,
    Credentials,
    Info,
    Parser,
    Ping,
    Pong,
    Refused,
    Said,
    greeting,
    message,
)

SESSION = (
    b'INFO {"server_id":"N","version":"2.9.10","tls_required":true,"auth_required":true,"max_payload":1048576} \r\n'
    b"+OK\r\nPING\r\nMSG entrenous.all 1 5\r\na\r\nbc\r\nMSG entrenous.00 2 _INBOX.x 0\r\n\r\npong\r\n"
    b"-ERR 'Slow Consumer'\r\n"
)
SAID: list[Said] = [
    Info(tls_required=True, auth_required=True, max_payload=1048576),
    Ping(),
    Arrived("entrenous.all", b"a\r\nbc"),
    Arrived("entrenous.00", b""),
    Pong(),
    Refused("'Slow Consumer'"),
]


@given(st.lists(st.integers(0, len(SESSION)), max_size=12))
def test_it_is_understood_however_it_is_cut(cuts: list[int]) -> None:
    parser, heard = Parser(), list[Said]()
    edges = [0, *sorted(cuts), len(SESSION)]
    for begin, end in itertools.pairwise(edges):
        heard += parser.feed(SESSION[begin:end])
    assert heard == SAID
    assert parser.is_between


def test_it_knows_when_a_word_is_not_over() -> None:
    for words in (b"PIN", b"MSG a 1 3\r\n", b"MSG a 1 3\r\nabc\r"):
        parser = Parser()
        parser.feed(words)
        assert not parser.is_between


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x16\x03\x01\r\n",
        b"\r\n",
        b"MSG a 1\r\n",
        b"MSG a 1 -1\r\n",
        b"MSG a 1 %d\r\n" % (LARGEST_PARCEL + 1),
        b"MSG a x 5\r\n",
        b"MSG a  1 5\r\n",
        b"MSG  1 5\r\n",
        b"MSG a 1  5\r\n",
        b"MSG a 1 b c 5\r\n",
        b"MSG a 1 +5\r\n",
        b"MSG a 1 3\r\nabcde",
        b"INFO {\r\n",
        b"INFO []\r\n",
        b'INFO {"max_payload":"much"}\r\n',
        b"x" * 40_000,
    ],
)
def test_what_no_nats_server_says_is_refused(words: bytes) -> None:
    with pytest.raises(ClusterError):
        Parser().feed(words)


WORDS = st.sampled_from([b"MSG a 1 ", b"3", b"\r\n", b"abc", b"PING", b"INFO {}", b"-ERR ", b" ", b"\0", b"+OK"])


@given(st.lists(WORDS | st.binary(max_size=3), max_size=12).map(b"".join))
def test_any_bytes_are_understood_or_refused_alike_at_once_and_one_by_one(words: bytes) -> None:
    def outcome(pieces: list[bytes]) -> list[Said] | None:
        parser, heard = Parser(), list[Said]()
        try:
            for piece in pieces:
                heard += parser.feed(piece)
        except ClusterError:
            return None
        return heard

    assert outcome([words]) == outcome([words[at : at + 1] for at in range(len(words))])


@pytest.mark.parametrize(
    ("why", "credentials", "permissions"),
    [
        ("'Authorization Violation'", True, False),
        ("'Authentication Timeout'", True, False),
        ("'Permissions Violation for Subscription to \"entrenous.all\"'", False, True),
        ("'Slow Consumer'", False, False),
    ],
)
def test_refusals_are_told_apart(why: str, credentials: bool, permissions: bool) -> None:
    refused = Refused(why)
    assert (refused.is_about_credentials, refused.is_about_permissions) == (credentials, permissions)


def test_credentials_are_a_user_or_a_token_and_not_shown() -> None:
    user, token = Credentials.parse("node:a:b"), Credentials.parse("sesame")
    assert (user.user, user.password, user.token) == ("node", "a:b", None)
    assert (token.user, token.password, token.token) == (None, None, "sesame")
    assert "a:b" not in repr(user)
    assert "sesame" not in repr(token)


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("node:hush", {"user": "node", "pass": "hush"}),
        ("sesame", {"auth_token": "sesame"}),
    ],
)
def test_a_greeting_says_who_listens_on_what_and_asks_whether_that_was_taken(line: str, who: dict[str, str]) -> None:
    words = greeting(Credentials.parse(line), ["e.all", "e.00"], tls=True)
    connect, *rest = words.split(b"\r\n")
    options = json.loads(connect.removeprefix(b"CONNECT "))
    assert who.items() <= options.items()
    assert (options["echo"], options["verbose"], options["tls_required"]) == (False, False, True)
    assert rest == [b"SUB e.all 1", b"SUB e.00 2", b"PUB e.00 0", b"", b"PING", b""]


def test_without_credentials_none_are_said() -> None:
    words = greeting(Credentials(), ["e.all"], tls=False)
    assert not any(key in words for key in (b"user", b"pass", b"auth_token"))


def test_a_message_has_its_length_in_front() -> None:
    assert b"".join(message("e.all", b"a\r\nb")) == b"PUB e.all 4\r\na\r\nb\r\n"
