"""The keys of a live call: renewed about once a minute, forgotten when they are old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from .crypto.call_secrets import CallSecrets
from .crypto.key_schedule import Side
from .crypto.messages import RekeyMessage

TICK_SECONDS: Final = 1.0
"""How often an answered call looks after its keys."""


class KeyRenewal:
    """Drives the rekeying of `CallSecrets` by the clock.

    Args:
        transmit: sends a sealed rekey message to the peer.
        renewed: told the epoch that frames are sealed with from now on.
    """

    def __init__(self, transmit: Callable[[bytes], None], renewed: Callable[[int], None]) -> None:
        self.renewals = 0
        """Fresh keys so far."""
        self._transmit = transmit
        self._renewed = renewed
        self._timer: asyncio.TimerHandle | None = None

    def start(self, secrets: CallSecrets) -> None:
        """Look after these keys from now on; harmless when repeated."""
        if self._timer is None:
            self._tick(secrets)

    def stop(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()

    def take(self, secrets: CallSecrets, message: RekeyMessage) -> None:
        """Take a rekey message of the peer; raises RemoteProtocolError when it does not fit here and now."""
        before = secrets.epoch
        reply = secrets.continue_rekey(message, time.monotonic())
        if reply is not None:
            self._transmit(reply)
        self._tell(before, secrets.epoch)

    def _tick(self, secrets: CallSecrets) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick, secrets)
        now, before = time.monotonic(), secrets.epoch
        secrets.tick(now)
        if secrets.side is Side.CALLER:
            offer = secrets.begin_rekey(now)
            if offer is not None:
                self._transmit(offer)
        self._tell(before, secrets.epoch)

    def _tell(self, before: int, after: int) -> None:
        if after > before:
            self.renewals += after - before
            self._renewed(after)
