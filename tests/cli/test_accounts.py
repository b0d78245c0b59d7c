"""Which account `call` and `answer` use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

import click
import pytest

from entrenous import Address, ContactError, IcePolicy, NodeConfig, Notice, Profile, Strangers
from entrenous.cli import accounts
from entrenous.cli.accounts import Account, AccountChoice
from entrenous.cli.output import Output

SERVER = "ws://127.0.0.1:9"


def test_in_memory_needs_a_server_and_a_name() -> None:
    with pytest.raises(click.UsageError, match="--server URL and --username NAME"):
        AccountChoice(profile=Path("unused"), in_memory=True, server=SERVER)


@pytest.mark.parametrize("option", [{"username": "bob"}, {"invite": "K7"}, {"extra_contacts": ("carol@x.org",)}])
def test_what_goes_with_in_memory_only(option: dict[str, str]) -> None:
    with pytest.raises(click.UsageError, match="go with --in-memory"):
        AccountChoice(profile=Path("unused"), **option)  # type: ignore[arg-type]  # by name


def test_in_memory_touches_no_folder(tmp_path: Path) -> None:
    account = AccountChoice(profile=tmp_path / "none", in_memory=True, server=SERVER, username="echo").open()
    assert account.profile is None
    assert (account.config.profile, account.config.username, account.config.loopback_only) == (None, "echo", True)
    assert list(tmp_path.iterdir()) == []


def test_the_account_of_a_folder(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four words in a row")
    account = AccountChoice(profile=profile, server="ws://127.0.0.1:10").open()
    assert account.profile is not None
    assert str(account.profile.address) == "bob@127.0.0.1:9"
    assert account.config.url == "ws://127.0.0.1:10"
    assert account.toward_strangers(Strangers.RING).config.strangers is Strangers.RING


def test_the_policy_of_the_account_unless_another_one_is_asked_for(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four words in a row")
    with (profile / "node.toml").open("a") as file:
        file.write('ice_policy = "relay-only"\n')
    assert AccountChoice(profile=profile).open().config.ice_policy is IcePolicy.RELAY_ONLY
    assert AccountChoice(profile=profile, ice_policy="direct").open().config.ice_policy is IcePolicy.DIRECT
    in_memory = AccountChoice(
        profile=profile, in_memory=True, server=SERVER, username="echo", ice_policy="relay-until-accept"
    )
    assert in_memory.open().config.ice_policy is IcePolicy.RELAY_UNTIL_ACCEPT


class OnlineNode:
    """Stands for a node that has reached its server."""

    def __init__(self, config: NodeConfig, *, profile: Profile | None = None) -> None:
        self.contacts = Profile.create(None, None, Address(config.username or "bob", "x.org")).contacts
        self.closed = False

    async def __aenter__(self) -> OnlineNode:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    async def notices(self) -> AsyncIterator[Notice]:
        for notice in ():
            yield notice


async def test_extra_contacts_are_known_once_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "Node", OnlineNode)
    config = NodeConfig(server=SERVER, username="echo")
    async with Account(config, None, ("carol@x.org",)).online(Output(as_json=True)) as node:
        assert [str(contact.address) for contact in node.contacts] == ["carol@x.org"]
    assert isinstance(node, OnlineNode)
    assert node.closed
    with pytest.raises(ContactError):
        async with Account(config, None, ("no address",)).online(Output(as_json=True)):
            pass
