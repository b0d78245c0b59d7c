"""Scripts of calls until they are answered or not, and of what the desk decides."""

from __future__ import annotations

from entrenous.protocol.causes import Cause
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    Crossed,
    Declined,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    EndReceived,
    HungUp,
    KeysFailed,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LocalFailure,
    MediaOpened,
    PathFound,
    PleaseReceived,
    Rang,
    Recalled,
    RingingReceived,
    Secured,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CarryOver,
    CloseLeg,
    CloseMedia,
    FetchKeys,
    OpenGate,
    OpenMedia,
    SendAccept,
    SendPlease,
    SendRing,
    SendRinging,
    StartLeg,
)
from entrenous.protocol.states import EndReason, Role, Stage
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
    callee,
    caller,
    changed,
    connecting,
    end,
    failing,
    inviting,
    list_for,
    preparing,
    ringing,
)

SCRIPTS: list[Script] = []
script = list_for(SCRIPTS)


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
