"""The store as the loop uses it: who waits for which answer, how long that took, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from .meters import Access, Meters, RecordStep
from .store.requests import (
    Closed,
    DiscardRecord,
    Expire,
    Failed,
    OpenRecord,
    RecordState,
    StoreRequest,
    StoreResult,
    SweepRecords,
)
from .store.session import Answer
from .store.statements import ReadRequest

STUCK_SECONDS: Final = 10.0
"""An answer that is not there after so long is not expected any more: a lock or a disk stands in its way."""


class Submits(Protocol):
    """What is used of the store."""

    def submit(self, ticket: int, request: StoreRequest) -> None:
        """Ask for something; the answer carries the ticket."""


class StoreAccess:
    """Hands requests to the store and its answers to who waits for them.

    Args:
        store: carries requests out.
        meters: what is measured.
    """

    def __init__(self, store: Submits, meters: Meters) -> None:
        self._store = store
        self._meters = meters
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, tuple[StoreRequest, Access | None, float]] = {}
        self._depths: Counter[Access] = Counter()
        self._asked: dict[int, asyncio.Future[StoreResult | Failed]] = {}
        self._barriers: list[tuple[set[int], asyncio.Future[None]]] = []
        self._next_own = -1  # the hub's tickets are positive
        self._failing = False

    def submit(self, ticket: int, request: StoreRequest) -> None:
        """Carry out a request of the hub."""
        access = _access(request)
        self._pending[ticket] = (request, access, self._loop.time())
        if access is not None:
            self._depths[access] += 1
        self._store.submit(ticket, request)

    async def ask(self, request: StoreRequest) -> StoreResult | Failed:
        """Carry out a request of the shell itself, and wait for what comes of it."""
        ticket = self._next_own
        self._next_own -= 1
        answer = self._asked[ticket] = self._loop.create_future()
        self.submit(ticket, request)
        result: StoreResult | Failed = await answer
        return result

    def settle(self, answers: Sequence[Answer]) -> Iterator[Answer]:
        """Take answers of the store; gives back those that the hub waits for."""
        now = self._loop.time()
        for ticket, result in answers:
            request, access, since = self._pending.pop(ticket)
            if access is not None:
                self._depths[access] -= 1
                self._meters.store_seconds[access].observe(now - since)
            if not isinstance(result, Failed):
                self._count(request, result)
            for tickets, reached in self._barriers:
                tickets.discard(ticket)
                if not tickets and not reached.done():
                    reached.set_result(None)
            if ticket > 0:
                yield ticket, result
                continue
            self._failing = isinstance(result, Failed)
            if not (waiting := self._asked.pop(ticket)).done():
                waiting.set_result(result)

    def depth(self, access: Access) -> int:
        """Requests that wait for their answer."""
        return self._depths[access]

    @property
    def failing(self) -> bool:
        """Whether what the shell itself has asked for last could not be carried out; the hub knows of what it asked."""
        return self._failing

    @property
    def stuck(self) -> bool:
        """Whether the oldest request has waited for longer than is good."""
        oldest = next((since for _, access, since in self._pending.values() if access is not None), None)
        return oldest is not None and self._loop.time() - oldest > STUCK_SECONDS

    async def settled(self, seconds: float) -> None:
        """Wait until everything that was asked so far has its answer, or that long; housekeeping is not waited for."""
        waiting = {ticket for ticket, (_, access, _) in self._pending.items() if access is not None}
        if not waiting:
            return
        barrier = (waiting, self._loop.create_future())
        self._barriers.append(barrier)
        try:
            async with asyncio.timeout(seconds):
                await barrier[1]
        except TimeoutError:
            pass
        finally:
            self._barriers.remove(barrier)

    def _count(self, request: StoreRequest, result: StoreResult) -> None:
        match request, result:
            case OpenRecord(), RecordState.OPEN:
                self._meters.records[RecordStep.OPENED] += 1
            case _, Closed(durations):
                self._meters.records[RecordStep.CLOSED] += len(durations)
                for duration in durations:
                    self._meters.call_seconds.observe(duration)
            case DiscardRecord(), _:
                self._meters.records[RecordStep.DISCARDED] += 1
            case _:
                pass  # the hub counts what it asks for otherwise


def _access(request: StoreRequest) -> Access | None:
    """Whom a request is for; None for housekeeping, which takes its time between the others."""
    if isinstance(request, Expire | SweepRecords):
        return None
    return Access.READ if isinstance(request, ReadRequest) else Access.WRITE
