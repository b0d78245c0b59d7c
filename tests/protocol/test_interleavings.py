"""No order of events leaves a half-open call: every interleaving, with the real desk and call machine.

The larger budgets take minutes and run with ENTRENOUS_EXHAUSTIVE=1.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from entrenous.protocol import desk as desk_module
from entrenous.protocol.call import CallMachine
from entrenous.protocol.causes import Cause
from entrenous.protocol.desk import Collision, Desk
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    Device,
    Dialled,
    EarlyLeg,
    Input,
    KeysReady,
    Leg,
    MediaOpened,
    Rang,
    RingingReceived,
    Secured,
)
from entrenous.protocol.states import CallDeadline
from world.interleavings import (
    Action,
    Crash,
    Dial,
    Exploration,
    FailLeg,
    Flow,
    Improve,
    Leave,
    Pass,
    Repeat,
    Result,
    Roam,
    Seat,
    Stall,
    Take,
    Unreachable,
)

A1, A2 = Device("a@x", "1"), Device("a@x", "2")
B1, B2 = Device("b@x", "1"), Device("b@x", "2")
LOW, MIDDLE, HIGH = (bytes([number]) * 16 for number in (10, 20, 30))

thorough = pytest.mark.skipif("ENTRENOUS_EXHAUSTIVE" not in os.environ, reason="set ENTRENOUS_EXHAUSTIVE=1 to run it")

GLARE = {Dial(A1, LOW, "b@x"): 1, Dial(B1, MIDDLE, "a@x"): 1}
THREE = {Dial(A1, HIGH, "b@x"): 1, Dial(A2, LOW, "b@x"): 1, Dial(B1, MIDDLE, "a@x"): 1, Take(): 1}

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


def assert_sound(result: Result) -> None:
    assert not result.violations, result.violations[0]
    assert result.complete


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


def active_pair() -> list[Seat]:
    """Both ends of an active call on leg 0, reached by the machines themselves."""
    caller, callee = Desk(A1), Desk(B1)
    called: list[Input] = [
        Dialled(LOW, "b@x"),
        KeysReady(LOW, (B1,)),
        RingingReceived(LOW, B1, leg_offered=True),
        Secured(LOW, Leg(B1, 0)),
        AcceptReceived(LOW, B1, leg_offered=False),
    ]
    taken: list[Input] = [
        Rang(LOW, A1, 0.0, EarlyLeg.DIRECT),
        Secured(LOW, Leg(A1, 0)),
        Accepted(LOW),
        MediaOpened(LOW),
    ]
    for fact in called:
        caller, _ = caller.handle(fact, 0.0)
    for fact in taken:
        callee, _ = callee.handle(fact, 0.0)
    legs = ((caller, Leg(B1, 0)), (callee, Leg(A1, 0)))
    return [Seat(desk, legs=frozenset({(LOW, leg)}), media=frozenset({LOW})) for desk, leg in legs]


ROUTINE = (CallDeadline.RETRY, CallDeadline.OLD_LEG, CallDeadline.ATTEMPT)

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


def reconnecting(actions: dict[Action, int]) -> Exploration:
    return Exploration([A1, B1], actions, seats=active_pair(), routine=ROUTINE)


def assert_reconnected(result: Result) -> None:
    assert_sound(result)
    for caller, callee in result.outcomes:
        assert caller.startswith("a@x/1 active")
        assert caller.removeprefix("a@x/1") == callee.removeprefix("b@x/1"), "media uses one leg"


@pytest.mark.parametrize("actions", RESTARTS, ids=str)
def test_a_call_always_comes_back_from_stalls(actions: dict[Action, int]) -> None:
    assert_reconnected(reconnecting(actions).run())


# --- the larger budgets, side by side on all processors ---

TWO_EACH: dict[Action, int] = {Dial(A1, LOW, "b@x"): 1, Dial(B2, MIDDLE, "a@x"): 1, Take(): 2, Leave(): 1}
THOROUGH_GLARE: dict[str, Callable[[], Exploration]] = {
    f"two devices of each user-{leg}": partial(Exploration, [A1, A2, B1, B2], TWO_EACH, early_leg=leg)
    for leg in EarlyLeg
} | {
    f"three devices-{leg}": partial(Exploration, [A1, A2, B1], {**THREE, Leave(): 1}, early_leg=leg) for leg in EarlyLeg
}
THOROUGH_RESTARTS: dict[str, Callable[[], Exploration]] = {
    str(actions): partial(reconnecting, actions)
    for actions in (
        {Stall(): 3, FailLeg(): 1, Flow(): 1},
        {Stall(): 2, FailLeg(): 1, Flow(): 1, Improve(): 1},
    )
}


def run_thoroughly(name: str) -> Result:
    return (THOROUGH_GLARE | THOROUGH_RESTARTS)[name]().run()


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[Result]]]:
    """What each of the larger explorations finds; all are begun when the first is asked for."""
    pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    yield {name: pool.submit(run_thoroughly, name) for name in THOROUGH_GLARE | THOROUGH_RESTARTS}
    pool.shutdown(cancel_futures=True)


@thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", THOROUGH_GLARE)
def test_no_order_of_more_events_leaves_a_half_open_call(results: dict[str, Future[Result]], name: str) -> None:
    assert_sound(results[name].result())


@thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", THOROUGH_RESTARTS)
def test_a_call_always_comes_back_from_more_stalls(results: dict[str, Future[Result]], name: str) -> None:
    assert_reconnected(results[name].result())


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
