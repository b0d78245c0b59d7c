"""What a peer, a stranger or a server cannot do to a node, however well it knows the protocol."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from entrenous import (
    Call,
    CallState,
    EndReason,
    IcePolicy,
    Node,
    PathChanged,
    PeerMedia,
    RequestRefused,
    Strangers,
    StreamKind,
    ToneSource,
)
from entrenous.call_mail import CallMail
from entrenous.conversation import Conversation
from entrenous.crypto.messages import LegAnswer
from entrenous.errors import KeystoreError
from entrenous.link import Link
from entrenous.protocol.inputs import Device
from entrenous.relays import Lease
from entrenous_wire.messages import Kind
from lab.calls import until
from lab.relay import HAS_COTURN, running_relay
from world.nodes import PATIENCE, config, connected, event_of, ringing, two_nodes
from world.serverproc import ServerProcess


async def ring_by_hand(caller: Node, callee: Node, call: bytes) -> None:
    """A ring as only a changed program sends it: with a call id of its choice, from no call of its own."""
    (device,) = await caller.fetch_devices(callee.address)
    handshake = caller.begin_handshake(device, call, video=False)
    caller.send(Device(str(callee.address), callee.device), call, Kind.RING, handshake.ring)


async def ended(call: Call) -> EndReason:
    async with asyncio.timeout(PATIENCE):
        return (await call.wait_ended()).reason


async def test_a_ring_under_the_id_of_a_live_call_does_not_take_it_away_from_its_owner(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        (conversation,) = alice._switchboard.conversations.values()
        dropped = alice._switchboard.dropped
        await ring_by_hand(bob, alice, bytes.fromhex(there.id))
        await until(lambda: alice._switchboard.dropped > dropped, PATIENCE)
        assert list(alice._switchboard.conversations.values()) == [conversation]
        async with asyncio.timeout(PATIENCE):
            await there.hang_up()
        assert await ended(here) is EndReason.REMOTE


async def test_a_stranger_fills_no_memory_of_rings(server: ServerProcess) -> None:
    async with two_nodes(server) as (_, bob), Node(config(server, "eve")) as eve:
        eve.contacts.add(str(bob.card))
        await ring_by_hand(eve, bob, os.urandom(16))
        await until(lambda: bob.dropped == 1, PATIENCE)
        assert not bob._rings._guard._expiry


async def test_a_ring_that_cannot_be_pinned_is_refused_and_the_link_lives_on(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        bob.contacts.remove(alice.address)
        bob.contacts.add(str(alice.address))

        def full(*_: object) -> None:
            raise KeystoreError("The disk is full.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bob.profile, "_change", full)
            call = await alice.call(bob.address)
            await until(lambda: bob.dropped == 1, PATIENCE)
            await call.hang_up()
        await connected(alice, bob)


async def said_while_ringing(alice: Node, bob: Node) -> tuple[list[object], Call, Call]:
    """What Alice's device says to Bob's while it rings, and both ends of the call."""
    said: list[object] = []
    genuine = Conversation.say

    def keep(self: Conversation, peer: Any, message: Any, kind: Kind) -> None:
        if self._around is alice:
            said.append(message)
        genuine(self, peer, message, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversation, "say", keep)
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await until(lambda: any(isinstance(message, LegAnswer) for message in said), PATIENCE)
    return said, there, here


async def hears(*calls: Call) -> None:
    await asyncio.gather(*(until(lambda call=call: call.stats().audio.played >= 25, PATIENCE) for call in calls))


async def test_a_caller_shows_no_address_before_accept_where_the_user_wants_that(server: ServerProcess) -> None:
    hiding = config(server, "alice", ice_policy=IcePolicy.RELAY_UNTIL_ACCEPT)
    async with Node(hiding) as alice, Node(config(server, "bob")) as bob:
        alice.contacts.add(str(bob.card))
        bob.contacts.add(str(alice.card))
        said, there, here = await said_while_ringing(alice, bob)
        assert not [message for message in said if "127.0.0.1" in repr(message)]
        await here.accept(send=ToneSource(660))
        await hears(there, here)
        assert there.path == "direct"


@pytest.mark.skipif(not HAS_COTURN, reason="coturn is not installed")
async def test_a_hidden_caller_gets_a_direct_path_after_accept(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hiding = config(server, "alice", ice_policy=IcePolicy.RELAY_UNTIL_ACCEPT)
    with running_relay(tmp_path) as relay:
        async with Node(hiding) as alice, Node(config(server, "bob")) as bob:
            alice.contacts.add(str(bob.card))
            bob.contacts.add(str(alice.card))

            async def lease() -> Lease:
                return Lease((relay.server(),), 600.0)

            monkeypatch.setattr(alice, "lease_servers", lease)
            _, there, here = await said_while_ringing(alice, bob)
            await until(lambda: "secured" in there.timings and "secured" in here.timings, PATIENCE)
            await here.accept(send=ToneSource(660))
            async with asyncio.timeout(PATIENCE):
                await there.wait_active()
            assert there.path == "relay"
            assert await event_of(there, PathChanged) == PathChanged("direct")
            await hears(there, here)


@pytest.mark.parametrize("policy", [IcePolicy.DIRECT, IcePolicy.RELAY_UNTIL_ACCEPT])
async def test_a_stranger_is_answered_without_a_relay(server: ServerProcess, policy: IcePolicy) -> None:
    open_to_all = config(server, "bob", ice_policy=policy, strangers=Strangers.RING)
    async with Node(open_to_all) as bob, Node(config(server, "eve")) as eve:
        eve.contacts.add(str(bob.card))
        there = await eve.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await here.accept(send=ToneSource(660))
        await hears(there, here)


async def test_hanging_up_does_not_wait_for_a_server_that_is_away(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        await own_server.kill()
        await until(lambda: repr(alice._presence.link) != "<Link up>", PATIENCE)
        call = await alice.call(bob.address)
        assert call.state is CallState.PREPARING
        async with asyncio.timeout(9.0):  # the request itself is given up after ten seconds
            await call.hang_up()
        await own_server.start()


async def test_a_node_that_cannot_publish_its_keys_leaves_nothing_open(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise RequestRefused("unavailable", "The server has no room.")

    monkeypatch.setattr(Link, "publish", refuse)
    node = Node(config(server, "alice"))
    with pytest.raises(RequestRefused):
        async with node:
            pass
    assert repr(node._presence.link) == "<Link over>"


async def test_a_task_of_the_node_may_close_it(server: ServerProcess) -> None:
    async with Node(config(server, "alice")) as alice:

        async def closing() -> None:
            await alice.close()

        async with asyncio.timeout(PATIENCE):
            await alice.spawn(closing())
        assert repr(alice._presence.link) == "<Link over>"


async def test_what_was_muted_before_accept_is_told(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        here.mute(StreamKind.AUDIO, True)
        there.mute(StreamKind.VIDEO, True)
        await here.accept(send=ToneSource(660))
        await event_of(there, PeerMedia, lambda media: media.audio_muted)
        await event_of(here, PeerMedia, lambda media: media.video_muted)


async def test_a_message_that_breaks_what_takes_it_ends_one_call_and_no_more(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CallMail, "_take_media_state", broken)
            there.mute(StreamKind.AUDIO, True)
            assert await ended(here) is EndReason.FAILED
        await connected(alice, bob)
