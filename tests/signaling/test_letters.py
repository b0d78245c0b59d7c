"""Stored messages: accepted means on disk, delivered until taken, in order, once to whoever drops repeats by id."""

from __future__ import annotations

import pytest

from entrenous_signaling.counters import Counters
from entrenous_signaling.letters import Letters
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.outputs import CloseCode, Execute, Outbox
from entrenous_signaling.retention import MessageSettings
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import DeleteMessages, ReadMessages, StoredMessages, StoreMessage
from entrenous_wire.limits import LETTERS_IN_FLIGHT
from entrenous_wire.messages import (
    Accepted,
    Deleted,
    Error,
    ErrorCode,
    FetchDevices,
    Kind,
    Letter,
    Resume,
    Taken,
    Welcome,
)
from world.hubworld import ALICE, BOB, BOB_PHONE, EVE, SERVER, HubNode, HubWorld, refused, stored, two
from world.wirenode import Account

DAY = 86_400.0


def letters(node: HubNode) -> list[int]:
    """The numbers of the letters that a node has heard, and nothing else may be among it."""
    numbers = []
    for message in node.hear_all():
        assert isinstance(message, Letter), message
        numbers.append(int.from_bytes(message.id, "big"))
    return numbers


def taken(*numbers: int) -> Taken:
    return Taken(ids=[number.to_bytes(16, "big") for number in numbers])


def world_with(**messages: int) -> HubWorld:
    return HubWorld(HubSettings(name=SERVER, message_key=bytes(32), messages=MessageSettings(**messages)))


def stored_and_away(count: int) -> tuple[HubWorld, HubNode]:
    """Bob is offline; Alice has stored so many messages for him, numbered from 1."""
    world, alice, bob = two()
    bob.drop()
    for number in range(1, count + 1):
        alice.say(ALICE.message(number, BOB)).hear(Accepted)
    return world, alice


def test_a_message_is_on_disk_when_it_is_accepted_and_not_before() -> None:
    world, alice, bob = two()
    world.store_waits = True
    alice.say(ALICE.message(1, BOB))
    assert not alice.heard
    assert not bob.heard
    world.answer_store()
    assert alice.hear(Accepted).id == (1).to_bytes(16, "big")
    assert len(stored(world)) == 1


def test_a_device_that_is_here_is_rung_at_once_and_taking_deletes() -> None:
    world, alice, bob = two()
    alice.say(ALICE.message(1, BOB)).hear(Accepted)
    assert letters(bob) == [1]
    bob.say(taken(1))
    assert not stored(world)
    assert world.hub.counters.delivered == 1


@pytest.mark.parametrize("resumes", [True, False])
def test_what_is_not_taken_comes_again_after_each_login_and_resume(resumes: bool) -> None:
    world, alice, bob = two()
    token = world.login(BOB_PHONE)[1].token
    phone = next(node for node in world.nodes.values() if node.closed is None and node not in (alice, bob))
    alice.say(ALICE.message(1, BOB_PHONE))
    assert letters(phone) == [1]
    phone.drop()
    if resumes:
        phone, _ = world.connect()
        assert phone.say(Resume(token=token, last_seq=0)).hear(Welcome).resumed
    else:
        phone, _ = world.login(BOB_PHONE)
    assert letters(phone) == [1]
    assert not phone.read_all
    phone.say(taken(1))
    assert phone.read_all == 1
    assert not letters(bob)


def test_letters_come_in_order_sixteen_at_a_time() -> None:
    world, _ = stored_and_away(50)
    bob, _ = world.login(BOB)
    first = letters(bob)
    assert first == list(range(1, LETTERS_IN_FLIGHT + 1))
    seen = list(first)
    while stored(world):
        bob.say(taken(*first))
        first = letters(bob)
        assert len(first) <= LETTERS_IN_FLIGHT
        seen += first
    assert seen == list(range(1, 51))
    assert bob.read_all == 1
    assert world.hub.counters.delivered == 50


def test_only_what_is_taken_is_deleted() -> None:
    world, _ = stored_and_away(3)
    bob, _ = world.login(BOB)
    assert letters(bob) == [1, 2, 3]
    bob.say(taken(2))
    bob.drop()
    bob, _ = world.login(BOB)
    assert letters(bob) == [1, 3]


def test_a_window_is_bounded_in_bytes_and_one_letter_always_fits() -> None:
    bounds = Bounds(window_bytes=5000)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice = world.register(ALICE)
    world.register(BOB).drop()
    sizes = [4096, 1024, 49152, 1024, 2048, 2048]
    for number, size in enumerate(sizes, 1):
        alice.say(ALICE.message(number, BOB, size)).hear(Accepted)
    bob, _ = world.login(BOB)
    seen = []
    while heard := letters(bob):
        assert len(heard) == 1 or sum(sizes[number - 1] for number in heard) <= 5000
        seen += heard
        bob.say(taken(*heard))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert bob.read_all == 1


def test_a_window_that_is_full_is_not_read_for_in_vain() -> None:
    bounds = Bounds(window_bytes=5000)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice, bob = world.register(ALICE), world.register(BOB)
    for number in range(1, 6):
        alice.say(ALICE.message(number, BOB, 4096))
    assert letters(bob) == [1]
    assert sum(isinstance(request, ReadMessages) for request in world.requests) < 10


def test_a_repetition_is_accepted_and_stored_once() -> None:
    world, alice = stored_and_away(1)
    alice.say(ALICE.message(1, BOB)).hear(Accepted)
    assert len(stored(world)) == 1
    assert world.hub.counters.repeated == 1


def test_a_device_is_rung_when_only_the_repetition_was_answered() -> None:
    """A database that was lost while it committed has the message, and nobody was told."""
    world, alice, bob = two()
    world.store_waits = True
    alice.say(ALICE.message(1, BOB))
    ticket, request = world.waiting.pop(0)
    world.store.apply(request)
    world.run(world.hub.store_failed(ticket, world.now))
    assert alice.hear(Error).code is ErrorCode.UNAVAILABLE
    world.store_waits = False
    assert not bob.heard
    alice.say(ALICE.message(1, BOB)).hear(Accepted)
    assert letters(bob) == [1]


def test_the_sender_is_not_named_and_the_day_is_rounded_up() -> None:
    world, alice = stored_and_away(1)
    alice.say(ALICE.message(2, BOB_PHONE))
    eve = world.register(EVE)
    eve.say(EVE.message(3, BOB))
    requests = [request for request in world.requests if isinstance(request, StoreMessage)]
    assert requests[0].sender_tag == requests[1].sender_tag != requests[2].sender_tag
    assert all(len(request.sender_tag) == 16 and b"alice" not in request.sender_tag for request in requests)
    assert requests[0].expires % DAY == 0
    assert 30 * DAY <= requests[0].expires - world.now < 31 * DAY


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ALICE.message(1, BOB_PHONE), ErrorCode.UNKNOWN_USER),
        (ALICE.message(1, Account("nobody", SERVER)), ErrorCode.UNKNOWN_USER),
        (ALICE.message(1, Account("bob", "other.example.org")), ErrorCode.UNKNOWN_USER),
    ],
)
def test_nothing_is_stored_for_who_is_not_here(message: object, code: ErrorCode) -> None:
    world, alice, _ = two()
    alice.say(message)  # type: ignore[arg-type]  # each is a Send
    assert refused(alice) is code
    assert not stored(world)


def test_a_full_mailbox_is_final() -> None:
    world = world_with(per_receiver=2, per_sender=1)
    alice, eve, _ = world.register(ALICE), world.register(EVE), world.register(BOB).drop()
    alice.say(ALICE.message(1, BOB)).hear(Accepted)
    error = alice.say(ALICE.message(2, BOB)).hear(Error)
    assert (error.code, error.id, error.retry_after) == (ErrorCode.MAILBOX_FULL, (2).to_bytes(16, "big"), None)
    eve.say(EVE.message(3, BOB)).hear(Accepted)
    carol = world.register(Account("carol", SERVER))
    carol.say(Account("carol", SERVER).message(4, BOB))
    assert refused(carol) is ErrorCode.MAILBOX_FULL


def test_a_store_that_fails_is_told_and_nothing_is_delivered() -> None:
    world, alice, bob = two()
    world.store_fails = True
    error = alice.say(ALICE.message(1, BOB)).hear(Error)
    assert error.code is ErrorCode.UNAVAILABLE
    assert error.retry_after is not None
    assert not bob.heard


def test_a_store_that_cannot_read_or_delete_is_asked_again() -> None:
    world, _ = stored_and_away(1)
    bob, _ = world.login(BOB)
    assert letters(bob) == [1]
    world.store_fails = True
    bob.say(taken(1))
    world.advance(3.0)
    assert sum(isinstance(request, DeleteMessages) for request in world.requests) > 1
    assert not bob.heard
    assert not bob.read_all
    world.store_fails = False
    world.advance(2.0)
    assert not stored(world)
    assert bob.read_all == 1


def test_a_read_that_failed_is_done_again() -> None:
    world, alice, bob = two()
    world.store_waits = True
    alice.say(ALICE.message(1, BOB))
    ticket, request = world.waiting.pop(0)
    world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    ticket, request = world.waiting.pop(0)
    assert isinstance(request, ReadMessages)
    world.run(world.hub.store_failed(ticket, world.now))
    assert not bob.heard
    world.store_waits = False
    world.advance(2.0)
    assert letters(bob) == [1]


def test_who_is_gone_when_the_store_answers_is_not_asked_for_again() -> None:
    world, _ = stored_and_away(1)
    bob, hello = world.connect()
    world.store_waits = True
    bob.say(BOB.login(hello))
    ticket, request = world.waiting.pop(0)
    world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    assert any(isinstance(request, ReadMessages) for _, request in world.waiting)
    bob.drop()
    world.store_fails, world.store_waits = True, False
    world.answer_store()
    world.requests.clear()
    world.advance(10.0)
    assert not any(isinstance(request, ReadMessages) for request in world.requests)


def test_the_store_is_asked_for_half_a_window_at_a_time() -> None:
    world, _ = stored_and_away(2 * LETTERS_IN_FLIGHT)
    bob, _ = world.login(BOB)
    world.requests.clear()
    for number in range(1, LETTERS_IN_FLIGHT + 1):
        bob.say(taken(number))
    assert [request.limit for request in world.requests if isinstance(request, ReadMessages)] == [
        LETTERS_IN_FLIGHT // 2,
        LETTERS_IN_FLIGHT // 2,
    ]


def test_when_anything_may_have_been_stored_the_store_is_asked_of_one_device_after_the_other() -> None:
    outbox = Outbox()
    letters = Letters(HubSettings(name=SERVER, message_key=bytes(32)), outbox, Counters())
    for number in range(2000):
        letters.attach(DeviceKey("bob", f"{number:016x}"), number)
    for output in outbox.take():
        if isinstance(output, Execute):
            outbox.resolve(output.ticket, StoredMessages(()), 0.0)
    outbox.take()
    letters.ring_all(100.0)
    letters.tick(100.5)
    assert len(outbox.take()) == 501


def test_a_message_is_stored_although_its_sender_is_gone_when_the_store_answers() -> None:
    world, alice, bob = two()
    world.store_waits = True
    alice.say(ALICE.message(1, BOB))
    alice.drop()
    world.store_waits = False
    world.answer_store()
    assert letters(bob) == [1]


def test_a_message_waits_for_none_that_was_refused_and_holds_none_back() -> None:
    """It belongs to no call: the order of what belongs to calls is not its own."""
    world, alice, bob = two()
    for number in range(2000):
        alice.say(ALICE.send(number, BOB))
    errors = [message for message in alice.hear_all() if isinstance(message, Error)]
    assert errors[0].code is ErrorCode.TOO_MANY
    bob.hear_all()
    world.advance(5.0)
    alice, _ = world.login(ALICE)
    alice.hear_all()
    alice.say(ALICE.message(5000, BOB)).hear(Accepted)
    assert len(stored(world)) == 1


def test_taking_what_was_told_costs_no_rate_and_taking_anything_else_does() -> None:
    _, alice, bob = two()
    directory = Bounds().directory_rate
    for number in range(1, int(directory.burst)):
        alice.say(ALICE.message(number, BOB)).hear(Accepted)
    answered = 0
    for _ in range(400):
        heard = letters(bob)
        if not heard:
            break
        for number in heard:
            bob.say(taken(number))
            answered += 1
    assert answered == directory.burst - 1
    for _ in range(1000):
        bob.say(taken(7777))
    assert ErrorCode.TOO_MANY in {error.code for error in bob.hear_all() if isinstance(error, Error)}


def test_letters_of_another_device_are_not_taken_from_it() -> None:
    world, alice, _ = two()
    world.login(BOB_PHONE)[0].drop()
    alice.say(ALICE.message(1, BOB_PHONE)).hear(Accepted)
    bob = next(node for node in world.nodes.values() if node.closed is None and node is not alice)
    bob.say(taken(1))
    assert len(stored(world)) == 1


def test_an_account_that_its_owner_deletes_is_gone_at_once() -> None:
    world, alice = stored_and_away(3)
    phone, _ = world.login(BOB_PHONE)
    bob, hello = world.connect()
    bob.say(BOB.login(hello)).hear(Welcome)
    bob.hear_all()
    phone.hear_all()
    bob.say(BOB.delete(hello, request=9))
    assert bob.hear(Deleted).request == 9
    assert bob.closed == phone.closed == CloseCode.DELETED
    assert not stored(world)
    assert "bob" not in world.store.identities
    alice.say(FetchDevices(request=1, address=BOB.address))
    assert refused(alice) is ErrorCode.UNKNOWN_USER
    alice.say(ALICE.send(9, BOB, Kind.RING))
    assert refused(alice) is ErrorCode.OFFLINE
    again, hello = world.connect()
    again.say(BOB.login(hello))
    assert refused(again) is ErrorCode.UNKNOWN_USER
    assert world.hub.sessions == 1


def test_a_deletion_needs_the_identity_key_and_this_connection() -> None:
    world, alice, _ = two()
    bob, hello = world.connect()
    bob.say(BOB.login(hello)).hear(Welcome)
    _, other = world.connect()
    for wish in (BOB.delete(other), ALICE.delete(hello), Account("bob", SERVER, identity="other").delete(hello)):
        error = bob.say(wish).hear(Error)
        assert (error.code, error.request) == (ErrorCode.BAD_SIGNATURE, 1)
    assert "bob" in world.store.identities
    world.store_fails = True
    assert bob.say(BOB.delete(hello)).hear(Error).code is ErrorCode.UNAVAILABLE
    assert bob.closed is None
    world.store_fails = False
    bob.say(BOB.delete(hello)).hear(Deleted)
    assert alice.closed is None


def test_a_deletion_ends_what_comes_while_the_store_is_at_it() -> None:
    world, _, _ = two()
    bob, hello = world.connect()
    bob.say(BOB.login(hello)).hear(Welcome)
    phone, _ = world.login(BOB_PHONE)
    world.store_waits = True
    bob.say(BOB.delete(hello))
    ticket, request = world.waiting.pop(0)
    world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    bob.drop()
    world.store_waits = False
    world.answer_store()
    assert phone.closed == CloseCode.DELETED


def test_the_operator_removes_an_account_and_hears_what_went() -> None:
    world, _ = stored_and_away(2)
    phone, _ = world.login(BOB_PHONE)
    told: list[object] = []
    world.run(world.hub.remove_account("bob", lambda removed, sessions: told.append((removed, sessions)), world.now))
    assert phone.closed == CloseCode.DELETED
    (removed, sessions) = told.pop()  # type: ignore[misc]  # a pair
    assert (removed.devices, removed.prekeys, removed.messages, sessions) == (2, 1, 2, 2)
    world.run(world.hub.remove_account("bob", lambda removed, sessions: told.append((removed, sessions)), world.now))
    assert told == [(None, 0)]
