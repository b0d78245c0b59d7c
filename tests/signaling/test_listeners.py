"""Listening sockets, and why there is none."""

from __future__ import annotations

import socket

import pytest

from entrenous_signaling.config import Listen
from entrenous_signaling.listeners import RECEIVED_BYTES, ServeError, bind
from entrenous_wire.limits import MAX_FRAME_BYTES


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_takes_a_free_one(host: str) -> None:
    with bind(Listen(host, 0)) as listener:
        assert listener.getsockname()[0] == host
        assert listener.getsockname()[1] > 0
        socket.create_connection(listener.getsockname()[:2]).close()


def test_little_is_kept_of_what_nobody_reads() -> None:
    with bind(Listen("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        taken, _ = listener.accept()
        with sender, taken:
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * RECEIVED_BYTES, "Linux doubles it"
            sender.sendall(bytes(MAX_FRAME_BYTES // 2))


def test_a_taken_port_and_a_strange_address_are_sentences() -> None:
    with bind(Listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServeError, match=f"Cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(Listen("127.0.0.1", port))
    with pytest.raises(ServeError, match=r"192\.0\.2\.1"):
        bind(Listen("192.0.2.1", 0))
