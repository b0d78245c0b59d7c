"""What a device may ask of its server besides routing, and that it is told when the store cannot do it now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import StoredDevice
from entrenous_signaling.turn import TTL_SECONDS, Relay
from entrenous_wire.addresses import Address
from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.messages import (
    Accepted,
    DeleteAccount,
    Deleted,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    FromNode,
    Publish,
    Published,
    Turn,
    TurnRequest,
)
from world.hubworld import ALICE, BOB, EVE, SERVER, HubWorld, refused, stored, two

RELAYED = HubSettings(name=SERVER, message_key=bytes(32), relay=Relay(("turn:192.0.2.1:3478",), b"secret"))


def test_a_message_is_stored_before_it_is_accepted() -> None:
    world, alice, _ = two()
    world.store_waits = True
    alice.say(ALICE.message(1, BOB))
    assert alice.heard == []
    world.answer_store()
    assert alice.hear(Accepted).id == (1).to_bytes(16, "big")
    assert [message.username for message in stored(world)] == ["bob"]


def test_prekeys_are_replaced() -> None:
    world, alice, _ = two()
    alice.say(Publish(request=7, prekeys=[ALICE.prekey, ALICE.prekey]))
    assert alice.hear(Published).request == 7
    assert [len(device.prekeys) for device, _ in world.store.devices["alice"].values()] == [2]


def test_prekeys_of_another_device_are_refused() -> None:
    _, alice, _ = two()
    assert refused(alice.say(Publish(request=7, prekeys=[BOB.prekey]))) is ErrorCode.BAD_SIGNATURE


def test_prekeys_of_a_key_that_the_device_had_before_are_refused() -> None:
    world, alice, _ = two()
    world.store_waits = True
    alice.say(Publish(request=7, prekeys=[ALICE.prekey]))
    key, address = bytes(EVE.device_key.verify_key), Address("alice", SERVER)
    newer = DeviceCertificate.issue(ALICE.identity_key, address, ALICE.device, key, ALICE.not_after).raw
    world.store.devices["alice"][ALICE.device] = (StoredDevice(ALICE.device, newer, (b"newer",)), ALICE.not_after)
    world.answer_store()
    assert refused(alice) is ErrorCode.BAD_SIGNATURE
    assert [device.prekeys for device, _ in world.store.devices["alice"].values()] == [(b"newer",)]


def test_an_account_is_looked_up() -> None:
    _, alice, _ = two()
    devices = alice.say(FetchDevices(request=8, address=BOB.address)).hear(Devices)
    assert (devices.request, devices.address) == (8, BOB.address)
    assert [entry.certificate for entry in devices.devices] == [BOB.certificate]


def test_an_account_that_is_not_there_is_unknown() -> None:
    _, alice, _ = two()
    error = alice.say(FetchDevices(request=9, address=EVE.address)).hear(Error)
    assert (error.code, error.request) == (ErrorCode.UNKNOWN_USER, 9)


def test_relay_credentials_are_minted_where_there_is_a_relay() -> None:
    alice = HubWorld(RELAYED).register(ALICE)
    turn = alice.say(TurnRequest(request=3)).hear(Turn)
    assert (turn.request, turn.urls, turn.ttl) == (3, ["turn:192.0.2.1:3478"], TTL_SECONDS)
    alone = HubWorld(replace(RELAYED, relay=None)).register(ALICE)
    assert refused(alone.say(TurnRequest(request=3))) is ErrorCode.NO_RELAY


@pytest.mark.parametrize("by", [0.0, 86_400.0, -3600.0])
def test_relay_credentials_are_good_by_the_clock_of_the_machine(by: float) -> None:
    world = HubWorld(RELAYED)
    alice = world.register(ALICE)
    world.hub.clock_was_set(by)
    turn = alice.say(TurnRequest(request=3)).hear(Turn)
    assert turn.username.partition(":")[0] == str(int(world.now + by) + TTL_SECONDS)


def test_an_account_is_deleted_with_its_sessions() -> None:
    world = HubWorld()
    alice, hello = world.connect()
    alice.say(ALICE.register(hello)).hear_all()
    assert alice.say(ALICE.delete(hello)).hear(Deleted).request == 1
    assert alice.closed == CloseCode.DELETED
    assert world.store.identities == {}


@pytest.mark.parametrize(
    "message",
    [
        ALICE.message(1, BOB),
        Publish(request=1, prekeys=[ALICE.prekey]),
        FetchDevices(request=1, address=BOB.address),
        DeleteAccount(request=1, signature=bytes(64)),
    ],
)
def test_what_the_store_cannot_do_now_is_asked_for_again_later(message: FromNode) -> None:
    world, alice, _ = two()
    world.store_fails = True
    error = alice.say(message).hear(Error)
    assert error.code is ErrorCode.UNAVAILABLE
    assert error.retry_after is not None


def test_nobody_is_told_who_has_gone_meanwhile() -> None:
    world, alice, _ = two()
    world.store_waits = True
    alice.say(FetchDevices(request=1, address=BOB.address))
    alice.drop()
    world.answer_store()
    assert alice.heard == []
