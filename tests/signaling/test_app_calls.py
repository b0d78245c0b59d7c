"""Calls over a real server process that is killed or stopped, with its database locked, its disk full, and after."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from entrenous_signaling.store.database import Databases, read_open_rows, read_records
from entrenous_wire.messages import Accepted, Ack, Deliver, Delivered, Error, ErrorCode, Kind, Live, LiveCall
from world.disk import fill, small_disk
from world.serverproc import ServerProcess, get, running_server
from world.wirenode import Account, Wire, connected

CALL = b"\xa7the call's id\xa7\xa7"


def records(server: ServerProcess) -> list[tuple[int, int]]:
    return list(read_records(Databases(server.data)))


async def start_call(alice_wire: Wire, bob_wire: Wire, alice: Account, bob: Account) -> tuple[bytes, bytes]:
    """Alice has called Bob: what she is told of the record, and what he is, under which it is on disk."""
    await bob_wire.say(bob.send(1, alice, Kind.ACCEPT, CALL))
    callers = (await alice_wire.hear(Deliver)).record
    assert callers is not None
    token = (await bob_wire.hear(Accepted)).record
    assert token is not None
    await alice_wire.say(Ack(seq=1))
    await bob_wire.hear(Delivered)
    return callers, token


async def test_a_server_killed_during_a_call_keeps_exactly_one_record_of_the_right_length(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        alice, bob = Account("alice", server.name), Account("bob", server.name)
        async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
            await alice_wire.register(alice)
            await bob_wire.register(bob)
            accepting = datetime.now(UTC)
            callers, token = await start_call(alice_wire, bob_wire, alice, bob)
            accepted = datetime.now(UTC)
            await server.kill()
            await alice_wire.closed()
        await server.restart()
        async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
            for wire, who, peer, record in ((alice_wire, alice, bob, callers), (bob_wire, bob, alice, token)):
                await wire.login(who)
                call = LiveCall(call=CALL, record=record, peer=peer.address, device=peer.device)
                await wire.say(Live(calls=[call]))
            # Real time, since a record counts whole seconds of a real process.
            await asyncio.sleep((accepted + timedelta(seconds=2) - datetime.now(UTC)).total_seconds())
            ending = datetime.now(UTC)
            await alice_wire.say(alice.send(2, bob, Kind.END, CALL))
            await alice_wire.hear(Accepted)
            await bob_wire.hear(Deliver)
            await bob_wire.say(bob.send(3, alice, Kind.END, CALL))
            await bob_wire.hear(Accepted)
            ended = datetime.now(UTC)
        (start, duration), *others = records(server)
        assert not others
        # What was measured here encloses what the server saw; it keeps whole seconds, so each figure may be one off.
        assert accepting.timestamp() - 1 <= start <= accepted.timestamp() + 1
        assert (ending - accepted).total_seconds() - 1 <= duration <= (ended - accepting).total_seconds() + 1


async def test_a_graceful_stop_sends_nodes_away_to_come_back_and_keeps_the_call(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        alice, bob = Account("alice", server.name), Account("bob", server.name)
        async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
            await alice_wire.register(alice)
            await bob_wire.register(bob)
            _, token = await start_call(alice_wire, bob_wire, alice, bob)
            stopping = asyncio.create_task(server.stop())
            assert await alice_wire.closed() == await bob_wire.closed() == 1012
            assert await stopping == 0
        assert not list(server.data.glob("*-wal"))
        assert [row.token for row in read_open_rows(Databases(server.data))] == [token]


async def test_while_the_database_is_locked_nodes_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        alice, bob = Account("alice", server.name), Account("bob", server.name)
        async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
            await alice_wire.register(alice)
            await bob_wire.register(bob)
            lock = sqlite3.connect(server.data / "usage.sqlite3", isolation_level=None)
            lock.execute("BEGIN EXCLUSIVE")
            accept = bob.send(1, alice, Kind.ACCEPT, CALL)
            await bob_wire.say(accept)
            assert (await alice_wire.hear(Deliver)).record is not None
            answer = await bob_wire.hear(Error)
            assert (answer.code, answer.id, answer.retry_after) == (ErrorCode.UNAVAILABLE, accept.id, 1.0)
            assert await get(f"http://{server.listening}/healthz") == (503, '{"status": "degraded"}')
            await alice_wire.say(alice.send(2, bob))
            await alice_wire.hear(Accepted)  # what needs no disk goes on
            lock.execute("ROLLBACK")
            lock.close()
            await bob_wire.hear(Deliver)
            await bob_wire.say(accept)
            assert (await bob_wire.hear(Accepted)).record is not None
            assert await get(f"http://{server.listening}/healthz") == (200, '{"status": "ok"}')
            await bob_wire.say(bob.send(3, alice, Kind.END, CALL))
            await bob_wire.hear(Accepted)
            assert len(records(server)) == 1
        await server.stop()
        log = server.log.read_text()
        assert "store-failing" in log
        assert "store-working" in log


async def test_while_the_disk_is_full_nodes_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with running_server(disk) as server:
            alice, bob = Account("alice", server.name), Account("bob", server.name)
            async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
                await alice_wire.register(alice)
                await bob_wire.register(bob)
                ballast = fill(disk)
                accept = bob.send(1, alice, Kind.ACCEPT, CALL)
                await bob_wire.say(accept)
                assert (await alice_wire.hear(Deliver)).record is not None
                answer = await bob_wire.hear(Error)
                assert (answer.code, answer.id) == (ErrorCode.UNAVAILABLE, accept.id)
                assert await get(f"http://{server.listening}/healthz") == (503, '{"status": "degraded"}')
                ballast.unlink()
                await bob_wire.say(accept)
                assert (await bob_wire.hear(Accepted)).record is not None
                await bob_wire.say(bob.send(2, alice, Kind.END, CALL))
                await bob_wire.hear(Accepted)
                assert len(records(server)) == 1
                assert await get(f"http://{server.listening}/healthz") == (200, '{"status": "ok"}')


async def test_after_calls_nothing_about_them_is_left_but_start_and_duration(tmp_path: Path) -> None:
    async with running_server(tmp_path, admin_listen="127.0.0.1:0") as server:
        alice = Account("alice-the-caller", server.name, "a11ce0a11ce0a11c")
        bob = Account("bob-the-callee", server.name, "b0bb0bb0bb0bb0bb")
        async with connected(server.url) as alice_wire, connected(server.url) as bob_wire:
            await alice_wire.register(alice)
            await bob_wire.register(bob)
            tokens = await start_call(alice_wire, bob_wire, alice, bob)
            await alice_wire.socket.send_str("garbage")
            assert (await alice_wire.hear(Error)).code is ErrorCode.MALFORMED
            await alice_wire.say(alice.send(2, bob, Kind.END, CALL))
            await alice_wire.hear(Accepted)
            page = (await get(f"http://{server.admin}/metrics"))[1].encode()
        await server.stop()
        usage = b"".join(path.read_bytes() for path in server.data.glob("usage.sqlite3*"))
        accounts = b"".join(path.read_bytes() for path in server.data.glob("accounts.sqlite3*"))
        log = server.log.read_bytes()
        everywhere = {"usage": usage, "accounts": accounts, "log": log, "metrics": page}
        for form in (CALL, *tokens):
            for needle in (form, form.hex().encode()):
                assert not [name for name, text in everywhere.items() if needle in text]
        for needle in ("alice-the-caller", "bob-the-callee", alice.device, bob.device, server.name, "127.0.0.1"):
            assert not [name for name in ("usage", "log", "metrics") if needle.encode() in everywhere[name]], needle
        assert b"127.0.0.1" not in usage + log + page
        assert {path.name for path in server.data.iterdir()} == {
            "accounts.sqlite3",
            "usage.sqlite3",
            "server.lock",
            "message-secret",
        }
