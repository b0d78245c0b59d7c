"""The call record rule while the store waits or fails."""

from __future__ import annotations

from entrenous_signaling.call_rows import TOUCH_SECONDS
from entrenous_wire.messages import Accepted, Ack, Deliver, Error, ErrorCode, Kind
from world.hubcalls import NUMBERS, claim, in_call, say
from world.hubworld import ALICE, BOB, CALL, SERVER, two
from world.wirenode import Account


def test_accept_is_delivered_at_once_and_accepted_when_the_record_is_on_disk() -> None:
    world, alice, bob = two()
    world.store_waits = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    alice.hear(Deliver)
    alice.say(Ack(seq=1))
    assert bob.heard == []
    world.answer_store()
    assert [type(heard).__name__ for heard in bob.hear_all()] == ["Accepted", "Delivered"]


def test_an_accept_whose_record_cannot_be_stored_is_said_again_and_routed_once() -> None:
    world, alice, bob = two()
    world.store_fails = True
    accept = BOB.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
    bob.say(accept)
    error = bob.hear(Error)
    assert (error.code, error.id, error.retry_after) == (ErrorCode.UNAVAILABLE, accept.id, 1.0)
    assert alice.hear(Deliver).record is not None
    bob.say(accept)
    assert bob.hear(Error).code is ErrorCode.UNAVAILABLE
    world.store_fails = False
    world.register(Account("carol", SERVER))
    assert world.hub.degraded, "a record is owed still, whatever else the store did meanwhile"
    bob.say(accept)
    token = bob.hear(Accepted).record
    assert alice.heard == []
    assert list(world.store.open_rows) == [token]
    assert not world.hub.degraded


def test_a_call_that_ends_before_its_record_could_be_opened_owes_none() -> None:
    world, alice, bob = two()
    world.store_fails = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    world.store_fails = False
    say(bob, BOB, ALICE, Kind.END)
    assert (len(world.store.records), len(world.store.open_rows), world.hub.degraded) == (1, 0, False)
    assert [heard.kind for heard in alice.hear_all() if isinstance(heard, Deliver)] == [Kind.ACCEPT, Kind.END]


def test_a_call_that_ends_before_its_record_could_be_opened_is_recorded_all_the_same() -> None:
    world, alice, bob = two()
    world.store_fails = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    world.advance(3)
    say(alice, ALICE, BOB, Kind.END)
    world.store_fails = False
    world.advance(31)
    assert [duration for _, duration in world.store.records] == [3]


def test_an_end_whose_record_cannot_be_closed_is_routed_and_the_record_retried_until_it_is() -> None:
    world, alice, bob, _ = in_call()
    world.advance(7)
    world.store_fails = True
    ended = say(alice, ALICE, BOB, Kind.END)
    assert bob.hear(Deliver).kind is Kind.END
    error = alice.hear(Error)
    assert (error.code, error.id) == (ErrorCode.UNAVAILABLE, ended)
    assert world.hub.degraded
    world.advance(100)
    world.store_fails = False
    world.advance(31)
    assert [duration for _, duration in world.store.records] == [7]
    assert not world.hub.degraded
    alice.say(ALICE.send(int.from_bytes(ended, "big"), BOB, Kind.END, CALL))
    alice.hear(Accepted)
    assert bob.heard == []


def test_a_claim_waits_for_a_store_that_fails() -> None:
    world, _, _, token = in_call()
    start = int(world.now)
    world.kill_and_restart()
    alice, _ = world.login(ALICE)
    world.store_fails = True
    alice.say(claim(token, BOB))
    world.advance(90)
    assert world.hub.open_records == 1
    world.store_fails = False
    world.advance(90)
    say(alice, ALICE, BOB, Kind.END)
    assert world.store.records == [(start, 180)]


def test_after_a_store_that_failed_everybody_has_the_grace_to_keep_their_calls_alive() -> None:
    world, _, _, token = in_call()
    start = int(world.now)
    world.advance(10)
    world.store_fails = True
    world.kill_and_restart()
    world.advance(300)
    world.store_fails = False
    world.advance(59)
    assert list(world.store.open_rows) == [token]
    world.advance(TOUCH_SECONDS + 2)
    assert world.store.records == [(start, 10)]
