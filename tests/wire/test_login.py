"""Login and registration: the proof fits one server, one nonce, one account, one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from entrenous_wire.addresses import Address
from entrenous_wire.certificate import HYBRID_KEY_BYTES, CertificateError, DeviceCertificate, SignedPrekey
from entrenous_wire.login import (
    deletion_proof,
    login_proof,
    registration_proof,
    verify_deletion,
    verify_login,
    verify_prekeys,
    verify_registration,
)

NOW = 1_800_000_000.0
LATER = int(NOW) + 1000
SERVER = "calls.example.org"
NONCE = b"n" * 32
BOB = Address("bob", SERVER)
DEVICE_ID = "00112233445566ff"
IDENTITY = SigningKey(b"i" * 32)
DEVICE = SigningKey(b"d" * 32)
OTHER = SigningKey(b"o" * 32)
CERTIFICATE = DeviceCertificate.issue(IDENTITY, BOB, DEVICE_ID, bytes(DEVICE.verify_key), LATER)
PREKEY = SignedPrekey.issue(DEVICE, 0, LATER, bytes(HYBRID_KEY_BYTES)).raw


@dataclass
class Login:
    """The arguments of a login that holds."""

    fields: dict[str, Any]

    def changed(self, **changes: Any) -> dict[str, Any]:
        return {**self.fields, **changes}


def login() -> Login:
    proof = login_proof(SERVER, NONCE, str(BOB), DEVICE_ID)
    return Login(
        {
            "server": SERVER,
            "nonce": NONCE,
            "address": str(BOB),
            "device": DEVICE_ID,
            "certificate": CERTIFICATE.raw,
            "identity_key": bytes(IDENTITY.verify_key),
            "signature": DEVICE.sign(proof).signature,
            "now": NOW,
        }
    )


def registration() -> Login:
    proof = registration_proof(
        SERVER, NONCE, "bob", bytes(IDENTITY.verify_key), CERTIFICATE.raw, [PREKEY], "invite-code"
    )
    return Login(
        {
            "server": SERVER,
            "nonce": NONCE,
            "username": "bob",
            "identity_key": bytes(IDENTITY.verify_key),
            "certificate": CERTIFICATE.raw,
            "prekeys": [PREKEY],
            "identity_signature": IDENTITY.sign(proof).signature,
            "signature": DEVICE.sign(proof).signature,
            "now": NOW,
            "invite": "invite-code",
        }
    )


def test_the_bytes_that_are_signed_are_these() -> None:
    assert login_proof("s", b"\1\2", "a@s", "ff") == (
        b"entrenous login v1"
        b"\0\0\0\1s"
        b"\0\0\0\2\1\2"
        b"\0\0\0\3a@s"
        b"\0\0\0\2ff"
    )  # fmt: skip
    assert registration_proof("s", b"n", "u", b"I", b"C", [b"P", b"Q"]) == (
        b"entrenous registration v1"
        b"\0\0\0\1s" b"\0\0\0\1n" b"\0\0\0\1u" b"\0\0\0\1I" b"\0\0\0\1C" b"\0\0\0\0" b"\0\0\0\1P" b"\0\0\0\1Q"
    )  # fmt: skip
    assert deletion_proof("s", b"n", "a@s") == b"entrenous delete v1\0\0\0\1s\0\0\0\1n\0\0\0\3a@s"


@given(st.lists(st.text(max_size=6), min_size=6, max_size=6))
def test_fields_cannot_run_into_each_other(texts: list[str]) -> None:
    one = login_proof(texts[0], texts[1].encode(), texts[2], "d")
    other = login_proof(texts[3], texts[4].encode(), texts[5], "d")
    assert (one == other) == (texts[:3] == texts[3:])


def test_a_good_login_holds() -> None:
    assert verify_login(**login().fields) == CERTIFICATE


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "other.example.org"},
        {"nonce": b"m" * 32},
        {"address": f"eve@{SERVER}"},
        {"device": "ff" * 8},
        {"identity_key": bytes(OTHER.verify_key)},
        {"signature": bytes(64)},
        {"signature": b""},
        {"now": float(LATER)},
        {"certificate": b""},
        {"certificate": CERTIFICATE.raw[:-1] + b"\0"},
        {
            "certificate": DeviceCertificate.issue(
                OTHER, BOB, DEVICE_ID, bytes(DEVICE.verify_key), LATER
            ).raw
        },
    ],
)  # fmt: skip
def test_a_login_that_differs_in_one_thing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CertificateError):
        verify_login(**login().changed(**changes))


def test_a_login_signed_for_another_server_is_refused_there() -> None:
    """Even when the account exists at both servers under the same keys."""
    elsewhere = Address("bob", "other.example.org")
    certificate = DeviceCertificate.issue(IDENTITY, elsewhere, DEVICE_ID, bytes(DEVICE.verify_key), LATER).raw
    with pytest.raises(CertificateError):
        verify_login(**login().changed(server=elsewhere.host, address=str(elsewhere), certificate=certificate))


def test_an_account_of_another_server_is_refused_even_if_it_signs_for_this_one() -> None:
    server = "other.example.org"
    signature = DEVICE.sign(login_proof(server, NONCE, str(BOB), DEVICE_ID)).signature
    with pytest.raises(CertificateError, match="another server"):
        verify_login(**login().changed(server=server, signature=signature))


def test_the_identity_key_does_not_sign_logins() -> None:
    proof = login_proof(SERVER, NONCE, str(BOB), DEVICE_ID)
    with pytest.raises(CertificateError):
        verify_login(**login().changed(signature=IDENTITY.sign(proof).signature))


def test_a_good_registration_holds_with_and_without_an_invite() -> None:
    assert verify_registration(**registration().fields) == (CERTIFICATE, [SignedPrekey.parse(PREKEY)])
    proof = registration_proof(SERVER, NONCE, "bob", bytes(IDENTITY.verify_key), CERTIFICATE.raw, [PREKEY])
    signatures = {"identity_signature": IDENTITY.sign(proof).signature, "signature": DEVICE.sign(proof).signature}
    certificate, _ = verify_registration(**registration().changed(invite=None, **signatures))
    assert certificate == CERTIFICATE


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "other.example.org"},
        {"nonce": b"m" * 32},
        {"username": "eve"},
        {"username": "Not A Name"},
        {"identity_key": bytes(OTHER.verify_key)},
        {"invite": "other-code"},
        {"invite": None},
        {"prekeys": []},
        {"prekeys": [PREKEY, PREKEY]},
        {"signature": bytes(64)},
        {"identity_signature": bytes(64)},
        {"now": float(LATER)},
    ],
)
def test_a_registration_that_differs_in_one_thing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        verify_registration(**registration().changed(**changes))


def test_a_registration_needs_both_signatures_by_their_own_keys() -> None:
    fields = registration().fields
    swapped = {"signature": fields["identity_signature"], "identity_signature": fields["signature"]}
    with pytest.raises(CertificateError):
        verify_registration(**registration().changed(**swapped))


def test_prekeys_of_another_device_are_not_published() -> None:
    assert [key.raw for key in verify_prekeys(bytes(DEVICE.verify_key), [PREKEY], NOW)] == [PREKEY]
    with pytest.raises(CertificateError):
        verify_prekeys(bytes(OTHER.verify_key), [PREKEY], NOW)
    with pytest.raises(CertificateError):
        verify_prekeys(bytes(DEVICE.verify_key), [PREKEY[:-1]], NOW)


DELETION = {
    "server": SERVER,
    "nonce": NONCE,
    "address": str(BOB),
    "identity_key": bytes(IDENTITY.verify_key),
    "signature": IDENTITY.sign(deletion_proof(SERVER, NONCE, str(BOB))).signature,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "other.example.org"},
        {"nonce": b"m" * 32},
        {"address": f"eve@{SERVER}"},
        {"identity_key": bytes(OTHER.verify_key)},
        {"signature": DEVICE.sign(deletion_proof(SERVER, NONCE, str(BOB))).signature},
    ],
)
def test_only_the_identity_key_deletes_its_account_on_this_connection(changes: dict[str, Any]) -> None:
    verify_deletion(**DELETION)  # type: ignore[arg-type]  # the fields of one dict differ in type
    with pytest.raises(CertificateError):
        verify_deletion(**DELETION | changes)
