"""What each policy shows of a machine: every description and candidate is looked at before it is sealed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from entrenous import (
    Call,
    CallState,
    Cause,
    EndReason,
    IcePolicy,
    MissedCall,
    Node,
    Side,
    Stage,
    Strangers,
    ToneSource,
)
from entrenous.crypto.messages import Accept, Candidate, InnerMessage, LegAnswer, LegOffer
from entrenous.media.engine import IceServer
from entrenous.peer import PeerDevice
from entrenous.policies import early_leg
from entrenous.protocol.inputs import EarlyLeg
from entrenous.relays import Lease, Relays
from lab.calls import until
from lab.relay import HAS_COTURN, Relay, running_relay
from world.nodes import PATIENCE, config, ringing
from world.serverproc import ServerProcess

needs_coturn = pytest.mark.skipif(not HAS_COTURN, reason="coturn is not installed")


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay that every node is lent, and that is a STUN server too."""
    with running_relay(tmp_path) as running:
        servers = (IceServer(f"stun:127.0.0.1:{running.port}"), running.server())

        async def lend(relays: Relays) -> Lease:
            relays.absent = False
            return Lease(servers, 600.0)

        monkeypatch.setattr(Relays, "lease", lend)
        yield running


class Shown:
    """Candidate lines by the user who says them, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: dict[str, list[str]] = {"alice": [], "bob": []}
        answer_ring, seal = PeerDevice.answer_ring, PeerDevice.seal

        def noted_answer(peer: PeerDevice, offer: LegOffer | None) -> bytes:
            self._note(peer, offer)
            return answer_ring(peer, offer)

        def noted_seal(peer: PeerDevice, message: InnerMessage) -> bytes:
            self._note(peer, message.offer if isinstance(message, Accept) else message)
            return seal(peer, message)

        monkeypatch.setattr(PeerDevice, "answer_ring", noted_answer)
        monkeypatch.setattr(PeerDevice, "seal", noted_seal)

    def _note(self, peer: PeerDevice, message: InnerMessage | None) -> None:
        said_by = "bob" if peer.device.address.startswith("alice@") else "alice"
        if isinstance(message, LegOffer | LegAnswer):
            lines = [line[len("a=candidate:") :] for line in message.description.splitlines() if "a=candidate" in line]
            self.lines[said_by] += lines
            assert "127.0.0.1" not in message.description.split("m=")[0], "an address outside of the candidates"
        elif isinstance(message, Candidate) and message.candidate is not None:
            self.lines[said_by].append(message.candidate)

    def kinds(self, whose: str) -> set[str]:
        """Of what kinds the addresses were that a user showed so far."""
        return {line.split(" typ ")[1].split()[0] for line in self.lines[whose]}

    def assert_relays_only(self, whose: str) -> None:
        """Not even where a relay is asked from (RFC 8839 §5.1, raddr) was shown."""
        assert self.kinds(whose) == {"relay"}
        for line in self.lines[whose]:
            related = line.split(" raddr ")[1].split()[0] if " raddr " in line else "0.0.0.0"
            assert related in ("0.0.0.0", "::"), line


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


@asynccontextmanager
async def nodes(
    server: ServerProcess,
    alice: IcePolicy = IcePolicy.DIRECT,
    bob: IcePolicy = IcePolicy.DIRECT,
    *,
    strangers: Strangers = Strangers.REFUSE,
) -> AsyncIterator[tuple[Node, Node]]:
    """Alice knows Bob; Bob knows Alice unless he takes strangers."""
    async with (
        Node(config(server, "alice", ice_policy=alice)) as caller,
        Node(config(server, "bob", ice_policy=bob, strangers=strangers)) as callee,
    ):
        caller.contacts.add(str(callee.card))
        if strangers is Strangers.REFUSE:
            callee.contacts.add(str(caller.card))
        yield caller, callee


async def rung(alice: Node, bob: Node) -> tuple[Call, Call]:
    """A call that rings, with its early leg secured at both ends."""
    there = await alice.call(bob.address, send=ToneSource(440))
    here = await ringing(bob)
    await until(lambda: "secured" in there.timings and "secured" in here.timings, PATIENCE)
    return there, here


async def taken(there: Call, here: Call) -> None:
    await here.accept(send=ToneSource(660))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(there.wait_active(), here.wait_active())


def change_networks(*among: Node) -> None:
    """What the operating system would tell; the addresses are the same, and must stay as hidden as they were."""
    for node in among:
        node._network_changed()


@pytest.mark.parametrize("policy", IcePolicy)
@pytest.mark.parametrize("is_contact", [True, False])
@pytest.mark.parametrize("lacks_relay", [True, False])
def test_addresses_are_shown_before_accept_to_contacts_only_and_by_choice(
    policy: IcePolicy, is_contact: bool, lacks_relay: bool
) -> None:
    leg = early_leg(policy, is_contact=is_contact, lacks_relay=lacks_relay)
    if policy is IcePolicy.RELAY_ONLY or (policy is IcePolicy.DIRECT and is_contact):
        assert leg is EarlyLeg.DIRECT
    else:
        assert leg is (EarlyLeg.NONE if lacks_relay else EarlyLeg.RELAY)


@needs_coturn
@pytest.mark.parametrize("hidden", ["alice", "bob"])
async def test_relay_only_shows_nothing_ever(server: ServerProcess, relay: Relay, shown: Shown, hidden: str) -> None:
    policies = {hidden: IcePolicy.RELAY_ONLY}
    async with nodes(server, **policies) as (alice, bob):
        there, here = await rung(alice, bob)
        shown.assert_relays_only(hidden)
        change_networks(alice, bob)
        await taken(there, here)
        assert there.path == here.path == "relay"
        change_networks(alice, bob)
        await until(lambda: min(there.stats().audio.played, here.stats().audio.played) > 25, PATIENCE)
        for node in (alice, bob):  # a hand-off to a new leg
            (conversation,) = node._switchboard.conversations.values()
            conversation.media_stalled()
        await until(lambda: len(shown.lines[hidden]) >= 2, PATIENCE)
        await until(lambda: there.state is CallState.ACTIVE and here.state is CallState.ACTIVE, PATIENCE)
        shown.assert_relays_only(hidden)
        await there.hang_up()
    shown.assert_relays_only(hidden)


@needs_coturn
@pytest.mark.parametrize("hidden", ["alice", "bob"])
async def test_relay_until_accept_shows_relays_until_accept_and_goes_direct_after(
    server: ServerProcess, relay: Relay, shown: Shown, hidden: str
) -> None:
    policies = {hidden: IcePolicy.RELAY_UNTIL_ACCEPT}
    async with nodes(server, **policies) as (alice, bob):
        there, here = await rung(alice, bob)
        change_networks(alice, bob)
        shown.assert_relays_only(hidden)
        await taken(there, here)
        await until(lambda: there.path == "direct" and here.path == "direct", PATIENCE)
        assert "host" in shown.kinds(hidden)
        await there.hang_up()


@needs_coturn
async def test_a_stranger_sees_relays_until_accept_whatever_the_policy(
    server: ServerProcess, relay: Relay, shown: Shown
) -> None:
    async with nodes(server, strangers=Strangers.RING) as (alice, bob):
        there, here = await rung(alice, bob)
        assert here.contact is None
        change_networks(alice, bob)
        shown.assert_relays_only("bob")
        assert "host" in shown.kinds("alice"), "who calls a contact shows what it has"
        await taken(there, here)
        await until(lambda: there.path == "direct" and here.path == "direct", PATIENCE)
        await there.hang_up()


async def test_a_stranger_sees_nothing_until_accept_without_a_relay(server: ServerProcess, shown: Shown) -> None:
    async with nodes(server, strangers=Strangers.RING) as (alice, bob):
        await until(lambda: bob._relays.absent, PATIENCE)
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await until(lambda: there.state is CallState.ALERTING, PATIENCE)
        change_networks(alice, bob)
        assert shown.lines["bob"] == []
        await taken(there, here)
        assert there.path == "direct"
        await there.hang_up()


async def test_who_allows_relays_only_and_has_none_rings_nobody(server: ServerProcess, shown: Shown) -> None:
    async with nodes(server, alice=IcePolicy.RELAY_ONLY) as (alice, bob):
        there = await alice.call(bob.address, send=ToneSource(440))
        async with asyncio.timeout(20.0):  # far below the 30 s after which any call is given up
            outcome = await there.wait_ended()
        assert (outcome.reason, outcome.stage, outcome.cause) == (EndReason.FAILED, Stage.PATH, Cause.NO_RELAY)
        assert outcome.side is Side.HERE
        assert "your server offers none" in outcome.sentence
        assert "rang" not in there.timings
        assert not bob._switchboard.conversations
    assert shown.lines == {"alice": [], "bob": []}


async def test_who_allows_relays_only_and_has_none_is_not_rung(server: ServerProcess, shown: Shown) -> None:
    async with nodes(server, bob=IcePolicy.RELAY_ONLY) as (alice, bob):
        await until(lambda: bob._relays.absent, PATIENCE)
        there = await alice.call(bob.address, send=ToneSource(440))
        async with asyncio.timeout(20.0):  # far below the 30 s after which any call is given up
            outcome = await there.wait_ended()
        assert (outcome.reason, outcome.stage, outcome.cause) == (EndReason.FAILED, Stage.PATH, Cause.NO_RELAY)
        assert outcome.side is Side.THERE
        assert f"{bob.address} allows relays only" in outcome.sentence
        async with asyncio.timeout(PATIENCE):
            notice = await anext(bob.notices())
        assert isinstance(notice, MissedCall)
        assert "your server offers none" in notice.sentence
        assert shown.lines["bob"] == []
