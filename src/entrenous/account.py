"""Accounts: making one, registering it with its server, opening it again."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from entrenous_wire.addresses import Address, canonical_host
from entrenous_wire.login import registration_proof
from entrenous_wire.messages import Deliver, ErrorCode, Hello, Letter, LoggedIn, Register, Send

from .config import NodeConfig
from .crypto.keystore import FileKeystore, InMemoryKeystore, Keystore
from .crypto.profile import Profile as StoredProfile
from .errors import ConfigError, KeystoreError, RequestRefused
from .link import Link
from .profile import Profile
from .protocol.credentials import Credentials

PASSPHRASE_VARIABLE: Final = "ENTRENOUS_PASSPHRASE"  # noqa: S105 - the name of a variable
REGISTER_SECONDS: Final = 15.0
LOGIN_SECONDS: Final = 15.0


class Nobody:
    """Uses a link on which there are no calls, of a registration or an examination."""

    def message_arrived(self, message: Deliver) -> None:
        """It is for a call, and there is none."""

    def letter_arrived(self, letter: Letter) -> None:
        """It stays where it is: whoever takes calls reads letters."""

    def letters_read(self) -> None:
        """There are none."""

    def other_logged_in(self, login: LoggedIn) -> None:
        """Whoever takes calls tells the person of it."""

    def message_failed(self, message: Send) -> None:
        """Nothing was sent."""

    def link_up(self) -> None:
        """`Link.open` returns then."""

    def link_lost(self, sentence: str) -> None:
        """`Link.open` tries again, and what was asked fails."""

    def link_closed(self, sentence: str) -> None:
        """`Link.open` raises then, and what was asked fails."""


async def register(config: NodeConfig, username: str, *, passphrase: str | None) -> Profile:
    """Make a new account and register it with the server of the configuration.

    The keys are made here and never leave this machine; the server learns the username and public keys. They are on
    disk before the server is asked, since nobody can have a name whose keys are lost. Nothing is left when the server
    refuses or was not reached. When it is not known what the server did (a kill, a lost connection), the keys stay, and
    registering again takes them up.

    Args:
        config: the server, and the folder of the profile; without a folder the account lives in memory.
        username: the name that is claimed.
        passphrase: what encrypts the keys on disk; not used in memory.

    Raises:
        ConfigError: the username is none.
        KeystoreError: a registered profile, or that of another address, is in the folder already, or it cannot be
            written.
        WrongPassphrase: of a profile that waits to be registered.
        ServerUnreachable: the server cannot be reached.
        RequestRefused: `name-taken`, `registration-closed`, `bad-invite` …
    """
    keystore: Keystore = InMemoryKeystore()
    if config.profile is not None:
        keystore = FileKeystore(config.profile, passphrase or "")
    try:
        address = Address(username, server_name(config))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    is_new = not keystore.exists()
    stored = _new_keys(keystore, address) if is_new else _unregistered_keys(keystore, address)
    asked = False

    def make_register(hello: Hello) -> Register:
        nonlocal asked
        asked = True
        prekeys = stored.published_prekeys(time.time())
        identity_key = stored.identity.public_key
        proof = registration_proof(
            hello.server, hello.nonce, username, identity_key, stored.certificate, prekeys, config.invite
        )
        return Register(
            username=username,
            identity_key=identity_key,
            certificate=stored.certificate,
            prekeys=prekeys,
            identity_signature=stored.identity.sign(b"", proof),
            signature=stored.device.sign(b"", proof),
            invite=config.invite,
        )

    try:
        link = Link(config, replace(_credentials(stored), make_register=make_register), Nobody())
        await link.open(REGISTER_SECONDS)
    except BaseException as error:
        if is_new and (isinstance(error, RequestRefused) or not asked):
            keystore.delete()
        raise
    await link.close()
    keystore.update(StoredProfile.as_registered)
    return Profile(keystore, directory=config.profile)


def _new_keys(keystore: Keystore, address: Address) -> StoredProfile:
    stored = StoredProfile.create(address, time.time(), os.urandom)
    keystore.create(stored)
    return stored


def _unregistered_keys(keystore: Keystore, address: Address) -> StoredProfile:
    """The keys of a registration that did not come to its end; raises KeystoreError when there are others."""
    stored = keystore.load()
    if stored.registered or stored.address != str(address):
        raise KeystoreError("There is a profile in this directory already; name another one.")
    return keystore.update(lambda kept: kept.refreshed(time.time(), os.urandom))


def open_profile(config: NodeConfig) -> Profile:
    """Open the profile of a configuration; takes a moment, since guessing a passphrase shall take long.

    Raises:
        ConfigError: no profile is named, or no passphrase is given.
        KeystoreError, WrongPassphrase: it cannot be opened.
    """
    if config.profile is None:
        raise ConfigError("The configuration names no profile.")
    return Profile.open(config.profile, _passphrase(config))


def credentials_of(profile: Profile) -> Credentials:
    """What the profile's device logs in with; raises KeystoreError when the account was deleted."""
    profile.ensure_usable()
    return _credentials(profile.stored)


async def delete_account(config: NodeConfig, profile: Profile) -> None:
    """Delete an account at its server, with all that is stored for it; the profile says so then, and nobody can log in.

    Contacts are not told, and their lists do not change: calls to the address find no such user. The name is free.
    When it is not known what the server did (a lost connection), doing it again finds out.

    Args:
        config: the server.
        profile: the account; it holds the identity key, which the server wants to see proven.

    Raises:
        KeystoreError: the account was deleted before, or the profile cannot be written.
        ServerUnreachable: the server cannot be reached.
        RequestRefused: the server refused.
    """
    link = Link(config, credentials_of(profile), Nobody())
    try:
        await link.open(LOGIN_SECONDS)
    except RequestRefused as error:
        if error.code != ErrorCode.UNKNOWN_USER:
            raise
        profile.mark_deleted()  # an earlier attempt did it, and its answer was lost
        return
    try:
        await delete_over(link, profile)
    finally:
        await link.close()


async def delete_over(link: Link, profile: Profile) -> None:
    """As `delete_account`, over a link that is open."""
    await link.delete_account(lambda proof: profile.stored.identity.sign(b"", proof))
    profile.mark_deleted()


def server_name(config: NodeConfig) -> str:
    """The host part of addresses at the server of a configuration; raises ConfigError."""
    parts = urlsplit(config.url)
    host = parts.netloc
    if parts.scheme == "wss" and parts.port == 443:
        host = host.removesuffix(":443")
    try:
        return canonical_host(host)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _credentials(stored: StoredProfile) -> Credentials:
    address = Address.parse(stored.address)
    device = stored.device
    return Credentials(
        server=address.host,
        address=stored.address,
        device=stored.device_id,
        certificate=stored.certificate,
        sign=lambda message: device.sign(b"", message),
    )


def _passphrase(config: NodeConfig) -> str:
    if config.passphrase_file is not None:
        try:
            return config.passphrase_file.read_text(encoding="utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"The passphrase file {config.passphrase_file} cannot be read.") from None
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if passphrase is None:
        raise ConfigError(f"No passphrase: name a passphrase_file, or set {PASSPHRASE_VARIABLE}.")
    return passphrase
