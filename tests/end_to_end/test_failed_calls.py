"""A call that cannot connect says why, soon, at both ends: the faults are real, in the networks and at the relay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.network import Link, Nat, Network, needs_network
from lab.network.programs import acquaint, running_node, running_relay, running_server
from lab.side_by_side import SideBySide

pytestmark = needs_network

PATIENCE = 60.0


class Case(NamedTuple):
    """A call between two symmetric NATs, with a policy of both; the relay is `absent`, `dead` or `strange`."""

    policy: str
    relay: str
    callee_learns: bool = True


NO_WAY = Case("direct", "absent")
RELAY_CAUSES = {
    Case("relay-only", "dead"): "relay-unreachable",
    Case("relay-only", "strange"): "relay-refused",
    Case("relay-only", "absent", callee_learns=False): "no-relay",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> SideBySide[Case, list[dict[str, Any]]]:
    """What the ends of all the calls said when they ended."""
    return SideBySide([NO_WAY, *RELAY_CAUSES], lambda case: _ended(tmp_path_factory.mktemp(case.relay), *case))


async def _ended(folder: Path, policy: str, relay: str, callee_learns: bool) -> list[dict[str, Any]]:
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
            *(
                stack.enter_async_context(running_node(lab, name, server, settings={"ice_policy": policy}))
                for name in ("alice", "bob")
            )
        )
        acquaint(alice, bob)
        alice.tell(do="call", whom=bob.address)
        ends = [alice, bob] if callee_learns else [alice]
        return await asyncio.gather(*(node.expect("Ended", within=PATIENCE) for node in ends))


def test_two_networks_without_a_way_between_them(ended: SideBySide[Case, list[dict[str, Any]]]) -> None:
    for said in ended.of(NO_WAY):
        assert (said["reason"], said["stage"], said["cause"], said["side"]) == (
            "failed",
            "path",
            "no-answer",
            "between",
        )
        assert "your server offers no relay" in said["sentence"]


@pytest.mark.parametrize("case", RELAY_CAUSES, ids=lambda case: f"{case.relay}-{RELAY_CAUSES[case]}")
def test_a_relay_that_must_be_used_and_cannot_be(ended: SideBySide[Case, list[dict[str, Any]]], case: Case) -> None:
    said = ended.of(case)
    assert {one["cause"] for one in said} == {RELAY_CAUSES[case]}
    assert {one["stage"] for one in said} == {"path"}
    assert "here" in {one["side"] for one in said}
    assert all("relay" in one["sentence"] for one in said)
