"""Requests on their way to the store and back, on a simulated clock."""

from __future__ import annotations

import asyncio

import pytest

from entrenous_signaling.meters import Access, Meters, RecordStep
from entrenous_signaling.store.requests import (
    Closed,
    CloseRecord,
    DiscardRecord,
    Done,
    Expire,
    Failed,
    OpenRecord,
    ReadAccount,
    RecordState,
    StoreRequest,
    SweepRecords,
)
from entrenous_signaling.store_access import STUCK_SECONDS, StoreAccess
from world.virtual_time import VirtualTime

TOKEN = b"t" * 16
READ = ReadAccount("alice")
OPEN = OpenRecord(TOKEN, 1000)
CLOSE = CloseRecord(TOKEN, 1042)


class Submitted:
    def __init__(self) -> None:
        self.requests: dict[int, StoreRequest] = {}

    def submit(self, ticket: int, request: StoreRequest) -> None:
        self.requests[ticket] = request


def test_the_hub_gets_its_answers_and_how_long_they_took_is_measured() -> None:
    async def main() -> None:
        meters, store = Meters(), Submitted()
        access = StoreAccess(store, meters)
        access.submit(1, READ)
        access.submit(2, OPEN)
        assert store.requests == {1: READ, 2: OPEN}
        assert (access.depth(Access.READ), access.depth(Access.WRITE)) == (1, 1)
        await asyncio.sleep(0.02)
        assert list(access.settle([(2, Done.DONE)])) == [(2, Done.DONE)]
        assert (access.depth(Access.READ), access.depth(Access.WRITE)) == (1, 0)
        assert meters.store_seconds[Access.WRITE].buckets()[-1] == ("+Inf", 1.0)
        assert meters.store_seconds[Access.WRITE].total == pytest.approx(0.02)

    VirtualTime().run(main)


def test_records_count_when_they_are_on_disk_and_not_before() -> None:
    async def main() -> None:
        meters = Meters()
        access = StoreAccess(Submitted(), meters)
        requests = (OPEN, OPEN, CLOSE, CLOSE, CLOSE, DiscardRecord(TOKEN, 1042))
        for ticket, request in enumerate(requests, start=1):
            access.submit(ticket, request)
        opened = [(1, RecordState.OPEN), (2, RecordState.OVER)]
        closed = [(3, Failed.FAILED), (4, Closed((42,))), (5, Closed(()))]  # the last was closed by somebody else
        list(access.settle([*opened, *closed, (6, Done.DONE)]))
        assert [meters.records[step] for step in RecordStep] == [1, 1, 1]
        assert (meters.call_seconds.buckets()[-1], meters.call_seconds.total) == (("+Inf", 1.0), 42.0)

    VirtualTime().run(main)


def test_what_the_shell_asks_itself_does_not_reach_the_hub() -> None:
    async def main() -> None:
        store = Submitted()
        access = StoreAccess(store, Meters())
        asked = asyncio.create_task(access.ask(READ))
        given_up = asyncio.create_task(access.ask(READ))
        await asyncio.sleep(0)
        first, second = store.requests
        assert max(first, second) < 0
        given_up.cancel()
        await asyncio.sleep(0)
        assert list(access.settle([(first, None), (second, None)])) == []
        assert await asked is None

    VirtualTime().run(main)


def test_a_store_that_fails_whoever_looks_after_it_is_failing_until_it_does_not() -> None:
    async def main() -> None:
        access = StoreAccess(Submitted(), Meters())
        for ticket, result, failing in ((-1, Failed.FAILED, True), (-2, None, False), (-3, Failed.FAILED, True)):
            asked = asyncio.ensure_future(access.ask(READ))
            await asyncio.sleep(0)
            assert list(access.settle([(ticket, result)])) == []
            assert (await asked, access.failing) == (result, failing)
        access.submit(1, READ)
        assert list(access.settle([(1, None)])) == [(1, None)]
        assert access.failing, "what the hub has asked for is its own matter"

    VirtualTime().run(main)


def test_a_store_that_does_not_answer_is_stuck_but_not_by_housekeeping() -> None:
    async def main() -> None:
        access = StoreAccess(Submitted(), Meters())
        access.submit(1, Expire(0, 0, 0))
        access.submit(3, SweepRecords(0, 0))
        access.submit(2, OPEN)
        await asyncio.sleep(STUCK_SECONDS)
        assert not access.stuck
        await asyncio.sleep(0.1)
        assert access.stuck
        list(access.settle([(2, Done.DONE)]))
        assert not access.stuck

    VirtualTime().run(main)


def test_settled_waits_for_what_was_asked_before_and_not_for_ever() -> None:
    async def main() -> None:
        access = StoreAccess(Submitted(), Meters())
        loop = asyncio.get_running_loop()
        access.submit(1, Expire(0, 0, 0))
        begun = loop.time()
        await access.settled(5.0)
        assert loop.time() == begun
        access.submit(2, OPEN)
        access.submit(3, READ)
        waiting = asyncio.create_task(access.settled(5.0))
        await asyncio.sleep(1.0)
        access.submit(4, OPEN)
        list(access.settle([(3, None)]))
        await asyncio.sleep(0)
        assert not waiting.done()
        list(access.settle([(2, Done.DONE)]))
        begun = loop.time()
        await waiting
        assert loop.time() == begun
        await access.settled(5.0)
        assert loop.time() == begun + 5.0

    VirtualTime().run(main)
