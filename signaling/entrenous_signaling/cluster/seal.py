"""What nodes say to each other is sealed under a secret that they share: who runs the bus reads and forges nothing.

::

    sealed = version (1) ‖ salt (16) ‖ counter (8, big endian) ‖ AES-256-GCM(payload)
    key    = HKDF-SHA256(secret, salt, info "entrenous cluster v1")
    nonce  = 0000 ‖ counter, additional data = version ‖ subject

A node draws its salt when it starts and counts what it seals from 0. So no nonce is used twice under one key however
long a cluster lives; random nonces under one key for all would have to be changed after 2^32 parcels (NIST SP 800-38D
§8.3), which a busy cluster says in days. The counter also tells repeats, within a window as in RFC 4303 §3.4.3.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .bus import ClusterError

VERSION: Final = 1
SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
WINDOW: Final = 1024
"""Parcels of one node that may overtake each other."""
SENDERS: Final = 256
"""Nodes whose keys and windows are kept; the one that was silent the longest makes room for another."""

_HEADER: Final = struct.Struct(f"!B{SALT_BYTES}sQ")
_NONCE: Final = struct.Struct("!4xQ")
_INFO: Final = b"entrenous cluster v1"
_SHORTEST: Final = _HEADER.size + 16  # the tag
_MASK: Final = (1 << WINDOW) - 1


class Seal:
    """Seals what this node says, and opens what others have sealed.

    Args:
        secret: 32 bytes that all nodes of the cluster share.
        salt: 16 bytes drawn for this object and no other.

    Raises:
        ValueError: one of them has another length.
    """

    def __init__(self, secret: bytes, salt: bytes) -> None:
        if len(secret) != SECRET_BYTES or len(salt) != SALT_BYTES:
            raise ValueError(f"a seal takes {SECRET_BYTES} bytes of secret and {SALT_BYTES} of salt")
        self._secret = secret
        self._salt = salt
        self._own = self._key(salt)
        self._counter = 0
        self._senders: OrderedDict[bytes, _Sender] = OrderedDict()

    def seal(self, subject: str, payload: bytes) -> bytes:
        """Seal a payload for a subject.

        Raises:
            OverflowError: 2^64 were sealed.
        """
        header = _HEADER.pack(VERSION, self._salt, self._counter)
        sealed = self._own.encrypt(_NONCE.pack(self._counter), payload, _bound(subject))
        self._counter += 1
        return header + sealed

    def open(self, subject: str, sealed: bytes) -> bytes:
        """Open what came on a subject.

        Raises:
            ClusterError: it is of another version, was sealed with another secret or for another subject, was changed
                on the way, has come before, or comes from this object itself.
        """
        if len(sealed) < _SHORTEST:
            raise ClusterError("too short to be sealed")
        version, salt, counter = _HEADER.unpack_from(sealed)
        if version != VERSION:
            raise ClusterError("sealed by another version")
        if salt == self._salt:
            raise ClusterError("sealed here")
        sender = self._senders.get(salt)
        known = sender is not None
        if sender is None:
            sender = _Sender(self._key(salt))
        try:
            payload = sender.key.decrypt(_NONCE.pack(counter), sealed[_HEADER.size :], _bound(subject))
        except InvalidTag:
            raise ClusterError("not sealed with this secret for this subject") from None
        if not sender.take(counter):
            raise ClusterError("it has come before")
        if known:
            self._senders.move_to_end(salt)
        else:
            self._senders[salt] = sender
            if len(self._senders) > SENDERS:
                self._senders.popitem(last=False)
        return payload

    def _key(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, salt, _INFO).derive(self._secret))


class _Sender:
    """Another node: its key, and which of its last parcels have come.

    Args:
        key: of what it seals.
    """

    __slots__ = ("_highest", "_seen", "key")

    def __init__(self, key: AESGCM) -> None:
        self.key = key
        self._highest = -1
        self._seen = 0  # bit n: highest - n has come

    def take(self, counter: int) -> bool:
        """Note that a parcel has come; False when it has come before, or is too old to tell."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < WINDOW else 1
            self._highest = counter
            return True
        bit = 1 << -ahead
        if -ahead >= WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True


def _bound(subject: str) -> bytes:
    return bytes((VERSION,)) + subject.encode()
