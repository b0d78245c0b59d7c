"""The call record rule where devices of a call go, come back, or start afresh, at a server that stays."""

from __future__ import annotations

from entrenous_signaling.call_presence import CLAIM_SECONDS
from entrenous_wire.messages import Accepted, Ack, Deliver, Kind, Resume, Welcome
from world.hubcalls import NUMBERS, claim, in_call, say
from world.hubworld import ALICE, BOB, CALL, HubWorld, two


def test_a_call_whose_ends_are_both_gone_closes_at_the_time_they_were_seen() -> None:
    world, alice, bob, _ = in_call()
    world.advance(30)
    alice.drop()
    world.advance(12)
    bob.drop()
    world.advance(59)
    assert world.store.records == []
    world.advance(2)
    assert [duration for _, duration in world.store.records] == [42]


def test_one_end_that_stays_keeps_the_call_open() -> None:
    world, alice, bob, _ = in_call()
    bob.drop()
    world.advance(500)
    say(alice, ALICE, BOB, Kind.END)
    assert [duration for _, duration in world.store.records] == [500]


def test_a_resumed_end_is_in_its_call_and_a_restarted_one_only_when_it_says_so() -> None:
    for claims in (False, True):
        world, alice, bob, token = in_call()
        alice.drop()
        bob.drop()
        node, _ = world.login(BOB)
        if claims:
            node.say(claim(token, ALICE))
        world.advance(61)
        assert len(world.store.records) == (0 if claims else 1)


def test_a_resumed_session_keeps_the_call_open() -> None:
    world = HubWorld()
    alice = world.register(ALICE)
    world.register(BOB).drop()
    bob, welcome = world.login(BOB)
    say(bob, BOB, ALICE, Kind.ACCEPT)
    alice.drop()
    bob.drop()
    world.advance(50)
    back, _ = world.connect()
    back.say(Resume(token=welcome.token, last_seq=0)).hear(Welcome)
    world.advance(200)
    assert world.store.records == []


def test_ends_that_go_come_back_and_go_again_are_waited_for_again() -> None:
    world, alice, bob, token = in_call()
    alice.drop()
    bob.drop()
    world.advance(50)
    node, _ = world.login(BOB)
    node.say(claim(token, ALICE))
    world.advance(30)
    node.drop()
    world.advance(59)
    assert world.store.records == []
    world.advance(2)
    assert [duration for _, duration in world.store.records] == [80]


# --- a device starts afresh ---


def test_a_device_that_starts_afresh_and_does_not_claim_ends_the_call_when_it_was_last_seen() -> None:
    world, alice, bob, _ = in_call()
    start = int(world.now)
    world.advance(20)
    bob.drop()
    world.advance(5)
    again, _ = world.login(BOB)
    world.advance(CLAIM_SECONDS + 1)
    assert world.store.records == [(start, 20)]
    assert world.hub.open_records == 0
    say(alice, ALICE, BOB, Kind.END)
    say(again, BOB, ALICE, Kind.END)
    world.advance(200)
    assert world.store.records == [(start, 20)]


def test_a_device_that_starts_afresh_and_resumes_that_session_is_not_back_in_its_old_call() -> None:
    world, alice, bob, _ = in_call()
    start = int(world.now)
    world.advance(20)
    bob.drop()
    again, welcome = world.login(BOB)
    world.advance(1)
    again.drop()
    resumed, _ = world.connect()
    resumed.say(Resume(token=welcome.token, last_seq=0))
    assert resumed.hear(Welcome).resumed
    world.advance(CLAIM_SECONDS + 1)
    assert world.store.records == [(start, 20)]
    assert alice is not None


def test_a_device_that_starts_afresh_and_claims_goes_on() -> None:
    world, alice, bob, token = in_call()
    start = int(world.now)
    bob.drop()
    again, _ = world.login(BOB)
    again.say(claim(token, ALICE))
    world.advance(CLAIM_SECONDS + 30)
    assert world.store.records == []
    say(alice, ALICE, BOB, Kind.END)
    assert world.store.records == [(start, int(CLAIM_SECONDS) + 30)]


def test_a_device_that_only_says_its_accept_again_after_its_login_is_in_the_call() -> None:
    world, alice, bob = two()
    message = BOB.send(next(NUMBERS), ALICE, Kind.ACCEPT, CALL)
    bob.say(message)
    bob.drop()  # before it has heard of the token
    start = int(world.now)
    again, _ = world.login(BOB)
    again.say(message)
    assert again.hear(Accepted).record is not None
    assert alice.hear(Deliver).record is not None
    world.advance(CLAIM_SECONDS + 30)
    assert world.store.records == []
    say(alice, ALICE, BOB, Kind.END)
    assert world.store.records == [(start, int(CLAIM_SECONDS) + 30)]


def test_a_caller_that_hears_of_the_accept_after_its_login_is_in_the_call() -> None:
    world, alice, bob = two()
    alice.drop()
    say(bob, BOB, ALICE, Kind.ACCEPT)
    start = int(world.now)
    back, _ = world.login(ALICE)
    back.say(Ack(seq=back.hear(Deliver).seq))
    world.advance(CLAIM_SECONDS + 30)
    assert world.store.records == []
    say(bob, BOB, ALICE, Kind.END)
    assert world.store.records == [(start, int(CLAIM_SECONDS) + 30)]
