"""Whether the accounts of sessions are still there, and whose they are now: the store knows, whatever nodes have heard.

A deletion is told to the nodes that are there, which look the account up: the name may belong to somebody else by then,
who has come in meanwhile. A node that was out of reach looks its accounts up when it meets another one again, and when
it loses one, which may have died before it could tell; and an account of which it takes over a session, about which
nobody may have known. So a deleted account stays no longer than the node where its device is stays cut off.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from ..auth import RETRY_SECONDS
from ..deletions import is_gone
from ..lobby import Lobby
from ..mailbox import DeviceKey
from ..outputs import Outbox
from ..router import Router
from ..store.requests import Account, Failed, ReadAccount, StoreResult
from ..timers import Timers
from .directory import Directory

_PER_SECOND: Final = 200.0
"""Accounts that are looked up, so that whoever logs in meanwhile does not wait behind all of them."""


class _Look(NamedTuple):
    """An account to look up.

    Args:
        username: whose.
        everywhere: whether sessions at other nodes are forgotten too: those nodes may be lost, and end none.
    """

    username: str
    everywhere: bool


class Recheck:
    """Looks accounts up, and ends the sessions of those that are gone, or belong to somebody else now.

    Args:
        outbox: where store requests go.
        router: knows the keys of devices.
        lobby: ends sessions.
        directory: the sessions of all nodes.
    """

    def __init__(self, outbox: Outbox, router: Router, lobby: Lobby, directory: Directory) -> None:
        self._outbox = outbox
        self._router = router
        self._lobby = lobby
        self._directory = directory
        self._due: Timers[_Look] = Timers()

    def begin(self, now: float) -> None:
        """Look all accounts up that have a session here, one after the other."""
        for count, account in enumerate(self._lobby.present()):
            self._due.set(_Look(account.username, everywhere=False), now + count / _PER_SECOND)

    def adopted(self, username: str) -> None:
        """A session of another node was taken over."""
        self._look_up(_Look(username, everywhere=False))

    def deleted(self, username: str) -> None:
        """An account is said to be gone."""
        self._look_up(_Look(username, everywhere=True))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._due.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for look in self._due.due(now):
            self._look_up(look)

    def _look_up(self, look: _Look) -> None:
        self._outbox.execute(ReadAccount(look.username), partial(self._looked_up, look))

    def _looked_up(self, look: _Look, result: StoreResult | Failed, now: float) -> None:
        if isinstance(result, Failed):
            self._due.set(look, now + RETRY_SECONDS)
            return
        if not isinstance(result, Account):
            self._lobby.expel(look.username, now)
            if look.everywhere:
                self._directory.remove_account(look.username)
            return
        for mailbox in map(self._router.find, self._lobby.devices_of(look.username)):
            if mailbox is None:
                continue
            if is_gone(result, mailbox.key.device, mailbox.device_key, mailbox.expires, now):
                self._lobby.expel_device(mailbox, now)
        if look.everywhere:
            for home in list(self._directory.of_account(look.username)):
                session = home.session
                if is_gone(result, session.device, session.device_key, session.expires, now):
                    self._directory.remove(DeviceKey(session.username, session.device), home.node)
