"""`entrenous contacts …` from adding to removing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous import Address, Contact, ContactError, Profile
from entrenous.cli.contacts import card_of, find, standing
from entrenous.cli.exits import ExitCode

CARD = "entrenous:alice@calls.example.org#mfrggzdfmztwq2lknnwg23tpoaxw4zdp"


def contact(**changes: object) -> Contact:
    fields: dict[str, object] = {"fingerprint": "mfrgg", "verified": False, "changed": False, **changes}
    return Contact(address=Address.parse("alice@x.org"), **fields)  # type: ignore[arg-type]  # by name


def test_the_standing_of_a_contact() -> None:
    assert standing(contact(verified=True)) == "verified"
    assert standing(contact()) == "unverified"
    assert standing(contact(fingerprint=None)) == "not seen yet"
    assert "KEY CHANGED" in standing(contact(verified=True, changed=True))


def test_the_card_of_a_contact() -> None:
    assert card_of(contact()) == "entrenous:alice@x.org#mfrgg"
    assert card_of(contact(fingerprint=None)) == "alice@x.org"


def test_a_name_is_enough_when_only_one_has_it() -> None:
    contacts = Profile.create(None, None, Address.parse("bob@x.org")).contacts
    contacts.add("alice@x.org")
    contacts.add("carol@x.org")
    assert str(find(contacts, "alice").address) == "alice@x.org"
    contacts.add("alice@y.org")
    with pytest.raises(ContactError, match="alice@x.org or alice@y.org"):
        find(contacts, "alice")
    with pytest.raises(ContactError, match="contacts add dave@SERVER"):
        find(contacts, "dave")
    with pytest.raises(ContactError, match="not among your contacts"):
        find(contacts, "dave@x.org")


def test_adding_showing_and_removing(entrenous: Callable, profile: Path) -> None:
    here = ("--profile", profile)
    added = entrenous("contacts", "add", CARD, "--json", *here)
    assert added.code == ExitCode.OK
    assert added.object == {
        "address": "alice@calls.example.org",
        "card": CARD,
        "fingerprint": CARD.partition("#")[2],
        "verified": True,
        "changed": False,
    }
    plain = entrenous("contacts", "add", "carol@calls.example.org", *here)
    assert "unverified" in plain.out

    listed = entrenous("contacts", "list", *here)
    assert [line.strip().split(maxsplit=1) for line in listed.out.splitlines()[1:]] == [
        ["alice@calls.example.org", "verified"],
        ["carol@calls.example.org", "not seen yet"],
    ]
    as_json = entrenous("contacts", "list", "--json", *here)
    assert [entry["verified"] for entry in as_json.object["contacts"]] == [True, False]

    shown = entrenous("contacts", "show", "alice", *here)
    assert CARD in shown.out
    assert "▄" in shown.out

    removed = entrenous("contacts", "remove", "alice", "--json", *here)
    assert removed.object == {"removed": "alice@calls.example.org"}
    again = entrenous("contacts", "remove", "alice", *here)
    assert again.code == ExitCode.UNKNOWN_CONTACT
    assert again.err.startswith("entrenous: alice is not among your contacts.")


def test_ones_own_card_as_a_picture(entrenous: Callable, profile: Path, tmp_path: Path) -> None:
    picture = tmp_path / "card.svg"
    shown = entrenous("contacts", "show", "--qr-file", picture, "--profile", profile)
    assert shown.out.splitlines()[1].startswith("entrenous:bob@127.0.0.1:9#")
    assert "<svg" in picture.read_text()
    wrong = entrenous("contacts", "show", "--qr-file", tmp_path / "card.docx", "--profile", profile)
    assert wrong.code == ExitCode.UNREADABLE_FILE
    assert ".png" in wrong.err


def test_verifying_and_new_keys(entrenous: Callable, profile: Path) -> None:
    account = Profile.open(profile, "four words in a row")
    carol = Profile.create(None, None, Address.parse("carol@x.org"))
    account.contacts.add("carol@x.org")
    unseen = entrenous("contacts", "verify", "carol", "--yes", "--profile", profile)
    assert unseen.code == ExitCode.UNKNOWN_CONTACT
    assert "call them once" in unseen.err

    account.pin(carol.address, carol.identity_key)
    nothing = entrenous("contacts", "accept-new-key", "carol", "--yes", "--profile", profile)
    assert nothing.code == ExitCode.UNKNOWN_CONTACT
    verified = entrenous("contacts", "verify", "carol", "--yes", "--json", "--profile", profile)
    assert verified.object["verified"] is True
    assert verified.object["safety_number"] == account.contacts.safety_number("carol@x.org")

    with pytest.raises(ContactError):
        account.pin(carol.address, bytes(32))
    listed = entrenous("contacts", "list", "--profile", profile)
    assert "KEY CHANGED" in listed.out
    accepted = entrenous("contacts", "accept-new-key", "carol", "--yes", "--json", "--profile", profile)
    assert (accepted.object["verified"], accepted.object["changed"]) == (False, False)
