"""One connection to a NATS server.

The protocol is spoken here rather than by a library, since little of it is wanted, and that strictly. Nothing is said
without TLS where TLS was asked for, whatever the server says of itself. A parcel is written to the connection at once
or dropped, and nobody waits. A server that falls silent is given up. What comes is handed on as it is read, so that a
busy node makes NATS wait and no queue grows here; when NATS cuts a node that reads too slowly, that is a loss like any
other, and lanes say again what was in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, assert_never, cast

from .bus import ClusterError, Received
from .nats_protocol import (
    LARGEST_PARCEL,
    PING,
    PONG,
    Arrived,
    Credentials,
    Info,
    Parser,
    Ping,
    Pong,
    Refused,
    greeting,
    message,
)
from .settings import NatsPlace

CONNECT_SECONDS: Final = 5.0
"""How long a server may take until it has let this node in."""
BEAT_SECONDS: Final = 1.0
SILENT_BEATS: Final = 4
"""A server that has not answered for so many beats is given up."""
PENDING_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be read by NATS; the parcel above it is dropped."""
CLOSE_SECONDS: Final = 1.0


class Trouble(Enum):
    """Why there is no connection."""

    UNREACHABLE = "unreachable"
    """Nobody answers, or not in time."""
    NO_NATS = "no-nats"
    """Who answers is no NATS server."""
    NO_TLS = "no-tls"
    """It speaks no TLS, and nothing was said to it."""
    UNTRUSTED = "untrusted"
    """Its certificate does not fit its name, or nobody that is known here stands behind it."""
    CREDENTIALS = "credentials"
    """It does not know this node."""
    PERMISSIONS = "permissions"
    """It does not let this node use the subjects of the cluster."""
    TOO_SMALL = "too-small"
    """It takes no messages as large as parcels are."""


class NatsError(Exception):
    """There is no connection to a NATS server.

    Args:
        trouble: why.
    """

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class NatsAccess:
    """How NATS is reached.

    Args:
        places: of its servers, of which one will do.
        credentials: who this node is.
        tls: how their certificates are judged.
    """

    places: Sequence[NatsPlace]
    credentials: Credentials = field(default_factory=Credentials)
    tls: ssl.SSLContext | None = None


async def connect(place: NatsPlace, access: NatsAccess, subjects: Sequence[str], received: Received) -> NatsConnection:
    """Connect to one server, and be let in and subscribed; what comes is held until `begin`.

    Args:
        place: of the server.
        access: who this node is, and how the certificate is judged.
        subjects: to listen on.
        received: called with what comes on them.

    Raises:
        NatsError: it cannot be reached or does not let this node in.
    """
    connection = NatsConnection(received)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await _enter(connection, place, access, subjects)
    except BaseException as error:
        connection.abort()
        match error:
            case ClusterError():
                raise NatsError(Trouble.NO_NATS) from None
            case ssl.SSLError():
                raise NatsError(Trouble.UNTRUSTED) from None
            case OSError():  # TimeoutError too
                raise NatsError(Trouble.UNREACHABLE) from None
            case _:
                raise
    return connection


async def _enter(connection: NatsConnection, place: NatsPlace, access: NatsAccess, subjects: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, place.host, place.port)
    info = await connection.greeted
    if info.max_payload < LARGEST_PARCEL:
        raise NatsError(Trouble.TOO_SMALL)
    secure = place.tls or info.tls_required
    if secure:
        if not info.tls_required:
            raise NatsError(Trouble.NO_TLS)
        context = access.tls or ssl.create_default_context()
        secured = await loop.start_tls(connection.begin_tls(), connection, context, server_hostname=place.host)
        if secured is None:
            raise ConnectionResetError
        connection.secured(secured)
    connection.enter(access.credentials, subjects, tls=secure)
    await connection.let_in


class NatsConnection(asyncio.Protocol):
    """One connection to a NATS server; `connect` opens it.

    Args:
        received: called with what comes on the subjects.
    """

    def __init__(self, received: Received) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[Info] = loop.create_future()
        """What the server says first."""
        self.let_in: asyncio.Future[None] = loop.create_future()
        """Done when the server has taken who this is and what it listens on."""
        self.lost = asyncio.Event()
        """Set when the connection is gone."""
        self._loop = loop
        self._received = received
        self._parser = Parser()
        self._has_entered = False
        self._early: list[Arrived] | None = []
        self._transport: asyncio.Transport | None = None
        self._unanswered = 0
        self._beat: asyncio.TimerHandle | None = None

    def say(self, words: bytes) -> None:
        """Send bytes of the protocol."""
        if self._transport is not None:
            self._transport.write(words)

    def enter(self, credentials: Credentials, subjects: Sequence[str], *, tls: bool) -> None:
        """Say who this is and what it listens on; `let_in` tells what came of it.

        Args:
            credentials: who this is.
            subjects: to listen on; it must be allowed to publish on the last of them.
            tls: whether this is said over TLS.
        """
        self._has_entered = True
        self.say(greeting(credentials, subjects, tls=tls))

    def publish(self, subject: str, parcel: bytes) -> bool:
        """Send a parcel; False when it was dropped, since too much waits or the connection is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(parcel) > PENDING_BYTES:
            return False
        transport.writelines(message(subject, parcel))
        return True

    def begin(self) -> None:
        """Hand on what comes, and watch over the server: it answers, or is given up."""
        early, self._early = self._early, None
        for said in early or ():
            self._received(said.subject, said.payload)
        if not self.lost.is_set():
            self._beat = self._loop.call_later(BEAT_SECONDS, self._ping)

    def begin_tls(self) -> asyncio.Transport:
        """The transport without TLS, on which nothing more is read or said.

        Raises:
            ClusterError: something came in clear that would be taken for said over TLS.
        """
        if self._transport is None or not self._parser.is_between:
            raise ClusterError("words before TLS")
        return self._transport

    def secured(self, transport: asyncio.Transport) -> None:
        """Go on over this transport."""
        self._transport = transport

    def abort(self, why: Exception | None = None) -> None:
        """Drop the connection.

        Args:
            why: what `greeted` and `let_in` raise, when they are not done.
        """
        if self._transport is not None:
            self._transport.abort()
        self._over(why or ConnectionAbortedError("the connection to NATS was dropped"))

    async def close(self) -> None:
        """Send what waits, for a moment at most, and drop the connection."""
        if self._transport is not None:
            self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.lost.wait()
        self.abort()

    # --- what the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._over(ConnectionResetError("the connection to NATS is gone"))

    def data_received(self, data: bytes) -> None:
        """Take what the server says."""
        try:
            for said in self._parser.feed(data):
                if isinstance(said, Arrived) and self._early is None:  # as nearly all are: a pattern takes longer
                    self._received(said.subject, said.payload)
                else:
                    self._take(said)
        except (ClusterError, NatsError) as error:
            self.abort(error)

    # --- inside ---

    def _take(self, said: Info | Arrived | Ping | Pong | Refused) -> None:
        match said:
            case Arrived() if self._has_entered and self._early is not None:
                self._early.append(said)
            case Pong() if self._has_entered:
                self._unanswered = 0
                if not self.let_in.done():
                    self.let_in.set_result(None)
            case Ping():
                self.say(PONG)
            case Info():
                if not self.greeted.done():  # later ones tell of servers that come and go
                    self.greeted.set_result(said)
            case Refused():
                raise NatsError(_trouble_of(said))
            case Arrived() | Pong():
                raise ClusterError("a word that answers nothing")
            case _:
                assert_never(said)

    def _ping(self) -> None:
        if self._unanswered >= SILENT_BEATS:
            self.abort()
            return
        self._unanswered += 1
        self.say(PING)
        self._beat = self._loop.call_later(BEAT_SECONDS, self._ping)

    def _over(self, why: Exception) -> None:
        """Nothing comes or goes any more."""
        if self.lost.is_set():
            return
        self._transport = None
        self.lost.set()
        if self._beat is not None:
            self._beat.cancel()
        for waiting in (self.greeted, self.let_in):
            if not waiting.done():
                waiting.set_exception(why)
                waiting.exception()  # nobody has to wait for both


def _trouble_of(refusal: Refused) -> Trouble:
    if refusal.is_about_credentials:
        return Trouble.CREDENTIALS
    if refusal.is_about_permissions:
        return Trouble.PERMISSIONS
    return Trouble.UNREACHABLE
