"""Device certificates and signed prekeys: only what the right key signed, byte for byte, holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from entrenous_wire.addresses import MAX_ADDRESS_LENGTH, Address
from entrenous_wire.certificate import (
    HYBRID_KEY_BYTES,
    CertificateError,
    DeviceCertificate,
    SignedPrekey,
    names_key,
    verify_signature,
)
from entrenous_wire.limits import MAX_CERTIFICATE_BYTES, MAX_PREKEY_BYTES

NOW = 1_800_000_000.0
LATER = int(NOW) + 1000
IDENTITY = SigningKey(b"i" * 32)
DEVICE = SigningKey(b"d" * 32)
OTHER = SigningKey(b"o" * 32)
BOB = Address.parse("bob@calls.example.org:8443")
CERTIFICATE = DeviceCertificate.issue(IDENTITY, BOB, "00112233445566ff", bytes(DEVICE.verify_key), LATER)
PREKEY = SignedPrekey.issue(DEVICE, 7, LATER, bytes(range(256)) * 4 + bytes(HYBRID_KEY_BYTES - 1024))


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 1 << at % 8,)) + raw[at + 1 :]


def test_a_certificate_says_what_was_put_in() -> None:
    read = DeviceCertificate.parse(CERTIFICATE.raw)
    assert read == CERTIFICATE
    assert (read.address, read.device_id, read.not_after) == (BOB, "00112233445566ff", LATER)
    assert (read.identity_key, read.device_key) == (bytes(IDENTITY.verify_key), bytes(DEVICE.verify_key))
    read.verify(bytes(IDENTITY.verify_key), NOW)


def test_whether_a_certificate_names_a_key_is_told_of_any_bytes() -> None:
    assert names_key(CERTIFICATE.raw, bytes(DEVICE.verify_key))
    assert not names_key(CERTIFICATE.raw, bytes(OTHER.verify_key))
    assert not names_key(CERTIFICATE.raw[:-1], bytes(DEVICE.verify_key))


def test_a_prekey_says_what_was_put_in() -> None:
    read = SignedPrekey.parse(PREKEY.raw)
    assert read == PREKEY
    assert (read.key_id, read.not_after, len(read.public_key)) == (7, LATER, HYBRID_KEY_BYTES)
    read.verify(bytes(DEVICE.verify_key), NOW)


def test_both_fit_into_the_wire_limits_at_their_longest() -> None:
    hosts = ".".join(["h" * 63] * 3 + ["h" * 60]) + ":65535"
    longest = Address("u" * min(64, MAX_ADDRESS_LENGTH - 1 - len(hosts)), hosts)
    certificate = DeviceCertificate.issue(IDENTITY, longest, "0" * 16, bytes(32), 2**63 - 1)
    assert len(certificate.raw) <= MAX_CERTIFICATE_BYTES
    assert len(PREKEY.raw) <= MAX_PREKEY_BYTES


def test_a_changed_byte_anywhere_in_a_certificate_is_refused() -> None:
    for at in range(len(CERTIFICATE.raw)):
        with pytest.raises(CertificateError):
            DeviceCertificate.parse(flipped(CERTIFICATE.raw, at)).verify(bytes(IDENTITY.verify_key), NOW)


def test_a_changed_byte_anywhere_in_a_prekey_is_refused() -> None:
    for at in range(len(PREKEY.raw)):
        with pytest.raises(CertificateError):
            SignedPrekey.parse(flipped(PREKEY.raw, at)).verify(bytes(DEVICE.verify_key), NOW)


def test_another_identity_key_is_refused_even_if_it_signs_the_same() -> None:
    with pytest.raises(CertificateError, match="another identity key"):
        CERTIFICATE.verify(bytes(OTHER.verify_key), NOW)
    forged = DeviceCertificate.issue(OTHER, BOB, CERTIFICATE.device_id, CERTIFICATE.device_key, LATER)
    grafted = DeviceCertificate.parse(forged.raw[:1] + bytes(IDENTITY.verify_key) + forged.raw[33:])
    with pytest.raises(CertificateError, match="signature"):
        grafted.verify(bytes(IDENTITY.verify_key), NOW)


def test_another_device_key_does_not_sign_a_prekey() -> None:
    with pytest.raises(CertificateError, match="signature"):
        PREKEY.verify(bytes(OTHER.verify_key), NOW)


@pytest.mark.parametrize(
    "check",
    [
        lambda now: CERTIFICATE.verify(bytes(IDENTITY.verify_key), now),
        lambda now: PREKEY.verify(bytes(DEVICE.verify_key), now),
    ],
)
def test_what_has_expired_is_refused(check: Callable[[float], None]) -> None:
    check(LATER - 0.001)
    with pytest.raises(CertificateError, match="expired"):
        check(float(LATER))


def test_only_the_bytes_that_travelled_count_not_the_fields() -> None:
    """A certificate whose fields were changed after parsing verifies what was signed, nothing else."""
    changed = replace(CERTIFICATE, raw=CERTIFICATE.raw[:-1] + b"\0")
    with pytest.raises(CertificateError):
        changed.verify(bytes(IDENTITY.verify_key), NOW)


def test_an_address_in_another_spelling_is_refused() -> None:
    text = b"bob@CALLS.example.org:8443"
    raw = CERTIFICATE.raw[:83] + text + CERTIFICATE.raw[83 + len(text) :]
    with pytest.raises(CertificateError, match="one spelling"):
        DeviceCertificate.parse(raw)


def test_a_signature_for_one_purpose_does_not_serve_another() -> None:
    signature = DEVICE.sign(b"purpose one" + b"body").signature
    verify_signature(bytes(DEVICE.verify_key), b"purpose one", b"body", signature)
    with pytest.raises(CertificateError):
        verify_signature(bytes(DEVICE.verify_key), b"purpose two", b"body", signature)


@pytest.mark.parametrize(
    ("device_id", "device_key", "not_after"),
    [("00", bytes(32), 1), ("x" * 16, bytes(32), 1), ("0" * 16, bytes(31), 1), ("0" * 16, bytes(32), -1)],
)
def test_what_does_not_fit_is_not_issued(device_id: str, device_key: bytes, not_after: int) -> None:
    with pytest.raises(CertificateError):
        DeviceCertificate.issue(IDENTITY, BOB, device_id, device_key, not_after)
    with pytest.raises(CertificateError):
        SignedPrekey.issue(DEVICE, -1, not_after, bytes(3))


@given(st.one_of(st.binary(max_size=600), st.binary(min_size=1, max_size=60).map(lambda tail: b"\1" + tail)))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for parse in (DeviceCertificate.parse, SignedPrekey.parse):
        with pytest.raises(CertificateError):
            parse(raw)


@given(st.integers(0, len(CERTIFICATE.raw)), st.binary(max_size=8))
def test_cut_or_lengthened_bytes_are_refused(cut: int, tail: bytes) -> None:
    raw = CERTIFICATE.raw[:cut] + tail
    if raw != CERTIFICATE.raw:
        with pytest.raises(CertificateError):
            DeviceCertificate.parse(raw).verify(bytes(IDENTITY.verify_key), NOW)


def test_an_expiry_that_no_database_can_hold_is_refused() -> None:
    raw = bytearray(CERTIFICATE.raw)
    raw[73] |= 0x80
    with pytest.raises(CertificateError):
        DeviceCertificate.parse(bytes(raw))
