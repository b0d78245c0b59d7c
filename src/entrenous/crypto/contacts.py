"""Whom we know, and by which identity key: trust on first use, better by card or comparison, never silently new."""

from __future__ import annotations

import msgspec

from entrenous.crypto.card import ContactCard
from entrenous.crypto.identity import fingerprint, matches_fingerprint
from entrenous.errors import IdentityChanged
from entrenous_wire.addresses import Address


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pinned contact.

    Args:
        fingerprint: of the identity key; all that a card tells. None when only the address was given: then the
            first key that is seen is pinned.
        verified: by card, or compared in words or numbers.
        identity_key: 32 bytes once it has been seen, None before.
        refused_key: another key that was shown for this address and blocks calls until it is accepted in words.
    """

    fingerprint: str | None
    verified: bool
    identity_key: bytes | None = None
    refused_key: bytes | None = None

    @classmethod
    def from_card(cls, card: ContactCard) -> Contact:
        """Pin what a card says: verified, its key not seen yet."""
        return cls(fingerprint=card.fingerprint, verified=True)

    @classmethod
    def from_key(cls, identity_key: bytes, *, verified: bool = False) -> Contact:
        """Pin a key that was seen: on first use, or accepted in words after it changed."""
        return cls(fingerprint=fingerprint(identity_key), verified=verified, identity_key=identity_key)


def check_identity(address: Address, contact: Contact | None, identity_key: bytes) -> None:
    """Compare an identity key that a server or a ring showed with what is pinned.

    Args:
        address: who it is said to be, for the message.
        contact: the pin, None when there is none: then any key will do, as for one that pins none yet.
        identity_key: 32 bytes.

    Raises:
        IdentityChanged: another key is pinned; the call must wait until the user accepts the new one in words.
    """
    if contact is None or contact.fingerprint is None:
        return
    if not matches_fingerprint(identity_key, contact.fingerprint):
        raise IdentityChanged(
            f"The identity key of {address} is not the one you know. Ask them, by another way, whether they made a "
            f"new account; if so: entrenous contacts accept-new-key {address}"
        )
