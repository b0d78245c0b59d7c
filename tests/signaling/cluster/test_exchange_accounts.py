"""Stored messages and deleted accounts: what is the business of all nodes."""

from __future__ import annotations

from dataclasses import replace

from entrenous_signaling.outputs import CloseCode
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Accepted, Deleted, ErrorCode, Letter, Taken, Welcome
from world.across import A_LITTLE, id_of, outcomes, three
from world.hubworld import ALICE, BOB, refused
from world.manyhubs import ManyHubs


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


def test_a_message_that_a_node_stored_before_it_was_killed_is_found() -> None:
    hubs, alice, bob = three()
    second = hubs.hubs[1]
    hubs.part(hubs.hubs[0], second)
    alice.say(ALICE.message(1, BOB))
    hubs.hubs[0].kill_and_restart()
    assert bob.heard == []
    hubs.advance(A_LITTLE)
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
