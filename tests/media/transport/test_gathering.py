"""Our own addresses: what is asked, who wins, what is found again after a change, and why there is nothing."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aioice import Candidate

from entrenous.media.events import PathFailure
from entrenous.media.transport import gathering, relays
from entrenous.media.transport.bases import Base, GatheringPolicy, RelayBase
from entrenous.media.transport.gathering import Gatherer
from entrenous.media.transport.servers import ServerAddress, parse_server
from entrenous.media.transport.stun import parse
from lab.calls import until
from lab.relay import HAS_COTURN, running_relay

needs_coturn = pytest.mark.skipif(not HAS_COTURN, reason="coturn is not installed")


class Owner:
    def __init__(
        self, *servers: ServerAddress, relay_only: bool = False, loopback_only: bool = True, timeout: float = 2.0
    ) -> None:
        self.bases: list[Base] = []
        self.lines: list[str | None] = []
        self.moves = 0
        self.gatherer = Gatherer(
            GatheringPolicy(relay_only=relay_only, loopback_only=loopback_only, timeout=timeout, close_timeout=0.2),
            on_base=self.bases.append,
            on_gone=self.bases.remove,
            on_moved=self._moved,
            on_candidate=self.lines.append,
            on_datagram=self._arrived,
        )
        self.gatherer.use_servers(servers)

    def _moved(self) -> None:
        self.moves += 1

    def _arrived(self, base: Base, data: bytes, *_: Any) -> None:
        if data[0] <= 3:
            self.gatherer.answered(parse(data))

    @property
    def kinds(self) -> list[str]:
        return sorted(Candidate.from_sdp(line).type for line in self.gatherer.lines)

    async def complete(self) -> None:
        await until(lambda: self.gatherer.complete)

    async def close(self) -> None:
        await self.gatherer.close()
        assert len(asyncio.all_tasks()) == 1


def silent_server() -> tuple[socket.socket, ServerAddress]:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    return silent, ServerAddress(True, "127.0.0.1", silent.getsockname()[1], username="u", password="p")


async def test_without_servers_the_host_addresses_are_all() -> None:
    owner = Owner()
    await owner.gatherer.start()
    assert owner.gatherer.complete
    assert owner.kinds == ["host"]
    assert owner.gatherer.why_nothing() is None
    await owner.close()


async def test_an_unreachable_server_delays_nothing() -> None:
    silent, server = silent_server()
    with silent:
        owner = Owner(server, timeout=120.0)
        async with asyncio.timeout(60):
            await owner.gatherer.start()
        assert owner.kinds == ["host"]
        assert not owner.gatherer.complete
        async with asyncio.timeout(60):
            await owner.close()


async def test_gathering_ends_when_the_servers_had_their_time() -> None:
    silent, server = silent_server()
    with silent:
        owner = Owner(server, replace(server, is_turn=False), relay_only=True, timeout=0.05)
        await owner.gatherer.start()
        await owner.complete()
    assert owner.lines == [None]
    assert owner.gatherer.why_nothing() is PathFailure.RELAY_UNREACHABLE
    await owner.close()


async def test_a_name_that_does_not_exist_is_an_unreachable_server() -> None:
    owner = Owner(ServerAddress(True, "nowhere.invalid", 3478, username="u", password="p"), relay_only=True)
    await owner.gatherer.start()
    await owner.complete()
    assert owner.gatherer.why_nothing() is PathFailure.RELAY_UNREACHABLE
    await owner.close()


async def test_relays_only_without_a_relay_or_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(relay_only=True)
    assert owner.gatherer.why_nothing() is None  # not known yet
    await owner.gatherer.start()
    assert owner.gatherer.why_nothing() is PathFailure.NO_RELAY
    monkeypatch.setattr(gathering, "host_addresses", lambda *, loopback_only: [])
    assert owner.gatherer.why_nothing() is PathFailure.NO_NETWORK
    await owner.close()


@needs_coturn
async def test_the_first_relay_wins_and_the_reflexive_address_is_asked_for_as_well(tmp_path: Path) -> None:
    silent, dead = silent_server()
    with silent, running_relay(tmp_path) as relay:
        owner = Owner(dead, parse_server(relay.server("tcp")), parse_server(relay.server("udp")), timeout=60.0)
        await owner.gatherer.start()
        await until(lambda: "relay" in owner.kinds)
        # On loopback nothing stands between: the address that the server sees is that of the socket.
        assert set(owner.kinds) == {"host", "relay"}
        await owner.close()


@needs_coturn
async def test_one_over_udp_may_follow_one_over_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = asyncio.Event()
    look_up = relays.look_up

    async def slow_for_udp(server: ServerAddress, family: int) -> list[str]:
        if server.transport == "udp":
            await late.wait()
        return await look_up(server, family)

    monkeypatch.setattr(relays, "look_up", slow_for_udp)
    monkeypatch.setattr(relays, "UDP_GRACE", 10.0)
    with running_relay(tmp_path) as relay:
        owner = Owner(*(parse_server(relay.server(transport)) for transport in ("udp", "tcp")), relay_only=True)
        await owner.gatherer.start()
        await until(lambda: owner.kinds == ["relay"])
        assert owner.bases[0].local.streamed
        late.set()
        await until(lambda: owner.kinds == ["relay", "relay"])
        assert not owner.bases[1].local.streamed
        await owner.close()


@needs_coturn
async def test_a_refusal_is_told_from_silence(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        owner = Owner(replace(parse_server(relay.server()), password="wrong"), relay_only=True)
        await owner.gatherer.start()
        await owner.complete()
        assert owner.gatherer.why_nothing() is PathFailure.RELAY_REFUSED
        await owner.close()


@needs_coturn
async def test_a_relay_that_died_is_replaced_with_the_newest_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.media.transport.relay.PROBE_PATIENCE", 0.1)
    (tmp_path / "second").mkdir()
    with running_relay(tmp_path) as first, running_relay(tmp_path / "second") as second:
        owner = Owner(parse_server(first.server("tcp")), relay_only=True)
        await owner.gatherer.start()
        await until(lambda: owner.kinds == ["relay"])
        (old,) = owner.bases
        owner.gatherer.use_servers([parse_server(second.server("udp"))])
        owner.gatherer.network_changed()
        await until(lambda: owner.moves == 1)
        assert owner.bases == [old]  # nothing was wrong with it
        first.kill()
        await until(lambda: len(owner.bases) == 1 and owner.bases[0] is not old)
        (new,) = owner.bases
        assert isinstance(new, RelayBase)
        assert new.relay.server.port == second.port
        await owner.close()


@needs_coturn
@pytest.mark.parametrize("options", [("--mobility", "--no-software-attribute"), ()], ids=["mobile", "not mobile"])
async def test_a_relayed_address_is_kept_when_ours_is_gone_and_the_relay_lets_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    present = ["127.0.0.1"]
    monkeypatch.setattr(gathering, "host_addresses", lambda *, loopback_only: present)
    with running_relay(tmp_path, *options) as server:
        owner = Owner(parse_server(server.server()), relay_only=True, loopback_only=False)
        await owner.gatherer.start()
        await until(lambda: owner.kinds == ["relay"])
        (old,) = owner.bases
        present[:] = ["127.0.0.9"]
        owner.gatherer.network_changed()
        await until(lambda: owner.moves == 1)
        assert old.local.is_up == bool(options)
        await until(lambda: owner.kinds == (["relay"] if options else ["relay", "relay"]))
        assert (owner.bases == [old]) == bool(options)
        await owner.close()


async def test_the_network_may_change_while_a_server_is_asked() -> None:
    silent, server = silent_server()
    with silent:
        owner = Owner(server, timeout=120.0)
        await owner.gatherer.start()
        for _ in range(3):
            owner.gatherer.network_changed()
        await until(lambda: owner.moves == 3)
        assert not owner.gatherer.complete
        assert len(owner.bases) == 1
        async with asyncio.timeout(60):
            await owner.close()
