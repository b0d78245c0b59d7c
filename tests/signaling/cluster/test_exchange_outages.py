"""Two devices at two nodes, when a node or the way between nodes is gone."""

from __future__ import annotations

from entrenous_signaling.cluster.cluster import SETTLE_SECONDS
from entrenous_signaling.outputs import CloseCode
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Ack, Deliver, Error, ErrorCode, Welcome
from world.across import A_LITTLE, id_of, ids, outcomes, three
from world.hubworld import ALICE, BOB, EVE, refused
from world.manyhubs import ManyHubs


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
    hubs.advance(SETTLE_SECONDS)
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
    hubs.advance(SETTLE_SECONDS)
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
    hubs.advance(SETTLE_SECONDS)
    assert outcomes(alice) == [("delivered", 1)]
