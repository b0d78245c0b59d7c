"""PostgreSQL that goes away, comes back and freezes; how it is set and cleared up, and what it must not note."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.condition import indiscretions
from entrenous_signaling.store.database import Databases, StoreError, count, migrate, read_open_rows
from entrenous_signaling.store.requests import (
    Account,
    Done,
    Expire,
    Failed,
    MessageOutcome,
    OpenRecord,
    ReadAccount,
    RecordState,
    RegisterOutcome,
    StoreMessage,
    StoreRequest,
)
from lab.postgres import Cluster, running_cluster
from world.storeworld import WAIT_SECONDS, RunningStore, registration, running

psycopg = pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
postgresql = pytest.importorskip("entrenous_signaling.store.postgresql")


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """A cluster that is stopped and frozen here, and that nobody else uses."""
    with running_cluster() as started:
        yield started


def fill(store: RunningStore, count: int, body: bytes) -> None:
    """Let so many messages wait for bob."""
    bounds = MessageBounds(per_receiver=count, per_sender=count)
    assert store.do(registration()) is RegisterOutcome.REGISTERED
    names = [b"%d" % number for number in range(count)]
    tickets = [store.submit(StoreMessage("bob", "d1", name, b"tag", body, 1, bounds)) for name in names]
    assert {store.wait(ticket) for ticket in tickets} == {MessageOutcome.STORED}


def until_it_is_back(store: RunningStore, request: StoreRequest) -> object:
    """Ask again and again, as the hub does, until something else than Failed comes."""
    until = time.monotonic() + WAIT_SECONDS
    while (result := store.do(request)) is Failed.FAILED:
        assert time.monotonic() < until
        time.sleep(0.02)
    return result


def test_every_connection_flushes_waits_for_seconds_and_sees_its_schema(shared: Databases) -> None:
    migrate(shared)
    for part in Part:
        with shared.backend().engine(part, writes=True).connect() as connection:
            shown = {
                name: connection.exec_driver_sql(f"SHOW {name}").scalar()
                for name in ("synchronous_commit", "lock_timeout", "statement_timeout", "search_path", "fsync")
            }
        assert shown == {
            "synchronous_commit": "on",
            "lock_timeout": "2s",
            "statement_timeout": "4s",
            "search_path": part.value,
            "fsync": "on",
        }
        with shared.backend().engine(part, writes=False).connect() as connection:
            assert connection.exec_driver_sql("SHOW default_transaction_read_only").scalar() == "on"


def test_what_is_no_address_of_a_database_is_refused() -> None:
    with pytest.raises(StoreError, match="postgresql://user@host"):
        postgresql.PostgresSchemas("postgresql:/\\nowhere = =")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush@host/name",
        "postgresql://host/name?user=me&password=hush",
        "postgresql://host/name?user=me&p%61ssword=hush",
        "postgresql://me@host/name?sslkey=/etc/key.pem&sslpassword=hush",
        "postgresql://me@host/name?sslpassword=",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreError, match="holds a password") as refused:
        postgresql.PostgresSchemas(url)
    assert "hush" not in str(refused.value)


def test_what_could_not_be_reached_is_left_alone_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    moments = iter((100.0, 100.0, 100.9, 101.1, 101.1))  # one looks before trying, and notes when that was in vain

    def connect(*_: object, **__: object) -> None:
        tries.append(None)
        raise psycopg.OperationalError

    monkeypatch.setattr(postgresql._Connection, "connect", connect)
    monkeypatch.setattr(postgresql, "time", SimpleNamespace(monotonic=moments.__next__))
    engine = postgresql.PostgresSchemas("postgresql:///none").engine(Part.USAGE, writes=True)
    seen = []
    for _ in range(3):
        with pytest.raises(OperationalError):
            engine.connect()
        seen.append(len(tries))
    assert seen == [1, 1, 2]


def test_a_restart_between_two_requests_is_not_noticed(tmp_path: Path, own_cluster: Cluster) -> None:
    with running(Databases(tmp_path, own_cluster.url(own_cluster.empty()))) as store:
        assert store.do(registration()) is RegisterOutcome.REGISTERED
        assert store.do(OpenRecord(b"a", 1)) is RecordState.OPEN
        assert isinstance(store.do(ReadAccount("bob")), Account)
        own_cluster.stop()
        own_cluster.start()
        assert isinstance(store.do(ReadAccount("bob")), Account)
        assert store.do(OpenRecord(b"b", 1)) is RecordState.OPEN


def test_while_it_is_away_requests_fail_and_what_was_acknowledged_is_there_afterwards(
    tmp_path: Path, own_cluster: Cluster
) -> None:
    databases = Databases(tmp_path, own_cluster.url(own_cluster.empty()))
    with running(databases) as store:
        tickets = [store.submit(OpenRecord(b"%d" % number, 1)) for number in range(2000)]
        store.wait(tickets[300])
        own_cluster.stop(signal.SIGQUIT)  # in the middle of it, as a power cut
        outcomes = [store.wait(ticket) for ticket in tickets]
        assert set(outcomes) <= {RecordState.OPEN, Failed.FAILED}
        assert store.do(ReadAccount("bob")) is Failed.FAILED
        own_cluster.start()
        assert until_it_is_back(store, ReadAccount("bob")) is None
        assert until_it_is_back(store, OpenRecord(b"last", 1)) is RecordState.OPEN
        tokens = {row.token for row in read_open_rows(databases)}
        assert {b"%d" % number for number, outcome in enumerate(outcomes) if outcome is RecordState.OPEN} <= tokens


def test_one_that_does_not_answer_is_given_up_within_seconds(
    tmp_path: Path, own_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql._Connection, "patience", 0.3)
    monkeypatch.setattr(postgresql, "_CONNECT_SECONDS", 2)  # libpq takes no less
    with running(Databases(tmp_path, own_cluster.url(own_cluster.empty()))) as store:
        assert store.do(OpenRecord(b"a", 1)) is RecordState.OPEN
        with own_cluster.frozen():
            tickets = [store.submit(OpenRecord(b"%d" % number, 1)) for number in range(1000)]
            assert {store.wait(ticket) for ticket in tickets} == {Failed.FAILED}
        assert until_it_is_back(store, OpenRecord(b"b", 1)) is RecordState.OPEN


def test_whatever_the_database_is_set_to_each_statement_sees_what_was_committed(
    shared: Databases, cluster: Cluster
) -> None:
    migrate(shared)
    database = shared.url.split("/")[3].split("?")[0]
    cluster.execute("postgres", f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    try:
        with shared.backend().engine(Part.USAGE, writes=True).connect() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    finally:
        cluster.execute("postgres", f"ALTER DATABASE {database} RESET default_transaction_isolation")


def test_housekeeping_clears_dead_rows_away(shared: Databases, cluster: Cluster) -> None:
    database = shared.url.split("/")[3].split("?")[0]
    size = "SELECT pg_total_relation_size('accounts.message')"
    with running(shared) as store:
        fill(store, 500, b"x" * 4000)
        ((before,),) = cluster.execute(database, size)
        assert store.do(Expire(1, 0, 0)) is Done.DONE
        assert count(shared).messages == 0
        until = time.monotonic() + WAIT_SECONDS
        while cluster.execute(database, size)[0][0] > before / 4:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_vacuum_that_goes_on_ends_with_the_server(shared: Databases, cluster: Cluster) -> None:
    database = shared.url.split("/")[3].split("?")[0]
    vacuums = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM%.message' AND state = 'active'"
    cluster.execute("postgres", "ALTER SYSTEM SET vacuum_cost_delay = '100ms'")
    cluster.execute("postgres", "ALTER SYSTEM SET vacuum_cost_limit = 1")
    cluster.execute("postgres", "SELECT pg_reload_conf()")
    try:
        with running(shared) as store:
            fill(store, 3000, b"x" * 1000)
            assert store.do(Expire(1, 0, 0)) is Done.DONE
            assert count(shared).messages == 0
            until = time.monotonic() + WAIT_SECONDS
            while cluster.execute(database, vacuums) == [(0,)]:
                assert time.monotonic() < until
                time.sleep(0.02)
        assert cluster.execute(database, vacuums) == [(0,)]
    finally:
        cluster.execute("postgres", "ALTER SYSTEM RESET ALL")
        cluster.execute("postgres", "SELECT pg_reload_conf()")


def test_nothing_of_the_rows_is_noted_for_the_planner(shared: Databases, cluster: Cluster) -> None:
    with running(shared) as store:
        store.do(registration())
        store.do(OpenRecord(b"token", 1))
    database = "entrenous"
    noted = "SELECT tablename, attname FROM pg_stats WHERE schemaname IN ('accounts', 'usage')"
    cluster.execute(database, "ANALYZE")
    assert cluster.execute(database, noted) == []
    # So that this test sees what it is about: a column as the database would treat it, until the next start.
    cluster.execute(database, "ALTER TABLE accounts.account ALTER COLUMN username SET STATISTICS 100")
    cluster.execute(
        database, "INSERT INTO accounts.account SELECT 'user' || n, '' FROM generate_series(1, 9) AS n; ANALYZE"
    )
    assert cluster.execute(database, noted) == [("account", "username")]
    migrate(shared)
    assert cluster.execute(
        database,
        "SELECT attstattarget FROM pg_attribute WHERE attname = 'username' AND attrelid = 'accounts.account'::regclass",
    ) == [(0,)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("log_error_verbosity", "default"), ("log_statement", "mod"), ("log_min_duration_statement", "100")],
)
def test_a_log_that_would_quote_rows_is_seen(shared: Databases, cluster: Cluster, setting: str, value: str) -> None:
    cluster.execute("postgres", f"ALTER DATABASE entrenous SET {setting} = '{value}'")
    try:
        found = dict(indiscretions(shared))
        assert setting in found
        cluster.execute("postgres", f"ALTER DATABASE entrenous SET {setting} = '{found[setting]}'")
        assert setting not in dict(indiscretions(shared))
    finally:
        cluster.execute("postgres", f"ALTER DATABASE entrenous RESET {setting}")
