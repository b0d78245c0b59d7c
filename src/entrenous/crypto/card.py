"""Contact cards: an address together with the fingerprint of the identity key that it must have.

::

    entrenous:bob@calls.example.org#mfrggzdfmztwq2lknnwg23tpoaxw4zdp
              └────────┬──────────┘ └──────────────┬───────────────┘
                    address          32 characters of lower-case base32

Whoever has a card from a trusted hand needs no comparison of words or numbers any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from entrenous.crypto.identity import fingerprint, matches_fingerprint
from entrenous.errors import ContactError
from entrenous_wire.addresses import Address

SCHEME: Final = "entrenous:"
_FINGERPRINT: Final = re.compile(r"[a-z2-7]{32}")


@dataclass(frozen=True, slots=True)
class ContactCard:
    """What a contact card says.

    Args:
        address: the account.
        fingerprint: of its identity key, 32 lower-case base32 characters.
    """

    address: Address
    fingerprint: str

    @classmethod
    def of(cls, address: Address, identity_key: bytes) -> ContactCard:
        """The card of an account whose identity key (32 bytes) is known."""
        return cls(address, fingerprint(identity_key))

    @classmethod
    def parse(cls, text: str) -> ContactCard:
        """Read a card, in either case and with spaces around it.

        Raises:
            ContactError: it is none; the message is a sentence for the person who typed or scanned it.
        """
        body = text.strip()
        if not body.lower().startswith(SCHEME):
            raise ContactError(f"A contact card begins with {SCHEME}")
        address, mark, digits = body[len(SCHEME) :].partition("#")
        digits = digits.lower()
        if not mark or not _FINGERPRINT.fullmatch(digits):
            raise ContactError("A contact card ends with # and a fingerprint of 32 letters and digits.")
        try:
            return cls(Address.parse(address), digits)
        except ValueError as error:
            raise ContactError(f"The address on the contact card is wrong: {error}") from None

    def __str__(self) -> str:
        return f"{SCHEME}{self.address}#{self.fingerprint}"

    def matches(self, identity_key: bytes) -> bool:
        """Whether `identity_key` (32 bytes) is the one that the card means."""
        return matches_fingerprint(identity_key, self.fingerprint)
