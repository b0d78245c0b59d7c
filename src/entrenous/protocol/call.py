"""One call on one device: an immutable machine, so that a step either happens as a whole or not at all.

An input is first *understood*: a foreign device, a stale generation or an unknown leg is no event. The event finds
its row in the table of `states.py`, the row's action in `actions.py` makes the move. Everything else is counted
in `dropped` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from . import actions
from .causes import Cause, Side, is_certain
from .deadlines import Deadlines, Timeouts
from .inputs import (
    Accepted,
    AcceptReceived,
    BetterPath,
    CallInput,
    Crossed,
    DeadlinePassed,
    Declined,
    Device,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    EndReceived,
    Flowed,
    HungUp,
    InnerInput,
    KeysFailed,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    LocalFailure,
    MediaOpened,
    NetworkChanged,
    NodeInput,
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
from .outputs import Output
from .states import CallDeadline, CallState, EndReason, Event, Role, Stage, heard, is_answered, rule

CallFact = Dialled | Rang | CallInput | NodeInput | InnerInput
"""What `CallMachine.handle` takes."""


@dataclass(frozen=True, slots=True)
class CallMachine:
    """The state of one call on one device; `handle` and `handle_timeout` return the next one.

    Args:
        id: the call id, 16 bytes.
        role: which end this device is.
        me: this device.
        address: the other user.
        timeouts: the durations.
        rings_back: callee: this ring came from whom this device was calling, so it is accepted without asking.
    """

    id: bytes
    role: Role
    me: Device = field(compare=False)
    address: str
    timeouts: Timeouts = field(compare=False, repr=False)
    rings_back: bool = False
    placed_at: float = field(default=0.0, compare=False, repr=False)
    """Callee: when the ring says it was sent, on the clock of `now`."""

    state: CallState = CallState.NEW
    devices: tuple[Device, ...] = ()
    """Caller: every device that was rung."""
    rung: frozenset[Device] = frozenset()
    """Caller: the devices that said `ringing`."""
    gone: frozenset[Device] = frozenset()
    """Caller: the devices that are offline or cannot take the call."""
    device: Device | None = None
    """The device at the other end: the caller's, or the one that accepted."""
    early_leg: EarlyLeg = EarlyLeg.NONE
    """Callee: which leg was offered in `ringing`."""
    legs: frozenset[Leg] = frozenset()
    """The open legs."""
    paths: frozenset[Leg] = frozenset()
    """Legs, closed ones too, that found a path."""
    secured: frozenset[Leg] = frozenset()
    """Open legs that are secured."""
    newest: int = 0
    """The highest generation this end knows of."""
    media: int | None = None
    """The generation that media is sent on, once there was any."""
    heard_on: int | None = None
    """The generation that the other end was last heard on while media was sent there too."""
    leg_debt: float = field(default=0.0, compare=False)
    """How many legs the other end has had begun here of late; it wears off."""
    owed_at: float = field(default=0.0, compare=False)
    """When that was counted, on the clock of `now`."""
    wish: int | None = None
    """Caller: the generation beside which the callee wants a better leg, once it is secured."""
    first_is_fresh: bool = False
    """Whether the leg of generation 0 was begun after accept, so that both ends show what they have."""
    deaf: bool = False
    """Whether this end hears nothing itself, since media flowed."""
    offline_until: float | None = None
    """When an accepted call that has no network here is given up, on the clock of `now`."""
    server_away: bool = False
    """Whether the session with the signaling server is gone for now."""
    media_open: bool = False
    reason: EndReason | None = None
    sentence: str = ""
    """Why it ended, for people; a cause that was reported in words takes the place of the general sentence."""
    cause: Cause | None = None
    """What did not work, when it failed and that is known."""
    side: Side | None = None
    """At whose end."""
    ended_at: Stage | None = None
    deadlines: Deadlines[CallDeadline] = field(default_factory=Deadlines)
    dropped: int = field(default=0, compare=False)
    """Inputs that the protocol does not allow here, or that came late."""

    @property
    def stage(self) -> Stage:
        """How far the call got."""
        if self.ended_at is not None:
            return self.ended_at
        match self.state:
            case CallState.NEW | CallState.PREPARING:
                return Stage.KEYS
            case CallState.INVITING | CallState.ALERTING | CallState.RINGING | CallState.ANSWERING | CallState.ENDED:
                return Stage.RING
            case CallState.CONNECTING:
                return Stage.HANDSHAKE if any(leg.device == self.device for leg in self.paths) else Stage.PATH
            case CallState.ACTIVE | CallState.RECONNECTING:
                return Stage.MEDIA
            case _:
                assert_never(self.state)

    @property
    def media_leg(self) -> Leg | None:
        """The leg that media is sent on, open or not."""
        return None if self.device is None or self.media is None else Leg(self.device, self.media)

    @property
    def pending_leg(self) -> Leg | None:
        """The newest leg of an answered call, while it is open and not secured yet."""
        if self.device is None:
            return None
        leg = Leg(self.device, self.newest)
        return leg if leg in self.legs and leg not in self.secured else None

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due next, on the clock of `now`."""
        return self.deadlines.next()

    def handle(self, fact: CallFact, now: float) -> tuple[CallMachine, tuple[Output, ...]]:
        """The call after `fact`, and what it asks for.

        Args:
            fact: what happened; its call id is taken to be this call's.
            now: seconds on one monotonic clock.
        """
        event = self.understand(fact)
        found = None if event is None else rule(self.role, self.state, event)
        if found is None:
            return replace(self, dropped=self.dropped + 1), ()
        after, outputs = actions.perform(found.do, self, fact, now)
        if after.state not in found.to:
            raise RuntimeError(f"The action {found.do!r} led from {self.state} to {after.state}, against the table.")
        return after, outputs

    def handle_timeout(self, now: float) -> tuple[CallMachine, tuple[Output, ...]]:
        """The call after every deadline that is due, and what it asks for."""
        call = self
        outputs: list[Output] = []
        while (name := call.deadlines.first_due(now)) is not None:
            call = replace(call, deadlines=call.deadlines.cancel(name))
            call, more = call.handle(DeadlinePassed(call.id, name), now)
            outputs += more
        return call, tuple(outputs)

    def understand(self, fact: CallFact) -> Event | None:
        """The event that `fact` is for this call, or None for what is stale or comes from somebody else."""
        match fact:
            case Dialled():
                return Event.DIALLED
            case Rang():
                return Event.RANG_BACK if self.rings_back else Event.RANG
            case KeysReady():
                return Event.KEYS_READY
            case KeysFailed():
                return Event.KEYS_FAILED
            case Accepted():
                return Event.ACCEPTED
            case Declined():
                return Event.DECLINED
            case HungUp():
                return Event.HUNG_UP
            case MediaOpened():
                return Event.MEDIA_OPENED
            case LocalFailure():
                return Event.LOCAL_FAILURE
            case RingingReceived(device=device):
                return Event.RINGING_FROM if device in self.devices and device not in self.rung else None
            case AcceptReceived(device=device):
                return Event.ACCEPT_FROM if device in self.devices else None
            case EndReceived():
                return self._understand_end(fact)
            case PleaseReceived():
                return self._understand_please(fact)
            case LegOffered(leg=leg):
                return Event.LEG_OFFERED if leg.device == self.device and leg.generation > self.newest else None
            case DeviceOffline(device=device):
                return Event.OFFLINE_FROM if device == self.device or self._may_answer(device) else None
            case PathFound(leg=leg):
                return Event.PATH_FOUND if leg in self.legs - self.paths else None
            case Secured(leg=leg):
                return Event.SECURED if leg in self.legs - self.secured else None
            case Stalled(leg=leg):
                return Event.MEDIA_STALLED if leg in self.legs and leg == self.media_leg else None
            case Flowed(leg=leg):
                return Event.MEDIA_FLOWED if leg in self.legs and leg == self.media_leg else None
            case LegClosed(leg=leg) | LegFailed(leg=leg):
                return self._understand_leg_down(fact) if leg in self.legs else None
            case BetterPath():
                return Event.BETTER_PATH
            case Crossed():
                return Event.CROSSED
            case Recalled():
                return Event.RECALLED
            case SignalingLost():
                return Event.SIGNALING_LOST
            case SignalingRestored():
                return Event.SIGNALING_RESTORED
            case NetworkChanged():
                return Event.NETWORK_CHANGED
            case DeadlinePassed(name=name):
                return _PASSED[name]
            case _:
                assert_never(fact)

    def _may_answer(self, device: Device) -> bool:
        return self.device is None and device in self.devices and device not in self.gone

    def _understand_end(self, end: EndReceived) -> Event | None:
        if self.device is None:
            if not self._may_answer(end.device):
                return None
            refused = end.reason in (EndReason.DECLINED, EndReason.BUSY)
            return Event.REFUSED_FROM if refused else Event.UNABLE_FROM
        if end.device != self.device:
            return Event.ENDED_BY_OTHER if end.device.address == self.address else None
        if heard(end.reason, self.role) is EndReason.ELSEWHERE:
            return Event.TAKEN_ELSEWHERE if end.accepted_device != self.me else None
        return Event.ENDED_BY_PEER

    def _understand_leg_down(self, fact: LegClosed | LegFailed) -> Event:
        """Whether there is hope after a leg that failed: an early one may have hidden what would have worked."""
        if fact.leg == self.media_leg:
            return Event.MEDIA_LEG_DOWN
        if not isinstance(fact, LegFailed) or not is_answered(self.state) or not is_certain(fact.cause):
            return Event.SPARE_LEG_DOWN
        return Event.SPARE_LEG_DOWN if fact.hidden and self.is_early(fact.leg) else Event.LEG_HOPELESS

    def is_early(self, leg: Leg) -> bool:
        """Whether a leg was begun before the call was accepted."""
        return leg.generation == 0 and not self.first_is_fresh

    def _understand_please(self, please: PleaseReceived) -> Event | None:
        """Whether a `please` is about what the caller knows, or was overtaken by a leg that is under way.

        While a leg is pending, only a callee that has seen it fail has news. Otherwise the callee's newest leg must
        not be older than the one that carries media: it will come to know that one.
        """
        if self.role is not Role.CALLER or please.leg.device != self.device or please.leg.generation > self.newest:
            return None
        carrying = self.media or 0
        if not please.stalled:
            return Event.PLEASE_IMPROVE if please.leg.generation >= carrying else None
        known = self.newest if self.pending_leg is not None else carrying
        return Event.PLEASE_LEAD if please.leg.generation >= known else None


_PASSED = {
    CallDeadline.RING: Event.RING_PASSED,
    CallDeadline.ANSWER: Event.ANSWER_PASSED,
    CallDeadline.CONNECT: Event.CONNECT_PASSED,
    CallDeadline.RECONNECT: Event.RECONNECT_PASSED,
    CallDeadline.ATTEMPT: Event.ATTEMPT_PASSED,
    CallDeadline.RETRY: Event.RETRY_PASSED,
    CallDeadline.OLD_LEG: Event.OLD_LEG_PASSED,
}


def is_unanswered_dial(call: CallMachine) -> bool:
    """Whether this device is calling and nobody has accepted yet."""
    return call.role is Role.CALLER and not is_answered(call.state)
