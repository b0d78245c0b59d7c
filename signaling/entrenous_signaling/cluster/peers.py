"""The other nodes: who is heard, who is lost, and the lane to each.

::

    alive, or any frame, of a node we do not know ──> met: a lane with a new epoch
    a frame of a higher epoch ──> the other node has given us up: lost, met
    a frame of a lower epoch  ──> the other node does not know yet: it is told the epoch
    silence for LOST_SECONDS, or it says that it goes ──> lost
    nothing acknowledged for LOST_SECONDS ──> lost, and met by an `alive` only after DEAF_SECONDS

Epochs only grow, so the two agree on the highest that either has begun, and everything of a lower one is void. A node
that is lost and comes back is met anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from ..outputs import Outbox
from ..timers import earliest
from .envelopes import (
    VERSION,
    AnyEnvelope,
    EnvelopeError,
    Frame,
    as_raw,
    is_believable,
    pack,
    pack_frame,
    unpack,
    unpack_frame,
)
from .lane import Lane

ALIVE_SECONDS: Final = 1.0
"""How often a node says that it is there."""

LOST_SECONDS: Final = 5.0
"""How long a node may be silent."""

DEAF_SECONDS: Final = 30.0
"""How long a node that is heard, and does not hear, is not met by what it says to all: by what it says to us it is."""

MAX_NODES: Final = 64
"""Other nodes that are listened to at a time."""


class Met(Struct, frozen=True, gc=False):
    """A node is there, or there again: it knows nothing of us, and we nothing of it."""

    node: bytes


class Lost(Struct, frozen=True, gc=False):
    """A node is gone: what it said of its devices, and what was on its way to it, is void."""

    node: bytes


class Carried(Struct, frozen=True, gc=False):
    """A node has said something."""

    node: bytes
    envelope: AnyEnvelope


Event = Met | Lost | Carried


@dataclass(slots=True)
class _Peer:
    lane: Lane
    heard_at: float


class Peers:
    """The other nodes of the cluster, as this node hears them.

    Args:
        node: the name of this start of this node.
        outbox: where payloads go.
        now: Unix seconds.
    """

    def __init__(self, node: bytes, outbox: Outbox, now: float) -> None:
        self.node = node
        self.cut_off_since: float | None = now
        """Since when there is no bus, or None."""
        self.dropped = 0
        self.lost = 0
        self._outbox = outbox
        self._peers: dict[bytes, _Peer] = {}
        self._deaf_until: dict[bytes, float] = {}  # nodes that did not hear us, and how long that is believed
        self._highest = 0
        """No epoch that was ever seen here is higher, so that the next one is newer than whatever another node has."""
        self._alive_at: float | None = None
        self._is_over = False

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, node: object) -> bool:
        return node in self._peers

    @property
    def lanes(self) -> Iterator[Lane]:
        """The lanes to all of them."""
        return (peer.lane for peer in self._peers.values())

    def has_room(self, node: bytes) -> bool:
        """Whether more messages may go to a node; not to one that is lost."""
        peer = self._peers.get(node)
        return peer is not None and peer.lane.has_room

    def send(self, node: bytes, envelope: AnyEnvelope) -> None:
        """Say something to a node; nothing happens when it is lost."""
        peer = self._peers.get(node)
        if peer is not None:
            peer.lane.send(pack(envelope))

    def send_all(self, envelope: AnyEnvelope) -> None:
        """Say something to every node that is there."""
        packed = pack(envelope)
        for peer in self._peers.values():
            peer.lane.send(packed)

    def receive(self, payload: bytes, now: float) -> list[Event]:
        """A payload has come over the bus; what is wrong with it is counted."""
        if self._is_over:
            return []
        try:
            frame = unpack_frame(payload, now)
        except EnvelopeError:
            self.dropped += 1
            return []
        if frame.sender == self.node:
            return []
        if not is_believable(frame.lane, now):
            self.dropped += 1
            return []
        events: list[Event] = []
        peer = self._peers.get(frame.sender)
        if peer is not None and frame.lane > peer.lane.epoch:
            events.append(self._lose(frame.sender))
            peer = None
        if peer is None:
            if frame.lane == 0 and now < self._deaf_until.get(frame.sender, 0.0):
                return events
            if len(self._peers) >= MAX_NODES:
                self.dropped += 1
                return events
            epoch = frame.lane if frame.lane > self._highest else max(int(now * 1000), self._highest + 1)
            self._highest = max(self._highest, epoch)
            peer = self._peers[frame.sender] = _Peer(Lane(epoch), now)
            self._deaf_until.pop(frame.sender, None)
            events.append(Met(frame.sender))
        peer.heard_at = now
        if frame.lane == peer.lane.epoch:
            for raw in peer.lane.receive(frame.number, frame.ack, frame.envelopes, now):
                try:
                    events.append(Carried(frame.sender, unpack(raw)))
                except EnvelopeError:
                    self.dropped += 1
        elif frame.lane != 0:
            self._publish(frame.sender, Frame(VERSION, self.node, now, peer.lane.epoch, ack=peer.lane.received))
        return events

    def leave(self, node: bytes) -> list[Event]:
        """A node has said that it goes."""
        return [self._lose(node)] if node in self._peers else []

    def connected(self, now: float) -> None:
        """The bus is there (again)."""
        self.cut_off_since = None
        self._alive_at = now
        for peer in self._peers.values():
            peer.lane.say_again(now)
            peer.lane.excuse(now)

    def disconnected(self, now: float) -> None:
        """The bus is gone."""
        if self.cut_off_since is None:
            self.cut_off_since = now

    def next_deadline(self) -> float | None:
        """When `tick` or `flush` has something to do, or None."""
        if self.cut_off_since is not None:
            return min((peer.heard_at + LOST_SECONDS for peer in self._peers.values()), default=None)
        return earliest(self._alive_at, *(peer.lane.next_deadline() for peer in self._peers.values()))

    def tick(self, now: float) -> list[Event]:
        """Say that we are there, and find out who is not any more."""
        lost: list[bytes] = []
        if self._alive_at is not None and self.cut_off_since is None and now >= self._alive_at:
            if now >= self._alive_at + LOST_SECONDS / 2:  # it was this node that slept: nobody could be heard
                for peer in self._peers.values():
                    peer.heard_at = now
                    peer.lane.excuse(now)
            self._alive_at = now + ALIVE_SECONDS
            self._publish(None, Frame(VERSION, self.node, now))
            lost += self._find_deaf(now)
        lost += [node for node, peer in self._peers.items() if now >= peer.heard_at + LOST_SECONDS]
        return [self._lose(node) for node in lost]

    def _find_deaf(self, now: float) -> list[bytes]:
        """Nodes that are heard and do not hear: what waits for them would grow without end."""
        self._deaf_until = {node: until for node, until in self._deaf_until.items() if now < until}
        since = now - LOST_SECONDS
        deaf = [node for node, peer in self._peers.items() if peer.heard_at > since and peer.lane.is_unanswered(since)]
        self._deaf_until |= dict.fromkeys(deaf, now + DEAF_SECONDS)
        return deaf

    def flush(self, now: float) -> None:
        """Let out what the lanes have to say."""
        if self.cut_off_since is not None:
            return
        for node, peer in self._peers.items():
            lane = peer.lane
            for number, envelopes in lane.outgoing(now):
                raw = as_raw(envelopes)
                self._publish(node, Frame(VERSION, self.node, now, lane.epoch, number, lane.received, raw))

    def stop(self, now: float) -> None:
        """Go for good: nothing is said or heard any more from here on."""
        self.flush(now)
        self._peers.clear()
        self._is_over = True
        self.cut_off_since = now
        self._alive_at = None

    def _lose(self, node: bytes) -> Lost:
        peer = self._peers.pop(node)
        if peer.lane.received:  # two that meet may begin two lanes, of which one is given up before it was used
            self.lost += 1
        return Lost(node)

    def _publish(self, node: bytes | None, frame: Frame) -> None:
        self._outbox.publish(node, pack_frame(frame))
