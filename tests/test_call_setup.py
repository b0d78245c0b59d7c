"""CallSetup: what happens when there is nobody to ring, or nobody who can be trusted; good calls are in test_node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from crypto.people import device_of, profile
from entrenous.call import Call
from entrenous.call_legs import CallLegs
from entrenous.call_setup import CallSetup
from entrenous.crypto.identity import VerifiedDevice
from entrenous.crypto.prekeys import KEEP_SECONDS, ROTATE_SECONDS
from entrenous.errors import IdentityChanged, RequestRefused, ServerUnreachable, VerificationError
from entrenous.protocol.causes import Cause
from entrenous.protocol.inputs import Device, Input, KeysFailed, KeysReady, LocalFailure
from entrenous.protocol.states import EndReason, Stage
from entrenous.surroundings import Surroundings
from entrenous_wire.addresses import Address

BOB = Address("bob", "calls.example.org")
CALL = b"c" * 16


class Around:
    """A node that answers with what the test puts in."""

    relay_only = False

    def __init__(self, answer: Sequence[VerifiedDevice] | Exception) -> None:
        self.answer = answer
        self.reported: list[Input] = []

    def report(self, fact: Input) -> None:
        self.reported.append(fact)

    async def fetch_devices(self, address: Address) -> Sequence[VerifiedDevice]:
        assert address == BOB
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class User:
    """A conversation without any device of the other end."""

    def __init__(self) -> None:
        self.id = CALL
        self.call = Call(CALL, BOB, outgoing=True, has_video=False, contact=None)
        self.peers: dict[Device, Any] = {}
        self.over = False
        self.away: list[VerifiedDevice] = []

    def could_not_ring(self, device: VerifiedDevice) -> None:
        self.away.append(device)


async def setup_with(answer: Sequence[VerifiedDevice] | Exception) -> list[Input]:
    around = Around(answer)
    setup = CallSetup(cast(Any, User()), cast(CallLegs, None), cast(Surroundings, around))
    await setup.fetch_keys(str(BOB))
    return around.reported


async def test_nobody_to_ring_is_reported_as_no_devices() -> None:
    assert await setup_with([]) == [KeysReady(CALL, ())]


async def test_a_device_whose_prekey_has_expired_is_not_rung_and_noted_as_away() -> None:
    away = device_of(profile("bob", time.time() - ROTATE_SECONDS - KEEP_SECONDS), time.time())
    around, user = Around([away]), User()
    setup = CallSetup(cast(Any, user), cast(CallLegs, None), cast(Surroundings, around))
    await setup.fetch_keys(str(BOB))
    assert around.reported == [KeysReady(CALL, ())]
    assert user.away == [away]


@pytest.mark.parametrize(
    ("error", "reason", "cause"),
    [
        (RequestRefused("unknown-user", "There is no such user."), EndReason.UNKNOWN_USER, None),
        (RequestRefused("too-many", "Too many requests."), EndReason.FAILED, Cause.SERVER_REFUSED),
        (ServerUnreachable("It did not answer."), EndReason.FAILED, Cause.SERVER_UNREACHABLE),
        (IdentityChanged("The key changed."), EndReason.FAILED, Cause.KEY_CHANGED),
        (VerificationError("Nothing verifies."), EndReason.FAILED, Cause.KEYS_INVALID),
    ],
)
async def test_keys_that_cannot_be_had_end_the_call_with_the_reason(
    error: Exception, reason: EndReason, cause: Cause | None
) -> None:
    sentence = str(error) if reason is EndReason.FAILED else ""
    assert await setup_with(error) == [KeysFailed(CALL, reason, sentence, cause)]


class Legs:
    """What is known of relays when the server is asked."""

    def __init__(self, *, lacks_relay: bool) -> None:
        self.servers = self
        self.lacks_relay = lacks_relay
        self.asked = False

    async def learn(self, *, wait: bool) -> None:
        self.asked = wait


@pytest.mark.parametrize("lacks_relay", [True, False])
async def test_who_shows_no_address_and_has_no_relay_rings_nobody(lacks_relay: bool) -> None:
    around, legs = Around([]), Legs(lacks_relay=lacks_relay)
    around.relay_only = True
    setup = CallSetup(cast(Any, User()), cast(CallLegs, legs), cast(Surroundings, around))
    await setup.fetch_keys(str(BOB))
    assert legs.asked
    failure = LocalFailure(CALL, Stage.PATH, "", Cause.NO_RELAY)
    assert around.reported == ([failure] if lacks_relay else [KeysReady(CALL, ())])
