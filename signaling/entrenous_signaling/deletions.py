"""What became of the deletion of an account: when it is gone, its sessions end.

A database that is lost while it commits does not say whether it did so. Such a deletion is in doubt until the account
was looked up often enough: whoever asked for it may never ask again. Its name may be registered anew meanwhile, so
sessions are compared with the devices that are found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from entrenous_wire.certificate import CertificateError, DeviceCertificate

from .auth import RETRY_SECONDS
from .lobby import Lobby
from .mailbox import Mailbox
from .outputs import Outbox
from .router import Router
from .store.requests import Account, Failed, ReadAccount, StoreResult, expect
from .timers import Timers

DOUBT_SECONDS: Final = 60.0
"""How long an account that is still there may yet be gone: longer than a database that hangs goes on with what it was
told before it noticed that nobody waits."""

_LONGEST_PAUSE: Final = 30.0

_Session = tuple[Mailbox, bytes | None]
"""What a device had at a moment: its mailbox, and the hash of its token."""


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
        router: knows the keys of devices.
        lobby: ends sessions.
        tell_nodes: tells the other nodes that an account was deleted, or may have been: they look it up.
    """

    def __init__(self, outbox: Outbox, router: Router, lobby: Lobby, tell_nodes: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._router = router
        self._lobby = lobby
        self._tell_nodes = tell_nodes
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
        count = self._lobby.expel(username, now)
        self._tell_nodes(username)
        return count

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._due.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for username in self._due.due(now):
            there = [self._router.find(key) for key in self._lobby.devices_of(username)]
            sessions = [(mailbox, mailbox.session) for mailbox in there if mailbox is not None]
            look = partial(self._looked_up, username, self._doubts[username], sessions)
            self._outbox.execute(ReadAccount(username), look)

    def _looked_up(
        self, username: str, doubt: _Doubt, sessions: list[_Session], result: StoreResult | Failed, now: float
    ) -> None:
        if self._doubts.get(username) is not doubt:
            return  # its deletion was asked for once more
        if result is None:
            self.settle(username, result, now)
            return
        if not isinstance(result, Failed):
            account = expect(result, Account)
            for mailbox, session in sessions:  # who came in since was stored since
                key, expires = mailbox.device_key, mailbox.expires
                if mailbox.session == session and is_gone(account, mailbox.key.device, key, expires, now):
                    self._lobby.expel_device(mailbox, now)
            self._tell_nodes(username)
        if isinstance(result, Failed) or now < doubt.until:
            doubt.pause = min(2 * doubt.pause, _LONGEST_PAUSE)
            self._due.set(username, now + doubt.pause)
        else:
            self._forget(username)

    def _forget(self, username: str) -> None:
        self._doubts.pop(username, None)
        self._due.cancel(username)


def is_gone(account: Account, device: str, key: bytes, expires: float, now: float) -> bool:
    """Whether a device that has a session was deleted.

    Args:
        account: what is registered under its username now.
        device: the device id.
        key: its Ed25519 key.
        expires: Unix seconds at which its certificate expires; it may only have made room for another then.
        now: Unix seconds.

    Returns:
        False too when what is stored for the device cannot be read, which says nothing about it.
    """
    if now >= expires:
        return False
    for known in account.devices:
        if known.device == device:
            try:
                return DeviceCertificate.parse(known.certificate).device_key != key
            except CertificateError:
                return False
    return True
