"""From the transcript of a handshake to every key of a call, and from one root to the next.

::

    root 0 = HKDF-Extract(salt = transcript, secret a ‖ secret b)
    root n+1 = HKDF-Extract(salt = root n, fresh secret ‖ SHA-256(fresh public key))
       │
       ├─ "channel a to b", "channel b to a"      the sealed channel, at root 0 only: it lasts for the whole call
       ├─ "words" ‖ nonce a ‖ nonce b             the three words, at root 0 only
       └─ "frames a to b audio", …                one base key a direction and stream, at every root

Roots are overwritten when they are done with. Python may have made copies meanwhile, so that is an effort and
no promise; what the promise rests on is that no reference to an old key stays.
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand


class Side(Enum):
    """Which end of the call this device is."""

    CALLER = "a"
    CALLEE = "b"

    @property
    def other(self) -> Side:
        """The other end."""
        return Side.CALLEE if self is Side.CALLER else Side.CALLER


class Root:
    """One root of the key schedule; it is overwritten by `forget`.

    Args:
        epoch: 0 after the handshake, then one more for each rekey.
        value: 32 bytes.
    """

    __slots__ = ("_value", "epoch")

    def __init__(self, epoch: int, value: bytes) -> None:
        self.epoch = epoch
        self._value = bytearray(value)

    def __repr__(self) -> str:
        return f"<Root of epoch {self.epoch}>"

    def expand(self, label: str, context: bytes = b"", length: int = 32) -> bytes:
        """Derive `length` bytes for one use."""
        info = b"entrenous v1 " + label.encode("ascii") + b"\0" + context
        return HKDFExpand(SHA256(), length, info).derive(self._value)

    def channel_key(self, sender: Side) -> bytes:
        """The key of the sealed channel for what `sender` says."""
        return self.expand(f"channel {sender.value} to {sender.other.value}")

    def frame_key(self, sender: Side, stream: str) -> bytes:
        """The SFrame base key for what `sender` sends in `stream`."""
        return self.expand(f"frames {sender.value} to {sender.other.value} {stream}")

    def next(self, secret: bytes, public_key: bytes) -> Root:
        """The root that follows: a fresh secret, bound to the fresh key that it was sent under."""
        fresh = secret + sha256(public_key).digest()
        return Root(self.epoch + 1, HKDF.extract(SHA256(), bytes(self._value), fresh))

    def forget(self) -> None:
        """Overwrite the value."""
        self._value[:] = bytes(len(self._value))


def first_root(transcript: bytes, secret_a: bytes, secret_b: bytes) -> Root:
    """Root 0: `transcript` is the hash of what was said, the secrets are 32 bytes each."""
    return Root(0, HKDF.extract(SHA256(), transcript, secret_a + secret_b))
