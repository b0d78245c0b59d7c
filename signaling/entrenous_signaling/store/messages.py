"""Messages that wait for their devices, many at once, within a transaction that the caller has begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from .requests import (
    DeleteMessages,
    Done,
    MessageOutcome,
    ReadMessages,
    StoredMessage,
    StoredMessages,
    StoreMessage,
)
from .sets import Columns, execute_set

_DEVICE: Final[Columns] = (("username", "text"), ("device", "text"))
_ID: Final[Columns] = (*_DEVICE, ("id", "bytea"))
_ROW: Final[Columns] = (*_ID, ("sender_tag", "bytea"), ("body", "bytea"), ("expires", "bigint"))

# A device's row is locked before its messages are counted, in an order that all processes keep: so no two of them
# fill the same place, and of one device no message becomes visible under a lower number than an earlier one.
_LOCK: Final = """
    WITH {wanted} SELECT 1 FROM wanted JOIN device USING (username, device)
    ORDER BY username, device FOR NO KEY UPDATE OF device
"""
_COUNT: Final = """
    WITH {wanted} SELECT username, device, message.sender_tag, count(message.number), sum(length(message.body))
    FROM wanted JOIN device USING (username, device) LEFT JOIN message USING (username, device)
    GROUP BY username, device, message.sender_tag
"""
_KNOWN: Final = "WITH {wanted} SELECT username, device, id FROM wanted JOIN message USING (username, device, id)"
_INSERT: Final = """
    WITH {wanted} INSERT INTO message (username, device, id, sender_tag, body, expires)
    SELECT username, device, id, sender_tag, body, expires FROM wanted WHERE {real}
"""
_DELETE: Final = """
    WITH {wanted} DELETE FROM message WHERE number IN
    (SELECT message.number FROM wanted JOIN message USING (username, device, id))
"""

# The numbers of one device are few; those of the table, in whose order the planner would otherwise look, are many.
_READ: Final = """
    WITH waiting AS MATERIALIZED (SELECT number FROM message WHERE username = {0} AND device = {0})
    SELECT number, id, body FROM message
    WHERE number IN (SELECT number FROM waiting WHERE number > {0} ORDER BY number LIMIT {0}) ORDER BY number
"""

DeviceKey = tuple[str, str]


@dataclass(slots=True)
class _Waiting:
    """What is stored for one device, with what this batch adds."""

    messages: int = 0
    size: int = 0
    of_sender: Counter[bytes] = field(default_factory=Counter)
    ids: set[bytes] = field(default_factory=set)

    def add(self, request: StoreMessage) -> MessageOutcome:
        """Take a message in if there is room."""
        if request.id in self.ids:
            return MessageOutcome.KNOWN
        if self.of_sender[request.sender_tag] >= request.bounds.per_sender:
            return MessageOutcome.SENDER_FULL
        size = self.size + len(request.body)
        if self.messages >= request.bounds.per_receiver or size > request.bounds.bytes_per_receiver:
            return MessageOutcome.FULL
        self.messages += 1
        self.size = size
        self.of_sender[request.sender_tag] += 1
        self.ids.add(request.id)
        return MessageOutcome.STORED


def store_messages(connection: Connection, requests: Sequence[StoreMessage]) -> list[MessageOutcome]:
    """Store what there is room for; each counts for those after it."""
    waiting = _look_up(connection, requests)
    outcomes: list[MessageOutcome] = []
    rows = []
    for request in requests:
        device = waiting.get((request.username, request.device))
        outcome = MessageOutcome.NO_DEVICE if device is None else device.add(request)
        outcomes.append(outcome)
        if outcome is MessageOutcome.STORED:
            rows.append(
                (request.username, request.device, request.id, request.sender_tag, request.body, request.expires)
            )
    execute_set(connection, _INSERT, _ROW, rows)
    return outcomes


def _look_up(connection: Connection, requests: Sequence[StoreMessage]) -> dict[DeviceKey, _Waiting]:
    devices = list({(request.username, request.device): None for request in requests})
    if connection.dialect.name == "postgresql":  # SQLite has one writer, which holds all of it
        execute_set(connection, _LOCK, _DEVICE, sorted(devices))
    waiting: dict[DeviceKey, _Waiting] = {}
    for username, device, tag, messages, size in execute_set(connection, _COUNT, _DEVICE, devices):
        found = waiting.setdefault((username, device), _Waiting())
        if messages:
            found.messages += messages
            found.size += size
            found.of_sender[bytes(tag)] += messages
    asked = [
        (request.username, request.device, request.id)
        for request in requests
        if (there := waiting.get((request.username, request.device))) is not None and there.messages
    ]
    for username, device, known in execute_set(connection, _KNOWN, _ID, asked):
        waiting[username, device].ids.add(bytes(known))
    return waiting


def delete_messages(connection: Connection, requests: Sequence[DeleteMessages]) -> list[Done]:
    """Delete what was delivered."""
    rows = [(request.username, request.device, known) for request in requests for known in request.ids]
    execute_set(connection, _DELETE, _ID, rows)
    return [Done.DONE] * len(requests)


def read_messages(connection: Connection, request: ReadMessages) -> StoredMessages:
    """Read what waits for one device."""
    statement = _READ.format("%s" if connection.dialect.name == "postgresql" else "?")
    values = (request.username, request.device, request.after, request.limit)
    rows = connection.exec_driver_sql(statement, values)
    return StoredMessages(tuple(StoredMessage(number, bytes(known), bytes(body)) for number, known, body in rows))
