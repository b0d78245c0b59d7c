"""Presence: logging in, again when keys were renewed, and asking a server that is known to be away."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import LocalProtocolError, NodeConfig, Profile, ServerLost, ServerUnreachable, presence
from entrenous.account import Nobody
from entrenous.link import Link
from entrenous.presence import Presence
from entrenous.protocol.deadlines import Timeouts
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Devices

ALICE = Address("alice", "calls.example.org")


class Server:
    """Stands in for every link."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.refusals: list[Exception] = []
        self.answers = asyncio.Event()
        self.answers.set()

        async def open_link(link: Link, timeout: float) -> None:
            self.done.append("open")
            if self.refusals:
                raise self.refusals.pop()

        async def publish(link: Link, prekeys: list[bytes]) -> None:
            self.done.append("publish")
            if self.refusals:
                raise self.refusals.pop()

        async def close(link: Link, flush: float = 0.0) -> None:
            self.done.append("close")

        async def fetch_devices(link: Link, address: Address) -> Devices:
            await self.answers.wait()
            return Devices(request=1, address=str(address), identity_key=bytes(32), devices=[])

        for method, name in (
            (open_link, "open"),
            (publish, "publish"),
            (close, "close"),
            (fetch_devices, "fetch_devices"),
        ):
            monkeypatch.setattr(Link, name, method)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def presence_of_alice(told: list[object] | None = None) -> Presence:
    config = NodeConfig(server=f"wss://{ALICE.host}")
    profile = Profile.create(None, None, ALICE)
    return Presence(config, profile, Timeouts(), Nobody(), [].append if told is None else told.append)


async def test_there_is_no_link_before_the_first_login(server: Server) -> None:
    alice = presence_of_alice()
    with pytest.raises(LocalProtocolError, match="not running"):
        _ = alice.link
    await alice.leave()
    assert server.done == []


async def test_a_device_is_there_when_its_prekeys_are_published(server: Server) -> None:
    alice = presence_of_alice()
    await alice.log_in()
    assert server.done == ["open", "publish"]
    server.done.clear()
    server.refusals = [ServerUnreachable("Not now.")]
    with pytest.raises(ServerUnreachable):
        await alice.log_in()
    assert server.done == ["open"], "a link that did not open has closed itself"


async def test_a_link_whose_prekeys_are_refused_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(link: Link, prekeys: list[bytes]) -> None:
        raise ServerUnreachable("Not now.")

    monkeypatch.setattr(Link, "publish", refuse)
    with pytest.raises(ServerUnreachable):
        await presence_of_alice().log_in()
    assert server.done == ["open", "close"]


async def test_renewed_keys_are_shown_as_soon_as_the_server_is_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LOGIN_PAUSE", 0.0)
    told: list[object] = []
    alice = presence_of_alice(told)
    await alice.log_in()
    before = alice.link
    server.done.clear()
    server.refusals = [ServerUnreachable("Not now."), ServerUnreachable("Not yet.")]
    await alice.log_in_anew()
    assert server.done == ["close", "open", "open", "open", "publish"]
    assert told == [ServerLost("Not yet."), ServerLost("Not now.")]
    assert alice.link is not before


async def test_a_server_that_is_known_to_be_away_has_a_moment_to_come_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "AWAY_SECONDS", 0.0)
    alice = presence_of_alice()
    await alice.log_in()
    assert (await alice.fetch_devices(ALICE)).address == str(ALICE)
    server.answers.clear()
    alice.away = True
    with pytest.raises(ServerUnreachable, match="calls.example.org, cannot be reached"):
        await alice.fetch_devices(ALICE)
    alice.away = False
    asking = asyncio.ensure_future(alice.fetch_devices(ALICE))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asking.done()
    server.answers.set()
    assert (await asking).address == str(ALICE)
