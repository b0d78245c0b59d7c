"""The mailboxes here of devices that have their session at another node, or had it at one that is lost.

::

    held ──home known──> forwarded through the window ──settled──> gone, its sender is told
      ^                         │
      └── home lost, moved ─────┘        home says that the session is over ──> lost
      │
      └── not back within the grace ──> lost
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..mailbox import DeviceKey, Mailbox, Memory, Queued
from ..timers import Timers
from .cluster import Cluster
from .envelopes import NotHere

_NUMBERS_PER_STAMP: Final = 2048
"""A mailbox that takes a session over numbers from the stamp of that moment times this. So no two nodes that had the
session, and of which one may not have heard that it moved, can mean different messages by a number: a device says at
its next resumption how far it was told, and that is beyond all that the node which was left behind has ever said."""


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
        arrived: told which messages of devices that are here have arrived.
        grace: seconds for which a device is expected back.
        adopted: told the name of an account of which a session was taken over, which its last node may have known
            to be deleted.
    """

    cluster: Cluster
    mailboxes: dict[tuple[str, str], Mailbox]
    timers: Timers[DeviceKey | Memory]
    make: Callable[[DeviceKey], Mailbox]
    next_box: Callable[[], int]
    pump: Callable[[Mailbox], None]
    arrived: Callable[[Sequence[Queued]], None]
    grace: float
    adopted: Callable[[str], None] | None = None

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
            last_seq: the last number that it was told there.
            now: Unix seconds.

        Returns:
            The mailbox of the device with its session; None when no other node has that session.
        """
        found = self.cluster.find_session(token_hash)
        first = self.cluster.directory.stamp(now) * _NUMBERS_PER_STAMP
        if found is None or now >= found[1].expires or last_seq >= first:
            return None
        key, session = found
        mailbox = self.mailboxes.get(key)
        if mailbox is None:
            mailbox = self.mailboxes[key] = self.make(key)
        mailbox.continue_from(first, self.next_box())
        mailbox.home = None
        mailbox.session = session.hash
        mailbox.expires = session.expires
        mailbox.device_key = session.device_key
        if self.adopted is not None:
            self.adopted(key.username)
        return mailbox

    def move(self, mailbox: Mailbox, node: bytes, now: float) -> None:
        """The device has its session at another node now: what its senders here said is forwarded there."""
        if mailbox.home == node:
            return
        for origin in {item.origin.node for item in mailbox.drop(_is_foreign) if item.origin is not None}:
            self.cluster.tell(origin, NotHere(*mailbox.key))
        self._drop_said_by(mailbox)
        self.timers.cancel(mailbox.key)
        if node not in self.cluster.peers:
            self.expect(mailbox, now)
            return
        mailbox.rewind()
        mailbox.home = node
        self._go_on(mailbox)

    def strand(self, node: bytes, now: float) -> None:
        """A node is lost: expect its devices back, and drop what stays there, which comes again from its senders."""
        for mailbox in list(self.mailboxes.values()):
            if mailbox.home == node:
                self.expect(mailbox, now)
            elif mailbox.drop(lambda item: item.origin is not None and item.origin.node == node):
                self.pump(mailbox)

    def expect(self, mailbox: Mailbox, now: float) -> None:
        """The device has no session at its home any more, and may have one anywhere soon."""
        mailbox.home = None
        mailbox.rewind()
        if not self._drop_if_empty(mailbox):
            self.timers.set(mailbox.key, now + self.grace)

    def silence(self, sender: DeviceKey) -> None:
        """Drop all that a device said here which has its session elsewhere: it says it again there."""
        for mailbox in list(self.mailboxes.values()):
            self._drop_from(mailbox, sender)

    def say_anew(self, key: DeviceKey, box: int) -> None:
        """The home of a device takes nothing more of a queue: forward what waits in it under another name."""
        mailbox = self.mailboxes.get(key)
        if mailbox is not None and mailbox.box == box and mailbox.connection is None:
            mailbox.continue_from(mailbox.last_transmitted, self.next_box())
            self.pump(mailbox)

    def settled(self, mailbox: Mailbox, seq: int) -> None:
        """The device has everything up to and including `seq`."""
        self.arrived(mailbox.acknowledge(seq))
        self._go_on(mailbox)

    def _drop_said_by(self, sender: Mailbox) -> None:
        """As `silence`, for a device whose memory is still here, which knows where to look."""
        waiting = {sent.receiver for sent in sender.sent.values() if sent.receiver is not None}
        sender.sent.clear()
        sender.held_back = None
        for key in waiting:
            mailbox = self.mailboxes.get(key)
            if mailbox is not None:
                self._drop_from(mailbox, sender.key)

    def _drop_from(self, mailbox: Mailbox, sender: DeviceKey) -> None:
        if mailbox.drop(lambda item: item.origin is None and item.sender == sender):
            self._go_on(mailbox)

    def _go_on(self, mailbox: Mailbox) -> None:
        """Let out what the window lets out, or be done with a device of another node."""
        if mailbox.home is None or not self._drop_if_empty(mailbox):
            self.pump(mailbox)

    def _drop_if_empty(self, mailbox: Mailbox) -> bool:
        """Drop the mailbox of a device of another node for which nothing waits."""
        if mailbox.count:
            return False
        self.timers.cancel(mailbox.key)
        del self.mailboxes[mailbox.key]
        return True


def _is_foreign(item: Queued) -> bool:
    return item.origin is not None
