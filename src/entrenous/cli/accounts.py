"""Which account a call is made with: the options of `call` and `answer`, turned into a node that is online."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from entrenous import IcePolicy, Node, NodeConfig, Profile, Strangers

from .notices import watch
from .options import in_memory_config, passphrase_option, profile_option, server_options
from .output import Output
from .passphrase import open_account

Command = TypeVar("Command", bound=Callable[..., Any])

_MEMORY_OPTIONS = (
    click.option("--in-memory", is_flag=True, help="Make a new account for this run; nothing is written to disk."),
    click.option("--username", metavar="NAME", help="With --in-memory: the name to register."),
    click.option("--invite", metavar="CODE", help="With --in-memory: the invite code, where the server wants one."),
    click.option(
        "--contact",
        "extra_contacts",
        multiple=True,
        metavar="CARD|ADDRESS",
        help="With --in-memory: somebody you know; may be repeated.",
    ),
)


_POLICY_OPTION = click.option(
    "--ice-policy",
    type=click.Choice([policy.value for policy in IcePolicy]),
    help="Which addresses of this machine the other end may learn: those it can be reached at, none until the call is "
    "accepted, or none ever (calls then need the server's relay). By default the first, and for people who are not "
    "contacts the second.",
)


def account_options(command: Command) -> Command:
    """Add everything that `AccountChoice` holds."""
    plain = passphrase_option(profile_option(server_options(_POLICY_OPTION(command))))
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_MEMORY_OPTIONS), plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChoice:
    """What the options say.

    Args:
        profile: the folder of the account.
        passphrase_file: see `read_passphrase`.
        server: instead of the one that the account remembers; needed with `in_memory`.
        ca_file: certificate authorities to trust instead of the system's.
        ice_policy: an `IcePolicy` by value, instead of the one that the account remembers.
        in_memory: make a new account that is never written anywhere.
        username, invite: of that account.
        extra_contacts: cards and addresses that it knows.
    """

    profile: Path
    passphrase_file: Path | None = None
    server: str | None = None
    ca_file: Path | None = None
    ice_policy: str | None = None
    in_memory: bool = False
    username: str | None = None
    invite: str | None = None
    extra_contacts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.in_memory and (self.server is None or self.username is None):
            raise click.UsageError("--in-memory needs --server URL and --username NAME.")
        if not self.in_memory and (self.username is not None or self.invite is not None or self.extra_contacts):
            raise click.UsageError("--username, --invite and --contact go with --in-memory.")

    def open(self) -> Account:
        """Unlock the account; nothing is to be unlocked with `in_memory`.

        Raises:
            KeystoreError, WrongPassphrase, ConfigError: as `open_account`.
        """
        if self.server is not None and self.username is not None:
            config = in_memory_config(self.server, self.username, ca_file=self.ca_file, invite=self.invite)
            return Account(self._with_policy(config), None, self.extra_contacts)
        config, profile = open_account(self.profile, self.passphrase_file, server=self.server, ca_file=self.ca_file)
        return Account(self._with_policy(config), profile)

    def _with_policy(self, config: NodeConfig) -> NodeConfig:
        return config if self.ice_policy is None else replace(config, ice_policy=IcePolicy(self.ice_policy))


@dataclass(frozen=True, slots=True)
class Account:
    """An account that is ready to go online.

    Args:
        config: how.
        profile: its keys and contacts; None: new ones are made in memory.
        extra_contacts: cards and addresses to add once it is online.
    """

    config: NodeConfig
    profile: Profile | None
    extra_contacts: tuple[str, ...] = ()

    def toward_strangers(self, strangers: Strangers) -> Account:
        """The same account with another rule for calls of people who are not contacts."""
        return replace(self, config=replace(self.config, strangers=strangers))

    @asynccontextmanager
    async def online(self, output: Output) -> AsyncIterator[Node]:
        """A node of this account, connected to its server; what happens to it beside calls is shown.

        Raises:
            ServerUnreachable, RequestRefused: it cannot connect, or not register.
            ContactError: one of the extra contacts is neither a card nor an address.
        """
        output.progress(f"Connecting to {self.config.url} …")
        async with Node(self.config, profile=self.profile) as node:
            for card_or_address in self.extra_contacts:
                node.contacts.add(card_or_address)
            watcher = asyncio.create_task(watch(node, output))
            try:
                yield node
            finally:
                watcher.cancel()
