"""Who is asked for a relay, at which addresses; the races themselves are tested through the gatherer."""

from __future__ import annotations

import asyncio
import socket

import pytest

from entrenous.media.transport.bases import GatheringPolicy
from entrenous.media.transport.relays import MAX_LOOKUPS, Relays, look_up
from entrenous.media.transport.servers import ServerAddress

SERVER = ServerAddress(True, "turn.example", 3478, username="u", password="p")


async def test_all_addresses_of_a_name_are_tried_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        hosts = ["192.0.2.1", "192.0.2.1", "2001:db8::1", *(f"192.0.2.{number}" for number in range(2, 20))]
        return [(0, 0, 0, "", (each, port)) for each in hosts]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    found = await look_up(SERVER, socket.AF_UNSPEC)
    assert found[:2] == ["192.0.2.1", "2001:db8::1"]
    assert len(found) == MAX_LOOKUPS


async def test_without_turn_servers_there_is_nobody_to_ask() -> None:
    relays = Relays(
        GatheringPolicy(relay_only=True, loopback_only=True, timeout=1.0, close_timeout=0.1),
        on_base=lambda _: None,
        on_gone=lambda _: None,
        on_vanished=lambda: None,
        on_datagram=lambda *_: None,
    )
    assert not relays.can_ask
    relays.servers = [ServerAddress(False, "stun.example", 3478)]
    assert not relays.can_ask
    await relays.race(ipv6=False)
    assert relays.bases == []
    assert relays.races == []
    relays.servers = [SERVER]
    assert relays.can_ask
    assert relays.are_stale()
    await relays.close()
    assert len(asyncio.all_tasks()) == 1
