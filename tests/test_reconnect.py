"""Reconnection: a live call whose connection dies gets another one, or ends as lost, whoever notices it."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import Call, CallState, EndReason, Node, Reconnecting, Stage, Timeouts
from entrenous.media.transport.leg import TransportLeg
from lab.calls import until
from world.nodes import PATIENCE, connected, event_of, two_nodes
from world.serverproc import ServerProcess


def leg_of(node: Node) -> TransportLeg:
    """The connection that the node's call sends over."""
    (conversation,) = node._switchboard.conversations.values()
    used = conversation._media_leg
    assert used is not None
    connection = conversation.peers[used.device].connection(used.generation)
    assert isinstance(connection, TransportLeg)
    return connection


def generation_of(node: Node) -> int:
    """Which connection of its call a node sends over."""
    return leg_of(node).generation


def deafen(leg: TransportLeg) -> None:
    """Nothing that is sent to this end of a leg arrives any more."""
    for base in leg._ice._bases.values():
        vars(base)["_on_datagram"] = lambda *_: None


async def sound_goes_on(call: Call) -> None:
    played = call.stats().audio.played
    await until(lambda: call.stats().audio.played >= played + 25, PATIENCE)


async def reconnected(alice: Node, bob: Node, there: Call, here: Call, noticed: list[Call]) -> None:
    """Whoever notices reconnects; the other end may just be moved, without ever having missed anything."""
    await asyncio.gather(*(event_of(call, Reconnecting) for call in noticed))
    await until(lambda: there.state is CallState.ACTIVE and here.state is CallState.ACTIVE, PATIENCE)
    await asyncio.gather(sound_goes_on(there), sound_goes_on(here))
    assert leg_of(alice).generation == leg_of(bob).generation >= 1
    await there.hang_up()
    async with asyncio.timeout(PATIENCE):
        assert (await here.wait_ended()).reason is EndReason.REMOTE


@pytest.mark.parametrize("deaf", ["caller", "callee"])
async def test_a_path_that_dies_in_one_direction_is_replaced(server: ServerProcess, deaf: str) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        deafen(leg_of(alice if deaf == "caller" else bob))
        await reconnected(alice, bob, there, here, [there if deaf == "caller" else here])


@pytest.mark.parametrize("closes", ["caller", "callee"])
async def test_a_connection_that_one_end_closes_is_replaced(server: ServerProcess, closes: str) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        await leg_of(alice if closes == "caller" else bob).close()
        await reconnected(alice, bob, there, here, [here if closes == "caller" else there])


async def test_a_path_that_dies_in_both_directions_is_replaced_again_and_again(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        for generation in (1, 2):
            deafen(leg_of(alice))
            deafen(leg_of(bob))
            # Whoever notices first gets a new leg; the other end may be moved before it misses anything.
            await until(lambda least=generation: min(map(generation_of, (alice, bob))) >= least, PATIENCE)
            await until(lambda: there.state is CallState.ACTIVE and here.state is CallState.ACTIVE, PATIENCE)
            await asyncio.gather(sound_goes_on(there), sound_goes_on(here))


async def test_without_path_and_server_the_call_is_lost(own_server: ServerProcess) -> None:
    async with two_nodes(own_server, timeouts=Timeouts(reconnect=2.0)) as (alice, bob):
        there, here = await connected(alice, bob)
        await own_server.kill()
        deafen(leg_of(alice))
        deafen(leg_of(bob))
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(there.wait_ended(), here.wait_ended())
        assert {(outcome.reason, outcome.stage) for outcome in outcomes} == {(EndReason.LOST, Stage.MEDIA)}


async def test_a_path_that_dies_without_a_server_is_replaced_once_it_is_back(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await own_server.kill()
        deafen(leg_of(alice))
        deafen(leg_of(bob))
        await until(lambda: CallState.RECONNECTING in (there.state, here.state), PATIENCE)
        await own_server.start()
        await until(lambda: there.state is CallState.ACTIVE and here.state is CallState.ACTIVE, PATIENCE)
        await asyncio.gather(sound_goes_on(there), sound_goes_on(here))
