"""What is signed to log in, to register and to delete an account, byte for byte; both sides build it themselves.

Each field is written as its length (4 bytes, big endian) and its bytes, after a label::

    "entrenous login v1"         server, nonce, address, device id
    "entrenous registration v1"  server, nonce, username, identity key, certificate, invite, each prekey
    "entrenous delete v1"        server, nonce, address

The server name stops one server from replaying a login at another, the nonce is good for one login and a few
seconds. A registration is signed twice over the same bytes: by the identity key, which claims the name, and
by the device key, which proves that the certified device takes part. A deletion is signed by the identity key, and is
good for the connection that greeted with the nonce. Text is UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .addresses import Address
from .certificate import CertificateError, DeviceCertificate, SignedPrekey, verify_signature

_LOGIN_LABEL: Final = b"entrenous login v1"
_REGISTRATION_LABEL: Final = b"entrenous registration v1"
_DELETION_LABEL: Final = b"entrenous delete v1"


def _fields(label: bytes, *fields: bytes) -> bytes:
    return label + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def login_proof(server: str, nonce: bytes, address: str, device: str) -> bytes:
    """The bytes that a device key signs to log in.

    Args:
        server: the name in the server's `Hello`, which must be the host of `address`.
        nonce: the nonce in the same `Hello`.
        address: `str(Address)` of the account.
        device: the device id, 16 hexadecimal digits.
    """
    return _fields(_LOGIN_LABEL, server.encode(), nonce, address.encode(), device.encode())


def registration_proof(
    server: str,
    nonce: bytes,
    username: str,
    identity_key: bytes,
    certificate: bytes,
    prekeys: Sequence[bytes],
    invite: str | None = None,
) -> bytes:
    """The bytes that the identity key and the device key both sign to register.

    Args:
        server: the name in the server's `Hello`.
        nonce: the nonce in the same `Hello`.
        username: the name that is claimed at that server.
        identity_key: the account's Ed25519 key, 32 bytes.
        certificate: `DeviceCertificate.raw` of the first device.
        prekeys: `SignedPrekey.raw` of that device, in the order in which they are published.
        invite: the invite code, if the server asks for one.
    """
    code = (invite or "").encode()
    return _fields(
        _REGISTRATION_LABEL, server.encode(), nonce, username.encode(), identity_key, certificate, code, *prekeys
    )


def deletion_proof(server: str, nonce: bytes, address: str) -> bytes:
    """The bytes that the identity key signs to delete its account.

    Args:
        server, nonce, address: as for `login_proof`; the nonce is that of the connection on which it is asked.
    """
    return _fields(_DELETION_LABEL, server.encode(), nonce, address.encode())


def verify_login(
    *,
    server: str,
    nonce: bytes,
    address: str,
    device: str,
    certificate: bytes,
    identity_key: bytes,
    signature: bytes,
    now: float,
) -> DeviceCertificate:
    """Check a login against the identity key that the account is registered under.

    Args:
        server, nonce, address, device: as for `login_proof`.
        certificate: the device certificate that came with the login.
        identity_key: the registered key, 32 bytes, never one that the login brought along.
        signature: the signature by the device key.
        now: Unix seconds.

    Returns:
        The verified certificate.

    Raises:
        CertificateError: the certificate is not of this account and device, or a signature does not hold.
    """
    parsed = DeviceCertificate.parse(certificate)
    if parsed.address.host != server:
        raise CertificateError("The device certificate belongs to another server.")
    if str(parsed.address) != address or parsed.device_id != device:
        raise CertificateError("The device certificate is not of this account and device.")
    parsed.verify(identity_key, now)
    verify_signature(parsed.device_key, b"", login_proof(server, nonce, address, device), signature)
    return parsed


def verify_registration(
    *,
    server: str,
    nonce: bytes,
    username: str,
    identity_key: bytes,
    certificate: bytes,
    prekeys: Sequence[bytes],
    identity_signature: bytes,
    signature: bytes,
    now: float,
    invite: str | None = None,
) -> tuple[DeviceCertificate, list[SignedPrekey]]:
    """Check everything about a registration but the name and the invite code themselves.

    Args:
        server, nonce, username, identity_key, certificate, prekeys, invite: as for `registration_proof`.
        identity_signature: the signature by the identity key.
        signature: the signature by the device key.
        now: Unix seconds.

    Returns:
        The verified certificate of the first device, and its prekeys.

    Raises:
        CertificateError: a signature does not hold, a prekey or the certificate is not what it should be.
        ValueError: `username` is none.
    """
    parsed = DeviceCertificate.parse(certificate)
    if parsed.address != Address(username, server):
        raise CertificateError("The device certificate is for another account.")
    parsed.verify(identity_key, now)
    proof = registration_proof(server, nonce, username, identity_key, certificate, prekeys, invite)
    verify_signature(identity_key, b"", proof, identity_signature)
    verify_signature(parsed.device_key, b"", proof, signature)
    return parsed, verify_prekeys(parsed.device_key, prekeys, now)


def verify_deletion(*, server: str, nonce: bytes, address: str, identity_key: bytes, signature: bytes) -> None:
    """Check that the owner of an account wants it deleted.

    Args:
        server, nonce, address: as for `deletion_proof`.
        identity_key: the registered key, 32 bytes.
        signature: the signature by the identity key.

    Raises:
        CertificateError: the signature does not hold.
    """
    verify_signature(identity_key, b"", deletion_proof(server, nonce, address), signature)


def verify_prekeys(device_key: bytes, prekeys: Sequence[bytes], now: float) -> list[SignedPrekey]:
    """Check prekeys that a device wants to publish.

    Args:
        device_key: the key of the device's verified certificate, 32 bytes.
        prekeys: the encoded prekeys.
        now: Unix seconds.

    Raises:
        CertificateError: one is malformed, expired or not signed by this device.
    """
    parsed = [SignedPrekey.parse(raw) for raw in prekeys]
    for prekey in parsed:
        prekey.verify(device_key, now)
    return parsed
