"""What happens when a ring meets a live call, and what the desk refuses from its own caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous.errors import LocalProtocolError
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.desk import MAX_TOMBSTONES, Desk
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    Declined,
    Device,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    HungUp,
    Input,
    KeysReady,
    Leg,
    MediaOpened,
    Rang,
    RingingReceived,
    Secured,
    SignalingLost,
)
from entrenous.protocol.outputs import CarryOver, OpenMedia, Output, SendAccept, SendEnd, SendRinging, StateChanged
from entrenous.protocol.states import CallState, EndReason, Stage

ANNA = Device("anna@x", "a1")
BOB, BOB2 = Device("bob@x", "b1"), Device("bob@x", "b2")
EVE = Device("eve@x", "e1")
LOW, MIDDLE, HIGH = (bytes([number]) * 16 for number in (10, 20, 30))


def ring(call: bytes, device: Device, age: float = 0.0) -> Rang:
    return Rang(call, device, age, EarlyLeg.NONE)


def after(*facts: Input, now: float = 0.0) -> Desk:
    desk = Desk(ANNA)
    for fact in facts:
        desk, _ = desk.handle(fact, now)
    return desk


def inviting(call: bytes = MIDDLE) -> Desk:
    return after(Dialled(call, "bob@x"), KeysReady(call, (BOB, BOB2)))


def in_call_with_bob() -> Desk:
    return after(ring(LOW, BOB), Accepted(LOW), MediaOpened(LOW), Secured(LOW, Leg(BOB, 0)))


def busy(call: bytes, device: Device) -> SendEnd:
    return SendEnd(call, (device,), EndReason.BUSY, None, Stage.RING)


def ends(outputs: tuple[Output, ...]) -> dict[bytes, EndReason | None]:
    return {
        output.call: output.reason
        for output in outputs
        if isinstance(output, StateChanged) and output.new is CallState.ENDED
    }


@pytest.mark.parametrize("live", [inviting(), in_call_with_bob(), after(ring(LOW, BOB))])
def test_another_user_hears_busy(live: Desk) -> None:
    desk, outputs = live.handle(ring(HIGH, EVE), 0.0)
    assert outputs == (busy(HIGH, EVE),)
    assert desk.live == live.live
    assert desk.handle(ring(HIGH, EVE), 0.0)[1] == (), "each call id is taken once"


def test_another_device_of_the_user_in_the_call_hears_busy() -> None:
    _, outputs = in_call_with_bob().handle(ring(HIGH, BOB2), 0.0)
    assert outputs == (busy(HIGH, BOB2),)


def test_glare_the_higher_id_stays() -> None:
    live = inviting(MIDDLE)
    desk, outputs = live.handle(ring(LOW, BOB), 0.0)
    assert outputs == (busy(LOW, BOB),)
    assert desk.live == live.live


def test_glare_the_lower_id_gives_way_and_accepts_by_itself() -> None:
    desk, outputs = inviting(MIDDLE).handle(ring(HIGH, BOB), 0.0)
    assert outputs[0] == SendEnd(MIDDLE, (BOB, BOB2), EndReason.CANCELLED, None, Stage.RING)
    assert outputs[1] == CarryOver(MIDDLE, HIGH)
    assert ends(outputs) == {MIDDLE: EndReason.CROSSED}
    assert outputs[3:5] == (SendRinging(HIGH, BOB, EarlyLeg.NONE), OpenMedia(HIGH))
    assert desk.live is not None
    assert (desk.live.id, desk.live.state) == (HIGH, CallState.ANSWERING)
    _, outputs = desk.handle(MediaOpened(HIGH), 0.0)
    assert outputs[0] == SendAccept(HIGH, BOB, offer_leg=True)


def test_equal_ids_end_both_calls() -> None:
    for dialling in (after(Dialled(MIDDLE, "bob@x")), inviting(MIDDLE)):
        desk, outputs = dialling.handle(ring(MIDDLE, BOB), 0.0)
        assert ends(outputs) == {MIDDLE: EndReason.CROSSED}
        assert desk.live is None


def test_a_stranger_cannot_end_a_call_with_its_id() -> None:
    live = inviting(MIDDLE)
    desk, outputs = live.handle(ring(MIDDLE, EVE), 0.0)
    assert (desk.live, outputs, desk.dropped) == (live.live, (), 1)


def test_a_dial_that_nobody_knows_of_yields() -> None:
    desk, outputs = after(Dialled(HIGH, "bob@x")).handle(ring(LOW, BOB), 0.0)
    assert outputs[0] == CarryOver(HIGH, LOW), "nothing was sent, so nothing is taken back"
    assert desk.live is not None
    assert (desk.live.id, desk.live.state) == (LOW, CallState.ANSWERING)


def test_a_device_that_rang_for_my_call_and_now_rings_me_has_crashed() -> None:
    alerting = after(
        Dialled(HIGH, "bob@x"), KeysReady(HIGH, (BOB, BOB2)), RingingReceived(HIGH, BOB, leg_offered=False)
    )
    desk, _ = alerting.handle(ring(LOW, BOB), 0.0)
    assert desk.live is not None
    assert desk.live.id == LOW, "although the other call id is higher"
    _, outputs = alerting.handle(ring(LOW, BOB2), 0.0)
    assert outputs == (busy(LOW, BOB2),), "the other device has not rung: that is glare"


def test_the_device_in_the_call_rings_anew() -> None:
    desk, outputs = in_call_with_bob().handle(ring(HIGH, BOB), 0.0)
    assert ends(outputs) == {LOW: EndReason.RECALLED}
    assert outputs[0] == SendEnd(LOW, (BOB,), EndReason.LOST, None, Stage.MEDIA), "closes the record"
    assert desk.live is not None
    assert (desk.live.id, desk.live.state) == (HIGH, CallState.RINGING), "the user decides anew"


def test_the_device_that_rings_rings_anew() -> None:
    desk, outputs = after(ring(LOW, BOB)).handle(ring(HIGH, BOB), 0.0)
    assert ends(outputs) == {LOW: EndReason.RECALLED}
    assert not any(isinstance(output, SendEnd) for output in outputs)
    assert desk.live is not None
    assert desk.live.id == HIGH


def test_a_ring_is_taken_once_and_only_while_it_is_fresh() -> None:
    times = Timeouts()
    for age in (times.ring + 1, -times.ring - 1):
        desk, outputs = Desk(ANNA).handle(ring(LOW, BOB, age), 0.0)
        assert (desk.live, outputs, desk.dropped) == (None, (), 1)
    desk = after(ring(LOW, BOB), Declined(LOW))
    desk, outputs = desk.handle(ring(LOW, BOB), times.tombstone - 1)
    assert (outputs, desk.dropped) == ((), 1)
    desk, outputs = after(ring(LOW, BOB)).handle(ring(LOW, BOB), 0.0)
    assert (outputs, desk.dropped) == ((), 1)


def test_a_ring_from_oneself_is_dropped() -> None:
    desk, outputs = Desk(ANNA).handle(ring(LOW, Device("anna@x", "a2")), 0.0)
    assert (desk.live, outputs, desk.dropped) == (None, (), 1)


def test_tombstones_are_bounded_in_time_and_number() -> None:
    desk = after(ring(LOW, BOB), Declined(LOW))
    desk, _ = desk.handle(ring(MIDDLE, BOB), Timeouts().tombstone + 1)
    desk, _ = desk.handle(Declined(MIDDLE), Timeouts().tombstone + 1)
    assert [call for _, call in desk.tombstones] == [MIDDLE]
    full = replace(desk, tombstones=tuple((1.0 + number, number.to_bytes(16)) for number in range(MAX_TOMBSTONES)))
    desk, _ = full.handle(ring(LOW, BOB), 0.0)
    desk, _ = desk.handle(Declined(LOW), 0.0)
    assert len(desk.tombstones) == MAX_TOMBSTONES
    assert LOW in {call for _, call in desk.tombstones}


@pytest.mark.parametrize(
    ("desk", "fact", "sentence"),
    [
        (inviting(), Dialled(LOW, "eve@x"), "There is a call with bob@x already"),
        (Desk(ANNA), Dialled(LOW, "anna@x"), "your own address"),
        (Desk(ANNA), Dialled(b"short", "bob@x"), "16 bytes"),
        (after(ring(LOW, BOB), Declined(LOW)), Dialled(LOW, "bob@x"), "only once"),
        (Desk(ANNA), Accepted(LOW), "no such call"),
        (Desk(ANNA), HungUp(LOW), "no such call"),
    ],
)
def test_what_our_own_caller_does_wrongly_raises(desk: Desk, fact: Input, sentence: str) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        desk.handle(fact, 0.0)


def test_a_user_who_is_late_does_no_harm() -> None:
    desk, outputs = after(ring(LOW, BOB), Declined(LOW)).handle(Accepted(LOW), 0.0)
    assert (outputs, desk.dropped) == ((), 1)


def test_facts_about_calls_that_are_over_are_dropped() -> None:
    desk = after(ring(LOW, BOB), Declined(LOW))
    for fact in (AcceptReceived(LOW, BOB, leg_offered=False), DeviceOffline(LOW, BOB), Secured(HIGH, Leg(BOB, 0))):
        desk, outputs = desk.handle(fact, 0.0)
        assert outputs == ()
    assert desk.dropped == 3


def test_dropped_counts_those_of_its_calls_too() -> None:
    desk, _ = inviting().handle(Accepted(MIDDLE), 0.0)
    desk, _ = desk.handle(AcceptReceived(MIDDLE, EVE, leg_offered=False), 0.0)
    assert desk.dropped == 2
    desk, _ = desk.handle(HungUp(MIDDLE), 0.0)
    assert desk.dropped == 2


def test_deadlines_are_those_of_the_live_call() -> None:
    desk = Desk(ANNA)
    assert desk.next_deadline() is None
    assert desk.handle_timeout(1e9) == (desk, ())
    assert desk.handle(SignalingLost(), 0.0) == (desk, ())
    desk = after(ring(LOW, BOB), now=5.0)
    assert desk.next_deadline() == 5.0 + Timeouts().ring
    desk, outputs = desk.handle_timeout(5.0 + Timeouts().ring)
    assert ends(outputs) == {LOW: EndReason.MISSED}
    assert (desk.live, desk.next_deadline()) == (None, None)


def test_a_ring_that_was_held_back_does_not_end_the_call_that_came_after_it() -> None:
    """Who carries the messages may keep a ring that its caller gave up, and deliver it into the call after."""
    desk = after(ring(LOW, BOB, age=2.0), Accepted(LOW), MediaOpened(LOW), Secured(LOW, Leg(BOB, 0)), now=100.0)
    held_back, outputs = desk.handle(ring(HIGH, BOB, age=25.0), 120.0)
    assert outputs == ()
    assert held_back.live == desk.live
    _, outputs = desk.handle(ring(HIGH, BOB, age=1.0), 120.0)
    assert any(isinstance(output, SendRinging) for output in outputs)
