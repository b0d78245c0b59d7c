"""Nodes on a real server, in the process of the test, and what tests do with them again and again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from entrenous import (
    Call,
    CallEvent,
    Ended,
    Node,
    NodeConfig,
    Profile,
    Sink,
    Source,
    Strangers,
    Timeouts,
    ToneSource,
)
from lab.calls import until

from .serverproc import ServerProcess

PATIENCE = 60.0
"""Seconds after which what a test waits for will not come any more."""

Event = TypeVar("Event")


def config(server: ServerProcess, username: str | None, **changes: object) -> NodeConfig:
    """The configuration of a node that keeps its keys in memory and stays on loopback."""
    values: dict[str, object] = {"server": f"ws://{server.listening}", "username": username, "loopback_only": True}
    return NodeConfig(**(values | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def two_nodes(
    server: ServerProcess, *, timeouts: Timeouts | None = None, strangers: Strangers = Strangers.REFUSE
) -> AsyncIterator[tuple[Node, Node]]:
    """Alice and Bob, registered and each among the contacts of the other."""
    async with (
        Node(config(server, "alice", strangers=strangers), timeouts=timeouts) as alice,
        Node(config(server, "bob", strangers=strangers), timeouts=timeouts) as bob,
    ):
        alice.contacts.add(str(bob.card))
        bob.contacts.add(str(alice.card))
        yield alice, bob


def second_device(node: Node) -> Profile:
    """Another device of the same account, in memory."""
    return node.profile.make_another_device(None, None)


async def ringing(node: Node) -> Call:
    """The next call that rings at a node."""
    async with asyncio.timeout(PATIENCE):
        async for call in node.incoming():
            return call
    raise AssertionError("the node closed before a call rang")


async def event_of(call: Call, kind: type[Event], matching: Callable[[Event], bool] = lambda _: True) -> Event:
    """Read the call's events up to the first of a kind."""
    async with asyncio.timeout(PATIENCE):
        async for event in call:
            if isinstance(event, kind) and matching(event):
                return event
            assert not isinstance(event, Ended) or kind is Ended, f"the call ended: {event}"
    raise AssertionError(f"the events ended without {kind.__name__}")


async def events_until_ended(call: Call) -> list[CallEvent]:
    """All events of a call up to its end."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in call]


async def connected(
    alice: Node, bob: Node, *, receive: tuple[Sink | None, Sink | None] = (None, None), send: Source | None = None
) -> tuple[Call, Call]:
    """A call from Alice to Bob that both ends see as active."""
    there = await alice.call(bob.address, send=send or ToneSource(440), receive=receive[0])
    here = await ringing(bob)
    await here.accept(send=ToneSource(660), receive=receive[1])
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(there.wait_active(), here.wait_active())
    return there, here


async def notices_until(node: Node, kind: type) -> AsyncIterator[object]:
    """What a node notices, up to the first of a kind."""
    async for notice in node.notices():
        yield notice
        if isinstance(notice, kind):
            return


async def plays_on(call: Call, played: int) -> None:
    """Wait for half a second of sound beyond the blocks that were played before."""
    await until(lambda: call.stats().audio.played >= played + 25, PATIENCE)


def records(server: ServerProcess) -> list[dict[str, object]]:
    """What the server's own command says that it kept."""
    command = [sys.executable, "-m", "entrenous_signaling", "calls", f"--data={server.data}", "--json"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]
