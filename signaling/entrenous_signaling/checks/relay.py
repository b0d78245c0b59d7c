"""The relay: whether each of its URLs answers, and takes credentials that the server mints.

A TURN client as small as it can be (RFC 8656): it asks for an allocation, is challenged, asks again with credentials,
and gives the allocation back. Nothing is relayed.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from time import monotonic
from typing import Final, Protocol
from urllib.parse import parse_qs

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.turn import RelayCredentials, mint

from .findings import Finding, error, ok, warning
from .lookup import look_up

ANSWER_SECONDS: Final = 3.0
RELAY_SECONDS: Final = 10.0
"""How long one URL is asked in all, however many addresses it has and however slowly they answer."""
_REQUESTS: Final = 3
"""How often something is asked over UDP: datagrams get lost."""

_MAGIC: Final = 0x2112A442
_HEADER: Final = struct.Struct("!HHI12s")
_FIELD: Final = struct.Struct("!HH")
_INTEGRITY_BYTES: Final = 24
_PORTS: Final = {"turn": 3478, "turns": 5349}
"""Ports that a URL without one means (RFC 7065)."""

_LOOK_AT_IT: Final = "Look whether it runs (systemctl status entrenous-turn) and what the firewall lets through."


class _Kind(IntEnum):
    """Message types (RFC 8489 §5, RFC 8656 §17)."""

    ALLOCATE = 0x0003
    ALLOCATE_SUCCESS = 0x0103
    ALLOCATE_ERROR = 0x0113
    REFRESH = 0x0004
    REFRESH_SUCCESS = 0x0104
    REFRESH_ERROR = 0x0114


class _Attribute(IntEnum):
    """Attributes (RFC 8489 §18.3, RFC 8656 §18)."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    LIFETIME = 0x000D
    REALM = 0x0014
    NONCE = 0x0015
    REQUESTED_TRANSPORT = 0x0019


_UDP: Final = {_Attribute.REQUESTED_TRANSPORT: b"\x11\x00\x00\x00"}
_NO_LONGER: Final = {_Attribute.LIFETIME: b"\x00\x00\x00\x00"}
_UNAUTHORIZED: Final = 401
_ALLOCATION_MISMATCH: Final = 437
_STALE_NONCE: Final = 438
_FULL: Final = (486, 508)


@dataclass(frozen=True, slots=True)
class RelayPlace:
    """Where a relay is asked.

    Args:
        host, port: of it.
        transport: `udp` or `tcp`.
        tls: whether TLS is spoken over TCP.
    """

    host: str
    port: int
    transport: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> RelayPlace:
        """Take a URL of a relay apart.

        Raises:
            ValueError: it is none of RFC 7065.
        """
        scheme, _, rest = url.partition(":")
        host, _, query = rest.partition("?")
        port = ""
        if ":" in host and not host.endswith("]"):
            host, _, port = host.rpartition(":")
        transport = parse_qs(query).get("transport", ["tcp" if scheme == "turns" else "udp"])[0]
        if scheme not in _PORTS or not host or transport not in ("udp", "tcp") or not (port or "1").isdecimal():
            raise ValueError("no URL of a relay")
        number = int(port) if port else _PORTS[scheme]
        if not 0 < number < 65536:
            raise ValueError("no port")
        return cls(host.strip("[]"), number, transport, scheme == "turns")


def check_relay(config: ServerConfig, now: float) -> Iterator[Finding]:
    """Look whether each URL of the relay answers and takes our credentials.

    Args:
        config: a checked configuration.
        now: Unix seconds.
    """
    try:
        relay = config.relay()
    except ConfigError:
        return  # which is told of the file with the secret
    if relay is None:
        return
    credentials = mint(relay, now, secrets.token_bytes)
    for url in relay.urls:
        yield _ask(url, credentials)


def _ask(url: str, credentials: RelayCredentials) -> Finding:
    try:
        with _connected(RelayPlace.parse(url)) as connection:
            given = _allocate(connection, credentials)
            return _judge(url, given) if isinstance(given, int) else _give_back(url, connection, given)
    except ssl.SSLError as problem:
        reason = getattr(problem, "verify_message", "") or problem.reason or "TLS failed"
        return error("relay", f"{url} has no certificate that can be believed: {reason}.", "Renew that of the relay.")
    except OSError as problem:
        return error("relay", f"{url} cannot be reached: {problem.strerror or 'no answer in time'}.", _LOOK_AT_IT)
    except ValueError:
        return error("relay", f"{url} does not answer as a relay.", _LOOK_AT_IT)


def _judge(url: str, code: int) -> Finding:
    """What it means that the relay gives no allocation."""
    if code in (_UNAUTHORIZED, _STALE_NONCE):
        return error(
            "relay",
            f"{url} refuses the credentials of this server.",
            "Do both have the same secret (turn-config --check FILE) and the same time (timedatectl)?",
        )
    if code in _FULL:
        return warning(
            "relay", f"{url} has no room for another allocation now.", "Raise total_quota, or look who uses it."
        )
    return warning(
        "relay", f"{url} answers with error {code}.", "Look at its configuration (turn-config --check FILE)."
    )


@dataclass(frozen=True, slots=True)
class _Client:
    """Who has an allocation: the attributes that say so, and the key of the integrity (RFC 8489 §9.2)."""

    attributes: Mapping[_Attribute, bytes]
    key: bytes = field(repr=False)


class _Connection(Protocol):
    def ask(self, request: bytes) -> bytes:
        """Say a request and return the response to it, header and all.

        Raises:
            OSError: none comes in time.
            ValueError: what comes is no STUN.
        """
        ...


def _allocate(connection: _Connection, credentials: RelayCredentials) -> _Client | int:
    """Ask for an allocation; returns who has it now, or the error code of the relay.

    Raises:
        OSError, ValueError: as `_Connection.ask`, or the relay gives without asking who we are.
    """
    kind, said = _read(connection.ask(_message(_Kind.ALLOCATE, _UDP)))
    if kind != _Kind.ALLOCATE_ERROR:
        raise ValueError("no challenge")
    if _error_code(said) != _UNAUTHORIZED:
        return _error_code(said)
    realm = said[_Attribute.REALM]
    key = hashlib.md5(  # as RFC 8489 §9.2.2 has it
        b":".join((credentials.username.encode(), realm, credentials.password.encode())), usedforsecurity=False
    ).digest()
    who = {_Attribute.USERNAME: credentials.username.encode(), _Attribute.REALM: realm}
    who[_Attribute.NONCE] = said[_Attribute.NONCE]
    kind, said = _read(connection.ask(_message(_Kind.ALLOCATE, _UDP | who, key)))
    return _Client(who, key) if kind == _Kind.ALLOCATE_SUCCESS else _error_code(said)


def _give_back(url: str, connection: _Connection, client: _Client) -> Finding:
    """End an allocation, and say whether the relay does so."""
    try:
        kind, said = _read(connection.ask(_message(_Kind.REFRESH, {**_NO_LONGER, **client.attributes}, client.key)))
        code = 0 if kind == _Kind.REFRESH_SUCCESS else _error_code(said)
    except OSError as problem:
        trouble = problem.strerror or "no answer in time"
    except ValueError:
        trouble = "no answer of a relay"
    else:
        # After a response that was lost, there is none left to end (RFC 8656 §7.3).
        if code in (0, _ALLOCATION_MISMATCH):
            return ok("relay", f"{url} answers, and takes credentials of this server.")
        trouble = f"error {code}"
    return error(
        "relay",
        f"{url} takes credentials of this server and gives an allocation, but REFRESH, which ends or prolongs it, "
        f"fails: {trouble}.",
        f"Calls through it would break off after some minutes. {_LOOK_AT_IT}",
    )


def _message(kind: _Kind, attributes: Mapping[_Attribute, bytes], key: bytes | None = None) -> bytes:
    """A request; with a key its integrity is protected (RFC 8489 §14.5)."""
    body = b"".join(
        _FIELD.pack(attribute, len(value)) + value + bytes(-len(value) % 4) for attribute, value in attributes.items()
    )
    transaction = secrets.token_bytes(12)
    if key is None:
        return _HEADER.pack(kind, len(body), _MAGIC, transaction) + body
    begin = _HEADER.pack(kind, len(body) + _INTEGRITY_BYTES, _MAGIC, transaction) + body
    digest = hmac.new(key, begin, hashlib.sha1).digest()
    return begin + _FIELD.pack(_Attribute.MESSAGE_INTEGRITY, len(digest)) + digest


def _read(message: bytes) -> tuple[int, dict[int, bytes]]:
    """The type and the attributes of a response.

    Raises:
        ValueError: it is no STUN, or lacks an attribute that an error has.
    """
    kind = _HEADER.unpack_from(message)[0]
    attributes: dict[int, bytes] = {}
    rest = message[_HEADER.size :]
    while len(rest) >= _FIELD.size:
        attribute, length = _FIELD.unpack_from(rest)
        attributes.setdefault(attribute, rest[_FIELD.size : _FIELD.size + length])
        rest = rest[_FIELD.size + length + -length % 4 :]
    needed = {_Attribute.ERROR_CODE} if kind == _Kind.ALLOCATE_ERROR else set()
    if kind == _Kind.ALLOCATE_ERROR and _error_code(attributes) == _UNAUTHORIZED:
        needed = {_Attribute.ERROR_CODE, _Attribute.REALM, _Attribute.NONCE}
    if needed - attributes.keys():
        raise ValueError("an attribute is missing")
    return kind, attributes


def _error_code(attributes: Mapping[int, bytes]) -> int:
    """The number in ERROR-CODE (RFC 8489 §14.8).

    Raises:
        ValueError: there is none.
    """
    value = attributes.get(_Attribute.ERROR_CODE, b"")
    if len(value) < 4:
        raise ValueError("no error code")
    return (value[2] & 7) * 100 + value[3]


class _Deadline:
    """When asking a relay is over.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._over = monotonic() + seconds

    def bound(self, waiting: socket.socket, seconds: float = ANSWER_SECONDS) -> None:
        """Let what is done next with a socket wait for so long at most.

        Raises:
            TimeoutError: there is no time left.
        """
        waiting.settimeout(self.left(seconds))

    def left(self, seconds: float) -> float:
        """How much is left of it, up to so much; raises like `bound`."""
        left = min(seconds, self._over - monotonic())
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
        return left


@contextmanager
def _connected(place: RelayPlace) -> Iterator[_Connection]:
    deadline = _Deadline(RELAY_SECONDS)
    if place.transport == "udp":
        first, *_ = look_up(place.host, place.port, socket.SOCK_DGRAM)
        family = socket.AF_INET6 if ":" in first[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(first)
            yield _Datagrams(datagrams, deadline)
        return
    with _dialled(place, deadline) as plain:
        if not place.tls:
            yield _Stream(plain, deadline)
            return
        deadline.bound(plain)
        with ssl.create_default_context().wrap_socket(plain, server_hostname=place.host) as secured:
            yield _Stream(secured, deadline)


def _dialled(place: RelayPlace, deadline: _Deadline) -> socket.socket:
    """A TCP connection to the first of its addresses that takes one.

    Raises:
        OSError: none does.
    """
    problem = OSError()
    for address in look_up(place.host, place.port, socket.SOCK_STREAM):
        try:
            return socket.create_connection(address, deadline.left(ANSWER_SECONDS))
        except OSError as found:
            problem = found
    raise problem


class _Datagrams:
    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def ask(self, request: bytes) -> bytes:
        problem: Exception = TimeoutError()
        for _ in range(_REQUESTS):
            self._deadline.bound(self._socket, ANSWER_SECONDS / _REQUESTS)
            self._socket.send(request)
            try:
                return _response_to(request, self._socket.recv(2048))
            except (TimeoutError, ValueError) as found:  # lost, or a second response to what was asked before
                problem = found
        raise problem


class _Stream:
    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def ask(self, request: bytes) -> bytes:
        self._deadline.bound(self._socket)
        self._socket.sendall(request)
        header = self._take(_HEADER.size)
        return _response_to(request, header + self._take(_HEADER.unpack(header)[1]))

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            self._deadline.bound(self._socket)
            more = self._socket.recv(count - len(taken))
            if not more:
                raise ValueError("the connection ended")
            taken += more
        return taken


def _response_to(request: bytes, response: bytes) -> bytes:
    """The response, if it is one to this request.

    Raises:
        ValueError: it is not.
    """
    if len(response) < _HEADER.size or response[4:20] != request[4:20]:
        raise ValueError("no response to what was asked")
    return response
