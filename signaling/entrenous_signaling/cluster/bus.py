"""The seam to what carries bytes between nodes: NATS today; anything with subjects that may lose messages would do.

A bus promises little, so that many things can be one: what it carries arrives once, or not at all, or late. Order,
repetition and proof of who speaks are the business of others (`lane`, `courier`, `seal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

LARGEST_PAYLOAD: Final = 512 * 1024
"""Bytes that one payload between nodes may have; a parcel with it fits into what NATS takes by default (1 MiB)."""


class ClusterError(Exception):
    """What came from another node cannot be used; it is counted and dropped."""


def subject_of(prefix: str, node: bytes | None) -> str:
    """The subject on which a node hears, or all of them; it tells nothing but a number drawn at a node's start.

    Args:
        prefix: of all subjects of this cluster.
        node: whose; None for all.
    """
    return f"{prefix}.{'all' if node is None else node.hex()}"


Received = Callable[[str, bytes], None]
"""Takes a subject and the parcel that came on it."""


class Bus(Protocol):
    """Carries parcels to every node that listens on a subject."""

    @property
    def is_connected(self) -> bool:
        """Whether parcels go out and come in."""

    async def start(
        self, subjects: Sequence[str], received: Received, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Begin to connect, and do so again for ever after each loss, until `close`; returns without waiting for it.

        Args:
            subjects: to listen on.
            received: called with each parcel, never with those of this node itself.
            connected: called when parcels go out and come in.
            lost: called when they do not any more.
        """

    def publish(self, subject: str, parcel: bytes) -> bool:
        """Send a parcel without waiting for anything; False when it was dropped: not connected, or too much waits."""

    async def close(self) -> None:
        """Send what waits, as far as that takes no time, and let go."""
