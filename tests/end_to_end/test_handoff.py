"""Calls outlive what networks do: addresses change, mappings are forgotten, lines break, cables are pulled.

How long sound is away is measured by `make bench-network`; here it has to come back, at both ends, in the same call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from lab.network import Access, Home, Link, Nat, needs_network
from lab.network.programs import in_call, path_becomes
from lab.network.sound import sound_back
from lab.network.town import Town, running_town

pytestmark = [needs_network, pytest.mark.asyncio(loop_scope="module")]

OUTAGE = 3.0
BETWEEN_NETWORKS = 1.0
"""Seconds without any interface, as when another wireless network is chosen."""

HOMES: dict[str, Nat | tuple[Access, ...]] = {
    "direct_caller": Nat.PORT_RESTRICTED,
    "direct_callee": Nat.PORT_RESTRICTED,
    "relay_caller": Nat.SYMMETRIC,
    "relay_callee": Nat.SYMMETRIC,
    "many_ways": (
        Access(),
        Access(Nat.SYMMETRIC, interface="wlan0", metric=600),
        Access(interface="vpn0", metric=50, plugged=False),
    ),
    "third_callee": Nat.PORT_RESTRICTED,
    "blocked": Nat.UDP_BLOCKED,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with running_town(tmp_path_factory.mktemp("handoff"), HOMES, link=Link(delay=0.01)) as town:
        yield town


Change = Callable[[Home, Home], Awaitable[object]]


async def _new_address(caller: Home, _: Home) -> None:
    await caller.handoff()


async def _new_address_of_callee(_: Home, callee: Home) -> None:
    await callee.handoff()


async def _both_move(caller: Home, callee: Home) -> None:
    await asyncio.gather(caller.handoff(), callee.handoff())


async def _rebound(caller: Home, _: Home) -> None:
    await caller.rebind()


async def _outage(caller: Home, _: Home) -> None:
    await caller.shape(up=False)
    await asyncio.sleep(OUTAGE)  # as long as the change takes
    await caller.shape(up=True)


async def _other_wireless(caller: Home, _: Home) -> None:
    await caller.unplug()
    await asyncio.sleep(BETWEEN_NETWORKS)  # as long as the change takes
    await caller.plug_in(public=True, lan=True)


CHANGES: tuple[Change, ...] = (
    _new_address,
    _new_address_of_callee,
    _both_move,
    _rebound,
    _outage,
    _other_wireless,
)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__.strip("_") for change in CHANGES])
@pytest.mark.parametrize("path", ["direct", "relay"])
async def test_a_call_outlives_every_change(town: Town, path: str, change: Change) -> None:
    caller, callee = f"{path}_caller", f"{path}_callee"
    one, other = town.nodes[caller], town.nodes[callee]
    async with in_call(one, other):
        await path_becomes(one, path)
        await path_becomes(other, path)
        since = time.monotonic()
        await change(town.home(caller), town.home(callee))
        await sound_back(one, other, since=since, asked=time.monotonic())


async def test_a_call_moves_while_the_signaling_server_is_dead(town: Town) -> None:
    one, other = town.nodes["direct_caller"], town.nodes["direct_callee"]
    async with in_call(one, other):
        await town.server.process.kill()
        try:
            since = time.monotonic()
            await town.home("direct_caller").handoff()
            await sound_back(one, other, since=since)
        finally:
            await town.server.process.start()


async def test_wireless_takes_over_when_the_cable_is_pulled_and_a_vpn_comes_and_goes(town: Town) -> None:
    one, other, home = town.nodes["many_ways"], town.nodes["third_callee"], town.home("many_ways")
    async with in_call(one, other):
        for change in (home.unplug, home.plug_in, home["vpn0"].plug_in, home["vpn0"].unplug):
            since = time.monotonic()
            await change()
            await sound_back(one, other, since=since)


async def test_a_relayed_call_becomes_direct_when_there_is_a_way(town: Town) -> None:
    one, other, home = town.nodes["blocked"], town.nodes["third_callee"], town.home("blocked")
    async with in_call(one, other):
        assert (await one.stats())["path"] == "relay"
        since = time.monotonic()
        await home.set_nat(Nat.PORT_RESTRICTED)
        await home.handoff()  # to a network without that firewall
        await path_becomes(one, "direct")
        await path_becomes(other, "direct")
        await sound_back(one, other, since=since)
