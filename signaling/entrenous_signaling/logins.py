"""What the other devices of an account are told of a login, so that no device comes to it unseen."""

from __future__ import annotations

from typing import Final

from entrenous_wire.messages import LoggedIn

from .accounts import Accounts
from .mailbox import DeviceKey
from .outputs import Outbox
from .router import Router

_MINUTE: Final = 60


class Logins:
    """Tells the devices that are connected; one that is not asks for the devices of its account when it comes back.

    So nothing of a login is kept here.

    Args:
        outbox: where messages go.
        router: knows where devices are.
        accounts: knows which devices an account has here.
    """

    def __init__(self, outbox: Outbox, router: Router, accounts: Accounts) -> None:
        self._outbox = outbox
        self._router = router
        self._accounts = accounts

    def announce(self, key: DeviceKey, *, new: bool, now: float) -> None:
        """A device has logged in afresh at this node: tell the others of its account, wherever they are.

        Args:
            key: the device.
            new: whether it was not stored, or not with this key.
            now: Unix seconds.
        """
        at = int(now) // _MINUTE * _MINUTE
        self.tell(key, at, new=new)
        if self._router.elsewhere is not None:
            self._router.elsewhere.cluster.logged_in(key, at, new=new)

    def tell(self, key: DeviceKey, at: int, *, new: bool) -> None:
        """Tell the other devices of the account that are connected here; `at` is as in `LoggedIn`."""
        for other in self._accounts.devices_of(key.username):
            mailbox = self._router.find(other)
            if other != key and mailbox is not None and mailbox.connection is not None:
                self._outbox.transmit(mailbox.connection, LoggedIn(device=key.device, at=at, new=new))
