"""The call record rule: one record a call, whatever happens to its ends and to the server."""

from __future__ import annotations

import itertools
import random

import pytest
from msgspec import structs

from entrenous_signaling.call_presence import CLAIM_SECONDS
from entrenous_signaling.call_rows import ENDED_SECONDS, TOUCH_SECONDS
from entrenous_signaling.limits import Bounds
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import ENDED_STEP_SECONDS, CloseRecord, OpenRecord
from entrenous_wire.limits import MAX_DEVICES
from entrenous_wire.messages import Accepted, Ack, Deliver, Error, ErrorCode, Kind, Live, LiveCall, Resume, Welcome
from world.hubworld import ALICE, BOB, BOB_PHONE, CALL, EVE, SERVER, HubNode, HubWorld, account, refused
from world.wirenode import Account

NUMBERS = itertools.count(1)


def say(node: HubNode, who: Account, to: Account, kind: Kind, call: bytes = CALL) -> bytes:
    message = who.send(next(NUMBERS), to, kind, call)
    node.say(message)
    return message.id


def in_call() -> tuple[HubWorld, HubNode, HubNode, bytes]:
    """Alice has called, bob has accepted; what he is told of the record comes last."""
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    say(bob, BOB, ALICE, Kind.ACCEPT)
    assert alice.hear(Deliver).record == world.hub._router.calls.tokens.of_caller(CALL)
    token = bob.hear(Accepted).record
    assert token is not None
    return world, alice, bob, token


def claim(token: bytes, peer: Account) -> Live:
    return Live(calls=[LiveCall(call=CALL, record=token, peer=peer.address, device=peer.device)])


def test_accept_opens_and_the_first_end_closes() -> None:
    world, alice, bob, token = in_call()
    start = int(world.now)
    assert list(world.store.open_rows) == [token]
    world.advance(42)
    say(alice, ALICE, BOB, Kind.END)
    say(bob, BOB, ALICE, Kind.END)
    assert world.store.records == [(start, 42)]
    assert world.store.open_rows == {}
    assert world.hub.open_records == 0


def test_a_ring_that_nobody_accepts_leaves_no_record() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    say(alice, ALICE, BOB, Kind.RING)
    say(bob, BOB, ALICE, Kind.END)
    world.advance(100)
    assert not [request for request in world.requests if isinstance(request, OpenRecord | CloseRecord)]


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


def test_an_accept_that_crosses_the_cancelling_end_opens_no_record() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    say(alice, ALICE, BOB, Kind.END)
    say(bob, BOB, ALICE, Kind.ACCEPT)
    assert bob.hear(Deliver).kind is Kind.END
    assert bob.hear(Accepted).record is None
    assert world.hub.open_records == 0


def test_an_accept_after_the_end_opens_no_second_record() -> None:
    world, alice, bob, _ = in_call()
    say(alice, ALICE, BOB, Kind.END)
    say(bob, BOB, ALICE, Kind.ACCEPT)
    world.advance(100)
    assert len(world.store.records) == 1
    assert world.store.open_rows == {}


def test_strangers_with_the_same_call_id_neither_join_nor_close() -> None:
    world, alice, _, _ = in_call()
    eve = world.register(EVE)
    frank_account = account("frank")
    world.register(frank_account)
    say(eve, EVE, frank_account, Kind.ACCEPT)
    assert eve.hear(Accepted).record is None
    say(eve, EVE, ALICE, Kind.END)
    world.advance(3)
    say(alice, ALICE, BOB, Kind.END)
    assert [duration for _, duration in world.store.records] == [3]


def test_open_records_are_touched_together() -> None:
    world, _, _, token = in_call()
    world.advance(TOUCH_SECONDS * 3 + 1)
    row = world.store.open_rows[token]
    assert row.seen - row.start == TOUCH_SECONDS * 3


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


# --- the server is killed ---


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


def test_an_accept_that_is_said_again_before_the_claim_makes_no_second_record() -> None:
    """The server was killed between the commit and the answer: bob knows no token, alice does."""
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
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


# --- the store fails ---


def test_accept_is_delivered_at_once_and_accepted_when_the_record_is_on_disk() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    world.store_waits = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    alice.hear(Deliver)
    alice.say(Ack(seq=1))
    assert bob.heard == []
    world.answer_store()
    assert [type(heard).__name__ for heard in bob.hear_all()] == ["Accepted", "Delivered"]


def test_an_accept_whose_record_cannot_be_stored_is_said_again_and_routed_once() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
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
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    world.store_fails = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    world.store_fails = False
    say(bob, BOB, ALICE, Kind.END)
    assert (len(world.store.records), len(world.store.open_rows), world.hub.degraded) == (1, 0, False)
    assert [heard.kind for heard in alice.hear_all() if isinstance(heard, Deliver)] == [Kind.ACCEPT, Kind.END]


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


def test_a_call_that_ends_before_its_record_could_be_opened_is_recorded_all_the_same() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    world.store_fails = True
    say(bob, BOB, ALICE, Kind.ACCEPT)
    world.advance(3)
    say(alice, ALICE, BOB, Kind.END)
    world.store_fails = False
    world.advance(31)
    assert [duration for _, duration in world.store.records] == [3]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_there_is_one_record(seed: int) -> None:
    """Ends drop and resume, the store fails now and then, the server is killed: one record, no open row."""
    chance = random.Random(seed)
    world, alice, bob, token = in_call()
    start = int(world.now)
    nodes = {"alice": (alice, ALICE, BOB), "bob": (bob, BOB, ALICE)}

    def back(name: str) -> None:
        _, who, peer = nodes[name]
        node, _ = world.login(who)
        node.say(claim(token, peer))
        nodes[name] = (node, who, peer)

    for _ in range(chance.randrange(12)):
        match chance.randrange(4):
            case 0:
                name = chance.choice(["alice", "bob"])
                nodes[name][0].drop()
                world.advance(chance.uniform(0, 59))
                back(name)
            case 1:
                world.kill_and_restart()
                world.advance(chance.uniform(0, 30))
                back("alice")
                back("bob")
            case 2:
                world.store_fails = True
                world.advance(chance.uniform(0, 30))
                world.store_fails = False
            case _:
                world.advance(chance.uniform(0, 100))
    ended = int(world.now)
    world.store_fails = chance.random() < 0.5
    ids = {}
    for name in chance.sample(["alice", "bob"], 2):
        node, who, peer = nodes[name]
        ids[name] = say(node, who, peer, Kind.END)
    world.advance(20)
    world.store_fails = False
    world.advance(200)
    assert world.store.records == [(start, ended - start)]
    assert world.store.open_rows == {}
    assert world.hub.open_records == 0


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


def test_that_a_call_is_over_is_forgotten_after_some_minutes() -> None:
    world, alice, _, _ = in_call()
    say(alice, ALICE, BOB, Kind.END)
    world.advance(ENDED_SECONDS - 1)
    assert len(world.store.ended) == 1
    world.kill_and_restart()
    world.advance(ENDED_SECONDS + ENDED_STEP_SECONDS + 3)
    assert world.store.ended == {}
    assert world.hub.next_deadline() is not None, "of housekeeping"


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


def test_a_device_that_only_says_its_accept_again_after_its_login_is_in_the_call() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
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


def test_a_caller_that_hears_of_the_accept_after_its_login_is_in_the_call() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.drop()
    say(bob, BOB, ALICE, Kind.ACCEPT)
    start = int(world.now)
    back, _ = world.login(ALICE)
    back.say(Ack(seq=back.hear(Deliver).seq))
    world.advance(CLAIM_SECONDS + 30)
    assert world.store.records == []
    say(bob, BOB, ALICE, Kind.END)
    assert world.store.records == [(start, int(CLAIM_SECONDS) + 30)]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_call_has_ended_when_that_is_said_first_though_it_is_refused_for_now(claimed: bool) -> None:
    """Whoever has hung up stays connected, and says it again when something else has come through, or never."""
    bounds = Bounds(sender_messages=1)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    world.register(ALICE)
    alice, bob = world.login(ALICE)[0], world.register(BOB)
    say(bob, BOB, ALICE, Kind.ACCEPT)
    deliver = alice.hear(Deliver)
    assert deliver.record is not None
    alice.say(Ack(seq=deliver.seq))
    start = int(world.now)
    world.advance(20)
    if claimed:
        alice.drop()
        alice, _ = world.login(ALICE)
        alice.say(claim(deliver.record, BOB))
    say(alice, ALICE, BOB, Kind.SIGNAL)
    say(alice, ALICE, BOB, Kind.SIGNAL)
    assert refused(alice) is ErrorCode.TOO_MANY
    end = ALICE.send(next(NUMBERS), BOB, Kind.END, CALL)
    assert refused(alice.say(end)) is ErrorCode.TOO_MANY
    assert world.store.records == [(start, 20)]
    world.advance(30)
    bob.say(Ack(seq=1))
    alice.hear_all()
    alice.say(end)
    assert [type(heard) for heard in alice.hear_all()] == [Accepted]
    bob.say(Ack(seq=2))
    world.advance(100)
    assert world.store.records == [(start, 20)]
    assert (world.hub.open_records, world.hub.degraded) == (0, False)


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


def test_an_end_that_is_refused_for_now_ends_no_call_of_others() -> None:
    world, _, _, _ = in_call()
    eve = world.register(EVE)
    queue = world.settings.bounds.sender_messages
    for receiver in (ALICE, BOB):
        for _ in range(queue):
            say(eve, EVE, receiver, Kind.SIGNAL)
            world.advance(0.1)
        eve.hear_all()
        assert refused(eve.say(EVE.send(next(NUMBERS), receiver, Kind.END, CALL))) is ErrorCode.TOO_MANY
    assert world.hub.open_records == 1


def test_the_caller_and_who_accepts_are_told_different_tokens() -> None:
    """What the caller holds is never on disk; either claims the call with its own."""
    world, _, _, token = in_call()
    callers = world.hub._router.calls.tokens.of_caller(CALL)
    assert callers != token
    world.kill_and_restart()
    for who, peer, record in ((ALICE, BOB, callers), (BOB, ALICE, token)):
        world.login(who)[0].say(claim(record, peer))
    assert world.hub.counters.claims_refused == 0
    assert world.hub.open_records == 1


# --- hostile ends ---


def test_each_call_has_a_token_of_its_own() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    calls = [bytes([number]) * 16 for number in range(3)]
    say(bob, BOB, ALICE, Kind.ACCEPT, calls[0])
    say(bob, BOB, ALICE, Kind.ACCEPT, calls[1])
    tokens = [bob.hear(Accepted).record, bob.hear(Accepted).record]
    assert len(set(tokens)) == 2
    assert list(world.store.open_rows) == tokens
    world.advance(5)
    world.store_waits = True
    say(alice, ALICE, BOB, Kind.END, calls[0])
    say(bob, BOB, ALICE, Kind.ACCEPT, calls[2])  # while the record of another is being closed
    say(alice, ALICE, BOB, Kind.END, calls[2])
    say(alice, ALICE, BOB, Kind.END, calls[1])
    world.answer_store()
    world.store_waits = False
    assert sorted(duration for _, duration in world.store.records) == [0, 5, 5]
    assert world.store.open_rows == {}
    assert not world.hub.degraded


def test_tokens_follow_from_the_secret_of_the_server() -> None:
    tokens = set()
    for key in (bytes(32), bytes(32), b"k" * 32):
        world = HubWorld(HubSettings(name=SERVER, message_key=key))
        bob, _ = world.register(BOB), world.register(ALICE)
        say(bob, BOB, ALICE, Kind.ACCEPT)
        tokens.add(bob.hear(Accepted).record)
    assert len(tokens) == 2


def test_an_account_has_a_bounded_number_of_calls_open() -> None:
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=Bounds(open_records=3)))
    alice, bob, eve = world.register(ALICE), world.register(BOB), world.register(EVE)
    calls = [bytes([number]) * 16 for number in range(4)]
    for call in calls[:3]:
        say(eve, EVE, ALICE, Kind.ACCEPT, call)
        eve.hear(Accepted)
    say(eve, EVE, ALICE, Kind.ACCEPT, calls[3])
    error = eve.hear(Error)
    assert (error.code, error.retry_after) == (ErrorCode.TOO_MANY, None)
    assert world.hub.open_records == 3
    say(alice, ALICE, BOB, Kind.ACCEPT)  # whom she calls is in no way bound by it
    assert [message.record is not None for message in alice.hear_all() if isinstance(message, Accepted)] == [True]
    say(alice, ALICE, EVE, Kind.END, calls[0])
    eve.hear_all()
    say(eve, EVE, ALICE, Kind.ACCEPT, calls[3])
    eve.hear(Accepted)
    assert bob is not None


def test_a_record_has_a_bounded_number_of_pairs() -> None:
    world = HubWorld()
    eve = world.register(EVE)
    others = [account(f"user{number}") for number in range(MAX_DEVICES + 1)]
    for other in others:
        world.register(other)
        say(eve, EVE, other, Kind.ACCEPT)
    answers = [message.record for message in eve.hear_all() if isinstance(message, Accepted)]
    assert [record is not None for record in answers] == [True] * MAX_DEVICES + [False]


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
