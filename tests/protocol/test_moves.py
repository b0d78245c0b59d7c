"""A move changes its copy, and closes everything when it ends a call."""

from __future__ import annotations

import pytest

from entrenous.protocol.call import CallMachine
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import Device, Leg
from entrenous.protocol.moves import Move
from entrenous.protocol.outputs import CloseLeg, CloseMedia, OpenMedia, StartLeg
from entrenous.protocol.states import CallDeadline, CallState, EndReason, Role, Stage

BOB = Device("bob@x", "b1")
CALL = CallMachine(b"c" * 16, Role.CALLER, Device("anna@x", "a1"), "bob@x", Timeouts(), device=BOB)


def test_the_call_before_stays_as_it_was() -> None:
    move = Move(CALL, 5.0)
    move.arm(CallDeadline.RING, 10.0)
    move.start_leg()
    assert move.call.deadlines.at(CallDeadline.RING) == 15.0
    assert move.call.deadlines.at(CallDeadline.ATTEMPT) == 15.0
    assert move.outputs == [StartLeg(CALL.id, Leg(BOB, 1))]
    assert (CALL.legs, CALL.newest, CALL.next_deadline()) == (frozenset(), 0, None)


def test_an_end_leaves_nothing_open() -> None:
    move = Move(CALL, 0.0)
    move.open_media()
    move.open_media()
    move.open_leg(Leg(BOB, 1))
    move.open_leg(Leg(BOB, 0))
    move.arm(CallDeadline.RING, 10.0)
    move.end(EndReason.FAILED, Stage.PATH)
    assert move.outputs == [
        OpenMedia(CALL.id),
        CloseLeg(CALL.id, Leg(BOB, 0)),
        CloseLeg(CALL.id, Leg(BOB, 1)),
        CloseMedia(CALL.id),
    ]
    ended = move.call
    assert (ended.state, ended.reason, ended.stage) == (CallState.ENDED, EndReason.FAILED, Stage.PATH)
    assert ended.sentence == "The call could not be set up: no network path was found between the two devices."
    assert (ended.legs, ended.media_open, ended.next_deadline()) == (frozenset(), False, None)


def test_a_call_without_another_end_has_no_peer() -> None:
    nobody = CallMachine(b"c" * 16, Role.CALLER, Device("anna@x", "a1"), "bob@x", Timeouts())
    with pytest.raises(RuntimeError, match="no device at the other end"):
        _ = Move(nobody, 0.0).peer
