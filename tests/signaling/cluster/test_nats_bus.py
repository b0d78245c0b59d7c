"""The bus over a real nats-server: heard, lost and found again, and a log that says so once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous_signaling.cluster import nats_bus
from entrenous_signaling.cluster.nats_bus import NatsBus, pause
from entrenous_signaling.cluster.nats_connection import NatsAccess, NatsConnection, Trouble, connect
from entrenous_signaling.cluster.nats_protocol import Credentials
from entrenous_signaling.cluster.settings import NatsPlace
from lab.nats import NatsServer, needs_nats, running_nats
from world.natsworld import ALL, INFO, OTHER, OWN, Ear, Scripted, access, listening, trouble_of


@needs_nats
async def test_others_are_heard_and_a_server_that_was_killed_is_found_again(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        async with (
            listening(access(server), ALL, OWN) as (one, ear),
            listening(access(server), ALL, OTHER) as (two, ear_two),
        ):
            assert not one.is_connected
            await ear.until("connected")
            await ear_two.until("connected")
            assert one.publish(ALL, b"to all")  # who says it does not hear it
            await ear_two.until((ALL, b"to all"))
            assert two.publish(OWN, b"to one\r\n\0")
            assert two.publish(ALL, bytes(500_000))
            await ear.until((OWN, b"to one\r\n\0"), (ALL, bytes(500_000)))
            server.kill()
            await ear.until("lost")
            await ear_two.until("lost")
            assert not one.is_connected
            assert not one.publish(ALL, b"while nobody carries it")
            server.start()
            await ear.until("connected")
            await ear_two.until("connected")
            assert one.publish(ALL, b"again")
            await ear_two.until((ALL, b"again"))
            assert one.publish(ALL, b"last")
            await one.close()
            await ear_two.until((ALL, b"last"))
            assert not one.is_connected
            assert ear.news == []


@needs_nats
async def test_of_several_servers_one_will_do(tmp_path: Path) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    gone.mkdir()
    there.mkdir()
    with running_nats(there) as server:
        both = replace(access(server), places=[NatsPlace.parse(NatsServer(gone).url), NatsPlace.parse(server.url)])
        async with listening(both, ALL) as (_, ear):
            await ear.until("connected")


@needs_nats
async def test_who_is_not_known_is_refused_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_bus, "_LONGEST_PAUSE", 0.01)
    with running_nats(tmp_path) as server:
        place = NatsPlace.parse(server.url)
        for line in ("node:hush-hush", "hush-hush"):
            stranger = NatsAccess([place], Credentials.parse(line))
            assert await trouble_of(place, stranger) is Trouble.CREDENTIALS
        assert await trouble_of(place, NatsAccess([place])) is Trouble.CREDENTIALS
        attempts = asyncio.Queue[None]()

        async def counted(*arguments: object) -> NatsConnection:
            attempts.put_nowait(None)
            return await connect(*arguments)  # type: ignore[arg-type]  # as they are

        monkeypatch.setattr(nats_bus, "connect", counted)
        async with listening(stranger, ALL) as (bus, ear):
            for _ in range(4):
                await attempts.get()
            assert (bus.is_connected, ear.news) == (False, [])
    assert [str(record.msg) for record in caplog.records] == ["bus-refused"]
    assert "hush" not in caplog.text


async def test_pings_are_answered_and_a_refusal_later_on_is_a_loss() -> None:
    script = Scripted(INFO, b"PING\r\nPONG\r\nMSG entrenous.all 1 2\r\nhi\r\n-ERR 'Slow Consumer'\r\n")
    async with script.running() as place, listening(NatsAccess([place]), ALL, OWN) as (_, ear):
        await ear.until("connected", (ALL, b"hi"), "lost")
        await script.ended.wait()
        assert b"PING\r\nPONG\r\n" in script.heard


async def test_nobody_is_waited_for_when_it_ends() -> None:
    script = Scripted()
    async with script.running() as place:
        bus, ear = NatsBus(NatsAccess([place]), lambda: 0.0), Ear()
        await bus.close()
        await bus.start([ALL], ear.received, ear.connected, ear.lost)
        await asyncio.sleep(0)
        await bus.close()
    assert ear.news == []


def test_attempts_come_less_often_and_not_all_at_the_same_moment() -> None:
    latest = [pause(failures, 1.0) for failures in range(40)]
    earliest = [pause(failures, 0.0) for failures in range(40)]
    assert latest == sorted(latest)
    assert (latest[0], latest[-1]) == (0.1, 2.0)
    assert [2 * seconds for seconds in earliest] == latest
