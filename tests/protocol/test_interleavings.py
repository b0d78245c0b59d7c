"""No order of events leaves a half-open call: every interleaving, with the real desk and call machine.

Larger budgets are in `test_thorough_interleavings`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous.protocol import desk as desk_module
from entrenous.protocol.call import CallMachine
from entrenous.protocol.causes import Cause
from entrenous.protocol.desk import Collision, Desk
from entrenous.protocol.inputs import (
    Device,
    EarlyLeg,
    Rang,
)
from entrenous.protocol.states import CallDeadline
from protocol.interleaving_play import (
    A1,
    A2,
    B1,
    B2,
    HIGH,
    LOW,
    MIDDLE,
    ROUTINE,
    THREE,
    active_pair,
    assert_reconnected,
    assert_sound,
    reconnecting,
)
from world.interleaving_actions import (
    Action,
    Crash,
    Dial,
    FailLeg,
    Flow,
    Improve,
    Leave,
    Pass,
    Repeat,
    Roam,
    Stall,
    Take,
    Unreachable,
)
from world.interleavings import Exploration, Result

GLARE = {Dial(A1, LOW, "b@x"): 1, Dial(B1, MIDDLE, "a@x"): 1}
SCENARIOS: dict[str, tuple[list[Device], dict[Action, int]]] = {
    "glare": ([A1, B1], {**GLARE, Take(): 2, Leave(): 2}),
    "redial": ([A1, B1], {**GLARE, Dial(A1, HIGH, "b@x"): 1, Take(): 2, Leave(): 1}),
    "answered elsewhere": ([A1, B1, B2], {Dial(A1, LOW, "b@x"): 1, Take(): 2, Leave(): 1}),
    "declined": ([A1, B1, B2], {Dial(A1, LOW, "b@x"): 1, Take(): 2, Leave(): 2}),
    "three devices": ([A1, A2, B1], THREE),
    "the caller crashes and calls again": (
        [A1, B1],
        {Dial(A1, LOW, "b@x"): 1, Dial(A1, HIGH, "b@x", after_crash=True): 1, Take(): 2, Crash(A1): 1},
    ),
    "the callee crashes and calls back": (
        [A1, B1],
        {Dial(A1, MIDDLE, "b@x"): 1, Dial(B1, LOW, "a@x", after_crash=True): 1, Take(): 2, Crash(B1): 1},
    ),
    "a ring is repeated": (
        [A1, B1],
        {Dial(A1, LOW, "b@x"): 1, Dial(A1, HIGH, "b@x"): 1, Take(): 2, Leave(): 2, Repeat(): 1},
    ),
    "devices seem offline": ([A1, B1, B2], {Dial(A1, LOW, "b@x"): 1, Take(): 2, Leave(): 1, Unreachable(): 2}),
}


def explore(name: str, early_leg: EarlyLeg, make_desk: type[Desk] = Desk) -> Result:
    devices, actions = SCENARIOS[name]
    return Exploration(devices, actions, early_leg=early_leg, make_desk=make_desk).run()


@pytest.mark.parametrize("early_leg", [EarlyLeg.DIRECT, EarlyLeg.NONE])
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_order_of_events_leaves_a_half_open_call(name: str, early_leg: EarlyLeg) -> None:
    result = explore(name, early_leg)
    assert_sound(result)
    assert len(result.outcomes) > 1


def test_glare_on_two_devices_of_each_user() -> None:
    actions: dict[Action, int] = {Dial(A1, LOW, "b@x"): 1, Dial(B2, MIDDLE, "a@x"): 1, Take(): 1}
    assert_sound(Exploration([A1, A2, B1, B2], actions, early_leg=EarlyLeg.NONE).run())


def test_relay_only_early_legs_are_followed_by_direct_ones() -> None:
    actions: dict[Action, int] = {Dial(A1, LOW, "b@x"): 1, Take(): 1}
    result = Exploration([A1, B1], actions, early_leg=EarlyLeg.RELAY, routine=(CallDeadline.OLD_LEG,)).run()
    assert_sound(result)
    answered = [outcome for outcome in result.outcomes if "active" in outcome[0]]
    name = LOW[:1].hex()
    assert answered == [(f"a@x/1 active {name} on leg 1", f"b@x/1 active {name} on leg 1")]


def test_glare_ends_in_one_call_whoever_is_first() -> None:
    result = Exploration([A1, B1], dict(GLARE)).run()
    assert_sound(result)
    low, middle = LOW[:1].hex(), MIDDLE[:1].hex()
    assert set(result.outcomes) == {
        ("a@x/1 idle", "b@x/1 idle"),
        (f"a@x/1 alerting {low}", f"b@x/1 ringing {low}"),
        (f"a@x/1 ringing {middle}", f"b@x/1 alerting {middle}"),
        (f"a@x/1 active {low} on leg 0", f"b@x/1 active {low} on leg 0"),
        (f"a@x/1 active {middle} on leg 0", f"b@x/1 active {middle} on leg 0"),
    }
    assert result.outcomes["a@x/1 idle", "b@x/1 idle"] == 1, "only before anybody dialled"


@pytest.mark.parametrize("early_leg", [EarlyLeg.DIRECT, EarlyLeg.NONE])
@pytest.mark.parametrize("name", [CallDeadline.RING, CallDeadline.ANSWER, CallDeadline.CONNECT])
def test_deadlines_race_with_everything(name: CallDeadline, early_leg: EarlyLeg) -> None:
    actions: dict[Action, int] = {Dial(A1, LOW, "b@x"): 1, Take(): 2, Leave(): 1, Pass(name): 1}
    exploration = Exploration([A1, B1, B2], actions, early_leg=early_leg, last_resort=(CallDeadline.RING,))
    assert_sound(exploration.run())


@pytest.mark.parametrize("early_leg", EarlyLeg)
@pytest.mark.parametrize("hidden", [True, False])
def test_a_path_that_cannot_be_found_ends_the_call_at_both_ends_or_at_neither(
    early_leg: EarlyLeg, hidden: bool
) -> None:
    actions: dict[Action, int] = {Dial(A1, LOW, "b@x"): 1, Take(): 1, FailLeg(Cause.NO_ANSWER, hidden): 3}
    result = Exploration([A1, B1], actions, early_leg=early_leg, routine=ROUTINE).run()
    assert_sound(result)
    assert ("a@x/1 idle", "b@x/1 idle") in result.outcomes


# --- reconnecting: one leader ---


RESTARTS: list[dict[Action, int]] = [
    {Stall(): 3},
    {Stall(): 2, FailLeg(): 1},
    {Stall(): 1, FailLeg(): 2},
    {Stall(): 1, FailLeg(): 1, Flow(): 1},
    {Stall(): 1, Improve(): 2},
    {Improve(): 2, FailLeg(): 1},
    {Stall(): 1, FailLeg(Cause.NO_ANSWER): 2, Flow(): 1},
    {Improve(): 1, FailLeg(Cause.RELAY_REFUSED): 1, Stall(): 1},
    {Stall(): 1, FailLeg(Cause.NO_NETWORK): 1, Roam(): 2},
]


@pytest.mark.parametrize("actions", RESTARTS, ids=str)
def test_a_call_always_comes_back_from_stalls(actions: dict[Action, int]) -> None:
    assert_reconnected(reconnecting(actions).run())


# --- the check itself can fail: each broken rule is found ---


def test_recall_by_user_instead_of_device_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_user(live: CallMachine, ring: Rang) -> Collision:
        verdict = desk_rules(live, ring)
        same_user = ring.device.address == live.address
        return Collision.RECALL if verdict is Collision.BUSY and same_user else verdict

    desk_rules = desk_module.collide
    monkeypatch.setattr(desk_module, "collide", by_user)
    assert explore("three devices", EarlyLeg.NONE).violations


def test_forgetting_who_rang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(live: CallMachine, ring: Rang) -> Collision:
        return desk_rules(replace(live, rung=frozenset()), ring)

    desk_rules = desk_module.collide
    monkeypatch.setattr(desk_module, "collide", without_memory)
    assert explore("the callee crashes and calls back", EarlyLeg.NONE).violations


def test_missing_tombstones_are_found() -> None:
    class Forgetful(Desk):
        __slots__ = ()

        def _is_buried(self, call: bytes, now: float) -> bool:
            return False

    assert explore("a ring is repeated", EarlyLeg.NONE, make_desk=Forgetful).violations


def test_two_leaders_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lead_anyway(move: object, fact: object) -> None:
        move.start_leg()  # type: ignore[attr-defined]  # what a callee that starts legs itself would do

    from entrenous.protocol import moves

    monkeypatch.setattr(moves.Move, "seek_leg", lambda move: lead_anyway(move, None))
    exploration = Exploration([A1, B1], {Stall(): 3}, seats=active_pair(), routine=ROUTINE)
    result = exploration.run(20_000)  # ten times as many states as there are with one leader
    assert result.violations or not result.complete
