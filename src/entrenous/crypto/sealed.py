"""The sealed channel of a call: numbered, authenticated messages between two devices, over any path.

A body, as the server or a data channel carries it::

    0     8   counter, big endian: 0, 1, 2 … in each direction
    8     n   AES-256-GCM ciphertext of the padded message (see `padding`)
    8+n  16   tag

The counter is the nonce (12 bytes, zeros in front) and, with a label, the associated data. Each direction has
its own key, used for one call. A message may come twice or late, because it was sent over two paths or again
after a cut: a window of 1024 counters takes each one once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from entrenous.crypto.padding import check_body_size, pad, unpad
from entrenous.crypto.replay import ReplayWindow, Seen
from entrenous.errors import LocalProtocolError, Replayed, VerificationError

__all__ = ["MAX_COUNTER", "SEAL_OVERHEAD", "Opened", "SealedChannel", "open_numbered", "seal_numbered"]

SEAL_OVERHEAD: Final = 8 + 16
"""Bytes by which a body is longer than the padded message in it."""

MAX_COUNTER: Final = 2**64 - 1
_LABEL: Final = b"entrenous sealed v1"


class Opened(NamedTuple):
    """An authenticated message that does not count as seen yet."""

    counter: int
    plaintext: bytes


def seal_numbered(key: AESGCM, counter: int, plaintext: bytes, minimum: int = 0) -> bytes:
    """Pad and seal one message; a counter must never be used twice with a key."""
    head = counter.to_bytes(8, "big")
    padded = pad(plaintext, SEAL_OVERHEAD, minimum)
    return head + key.encrypt(bytes(4) + head, padded, _LABEL)


def open_numbered(key: AESGCM, body: bytes) -> Opened:
    """Authenticate and unpad one message; raises VerificationError."""
    check_body_size(body)
    try:
        padded = key.decrypt(bytes(4) + body[:8], body[8:], _LABEL)
    except InvalidTag:
        raise VerificationError("A sealed message does not verify.") from None
    return Opened(int.from_bytes(body[:8], "big"), unpad(padded))


class SealedChannel:
    """Both directions of a sealed channel.

    Args:
        send_key: 32 bytes, the other side's `receive_key`.
        receive_key: 32 bytes, the other side's `send_key`.
    """

    __slots__ = ("_next", "_receive", "_send", "_window")

    def __init__(self, send_key: bytes, receive_key: bytes) -> None:
        if len(send_key) != 32 or len(receive_key) != 32:
            raise LocalProtocolError("A sealed channel takes keys of 32 bytes.")
        self._send: AESGCM | None = AESGCM(send_key)
        self._receive: AESGCM | None = AESGCM(receive_key)
        self._next = 0
        self._window = ReplayWindow()

    def __repr__(self) -> str:
        return f"<SealedChannel sent={self._next} open={self._send is not None}>"

    def seal(self, plaintext: bytes, minimum: int = 0) -> bytes:
        """Seal the next message into a body of one of the seven lengths.

        Args:
            plaintext: at most 49,124 bytes.
            minimum: the least length of the body.

        Raises:
            LocalProtocolError: the message is too long, the channel forgotten or its counters used up.
        """
        if self._send is None:
            raise LocalProtocolError("The keys of this call are gone.")
        if self._next > MAX_COUNTER:
            raise LocalProtocolError("The counters of this channel are used up.")
        body = seal_numbered(self._send, self._next, plaintext, minimum)
        self._next += 1
        return body

    def authenticate(self, body: bytes) -> Opened:
        """Open a body without marking it as seen, for whoever checks more before `commit`.

        Raises:
            Replayed: it is authentic and was taken before, or is too old to tell.
            VerificationError: it is not authentic.
        """
        if self._receive is None:
            raise VerificationError("The keys of this call are gone.")
        opened = open_numbered(self._receive, body)
        match self._window.state(opened.counter):
            case Seen.FRESH:
                return opened
            case Seen.REPEATED | Seen.TOO_OLD:
                raise Replayed("A sealed message came a second time.")

    def commit(self, opened: Opened) -> None:
        """Mark a message that `authenticate` returned as seen."""
        self._window.commit(opened.counter)

    def open(self, body: bytes) -> bytes:
        """Open a body once; raises Replayed or VerificationError, and then nothing has changed."""
        opened = self.authenticate(body)
        self.commit(opened)
        return opened.plaintext

    def forget(self) -> None:
        """Drop both keys: nothing is sealed or opened from now on."""
        self._send = None
        self._receive = None
