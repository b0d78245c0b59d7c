"""`entrenous contacts …`: whom you know, and how sure you are that it is them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from entrenous import Contact, ContactError, Contacts, MediaFileError

from .options import json_option, passphrase_option, profile_option
from .output import Output, save_qr
from .passphrase import open_account


@click.group("contacts")
def contacts_group() -> None:
    """Add, list, show, verify and remove the people you call.

    A card (entrenous:bob@calls.example.org#…) pins a person's identity key at once. An address alone pins the key
    that is seen at the first call; until you compare the safety number with them, it counts as unverified.

    \b
    Examples:
      entrenous contacts add 'entrenous:bob@calls.example.org#MFRGG…'
      entrenous contacts list
      entrenous contacts show                   your own card and QR code, to hand out
      entrenous contacts verify bob@calls.example.org
    """


@contacts_group.command("add")
@click.argument("card_or_address", metavar="CARD|ADDRESS")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def add(output: Output, card_or_address: str, profile: Path, passphrase_file: Path | None) -> None:
    """Add a contact, by card or by address.

    Put a card in quotes: a shell takes # for the start of a comment.

    \b
    Examples:
      entrenous contacts add 'entrenous:bob@calls.example.org#MFRGG…'
      entrenous contacts add bob@calls.example.org
    """
    _, account = open_account(profile, passphrase_file)
    contact = account.contacts.add(card_or_address)
    if contact.verified:
        output.line(f"Added {contact.address}, with the identity key of the card.")
    else:
        output.line(f"Added {contact.address}, unverified: the key that is seen at the first call will be pinned.")
        output.line(f"To be sure, ask for their card, or compare: entrenous contacts verify {contact.address}")
    output.json(_described(contact))


@contacts_group.command("list")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def list_contacts(output: Output, profile: Path, passphrase_file: Path | None) -> None:
    """List all contacts.

    \b
    Examples:
      entrenous contacts list
      entrenous contacts list --json | jq -r '.contacts[].address'
    """
    _, account = open_account(profile, passphrase_file)
    contacts = sorted(account.contacts, key=lambda contact: contact.address)
    output.json({"contacts": [_described(contact) for contact in contacts]})
    if not contacts:
        output.line("No contacts yet. Add one: entrenous contacts add CARD|ADDRESS")
        return
    output.table(("Address", "Identity"), [(str(contact.address), standing(contact)) for contact in contacts])


@contacts_group.command("show")
@click.argument("address", required=False)
@click.option(
    "--qr-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the QR code to a picture (png, svg, pdf).",
)
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def show(
    output: Output, address: str | None, qr_file: Path | None, profile: Path, passphrase_file: Path | None
) -> None:
    """Show the card and QR code of a contact; without ADDRESS, your own.

    \b
    Examples:
      entrenous contacts show
      entrenous contacts show bob@calls.example.org
      entrenous contacts show --qr-file card.png
    """
    _, account = open_account(profile, passphrase_file)
    if address is None:
        card = str(account.card)
        output.json({"address": account.address, "card": card})
        output.line(f"{account.address} (you)")
    else:
        contact = find(account.contacts, address)
        card = card_of(contact)
        number = safety_number(account.contacts, contact)
        output.json({**_described(contact), "safety_number": number})
        output.line(f"{contact.address}: {standing(contact)}")
        if number is not None:
            output.line(f"Safety number: {number}")
    output.line(card)
    if qr_file is None:
        output.qr(card)
        return
    try:
        save_qr(card, qr_file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "use the ending .png, .svg or .pdf"
        raise MediaFileError(f"Cannot write {qr_file}: {reason}.") from None
    output.line(f"QR code: {qr_file}")


@contacts_group.command("verify")
@click.argument("address")
@click.option("--yes", is_flag=True, help="You have compared the number already: do not ask.")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def verify(output: Output, address: str, yes: bool, profile: Path, passphrase_file: Path | None) -> None:
    """Compare the safety number with a contact, and remember that it was the same.

    Both of you see the same number if and only if nobody sits between you. Compare it where nobody can interfere:
    in the same room, or in a call with a voice and face that you know.

    \b
    Examples:
      entrenous contacts verify bob@calls.example.org
    """
    _, account = open_account(profile, passphrase_file)
    contact = find(account.contacts, address)
    number = account.contacts.safety_number(contact.address)
    output.line(f"Safety number of you and {contact.address}:")
    output.line(f"  {number}")
    if not yes:
        click.confirm("Do they see exactly the same number?", abort=True, err=True)
    verified = account.contacts.verify(contact.address)
    output.line(f"{verified.address} is verified.")
    output.json({**_described(verified), "safety_number": number})


@contacts_group.command("remove")
@click.argument("address")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def remove(output: Output, address: str, profile: Path, passphrase_file: Path | None) -> None:
    """Forget a contact and the key that was pinned for it.

    \b
    Examples:
      entrenous contacts remove bob@calls.example.org
    """
    _, account = open_account(profile, passphrase_file)
    contact = find(account.contacts, address)
    account.contacts.remove(contact.address)
    output.line(f"Removed {contact.address}.")
    output.json({"removed": contact.address})


@contacts_group.command("accept-new-key")
@click.argument("address")
@click.option("--yes", is_flag=True, help="You are sure: do not ask.")
@profile_option
@passphrase_option
@json_option
@click.pass_obj
def accept_new_key(output: Output, address: str, yes: bool, profile: Path, passphrase_file: Path | None) -> None:
    """Pin the new identity key of a contact whose key has changed.

    A key changes when somebody sets up their account anew, or when somebody else pretends to be them. Ask them,
    not over this account, before you accept. The new key counts as unverified.

    \b
    Examples:
      entrenous contacts accept-new-key bob@calls.example.org
    """
    _, account = open_account(profile, passphrase_file)
    contact = find(account.contacts, address)
    if not contact.changed:
        raise ContactError(f"The identity key of {contact.address} has not changed: there is nothing to accept.")
    if not yes:
        answer = click.prompt(
            f"The identity key of {contact.address} is not the one you pinned. If you have asked them and they did "
            "set up their account anew, type: accept",
            err=True,
        )
        if answer.strip().lower() != "accept":
            raise click.Abort
    accepted = account.contacts.accept_new_key(contact.address)
    output.line(
        f"The new key of {accepted.address} is pinned, unverified: entrenous contacts verify {accepted.address}"
    )
    output.json(_described(accepted))


def find(contacts: Contacts, who: str) -> Contact:
    """The contact meant by an address, or by a username that only one contact has.

    Raises:
        ContactError: nobody, or more than one, is meant.
    """
    if "@" in who:
        return contacts.get(who)
    named = [contact for contact in contacts if contact.address.user == who]
    if len(named) > 1:
        raise ContactError(f"{who} could be {' or '.join(str(contact.address) for contact in named)}: say which.")
    if not named:
        raise ContactError(f"{who} is not among your contacts. Add: entrenous contacts add {who}@SERVER")
    return named[0]


def safety_number(contacts: Contacts, contact: Contact) -> str | None:
    """The number to compare with a contact; None as long as their key has not been seen."""
    try:
        return contacts.safety_number(contact.address)
    except ContactError:
        return None


def standing(contact: Contact) -> str:
    """How sure it is that the contact is who it says, in a few words."""
    if contact.changed:
        return "KEY CHANGED, calls are blocked (see: entrenous contacts accept-new-key --help)"
    if contact.verified:
        return "verified"
    return "unverified" if contact.fingerprint else "not seen yet"


def card_of(contact: Contact) -> str:
    """What another person adds to call this contact: its card, or its address while no key is known."""
    return f"entrenous:{contact.address}#{contact.fingerprint}" if contact.fingerprint else str(contact.address)


def _described(contact: Contact) -> dict[str, Any]:
    return {
        "address": contact.address,
        "card": card_of(contact),
        "fingerprint": contact.fingerprint,
        "verified": contact.verified,
        "changed": contact.changed,
    }
