"""What an account says of its devices, and a device of its prekeys: signed bytes that server and nodes check.

The signature covers the very bytes that travel, after a label that belongs to this kind of statement alone;
nothing is encoded again to check it. Numbers are big endian, times are Unix seconds.

Device certificate, signed by the identity key under ``entrenous device certificate v1``::

     0        1  version, 1
     1       32  identity key (Ed25519): what contacts pin
    33       32  device key (Ed25519)
    65        8  device id
    73        8  not after
    81        2  n
    83        n  address, ASCII, as `str(Address)` writes it
    83+n     64  signature

Signed prekey, signed by the device key under ``entrenous prekey v1``::

     0        1  version, 1
     1        4  key id
     5        8  not after
    13     1216  hybrid KEM key: ML-KEM-768 encapsulation key (1184) ‖ X25519 public key (32)
    1229     64  signature
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final, Self

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from .addresses import MAX_ADDRESS_LENGTH, Address

ED25519_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
DEVICE_ID_BYTES: Final = 8
HYBRID_KEY_BYTES: Final = 1184 + 32
PREKEY_BYTES: Final = 13 + HYBRID_KEY_BYTES + SIGNATURE_BYTES

_VERSION: Final = 1
_CERTIFICATE_LABEL: Final = b"entrenous device certificate v1"
_PREKEY_LABEL: Final = b"entrenous prekey v1"
_CERTIFICATE_FIXED: Final = 83
_MAX_TIME: Final = 2**63 - 1  # the largest time that a database column holds


class CertificateError(ValueError):
    """A certificate, prekey or proof is malformed, expired, or not signed by whom it should be."""


def verify_signature(key: bytes, label: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature over `label ‖ message`.

    Args:
        key: 32 bytes.
        label: names the kind of statement; no label is the beginning of another.
        message: the exact bytes that travelled.
        signature: 64 bytes.

    Raises:
        CertificateError: it does not hold, or key or signature have another length.
    """
    if len(key) != ED25519_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise CertificateError("An Ed25519 key has 32 bytes and a signature 64.")
    try:
        VerifyKey(key).verify(label + message, signature)
    except CryptoError:
        raise CertificateError("A signature does not hold.") from None


def same_key(one: bytes, other: bytes) -> bool:
    """Compare two keys in a time that does not depend on their contents."""
    return hmac.compare_digest(one, other)


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """An account's statement that a device key speaks for it; the fields are those of `raw`, not yet verified.

    Args:
        raw: the bytes that travel.
        identity_key: the Ed25519 key that signed, 32 bytes.
        address: the account.
        device_id: 16 lower-case hexadecimal digits.
        device_key: the device's Ed25519 key, 32 bytes.
        not_after: Unix seconds from which it no longer holds.
    """

    raw: bytes
    identity_key: bytes
    address: Address
    device_id: str
    device_key: bytes
    not_after: int

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the fields; nothing is verified by that.

        Raises:
            CertificateError: `raw` is not laid out as drawn above.
        """
        if len(raw) < _CERTIFICATE_FIXED + SIGNATURE_BYTES or raw[0] != _VERSION:
            raise CertificateError("This is no device certificate of a known version.")
        length = int.from_bytes(raw[81:83], "big")
        if length > MAX_ADDRESS_LENGTH or len(raw) != _CERTIFICATE_FIXED + length + SIGNATURE_BYTES:
            raise CertificateError("The length of a device certificate is wrong.")
        try:
            text = raw[83 : 83 + length].decode("ascii")
            address = Address.parse(text)
        except ValueError:
            raise CertificateError("The address in a device certificate is none.") from None
        if str(address) != text:
            raise CertificateError("The address in a device certificate is not written in its one spelling.")
        not_after = int.from_bytes(raw[73:81], "big")
        if not_after > _MAX_TIME:
            raise CertificateError("The expiry in a device certificate is too far away.")
        return cls(
            raw=raw,
            identity_key=raw[1:33],
            address=address,
            device_id=raw[65:73].hex(),
            device_key=raw[33:65],
            not_after=not_after,
        )

    @classmethod
    def issue(
        cls, identity: SigningKey, address: Address, device_id: str, device_key: bytes, not_after: int
    ) -> DeviceCertificate:
        """Sign a certificate; the arguments are those of the class.

        Raises:
            CertificateError: an argument does not fit the layout.
        """
        try:
            device = bytes.fromhex(device_id)
        except ValueError:
            device = b""
        if len(device) != DEVICE_ID_BYTES or len(device_key) != ED25519_KEY_BYTES or not 0 <= not_after <= _MAX_TIME:
            raise CertificateError("A device id has 16 hexadecimal digits, a device key 32 bytes, a time 63 bits.")
        text = str(address).encode("ascii")
        body = b"".join(
            (
                bytes((_VERSION,)),
                bytes(identity.verify_key),
                device_key,
                device,
                not_after.to_bytes(8, "big"),
                len(text).to_bytes(2, "big"),
                text,
            )
        )
        return cls.parse(body + identity.sign(_CERTIFICATE_LABEL + body).signature)

    def verify(self, identity_key: bytes, now: float) -> None:
        """Check that `identity_key` signed this certificate and that it still holds.

        Args:
            identity_key: the pinned (or registered) identity key of the account, 32 bytes.
            now: Unix seconds.

        Raises:
            CertificateError: another key, no valid signature, or expired.
        """
        if not same_key(identity_key, self.identity_key):
            raise CertificateError("The device certificate is signed by another identity key.")
        if now >= self.not_after:
            raise CertificateError("The device certificate has expired.")
        body, signature = self.raw[:-SIGNATURE_BYTES], self.raw[-SIGNATURE_BYTES:]
        verify_signature(self.identity_key, _CERTIFICATE_LABEL, body, signature)


def names_key(certificate: bytes, device_key: bytes) -> bool:
    """Whether a device certificate names a device key; False too when it is laid out otherwise. Nothing is verified."""
    try:
        return same_key(DeviceCertificate.parse(certificate).device_key, device_key)
    except CertificateError:
        return False


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A device's hybrid KEM key, to which a ring is encrypted; not yet verified.

    Args:
        raw: the bytes that travel.
        key_id: 0..2**32-1, counted by the device.
        not_after: Unix seconds from which it is no longer used.
        public_key: ML-KEM-768 encapsulation key ‖ X25519 public key, 1216 bytes.
    """

    raw: bytes
    key_id: int
    not_after: int
    public_key: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the fields; nothing is verified by that.

        Raises:
            CertificateError: `raw` is not laid out as drawn above.
        """
        if len(raw) != PREKEY_BYTES or raw[0] != _VERSION:
            raise CertificateError("This is no signed prekey of a known version.")
        return cls(
            raw=raw,
            key_id=int.from_bytes(raw[1:5], "big"),
            not_after=int.from_bytes(raw[5:13], "big"),
            public_key=raw[13 : 13 + HYBRID_KEY_BYTES],
        )

    @classmethod
    def issue(cls, device: SigningKey, key_id: int, not_after: int, public_key: bytes) -> SignedPrekey:
        """Sign a prekey; the arguments are those of the class.

        Raises:
            CertificateError: an argument does not fit the layout.
        """
        if not (0 <= key_id < 2**32 and 0 <= not_after <= _MAX_TIME and len(public_key) == HYBRID_KEY_BYTES):
            raise CertificateError("A key id has 32 bits, a time 63, and a hybrid key 1216 bytes.")
        body = bytes((_VERSION,)) + key_id.to_bytes(4, "big") + not_after.to_bytes(8, "big") + public_key
        return cls.parse(body + device.sign(_PREKEY_LABEL + body).signature)

    def verify(self, device_key: bytes, now: float) -> None:
        """Check that the device signed this prekey and that it still holds.

        Args:
            device_key: the key of the device's verified certificate, 32 bytes.
            now: Unix seconds.

        Raises:
            CertificateError: no valid signature, or expired.
        """
        if now >= self.not_after:
            raise CertificateError("The prekey has expired.")
        body, signature = self.raw[:-SIGNATURE_BYTES], self.raw[-SIGNATURE_BYTES:]
        verify_signature(device_key, _PREKEY_LABEL, body, signature)
