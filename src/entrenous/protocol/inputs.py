"""Everything that can happen to a call: verified, decrypted facts in the past tense.

The shell checks signatures, opens seals and looks devices up before it reports: a fact that names a device was
said by that device. Leg facts come from the media engine. Times are not here: every input is handled with `now`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .causes import Cause
from .states import CallDeadline, EndReason, Stage


class Device(NamedTuple):
    """One device of one user."""

    address: str
    """`user@host[:port]`"""
    id: str


class Leg(NamedTuple):
    """One ICE + DTLS connection of a call, between this device and `device`.

    Generation 0 is offered by the callee's device, early in `ringing` or else in `accept`; all later ones are
    offered by the caller, one higher each time.
    """

    device: Device
    generation: int


class EarlyLeg(StrEnum):
    """Which leg the callee's device prepares while it rings: a direct one shows its network addresses."""

    DIRECT = "direct"
    """For contacts."""
    RELAY = "relay"
    """For others: relayed until accept, a direct one follows."""
    NONE = "none"
    """No relay to hide behind: the leg is offered with accept."""


# --- the user, and this device's own work ---


@dataclass(frozen=True, slots=True)
class Dialled:
    """The user calls `address`; `call` is a fresh random id of 16 bytes."""

    call: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The user takes the call."""

    call: bytes


@dataclass(frozen=True, slots=True)
class Declined:
    """The user refuses the call."""

    call: bytes


@dataclass(frozen=True, slots=True)
class HungUp:
    """The user ends the call, at whatever point it is."""

    call: bytes


@dataclass(frozen=True, slots=True)
class KeysReady:
    """The answer to FetchKeys is verified: these are the devices to ring."""

    call: bytes
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class KeysFailed:
    """FetchKeys came to nothing.

    `reason` is UNKNOWN_USER, OFFLINE or FAILED; `sentence` replaces the general one for people (a changed identity
    key, a server that does not answer), or is empty.
    """

    call: bytes
    reason: EndReason
    sentence: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class MediaOpened:
    """The answer to OpenMedia: sources and sinks are ready."""

    call: bytes


@dataclass(frozen=True, slots=True)
class LocalFailure:
    """Something of this device's own does not work (no microphone, repeated failure to verify …).

    `sentence` is for people; empty where the one about `cause` says it all.
    """

    call: bytes
    stage: Stage
    sentence: str
    cause: Cause | None = None


# --- the other end ---


@dataclass(frozen=True, slots=True)
class Rang:
    """A ring arrived and verified.

    `age` is how many seconds ago, by this device's clock, the ring says it was sent (negative when the clocks
    differ the other way); `early_leg` is what this device may offer to this caller before it accepts.
    """

    call: bytes
    device: Device
    age: float
    early_leg: EarlyLeg


@dataclass(frozen=True, slots=True)
class RingingReceived:
    """A callee's device rings, and offered its leg of generation 0 if `leg_offered`."""

    call: bytes
    device: Device
    leg_offered: bool


@dataclass(frozen=True, slots=True)
class AcceptReceived:
    """A callee's device accepted; `leg_offered` when the accept carries the leg of generation 0."""

    call: bytes
    device: Device
    leg_offered: bool


@dataclass(frozen=True, slots=True)
class EndReceived:
    """The other end said `end`, by server or by data channel; hearing it twice is harmless.

    `accepted_device` is the device that took the call when the reason is ELSEWHERE; None means that it was
    declined there. `stage` is how far the sender saw the call get, `cause` what did not work there. `relays` is
    whether this end, that hears it, had any relay to offer.
    """

    call: bytes
    device: Device
    reason: EndReason
    accepted_device: Device | None = None
    stage: Stage | None = None
    cause: Cause | None = None
    relays: bool = True


@dataclass(frozen=True, slots=True)
class PleaseReceived:
    """The callee asks for a new leg after `leg`: because media stopped, or for a better path."""

    call: bytes
    leg: Leg
    stalled: bool


@dataclass(frozen=True, slots=True)
class LegOffered:
    """The caller offered a leg of a later generation."""

    call: bytes
    leg: Leg


# --- the signaling server ---


@dataclass(frozen=True, slots=True)
class DeviceOffline:
    """The server could not hand a message of this call to `device`."""

    call: bytes
    device: Device


@dataclass(frozen=True, slots=True)
class SignalingLost:
    """The session with the signaling server is gone for now."""


@dataclass(frozen=True, slots=True)
class SignalingRestored:
    """The session stands again and has said everything again."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """An address, a route or a link of this machine came or went; the legs know it already."""


# --- the media engine ---


@dataclass(frozen=True, slots=True)
class PathFound:
    """ICE has a working pair; DTLS begins."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class Secured:
    """DTLS is done and the fingerprint is the announced one."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing has arrived on the leg that carries media for too long."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class Flowed:
    """Media arrives again on a leg that had stalled."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class LegClosed:
    """The other end closed the leg, or its socket is gone."""

    call: bytes
    leg: Leg


@dataclass(frozen=True, slots=True)
class LegFailed:
    """The leg could not be set up: `stage` is PATH or HANDSHAKE.

    `cause` is why, where that is known; `relays` is whether this end had any relay to offer, `hidden` whether either
    end has shown only relays, of which it may show more on another leg.
    """

    call: bytes
    leg: Leg
    stage: Stage
    cause: Cause | None = None
    relays: bool = True
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class BetterPath:
    """A better network is there (an interface came up, a direct path beside the relay): worth a new leg."""

    call: bytes


# --- from within: the desk and the deadlines ---


@dataclass(frozen=True, slots=True)
class Crossed:
    """The other end's call `to` takes this one over; None when both have one id and both end."""

    call: bytes
    to: bytes | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """The device at the other end calls anew, so it has lost this call."""

    call: bytes


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline of the call is over."""

    call: bytes
    name: CallDeadline


UserInput = Accepted | Declined | HungUp
LegInput = PathFound | Secured | Stalled | Flowed | LegClosed | LegFailed
PeerInput = RingingReceived | AcceptReceived | EndReceived | PleaseReceived | LegOffered
WorkInput = KeysReady | KeysFailed | MediaOpened | LocalFailure | DeviceOffline | BetterPath
CallInput = UserInput | LegInput | PeerInput | WorkInput
"""What concerns one call that exists."""
NodeInput = SignalingLost | SignalingRestored | NetworkChanged
"""What concerns the device, whatever call it has."""
Input = Dialled | Rang | CallInput | NodeInput
"""What `Desk.handle` takes."""
InnerInput = Crossed | Recalled | DeadlinePassed
"""What only `desk.py` says to a call."""
