"""Scripts for every row of the transition table, and proof that nothing but the table moves a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous.protocol import call as call_module
from entrenous.protocol.call import CallFact, CallMachine
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    BetterPath,
    Crossed,
    DeadlinePassed,
    Declined,
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
from entrenous.protocol.states import TABLE, CallDeadline, CallState, EndReason, Event, Role, Rule, Stage, rule
from protocol import scripts_of_answered_calls, scripts_of_live_calls, scripts_of_rings
from protocol.call_play import (
    ANNA,
    ANSWERED,
    BOB,
    BOB2,
    BOB3,
    EVE,
    ID,
    S,
    Script,
    active,
    alerting,
    answering,
    callee,
    caller,
    inviting,
    preparing,
    reconnecting,
    ringing,
)

SCRIPTS: list[Script] = [*scripts_of_rings.SCRIPTS, *scripts_of_answered_calls.SCRIPTS, *scripts_of_live_calls.SCRIPTS]


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
