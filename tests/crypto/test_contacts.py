"""Contacts: first use, cards, and a changed key."""

from __future__ import annotations

import pytest

from crypto.people import profile
from entrenous.crypto.card import ContactCard
from entrenous.crypto.contacts import Contact, Trust, check_identity
from entrenous.errors import IdentityChanged
from entrenous_wire.addresses import Address

BOB = Address.parse("bob@calls.example.org")
KEY, OTHER = profile("bob").identity.public_key, profile("eve").identity.public_key


def test_a_key_is_as_trusted_as_the_way_it_came() -> None:
    assert check_identity(BOB, None, KEY) is Trust.STRANGER
    assert check_identity(BOB, Contact.from_key(KEY), KEY) is Trust.UNVERIFIED
    assert check_identity(BOB, Contact.from_key(KEY, verified=True), KEY) is Trust.VERIFIED
    assert check_identity(BOB, Contact.from_card(ContactCard.of(BOB, KEY)), KEY) is Trust.VERIFIED


@pytest.mark.parametrize("contact", [Contact.from_key(KEY), Contact.from_card(ContactCard.of(BOB, KEY))])
def test_another_key_than_the_pinned_one_blocks(contact: Contact) -> None:
    with pytest.raises(IdentityChanged, match="bob@calls.example.org"):
        check_identity(BOB, contact, OTHER)


def test_a_contact_by_address_alone_takes_the_first_key() -> None:
    assert check_identity(BOB, Contact(fingerprint=None, verified=False), KEY) is Trust.UNVERIFIED
