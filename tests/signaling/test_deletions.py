"""A deletion that the database committed and could not say so: the account's sessions end all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous_signaling.auth import RETRY_SECONDS
from entrenous_signaling.deletions import DOUBT_SECONDS
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.store.requests import Failed, ReadAccount, RemoveAccount, Removed
from entrenous_wire.messages import DeleteAccount, Deleted, Error, ErrorCode
from world.hubworld import ALICE, BOB, BOB_PHONE, HubNode, HubWorld, account
from world.manyhubs import ManyHubs

Bobs = tuple[HubNode, HubNode, DeleteAccount]
Told = list[tuple[Removed | Failed | None, int]]


def bobs(world: HubWorld) -> Bobs:
    """Bob with two devices, and his wish to be deleted."""
    node, hello = world.connect()
    node.say(BOB.register(hello)).hear_all()
    return node, world.login(BOB_PHONE)[0], BOB.delete(hello)


def lose(world: HubWorld, *, committed: bool) -> None:
    """Carry out what the store was asked, up to a removal: the database is lost over that one."""
    while not isinstance(world.waiting[0][1], RemoveAccount):
        ticket, request = world.waiting.pop(0)
        world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    ticket, request = world.waiting.pop(0)
    if committed:
        world.store.apply(request)
    world.run(world.hub.store_failed(ticket, world.now))
    world.store_waits = False


def delete_and_lose(world: HubWorld, *, committed: bool) -> Bobs:
    node, phone, wish = bobs(world)
    world.store_waits = True
    node.say(wish)
    lose(world, committed=committed)
    assert node.hear(Error).code is ErrorCode.UNAVAILABLE
    assert (node.closed, phone.closed) == (None, None)
    return node, phone, wish


def remove(world: HubWorld) -> Told:
    told: Told = []
    world.run(world.hub.remove_account("bob", lambda removed, sessions: told.append((removed, sessions)), world.now))
    return told


def test_who_asks_again_is_told_that_it_is_done_and_all_sessions_end() -> None:
    node, phone, wish = delete_and_lose(HubWorld(), committed=True)
    assert node.say(wish).hear(Deleted).request == wish.request
    assert node.closed == phone.closed == CloseCode.DELETED


def test_nobody_has_to_ask_again() -> None:
    world = HubWorld()
    alice = world.register(ALICE)
    node, phone, _ = delete_and_lose(world, committed=True)
    world.advance(RETRY_SECONDS)
    assert (node.closed, phone.closed, alice.closed) == (CloseCode.DELETED, CloseCode.DELETED, None)


@pytest.mark.parametrize("again", [True, False])
def test_the_operators_deletion_ends_them_likewise(again: bool) -> None:
    world = HubWorld()
    node, phone, _ = bobs(world)
    world.store_waits = True
    told = remove(world)
    lose(world, committed=True)
    assert told == [(Failed.FAILED, 0)]
    if again:
        assert remove(world) == [(None, 2)]
    else:
        world.advance(RETRY_SECONDS)
    assert node.closed == phone.closed == CloseCode.DELETED


def test_what_was_not_committed_leaves_the_account_as_it_is() -> None:
    world = HubWorld()
    node, phone, wish = delete_and_lose(world, committed=False)
    world.requests.clear()
    for seconds, looks in ((2.0 * DOUBT_SECONDS, 6), (10.0 * DOUBT_SECONDS, 6)):  # after 1, 3, 7, 15, 31 and 61 s
        world.advance(seconds)
        assert sum(isinstance(request, ReadAccount) for request in world.requests) == looks
    assert (node.closed, phone.closed) == (None, None)
    node.say(wish).hear(Deleted)
    assert node.closed == phone.closed == CloseCode.DELETED


def test_a_database_that_commits_late_is_asked_again() -> None:
    world = HubWorld()
    node, phone, _ = delete_and_lose(world, committed=False)
    world.advance(DOUBT_SECONDS - 1)
    world.store.apply(RemoveAccount("bob"))
    world.advance(DOUBT_SECONDS)
    assert node.closed == phone.closed == CloseCode.DELETED


def test_while_the_database_is_away_it_is_asked_again() -> None:
    world = HubWorld()
    node, phone, _ = delete_and_lose(world, committed=True)
    world.store_fails = True
    world.advance(10 * DOUBT_SECONDS)
    assert (node.closed, phone.closed) == (None, None)
    world.store_fails = False
    world.advance(DOUBT_SECONDS)
    assert node.closed == phone.closed == CloseCode.DELETED


def test_what_was_seen_before_a_second_deletion_says_nothing_about_that() -> None:
    world = HubWorld()
    node, phone, _ = delete_and_lose(world, committed=False)
    world.advance(DOUBT_SECONDS - 1)
    world.store_waits = True
    world.advance(2)
    (asked,) = (asked for asked in world.waiting if isinstance(asked[1], ReadAccount))
    world.waiting.remove(asked)
    ticket, request = asked
    seen = world.store.apply(request)
    remove(world)
    lose(world, committed=True)
    world.run(world.hub.stored(ticket, seen, world.now))
    world.advance(RETRY_SECONDS)
    assert node.closed == phone.closed == CloseCode.DELETED


def test_after_a_second_deletion_that_was_answered_nothing_is_in_doubt() -> None:
    world = HubWorld()
    delete_and_lose(world, committed=False)
    assert remove(world)[0][1] == 2
    bob = world.register(BOB)
    world.requests.clear()
    world.advance(2 * DOUBT_SECONDS)
    assert not any(isinstance(request, ReadAccount) for request in world.requests)
    assert bob.closed is None


@pytest.mark.parametrize("again", [True, False])
def test_its_sessions_at_other_nodes_end_too(again: bool) -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    node, _, wish = bobs(first)
    phone, _ = second.login(BOB_PHONE)
    first.store_waits = True
    node.say(wish)
    lose(first, committed=True)
    node.hear(Error)
    if again:
        node.say(wish).hear(Deleted)
    else:
        hubs.advance(RETRY_SECONDS)
    assert node.closed == phone.closed == CloseCode.DELETED


SOMEBODY = account("bob", "00000000000000dd", identity="other")


def test_sessions_end_whose_name_somebody_else_has_when_it_is_looked_up() -> None:
    world = HubWorld()
    node, phone, _ = delete_and_lose(world, committed=True)
    other = world.register(SOMEBODY)
    same_device = world.login(account("bob", BOB_PHONE.device, identity="other"))[0]
    world.advance(RETRY_SECONDS)
    assert node.closed is CloseCode.DELETED
    assert phone.closed is not None
    world.advance(2 * DOUBT_SECONDS)
    assert (other.closed, same_device.closed) == (None, None)


@pytest.mark.parametrize("device", [BOB.device, "00000000000000ee"])
def test_who_comes_in_while_the_account_is_looked_up_stays(device: str) -> None:
    world = HubWorld()
    _, phone, _ = delete_and_lose(world, committed=True)
    world.register(SOMEBODY)
    world.store_waits = True
    world.advance(RETRY_SECONDS)
    (asked,) = (asked for asked in world.waiting if isinstance(asked[1], ReadAccount))
    world.waiting.clear()
    seen = world.store.apply(asked[1])
    world.store_waits = False
    late = world.login(account("bob", device, identity="other"))[0]
    world.run(world.hub.stored(asked[0], seen, world.now))
    assert (phone.closed, late.closed) == (CloseCode.DELETED, None)


def test_a_certificate_that_cannot_be_read_keeps_no_other_session_from_ending() -> None:
    world = HubWorld()
    node, phone, _ = delete_and_lose(world, committed=False)
    known, expires = world.store.devices["bob"][BOB_PHONE.device]
    world.store.devices["bob"] = {BOB_PHONE.device: (replace(known, certificate=b"?"), expires)}
    world.advance(RETRY_SECONDS)
    assert (node.closed, phone.closed) == (CloseCode.DELETED, None)


def test_other_nodes_look_it_up_too() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    node, _, wish = bobs(first)
    phone, _ = second.login(BOB_PHONE)
    first.store_waits = True
    node.say(wish)
    lose(first, committed=True)
    other = second.register(SOMEBODY)
    hubs.advance(RETRY_SECONDS)
    assert (node.closed, phone.closed, other.closed) == (CloseCode.DELETED, CloseCode.DELETED, None)
