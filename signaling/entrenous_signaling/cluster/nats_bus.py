"""Parcels over NATS: one connection at a time, made anew for ever, to whichever of the servers answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from entrenous_signaling.logs import Event, log, log_internal_error

from .bus import Received
from .nats_connection import NatsAccess, NatsConnection, NatsError, Trouble, connect

STEADY_SECONDS: Final = 10.0
"""A connection that does not last as long counts as an attempt that failed."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


class NatsBus:
    """A `Bus` over NATS.

    Args:
        access: how it is reached.
        draw: a number from 0 to 1, so that nodes do not all come at the same moment.
    """

    def __init__(self, access: NatsAccess, draw: Callable[[], float]) -> None:
        self._access = access
        self._draw = draw
        self._connection: NatsConnection | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether parcels go out and come in."""
        return self._connection is not None

    async def start(
        self, subjects: Sequence[str], received: Received, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Begin to connect; see `Bus.start`."""
        keeping = self._keep_connected(subjects, received, connected, lost)
        self._keeper = asyncio.get_running_loop().create_task(keeping)

    def publish(self, subject: str, parcel: bytes) -> bool:
        """Send a parcel, or drop it; see `Bus.publish`."""
        return self._connection is not None and self._connection.publish(subject, parcel)

    async def close(self) -> None:
        """Send what waits and let go."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _keep_connected(
        self, subjects: Sequence[str], received: Received, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        told: Event | None = None
        while True:
            place = self._access.places[failures % len(self._access.places)]
            event = Event.BUS_LOST
            try:
                connection = await connect(place, self._access, subjects, received)
            except NatsError as error:
                event = _event_of(error.trouble)
                failures += 1
            except Exception as error:  # whatever it is, the next attempt may do better
                log_internal_error(error)
                failures += 1
            else:
                since = loop.time()
                self._connection = connection
                log(Event.BUS_CONNECTED)
                told = None
                connected()
                connection.begin()
                await connection.lost.wait()
                self._connection = None
                lost()
                failures = 0 if loop.time() - since > STEADY_SECONDS else failures + 1
            if event is not told:
                told = event
                log(event)
            await asyncio.sleep(pause(failures, self._draw()))


def pause(failures: int, drawn: float) -> float:
    """Seconds until the next attempt.

    Args:
        failures: attempts that failed, one after the other.
        drawn: a number from 0 to 1.
    """
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10)) * (0.5 + drawn / 2)


def _event_of(trouble: Trouble) -> Event:
    """What the log says of a first attempt that failed; `check` says more."""
    match trouble:
        case Trouble.UNREACHABLE:
            return Event.BUS_LOST
        case (
            Trouble.NO_NATS
            | Trouble.NO_TLS
            | Trouble.UNTRUSTED
            | Trouble.CREDENTIALS
            | Trouble.PERMISSIONS
            | Trouble.TOO_SMALL
        ):
            return Event.BUS_REFUSED
        case _:
            assert_never(trouble)
