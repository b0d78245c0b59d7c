"""Which calls have ended lately, remembered in a way that tells nobody who was in them.

Of a call, and of a pair of devices in it, only a hash is kept. A call id is 128 random bits that its two ends know: so
they are recognised when they come again, and whoever reads the memory of the server learns neither the call nor who
was in it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from .mailbox import DeviceKey

_HASH_BYTES: Final = 16


class EndedCalls:
    """Calls, and pairs of calls, that have ended; the oldest are forgotten first.

    Args:
        capacity: how many of each are remembered.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._calls: OrderedDict[bytes, None] = OrderedDict()
        self._pairs: OrderedDict[bytes, None] = OrderedDict()
        self._cancelled: OrderedDict[bytes, None] = OrderedDict()

    def add(self, call: bytes) -> None:
        """A call has ended."""
        self._remember(self._calls, _hash(call, ()))

    def add_pair(self, call: bytes, pair: Iterable[DeviceKey]) -> None:
        """A call has ended between two devices; others may go on with it."""
        self._remember(self._pairs, _hash(call, pair))

    def add_cancelled(self, call: bytes, by: DeviceKey) -> None:
        """A device has said an end of a call, and nothing was known then of one that goes on."""
        self._remember(self._cancelled, _hash(call, (by,)))

    def has(self, call: bytes) -> bool:
        """Whether a call has ended."""
        return _hash(call, ()) in self._calls

    def has_pair(self, call: bytes, pair: Iterable[DeviceKey]) -> bool:
        """Whether a call has ended between two devices by their own word."""
        return _hash(call, pair) in self._pairs

    def was_cancelled(self, call: bytes, by: DeviceKey) -> bool:
        """Whether a device has said an end of a call of which nothing was known."""
        return _hash(call, (by,)) in self._cancelled

    def _remember(self, among: OrderedDict[bytes, None], digest: bytes) -> None:
        among[digest] = None
        if len(among) > self._capacity:
            among.popitem(last=False)


def _hash(call: bytes, pair: Iterable[DeviceKey]) -> bytes:
    parts = sorted(f"{device.username}\0{device.device}" for device in pair)
    return hashlib.blake2b(call + "\0".join(parts).encode(), digest_size=_HASH_BYTES).digest()
