"""The real pure hub in simulated time, with a store that survives when the hub is killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from entrenous_signaling.call_tokens import CallTokens
from entrenous_signaling.hub import Hub
from entrenous_signaling.outputs import Close, Execute, Output, Publish, Transmit
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import DiscardRecord, StoreRequest
from entrenous_wire.codec import encode

from .clock import Appointment, Clock
from .links import Link, LinkEnd
from .memorystore import MemoryStore

SERVER = "calls.example.org"
STORE_SECONDS = 0.005
_KEY = bytes(32)
TOKENS = CallTokens(_KEY)


class SimServer:
    """One server process after the other over one store.

    Args:
        clock: simulated time.
        draw: the randomness of the run.
    """

    def __init__(self, clock: Clock, draw: random.Random) -> None:
        self.store = MemoryStore()
        self.closed: Counter[bytes] = Counter()
        """How many records were closed on disk of each token."""
        self.durations: dict[bytes, int] = {}
        self.discarded: set[bytes] = set()
        """Tokens of records that were taken away, since the call had ended before it was accepted."""
        self.kills = 0
        self.store_down = False
        self._clock = clock
        self._draw = draw
        self._links: dict[int, tuple[Link, LinkEnd]] = {}
        self._connections = 0
        self._timer: Appointment | None = None
        self._hub: Hub | None = None
        self.start()

    @property
    def up(self) -> bool:
        """Whether a process runs."""
        return self._hub is not None

    def start(self) -> None:
        """A process starts over what the store holds."""
        self._hub = Hub(
            self._settings(),
            self._draw.randbytes,
            self._clock.now,
        )
        self._arm()

    def _settings(self) -> HubSettings:
        return HubSettings(name=SERVER, message_key=_KEY)

    def kill(self) -> None:
        """SIGKILL: memory is gone, what was not on disk is gone, all links are cut."""
        self.kills += 1
        self._hub = None
        links, self._links = self._links, {}
        for link, _ in links.values():
            link.cut()

    def end_of(self) -> LinkEnd:
        """The server's end of a new link; `accept` it when it arrives."""
        self._connections += 1
        number = self._connections
        return NumberedEnd(number, lambda frame: self.hear(number, frame), lambda: self.lost(number))

    def accept(self, link: Link) -> None:
        """A link arrived at a running server."""
        assert self._hub is not None
        assert isinstance(link.server, NumberedEnd)
        number = link.server.number
        self._links[number] = (link, link.node)
        self._run(self._hub.connected(number, self._clock.now))

    def hear(self, number: int, frame: str) -> None:
        """A frame has come on a link."""
        if self._hub is not None and number in self._links:
            self._run(self._hub.frame_received(number, frame, self._clock.now))

    def lost(self, number: int) -> None:
        """A link is gone."""
        if self._links.pop(number, None) is not None and self._hub is not None:
            self._run(self._hub.disconnected(number, self._clock.now))

    def _run(self, outputs: list[Output]) -> None:
        self._carry_out(outputs)
        self._arm()

    def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Transmit(number, message):
                    link, end = self._links[number]
                    link.say_to(end, encode(message))
                case Close(number, _):
                    link, _ = self._links.pop(number)
                    link.close_from(link.server)
                case Execute(ticket, request):
                    self._clock.after(STORE_SECONDS, self._job(ticket, request))
                case Publish(node, payload):
                    self._publish(node, payload)

    def _publish(self, node: bytes | None, payload: bytes) -> None:
        raise AssertionError("a server that is alone publishes nothing")

    def _job(self, ticket: int, request: StoreRequest) -> Callable[[], None]:
        """What the store will do for the process that asks now; nothing when that is killed before."""
        hub = self._hub
        return lambda: self._execute(hub, ticket, request) if hub is not None and hub is self._hub else None

    def _execute(self, hub: Hub, ticket: int, request: StoreRequest) -> None:
        if self.store_down:
            self._run(hub.store_failed(ticket, self._clock.now))
            return
        open_before, records_before = list(self.store.open_rows), len(self.store.records)
        result = self.store.apply(request)
        if isinstance(request, DiscardRecord):
            self.discarded.add(request.token)
            open_before.clear()
        gone = [token for token in open_before if token not in self.store.open_rows]
        for token, (_, duration) in zip(gone, self.store.records[records_before:], strict=True):
            self.closed[token] += 1
            self.durations[token] = duration
        self._run(hub.stored(ticket, result, self._clock.now))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = None if self._hub is None else self._hub.next_deadline()
        self._timer = None if due is None else self._clock.at(due, self._tick)

    def _tick(self) -> None:
        if self._hub is not None:
            self._run(self._hub.tick(self._clock.now))


class NumberedEnd(LinkEnd):
    """The end of a link at a server, with the number of its connection."""

    def __init__(self, number: int, hear: Callable[[str], None], lost: Callable[[], None]) -> None:
        super().__init__(hear, lost)
        self.number = number
