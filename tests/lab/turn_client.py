"""A small TURN client (RFC 8656) that does also what a call never would: forge, exhaust, ask for forbidden peers.

It blocks, for two seconds at most, and its sockets are made inside a host of the lab.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, TypeVar

from entrenous_signaling.turn import RelayCredentials

from .network import Host

Address = tuple[str, int]
T = TypeVar("T")

ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND, CONNECT = (
    0x003,
    0x004,
    0x006,
    0x007,
    0x008,
    0x009,
    0x00A,
)
UDP, TCP = 17, 6
TIMEOUT: Final = 60.0

_COOKIE: Final = 0x2112A442
_INDICATION, _SUCCESS, _ERROR = 0x0010, 0x0100, 0x0110
_USERNAME, _INTEGRITY, _ERROR_CODE, _CHANNEL, _LIFETIME, _PEER, _DATA = 0x06, 0x08, 0x09, 0x0C, 0x0D, 0x12, 0x13
_REALM, _NONCE, _RELAYED, _FAMILY, _TRANSPORT, _TICKET = 0x14, 0x15, 0x16, 0x17, 0x19, 0x8030
_CLONE_NEWNET: Final = 0x40000000


class TurnRefused(Exception):  # noqa: N818 - an answer, and often the wanted one
    """The relay answered with an error.

    Args:
        code: of the ERROR-CODE attribute.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class TurnClient:
    """A client on one connected socket.

    Args:
        socket: to the relay; a datagram socket is used with datagrams.
        credentials: none to go without authentication.
    """

    socket: socket.socket
    credentials: RelayCredentials | None
    _realm: bytes = b""
    _nonce: bytes = b""
    _buffer: bytes = b""
    _waiting: list[tuple[int, bytes, dict[int, bytes]]] = field(default_factory=list)

    def __enter__(self) -> TurnClient:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the allocation back where there is one."""
        try:
            if self._realm:
                self.refresh(0)
        except (OSError, TurnRefused):
            pass
        finally:
            self.socket.close()

    def allocate(self, family: int | None = None, transport: int = UDP) -> Address:
        """Ask for a relayed address; of IPv6 when `family` is 6."""
        attributes = {_TRANSPORT: struct.pack("!B3x", transport), _LIFETIME: struct.pack("!I", 600)}
        if family is not None:
            attributes[_FAMILY] = struct.pack("!B3x", 2 if family == 6 else 1)
        answer, transaction = self.request(ALLOCATE, attributes)
        return _unpack_address(answer[_RELAYED], transaction)

    def allocate_mobile(self) -> tuple[Address, bytes]:
        """Ask for a relayed address that can be moved; returns the ticket as well (RFC 8016)."""
        answer, transaction = self.request(ALLOCATE, {_TRANSPORT: struct.pack("!B3x", UDP), _TICKET: b""})
        return _unpack_address(answer[_RELAYED], transaction), answer[_TICKET]

    def take_over(self, ticket: bytes) -> bytes:
        """Move an allocation to this connection; returns the next ticket."""
        answer, _ = self.request(REFRESH, {_TICKET: ticket})
        return answer[_TICKET]

    def refresh(self, lifetime: int = 600) -> int:
        """Ask for more time; returns the seconds that were given."""
        answer, _ = self.request(REFRESH, {_LIFETIME: struct.pack("!I", lifetime)})
        return int(struct.unpack("!I", answer[_LIFETIME])[0])

    def permit(self, peer: str) -> None:
        """Ask that a peer may send, whatever its port."""
        self.request(CREATE_PERMISSION, {}, peer=(peer, 0))

    def bind_channel(self, peer: Address, number: int = 0x4000) -> None:
        """Ask for a channel to a peer."""
        self.request(CHANNEL_BIND, {_CHANNEL: struct.pack("!HH", number, 0)}, peer=peer)

    def connect(self, peer: Address) -> None:
        """Ask for a TCP connection to a peer (RFC 6062)."""
        self.request(CONNECT, {}, peer=peer)

    def send(self, data: bytes, peer: Address) -> None:
        """Send to a peer that was permitted."""
        transaction = os.urandom(12)
        body = _attribute(_PEER, _pack_address(peer, transaction)) + _attribute(_DATA, data)
        self._transmit(struct.pack("!HHI", SEND | _INDICATION, len(body), _COOKIE) + transaction + body)

    def receive(self) -> tuple[bytes, Address]:
        """The next data of a peer; raises TimeoutError if none comes."""
        while True:
            kind, transaction, attributes = self._next()
            if kind == DATA | _INDICATION:
                return attributes[_DATA], _unpack_address(attributes[_PEER], transaction)

    def request(
        self, method: int, attributes: dict[int, bytes], peer: Address | None = None
    ) -> tuple[dict[int, bytes], bytes]:
        """Make a request, and again with what the relay's challenge says; returns the answer and its transaction.

        Raises:
            TurnRefused: the answer is an error.
            TimeoutError: there is none.
        """
        try:
            return self._exchange(method, attributes, peer)
        except TurnRefused as refusal:
            if refusal.code not in (401, 438) or self.credentials is None:
                raise
        return self._exchange(method, attributes, peer)

    def _exchange(
        self, method: int, attributes: dict[int, bytes], peer: Address | None
    ) -> tuple[dict[int, bytes], bytes]:
        transaction = os.urandom(12)
        body = b"".join(_attribute(kind, value) for kind, value in attributes.items())
        if peer is not None:
            body += _attribute(_PEER, _pack_address(peer, transaction))
        header = struct.Struct("!HHI12s")
        if self._realm and self.credentials is not None:
            name = self.credentials.username.encode()
            body += _attribute(_USERNAME, name) + _attribute(_REALM, self._realm) + _attribute(_NONCE, self._nonce)
            key = hashlib.md5(b":".join((name, self._realm, self.credentials.password.encode()))).digest()
            signed = header.pack(method, len(body) + 24, _COOKIE, transaction) + body
            body += _attribute(_INTEGRITY, hmac.digest(key, signed, "sha1"))
        self._transmit(header.pack(method, len(body), _COOKIE, transaction) + body)
        skipped = []
        while True:
            kind, answered, answer = self._next()
            if answered == transaction:
                break
            skipped.append((kind, answered, answer))
        self._waiting = skipped + self._waiting
        if kind == method | _ERROR:
            self._realm, self._nonce = answer.get(_REALM, self._realm), answer.get(_NONCE, self._nonce)
            raise TurnRefused(answer[_ERROR_CODE][2] * 100 + answer[_ERROR_CODE][3])
        assert kind == method | _SUCCESS
        return answer, transaction

    def _transmit(self, message: bytes) -> None:
        self.socket.sendall(message)

    def _next(self) -> tuple[int, bytes, dict[int, bytes]]:
        if self._waiting:
            return self._waiting.pop(0)
        if self.socket.type == socket.SOCK_DGRAM:
            return _parse(self.socket.recv(2048))
        while len(self._buffer) < 20 or len(self._buffer) < 20 + struct.unpack("!H", self._buffer[2:4])[0]:
            chunk = self.socket.recv(2048)
            if not chunk:
                raise ConnectionResetError("the relay has closed the connection")
            self._buffer += chunk
        size = 20 + struct.unpack("!H", self._buffer[2:4])[0]
        message, self._buffer = self._buffer[:size], self._buffer[size:]
        return _parse(message)


def turn_client(
    host: Host, relay: Address, credentials: RelayCredentials | None, over: str = "udp", ca: Path | None = None
) -> TurnClient:
    """Connect to a relay from a host of the lab, over `udp`, `tcp` or `tls` (trusting `ca` for the relay's address)."""
    kind = socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM
    connection = inside(host, lambda: _connected(relay, kind))
    if over == "tls":
        context = ssl.create_default_context(cafile=str(ca))
        return TurnClient(context.wrap_socket(connection, server_hostname=relay[0]), credentials)
    return TurnClient(connection, credentials)


def inside(host: Host, function: Callable[[], T]) -> T:
    """Call a function inside a host of the lab; sockets that it makes stay there."""
    with Path("/run/netns", host.namespace).open() as namespace, ThreadPoolExecutor(1) as thread:
        # A namespace belongs to the thread, which ends with this block.
        return thread.submit(_call_inside, namespace.fileno(), function).result()


def _call_inside(namespace: int, function: Callable[[], T]) -> T:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a thread cannot enter the namespace")
    return function()


def _connected(relay: Address, kind: socket.SocketKind) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in relay[0] else socket.AF_INET, kind)
    connection.settimeout(TIMEOUT)
    connection.connect(relay)
    return connection


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _parse(message: bytes) -> tuple[int, bytes, dict[int, bytes]]:
    kind, size = struct.unpack("!HH", message[:4])
    attributes: dict[int, bytes] = {}
    at = 20
    while at < 20 + size:
        attribute, length = struct.unpack("!HH", message[at : at + 4])
        attributes.setdefault(attribute, message[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
    return kind, message[8:20], attributes


def _mask(transaction: bytes) -> bytes:
    return struct.pack("!I", _COOKIE) + transaction


def _pack_address(address: Address, transaction: bytes) -> bytes:
    packed = ip_address(address[0]).packed
    hidden = bytes(a ^ b for a, b in zip(packed, _mask(transaction), strict=False))
    return struct.pack("!xBH", 1 if len(packed) == 4 else 2, address[1] ^ (_COOKIE >> 16)) + hidden


def _unpack_address(value: bytes, transaction: bytes) -> Address:
    family, port = struct.unpack("!xBH", value[:4])
    packed = bytes(a ^ b for a, b in zip(value[4:], _mask(transaction), strict=False))
    return str(IPv4Address(packed) if family == 1 else IPv6Address(packed)), port ^ (_COOKIE >> 16)
