"""Two devices at two nodes: messages, sessions, stored messages and deletion, and what happens when a part is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous_signaling.cluster import exchange
from entrenous_signaling.cluster.envelopes import (
    VERSION,
    Frame,
    Here,
    NotHere,
    Session,
    Settled,
    as_raw,
    pack,
    pack_frame,
)
from entrenous_signaling.cluster.lane import ROOM_ENVELOPES
from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_signaling.outputs import CloseCode, Publish
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deleted,
    Deliver,
    Delivered,
    Error,
    ErrorCode,
    Kind,
    Leave,
    Letter,
    Resume,
    Taken,
    Welcome,
)
from world.hubworld import ALICE, BOB, CALL, EVE, HubNode, HubWorld, account, refused
from world.manyhubs import ManyHubs

A_LITTLE = LOST_SECONDS + 2.0


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def three() -> tuple[ManyHubs, HubNode, HubNode]:
    """Alice at the first of three nodes, Bob at the second."""
    hubs = ManyHubs(3)
    return hubs, hubs.hubs[0].register(ALICE), hubs.hubs[1].register(BOB)


def ids(node: HubNode) -> list[int]:
    """The numbers of the messages that a node has heard since the last time; nothing else was said."""
    heard = node.hear_all()
    assert all(isinstance(message, Deliver) for message in heard), heard
    return [int.from_bytes(message.id, "big") for message in heard if isinstance(message, Deliver)]


def outcomes(node: HubNode) -> list[tuple[str, int]]:
    """What was said of messages, without `accepted`."""
    told: list[tuple[str, int]] = []
    for message in node.hear_all():
        if isinstance(message, Delivered | Error):
            assert message.id is not None
            code = message.code.value if isinstance(message, Error) else "delivered"
            told.append((code, int.from_bytes(message.id, "big")))
    return told


def test_a_message_to_another_node_is_delivered_and_acknowledged() -> None:
    hubs, alice, bob = three()
    alice.say(ALICE.send(1, BOB, Kind.RING, CALL))
    message = bob.hear(Deliver)
    assert (message.seq, message.sender, message.device, message.kind) == (1, ALICE.address, ALICE.device, Kind.RING)
    assert (message.call, message.id, message.record) == (CALL, id_of(1), None)
    assert hubs.hubs[0].hub.queued == 1, "it stays with its sender until it is delivered"
    bob.say(Ack(seq=1))
    assert alice.hear(Delivered).id == id_of(1)
    assert alice.heard == bob.heard == []
    assert [hub.hub.queued for hub in hubs.hubs] == [0, 0, 0]
    counters = [hub.hub.counters for hub in hubs.hubs]
    assert (counters[0].routed[Kind.RING], counters[1].delivered, counters[0].delivered) == (1, 1, 0)


def test_all_that_is_said_in_one_turn_is_one_packet_for_each_node() -> None:
    hubs, alice, bob = three()
    first, second = hubs.hubs[:2]
    for number in range(1, 21):
        outputs = first.hub.message_received(alice.number, ALICE.send(number, BOB), hubs.now)
        assert not any(isinstance(output, Publish) for output in outputs)
    (output,) = first.hub.flush(hubs.now)
    assert isinstance(output, Publish)
    assert output.node == second.name
    second.run(second.hub.bus_received(output.payload, hubs.now))
    assert ids(bob) == list(range(1, 21))


def test_who_is_nowhere_is_offline_at_once() -> None:
    hubs, alice, _ = three()
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    assert outcomes(alice.say(ALICE.send(1, EVE))) == [("offline", 1)]


def test_who_leaves_is_offline_at_all_nodes_and_what_waited_is_lost() -> None:
    hubs, alice, bob = three()
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    alice.say(ALICE.send(1, BOB))
    bob.say(Leave())
    assert outcomes(alice) == [("offline", 1)]
    assert outcomes(alice.say(ALICE.send(2, BOB))) == [("offline", 2)]
    assert hubs.hubs[0].hub.queued == 0
    assert [hub.hub.counters.lost for hub in hubs.hubs] == [2, 0, 0], "each is counted once"


def test_a_device_that_drops_is_waited_for_at_its_node_and_lost_after_the_grace() -> None:
    hubs, alice, bob = three()
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    bob.drop()
    alice.say(ALICE.send(1, BOB))
    hubs.advance(SESSION_GRACE_SECONDS - 1)
    alice.hear(Accepted)
    assert alice.heard == []
    hubs.advance(2)
    assert outcomes(alice) == [("offline", 1)]


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


def test_messages_wait_for_a_device_whose_node_was_killed_and_go_where_it_comes() -> None:
    hubs = ManyHubs(3)
    alice = hubs.hubs[0].register(ALICE)
    bob, welcome = hubs.hubs[1].welcomed(BOB)
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    hubs.hubs[1].kill_and_restart()
    hubs.advance(A_LITTLE)
    alice.say(ALICE.send(3, BOB))
    assert outcomes(alice) == []
    bob = hubs.hubs[2].resume(welcome)
    assert bob.hear(Welcome).resumed, "its session outlives its node"
    heard = [message for message in bob.hear_all() if isinstance(message, Deliver)]
    assert [message.id for message in heard] == [id_of(1), id_of(2), id_of(3)]
    bob.say(Ack(seq=heard[-1].seq))
    assert outcomes(alice) == [("delivered", 1), ("delivered", 2), ("delivered", 3)]


def test_who_does_not_come_back_after_a_node_was_killed_is_lost() -> None:
    hubs, alice, _ = three()
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    alice.say(ALICE.send(1, BOB))
    hubs.hubs[1].kill_and_restart()
    hubs.advance(A_LITTLE + SESSION_GRACE_SECONDS)
    assert outcomes(alice) == [("offline", 1)]
    assert outcomes(alice.say(ALICE.send(2, BOB))) == [("offline", 2)]


def test_a_node_that_stops_on_purpose_is_not_waited_for() -> None:
    hubs, alice, bob = three()
    alice.say(ALICE.send(1, BOB))
    second = hubs.hubs[1]
    second.run(second.hub.stop(hubs.now))
    assert bob.closed == CloseCode.RESTART
    state = hubs.hubs[0].hub.cluster_state
    assert state is not None
    assert state.nodes == 1
    second.on_the_bus = False
    later, _ = hubs.hubs[2].login(BOB)
    assert ids(later) == [1]


def test_what_a_dead_senders_node_had_forwarded_is_dropped_when_that_is_lost() -> None:
    hubs = ManyHubs(3)
    alice = hubs.hubs[0].register(ALICE)
    bob, welcome = hubs.hubs[1].welcomed(BOB)
    bob.drop()
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    hubs.hubs[0].kill_and_restart()
    alice, _ = hubs.hubs[2].login(ALICE)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB), ALICE.send(3, BOB))
    hubs.advance(A_LITTLE)
    bob = hubs.hubs[1].resume(welcome)
    bob.hear(Welcome)
    assert ids(bob) == [1, 2, 3]


def test_two_that_cannot_hear_each_other_hold_what_they_have_and_go_on_when_they_do() -> None:
    hubs, alice, bob = three()
    alice.say(ALICE.send(1, BOB))
    hubs.part(hubs.hubs[0], hubs.hubs[1])
    alice.say(ALICE.send(2, BOB))
    bob.say(Ack(seq=1))
    hubs.advance(A_LITTLE)
    alice.say(ALICE.send(3, BOB))
    assert outcomes(alice) == []
    hubs.deaf.clear()
    hubs.advance(2)
    assert ids(bob)[0] == 1
    bob.say(Ack(seq=4))
    assert outcomes(alice) == [("delivered", 1), ("delivered", 2), ("delivered", 3)]


def test_a_node_that_is_cut_off_serves_its_own_and_refuses_the_rest_for_now() -> None:
    hubs, alice, _ = three()
    eve = hubs.hubs[0].register(EVE)
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    hubs.hubs[0].cut()
    alice.say(ALICE.send(1, EVE))
    assert ids(eve) == [1]
    hubs.advance(A_LITTLE + SESSION_GRACE_SECONDS)
    alice.hear_all()
    error = alice.say(ALICE.send(2, BOB)).hear(Error)
    assert (error.code, error.retry_after is not None) == (ErrorCode.UNAVAILABLE, True)
    assert refused(alice.say(ALICE.send(3, BOB))) is ErrorCode.TOO_MANY, "nothing overtakes it"
    hubs.hubs[0].mend()
    hubs.advance(2)
    alice.say(ALICE.send(2, BOB), ALICE.send(3, BOB))
    assert outcomes(alice) == []


def test_a_short_interruption_of_the_bus_is_not_noticed() -> None:
    hubs, alice, bob = three()
    hubs.hubs[0].cut()
    alice.say(ALICE.send(1, BOB))
    hubs.advance(2)
    assert bob.heard == []
    hubs.hubs[0].mend()
    assert ids(bob) == [1]
    bob.say(Ack(seq=1))
    assert outcomes(alice) == [("delivered", 1)]


def test_a_stored_message_rings_at_the_node_of_its_device() -> None:
    _, alice, bob = three()
    alice.say(ALICE.message(1, BOB))
    alice.hear(Accepted)
    assert bob.hear(Letter).id == id_of(1)
    bob.say(Taken(ids=[id_of(1)]))


def test_a_message_that_was_stored_out_of_reach_is_found_when_nodes_meet_again() -> None:
    hubs, alice, bob = three()
    hubs.part(hubs.hubs[0], hubs.hubs[1])
    hubs.advance(A_LITTLE)
    alice.say(ALICE.message(1, BOB))
    alice.hear(Accepted)
    assert bob.heard == []
    hubs.deaf.clear()
    hubs.advance(2)
    assert bob.hear(Letter).id == id_of(1)


def test_the_sessions_of_a_deleted_account_end_at_all_nodes() -> None:
    hubs, alice, bob = three()
    phone = replace(BOB, device="00000000000000bb")
    node, hello = hubs.hubs[2].connect()
    node.say(phone.register(hello)).hear(Welcome)
    node.say(phone.delete(hello)).hear(Deleted)
    assert bob.closed == node.closed == CloseCode.DELETED
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    assert outcomes(alice.say(ALICE.send(1, BOB))) == [("offline", 1)]


def test_a_lost_session_of_a_deleted_account_is_not_resumed() -> None:
    hubs = ManyHubs(3)
    bob, welcome = hubs.hubs[1].welcomed(BOB)
    bob.drop()
    hubs.hubs[1].kill_and_restart()
    hubs.advance(A_LITTLE)
    second = hubs.hubs[2]
    second.run(second.hub.remove_account("bob", lambda removed, count: None, hubs.now))
    for hub in hubs.hubs:
        assert refused(hub.resume(welcome)) is ErrorCode.SESSION_GONE


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


def test_the_window_bounds_what_is_on_its_way_to_another_node() -> None:
    hubs, alice, bob = three()
    count = 12
    large = [ALICE.send(number, BOB, size=49152) for number in range(1, count + 1)]
    bob.drop()
    alice.say(*large)
    assert (hubs.hubs[0].hub.queued, hubs.hubs[1].hub.queued) == (count, 2), "the rest does not fit the window"
    bob, _ = hubs.hubs[1].login(BOB)
    heard: list[int] = []
    while new := [message for message in bob.hear_all() if isinstance(message, Deliver)]:
        heard += [int.from_bytes(message.id, "big") for message in new]
        bob.say(Ack(seq=new[-1].seq))
    assert heard == list(range(1, count + 1))
    assert hubs.hubs[0].hub.queued == 0


def test_a_queue_that_is_full_refuses_for_now() -> None:
    hubs, alice, bob = three()
    bob.drop()
    bounds = hubs.hubs[0].settings.bounds
    for number in range(bounds.sender_messages):
        alice.say(ALICE.send(number, BOB))
    error = alice.say(ALICE.send(bounds.sender_messages, BOB)).hear_all()[-1]
    assert isinstance(error, Error)
    assert (error.code, error.retry_after is not None) == (ErrorCode.TOO_MANY, True)


def test_rubbish_from_the_bus_is_counted_and_dropped() -> None:
    hubs, alice, bob = three()
    first = hubs.hubs[0]
    first.run(first.hub.bus_received(b"rubbish", hubs.now))
    state = first.hub.cluster_state
    assert state is not None
    assert state.dropped == 1
    claim = as_raw([pack(NotHere("bob", BOB.device))])
    stranger = pack_frame(Frame(VERSION, b"stranger", hubs.now, int((hubs.now + 60) * 1000), 1, 0, claim))
    first.run(first.hub.bus_received(stranger, hubs.now))
    alice.say(ALICE.send(1, BOB))
    assert ids(bob) == [1], "a node speaks for its own devices only"


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


def test_a_hub_that_is_alone_publishes_nothing() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.say(ALICE.send(1, BOB), ALICE.message(2, BOB))
    bob.say(Leave())
    for outputs in (
        world.hub.bus_connected(world.now),
        world.hub.bus_received(b"?", world.now),
        world.hub.bus_lost(world.now),
        world.hub.stop(world.now),
    ):
        world.run(outputs)
    assert world.published == []
    assert world.hub.cluster_state is None


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


def test_a_message_that_a_node_stored_before_it_was_killed_is_found() -> None:
    hubs, alice, bob = three()
    second = hubs.hubs[1]
    hubs.part(hubs.hubs[0], second)
    alice.say(ALICE.message(1, BOB))
    hubs.hubs[0].kill_and_restart()
    assert bob.heard == []
    hubs.advance(A_LITTLE)
    assert bob.hear(Letter).id == id_of(1)


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


def test_what_is_settled_of_another_numbering_settles_nothing() -> None:
    hubs, alice, _ = three()
    first, second = hubs.hubs[0], hubs.hubs[1]
    alice.say(ALICE.send(1, BOB))
    exchange = first.hub._exchange
    assert exchange is not None
    exchange._take(second.name, Settled("bob", BOB.device, 10**6, 1), hubs.now)
    assert first.hub.queued == 1


def test_what_found_no_room_on_the_way_goes_on_when_the_other_node_has_taken_the_rest() -> None:
    hubs, alice, bob = three()
    exchange = hubs.hubs[0].hub._exchange
    assert exchange is not None
    for lane in exchange._cluster.peers.lanes:
        for _ in range(ROOM_ENVELOPES):
            lane.send(b"\xc0")
    alice.say(ALICE.send(1, BOB))
    assert ids(bob) == []
    hubs.advance(0.1)
    assert ids(bob) == [1]
