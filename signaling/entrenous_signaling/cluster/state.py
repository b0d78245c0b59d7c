"""How a node sees its cluster, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ClusterState:
    """How a node sees its cluster.

    Args:
        connected: whether it is connected to the bus.
        cut_off_since: Unix seconds since when it is not, or None while it is.
        nodes: other nodes that it hears and that hear it.
        sessions: sessions of other nodes that it knows of.
        waiting: envelopes to other nodes that these have not acknowledged.
        waiting_bytes: their size together.
        lost_nodes: how often a node was given up because it was silent, or gave this one up.
        dropped: payloads, and things in them, that were not understood, came too late or came out of nowhere.
    """

    connected: bool
    cut_off_since: float | None
    nodes: int
    sessions: int
    waiting: int
    waiting_bytes: int
    lost_nodes: int
    dropped: int


ALONE: Final = ClusterState(
    connected=True,
    cut_off_since=None,
    nodes=0,
    sessions=0,
    waiting=0,
    waiting_bytes=0,
    lost_nodes=0,
    dropped=0,
)
"""What a server says of its cluster that has none."""
