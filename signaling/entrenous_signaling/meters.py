"""What the shell around the hub counts and measures: numbers without a name on them, as `counters` for the hub."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .distributions import Distribution

CALL_BOUNDS: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
STORE_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PAUSE_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Bounds in seconds, of the metrics of those names."""


class Access(Enum):
    """Which of the store's threads a request is for."""

    READ = "read"
    WRITE = "write"


class RecordStep(Enum):
    """What became of a call record on disk."""

    OPENED = "opened"
    CLOSED = "closed"
    DISCARDED = "discarded"
    """Its call was over before it began."""


class UpgradeRefusal(Enum):
    """Why a connection was not let in."""

    DRAINING = "draining"
    FULL = "full"
    CROWD = "crowd"
    """Too many came at a time, from everywhere together."""
    ADDRESS = "address"
    """Too many came, or are here, from one network address."""


class Handshake(Enum):
    """How a TLS handshake ended."""

    FULL = "full"
    RESUMED = "resumed"
    """With a session ticket: a fifth of the work."""
    REFUSED = "refused"
    """It failed, or was not over in time."""


class ParcelStep(Enum):
    """What became of a parcel between nodes."""

    SENT = "sent"
    RECEIVED = "received"
    DROPPED = "dropped"
    """The bus was not there, or did not keep up; what was in it is said again."""
    REFUSED = "refused"
    """Sealed with another secret, changed on its way, or come before."""


class Generation(Enum):
    """What a collection of garbage looked through: the youngest objects, the younger ones, all of them."""

    YOUNGEST = "0"
    YOUNGER = "1"
    ALL = "2"


def _by_access() -> dict[Access, Distribution]:
    return {access: Distribution(STORE_BOUNDS) for access in Access}


def _by_generation() -> dict[Generation, Distribution]:
    return {generation: Distribution(PAUSE_BOUNDS) for generation in Generation}


@dataclass(slots=True)
class Meters:
    """Totals since the start of the server; durations are in seconds.

    Args:
        records: call records, by what became of them.
        call_seconds: how long the calls took whose records were closed.
        store_seconds: from asking the store to its answer.
        lag_seconds: by how much the loop's timer was late.
        pause_seconds: how long everything stood still while garbage was collected.
        cuts: connections that were cut since their node did not read.
        upgrades_refused: connections that were not let in.
        handshakes: TLS handshakes that are over.
        parcels: what was to go to other nodes, and came from them.
    """

    records: Counter[RecordStep] = field(default_factory=Counter)
    call_seconds: Distribution = field(default_factory=lambda: Distribution(CALL_BOUNDS))
    store_seconds: dict[Access, Distribution] = field(default_factory=_by_access)
    lag_seconds: Distribution = field(default_factory=lambda: Distribution(LAG_BOUNDS))
    pause_seconds: dict[Generation, Distribution] = field(default_factory=_by_generation)
    cuts: int = 0
    upgrades_refused: Counter[UpgradeRefusal] = field(default_factory=Counter)
    handshakes: Counter[Handshake] = field(default_factory=Counter)
    parcels: Counter[ParcelStep] = field(default_factory=Counter)
