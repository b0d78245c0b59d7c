"""Scripts of answered calls that try to get media through."""

from __future__ import annotations

import dataclasses

from entrenous.protocol.causes import Cause, Side
from entrenous.protocol.inputs import (
    AcceptReceived,
    BetterPath,
    DeviceOffline,
    EarlyLeg,
    EndReceived,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    MediaOpened,
    NetworkChanged,
    PathFound,
    PleaseReceived,
    SignalingLost,
    Stalled,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CloseLeg,
    CloseMedia,
    SendPlease,
    StartLeg,
)
from entrenous.protocol.states import CallDeadline, EndReason, Role, Stage
from protocol.call_play import (
    ANNA,
    ANSWERED,
    BOB,
    BOB2,
    ID,
    TIMES,
    S,
    Script,
    active,
    alerting,
    answering,
    connecting,
    failing,
    inviting,
    list_for,
    peer,
    preparing,
    reconnecting,
    ringing,
)
from world.playbook import Playbook

SCRIPTS: list[Script] = []
script = list_for(SCRIPTS)


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
