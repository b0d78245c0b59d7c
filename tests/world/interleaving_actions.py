"""What may happen in an exploration besides delivery and local work, each a limited number of times."""

from __future__ import annotations

from dataclasses import dataclass

from entrenous.protocol.causes import Cause
from entrenous.protocol.desk import Desk
from entrenous.protocol.inputs import (
    Accepted,
    BetterPath,
    DeadlinePassed,
    Device,
    Dialled,
    Flowed,
    HungUp,
    Leg,
    LegFailed,
    NetworkChanged,
    Stalled,
)
from entrenous.protocol.states import CallDeadline, CallState, Stage

Fact = object
"""What a desk hears, or what happens to its device."""


@dataclass(frozen=True)
class Seat:
    """One device: its desk, and what the world has counted open by its outputs alone."""

    desk: Desk
    legs: frozenset[tuple[bytes, Leg]] = frozenset()
    media: frozenset[bytes] = frozenset()
    lost_memory: bool = False
    """It crashed and has not dialled since."""


@dataclass(frozen=True)
class Dial:
    """A device calls a user; `after_crash` only once it has crashed."""

    device: Device
    call: bytes
    to: str
    after_crash: bool = False


@dataclass(frozen=True)
class Take:
    """Some ringing device takes its call."""


@dataclass(frozen=True)
class Leave:
    """Some device ends its call: it declines, cancels or hangs up."""


@dataclass(frozen=True)
class Crash:
    """A device in a call loses all memory."""

    device: Device


@dataclass(frozen=True)
class Unreachable:
    """The caller hears that a ring did not arrive, and that is so, or is not so."""


@dataclass(frozen=True)
class Repeat:
    """A ring arrives and will arrive again."""


@dataclass(frozen=True)
class Pass:
    """A deadline of this name passes on some device."""

    name: CallDeadline


@dataclass(frozen=True)
class Stall:
    """Media stops arriving at some device in ACTIVE."""


@dataclass(frozen=True)
class Flow:
    """Media arrives again at some device in RECONNECTING."""


@dataclass(frozen=True)
class FailLeg:
    """A leg that is not secured fails at one end, for a cause that may be certain to come again."""

    cause: Cause | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Improve:
    """Some device in ACTIVE finds a better path."""


@dataclass(frozen=True)
class Roam:
    """The network of some device in a call changes."""


Action = Dial | Take | Leave | Crash | Unreachable | Repeat | Pass | Stall | Flow | FailLeg | Improve | Roam


def acts(action: Action, seat: Seat) -> Fact | None:
    """What the action does at this seat, if it can happen there now."""
    call = seat.desk.live
    me = seat.desk.me
    match action:
        case Dial(device, new, to, after_crash):
            return Dialled(new, to) if me == device and call is None and (seat.lost_memory or not after_crash) else None
        case Take():
            return Accepted(call.id) if call is not None and call.state is CallState.RINGING else None
        case Leave():
            return HungUp(call.id) if call is not None else None
        case Crash(device):
            return action if me == device and call is not None else None
        case Pass(name):
            return DeadlinePassed(call.id, name) if call is not None and call.deadlines.at(name) is not None else None
        case Unreachable() | Repeat():
            return None
        case Stall():
            stalls = call is not None and call.state is CallState.ACTIVE and call.media_leg in call.legs
            return Stalled(call.id, call.media_leg) if call and stalls and call.media_leg else None
        case Flow():
            flows = call is not None and call.state is CallState.RECONNECTING and call.media_leg in call.legs
            return Flowed(call.id, call.media_leg) if call and flows and call.media_leg else None
        case FailLeg():
            if call is None or call.pending_leg is None:
                return None
            return LegFailed(call.id, call.pending_leg, Stage.PATH, action.cause, hidden=action.hidden)
        case Improve():
            return BetterPath(call.id) if call is not None and call.state is CallState.ACTIVE else None
        case Roam():
            return None if call is None else NetworkChanged()
