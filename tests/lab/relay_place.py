"""Two relays and two callers on public addresses, to show what the rendered configuration does."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from OpenSSL import SSL

from entrenous_signaling.turn import RelayCredentials

from .coturn import credentials
from .network import Host
from .turn_client import TurnClient, inside, turn_client


@dataclass(frozen=True)
class Place:
    """Two relays and two callers, each with a public address, and the folder with the relays' certificate.

    `coturn` runs on the first relay during all tests; on the second one, `spare`, a test runs what it needs.
    """

    relay: Host
    spare: Host
    caller: Host
    other: Host
    folder: Path

    def client(
        self, over: str = "udp", who: RelayCredentials | None = None, *, relay: Host | None = None, v6: bool = False
    ) -> TurnClient:
        """The caller's connection to a relay."""
        relay = relay or self.relay
        address = (relay.ipv6 if v6 else relay.ipv4, 443 if over == "tls" else 3478)
        return turn_client(self.caller, address, who or credentials(), over, self.folder / "cert.pem")


def answers_dtls(place: Place, relay: Host, port: int, within: float = 0.5) -> bool:
    """Whether a DTLS ClientHello gets any answer within so many seconds."""
    hello = SSL.Connection(SSL.Context(SSL.DTLS_METHOD))
    hello.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        hello.do_handshake()
    with inside(place.caller, lambda: socket.socket(type=socket.SOCK_DGRAM)) as plain:
        plain.settimeout(within)
        plain.connect((relay.ipv4, port))
        plain.send(hello.bio_read(2048))
        try:
            plain.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            return False
    return True
