"""Profiles: made whole, refreshed when due, pinning whom they meet, showing nothing."""

from __future__ import annotations

import msgspec
import pytest

from crypto.people import NOW, profile, seeded
from entrenous.crypto.card import ContactCard
from entrenous.crypto.contacts import Contact
from entrenous.crypto.identity import CERTIFICATE_SECONDS, RENEW_SECONDS, verify_certificate
from entrenous.crypto.prekeys import ROTATE_SECONDS
from entrenous.crypto.profile import MAX_KNOWN_DEVICES
from entrenous.errors import IdentityChanged, KeystoreError
from entrenous_wire.addresses import Address
from entrenous_wire.login import verify_prekeys

ALICE, BOB, EVE = profile("alice"), profile("bob"), profile("eve")
BOB_AT = Address.parse(BOB.address)


def no_entropy(length: int) -> bytes:
    raise AssertionError("nothing was due")


def test_a_new_profile_is_whole() -> None:
    ALICE.check()
    certificate = verify_certificate(ALICE.certificate, NOW, ALICE.identity.public_key)
    assert str(certificate.address) == ALICE.address
    assert certificate.device_key == ALICE.device.public_key
    assert len(verify_prekeys(ALICE.device.public_key, ALICE.published_prekeys(NOW), NOW)) == 1
    assert ALICE.credentials().certificate == certificate


def test_a_new_profile_waits_to_be_registered() -> None:
    assert not ALICE.registered
    assert ALICE.as_registered().registered
    assert msgspec.structs.replace(ALICE.as_registered(), registered=False) == ALICE


def test_two_profiles_share_nothing() -> None:
    assert not {ALICE.identity_seed, ALICE.device_seed} & {BOB.identity_seed, BOB.device_seed}
    assert ALICE.identity_seed != ALICE.device_seed


def test_nothing_changes_before_it_is_due() -> None:
    assert ALICE.refreshed(NOW + ROTATE_SECONDS - 1, no_entropy) is ALICE


def test_prekeys_rotate_and_the_certificate_is_renewed_for_the_same_device() -> None:
    rotated = ALICE.refreshed(NOW + ROTATE_SECONDS, seeded("more"))
    assert len(rotated.prekeys) == 2
    assert rotated.certificate == ALICE.certificate
    late = NOW + CERTIFICATE_SECONDS - RENEW_SECONDS + 1
    renewed = ALICE.refreshed(late, seeded("more"))
    certificate = verify_certificate(renewed.certificate, late, ALICE.identity.public_key)
    assert certificate.device_key == ALICE.device.public_key
    assert certificate.not_after == int(late) + CERTIFICATE_SECONDS
    renewed.check()


def test_a_key_is_pinned_on_first_use_and_another_one_refused_after() -> None:
    key = BOB.identity.public_key
    pinned = ALICE.pinned(BOB_AT, key)
    assert pinned.contacts == {str(BOB_AT): Contact.from_key(key)}
    assert pinned.pinned(BOB_AT, key) is pinned
    with pytest.raises(IdentityChanged):
        pinned.pinned(BOB_AT, EVE.identity.public_key)
    assert ALICE.contacts == {}


def test_pinning_after_a_card_keeps_verified() -> None:
    key = BOB.identity.public_key
    carded = ALICE.with_contact(BOB_AT, Contact.from_card(ContactCard.of(BOB_AT, key)))
    pinned = carded.pinned(BOB_AT, key)
    held = pinned.contact(BOB_AT)
    assert held is not None
    assert (held.identity_key, held.verified) == (key, True)


def test_a_contact_is_removed() -> None:
    pinned = ALICE.pinned(BOB_AT, BOB.identity.public_key)
    assert pinned.without_contact(BOB_AT).contact(BOB_AT) is None
    assert ALICE.without_contact(BOB_AT) is ALICE


@pytest.mark.parametrize(
    "changes",
    [
        {"device_id": "ff" * 8},
        {"identity_seed": b"x" * 32},
        {"device_seed": b"x" * 32},
        {"address": "eve@calls.example.org"},
        {"address": "nobody"},
        {"certificate": b"none"},
        {"certificate": BOB.certificate},
    ],
)
def test_parts_that_do_not_belong_together_are_found(changes: dict[str, object]) -> None:
    with pytest.raises(KeystoreError):
        msgspec.structs.replace(ALICE, **changes).check()


def test_nothing_secret_is_shown() -> None:
    pinned = ALICE.pinned(BOB_AT, BOB.identity.public_key)
    assert repr(pinned) == f"<Profile of device {ALICE.device_id}, 1 contacts>"
    assert repr(pinned.credentials()) == f"<Credentials of device {ALICE.device_id}>"


def test_who_is_meant_is_one_device_of_one_account_under_one_identity_key() -> None:
    alice, key = ALICE.credentials(), ALICE.identity.public_key
    address = Address.parse(ALICE.address)
    assert alice.are_meant_by(address, ALICE.device_id, key)
    assert not alice.are_meant_by(BOB_AT, ALICE.device_id, key)
    assert not alice.are_meant_by(address, BOB.device_id, key)
    assert not alice.are_meant_by(address, ALICE.device_id, BOB.identity.public_key)


def test_the_devices_that_are_remembered_are_bounded_and_those_that_are_there_stay() -> None:
    seen = ALICE.with_devices({("aa" * 8, b"k" * 32), (ALICE.device_id, ALICE.device.public_key)}, 1.0)
    assert [device.device_id for device in seen.devices] == ["aa" * 8]
    assert seen.with_devices({("aa" * 8, b"k" * 32)}, 2.0) is seen
    for number in range(2 * MAX_KNOWN_DEVICES):
        seen = seen.with_devices({("aa" * 8, b"k" * 32), (number.to_bytes(8, "big").hex(), b"k" * 32)}, 2.0 + number)
    assert len(seen.devices) == MAX_KNOWN_DEVICES
    assert [device.device_id for device in seen.devices if not device.gone] == ["aa" * 8, f"{number:016x}"]
    assert seen.devices[0].since == 1.0


def test_a_deleted_account_remembers_no_devices() -> None:
    assert ALICE.with_devices({("aa" * 8, b"k" * 32)}, 1.0).as_deleted().devices == ()


def test_another_device_has_keys_of_its_own_the_same_contacts_and_knows_of_this_one() -> None:
    known = ALICE.pinned(BOB_AT, BOB.identity.public_key).having_seen(b"i" * 16)
    known = known.with_devices({("aa" * 8, b"k" * 32), ("bb" * 8, b"k" * 32)}, 1.0)
    known = known.having_told_device("aa" * 8, gone=False)
    phone = known.for_another_device(NOW, seeded("phone"))
    phone.check()
    assert (phone.address, phone.identity_seed, phone.contacts) == (ALICE.address, ALICE.identity_seed, known.contacts)
    assert phone.device_id != ALICE.device_id
    assert phone.device_seed != ALICE.device_seed
    assert phone.published_prekeys(NOW) != ALICE.published_prekeys(NOW)
    assert phone.seen == ()
    assert [device.device_id for device in phone.devices] == [ALICE.device_id, "aa" * 8], "nobody was told of the other"
    assert phone.with_devices({(ALICE.device_id, ALICE.device.public_key), ("aa" * 8, b"k" * 32)}, 2.0) is phone
