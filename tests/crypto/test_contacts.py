"""Contacts: first use, cards, and a changed key."""

from __future__ import annotations

import pytest

from crypto.people import profile
from entrenous.crypto.card import ContactCard
from entrenous.crypto.contacts import Contact, check_identity
from entrenous.errors import IdentityChanged
from entrenous_wire.addresses import Address

BOB = Address.parse("bob@calls.example.org")
KEY, OTHER = profile("bob").identity.public_key, profile("eve").identity.public_key


def test_a_key_is_as_trusted_as_the_way_it_came() -> None:
    for contact, verified in (
        (Contact.from_key(KEY), False),
        (Contact.from_key(KEY, verified=True), True),
        (Contact.from_card(ContactCard.of(BOB, KEY)), True),
    ):
        assert contact.verified is verified
        check_identity(BOB, contact, KEY)
    check_identity(BOB, None, KEY)


@pytest.mark.parametrize("contact", [Contact.from_key(KEY), Contact.from_card(ContactCard.of(BOB, KEY))])
def test_another_key_than_the_pinned_one_blocks(contact: Contact) -> None:
    with pytest.raises(IdentityChanged, match="bob@calls.example.org"):
        check_identity(BOB, contact, OTHER)


def test_a_contact_by_address_alone_takes_the_first_key() -> None:
    for key in (KEY, OTHER):
        check_identity(BOB, Contact(fingerprint=None, verified=False), key)
