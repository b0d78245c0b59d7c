"""A whole server: its listeners, its hub, its store and what watches over them, from the start to the end.

::

    start ──> serving ──SIGTERM, SIGINT or `drain`──> draining ──everybody gone, or a second signal──> closed
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from entrenous_wire.limits import SIGNAL_PATH

from . import metrics
from .acceptor import Acceptor
from .addresses import KEY_BYTES
from .admission import Admission
from .certificates import CHECK_SECONDS, Certificate, CertificateError
from .clock import SteadyClock
from .cluster.courier import Courier
from .cluster.envelopes import NODE_BYTES
from .cluster.joining import make_courier
from .commands import Commands
from .config import Listen, ServerConfig
from .control_messages import DrainBegun, Status
from .control_server import ControlServer
from .drain import Pace, drain
from .edge import Edge
from .hub import Hub
from .listeners import bind
from .logs import Event, Field, log, log_internal_error
from .meters import Access, Meters
from .notify import Notifier, ServiceState
from .pages import Pages
from .pulse import Pulse
from .shares import Line
from .sockets import CLOSE_SECONDS
from .store.place import databases_of
from .store.requests import AccountTotals, CountAccounts, Failed, Removed
from .store.writer import Store
from .store_access import StoreAccess
from .visitors import Visitors

PROBE_SECONDS: Final = 5.0
"""How often the database is asked for nothing."""
STATUS_SECONDS: Final = 1.0
"""How long `status` waits for the database."""

_GC_THRESHOLDS: Final = (1_000, 8, 1_000)
"""A pass over the youngest looks at 1,000 objects, one over the younger at 9,000. A session is up to a hundred objects,
so that a million are new when 10,000 nodes come back at once, and of each connection that is refused there are dozens:
neither the youngest nor the younger ones must become many, or one pass over them takes as long as one over all. That
one comes after nine million at the earliest."""

_SWITCH_SECONDS: Final = 0.0005
"""How long a thread of the store goes on in Python while the loop waits. It does wait each time it has looked at the
sockets while the store has work, and Python's own 5 ms are longer than a message takes from one node to another."""


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
    """Run a server until SIGTERM or SIGINT, which make it drain; a second one ends it at once. SIGHUP reloads.

    Args:
        config: a checked configuration.
        ready: called once when the server can be reached.

    Raises:
        ServeError, ConfigError, StoreError: it cannot start.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log_internal_error(context.get("exception")))
    notifier = Notifier()
    async with contextlib.AsyncExitStack() as stack:
        server = Server(config, notifier)
        stack.push_async_callback(server.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        loop.add_signal_handler(signal.SIGHUP, server.reload)
        listening = await server.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)  # a full pass over 10,000 sessions would stop everything for 0.3 s
        sys.setswitchinterval(_SWITCH_SECONDS)
        ready(listening)
        log(Event.STARTED)
        notifier.tell(ServiceState.READY)
        await server.drained()
    log(Event.STOPPED, {Field.CALLS: server.open_calls, Field.SECONDS: server.uptime})


class Server:
    """One server: its listeners, its hub and its store.

    Args:
        config: a checked configuration.
        notifier: tells the service manager how it does.

    Raises:
        StoreError: the databases cannot be used, or another server uses the data directory.
        ConfigError: the password of the database cannot be read.
    """

    def __init__(self, config: ServerConfig, notifier: Notifier) -> None:
        self._config = config
        self._notifier = notifier
        self._clock = SteadyClock()
        self._began = self._clock.now()
        self._meters = Meters()
        self._store = Store(databases_of(config))
        self._access = StoreAccess(self._store, self._meters)
        self._runners: list[web.AppRunner] = []
        self._admin: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._certificate: Certificate | None = None
        self._hub: Hub | None = None
        self._edge: Edge | None = None
        self._courier: Courier | None = None
        self._control = ControlServer(config.control_path, Commands(self).carry_out)
        self._pulse = Pulse(self._meters, self._beat)
        self._last_watchdog = 0.0
        self._totals: AccountTotals | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def start(self) -> Listening:
        """Open the listeners.

        Raises:
            ServeError: a port is taken, the certificate cannot be used, or another server has the control socket.
            ConfigError: a secret cannot be used.
        """
        config = self._config
        if not config.insecure_loopback:
            self._certificate = Certificate(Path(config.tls_cert), Path(config.tls_key))
        at = Listen.parse(config.listen)
        signal_socket = bind(at)
        at = Listen(at.host, signal_socket.getsockname()[1])
        name = config.public_name(at)
        node = secrets.token_bytes(NODE_BYTES) if config.cluster.nats else None
        settings = config.hub_settings(name, node)
        self._courier = None if node is None else make_courier(config, node, self._meters)
        self._hub = hub = Hub(settings, secrets.token_bytes, self._began)
        admission = self._admission()
        line = Line(asyncio.get_running_loop().call_later, time.perf_counter)
        self._edge = edge = Edge(hub, self._access, self._clock, admission, self._meters, line, self._courier)
        self._store.start(edge.store_answered)
        edge.start()
        if self._courier is not None:
            await self._courier.start(edge.bus_received, edge.bus_connected, edge.bus_lost)
        pages = Pages(edge, config.registration, self._render_metrics)
        admin: Listen | None = None
        if config.admin_listen:
            admin = Listen.parse(config.admin_listen)
            admin_socket = bind(admin)
            admin = Listen(admin.host, admin_socket.getsockname()[1])
            admin_server: Any = await self._serving(pages.admin())  # it makes protocols, which its type does not say
            self._admin = await asyncio.get_running_loop().create_server(admin_server, sock=admin_socket)
        await self._control.start()
        public = await self._serving(pages.public())
        visitors = Visitors(admission, self._clock, self._meters, public, line, config.login_seconds)
        certificate = self._certificate
        tls = None if certificate is None else lambda: certificate.context
        self._acceptor = Acceptor(signal_socket, visitors, self._meters, tls, config.login_seconds)
        self._pulse.start()
        self._spawn(self._watch())
        self._spawn(self._probe(edge))
        url = f"ws://{at}{SIGNAL_PATH}" if certificate is None else f"wss://{name}{SIGNAL_PATH}"
        return Listening(str(at), url, name, None if admin is None else str(admin))

    def stop(self) -> None:
        """Go down: in order the first time, at once the second."""
        if self._stop.is_set():
            self._hurry.set()
            if self._edge is not None:
                self._edge.abort()
        self._stop.set()

    def reload(self) -> None:
        """Read the certificate again."""

        async def reload() -> None:
            with contextlib.suppress(CertificateError):  # it is logged
                await self.reload_certificate()

        self._spawn(reload())

    async def drained(self) -> None:
        """Serve until `stop`, then send everybody away to come back."""
        await self._stop.wait()
        self._notifier.tell(ServiceState.STOPPING)
        edge = self._started_edge()
        pace = self._pace()
        edge.start_draining(pace.seconds)
        log(Event.DRAINING, {Field.CONNECTIONS: edge.connections, Field.SECONDS: math.ceil(pace.seconds)})
        await drain(edge, pace, self._hurry)
        if self._hurry.is_set():
            edge.abort()

    async def close(self) -> None:
        """Send away who is left, carry out what was to be stored, and let go of everything.

        What goes wrong is logged and keeps nothing else from being closed: without its store the process cannot end.
        """
        try:
            await self._close_connections()
        finally:
            with _logging_errors():
                await asyncio.to_thread(self._store.close)
            self._pulse.stop()  # the last: as long as the loop goes round, the service manager is told so

    async def _close_connections(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._admin is not None:
            with _logging_errors():
                self._admin.close()
        parts = (self._acceptor, self._control, self._edge, self._courier)
        closing = [part.close for part in parts if part is not None]
        for close in (*closing, *(runner.cleanup for runner in self._runners)):
            with _logging_errors():
                await close()

    # --- what commands ask for ---

    @property
    def uptime(self) -> int:
        """Seconds since the start."""
        return int(self._clock.now() - self._began)

    @property
    def open_calls(self) -> int:
        """Call records that are open."""
        return 0 if self._hub is None else self._hub.open_records

    async def status(self) -> Status:
        """The numbers of the server; of a database that does not answer at once those of the last minute."""
        with contextlib.suppress(TimeoutError):
            await self._count(STATUS_SECONDS)
        hub, edge, totals = self._started_hub(), self._started_edge(), self._totals
        cluster, clock = hub.cluster_state, hub.clock
        return Status(
            sessions=hub.sessions,
            connections=hub.connections,
            open_calls=hub.open_records,
            accounts=None if totals is None else totals.accounts,
            devices=None if totals is None else totals.devices,
            stored_messages=None if totals is None else totals.messages,
            uptime=self.uptime,
            degraded=not edge.is_healthy,
            draining=edge.is_draining,
            nodes=None if cluster is None else cluster.nodes,
            cut_off=cluster is not None and not cluster.connected,
            clock_ahead=round(clock.ahead, 1) if clock.has_looked else None,
            clock_differs=clock.differs,
            clock_set_by=round(hub.clock_set_by),
            certificate_expires=None if self._certificate is None else self._certificate.expires,
        )

    def begin_drain(self) -> DrainBegun:
        """Go down in order, when it is not at it already."""
        answer = DrainBegun(self._started_edge().connections, self._pace().seconds)
        self._stop.set()
        return answer

    async def reload_certificate(self) -> int | None:
        """Read the certificate again; when it ends, in Unix seconds, or None without TLS.

        Raises:
            CertificateError: it cannot be used; the old one stays.
        """
        certificate = self._certificate
        if certificate is None:
            return None
        try:
            await asyncio.to_thread(certificate.reload)
        except CertificateError:
            log(Event.CERTIFICATE_UNUSABLE, {Field.EXPIRES: certificate.expires})
            raise
        log(Event.CERTIFICATE_RELOADED, {Field.EXPIRES: certificate.expires})
        return certificate.expires

    async def remove_account(self, username: str) -> tuple[Removed | Failed | None, int]:
        """Delete an account; what went with it, None when there is none; and how many sessions were ended."""
        return await self._started_edge().remove_account(username)

    # --- what watches over it ---

    async def _watch(self) -> None:
        """Each minute: look at the machine's clock, count what is in the database, look for another certificate."""
        while True:
            try:
                if self._clock.look():
                    log(Event.CLOCK_SET, {Field.SECONDS: round(self._clock.set_by)})
                    self._started_hub().clock_was_set(self._clock.set_by)
                await self._count(CHECK_SECONDS)
                if self._certificate is not None and self._certificate.has_changed:
                    self.reload()
            except TimeoutError:
                pass  # a store that is stuck shows in /healthz
            except Exception as error:  # one minute goes wrong, the next is tried
                log_internal_error(error)
            await asyncio.sleep(CHECK_SECONDS)

    async def _probe(self, edge: Edge) -> None:
        """Find out every few seconds how the database does, for whoever asks for the server's health."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await edge.probe_store()  # one at a time: what does not answer shows there too

    async def _count(self, seconds: float) -> None:
        """Count what is in the database, within so many seconds; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            totals = await self._access.ask(CountAccounts())
        if isinstance(totals, AccountTotals):
            self._totals = totals

    def _beat(self) -> None:
        if self._edge is not None:
            self._edge.note_nodes()
        due, now = self._notifier.watchdog_seconds, self._clock.now()
        if due is not None and now - self._last_watchdog >= due / 3:
            self._last_watchdog = now
            self._notifier.tell(ServiceState.WATCHDOG)

    def _render_metrics(self) -> bytes:
        edge, totals = self._started_edge(), self._totals or AccountTotals(0, 0, 0)
        readings = metrics.Readings(
            store_reads=self._access.depth(Access.READ),
            store_writes=self._access.depth(Access.WRITE),
            accounts=totals.accounts,
            devices=totals.devices,
            stored_messages=totals.messages,
            degraded=not edge.is_healthy,
            draining=edge.is_draining,
            certificate_expires=0 if self._certificate is None else self._certificate.expires,
            began=self._began,
        )
        return metrics.render(self._started_hub(), self._meters, readings)

    # --- inside ---

    def _admission(self) -> Admission:
        return Admission(
            self._config.limits,
            self._config.max_connections,
            proxies=self._config.proxies,
            key=secrets.token_bytes(KEY_BYTES),
            draw=random.random,
            now=self._began,
        )

    def _pace(self) -> Pace:
        """Who went first is expected back when the last one goes: so a drain takes half of the grace at most."""
        config = self._config
        seconds = min(config.drain_seconds, config.grace_seconds / 2)
        return Pace(self._started_edge().connections, seconds, asyncio.get_running_loop().time())

    def _started_hub(self) -> Hub:
        if self._hub is None:
            raise RuntimeError("the server was not started")
        return self._hub

    def _started_edge(self) -> Edge:
        if self._edge is None:
            raise RuntimeError("the server was not started")
        return self._edge

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serving(self, app: web.Application) -> web.Server:
        runner = web.AppRunner(
            app,
            access_log=None,  # it would hold addresses
            keepalive_timeout=self._config.login_seconds,  # ends connections that ask for nothing
            shutdown_timeout=CLOSE_SECONDS,
        )
        await runner.setup()
        self._runners.append(runner)
        assert runner.server is not None  # it was set up just now
        return runner.server


@contextlib.contextmanager
def _logging_errors() -> Iterator[None]:
    """Log what goes wrong inside, and go on behind it."""
    try:
        yield
    except Exception as error:
        log_internal_error(error)
