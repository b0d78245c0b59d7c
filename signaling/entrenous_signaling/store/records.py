"""Call records, many at once, within a transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from .requests import CloseRecord, DiscardRecord, Done, OpenRecord, TouchRecords
from .sets import Columns, execute_set

_TOKEN: Final[Columns] = (("token", "bytea"),)
_OPEN: Final = """
    WITH {wanted} INSERT INTO open_record (token, start, seen)
    SELECT token, start, start FROM wanted WHERE {real} ON CONFLICT DO NOTHING
"""
_TOUCH: Final = """
    WITH {wanted} UPDATE open_record SET seen = wanted.seen FROM wanted WHERE open_record.token = wanted.token
"""
_DELETE: Final = "WITH {wanted} DELETE FROM open_record WHERE token IN (SELECT token FROM wanted) RETURNING token"
_APPEND: Final = """
    WITH {wanted} INSERT INTO call_record (start, duration) SELECT start, duration FROM wanted WHERE {real}
"""


def open_records(connection: Connection, requests: Sequence[OpenRecord]) -> list[Done]:
    """Open those that are not open."""
    rows = [(request.token, request.start) for request in requests]
    execute_set(connection, _OPEN, (*_TOKEN, ("start", "bigint")), rows)
    return [Done.DONE] * len(requests)


def touch_records(connection: Connection, requests: Sequence[TouchRecords]) -> list[Done]:
    """Note when they were last seen."""
    seen = {token: request.seen for request in requests for token in request.tokens}
    execute_set(connection, _TOUCH, (*_TOKEN, ("seen", "bigint")), sorted(seen.items()))
    return [Done.DONE] * len(requests)


def close_records(connection: Connection, requests: Sequence[CloseRecord]) -> list[Done]:
    """Append a closed record for each open one that this transaction, and no other, has deleted."""
    closing = {request.token: request for request in reversed(requests)}
    deleted = {bytes(token) for (token,) in execute_set(connection, _DELETE, _TOKEN, [(key,) for key in closing])}
    rows = [(request.start, request.duration) for token, request in closing.items() if token in deleted]
    execute_set(connection, _APPEND, (("start", "bigint"), ("duration", "bigint")), rows)
    return [Done.DONE] * len(requests)


def discard_records(connection: Connection, requests: Sequence[DiscardRecord]) -> list[Done]:
    """Delete open records that are of no use."""
    execute_set(connection, _DELETE, _TOKEN, [(request.token,) for request in requests])
    return [Done.DONE] * len(requests)
