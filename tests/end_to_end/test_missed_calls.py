"""A call to somebody who is not there: they hear of it when they come, once, and the server keeps nothing of it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from entrenous import EndReason, KeystoreError, Node, NodeConfig
from world.nodeproc import PASSPHRASE, running_node
from world.nodes import PATIENCE
from world.serverproc import ServerProcess, running_server


def rows(server: ServerProcess, table: str) -> list[tuple[object, ...]]:
    """What the running server has in a table of accounts."""
    with closing(sqlite3.connect(f"file:{server.data}/accounts.sqlite3?mode=ro", uri=True)) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def tables(server: ServerProcess) -> list[str]:
    with closing(sqlite3.connect(f"file:{server.data}/accounts.sqlite3?mode=ro", uri=True)) as database:
        return [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


def everything(server: ServerProcess) -> bytes:
    """Every byte of the data directory and of the log."""
    files = [path for path in server.data.rglob("*") if path.is_file() and not path.is_socket()]
    return b"".join(path.read_bytes() for path in (*files, server.log))


async def test_a_call_while_nobody_is_there_is_told_once_and_leaves_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        url = f"ws://{server.listening}"
        async with running_node(url, "alice", profile=tmp_path / "alice") as alice:
            async with running_node(url, "bob", profile=tmp_path / "bob") as bob:
                alice.tell(do="add", card=bob.card)
                bob.tell(do="add", card=alice.card)
                alice.tell(do="call", whom=bob.address)  # so that what follows knows that both have the other
                await bob.expect("Active")
                alice.tell(do="hang-up")
                await bob.expect("Ended")
            alice.tell(do="call", whom=bob.address)
            call = (await alice.expect("Ended", reason=EndReason.OFFLINE.value))["call"]
        (message,) = rows(server, "message")
        blobs = [value for value in message if isinstance(value, bytes)]
        assert all(b"alice" not in blob for blob in blobs)
        assert "alice" not in message
        assert call.encode() not in everything(server)
        assert any(blob in everything(server) for blob in blobs if len(blob) == 16)
        await server.kill()
        await server.start()
        for first in (True, False):
            async with running_node(url, "bob", profile=tmp_path / "bob") as bob:
                if first:
                    missed = await bob.expect("MissedCall")
                    assert missed["address"] == alice.address
            assert sum(said["event"] == "MissedCall" for said in bob.said) == int(first)
        assert rows(server, "message") == []
        await server.stop()
        kept = everything(server)
        for blob in blobs:
            assert blob not in kept
            assert blob[96:126] not in kept or len(blob) < 126
        named = {table for table in tables(server) if any("alice" in str(row) for row in rows(server, table))}
        assert named == {"account", "device", "prekey"}


async def test_an_account_that_is_deleted_is_gone_and_its_profile_says_so(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        url = f"ws://{server.listening}"
        async with running_node(url, "bob", profile=tmp_path / "bob") as bob:
            bob.tell(do="delete-account")
            await bob.expect("Deleted")
        assert [rows(server, table) for table in ("account", "device", "prekey", "message")] == [[]] * 4
        secret = tmp_path / "passphrase"
        secret.write_text(PASSPHRASE)
        config = NodeConfig(server=url, profile=tmp_path / "bob", passphrase_file=secret, loopback_only=True)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(KeystoreError, match="was deleted"):
                await Node(config).__aenter__()
