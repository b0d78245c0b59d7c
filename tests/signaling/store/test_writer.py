"""The store as the server uses it: batches, locks, full disks, and what stays in the files."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrenous_signaling.store import writer
from entrenous_signaling.store.database import Databases, StoreError, read_records
from entrenous_signaling.store.requests import (
    Account,
    CloseRecord,
    Done,
    Failed,
    OpenRecord,
    ReadAccount,
    RegisterAccount,
    RegisterOutcome,
    ReplacePrekeys,
    StoreRequest,
    TouchRecords,
)
from entrenous_signaling.store.writer import Answer, Store
from world.disk import fill, small_disk

WAIT_SECONDS = 20.0


class Running:
    """A started store whose answers can be waited for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder)
        self._answers: dict[int, object] = {}
        self._changed = threading.Condition()
        self._count = 0
        self.store.start(self._take)

    def _take(self, answers: Sequence[Answer]) -> None:
        with self._changed:
            self._answers.update(answers)
            self._changed.notify_all()

    def submit(self, request: StoreRequest) -> int:
        self._count += 1
        self.store.submit(self._count, request)
        return self._count

    def wait(self, ticket: int) -> object:
        with self._changed:
            assert self._changed.wait_for(lambda: ticket in self._answers, WAIT_SECONDS)
            return self._answers[ticket]

    def do(self, request: StoreRequest) -> object:
        return self.wait(self.submit(request))


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    store = Running(folder)
    try:
        yield store
    finally:
        store.store.close()


def registration(username: str = "bob") -> RegisterAccount:
    return RegisterAccount(username, b"k" * 32, "d1", b"cert", (b"p" * 1300,), 2**33, True, None, 10)


def test_requests_are_answered_each_once_and_in_order(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        tickets = [store.submit(OpenRecord(bytes([number]), number)) for number in range(200)]
        tickets += [store.submit(CloseRecord(bytes([number]), number, 1)) for number in range(200)]
        assert {store.wait(ticket) for ticket in tickets} == {Done.DONE}
        assert store.do(registration()) is RegisterOutcome.REGISTERED
        assert isinstance(store.do(ReadAccount("bob")), Account)
    assert len(list(read_records(Databases(tmp_path)))) == 200


def test_what_was_submitted_before_closing_is_stored(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        for number in range(500):
            store.submit(CloseRecord(b"", number, 1))
    assert len(list(read_records(Databases(tmp_path)))) == 500


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(StoreError, match="Another server"):
        Store(tmp_path)
    Running(tmp_path).store.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "data")


def test_one_request_that_cannot_be_carried_out_does_not_take_others_along(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        tickets = [
            store.submit(CloseRecord(b"", 1, 1)),
            store.submit(CloseRecord(b"", None, 1)),  # type: ignore[arg-type]  # what the table refuses
            store.submit(CloseRecord(b"", 3, 1)),
        ]
        assert [store.wait(ticket) for ticket in tickets] == [Done.DONE, Failed.FAILED, Done.DONE]
    assert list(read_records(Databases(tmp_path))) == [(1, 1), (3, 1)]


def test_while_another_process_locks_the_database_writes_fail_reads_go_on_and_later_all_is_well(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        store.do(registration())
        lock = sqlite3.connect(Databases(tmp_path).accounts, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        assert store.do(registration("eve")) is Failed.FAILED
        assert isinstance(store.do(ReadAccount("bob")), Account)
        lock.execute("ROLLBACK")
        lock.close()
        assert store.do(ReadAccount("eve")) is None
        assert store.do(registration("eve")) is RegisterOutcome.REGISTERED


def test_on_a_full_disk_nothing_is_half_done_and_with_room_it_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as folder:
        with running(folder) as store:
            assert store.do(registration()) is RegisterOutcome.REGISTERED
            ballast = fill(folder)
            outcomes = [store.do(registration(f"user{number}")) for number in range(50)]
            assert Failed.FAILED in outcomes
            stored = outcomes.index(Failed.FAILED)
            ballast.unlink()
            assert store.do(ReadAccount(f"user{stored}")) is None
            assert store.do(registration(f"user{stored}")) is RegisterOutcome.REGISTERED
            assert store.do(ReplacePrekeys("bob", "d1", (b"new",))) is Done.DONE
        with running(folder) as store:
            for number in range(stored + 1):
                assert isinstance(store.do(ReadAccount(f"user{number}")), Account)


TOKEN = b"\xc3TOKEN-OF-A-CALL"


def token_is_kept(folder: Path) -> bool:
    return any(TOKEN in path.read_bytes() for path in folder.iterdir())


def test_the_token_of_a_closed_record_is_in_no_file_any_more(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        store.do(OpenRecord(TOKEN, 1))
        assert token_is_kept(tmp_path)
        store.do(CloseRecord(TOKEN, 1, 2))
    assert not token_is_kept(tmp_path)


def wait_until_forgotten(store: Running, *, meanwhile: StoreRequest) -> None:
    """Look into the files, with the server at work, until the token is in none; fails when it stays."""
    until = time.monotonic() + WAIT_SECONDS
    while token_is_kept(store.folder):
        assert time.monotonic() < until
        store.do(meanwhile)


def test_a_server_that_goes_on_forgets_the_token_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LONGEST_SECONDS", 3600.0)  # it is being idle that counts
    with running(tmp_path) as store:
        store.do(OpenRecord(TOKEN, 1))
        store.do(TouchRecords((TOKEN,), 2))
        store.do(CloseRecord(TOKEN, 1, 2))
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))


def test_and_so_does_one_that_is_never_idle(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        store.do(OpenRecord(TOKEN, 1))
        store.do(CloseRecord(TOKEN, 1, 2))
        wait_until_forgotten(store, meanwhile=TouchRecords((b"another",), 2))


def test_a_failure_after_a_record_was_closed_keeps_nothing_in_the_log(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        # Who reads keeps the log from being folded in when the failed connection is closed.
        reader = sqlite3.connect(Databases(tmp_path).usage, isolation_level=None)
        reader.execute("SELECT * FROM call_record").fetchall()
        store.do(OpenRecord(TOKEN, 1))
        store.do(CloseRecord(TOKEN, 1, 2))
        assert store.do(CloseRecord(b"", None, 1)) is Failed.FAILED  # type: ignore[arg-type]  # what the table refuses
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))
        reader.close()


def test_somebody_who_reads_holds_up_no_request_and_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path) as store:
        store.do(OpenRecord(TOKEN, 1))
        reader = sqlite3.connect(Databases(tmp_path).usage, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM open_record").fetchall()
        store.do(CloseRecord(TOKEN, 1, 2))
        assert store.do(CloseRecord(b"", 3, 4)) is Done.DONE
        assert token_is_kept(tmp_path)
        reader.close()
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))
