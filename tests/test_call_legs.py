"""CallLegs: relays are asked for with patience, and what a leg tells never breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from entrenous import call_legs
from entrenous.call_legs import CallLegs
from entrenous.call_tasks import CallTasks
from entrenous.crypto.messages import InnerMessage
from entrenous.errors import RemoteProtocolError
from entrenous.media.engine import IceServer, MediaEngine
from entrenous.media.events import LegClosed, LegFailed, LegPath, LegStage, PathFound, PathKind, Secured
from entrenous.peer import PeerDevice
from entrenous.protocol import inputs
from entrenous.protocol.inputs import Device, Input, Leg
from entrenous.protocol.states import Role, Stage
from entrenous.surroundings import Surroundings
from entrenous_wire.messages import Kind
from lab.calls import SETTINGS

CALL = b"c" * 16
BOB = Device("bob@calls.example.org", "0011223344556677")
LEG = Leg(BOB, 3)
RELAY = IceServer("turn:192.0.2.1", "user", "password")


class Around:
    """A node whose server names relays when the test lets it."""

    relay_only = False
    relay_until_accept = False

    def __init__(self) -> None:
        self.engine = MediaEngine(SETTINGS)
        self.reported: list[Input] = []
        self.asked = 0
        self.answer: list[IceServer] = [RELAY]
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def report(self, fact: Input) -> None:
        self.reported.append(fact)

    async def ice_servers(self) -> Sequence[IceServer]:
        self.asked += 1
        await self.may_answer.wait()
        return self.answer


class User:
    """A conversation that remembers what its legs tell it."""

    answered = False

    def __init__(self) -> None:
        self.secured = 0
        self.refusals = 0
        self.errors: list[Exception] = []
        self.known = True

    def peer(self, device: Device) -> PeerDevice:
        if not self.known:
            raise KeyError(device)
        return cast(PeerDevice, None)

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
    tasks = CallTasks(user.broke)
    streams = around.engine.new_streams()
    return CallLegs(CALL, Role.CALLER, streams, cast(Any, user), tasks, cast(Surroundings, around))


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
    tell(Secured(LegPath(PathKind.DIRECT, "host", "host", "udp")))
    tell(LegFailed(LegStage.HANDSHAKE, "It failed."))
    tell(LegClosed("It closed."))
    assert around.reported == [
        inputs.PathFound(CALL, LEG),
        inputs.Secured(CALL, LEG),
        inputs.LegFailed(CALL, LEG, Stage.HANDSHAKE),
        inputs.LegClosed(CALL, LEG),
    ]
    assert user.secured == 1


async def test_news_that_cannot_be_taken_end_the_call_and_not_the_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    around, user = Around(), User()
    tell = event_handler(legs_of(around, user), monkeypatch, around)
    user.known = False
    tell(PathFound())
    assert [type(error) for error in user.errors] == [KeyError]


async def test_relays_are_asked_for_once_until_their_credentials_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Around()
    legs = legs_of(around, User())
    await legs.learn_servers()
    await legs.learn_servers()
    assert around.asked == 1
    monkeypatch.setattr(call_legs, "RELAY_SECONDS", -1.0)
    legs = legs_of(around, User())
    await legs.learn_servers()
    await legs.learn_servers()
    assert around.asked == 3


async def test_a_server_that_is_away_holds_no_leg_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_legs, "RELAY_PATIENCE", 0.01)
    around = Around()
    around.may_answer.clear()
    legs = legs_of(around, User())
    async with asyncio.timeout(5.0):
        await legs.learn_servers()
        await legs.learn_servers()
    assert around.asked == 1, "the same question is still under way"
    assert legs._servers == ()
    around.may_answer.set()
    async with asyncio.timeout(5.0):
        while legs._servers == ():
            await legs.learn_servers()
    assert legs._servers == [RELAY]


async def test_a_description_that_no_leg_can_be_made_of_is_a_failed_path() -> None:
    around, user = Around(), User()
    legs_of(around, user).failed(LEG, RemoteProtocolError("nonsense"))
    assert around.reported == [inputs.LegFailed(CALL, LEG, Stage.PATH)]
    assert user.refusals == 1
