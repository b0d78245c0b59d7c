"""Two devices at two nodes: what becomes of the messages between them."""

from __future__ import annotations

from entrenous_signaling.cluster.cluster import SETTLE_SECONDS
from entrenous_signaling.cluster.envelopes import VERSION, Frame, NotHere, Settled, as_raw, pack, pack_frame
from entrenous_signaling.cluster.lane import ROOM_ENVELOPES
from entrenous_signaling.outputs import Publish
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Accepted, Ack, Deliver, Delivered, Error, ErrorCode, Kind, Leave
from world.across import id_of, ids, outcomes, three
from world.hubworld import ALICE, BOB, CALL, EVE, HubWorld, account


def test_a_message_to_another_node_is_delivered_and_acknowledged() -> None:
    hubs, alice, bob = three()
    alice.say(ALICE.send(1, BOB, Kind.RING, CALL))
    message = bob.hear(Deliver)
    assert (message.seq, message.sender, message.device, message.kind) == (1, ALICE.address, ALICE.device, Kind.RING)
    assert (message.call, message.id, message.record) == (CALL, id_of(1), None)
    assert hubs.hubs[0].hub.queued == 1, "it stays with its sender until it is delivered"
    bob.say(Ack(seq=1))
    hubs.advance(SETTLE_SECONDS)
    assert alice.hear(Delivered).ids == [id_of(1)]
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


def test_what_one_device_says_to_another_in_a_turn_is_taken_as_far_as_its_sender_is_where_it_was() -> None:
    hubs, alice, bob = three()
    first, _, third = hubs.hubs
    eve = first.register(EVE)
    hubs.deaf = {(first, third)}
    third.login(ALICE)
    for node, message in ((eve, EVE.send(1, BOB)), (alice, ALICE.send(2, BOB)), (eve, EVE.send(3, BOB))):
        first.hub.message_received(node.number, message, hubs.now)
    first.run([])
    assert ids(bob) == [1, 1, 3], "without Alice's, and Eve's again in a queue that goes on"


def test_what_devices_acknowledge_at_about_the_same_time_is_told_together() -> None:
    hubs, alice, bob = three()
    phone = account("bob", "00000000000000bb")
    other = hubs.hubs[1].register(phone)
    alice.say(*(ALICE.send(number, to) for number, to in ((1, BOB), (2, BOB), (3, phone))))
    for node, seq in ((bob, 1), (bob, 2), (other, 1)):
        node.say(Ack(seq=seq))
        hubs.advance(SETTLE_SECONDS / 4)
    assert outcomes(alice) == []
    hubs.advance(SETTLE_SECONDS)
    assert [message.ids for message in alice.hear_all() if isinstance(message, Delivered)] == [
        [id_of(1), id_of(2)],
        [id_of(3)],
    ]


def test_what_was_acknowledged_is_delivered_although_its_device_leaves_at_once() -> None:
    hubs, alice, bob = three()
    hubs.advance(SESSION_GRACE_SECONDS + 1)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    bob.say(Ack(seq=1), Leave())
    assert outcomes(alice) == [("delivered", 1), ("offline", 2)]


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
        hubs.advance(SETTLE_SECONDS)
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
