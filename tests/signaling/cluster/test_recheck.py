"""Accounts that are deleted while a node is out of reach: their sessions there end when it is back."""

from __future__ import annotations

from dataclasses import replace

from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.store.requests import RemoveAccount
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Deliver, ErrorCode, Welcome
from world.hubworld import ALICE, BOB, BOB_PHONE, account, refused
from world.manyhubs import ManyHubs

A_LITTLE = LOST_SECONDS + 2.0


def test_a_session_of_an_account_that_was_deleted_out_of_reach_ends() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice, welcome = first.welcomed(ALICE)
    bob = first.register(BOB)
    first.cut()
    hubs.advance(A_LITTLE)
    second.run(second.hub.remove_account("alice", lambda removed, count: None, hubs.now))
    assert alice.closed is None
    first.mend()
    hubs.advance(2)
    assert (alice.closed, bob.closed) == (CloseCode.DELETED, None)
    for hub in hubs.hubs:
        assert refused(hub.resume(welcome)) is ErrorCode.SESSION_GONE


def test_a_session_ends_whose_account_is_somebody_elses_now() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice = first.register(ALICE)
    first.cut()
    hubs.advance(A_LITTLE)
    hubs.store.apply(RemoveAccount("alice"))
    other = second.register(account("alice", "00000000000000dd", identity="other"))
    first.mend()
    hubs.advance(2)
    assert alice.closed is not None
    assert other.closed is None


def test_a_deletion_that_a_node_died_of_before_it_told_it_is_found() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice = first.register(ALICE)
    hubs.store.apply(RemoveAccount("alice"))
    second.on_the_bus = False
    hubs.advance(A_LITTLE)
    assert alice.closed is CloseCode.DELETED


def test_while_the_store_fails_it_is_asked_again() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice = first.register(ALICE)
    hubs.store.apply(RemoveAccount("alice"))
    second.on_the_bus = False
    first.store_fails = True
    hubs.advance(A_LITTLE)
    assert alice.closed is None
    first.store_fails = False
    hubs.advance(2)
    assert alice.closed is CloseCode.DELETED


def test_who_is_still_registered_stays_and_an_expired_certificate_is_no_deletion() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice = first.register(ALICE)
    expiring = replace(BOB, not_after=int(hubs.now) + 5)
    bob = first.register(expiring)
    second.on_the_bus = False
    hubs.advance(SESSION_GRACE_SECONDS)
    hubs.store.devices["bob"].clear()
    second.on_the_bus = True
    hubs.advance(A_LITTLE)
    assert (alice.closed, bob.closed) == (None, None)


def test_a_certificate_that_cannot_be_read_keeps_no_other_session_from_ending() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    node, phone = first.register(BOB), first.login(BOB_PHONE)[0]
    known, expires = hubs.store.devices["bob"][BOB_PHONE.device]
    hubs.store.devices["bob"] = {BOB_PHONE.device: (replace(known, certificate=b"?"), expires)}
    second.on_the_bus = False
    hubs.advance(A_LITTLE)
    assert (node.closed, phone.closed) == (CloseCode.DELETED, None)


def test_a_session_that_is_taken_over_ends_when_its_account_is_gone() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = second.welcomed(ALICE)
    alice.drop()
    second.on_the_bus = False
    hubs.advance(A_LITTLE)
    hubs.advance(A_LITTLE)  # all that nodes look up when they lose one
    hubs.store.apply(RemoveAccount("alice"))
    first.store_fails = True
    again = first.resume(welcome)
    assert again.hear(Welcome).resumed, "nobody can know"
    assert again.closed is None
    first.store_fails = False
    hubs.advance(2)
    assert again.closed is CloseCode.DELETED
    assert refused(third.resume(welcome)) is ErrorCode.SESSION_GONE


def test_a_session_that_is_taken_over_ends_when_somebody_else_has_the_name() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    alice, welcome = second.welcomed(ALICE)
    alice.drop()
    hubs.store.apply(RemoveAccount("alice"))
    other = third.register(account("alice", "00000000000000dd", identity="other"))
    again = first.resume(welcome)
    assert again.hear(Welcome).resumed
    assert (again.closed, other.closed) == (CloseCode.DELETED, None)


def test_whoever_has_the_name_anew_is_not_expelled_by_a_deletion_that_is_heard_late() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    old = first.register(ALICE)
    bob = second.register(BOB)
    hubs.deaf = {(second, first), (third, first)}
    first.run(first.hub.remove_account("alice", lambda removed, count: None, hubs.now))
    assert old.closed is CloseCode.DELETED
    somebody = account("alice", "00000000000000dd", identity="other")
    new = third.register(somebody)
    hubs.deaf = set()
    hubs.advance(1)
    assert new.closed is None
    bob.say(BOB.send(1, somebody))
    assert new.hear(Deliver).id == BOB.send(1, somebody).id
    seen = second.hub._exchange
    assert seen is not None
    assert [home.session.device for home in seen._cluster.directory.of_account("alice")] == [somebody.device]


def test_a_session_of_a_lost_node_is_forgotten_when_its_account_is_said_to_be_gone() -> None:
    hubs = ManyHubs(3)
    first, second, third = hubs.hubs
    _, welcome = first.welcomed(ALICE)
    first.on_the_bus = False
    hubs.advance(A_LITTLE)
    hubs.store.apply(RemoveAccount("alice"))
    second.store_fails = True
    third.run(third.hub.remove_account("alice", lambda removed, count: None, hubs.now))
    second.store_fails = False
    hubs.advance(2)
    for hub in (second, third):
        assert refused(hub.resume(welcome)) is ErrorCode.SESSION_GONE
