"""Exactly one closed record, whoever closes it and however often."""

from __future__ import annotations

from pathlib import Path

from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, read_open_rows, read_records
from entrenous_signaling.store.records import close_records, open_records
from entrenous_signaling.store.requests import CloseRecord, Done, OpenRecord
from lab.postgres import Cluster
from world.storeworld import running


def test_a_batch_closes_a_record_once(databases: Databases) -> None:
    migrate(databases)
    engine = databases.backend().engine(Part.USAGE, writes=True)
    with engine.begin() as connection:
        open_records(connection, [OpenRecord(token, 1) for token in (b"a", b"a", b"b", b"c", b"d")])
        closing = [CloseRecord(b"a", 1, 5), CloseRecord(b"a", 1, 6), CloseRecord(b"unknown", 1, 7)]
        closing += [CloseRecord(b"c", 2, 8), CloseRecord(b"d", 3, 9)]
        assert close_records(connection, closing) == [Done.DONE] * 5
    engine.dispose()
    assert list(read_records(databases)) == [(1, 5), (2, 8), (3, 9)]
    assert [row.token for row in read_open_rows(databases)] == [b"b"]


def test_two_servers_that_close_the_same_records_leave_one_of_each(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.url(cluster.empty())
    first, second = Databases(tmp_path / "1", url), Databases(tmp_path / "2", url)
    tokens = [b"%d" % number for number in range(1000)]
    with running(first) as one, running(second) as other:
        tickets = [one.submit(OpenRecord(token, 1)) for token in tokens]
        assert {one.wait(ticket) for ticket in tickets} == {Done.DONE}
        # From both ends, so that they meet with locks taken the other way round.
        ones = [one.submit(CloseRecord(token, 1, 2)) for token in tokens]
        others = [other.submit(CloseRecord(token, 1, 2)) for token in reversed(tokens)]
        assert {one.wait(ticket) for ticket in ones} == {Done.DONE}
        assert {other.wait(ticket) for ticket in others} == {Done.DONE}
    assert list(read_records(first)) == [(1, 2)] * len(tokens)
    assert read_open_rows(first) == []
