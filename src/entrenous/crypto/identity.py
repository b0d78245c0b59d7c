"""Who somebody is: the account's identity key, the device keys that it certifies, and how people compare them.

The identity key is what contacts pin. It signs device certificates and nothing else but a registration;
device keys sign everything in daily use. The certificate layout is drawn in `entrenous_wire.certificate`.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Final

from nacl.signing import SigningKey

from entrenous.errors import LocalProtocolError, VerificationError
from entrenous_wire.addresses import Address
from entrenous_wire.certificate import (
    DEVICE_ID_BYTES,
    CertificateError,
    DeviceCertificate,
    SignedPrekey,
    same_key,
    verify_signature,
)
from entrenous_wire.limits import MAX_LETTER_DAYS

Entropy = Callable[[int], bytes]
"""Gives that many random bytes: `os.urandom`, or something reproducible in a test."""

SEED_BYTES: Final = 32
CERTIFICATE_SECONDS: Final = 90 * 86_400
"""How long a device certificate holds."""

KEEP_EXPIRED_SECONDS: Final = MAX_LETTER_DAYS * 86_400
"""How long a device keeps the private half of an expired prekey at most, for what was stored while it was away."""

RENEW_SECONDS: Final = 30 * 86_400
"""A certificate with less than this left is replaced."""

_FINGERPRINT_LABEL: Final = b"entrenous fingerprint v1"
_FINGERPRINT_BYTES: Final = 20
_SAFETY_LABEL: Final = b"entrenous safety number v1"
_SAFETY_ROUNDS: Final = 5200


class _SigningIdentity:
    """An Ed25519 key pair that shows nothing of its private half."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise LocalProtocolError("An Ed25519 key is made from 32 bytes.")
        self._key = SigningKey(seed)
        self.public_key: bytes = bytes(self._key.verify_key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {fingerprint(self.public_key)}>"

    def sign(self, label: bytes, message: bytes) -> bytes:
        """Sign `label ‖ message`; 64 bytes. `label` names the kind of statement, empty for a login proof."""
        return self._key.sign(label + message).signature


class AccountIdentity(_SigningIdentity):
    """The identity key of an account.

    Args:
        seed: 32 random bytes, the only thing that has to be kept.
    """

    __slots__ = ()

    def certify(self, address: Address, device_id: str, device_key: bytes, now: float) -> DeviceCertificate:
        """Certify a device key for `CERTIFICATE_SECONDS` from `now` (Unix seconds)."""
        not_after = int(now) + CERTIFICATE_SECONDS
        return DeviceCertificate.issue(self._key, address, device_id, device_key, not_after)


class DeviceIdentity(_SigningIdentity):
    """The key of one device.

    Args:
        seed: 32 random bytes.
    """

    __slots__ = ()

    def sign_prekey(self, key_id: int, not_after: int, public_key: bytes) -> SignedPrekey:
        """Sign a hybrid public key (1216 bytes) as a prekey of this device."""
        return SignedPrekey.issue(self._key, key_id, not_after, public_key)


def new_device_id(entropy: Entropy) -> str:
    """Draw a device id: 16 hexadecimal digits."""
    return entropy(DEVICE_ID_BYTES).hex()


def check_signature(key: bytes, label: bytes, message: bytes, signature: bytes) -> None:
    """Check a peer's signature over `label ‖ message`; raises VerificationError."""
    try:
        verify_signature(key, label, message, signature)
    except CertificateError as error:
        raise VerificationError(str(error)) from None


@dataclass(frozen=True, slots=True)
class VerifiedDevice:
    """A device of somebody, whose certificate and prekey were verified against a pinned identity key.

    Args:
        certificate: the device certificate.
        prekey: the prekey to which a ring is sealed.
    """

    certificate: DeviceCertificate
    prekey: SignedPrekey

    @classmethod
    def verify(
        cls, address: Address, identity_key: bytes, certificate: bytes, prekey: bytes, now: float
    ) -> VerifiedDevice:
        """Verify what a server says about a device; its prekey may have expired, see `can_ring`.

        Args:
            address: who is to be called.
            identity_key: their identity key as the contact list has it (or takes it, on first use).
            certificate: `DeviceCertificate.raw` as the server gave it.
            prekey: `SignedPrekey.raw` as the server gave it.
            now: Unix seconds.

        Raises:
            VerificationError: it is malformed, someone else's, or not signed by whom it should be; the certificate
                has expired, or the prekey for so long that its device may have forgotten it.
        """
        try:
            parsed = DeviceCertificate.parse(certificate)
            parsed.verify(identity_key, now)
            signed = SignedPrekey.parse(prekey)
            signed.verify(parsed.device_key, now - KEEP_EXPIRED_SECONDS)
        except CertificateError as error:
            raise VerificationError(str(error)) from None
        if parsed.address != address:
            raise VerificationError("The device certificate is for another account.")
        return cls(parsed, signed)

    def can_ring(self, now: float) -> bool:
        """Whether a ring may be sealed to its prekey at `now` (Unix seconds).

        A device that has not published a newer one is away: it can be left word, which it opens with what it has
        kept (`prekeys`), and nothing that is alive shall hang on an old key.
        """
        return now < self.prekey.not_after


def verify_certificate(certificate: bytes, now: float, identity_key: bytes | None = None) -> DeviceCertificate:
    """Verify a certificate that a peer sent.

    Args:
        certificate: the bytes that came.
        now: Unix seconds.
        identity_key: the only key that may have signed it; None takes the one it names, which the caller must
            then compare with the contact list.

    Raises:
        VerificationError: it is malformed, expired, or not signed by whom it should be.
    """
    try:
        parsed = DeviceCertificate.parse(certificate)
        parsed.verify(parsed.identity_key if identity_key is None else identity_key, now)
    except CertificateError as error:
        raise VerificationError(str(error)) from None
    return parsed


def fingerprint(identity_key: bytes) -> str:
    """The fingerprint of an identity key: 32 lower-case base32 characters, the first 160 bits of its hash."""
    digest = sha256(_FINGERPRINT_LABEL + identity_key).digest()[:_FINGERPRINT_BYTES]
    return b32encode(digest).decode("ascii").lower()


def matches_fingerprint(identity_key: bytes, expected: str) -> bool:
    """Whether an identity key has this fingerprint, in a time that does not depend on where they differ."""
    return same_key(fingerprint(identity_key).encode(), expected.encode())


def _half_number(address: Address, identity_key: bytes) -> str:
    """30 digits for one account: 5200 rounds of SHA-512, then six groups of 40 bits modulo 100,000."""
    digest = _SAFETY_LABEL + identity_key + str(address).encode()
    for _ in range(_SAFETY_ROUNDS):
        digest = sha512(digest + identity_key).digest()
    groups = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5))
    return "".join(f"{group:05d}" for group in groups)


def safety_number(one: tuple[Address, bytes], other: tuple[Address, bytes]) -> str:
    """The number that two people compare, once, to know that each has pinned the other's true identity key.

    Each account gives 30 digits; the smaller half stands first, so both see the same. The form is that of the
    numeric fingerprints which messengers use: twelve groups of five digits, slow to search for.

    Args:
        one, other: address and identity key (32 bytes) of each account, in any order.

    Returns:
        60 digits in 12 groups of five with spaces between.
    """
    digits = "".join(sorted((_half_number(*one), _half_number(*other))))
    return " ".join(digits[at : at + 5] for at in range(0, 60, 5))
