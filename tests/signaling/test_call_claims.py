"""The call record rule where the server is killed: who claims a call goes on with it, and of the rest it is over."""

from __future__ import annotations

import pytest
from msgspec import structs

from entrenous_wire.messages import Accepted, Deliver, Kind, Live, Resume, Welcome
from world.hubcalls import NUMBERS, claim, in_call, say
from world.hubworld import ALICE, BOB, BOB_PHONE, CALL, EVE, HubWorld, two


def test_a_killed_server_goes_on_with_claimed_calls() -> None:
    world, _, _, token = in_call()
    start = int(world.now)
    world.advance(25)
    world.kill_and_restart()
    world.advance(5)
    alice, _ = world.login(ALICE)
    bob, _ = world.login(BOB)
    alice.say(claim(token, BOB))
    bob.say(claim(token, ALICE))
    assert alice.heard == bob.heard == []
    world.advance(100)
    say(alice, ALICE, BOB, Kind.END)
    assert world.store.records == [(start, 130)]
    assert world.store.open_rows == {}


def test_a_device_that_resumes_is_not_in_a_call_that_only_the_other_one_claims() -> None:
    world, _, _, token = in_call()
    start = int(world.now)
    world.kill_and_restart()
    bob, welcome = world.login(BOB)
    bob.drop()
    alice, _ = world.login(ALICE)
    alice.say(claim(token, BOB))
    back, _ = world.connect()
    back.say(Resume(token=welcome.token, last_seq=0)).hear(Welcome)
    world.advance(30)
    alice.drop()
    world.advance(62)
    assert world.store.records == [(start, 30)]


def test_one_claim_is_enough_and_says_whose_end_closes() -> None:
    world, _, _, token = in_call()
    world.kill_and_restart()
    world.login(BOB_PHONE)
    alice, _ = world.login(ALICE)
    alice.say(claim(token, BOB))
    say(alice, ALICE, BOB_PHONE, Kind.END)
    assert world.store.records == []
    world.login(BOB)
    world.advance(4)
    say(alice, ALICE, BOB, Kind.END)
    assert [duration for _, duration in world.store.records] == [4]


def test_calls_that_nobody_claims_close_at_last_seen() -> None:
    world, _, _, _ = in_call()
    world.advance(25)
    world.kill_and_restart()
    world.login(ALICE)
    world.advance(59)
    assert world.store.records == []
    world.advance(2)
    assert [duration for _, duration in world.store.records] == [20]
    assert world.store.open_rows == {}


def test_a_claim_with_a_wrong_token_or_from_a_stranger_changes_nothing() -> None:
    world, _, _, token = in_call()
    eve = world.register(EVE)
    eve.say(claim(token, ALICE), claim(bytes(16), ALICE))
    assert world.hub.counters.claims_refused == 2
    world.kill_and_restart()
    eve, _ = world.login(EVE)
    eve.say(claim(bytes(16), ALICE))
    assert world.hub.counters.claims_refused == 1


def test_a_claim_of_a_record_that_is_gone_is_refused_when_the_store_says_so() -> None:
    world, _, _, token = in_call()
    world.store.open_rows.clear()
    world.kill_and_restart()
    alice, _ = world.login(ALICE)
    world.store_waits = True
    alice.say(claim(token, BOB))
    assert world.hub.open_records == 1
    world.answer_store()
    assert (world.hub.open_records, world.hub.counters.claims_refused) == (0, 1)


# --- an end behind the claim ---


def test_an_end_right_behind_the_claim_closes_what_is_claimed_and_opens_nothing() -> None:
    for there in (True, False):
        world, _, _, token = in_call()
        start = int(world.now)
        world.advance(5)
        if not there:
            world.store.open_rows.clear()
        world.kill_and_restart()
        alice, _ = world.login(ALICE)
        world.store_waits = True
        alice.say(claim(token, BOB))
        say(alice, ALICE, BOB, Kind.END)
        world.answer_store()
        assert world.store.records == ([(start, 5)] if there else [])
        assert world.store.open_rows == {}
        assert world.hub.counters.claims_refused == (0 if there else 1)


def test_an_end_right_behind_the_claim_of_who_comes_back_alone_is_dated_back() -> None:
    """The device said the end as soon as it could: nobody of the call had been here for the while before."""
    for killed in (False, True):
        world, alice, bob, token = in_call()
        start = int(world.now)
        world.advance(20)
        alice.drop()
        bob.drop()
        if killed:
            world.kill_and_restart()
            world.advance(30)
            world.kill_and_restart()
        world.advance(50)
        node, _ = world.login(ALICE)
        node.say(claim(token, BOB))
        say(node, ALICE, BOB, Kind.END)
        world.advance(1)
        assert world.store.records == [(start, 20)]


@pytest.mark.parametrize("known", [False, True])
def test_a_call_that_is_over_for_who_claims_it_ends_though_the_end_gets_lost_behind_the_claim(known: bool) -> None:
    world, alice, bob, token = in_call()
    start = int(world.now)
    world.advance(20)
    alice.drop()
    bob.drop()
    if not known:
        world.kill_and_restart()
    world.advance(30)
    alice, _ = world.login(ALICE)
    (claimed,) = claim(token, BOB).calls
    alice.say(Live(calls=[structs.replace(claimed, over=True)]))
    world.advance(100)
    assert world.store.records == [(start, 20 if known else 50)]
    assert world.hub.counters.claims_refused == 0
    say(alice, ALICE, BOB, Kind.END)
    world.advance(100)
    assert (world.hub.open_records, len(world.store.records)) == (0, 1)


# --- an accept that is said again ---


def test_an_accept_that_is_said_again_before_the_claim_makes_no_second_record() -> None:
    """The server was killed between the commit and the answer: bob knows no token, alice does."""
    world, alice, bob = two()
    accept = BOB.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
    bob.say(accept)
    token = alice.hear(Deliver).record
    assert token is not None
    start = int(world.now)
    world.advance(2)
    world.kill_and_restart()
    bob, _ = world.login(BOB)
    bob.say(accept)
    alice, _ = world.login(ALICE)
    alice.say(claim(token, BOB))
    world.advance(8)
    say(alice, ALICE, BOB, Kind.END)
    world.advance(120)
    assert world.store.records == [(start, 10)]
    assert world.store.open_rows == {}


def test_an_accept_said_again_after_a_kill_opens_no_second_record() -> None:
    world = HubWorld()
    world.register(ALICE), world.register(BOB)
    bob, _ = world.login(BOB)
    message = BOB.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
    bob.say(message)
    start = int(world.now)
    (token,) = world.store.open_rows
    world.advance(3)
    world.kill_and_restart()
    alice, _ = world.login(ALICE)
    bob, _ = world.login(BOB)
    bob.say(message)
    assert bob.hear(Accepted).record == token
    assert alice.hear(Deliver).record is not None
    assert len(world.store.open_rows) == 1
    world.advance(4)
    say(alice, ALICE, BOB, Kind.END)
    world.advance(200)
    assert world.store.records == [(start, 7)]


def test_an_accept_said_again_after_the_end_and_a_kill_opens_no_second_record() -> None:
    """Bob heard no answer and no end; the server that knew of the end is gone, and the caller does not say it again."""
    for kills in (1, 2):
        world = HubWorld()
        alice, bob = world.register(ALICE), world.register(BOB)
        message = BOB.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
        bob.say(message)
        bob.drop()
        start = int(world.now)
        world.advance(7)
        say(alice, ALICE, BOB, Kind.END)
        for _ in range(kills):
            world.kill_and_restart()
            alice, _ = world.login(ALICE)
            bob, _ = world.login(BOB)
            bob.say(message)
            assert bob.hear(Accepted).record is None
            world.advance(30)
        assert world.hub.open_records == 0
        assert world.store.records == [(start, 7)]
        assert world.store.open_rows == {}
