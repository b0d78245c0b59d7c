"""What a node of a cluster asks and tells the others on behalf of its devices.

A message stays in a mailbox at the node of its *sender* until its device has acknowledged it. When the device has its
session at another node, that node is to the mailbox what a connection is else: the window lets messages out to it, it
acknowledges when the device has done so, and when it is lost, everything that was not acknowledged is forwarded again,
in order, to wherever the device comes back. Receivers drop what they have already, as they do after every login.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from entrenous_wire.messages import Deliver

from ..mailbox import DeviceKey, Mailbox, Origin
from ..outputs import Outbox
from ..timers import earliest
from .directory import Directory, Home
from .envelopes import (
    MAX_PRESENT,
    MAX_TOGETHER,
    TOGETHER_BYTES,
    AnyEnvelope,
    Bell,
    CameIn,
    Expelled,
    Forward,
    Forwarded,
    Gone,
    Here,
    Leaving,
    Session,
    Settled,
)
from .peers import Event, Peers
from .state import ClusterState

SETTLE_SECONDS: Final = 0.01
"""How long it may wait to be told to another node that devices have acknowledged its messages: their senders hold
these a little longer, and what devices acknowledge in that time travels together, and is told to each sender together.
"""


class Cluster:
    """The other nodes, and which device has its session where.

    Args:
        node: the name of this start of this node.
        outbox: where payloads go.
        now: Unix seconds.
    """

    def __init__(self, node: bytes, outbox: Outbox, now: float) -> None:
        self.directory = Directory()
        self.peers = Peers(node, outbox, now)
        self._node = node
        self._settled: dict[tuple[bytes, DeviceKey, int], int] = {}
        self._settle_at: float | None = None
        self._due: dict[bytes, dict[DeviceKey, None]] = {}  # devices for which something waits, by the node it goes to

    @property
    def cut_off(self) -> bool:
        """Whether there is no bus now."""
        return self.peers.cut_off_since is not None

    @property
    def state(self) -> ClusterState:
        """How the cluster looks from here."""
        lanes = list(self.peers.lanes)
        return ClusterState(
            connected=not self.cut_off,
            cut_off_since=self.peers.cut_off_since,
            nodes=len(lanes),
            sessions=len(self.directory) - sum(1 for _ in self.directory.of(self._node)),
            waiting=sum(lane.envelopes for lane in lanes),
            waiting_bytes=sum(lane.size for lane in lanes),
            lost_nodes=self.peers.lost,
            dropped=self.peers.dropped,
        )

    # --- what the devices of this node do ---

    def came(self, mailbox: Mailbox, now: float) -> None:
        """A device is connected here: of all nodes at which it may have a session, this is the one from now on."""
        if mailbox.session is None:
            raise RuntimeError("the device has no session")
        session = Session(*mailbox.key, self.directory.stamp(now), mailbox.session, mailbox.expires, mailbox.device_key)
        self.directory.put(self._node, session)
        self.peers.send_all(Here([session]))

    def went(self, key: DeviceKey) -> None:
        """The session that a device had here is over."""
        if self.directory.remove(key, self._node):
            self._settle()  # what it has acknowledged is not lost
            self.peers.send_all(Gone(*key))

    def find(self, key: DeviceKey) -> Home | None:
        """The other node at which a device has its session, or had it when that node was lost."""
        home = self.directory.find(key)
        return None if home is None or home.node == self._node else home

    def find_session(self, token_hash: bytes) -> tuple[DeviceKey, Session] | None:
        """A session of another node, lost or not, which its device may resume here."""
        found = self.directory.find_session(token_hash)
        return None if found is None or found[1].node == self._node else (found[0], found[1].session)

    def ring(self, key: DeviceKey) -> None:
        """Something was stored for a device that is not here."""
        home = self.find(key)
        if home is not None:
            self.peers.send(home.node, Bell(*key))

    def expelled(self, username: str) -> None:
        """An account was deleted."""
        self.peers.send_all(Expelled(username))

    def logged_in(self, key: DeviceKey, at: int, *, new: bool) -> None:
        """A device has logged in afresh here: others of its account may be at other nodes."""
        self.peers.send_all(CameIn(*key, at, new))

    # --- messages ---

    def pump(self, key: DeviceKey, home: bytes) -> None:
        """Something may go on to the node of a device: it does so with all else that is said in this turn."""
        self._due.setdefault(home, {})[key] = None

    def forward(self, mailbox: Mailbox, home: bytes) -> None:
        """Let out what the window of a mailbox lets out, to the node of its device, or later when that has no room."""
        if not self.peers.has_room(home):
            self.pump(mailbox.key, home)
            return
        together: list[Forwarded] = []
        size = 0
        for message in mailbox.take_for_transmission():
            together.append(_forwarded(message))
            size += len(message.body)
            if size >= TOGETHER_BYTES or len(together) == MAX_TOGETHER:
                self.peers.send(home, Forward(*mailbox.key, mailbox.box, together))
                together, size = [], 0
        if together:
            self.peers.send(home, Forward(*mailbox.key, mailbox.box, together))

    def settled(self, key: DeviceKey, origins: Iterable[Origin], now: float) -> None:
        """A device of this node has acknowledged messages of others, in the order of their queues; they hear soon."""
        for node, box, seq in origins:
            self._settled[node, key, box] = seq
        if self._settled and self._settle_at is None:
            self._settle_at = now + SETTLE_SECONDS

    def tell(self, node: bytes, envelope: AnyEnvelope) -> None:
        """Say something to a node, behind what it is owed."""
        self._settle()
        self.peers.send(node, envelope)

    def take_due(self) -> list[tuple[bytes, DeviceKey]]:
        """The devices whose messages may go on, each with its node; those of nodes that are lost wait elsewhere now."""
        if not self._due:
            return []
        free = [node for node in self._due if node not in self.peers or self.peers.has_room(node)]
        return [(node, key) for node in free for key in self._due.pop(node)]

    def announce(self, node: bytes) -> None:
        """Tell a node that was met of all sessions that are here; an empty list settles the epoch of the lane."""
        sessions = list(self.directory.of(self._node))
        for start in range(0, max(1, len(sessions)), MAX_PRESENT):
            self.peers.send(node, Here(sessions[start : start + MAX_PRESENT]))

    # --- time and the bus ---

    def receive(self, payload: bytes, now: float) -> list[Event]:
        """A payload has come over the bus."""
        return self.peers.receive(payload, now)

    def next_deadline(self) -> float | None:
        """When `tick` or `flush` has something to do, or None."""
        return earliest(self._settle_at, self.peers.next_deadline(), self.directory.next_deadline())

    def tick(self, now: float) -> list[Event]:
        """Do what is due."""
        self.directory.tick(now)
        return self.peers.tick(now)

    def flush(self, now: float) -> None:
        """Publish what was said to the other nodes since the last time."""
        if self._settle_at is not None and now >= self._settle_at:
            self._settle()
        self.peers.flush(now)

    def stop(self, now: float) -> None:
        """Tell the others that this node goes, and say nothing any more."""
        self._settle()
        self.peers.send_all(Leaving())
        self.peers.stop(now)

    def _settle(self) -> None:
        for (node, key, box), seq in self._settled.items():
            self.peers.send(node, Settled(*key, box, seq))
        self._settled.clear()
        self._settle_at = None


def _forwarded(message: Deliver) -> Forwarded:
    return Forwarded(
        message.seq,
        message.id,
        message.call,
        message.kind,
        message.body,
        message.record is not None,
        message.sender.rpartition("@")[0],
        message.device,
    )
