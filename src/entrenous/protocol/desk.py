"""The calls of one device: at most one lives, and a ring that meets it is judged here.

======================================================  ==============================================================
A ring arrives while a call is live, and it is from …   then …
======================================================  ==============================================================
another user                                            busy
the user I am calling, before my rings went out         yield: take theirs, drop mine; they cannot know about mine
a device that already rang for my call                  yield: it forgot my call, so it has crashed
the user I am calling, otherwise                        glare: the higher call id stays, the lower gives way to it;
                                                        equal ids end both
the device I am in a call with, or that rings here      recall: it has crashed; forget the old call and ring
the same, but it was sent before the ring of that call  nothing: it was held back on the way
another device of the user I am in a call with          busy
======================================================  ==============================================================

All of it rests on in-order delivery per pair of devices: with reordering a late ring would look like a recall. A
server that reorders on purpose finds the rings signed with the time at which they were sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, assert_never

from entrenous_wire.limits import CALL_ID_BYTES

from ..errors import LocalProtocolError
from .call import CallMachine, is_unanswered_dial
from .deadlines import Timeouts
from .inputs import (
    Accepted,
    CallInput,
    Crossed,
    Declined,
    Device,
    Dialled,
    HungUp,
    InnerInput,
    Input,
    NetworkChanged,
    Rang,
    Recalled,
    SignalingLost,
    SignalingRestored,
)
from .outputs import Output, SendEnd
from .states import CallState, EndReason, Role, Stage, is_live

MAX_TOMBSTONES: Final = 4096
"""Ended calls that are remembered; beyond it the oldest is forgotten."""

Outputs = tuple[Output, ...]


class Collision(Enum):
    """What a ring is that meets a live call."""

    BUSY = auto()
    STAY = auto()
    """Glare, and this device's call has the higher id."""
    GIVE_WAY = auto()
    """Glare with the lower id, or a yield: their call takes over."""
    END_BOTH = auto()
    """Glare with equal ids."""
    RECALL = auto()
    REPEATED = auto()
    """The ring of the live call itself, again."""


def collide(live: CallMachine, ring: Rang) -> Collision:
    """Judge a ring that meets a live call, by the table above."""
    same_user = ring.device.address == live.address
    dialling = is_unanswered_dial(live)
    if ring.call == live.id:
        return Collision.END_BOTH if same_user and dialling else Collision.REPEATED
    if not same_user:
        return Collision.BUSY
    if dialling:
        if live.state is CallState.PREPARING or ring.device in live.rung:
            return Collision.GIVE_WAY
        return Collision.STAY if live.id > ring.call else Collision.GIVE_WAY
    return Collision.RECALL if ring.device == live.device else Collision.BUSY


def is_held_back(live: CallMachine, ring: Rang, now: float) -> bool:
    """Whether a ring of the device that placed this call was sent before the call's own, both by that device's clock.

    A call that this device placed has no such time: its peer's clock may be off by more than tells rings apart.
    """
    return live.role is Role.CALLEE and ring.device == live.device and now - ring.age < live.placed_at


@dataclass(frozen=True, slots=True)
class Desk:
    """The calls of one device, as an immutable value: `handle` and `handle_timeout` return the next one.

    Args:
        me: this device.
        timeouts: the durations.
    """

    me: Device
    timeouts: Timeouts = field(default=Timeouts(), compare=False, repr=False)
    live: CallMachine | None = None
    """The call that occupies this device."""
    tombstones: tuple[tuple[float, bytes], ...] = ()
    """When each ended call may be forgotten, and its id, in that order: each call id is taken once."""
    dropped: int = field(default=0, compare=False)
    """Inputs that came late, twice, or that the protocol does not allow."""

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due next, on the clock of `now`; None while nothing is waited for."""
        return None if self.live is None else self.live.next_deadline()

    def handle_timeout(self, now: float) -> tuple[Desk, Outputs]:
        """The desk after every deadline that is due, and what it asks for."""
        if self.live is None:
            return self, ()
        return self._put(*self.live.handle_timeout(now), now)

    def handle(self, fact: Input, now: float) -> tuple[Desk, Outputs]:
        """The desk after `fact`, and what it asks for.

        Args:
            fact: what happened.
            now: seconds on one monotonic clock; never less than before.

        Raises:
            LocalProtocolError: a second dial while a call lives, dialling oneself, a call id that is not 16 fresh
                bytes, or a user input for a call that never was.
        """
        match fact:
            case Dialled():
                return self._dial(fact, now)
            case Rang():
                return self._ring(fact, now)
            case SignalingLost() | SignalingRestored() | NetworkChanged():
                return (self, ()) if self.live is None else self._put(*self.live.handle(fact, now), now)
            case _:
                return self._pass_on(fact, now)

    def _pass_on(self, fact: CallInput | InnerInput, now: float) -> tuple[Desk, Outputs]:
        if self.live is not None and self.live.id == fact.call:
            return self._put(*self.live.handle(fact, now), now)
        if isinstance(fact, Accepted | Declined | HungUp) and not self._is_buried(fact.call, now):
            raise LocalProtocolError("There is no such call.")
        return self._drop(), ()

    def _dial(self, dial: Dialled, now: float) -> tuple[Desk, Outputs]:
        if len(dial.call) != CALL_ID_BYTES:
            raise LocalProtocolError(f"A call id has {CALL_ID_BYTES} bytes.")
        if self.live is not None:
            raise LocalProtocolError(f"There is a call with {self.live.address} already: end it before dialling anew.")
        if dial.address == self.me.address:
            raise LocalProtocolError("That is your own address.")
        if self._is_buried(dial.call, now):
            raise LocalProtocolError("A call id may be used only once.")
        call = CallMachine(dial.call, Role.CALLER, self.me, dial.address, self.timeouts)
        return self._put(*call.handle(dial, now), now)

    def _ring(self, ring: Rang, now: float) -> tuple[Desk, Outputs]:
        fresh = abs(ring.age) <= self.timeouts.ring
        if not fresh or ring.device.address == self.me.address or self._is_buried(ring.call, now):
            return self._drop(), ()
        if self.live is None:
            return self._take_ring(ring, now, rings_back=False)
        if is_held_back(self.live, ring, now):
            return self._drop(), ()
        collision = collide(self.live, ring)
        match collision:
            case Collision.REPEATED:
                return self._drop(), ()
            case Collision.BUSY | Collision.STAY:
                return self._bury(ring.call, now), (_busy(ring),)
            case Collision.END_BOTH:
                return self._put(*self.live.handle(Crossed(self.live.id, to=None), now), now)
            case Collision.GIVE_WAY:
                desk, ended = self._put(*self.live.handle(Crossed(self.live.id, to=ring.call), now), now)
                desk, rung = desk._take_ring(ring, now, rings_back=True)
                return desk, ended + rung
            case Collision.RECALL:
                desk, ended = self._put(*self.live.handle(Recalled(self.live.id), now), now)
                desk, rung = desk._take_ring(ring, now, rings_back=False)
                return desk, ended + rung
            case _:
                assert_never(collision)

    def _take_ring(self, ring: Rang, now: float, *, rings_back: bool) -> tuple[Desk, Outputs]:
        call = CallMachine(
            ring.call,
            Role.CALLEE,
            self.me,
            ring.device.address,
            self.timeouts,
            rings_back=rings_back,
            placed_at=now - ring.age,
        )
        return self._put(*call.handle(ring, now), now)

    def _put(self, call: CallMachine, outputs: Outputs, now: float) -> tuple[Desk, Outputs]:
        """With `call` as the live call, or buried when it has ended."""
        before = self.live.dropped if self.live is not None and self.live.id == call.id else 0
        desk = replace(self, live=call if is_live(call.state) else None, dropped=self.dropped + call.dropped - before)
        return (desk if is_live(call.state) else desk._bury(call.id, now)), outputs

    def _bury(self, call: bytes, now: float) -> Desk:
        kept = [stone for stone in self.tombstones if stone[0] > now]
        kept.append((now + self.timeouts.tombstone, call))
        return replace(self, tombstones=tuple(sorted(kept)[-MAX_TOMBSTONES:]))

    def _is_buried(self, call: bytes, now: float) -> bool:
        return any(other == call and until > now for until, other in self.tombstones)

    def _drop(self) -> Desk:
        return replace(self, dropped=self.dropped + 1)


def _busy(ring: Rang) -> SendEnd:
    return SendEnd(ring.call, (ring.device,), EndReason.BUSY, None, Stage.RING)
