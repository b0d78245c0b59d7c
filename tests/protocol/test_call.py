"""Scripts for every row of the transition table, and proof that nothing but the table moves a call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import pytest

from entrenous.protocol import call as call_module
from entrenous.protocol.call import CallFact, CallMachine
from entrenous.protocol.causes import Cause, Side
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    BetterPath,
    Crossed,
    DeadlinePassed,
    Declined,
    Device,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    EndReceived,
    Flowed,
    HungUp,
    KeysFailed,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    LocalFailure,
    MediaOpened,
    NetworkChanged,
    PathFound,
    PleaseReceived,
    Rang,
    Recalled,
    RingingReceived,
    Secured,
    SignalingLost,
    SignalingRestored,
    Stalled,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CarryOver,
    CloseLeg,
    CloseMedia,
    FetchKeys,
    MoveMedia,
    OpenGate,
    OpenMedia,
    SendAccept,
    SendEnd,
    SendPlease,
    SendRing,
    SendRinging,
    StartLeg,
    StateChanged,
)
from entrenous.protocol.states import TABLE, CallDeadline, CallState, EndReason, Event, Role, Rule, Stage, rule
from world.playbook import Playbook

ID = b"c" * 16
ANNA = Device("anna@x", "a1")
BOB, BOB2, BOB3 = Device("bob@x", "b1"), Device("bob@x", "b2"), Device("bob@x", "b3")
EVE = Device("eve@x", "e1")
TIMES = Timeouts()
S = CallState

Script = Callable[[], None]
SCRIPTS: list[Script] = []


def script(play: Script) -> Script:
    SCRIPTS.append(play)
    return play


def changed(old: CallState, new: CallState, stage: Stage) -> StateChanged:
    return StateChanged(ID, old, new, stage)


def end(reason: EndReason, stage: Stage, *devices: Device, accepted: Device | None = None) -> SendEnd:
    return SendEnd(ID, devices, reason, accepted, stage)


def failing(stage: Stage, cause: Cause | None, *devices: Device) -> SendEnd:
    return SendEnd(ID, devices, EndReason.FAILED, None, stage, cause)


# --- the way to each state ---


def caller() -> Playbook:
    return Playbook(CallMachine(ID, Role.CALLER, ANNA, "bob@x", TIMES))


def preparing() -> Playbook:
    return caller().on(Dialled(ID, "bob@x")).skip()


def inviting() -> Playbook:
    return preparing().on(KeysReady(ID, (BOB, BOB2))).skip()


def alerting() -> Playbook:
    return inviting().on(RingingReceived(ID, BOB, leg_offered=True)).skip()


def callee(*, rings_back: bool = False) -> Playbook:
    return Playbook(CallMachine(ID, Role.CALLEE, BOB, "anna@x", TIMES, rings_back=rings_back))


def ringing(early_leg: EarlyLeg = EarlyLeg.DIRECT) -> Playbook:
    return callee().on(Rang(ID, ANNA, 0.0, early_leg)).skip()


def answering(early_leg: EarlyLeg = EarlyLeg.DIRECT) -> Playbook:
    return ringing(early_leg).on(Accepted(ID)).skip()


def connecting(role: Role) -> Playbook:
    if role is Role.CALLER:
        return alerting().on(AcceptReceived(ID, BOB, leg_offered=False)).skip()
    return answering().on(MediaOpened(ID)).skip()


def active(role: Role) -> Playbook:
    return connecting(role).on(Secured(ID, Leg(peer(role), 0))).skip()


def reconnecting(role: Role) -> Playbook:
    return active(role).on(Stalled(ID, Leg(peer(role), 0))).skip()


def peer(role: Role) -> Device:
    return BOB if role is Role.CALLER else ANNA


ANSWERED = (connecting, active, reconnecting)


# --- calling ---


@script
def dial_and_ring() -> None:
    with caller() as play:
        play.on(Dialled(ID, "bob@x")).expect(FetchKeys(ID, "bob@x"), changed(S.NEW, S.PREPARING, Stage.KEYS))
        play.on(KeysReady(ID, (BOB, BOB2, BOB))).expect(
            SendRing(ID, (BOB, BOB2)), changed(S.PREPARING, S.INVITING, Stage.RING)
        )
        play.on(RingingReceived(ID, BOB, leg_offered=True)).expect(
            AnswerLeg(ID, Leg(BOB, 0)), changed(S.INVITING, S.ALERTING, Stage.RING)
        )
        play.on(RingingReceived(ID, BOB2, leg_offered=False)).expect_nothing()
        assert play.call.rung == {BOB, BOB2}


@script
def nobody_has_a_device() -> None:
    with preparing() as play:
        ended = play.on(KeysReady(ID, ())).expect_end()
        assert (ended.reason, ended.stage) == (EndReason.OFFLINE, Stage.KEYS)


@script
def the_keys_fail() -> None:
    with preparing() as play:
        ended = play.on(KeysFailed(ID, EndReason.UNKNOWN_USER)).expect_end()
        assert (ended.reason, ended.stage) == (EndReason.UNKNOWN_USER, Stage.KEYS)
        assert ended.sentence == "There is no user bob@x: check the address."
    with preparing() as play:
        ended = play.on(KeysFailed(ID, EndReason.FAILED, "Bob's identity key has changed.")).expect_end()
        assert (ended.reason, ended.sentence) == (EndReason.FAILED, "Bob's identity key has changed.")


@script
def the_keys_never_come() -> None:
    with preparing() as play:
        ended = play.wait(TIMES.ring).expect_end()
        assert (ended.reason, ended.stage) == (EndReason.FAILED, Stage.KEYS)


@script
def the_caller_leaves_before_the_rings_are_out() -> None:
    with preparing() as play:
        assert play.on(HungUp(ID)).expect_end().reason is EndReason.LOCAL
    with preparing() as play:
        ended = play.on(LocalFailure(ID, Stage.MEDIA, "No microphone.")).expect_end()
        assert (ended.reason, ended.stage, ended.sentence) == (EndReason.FAILED, Stage.MEDIA, "No microphone.")


@script
def the_caller_leaves_while_it_rings() -> None:
    for state in (inviting, alerting):
        with state() as play:
            legs = [CloseLeg(ID, leg) for leg in play.call.legs]
            cancel = end(EndReason.CANCELLED, Stage.RING, BOB, BOB2)
            assert play.on(HungUp(ID)).expect_end(cancel, *legs).reason is EndReason.LOCAL
        with state() as play:
            failed = end(EndReason.FAILED, Stage.MEDIA, BOB, BOB2)
            ended = play.on(LocalFailure(ID, Stage.MEDIA, "No microphone.")).expect_end(failed, *legs)
            assert (ended.reason, ended.stage) == (EndReason.FAILED, Stage.MEDIA)


@script
def nobody_answers() -> None:
    for state in (inviting, alerting):
        with state() as play:
            legs = [CloseLeg(ID, leg) for leg in play.call.legs]
            play.wait(TIMES.ring - 0.1).expect_nothing()
            ended = play.wait(0.1).expect_end(end(EndReason.CANCELLED, Stage.RING, BOB, BOB2), *legs)
            assert (ended.reason, ended.stage) == (EndReason.UNANSWERED, Stage.RING)


@script
def one_device_declines_for_all() -> None:
    for state in (inviting, alerting):
        for reason in (EndReason.DECLINED, EndReason.BUSY):
            with state() as play:
                legs = [CloseLeg(ID, leg) for leg in play.call.legs]
                play.on(EndReceived(ID, BOB2, reason))
                assert play.expect_end(end(EndReason.ELSEWHERE, Stage.RING, BOB), *legs).reason is reason


@script
def devices_are_lost_one_by_one() -> None:
    for state in (inviting, alerting):
        with state() as play:
            legs = [CloseLeg(ID, leg) for leg in play.call.legs]
            play.on(DeviceOffline(ID, BOB)).expect(*legs)
            cancel = end(EndReason.CANCELLED, Stage.RING, BOB, BOB2)
            ended = play.on(DeviceOffline(ID, BOB2)).expect_end(cancel)
            assert (ended.reason, ended.stage) == (EndReason.OFFLINE, Stage.RING)
        with state() as play:
            play.on(EndReceived(ID, BOB2, EndReason.FAILED)).expect_nothing()
            play.on(DeviceOffline(ID, BOB)).skip()
            assert play.call.reason is EndReason.OFFLINE
        with state() as play:
            play.on(DeviceOffline(ID, BOB2), EndReceived(ID, BOB, EndReason.FAILED)).skip()
            assert play.call.reason is EndReason.FAILED


@script
def a_device_that_seemed_offline_may_answer() -> None:
    with inviting() as play:
        play.on(DeviceOffline(ID, BOB), AcceptReceived(ID, BOB, leg_offered=True)).skip()
        assert play.call.state is S.CONNECTING


@script
def accepted_with_the_early_leg_secured() -> None:
    with alerting() as play:
        play.on(RingingReceived(ID, BOB2, leg_offered=True)).expect(AnswerLeg(ID, Leg(BOB2, 0)))
        play.on(PathFound(ID, Leg(BOB, 0))).expect_nothing()
        play.on(Secured(ID, Leg(BOB, 0))).expect_nothing()
        play.on(AcceptReceived(ID, BOB, leg_offered=False)).expect(
            end(EndReason.ELSEWHERE, Stage.RING, BOB2, accepted=BOB),
            CloseLeg(ID, Leg(BOB2, 0)),
            OpenMedia(ID),
            OpenGate(ID, Leg(BOB, 0)),
            changed(S.ALERTING, S.ACTIVE, Stage.MEDIA),
        )
        assert play.call.next_deadline() is None


@script
def accepted_before_the_leg_is_secured() -> None:
    with alerting() as play:
        play.on(AcceptReceived(ID, BOB, leg_offered=False)).expect(
            end(EndReason.ELSEWHERE, Stage.RING, BOB2, accepted=BOB),
            OpenMedia(ID),
            changed(S.ALERTING, S.CONNECTING, Stage.PATH),
        )
        play.on(MediaOpened(ID)).expect_nothing()
        play.on(PathFound(ID, Leg(BOB, 0))).expect_nothing()
        assert play.call.stage is Stage.HANDSHAKE
        play.on(Secured(ID, Leg(BOB, 0))).expect(
            OpenGate(ID, Leg(BOB, 0)), changed(S.CONNECTING, S.ACTIVE, Stage.MEDIA)
        )


@script
def accepted_with_the_leg_in_the_accept() -> None:
    with inviting() as play:
        play.on(AcceptReceived(ID, BOB, leg_offered=True)).expect(
            end(EndReason.ELSEWHERE, Stage.RING, BOB2, accepted=BOB),
            AnswerLeg(ID, Leg(BOB, 0)),
            OpenMedia(ID),
            changed(S.INVITING, S.CONNECTING, Stage.PATH),
        )


@script
def an_early_leg_fails_while_it_rings() -> None:
    with alerting() as play:
        play.on(LegFailed(ID, Leg(BOB, 0), Stage.PATH)).expect(CloseLeg(ID, Leg(BOB, 0)))
        play.on(AcceptReceived(ID, BOB, leg_offered=False)).expect(
            end(EndReason.ELSEWHERE, Stage.RING, BOB2, accepted=BOB),
            OpenMedia(ID),
            StartLeg(ID, Leg(BOB, 1)),
            changed(S.ALERTING, S.CONNECTING, Stage.PATH),
        )
    with ringing() as play:
        play.on(LegFailed(ID, Leg(ANNA, 0), Stage.HANDSHAKE)).expect(CloseLeg(ID, Leg(ANNA, 0)))
        play.on(Accepted(ID), MediaOpened(ID)).expect(
            SendAccept(ID, ANNA, offer_leg=False),
            SendPlease(ID, Leg(ANNA, 0), stalled=True),
            changed(S.ANSWERING, S.CONNECTING, Stage.HANDSHAKE),
        )
    with answering() as play:
        play.on(LegClosed(ID, Leg(ANNA, 0))).expect(CloseLeg(ID, Leg(ANNA, 0)))


# --- being called ---


@script
def ring_and_accept() -> None:
    with callee() as play:
        play.on(Rang(ID, ANNA, 0.0, EarlyLeg.DIRECT)).expect(
            SendRinging(ID, ANNA, EarlyLeg.DIRECT), changed(S.NEW, S.RINGING, Stage.RING)
        )
        play.on(PathFound(ID, Leg(ANNA, 0))).expect_nothing()
        play.on(Secured(ID, Leg(ANNA, 0))).expect_nothing()
        play.on(Accepted(ID)).expect(OpenMedia(ID), changed(S.RINGING, S.ANSWERING, Stage.RING))
        play.on(MediaOpened(ID)).expect(
            SendAccept(ID, ANNA, offer_leg=False),
            OpenGate(ID, Leg(ANNA, 0)),
            changed(S.ANSWERING, S.ACTIVE, Stage.MEDIA),
        )
        assert play.call.next_deadline() is None


@script
def the_early_leg_is_secured_while_media_opens() -> None:
    with answering() as play:
        play.on(PathFound(ID, Leg(ANNA, 0))).expect_nothing()
        play.on(Secured(ID, Leg(ANNA, 0))).expect_nothing()


@script
def ring_without_an_early_leg() -> None:
    with answering(EarlyLeg.NONE) as play:
        play.on(MediaOpened(ID)).expect(
            SendAccept(ID, ANNA, offer_leg=True), changed(S.ANSWERING, S.CONNECTING, Stage.PATH)
        )


@script
def a_relayed_early_leg_is_followed_by_a_direct_one() -> None:
    with ringing(EarlyLeg.RELAY) as play:
        play.on(Secured(ID, Leg(ANNA, 0)), Accepted(ID), MediaOpened(ID)).expect(
            SendAccept(ID, ANNA, offer_leg=False),
            OpenGate(ID, Leg(ANNA, 0)),
            SendPlease(ID, Leg(ANNA, 0), stalled=False),
            changed(S.ANSWERING, S.ACTIVE, Stage.MEDIA),
        )
    with active(Role.CALLER) as play:
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=False)).expect(StartLeg(ID, Leg(BOB, 1)))
    with connecting(Role.CALLER) as play:
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=False)).expect_nothing()
        play.on(Secured(ID, Leg(BOB, 0))).expect(
            OpenGate(ID, Leg(BOB, 0)), StartLeg(ID, Leg(BOB, 1)), changed(S.CONNECTING, S.ACTIVE, Stage.MEDIA)
        )


@script
def a_ring_from_whom_we_were_calling_is_accepted() -> None:
    with callee(rings_back=True) as play:
        play.on(Rang(ID, ANNA, 0.0, EarlyLeg.DIRECT)).expect(
            SendRinging(ID, ANNA, EarlyLeg.DIRECT), OpenMedia(ID), changed(S.NEW, S.ANSWERING, Stage.RING)
        )


@script
def decline() -> None:
    for refuse in (Declined(ID), HungUp(ID)):
        declined = end(EndReason.DECLINED, Stage.RING, ANNA)
        with ringing() as play:
            assert play.on(refuse).expect_end(declined, CloseLeg(ID, Leg(ANNA, 0))).reason is EndReason.LOCAL
        with answering() as play:
            ended = play.on(refuse).expect_end(declined, CloseLeg(ID, Leg(ANNA, 0)), CloseMedia(ID))
            assert ended.reason is EndReason.LOCAL


@script
def nobody_is_there() -> None:
    with ringing() as play:
        ended = play.wait(TIMES.ring).expect_end(CloseLeg(ID, Leg(ANNA, 0)))
        assert (ended.reason, ended.sentence) == (EndReason.MISSED, "You missed a call from anna@x.")


@script
def the_callee_cannot_open_its_media() -> None:
    failure = LocalFailure(ID, Stage.MEDIA, "No microphone.")
    told = end(EndReason.FAILED, Stage.MEDIA, ANNA)
    with ringing() as play:
        assert play.on(failure).expect_end(told, CloseLeg(ID, Leg(ANNA, 0))).sentence == "No microphone."
    with answering() as play:
        ended = play.on(failure).expect_end(told, CloseLeg(ID, Leg(ANNA, 0)), CloseMedia(ID))
        assert (ended.reason, ended.stage) == (EndReason.FAILED, Stage.MEDIA)
    with answering() as play:
        told = failing(Stage.MEDIA, Cause.MEDIA, ANNA)
        ended = play.wait(TIMES.answer).expect_end(told, CloseLeg(ID, Leg(ANNA, 0)), CloseMedia(ID))
        assert (ended.reason, ended.stage, ended.cause) == (EndReason.FAILED, Stage.MEDIA, Cause.MEDIA)


@script
def the_caller_ends_before_accept() -> None:
    for state in (ringing, answering):
        for said in (EndReason.CANCELLED, EndReason.FAILED, EndReason.REMOTE):
            with state() as play:
                play.on(EndReceived(ID, ANNA, said, None, Stage.PATH)).skip()
                assert play.call.reason is said
                assert play.call.stage is (Stage.PATH if said is EndReason.FAILED else Stage.RING)
        with state() as play:
            play.on(DeviceOffline(ID, ANNA)).expect_nothing()


@script
def another_device_took_it() -> None:
    states = (ringing, answering, *(lambda state=state: state(Role.CALLEE) for state in ANSWERED))
    for state in states:
        for taken_by in (BOB2, None):
            with state() as play:
                play.on(EndReceived(ID, ANNA, EndReason.ELSEWHERE, taken_by, Stage.RING)).skip()
                assert play.call.reason is EndReason.ELSEWHERE
                assert not play.call.legs
                assert not play.call.media_open


# --- answered ---


@script
def no_leg_becomes_secured() -> None:
    with connecting(Role.CALLER) as play:
        for generation in (0, 1):
            play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(BOB, generation)), StartLeg(ID, Leg(BOB, generation + 1)))
        play.on(PathFound(ID, Leg(BOB, 2))).expect_nothing()
        ended = play.wait(TIMES.attempt).skip().call
        assert (ended.reason, ended.stage) == (EndReason.FAILED, Stage.HANDSHAKE)
        assert (ended.cause, ended.side) == (Cause.TIMEOUT, Side.BETWEEN)
    with connecting(Role.CALLEE) as play:
        play.on(PathFound(ID, Leg(ANNA, 0))).expect_nothing()
        play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(ANNA, 0)), SendPlease(ID, Leg(ANNA, 0), stalled=True))
        play.wait(TIMES.connect - TIMES.attempt - 0.1).expect_nothing()
        told = failing(Stage.HANDSHAKE, Cause.TIMEOUT, ANNA)
        ended_now = play.wait(0.1).expect_end(told, CloseMedia(ID))
        assert (ended_now.reason, ended_now.stage) == (EndReason.FAILED, Stage.HANDSHAKE)


@script
def an_early_leg_that_fails_is_followed_by_a_fresh_one_at_once() -> None:
    for cause in (None, Cause.NO_ANSWER, Cause.RELAY_REFUSED):
        with connecting(Role.CALLER) as play:
            failed = LegFailed(ID, Leg(BOB, 0), Stage.PATH, cause, hidden=True)
            play.on(failed).expect(CloseLeg(ID, Leg(BOB, 0)), StartLeg(ID, Leg(BOB, 1)))
        with connecting(Role.CALLEE) as play:
            failed = LegFailed(ID, Leg(ANNA, 0), Stage.PATH, cause, hidden=True)
            please = SendPlease(ID, Leg(ANNA, 0), stalled=True)
            play.on(failed).expect(CloseLeg(ID, Leg(ANNA, 0)), please)


@script
def a_fresh_leg_that_cannot_work_ends_the_call_with_its_cause() -> None:
    fresh: list[tuple[Playbook, Leg]] = [
        (connecting(Role.CALLER).on(LegFailed(ID, Leg(BOB, 0), Stage.PATH)).skip(), Leg(BOB, 1)),
        (connecting(Role.CALLEE).on(LegOffered(ID, Leg(ANNA, 1))).skip(), Leg(ANNA, 1)),
        (inviting().on(AcceptReceived(ID, BOB, leg_offered=True)).skip(), Leg(BOB, 0)),
        (answering(EarlyLeg.NONE).on(MediaOpened(ID)).skip(), Leg(ANNA, 0)),
        (connecting(Role.CALLER), Leg(BOB, 0)),  # early, but nobody hid anything
        (connecting(Role.CALLEE), Leg(ANNA, 0)),
    ]
    for begun, leg in fresh:
        with begun as play:
            play.on(LegFailed(ID, leg, Stage.PATH, Cause.RELAY_REFUSED, hidden=leg.generation > 0))
            told = failing(Stage.PATH, Cause.RELAY_REFUSED, leg.device)
            ended = play.expect_end(told, CloseLeg(ID, leg), CloseMedia(ID))
            assert (ended.reason, ended.stage) == (EndReason.FAILED, Stage.PATH)
            assert (ended.cause, ended.side) == (Cause.RELAY_REFUSED, Side.HERE)
            assert "turned us away" in ended.sentence
    with connecting(Role.CALLEE).on(LegOffered(ID, Leg(ANNA, 1))).skip() as play:
        play.on(LegFailed(ID, Leg(ANNA, 1), Stage.PATH, Cause.NO_ANSWER, relays=False)).skip()
        assert play.call.side is Side.BETWEEN
        assert "offers no relay" in play.call.sentence
    with connecting(Role.CALLER).on(LegFailed(ID, Leg(BOB, 0), Stage.PATH)).skip() as play:
        play.on(PathFound(ID, Leg(BOB, 1)), LegFailed(ID, Leg(BOB, 1), Stage.HANDSHAKE, Cause.FINGERPRINT)).skip()
        assert (play.call.state, play.call.stage, play.call.cause) == (S.ENDED, Stage.HANDSHAKE, Cause.FINGERPRINT)


@script
def a_network_that_is_away_for_a_moment_ends_no_accepted_call() -> None:
    for role in Role:
        first, second = Leg(peer(role), 0), Leg(peer(role), 1)
        again = StartLeg(ID, second) if role is Role.CALLER else SendPlease(ID, first, stalled=True)
        with connecting(role) as play:
            play.on(LegFailed(ID, first, Stage.PATH, Cause.NO_NETWORK)).expect(CloseLeg(ID, first))
            play.wait(1.0).expect_nothing()
            play.on(NetworkChanged()).expect(again)
            if role is Role.CALLEE:
                play.on(LegOffered(ID, second)).expect(AnswerLeg(ID, second))
            play.wait(TIMES.offline).expect_nothing()
            play.on(LegFailed(ID, second, Stage.PATH)).expect(CloseLeg(ID, second))
            play.wait(TIMES.retry).skip()
            assert play.call.state is S.CONNECTING, "it failed otherwise than for want of a network"
        with connecting(role).on(LegFailed(ID, first, Stage.PATH, Cause.NO_NETWORK)).skip() as play:
            play.wait(TIMES.offline / 2).expect_nothing()
            play.on(NetworkChanged()).skip()
            if role is Role.CALLER:
                play.on(LegFailed(ID, second, Stage.PATH, Cause.NO_NETWORK)).expect(CloseLeg(ID, second))
            told = failing(Stage.PATH, Cause.NO_NETWORK, peer(role))
            ended = play.wait(TIMES.offline / 2).expect_end(told, CloseMedia(ID))
            assert (ended.cause, ended.side) == (Cause.NO_NETWORK, Side.HERE)
        with connecting(role).on(LegFailed(ID, first, Stage.PATH, Cause.NO_NETWORK)).skip() as play:
            play.on(NetworkChanged(), LegOffered(ID, second)).skip()
            play.wait(TIMES.attempt).skip()
            assert play.call.state is S.CONNECTING, "what takes too long does so over a network"


@script
def no_cause_ends_a_call_that_had_media() -> None:
    for role in Role:
        leg = Leg(peer(role), 1)
        begin = BetterPath(ID) if role is Role.CALLER else LegOffered(ID, leg)
        with active(role).on(begin).skip() as play:
            play.on(LegFailed(ID, leg, Stage.PATH, Cause.NO_ANSWER)).expect(CloseLeg(ID, leg))
            assert play.call.state is S.ACTIVE
        with reconnecting(role) as play:
            if role is Role.CALLEE:
                play.on(LegOffered(ID, leg)).skip()
            play.on(LegFailed(ID, leg, Stage.PATH, Cause.NO_NETWORK)).expect(CloseLeg(ID, leg))
            again = StartLeg(ID, Leg(BOB, 2)) if role is Role.CALLER else SendPlease(ID, leg, stalled=True)
            play.wait(TIMES.retry).expect_nothing()  # without a network there is nothing to try
            play.on(NetworkChanged()).expect(again)
            assert play.call.deadlines.at(CallDeadline.RETRY) is None


@script
def the_other_end_says_what_did_not_work() -> None:
    for role in Role:
        for state in ANSWERED:
            with state(role) as play:
                said = EndReceived(ID, peer(role), EndReason.FAILED, None, Stage.PATH, Cause.NO_RELAY)
                play.on(said).skip()
                assert (play.call.stage, play.call.cause, play.call.side) == (Stage.PATH, Cause.NO_RELAY, Side.THERE)
                what = "The call could not be set up" if state is connecting else "The call broke off"
                assert play.call.sentence.startswith(f"{what}: {peer(role).address} allows")
            with state(role) as play:
                said = EndReceived(ID, peer(role), EndReason.FAILED, None, Stage.PATH, Cause.NO_ANSWER, relays=False)
                play.on(said).skip()
                assert "your server offers no relay" in play.call.sentence
    with inviting() as play:
        play.on(DeviceOffline(ID, BOB2)).skip()
        play.on(EndReceived(ID, BOB, EndReason.FAILED, None, Stage.PATH, Cause.NO_RELAY)).skip()
        assert (play.call.reason, play.call.cause, play.call.side) == (EndReason.FAILED, Cause.NO_RELAY, Side.THERE)


@script
def a_changed_network_cuts_the_pause_short_and_nothing_else() -> None:
    quiet = (preparing, inviting, alerting, ringing, answering)
    for state in (*quiet, *(lambda state=state, role=role: state(role) for state in ANSWERED for role in Role)):
        with state() as play:
            play.on(NetworkChanged()).expect_nothing()
    with connecting(Role.CALLER).on(LegFailed(ID, Leg(BOB, 0), Stage.PATH)).skip() as play:
        play.on(LegFailed(ID, Leg(BOB, 1), Stage.PATH)).expect(CloseLeg(ID, Leg(BOB, 1)))
        play.on(NetworkChanged()).expect(StartLeg(ID, Leg(BOB, 2)))


@script
def without_a_server_the_failure_names_it() -> None:
    for role in Role:
        with connecting(role) as play:
            play.on(SignalingLost()).expect_nothing()
            play.wait(TIMES.connect).skip()
            assert (play.call.reason, play.call.cause) == (EndReason.FAILED, Cause.SERVER_UNREACHABLE)
        with connecting(role).on(PathFound(ID, Leg(peer(role), 0)), SignalingLost()).skip() as play:
            play.call = dataclasses.replace(play.call, deadlines=play.call.deadlines.cancel(CallDeadline.ATTEMPT))
            play.wait(TIMES.connect).skip()
            assert (play.call.stage, play.call.cause) == (Stage.HANDSHAKE, Cause.TIMEOUT), "no fault of the server"
    with inviting() as play:
        play.on(SignalingLost()).expect_nothing()
        play.wait(TIMES.ring).skip()
        assert (play.call.reason, play.call.stage) == (EndReason.FAILED, Stage.RING)
        assert (play.call.cause, play.call.side) == (Cause.SERVER_UNREACHABLE, Side.HERE)
    with alerting() as play:
        play.on(SignalingLost()).expect_nothing()
        play.wait(TIMES.ring).skip()
        assert play.call.reason is EndReason.UNANSWERED, "it rang"


@script
def an_end_that_hears_well_does_not_give_up() -> None:
    with active(Role.CALLER) as play:
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=True)).skip()
        play.on(LegFailed(ID, Leg(BOB, 1), Stage.PATH, Cause.RELAY_UNREACHABLE)).skip()
        play.wait(TIMES.reconnect).skip()
        assert play.call.state is S.ACTIVE
        assert play.call.deadlines.at(CallDeadline.RECONNECT) is None
    with active(Role.CALLER) as play:
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=True)).skip()
        play.on(Stalled(ID, Leg(BOB, 0))).expect_nothing()
        play.wait(TIMES.reconnect).skip()
        assert play.call.reason is EndReason.LOST
    with active(Role.CALLER) as play:
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=True)).skip()
        play.on(LegClosed(ID, Leg(BOB, 0))).skip()
        play.wait(TIMES.reconnect).skip()
        assert play.call.reason is EndReason.LOST


@script
def a_failed_leg_is_followed_by_another_after_a_pause() -> None:
    with connecting(Role.CALLER) as play:
        play.on(LegFailed(ID, Leg(BOB, 0), Stage.PATH)).skip()
        play.on(LegFailed(ID, Leg(BOB, 1), Stage.HANDSHAKE, Cause.TIMEOUT)).expect(CloseLeg(ID, Leg(BOB, 1)))
        play.wait(TIMES.retry).expect(StartLeg(ID, Leg(BOB, 2)))
    with connecting(Role.CALLEE) as play:
        play.on(LegOffered(ID, Leg(ANNA, 1))).skip()
        play.on(LegFailed(ID, Leg(ANNA, 1), Stage.PATH)).expect(CloseLeg(ID, Leg(ANNA, 1)))
        play.wait(TIMES.retry).expect(SendPlease(ID, Leg(ANNA, 1), stalled=True))
    with reconnecting(Role.CALLER) as play:
        play.on(LegFailed(ID, Leg(BOB, 1), Stage.PATH)).expect(CloseLeg(ID, Leg(BOB, 1)))
        play.wait(TIMES.retry).expect(StartLeg(ID, Leg(BOB, 2)))
        play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(BOB, 2)), StartLeg(ID, Leg(BOB, 3)))
    with reconnecting(Role.CALLEE) as play:
        play.on(LegOffered(ID, Leg(ANNA, 1))).expect(AnswerLeg(ID, Leg(ANNA, 1)))
        play.on(LegFailed(ID, Leg(ANNA, 1), Stage.PATH)).expect(CloseLeg(ID, Leg(ANNA, 1)))
        play.wait(TIMES.retry).expect(SendPlease(ID, Leg(ANNA, 1), stalled=True))
    with reconnecting(Role.CALLEE) as play:
        play.on(LegOffered(ID, Leg(ANNA, 1))).skip()
        play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(ANNA, 1)), SendPlease(ID, Leg(ANNA, 1), stalled=True))


@script
def the_caller_leads_out_of_a_stall() -> None:
    with active(Role.CALLER) as play:
        play.on(Stalled(ID, Leg(BOB, 0))).expect(
            StartLeg(ID, Leg(BOB, 1)), changed(S.ACTIVE, S.RECONNECTING, Stage.MEDIA)
        )
        play.on(PathFound(ID, Leg(BOB, 1))).expect_nothing()
        play.on(Secured(ID, Leg(BOB, 1))).expect(
            MoveMedia(ID, Leg(BOB, 1)), changed(S.RECONNECTING, S.ACTIVE, Stage.MEDIA)
        )
        play.on(Flowed(ID, Leg(BOB, 1))).expect_nothing()
        play.wait(TIMES.old_leg).expect(CloseLeg(ID, Leg(BOB, 0)))
        assert play.call.next_deadline() is None


@script
def the_callee_asks_the_caller_to_lead() -> None:
    with active(Role.CALLEE) as play:
        play.on(LegClosed(ID, Leg(ANNA, 0))).expect(
            CloseLeg(ID, Leg(ANNA, 0)),
            SendPlease(ID, Leg(ANNA, 0), stalled=True),
            changed(S.ACTIVE, S.RECONNECTING, Stage.MEDIA),
        )
        play.on(LegOffered(ID, Leg(ANNA, 1))).expect(AnswerLeg(ID, Leg(ANNA, 1)))
        play.on(LegOffered(ID, Leg(ANNA, 2))).expect(CloseLeg(ID, Leg(ANNA, 1)), AnswerLeg(ID, Leg(ANNA, 2)))
        play.on(PathFound(ID, Leg(ANNA, 2)), Secured(ID, Leg(ANNA, 2))).expect(
            MoveMedia(ID, Leg(ANNA, 2)), changed(S.RECONNECTING, S.ACTIVE, Stage.MEDIA)
        )
    please = PleaseReceived(ID, Leg(BOB, 0), stalled=True)
    with active(Role.CALLER) as play:
        play.on(please).expect(StartLeg(ID, Leg(BOB, 1)), changed(S.ACTIVE, S.RECONNECTING, Stage.MEDIA))
        play.on(PleaseReceived(ID, Leg(BOB, 1), stalled=True)).expect(
            CloseLeg(ID, Leg(BOB, 1)), StartLeg(ID, Leg(BOB, 2))
        )
    with connecting(Role.CALLER) as play:
        play.on(please).expect(CloseLeg(ID, Leg(BOB, 0)), StartLeg(ID, Leg(BOB, 1)))
    with connecting(Role.CALLEE) as play:
        play.on(LegOffered(ID, Leg(ANNA, 1))).expect(CloseLeg(ID, Leg(ANNA, 0)), AnswerLeg(ID, Leg(ANNA, 1)))


@script
def media_flows_again_by_itself() -> None:
    for role in Role:
        with reconnecting(role) as play:
            play.on(Flowed(ID, Leg(peer(role), 0))).expect(changed(S.RECONNECTING, S.ACTIVE, Stage.MEDIA))
            assert play.call.deadlines.at(CallDeadline.RECONNECT) is None


@script
def the_old_leg_closes_while_the_new_one_is_under_way() -> None:
    for role in Role:
        leg = Leg(peer(role), 0)
        with reconnecting(role) as play:
            play.on(LegClosed(ID, leg)).expect(CloseLeg(ID, leg))
        with active(role) as play:
            play.on(LegFailed(ID, leg, Stage.HANDSHAKE)).skip()
            assert play.call.state is S.RECONNECTING
            assert leg not in play.call.legs


@script
def the_other_end_cannot_have_legs_begun_without_end() -> None:
    for state in (active, reconnecting):
        with state(Role.CALLER) as play:
            for _ in range(100):
                play.on(PleaseReceived(ID, Leg(BOB, play.call.newest), stalled=True)).skip()
            begun = play.call.newest
            assert 8 <= begun <= 10
            play.wait(2 * TIMES.retry).skip()
            play.on(PleaseReceived(ID, Leg(BOB, begun), stalled=True)).expect(
                CloseLeg(ID, Leg(BOB, begun)), StartLeg(ID, Leg(BOB, begun + 1))
            )
            assert len(play.call.legs) == 2
    with active(Role.CALLER) as play:
        for _ in range(100):  # each of them fails before the next is asked for
            play.on(PleaseReceived(ID, Leg(BOB, play.call.newest), stalled=True)).skip()
            play.on(LegFailed(ID, Leg(BOB, play.call.newest), Stage.PATH)).skip()
        assert play.call.newest <= 10
        play.wait(TIMES.retry).expect(StartLeg(ID, Leg(BOB, play.call.newest)))
    with active(Role.CALLEE) as play:
        for generation in range(1, 101):
            play.on(LegOffered(ID, Leg(ANNA, generation))).skip()
        assert 8 <= play.call.newest <= 10
        play.wait(2 * TIMES.retry).skip()
        play.on(LegOffered(ID, Leg(ANNA, 101))).skip()
        assert play.call.newest == 101


@script
def legs_that_nobody_is_heard_on_do_not_heap_up() -> None:
    for role in Role:
        with active(role).on(Flowed(ID, Leg(peer(role), 0))).skip() as play:
            for generation in range(1, 6):
                leg = Leg(peer(role), generation)
                play.on(BetterPath(ID) if role is Role.CALLER else LegOffered(ID, leg), Secured(ID, leg)).skip()
                assert play.call.legs == {Leg(peer(role), 0), leg}, "what the other end was heard on stays"
            play.on(Flowed(ID, leg)).skip()
            play.wait(TIMES.old_leg).expect(CloseLeg(ID, Leg(peer(role), 0)))


@script
def a_better_path_is_made_before_the_old_one_breaks() -> None:
    with active(Role.CALLER) as play:
        play.on(BetterPath(ID)).expect(StartLeg(ID, Leg(BOB, 1)))
        play.on(BetterPath(ID)).expect_nothing()
        play.on(PathFound(ID, Leg(BOB, 1))).expect_nothing()
        play.on(Secured(ID, Leg(BOB, 1))).expect(MoveMedia(ID, Leg(BOB, 1)))
        play.on(Flowed(ID, Leg(BOB, 1))).expect_nothing()
        play.wait(TIMES.old_leg).expect(CloseLeg(ID, Leg(BOB, 0)))
    with active(Role.CALLEE) as play:
        play.on(BetterPath(ID)).expect(SendPlease(ID, Leg(ANNA, 0), stalled=False))
        play.on(LegOffered(ID, Leg(ANNA, 1))).expect(AnswerLeg(ID, Leg(ANNA, 1)))
        play.on(PathFound(ID, Leg(ANNA, 1))).expect_nothing()
        play.on(Secured(ID, Leg(ANNA, 1))).expect(MoveMedia(ID, Leg(ANNA, 1)))
        play.on(LegClosed(ID, Leg(ANNA, 0))).expect(CloseLeg(ID, Leg(ANNA, 0)))


@script
def a_better_path_that_fails_leaves_the_old_one() -> None:
    with active(Role.CALLER) as play:
        play.on(BetterPath(ID)).skip()
        play.on(LegFailed(ID, Leg(BOB, 1), Stage.PATH)).expect(CloseLeg(ID, Leg(BOB, 1)))
        play.wait(TIMES.attempt).expect_nothing()
    with active(Role.CALLEE) as play:
        play.on(LegOffered(ID, Leg(ANNA, 1))).skip()
        play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(ANNA, 1)))
        assert play.call.state is S.ACTIVE
    with active(Role.CALLER) as play:
        play.on(BetterPath(ID)).skip()
        play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(BOB, 1)))


@script
def the_old_leg_closes_a_moment_after_the_peer_has_moved_too() -> None:
    for role in Role:
        leg = Leg(peer(role), 1)
        offer = BetterPath(ID) if role is Role.CALLER else LegOffered(ID, leg)
        with active(role) as play:
            play.on(offer, Secured(ID, leg)).skip()
            play.wait(TIMES.old_leg).expect_nothing()
            play.on(Flowed(ID, Leg(peer(role), 0))).skip()
            play.wait(TIMES.old_leg).expect_nothing()
            play.on(Flowed(ID, leg)).expect_nothing()
            play.wait(TIMES.old_leg).expect(CloseLeg(ID, Leg(peer(role), 0)))
        with active(role) as play:
            play.on(offer, Secured(ID, leg)).skip()
            play.wait(TIMES.attempt).expect(CloseLeg(ID, Leg(peer(role), 0)))
        with active(role) as play:
            play.on(offer, Secured(ID, leg), Stalled(ID, leg), Flowed(ID, leg), Stalled(ID, leg)).skip()
            play.wait(TIMES.old_leg).expect(CloseLeg(ID, Leg(peer(role), 0)))


@script
def the_connection_does_not_come_back() -> None:
    with reconnecting(Role.CALLEE) as play:
        lost = end(EndReason.LOST, Stage.MEDIA, ANNA)
        ended = play.wait(TIMES.reconnect).expect_end(lost, CloseLeg(ID, Leg(ANNA, 0)), CloseMedia(ID))
        assert (ended.reason, ended.stage) == (EndReason.LOST, Stage.MEDIA)
    with reconnecting(Role.CALLER) as play:
        play.wait(TIMES.reconnect).skip()
        assert play.call.reason is EndReason.LOST


@script
def either_hangs_up() -> None:
    for state in ANSWERED:
        for role in Role:
            with state(role) as play:
                stage = play.call.stage
                legs = [CloseLeg(ID, leg) for leg in sorted(play.call.legs)]
                over = end(EndReason.REMOTE, stage, peer(role))
                assert play.on(HungUp(ID)).expect_end(over, *legs, CloseMedia(ID)).reason is EndReason.LOCAL
            with state(role) as play:
                failed = end(EndReason.FAILED, Stage.MEDIA, peer(role))
                play.on(LocalFailure(ID, Stage.MEDIA, "The microphone is gone."))
                assert play.expect_end(failed, *legs, CloseMedia(ID)).sentence == "The microphone is gone."


@script
def the_other_end_ends_an_answered_call() -> None:
    reads = {reason: reason for reason in (EndReason.REMOTE, EndReason.FAILED, EndReason.LOST)}
    for state in ANSWERED:
        for role in Role:
            for said, read in {**reads, EndReason.LOCAL: EndReason.REMOTE}.items():
                with state(role) as play:
                    stage = Stage.HANDSHAKE if said is EndReason.FAILED else play.call.stage
                    legs = [CloseLeg(ID, leg) for leg in sorted(play.call.legs)]
                    play.on(EndReceived(ID, peer(role), said, None, Stage.HANDSHAKE))
                    ended = play.expect_end(*legs, CloseMedia(ID))
                    assert (ended.reason, ended.stage) == (read, stage)
            with state(role) as play:
                play.on(EndReceived(ID, Device(peer(role).address, "other"), EndReason.REMOTE)).expect_nothing()


@script
def a_live_call_needs_no_server() -> None:
    before_accept = (preparing, inviting, alerting, ringing, answering)
    answered = tuple(lambda state=state, role=role: state(role) for state in ANSWERED for role in Role)
    for state in (*before_accept, *answered):
        with state() as play:
            before = play.call
            play.on(SignalingLost()).expect_nothing()
            play.on(SignalingRestored()).expect_nothing()
            assert play.call == before
            assert play.call.dropped == 0
    for state in answered:
        with state() as play:
            play.on(DeviceOffline(ID, peer(play.call.role))).expect_nothing()
            play.on(MediaOpened(ID)).expect_nothing()
            assert play.call.dropped == 0


# --- what the desk decides ---


@script
def the_call_gives_way() -> None:
    with preparing() as play:
        ended = play.on(Crossed(ID, b"w" * 16)).expect_end(CarryOver(ID, b"w" * 16))
        assert ended.reason is EndReason.CROSSED
    for state in (inviting, alerting):
        with state() as play:
            legs = [CloseLeg(ID, leg) for leg in play.call.legs]
            cancel = end(EndReason.CANCELLED, Stage.RING, BOB, BOB2)
            play.on(Crossed(ID, b"w" * 16)).expect_end(cancel, CarryOver(ID, b"w" * 16), *legs)
        with state() as play:
            play.on(Crossed(ID, None)).expect_end(cancel, *legs)


@script
def the_call_is_recalled() -> None:
    answered = tuple(lambda state=state, role=role: state(role) for state in ANSWERED for role in Role)
    for state in (ringing, answering, *answered):
        with state() as play:
            play.on(Recalled(ID)).skip()
            assert play.call.reason is EndReason.RECALLED
            assert not play.call.legs


# --- the scripts, and what they leave out ---


@pytest.mark.parametrize("play", SCRIPTS, ids=lambda play: play.__name__)
def test_script(play: Script) -> None:
    play()


def test_the_scripts_exercise_every_row_in_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[Role, CallState, Event]] = set()

    def noted(role: Role, state: CallState, event: Event) -> Rule | None:
        seen.add((role, state, event))
        return rule(role, state, event)

    monkeypatch.setattr(call_module, "rule", noted)
    for play in SCRIPTS:
        play()
    rows = {(role, state, row.event) for row in TABLE for role in row.roles for state in row.states}
    assert rows - seen == set()


def every_fact() -> list[CallFact]:
    """A fact of each kind, from right and wrong devices and a stranger, of right, stale and future generations."""
    facts: list[CallFact] = [
        Dialled(ID, "bob@x"),
        Accepted(ID),
        Declined(ID),
        HungUp(ID),
        KeysReady(ID, (BOB,)),
        KeysFailed(ID, EndReason.FAILED),
        MediaOpened(ID),
        LocalFailure(ID, Stage.MEDIA, "No microphone."),
        BetterPath(ID),
        SignalingLost(),
        SignalingRestored(),
        NetworkChanged(),
        Crossed(ID, None),
        Recalled(ID),
        *(DeadlinePassed(ID, name) for name in CallDeadline),
    ]
    for device in (ANNA, BOB, BOB2, BOB3, EVE):
        facts += [
            Rang(ID, device, 0.0, EarlyLeg.DIRECT),
            RingingReceived(ID, device, leg_offered=True),
            AcceptReceived(ID, device, leg_offered=False),
            DeviceOffline(ID, device),
            *(EndReceived(ID, device, reason, BOB) for reason in EndReason),
        ]
        for generation in range(4):
            leg = Leg(device, generation)
            facts += [
                PathFound(ID, leg),
                Secured(ID, leg),
                Stalled(ID, leg),
                Flowed(ID, leg),
                LegClosed(ID, leg),
                LegFailed(ID, leg, Stage.PATH),
                LegOffered(ID, leg),
                PleaseReceived(ID, leg, stalled=True),
                PleaseReceived(ID, leg, stalled=False),
            ]
    return facts


def every_call() -> list[CallMachine]:
    """A call in each state, of each role."""
    plays = [caller(), preparing(), inviting(), alerting(), callee(), ringing(), answering()]
    plays += [state(role) for state in ANSWERED for role in Role]
    plays += [active(role).on(HungUp(ID)).skip() for role in Role]
    return [play.call for play in plays]


def test_anything_else_is_counted_and_dropped() -> None:
    dropped = moved = 0
    for call in every_call():
        for fact in every_fact():
            event = call.understand(fact)
            found = None if event is None else rule(call.role, call.state, event)
            after, outputs = call.handle(fact, 0.0)
            if found is None:
                assert after == call
                assert after.dropped == call.dropped + 1
                assert outputs == ()
                dropped += 1
            else:
                assert after.state in found.to
                assert after.dropped == call.dropped
                moved += 1
    assert {call.state for call in every_call()} == set(CallState)
    assert dropped > 1000
    assert moved > 100


def test_an_ended_call_takes_nothing() -> None:
    ended = active(Role.CALLER).on(HungUp(ID)).skip().call
    for fact in every_fact():
        after, outputs = ended.handle(fact, 0.0)
        assert (after, outputs) == (ended, ())
    assert ended.next_deadline() is None


@pytest.mark.parametrize(
    "fact",
    [
        Secured(ID, Leg(EVE, 0)),
        Secured(ID, Leg(BOB2, 0)),
        EndReceived(ID, EVE, EndReason.REMOTE),
        PleaseReceived(ID, Leg(BOB2, 0), stalled=True),
        PleaseReceived(ID, Leg(BOB, 5), stalled=True),
        LegOffered(ID, Leg(BOB, 1)),
        Stalled(ID, Leg(BOB, 1)),
    ],
    ids=str,
)
def test_foreign_and_stale_facts_move_nothing(fact: CallFact) -> None:
    call = active(Role.CALLER).call
    after, outputs = call.handle(fact, 0.0)
    assert (after, outputs, after.dropped) == (call, (), 1)


def test_please_about_an_overtaken_leg_is_stale() -> None:
    with reconnecting(Role.CALLER) as play:
        before = play.call
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=True)).expect_nothing()
        assert play.call == before
        play.on(Secured(ID, Leg(BOB, 1))).skip()
        play.on(PleaseReceived(ID, Leg(BOB, 0), stalled=True)).expect_nothing()
        assert play.call.state is S.ACTIVE


def test_a_stall_that_is_told_twice_counts_once() -> None:
    with reconnecting(Role.CALLER) as play:
        before = play.call
        play.on(Stalled(ID, Leg(BOB, 0))).expect_nothing()
        assert play.call == before


def test_an_action_against_the_table_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Rule((S.ACTIVE,), rule(Role.CALLER, S.NEW, Event.DIALLED).do)  # type: ignore[union-attr]  # it is there
    monkeypatch.setattr(call_module, "rule", lambda *_: wrong)
    with pytest.raises(RuntimeError, match="against the table"):
        caller().on(Dialled(ID, "bob@x"))


def test_a_call_is_a_value() -> None:
    call = active(Role.CALLER).call
    before = replace(call)
    call.handle(Stalled(ID, Leg(BOB, 0)), 0.0)
    assert call == before
    assert hash(call) == hash(before)


def test_an_unfinished_script_fails() -> None:
    with pytest.raises(AssertionError, match="says nothing about"), caller() as play:
        play.on(Dialled(ID, "bob@x"))
