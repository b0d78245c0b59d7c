"""Everything that a node must remember: its keys, its address, and whom it knows. Immutable; changed by copy."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from entrenous.crypto import prekeys as prekey_rules
from entrenous.crypto.contacts import Contact, check_identity
from entrenous.crypto.identity import (
    RENEW_SECONDS,
    SEED_BYTES,
    AccountIdentity,
    DeviceIdentity,
    Entropy,
    new_device_id,
)
from entrenous.crypto.prekeys import Prekey
from entrenous.errors import KeystoreError
from entrenous_wire.addresses import Address
from entrenous_wire.certificate import CertificateError, DeviceCertificate, same_key

Seed = Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]


MAX_SEEN: Final = 1024
"""Ids of calls and messages that are remembered: more than a server stores for one device."""

MAX_UNTOLD: Final = 512
"""Missed calls that nobody was told of yet."""

MAX_KNOWN_DEVICES: Final = 64
"""Other devices of the account that are remembered, those that have gone among them."""


class UntoldCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A missed call of which the person was not told yet.

    Args:
        address: who called.
        at: Unix seconds, by the caller's clock.
        video: whether with picture.
    """

    address: str
    at: float
    video: bool

    def __repr__(self) -> str:
        """Without the caller."""
        return "UntoldCall()"


class KnownDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another device of the account, as this one has seen it.

    Args:
        device_id: 16 hexadecimal digits.
        device_key: its Ed25519 key, 32 bytes; one that shows another key is another device.
        since: Unix seconds at which it was first seen to be there, or to be gone.
        gone: the server does not name it any more.
        again: it was there before, and was gone.
        told: the person knows that it is there, or that it is gone.
    """

    device_id: str
    device_key: bytes
    since: float
    gone: bool = False
    again: bool = False
    told: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a device needs to take part in a call.

    Args:
        certificate: its certificate.
        device: its key.
        prekeys: its prekeys with their private halves, newest first, expired ones last.
    """

    certificate: DeviceCertificate
    device: DeviceIdentity
    prekeys: tuple[Prekey, ...]

    def __repr__(self) -> str:
        return f"<Credentials of device {self.certificate.device_id}>"

    def are_meant_by(self, address: Address, device_id: str, identity_key: bytes) -> bool:
        """Whether a signed message that names this receiver is for us.

        Args:
            address: of the account.
            device_id: 16 hexadecimal digits.
            identity_key: that the sender believes the account to have, 32 bytes.
        """
        own = self.certificate
        is_named = (own.address, own.device_id) == (address, device_id)
        return is_named and same_key(own.identity_key, identity_key)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secrets and contacts of one account on one device.

    Args:
        address: `str(Address)` of the account.
        identity_seed: 32 bytes.
        device_seed: 32 bytes.
        device_id: 16 hexadecimal digits.
        certificate: `DeviceCertificate.raw`.
        prekeys: newest first, expired ones last.
        contacts: by address; never changed in place.
        registered: whether the server is known to have the account; until then registering may be repeated.
        deleted: whether the account was deleted at its server: nobody can log in with it any more.
        seen: ids of messages that were taken and of calls that rang here, oldest first, so that each is told once.
        untold: missed calls that the person is still to be told of, oldest first.
        devices: the other devices of the account that were ever seen, in the order in which they came.
    """

    address: str
    identity_seed: Seed
    device_seed: Seed
    device_id: str
    certificate: bytes
    prekeys: tuple[Prekey, ...]
    contacts: dict[str, Contact] = {}
    registered: bool = False
    deleted: bool = False
    seen: tuple[bytes, ...] = ()
    untold: tuple[UntoldCall, ...] = ()
    devices: tuple[KnownDevice, ...] = ()

    def __repr__(self) -> str:
        """Without keys and contacts."""
        return f"<Profile of device {self.device_id}, {len(self.contacts)} contacts>"

    @classmethod
    def create(cls, address: Address, now: float, entropy: Entropy) -> Profile:
        """Make a new account with its first device: identity, device key, certificate and prekey.

        Args:
            address: the account; it need not be registered yet.
            now: Unix seconds.
            entropy: where the keys come from.
        """
        identity_seed, device_seed = entropy(SEED_BYTES), entropy(SEED_BYTES)
        device_id = new_device_id(entropy)
        device = DeviceIdentity(device_seed)
        certificate = AccountIdentity(identity_seed).certify(address, device_id, device.public_key, now)
        return cls(
            address=str(address),
            identity_seed=identity_seed,
            device_seed=device_seed,
            device_id=device_id,
            certificate=certificate.raw,
            prekeys=prekey_rules.rotate((), device, now, entropy),
        )

    def for_another_device(self, now: float, entropy: Entropy) -> Profile:
        """A profile of another device of the same account, with the same contacts and with keys of its own.

        Each of the two knows of the other: the new one at once, this one when it comes to the server.

        Args:
            now: Unix seconds.
            entropy: where the keys come from.
        """
        seed, device_id = entropy(SEED_BYTES), new_device_id(entropy)
        device = DeviceIdentity(seed)
        this = KnownDevice(self.device_id, self.device.public_key, now, told=True)
        return msgspec.structs.replace(
            self,
            device_seed=seed,
            device_id=device_id,
            certificate=self.identity.certify(Address.parse(self.address), device_id, device.public_key, now).raw,
            prekeys=prekey_rules.rotate((), device, now, entropy),
            seen=(),
            untold=(),
            devices=(this, *(known for known in self.devices if known.told and not known.gone)),
        )

    def check(self) -> None:
        """Make sure that the parts belong together; raises KeystoreError."""
        try:
            certificate = DeviceCertificate.parse(self.certificate)
            Address.parse(self.address)
        except ValueError as error:
            raise KeystoreError(f"The profile is inconsistent ({error}); restore it from a backup.") from None
        expected = (self.address, self.device_id, self.identity.public_key, self.device.public_key)
        found = (
            str(certificate.address),
            certificate.device_id,
            certificate.identity_key,
            certificate.device_key,
        )
        if expected != found:
            raise KeystoreError("The profile's certificate is not of its keys; restore it from a backup.")

    @property
    def identity(self) -> AccountIdentity:
        """The account's identity."""
        return AccountIdentity(self.identity_seed)

    @property
    def device(self) -> DeviceIdentity:
        """This device's key."""
        return DeviceIdentity(self.device_seed)

    def credentials(self) -> Credentials:
        """What the call handshake needs."""
        return Credentials(DeviceCertificate.parse(self.certificate), self.device, self.prekeys)

    def published_prekeys(self, now: float) -> list[bytes]:
        """What is published at the server at `now` (Unix seconds): `SignedPrekey.raw`, newest first."""
        return [key.signed for key in prekey_rules.without_expired(self.prekeys, now)]

    def refreshed(self, now: float, entropy: Entropy) -> Profile:
        """The same profile with prekeys rotated and the certificate renewed where due; itself when nothing is.

        Args:
            now: Unix seconds.
            entropy: called only for a new prekey.
        """
        changed = self
        rotated = prekey_rules.rotate(self.prekeys, self.device, now, entropy)
        if rotated != self.prekeys:
            changed = msgspec.structs.replace(changed, prekeys=rotated)
        certificate = self._certificate()
        if certificate.not_after - now < RENEW_SECONDS:
            renewed = self.identity.certify(certificate.address, self.device_id, self.device.public_key, now)
            changed = msgspec.structs.replace(changed, certificate=renewed.raw)
        return changed

    def as_registered(self) -> Profile:
        """The same profile, known to its server."""
        return msgspec.structs.replace(self, registered=True)

    def as_deleted(self) -> Profile:
        """The same profile after its account was deleted: nothing is kept that was of use with the server alone."""
        return msgspec.structs.replace(self, deleted=True, prekeys=(), seen=(), untold=(), devices=())

    def without_expired_prekeys(self, now: float) -> Profile:
        """The same profile after everything stored for it was taken; itself when no prekey has expired."""
        return msgspec.structs.replace(self, prekeys=prekey_rules.without_expired(self.prekeys, now))

    def having_seen(self, *ids: bytes) -> Profile:
        """The same profile that remembers these ids, in place of the oldest when there are too many."""
        kept = [known for known in self.seen if known not in ids]
        return msgspec.structs.replace(self, seen=(*kept, *ids)[-MAX_SEEN:])

    def with_untold(self, call: UntoldCall) -> Profile:
        """The same profile with a missed call that the person is to be told of."""
        return msgspec.structs.replace(self, untold=(*self.untold, call)[-MAX_UNTOLD:])

    def having_told(self, address: Address, at: float) -> Profile:
        """The same profile after the person was told that `address` called at `at`; who called is forgotten."""
        kept = tuple(call for call in self.untold if (call.address, call.at) != (str(address), at))
        return msgspec.structs.replace(self, untold=kept)

    def with_devices(self, found: Set[tuple[str, bytes]], now: float) -> Profile:
        """The same profile when these are the devices of the account; itself when nothing has changed.

        Args:
            found: id and key of each device that the identity key certifies, this one among them or not.
            now: Unix seconds.
        """
        known = {(device.device_id, device.device_key) for device in self.devices}
        seen = [_seen(device, (device.device_id, device.device_key) in found, now) for device in self.devices]
        new = sorted(found - known - {(self.device_id, self.device.public_key)})
        devices = (*seen, *(KnownDevice(device_id, key, now) for device_id, key in new))
        surplus = max(0, len(devices) - MAX_KNOWN_DEVICES)
        dropped = [device for device in devices if device.gone][:surplus]
        kept = tuple(device for device in devices if device not in dropped)
        return self if kept == self.devices else msgspec.structs.replace(self, devices=kept)

    def having_told_device(self, device_id: str, *, gone: bool) -> Profile:
        """The same profile after the person was told that a device is there, or gone."""
        told = tuple(
            msgspec.structs.replace(device, told=True)
            if (device.device_id, device.gone) == (device_id, gone)
            else device
            for device in self.devices
        )
        return msgspec.structs.replace(self, devices=told)

    def _certificate(self) -> DeviceCertificate:
        try:
            return DeviceCertificate.parse(self.certificate)
        except CertificateError as error:
            raise KeystoreError(f"The profile is inconsistent ({error}); restore it from a backup.") from None

    def contact(self, address: Address) -> Contact | None:
        """The pin of an address, None when it is unknown."""
        return self.contacts.get(str(address))

    def with_contact(self, address: Address, contact: Contact) -> Profile:
        """The same profile with a contact added or replaced."""
        return self._with_contacts({**self.contacts, str(address): contact})

    def without_contact(self, address: Address) -> Profile:
        """The same profile without a contact; itself when it is unknown."""
        if str(address) not in self.contacts:
            return self
        return self._with_contacts({name: held for name, held in self.contacts.items() if name != str(address)})

    def _with_contacts(self, contacts: Mapping[str, Contact]) -> Profile:
        return msgspec.structs.replace(self, contacts=dict(contacts))

    def pinned(self, address: Address, identity_key: bytes) -> Profile:
        """The same profile with this key pinned for an address, keeping `verified`; itself when it is already.

        Raises:
            IdentityChanged: another key is pinned.
        """
        held = self.contact(address)
        check_identity(address, held, identity_key)
        if held is not None and held.identity_key == identity_key:
            return self
        verified = held is not None and held.verified
        return self.with_contact(address, Contact.from_key(identity_key, verified=verified))


def _seen(device: KnownDevice, is_there: bool, now: float) -> KnownDevice:
    """A known device after a look at who is there."""
    if device.gone is not is_there:
        return device
    return msgspec.structs.replace(device, since=now, gone=not is_there, again=is_there, told=False)
