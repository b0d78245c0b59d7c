"""The table holds together: reachable, without contradictions, with an end everywhere."""

from __future__ import annotations

from collections import Counter

import pytest

from entrenous.protocol.states import (
    TABLE,
    Action,
    CallState,
    EndReason,
    Event,
    Role,
    heard,
    is_answered,
    is_live,
    rule,
)

CELLS = [(role, state, row.event) for row in TABLE for role in row.roles for state in row.states]


def test_no_two_rows_contradict_each_other() -> None:
    assert [cell for cell, count in Counter(CELLS).items() if count > 1] == []


def test_every_event_and_every_action_has_a_row() -> None:
    assert {row.event for row in TABLE} == set(Event)
    assert {row.do for row in TABLE} == set(Action)


@pytest.mark.parametrize("role", Role)
def test_every_state_is_reached_and_can_be_left_for_the_end(role: Role) -> None:
    moves = {
        (state, to)
        for cell_role, state, event in CELLS
        if cell_role is role
        for found in [rule(role, state, event)]
        if found is not None
        for to in found.to
    }

    def reachable(start: CallState) -> set[CallState]:
        seen = {start}
        while more := {to for state, to in moves if state in seen} - seen:
            seen |= more
        return seen

    mine = reachable(CallState.NEW)
    other_role = {CallState.RINGING, CallState.ANSWERING}
    if role is Role.CALLEE:
        other_role = {CallState.PREPARING, CallState.INVITING, CallState.ALERTING}
    assert mine == set(CallState) - other_role
    assert all(CallState.ENDED in reachable(state) for state in mine)
    assert {state for cell_role, state, _ in CELLS if cell_role is role} == mine - {CallState.ENDED}


def test_every_waiting_state_can_be_ended_by_its_user() -> None:
    for role, state, _ in CELLS:
        if state is not CallState.NEW:
            found = rule(role, state, Event.HUNG_UP)
            assert found is not None
            assert found.to == (CallState.ENDED,)


def test_what_is_not_in_the_table_has_no_rule() -> None:
    assert rule(Role.CALLER, CallState.ENDED, Event.HUNG_UP) is None
    assert rule(Role.CALLEE, CallState.ACTIVE, Event.PLEASE_LEAD) is None


def test_live_and_answered_states() -> None:
    assert {state for state in CallState if not is_live(state)} == {CallState.NEW, CallState.ENDED}
    answered = {CallState.CONNECTING, CallState.ACTIVE, CallState.RECONNECTING}
    assert {state for state in CallState if is_answered(state)} == answered


def test_an_end_is_always_heard_as_an_end_of_the_other_side() -> None:
    for role in Role:
        for said in EndReason:
            read = heard(said, role)
            assert read in (said, EndReason.REMOTE)
            assert read not in (EndReason.LOCAL, EndReason.MISSED, EndReason.CROSSED)
    assert heard(EndReason.BUSY, Role.CALLER) is EndReason.BUSY
    assert heard(EndReason.BUSY, Role.CALLEE) is EndReason.REMOTE
    assert heard(EndReason.CANCELLED, Role.CALLER) is EndReason.REMOTE
