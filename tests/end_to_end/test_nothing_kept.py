"""What a server that was searched, seized or killed has of the calls that went through it: a start and a duration.

The nodes run in this process and remember every word that they and the server said to each other; then every byte
that the server process left anywhere is searched for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import pytest

from entrenous import EndReason, Node, ServerBack, ServerLost, Timeouts
from entrenous_wire import codec
from entrenous_wire.messages import Accepted, Deliver, FromServer, Message, Send, Welcome
from world.nodes import PATIENCE, config, connected, ringing, two_nodes
from world.serverproc import ServerProcess, running_server


@dataclass
class Traffic:
    """Everything that the nodes of this process and their server have said."""

    messages: list[Message] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)

    def of_calls(self) -> Iterator[bytes]:
        """What must be nowhere: call ids, message ids, session tokens and sealed bodies, however they are written."""
        for message in self.messages:
            match message:
                case Send() | Deliver():
                    yield from _written(message.call)
                    yield from _written(message.id)
                    # A part of each body is enough to find it, and is found where it was cut up too.
                    yield from _written(message.body[96:126])
                case Welcome():
                    yield from _written(message.token)
                case _:
                    pass

    def of_people(self) -> Iterator[bytes]:
        """What must be nowhere but among the accounts: usernames, addresses, devices, and where they connect from."""
        yield b"127.0.0.1"
        yield from (f":{port}".encode() for port in self.ports)
        for name in self.names:
            yield name.encode()
        for message in self.messages:
            if isinstance(message, Send | Deliver):
                yield message.device.encode()
                yield bytes.fromhex(message.device)

    def record_tokens(self) -> Iterator[bytes]:
        """What stands for a call while it is open."""
        for message in self.messages:
            if isinstance(message, Accepted | Deliver) and message.record is not None:
                yield from _written(message.record)

    def note(self, server: ServerProcess, *nodes: Node) -> None:
        """Remember who the nodes are and from which ports they talk to the server."""
        port = int(server.listening.rpartition(":")[2])
        self.names |= {node.address.user for node in nodes}
        self.ports |= {
            each.laddr.port
            for each in psutil.Process().net_connections("tcp")
            if each.raddr and each.raddr.port == port
        }


def _written(value: bytes) -> tuple[bytes, bytes, bytes]:
    return value, value.hex().encode(), base64.b64encode(value)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    remembered = Traffic()
    encode, decode = codec.encode, codec.decode_from_server

    def remembering_encode(message: Message) -> str:
        remembered.messages.append(message)
        return encode(message)

    def remembering_decode(frame: str | bytes) -> FromServer:
        message = decode(frame)
        remembered.messages.append(message)
        return message

    monkeypatch.setattr(codec, "encode", remembering_encode)
    monkeypatch.setattr(codec, "decode_from_server", remembering_decode)
    return remembered


async def test_calls_leave_nothing_but_a_start_and_a_duration(tmp_path: Path, traffic: Traffic) -> None:
    async with running_server(tmp_path, admin_listen="127.0.0.1:0") as server:
        async with (
            two_nodes(server) as (alice, bob),
            Node(config(server, "carol"), timeouts=Timeouts(ring=0.5)) as carol,
        ):
            bob.contacts.add(str(carol.card))
            carol.contacts.add(str(bob.card))
            traffic.note(server, alice, bob, carol)
            await _accepted(alice, bob)
            await _declined(bob, alice)
            await _unanswered(carol, bob)
            _search(server, traffic, await _metrics(server))
            await _accepted_while_the_server_dies(alice, bob, server, traffic)
            traffic.note(server, alice, bob, carol)
            _search(server, traffic, await _metrics(server))
        await server.stop()
        _search(server, traffic, b"")
        assert _found(server, traffic.record_tokens()) == set()
        assert [sorted(record) for record in await _records(server)] == [["duration", "start"]] * 2


async def _accepted(caller: Node, callee: Node) -> None:
    there, here = await connected(caller, callee)
    await there.hang_up()
    async with asyncio.timeout(PATIENCE):
        await here.wait_ended()


async def _declined(caller: Node, callee: Node) -> None:
    there = await caller.call(callee.address)
    await (await ringing(callee)).decline()
    async with asyncio.timeout(PATIENCE):
        assert (await there.wait_ended()).reason is EndReason.DECLINED


async def _unanswered(caller: Node, callee: Node) -> None:
    there = await caller.call(callee.address)
    here = await ringing(callee)
    async with asyncio.timeout(PATIENCE):
        assert (await there.wait_ended()).reason is EndReason.UNANSWERED
        await here.wait_ended()


async def _accepted_while_the_server_dies(caller: Node, callee: Node, server: ServerProcess, traffic: Traffic) -> None:
    there, here = await connected(caller, callee)
    await server.kill()
    _search(server, traffic, b"")
    # Of a call that goes on it keeps the token that both ends claim it with. That it is found shows also that what was
    # written last, in the write-ahead log, is searched.
    *_, raw, _, _ = traffic.record_tokens()
    assert _found(server, [raw]) == {raw}
    await server.start()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(_is_back(caller), _is_back(callee))
    await there.hang_up()
    async with asyncio.timeout(PATIENCE):
        await here.wait_ended()


async def _is_back(node: Node) -> None:
    lost = False
    async for notice in node.notices():
        lost = lost or isinstance(notice, ServerLost)
        if lost and isinstance(notice, ServerBack):
            return


async def _metrics(server: ServerProcess) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(f"http://{server.admin}/metrics") as answer:
        page = await answer.read()
    assert b"entrenous_routed_total" in page
    return page


async def _records(server: ServerProcess) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "entrenous_signaling", "calls", f"--data={server.data}", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return [json.loads(line) for line in printed.splitlines()]


def _files(server: ServerProcess) -> list[Path]:
    """Every file of the data directory: databases, write-ahead logs, shared memory and whatever else is there."""
    return [path for path in server.data.rglob("*") if path.is_file()]


def _found(server: ServerProcess, traces: Iterable[bytes]) -> set[bytes]:
    """Which of `traces` are in the data directory."""
    kept = b"".join(path.read_bytes() for path in _files(server))
    return {trace for trace in traces if trace in kept}


def _search(server: ServerProcess, traffic: Traffic, metrics: bytes) -> None:
    """Look for everything that was said in everything that the server keeps and writes."""
    files = {path.name: path.read_bytes() for path in _files(server)}
    accounts = b"".join(data for name, data in files.items() if name.startswith("accounts."))
    others = b"".join(data for name, data in files.items() if not name.startswith("accounts."))
    others += server.log.read_bytes() + metrics
    assert all(name.encode() in accounts for name in traffic.names)
    of_calls = set(traffic.of_calls())
    assert len(of_calls) > 20
    assert [trace for trace in of_calls if trace in accounts or trace in others] == []
    assert [trace for trace in set(traffic.of_people()) if trace in others] == []
