"""PostgreSQL that goes away, comes back, freezes, and is shared."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.condition import indiscretions
from entrenous_signaling.store.database import Databases, StoreError, count, migrate, read_open_rows
from entrenous_signaling.store.records import (
    RecordRequest,
    close_stale_records,
    discard_records,
    forget_ended_calls,
    touch_records,
)
from entrenous_signaling.store.requests import (
    Account,
    ClaimRecord,
    Closed,
    CloseRecord,
    DeviceOutcome,
    DiscardRecord,
    Done,
    Expire,
    Failed,
    MessageOutcome,
    OpenRecord,
    PrekeysOutcome,
    ReadAccount,
    ReadMessages,
    RecordState,
    RegisterOutcome,
    ReplacePrekeys,
    StoreDevice,
    StoredMessages,
    StoreMessage,
    StoreRequest,
    TouchRecords,
)
from entrenous_signaling.store.session import Session
from lab.postgres import Cluster, running_cluster
from world.storeworld import WAIT_SECONDS, RunningStore, registration, running

psycopg = pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
postgresql = pytest.importorskip("entrenous_signaling.store.postgresql")


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """A cluster that is stopped and frozen here, and that nobody else uses."""
    with running_cluster() as started:
        yield started


@pytest.fixture
def shared(tmp_path: Path, cluster: Cluster) -> Databases:
    return Databases(tmp_path, cluster.url(cluster.empty()))


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


def until_so_many_wait_for_a_lock(cluster: Cluster, count: int = 1) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    until = time.monotonic() + WAIT_SECONDS
    while int(cluster.execute("postgres", waiting)[0][0]) < count:
        assert time.monotonic() < until
        time.sleep(0.01)  # PostgreSQL tells nobody


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


def test_servers_that_start_at_once_on_an_empty_database_make_its_tables_once(shared: Databases) -> None:
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(migrate, shared) for _ in range(4)]:
            started.result()
    assert read_open_rows(shared) == []


def test_two_servers_that_store_for_one_device_keep_to_its_bounds_and_to_one_order(
    shared: Databases, tmp_path: Path
) -> None:
    bounds = MessageBounds(per_receiver=300, per_sender=40)
    with running(shared) as one, running(Databases(tmp_path / "2", shared.url)) as other:
        one.do(registration())
        tickets = []
        for number in range(400):
            for store, name in ((one, b"a%d" % number), (other, b"b%d" % number)):
                wanted = StoreMessage("bob", "d1", name, b"%d" % (number % 9), b"", 1, bounds)
                tickets.append((store, store.submit(wanted)))
        seen: list[int] = []
        for store, ticket in tickets:
            store.wait(ticket)
            found = other.do(ReadMessages("bob", "d1", seen[-1] if seen else 0, 500))
            assert isinstance(found, StoredMessages)
            seen += [message.number for message in found.messages]
        outcomes = [store.wait(ticket) for store, ticket in tickets]
        everything = other.do(ReadMessages("bob", "d1", 0, 500))
        assert isinstance(everything, StoredMessages)
        assert seen == [message.number for message in everything.messages]  # none appeared behind one that was read
        assert outcomes.count(MessageOutcome.STORED) == 300


@pytest.mark.usefixtures("patience")
def test_a_name_that_another_server_is_just_registering_is_taken(shared: Databases, cluster: Cluster) -> None:
    with running(shared) as store, psycopg.connect(shared.url) as other:
        other.execute("INSERT INTO accounts.account VALUES ('bob', 'another key', 1)")
        ticket = store.submit(registration())
        until_so_many_wait_for_a_lock(cluster)
        other.commit()
        assert store.wait(ticket) is RegisterOutcome.NAME_TAKEN


@pytest.mark.usefixtures("patience")
def test_an_account_that_another_server_is_just_removing_gets_no_device(shared: Databases, cluster: Cluster) -> None:
    with running(shared) as store, psycopg.connect(shared.url) as other:
        assert store.do(registration()) is RegisterOutcome.REGISTERED
        other.execute("DELETE FROM accounts.account")
        ticket = store.submit(StoreDevice("bob", b"key", "d2", b"cert", 1000, 20))
        until_so_many_wait_for_a_lock(cluster)
        other.commit()
        assert store.wait(ticket) is DeviceOutcome.NO_ACCOUNT


def test_an_account_that_another_server_is_just_noting_as_used_is_kept(shared: Databases) -> None:
    with running(shared) as store, psycopg.connect(shared.url) as other:
        for name in ("bob", "eve"):
            assert store.do(registration(name)) is RegisterOutcome.REGISTERED
        other.execute("UPDATE accounts.account SET active_week = 9 WHERE username = 'bob'")
        assert store.do(Expire(now=10, records_before=0, inactive_before_week=5)) is Done.DONE
        other.commit()
        assert [store.do(ReadAccount(name)) is None for name in ("bob", "eve")] == [False, True]


@pytest.mark.usefixtures("patience")
def test_a_call_of_which_another_server_is_just_saying_that_it_is_over_has_no_record(
    shared: Databases, cluster: Cluster
) -> None:
    engine = shared.backend().engine(Part.USAGE, writes=True)
    with running(shared) as store, engine.connect() as other:
        with other.begin():
            assert discard_records(other, [DiscardRecord(b"a", 107)]) == [Done.DONE]
            ticket = store.submit(OpenRecord(b"a", 100))
            until_so_many_wait_for_a_lock(cluster)
        assert store.wait(ticket) is RecordState.OVER
    assert read_open_rows(shared) == []


@pytest.fixture
def sessions(shared: Databases, cluster: Cluster, patience: None) -> Iterator[tuple[Session, ...]]:
    """Three processes that write records; afterwards none of them was in a circle of such as wait for each other."""
    migrate(shared)
    opened = tuple(Session(shared.backend(), Part.USAGE, writes=True) for _ in range(3))
    before = cluster.log.stat().st_size
    yield opened
    for session in opened:
        session.close()
    assert b"deadlock" not in cluster.log.read_bytes()[before:]


def results(session: Session, *requests: RecordRequest) -> list[object]:
    return [result for _, result in session.answer(list(enumerate(requests)))]


def test_batches_about_the_same_records_wait_for_each_other_in_no_circle(
    sessions: tuple[Session, ...], cluster: Cluster
) -> None:
    first, second, third = sessions
    results(first, *(OpenRecord(token, 100) for token in (b"a", b"b", b"z")))
    with ThreadPoolExecutor(2) as pool:

        def hold_z(connection: Connection) -> tuple[Future[list[object]], Future[list[object]]]:
            touch_records(connection, [TouchRecords(((b"z", 101),))])
            batch = TouchRecords(((b"b", 110),)), CloseRecord(b"z", 120), ClaimRecord(b"a", 110, 0)
            one = pool.submit(results, first, *batch)
            until_so_many_wait_for_a_lock(cluster, 1)
            other = pool.submit(results, second, TouchRecords(((b"a", 105),)), CloseRecord(b"b", 130))
            with contextlib.suppress(TimeoutError):
                other.result(0.5)  # it waits for the first, or not at all
            return one, other

        one, other = third.transact(hold_z)
        assert one.result(WAIT_SECONDS) == [Done.DONE, Closed((20,)), RecordState.OPEN]
        assert other.result(WAIT_SECONDS) == [Done.DONE, Closed((30,))]


def test_nor_do_many_batches_whatever_is_in_them(sessions: tuple[Session, ...]) -> None:
    tokens = [b"%02d" % number for number in range(40)]

    def work(session: Session) -> bool:
        draw = random.Random(sessions.index(session))
        for _ in range(40):
            touched = tuple((token, draw.randrange(100, 200)) for token in draw.sample(tokens, 20))
            requests: list[RecordRequest] = [TouchRecords(touched)]
            requests += [OpenRecord(token, 100) for token in draw.sample(tokens, 8)]
            requests += [CloseRecord(token, 200) for token in draw.sample(tokens, 8)]
            requests += [ClaimRecord(token, 150, 100) for token in draw.sample(tokens, 8)]
            requests += [DiscardRecord(token, 100) for token in draw.sample(tokens, 2)]
            draw.shuffle(requests)
            if Failed.FAILED in results(session, *requests):
                return False
            session.transact(lambda connection: close_stale_records(connection, draw.randrange(300)))
            session.transact(lambda connection: forget_ended_calls(connection, 10**6))
        return True

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, sessions)) == [True] * 3


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


def until_locked_out(cluster: Cluster) -> None:
    """Wait until somebody waits for what another transaction has."""
    until = time.monotonic() + WAIT_SECONDS
    while cluster.execute("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
        assert time.monotonic() < until
        time.sleep(0.01)  # PostgreSQL tells nobody


@pytest.mark.parametrize(
    ("meanwhile", "request_", "outcome"),
    [
        ("INSERT INTO accounts.account VALUES ('eve', 'key', 1)", registration("eve"), RegisterOutcome.REGISTERED),
        ("INSERT INTO accounts.account VALUES ('eve', 'other', 1)", registration("eve"), RegisterOutcome.NAME_TAKEN),
        ("DELETE FROM accounts.account", ReplacePrekeys("bob", "d1", b"key", (b"p3",)), PrekeysOutcome.OTHER_KEY),
        ("DELETE FROM accounts.account", StoreDevice("bob", b"key", "d2", b"", 2**33, 10), DeviceOutcome.NO_ACCOUNT),
        ("DELETE FROM accounts.account", registration(), RegisterOutcome.REGISTERED),
    ],
)
def test_what_another_process_does_meanwhile_is_no_error_in_the_log(
    shared: Databases, cluster: Cluster, meanwhile: str, request_: StoreRequest, outcome: object
) -> None:
    before = cluster.log.stat().st_size
    with running(shared) as store, psycopg.connect(shared.url) as other:
        store.do(registration())
        other.execute(meanwhile)
        ticket = store.submit(request_)
        until_locked_out(cluster)
        other.commit()
        assert store.wait(ticket) is outcome
    assert b"ERROR" not in cluster.log.read_bytes()[before:]
