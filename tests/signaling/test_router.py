"""Routing between devices: order, repetition, resuming, and what happens when a device stays away."""

from __future__ import annotations

import random

import pytest

from entrenous_signaling.answers import ACCEPT_SECONDS
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.settings import HubSettings
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deliver,
    Delivered,
    Error,
    ErrorCode,
    Kind,
    Leave,
    Resume,
    Welcome,
)
from world.hubworld import ALICE, BOB, CALL, EVE, SERVER, HubWorld, refused, two


def test_a_message_is_delivered_and_acknowledged() -> None:
    world, alice, bob = two()
    alice.say(ALICE.send(1, BOB, Kind.RING, CALL))
    message = bob.hear(Deliver)
    assert (message.seq, message.sender, message.device, message.kind) == (1, ALICE.address, ALICE.device, Kind.RING)
    bob.say(Ack(seq=1))
    assert alice.hear(Delivered).ids == [message.id]
    world.advance(1)
    assert alice.heard == bob.heard == []


def test_one_acknowledgement_settles_all_before_it_and_each_sender_is_told_once() -> None:
    world, alice, bob = two()
    eve = world.register(EVE)
    alice.say(ALICE.send(1, BOB))
    eve.say(EVE.send(2, BOB))
    alice.say(ALICE.send(3, BOB), ALICE.send(4, BOB))
    bob.say(Ack(seq=3))
    ids = [number.to_bytes(16, "big") for number in range(5)]
    assert alice.hear_all() == [Delivered(ids=[ids[1], ids[3]])]
    assert eve.hear_all() == [Delivered(ids=[ids[2]])]
    bob.say(Ack(seq=4))
    assert alice.hear_all() == [Delivered(ids=[ids[4]])]
    assert world.hub.counters.delivered == 4


def test_a_message_that_is_not_acknowledged_for_a_moment_is_accepted() -> None:
    world, alice, bob = two()
    alice.say(ALICE.send(1, BOB))
    world.advance(3 * ACCEPT_SECONDS)
    assert alice.hear(Accepted).id == bob.hear(Deliver).id
    bob.say(Ack(seq=1))
    alice.hear(Delivered)
    assert alice.heard == []


def test_a_message_to_who_is_not_connected_is_accepted_at_once() -> None:
    _, alice, bob = two()
    bob.drop()
    alice.say(ALICE.send(1, BOB)).hear(Accepted)


def test_an_acknowledgement_of_what_was_never_said_is_refused() -> None:
    _, alice, bob = two()
    alice.say(ALICE.send(1, BOB))
    bob.hear(Deliver)
    assert refused(bob.say(Ack(seq=2))) is ErrorCode.OUT_OF_ORDER
    assert alice.heard == []


def test_a_message_said_again_is_routed_once_and_answered_again() -> None:
    _, alice, bob = two()
    message = ALICE.send(1, BOB)
    alice.say(message, message)
    assert [type(heard) for heard in alice.hear_all()] == [Accepted]
    bob.hear(Deliver)
    bob.say(Ack(seq=1))
    alice.hear(Delivered)
    alice.say(message)
    assert [type(heard) for heard in alice.hear_all()] == [Delivered]
    assert bob.heard == []


def test_a_device_that_was_never_there_is_offline() -> None:
    world, alice, _ = two()
    world.advance(61)
    error = alice.say(ALICE.send(1, EVE)).hear(Error)
    assert (error.code, error.id) == (ErrorCode.OFFLINE, (1).to_bytes(16, "big"))


def test_after_a_start_a_registered_device_is_expected_and_a_strange_one_is_not() -> None:
    world, _, _ = two()
    world.kill_and_restart()
    alice, _ = world.login(ALICE)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, EVE))
    assert [type(heard) for heard in alice.hear_all()] == [Accepted, Accepted, Error]
    world.advance(59)
    bob, _ = world.login(BOB)
    assert bob.hear(Deliver).id == (1).to_bytes(16, "big")


def test_a_dropped_session_keeps_its_queue_and_resumes_in_order() -> None:
    world, alice, bob = two()
    bob.drop()
    node, welcome = world.login(BOB)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB))
    node.drop()
    alice.say(ALICE.send(3, BOB))
    world.advance(59)
    back, _ = world.connect()
    answer = back.say(Resume(token=welcome.token, last_seq=1)).hear(Welcome)
    assert answer.resumed
    assert answer.token == welcome.token
    assert [back.hear(Deliver).seq for _ in range(2)] == [2, 3]
    assert [type(heard) for heard in alice.hear_all()] == [Accepted, Accepted, Accepted, Delivered]


def test_a_session_is_gone_after_its_grace_and_senders_are_told() -> None:
    world, alice, bob = two()
    bob.drop()
    node, welcome = world.login(BOB)
    node.drop()
    alice.say(ALICE.send(1, BOB)).hear(Accepted)
    world.advance(60)
    assert refused(alice) is ErrorCode.OFFLINE
    back, _ = world.connect()
    assert refused(back.say(Resume(token=welcome.token, last_seq=0))) is ErrorCode.SESSION_GONE
    assert world.hub.sessions == 1


def test_a_wrong_token_or_an_impossible_sequence_resumes_nothing() -> None:
    world, _, bob = two()
    bob.drop()
    node, welcome = world.login(BOB)
    other, _ = world.connect()
    assert refused(other.say(Resume(token=bytes(32), last_seq=0))) is ErrorCode.SESSION_GONE
    assert refused(other.say(Resume(token=welcome.token, last_seq=1))) is ErrorCode.SESSION_GONE
    assert node.closed is None


def test_a_login_elsewhere_replaces_the_older_connection_and_takes_its_queue() -> None:
    world, alice, bob = two()
    alice.say(ALICE.send(1, BOB))
    bob.hear(Deliver)
    newer, _ = world.login(BOB)
    assert refused(bob) is ErrorCode.REPLACED
    assert bob.closed is CloseCode.REPLACED
    assert newer.hear(Deliver).seq == 1


def test_what_became_of_messages_is_told_on_coming_back() -> None:
    world, alice, bob = two()
    alice.drop()
    node, welcome = world.login(ALICE)
    node.say(ALICE.send(1, BOB))
    node.drop()
    bob.say(Ack(seq=1))
    back, _ = world.connect()
    back.say(Resume(token=welcome.token, last_seq=0)).hear(Welcome)
    assert [type(heard) for heard in back.hear_all()] == [Delivered]


def test_over_the_rate_nothing_overtakes_the_refused_message() -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=2.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    world.register(ALICE).drop()
    bob = world.register(BOB)
    alice, _ = world.login(ALICE)
    alice.say(ALICE.send(1, BOB))
    error = alice.say(ALICE.send(2, BOB)).hear(Error)
    assert (error.code, error.retry_after) == (ErrorCode.TOO_MANY, 1.0)
    bob.say(Ack(seq=1))
    alice.hear(Delivered)
    world.advance(1)
    assert refused(alice.say(ALICE.send(3, BOB))) is ErrorCode.TOO_MANY
    world.advance(1)
    alice.say(ALICE.send(2, BOB))
    world.advance(1)
    alice.say(ALICE.send(3, BOB))
    assert [message.id[-1] for message in bob.hear_all() if isinstance(message, Deliver)] == [1, 2, 3]


def test_what_was_refused_behind_another_is_not_overtaken_either_when_that_has_come_through() -> None:
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=Bounds(sender_messages=2)))
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.say(*(ALICE.send(number, BOB) for number in range(1, 5)))
    assert [refused(alice), refused(alice)] == [ErrorCode.TOO_MANY] * 2
    bob.say(Ack(seq=1))
    alice.hear(Delivered)
    assert alice.say(ALICE.send(3, BOB)).heard == []
    bob.say(Ack(seq=2))
    alice.hear(Delivered)
    assert refused(alice.say(ALICE.send(5, BOB))) is ErrorCode.TOO_MANY
    alice.say(ALICE.send(3, BOB))  # which is under way, overtakes nothing
    assert alice.hear(Accepted).id[-1] == 3
    alice.say(ALICE.send(4, BOB))
    bob.say(Ack(seq=4))
    alice.hear_all()
    alice.say(ALICE.send(5, BOB))
    assert [message.id[-1] for message in bob.hear_all() if isinstance(message, Deliver)] == [1, 2, 3, 4, 5]


def test_a_message_that_finds_no_room_again_is_still_the_first() -> None:
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=Bounds(sender_messages=1)))
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.say(*(ALICE.send(number, BOB) for number in (1, 2, 3, 2)))
    bob.say(Ack(seq=1))
    alice.hear_all()
    assert refused(alice.say(ALICE.send(3, BOB))) is ErrorCode.TOO_MANY
    assert alice.say(ALICE.send(2, BOB)).heard == []


def test_over_the_rate_a_repeat_of_what_is_under_way_holds_nothing_back() -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=2.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    world.register(ALICE).drop()
    bob = world.register(BOB)
    alice, _ = world.login(ALICE)
    alice.say(ALICE.send(1, BOB))
    assert refused(alice.say(ALICE.send(1, BOB))) is ErrorCode.TOO_MANY
    world.advance(1)
    alice.hear_all()
    assert alice.say(ALICE.send(2, BOB)).heard == []
    assert [message.id[-1] for message in bob.hear_all() if isinstance(message, Deliver)] == [1, 2]


def test_a_refused_message_that_never_comes_again_blocks_only_for_a_while() -> None:
    bounds = Bounds(sender_messages=1)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.say(ALICE.send(1, BOB), ALICE.send(2, BOB), ALICE.send(3, BOB))
    assert [refused(alice), refused(alice)] == [ErrorCode.TOO_MANY] * 2
    bob.say(Ack(seq=1))
    alice.hear(Delivered)
    assert refused(alice.say(ALICE.send(3, BOB))) is ErrorCode.TOO_MANY
    world.advance(6.1)
    alice.say(ALICE.send(3, BOB))
    assert alice.heard == []
    assert [message.id[-1] for message in bob.hear_all() if isinstance(message, Deliver)] == [1, 3]


def test_a_reader_that_acknowledges_nothing_gets_one_window_and_its_senders_a_full_queue() -> None:
    bounds = Bounds(window_bytes=4096, queue_messages=10)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice, bob = world.register(ALICE), world.register(BOB)
    alice.say(*(ALICE.send(number, BOB) for number in range(12)))
    assert len(bob.heard) == 4
    assert sum(isinstance(heard, Error) for heard in alice.hear_all()) == 2
    bob.say(Ack(seq=4))
    assert len(bob.heard) == 8
    assert world.hub.queued == 6


@pytest.mark.parametrize("seed", range(20))
def test_over_cut_connections_nothing_is_lost_and_order_is_kept(seed: int) -> None:
    """Alice keeps what was not delivered and says it again; bob drops repeats: the contract of the protocol."""
    chance = random.Random(seed)
    world, alice, bob = two()
    alice.drop()
    bob.drop()
    nodes, tokens = {}, {}
    for who in (ALICE, BOB):
        nodes[who.username], welcome = world.login(who)
        tokens[who.username] = welcome.token
    held: dict[bytes, object] = {}
    got: list[bytes] = []
    last_seq, number = 0, 0

    def come_back(who: str) -> None:
        nonlocal last_seq
        nodes[who], hello = world.connect()
        if chance.random() < 0.6:
            nodes[who].say(Resume(token=tokens[who], last_seq=last_seq if who == "bob" else 0))
        else:
            nodes[who].say((ALICE if who == "alice" else BOB).login(hello))
        tokens[who] = nodes[who].hear(Welcome).token
        if who == "alice":
            nodes[who].say(*held.values())

    for _ in range(200):
        match chance.randrange(6):
            case 0 | 1 if number < 60:
                number += 1
                message = ALICE.send(number, BOB)
                held[message.id] = message
                nodes["alice"].say(message)
            case 2:
                who = chance.choice(["alice", "bob"])
                nodes[who].heard.clear() if chance.random() < 0.5 else None
                nodes[who].drop()
                world.advance(chance.uniform(0, 50))
                come_back(who)
            case 3 if chance.random() < 0.1:
                world.kill_and_restart()
                last_seq = 0
                for who in ("alice", "bob"):
                    nodes[who], hello = world.connect()
                    nodes[who].say((ALICE if who == "alice" else BOB).login(hello))
                    tokens[who] = nodes[who].hear(Welcome).token
                nodes["alice"].say(*held.values())
            case _:
                for message in nodes["bob"].hear_all():
                    if isinstance(message, Deliver):
                        last_seq = max(last_seq, message.seq)
                        if message.id not in got:
                            got.append(message.id)
                if chance.random() < 0.7:
                    nodes["bob"].say(Ack(seq=last_seq))
                for message in nodes["alice"].hear_all():
                    if isinstance(message, Delivered):
                        for known in message.ids:
                            held.pop(known, None)
    for _ in range(100):
        for message in nodes["bob"].hear_all():
            if isinstance(message, Deliver):
                last_seq = max(last_seq, message.seq)
                if message.id not in got:
                    got.append(message.id)
        nodes["bob"].say(Ack(seq=last_seq))
    assert got == [value.to_bytes(16, "big") for value in range(1, number + 1)]


def test_a_device_that_leaves_is_not_waited_for() -> None:
    world, alice, bob = two()
    alice.say(ALICE.send(1, BOB))
    bob.say(Leave())
    assert alice.hear(Error).code is ErrorCode.OFFLINE
    assert refused(alice.say(ALICE.send(2, BOB))) is ErrorCode.OFFLINE
    assert world.hub.sessions == 1
    back, _ = world.login(BOB)
    alice.say(ALICE.send(3, BOB))
    assert back.hear(Deliver).id == ALICE.send(3, BOB).id


def test_a_device_that_has_left_cannot_resume() -> None:
    world = HubWorld()
    world.register(BOB)
    again, welcome = world.login(BOB)
    again.say(Leave())
    node, _ = world.connect()
    assert refused(node.say(Resume(token=welcome.token, last_seq=0))) is ErrorCode.SESSION_GONE


def test_leaving_before_login_is_out_of_order() -> None:
    node, _ = HubWorld().connect()
    assert refused(node.say(Leave())) is ErrorCode.OUT_OF_ORDER


def test_whom_a_message_was_for_is_forgotten_when_it_is_there() -> None:
    world, alice, bob = two()
    mailbox = world.hub._router.find(DeviceKey("alice", ALICE.device))
    assert mailbox is not None
    alice.say(ALICE.send(1, BOB))
    assert [sent.receiver for sent in mailbox.sent.values()] == [("bob", BOB.device)]
    bob.say(Ack(seq=1))
    world.advance(61)
    alice.say(ALICE.send(2, EVE))
    assert [sent.receiver for sent in mailbox.sent.values()] == [None, None]
