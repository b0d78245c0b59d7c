"""Checks of logins, registrations and stored devices."""

from __future__ import annotations

import msgspec
import pytest

from entrenous_signaling.auth import (
    Refused,
    check_login,
    check_prekeys,
    check_registration,
    has_device,
    hash_invite,
    known_account,
    local_user,
    reachable_devices,
    refuse_device,
    refuse_registration,
    unreachable_devices,
)
from entrenous_signaling.store.requests import Account as StoredAccount
from entrenous_signaling.store.requests import DeviceOutcome, RegisterOutcome, StoredDevice
from entrenous_wire import certificate
from entrenous_wire.certificate import HYBRID_KEY_BYTES, DeviceCertificate, SignedPrekey
from entrenous_wire.limits import MAX_LETTER_DAYS
from entrenous_wire.messages import ErrorCode, Hello, RegistrationPolicy
from world.hubworld import SERVER, account

ALICE, EVE = account("alice"), account("eve")
NONCE = b"n" * 32
HELLO = Hello(server=SERVER, nonce=NONCE, versions=[1], registration=RegistrationPolicy.OPEN)
KEY = bytes(ALICE.identity_key.verify_key)
STORED = StoredAccount(KEY, (StoredDevice(ALICE.device, ALICE.certificate, (ALICE.prekey,)),))


def test_addresses_of_this_server_name_their_user() -> None:
    assert local_user(f"bob@{SERVER.upper()}", SERVER) == "bob"
    for text, code in (("bob", ErrorCode.MALFORMED), ("bob@other.example.org", ErrorCode.UNKNOWN_USER)):
        with pytest.raises(Refused) as refusal:
            local_user(text, SERVER)
        assert refusal.value.code is code


def test_a_login_holds_for_its_server_nonce_account_and_device_only() -> None:
    login = ALICE.login(HELLO)
    assert check_login(login, STORED, server=SERVER, nonce=NONCE, now=1.0).device_id == ALICE.device
    for changed, server, nonce, stored, now in (
        (login, "other.example.org", NONCE, STORED, 1.0),
        (login, SERVER, b"m" * 32, STORED, 1.0),
        (msgspec.structs.replace(login, address=EVE.address), SERVER, NONCE, STORED, 1.0),
        (msgspec.structs.replace(login, device="b" * 16), SERVER, NONCE, STORED, 1.0),
        (msgspec.structs.replace(login, certificate=EVE.certificate), SERVER, NONCE, STORED, 1.0),
        (login, SERVER, NONCE, StoredAccount(bytes(32), ()), 1.0),
        (login, SERVER, NONCE, STORED, 2.0**33),
    ):
        with pytest.raises(Refused) as refusal:
            check_login(changed, stored, server=server, nonce=nonce, now=now)
        assert refusal.value.code is ErrorCode.BAD_SIGNATURE


def test_an_account_that_was_looked_up_is_there_or_unknown() -> None:
    assert known_account(STORED) is STORED
    with pytest.raises(Refused) as refusal:
        known_account(None)
    assert refusal.value.code is ErrorCode.UNKNOWN_USER


def test_a_registration_holds_only_as_it_was_signed() -> None:
    message = ALICE.register(HELLO, invite="code")
    certificate, prekeys = check_registration(message, server=SERVER, nonce=NONCE, now=1.0)
    assert (certificate.raw, prekeys) == (ALICE.certificate, (ALICE.prekey,))
    for changed in (
        msgspec.structs.replace(message, username="eve"),
        msgspec.structs.replace(message, username=".."),
        msgspec.structs.replace(message, invite="another"),
        msgspec.structs.replace(message, identity_key=bytes(EVE.identity_key.verify_key)),
        msgspec.structs.replace(message, prekeys=[EVE.prekey]),
        msgspec.structs.replace(message, signature=message.identity_signature),
        msgspec.structs.replace(message, identity_signature=message.signature),
    ):
        with pytest.raises(Refused) as refusal:
            check_registration(changed, server=SERVER, nonce=NONCE, now=1.0)
        assert refusal.value.code is ErrorCode.BAD_SIGNATURE


def test_prekeys_are_sorted_with_the_newest_last() -> None:
    newer = SignedPrekey.issue(ALICE.device_key, 2, 2**33 + 5, bytes(HYBRID_KEY_BYTES)).raw
    device_key = bytes(ALICE.device_key.verify_key)
    assert check_prekeys(device_key, [newer, ALICE.prekey], 1.0) == (ALICE.prekey, newer)
    with pytest.raises(Refused):
        check_prekeys(device_key, [EVE.prekey], 1.0)


def test_devices_are_shown_while_certificate_and_prekey_hold() -> None:
    expired = SignedPrekey.issue(ALICE.device_key, 2, 50, bytes(HYBRID_KEY_BYTES)).raw
    both = StoredDevice(ALICE.device, ALICE.certificate, (ALICE.prekey, expired))
    assert [entry.prekey for entry in reachable_devices(StoredAccount(KEY, (both,)), 10.0)] == [expired]
    assert [entry.prekey for entry in reachable_devices(StoredAccount(KEY, (both,)), 60.0)] == [ALICE.prekey]
    for device, now in (
        (StoredDevice(ALICE.device, ALICE.certificate, ()), 1.0),
        (StoredDevice(ALICE.device, ALICE.certificate, (expired,)), 50.0 + MAX_LETTER_DAYS * 86_400),
        (StoredDevice(EVE.device, EVE.certificate, (EVE.prekey,)), 1.0),
        (both, 2.0**34),
    ):
        assert reachable_devices(StoredAccount(KEY, (device,)), now) == []


def test_a_look_up_costs_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were checked before they were stored, and are checked by whoever asked."""

    def verify(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(certificate, "verify_signature", verify)
    assert [entry.prekey for entry in reachable_devices(STORED, 1.0)] == [ALICE.prekey]
    assert unreachable_devices(STORED, [], 1.0) == [ALICE.certificate]
    assert unreachable_devices(STORED, [], 2.0**34) == []


def test_what_is_stored_in_no_known_form_is_as_if_it_were_not_there() -> None:
    garbled = StoredDevice(ALICE.device, b"?", (ALICE.prekey,))
    assert reachable_devices(StoredAccount(KEY, (garbled,)), 1.0) == []
    assert not has_device(StoredAccount(KEY, (garbled,)), DeviceCertificate.parse(ALICE.certificate))
    assert has_device(STORED, DeviceCertificate.parse(ALICE.certificate))
    partly = StoredDevice(ALICE.device, ALICE.certificate, (ALICE.prekey, b"?"))
    assert [entry.prekey for entry in reachable_devices(StoredAccount(KEY, (partly,)), 1.0)] == [ALICE.prekey]


def test_a_device_that_is_away_for_long_is_shown_with_its_last_prekey() -> None:
    """A ring is not sealed to it; what is stored for the device is."""
    older, newer = (
        SignedPrekey.issue(ALICE.device_key, number, number * 50, bytes(HYBRID_KEY_BYTES)).raw for number in (1, 2)
    )
    away = StoredDevice(ALICE.device, ALICE.certificate, (older, newer))
    assert [entry.prekey for entry in reachable_devices(StoredAccount(KEY, (away,)), 1000.0)] == [newer]


def test_every_outcome_of_the_store_has_its_error() -> None:
    codes = {}
    for outcome in RegisterOutcome:
        try:
            refuse_registration(outcome)
        except Refused as refusal:
            codes[outcome] = refusal.code
    assert codes == {
        RegisterOutcome.NAME_TAKEN: ErrorCode.NAME_TAKEN,
        RegisterOutcome.CLOSED: ErrorCode.REGISTRATION_CLOSED,
        RegisterOutcome.BAD_INVITE: ErrorCode.BAD_INVITE,
        RegisterOutcome.TOO_MANY_DEVICES: ErrorCode.TOO_MANY,
    }
    refuse_device(DeviceOutcome.STORED)
    for device_outcome, code in (
        (DeviceOutcome.TOO_MANY_DEVICES, ErrorCode.TOO_MANY),
        (DeviceOutcome.NO_ACCOUNT, ErrorCode.UNKNOWN_USER),
    ):
        with pytest.raises(Refused) as refused:
            refuse_device(device_outcome)
        assert refused.value.code is code


def test_an_invite_may_come_with_blanks_around_it() -> None:
    assert hash_invite(" code\n") == hash_invite("code") != hash_invite("Code")
