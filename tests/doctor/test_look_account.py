"""The account, the login, and what only those see who are in, with a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous import Address, KeystoreError, NodeConfig, Profile, WrongPassphrase, register
from entrenous.doctor.facts import AccountFacts, AccountProblem, PeerProblem
from entrenous.doctor.look_account import ask_for_relays, log_in, look_at_account, look_at_peer
from entrenous_signaling.app import Listening, Server
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.notify import Notifier
from entrenous_wire.messages import ErrorCode, Turn

RELAY = "turn:192.0.2.20:3478"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Listening]:
    secret = tmp_path / "secret"
    secret.write_text("the-secret-of-a-relay-in-a-test")
    secret.chmod(0o600)
    config = ServerConfig(
        listen="127.0.0.1:0",
        data=str(tmp_path / "data"),
        insecure_loopback=True,
        turn_urls=(RELAY,),
        turn_secret_file=str(secret),
    )
    running = Server(config, Notifier({}))
    try:
        yield await running.start()
    finally:
        await running.close()


@pytest.fixture
def config(server: Listening) -> NodeConfig:
    return NodeConfig(server=server.url, loopback_only=True)


@pytest.fixture
async def bob(config: NodeConfig) -> Profile:
    return await register(config, "bob", passphrase=None)


@pytest.fixture
async def carol(config: NodeConfig) -> Profile:
    return await register(config, "carol", passphrase=None)


def raising(error: Exception) -> Profile:
    raise error


async def test_an_account_opens(bob: Profile, carol: Profile) -> None:
    bob.contacts.add(str(carol.card))
    assert await look_at_account(lambda: bob) == (AccountFacts(contacts=1), bob)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (WrongPassphrase("It does not open it."), AccountProblem.WRONG_PASSPHRASE),
        (KeystoreError("It is damaged."), AccountProblem.UNUSABLE),
    ],
)
async def test_an_account_does_not_open(error: Exception, problem: AccountProblem) -> None:
    facts, profile = await look_at_account(lambda: raising(error))
    assert (facts.problem, facts.sentence, profile) == (problem, str(error), None)


async def test_an_account_that_was_never_registered() -> None:
    profile = Profile.create(None, None, Address("bob", "calls.example.org"))
    assert await look_at_account(lambda: profile) == (AccountFacts(AccountProblem.UNREGISTERED), None)


async def test_the_server_lets_us_in_and_lends_a_relay(config: NodeConfig, bob: Profile) -> None:
    async with log_in(config, bob) as (facts, link):
        assert (facts.refusal, facts.failed) == (None, False)
        assert link is not None
        answer = await ask_for_relays(link)
        assert isinstance(answer, Turn)
        assert answer.urls == [RELAY]


async def test_the_server_does_not_know_us(config: NodeConfig, server: Listening) -> None:
    stranger = Profile.create(None, None, Address("stranger", server.name))
    async with log_in(config, stranger) as (facts, link):
        assert (facts.refusal, link) == (ErrorCode.UNKNOWN_USER, None)


async def test_there_is_no_server(config: NodeConfig, bob: Profile) -> None:
    async with log_in(replace(config, server="ws://127.0.0.1:1"), bob) as (facts, link):
        assert facts.failed
        assert link is None


async def test_people_are_held_against_the_contacts(config: NodeConfig, bob: Profile, carol: Profile) -> None:
    nobody = Address("nobody", bob.address.host)
    async with log_in(config, bob) as (_, link):
        assert (await look_at_peer(link, bob, bob.address)).problem is PeerProblem.IS_SELF
        assert (await look_at_peer(link, bob, nobody)).problem is PeerProblem.UNKNOWN
        assert (await look_at_peer(link, bob, Address("carol", "a.example"))).problem is PeerProblem.ELSEWHERE
        assert (await look_at_peer(None, bob, carol.address)).problem is PeerProblem.UNCHECKED
        stranger = await look_at_peer(link, bob, carol.address)
        assert (stranger.problem, stranger.is_contact, stranger.devices) == (None, False, 1)
        bob.contacts.add(str(carol.card))
        known = await look_at_peer(link, bob, carol.address)
        assert (known.problem, known.is_contact, known.is_verified, known.devices) == (None, True, True, 1)


async def test_a_look_at_somebody_changes_nothing(config: NodeConfig, bob: Profile, carol: Profile) -> None:
    bob.contacts.add(str(carol.address))
    async with log_in(config, bob) as (_, link):
        await look_at_peer(link, bob, carol.address)
    assert bob.contacts.get(carol.address).fingerprint is None, "the key that is seen first is pinned by a call only"


async def test_another_key_than_the_pinned_one(config: NodeConfig, bob: Profile, carol: Profile) -> None:
    other = Profile.create(None, None, carol.address)
    bob.contacts.add(str(other.card))
    async with log_in(config, bob) as (_, link):
        assert (await look_at_peer(link, bob, carol.address)).problem is PeerProblem.KEY_CHANGED
    assert not bob.contacts.get(carol.address).changed, "and nothing is remembered"
