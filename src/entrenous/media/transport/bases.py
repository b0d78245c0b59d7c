"""The sockets that pairs start from: a host socket or a TURN allocation, and the candidate that names it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ifaddr
from aioice import Candidate

from .pairs import Local
from .relay import Relay, is_vanished
from .servers import ServerAddress
from .stun import Address
from .udp import LoopUdp, UdpTransport, open_udp

MAX_HOSTS = 8
"""Host addresses that are used; machines with more have them for other purposes."""

_TYPE_PREFERENCE = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}
_COMPONENT = 1
_HIDDEN = {False: "0.0.0.0", True: "::"}
_UDP_HEADER, _TCP_HEADER, _CHANNEL_HEADER, _TLS_RECORD = 8, 32, 4, 22
"""Bytes: TCP's has time stamps (RFC 7323 §3), TURN's is that of channel data, TLS 1.3 puts its own around a record."""

_ELSEWHERE = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses that nobody has (RFC 5737, RFC 3849): which of ours would the system send there from?"""


@dataclass(frozen=True, slots=True)
class GatheringPolicy:
    """What may be gathered, and how long it may take.

    Args:
        relay_only: TURN servers only.
        loopback_only: 127.0.0.1 only, beside TURN servers.
        timeout: seconds for each server.
        close_timeout: seconds for a server to take an allocation back.
        tls_ca_file: what `turns:` servers are verified with, None: what the system trusts.
    """

    relay_only: bool
    loopback_only: bool
    timeout: float
    close_timeout: float
    tls_ca_file: Path | None = None


class Base(Protocol):
    """Something of ours that datagrams can be sent from."""

    local: Local

    def send(self, data: bytes, address: Address) -> bool:
        """Send a datagram; False when the system or the relay refuses."""


OnDatagram = Callable[["Base", bytes, Address, float], None]
"""Told the base, the datagram, its origin and its arrival in monotonic seconds."""


class HostSocket:
    """A socket on one address of this machine.

    Args:
        host: the address.
        preferred: whether the system would itself send from it.
        on_datagram: told everything that arrives.
        on_vanished: told when a send shows that the address is not ours any more.
    """

    def __init__(
        self, host: str, *, preferred: bool, on_datagram: OnDatagram, on_vanished: Callable[[HostSocket], None]
    ) -> None:
        self.host = host
        self.parked_at: float | None = None
        """Since when the address is away; it may come back, and the peer still sends to it."""
        preference = 0xFFFF if preferred else 0x7FFF
        self.local = Local(
            is_ipv6=":" in host,
            preferred=preferred,
            priority=priority("host", preference),
            overhead=_ip_header(host) + _UDP_HEADER,
        )
        self.transport: UdpTransport | LoopUdp | None = None
        self._on_datagram = on_datagram
        self._on_vanished = on_vanished

    async def open(self) -> None:
        """Bind the socket; raises OSError."""
        self.transport = await open_udp(self.host, self)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        assert self.transport is not None
        name = self.transport.get_extra_info("sockname")
        return Address(name[0], name[1])

    def send(self, data: bytes, address: Address) -> bool:
        """Send a datagram."""
        if self.transport is None:
            return False
        error = self.transport.try_send(data, address)
        if is_vanished(error):
            self._on_vanished(self)
        return error is None

    def close(self) -> None:
        """Close the socket."""
        if self.transport is not None:
            self.transport.close()

    def connection_made(self, transport: Any) -> None:
        """The socket is open."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""

    def error_received(self, exc: Exception) -> None:
        """Some earlier datagram found nobody; checks find out whom."""

    def datagram_arrived(self, data: bytes, addr: tuple[Any, ...], at: float) -> None:
        """A datagram came at monotonic time `at`."""
        self._on_datagram(self, data, Address(addr[0], addr[1]), at)


class RelayBase:
    """A TURN allocation that pairs start from.

    Args:
        relay: open, with an allocation.
    """

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.parked_at: float | None = None
        streamed = relay.server.transport == "tcp"
        self.local = Local(
            is_ipv6=relay.address.is_ipv6,
            relayed=True,
            streamed=streamed,
            priority=priority("relay", 0x7FFF if streamed else 0xFFFF),
            overhead=relay_overhead(relay.server, relay.host),
        )

    def send(self, data: bytes, address: Address) -> bool:
        """Send a datagram through the relay."""
        return self.relay.send(data, address)


def relay_overhead(server: ServerAddress, host: str) -> int:
    """The bytes that each datagram takes on the wire beyond its own on the way to a TURN server.

    Args:
        server: how it is spoken to.
        host: its address.
    """
    connection = _TCP_HEADER + (_TLS_RECORD if server.tls else 0) if server.transport == "tcp" else _UDP_HEADER
    return _ip_header(host) + connection + _CHANNEL_HEADER


def _ip_header(host: str) -> int:
    return 40 if ":" in host else 20


def priority(kind: str, preference: int = 0xFFFF) -> int:
    """The priority of a candidate (RFC 8445 §5.1.2.1)."""
    return _TYPE_PREFERENCE[kind] << 24 | preference << 8 | 256 - _COMPONENT


def candidate_line(kind: str, address: Address, foundation: int, preference: int = 0xFFFF) -> str:
    """A candidate as it stands in SDP; the address it is derived from stays hidden (RFC 8839 §5.1 allows that)."""
    hidden = kind != "host"
    return Candidate(
        foundation=str(foundation),
        component=_COMPONENT,
        transport="udp",
        priority=priority(kind, preference),
        host=address.host,
        port=address.port,
        type=kind,
        related_address=_HIDDEN[address.is_ipv6] if hidden else None,
        related_port=9 if hidden else None,
    ).to_sdp()


def preferred_hosts() -> list[str]:
    """The addresses that the system would send from to the rest of the world; nothing is sent to find out."""
    return [host for host in (source_for(*elsewhere) for elsewhere in _ELSEWHERE) if host is not None]


def source_for(host: str, family: int) -> str | None:
    """The address of ours that the system would send from to `host`, None when there is no way there."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def host_addresses(*, loopback_only: bool) -> list[str]:
    """The addresses of this machine that others may reach, those the system prefers first; never link-local ones."""
    if loopback_only:
        return ["127.0.0.1"]
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            if isinstance(each.ip, str):
                if not each.ip.startswith(("127.", "169.254.")):
                    found.append(each.ip)
            elif each.ip[2] == 0 and each.ip[0] != "::1" and not each.ip[0].lower().startswith("fe80:"):
                found.append(each.ip[0])
    preferred = preferred_hosts()
    return sorted(dict.fromkeys(found), key=lambda host: host not in preferred)[:MAX_HOSTS]
