"""Several servers that use one PostgreSQL at the same time."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, read_open_rows
from entrenous_signaling.store.records import (
    RecordRequest,
    close_stale_records,
    discard_records,
    forget_ended_calls,
    touch_records,
)
from entrenous_signaling.store.requests import (
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
from lab.postgres import Cluster
from world.storeworld import WAIT_SECONDS, registration, running

psycopg = pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")


def until_so_many_wait_for_a_lock(cluster: Cluster, count: int = 1) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    until = time.monotonic() + WAIT_SECONDS
    while int(cluster.execute("postgres", waiting)[0][0]) < count:
        assert time.monotonic() < until
        time.sleep(0.01)  # PostgreSQL tells nobody


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
        until_so_many_wait_for_a_lock(cluster)
        other.commit()
        assert store.wait(ticket) is outcome
    assert b"ERROR" not in cluster.log.read_bytes()[before:]
