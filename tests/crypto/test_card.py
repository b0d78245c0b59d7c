"""Contact cards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.people import profile
from entrenous.crypto.card import ContactCard
from entrenous.errors import ContactError
from entrenous_wire.addresses import Address

BOB = profile("bob")
CARD = ContactCard.of(Address.parse(BOB.address), BOB.identity.public_key)


def test_a_card_is_read_back_in_either_case() -> None:
    text = str(CARD)
    assert text == f"entrenous:bob@calls.example.org#{CARD.fingerprint}"
    for spelling in (text, f"  {text}\n", text.replace("entrenous", "ENTRENOUS"), text[:-32] + text[-32:].upper()):
        assert ContactCard.parse(spelling) == CARD


def test_it_means_one_identity_key() -> None:
    assert CARD.matches(BOB.identity.public_key)
    assert not CARD.matches(profile("eve").identity.public_key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "entrenous:",
        "bob@calls.example.org",
        f"entrenous:bob@calls.example.org{CARD.fingerprint}",
        "entrenous:bob@calls.example.org#",
        f"entrenous:bob@calls.example.org#{CARD.fingerprint[:-1]}",
        f"entrenous:bob@calls.example.org#{CARD.fingerprint}a",
        "entrenous:bob@calls.example.org#" + "1" * 32,
        f"entrenous:bob#{CARD.fingerprint}",
        f"tel:bob@calls.example.org#{CARD.fingerprint}",
    ],
)
def test_what_is_no_card_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ContactError, match=r"[.:]$"):
        ContactCard.parse(text)


@given(st.one_of(st.text(max_size=80), st.text(max_size=80).map(lambda tail: f"entrenous:{tail}")))
def test_any_text_is_a_card_or_refused(text: str) -> None:
    try:
        card = ContactCard.parse(text)
    except ContactError:
        return
    assert ContactCard.parse(str(card)) == card
