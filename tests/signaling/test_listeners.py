"""Listening sockets, and why there is none."""

from __future__ import annotations

import socket

import pytest

from entrenous_signaling import listeners
from entrenous_signaling.config import Listen
from entrenous_signaling.listeners import ServeError, bind


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_takes_a_free_one(host: str) -> None:
    with bind(Listen(host, 0)) as listener:
        assert listener.getsockname()[0] == host
        assert listener.getsockname()[1] > 0
        socket.create_connection(listener.getsockname()[:2]).close()


def test_so_much_is_kept_of_what_nobody_reads_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "RECEIVED_BYTES", 8192)
    with bind(Listen("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in {8192, 2 * 8192}, "Linux doubles it"


def test_a_taken_port_and_a_strange_address_are_sentences() -> None:
    with bind(Listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServeError, match=f"Cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(Listen("127.0.0.1", port))
    with pytest.raises(ServeError, match=r"192\.0\.2\.1"):
        bind(Listen("192.0.2.1", 0))
