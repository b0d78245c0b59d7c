"""Call records, many at once, within a transaction that the caller has begun.

Of a call that is over, the hash of its token stays for some minutes, for what is said again after a crash: whoever
opens a record inserts it first and looks for the hash afterwards. The insert waits for whoever is closing the same
record at that moment, and the look that follows sees what that one has committed: so no call is recorded twice.

Processes that share a database would wait for each other in a circle if each held what the next one wants. So each of
these opens first, then holds records that are there, then remembers hashes, each in the order of their bytes; and no
transaction carries out two of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, delete, select

from . import schema
from .requests import (
    ENDED_STEP_SECONDS,
    ClaimRecord,
    Closed,
    CloseRecord,
    DiscardRecord,
    Done,
    OpenRecord,
    RecordState,
    TouchRecords,
)
from .sets import Columns, execute_set

RecordRequest = OpenRecord | ClaimRecord | TouchRecords | CloseRecord | DiscardRecord
"""What concerns the call records; all the others concern the accounts."""

_ROWS_A_STEP: Final = 200

_TOKEN: Final[Columns] = (("token", "bytea"),)
_TOKEN_AND_START: Final[Columns] = (*_TOKEN, ("start", "bigint"))
_HASH: Final[Columns] = (("hash", "bytea"),)
_OPEN: Final = """
    WITH {wanted} INSERT INTO open_record (token, start, seen)
    SELECT token, start, start FROM wanted WHERE {real} ON CONFLICT DO NOTHING
"""
_FIND: Final = "WITH {wanted} SELECT token, seen FROM wanted JOIN open_record USING (token)"
_TOUCH: Final = """
    WITH {wanted}, held AS (
        SELECT open_record.token AS token, wanted.now AS now FROM wanted JOIN open_record USING (token)
        ORDER BY open_record.token {locked}
    )
    UPDATE open_record SET seen = now FROM held WHERE open_record.token = held.token AND seen < now
"""
_DELETE: Final = """
    WITH {wanted}, held AS (
        SELECT open_record.token AS token FROM wanted JOIN open_record USING (token)
        ORDER BY open_record.token {locked}
    )
    DELETE FROM open_record WHERE token IN (SELECT token FROM held) RETURNING token, start, seen
"""
_APPEND: Final = """
    WITH {wanted} INSERT INTO call_record (start, duration) SELECT start, duration FROM wanted WHERE {real}
"""
_REMEMBER: Final = """
    WITH {wanted} INSERT INTO ended_call (hash, ended) SELECT hash, ended FROM wanted WHERE {real}
    ON CONFLICT DO NOTHING
"""
_FIND_ENDED: Final = "WITH {wanted} SELECT hash FROM wanted JOIN ended_call USING (hash)"


def open_records(connection: Connection, requests: Sequence[OpenRecord]) -> list[RecordState]:
    """Open those that are not open, unless their calls are over."""
    starts = {request.token: request.start for request in reversed(requests)}
    execute_set(connection, _OPEN, _TOKEN_AND_START, sorted(starts.items()))
    tokens = {_hash(token): token for token in starts}
    ended = execute_set(connection, _FIND_ENDED, _HASH, [(found,) for found in tokens])
    over = {tokens[bytes(found)] for (found,) in ended}
    execute_set(connection, _DELETE, _TOKEN, [(token,) for token in sorted(over)])
    return [RecordState.OVER if request.token in over else RecordState.OPEN for request in requests]


def claim_records(connection: Connection, requests: Sequence[ClaimRecord]) -> list[RecordState]:
    """Tell which are open, and let those that were seen lately count as seen at the time that is asked for."""
    rows = execute_set(connection, _FIND, _TOKEN, [(request.token,) for request in requests])
    seen = {bytes(token): last for token, last in rows}
    alive = [request for request in requests if seen.get(request.token, -1) >= request.fresh_since]
    _touch(connection, ((request.token, request.seen) for request in alive))
    return [RecordState.OPEN if request.token in seen else RecordState.OVER for request in requests]


def touch_records(connection: Connection, requests: Sequence[TouchRecords]) -> list[Done]:
    """Note when they were last seen."""
    _touch(connection, (row for request in requests for row in request.seen))
    return [Done.DONE] * len(requests)


def close_records(connection: Connection, requests: Sequence[CloseRecord]) -> list[Closed]:
    """Append a closed record for each open one that this transaction, and no other, has deleted."""
    durations = _close(connection, {request.token: request for request in reversed(requests)})
    return [Closed((durations.pop(request.token),) if request.token in durations else ()) for request in requests]


def discard_records(connection: Connection, requests: Sequence[DiscardRecord]) -> list[Done]:
    """Delete those that are open, and remember that their calls are over.

    Those that are not open are opened before, so that whoever opens them at this moment waits, and sees that.
    """
    ended = {request.token: request.at for request in requests}
    execute_set(connection, _OPEN, _TOKEN_AND_START, sorted(ended.items()))
    execute_set(connection, _DELETE, _TOKEN, [(token,) for token in sorted(ended)])
    _remember(connection, list(ended.items()))
    return [Done.DONE] * len(requests)


def close_stale_records(connection: Connection, before: int) -> list[int]:
    """Close some of those that were last seen earlier, at that time; returns their durations.

    What another process is touching or closing now is left to it.
    """
    record = schema.open_record
    stale = select(record.c.token).where(record.c.seen < before).limit(_ROWS_A_STEP)
    tokens = connection.scalars(stale.with_for_update(skip_locked=True)).all()
    closing = [CloseRecord(bytes(token), before, before) for token in tokens]
    return list(_close(connection, {request.token: request for request in closing}).values())


def forget_ended_calls(connection: Connection, before: int) -> int:
    """Forget some of the calls that ended earlier; returns how many."""
    ended = schema.ended_call
    old = select(ended.c.hash).where(ended.c.ended < before).limit(_ROWS_A_STEP)
    hashes = connection.scalars(old.with_for_update(skip_locked=True)).all()
    return connection.execute(delete(ended).where(ended.c.hash.in_(hashes))).rowcount if hashes else 0


def _touch(connection: Connection, rows: Iterable[tuple[bytes, int]]) -> None:
    latest: dict[bytes, int] = {}
    for token, seen in rows:
        latest[token] = max(seen, latest.get(token, seen))
    execute_set(connection, _TOUCH, (*_TOKEN, ("now", "bigint")), sorted(latest.items()))


def _close(connection: Connection, requests: Mapping[bytes, CloseRecord]) -> dict[bytes, int]:
    """Close those that are open; returns their durations."""
    durations: dict[bytes, int] = {}
    records: list[tuple[int, int]] = []
    ended: list[tuple[bytes, int]] = []
    for token, start, seen in execute_set(connection, _DELETE, _TOKEN, [(token,) for token in sorted(requests)]):
        request = requests[bytes(token)]
        end = seen if seen < request.fresh_since else request.at
        durations[request.token] = max(0, end - start)
        records.append((start, durations[request.token]))
        ended.append((request.token, end))
    execute_set(connection, _APPEND, (("start", "bigint"), ("duration", "bigint")), records)
    _remember(connection, ended)
    return durations


def _remember(connection: Connection, ended: Sequence[tuple[bytes, int]]) -> None:
    rows = sorted((_hash(token), -(-at // ENDED_STEP_SECONDS) * ENDED_STEP_SECONDS) for token, at in ended)
    execute_set(connection, _REMEMBER, (*_HASH, ("ended", "bigint")), rows)


def _hash(token: bytes) -> bytes:
    """What stays of a token when its call is over."""
    return hashlib.sha256(token).digest()
