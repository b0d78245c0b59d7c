"""Whether the accounts of the sessions here are still there, which the store knows when no other node could say so.

A deletion is told to the nodes that are there. A node that was out of reach looks its accounts up when it meets another
one again, and when it loses one, which may have died before it could tell. So a deleted account stays no longer than
the node where its device is stays cut off.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from entrenous_wire.certificate import DeviceCertificate

from ..accounts import AccountLimits
from ..auth import RETRY_SECONDS
from ..lobby import Lobby
from ..outputs import Outbox
from ..router import Router
from ..store.requests import Account, Failed, ReadAccount, StoreResult
from ..timers import Timers

_PER_SECOND: Final = 200.0
"""Accounts that are looked up, so that whoever logs in meanwhile does not wait behind all of them."""


class Recheck:
    """Looks accounts up, and ends the sessions of those that are gone, or belong to somebody else now.

    Args:
        outbox: where store requests go.
        router: knows the keys of devices.
        lobby: ends sessions.
    """

    def __init__(self, outbox: Outbox, router: Router, lobby: Lobby) -> None:
        self._outbox = outbox
        self._router = router
        self._lobby = lobby
        self._due: Timers[AccountLimits] = Timers()

    def begin(self, now: float) -> None:
        """Look all accounts up that have a session here, one after the other."""
        for count, account in enumerate(self._lobby.present()):
            self._due.set(account, now + count / _PER_SECOND)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._due.next()

    def tick(self, now: float) -> None:
        """Do what is due."""
        for account in self._due.due(now):
            self._outbox.execute(ReadAccount(account.username), partial(self._looked_up, account))

    def _looked_up(self, account: AccountLimits, result: StoreResult | Failed, now: float) -> None:
        if isinstance(result, Failed):
            self._due.set(account, now + RETRY_SECONDS)
            return
        stored = result.devices if isinstance(result, Account) else ()
        keys = {device.device: DeviceCertificate.parse(device.certificate).device_key for device in stored}
        for mailbox in map(self._router.find, account.devices):
            # The device of a certificate that has expired may have made room for another: that is no deletion.
            if mailbox is not None and now < mailbox.expires and keys.get(mailbox.key.device) != mailbox.device_key:
                self._lobby.expel(account.username, now)
                return
