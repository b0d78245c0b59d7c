"""Messages that are held until their receivers have them.

::

    hold ──> waiting ──say──> said ──accepted──> queued at the server ──delivered──> forgotten
                ^               │                         │                            ^
                │               │ ──delivered, so soon that nothing was said before ───┤
                │               │ ──accepted, of a `message`: it is on disk there ─────┘
                └─ new login, resume, or refused for now ─┘

Everything that is not delivered is said again, in its order, after *every* login and resume, even what the server
had accepted: it may have lost it (killed), and whoever has it already drops the repeat by its id. A refusal for now
stops everything to that device until the time is over, so that nothing overtakes what was refused.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from entrenous_wire.messages import Kind, Send

MAX_HELD: Final = 256
"""Messages held at a time, to all devices together."""

RESERVED: Final = 64
"""Of those, how many are kept free for rings, accepts and ends."""

Receiver = tuple[str, str]
"""Address and device id."""

_Lane = tuple[str, str, bool]
"""A receiver, and whether it is about what is stored for it: that is in no order with what belongs to calls."""


@dataclass(slots=True)
class _Held:
    message: Send
    expires: float
    said: bool = False
    confirmed: bool = False
    """Whether the server has accepted it once, so that its call record was on disk."""

    @property
    def lane(self) -> _Lane:
        """Within which nothing overtakes."""
        return self.message.to, self.message.device, self.message.kind is Kind.MESSAGE


class Outbox:
    """Messages on their way, in the order in which they were handed in.

    Args:
        hold_seconds: how long a message is kept.
    """

    def __init__(self, hold_seconds: float) -> None:
        self._hold_seconds = hold_seconds
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._refused_until: dict[_Lane, float] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, message: Send, now: float) -> bool:
        """Keep a message until it is settled; False when there is no room.

        While a server is away, a live call whose network changes again and again fills much room with addresses.
        They must not keep out what calls begin and end with.
        """
        room = MAX_HELD - RESERVED if message.kind in (Kind.SIGNAL, Kind.MESSAGE) else MAX_HELD
        if len(self._held) >= room:
            return False
        self._held[message.id] = _Held(message, now + self._hold_seconds)
        return True

    def holds_for(self, receiver: Receiver) -> bool:
        """Whether a message of a call to that device is still on its way."""
        return any(held.lane == (*receiver, False) for held in self._held.values())

    def holds_end(self, call: bytes, receiver: Receiver | None = None) -> bool:
        """Whether an `end` of that call is still on its way, to one device or to any."""
        ends = (held.message for held in self._held.values() if held.message.kind is Kind.END)
        return any(end.call == call and receiver in (None, (end.to, end.device)) for end in ends)

    def confirm(self, message_id: bytes) -> Send | None:
        """The server has accepted a message; returns it, or None when it is not held."""
        held = self._held.get(message_id)
        if held is None:
            return None
        held.confirmed = True
        return held.message

    def take_accepts(self, call: bytes, *, confirmed_only: bool) -> list[Send]:
        """Forget the accepts of a call that are not delivered, or those of them that the server has accepted once.

        Returns:
            What was forgotten.
        """
        accepts = [
            held.message
            for held in self._held.values()
            if held.message.call == call and held.message.kind is Kind.ACCEPT and (held.confirmed or not confirmed_only)
        ]
        for message in accepts:
            del self._held[message.id]
        return accepts

    def settle(self, message_id: bytes) -> bool:
        """Forget a message: it arrived, or it never will. False when it is not held."""
        return self._held.pop(message_id, None) is not None

    def refuse(self, message_id: bytes, until: float) -> bool:
        """Say a message again at `until`, and nothing to its receiver before; False when it is not held."""
        held = self._held.get(message_id)
        if held is None:
            return False
        held.said = False
        self._refused_until[held.lane] = max(until, self._refused_until.get(held.lane, until))
        return True

    def rewind(self) -> None:
        """Count everything as unsaid: the connection is a new one."""
        self._refused_until.clear()
        for held in self._held.values():
            held.said = False

    def take_sayable(self, now: float) -> list[Send]:
        """What may be said now and is not yet, in order; it counts as said from here on."""
        self._refused_until = {lane: until for lane, until in self._refused_until.items() if until > now}
        sayable = []
        for held in self._held.values():
            if not held.said and held.lane not in self._refused_until:
                held.said = True
                sayable.append(held.message)
        return sayable

    def take_expired(self, now: float) -> list[Send]:
        """Forget what was kept for too long, and return it."""
        expired = [held.message for held in self._held.values() if held.expires <= now]
        for message in expired:
            del self._held[message.id]
        return expired

    def next_deadline(self) -> float | None:
        """When a message expires, or a refusal is over, or None."""
        oldest = next(iter(self._held.values()), None)
        times = list(self._refused_until.values())
        if oldest is not None:
            times.append(oldest.expires)
        return min(times, default=None)
