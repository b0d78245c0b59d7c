"""Between the nodes' sockets and the hub: each input goes in, what the hub asks for is carried out, one timer is set.

Nothing waits for a node to read: what it does not take stays in the transport's buffer, and above SLOW_READER_BYTES
the connection is cut; its session can be resumed, and its queue is bounded in the hub.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from itertools import islice
from time import perf_counter
from typing import Final, Protocol, assert_never, cast

from aiohttp import web

from entrenous_wire.codec import WireError, encode_bytes
from entrenous_wire.limits import SUBPROTOCOL
from entrenous_wire.messages import ErrorCode, Welcome

from .addresses import Origin
from .admission import Admission, TurnedAway
from .clock import SteadyClock
from .hub import Hub
from .logs import Event, Field, log, log_internal_error
from .meters import Meters, UpgradeRefusal
from .outputs import Close, CloseCode, Execute, Output, Publish, Transmit
from .shares import Line, Slice
from .sockets import Departures, Hearing, NodeSocket
from .store.requests import Failed, ReadAccount, Removed
from .store.session import Answer
from .store_access import StoreAccess
from .upgrade import NoUpgrade, accept_key, answer, offers
from .visitors import HandedOver, Visitor

_ANSWERING_SECONDS: Final = 0.002
"""For so long at least answers of the store are taken in a turn of the loop. A turn for every few of them would take
longer than they do, when thousands of nodes come back."""

_SETTLE_SECONDS: Final = 1.0
"""How long the answers of the store are waited for, before who waits for them is sent away."""

CUT_OFF_SECONDS: Final = 5.0
"""For so long a node that does not reach the others takes newcomers all the same: the bus may only be restarting."""


class Publishes(Protocol):
    """What is used of the courier."""

    def publish(self, node: bytes | None, payload: bytes) -> None:
        """Hand a payload to another node, or to all others."""


class Edge:
    """Carries inputs into the hub and its outputs out of it.

    Args:
        hub: what decides.
        store: what keeps.
        clock: what time it is.
        admission: who is let in.
        meters: what is counted here.
        line: where those wait who say much, or are not let in yet.
        courier: reaches the other nodes; None when there are none.
    """

    def __init__(
        self,
        hub: Hub,
        store: StoreAccess,
        clock: SteadyClock,
        admission: Admission,
        meters: Meters,
        line: Line,
        courier: Publishes | None = None,
    ) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._admission = admission
        self._meters = meters
        self._courier = courier
        self._loop = asyncio.get_running_loop()
        self._departures = Departures(self._loop.call_soon)
        self._hearing = Hearing(admission.frame_rate, line, self._loop.time)
        self._sockets: dict[int, NodeSocket] = {}
        self._next_number = 1
        self._answers: deque[Answer] = deque()
        self._answering = Slice(perf_counter, least=_ANSWERING_SECONDS)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._is_turn_ending = False
        self._was_degraded = False
        self._clock_differed = False
        self._was_full = False
        self._nodes = 0
        self._leaving: dict[int, NodeSocket] = {}
        self._all_left = asyncio.Event()
        self._all_left.set()

    @property
    def connections(self) -> int:
        """Nodes that are connected, logged in or not."""
        return len(self._sockets)

    @property
    def is_draining(self) -> bool:
        """Whether nodes are sent away."""
        return self._admission.is_draining

    @property
    def is_healthy(self) -> bool:
        """Whether the store does what it is asked."""
        return not (self._is_store_failing or self._store.stuck)

    @property
    def is_ready(self) -> bool:
        """Whether a node that comes now is let in and served."""
        fit = self.is_healthy and not self.is_cut_off and not self._hub.clock.differs
        return fit and self._admission.has_place(len(self._sockets))

    @property
    def is_cut_off(self) -> bool:
        """Whether the other nodes of the cluster could not be reached for CUT_OFF_SECONDS."""
        state = self._hub.cluster_state
        since = None if state is None else state.cut_off_since
        return since is not None and self._clock.now() - since > CUT_OFF_SECONDS

    def start(self) -> None:
        """Do what is due at the start; the store must run."""
        self._set_timer()

    async def remove_account(self, username: str) -> tuple[Removed | Failed | None, int]:
        """Delete an account; what went with it, None when there is none; and how many sessions were ended."""
        answer: asyncio.Future[tuple[Removed | Failed | None, int]] = self._loop.create_future()

        def removed(result: Removed | Failed | None, sessions: int) -> None:
            if not answer.done():  # who asked may have gone
                answer.set_result((result, sessions))

        self._put(self._hub.remove_account, username, removed)
        return await answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Make a request a WebSocket, of which aiohttp knows nothing more."""
        forwarded_for = request.headers.getall("X-Forwarded-For", ())
        try:
            origin = self._admission.admit(request.remote or "", forwarded_for, len(self._sockets), self._clock.now())
        except TurnedAway as turned_away:
            return self._refuse(turned_away)
        try:
            accept = accept_key(request.headers)
            handed_over = cast(Visitor, request.protocol).hand_over()
        except (NoUpgrade, ConnectionError) as error:
            if origin is not None:
                origin.disconnect()
            raise web.HTTPBadRequest from error
        self._open(handed_over, accept, offers(request.headers, SUBPROTOCOL), origin)
        return _Upgraded()

    def _open(self, handed_over: HandedOver, accept: str, is_spoken: bool, origin: Origin | None) -> None:
        """Answer the handshake and let the connection in."""
        transport, early, left = handed_over
        number = self._next_number
        self._next_number += 1

        def lost() -> None:
            left()
            if origin is not None:
                origin.disconnect()
            self._lost(number)

        socket = NodeSocket(
            number, transport, self, lost, self._meters, self._departures, self._hearing, self._loop.call_later
        )
        transport.set_protocol(socket)
        transport.write(answer(accept, SUBPROTOCOL if is_spoken else None, self._clock.now()))
        if not is_spoken:
            self._say_goodbye(number, socket, CloseCode.POLICY, b"entrenous.v1 is the subprotocol")
            return
        self._was_full = False
        self._sockets[number] = socket
        self._put(partial(self._hub.connected, origin=origin), number)
        if early:
            socket.data_received(early)

    def text_received(self, number: int, text: bytes) -> None:
        """A node has said something."""
        self._put(self._hub.frame_received, number, text)

    def binary_received(self, number: int) -> None:
        """A node has said something that is no message."""
        error = WireError(ErrorCode.MALFORMED, "Messages are text frames.")
        self._put(self._hub.bad_frame_received, number, error)

    def ping_received(self, number: int) -> None:
        """A node wants an answer, which costs what a message does."""
        self._put(self._hub.ping_received, number)

    def _lost(self, number: int) -> None:
        """A connection is gone."""
        if self._sockets.pop(number, None) is not None:
            self._put(self._hub.disconnected, number)
        else:
            self._leaving.pop(number, None)
            if not self._leaving:
                self._all_left.set()

    def store_answered(self, answers: Sequence[Answer]) -> None:
        """What the store's threads call."""
        self._loop.call_soon_threadsafe(self._queue_answers, answers)

    def bus_received(self, payload: bytes) -> None:
        """Another node has said something."""
        self._put(self._hub.bus_received, payload)

    def bus_connected(self) -> None:
        """Other nodes can be reached."""
        self._put(self._hub.bus_connected)

    def bus_lost(self) -> None:
        """Other nodes cannot be reached any more."""
        self._put(self._hub.bus_lost)

    async def probe_store(self) -> None:
        """Ask the store for nothing: one that is away, or back, shows also while no node needs it."""
        was_away = self._store.failing
        await self._store.ask(ReadAccount(""))
        if was_away and not self._store.failing:
            self._put(self._hub.store_is_back)
            self._note_health()

    def start_draining(self, seconds: float) -> None:
        """Let nobody in any more; `send_away` has to follow, and `close`.

        Args:
            seconds: when it is over, from now: what is said to who comes meanwhile.
        """
        self._admission.start_draining(seconds, self._clock.now())

    def send_away(self, count: int) -> None:
        """Close the oldest connections in a way that makes their nodes come back, behind what was said on them."""
        for number in list(islice(self._sockets, count)):
            there = self._sockets.pop(number)
            self._put(self._hub.disconnected, number)
            self._say_goodbye(number, there, CloseCode.RESTART)

    def note_nodes(self) -> None:
        """Log it when other nodes of the cluster were met or lost since the last time."""
        state = self._hub.cluster_state
        if state is not None and state.nodes != self._nodes:
            self._nodes = state.nodes
            log(Event.NODES, {Field.NODES: state.nodes})

    async def store_settled(self) -> None:
        """Wait until the store has answered what it was asked so far, as far as it does so soon."""
        await self._store.settled(_SETTLE_SECONDS)

    async def close(self) -> None:
        """Close every connection in a way that makes nodes come back."""
        if not self.is_draining:
            self.start_draining(0.0)
        self._put(self._hub.stop)
        if self._timer is not None:
            self._timer.cancel()
        await self._all_left.wait()

    def abort(self) -> None:
        """Cut every connection; `close` does not have to wait for any then."""
        for there in (*self._sockets.values(), *self._leaving.values()):
            there.abort()

    def _refuse(self, turned_away: TurnedAway) -> web.Response:
        self._meters.upgrades_refused[turned_away.reason] += 1
        match turned_away.reason:
            case UpgradeRefusal.FULL:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                if not self._was_full:  # whoever is turned away comes again, and the log does not grow by it
                    self._was_full = True
                    log(Event.FULL)
            case UpgradeRefusal.DRAINING | UpgradeRefusal.CROWD:
                status = HTTPStatus.SERVICE_UNAVAILABLE
            case UpgradeRefusal.ADDRESS:
                status = HTTPStatus.TOO_MANY_REQUESTS
            case _:
                assert_never(turned_away.reason)
        headers = {"Retry-After": str(turned_away.retry_after)}
        return web.json_response({"error": turned_away.reason.value}, status=status, headers=headers)

    def _say_goodbye(self, number: int, there: NodeSocket, code: CloseCode, reason: bytes = b"") -> None:
        self._leaving[number] = there
        self._all_left.clear()
        there.close(code, reason)

    def _queue_answers(self, answers: Sequence[Answer]) -> None:
        is_waiting = bool(self._answers)
        self._answers.extend(answers)
        if not is_waiting:
            self._take_answers()

    def _take_answers(self) -> None:
        """Take some, and others in the next turn: hundreds come together, and nobody else would be heard meanwhile."""
        self._answering.begin()
        while self._answers:
            for ticket, result in self._store.settle([self._answers.popleft()]):
                if isinstance(result, Failed):
                    self._put(self._hub.store_failed, ticket)
                else:
                    self._put(self._hub.stored, ticket, result)
            if self._answering.is_over():
                break
        if self._answers:
            self._answering.wait()
            self._loop.call_soon(self._take_answers)
        self._note_health()
        clock = self._hub.clock
        if clock.differs is not self._clock_differed:
            self._clock_differed = clock.differs
            if clock.differs:
                log(Event.CLOCK_DIFFERS, {Field.SECONDS: round(clock.ahead)})
            else:
                log(Event.CLOCK_AGREES)

    @property
    def _is_store_failing(self) -> bool:
        return self._hub.degraded or self._store.failing

    def _note_health(self) -> None:
        fails = self._is_store_failing
        if fails is not self._was_degraded:
            self._was_degraded = fails
            log(Event.STORE_FAILING if fails else Event.STORE_WORKING)

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
        if not self._is_turn_ending:
            self._is_turn_ending = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """What is done once a turn of the loop, however much has come in it."""
        if self._courier is not None:
            self._put(self._hub.flush)
        self._is_turn_ending = False
        self._set_timer()

    def _carry_out(self, output: Output) -> None:
        if isinstance(output, Transmit):  # as nearly all are: a pattern takes longer
            recipient = self._sockets.get(output.connection)
            if recipient is not None:
                recipient.send(encode_bytes(output.message))
                if isinstance(output.message, Welcome):
                    recipient.let_in()
            return
        match output:
            case Close(number, code):
                there = self._sockets.pop(number, None)
                if there is not None:
                    self._say_goodbye(number, there, code)
            case Execute(ticket, request):
                self._store.submit(ticket, request)
            case Publish(node, payload):
                if self._courier is not None:
                    self._courier.publish(node, payload)
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


class _Upgraded(web.StreamResponse):
    """What a handler returns that has handed the connection over: there is nobody to write to."""

    @property
    def prepared(self) -> bool:
        """Whether nothing may be changed any more."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""
