"""Who is who: devices that a server names and callers who ring, checked against the pinned identity keys."""

from __future__ import annotations

import time
from collections.abc import Callable

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Devices

from .crypto.card import ContactCard
from .crypto.handshake import IncomingRing
from .crypto.identity import VerifiedDevice
from .crypto.notices import MissedCallNotice
from .errors import IdentityChanged, VerificationError
from .events import KeyChanged
from .profile import Contact, Profile


class Directory:
    """Checks what others say of themselves against the contacts of a profile.

    Args:
        profile: whose contacts.
        tell: told that a contact shows another key than the pinned one.
    """

    def __init__(self, profile: Profile, tell: Callable[[KeyChanged], None]) -> None:
        self._profile = profile
        self._tell = tell
        self.refused = 0
        """Devices that a server named and that do not verify."""

    def verify_devices(self, address: Address, answer: Devices) -> list[VerifiedDevice]:
        """The devices of a contact, each verified against the pinned identity key, or the first one ever seen.

        Raises:
            ContactError: not a contact.
            IdentityChanged: another identity key is pinned.
            VerificationError: the answer is about somebody else, or none of the devices verifies.
        """
        if answer.address != str(address):
            raise VerificationError("The server answered with the keys of somebody else.")
        self._pin(address, answer.identity_key)
        now = time.time()
        verified = []
        for entry in answer.devices:
            try:
                device = VerifiedDevice.verify(address, answer.identity_key, entry.certificate, entry.prekey, now)
            except VerificationError:
                self.refused += 1
            else:
                verified.append(device)
        if answer.devices and not verified:
            raise VerificationError(f"The server shows no device key of {address} that verifies.")
        return verified

    def known_caller(self, ring: IncomingRing | MissedCallNotice) -> Contact | None:
        """The contact who rings or has left word of a call, None for a stranger.

        Raises:
            VerificationError: it is a contact's address, with another identity key than the pinned one.
        """
        if ring.caller not in self._profile.contacts:
            return None
        try:
            self._pin(ring.caller, ring.caller_identity)
        except IdentityChanged:
            raise VerificationError("A contact rings with another identity key.") from None
        return self._profile.contacts.get(ring.caller)

    def _pin(self, address: Address, identity_key: bytes) -> None:
        try:
            self._profile.pin(address, identity_key)
        except IdentityChanged:
            self._tell(KeyChanged(address, ContactCard.of(address, identity_key).fingerprint))
            raise
