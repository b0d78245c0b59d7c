"""The call record rule: one record a call, opened by its accept and closed by its end."""

from __future__ import annotations

import random

import pytest

from entrenous_signaling.call_rows import ENDED_SECONDS, TOUCH_SECONDS
from entrenous_signaling.limits import Bounds
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import ENDED_STEP_SECONDS, CloseRecord, OpenRecord
from entrenous_wire.limits import MAX_DEVICES
from entrenous_wire.messages import Accepted, Ack, Deliver, Error, ErrorCode, Kind
from world.hubcalls import NUMBERS, claim, in_call, say
from world.hubworld import ALICE, BOB, CALL, EVE, SERVER, HubWorld, account, refused, two


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
    world, alice, bob = two()
    say(alice, ALICE, BOB, Kind.RING)
    say(bob, BOB, ALICE, Kind.END)
    world.advance(100)
    assert not [request for request in world.requests if isinstance(request, OpenRecord | CloseRecord)]


def test_an_accept_that_crosses_the_cancelling_end_opens_no_record() -> None:
    world, alice, bob = two()
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


def test_open_records_are_touched_together() -> None:
    world, _, _, token = in_call()
    world.advance(TOUCH_SECONDS * 3 + 1)
    row = world.store.open_rows[token]
    assert row.seen - row.start == TOUCH_SECONDS * 3


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


def test_that_a_call_is_over_is_forgotten_after_some_minutes() -> None:
    world, alice, _, _ = in_call()
    say(alice, ALICE, BOB, Kind.END)
    world.advance(ENDED_SECONDS - 1)
    assert len(world.store.ended) == 1
    world.kill_and_restart()
    world.advance(ENDED_SECONDS + ENDED_STEP_SECONDS + 3)
    assert world.store.ended == {}
    assert world.hub.next_deadline() is not None, "of housekeeping"


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


# --- tokens ---


def test_each_call_has_a_token_of_its_own() -> None:
    world, alice, bob = two()
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
