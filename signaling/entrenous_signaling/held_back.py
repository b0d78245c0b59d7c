"""What a device has to say again before it may say anything else to the same receiver, so that nothing is overtaken.

::

    refused for now ──> waits for its turn ──said again, as the first──> let through: the next one is the first
                               └── not said again in time ──> others may overtake it

What was refused only since something else has to come first waits as well, in the order in which it was said.
"""

from __future__ import annotations

from typing import Final

from .auth import RETRY_SECONDS

PATIENCE_SECONDS: Final = 5.0
"""How long after its time a refused message is waited for before others may overtake it."""

_RECEIVERS: Final = 64
"""For how many it is remembered that something was refused; beyond that, the oldest is forgotten."""

_MESSAGES: Final = 256
"""How many refused messages are remembered, as many as one of our nodes holds at a time. What is refused beyond that
comes behind them, in the order in which it is said then."""

Receiver = tuple[str, str]
"""Username and device id."""


class HeldBack:
    """What was refused for now of all that one device says."""

    def __init__(self) -> None:
        self._waiting: dict[Receiver, dict[bytes, float]] = {}  # ids, in order, and until when each is waited for
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put_off(self, receiver: Receiver, message_id: bytes, retry_at: float) -> None:
        """A message is refused until `retry_at` (Unix seconds); one that waits already keeps its place."""
        waiting = self._waiting.get(receiver)
        if waiting is None:
            if len(self._waiting) >= _RECEIVERS:
                self._forget(next(iter(self._waiting)))
            waiting = self._waiting[receiver] = {}
        if message_id not in waiting:
            if self._count >= _MESSAGES:
                oldest = next(iter(self._waiting))
                if oldest == receiver:
                    return
                self._forget(oldest)
            self._count += 1
        waiting[message_id] = retry_at + PATIENCE_SECONDS

    def seconds_to_wait(self, receiver: Receiver, message_id: bytes, now: float) -> float | None:
        """For how long a message would have to wait for others; None when it is its turn, or nothing waits."""
        waiting = self._waiting.get(receiver)
        while waiting:
            first = next(iter(waiting))
            if first == message_id:
                break
            if now < waiting[first]:
                return max(RETRY_SECONDS, waiting[first] - PATIENCE_SECONDS - now)
            self.let_through(receiver, first)
        return None

    def let_through(self, receiver: Receiver, message_id: bytes) -> None:
        """A message waits no more; nothing happens when it did not."""
        waiting = self._waiting.get(receiver, {})
        if waiting.pop(message_id, None) is not None:
            self._count -= 1
            if not waiting:
                del self._waiting[receiver]

    def age(self, now: float) -> None:
        """Forget what was waited for in vain."""
        for receiver, waiting in list(self._waiting.items()):
            for message_id in [message_id for message_id, until in waiting.items() if now >= until]:
                self.let_through(receiver, message_id)

    def _forget(self, receiver: Receiver) -> None:
        self._count -= len(self._waiting.pop(receiver))
