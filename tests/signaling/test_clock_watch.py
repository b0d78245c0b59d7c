"""A node whose clock is not that of its cluster leaves calls of others alone, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous_signaling.clock_watch import AGREED_SECONDS, LOOK_SECONDS, ClockWatch
from entrenous_signaling.outputs import Execute, Outbox
from entrenous_signaling.store.requests import (
    ClaimRecord,
    CloseRecord,
    DatabaseClock,
    DiscardRecord,
    Failed,
    OpenRecord,
    OpenRow,
    ReadClock,
    StoreResult,
    SweepRecords,
    TouchRecords,
)
from entrenous_wire.messages import Kind
from world.hubworld import ALICE, BOB, CALL, START, HubWorld

TOKEN = b"t" * 16


class Bench:
    """A watch whose looks take as long as the test says."""

    def __init__(self, *, shared: bool = True) -> None:
        self.outbox = Outbox()
        self.now = START
        self.watch = ClockWatch(self.outbox, START, shared=shared)

    def look(self, result: StoreResult | Failed, took: float = 0.0) -> ClockWatch:
        due = self.watch.next_deadline()
        assert due is not None
        self.now = max(self.now, due)
        self.watch.tick(self.now)
        (execute,) = self.outbox.take()
        assert isinstance(execute, Execute)
        assert execute.request == ReadClock()
        self.now += took
        self.outbox.resolve(execute.ticket, result, self.now)
        return self.watch


def test_a_node_that_is_alone_agrees_with_itself_and_asks_nobody() -> None:
    watch = Bench(shared=False).watch
    assert watch.agrees
    assert not watch.has_looked
    assert watch.next_deadline() is None


def test_until_the_first_answer_nothing_is_known() -> None:
    bench = Bench()
    assert bench.watch.next_deadline() == START
    assert (bench.watch.agrees, bench.watch.differs) == (False, False)
    watch = bench.look(Failed.FAILED)
    assert (watch.agrees, watch.differs, watch.has_looked) == (False, False, False)
    assert bench.look(DatabaseClock(START)).agrees
    assert watch.has_looked
    assert bench.look(Failed.FAILED).agrees


@pytest.mark.parametrize(
    ("ahead", "took", "told"),
    [
        (0.0, 0.0, 0.0),
        (AGREED_SECONDS, 0.0, AGREED_SECONDS),
        (AGREED_SECONDS + 1, 0.0, AGREED_SECONDS + 1),
        (-AGREED_SECONDS - 1, 0.0, -AGREED_SECONDS - 1),
        (100.0, 40.0, 100.0),  # it was read when it was asked at the earliest
        (-100.0, 40.0, -60.0),  # and when it was answered at the latest
        (-30.0, 40.0, 0.0),
    ],
)
def test_clocks_are_compared_however_long_the_answer_takes(ahead: float, took: float, told: float) -> None:
    watch = Bench().look(DatabaseClock(START - ahead), took)
    assert watch.ahead == told
    assert watch.differs is (abs(told) > AGREED_SECONDS)
    assert watch.agrees is not watch.differs


def test_it_looks_again_and_again() -> None:
    bench = Bench()
    assert bench.look(DatabaseClock(START - 100)).differs
    assert bench.watch.next_deadline() == START + LOOK_SECONDS
    assert bench.look(DatabaseClock(START + LOOK_SECONDS)).agrees


def test_a_database_without_a_clock_of_its_own_has_this_machines() -> None:
    assert Bench().look(DatabaseClock(None)).agrees


@pytest.mark.parametrize("ahead", [AGREED_SECONDS - 1, AGREED_SECONDS + 1])
def test_only_who_agrees_sweeps_up_what_others_have_left(ahead: float) -> None:
    world = HubWorld(replace(HubWorld().settings, node=bytes(8)))
    world.store.clock = lambda: world.now - ahead
    world.store.open_rows[TOKEN] = OpenRow(TOKEN, int(START) - 1000, int(START) - 500)
    world.advance(200.0)
    assert (TOKEN in world.store.open_rows) is (ahead > AGREED_SECONDS)
    assert world.hub.clock.ahead == ahead


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0])
def test_what_is_said_to_the_database_is_said_in_its_time(ahead: float) -> None:
    watch = Bench().look(DatabaseClock(START - ahead))
    here, there = int(START), int(START - ahead)
    for request, said in (
        (OpenRecord(TOKEN, here), OpenRecord(TOKEN, there)),
        (ClaimRecord(TOKEN, here, here - 60), ClaimRecord(TOKEN, there, there - 60)),
        (TouchRecords(((TOKEN, here), (TOKEN, here - 1))), TouchRecords(((TOKEN, there), (TOKEN, there - 1)))),
        (CloseRecord(TOKEN, here, here - 60), CloseRecord(TOKEN, there, there - 60)),
        (DiscardRecord(TOKEN, here), DiscardRecord(TOKEN, there)),
        (SweepRecords(here, here - 300), SweepRecords(there, there - 300)),
    ):
        assert watch.by_database(request) == said


def test_a_clock_that_was_set_is_followed_when_all_have_looked_and_compared_with_when_all_have_followed() -> None:
    bench = Bench()
    watch = bench.look(DatabaseClock(START))
    assert watch.may_compare(bench.now)
    request = OpenRecord(TOKEN, int(START))
    for _ in range(2):
        bench.look(DatabaseClock(bench.now + LOOK_SECONDS + 20.0))
        assert watch.agrees
        assert not watch.may_compare(bench.now)
    assert watch.by_database(request) == OpenRecord(TOKEN, int(START) + 20)
    assert not watch.may_compare(bench.now + 2 * LOOK_SECONDS - 1)
    assert watch.may_compare(bench.now + 2 * LOOK_SECONDS)
    bench.look(DatabaseClock(bench.now + LOOK_SECONDS + 22.0))  # it only goes a little faster
    assert watch.by_database(request) == OpenRecord(TOKEN, int(START) + 22)
    assert watch.may_compare(bench.now + LOOK_SECONDS)
    bench.look(DatabaseClock(bench.now + LOOK_SECONDS))
    assert watch.by_database(request) == OpenRecord(TOKEN, int(START) + 22)


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_calls_of_a_node_whose_clock_is_wrong_are_no_shorter_and_no_longer(ahead: float) -> None:
    right, wrong = HubWorld(), HubWorld()
    right.settings = replace(right.settings, node=b"r" * 8)
    wrong.settings = replace(wrong.settings, node=b"w" * 8)
    wrong.now += ahead
    wrong.store = right.store
    right.store.clock = lambda: right.now
    for world in (right, wrong):
        world.hub = world._new_hub()
    wrong.advance(1)
    right.advance(1)
    alice, bob = wrong.register(ALICE), wrong.register(BOB)
    bob.say(BOB.send(1, ALICE, Kind.ACCEPT, CALL))
    start = int(right.now)
    for _ in range(200):
        right.advance(1)
        wrong.advance(1)
    assert len(right.store.open_rows) == 1
    alice.say(ALICE.send(2, BOB, Kind.END, CALL))
    assert right.store.records == [(start, 200)]
    assert wrong.hub.clock.differs
