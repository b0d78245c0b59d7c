"""What becomes of a batch when something fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from entrenous_signaling.store import sqlite
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, read_open_rows
from entrenous_signaling.store.requests import Closed, CloseRecord, Failed, OpenRecord, RecordState, TouchRecords
from entrenous_signaling.store.session import BatchItem, Session


@pytest.fixture
def usage(databases: Databases) -> Session:
    migrate(databases)
    return Session(databases.backend(), Part.USAGE, writes=True)


def test_what_the_database_refuses_is_found_among_many_and_fails_alone(usage: Session, databases: Databases) -> None:
    bad = {3, 17, 200}
    batch = [
        (number, OpenRecord(b"%d" % number, None if number in bad else number))  # type: ignore[arg-type]
        for number in range(256)
    ]
    outcomes = usage.answer(batch)
    assert [ticket for ticket, _ in outcomes] == list(range(256))
    assert {ticket for ticket, result in outcomes if result is Failed.FAILED} == bad
    assert len(read_open_rows(databases)) == 253
    usage.close()


def test_a_transaction_that_fails_has_done_nothing(usage: Session, databases: Databases) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO open_record VALUES ('x', 1, 1)")
        raise ValueError

    with pytest.raises(ValueError):
        usage.transact(work)
    assert read_open_rows(databases) == []
    assert usage.answer([(1, OpenRecord(b"a", 1))]) == [(1, RecordState.OPEN)]
    usage.close()


def test_a_locked_file_fails_the_whole_batch_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    migrate(Databases(tmp_path))
    session = Session(Databases(tmp_path).backend(), Part.USAGE, writes=True)
    lock = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    tries: list[Callable[..., object]] = []
    transact = session.transact
    monkeypatch.setattr(session, "transact", lambda work: (tries.append(work), transact(work))[1])
    assert {result for _, result in session.answer([(1, TouchRecords(((b"a", 1),)))] * 256)} == {Failed.FAILED}
    assert len(tries) == 1
    lock.close()
    session.close()


def test_a_database_that_is_away_is_waited_for_once_however_many_kinds_of_requests_there_are(
    usage: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Callable[..., object]] = []

    def away(work: Callable[..., object]) -> None:
        tries.append(work)
        raise OperationalError("statement", {}, Exception())

    monkeypatch.setattr(usage, "transact", away)
    batch: list[BatchItem] = [(1, OpenRecord(b"a", 1)), (2, TouchRecords(((b"a", 1),))), (3, CloseRecord(b"a", 2))]
    assert usage.answer(batch) == [(ticket, Failed.FAILED) for ticket in (1, 2, 3)]
    assert len(tries) == 1
    usage.close()


def test_answers_come_in_the_order_of_the_requests(usage: Session) -> None:
    batch: list[BatchItem] = []
    for ticket, token in ((1, b"a"), (3, b"b")):
        batch += [(ticket, OpenRecord(token, 1)), (ticket + 1, CloseRecord(token, 1 + ticket))]
    opened = RecordState.OPEN
    assert usage.answer(batch) == [(1, opened), (2, Closed((1,))), (3, opened), (4, Closed((3,)))]
    usage.close()


def test_nothing_is_left_in_the_journal_after_folding_unless_somebody_reads(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    session = Session(Databases(tmp_path).backend(), Part.USAGE, writes=True)
    session.answer([(1, OpenRecord(b"a", 1))])
    reader = sqlite3.connect(tmp_path / "usage.sqlite3", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM open_record").fetchall()
    session.answer([(1, OpenRecord(b"b", 1))])
    assert not session.fold()
    reader.close()
    assert session.fold()
    assert (tmp_path / "usage.sqlite3-wal").stat().st_size == 0
    session.close()


class _RefusedError(Exception):
    def __init__(self, state: str) -> None:
        self.sqlstate = state


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (OperationalError("statement", {}, _RefusedError("40P01")), 2),
        (OperationalError("statement", {}, _RefusedError("40001")), 2),
        (IntegrityError("statement", {}, _RefusedError("23505")), 2),
        (OperationalError("statement", {}, _RefusedError("53100"), connection_invalidated=True), 2),
        (OperationalError("statement", {}, _RefusedError("53100")), 1),
        (IntegrityError("statement", {}, sqlite3.IntegrityError()), 1),
    ],
)
def test_what_another_process_was_in_the_way_of_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int
) -> None:
    session = Session(Databases(tmp_path).backend(), Part.USAGE, writes=True)
    tries = []

    def refuse(work: object) -> None:
        tries.append(work)
        raise error

    monkeypatch.setattr(session, "transact", refuse)
    assert session.answer([(7, OpenRecord(b"a", 1))]) == [(7, Failed.FAILED)]
    assert len(tries) == times
