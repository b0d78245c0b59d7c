"""A call in each of its states, and what scripts of calls are made of."""

from __future__ import annotations

from collections.abc import Callable

from entrenous.protocol.call import CallMachine
from entrenous.protocol.causes import Cause
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    Device,
    Dialled,
    EarlyLeg,
    KeysReady,
    Leg,
    MediaOpened,
    Rang,
    RingingReceived,
    Secured,
    Stalled,
)
from entrenous.protocol.outputs import (
    SendEnd,
    StateChanged,
)
from entrenous.protocol.states import CallState, EndReason, Role, Stage
from world.playbook import Playbook

ID = b"c" * 16
ANNA = Device("anna@x", "a1")
BOB, BOB2, BOB3 = Device("bob@x", "b1"), Device("bob@x", "b2"), Device("bob@x", "b3")
EVE = Device("eve@x", "e1")
TIMES = Timeouts()
S = CallState

Script = Callable[[], None]


def list_for(scripts: list[Script]) -> Callable[[Script], Script]:
    """A decorator that puts scripts into a list."""

    def script(play: Script) -> Script:
        scripts.append(play)
        return play

    return script


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
