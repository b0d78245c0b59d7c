"""The WebSocket under a link: one connection to the server at a time, from its opening to its end.

The link says when to connect and when to let go. The transport says when a connection stands, what comes over it and
why it ended; and when something happened to the network it has the connection prove that it still works.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol

import aiohttp

from entrenous_wire import codec, limits
from entrenous_wire.messages import FromNode, FromServer

from .config import NodeConfig
from .link_ways import (
    PersistentResolver,
    is_ours,
    is_without_network,
    retry_after,
    tls_context,
    why_not_connected,
)

log = logging.getLogger(__name__)

MAX_OUTGOING: Final = 1024
"""Frames that may wait for a slow connection before it is given up; the session says them again on the next."""

LAST_WORDS_SECONDS: Final = 1.0
"""How long a connection that is closed on purpose may take to say what is queued, and to close."""

PROBE_SECONDS: Final = 1.0
"""How long the server may take to answer on a connection that the network may have changed under."""


class TransportUser(Protocol):
    """Who uses a transport."""

    def transport_opened(self) -> None:
        """The connection stands."""

    def message_received(self, message: FromServer) -> None:
        """The server said something."""

    def transport_lost(self, sentence: str, retry_after: float, *, restarting: bool) -> None:
        """The connection ended, or did not come about.

        Args:
            sentence: why.
            retry_after: seconds for which the server asked not to be tried again; 0.0 when it did not ask.
            restarting: whether the server said that it restarts.
        """

    def transport_doubtful(self, sentence: str) -> None:
        """A connection that there is cannot be relied upon, and one that there is not may now come about."""


class LinkTransport:
    """Connects to one server, again and again.

    Args:
        config: where the server is, and whom to trust as its certificate authority.
        server: its name, for sentences.
        user: who is told what happens.

    Raises:
        ConfigError: the file of certificate authorities cannot be used.
    """

    def __init__(self, config: NodeConfig, server: str, user: TransportUser) -> None:
        self._url = config.url + limits.SIGNAL_PATH
        self._tls = tls_context(config)
        self._server = server
        self._user = user
        self._http: aiohttp.ClientSession | None = None
        self._connection: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(MAX_OUTGOING)
        self._closing: set[asyncio.Task[None]] = set()
        self._fruitless = 0
        """Attempts since a connection last stood, without those that our own network made hopeless."""
        self._probing: asyncio.Task[None] | None = None
        self._probe = 0
        self._probe_answered = asyncio.Event()

    def connect(self) -> None:
        """Begin a connection."""
        if self._http is None:
            # A name is looked up once: finding the way back after a network change shall not wait for a name server.
            connector = aiohttp.TCPConnector(ttl_dns_cache=None, resolver=PersistentResolver())
            self._http = aiohttp.ClientSession(connector=connector)
        self._outgoing = asyncio.Queue(MAX_OUTGOING)
        self._connection = asyncio.ensure_future(self._connect(self._http))

    def disconnect(self) -> None:
        """Let go of the connection: what is queued is still said, and nothing more is told of it."""
        self._socket = None
        connection, self._connection = self._connection, None
        if connection is not None and not connection.done():
            self._closing.add(connection)
            connection.add_done_callback(self._closing.discard)
            connection.cancel()

    def send(self, message: FromNode) -> bool:
        """Queue a message; False when as many wait as may, and the connection was let go of."""
        try:
            self._outgoing.put_nowait(codec.encode(message))
        except asyncio.QueueFull:
            self.disconnect()
            return False
        return True

    def network_changed(self) -> None:
        """Find out whether the connection still works.

        One whose own address is gone cannot work any more; any other is given a second to prove itself.
        """
        self._fruitless = 0
        if self._socket is None or not is_ours(self._socket.get_extra_info("sockname")):
            self._user.transport_doubtful("The network of this machine changed.")
        else:
            self.doubt()

    def doubt(self) -> None:
        """Something else that goes over the network broke: a connection that stands is to prove itself."""
        if self._socket is not None and self._probing is None:
            self._probing = asyncio.ensure_future(self._prove(self._socket))

    async def close(self) -> None:
        """Wait until the connection that was let go of has ended, and give everything back."""
        if self._probing is not None:
            self._probing.cancel()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _prove(self, used: aiohttp.ClientWebSocketResponse) -> None:
        """Ask the server for a sign of life."""
        self._probe += 1
        self._probe_answered.clear()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await used.ping(b"%d" % self._probe)
                await self._probe_answered.wait()
        except (aiohttp.ClientError, OSError, TimeoutError):
            if used is self._socket:
                self._user.transport_doubtful(
                    "The network of this machine changed, and the connection to the server broke."
                )
        finally:
            self._probing = None

    async def _connect(self, http: aiohttp.ClientSession) -> None:
        """Be one connection, from its opening to its end."""
        self._fruitless += 1
        if self._fruitless > 1 and isinstance(http.connector, aiohttp.TCPConnector):
            http.connector.clear_dns_cache()  # the server may have moved
        try:
            async with http.ws_connect(
                self._url,
                protocols=(limits.SUBPROTOCOL,),
                ssl=self._tls,
                max_msg_size=limits.MAX_FRAME_BYTES,
                heartbeat=limits.HEARTBEAT_SECONDS,
                autoping=False,
                timeout=aiohttp.ClientWSTimeout(ws_close=LAST_WORDS_SECONDS),
                compress=0,
            ) as used:
                self._socket, self._fruitless = used, 0
                self._user.transport_opened()
                outgoing = self._outgoing
                writer = asyncio.ensure_future(self._write(used, outgoing))
                try:
                    goodbye = await self._read(used)
                finally:
                    writer.cancel()
                    # What the writer broke on is what the reader saw too: the connection is gone.
                    await asyncio.gather(writer, return_exceptions=True)
                    await self._say_last_words(used, outgoing)
            sentence = f"The connection to {self._server} was closed."
            pause, restarting = 0.0, goodbye == aiohttp.WSCloseCode.SERVICE_RESTART
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            sentence = why_not_connected(error, self._server)
            pause, restarting = retry_after(error), False
            if is_without_network(error):
                self._fruitless = 0
        if asyncio.current_task() is not self._connection:
            return  # it was given up before, and ended badly: the next one stands already
        self._connection = self._socket = None
        self._user.transport_lost(sentence, pause, restarting=restarting)

    async def _read(self, used: aiohttp.ClientWebSocketResponse) -> int | None:
        """Hand on what comes until the connection ends.

        Returns:
            The code that the server closed it with, None when it did not say goodbye. `used.close_code` is not it:
            where the server does not wait for our answer, that says only that the answer could not be given.
        """
        while True:
            frame = await used.receive()
            if frame.type is aiohttp.WSMsgType.PING:
                await used.pong(frame.data)
                continue
            if frame.type is aiohttp.WSMsgType.PONG:
                if frame.data == b"%d" % self._probe:
                    self._probe_answered.set()
                continue
            if frame.type is aiohttp.WSMsgType.CLOSE:
                return int(frame.data)
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return None
            try:
                message = codec.decode_from_server(frame.data)
            except codec.WireError as error:
                # A newer server may say what we do not know; what it says is never logged.
                log.info("a message of the server was dropped: %s", error.code.value)
                continue
            self._user.message_received(message)

    async def _write(self, used: aiohttp.ClientWebSocketResponse, outgoing: asyncio.Queue[str]) -> None:
        while True:
            await used.send_str(await outgoing.get())

    async def _say_last_words(self, used: aiohttp.ClientWebSocketResponse, outgoing: asyncio.Queue[str]) -> None:
        """What was queued when we closed the connection, above all that this device leaves."""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                while not outgoing.empty() and not used.closed:
                    await used.send_str(outgoing.get_nowait())
