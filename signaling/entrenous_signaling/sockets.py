"""One WebSocket of a node: what comes is handed on at once, what goes is written without waiting for its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from entrenous_wire.limits import HEARTBEAT_SECONDS, MAX_FRAME_BYTES

from .frames import FrameError, FrameReader, Opcode, answer_to_close, close_frame, control_frame, text_header
from .limits import Rate
from .logs import Event, log
from .meters import Meters
from .shares import A_VISIT, CallLater, Line, Share, units

SLOW_READER_BYTES: Final = 256 * 1024
"""What may lie in the buffer of one connection before it is cut."""

CLOSE_SECONDS: Final = 2.0
"""How long the other end may take to take what lies in the buffer, and to answer a goodbye."""

MOST_PASSED_OVER: Final = 64
"""Units that may still come before the answer to a goodbye. A flood of them would be read up to the end of
CLOSE_SECONDS."""

LARGEST_READ: Final = 4 * MAX_FRAME_BYTES
"""Messages up to here get a typed error when they are too large; above it the connection is closed, with code 1009."""


class Departures:
    """Lets what is said on a connection in one turn of the loop leave together.

    Each message that is routed is several frames. If each left alone, the system calls for that would be what costs
    most.

    Args:
        call_soon: calls something in the loop's next turn.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: list[NodeSocket] = []

    def add(self, socket: NodeSocket) -> None:
        """Something was said on a connection on which nothing waits to leave."""
        if not self._waiting:
            self._call_soon(self._depart)
        self._waiting.append(socket)

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, []
        for socket in waiting:
            socket.depart()


@dataclass(frozen=True, slots=True)
class Hearing:
    """How connections are heard, the same for all.

    Args:
        rate: the share of each, in units.
        line: where those wait who say more.
        clock: seconds, of any origin.
    """

    rate: Rate
    line: Line
    clock: Callable[[], float]


class Ears(Protocol):
    """Who hears what a node says; each call may close the socket."""

    def text_received(self, number: int, text: bytes) -> None:
        """A text message has come."""

    def binary_received(self, number: int) -> None:
        """A binary message has come."""

    def ping_received(self, number: int) -> None:
        """A ping has come, or a pong that answers none."""


class _Phase(Enum):
    OPEN = auto()
    LEAVING = auto()
    """We said goodbye, and what comes before the answer is not looked at."""
    ENDED = auto()
    """Both have said goodbye, or it is gone: what lies in the buffer may still leave."""


# For the way of each frame: looking a member up in its class takes as long as all else in its line (CPython 3.11).
_TEXT: Final = Opcode.TEXT
_OPEN: Final = _Phase.OPEN
_ENDED: Final = _Phase.ENDED


class NodeSocket(asyncio.Protocol):
    """A WebSocket that was opened, as the protocol of its transport.

    Args:
        number: of the connection.
        transport: of the connection, which gets this as its protocol.
        ears: who hears what comes.
        lost: called when the connection is gone, the last thing that it calls.
        meters: where cuts are counted.
        departures: when what is said leaves.
        hearing: how much is heard of it, and when.
        call_later: calls something after so many seconds.
    """

    __slots__ = (
        "_call_later",
        "_clock",
        "_departures",
        "_ears",
        "_frames",
        "_has_asked",
        "_has_heard",
        "_is_paused",
        "_later",
        "_line",
        "_lost",
        "_meters",
        "_number",
        "_passed_over",
        "_phase",
        "_reader",
        "_share",
        "_timer",
        "_transport",
        "_unsent",
    )

    def __init__(
        self,
        number: int,
        transport: asyncio.Transport,
        ears: Ears,
        lost: Callable[[], None],
        meters: Meters,
        departures: Departures,
        hearing: Hearing,
        call_later: CallLater,
    ) -> None:
        self._number = number
        self._transport = transport
        self._ears = ears
        self._lost = lost
        self._meters = meters
        self._departures = departures
        self._clock, self._line = hearing.clock, hearing.line
        self._share = Share(hearing.rate, hearing.clock())
        self._reader = FrameReader(LARGEST_READ)
        self._frames: Iterator[tuple[Opcode, bytes]] | None = None
        self._later = b""
        self._is_paused = False
        self._unsent: list[bytes] = []
        self._phase = _Phase.OPEN
        self._passed_over = 0
        self._has_heard = True
        self._has_asked = False
        self._call_later = call_later
        self._timer = call_later(HEARTBEAT_SECONDS / 2, self._beat)

    def let_in(self) -> None:
        """A device has logged in on it: it is heard at once from now on, up to its share."""
        self._share.let_in()

    def send(self, text: bytes) -> None:
        """Let a text frame leave in the next turn of the loop.

        Args:
            text: in UTF-8.
        """
        if not self._unsent:
            self._departures.add(self)
        self._unsent += (text_header(len(text)), text)

    def depart(self) -> None:
        """Write what was said into the transport's buffer; cut the connection when too much lies there."""
        frames, self._unsent = self._unsent, []
        if frames and self._phase is _OPEN:
            self._write(b"".join(frames))

    def close(self, code: int, reason: bytes = b"") -> None:
        """Say goodbye behind what was said, and cut the connection when the other end does not answer in time."""
        if self._phase is _Phase.OPEN:
            self.depart()
            self._phase = _Phase.LEAVING
            self._write(close_frame(code, reason))
            self._leave()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand on what has come."""
        if self._phase is _ENDED:
            return
        self._has_heard = True
        if self._frames is not None:  # TLS may have opened it before reading was paused
            self._later += data
            return
        self._frames = self._reader.read(data)
        left = self._share.left(self._clock())
        if left > 0:
            self._line.others_were_heard = True
            self._share.spend(self._hear(left))
        if self._frames is not None:
            self._is_paused = True
            self._transport.pause_reading()
            self._line.join(self)

    @property
    def waits(self) -> bool:
        """Whether something has come that was not heard yet."""
        return self._frames is not None

    def hear_some(self) -> float:
        """Hear a little of what has come, from which nothing follows."""
        self._share.spend(self._hear(A_VISIT))
        if self._frames is None and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return 0.0

    def _hear(self, most: int) -> int:
        """Hand on so many units, or all there are; how many it was."""
        if self._frames is None:  # the connection is gone
            return 0
        heard = 0
        try:
            for opcode, payload in self._frames:
                if opcode is _TEXT and self._phase is _OPEN:
                    self._ears.text_received(self._number, payload)
                else:
                    self._take(opcode, payload)
                heard += units(payload)
                if heard >= most or self._phase is _ENDED:
                    break
            else:
                self._frames = self._reader.read(self._later) if self._later else None
                self._later = b""
        except FrameError as error:
            self.close(error.fault)
            self._end()
        if self._phase is _ENDED or self._transport.is_closing():
            self._forget()
        return heard

    def _forget(self) -> None:
        """Nothing that comes or has come is looked at any more, or kept."""
        self._frames = None
        self._later = b""
        self._is_paused = False
        self._reader = FrameReader(0)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._phase = _Phase.ENDED
        self._timer.cancel()
        self._unsent.clear()
        self._forget()  # or it would be known as long as somebody knows us
        self._lost()

    def _take(self, opcode: Opcode, payload: bytes) -> None:
        match opcode:
            case Opcode.CLOSE:
                if self._phase is _Phase.OPEN:
                    self.depart()
                    self._write(answer_to_close(payload))
                    self._leave()
                self._end()
            case _ if self._phase is not _Phase.OPEN:
                self._passed_over += units(payload)
                if self._passed_over > MOST_PASSED_OVER:
                    self._phase = _Phase.ENDED
                    self._transport.abort()
            case Opcode.BINARY:
                self._ears.binary_received(self._number)
            case Opcode.PING:
                self._ears.ping_received(self._number)
                if self._phase is _Phase.OPEN:
                    self._write(control_frame(Opcode.PONG, payload))
            case Opcode.PONG if self._has_asked:
                self._has_asked = False
            case Opcode.PONG:
                self._ears.ping_received(self._number)

    def _beat(self) -> None:
        """Twice in HEARTBEAT_SECONDS: ask who is silent, and cut off who does not answer."""
        if self._has_heard:
            self._has_heard = self._has_asked = False
        elif self._has_asked:
            self._transport.abort()
            return
        else:
            self._has_asked = True
            self._write(control_frame(Opcode.PING))
        self._timer = self._call_later(HEARTBEAT_SECONDS / 2, self._beat)

    def _leave(self) -> None:
        """It has so long to be gone."""
        self._timer.cancel()
        self._timer = self._call_later(CLOSE_SECONDS, self._transport.abort)

    def _end(self) -> None:
        self._phase = _Phase.ENDED
        self._transport.close()

    def _write(self, frames: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frames)
            if self._transport.get_write_buffer_size() > SLOW_READER_BYTES:
                self._meters.cuts += 1
                log(Event.SLOW_READER)
                self._transport.abort()
