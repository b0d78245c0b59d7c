"""What became of the deletion of an account: when it is gone, its sessions end.

A database that is lost while it commits does not say whether it did so. Such a deletion is in doubt until the account
was looked up often enough: whoever asked for it may never ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from .auth import RETRY_SECONDS
from .outputs import Outbox
from .store.requests import Failed, ReadAccount, StoreResult
from .timers import Timers

DOUBT_SECONDS: Final = 60.0
"""How long an account that is still there may yet be gone: longer than a database that hangs goes on with what it was
told before it noticed that nobody waits."""

_LONGEST_PAUSE: Final = 30.0


@dataclass(slots=True)
class _Doubt:
    """An account that may be gone.

    Args:
        until: Unix seconds; if it is there then, it stays.
        pause: seconds until it is looked up the next time.
    """

    until: float
    pause: float = RETRY_SECONDS


class Deletions:
    """Ends the sessions of accounts that are deleted.

    Args:
        outbox: where store requests go.
        expel: ends all sessions of an account, at all nodes; returns how many there were at this one.
    """

    def __init__(self, outbox: Outbox, expel: Callable[[str, float], int]) -> None:
        self._outbox = outbox
        self._expel = expel
        self._doubts: dict[str, _Doubt] = {}
        self._due: Timers[str] = Timers()

    def settle(self, username: str, result: StoreResult | Failed, now: float) -> int:
        """End the sessions of an account that was to be deleted, or look for it until it is known whether it is gone.

        Args:
            username: whose.
            result: of its `RemoveAccount`: also when there was none, it has no sessions any more.
            now: Unix seconds.

        Returns:
            How many sessions were ended at this node.
        """
        if isinstance(result, Failed):
            self._doubts[username] = _Doubt(until=now + DOUBT_SECONDS)
            self._due.set(username, now + RETRY_SECONDS)
            return 0
        self._forget(username)
        return self._expel(username, now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._due.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for username in self._due.due(now):
            self._outbox.execute(ReadAccount(username), partial(self._looked_up, username, self._doubts[username]))

    def _looked_up(self, username: str, doubt: _Doubt, result: StoreResult | Failed, now: float) -> None:
        if self._doubts.get(username) is not doubt:
            return  # its deletion was asked for once more
        if result is None:
            self.settle(username, result, now)
        elif isinstance(result, Failed) or now < doubt.until:
            doubt.pause = min(2 * doubt.pause, _LONGEST_PAUSE)
            self._due.set(username, now + doubt.pause)
        else:
            self._forget(username)

    def _forget(self, username: str) -> None:
        self._doubts.pop(username, None)
        self._due.cancel(username)
