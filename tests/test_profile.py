"""Profile and Contacts: what a person does with keys and contacts, without any network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from entrenous.crypto.card import ContactCard
from entrenous.crypto.keystore import MINIMAL, FileKeystore
from entrenous.crypto.profile import Profile as StoredProfile
from entrenous.errors import ContactError, IdentityChanged, KeystoreError, WrongPassphrase
from entrenous.profile import Profile
from entrenous_wire.addresses import Address

ALICE = Address("alice", "calls.example.org")
BOB = Address("bob", "calls.example.org")
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@pytest.fixture
def alice() -> Profile:
    return Profile.create(None, None, ALICE)


def test_a_card_pins_at_once(alice: Profile) -> None:
    contact = alice.contacts.add(str(ContactCard.of(BOB, KEY)))
    assert contact.verified
    alice.pin(BOB, KEY)
    assert alice.contacts.get("bob@calls.example.org").verified
    with pytest.raises(IdentityChanged):
        alice.pin(BOB, OTHER_KEY)


def test_an_address_is_trusted_on_first_use_and_never_silently_changed(alice: Profile) -> None:
    contact = alice.contacts.add("bob@calls.example.org")
    assert (contact.fingerprint, contact.verified) == (None, False)
    alice.pin(BOB, KEY)
    first = alice.contacts.get(BOB)
    assert first.fingerprint == ContactCard.of(BOB, KEY).fingerprint
    with pytest.raises(IdentityChanged, match="accept-new-key bob@calls.example.org"):
        alice.pin(BOB, OTHER_KEY)
    assert alice.contacts.get(BOB).changed
    with pytest.raises(IdentityChanged):
        alice.pin(BOB, OTHER_KEY)
    accepted = alice.contacts.accept_new_key(BOB)
    assert accepted.fingerprint == ContactCard.of(BOB, OTHER_KEY).fingerprint
    assert (accepted.verified, accepted.changed) == (False, False)
    alice.pin(BOB, OTHER_KEY)
    with pytest.raises(IdentityChanged):
        alice.pin(BOB, KEY)


def test_a_card_verifies_a_contact_added_by_address_only_if_it_agrees(alice: Profile) -> None:
    alice.contacts.add(str(BOB))
    alice.pin(BOB, KEY)
    with pytest.raises(IdentityChanged, match="contacts remove"):
        alice.contacts.add(str(ContactCard.of(BOB, OTHER_KEY)))
    assert not alice.contacts.get(BOB).verified
    assert alice.contacts.add(str(ContactCard.of(BOB, KEY))).verified


def test_both_sides_see_one_safety_number() -> None:
    alice, bob = Profile.create(None, None, ALICE), Profile.create(None, None, BOB)
    alice.contacts.add(str(BOB))
    with pytest.raises(ContactError, match="call them once"):
        alice.contacts.safety_number(BOB)
    with pytest.raises(ContactError, match="call them once"):
        alice.contacts.verify(BOB)
    alice.pin(BOB, bob.identity_key)
    bob.contacts.add(str(alice.card))
    bob.pin(ALICE, alice.identity_key)
    assert alice.contacts.safety_number(BOB) == bob.contacts.safety_number(ALICE)
    assert alice.contacts.verify(BOB).verified


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bob", "user@host"),
        ("entrenous:bob@calls.example.org", "fingerprint"),
        ("alice@calls.example.org", "your own"),
        ("Bob@calls.example.org", "lower-case"),
    ],
)
def test_what_is_no_contact_is_refused(alice: Profile, text: str, words: str) -> None:
    with pytest.raises(ContactError, match=words):
        alice.contacts.add(text)
    assert len(alice.contacts) == 0


def test_unknown_contacts_are_named_with_the_next_step(alice: Profile) -> None:
    for act in (alice.contacts.get, alice.contacts.remove, alice.contacts.verify, alice.contacts.safety_number):
        with pytest.raises(ContactError, match="entrenous contacts add bob@calls.example.org"):
            act("bob@calls.example.org")


def test_contacts_survive_on_disk_under_the_passphrase(tmp_path: Path) -> None:
    keystore = FileKeystore(tmp_path / "p", "correct horse", cost=MINIMAL)
    keystore.create(StoredProfile.create(ALICE, 1_000_000.0, os.urandom))
    first = Profile(keystore, directory=tmp_path / "p")
    first.contacts.add(str(BOB))
    again = Profile.open(tmp_path / "p", "correct horse")
    assert [contact.address for contact in again.contacts] == [BOB]
    again.contacts.remove(BOB)
    assert len(Profile.open(tmp_path / "p", "correct horse").contacts) == 0
    with pytest.raises(WrongPassphrase):
        Profile.open(tmp_path / "p", "wrong horse")
    assert b"bob" not in (tmp_path / "p" / "keys.box").read_bytes()


def test_a_profile_is_never_overwritten(tmp_path: Path) -> None:
    Profile.create(tmp_path, "secret", ALICE)
    with pytest.raises(KeystoreError, match="already"):
        Profile.create(tmp_path, "secret", BOB)
    with pytest.raises(KeystoreError, match="empty"):
        Profile.create(tmp_path / "other", "", BOB)


def test_a_repr_shows_no_key_and_no_contact(alice: Profile) -> None:
    alice.contacts.add(str(BOB))
    assert "bob" not in repr(alice)
    assert alice.stored.identity_seed.hex() not in repr(alice)


def test_the_passphrase_is_changed_for_what_is_on_disk(tmp_path: Path, alice: Profile) -> None:
    keystore = FileKeystore(tmp_path, "correct horse", cost=MINIMAL)
    keystore.create(StoredProfile.create(ALICE, 1_000_000.0, os.urandom))
    profile = Profile(keystore, directory=tmp_path)
    with pytest.raises(KeystoreError, match="empty"):
        profile.change_passphrase("")
    profile.change_passphrase("battery staple")
    profile.contacts.add(str(BOB))
    assert [contact.address for contact in Profile.open(tmp_path, "battery staple").contacts] == [BOB]
    with pytest.raises(WrongPassphrase):
        Profile.open(tmp_path, "correct horse")
    with pytest.raises(KeystoreError, match="memory"):
        alice.change_passphrase("battery staple")
