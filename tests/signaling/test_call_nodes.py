"""The call record rule where the two ends of a call are on several nodes of the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from entrenous_signaling.call_rows import ENDED_SECONDS, TOUCH_SECONDS, Kept
from entrenous_signaling.open_calls import SURE_SECONDS
from entrenous_wire.messages import Kind
from world.recordworld import GRACE, Party, RecordNode, RecordWorld

CALL = b"c" * 16
SLACK = 3.0
"""For what is on its way."""


def world_of(*places: int) -> tuple[RecordWorld, list[Party]]:
    """Alice, who calls, and the devices of Bob, on the nodes of those numbers."""
    world = RecordWorld(7)
    parties = [world.party("alice"), world.party("bob", "1"), world.party("bob", "2")][: len(places)]
    for party, place in zip(parties, places, strict=True):
        party.node = world.nodes[place]
    return world, parties


def wait(world: RecordWorld, seconds: float) -> None:
    world.clock.run(world.clock.now + seconds)


def durations(world: RecordWorld) -> list[int]:
    return [duration for closed in world.store.closed.values() for duration in closed]


@pytest.mark.parametrize("places", [(0, 0), (0, 1)])
@pytest.mark.parametrize("caller_ends", [True, False])
def test_one_record_whoever_says_that_it_is_over(places: tuple[int, int], caller_ends: bool) -> None:
    world, (alice, bob) = world_of(*places)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 100.0)
    assert len(world.store.open_rows) == 1
    world.say(Kind.END, CALL, *((alice, bob) if caller_ends else (bob, alice)))
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(100, abs=SLACK)]
    wait(world, 2 * ENDED_SECONDS)
    assert len(durations(world)) == 1
    assert (world.store.open_rows, world.store.ended) == ({}, {})
    assert [node.records.open_count for node in world.nodes] == [0, 0, 0]


@pytest.mark.parametrize("winner", [1, 2])
def test_of_two_devices_on_two_nodes_the_one_that_lost_takes_the_record_not_along(winner: int) -> None:
    world, parties = world_of(0, 1, 2)
    alice, first, loser = parties[0], parties[winner], parties[3 - winner]
    world.say(Kind.ACCEPT, CALL, first, alice)
    wait(world, 0.0)
    world.say(Kind.ACCEPT, CALL, loser, alice)
    wait(world, 90.0)
    assert len(world.store.open_rows) == 1
    peer = alice.tokens[CALL][1]
    world.say(Kind.END, CALL, alice, peer)
    wait(world, 200.0)
    assert durations(world) == [pytest.approx(90, abs=SLACK)]


def test_an_accept_that_crosses_the_cancelling_end_leaves_no_record() -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.END, CALL, alice, bob)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 200.0)
    assert (durations(world), world.store.open_rows) == ([], {})


def test_an_accept_said_again_after_its_end_takes_no_record_away_that_another_device_has_left_behind() -> None:
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, SLACK)
    records, now = world.nodes[2].records, world.clock.now  # where alice goes then, with her call
    records.claimed(alice.key, CALL, alice.tokens[CALL][0], bob.key, now)
    for other in (phone, bob):
        records.ended(CALL, alice.key, other.key, (alice.key, other.key.device.encode()), now, elsewhere=True)
    assert records.joined(CALL, phone.key, alice.key, connected=True, now=now) is None
    world.nodes[2].carry_out()
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(SLACK, abs=SLACK)]


@pytest.mark.parametrize("lost", ["moved", "claimed too early"])
def test_a_late_accept_takes_no_record_away_where_its_caller_was_with_the_call_for_a_while(lost: str) -> None:
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.nodes[1].failing = lost == "claimed too early"  # the row is not there yet when alice comes
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, SLACK)
    records, now = world.nodes[2].records, world.clock.now
    records.claimed(alice.key, CALL, alice.tokens[CALL][0], bob.key, now)
    if lost == "moved":
        assert not records.ended(CALL, alice.key, phone.key, (alice.key, b"e"), now, elsewhere=True)
        records.moved(alice.key, now)
        assert records._presence.next_deadline() is None
    world.nodes[2].carry_out()
    world.nodes[1].failing = False
    wait(world, SLACK)
    assert records.open_count == 0
    now = world.clock.now
    assert not records.ended(CALL, alice.key, phone.key, (alice.key, b"e"), now, elsewhere=True)
    assert records.joined(CALL, phone.key, alice.key, connected=True, now=now) is None
    world.nodes[2].carry_out()
    wait(world, SLACK)
    assert len(world.store.open_rows) == 1


@pytest.mark.parametrize("caller_ends", [True, False])
def test_an_accept_behind_an_end_that_its_caller_did_not_say_here_takes_no_record_away(caller_ends: bool) -> None:
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, SLACK)
    records, now = world.nodes[2].records, world.clock.now  # where alice's session is, that has claimed nothing yet
    sender, receiver = (alice, phone) if caller_ends else (phone, alice)
    assert not records.ended(CALL, sender.key, receiver.key, None, now)
    assert records.joined(CALL, phone.key, alice.key, connected=True, now=now) is None
    world.nodes[2].carry_out()
    wait(world, SLACK)
    assert len(world.store.open_rows) == 1


def test_a_late_accept_takes_no_record_away_though_its_caller_has_forgotten_the_call_at_the_next_node() -> None:
    """She has hung up where she claimed it, and has only the end for the other device still to say."""
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    token = alice.tokens[CALL][0]
    all_leave(world, alice)
    second, third = world.nodes[2], RecordNode(world.clock, world.draw, world.store)
    claim(world, second, alice, token, bob)
    wait(world, 20.0)
    second.records.ended(CALL, alice.key, bob.key, (alice.key, b"e"), world.clock.now, elsewhere=True)
    bob.node.records.ended(CALL, alice.key, bob.key, None, world.clock.now)
    second.records.moved(alice.key, world.clock.now)
    for node in (second, bob.node):
        node.carry_out()
    wait(world, SLACK)
    third.records.started_afresh(alice.key, world.clock.now)
    third.records.ended(CALL, alice.key, phone.key, (alice.key, b"f"), world.clock.now, elsewhere=True)
    assert third.records.joined(CALL, phone.key, alice.key, connected=True, now=world.clock.now) is None
    third.carry_out()
    wait(world, 2 * GRACE)
    assert durations(world) == [pytest.approx(50, abs=SLACK)]


def test_an_end_that_is_said_again_is_answered_when_the_first_is_on_disk_though_another_node_closes_the_record() -> (
    None
):
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    node, waiter = bob.node, (bob.key, b"e")
    node.failing = True
    node.records.hung_up(CALL, bob.key, alice.key, world.clock.now, elsewhere=True)
    assert node.records.ended(CALL, bob.key, alice.key, waiter, world.clock.now, elsewhere=True)
    node.carry_out()
    wait(world, 1.0)
    assert node.told[waiter] is Kept.FAILED
    node.failing = False
    assert node.records.retry(CALL, waiter)
    wait(world, SLACK)
    assert node.told[waiter] is Kept.STORED
    assert node.records.open_count == 0


def test_an_end_that_is_refused_for_now_at_the_node_of_the_callee_closes_no_record_of_another_device() -> None:
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.say(Kind.ACCEPT, CALL, phone, alice)
    wait(world, SLACK)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    node = bob.node
    node.records.hung_up(CALL, bob.key, alice.key, world.clock.now, elsewhere=True)
    node.records.heard_of(CALL, bob.key, alice.key, world.clock.now, called=False)  # it says its accept again as well
    node.carry_out()
    assert node.records.open_count == 0
    wait(world, 30.0)
    assert len(world.store.open_rows) == 1
    world.say(Kind.END, CALL, alice, phone)
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(33, abs=SLACK)]


@pytest.mark.parametrize("called", [True, False])
def test_a_claim_of_what_is_over_makes_no_record_longer_whoever_claims_it(called: bool) -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    all_leave(world, alice, bob)
    wait(world, 10.0)
    device, peer = (alice, bob) if called else (bob, alice)
    records = world.nodes[2].records
    records.claimed(device.key, CALL, device.tokens[CALL][0], peer.key, world.clock.now, over=True)
    world.nodes[2].carry_out()
    wait(world, 1.0)
    assert bool(durations(world)) is called
    wait(world, 2 * GRACE)
    assert durations(world) == [pytest.approx(40 if called else 30, abs=SLACK)]
    assert not records.open_count


@pytest.mark.parametrize("called", [True, False])
def test_whoever_hears_of_an_accept_at_a_node_that_knows_nothing_of_the_call_is_in_it_as_what_it_is(
    called: bool,
) -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, SLACK)
    third, now = world.nodes[2], world.clock.now
    device, peer = (alice, bob) if called else (bob, alice)
    third.records.heard_of(CALL, device.key, peer.key, now, called=called)
    third.records.ended(CALL, device.key, peer.key, (device.key, b"e"), now, elsewhere=True)
    third.carry_out()
    wait(world, 1.0)
    assert bool(durations(world)) is called, "it is closed where the caller is"


@pytest.mark.parametrize("loser_ends", [True, False])
def test_a_device_that_lost_and_claims_the_call_elsewhere_takes_no_record_along(loser_ends: bool) -> None:
    world, (alice, bob, phone) = world_of(0, 1, 2)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, SLACK)
    third, now = world.nodes[2], world.clock.now
    bobs, _ = bob.tokens[CALL]
    assert bobs != alice.tokens[CALL][0]
    claim(world, third, phone, bobs, alice)  # with the token that each device is told that accepts
    sender, receiver = (phone, alice) if loser_ends else (alice, phone)
    waiter = (phone.key, b"e") if loser_ends else None
    third.records.ended(CALL, sender.key, receiver.key, waiter, now, elsewhere=loser_ends)
    third.carry_out()
    wait(world, 27.0)
    assert len(world.store.open_rows) == 1
    world.say(Kind.END, CALL, alice, bob)
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(30, abs=SLACK)]


@pytest.mark.parametrize("caller_ends", [True, False])
def test_the_record_is_closed_at_once_where_its_caller_has_claimed_it(caller_ends: bool) -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    all_leave(world, alice)
    alice.node.start()
    alice.node = world.nodes[2]
    claim(world, alice.node, alice, alice.tokens[CALL][0], bob)
    wait(world, 20.0)
    world.say(Kind.END, CALL, *((alice, bob) if caller_ends else (bob, alice)))
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(50, abs=SLACK)]


def all_leave(world: RecordWorld, *parties: Party) -> None:
    for party in parties:
        party.node.records.left(party.key, world.clock.now)
        party.node.carry_out()


def claim(world: RecordWorld, node: RecordNode, party: Party, token: bytes, peer: Party) -> None:
    node.records.started_afresh(party.key, world.clock.now)
    node.records.claimed(party.key, CALL, token, peer.key, world.clock.now)
    node.carry_out()


@pytest.mark.parametrize("killed", [False, True])
def test_claims_behind_which_no_end_could_be_said_make_no_record_longer(killed: bool) -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    token = alice.tokens[CALL][0]
    all_leave(world, alice, bob)
    alice.node = world.nodes[2]
    for _ in range(5):
        wait(world, 18.0)
        claim(world, alice.node, alice, token, bob)
        wait(world, 1.0)
        all_leave(world, alice)
        if killed:
            alice.node.start()
    wait(world, 2 * GRACE)
    assert durations(world) == [pytest.approx(30, abs=TOUCH_SECONDS + SLACK)]


@pytest.mark.parametrize("absence", [5.0, 40.0, GRACE - SLACK])
def test_a_claimed_call_goes_on_after_the_node_that_it_was_claimed_at_is_lost_too(absence: float) -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 30.0)
    token = alice.tokens[CALL][0]
    all_leave(world, alice, bob)
    wait(world, absence)
    claim(world, world.nodes[2], alice, token, bob)
    wait(world, SURE_SECONDS + 1.0)
    world.nodes[2].start()
    wait(world, GRACE - 2 * SLACK)
    claim(world, world.nodes[0], alice, token, bob)
    wait(world, 200.0)
    assert len(world.store.open_rows) == 1


def test_the_end_counts_though_the_node_of_the_caller_is_gone() -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 47.0)
    alice.tokens.clear()  # the device is gone with its node
    world.kill(world.nodes[0], [alice])
    alice.connected = False
    world.say(Kind.END, CALL, bob, alice)
    wait(world, 1.0)
    assert durations(world) == []
    wait(world, GRACE + 2 * TOUCH_SECONDS)
    assert durations(world) == [pytest.approx(47, abs=SLACK)]


def test_a_device_that_stays_keeps_the_call_open_though_another_node_knows_nothing_of_it() -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 10.0)
    world.cut(alice, 300.0)
    wait(world, 290.0)
    assert len(world.store.open_rows) == 1
    wait(world, 100.0)
    world.say(Kind.END, CALL, alice, bob)
    wait(world, GRACE + 2 * TOUCH_SECONDS)  # alice's new node does not close it, if that is where bob has accepted
    assert durations(world) == [pytest.approx(400, abs=SLACK)]


def test_calls_of_a_node_that_does_not_come_back_are_swept_up_by_another() -> None:
    world, (alice, bob) = world_of(1, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 33.0)
    alice.tokens.clear()
    bob.tokens.clear()
    world.kill(world.nodes[1], [alice, bob])
    wait(world, GRACE - TOUCH_SECONDS - SLACK)
    assert durations(world) == []
    wait(world, 2 * TOUCH_SECONDS + SLACK)
    assert durations(world) == [pytest.approx(33, abs=TOUCH_SECONDS + SLACK)]


def test_a_node_that_cannot_reach_the_store_sweeps_nothing_up_when_it_can_again() -> None:
    world, (alice, bob) = world_of(0, 1)
    world.say(Kind.ACCEPT, CALL, bob, alice)
    wait(world, 20.0)
    for node in world.nodes:
        node.failing = True
    wait(world, 200.0)
    for node in world.nodes:
        node.failing = False
    wait(world, 200.0)
    assert len(world.store.open_rows) == 1
    world.say(Kind.END, CALL, alice, bob)
    wait(world, SLACK)
    assert durations(world) == [pytest.approx(420, abs=SLACK)]


def many_calls(seed: int, calls: int, trouble: Callable[[RecordWorld, list[Party]], None]) -> RecordWorld:
    """Calls of all kinds, one after the other, with trouble in each; then everything comes to rest."""
    world = RecordWorld(seed)
    draw = world.draw
    alice, bob, phone = parties = [world.party("alice"), world.party("bob", "1"), world.party("bob", "2")]
    for _ in range(calls):
        call = draw.randbytes(16)
        answering = draw.choice([[bob], [phone], [bob, phone], [phone, bob]])
        if draw.random() < 0.1:
            for to in answering:
                cancel = partial(world.say, Kind.END, call, alice, to)
                world.clock.after(draw.uniform(0.0, 1.0), cancel)
        for party in answering:
            world.say(Kind.ACCEPT, call, party, alice)
            wait(world, draw.uniform(0.0, 0.5))
        trouble(world, parties)
        wait(world, draw.expovariate(1 / 60.0))
        if call in alice.tokens:
            peer = alice.tokens[call][1]
            ends = draw.choice([[(alice, peer)], [(peer, alice)], [(alice, peer), (peer, alice)]])
        else:
            ends = [(alice, party) for party in answering]
        for sender, receiver in ends:
            world.say(Kind.END, call, sender, receiver)
        wait(world, draw.uniform(0.0, 20.0))
    wait(world, 300.0)
    return world


def check(world: RecordWorld, tolerance: float) -> None:
    """One record of each call that was heard of, none of the others, and of about its duration."""
    assert world.store.open_rows == {}
    assert all(len(closed) == 1 for closed in world.store.closed.values()), "two records of one call"
    for call, talk in world.talks.items():
        closed = world.store.closed.get(world.tokens.get(call, b""), [])
        if talk.begun is not None:
            assert talk.ended is not None
            assert len(closed) == 1
            assert abs(closed[0] - (talk.ended - talk.begun)) <= tolerance
    assert [node.records.open_count for node in world.nodes] == [0] * len(world.nodes)


def no_trouble(world: RecordWorld, parties: list[Party]) -> None:
    """Nothing breaks."""


def cuts_and_kills(world: RecordWorld, parties: list[Party]) -> None:
    """Devices are cut off for less than the grace, and nodes are killed."""
    draw = world.draw
    for _ in range(draw.randrange(4)):
        if draw.random() < 0.3:
            node = draw.choice(world.nodes)
            world.clock.after(draw.uniform(0.0, 60.0), partial(world.kill, node, parties))
        else:
            party, seconds = draw.choice(parties), draw.uniform(0.1, 20.0)
            world.clock.after(draw.uniform(0.0, 60.0), partial(world.cut, party, seconds))


@pytest.mark.parametrize("seed", range(4))
def test_without_trouble_each_call_has_its_record_to_the_second(seed: int) -> None:
    check(many_calls(seed, 60, no_trouble), tolerance=SLACK)


@pytest.mark.parametrize("seed", range(12))
def test_with_devices_cut_off_and_nodes_killed_each_call_has_one_record(seed: int) -> None:
    check(many_calls(seed, 60, cuts_and_kills), tolerance=GRACE + TOUCH_SECONDS)
