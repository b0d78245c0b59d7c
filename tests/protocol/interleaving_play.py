"""Devices, calls and reconnecting pairs for explorations of every interleaving, and the explorations that take long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from entrenous.protocol.desk import Desk
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
from world.interleaving_actions import Action, Dial, FailLeg, Flow, Improve, Leave, Seat, Stall, Take
from world.interleavings import Exploration, Result

A1, A2 = Device("a@x", "1"), Device("a@x", "2")
B1, B2 = Device("b@x", "1"), Device("b@x", "2")
LOW, MIDDLE, HIGH = (bytes([number]) * 16 for number in (10, 20, 30))

THREE: Final[dict[Action, int]] = {
    Dial(A1, HIGH, "b@x"): 1,
    Dial(A2, LOW, "b@x"): 1,
    Dial(B1, MIDDLE, "a@x"): 1,
    Take(): 1,
}

ROUTINE = (CallDeadline.RETRY, CallDeadline.OLD_LEG, CallDeadline.ATTEMPT)


def assert_sound(result: Result) -> None:
    """Fail with the first violation, or where not everything was explored."""
    assert not result.violations, result.violations[0]
    assert result.complete


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


def reconnecting(actions: dict[Action, int]) -> Exploration:
    """What may happen to an active call."""
    return Exploration([A1, B1], actions, seats=active_pair(), routine=ROUTINE)


def assert_reconnected(result: Result) -> None:
    """Fail where the call did not come back to media on one leg."""
    assert_sound(result)
    for caller, callee in result.outcomes:
        assert caller.startswith("a@x/1 active")
        assert caller.removeprefix("a@x/1") == callee.removeprefix("b@x/1"), "media uses one leg"


# --- the larger budgets ---

_TWO_EACH: Final[dict[Action, int]] = {Dial(A1, LOW, "b@x"): 1, Dial(B2, MIDDLE, "a@x"): 1, Take(): 2, Leave(): 1}
THOROUGH_GLARE: Final[dict[str, Callable[[], Exploration]]] = {
    f"two devices of each user-{leg}": partial(Exploration, [A1, A2, B1, B2], _TWO_EACH, early_leg=leg)
    for leg in EarlyLeg
} | {
    f"three devices-{leg}": partial(Exploration, [A1, A2, B1], {**THREE, Leave(): 1}, early_leg=leg) for leg in EarlyLeg
}
THOROUGH_RESTARTS: Final[dict[str, Callable[[], Exploration]]] = {
    str(actions): partial(reconnecting, actions)
    for actions in (
        {Stall(): 3, FailLeg(): 1, Flow(): 1},
        {Stall(): 2, FailLeg(): 1, Flow(): 1, Improve(): 1},
    )
}


def run_thoroughly(name: str) -> Result:
    """What one of the larger explorations finds."""
    return (THOROUGH_GLARE | THOROUGH_RESTARTS)[name]().run()
