"""Directory: nobody is called and nobody rings under a key that is not the pinned one."""

from __future__ import annotations

import os
import time

import msgspec
import pytest

from entrenous import ContactError, IdentityChanged, KeyChanged, Profile, VerificationError
from entrenous.crypto.handshake import CallerHandshake, IncomingRing, MediaKinds, RingGuard, open_ring
from entrenous.crypto.identity import VerifiedDevice
from entrenous.directory import Directory
from entrenous_wire.addresses import Address
from entrenous_wire.messages import DeviceEntry, Devices

ALICE, BOB = Address("alice", "calls.example.org"), Address("bob", "calls.example.org")


@pytest.fixture
def alice() -> Profile:
    return Profile.create(None, None, ALICE)


@pytest.fixture
def bob() -> Profile:
    return Profile.create(None, None, BOB)


def entry_of(profile: Profile) -> DeviceEntry:
    stored = profile.stored
    return DeviceEntry(certificate=stored.certificate, prekey=stored.prekeys[0].signed)


def devices_of(profile: Profile, *entries: DeviceEntry) -> Devices:
    return Devices(
        request=1,
        address=str(profile.address),
        identity_key=profile.identity_key,
        devices=[entry_of(profile), *entries],
    )


def directory_of(profile: Profile) -> tuple[Directory, list[KeyChanged]]:
    told: list[KeyChanged] = []
    return Directory(profile, told.append), told


def ring(caller: Profile, callee: Profile) -> IncomingRing:
    now = time.time()
    entry = entry_of(callee)
    device = VerifiedDevice.verify(callee.address, callee.identity_key, entry.certificate, entry.prekey, now)
    handshake = CallerHandshake(caller.credentials(), device, b"c" * 16, MediaKinds.AUDIO, now, os.urandom)
    return open_ring(callee.credentials(), handshake.ring, b"c" * 16, now, RingGuard())


def test_the_first_key_of_a_contact_is_pinned_and_another_one_is_told(alice: Profile, bob: Profile) -> None:
    alice.contacts.add(str(BOB))
    directory, told = directory_of(alice)
    (device,) = directory.verify_devices(BOB, devices_of(bob))
    assert device.certificate.device_id == bob.device
    impostor = Profile.create(None, None, BOB)
    with pytest.raises(IdentityChanged):
        directory.verify_devices(BOB, devices_of(impostor))
    assert told == [KeyChanged(BOB, impostor.card.fingerprint)]
    assert alice.contacts.get(BOB).changed


def test_devices_that_do_not_verify_are_left_out(alice: Profile, bob: Profile) -> None:
    alice.contacts.add(str(bob.card))
    directory, _ = directory_of(alice)
    eve = entry_of(Profile.create(None, None, BOB))
    broken = msgspec.structs.replace(entry_of(bob), certificate=b"nonsense")
    devices = directory.verify_devices(BOB, devices_of(bob, eve, broken))
    assert [device.certificate.device_id for device in devices] == [bob.device]
    assert directory.refused == 2
    with pytest.raises(VerificationError, match="no device key"):
        directory.verify_devices(BOB, msgspec.structs.replace(devices_of(bob), devices=[eve]))


def test_an_answer_about_somebody_else_is_refused(alice: Profile, bob: Profile) -> None:
    alice.contacts.add(str(bob.card))
    with pytest.raises(VerificationError, match="somebody else"):
        directory_of(alice)[0].verify_devices(BOB, devices_of(alice))


def test_nobody_is_pinned_who_is_no_contact(alice: Profile, bob: Profile) -> None:
    with pytest.raises(ContactError, match="not among your contacts"):
        directory_of(alice)[0].verify_devices(BOB, devices_of(bob))


def test_a_caller_is_known_by_key_and_not_by_name(alice: Profile, bob: Profile) -> None:
    directory, told = directory_of(bob)
    assert directory.known_caller(ring(alice, bob)) is None
    bob.contacts.add(str(ALICE))
    contact = directory.known_caller(ring(alice, bob))
    assert contact is not None
    assert contact.fingerprint == alice.card.fingerprint
    impostor = Profile.create(None, None, ALICE)
    with pytest.raises(VerificationError, match="another identity key"):
        directory.known_caller(ring(impostor, bob))
    assert told == [KeyChanged(ALICE, impostor.card.fingerprint)]
