"""Accounts that are deleted while a node is out of reach: their sessions there end when it is back."""

from __future__ import annotations

from dataclasses import replace

from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.store.requests import RemoveAccount
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import ErrorCode
from world.hubworld import ALICE, BOB, account, refused
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
