"""Scripts of calls whose media stalls or finds a better path, and of how they end."""

from __future__ import annotations

from entrenous.protocol.inputs import (
    BetterPath,
    Device,
    DeviceOffline,
    EndReceived,
    Flowed,
    HungUp,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    LocalFailure,
    MediaOpened,
    PathFound,
    PleaseReceived,
    Secured,
    SignalingLost,
    SignalingRestored,
    Stalled,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CloseLeg,
    CloseMedia,
    MoveMedia,
    SendPlease,
    StartLeg,
)
from entrenous.protocol.states import CallDeadline, EndReason, Role, Stage
from protocol.call_play import (
    ANNA,
    ANSWERED,
    BOB,
    ID,
    TIMES,
    S,
    Script,
    active,
    alerting,
    answering,
    changed,
    connecting,
    end,
    inviting,
    list_for,
    peer,
    preparing,
    reconnecting,
    ringing,
)

SCRIPTS: list[Script] = []
script = list_for(SCRIPTS)


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
