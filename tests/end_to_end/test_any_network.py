"""A call connects from any network to any other: directly where there is a way, over the relay where there is none.

What each end shows of its addresses is looked at on its wire and in every description before it is sealed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.network import Access, Families, Link, Nat, needs_network
from lab.network.programs import in_call, path_becomes, talking
from lab.network.town import Town, running_town
from lab.network.wire import observe
from lab.side_by_side import SideBySide
from world.nodeproc import NodeProcess

pytestmark = needs_network
in_town = pytest.mark.asyncio(loop_scope="module")

LINK = Link(delay=0.005)
QUIET_SECONDS = 1.0
"""How long a path is looked at that should not change, or a wire on which nothing should be."""

ON_LINK = ("fe80:", "ff02:")
"""How addresses of the link itself begin: the kernel looks for its router there."""

_NO_DIRECT_WAY = {
    *itertools.product((Nat.UDP_BLOCKED, Nat.TCP_443), Nat),
    *itertools.product(Nat, (Nat.UDP_BLOCKED, Nat.TCP_443)),
    (Nat.SYMMETRIC, Nat.SYMMETRIC),
    (Nat.SYMMETRIC, Nat.PORT_RESTRICTED),
    (Nat.PORT_RESTRICTED, Nat.SYMMETRIC),
}
"""Pairs with no direct path: one end has no UDP, or neither can know from where the other's packets come."""

NAT_PAIRS = list(itertools.combinations_with_replacement(Nat, 2))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A caller and a callee behind each kind of NAT."""
    homes: dict[str, Nat | Access] = {f"{nat}-{end}": nat for nat in Nat for end in ("caller", "callee")}
    async with running_town(tmp_path_factory.mktemp("nats"), homes, link=LINK) as town:
        yield town


@in_town
@pytest.mark.parametrize(("caller", "callee"), NAT_PAIRS, ids=[f"{one}-to-{other}" for one, other in NAT_PAIRS])
async def test_every_pair_of_nats_connects_and_uses_the_relay_only_where_it_must(
    nats: Town, caller: Nat, callee: Nat
) -> None:
    one, other = nats.nodes[f"{caller}-caller"], nats.nodes[f"{callee}-callee"]
    async with in_call(one, other):
        if (caller, callee) in _NO_DIRECT_WAY:
            assert (await one.stats())["path"] == (await other.stats())["path"] == "relay"
        else:
            await path_becomes(one, "direct")
            await path_becomes(other, "direct")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def families(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A caller and a callee in each internet, behind firewalls."""
    homes: dict[str, Nat | Access] = {
        f"{families.value}-{end}": Access(Nat.SYMMETRIC, families)
        for families in Families
        for end in ("caller", "callee")
    }
    async with running_town(tmp_path_factory.mktemp("families"), homes, link=LINK) as town:
        yield town


@in_town
@pytest.mark.parametrize(
    ("caller", "callee", "path"),
    [
        ("v6", "v6", "direct"),
        ("v6", "dual", "direct"),
        ("dual", "dual", "direct"),
        ("v6", "v4", "relay"),
        ("v4", "v6", "relay"),
    ],
)
async def test_ipv6_is_used_and_reaches_ipv4_over_the_relay(
    families: Town, caller: str, callee: str, path: str
) -> None:
    one, other = families.nodes[f"{caller}-caller"], families.nodes[f"{callee}-callee"]
    async with in_call(one, other):
        await path_becomes(one, path)
        await path_becomes(other, path)


POLICIES = ("direct", "relay-until-accept", "relay-only")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> SideBySide[str, None]:
    return SideBySide(
        POLICIES, lambda policy: _shows_no_address_before_its_time(tmp_path_factory.mktemp(policy), policy)
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_shows_no_address_before_its_time(policies: SideBySide[str, None], policy: str) -> None:
    policies.of(policy)


async def _shows_no_address_before_its_time(folder: Path, policy: str) -> None:
    homes: dict[str, Nat | Access] = {name: Access(Nat.PORT_RESTRICTED, Families.DUAL) for name in ("alice", "bob")}
    options = {"settings": {"ice_policy": policy}, "descriptions": True, "patient": True}
    async with running_town(folder, homes, link=LINK, **options) as town:
        lab, alice, bob = town.lab, town.nodes["alice"], town.nodes["bob"]
        servers = {address for name in ("signal", "turn") for address in (lab.host(name).ipv4, lab.host(name).ipv6)}
        own = {
            address
            for home in lab.homes.values()
            for address in (home.first.public_v4, home.first.lan_v4, home.first.lan_v6)
        }
        observers = [await observe(lab.host(name)) for name in homes]

        async def unexpected_peers() -> set[str]:
            peers = {peer for observer in observers for peer in await observer.peers()} - servers
            return {peer for peer in peers if not peer.startswith(ON_LINK)}

        def shown() -> set[str]:
            told = [said["text"] for node in (alice, bob) for said in node.said if said["event"] == "Described"]
            assert told or policy == "direct"
            return {address for address in own if any(address in text for text in told)}

        alice.tell(do="call", whom=bob.address)
        await bob.expect("Incoming")
        await _secured(alice, bob)
        if policy != "direct":
            await asyncio.sleep(QUIET_SECONDS)  # what is not shown has no event
            await asyncio.gather(alice.stats(), bob.stats())
            assert not shown(), "while it rings"
            assert not await unexpected_peers(), "while it rings"
        bob.tell(do="accept")
        await asyncio.gather(alice.expect("FirstMedia"), bob.expect("FirstMedia"))
        if policy == "relay-only":
            await asyncio.sleep(QUIET_SECONDS)  # what is not shown has no event
            assert (await alice.stats())["path"] == (await bob.stats())["path"] == "relay"
            assert not shown()
            assert not await unexpected_peers()
        else:
            await path_becomes(alice, "direct")
            await path_becomes(bob, "direct")
            assert shown()
            assert await unexpected_peers()


async def _secured(*nodes: NodeProcess) -> None:
    """Wait until the connection stands that is prepared while it rings."""
    async with asyncio.timeout(60.0):
        for node in nodes:
            while "secured" not in (await node.stats())["timings"]:  # noqa: ASYNC110 - nothing is told of it
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("burst", [0.0, 0.1])
async def test_calls_connect_while_every_fifth_packet_is_lost(tmp_path: Path, burst: float) -> None:
    homes: dict[str, Nat | Access] = {
        f"{end}{n}": Nat.PORT_RESTRICTED for n in range(2) for end in ("caller", "callee")
    }
    async with running_town(tmp_path, homes, link=LINK) as town:
        await asyncio.gather(*(town.lab.home(f"caller{n}").shape(loss=0.2, burst=burst) for n in range(2)))
        await asyncio.gather(*(talking(town.nodes[f"caller{n}"], town.nodes[f"callee{n}"]) for n in range(2)))
