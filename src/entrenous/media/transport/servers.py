"""STUN and TURN URLs (RFC 7064, RFC 7065)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from entrenous.errors import ConfigError
from entrenous.media.settings import IceServer

_URL = re.compile(
    r"(?P<scheme>stun|turns?):(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?"
)
_PORT = 3478
_TLS_PORT = 5349


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server, ready to be asked.

    Args:
        is_turn: whether it relays; otherwise it only tells us our address.
        host, port: where it is.
        transport: `udp` or `tcp` between us and it.
        tls: whether that is encrypted.
        username, password: time-limited credential of a TURN server.
    """

    is_turn: bool
    host: str
    port: int
    transport: str = "udp"
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_server(server: IceServer) -> ServerAddress:
    """Read one server's URL; raises ConfigError when it is malformed, or a TURN server has no credential."""
    match = _URL.fullmatch(server.url)
    if match is None:
        raise ConfigError(f"'{server.url}' is not a STUN or TURN URL like turn:host:3478?transport=udp.")
    scheme, transport = match["scheme"], match["transport"]
    tls = scheme == "turns"
    if scheme == "stun" and transport is not None:
        raise ConfigError(f"'{server.url}': a STUN URL names no transport.")
    if tls and transport == "udp":
        raise ConfigError(f"'{server.url}': TURN over DTLS is not supported, use transport=tcp.")
    if scheme != "stun" and (server.username is None or server.password is None):
        raise ConfigError(f"'{server.url}' needs a user name and a password.")
    port = int(match["port"]) if match["port"] else (_TLS_PORT if tls else _PORT)
    if not 1 <= port <= 65535:
        raise ConfigError(f"'{server.url}' has a port out of range.")
    return ServerAddress(
        is_turn=scheme != "stun",
        host=match["v6"] or match["host"],
        port=port,
        transport=transport or ("tcp" if tls else "udp"),
        tls=tls,
        username=server.username,
        password=server.password,
    )
