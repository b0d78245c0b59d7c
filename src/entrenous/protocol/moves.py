"""One step of a call in the making.

The actions change the move's copy of the call and collect what to ask for; both are handed back only when the
whole step worked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .causes import Cause, Side, side_of
from .inputs import Device, EarlyLeg, Leg
from .outputs import (
    CloseLeg,
    CloseMedia,
    MoveMedia,
    OpenGate,
    OpenMedia,
    Output,
    SendEnd,
    SendPlease,
    StartLeg,
)
from .sentences import sentence
from .states import CallDeadline, CallState, EndReason, Role, Stage

MAX_LEG_DEBT: Final = 8.0
"""Legs that the other end may have begun here at once; from then on one for each pause after a failed leg."""

if TYPE_CHECKING:
    from .call import CallMachine


class Move:
    """One step of a call in the making.

    Args:
        call: the call before the step.
        now: seconds on the caller's clock.
    """

    def __init__(self, call: CallMachine, now: float) -> None:
        self.call = call
        self.outputs: list[Output] = []
        self._now = now

    def set(self, **changes: Any) -> None:
        """Change fields of the call."""
        self.call = replace(self.call, **changes)

    def ask(self, *outputs: Output) -> None:
        """Ask the shell for something."""
        self.outputs += outputs

    def arm(self, name: CallDeadline, seconds: float) -> None:
        """Set a deadline `seconds` from now."""
        self.set(deadlines=self.call.deadlines.set(name, self._now + seconds))

    def disarm(self, *names: CallDeadline) -> None:
        """Cancel deadlines."""
        self.set(deadlines=self.call.deadlines.cancel(*names))

    @property
    def peer(self) -> Device:
        """The device at the other end; only asked for in states that have one."""
        if self.call.device is None:
            raise RuntimeError(f"A call in state {self.call.state} has no device at the other end.")
        return self.call.device

    def say_end(self, reason: EndReason, devices: tuple[Device, ...], accepted: Device | None = None) -> None:
        """Tell `devices`, if any, that the call is over for them."""
        if devices:
            self.ask(SendEnd(self.call.id, devices, reason, accepted, self.call.stage))

    def say_failed(self, stage: Stage, cause: Cause | None) -> None:
        """Tell everybody that the call failed, where and why."""
        if self.everybody():
            self.ask(SendEnd(self.call.id, self.everybody(), EndReason.FAILED, None, stage, cause))

    def end(
        self,
        reason: EndReason,
        stage: Stage | None = None,
        words: str = "",
        *,
        cause: Cause | None = None,
        ours: bool = True,
        relays: bool = True,
    ) -> None:
        """End the call: close what is open, keep the reason, the stage and the sentence.

        Args:
            reason: why it ended, as this end reads it.
            stage: how far it got; None takes what this end saw.
            words: the sentence for people, in place of the general one.
            cause: what did not work.
            ours: whether this end found that out, or the other said so.
            relays: whether this end had a relay to offer; for the sentence.
        """
        call = self.call
        reached = stage or call.stage
        side = None if cause is None else side_of(cause, ours=ours)
        self.ask(*(CloseLeg(call.id, leg) for leg in sorted(call.legs)))
        if call.media_open:
            self.ask(CloseMedia(call.id))
        self.set(
            state=CallState.ENDED,
            reason=reason,
            ended_at=reached,
            sentence=words or self._sentence(reason, reached, cause, side, relays),
            cause=cause,
            side=side,
            legs=frozenset(),
            secured=frozenset(),
            media_open=False,
            deadlines=type(call.deadlines)(),
        )

    def _sentence(self, reason: EndReason, stage: Stage, cause: Cause | None, side: Side | None, relays: bool) -> str:
        had_media = self.call.media is not None
        return sentence(reason, stage, self.call.address, cause, side, relays=relays, had_media=had_media)

    def open_leg(self, leg: Leg) -> None:
        """Count a leg as open."""
        self.set(legs=self.call.legs | {leg}, newest=max(self.call.newest, leg.generation))

    def close_legs(self, *legs: Leg) -> None:
        """Close legs and forget them."""
        self.ask(*(CloseLeg(self.call.id, leg) for leg in sorted(legs)))
        self.set(legs=self.call.legs.difference(legs), secured=self.call.secured.difference(legs))

    def open_media(self) -> None:
        """Have sources and sinks opened, once."""
        if not self.call.media_open:
            self.ask(OpenMedia(self.call.id))
            self.set(media_open=True)

    def start_leg(self) -> None:
        """Caller: begin a leg of the next generation."""
        leg = Leg(self.peer, self.call.newest + 1)
        self.open_leg(leg)
        self.ask(StartLeg(self.call.id, leg))
        self.await_leg()

    def seek_leg(self) -> None:
        """Get a new leg: the caller starts it, the callee asks for it."""
        if self.call.role is Role.CALLER:
            self.start_leg()
        else:
            self.disarm(CallDeadline.RETRY)
            self.ask(SendPlease(self.call.id, Leg(self.peer, self.call.newest), stalled=True))

    def affords_leg(self) -> bool:
        """Whether the other end may have one more leg begun here: each costs sockets, relays and a handshake."""
        call = self.call
        debt = max(0.0, call.leg_debt - (self._now - call.owed_at) / call.timeouts.retry)
        if debt > MAX_LEG_DEBT:
            return False
        self.set(leg_debt=debt + 1.0, owed_at=self._now)
        return True

    def await_leg(self) -> None:
        """Give the pending leg its time."""
        self.disarm(CallDeadline.RETRY)
        self.arm(CallDeadline.ATTEMPT, self.call.timeouts.attempt)

    def awaits_network(self) -> bool:
        """Without any network at this end: wait for one, as long as that may take in all; False when it has."""
        until = self.call.offline_until
        if until is None:
            until = self._now + self.call.timeouts.offline
        self.set(offline_until=until)
        self.arm(CallDeadline.RETRY, until - self._now)
        return self._now < until

    def connect(self) -> None:
        """Enter ACTIVE if the leg of the pinned device is secured already, CONNECTING otherwise."""
        secured = [leg for leg in self.call.secured if leg.device == self.peer]
        self.disarm(CallDeadline.RING, CallDeadline.ANSWER)
        if secured:
            self.carry_media(secured[0])
            return
        self.set(state=CallState.CONNECTING)
        self.arm(CallDeadline.CONNECT, self.call.timeouts.connect)
        if self.call.legs:
            self.await_leg()
        else:
            self.seek_leg()

    def carry_media(self, leg: Leg) -> None:
        """Let media use `leg`; what it used before stays open until the other end is heard on it."""
        call = self.call
        self.ask(OpenGate(call.id, leg) if call.media is None else MoveMedia(call.id, leg))
        self.set(state=CallState.ACTIVE, media=leg.generation, deaf=False)
        self.disarm(CallDeadline.CONNECT, CallDeadline.RECONNECT, CallDeadline.ATTEMPT, CallDeadline.RETRY)
        self._keep_the_leg_before(call, leg)
        if call.role is Role.CALLEE and call.early_leg is EarlyLeg.RELAY and leg.generation == 0:
            self.ask(SendPlease(call.id, leg, stalled=False))
        if leg.generation == call.wish:
            self.set(wish=None)
            self.start_leg()

    def _keep_the_leg_before(self, call: CallMachine, leg: Leg) -> None:
        """Keep the one older leg on which the other end was heard, or media was sent, and close every other."""
        before = (generation for generation in (call.heard_on, call.media) if generation is not None)
        kept = next((generation for generation in before if Leg(leg.device, generation) in call.legs), None)
        older = [each for each in call.legs if each.generation < leg.generation]
        self.close_legs(*(each for each in older if each.generation != kept))
        if kept is not None:
            self.arm(CallDeadline.OLD_LEG, call.timeouts.attempt)

    def retire_old_leg(self) -> None:
        """The other end has moved to the leg in use: what else is open of this call is not needed for long."""
        self.set(heard_on=self.call.media)
        if any(leg.generation < (self.call.media or 0) for leg in self.call.legs):
            self.arm(CallDeadline.OLD_LEG, self.call.timeouts.old_leg)

    def reconnect(self) -> None:
        """Enter RECONNECTING."""
        self.set(state=CallState.RECONNECTING)
        self.arm(CallDeadline.RECONNECT, self.call.timeouts.reconnect)

    def others(self, device: Device) -> tuple[Device, ...]:
        """Every device that was rung, except `device`; one that seemed offline may have the ring all the same."""
        return tuple(other for other in self.call.devices if other != device)

    def everybody(self) -> tuple[Device, ...]:
        """Whom an end is for: the device at the other end, or every device that was rung."""
        return (self.call.device,) if self.call.device is not None else self.call.devices
