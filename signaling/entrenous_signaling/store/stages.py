"""In which order the requests of a batch are carried out, so that few statements carry out many of them.

Requests of one kind go into one stage, and a stage becomes a few statements. What two requests say about the same
account, or the same call record, keeps its order; the others are free to move, since all of them are on disk at the
same moment.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import assert_never

from .requests import (
    BatchRequest,
    ClaimRecord,
    CloseRecord,
    CountAccounts,
    DeleteMessages,
    DiscardRecord,
    MarkActive,
    OpenRecord,
    ReadAccount,
    ReadClock,
    ReadMessages,
    RegisterAccount,
    RemoveAccount,
    ReplacePrekeys,
    StoreDevice,
    StoreMessage,
    TouchRecords,
)


def stages(requests: Sequence[BatchRequest]) -> list[list[int]]:
    """Where in `requests` those of each stage stand; all requests of a stage are of the same class.

    Args:
        requests: a batch in the order in which it was asked for.
    """
    found: list[tuple[type[BatchRequest], list[int]]] = []
    last: dict[Hashable, int] = {}
    for position, request in enumerate(requests):
        kind, keys = type(request), _concerns(request)
        stage = 0
        for key in keys:
            stage = max(stage, last.get(key, 0))
        while stage < len(found) and found[stage][0] is not kind:
            stage += 1
        if stage == len(found):
            found.append((kind, []))
        found[stage][1].append(position)
        for key in keys:
            last[key] = stage
    return [positions for _, positions in found]


def _concerns(request: BatchRequest) -> tuple[Hashable, ...]:
    """What must see the effects of requests in their order: an account by its name, a record by its token."""
    match request:
        case StoreMessage() | DeleteMessages() | MarkActive():
            return (request.username,)
        case RegisterAccount() | StoreDevice() | ReplacePrekeys() | RemoveAccount():
            return (request.username,)
        case ReadAccount() | ReadMessages() | CountAccounts() | ReadClock():
            return ()  # they only read, and are in no batch with what writes
        case OpenRecord() | ClaimRecord() | CloseRecord() | DiscardRecord():
            return (request.token,)
        case TouchRecords():
            return tuple(token for token, _ in request.seen)
        case _:
            assert_never(request)
