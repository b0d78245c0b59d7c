"""Looking names up, with an end."""

from __future__ import annotations

import socket

import pytest

from entrenous_signaling.checks.lookup import look_up


def test_a_name_stands_for_places_and_an_address_for_itself() -> None:
    assert ("127.0.0.1", 3478) in look_up("localhost", 3478, socket.SOCK_DGRAM)
    assert look_up("192.0.2.1", 5349, socket.SOCK_STREAM) == [("192.0.2.1", 5349)]
    assert look_up("2001:db8::1", 0, socket.SOCK_STREAM) == [("2001:db8::1", 0)]


def test_what_goes_wrong_is_raised_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnicodeError):
        look_up("a" * 64 + ".example.org", 1, socket.SOCK_STREAM)

    def fails(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(socket.gaierror, match="not known"):
        look_up("relay.example.org", 1, socket.SOCK_STREAM)


@pytest.mark.usefixtures("endless_lookups")
def test_a_look_up_that_does_not_end_is_given_up() -> None:
    with pytest.raises(TimeoutError, match="takes too long"):
        look_up("relay.example.org", 1, socket.SOCK_STREAM)
