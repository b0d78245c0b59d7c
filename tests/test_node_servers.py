"""Node: calls while the server dies, is not there or comes back, and while the network changes or fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous import (
    CallState,
    Cause,
    EndReason,
    Node,
    PathChanged,
    ServerBack,
    ServerLost,
    ServerUnreachable,
    Side,
    Stage,
    ToneSource,
)
from entrenous.link import Link
from entrenous.media.events import LegPath, LegStage, PathFailure, PathKind
from entrenous.media.events import PathChanged as LegMoved
from entrenous.media.transport.leg import TransportLeg
from lab.calls import until
from world.nodes import (
    PATIENCE,
    config,
    connected,
    event_of,
    notices_until,
    plays_on,
    records,
    ringing,
    two_nodes,
)
from world.serverproc import ServerProcess, running_server


async def test_a_call_survives_the_death_of_the_server_and_is_counted_once(own_server: ServerProcess) -> None:
    begun = time.monotonic()
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await until(lambda: bob.has_delivered(alice.me), PATIENCE)  # the accept, which also goes past the server
        counted = time.monotonic()
        await own_server.kill()
        lost = asyncio.ensure_future(_seen(alice, ServerLost))
        async with asyncio.timeout(PATIENCE):
            await lost
        played = there.stats().audio.played
        await plays_on(there, played)
        assert (there.state, here.state) == (CallState.ACTIVE, CallState.ACTIVE)
        await own_server.start()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(_seen(alice, ServerBack), _seen(bob, ServerBack))
        over = time.monotonic()
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            outcome = await here.wait_ended()
        assert outcome.reason is EndReason.REMOTE
    (record,) = records(own_server)
    # The server counts from whole second to whole second.
    assert over - counted - 1.0 < float(str(record["duration"])) < time.monotonic() - begun + 1.0


async def _seen(node: Node, kind: type) -> None:
    async for _ in notices_until(node, kind):
        pass


async def test_hanging_up_without_a_server_reaches_the_other_end(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await own_server.kill()
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            assert (await here.wait_ended()).reason is EndReason.REMOTE
        await own_server.start()


async def test_the_first_session_is_not_told_as_a_return(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, _):
        await alice.close()
        assert [notice async for notice in alice.notices()] == []


async def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.account.REGISTER_SECONDS", 0.5)
    async with running_server(tmp_path) as gone:
        pass
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        async with Node(config(gone, "alice")):
            pass


async def test_what_the_network_does_is_told_to_the_legs_and_the_link(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(TransportLeg, "network_changed", lambda leg: told.append("leg"))
    monkeypatch.setattr(Link, "network_changed", lambda link: told.append("link"))
    async with two_nodes(server) as (alice, bob):
        await connected(alice, bob)
        alice._network._on_change()
        assert told == ["leg", "link"], "media first"


async def test_a_leg_that_moves_is_told_and_makes_the_link_prove_itself(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted: list[Link] = []
    monkeypatch.setattr(Link, "doubt", lambda link: doubted.append(link))
    async with two_nodes(server) as (alice, bob):
        there, _ = await connected(alice, bob)
        (conversation,) = alice._switchboard.conversations.values()
        used = conversation._media_leg
        assert used is not None
        relayed = LegPath(PathKind.RELAY, "relay", "host", "udp", 48)
        conversation._legs._event(used, LegMoved(relayed))
        assert there.path == "relay"
        assert (await event_of(there, PathChanged)).path == "relay"
        conversation._legs._event(used._replace(generation=7), LegMoved(replace(relayed, kind=PathKind.DIRECT)))
        assert there.path == "relay", "another leg than the one that carries media"
        assert doubted[0] is alice._presence.link


async def test_dialling_without_a_server_fails_with_the_reason_and_not_before_it_had_a_chance(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.presence.AWAY_SECONDS", 0.2)
    async with two_nodes(own_server) as (alice, bob):
        await own_server.stop()
        await until(lambda: alice._presence.away, PATIENCE)
        there = await alice.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            outcome = await there.wait_ended()
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.KEYS)
        assert (outcome.cause, outcome.side) == (Cause.SERVER_UNREACHABLE, Side.HERE)
        assert "Check your network" in outcome.sentence


async def test_both_ends_of_a_failed_call_name_stage_and_cause(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that finds it out says so, and whose side it is on."""

    async def never(leg: TransportLeg, fingerprint: str) -> None:
        leg._fail(LegStage.PATH, "It cannot be.", PathFailure.RELAY_REFUSED)

    monkeypatch.setattr(TransportLeg, "_connect", never)
    async with two_nodes(server) as (alice, bob):
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await here.accept(send=ToneSource(660))
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(there.wait_ended(), here.wait_ended())
    for outcome in outcomes:
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.PATH)
        assert outcome.cause is Cause.RELAY_REFUSED
        assert "turned us away" in outcome.sentence or "was turned away" in outcome.sentence
    assert Side.HERE in {outcome.side for outcome in outcomes}
