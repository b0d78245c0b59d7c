"""Who is in the calls that go on, and what of that comes to disk."""

from __future__ import annotations

import pytest

from entrenous_signaling.call_presence import CLAIM_SECONDS, CallPresence
from entrenous_signaling.call_rows import TOUCH_SECONDS, CallRows
from entrenous_signaling.clock_watch import ClockWatch
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.open_calls import SURE_SECONDS, OpenCall, OpenCalls, Row
from entrenous_signaling.outputs import Execute, Outbox
from entrenous_signaling.store.requests import SweepRecords, TouchRecords

START = 1_000.0
ALICE, BOB = DeviceKey("alice", "1"), DeviceKey("bob", "1")
CALL, TOKEN = b"c" * 16, b"t" * 16


class Bench:
    """One call between two devices, and those of them that are here."""

    def __init__(self, *here: DeviceKey) -> None:
        self.outbox = Outbox()
        self.calls = OpenCalls()
        rows = CallRows(
            self.outbox,
            lambda waiter, kept: None,
            lambda seen_before: None,
            grace_seconds=60.0,
            now=START,
            shared=False,
            clock=ClockWatch(self.outbox, START, shared=False),
        )
        self.forgotten: list[tuple[OpenCall, DeviceKey]] = []
        self.presence = CallPresence(self.calls, rows, lambda call, device: self.forgotten.append((call, device)))
        self.call = OpenCall(CALL, TOKEN, int(START), "alice", Row.STORED, ALICE)
        self.presence.begin(START)
        self.calls.add(self.call)
        assert self.calls.join(self.call, frozenset((ALICE, BOB)))
        for device in here:
            self.presence.enter(self.call, device, START)

    def touched(self) -> list[int]:
        """When the call was last seen, as the database was told since the last time."""
        requests = [output.request for output in self.outbox.take() if isinstance(output, Execute)]
        assert all(isinstance(request, TouchRecords | SweepRecords) for request in requests)
        return [seen for request in requests if isinstance(request, TouchRecords) for _, seen in request.seen]


def test_a_call_is_touched_from_time_to_time_until_there_is_none() -> None:
    bench = Bench(ALICE, BOB)
    for number in (1, 2):
        assert bench.presence.next_deadline() == START + number * TOUCH_SECONDS
        bench.presence.tick(START + number * TOUCH_SECONDS)
        assert bench.touched() == [START + number * TOUCH_SECONDS]
    bench.presence.end()
    assert bench.presence.next_deadline() is None


def test_only_when_the_last_one_leaves_that_is_noted_at_once() -> None:
    bench = Bench(ALICE, BOB)
    bench.presence.left(ALICE, START + 3)
    assert bench.touched() == []
    bench.presence.left(BOB, START + 5)
    assert bench.touched() == [START + 5]
    bench.presence.tick(START + TOUCH_SECONDS)
    assert bench.touched() == [START + 5]


def test_who_resumes_is_in_its_calls_as_before() -> None:
    bench = Bench(ALICE, BOB)
    for device in (ALICE, BOB):
        bench.presence.left(device, START + 3)
    bench.presence.came(BOB, START + 4)
    assert bench.call.present == {BOB}


@pytest.mark.parametrize("claims", [True, False])
def test_who_starts_afresh_is_in_none_until_it_claims_it_or_has_forgotten_it(claims: bool) -> None:
    bench = Bench(ALICE, BOB)
    bench.presence.started_afresh(BOB, START + 1)
    bench.presence.came(BOB, START + 2)
    assert bench.call.present == {ALICE}
    if claims:
        bench.presence.enter(bench.call, BOB, START + 3)
    bench.presence.tick(START + 1 + CLAIM_SECONDS)
    assert bench.forgotten == ([] if claims else [(bench.call, BOB)])


def test_what_a_device_brings_is_kept_alive_as_soon_as_it_would_have_said_that_it_is_over() -> None:
    bench = Bench()
    bench.call.bring(START + 1)
    bench.presence.enter(bench.call, ALICE, START + 1)
    bench.presence.tick(START + SURE_SECONDS)
    assert bench.touched() == []
    bench.presence.tick(START + 1 + SURE_SECONDS)
    assert bench.touched() == [START + 1 + SURE_SECONDS]


def test_what_a_device_brings_and_leaves_again_is_not_kept_alive() -> None:
    bench = Bench()
    bench.call.bring(START + 1)
    bench.presence.enter(bench.call, ALICE, START + 1)
    bench.presence.left(ALICE, START + 2)
    bench.presence.tick(START + 2 * TOUCH_SECONDS)
    assert bench.touched() == []


def test_nothing_is_kept_of_a_claimed_call_that_is_over() -> None:
    bench = Bench()
    bench.presence.end()
    bench.call.bring(START + 1)
    bench.presence.enter(bench.call, ALICE, START + 1)
    assert bench.presence.next_deadline() == START + 1 + SURE_SECONDS
    bench.presence.over(bench.call)
    assert bench.presence.next_deadline() is None
