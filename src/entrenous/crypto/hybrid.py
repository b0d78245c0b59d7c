"""The hybrid KEM under every asymmetric encryption: HPKE (RFC 9180) with ML-KEM-768 and X25519 together.

What is sealed stays closed as long as either of the two holds. HKDF-SHA256 and AES-256-GCM complete the suite.
A sealed body is ``encapsulated key (1120) ‖ ciphertext ‖ tag (16)``; the public key is
``ML-KEM-768 encapsulation key (1184) ‖ X25519 public key (32)``.

HPKE draws the randomness of each encapsulation itself; keys are made from seeds that are passed in.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from entrenous.errors import LocalProtocolError, VerificationError
from entrenous_wire.certificate import HYBRID_KEY_BYTES

SEED_BYTES: Final = 64 + 32
"""Entropy that one private key takes: the ML-KEM seed d ‖ z (FIPS 203 §7.1), then the X25519 scalar."""

SEAL_OVERHEAD: Final = 1120 + 16
"""Bytes by which a sealed body is longer than what is in it."""

_MLKEM_PUBLIC_BYTES: Final = 1184
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class HybridPrivateKey:
    """A private hybrid key.

    Args:
        seed: 96 random bytes; the same seed gives the same key.

    Raises:
        LocalProtocolError: the seed has another length.
    """

    __slots__ = ("_key", "public_bytes")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise LocalProtocolError("A hybrid key is made from 96 bytes.")
        mlkem = MLKEM768PrivateKey.from_seed_bytes(seed[:64])
        x25519 = X25519PrivateKey.from_private_bytes(seed[64:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public_bytes: bytes = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "<HybridPrivateKey>"

    def open(self, body: bytes, info: bytes) -> bytes:
        """Open what was sealed to this key under the same `info`; raises VerificationError."""
        try:
            return _SUITE.decrypt(body, self._key, info)
        except (InvalidTag, ValueError):
            raise VerificationError("A body is not sealed to this key, or was changed.") from None


def seal_to(public_bytes: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal `plaintext` to a hybrid public key.

    Args:
        public_bytes: 1216 bytes.
        plaintext: what is sealed.
        info: names the use; the body opens under the same `info` only.

    Raises:
        VerificationError: the public key, which came from a peer, is none.
    """
    if len(public_bytes) != HYBRID_KEY_BYTES:
        raise VerificationError("A hybrid public key has 1216 bytes.")
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_bytes[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public_bytes[_MLKEM_PUBLIC_BYTES:]),
        )
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError:
        raise VerificationError("A hybrid public key is malformed.") from None
