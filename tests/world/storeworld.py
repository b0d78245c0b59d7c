"""A started store whose answers can be waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from entrenous_signaling.store.database import Databases
from entrenous_signaling.store.requests import RegisterAccount, StoreRequest
from entrenous_signaling.store.session import Answer
from entrenous_signaling.store.writer import Store

WAIT_SECONDS = 60.0


class RunningStore:
    """A store that has started.

    Args:
        databases: where it keeps what it is told.
    """

    def __init__(self, databases: Databases) -> None:
        self.folder = databases.folder
        self.store = Store(databases)
        self._answers: dict[int, object] = {}
        self._changed = threading.Condition()
        self._count = 0
        self.store.start(self._take)

    def _take(self, answers: Sequence[Answer]) -> None:
        with self._changed:
            self._answers.update(answers)
            self._changed.notify_all()

    def submit(self, request: StoreRequest) -> int:
        """Ask for something; the ticket to wait with."""
        self._count += 1
        self.store.submit(self._count, request)
        return self._count

    def wait(self, ticket: int) -> object:
        """The answer to what was asked with a ticket."""
        with self._changed:
            assert self._changed.wait_for(lambda: ticket in self._answers, WAIT_SECONDS)
            return self._answers[ticket]

    def do(self, request: StoreRequest) -> object:
        """Ask and wait."""
        return self.wait(self.submit(request))


@contextmanager
def running(databases: Databases) -> Iterator[RunningStore]:
    """A started store that is closed at the end."""
    store = RunningStore(databases)
    try:
        yield store
    finally:
        store.store.close()


def registration(
    username: str = "bob",
    device: str = "d1",
    key: bytes = b"key",
    not_after: int = 2**33,
    now: int = 10,
    may_create: bool = True,
    invite: bytes | None = None,
    prekeys: tuple[bytes, ...] = (b"p1", b"p2"),
    certificate: bytes | None = None,
) -> RegisterAccount:
    """What registers a device, and its account if that is new."""
    certificate = certificate or b"cert " + device.encode()
    return RegisterAccount(username, key, device, certificate, prekeys, not_after, may_create, invite, now)
