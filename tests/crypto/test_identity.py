"""Identities: certifying devices, fingerprints, safety numbers, and what a caller verifies before it rings."""

from __future__ import annotations

import re

import pytest

from crypto.people import NOW, profile, seeded
from entrenous.crypto.identity import (
    CERTIFICATE_SECONDS,
    AccountIdentity,
    DeviceIdentity,
    VerifiedDevice,
    check_signature,
    fingerprint,
    matches_fingerprint,
    new_device_id,
    safety_number,
    verify_certificate,
)
from entrenous.crypto.prekeys import KEEP_SECONDS, ROTATE_SECONDS
from entrenous.errors import LocalProtocolError, VerificationError
from entrenous_wire.addresses import Address

ALICE, BOB, EVE = profile("alice"), profile("bob"), profile("eve")
ALICE_AT, BOB_AT, EVE_AT = (Address.parse(person.address) for person in (ALICE, BOB, EVE))


def test_a_certified_device_is_verified_by_the_identity_key_alone() -> None:
    device = DeviceIdentity(b"d" * 32)
    certificate = BOB.identity.certify(BOB_AT, "00" * 8, device.public_key, NOW)
    assert certificate.not_after == NOW + CERTIFICATE_SECONDS
    assert verify_certificate(certificate.raw, NOW, BOB.identity.public_key) == certificate
    assert verify_certificate(certificate.raw, NOW) == certificate
    with pytest.raises(VerificationError):
        verify_certificate(certificate.raw, NOW, EVE.identity.public_key)
    with pytest.raises(VerificationError):
        verify_certificate(certificate.raw, NOW + CERTIFICATE_SECONDS)
    with pytest.raises(VerificationError):
        verify_certificate(b"", NOW)


def test_what_a_server_says_of_a_device_is_verified() -> None:
    prekey = BOB.prekeys[0].signed
    device = VerifiedDevice.verify(BOB_AT, BOB.identity.public_key, BOB.certificate, prekey, NOW)
    assert device.certificate.raw == BOB.certificate
    assert device.prekey.raw == prekey


def test_a_device_whose_prekey_has_expired_is_left_word_and_not_rung() -> None:
    later = NOW + ROTATE_SECONDS + KEEP_SECONDS
    device = VerifiedDevice.verify(BOB_AT, BOB.identity.public_key, BOB.certificate, BOB.prekeys[0].signed, later)
    assert device.can_ring(later - 1)
    assert not device.can_ring(later)


@pytest.mark.parametrize("lie", ["identity", "address", "device", "prekey", "malformed", "expired"])
def test_a_lie_about_a_device_is_found(lie: str) -> None:
    address, identity_key, now = BOB_AT, BOB.identity.public_key, NOW
    certificate, prekey = BOB.certificate, BOB.prekeys[0].signed
    match lie:
        case "identity":
            identity_key = EVE.identity.public_key
        case "address":
            address = EVE_AT
        case "device":
            certificate = EVE.certificate
        case "prekey":
            prekey = EVE.prekeys[0].signed
        case "malformed":
            prekey = prekey[:-1]
        case "expired":
            now += CERTIFICATE_SECONDS
    with pytest.raises(VerificationError):
        VerifiedDevice.verify(address, identity_key, certificate, prekey, now)


def test_a_server_cannot_pass_off_a_device_of_its_own() -> None:
    """Eve runs the server: she certifies a device of hers for Bob's address, with her own identity key."""
    device = DeviceIdentity(b"e" * 32)
    forged = EVE.identity.certify(BOB_AT, "00" * 8, device.public_key, NOW)
    prekey = device.sign_prekey(0, int(NOW) + 100, bytes(1216))
    with pytest.raises(VerificationError):
        VerifiedDevice.verify(BOB_AT, BOB.identity.public_key, forged.raw, prekey.raw, NOW)


def test_fingerprints() -> None:
    one = fingerprint(ALICE.identity.public_key)
    assert re.fullmatch("[a-z2-7]{32}", one)
    assert one == fingerprint(ALICE.identity.public_key) != fingerprint(BOB.identity.public_key)
    assert matches_fingerprint(ALICE.identity.public_key, one)
    assert not matches_fingerprint(BOB.identity.public_key, one)


def test_both_see_the_same_safety_number_and_it_depends_on_everything() -> None:
    alice, bob = (ALICE_AT, ALICE.identity.public_key), (BOB_AT, BOB.identity.public_key)
    number = safety_number(alice, bob)
    assert re.fullmatch(r"([0-9]{5} ){11}[0-9]{5}", number)
    assert number == safety_number(bob, alice)
    others = {
        safety_number(alice, (BOB_AT, EVE.identity.public_key)),
        safety_number(alice, (EVE_AT, BOB.identity.public_key)),
        safety_number((EVE_AT, ALICE.identity.public_key), bob),
    }
    assert len(others | {number}) == 4


def test_a_safety_number_stays_what_it_is() -> None:
    """People write it down: a change of the rules must be a decision, not an accident."""
    one, other = (Address.parse("a@x"), b"\1" * 32), (Address.parse("b@y"), b"\2" * 32)
    assert safety_number(one, other) == "13123 43920 38686 50367 84618 72196 37098 49551 27718 47235 37371 95572"


def test_signatures_are_checked() -> None:
    signature = ALICE.device.sign(b"label ", b"message")
    check_signature(ALICE.device.public_key, b"label ", b"message", signature)
    with pytest.raises(VerificationError):
        check_signature(BOB.device.public_key, b"label ", b"message", signature)


def test_nothing_shown_is_secret() -> None:
    identity = AccountIdentity(b"s" * 32)
    assert repr(identity) == f"<AccountIdentity {fingerprint(identity.public_key)}>"
    assert "sss" not in repr(identity)
    with pytest.raises(LocalProtocolError):
        DeviceIdentity(b"short")


def test_device_ids_are_16_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", new_device_id(seeded("id")))
