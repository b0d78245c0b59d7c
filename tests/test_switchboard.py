"""Switchboard: calls are dialled, ring, get their messages and are forgotten; whole calls are in test_node."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from entrenous import Call, CallState, EndReason, LocalProtocolError, Profile
from entrenous.config import IcePolicy, Strangers
from entrenous.conversation import Conversation
from entrenous.crypto.handshake import CallerHandshake, MediaKinds
from entrenous.crypto.identity import VerifiedDevice
from entrenous.directory import Directory
from entrenous.errors import ServerUnreachable
from entrenous.media.engine import MediaEngine, MediaSettings
from entrenous.protocol import inputs, outputs
from entrenous.protocol.causes import Cause
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import Device
from entrenous.relays import Lease
from entrenous.rings import OpenedRing, Rings
from entrenous.switchboard import Switchboard
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Deliver, Kind, Send

HOST, CALL = "calls.example.org", b"c" * 16
PATIENCE = 60.0


class Node:
    """Around the switchboard of bob: a server that is not there, and a memory of what was told."""

    relay_until_accept = False

    def __init__(self, *, relay_only: bool = False) -> None:
        self.engine = MediaEngine(MediaSettings(loopback_only=True))
        self.profile = Profile.create(None, None, Address("bob", HOST))
        self.me = Device(str(self.profile.address), self.profile.device)
        self.relay_only = relay_only
        self.rang: list[Call] = []
        self.over: list[EndReason | None] = []
        self.forgotten = asyncio.Event()
        self.tasks: list[asyncio.Task[Any]] = []
        self.switchboard = Switchboard(self, Timeouts())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> object:
        self.tasks.append(asyncio.ensure_future(work))
        return None

    def call_rings(self, call: Call) -> None:
        self.rang.append(call)

    def call_ended(self, conversation: Conversation, change: outputs.StateChanged) -> None:
        self.over.append(change.reason)

    def call_forgotten(self, call_id: bytes) -> None:
        assert call_id not in self.switchboard.conversations
        self.forgotten.set()

    def report(self, fact: inputs.Input) -> None:
        self.switchboard.report(fact)

    def doubt_server(self) -> None: ...

    def send(self, device: Device, call: bytes, kind: Kind, body: bytes) -> None: ...

    def has_delivered(self, device: Device) -> bool:
        return True

    async def fetch_devices(self, address: Address) -> Sequence[VerifiedDevice]:
        raise ServerUnreachable("There is no server.")

    async def lease_servers(self) -> Lease:
        return Lease((), None)

    def begin_handshake(self, device: VerifiedDevice, call: bytes, *, video: bool) -> CallerHandshake:
        raise AssertionError("nobody is reached")

    async def until_forgotten(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.forgotten.wait()


def ring_of(caller: Profile, callee: Profile) -> OpenedRing:
    now, stored = time.time(), callee.stored
    device = VerifiedDevice.verify(
        callee.address, callee.identity_key, stored.certificate, stored.prekeys[0].signed, now
    )
    body = CallerHandshake(caller.credentials(), device, CALL, MediaKinds.AUDIO, now, os.urandom).ring
    rings = Rings(callee, Directory(callee, lambda told: None), Strangers.RING, IcePolicy.DIRECT)
    message = Deliver(
        seq=1, id=bytes(16), sender=str(caller.address), device=caller.device, call=CALL, kind=Kind.RING, body=body
    )
    opened = rings.open(message, lacks_relay=True)
    assert opened is not None
    return opened


@pytest.fixture
def alice() -> Profile:
    return Profile.create(None, None, Address("alice", HOST))


async def test_one_call_at_a_time_is_dialled_and_forgotten_when_it_is_over(alice: Profile) -> None:
    bob = Node()
    bob.profile.contacts.add(str(alice.card))
    contact = bob.profile.contacts.get(alice.address)
    call = bob.switchboard.dial(alice.address, contact, None, None, has_video=False)
    assert bob.switchboard.live is not None
    with pytest.raises(LocalProtocolError, match="alice@calls.example.org already"):
        bob.switchboard.dial(alice.address, contact, None, None, has_video=False)
    await bob.until_forgotten()
    assert bob.switchboard.live is None
    assert bob.over == [EndReason.FAILED]
    assert call.outcome is not None
    assert call.outcome.cause is Cause.SERVER_UNREACHABLE


async def test_a_ring_rings_once_and_its_messages_reach_its_conversation(alice: Profile) -> None:
    bob = Node()
    opened = ring_of(alice, bob.profile)
    bob.switchboard.ring(opened, lacks_relay=True)
    (call,) = bob.rang
    assert call.state is CallState.RINGING
    (conversation,) = bob.switchboard.conversations.values()
    bob.switchboard.ring(opened, lacks_relay=True)
    assert bob.rang == [call]
    assert list(bob.switchboard.conversations.values()) == [conversation]

    dropped = conversation.dropped
    junk = Deliver(
        seq=2, id=bytes(16), sender=str(alice.address), device=alice.device, call=CALL, kind=Kind.END, body=bytes(256)
    )
    assert bob.switchboard.receive(junk)
    assert conversation.dropped == dropped + 1
    assert not bob.switchboard.receive(Deliver(**{**_fields(junk), "call": bytes(16)}))

    await bob.switchboard.hang_up()
    await bob.until_forgotten()
    assert bob.over == [EndReason.FAILED], "the person did not refuse"


def _fields(message: Deliver) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


async def test_a_second_caller_does_not_ring(alice: Profile) -> None:
    bob = Node()
    bob.profile.contacts.add(str(alice.card))
    bob.switchboard.dial(alice.address, bob.profile.contacts.get(alice.address), None, None, has_video=False)
    carol = Profile.create(None, None, Address("carol", HOST))
    bob.switchboard.ring(ring_of(carol, bob.profile), lacks_relay=True)
    assert bob.rang == []
    assert CALL not in bob.switchboard.conversations
    await bob.switchboard.hang_up()
    await bob.until_forgotten()


async def test_who_shows_no_address_and_has_no_relay_cannot_be_called(alice: Profile) -> None:
    bob = Node(relay_only=True)
    bob.switchboard.ring(ring_of(alice, bob.profile), lacks_relay=True)
    await bob.until_forgotten()
    assert bob.rang[0].outcome is not None
    assert bob.rang[0].outcome.cause is Cause.NO_RELAY


async def test_a_device_that_is_not_reached_is_offline_to_its_call_alone(alice: Profile) -> None:
    bob = Node()
    bob.switchboard.ring(ring_of(alice, bob.profile), lacks_relay=True)
    told: list[inputs.Input] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bob.switchboard, "report", told.append)
        for call in (CALL, bytes(16)):
            bob.switchboard.not_delivered(
                Send(id=bytes(16), to=str(alice.address), device=alice.device, call=call, kind=Kind.SIGNAL, body=b"")
            )
    assert told == [inputs.DeviceOffline(CALL, Device(str(alice.address), alice.device))]
    await bob.switchboard.hang_up()
    await bob.until_forgotten()
