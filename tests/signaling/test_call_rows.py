"""What one node asks the database for the rows of call records, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from entrenous_signaling.call_rows import ENDED_SECONDS, TOUCH_SECONDS, CallRows, Kept, Waiter
from entrenous_signaling.clock_watch import ClockWatch
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.outputs import Execute, Outbox
from entrenous_signaling.store.requests import (
    ENDED_STEP_SECONDS,
    ClaimRecord,
    Closed,
    CloseRecord,
    Done,
    Failed,
    OpenRecord,
    RecordState,
    StoreRequest,
    StoreResult,
    SweepRecords,
    TouchRecords,
)

START = 1_000.0
GRACE = 60.0
TOKEN = b"t" * 16
WAITER: Waiter = (DeviceKey("bob", "1"), b"m")


@dataclass
class Bench:
    """The rows of one node, with a store that answers each request with what is next."""

    shared: bool = False
    unsure: bool = False
    grace: float = GRACE
    now: float = START
    told: list[Kept] = field(default_factory=list)
    swept: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = Outbox()
        self.rows = CallRows(
            self.outbox,
            lambda waiter, kept: self.told.append(kept),
            self.swept.append,
            grace_seconds=self.grace,
            now=self.now,
            shared=self.shared,
            clock=ClockWatch(Outbox(), self.now, shared=self.unsure),
        )

    def answer(self, *results: StoreResult | Failed) -> list[StoreRequest]:
        """Answer what is asked, in turn, with the results; returns what was asked."""
        asked: list[StoreRequest] = []
        for result in results:
            (execute,) = self.outbox.take()
            assert isinstance(execute, Execute)
            asked.append(execute.request)
            self.outbox.resolve(execute.ticket, result, self.now)
        assert self.outbox.take() == []
        return asked

    def advance_to_deadline(self) -> float:
        """Go on to when something is due, and do it; returns after how long since the start that was."""
        due = self.rows.next_deadline()
        assert due is not None
        self.now = max(self.now, due)
        self.rows.tick(self.now)
        return self.now - START


def sweep(seen_before: float, now: float) -> SweepRecords:
    return SweepRecords(int(START + seen_before), int(START + now) - ENDED_SECONDS)


def test_what_is_not_on_disk_is_opened_before_it_is_closed() -> None:
    bench = Bench()
    close, opening = CloseRecord(TOKEN, 1_007), OpenRecord(TOKEN, 1_000)
    bench.rows.end(close, TOKEN, opening, bench.now)
    assert bench.rows.wait_for_end(TOKEN, WAITER)
    assert bench.answer(RecordState.OPEN, Closed((7,))) == [opening, close]
    assert bench.told == [Kept.STORED]
    assert not bench.rows.wait_for_end(TOKEN, WAITER)


def test_what_is_over_is_not_closed_again() -> None:
    bench = Bench()
    bench.rows.end(CloseRecord(TOKEN, 1_007), TOKEN, OpenRecord(TOKEN, 1_000), bench.now)
    assert bench.answer(RecordState.OVER) == [OpenRecord(TOKEN, 1_000)]
    assert not bench.rows.failing


def test_an_end_is_said_again_until_it_is_on_disk() -> None:
    bench = Bench()
    end = TouchRecords(((TOKEN, 1_007),))
    bench.rows.end(end, TOKEN, None, bench.now)
    assert bench.rows.wait_for_end(TOKEN, WAITER)
    bench.answer(Failed.FAILED)
    assert (bench.told, bench.rows.failing) == ([Kept.FAILED], True)
    waits = []
    for result in (Failed.FAILED, Failed.FAILED, Done.DONE):
        waits.append(bench.advance_to_deadline())
        assert bench.answer(result) == [end]
    assert waits == [1.0, 3.0, 7.0]
    assert not bench.rows.failing


@pytest.mark.parametrize(("result", "kept"), [(Done.DONE, Kept.STORED), (Failed.FAILED, Kept.FAILED)])
def test_a_call_that_ends_once_more_while_its_end_is_written_has_the_later_word(
    result: Done | Failed, kept: Kept
) -> None:
    bench = Bench()
    note, close = TouchRecords(((TOKEN, 1_007),)), CloseRecord(TOKEN, 1_009)
    bench.rows.end(note, TOKEN, None, bench.now)
    bench.rows.wait_for_end(TOKEN, WAITER)
    (first,) = bench.outbox.take()
    bench.rows.end(close, TOKEN, None, bench.now)
    assert isinstance(first, Execute)
    bench.outbox.resolve(first.ticket, result, bench.now)
    assert (bench.told, bench.rows.failing) == ([kept], False), "whoever waited for the first is told"
    assert bench.rows.wait_for_end(TOKEN, WAITER)
    assert bench.answer(Closed((9,))) == [close]
    assert bench.told == [kept, Kept.STORED]


def test_the_first_sweep_leaves_devices_the_grace_to_come_back() -> None:
    bench = Bench()
    assert bench.advance_to_deadline() == GRACE + 1
    assert bench.answer(Closed(())) == [sweep(1.0, GRACE + 1)]
    assert bench.swept == [START + 1]
    assert bench.advance_to_deadline() == ENDED_SECONDS + ENDED_STEP_SECONDS + 1, (
        "what an earlier run noted of ended calls is forgotten"
    )
    bench.answer(Closed(()))
    assert bench.rows.next_deadline() is None


def test_whoever_shares_the_database_sweeps_for_the_others_again_and_again() -> None:
    bench = Bench(shared=True)
    for number in range(1, 6):
        assert bench.advance_to_deadline() == number * TOUCH_SECONDS
        assert bench.answer(Closed(())) == [SweepRecords(0, 0)], "only to see if it works"
    assert bench.advance_to_deadline() == GRACE
    assert bench.answer(Closed(())) == [sweep(0.0, GRACE)]
    assert bench.advance_to_deadline() == GRACE + TOUCH_SECONDS
    assert bench.answer(Closed(())) == [sweep(TOUCH_SECONDS, GRACE + TOUCH_SECONDS)]
    assert bench.swept == [START, START + TOUCH_SECONDS]


def test_whoever_does_not_know_whether_its_clock_is_that_of_the_others_sweeps_nothing() -> None:
    bench = Bench(shared=True, unsure=True)
    while bench.advance_to_deadline() < 2 * GRACE:
        assert bench.answer(Closed(())) == [SweepRecords(0, 0)]
    assert bench.swept == []


def test_after_a_failure_nothing_is_swept_up_until_the_store_has_worked_for_the_grace() -> None:
    bench = Bench()
    bench.now += 50.0
    bench.rows.touch((TOKEN, 1_050))
    bench.answer(Failed.FAILED)
    assert bench.advance_to_deadline() == GRACE + 1
    assert bench.answer(Failed.FAILED) == [SweepRecords(0, 0)]
    back = bench.advance_to_deadline()
    assert back == GRACE + 1 + TOUCH_SECONDS
    bench.answer(Closed(()))
    assert bench.swept == []
    assert bench.advance_to_deadline() == back + GRACE + 1
    assert bench.answer(Closed(())) == [sweep(back + 1, back + GRACE + 1)]
    assert bench.swept == [START + back + 1]


def test_what_nobody_keeps_alive_is_swept_up_when_its_grace_is_over() -> None:
    bench = Bench()
    bench.advance_to_deadline()
    bench.answer(Closed(()))
    bench.rows.expect_sweep(1_100)
    assert bench.advance_to_deadline() == 100 + 1 + GRACE
    assert bench.answer(Closed((5,))) == [sweep(101.0, 161.0)]
    assert bench.advance_to_deadline() == 161 + ENDED_SECONDS + ENDED_STEP_SECONDS + 1, (
        "that they ended is forgotten in its time"
    )


def test_a_claim_spares_what_is_within_the_grace_until_it_can_be_touched() -> None:
    bench = Bench()
    states: list[StoreResult | Failed] = []
    bench.rows.claim(TOKEN, START + 70.0, lambda result, now: states.append(result))
    assert bench.answer(RecordState.OPEN) == [ClaimRecord(TOKEN, 1_010 + int(TOUCH_SECONDS), 1_010)]
    assert states == [RecordState.OPEN]


def test_a_grace_shorter_than_between_two_touches_lets_nobody_be_swept_up() -> None:
    assert Bench(grace=0.5).advance_to_deadline() == 3 * TOUCH_SECONDS + 1
