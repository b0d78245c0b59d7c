"""Between the hub and the bus: what is said to a node is sealed, and what is heard from one is opened.

A parcel is a payload, sealed for its subject (see `seal`).
"""

from __future__ import annotations

from collections.abc import Callable

from entrenous_signaling.meters import Meters, ParcelStep

from .bus import LARGEST_PAYLOAD, Bus, ClusterError, subject_of
from .seal import Seal


class Courier:
    """Carries payloads to other nodes and from them.

    Args:
        bus: carries parcels.
        seal: seals and opens them.
        prefix: of the cluster's subjects.
        node: of this server.
        meters: where parcels are counted.
    """

    def __init__(self, bus: Bus, seal: Seal, prefix: str, node: bytes, meters: Meters) -> None:
        self._bus = bus
        self._seal = seal
        self._prefix = prefix
        self._node = node
        self._meters = meters
        self._received: Callable[[bytes], None] = _nobody_yet

    @property
    def is_connected(self) -> bool:
        """Whether other nodes can be reached."""
        return self._bus.is_connected

    async def start(
        self, received: Callable[[bytes], None], connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Begin to connect; returns without waiting for it.

        Args:
            received: called with each payload from another node.
            connected: called when other nodes can be reached.
            lost: called when they cannot any more.
        """
        self._received = received
        subjects = (subject_of(self._prefix, None), subject_of(self._prefix, self._node))
        await self._bus.start(subjects, self._arrived, connected, lost)

    def publish(self, node: bytes | None, payload: bytes) -> None:
        """Say something to a node, or to all others; it is dropped and counted when that cannot be done now.

        Args:
            node: which; None for all others.
            payload: LARGEST_PAYLOAD bytes at most.

        Raises:
            ValueError: it is larger.
        """
        if len(payload) > LARGEST_PAYLOAD:
            raise ValueError("a payload that no bus carries")
        step = ParcelStep.DROPPED
        if self._bus.is_connected:
            subject = subject_of(self._prefix, node)
            if self._bus.publish(subject, self._seal.seal(subject, payload)):
                step = ParcelStep.SENT
        self._meters.parcels[step] += 1

    async def close(self) -> None:
        """Let go of the bus."""
        await self._bus.close()

    def _arrived(self, subject: str, sealed: bytes) -> None:
        try:
            payload = self._seal.open(subject, sealed)
        except ClusterError:
            self._meters.parcels[ParcelStep.REFUSED] += 1
            return
        self._meters.parcels[ParcelStep.RECEIVED] += 1
        self._received(payload)


def _nobody_yet(payload: bytes) -> None:
    """Before `start` nothing is received."""
