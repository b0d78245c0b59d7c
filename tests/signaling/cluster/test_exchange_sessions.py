"""Devices that go from node to node: their sessions, and the order of what they say and hear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous_signaling.cluster import exchange
from entrenous_signaling.cluster.cluster import SETTLE_SECONDS
from entrenous_signaling.cluster.envelopes import Here, Session
from entrenous_signaling.outputs import CloseCode
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Ack, Deliver, ErrorCode, Leave, Resume, Welcome
from world.across import A_LITTLE, ids, outcomes, three
from world.hubworld import ALICE, BOB, EVE, account, refused
from world.manyhubs import ManyHubs


def test_a_session_resumes_at_another_node_with_what_waits_and_its_numbers() -> None:
    hubs = ManyHubs(3)
    alice = hubs.hubs[0].register(ALICE)
    bob, welcome = hubs.hubs[1].welcomed(BOB)
    alice.say(*(ALICE.send(number, BOB) for number in range(1, 4)))
    assert ids(bob) == [1, 2, 3]
    bob.say(Ack(seq=1))
    bob.drop()
    alice.say(ALICE.send(4, BOB))
    bob = hubs.hubs[2].resume(welcome, 2)
    again = bob.hear(Welcome)
    assert (again.resumed, again.token) == (True, welcome.token)
    heard = [message for message in bob.hear_all() if isinstance(message, Deliver)]
    assert [int.from_bytes(message.id, "big") for message in heard][-2:] == [3, 4], "2 may come once more"
    numbers = [message.seq for message in heard]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 3, "no number that the last node may have given"
    bob.say(Ack(seq=heard[-1].seq))
    hubs.advance(SETTLE_SECONDS)
    assert [told for told in outcomes(alice) if told[0] == "delivered"] == [("delivered", n) for n in (1, 2, 3, 4)]
    assert [hub.hub.sessions for hub in hubs.hubs] == [1, 0, 1]


def test_an_old_connection_ends_when_its_device_resumes_or_logs_in_elsewhere() -> None:
    hubs, alice, bob = three()
    later, _ = hubs.hubs[2].login(BOB)
    assert refused(bob) is ErrorCode.REPLACED
    assert bob.closed == CloseCode.REPLACED
    assert later.closed is None
    alice.say(ALICE.send(1, BOB))
    assert ids(later) == [1]
    assert [hub.hub.sessions for hub in hubs.hubs] == [1, 0, 1]


def test_a_session_that_moved_is_gone_where_it_was() -> None:
    hubs = ManyHubs(2)
    bob, welcome = hubs.hubs[0].welcomed(BOB)
    bob.drop()
    hubs.hubs[1].resume(welcome).hear(Welcome)
    back = hubs.hubs[0].resume(welcome)
    assert back.hear(Welcome).resumed, "and may come back"
    assert [hub.hub.sessions for hub in hubs.hubs] == [1, 0]
    back.say(Leave())
    for hub in hubs.hubs:
        assert refused(hub.resume(welcome)) is ErrorCode.SESSION_GONE


def test_a_resumption_is_refused_that_is_too_late_or_claims_to_have_heard_too_much() -> None:
    hubs = ManyHubs(2)
    bob, welcome = hubs.hubs[0].welcomed(BOB)
    bob.drop()
    stranger, _ = hubs.hubs[1].connect()
    assert refused(stranger.say(Resume(token=bytes(32), last_seq=0))) is ErrorCode.SESSION_GONE
    assert refused(hubs.hubs[1].resume(welcome, 2**53)) is ErrorCode.SESSION_GONE
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    assert refused(hubs.hubs[1].resume(welcome)) is ErrorCode.SESSION_GONE


def test_an_expired_certificate_resumes_nowhere() -> None:
    hubs = ManyHubs(2)
    soon = replace(BOB, not_after=int(hubs.now) + 10)
    node, hello = hubs.hubs[0].connect()
    welcome = node.say(soon.register(hello)).hear(Welcome)
    node.drop()
    hubs.advance(11)
    assert refused(hubs.hubs[1].resume(welcome)) is ErrorCode.SESSION_GONE


def test_two_sessions_of_a_device_at_two_nodes_that_were_parted_become_the_newer_one() -> None:
    hubs, alice, bob = three()
    hubs.part(hubs.hubs[1], hubs.hubs[2])
    hubs.advance(A_LITTLE)
    later, _ = hubs.hubs[2].login(BOB)
    assert (bob.closed, later.closed) == (None, None)
    hubs.deaf.clear()
    hubs.advance(2)
    assert (bob.closed, later.closed) == (CloseCode.REPLACED, None)
    alice.say(ALICE.send(1, BOB))
    assert ids(later) == [1]


def test_a_sender_that_comes_back_before_all_have_heard_that_it_went_is_heard_in_order() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = first.welcomed(ALICE)
    bob = second.register(BOB)
    eve = first.register(EVE)
    hubs.deaf = {(second, first), (first, third)}
    alice.say(ALICE.send(1, BOB))
    eve.say(EVE.send(7, BOB))
    third.resume(welcome).hear(Welcome)
    hubs.advance(0.05)
    alice = first.resume(welcome)
    alice.hear(Welcome)
    alice.say(ALICE.send(2, BOB))
    hubs.deaf = {(first, second)}  # which hears now what was said, and would not have been heard that it is refused
    hubs.advance(0.5)
    alice.say(ALICE.send(3, BOB))
    assert bob.heard == []
    hubs.deaf = set()
    hubs.advance(1.0)
    heard = [message for message in bob.hear_all() if isinstance(message, Deliver)]
    assert [int.from_bytes(message.id, "big") for message in heard] == [1, 7, 2, 3]
    bob.say(Ack(seq=heard[-1].seq))
    hubs.advance(SETTLE_SECONDS)
    assert [told for told in outcomes(alice) if told[0] == "delivered"] == [("delivered", n) for n in (1, 2, 3)]
    assert [told for told in outcomes(eve) if told[0] == "delivered"] == [("delivered", 7)]
    assert [hub.hub.queued for hub in hubs.hubs] == [0, 0, 0]


def test_what_is_remembered_of_queues_that_were_refused_is_bounded_and_goes_with_their_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "_REFUSED", 3)
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, _ = first.welcomed(ALICE)
    bobs = [account("bob", f"{number:016x}") for number in range(5)]
    for bob in bobs:
        second.register(bob)
    hubs.deaf = {(second, first), (first, third)}
    alice.say(*(ALICE.send(number, bob) for number, bob in enumerate(bobs)))
    third.login(ALICE)
    hubs.deaf = {(first, second), (first, third)}
    hubs.advance(1.0)
    seen = second.hub._exchange
    assert seen is not None
    assert len(seen._refused) == 3
    first.on_the_bus = False
    hubs.advance(A_LITTLE)
    assert seen._refused == {}


def test_a_session_from_far_ahead_is_not_believed_and_does_not_stay_the_newest_for_ever() -> None:
    hubs, alice, bob = three()
    first, _, third = hubs.hubs
    seen, liar = first.hub._exchange, third.hub._exchange
    assert seen is not None
    assert liar is not None
    session = Session("bob", BOB.device, 2**53, bytes(32), 2**33, bytes(32))
    liar._cluster.peers.send_all(Here([session]))
    hubs.advance(0.1)
    assert seen.state.dropped == 1
    assert bob.closed is None
    alice.say(ALICE.send(1, BOB))
    assert ids(bob) == [1]
    again, _ = third.login(BOB)
    alice.say(ALICE.send(2, BOB))
    assert 2 in ids(again)


def test_a_session_that_comes_back_to_a_node_which_did_not_hear_that_it_left_acknowledges_nothing_by_mistake() -> None:
    hubs = ManyHubs(3)
    alice = hubs.hubs[0].register(ALICE)
    bob, welcome = hubs.hubs[1].welcomed(BOB)
    alice.say(ALICE.send(1, BOB))
    bob.say(Ack(seq=bob.hear(Deliver).seq))
    bob.drop()
    hubs.part(hubs.hubs[1], hubs.hubs[2])
    hubs.part(hubs.hubs[0], hubs.hubs[2])
    eve = hubs.hubs[2].register(EVE)
    eve.say(EVE.send(2, BOB), EVE.send(3, BOB))
    elsewhere = hubs.hubs[2].resume(welcome, 1)
    elsewhere.hear(Welcome)
    last = [message.seq for message in elsewhere.hear_all() if isinstance(message, Deliver)][-1]
    elsewhere.drop()
    alice.hear_all()
    alice.say(ALICE.send(4, BOB), ALICE.send(5, BOB))
    again = hubs.hubs[1].resume(welcome, last)
    assert refused(again) is ErrorCode.SESSION_GONE, "that node never said so much"
    assert outcomes(alice) == []


def test_what_a_device_said_before_it_moved_does_not_come_after_what_it_says_then() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = first.welcomed(ALICE)
    bob = second.register(BOB)
    hubs.part(first, second)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    alice.drop()
    again = third.resume(welcome)
    again.say(ALICE.send(1, BOB), ALICE.send(3, BOB))
    hubs.deaf.clear()
    hubs.advance(1)
    assert ids(bob) == [1, 3], "she gave the second up"
    assert first.hub.queued == 0


def test_a_node_that_did_not_hear_where_a_device_went_is_told_when_it_forwards_what_that_said() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = first.welcomed(ALICE)
    bob = second.register(BOB)
    hubs.part(first, third)
    hubs.part(first, second)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    alice.drop()
    third.resume(welcome).hear(Welcome)
    hubs.deaf -= {(first, second), (second, first)}
    hubs.advance(1)
    assert ids(bob) == []
    assert (first.hub.queued, first.hub.sessions) == (0, 0)
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    hubs.deaf.clear()
    hubs.advance(2)
    assert [hub.hub.sessions for hub in hubs.hubs] == [0, 1, 1]


def test_what_a_node_drops_as_its_device_moves_is_forwarded_again_when_that_comes_back() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice = first.register(ALICE)
    bob, welcome = second.welcomed(BOB)
    hubs.part(first, third)
    bob.drop()
    alice.say(ALICE.send(1, BOB))
    third.resume(welcome).hear(Welcome)
    assert second.hub.queued == 0
    again, _ = second.login(BOB)
    assert ids(again) == [1]


def test_a_node_that_holds_messages_for_a_device_elsewhere_does_not_take_those_of_others() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, eve = first.register(ALICE), second.register(EVE)
    bob, welcome = second.welcomed(BOB)
    hubs.part(first, third)
    bob.drop()
    bob = third.resume(welcome)
    bob.hear(Welcome)
    eve.say(EVE.send(1, BOB))
    alice.say(ALICE.send(2, BOB))
    assert (first.hub.queued, second.hub.queued) == (1, 1)
    assert ids(bob) == [1]
    hubs.deaf.clear()
    hubs.advance(2)
    message = bob.hear(Deliver)
    bob.say(Ack(seq=message.seq))
    hubs.advance(SETTLE_SECONDS)
    assert outcomes(alice) == [("delivered", 2)]


def test_what_a_device_said_long_ago_is_dropped_although_its_session_is_forgotten() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = first.welcomed(ALICE)
    bob = second.register(BOB)
    hubs.part(first, second)
    hubs.part(first, third)
    alice.say(ALICE.send(1, BOB))
    alice.drop()
    third.resume(welcome).hear(Welcome)
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    assert (first.hub.sessions, first.hub.queued) == (0, 1)
    hubs.deaf -= {(first, second), (second, first)}
    hubs.advance(2)
    assert (ids(bob), first.hub.queued) == ([], 0)


def test_a_message_goes_where_its_device_is_when_the_turn_ends_in_which_it_was_said() -> None:
    hubs, alice, _ = three()
    first = hubs.hubs[0]
    first.hub.message_received(alice.number, ALICE.send(1, BOB), hubs.now)
    later, _ = hubs.hubs[2].login(BOB)
    assert ids(later) == [1]


def test_a_message_for_a_device_that_is_not_there_is_sent_back() -> None:
    hubs, alice, bob = three()
    first, second = hubs.hubs[0], hubs.hubs[1]
    hubs.part(first, hubs.hubs[2])
    hubs.advance(A_LITTLE)
    alice.say(ALICE.send(1, BOB))
    bob.drop()
    later, _ = hubs.hubs[2].login(BOB)
    hubs.advance(1)
    assert second.hub.sessions == 0
    alice.say(ALICE.send(2, BOB))
    assert outcomes(alice) == []
    hubs.deaf.clear()
    hubs.advance(2)
    assert ids(later) == [1, 2], "the first node was told that the second has it no more, and heard where it is"
