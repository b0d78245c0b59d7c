"""What the other nodes say, carried out: the way into the hub that is no connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from entrenous_wire.messages import Deliver

from ..letters import Letters
from ..lobby import Lobby
from ..mailbox import DeviceKey, Mailbox, Origin, Queued
from ..outputs import Outbox
from ..router import Router
from ..timers import earliest
from .elsewhere import Elsewhere
from .envelopes import (
    AnyEnvelope,
    Bell,
    CameIn,
    Expelled,
    Forward,
    Forwarded,
    Gone,
    Here,
    Leaving,
    Moved,
    NotHere,
    Session,
    Settled,
    is_believable,
)
from .peers import Carried, Event, Lost, Met
from .recheck import Recheck
from .state import ClusterState

_REFUSED: Final = 1024
"""Queues of other nodes that are known not to be taken; the oldest of them came again long ago, or not at all."""


class Exchange:
    """Carries out what the other nodes say.

    Args:
        elsewhere: the mailboxes of their devices.
        router: the mailboxes of ours, among others.
        lobby: ends sessions.
        letters: fetches what was stored.
        server: the name of the server.
        outbox: where store requests go.
    """

    def __init__(
        self,
        elsewhere: Elsewhere,
        router: Router,
        lobby: Lobby,
        letters: Letters,
        server: str,
        outbox: Outbox,
    ) -> None:
        self._cluster = elsewhere.cluster
        self._elsewhere = elsewhere
        self._router = router
        self._lobby = lobby
        self._letters = letters
        self._server = server
        self._recheck = Recheck(outbox, router, lobby, self._cluster.directory)
        elsewhere.adopted = self._recheck.adopted
        self._refused: dict[tuple[bytes, DeviceKey], int] = {}  # the queue of a node for a device, that was not taken

    @property
    def state(self) -> ClusterState:
        """How the cluster looks from here."""
        return self._cluster.state

    def receive(self, payload: bytes, now: float) -> None:
        """A payload has come over the bus."""
        self._carry_out(self._cluster.receive(payload, now), now)

    def connected(self, now: float) -> None:
        """The bus is there (again)."""
        self._cluster.peers.connected(now)

    def disconnected(self, now: float) -> None:
        """The bus is gone."""
        self._cluster.peers.disconnected(now)

    def expelled(self, username: str) -> None:
        """An account was deleted by this node."""
        self._cluster.expelled(username)
        self._recheck.deleted(username)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(self._cluster.next_deadline(), self._recheck.next_deadline())

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._carry_out(self._cluster.tick(now), now)
        self._recheck.tick(now)

    def flush(self, now: float) -> None:
        """Publish what was said to the other nodes since the last time."""
        for node, key in self._cluster.take_due():
            mailbox = self._router.find(key)
            if mailbox is not None and mailbox.home == node:
                self._cluster.forward(mailbox, node)
        self._cluster.flush(now)

    def stop(self, now: float) -> None:
        """This node goes down on purpose: the others expect its devices at once, and hear nothing of it any more."""
        self._cluster.stop(now)

    def _carry_out(self, events: Iterable[Event], now: float) -> None:
        for event in events:
            match event:
                case Carried(node, envelope):
                    self._take(node, envelope, now)
                case Met(node):
                    self._cluster.announce(node)
                    self._look_again(now)
                case Lost(node):
                    self._refused = {whose: box for whose, box in self._refused.items() if whose[0] != node}
                    self._cluster.directory.lose(node, now + self._elsewhere.grace)
                    self._elsewhere.strand(node, now)
                    self._look_again(now)
                case _:
                    assert_never(event)

    def _look_again(self, now: float) -> None:
        """The store knows what a node could not say that was out of reach, or died before it could."""
        self._letters.ring_all(now)
        self._recheck.begin(now)

    def _take(self, node: bytes, envelope: AnyEnvelope, now: float) -> None:
        match envelope:  # what is said of messages comes first, as there are most of it
            case Forward():
                self._forwarded(node, envelope, now)
            case Settled(username, device, box, seq):
                mailbox = self._router.find(DeviceKey(username, device))
                if mailbox is not None and mailbox.box == box:
                    self._elsewhere.settled(mailbox, seq)
            case Here(sessions):
                for session in sessions:
                    self._move(node, session, now)
            case Gone(username, device):
                self._gone(node, DeviceKey(username, device))
            case Moved(other, session, username, device, box):
                self._silenced(other, session, now)
                self._elsewhere.say_anew(DeviceKey(username, device), box)
            case NotHere(username, device):
                self._not_here(node, DeviceKey(username, device), now)
            case Bell(username, device):
                self._letters.ring(DeviceKey(username, device))
            case Expelled(username):
                self._recheck.deleted(username)
            case CameIn(username, device, at, new):
                self._lobby.logins.tell(DeviceKey(username, device), at, new=new)
            case Leaving():
                self._carry_out(self._cluster.peers.leave(node), now)
            case _:
                assert_never(envelope)

    def _move(self, node: bytes, session: Session, now: float) -> None:
        """A device has its session at another node; if it has one here too, the newer one counts."""
        if not is_believable(session.stamp, now):
            self._cluster.peers.dropped += 1
            return
        if not self._cluster.directory.put(node, session):
            return
        mailbox = self._router.find(DeviceKey(session.username, session.device))
        if mailbox is not None:
            if mailbox.session is not None:
                self._lobby.dispossess(mailbox, now)
                self._router.calls.moved(mailbox.key, now)
            self._elsewhere.move(mailbox, node, now)

    def _silenced(self, node: bytes, session: Session, now: float) -> None:
        """A device that said something here has its session elsewhere, and a node has heard of that before us."""
        self._move(node, session, now)
        if node not in self._cluster.peers:
            self._cluster.directory.lose(node, now + self._elsewhere.grace)
        key = DeviceKey(session.username, session.device)
        if self._cluster.find(key) is not None:
            self._elsewhere.silence(key)

    def _gone(self, node: bytes, key: DeviceKey) -> None:
        self._cluster.directory.remove(key, node)
        mailbox = self._router.find(key)
        if mailbox is not None and mailbox.home == node:
            self._router.give_up(key)

    def _not_here(self, node: bytes, key: DeviceKey, now: float) -> None:
        self._cluster.directory.remove(key, node)
        mailbox = self._router.find(key)
        if mailbox is not None and mailbox.home == node:
            self._elsewhere.expect(mailbox, now)

    def _is_taken(self, node: bytes, forward: Forward, receiver: DeviceKey, sender: DeviceKey) -> bool:
        """Whether a queue goes on with this message: not where its sender is known to be elsewhere since.

        The node is told then, and may know better: the device may be back. So what follows in the queue, and may be
        its words too, must not come before that message does; all of it comes again, in another queue.
        """
        if self._refused and self._refused.get((node, receiver)) == forward.box:
            return False
        home = self._cluster.directory.find(sender)
        if home is None or home.node == node or home.lost_until is not None:
            return True
        self._cluster.tell(node, Moved(home.node, home.session, *receiver, forward.box))
        self._refused[node, receiver] = forward.box
        if len(self._refused) > _REFUSED:
            del self._refused[next(iter(self._refused))]
        return False

    def _forwarded(self, node: bytes, forward: Forward, now: float) -> None:
        """Messages for a device of this node: they wait here, within the window of their sender's node."""
        key = DeviceKey(forward.username, forward.device)
        mailbox = self._router.find(key)
        if mailbox is None or mailbox.session is None:
            self._cluster.tell(node, NotHere(*key))
            return
        for message in forward.messages:
            sender = DeviceKey(message.from_username, message.from_device)
            if not self._is_taken(node, forward, key, sender):
                break
            self._put(mailbox, message, sender, Origin(node, forward.box, message.seq), now)
        self._router.pump(mailbox)

    def _put(self, mailbox: Mailbox, message: Forwarded, sender: DeviceKey, origin: Origin, now: float) -> None:
        record = self._router.call_messages.arrived(message, sender, mailbox, now)
        deliver = Deliver(
            seq=mailbox.next_seq(),
            id=message.id,
            sender=f"{sender.username}@{self._server}",
            device=sender.device,
            call=message.call,
            kind=message.kind,
            body=message.body,
            record=record,
        )
        mailbox.put(Queued(deliver, sender, origin))
