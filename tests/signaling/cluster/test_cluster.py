"""What a node tells the others of its devices, and what it holds back while there is no room on the way."""

from __future__ import annotations

import pytest

from entrenous_signaling.cluster.cluster import SETTLE_SECONDS, Cluster
from entrenous_signaling.cluster.envelopes import (
    MAX_PRESENT,
    TOGETHER_BYTES,
    AnyEnvelope,
    Bell,
    Expelled,
    Forward,
    Frame,
    Gone,
    Here,
    Leaving,
    NotHere,
    Session,
    Settled,
    pack_frame,
    unpack,
    unpack_frame,
)
from entrenous_signaling.cluster.lane import ROOM_BYTES
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import DeviceKey, Mailbox, Origin, Queued
from entrenous_signaling.outputs import Outbox, Publish
from entrenous_wire.messages import Deliver, Kind

NOW = 1_000.0
HERE, THERE = b"A" * 8, b"B" * 8
ALICE, BOB = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16)


class Told:
    """A node that has met another one, and what it tells that."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.cluster = Cluster(HERE, self.outbox, NOW)
        self.cluster.peers.connected(NOW)
        self.cluster.receive(pack_frame(Frame(1, THERE, NOW)), NOW)
        self.received = 0

    def take(self, now: float = NOW) -> list[AnyEnvelope]:
        """What the other node was told since the last time."""
        self.cluster.flush(now)
        frames = [
            unpack_frame(output.payload, now)
            for output in self.outbox.take()
            if isinstance(output, Publish) and output.node == THERE
        ]
        return [unpack(raw) for frame in frames for raw in frame.envelopes]

    def acknowledge(self) -> None:
        """The other node has everything."""
        lane = next(self.cluster.peers.lanes)
        self.cluster.receive(pack_frame(Frame(1, THERE, NOW, lane.epoch, 0, 2**50)), NOW)


def session(key: DeviceKey, stamp: int = 1) -> Session:
    return Session(*key, stamp, bytes(32), 2**33, bytes(32))


def mailbox_of(key: DeviceKey, token: bytes = b"t" * 32) -> Mailbox:
    mailbox = Mailbox(key, f"{key.username}@calls.example.org", Bounds(), 7)
    mailbox.session, mailbox.expires, mailbox.device_key = token, 2**33, bytes(32)
    return mailbox


def queued(mailbox: Mailbox, number: int) -> Queued:
    message = Deliver(
        seq=mailbox.next_seq(),
        id=number.to_bytes(16, "big"),
        sender="bob@calls.example.org",
        device=BOB.device,
        call=bytes(16),
        kind=Kind.SIGNAL,
        body=bytes(1024),
    )
    return Queued(message, BOB)


def test_a_device_that_comes_and_goes_is_told_of() -> None:
    told = Told()
    told.cluster.came(mailbox_of(ALICE), NOW)
    (here,) = told.take()
    assert isinstance(here, Here)
    assert [(one.username, one.device, one.hash) for one in here.sessions] == [(*ALICE, b"t" * 32)]
    assert told.cluster.find(ALICE) is None, "it is here, not at another node"
    told.cluster.went(ALICE)
    told.cluster.went(ALICE)
    assert told.take() == [Gone(*ALICE)]


def test_a_device_without_a_session_cannot_have_come() -> None:
    with pytest.raises(RuntimeError):
        Told().cluster.came(Mailbox(ALICE, "alice@x", Bounds()), NOW)


def test_a_session_of_this_node_is_none_of_another_one() -> None:
    told = Told()
    told.cluster.came(mailbox_of(ALICE), NOW)
    assert told.cluster.find_session(b"t" * 32) is None
    told.cluster.directory.put(THERE, session(BOB))
    assert told.cluster.find_session(bytes(32)) == (BOB, session(BOB))
    home = told.cluster.find(BOB)
    assert home is not None
    assert home.node == THERE


def test_a_node_that_is_met_is_told_of_all_sessions_here() -> None:
    told = Told()
    told.cluster.announce(THERE)
    assert told.take() == [Here([])]
    for number in range(MAX_PRESENT + 1):
        told.cluster.came(mailbox_of(DeviceKey("alice", f"{number:016x}"), number.to_bytes(32, "big")), NOW)
    told.take()
    told.cluster.announce(THERE)
    heard = told.take()
    assert [len(here.sessions) for here in heard if isinstance(here, Here)] == [MAX_PRESENT, 1]


def test_who_is_elsewhere_is_rung_there_and_who_is_nowhere_is_not() -> None:
    told = Told()
    told.cluster.ring(BOB)
    told.cluster.directory.put(THERE, session(BOB))
    told.cluster.ring(BOB)
    assert told.take() == [Bell(*BOB)]


def test_a_deletion_is_told() -> None:
    told = Told()
    told.cluster.expelled("bob")
    assert told.take() == [Expelled("bob")]


def test_of_what_a_device_has_acknowledged_only_the_last_is_told() -> None:
    told = Told()
    told.cluster.settled(ALICE, [Origin(THERE, 3, 1), Origin(THERE, 3, 2)], NOW)
    told.cluster.settled(ALICE, [Origin(THERE, 3, 3), Origin(THERE, 4, 1)], NOW + SETTLE_SECONDS / 2)
    told.cluster.tick(NOW)
    assert told.take() == []
    assert told.cluster.next_deadline() == NOW + SETTLE_SECONDS
    assert told.take(NOW + SETTLE_SECONDS) == [Settled(*ALICE, 3, 3), Settled(*ALICE, 4, 1)]
    assert told.take(NOW + 2 * SETTLE_SECONDS) == []


def test_what_a_node_is_told_of_a_device_comes_behind_what_that_has_acknowledged() -> None:
    told = Told()
    told.cluster.came(mailbox_of(ALICE), NOW)
    told.cluster.settled(ALICE, [Origin(THERE, 3, 1)], NOW)
    told.cluster.went(ALICE)
    told.cluster.settled(ALICE, [Origin(THERE, 3, 2)], NOW)
    told.cluster.tell(THERE, NotHere(*ALICE))
    assert told.take()[1:] == [Settled(*ALICE, 3, 1), Gone(*ALICE), Settled(*ALICE, 3, 2), NotHere(*ALICE)]


def test_what_waits_is_forwarded_as_it_was_said() -> None:
    told, mailbox = Told(), mailbox_of(ALICE)
    mailbox.put(queued(mailbox, 1))
    mailbox.put(queued(mailbox, 2))
    told.cluster.forward(mailbox, THERE)
    (forward,) = told.take()
    assert isinstance(forward, Forward)
    assert (forward.username, forward.device, forward.box) == (*ALICE, 7)
    assert [message.seq for message in forward.messages] == [1, 2]
    for message in forward.messages:
        assert (message.from_username, message.from_device, len(message.body)) == (*BOB, 1024)


def test_what_is_too_much_for_one_envelope_goes_in_several() -> None:
    told, mailbox = Told(), mailbox_of(ALICE)
    for number in range(TOGETHER_BYTES // 1024 + 1):
        mailbox.put(queued(mailbox, number))
    told.cluster.forward(mailbox, THERE)
    assert [len(forward.messages) for forward in told.take() if isinstance(forward, Forward)] == [64, 1]


def test_without_room_on_the_way_messages_wait_where_they_are() -> None:
    told, mailbox = Told(), mailbox_of(ALICE)
    next(told.cluster.peers.lanes).send(bytes(ROOM_BYTES))
    mailbox.put(queued(mailbox, 1))
    told.cluster.forward(mailbox, THERE)
    assert told.cluster.take_due() == []
    assert mailbox.take_for_transmission() != [], "it was left where it is"
    told.cluster.flush(NOW)
    told.acknowledge()
    assert told.cluster.take_due() == [(THERE, ALICE)]
    assert told.cluster.take_due() == []


def test_a_node_that_stops_says_so_and_then_nothing() -> None:
    told = Told()
    told.cluster.settled(ALICE, [Origin(THERE, 3, 1)], NOW)
    told.cluster.stop(NOW)
    assert told.cluster.cut_off
    assert told.take() == [Settled(*ALICE, 3, 1), Leaving()]
    told.cluster.came(mailbox_of(ALICE), NOW)
    assert told.take() == []
    assert told.cluster.next_deadline() is None
