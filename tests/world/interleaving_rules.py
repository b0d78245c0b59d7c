"""What must hold of every quiet state of an exploration: no message is in flight, and no local work is left.

whole   a live call is live on both ends, and both ends name each other; who calls is heard by somebody
single  at most one device of the called user has a call answered
legs    a leg is open at both of its ends or at neither, and only for a live call
media   sources and sinks are open only for a call that is answered or being answered
"""

from __future__ import annotations

from collections import Counter

from entrenous.protocol.inputs import Device, Leg
from entrenous.protocol.states import CallState, Role, is_answered

from .interleaving_actions import Seat


def fault(seats: list[Seat]) -> str | None:
    """What is wrong with a quiet state; None when nothing is."""
    for seat in seats:
        why = _half_open(seat, seats) or _leaks(seat, seats)
        if why is not None:
            return why
    answered = Counter(
        seat.desk.live.id
        for seat in seats
        if seat.desk.live is not None and seat.desk.live.role is Role.CALLEE and is_answered(seat.desk.live.state)
    )
    return next((f"two devices answered {call!r}" for call, count in answered.items() if count > 1), None)


def _half_open(seat: Seat, seats: list[Seat]) -> str | None:
    call = seat.desk.live
    if call is None:
        return None
    ends = [
        other
        for other in seats
        if other.desk.me.address == call.address
        and other.desk.live is not None
        and other.desk.live.id == call.id
        and (other.desk.live.device in (None, seat.desk.me))
    ]
    if call.device is None:
        theirs = [other for other in seats if other.desk.me.address == call.address]
        return None if ends or any(other.lost_memory for other in theirs) else f"nobody rings for {describe(seat)}"
    if any(other.desk.me == call.device for other in ends) or _seat_of(call.device, seats).lost_memory:
        return None
    return f"half-open: {describe(seat)}"


def _leaks(seat: Seat, seats: list[Seat]) -> str | None:
    call = seat.desk.live
    expected = frozenset() if call is None else frozenset((call.id, leg) for leg in call.legs)
    if seat.legs != expected:
        return f"{describe(seat)} has legs open that its call does not know, or the other way round"
    for call_id, leg in seat.legs:
        other = _seat_of(leg.device, seats)
        if (call_id, Leg(seat.desk.me, leg.generation)) not in other.legs and not other.lost_memory:
            return f"{describe(seat)} has a leg open that ends nowhere: {leg}"
    in_use = call is not None and (is_answered(call.state) or call.state is CallState.ANSWERING)
    if bool(seat.media) != in_use:
        return f"{describe(seat)} has media {'open' if seat.media else 'closed'}"
    return None


def _seat_of(device: Device, seats: list[Seat]) -> Seat:
    return next(seat for seat in seats if seat.desk.me == device)


def describe(seat: Seat) -> str:
    """A seat in words: whose it is, its call, the leg that media uses."""
    me, call = seat.desk.me, seat.desk.live
    name = f"{me.address}/{me.id}"
    if call is None:
        return f"{name} idle"
    leg = "" if call.media is None else f" on leg {call.media}"
    return f"{name} {call.state} {call.id[:1].hex()}{leg}"
