"""CallLegs: relays are asked for with patience, and what a leg tells never breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from entrenous.call_legs import CallLegs
from entrenous.call_tasks import CallTasks
from entrenous.crypto.messages import InnerMessage
from entrenous.errors import RemoteProtocolError
from entrenous.media.engine import IceServer, MediaEngine
from entrenous.media.events import (
    LegClosed,
    LegFailed,
    LegPath,
    LegStage,
    PathChanged,
    PathFailure,
    PathFound,
    PathKind,
    Secured,
)
from entrenous.peer import PeerDevice
from entrenous.protocol import inputs
from entrenous.protocol.causes import Cause
from entrenous.protocol.inputs import Device, Input, Leg
from entrenous.protocol.states import Role, Stage
from entrenous.relays import Lease
from entrenous.surroundings import Surroundings
from entrenous_wire.messages import Kind
from lab.calls import SETTINGS

RELAYED = LegPath(PathKind.RELAY, "relay", "host", "udp", 48)
CALL = b"c" * 16
BOB = Device("bob@calls.example.org", "0011223344556677")
LEG = Leg(BOB, 3)
RELAY = IceServer("turn:192.0.2.1", "user", "password")
STUN = IceServer("stun:192.0.2.2")


class Around:
    """A node whose server names relays when the test lets it."""

    relay_only = False
    relay_until_accept = False

    def __init__(self) -> None:
        self.engine = MediaEngine(SETTINGS)
        self.reported: list[Input] = []
        self.asked = 0
        self.answer = Lease((STUN, RELAY), 600.0)
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def report(self, fact: Input) -> None:
        self.reported.append(fact)

    async def lease_servers(self) -> Lease:
        self.asked += 1
        await self.may_answer.wait()
        return self.answer


class OpenLeg:
    """A leg that remembers what it is told."""

    def __init__(self) -> None:
        self.servers: Sequence[IceServer] = ()
        self.network_changes = 0

    def use_servers(self, ice_servers: Sequence[IceServer]) -> None:
        self.servers = list(ice_servers)

    def network_changed(self) -> None:
        self.network_changes += 1


class OtherEnd:
    """A device with two open legs."""

    def __init__(self) -> None:
        self.legs = [OpenLeg(), OpenLeg()]

    def connections(self) -> list[tuple[int, OpenLeg]]:
        return [(LEG.generation + place, leg) for place, leg in enumerate(self.legs)]

    def hides(self, generation: int) -> bool:
        return generation == LEG.generation


class User:
    """A conversation that remembers what its legs tell it."""

    answered = False
    has_media = False

    def __init__(self) -> None:
        self.device = OtherEnd()
        self.peers = {BOB: self.device}
        self.paths: list[tuple[Leg, LegPath]] = []
        self.tasks = CallTasks(self.broke)
        self.secured = 0
        self.refusals = 0
        self.errors: list[Exception] = []

    def path_changed(self, leg: Leg, path: LegPath) -> None:
        self.paths.append((leg, path))

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        raise AssertionError("nothing is to be said here")

    def receive(self, device: Device, body: bytes, *, by_leg: bool) -> None:
        raise AssertionError("nothing is to be received here")

    def leg_secured(self) -> None:
        self.secured += 1

    def refused(self) -> None:
        self.refusals += 1

    def broke(self, error: Exception) -> None:
        self.errors.append(error)


def legs_of(around: Around, user: User) -> CallLegs:
    streams = around.engine.new_streams()
    return CallLegs(CALL, Role.CALLER, streams, cast(Any, user), user.tasks, cast(Surroundings, around))


def event_handler(legs: CallLegs, monkeypatch: pytest.MonkeyPatch, around: Around) -> Callable[[Any], None]:
    """What the engine is given to tell the legs' news to."""
    given: list[Callable[[Any], None]] = []

    def leg(*_: object, **how: Any) -> None:
        given.append(how["on_event"])

    monkeypatch.setattr(around.engine, "leg", leg)
    legs.connect(BOB, LEG.generation, False)
    return given[0]


async def test_what_a_leg_tells_is_reported_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    tell = event_handler(legs_of(around, user), monkeypatch, around)
    tell(PathFound())
    tell(Secured(LegPath(PathKind.DIRECT, "host", "host", "udp", 44)))
    tell(PathChanged(RELAYED))
    tell(LegFailed(LegStage.HANDSHAKE, "It failed."))
    tell(LegFailed(LegStage.PATH, "It failed.", PathFailure.NO_ANSWER))
    tell(LegClosed("It closed."))
    assert around.reported == [
        inputs.PathFound(CALL, LEG),
        inputs.Secured(CALL, LEG),
        inputs.LegFailed(CALL, LEG, Stage.HANDSHAKE, None, relays=False, hidden=True),
        inputs.LegFailed(CALL, LEG, Stage.PATH, Cause.NO_ANSWER, relays=False, hidden=True),
        inputs.LegClosed(CALL, LEG),
    ]
    assert user.secured == 1
    assert user.paths == [(LEG, RELAYED)]


async def test_news_that_cannot_be_taken_end_the_call_and_not_the_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    tell = event_handler(legs_of(around, user), monkeypatch, around)
    user.peers.clear()
    tell(PathFound())
    assert [type(error) for error in user.errors] == [KeyError]


async def test_a_hand_off_does_not_wait_for_a_server_that_is_away() -> None:
    around, user = Around(), User()
    around.may_answer.clear()
    user.has_media = True
    legs = legs_of(around, user)
    async with asyncio.timeout(0.5):
        await legs._learn_servers()
    assert legs._servers_for(LEG) == ()
    await user.tasks.finish()


async def test_renewed_credentials_are_given_to_every_leg_that_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    legs = legs_of(around, user)
    event_handler(legs, monkeypatch, around)
    legs.connect(BOB, LEG.generation + 1, True)
    await legs._learn_servers()
    open_leg, hidden_leg = user.device.legs
    assert open_leg.servers == [STUN, RELAY]
    assert hidden_leg.servers == [RELAY], "asking a STUN server would show it our address"
    await user.tasks.finish()


async def test_every_open_leg_is_told_that_the_network_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    legs = legs_of(around, user)
    legs.network_changed()
    assert [leg.network_changes for leg in user.device.legs] == [1, 1]


async def test_a_leg_that_hides_knows_no_server_but_relays(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    legs = legs_of(around, user)
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(around.engine, "leg", lambda *_, **how: given.append(how))
    await legs._learn_servers()
    legs.connect(BOB, 5, False)
    legs.connect(BOB, 6, True)
    around.relay_only = True
    legs.connect(BOB, 7, False)
    assert [how["relay_only"] for how in given] == [False, True, True]
    assert [list(how["ice_servers"]) for how in given] == [[STUN, RELAY], [RELAY], [RELAY]]
    assert legs.is_hidden(Leg(BOB, 6)) is False, "of a node that shows nothing to anybody nothing better follows"
    around.relay_only = False
    assert legs.is_hidden(Leg(BOB, 6))
    await user.tasks.finish()


async def test_a_description_that_no_leg_can_be_made_of_is_a_failed_path() -> None:
    around, user = Around(), User()
    legs_of(around, user).failed(LEG, RemoteProtocolError("nonsense"))
    assert around.reported == [inputs.LegFailed(CALL, LEG, Stage.PATH)]
    assert user.refusals == 1
