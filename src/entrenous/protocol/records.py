"""The call records that this device claims when a server has forgotten everything else.

A record comes with the accept, to whoever said it and to whoever hears it. It is forgotten when the call's other
device has said `end`, or when this device's own `end` to that one is out: until then the claim has to come before
that `end`, or the server could not tell which record it closes. What is still said to others that rang closes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec import structs

from entrenous_wire.limits import MAX_LIVE_CALLS
from entrenous_wire.messages import LiveCall

from .outbox import Outbox

_FINISHED_REMEMBERED: Final = 256
"""Finished calls that are remembered, so that an accept that crosses with the end opens no claim."""


class Records:
    """Open records by call, bounded; beyond the bound the oldest is not claimed."""

    def __init__(self) -> None:
        self._open: OrderedDict[bytes, LiveCall] = OrderedDict()
        self._finished: OrderedDict[bytes, None] = OrderedDict()

    def open(self, record: LiveCall) -> None:
        """A record was opened; the first device to accept is the one that the call goes on with."""
        if record.call not in self._finished:
            self._open.setdefault(record.call, record)
        if len(self._open) > MAX_LIVE_CALLS:
            self._open.popitem(last=False)

    def ended_by(self, call: bytes, peer: str, device: str) -> None:
        """A device said `end`; only the one that the call goes on with ends it."""
        record = self._open.get(call)
        if record is not None and (record.peer, record.device) == (peer, device):
            del self._open[call]

    def finish(self, call: bytes) -> None:
        """The call is over at this device."""
        self._finished[call] = None
        if len(self._finished) > _FINISHED_REMEMBERED:
            self._finished.popitem(last=False)

    def tidy(self, outbox: Outbox) -> None:
        """Forget the records of finished calls whose `end` is out."""
        finished = [record for call, record in self._open.items() if call in self._finished]
        for record in finished:
            if not outbox.holds_end(record.call, (record.peer, record.device)):
                del self._open[record.call]

    def live(self) -> list[LiveCall]:
        """What to claim, and what of it is over."""
        return [structs.replace(record, over=call in self._finished) for call, record in self._open.items()]
