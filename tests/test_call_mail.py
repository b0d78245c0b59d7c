"""CallMail: what an end says and what is made of it; good and bad bodies in whole calls are in test_conversation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from entrenous.call import Call
from entrenous.call_mail import CallMail
from entrenous.crypto.messages import End, InnerMessage, MediaState
from entrenous.errors import LocalProtocolError, RemoteProtocolError, Replayed, VerificationError
from entrenous.events import PeerMedia
from entrenous.media.engine import IceServer
from entrenous.peer import MAX_FAILURES
from entrenous.protocol.causes import Cause
from entrenous.protocol.inputs import Device, EndReceived, Input, LocalFailure
from entrenous.protocol.outputs import SendEnd
from entrenous.protocol.states import CallState, EndReason, Stage
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Kind

CALL = b"c" * 16
ME = Device("alice@calls.example.org", "8899aabbccddeeff")
BOB = Device("bob@calls.example.org", "0011223344556677")
BODY = b"sealed"


class Peer:
    """A device whose bodies open to what the test puts in."""

    def __init__(self, *, leg_works: bool = False) -> None:
        self.device = BOB
        self.failures = 0
        self.opens_to: InnerMessage | Exception = End("remote")
        self.sealed: list[InnerMessage] = []
        self.by_leg: list[bytes] = []
        self.leg_works = leg_works
        self.has_keys = True

    def receive(self, body: bytes) -> InnerMessage:
        if isinstance(self.opens_to, Exception):
            raise self.opens_to
        return self.opens_to

    def seal(self, message: InnerMessage) -> bytes:
        if not self.has_keys:
            raise LocalProtocolError("There are no keys.")
        self.sealed.append(message)
        return BODY

    def send_data(self, body: bytes) -> bool:
        if self.leg_works:
            self.by_leg.append(body)
        return self.leg_works


class World:
    """A conversation, its node and its one peer."""

    def __init__(self, *, leg_works: bool = False, state: CallState = CallState.ACTIVE) -> None:
        self.id = CALL
        self.me = ME
        self.call = Call(CALL, Address("bob", "calls.example.org"), outgoing=True, has_video=False, contact=None)
        self.call.state = state
        self.peer = Peer(leg_works=leg_works)
        self.peers = {BOB: self.peer}
        self.media = self
        self.switched: list[PeerMedia] = []
        self.reported: list[Input] = []
        self.sent: list[Kind] = []
        self.broken: list[Exception] = []
        self.servers = self
        self.current: list[IceServer] = []
        self.mail = CallMail(cast(Any, self), cast(Any, self), cast(Any, self))

    def report(self, fact: Input) -> None:
        self.reported.append(fact)

    def send(self, device: Device, call: bytes, kind: Kind, body: bytes) -> None:
        self.sent.append(kind)

    def broke(self, error: Exception) -> None:
        self.broken.append(error)

    def peer_switched(self, switched: PeerMedia) -> None:
        self.switched.append(switched)

    def hear(self, message: InnerMessage | Exception, *, by_leg: bool = False) -> list[Input]:
        self.peer.opens_to = message
        self.mail.receive(BOB, BODY, by_leg=by_leg)
        heard, self.reported = self.reported, []
        return heard


def test_an_end_says_where_and_why_it_failed() -> None:
    world = World()
    world.mail.say_end(SendEnd(CALL, (BOB,), EndReason.FAILED, None, Stage.PATH, Cause.NO_RELAY))
    (said,) = world.peer.sealed
    assert said == End("failed", None, "path", "no-relay")
    heard = EndReceived(CALL, BOB, EndReason.FAILED, None, Stage.PATH, Cause.NO_RELAY, relays=False)
    assert world.hear(said) == [heard]
    world.current.append(IceServer("turn:192.0.2.1", "user", "password"))
    assert world.hear(said) == [replace(heard, relays=True)]


def test_a_cause_of_a_newer_program_does_not_spoil_the_end() -> None:
    expected = EndReceived(CALL, BOB, EndReason.FAILED, None, Stage.PATH, None, relays=False)
    assert World().hear(End("failed", stage="path", cause="solar-storm")) == [expected]


@pytest.mark.parametrize("odd", [End("tired"), End("failed", stage="moon")])
def test_an_end_that_makes_no_sense_is_refused(odd: End) -> None:
    world = World()
    assert world.hear(odd) == []
    assert world.mail.dropped == 1


def test_who_has_no_keys_any_more_needs_no_word() -> None:
    world = World()
    world.peer.has_keys = False
    world.mail.say_end(SendEnd(CALL, (BOB,), EndReason.CANCELLED, None, Stage.RING))
    assert (world.sent, world.peer.by_leg) == ([], [])


def test_an_end_goes_both_ways_and_a_word_of_a_live_call_by_the_leg_alone() -> None:
    world = World(leg_works=True)
    world.mail.say_end(SendEnd(CALL, (BOB,), EndReason.REMOTE, None, Stage.MEDIA))
    assert (world.sent, world.peer.by_leg) == ([Kind.END], [BODY])
    world.mail.say(cast(Any, world.peer), MediaState(1, True, False, True, False, False), Kind.SIGNAL)
    assert (world.sent, world.peer.by_leg) == ([Kind.END], [BODY, BODY])
    world.call.state = CallState.RECONNECTING
    world.mail.say(cast(Any, world.peer), MediaState(1, True, False, True, False, False), Kind.SIGNAL)
    assert world.sent == [Kind.END, Kind.SIGNAL], "the leg is doubted"


def test_repetitions_are_nobodys_fault_and_failures_add_up_to_an_end() -> None:
    world = World()
    for _ in range(MAX_FAILURES):
        assert world.hear(Replayed("again"), by_leg=True) == []
    assert world.mail.dropped == 0
    for _ in range(MAX_FAILURES):
        assert world.hear(RemoteProtocolError("authentic, but odd"), by_leg=True) == []
    for _ in range(MAX_FAILURES - 1):
        assert world.hear(VerificationError("forged"), by_leg=True) == []
    assert world.hear(VerificationError("forged"), by_leg=True) == [
        LocalFailure(CALL, Stage.HANDSHAKE, "", Cause.INTERFERENCE)
    ]


def test_what_the_server_makes_up_ends_no_live_call() -> None:
    world = World()
    for _ in range(2 * MAX_FAILURES):
        assert world.hear(VerificationError("forged")) == []


def test_a_fault_of_ours_is_told_as_such() -> None:
    world = World()
    world.hear(ZeroDivisionError())
    assert [type(error) for error in world.broken] == [ZeroDivisionError]


def test_nothing_is_taken_once_the_call_is_over() -> None:
    world = World(state=CallState.ENDED)
    assert world.hear(End("remote")) == []
    assert world.mail.dropped == 1


async def test_what_the_partner_switches_is_told_once_and_the_newest_counts() -> None:
    world = World()
    world.mail.partner = cast(Any, world.peer)
    for number in (5, 5, 6, 4):
        world.hear(
            MediaState(number, audio_muted=number > 4, video_muted=False, camera_on=True, screen_on=False, held=False)
        )
    events = aiter(world.call)
    async with asyncio.timeout(60.0):
        assert await anext(events) == PeerMedia(True, False, True, False, False)
    assert world.switched == [PeerMedia(True, False, True, False, False)]
    assert not world.call._events
