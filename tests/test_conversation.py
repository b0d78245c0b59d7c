"""Conversation: what a call does with a peer, a server or a machine that misbehaves; good calls are in test_node."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from entrenous import (
    CallState,
    Cause,
    EndReason,
    LocalProtocolError,
    MediaFileError,
    Side,
    Stage,
    StreamKind,
    ToneSource,
)
from entrenous.call_legs import CallLegs
from entrenous.conversation import Conversation
from entrenous.node import Node
from entrenous.peer import MAX_FAILURES
from entrenous.protocol.inputs import Device
from entrenous_wire.limits import BODY_SIZES
from entrenous_wire.messages import Kind
from lab.calls import until
from world.nodes import PATIENCE, connected, ringing, two_nodes
from world.serverproc import ServerProcess


def conversation_of(node: Node) -> Conversation:
    (conversation,) = node._switchboard.conversations.values()
    return conversation


async def test_junk_from_the_server_never_ends_a_live_call(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        conversation = conversation_of(bob)
        device = Device(str(alice.address), alice.device)
        for size in BODY_SIZES * MAX_FAILURES:
            conversation.receive(device, os.urandom(size))
        assert here.state is CallState.ACTIVE
        assert conversation.dropped == len(BODY_SIZES) * MAX_FAILURES
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            assert (await here.wait_ended()).reason is EndReason.REMOTE


async def test_junk_while_it_rings_ends_the_call_with_a_reason(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        await alice.call(bob.address)
        here = await ringing(bob)
        device = Device(str(alice.address), alice.device)
        for _ in range(MAX_FAILURES):
            conversation_of(bob).receive(device, os.urandom(BODY_SIZES[0]))
        async with asyncio.timeout(PATIENCE):
            outcome = await here.wait_ended()
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.HANDSHAKE)
        assert "interferes" in outcome.sentence


async def test_a_device_that_takes_no_part_is_not_listened_to(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        _, here = await connected(alice, bob)
        conversation_of(bob).receive(Device(str(alice.address), "0" * 16), os.urandom(BODY_SIZES[0]))
        assert conversation_of(bob).dropped == 1
        assert here.state is CallState.ACTIVE


async def test_every_message_over_two_ways_counts_once(server: ServerProcess) -> None:
    """A replayed body is dropped without being held against anybody."""
    async with two_nodes(server) as (alice, bob):
        seen: list[bytes] = []
        genuine = Conversation.receive

        def keep(self: Conversation, device: Device, body: bytes, **how: Any) -> None:
            seen.append(body)
            genuine(self, device, body, **how)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Conversation, "receive", keep)
            _, here = await connected(alice, bob)
        assert len(seen) >= 4
        device = Device(str(alice.address), alice.device)
        before = conversation_of(bob).dropped
        for body in seen:
            conversation_of(bob).receive(device, body, by_leg=True)
        assert here.state is CallState.ACTIVE
        # Bob's own messages, sent back to him, do not verify; Alice's are repetitions.
        assert conversation_of(bob).dropped - before < len(seen)


async def test_a_call_is_accepted_once_and_by_whom_it_rings(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        for call in (there, here):
            with pytest.raises(LocalProtocolError, match="only once"):
                await call.accept(send=ToneSource(100))
        assert (there.state, here.state) == (CallState.ACTIVE, CallState.ACTIVE)


async def test_a_file_that_cannot_be_sent_ends_the_call_with_its_name(server: ServerProcess) -> None:
    class Unreadable(ToneSource):
        async def start(self) -> None:
            raise MediaFileError("voice.wav cannot be read as sound.")

    async with two_nodes(server) as (alice, bob):
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await here.accept(send=Unreadable(660))
        async with asyncio.timeout(PATIENCE):
            outcome = await here.wait_ended()
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.MEDIA)
        assert "voice.wav" in outcome.sentence
        async with asyncio.timeout(PATIENCE):
            heard = await there.wait_ended()
        assert (heard.reason, heard.stage) == (EndReason.FAILED, Stage.MEDIA)


@pytest.mark.parametrize("error", [ZeroDivisionError("secret detail"), LocalProtocolError("A step came too early.")])
async def test_a_step_that_breaks_ends_the_call_and_not_the_node(server: ServerProcess, error: Exception) -> None:
    async with two_nodes(server) as (alice, bob):

        async def broken(*_: object) -> None:
            raise error

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CallLegs, "answer", broken)
            there = await alice.call(bob.address, send=ToneSource(440))
            async with asyncio.timeout(PATIENCE):
                outcome = await there.wait_ended()
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.MEDIA)
        assert (outcome.cause, outcome.side) == (Cause.INTERNAL, Side.HERE), "nobody is sent to look at a microphone"
        assert "secret detail" not in outcome.sentence
        await until(lambda: not bob._switchboard.conversations)
        await connected(alice, bob)


async def test_the_server_gets_nothing_but_accept_and_end_while_a_call_is_live(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        await until(lambda: conversation_of(alice).peers[Device(str(bob.address), bob.device)]._data_open == {0})
        sent: list[Kind] = []
        genuine = Node.send

        def keep(self: Node, device: Device, call: bytes, kind: Kind, body: bytes) -> None:
            sent.append(kind)
            genuine(self, device, call, kind, body)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Node, "send", keep)
            there.mute(StreamKind.AUDIO, True)
            there.mute(StreamKind.AUDIO, False)
            await there.hang_up()
            async with asyncio.timeout(PATIENCE):
                await here.wait_ended()
        assert sent == [Kind.END]
