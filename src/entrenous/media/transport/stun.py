"""STUN messages (RFC 8489) with what ICE (RFC 8445) and TURN (RFC 8656) need of them: bytes in, bytes out.

Values stay bytes until somebody asks for them: most attributes of most messages are never looked at. Whatever
stands behind MESSAGE-INTEGRITY is not signed and is not read (RFC 8489 §14.5).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from entrenous.errors import RemoteProtocolError

TRANSACTION_BYTES = 12
"""Length of a transaction id; it has to be random (RFC 8489 §5)."""

_COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = 20
_MAX_MESSAGE = 1500
_MAX_ATTRIBUTES = 32


class Address(NamedTuple):
    """Where a datagram comes from or goes to; the text of `host` is the canonical one of `ipaddress`."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether it is of IPv6."""
        return ":" in self.host


class Method(IntEnum):
    """What is asked."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Class(IntEnum):
    """Question, news, or one of two answers."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Attribute(IntEnum):
    """Those that are read or written here; others are carried past."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    REQUESTED_TRANSPORT = 0x0019
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    MOBILITY_TICKET = 0x8030
    NOMINATION = 0xC001
    """Counts nominations, so that a late one does not undo a newer one (draft-thatcher-ice-renomination-01 §4)."""


@dataclass(slots=True)
class Message:
    """One STUN message.

    Args:
        method: what it is about.
        kind: request, indication or answer.
        transaction: its id; an answer repeats that of its request.
        attributes: values by number; of one that repeats, the first counts (RFC 8489 §14).
    """

    method: Method
    kind: Class
    transaction: bytes
    attributes: dict[int, bytes] = field(default_factory=dict, repr=False)
    _signed: bytes | None = field(default=None, repr=False)

    def put_number(self, attribute: Attribute, value: int, size: int = 4) -> None:
        """Set an attribute that is an unsigned integer of `size` bytes."""
        self.attributes[attribute] = value.to_bytes(size, "big")

    def put_address(self, attribute: Attribute, address: Address) -> None:
        """Set an address, masked as RFC 8489 §14.2 wants it."""
        packed = ipaddress.ip_address(address.host).packed
        family = 2 if len(packed) == 16 else 1
        port = address.port ^ (_COOKIE >> 16)
        self.attributes[attribute] = struct.pack("!BBH", 0, family, port) + self._masked(packed)

    def put_error(self, code: int, reason: str) -> None:
        """Set ERROR-CODE."""
        value = struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
        self.attributes[Attribute.ERROR_CODE] = value

    def number(self, attribute: Attribute, size: int = 4) -> int | None:
        """An attribute as an unsigned integer, None when it is absent or not `size` bytes long."""
        value = self.attributes.get(attribute)
        return int.from_bytes(value, "big") if value is not None and len(value) == size else None

    def address(self, attribute: Attribute) -> Address | None:
        """An attribute as an address, None when it is absent or malformed."""
        value = self.attributes.get(attribute)
        if value is None or (len(value), value[1:2]) not in ((8, b"\1"), (20, b"\2")):
            return None
        port = int.from_bytes(value[2:4], "big") ^ (_COOKIE >> 16)
        return Address(str(ipaddress.ip_address(self._masked(value[4:]))), port)

    @property
    def error_code(self) -> int | None:
        """The number of ERROR-CODE, None without one."""
        value = self.attributes.get(Attribute.ERROR_CODE)
        return (value[2] & 7) * 100 + value[3] if value is not None and len(value) >= 4 else None

    def encode(self, key: bytes | None = None) -> bytes:
        """The bytes of the message with a fingerprint, signed with HMAC-SHA-1 when there is a key."""
        body = b"".join(_encode(number, value) for number, value in self.attributes.items())
        if key is not None:
            text = self._header(len(body) + 4 + _INTEGRITY_BYTES) + body
            body += _encode(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, text, "sha1"))
        text = self._header(len(body) + 8) + body
        crc = zlib.crc32(text) ^ _FINGERPRINT_XOR
        return text + _encode(Attribute.FINGERPRINT, crc.to_bytes(4, "big"))

    def is_authentic(self, key: bytes) -> bool:
        """Whether the message was signed with this key."""
        signature = self.attributes.get(Attribute.MESSAGE_INTEGRITY)
        if self._signed is None or signature is None:
            return False
        return hmac.compare_digest(signature, hmac.digest(key, self._signed, "sha1"))

    def _header(self, length: int) -> bytes:
        return _HEADER.pack(self.method | self.kind, length, _COOKIE, self.transaction)

    def _masked(self, packed: bytes) -> bytes:
        mask = _COOKIE.to_bytes(4, "big") + self.transaction
        return bytes(a ^ b for a, b in zip(packed, mask, strict=False))


def _encode(number: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(number, len(value)) + value + bytes(-len(value) % 4)


def parse(data: bytes) -> Message:
    """Read one message.

    Args:
        data: a whole datagram, or one message cut out of a stream.

    Raises:
        RemoteProtocolError: it is not a STUN message that anybody here has a use for.
    """
    if not _HEADER.size <= len(data) <= _MAX_MESSAGE:
        raise RemoteProtocolError("The datagram is no STUN message.")
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if cookie != _COOKIE or len(data) != _HEADER.size + length or length % 4:
        raise RemoteProtocolError("The datagram is no STUN message.")
    try:
        message = Message(Method(kind & 0x3EEF), Class(kind & 0x0110), transaction)
    except ValueError:
        raise RemoteProtocolError("The STUN message has an unknown method.") from None
    position = _HEADER.size
    count = 0
    while position < len(data):
        count += 1
        number, size = _ATTRIBUTE.unpack_from(data, position)
        value = data[position + 4 : position + 4 + size]
        if len(value) != size or count > _MAX_ATTRIBUTES:
            raise RemoteProtocolError("The STUN message has malformed attributes.")
        if number == Attribute.FINGERPRINT:
            if size != 4 or int.from_bytes(value, "big") != zlib.crc32(data[:position]) ^ _FINGERPRINT_XOR:
                raise RemoteProtocolError("The STUN message has a wrong fingerprint.")
        elif message._signed is None:
            if number == Attribute.MESSAGE_INTEGRITY:
                signed_length = (position - _HEADER.size + 4 + _INTEGRITY_BYTES).to_bytes(2, "big")
                message._signed = data[:2] + signed_length + data[4:position]
            message.attributes.setdefault(number, value)
        position += 4 + size + (-size % 4)
    return message


def long_term_key(username: str, realm: bytes, password: str) -> bytes:
    """The key of a TURN user (RFC 8489 §9.2.2); MD5 is what the protocol prescribes."""
    text = b":".join((username.encode(), realm, password.encode()))
    return hashlib.md5(text, usedforsecurity=False).digest()
