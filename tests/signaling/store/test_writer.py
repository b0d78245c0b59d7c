"""The store as the server uses it: batches, locks, full disks, and what stays in the files."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store import sqlite, writer
from entrenous_signaling.store.database import Databases, StoreError, read_open_rows, read_records
from entrenous_signaling.store.requests import (
    Account,
    AccountTotals,
    Closed,
    CloseRecord,
    CountAccounts,
    DeleteMessages,
    Done,
    Expire,
    Failed,
    MessageOutcome,
    OpenRecord,
    ReadAccount,
    ReadMessages,
    RecordState,
    RegisterAccount,
    RegisterOutcome,
    RemoveAccount,
    Removed,
    StoredMessages,
    StoreMessage,
    StoreRequest,
    TouchRecords,
)
from entrenous_signaling.store.writer import LOCK_NAME, Store, is_held
from world.disk import fill, small_disk
from world.storeworld import WAIT_SECONDS, RunningStore, registration, running

BOUNDS = MessageBounds()


def test_requests_are_answered_each_once_and_in_order(databases: Databases) -> None:
    with running(databases) as store:
        tickets = [store.submit(OpenRecord(bytes([number]), number)) for number in range(200)]
        tickets += [store.submit(CloseRecord(bytes([number]), number + 1)) for number in range(200)]
        opened, closed = tickets[:200], tickets[200:]
        assert {store.wait(ticket) for ticket in opened} == {RecordState.OPEN}
        assert {store.wait(ticket) for ticket in closed} == {Closed((1,))}
        assert store.do(registration()) is RegisterOutcome.REGISTERED
        assert isinstance(store.do(ReadAccount("bob")), Account)
    assert list(read_records(databases)) == [(number, 1) for number in range(200)]


def test_what_was_submitted_before_closing_is_stored(databases: Databases) -> None:
    with running(databases) as store:
        for number in range(500):
            store.submit(OpenRecord(b"%d" % number, number))
        expiring = store.submit(Expire(0, 0, 0))
    assert len(read_open_rows(databases)) == 500
    assert store.wait(expiring) is Done.DONE


def test_two_servers_do_not_share_a_directory(databases: Databases) -> None:
    with running(databases), pytest.raises(StoreError, match="Another server"):
        Store(databases)
    RunningStore(databases).store.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(Databases(tmp_path / "file" / "data"))


def test_a_directory_that_a_store_uses_can_be_told(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    store = Store(Databases(tmp_path))
    assert is_held(tmp_path)
    store.close()
    assert not is_held(tmp_path)


def test_who_only_looks_whether_a_store_is_there_keeps_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(Databases(tmp_path)).close()
    pauses: list[float] = []
    with (tmp_path / LOCK_NAME).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH | fcntl.LOCK_NB)

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            looking.close()

        monkeypatch.setattr(writer, "time", SimpleNamespace(sleep=sleep))
        store = Store(Databases(tmp_path))
    store.close()
    assert len(pauses) == 1


def test_a_store_that_stays_is_waited_for_a_moment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(Databases(tmp_path))
    pauses: list[float] = []
    monkeypatch.setattr(writer, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(StoreError, match="Another server"):
        Store(Databases(tmp_path))
    store.close()
    assert 0.0 < sum(pauses) < 1.0


def test_one_request_that_cannot_be_carried_out_does_not_take_others_along(databases: Databases) -> None:
    with running(databases) as store:
        tickets = [
            store.submit(OpenRecord(b"a", 1)),
            store.submit(OpenRecord(b"b", None)),  # type: ignore[arg-type]  # what the table refuses
            store.submit(OpenRecord(b"c", 3)),
            store.submit(CloseRecord(b"a", 2)),
            store.submit(CloseRecord(b"c", 4)),
        ]
        outcomes = [store.wait(ticket) for ticket in tickets]
        closed = Closed((1,))
        assert outcomes == [RecordState.OPEN, Failed.FAILED, RecordState.OPEN, closed, closed]
    assert list(read_records(databases)) == [(1, 1), (3, 1)]


def message(number: int, username: str = "bob", expires: int = 100, body: bytes = b"body") -> StoreMessage:
    return StoreMessage(username, "d1", b"%d" % number, b"tag", body, expires, BOUNDS)


def test_messages_of_many_are_stored_and_deleted_in_batches(databases: Databases) -> None:
    names = [f"user{number}" for number in range(40)]
    with running(databases) as store:
        for name in names:
            store.do(registration(name))
        tickets = {(name, number): store.submit(message(number, name)) for number in range(12) for name in names}
        for key, ticket in tickets.items():
            assert store.wait(ticket) is MessageOutcome.STORED, key
        deleting = [store.submit(DeleteMessages(name, "d1", (b"0", b"11"))) for name in names]
        again = [store.submit(message(0, name)) for name in names]
        assert {store.wait(ticket) for ticket in deleting} == {Done.DONE}
        assert {store.wait(ticket) for ticket in again} == {MessageOutcome.STORED}
        for name in names:
            found = store.do(ReadMessages(name, "d1", 0, 100))
            assert isinstance(found, StoredMessages)
            assert [stored.id for stored in found.messages] == [b"%d" % number for number in (*range(1, 11), 0)]


def test_requests_have_their_turn_between_the_steps_of_housekeeping(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(databases) as store:
        at_the_end: list[object] = []

        def steps(*_: object) -> Iterator[None]:
            ticket = store.submit(OpenRecord(b"a", 1))
            for _ in range(2):
                yield
            at_the_end.append(store.wait(ticket))

        monkeypatch.setattr(writer, "expire", steps)
        assert store.do(Expire(0, 0, 0)) is Done.DONE
        assert at_the_end == [RecordState.OPEN]


def test_housekeeping_that_fails_says_so_and_stops_nothing(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(*_: object) -> Iterator[None]:
        yield
        raise OSError

    monkeypatch.setattr(writer, "expire", steps)
    with running(databases) as store:
        assert store.do(Expire(0, 0, 0)) is Failed.FAILED
        assert store.do(OpenRecord(b"a", 1)) is RecordState.OPEN


def test_housekeeping_that_takes_long_is_left_when_the_store_closes(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    at_the_end: list[bool] = []

    def steps(*_: object) -> Iterator[None]:
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            begun.set()
            yield
        at_the_end.append(True)

    monkeypatch.setattr(writer, "expire", steps)
    monkeypatch.setattr(writer, "_LAST_CHORES_SECONDS", 0.0)
    with running(databases) as store:
        store.submit(Expire(0, 0, 0))
        assert begun.wait(WAIT_SECONDS)
        written = store.submit(OpenRecord(b"a", 1))
    assert store.wait(written) is RecordState.OPEN
    assert [row.token for row in read_open_rows(databases)] == [b"a"]
    assert at_the_end == []


def test_a_message_that_waits_in_a_queue_for_its_account_goes_with_it(databases: Databases) -> None:
    with running(databases) as store:
        store.do(registration())
        tickets = [
            store.submit(request)
            for request in (message(1), RemoveAccount("bob"), message(2), registration(), message(3), CountAccounts())
        ]
        outcomes = [store.wait(ticket) for ticket in tickets[:-1]]
        assert outcomes == [
            MessageOutcome.STORED,
            Removed(devices=1, prekeys=2, messages=1),
            MessageOutcome.NO_DEVICE,
            RegisterOutcome.REGISTERED,
            MessageOutcome.STORED,
        ]
        assert store.do(CountAccounts()) == AccountTotals(1, 1, 1)


def test_while_another_process_locks_the_database_writes_fail_reads_go_on_and_later_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    with running(Databases(tmp_path)) as store:
        store.do(registration())
        lock = sqlite3.connect(tmp_path / "accounts.sqlite3", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        assert store.do(registration("eve")) is Failed.FAILED
        assert isinstance(store.do(ReadAccount("bob")), Account)
        lock.execute("ROLLBACK")
        lock.close()
        assert store.do(ReadAccount("eve")) is None
        assert store.do(registration("eve")) is RegisterOutcome.REGISTERED


def big(username: str) -> RegisterAccount:
    return registration(username, prekeys=(b"p" * 1300,))


def test_on_a_full_disk_nothing_is_half_done_and_with_room_it_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as folder:
        with running(Databases(folder)) as store:
            assert store.do(registration()) is RegisterOutcome.REGISTERED
            ballast = fill(folder)
            outcomes = [store.do(big(f"user{number}")) for number in range(50)]
            assert Failed.FAILED in outcomes
            stored = outcomes.index(Failed.FAILED)
            ballast.unlink()
            assert store.do(ReadAccount(f"user{stored}")) is None
            assert store.do(big(f"user{stored}")) is RegisterOutcome.REGISTERED
            assert store.do(registration(prekeys=(b"new",))) is RegisterOutcome.REGISTERED
        with running(Databases(folder)) as store:
            for number in range(stored + 1):
                assert isinstance(store.do(ReadAccount(f"user{number}")), Account)


TOKEN = b"\xc3TOKEN-OF-A-CALL"


def token_is_kept(folder: Path) -> bool:
    return any(TOKEN in path.read_bytes() for path in folder.iterdir())


def test_the_token_of_a_closed_record_is_in_no_file_any_more(tmp_path: Path) -> None:
    with running(Databases(tmp_path)) as store:
        store.do(OpenRecord(TOKEN, 1))
        assert token_is_kept(tmp_path)
        store.do(CloseRecord(TOKEN, 3))
    assert not token_is_kept(tmp_path)


def wait_until_forgotten(store: RunningStore, *, meanwhile: StoreRequest) -> None:
    """Look into the files, with the server at work, until the token is in none; fails when it stays."""
    until = time.monotonic() + WAIT_SECONDS
    while token_is_kept(store.folder):
        assert time.monotonic() < until
        store.do(meanwhile)


def test_a_server_that_goes_on_forgets_the_token_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LONGEST_SECONDS", 3600.0)  # it is being idle that counts
    with running(Databases(tmp_path)) as store:
        store.do(OpenRecord(TOKEN, 1))
        store.do(TouchRecords(((TOKEN, 2),)))
        store.do(CloseRecord(TOKEN, 3))
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))


def test_and_so_does_one_that_is_never_idle(tmp_path: Path) -> None:
    with running(Databases(tmp_path)) as store:
        store.do(OpenRecord(TOKEN, 1))
        store.do(CloseRecord(TOKEN, 3))
        wait_until_forgotten(store, meanwhile=TouchRecords(((b"another", 2),)))


def test_a_failure_after_a_record_was_closed_keeps_nothing_in_the_log(tmp_path: Path) -> None:
    with running(Databases(tmp_path)) as store:
        # Who reads keeps the log from being folded in when the failed connection is closed.
        reader = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None)
        reader.execute("SELECT * FROM call_record").fetchall()
        store.do(OpenRecord(TOKEN, 1))
        store.do(CloseRecord(TOKEN, 3))
        assert store.do(OpenRecord(b"", None)) is Failed.FAILED  # type: ignore[arg-type]  # what the table refuses
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))
        reader.close()


def test_somebody_who_reads_holds_up_no_request_and_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_busy, fold = threading.Event(), sqlite.SqliteFiles.fold

    def folds(files: sqlite.SqliteFiles, connection: Connection) -> bool:
        done = fold(files, connection)
        if not done:
            was_busy.set()
        return done

    monkeypatch.setattr(sqlite.SqliteFiles, "fold", folds)
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 3600.0)
    with running(Databases(tmp_path)) as store:
        store.do(OpenRecord(TOKEN, 1))
        reader = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM open_record").fetchall()
        store.do(CloseRecord(TOKEN, 3))
        assert store.do(OpenRecord(b"", 3)) is RecordState.OPEN
        assert was_busy.wait(WAIT_SECONDS)
        assert token_is_kept(tmp_path)
        reader.close()
        wait_until_forgotten(store, meanwhile=ReadAccount("bob"))
