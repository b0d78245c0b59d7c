"""Word is left for a call that we placed and to which nobody said anything, and for no other."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from crypto.people import CALL_ID, device_of, profile
from entrenous import MissedCall, Node
from entrenous.conversation import Conversation
from entrenous.crypto.handshake_messages import MediaKinds
from entrenous.crypto.identity import VerifiedDevice
from entrenous.crypto.notices import open_notice
from entrenous.protocol.outputs import StateChanged
from entrenous.protocol.states import CallState, EndReason, Role, Stage
from entrenous.unreached import is_missed, leave_word
from entrenous_wire.certificate import HYBRID_KEY_BYTES
from lab.calls import until
from world.nodes import PATIENCE, config, ringing, second_device, two_nodes
from world.serverproc import running_server

NOW = 1_800_000_500.0
ALICE, BOB = profile("alice"), profile("bob")
REACHED = {EndReason.LOCAL, EndReason.UNANSWERED, EndReason.OFFLINE}


def conversation(role: Role = Role.CALLER, devices: tuple[VerifiedDevice, ...] = ()) -> Conversation:
    call = SimpleNamespace(timings={"dialled": 100.0}, has_video=True)
    return cast(Conversation, SimpleNamespace(role=role, id=CALL_ID, call=call, unreached=lambda: list(devices)))


def change(old: CallState, reason: EndReason) -> StateChanged:
    return StateChanged(CALL_ID, old, CallState.ENDED, Stage.RING, reason)


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("old", CallState)
def test_only_a_call_that_nobody_heard_of_is_missed(old: CallState, reason: EndReason) -> None:
    expected = (old in (CallState.INVITING, CallState.ALERTING) and reason in REACHED) or (
        old is CallState.PREPARING and reason is EndReason.OFFLINE
    )
    assert is_missed(conversation(), change(old, reason)) == expected
    assert not is_missed(conversation(Role.CALLEE), change(old, reason))


def test_a_call_that_goes_on_is_not_missed() -> None:
    ringing = StateChanged(CALL_ID, CallState.INVITING, CallState.ALERTING, Stage.RING, EndReason.LOCAL)
    assert not is_missed(conversation(), ringing)


@dataclass
class Carrier:
    stored: list[tuple[str, str, bytes, bytes]] = field(default_factory=list)

    def store(self, to: str, device: str, message_id: bytes, body: bytes) -> None:
        self.stored.append((to, device, message_id, body))


def test_each_device_gets_a_notice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.unreached.time", SimpleNamespace(time=lambda: NOW, monotonic=lambda: 160.0))
    carrier = Carrier()
    leave_word(conversation(devices=(device_of(BOB), device_of(BOB))), ALICE.credentials(), carrier)
    (to, device, id_, body), (_, _, other_id, other_body) = carrier.stored
    assert (to, device) == (BOB.address, BOB.device_id)
    assert id_ != other_id
    assert body != other_body
    found = open_notice(BOB.credentials(), body, id_, NOW)
    assert (str(found.caller), found.call_id, found.started_at) == (ALICE.address, CALL_ID, NOW - 60.0)
    assert found.kinds == MediaKinds.AUDIO | MediaKinds.VIDEO


def test_a_device_that_has_signed_a_key_which_is_none_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.unreached.time", SimpleNamespace(time=lambda: NOW, monotonic=lambda: 160.0))
    prekey = BOB.device.sign_prekey(9, int(NOW) + 1000, b"\xff" * HYBRID_KEY_BYTES)
    odd = VerifiedDevice(device_of(BOB).certificate, prekey)
    carrier = Carrier()
    leave_word(conversation(devices=(odd, device_of(BOB))), ALICE.credentials(), carrier)
    assert len(carrier.stored) == 1


async def test_the_device_that_was_away_is_told_and_the_one_that_rang_is_not(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, two_nodes(server) as (alice, bob):
        phone = second_device(bob)
        async with Node(config(server, None), profile=phone):
            pass  # the server knows it from now on
        there = await alice.call(bob.address)
        await ringing(bob)
        await there.hang_up()
        await until(lambda: alice._running_link()._session.held == 0, PATIENCE)
        async with Node(config(server, None), profile=phone) as on_the_phone, asyncio.timeout(PATIENCE):
            async for notice in on_the_phone.notices():
                assert isinstance(notice, MissedCall)
                assert notice.address == alice.address
                assert notice.called_at == pytest.approx(time.time(), abs=60.0)
                break
        assert phone.stored.untold == ()
        assert bob.profile.stored.untold == ()
        told = [bob._notices.get_nowait() for _ in range(bob._notices.qsize())]
        assert not any(isinstance(notice, MissedCall) for notice in told)
