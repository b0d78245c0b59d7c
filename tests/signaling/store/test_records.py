"""Exactly one closed record, whoever closes it and however often."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, read_open_rows, read_records
from entrenous_signaling.store.records import close_records, open_records
from entrenous_signaling.store.requests import (
    Closed,
    CloseRecord,
    OpenRecord,
    RecordState,
    SweepRecords,
    TouchRecords,
)
from lab.postgres import Cluster
from world.storeworld import running


def test_a_batch_closes_a_record_once(databases: Databases) -> None:
    migrate(databases)
    engine = databases.backend().engine(Part.USAGE, writes=True)
    with engine.begin() as connection:
        opening = [OpenRecord(token, start) for token, start in ((b"a", 1), (b"a", 2), (b"b", 1), (b"c", 2), (b"d", 3))]
        assert open_records(connection, opening) == [RecordState.OPEN] * 5
        closing = [CloseRecord(b"a", 6), CloseRecord(b"a", 7), CloseRecord(b"unknown", 8)]
        closing += [CloseRecord(b"c", 10), CloseRecord(b"d", 12)]
        closed = close_records(connection, closing)
        assert [record.durations for record in closed] == [(5,), (), (), (8,), (9,)]
        assert open_records(connection, opening) == [RecordState.OVER] * 2 + [RecordState.OPEN] + [RecordState.OVER] * 2
    engine.dispose()
    assert list(read_records(databases)) == [(1, 5), (2, 8), (3, 9)]
    assert [row.token for row in read_open_rows(databases)] == [b"b"]


def two_servers(tmp_path: Path, cluster: Cluster) -> tuple[Databases, Databases]:
    url = cluster.url(cluster.empty())
    return Databases(tmp_path / "1", url), Databases(tmp_path / "2", url)


TOKENS = [b"%d" % number for number in range(1000)]


@pytest.mark.usefixtures("patience")
def test_two_servers_that_close_the_same_records_leave_one_of_each(tmp_path: Path, cluster: Cluster) -> None:
    first, second = two_servers(tmp_path, cluster)
    with running(first) as one, running(second) as other:
        tickets = [one.submit(OpenRecord(token, 1)) for token in TOKENS]
        assert {one.wait(ticket) for ticket in tickets} == {RecordState.OPEN}
        # From both ends, so that they meet with locks taken the other way round.
        ones = [one.submit(CloseRecord(token, 3)) for token in TOKENS]
        others = [other.submit(CloseRecord(token, 3)) for token in reversed(TOKENS)]
        outcomes = [one.wait(ticket) for ticket in ones] + [other.wait(ticket) for ticket in others]
    assert outcomes.count(Closed((2,))) == outcomes.count(Closed(())) == len(TOKENS)
    assert list(read_records(first)) == [(1, 2)] * len(TOKENS)
    assert read_open_rows(first) == []


@pytest.mark.usefixtures("patience")
def test_two_servers_that_open_close_and_sweep_the_same_records_leave_one_of_each(
    tmp_path: Path, cluster: Cluster
) -> None:
    first, second = two_servers(tmp_path, cluster)
    with running(first) as one, running(second) as other:
        for store in (one, other):
            tickets = [store.submit(OpenRecord(token, 1)) for token in TOKENS]
        sweeps = [(store, store.submit(SweepRecords(5, 0))) for store in (one, other)]
        others = [
            other.submit(request) for token in TOKENS for request in (CloseRecord(token, 3), OpenRecord(token, 4))
        ]
        sweeps += [(store, store.submit(SweepRecords(5, 0))) for store in (one, other)]
        assert {other.wait(ticket) for ticket in tickets} <= {RecordState.OPEN, RecordState.OVER}
        assert RecordState.OPEN not in [other.wait(ticket) for ticket in others]
        for store, ticket in sweeps:
            store.wait(ticket)
        assert one.do(SweepRecords(5, 0)) == Closed(())
    assert len(list(read_records(first))) == len(TOKENS)
    assert read_open_rows(first) == []


@pytest.mark.usefixtures("patience")
def test_what_another_server_keeps_alive_is_not_swept_up(tmp_path: Path, cluster: Cluster) -> None:
    first, second = two_servers(tmp_path, cluster)
    with running(first) as one, running(second) as other:
        tickets = [one.submit(OpenRecord(token, 1)) for token in TOKENS]
        assert {one.wait(ticket) for ticket in tickets} == {RecordState.OPEN}
        other.do(TouchRecords(tuple((token, 9) for token in TOKENS[:500])))
        sweeps = [one.submit(SweepRecords(9, 0)), one.submit(SweepRecords(9, 0))]
        other.do(TouchRecords(tuple((token, 10) for token in TOKENS[:500])))
        assert [one.wait(ticket) for ticket in sweeps] == [Closed((0,) * 500), Closed(())]
    assert sorted(row.token for row in read_open_rows(first)) == sorted(TOKENS[:500])
