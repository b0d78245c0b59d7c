"""The mailboxes of devices of other nodes: found, moved, given up, taken over, and never left behind."""

from __future__ import annotations

import pytest

from entrenous_signaling.cluster.cluster import Cluster
from entrenous_signaling.cluster.elsewhere import Elsewhere
from entrenous_signaling.cluster.envelopes import Frame, Session, pack_frame
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import Delivery, DeviceKey, Durability, Mailbox, Origin, Queued, Sent
from entrenous_signaling.outputs import Outbox
from entrenous_signaling.timers import Timers
from entrenous_wire.messages import Deliver, Kind

NOW, GRACE = 1_000.0, 60.0
HERE, THERE, THIRD = b"A" * 8, b"B" * 8, b"C" * 8
ALICE, BOB, EVE = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16), DeviceKey("eve", "e" * 16)


class Place:
    """A node with two others, and mailboxes of which nobody knows but it."""

    def __init__(self) -> None:
        self.cluster = Cluster(HERE, Outbox(), NOW)
        self.cluster.peers.connected(NOW)
        for node in (THERE, THIRD):
            self.cluster.receive(pack_frame(Frame(1, node, NOW)), NOW)
        self.mailboxes: dict[DeviceKey, Mailbox] = {}
        self.timers: Timers[DeviceKey] = Timers()
        self.pumped: list[DeviceKey] = []
        self.arrived: list[int] = []
        self.boxes = 0
        self.elsewhere = Elsewhere(
            cluster=self.cluster,
            mailboxes=self.mailboxes,
            timers=self.timers,
            make=self.make,
            next_box=self.next_box,
            pump=lambda mailbox: self.pumped.append(mailbox.key),
            arrived=lambda items: self.arrived.extend(item.message.id[-1] for item in items),
            grace=GRACE,
        )

    def make(self, key: DeviceKey) -> Mailbox:
        return Mailbox(key, f"{key.username}@calls.example.org", Bounds(), self.next_box())

    def next_box(self) -> int:
        self.boxes += 1
        return self.boxes

    def is_at(self, node: bytes, key: DeviceKey = BOB, stamp: int = 1) -> None:
        self.cluster.directory.put(node, Session(*key, stamp, key.username.encode().ljust(32), 2000, b"k" * 32))

    def placed(self, *numbers: int) -> Mailbox:
        """The mailbox of Bob, who is elsewhere, with messages of Alice in it."""
        self.is_at(THERE)
        mailbox = self.elsewhere.place(BOB)
        assert mailbox is not None
        for number in numbers:
            put(mailbox, number)
        return mailbox


def put(mailbox: Mailbox, number: int, sender: DeviceKey = ALICE, origin: Origin | None = None) -> None:
    message = Deliver(
        seq=mailbox.next_seq(),
        id=number.to_bytes(16, "big"),
        sender=f"{sender.username}@calls.example.org",
        device=sender.device,
        call=bytes(16),
        kind=Kind.SIGNAL,
        body=bytes(1024),
    )
    mailbox.put(Queued(message, sender, origin))


def numbers_in(mailbox: Mailbox) -> list[int]:
    return [message.id[-1] for message in mailbox.take_for_transmission()]


def test_a_device_of_another_node_gets_a_mailbox_and_one_of_none_does_not() -> None:
    place = Place()
    assert place.elsewhere.place(BOB) is None
    mailbox = place.placed()
    assert (mailbox.home, place.mailboxes, place.timers.next()) == (THERE, {BOB: mailbox}, None)


def test_a_device_of_a_lost_node_is_expected_as_long_as_it_is() -> None:
    place = Place()
    place.is_at(THERE)
    place.cluster.directory.lose(THERE, NOW + 30)
    mailbox = place.elsewhere.place(BOB)
    assert mailbox is not None
    assert (mailbox.home, place.timers.next()) == (None, NOW + 30)


def test_a_mailbox_moves_with_its_device_and_begins_again_with_what_was_not_settled() -> None:
    place = Place()
    mailbox = place.placed(1, 2)
    assert numbers_in(mailbox) == [1, 2]
    place.elsewhere.settled(mailbox, 1)
    place.elsewhere.move(mailbox, THIRD, NOW)
    assert (mailbox.home, place.arrived) == (THIRD, [1])
    assert numbers_in(mailbox) == [2]
    place.pumped.clear()
    place.elsewhere.move(mailbox, THIRD, NOW)
    assert place.pumped == [], "it is told of that it is there once more: nothing is said again"


def test_an_empty_mailbox_of_a_device_elsewhere_is_dropped() -> None:
    place = Place()
    mailbox = place.placed(1)
    place.elsewhere.settled(mailbox, 1)
    assert place.mailboxes == {}
    mailbox = place.placed()
    place.elsewhere.expect(mailbox, NOW)
    assert (place.mailboxes, place.timers.next()) == ({}, None)


def test_when_a_node_is_lost_its_devices_are_expected_and_what_it_forwarded_is_dropped() -> None:
    place = Place()
    bob = place.placed(1)
    eve = place.mailboxes[EVE] = place.make(EVE)
    put(eve, 2, origin=Origin(THERE, 1, 1))
    put(eve, 3, origin=Origin(THIRD, 1, 1))
    put(eve, 4)
    assert numbers_in(eve) == [2, 3, 4]
    place.elsewhere.strand(THERE, NOW)
    assert (bob.home, place.timers.next(), eve.count) == (None, NOW + GRACE, 2)
    assert place.pumped == [EVE], "there is room in its window"
    eve.rewind()
    assert numbers_in(eve) == [3, 4]


def test_a_device_that_moves_takes_along_what_it_was_sent_and_not_what_it_said() -> None:
    place = Place()
    alice = place.mailboxes[ALICE] = place.make(ALICE)
    bob = place.placed(1)
    put(bob, 2, EVE)
    put(alice, 3, EVE)
    put(alice, 4, EVE, Origin(THIRD, 1, 1))
    alice.sent[(1).to_bytes(16, "big")] = Sent(Delivery.QUEUED, Durability.STORED, bytes(16), BOB)
    alice.hold_back(BOB, bytes(16), NOW)
    place.elsewhere.move(alice, THIRD, NOW)
    assert (alice.home, dict(alice.sent), alice.held_back) == (THIRD, {}, None)
    assert numbers_in(alice) == [3], "the fourth comes to the third node from where it was said"
    assert numbers_in(bob) == [2], "she says the first again where she is now"


def test_a_device_that_moves_to_a_node_out_of_reach_is_expected() -> None:
    place = Place()
    mailbox = place.placed(1)
    place.elsewhere.move(mailbox, b"unheard!", NOW)
    assert (mailbox.home, place.timers.next()) == (None, NOW + GRACE)


def test_what_a_device_said_is_dropped_wherever_it_waits() -> None:
    place = Place()
    bob = place.placed(1)
    put(bob, 2, EVE)
    put(bob, 3, ALICE, Origin(THIRD, 1, 1))
    place.elsewhere.silence(ALICE)
    assert numbers_in(bob) == [2, 3], "what comes from another node is for that to judge"
    bob.rewind()
    place.elsewhere.silence(EVE)
    assert numbers_in(bob) == [3]


def test_a_queue_that_is_refused_is_said_anew_under_another_name_and_another_queue_is_not() -> None:
    place = Place()
    mailbox = place.placed(1, 2)
    refused = mailbox.box
    assert [message.seq for message in mailbox.take_for_transmission()] == [1, 2]
    place.elsewhere.say_anew(BOB, refused)
    assert (mailbox.box != refused, place.pumped) == (True, [BOB])
    assert [(message.seq, message.id[-1]) for message in mailbox.take_for_transmission()] == [(3, 1), (4, 2)]
    place.elsewhere.say_anew(BOB, refused)
    place.elsewhere.say_anew(EVE, 1)
    assert place.pumped == [BOB]


@pytest.mark.parametrize("held", [True, False])
def test_a_session_is_taken_over_with_what_is_held_under_new_numbers(*, held: bool) -> None:
    place = Place()
    if held:
        mailbox = place.placed(1, 2)
        box = mailbox.box
        assert numbers_in(mailbox) == [1, 2]
    else:
        place.is_at(THERE)
        box = 0
    taken = place.elsewhere.adopt(b"bob".ljust(32), 40, NOW)
    assert taken is not None
    assert (taken.key, taken.home, taken.session, taken.expires, taken.device_key) == (
        BOB,
        None,
        b"bob".ljust(32),
        2000,
        b"k" * 32,
    )
    assert taken.box != box, "what its last node settles late is not about these numbers"
    messages = taken.take_for_transmission()
    assert [message.id[-1] for message in messages] == ([1, 2] if held else [])
    assert all(message.seq > 40 for message in messages)
    assert taken.last_transmitted > 40


def test_the_numbers_of_two_nodes_that_had_a_session_are_never_the_same() -> None:
    place = Place()
    place.is_at(THERE)
    first = place.elsewhere.adopt(b"bob".ljust(32), 40, NOW)
    assert first is not None
    before = first.last_transmitted
    del place.mailboxes[BOB]
    later = place.elsewhere.adopt(b"bob".ljust(32), 40, NOW)
    assert later is not None
    assert later.last_transmitted >= before + 1000


@pytest.mark.parametrize(("token", "last_seq", "now"), [(b"other", 0, NOW), (b"bob", 2**53, NOW), (b"bob", 0, 2000.0)])
def test_no_session_is_taken_over_that_is_unknown_expired_or_ahead(token: bytes, last_seq: int, now: float) -> None:
    place = Place()
    place.is_at(THERE)
    assert place.elsewhere.adopt(token.ljust(32), last_seq, now) is None
    assert place.mailboxes == {}
