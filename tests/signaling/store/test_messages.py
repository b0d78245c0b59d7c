"""Messages within one batch, where each counts for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate
from entrenous_signaling.store.messages import delete_messages, read_messages, store_messages
from entrenous_signaling.store.requests import DeleteMessages, MessageOutcome, ReadMessages, StoreMessage
from entrenous_signaling.store.statements import carry_out
from world.storeworld import registration

BOUNDS = MessageBounds(per_receiver=4, bytes_per_receiver=100, per_sender=2)
STORED, KNOWN, FULL = MessageOutcome.STORED, MessageOutcome.KNOWN, MessageOutcome.FULL
SENDER_FULL, NO_DEVICE = MessageOutcome.SENDER_FULL, MessageOutcome.NO_DEVICE


@pytest.fixture
def connection(databases: Databases) -> Iterator[Connection]:
    migrate(databases)
    engine = databases.backend().engine(Part.ACCOUNTS, writes=True)
    with engine.begin() as connection:
        carry_out(connection, [registration("bob"), registration("eve")])
        yield connection
    engine.dispose()


def message(number: int, sender: bytes = b"s", username: str = "bob", body: bytes = b"body") -> StoreMessage:
    return StoreMessage(username, "d1", b"%d" % number, sender, body, 100, BOUNDS)


def test_requests_of_a_batch_count_each_other(connection: Connection) -> None:
    batch = [message(1), message(1, b"t"), message(2), message(3), message(1, username="eve"), message(1, username="x")]
    assert store_messages(connection, batch) == [STORED, KNOWN, STORED, SENDER_FULL, STORED, NO_DEVICE]
    batch = [message(3, b"t"), message(2), message(4, b"t"), message(5, b"u"), message(3, b"t")]
    assert store_messages(connection, batch) == [STORED, KNOWN, STORED, FULL, KNOWN]
    found = read_messages(connection, ReadMessages("bob", "d1", 0, 10)).messages
    assert [stored.id for stored in found] == [b"1", b"2", b"3", b"4"]


def test_bytes_are_counted_within_a_batch_too(connection: Connection) -> None:
    batch = [message(1, body=b"x" * 60), message(2, b"t", body=b"x" * 41), message(3, b"t", body=b"x" * 40)]
    assert store_messages(connection, batch) == [STORED, FULL, STORED]
    assert store_messages(connection, [message(4, b"u", body=b"x")]) == [FULL]


def test_a_mailbox_is_read_by_its_own_index_alone(connection: Connection) -> None:
    # The table of all messages would be read otherwise, whoever fetches his two.
    store_messages(connection, [message(1)])
    if connection.dialect.name == "postgresql":
        plan = "EXPLAIN SELECT number FROM message WHERE username = 'bob' AND device = 'd1'"
    else:
        plan = "EXPLAIN QUERY PLAN SELECT number FROM message WHERE username = 'bob' AND device = 'd1'"
    text = " ".join(str(row) for row in connection.exec_driver_sql(plan))
    assert "message_once" in text or "sqlite_autoindex_message_1" in text


def test_deleting_more_than_one_statement_takes(connection: Connection) -> None:
    store_messages(connection, [message(1), message(2)])
    requests = [DeleteMessages("bob", "d1", tuple(b"%d" % number for number in range(64)))] * 9
    delete_messages(connection, requests)
    assert read_messages(connection, ReadMessages("bob", "d1", 0, 10)).messages == ()
