"""The call record rule where several devices of one account ring, accept and hang up."""

from __future__ import annotations

from entrenous_wire.messages import Accepted, Kind
from world.hubcalls import NUMBERS, claim, in_call, say
from world.hubworld import ALICE, BOB, BOB_PHONE, CALL


def test_an_end_to_a_device_that_only_rang_does_not_close() -> None:
    world, alice, _, _ = in_call()
    world.login(BOB_PHONE)
    say(alice, ALICE, BOB_PHONE, Kind.END)
    world.advance(5)
    assert world.store.records == []
    say(alice, ALICE, BOB, Kind.END)
    assert [duration for _, duration in world.store.records] == [5]


def test_of_two_devices_that_accept_at_once_the_one_that_lost_takes_the_record_not_along() -> None:
    for winner, loser in ((BOB, BOB_PHONE), (BOB_PHONE, BOB)):
        world, alice, _, token = in_call()
        phone, _ = world.login(BOB_PHONE)
        say(phone, BOB_PHONE, ALICE, Kind.ACCEPT)
        assert phone.hear(Accepted).record == token
        say(alice, ALICE, loser, Kind.END)
        world.advance(9)
        assert world.store.records == []
        say(alice, ALICE, winner, Kind.END)
        assert [duration for _, duration in world.store.records] == [9]


def test_an_accept_that_crosses_the_end_for_it_does_not_join_the_call() -> None:
    world, alice, _, _ = in_call()
    phone, _ = world.login(BOB_PHONE)
    say(alice, ALICE, BOB_PHONE, Kind.END)
    say(phone, BOB_PHONE, ALICE, Kind.ACCEPT)
    world.advance(1)
    say(alice, ALICE, BOB, Kind.END)
    assert [duration for _, duration in world.store.records] == [1]
    assert world.hub.open_records == 0


def test_a_call_whose_last_present_end_takes_only_its_own_pair_out_is_still_closed() -> None:
    world, alice, bob, _ = in_call()
    phone, _ = world.login(BOB_PHONE)
    say(phone, BOB_PHONE, ALICE, Kind.ACCEPT)
    world.advance(20)
    alice.drop()
    phone.drop()
    world.advance(5)
    say(bob, BOB, ALICE, Kind.END)
    world.advance(100)
    assert [duration for _, duration in world.store.records] == [20]
    assert world.hub.open_records == 0


def test_both_devices_of_an_account_are_in_the_call_whichever_claims_first() -> None:
    world, _, _, token = in_call()
    world.kill_and_restart()
    phone, _ = world.login(BOB_PHONE)
    say(phone, BOB_PHONE, ALICE, Kind.ACCEPT)
    assert phone.hear(Accepted).record == token
    bob, _ = world.login(BOB)
    bob.say(claim(token, ALICE))
    alice, _ = world.login(ALICE)
    alice.say(claim(token, BOB))
    say(alice, ALICE, BOB_PHONE, Kind.END)
    world.advance(30)
    assert world.store.records == []
    say(bob, BOB, ALICE, Kind.END)
    assert [duration for _, duration in world.store.records] == [30]
    assert world.hub.counters.claims_refused == 0


def test_another_device_that_says_its_accept_again_after_the_end_and_a_kill_opens_no_second_record() -> None:
    world, alice, bob, _ = in_call()
    start = int(world.now)
    phone, _ = world.login(BOB_PHONE)
    message = BOB_PHONE.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
    phone.say(message)
    world.advance(7)
    say(alice, ALICE, BOB_PHONE, Kind.END)
    say(alice, ALICE, BOB, Kind.END)
    world.kill_and_restart()
    world.login(ALICE)
    phone, _ = world.login(BOB_PHONE)
    phone.say(message)
    assert phone.hear(Accepted).record is None
    world.advance(200)
    assert world.store.records == [(start, 7)]
    assert bob is not None
