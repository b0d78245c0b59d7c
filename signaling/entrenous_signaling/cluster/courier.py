"""Between the hub and the bus: what is said to a node in one turn of the loop goes into one sealed parcel.

A parcel costs its system calls, its way through the bus and its seal however small it is, so that under load many
payloads share that. When little is said a parcel has one payload, and is not held back.

::

    parcel = MessagePack [payload, …], sealed for its subject (see `seal`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from entrenous_signaling.meters import Meters, ParcelStep

from .bus import LARGEST_PAYLOAD, Bus, ClusterError, subject_of
from .seal import Seal

_FULL: Final = LARGEST_PAYLOAD
"""Bytes of payloads after which the next one begins another parcel."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


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
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes | None, list[bytes]] = {}
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
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.setdefault(node, []).append(payload)

    async def close(self) -> None:
        """Send what waits, as far as that takes no time, and let go of the bus."""
        self._send()
        await self._bus.close()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for node, payloads in waiting.items():
            subject = subject_of(self._prefix, node)
            begin = size = 0
            for end, payload in enumerate(payloads):
                if size and size + len(payload) > _FULL:
                    self._send_parcel(subject, payloads[begin:end])
                    begin, size = end, 0
                size += len(payload)
            self._send_parcel(subject, payloads[begin:])

    def _send_parcel(self, subject: str, payloads: list[bytes]) -> None:
        step = ParcelStep.DROPPED
        if self._bus.is_connected:
            parcel = self._seal.seal(subject, _encode(payloads))
            if self._bus.publish(subject, parcel):
                step = ParcelStep.SENT
        self._meters.parcels[step] += 1

    def _arrived(self, subject: str, sealed: bytes) -> None:
        try:
            payloads = _decode(self._seal.open(subject, sealed))
        except (ClusterError, msgspec.DecodeError):
            self._meters.parcels[ParcelStep.REFUSED] += 1
            return
        self._meters.parcels[ParcelStep.RECEIVED] += 1
        for payload in payloads:
            self._received(payload)


def _nobody_yet(payload: bytes) -> None:
    """Before `start` nothing is received."""
