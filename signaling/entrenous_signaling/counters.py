"""What the hub counts: numbers without a name on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from entrenous_wire.messages import ErrorCode, Kind


@dataclass(slots=True)
class Counters:
    """Totals since the start of the server.

    Args:
        logins, resumes, registrations: sessions that were let in, by how they came.
        routed: messages that were queued for their receiver, by kind.
        repeated: messages that were said again and not routed again.
        delivered: messages that their receiver acknowledged.
        lost: messages whose receiver did not come back in time.
        claims_refused: calls that were claimed without an open record.
        store_failures: store requests that could not be carried out.
        refused: errors that were answered, by code.
    """

    logins: int = 0
    resumes: int = 0
    registrations: int = 0
    routed: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    repeated: int = 0
    delivered: int = 0
    lost: int = 0
    claims_refused: int = 0
    store_failures: int = 0
    refused: Counter[ErrorCode] = field(default_factory=Counter)
