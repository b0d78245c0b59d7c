"""The mailboxes here of devices that have their session at another node, or had it at one that is lost.

::

    held ──home known──> forwarded through the window ──settled──> gone, its sender is told
      ^                         │
      └── home lost, moved ─────┘        home says that the session is over ──> lost
      │
      └── not back within the grace ──> lost
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..mailbox import Delivery, DeviceKey, Mailbox, Queued
from ..timers import Timers
from .cluster import Cluster
from .envelopes import NotHere

_HIGHEST_ADOPTED: Final = 2**52
"""Numbers up to here are believed of a device: enough of what a message may have is left above."""


@dataclass(slots=True)
class Elsewhere:
    """What the router does for devices of other nodes.

    Args:
        cluster: the other nodes.
        mailboxes: those of the router.
        timers: those of the router: when it gives a mailbox up.
        make: a new mailbox.
        next_box: a name for a numbering.
        pump: lets out what the window of a mailbox lets out.
        settle: takes what became of a message.
        grace: seconds for which a device is expected back.
    """

    cluster: Cluster
    mailboxes: dict[DeviceKey, Mailbox]
    timers: Timers[DeviceKey]
    make: Callable[[DeviceKey], Mailbox]
    next_box: Callable[[], int]
    pump: Callable[[Mailbox], None]
    settle: Callable[[Queued, Delivery], None]
    grace: float

    def place(self, key: DeviceKey) -> Mailbox | None:
        """A mailbox for a device that has none here, if it is at another node, or was when that was lost."""
        home = self.cluster.find(key)
        if home is None:
            return None
        mailbox = self.mailboxes[key] = self.make(key)
        if home.lost_until is None:
            mailbox.home = home.node
        else:
            self.timers.set(key, home.lost_until)
        return mailbox

    def adopt(self, token_hash: bytes, last_seq: int, now: float) -> Mailbox | None:
        """Take over the session that a device had at another node, whether that is lost or not.

        Args:
            token_hash: of the token that the device has shown.
            last_seq: the last number that it was told there; the numbers go on after it.
            now: Unix seconds.

        Returns:
            The mailbox of the device with its session; None when no other node has that session.
        """
        found = self.cluster.find_session(token_hash)
        if found is None or now >= found[1].expires or last_seq > _HIGHEST_ADOPTED:
            return None
        key, session = found
        mailbox = self.mailboxes.get(key)
        if mailbox is None:
            mailbox = self.mailboxes[key] = self.make(key)
        mailbox.continue_from(last_seq, self.next_box())
        mailbox.home = None
        mailbox.session = session.hash
        mailbox.expires = session.expires
        mailbox.device_key = session.device_key
        return mailbox

    def move(self, mailbox: Mailbox, node: bytes) -> None:
        """The device has its session at another node now: what its own senders said stays here and is forwarded."""
        if mailbox.home == node:
            return
        for origin in mailbox.drop_foreign():
            self.cluster.tell(origin, NotHere(*mailbox.key))
        mailbox.sent.clear()
        mailbox.held_back.clear()
        mailbox.rewind()
        mailbox.home = node
        self.timers.cancel(mailbox.key)
        if not self._drop_if_empty(mailbox):
            self.pump(mailbox)

    def strand(self, node: bytes, now: float) -> None:
        """A node is lost: expect its devices back, and drop what stays there, which comes again from its senders."""
        for mailbox in list(self.mailboxes.values()):
            if mailbox.home == node:
                self.expect(mailbox, now)
            elif mailbox.drop_foreign(node):
                self.pump(mailbox)

    def expect(self, mailbox: Mailbox, now: float) -> None:
        """The device has no session at its home any more, and may have one anywhere soon."""
        mailbox.home = None
        mailbox.rewind()
        if not self._drop_if_empty(mailbox):
            self.timers.set(mailbox.key, now + self.grace)

    def settled(self, mailbox: Mailbox, seq: int) -> None:
        """The device has everything up to and including `seq`."""
        for item in mailbox.acknowledge(seq):
            self.settle(item, Delivery.DELIVERED)
        if mailbox.home is None or not self._drop_if_empty(mailbox):
            self.pump(mailbox)

    def _drop_if_empty(self, mailbox: Mailbox) -> bool:
        """Drop the mailbox of a device of another node for which nothing waits."""
        if mailbox.count:
            return False
        self.timers.cancel(mailbox.key)
        del self.mailboxes[mailbox.key]
        return True
