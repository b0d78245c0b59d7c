"""The server's sockets: what the hub says is carried out here, and nowhere else does the server do I/O but its store.

One loop, one hub, one timer: each input goes into the hub, its outputs are drained, the timer is set anew. Nothing
waits for a node to read: what it does not take stays in the transport's buffer, and above SLOW_READER_BYTES the
connection is cut; its session can be resumed, and its queue is bounded in the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from aiohttp import WSMsgType, web

from entrenous_wire.codec import WireError, encode
from entrenous_wire.limits import HEARTBEAT_SECONDS, MAX_FRAME_BYTES, PROTOCOL_VERSION, SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import ErrorCode

from . import metrics
from .clock import SteadyClock
from .config import Listen, ServerConfig
from .hub import Hub
from .listeners import BACKLOG, bind, tls_context
from .logs import Event, log, log_internal_error
from .outputs import Close, CloseCode, Execute, Output, Transmit
from .settings import HubSettings
from .store.database import Databases
from .store.requests import Failed
from .store.session import Answer
from .store.writer import Store

SLOW_READER_BYTES: Final = 256 * 1024
"""What may lie in the buffer of one connection before it is cut."""

_LARGEST_READ: Final = 4 * MAX_FRAME_BYTES
"""Frames up to here get a typed error; above it aiohttp closes the connection by itself, with code 1009."""

_CLOSE_SECONDS: Final = 2.0
_GC_THRESHOLDS: Final = (50_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a started server can be reached.

    Args:
        listening: HOST:PORT of the nodes' listener.
        url: of the WebSocket.
        name: the host of the server's addresses.
        admin: HOST:PORT of the admin listener, or None.
    """

    listening: str
    url: str
    name: str
    admin: str | None


async def serve(config: ServerConfig, ready: Callable[[Listening], None]) -> None:
    """Run a server until SIGTERM or SIGINT.

    Args:
        config: a checked configuration.
        ready: called once when the server can be reached.

    Raises:
        ServeError, ConfigError, StoreError: it cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(lambda _, context: log_internal_error(context.get("exception")))
    async with contextlib.AsyncExitStack() as stack:
        server = Server(config)
        stack.push_async_callback(server.close)
        listening = await server.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)  # a full pass over 10,000 sessions would stop everything for 0.3 s
        ready(listening)
        log(Event.STARTED)
        await stop.wait()
        log(Event.STOPPING)
    log(Event.STOPPED)


class Server:
    """One server: its listeners, its hub and its store.

    Args:
        config: a checked configuration.

    Raises:
        StoreError: the data directory cannot be used.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._clock = SteadyClock()
        self._store = Store(Databases(Path(config.data), config.database, config.database_password()))
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._edge: Edge | None = None

    async def start(self) -> Listening:
        """Open the listeners.

        Raises:
            ServeError: a port is taken, or the certificate cannot be used.
            ConfigError: the relay's secret cannot be used.
            StoreError: the open call records cannot be read.
        """
        config = self._config
        tls = tls_context(config)
        relay = config.relay()
        at = Listen.parse(config.listen)
        signal_socket = bind(at)
        at = Listen(at.host, signal_socket.getsockname()[1])
        name = config.public_name(at)
        settings = HubSettings(
            name=name,
            registration=config.registration,
            relay=relay,
            bounds=config.limits,
            login_seconds=config.login_seconds,
            grace_seconds=config.grace_seconds,
        )
        hub = Hub(settings, secrets.token_bytes, self._clock.now(), self._store.open_rows())
        self._edge = Edge(hub, self._store, self._clock, config.max_connections)
        self._store.start(self._edge.store_answered)
        pages = Pages(hub, config)
        admin: Listen | None = None
        if config.admin_listen:
            admin = Listen.parse(config.admin_listen)
            admin_socket = bind(admin)
            admin = Listen(admin.host, admin_socket.getsockname()[1])
            await self._listen(pages.admin(), admin_socket, None)
        await self._listen(pages.public(self._edge), signal_socket, tls)
        scheme = "ws" if tls is None else "wss"
        authority = str(at) if tls is None else name
        return Listening(str(at), f"{scheme}://{authority}{SIGNAL_PATH}", name, None if admin is None else str(admin))

    async def close(self) -> None:
        """Send everybody away to come back, carry out what was to be stored, and let go of everything."""
        for listener in self._listeners:
            listener.close()
        if self._edge is not None:
            await self._edge.close()
        for runner in self._runners:
            await runner.cleanup()
        await asyncio.to_thread(self._store.close)

    async def _listen(self, app: web.Application, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,  # it would hold addresses
            keepalive_timeout=self._config.login_seconds,  # ends connections that ask for nothing
            shutdown_timeout=_CLOSE_SECONDS,
        )
        await runner.setup()
        self._runners.append(runner)
        handshake = None if tls is None else self._config.login_seconds
        loop = asyncio.get_running_loop()
        protocols: Any = runner.server  # a protocol factory, which its type does not say
        self._listeners.append(
            await loop.create_server(
                protocols, sock=listener, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=handshake
            )
        )


class Pages:
    """The HTTP around the WebSocket.

    Args:
        hub: whose health and numbers are shown.
        config: what it was started with.
    """

    def __init__(self, hub: Hub, config: ServerConfig) -> None:
        self._hub = hub
        self._config = config

    def public(self, edge: Edge) -> web.Application:
        """What nodes see."""
        app = web.Application()
        app.router.add_get(SIGNAL_PATH, edge.handle)
        app.router.add_get("/v1/info", self._info)
        app.router.add_get("/healthz", self._health)
        return app

    def admin(self) -> web.Application:
        """What the operator sees."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        return app

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"versions": [PROTOCOL_VERSION], "registration": self._config.registration.value})

    async def _health(self, request: web.Request) -> web.Response:
        if self._hub.degraded:
            return web.json_response({"status": "degraded"}, status=503)
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(self._hub), headers={"Content-Type": metrics.CONTENT_TYPE})


class Edge:
    """Carries inputs into the hub and its outputs out of it.

    Args:
        hub: what decides.
        store: what keeps.
        clock: what time it is.
        max_connections: nodes connected at a time.
    """

    def __init__(self, hub: Hub, store: Store, clock: SteadyClock, max_connections: int) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._max_connections = max_connections
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, _Socket] = {}
        self._next_number = 1
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._was_degraded = False
        self._was_full = False
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One WebSocket from its handshake to its end."""
        if self._stopping or len(self._sockets) >= self._max_connections:
            if not self._was_full:  # whoever is turned away comes again, and the log does not grow by it
                self._was_full = True
                log(Event.FULL)
            return web.Response(status=503, text="The server has as many connections as it may have: try again later.")
        response = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=HEARTBEAT_SECONDS,
            compress=False,  # compression beside secrets leaks them, and sealed bodies do not shrink
            max_msg_size=_LARGEST_READ,
            writer_limit=2**62,  # never wait for a reader: see _Socket
            autoping=False,  # aiohttp's own answers to pings would fill the buffer of a node that never reads
            decode_text=False,
            timeout=_CLOSE_SECONDS,
        )
        await response.prepare(request)
        if response.ws_protocol != SUBPROTOCOL or request.transport is None:
            await response.close(code=CloseCode.POLICY, message=b"entrenous.v1 is the subprotocol")
            return response
        self._was_full = False
        number = self._next_number
        self._next_number += 1
        self._sockets[number] = _Socket(response, request.transport)
        try:
            self._put(self._hub.connected, number)
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    self._put(self._hub.frame_received, number, message.data)
                elif message.type is WSMsgType.BINARY:
                    error = WireError(ErrorCode.MALFORMED, "Messages are text frames.")
                    self._put(self._hub.bad_frame_received, number, error)
                elif message.type is WSMsgType.PING and (here := self._sockets.get(number)) is not None:
                    here.pong(message.data)
        finally:
            self._sockets.pop(number, None)
            self._put(self._hub.disconnected, number)
        return response

    def store_answered(self, answers: Sequence[Answer]) -> None:
        """What the store's threads call."""
        self._loop.call_soon_threadsafe(self._take_answers, answers)

    async def close(self) -> None:
        """Close every connection in a way that makes nodes come back."""
        self._stopping = True
        self._put(self._hub.stop)
        if self._timer is not None:
            self._timer.cancel()
        if self._closing:
            await asyncio.wait(self._closing)

    def _take_answers(self, answers: Sequence[Answer]) -> None:
        for ticket, result in answers:
            if isinstance(result, Failed):
                self._put(self._hub.store_failed, ticket)
            else:
                self._put(self._hub.stored, ticket, result)
        if self._hub.degraded is not self._was_degraded:
            self._was_degraded = self._hub.degraded
            log(Event.STORE_FAILING if self._was_degraded else Event.STORE_WORKING)

    def _put(self, enter: Callable[..., list[Output]], *arguments: object) -> None:
        """Hand one input to the hub and carry out what it asks; a mistake in it must not end the server."""
        outputs: list[Output] = []
        try:
            outputs = enter(*arguments, self._clock.now())
        except Exception as error:  # the boundary: one input goes wrong, the others go on
            log_internal_error(error)
        for output in outputs:
            try:
                self._carry_out(output)
            except Exception as error:  # and so do the other outputs: each store request is owed its answer
                log_internal_error(error)
        self._set_timer()

    def _carry_out(self, output: Output) -> None:
        match output:
            case Transmit(number, message):
                there = self._sockets.get(number)
                if there is not None:
                    there.send(encode(message))
            case Close(number, code):
                there = self._sockets.pop(number, None)
                if there is not None:
                    task = self._loop.create_task(there.close(code))
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
            case Execute(ticket, request):
                self._store.submit(ticket, request)
            case _:
                assert_never(output)

    def _set_timer(self) -> None:
        due = self._hub.next_deadline()
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        delay = None if due is None else max(0.0, due - self._clock.now())
        self._timer = None if delay is None else self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        self._put(self._hub.tick)


class _Socket:
    """One WebSocket, written to without ever waiting for its reader."""

    __slots__ = ("_response", "_transport")

    def __init__(self, response: web.WebSocketResponse[Any], transport: asyncio.Transport) -> None:
        self._response = response
        self._transport = transport

    def send(self, text: str) -> None:
        """Write a text frame into the transport's buffer; cut the connection when too much lies there."""
        if self._is_open():
            self._write(self._response.send_str(text))

    def pong(self, payload: bytes) -> None:
        """Answer a ping, bounded in the same way."""
        if self._is_open():
            self._write(self._response.pong(payload))

    def _is_open(self) -> bool:
        return not (self._response.closed or self._transport.is_closing())

    def _write(self, sending: Coroutine[Any, Any, None]) -> None:
        _finish_now(sending)
        if self._transport.get_write_buffer_size() > SLOW_READER_BYTES:
            log(Event.SLOW_READER)
            self._transport.abort()

    async def close(self, code: CloseCode) -> None:
        """Say goodbye, and cut the connection when the other end does not answer in time."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._response.close(code=code)
        except (TimeoutError, ConnectionError):
            self._transport.abort()


def _finish_now(sending: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for.

    With the writer's limit out of reach aiohttp's `send_str` and `pong` are such: they write the frame and return.

    Raises:
        RuntimeError: it waited for something.
    """
    try:
        sending.send(None)
    except StopIteration:
        return
    except ConnectionError:  # the connection went down under us; its handler is about to notice
        return
    sending.close()
    raise RuntimeError("aiohttp waited while sending a frame")
