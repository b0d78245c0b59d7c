"""Everything a call may ask for: imperatives that the shell carries out, each tagged by its call id.

Carry them out in the order given. What is to be sent is sealed by the shell and goes out as a message of `kind`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from entrenous_wire.messages import Kind

from .causes import Cause, Side
from .inputs import Device, EarlyLeg, Leg
from .states import CallState, EndReason, Stage

# --- to the signaling server and the other end ---


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Fetch and verify the keys of every device of `address`; answer with KeysReady or KeysFailed."""

    call: bytes
    address: str


@dataclass(frozen=True, slots=True)
class SendRing:
    """Ring every one of `devices`; report those that the server cannot reach as DeviceOffline."""

    kind: ClassVar[Kind] = Kind.RING

    call: bytes
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class SendRinging:
    """Tell the caller that this device rings; unless `early_leg` is NONE, open Leg(device, 0) and offer it."""

    kind: ClassVar[Kind] = Kind.SIGNAL

    call: bytes
    device: Device
    early_leg: EarlyLeg


@dataclass(frozen=True, slots=True)
class SendAccept:
    """Tell the caller that this device takes the call; with `offer_leg`, open Leg(device, 0) and offer it here."""

    kind: ClassVar[Kind] = Kind.ACCEPT

    call: bytes
    device: Device
    offer_leg: bool


@dataclass(frozen=True, slots=True)
class SendEnd:
    """Tell `devices` that the call is over for them, and why.

    It goes over the data channel of a secured leg too, before that leg is closed. It may be the first word to a
    device (busy to a ring, cancel before `ringing`): then there is no sealed channel yet and the shell seals it
    to the device's key, without appearing to ring.
    """

    kind: ClassVar[Kind] = Kind.END

    call: bytes
    devices: tuple[Device, ...]
    reason: EndReason
    accepted_device: Device | None
    stage: Stage
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class SendPlease:
    """Ask the caller for a leg after `leg`: because media stopped, or for a better path."""

    kind: ClassVar[Kind] = Kind.SIGNAL

    call: bytes
    leg: Leg
    stalled: bool


# --- to the media engine ---


@dataclass(frozen=True, slots=True)
class AnswerLeg:
    """Open `leg` from the offer that came with the last input, and answer it."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class StartLeg:
    """Open `leg` and offer it (kind SIGNAL)."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class CloseLeg:
    """Close `leg` and free what it holds."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class OpenMedia:
    """Open sources and sinks; answer with MediaOpened or LocalFailure. No frame passes before OpenGate."""

    call: bytes


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Let frames pass, on `leg`: the call was accepted."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class MoveMedia:
    """Send on `leg` from now on, and go on receiving on every open leg."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class CloseMedia:
    """Close the gate, sources and sinks."""

    call: bytes


# --- to whoever watches the call ---


@dataclass(frozen=True, slots=True)
class CarryOver:
    """What the user wanted with `call` goes on as call `to`: both called each other at once.

    The call object and the media choices of `call` belong to `to` from now on; ENDED(crossed) of `call` follows and
    need not be shown.
    """

    call: bytes
    to: bytes


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The call moved from `old` to `new`; `reason` and `sentence` say why once `new` is ENDED.

    Of a call that failed, `cause` is what did not work, where that is known, and `side` at whose end.
    """

    call: bytes
    old: CallState
    new: CallState
    stage: Stage
    reason: EndReason | None = None
    sentence: str = ""
    cause: Cause | None = None
    side: Side | None = None


SendOutput = SendRing | SendRinging | SendAccept | SendEnd | SendPlease
LegOutput = AnswerLeg | StartLeg | CloseLeg | OpenGate | MoveMedia
Output = FetchKeys | SendOutput | LegOutput | OpenMedia | CloseMedia | CarryOver | StateChanged
