"""A call that cannot connect says why, soon, at both ends: the faults are real, in the networks and at the relay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.network import Link, Nat, Network, needs_network
from lab.network.programs import acquaint, running_node, running_relay, running_server

pytestmark = needs_network

RELAY_ONLY = {"ice_policy": "relay-only"}
DIRECT = {"ice_policy": "direct"}
PATIENCE = 60.0


async def _ended(
    folder: Path, policy: dict[str, str], *, relay: str, callee_learns: bool = True
) -> list[dict[str, Any]]:
    """What both ends say when a call between two symmetric NATs ends; the relay is `absent`, `dead` or `strange`."""
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Network(alice=Nat.SYMMETRIC, bob=Nat.SYMMETRIC, link=Link(delay=0.005)))
        coturn = None
        if relay != "absent":
            coturn = await stack.enter_async_context(running_relay(lab, folder))
            if relay == "dead":
                await coturn.stop()
            else:  # the server makes credentials with another secret
                (folder / "turn.secret").write_text("another-secret-than-that-of-the-relay-0123456789\n")
        server = await stack.enter_async_context(running_server(lab, folder, relay=coturn))
        alice, bob = await asyncio.gather(
            *(stack.enter_async_context(running_node(lab, name, server, settings=policy)) for name in ("alice", "bob"))
        )
        acquaint(alice, bob)
        alice.tell(do="call", whom=bob.address)
        ends = [alice, bob] if callee_learns else [alice]
        return await asyncio.gather(*(node.expect("Ended", within=PATIENCE) for node in ends))


async def test_two_networks_without_a_way_between_them(tmp_path: Path) -> None:
    for said in await _ended(tmp_path, DIRECT, relay="absent"):
        assert (said["reason"], said["stage"], said["cause"], said["side"]) == (
            "failed",
            "path",
            "no-answer",
            "between",
        )
        assert "your server offers no relay" in said["sentence"]


@pytest.mark.parametrize(
    ("relay", "cause"),
    [("dead", "relay-unreachable"), ("strange", "relay-refused"), ("absent", "no-relay")],
)
async def test_a_relay_that_must_be_used_and_cannot_be(tmp_path: Path, relay: str, cause: str) -> None:
    said = await _ended(tmp_path, RELAY_ONLY, relay=relay, callee_learns=relay != "absent")
    assert {one["cause"] for one in said} == {cause}
    assert {one["stage"] for one in said} == {"path"}
    assert "here" in {one["side"] for one in said}
    assert all("relay" in one["sentence"] for one in said)
