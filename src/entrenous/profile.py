"""An account on this device as its owner handles it: its address, its card, its contacts.

The secrets stay in the keystore; what is asked of a profile here works without any network. Every change is
on disk when the call returns, unless the profile lives in memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from entrenous_wire.addresses import Address

from .crypto.card import SCHEME, ContactCard
from .crypto.contacts import Contact as Pin
from .crypto.contacts import check_identity
from .crypto.identity import safety_number
from .crypto.keystore import FileKeystore, InMemoryKeystore, Keystore
from .crypto.profile import Credentials, UntoldCall
from .crypto.profile import Profile as StoredProfile
from .errors import ContactError, IdentityChanged, KeystoreError


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who may be called and may call.

    Args:
        address: their account.
        fingerprint: of their pinned identity key; None until it was seen for the first time.
        verified: the key came by card, or the two compared their safety number.
        changed: another key was shown for this address; calls are blocked until it is accepted or the contact removed.
    """

    address: Address
    fingerprint: str | None
    verified: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """Another device of one's own account.

    Args:
        device: its id, 16 hexadecimal digits.
        seen_at: when this device first saw it, in Unix seconds.
    """

    device: str
    seen_at: float


class Profile:
    """The keys, the address and the contacts of one account on one device.

    Args:
        keystore: where the secrets are; it must hold a profile.

    Raises:
        KeystoreError: it holds none, or none that can be read.
    """

    def __init__(self, keystore: Keystore, *, directory: Path | None = None) -> None:
        self._keystore = keystore
        self._stored = keystore.load()
        self.directory = directory
        self.address = Address.parse(self._stored.address)
        self.contacts = Contacts(self)

    def __repr__(self) -> str:
        return f"<Profile of device {self.device}>"

    @classmethod
    def create(cls, directory: Path | None, passphrase: str | None, address: Address) -> Profile:
        """Make the keys of a new account.

        Args:
            directory: where to keep them; None keeps them in memory only, and writes nothing anywhere.
            passphrase: what encrypts them on disk; not used in memory.
            address: the account; registering it with its server is another step.

        Raises:
            KeystoreError: there is a profile in the directory already, it cannot be written, or there is no passphrase.
        """
        keystore: Keystore = InMemoryKeystore() if directory is None else FileKeystore(directory, passphrase or "")
        keystore.create(StoredProfile.create(address, time.time(), os.urandom))
        return cls(keystore, directory=directory)

    @classmethod
    def open(cls, directory: Path, passphrase: str) -> Profile:
        """Open the profile in a directory; takes a moment, since guessing shall take long.

        Raises:
            WrongPassphrase: the passphrase does not open it.
            KeystoreError: there is none, or it is damaged.
        """
        return cls(FileKeystore(directory, passphrase), directory=directory)

    @property
    def device(self) -> str:
        """The id of this device, 16 hexadecimal digits."""
        return self._stored.device_id

    @property
    def identity_key(self) -> bytes:
        """The account's public identity key, 32 bytes."""
        return self._stored.identity.public_key

    @property
    def card(self) -> ContactCard:
        """What to hand to others so that they call nobody else by mistake."""
        return ContactCard.of(self.address, self.identity_key)

    @property
    def stored(self) -> StoredProfile:
        """The secrets, for the node; never shown."""
        return self._stored

    def credentials(self) -> Credentials:
        """What the call handshake needs."""
        return self._stored.credentials()

    def make_another_device(self, directory: Path | None, passphrase: str | None) -> Profile:
        """Make a profile of another device of this account: who has it can call and be called, and make more of them.

        The device belongs to the account from its first login on. It has the contacts of now, and those that the two
        get later are their own.

        Args:
            directory: where to keep it; None keeps it in memory only.
            passphrase: what encrypts it on disk; not used in memory.

        Raises:
            KeystoreError: the account was deleted, there is a profile in the directory already, it cannot be written,
                or there is no passphrase.
        """
        self.ensure_usable()
        keystore: Keystore = InMemoryKeystore() if directory is None else FileKeystore(directory, passphrase or "")
        keystore.create(self._stored.for_another_device(time.time(), os.urandom))
        return Profile(keystore, directory=directory)

    def refresh(self) -> bool:
        """Rotate prekeys and renew the certificate where due; True when there is something new to publish."""
        before = self._stored
        self._stored = self._keystore.update(lambda stored: stored.refreshed(time.time(), os.urandom))
        return before.prekeys != self._stored.prekeys or before.certificate != self._stored.certificate

    @property
    def deleted(self) -> bool:
        """Whether the account was deleted at its server, so that nobody can log in with it."""
        return self._stored.deleted

    def ensure_usable(self) -> None:
        """Make sure that one can log in with it; raises KeystoreError when the account was deleted."""
        if self._stored.deleted:
            raise KeystoreError(
                f"The account {self.address} was deleted. Its keys are of no use any more: remove the profile, and "
                "register anew to be called again."
            )

    def change_passphrase(self, passphrase: str) -> None:
        """Encrypt the keys on disk under another passphrase; takes a moment, since guessing shall take long.

        Who has a copy of the file from before can still open that one by the old passphrase. Another process that has
        this profile open cannot write to it any more, and has to be started anew.

        Args:
            passphrase: the new one; not empty.

        Raises:
            KeystoreError: it is empty, the keys are in memory only, or they cannot be written; the old one holds then.
        """
        self._keystore.change_passphrase(passphrase)

    def mark_deleted(self) -> None:
        """Note that the account was deleted at its server."""
        self._change(StoredProfile.as_deleted)

    def forget_expired_prekeys(self) -> None:
        """All that was stored for this device is taken: what was sealed to older prekeys can be opened no more."""
        if any(time.time() >= key.not_after for key in self._stored.prekeys):
            self._change(lambda stored: stored.without_expired_prekeys(time.time()))

    def has_seen(self, id_: bytes) -> bool:
        """Whether a message was taken, or a call rang here."""
        return id_ in self._stored.seen

    def remember(self, *ids: bytes, missed: UntoldCall | None = None) -> None:
        """Keep over restarts that messages were taken or calls rang here, and a missed call until it was told.

        Args:
            ids: 16 bytes each.
            missed: the person is to be told of it.
        """

        def change(stored: StoredProfile) -> StoredProfile:
            seen = stored.having_seen(*ids)
            return seen if missed is None else seen.with_untold(missed)

        self._change(change)

    def told(self, address: Address, at: float) -> None:
        """The person was told that `address` called at `at`; who called is forgotten."""
        self._change(lambda stored: stored.having_told(address, at))

    @property
    def other_devices(self) -> tuple[OwnDevice, ...]:
        """The other devices of the account, as this one saw them last."""
        return tuple(OwnDevice(known.device_id, known.since) for known in self._stored.devices if not known.gone)

    def note_devices(self, found: Set[tuple[str, bytes]], now: float) -> None:
        """Remember which devices the account has; see `crypto.profile.Profile.with_devices`."""
        self._change(lambda stored: stored.with_devices(found, now))

    def told_device(self, device_id: str, *, gone: bool) -> None:
        """The person was told that another device of the account is there, or gone."""
        self._change(lambda stored: stored.having_told_device(device_id, gone=gone))

    def pin(self, address: Address, identity_key: bytes) -> None:
        """Take the identity key that a server or a ring showed for a contact, if it is the pinned one or the first.

        Raises:
            IdentityChanged: another key is pinned. The new one is remembered for `Contacts.accept_new_key`.
            ContactError: the address is not among the contacts.
        """
        held = self._pin(address)
        try:
            check_identity(address, held, identity_key)
        except IdentityChanged:
            if held.refused_key != identity_key:
                self._keep(address, msgspec.structs.replace(held, refused_key=identity_key))
            raise
        if held.identity_key != identity_key:
            self._change(lambda stored: stored.pinned(address, identity_key))

    def _pin(self, address: Address) -> Pin:
        pin = self._stored.contact(address)
        if pin is None:
            raise ContactError(
                f"{address} is not among your contacts; add them first: entrenous contacts add {address}"
            )
        return pin

    def _keep(self, address: Address, pin: Pin) -> None:
        self._change(lambda stored: stored.with_contact(address, pin))

    def _change(self, change: Callable[[StoredProfile], StoredProfile]) -> None:
        self._stored = self._keystore.update(change)


class Contacts:
    """The contact list of a profile, by address."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def __len__(self) -> int:
        return len(self._profile.stored.contacts)

    def __iter__(self) -> Iterator[Contact]:
        for text in sorted(self._profile.stored.contacts):
            yield self.get(text)

    def __contains__(self, address: object) -> bool:
        return str(address) in self._profile.stored.contacts

    def get(self, address: str | Address) -> Contact:
        """Look a contact up; raises ContactError when there is none."""
        parsed = parse_address(address)
        pin = self._profile._pin(parsed)
        return Contact(parsed, pin.fingerprint, pin.verified, pin.refused_key is not None)

    def add(self, card_or_address: str) -> Contact:
        """Add somebody by contact card (their key is verified by it) or by address (their first key is trusted).

        Adding by card somebody who was added by address verifies them, if the keys agree.

        Raises:
            ContactError: it is neither, it is this account itself, or the contact is there already.
            IdentityChanged: the card names another key than the pinned one.
        """
        text = card_or_address.strip()
        if not text.lower().startswith(SCHEME):
            address = self._not_ourselves(parse_address(text))
            if address in self:
                raise ContactError(f"{address} is among your contacts already.")
            self._profile._keep(address, Pin(fingerprint=None, verified=False))
            return self.get(address)
        card = ContactCard.parse(text)
        address = self._not_ourselves(card.address)
        held = self._profile.stored.contact(address)
        if held is None or held.fingerprint is None:
            self._profile._keep(address, Pin.from_card(card))
        elif held.fingerprint != card.fingerprint:
            raise IdentityChanged(
                f"The card has another key than the one pinned for {address}. Ask them which is right; "
                f"to take the card's: entrenous contacts remove {address}, then add the card again."
            )
        else:
            self._profile._keep(address, msgspec.structs.replace(held, verified=True))
        return self.get(address)

    def remove(self, address: str | Address) -> None:
        """Forget a contact: they can neither be called nor call; raises ContactError when there is none."""
        parsed = parse_address(address)
        self._profile._pin(parsed)
        self._profile._change(lambda stored: stored.without_contact(parsed))

    def verify(self, address: str | Address) -> Contact:
        """Mark a contact as verified, after the safety numbers were compared; raises ContactError."""
        parsed = parse_address(address)
        pin = self._profile._pin(parsed)
        if pin.fingerprint is None:
            raise ContactError(f"No key of {parsed} has been seen yet: call them once, then compare.")
        if pin.refused_key is not None:
            raise ContactError(
                f"{parsed} shows another key than the pinned one; first: entrenous contacts accept-new-key {parsed}"
            )
        self._profile._keep(parsed, msgspec.structs.replace(pin, verified=True))
        return self.get(parsed)

    def accept_new_key(self, address: str | Address) -> Contact:
        """Pin the key that was refused before; it is not verified then. Raises ContactError when there is none."""
        parsed = parse_address(address)
        pin = self._profile._pin(parsed)
        if pin.refused_key is None:
            raise ContactError(f"{parsed} has shown no other key.")
        self._profile._keep(parsed, Pin.from_key(pin.refused_key))
        return self.get(parsed)

    def safety_number(self, address: str | Address) -> str:
        """The 60 digits that both compare; raises ContactError when no key of theirs has been seen yet."""
        parsed = parse_address(address)
        pin = self._profile._pin(parsed)
        if pin.identity_key is None:
            raise ContactError(f"No key of {parsed} has been seen yet: call them once, then compare.")
        ours = (self._profile.address, self._profile.identity_key)
        return safety_number(ours, (parsed, pin.identity_key))

    def _not_ourselves(self, address: Address) -> Address:
        if address == self._profile.address:
            raise ContactError("This is your own address.")
        return address


def parse_address(address: str | Address) -> Address:
    """Read an address; raises ContactError with the sentence for the person who typed it."""
    if isinstance(address, Address):
        return address
    try:
        return Address.parse(address.strip())
    except ValueError as error:
        raise ContactError(f"{address!r} is no address: {error}") from None
