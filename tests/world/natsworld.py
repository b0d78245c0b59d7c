"""NATS as a test sees it: what a bus has told, and something that only pretends to be a server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from entrenous_signaling.cluster.nats_bus import NatsBus
from entrenous_signaling.cluster.nats_connection import NatsAccess, NatsError, Trouble, connect
from entrenous_signaling.cluster.nats_protocol import Credentials
from entrenous_signaling.cluster.settings import NatsPlace
from lab.nats import NatsServer

PATIENCE = 30.0
ALL, OWN, OTHER = "entrenous.all", "entrenous.0011223344556677", "entrenous.8899aabbccddeeff"
INFO = b'INFO {"max_payload":1048576} \r\n'
INFO_TLS = b'INFO {"max_payload":1048576,"tls_required":true} \r\n'


class Ear:
    """What a bus has told."""

    def __init__(self) -> None:
        self.news: list[object] = []
        self._changed = asyncio.Event()

    def received(self, subject: str, parcel: bytes) -> None:
        """A parcel has come."""
        self._note((subject, parcel))

    def connected(self) -> None:
        """There is a connection."""
        self._note("connected")

    def lost(self) -> None:
        """There is none any more."""
        self._note("lost")

    async def until(self, *news: object) -> None:
        """Wait until exactly this was told since the last time, in this order."""
        async with asyncio.timeout(PATIENCE):
            while len(self.news) < len(news):
                self._changed.clear()
                await self._changed.wait()
        assert self.news == list(news)
        self.news.clear()

    def _note(self, what: object) -> None:
        self.news.append(what)
        self._changed.set()


def access(*servers: NatsServer, tls: ssl.SSLContext | None = None) -> NatsAccess:
    """How servers that run are reached."""
    credentials = Credentials.parse(servers[0].credentials_file.read_text().strip())
    return NatsAccess([NatsPlace.parse(server.url) for server in servers], credentials, tls)


@asynccontextmanager
async def listening(reached: NatsAccess, *subjects: str) -> AsyncIterator[tuple[NatsBus, Ear]]:
    """A bus that listens on these subjects."""
    bus, ear = NatsBus(reached, lambda: 0.0), Ear()
    await bus.start(subjects, ear.received, ear.connected, ear.lost)
    try:
        yield bus, ear
    finally:
        await bus.close()


async def trouble_of(place: NatsPlace, reached: NatsAccess) -> Trouble:
    """Why there is no connection."""
    with pytest.raises(NatsError) as refused:
        await connect(place, reached, [ALL, OWN], Ear().received)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return refused.value.trouble


class Scripted:
    """Something that says a few words to who connects, and notes what it hears."""

    def __init__(self, *words: bytes) -> None:
        self._words = words
        self.heard = b""
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def running(self, *, tls: bool = False) -> AsyncIterator[NatsPlace]:
        """Where it is, while it is there."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield NatsPlace("127.0.0.1", server.sockets[0].getsockname()[1], tls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for number, words in enumerate(self._words):
                if number:
                    self.heard += await reader.readuntil(b"PING\r\n")
                writer.write(words)
            self.heard += await reader.read()
        writer.close()
        self.ended.set()
