"""The one way out for RTP: `Departures` with the clock and the timers of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from .allocation import Demand
from .departures import Departures
from .feedback import TransportFeedback
from .outgoing import OutgoingStream
from .streams import StreamKind

LEAST_WAIT = 0.001
"""Seconds between two looks at the pacer: what would leave sooner leaves with the next burst."""


class Outlet:
    """Sends the RTP of one session; while only sound is sent it has no timer.

    Args:
        send: takes a finished RTP packet; whether it has left.
        on_rates: told the rate of each open stream when it has changed notably: bits a second on the wire with all
            headers (`overhead` bytes for each packet beyond RTP). 0: the stream is to pause.
    """

    def __init__(self, send: Callable[[bytes], bool], on_rates: Callable[[Mapping[StreamKind, int]], None]) -> None:
        self._departures = Departures(time.monotonic(), send, on_rates)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, kind: StreamKind, stream: OutgoingStream, demand: Demand) -> None:
        """Give a stream its share of the rate from now on, or change what it demands.

        Args:
            kind: of the stream.
            stream: told of each packet that has left; makes the padding of probes.
            demand: what it can use.
        """
        self._departures.open(kind, stream, demand)

    def shut(self, kind: StreamKind) -> None:
        """Give the rate of a stream that is no longer sent to the others, and forget what waits of it."""
        self._departures.shut(kind)

    def send_now(self, packet: bytearray, kind: StreamKind) -> bool:
        """Send a packet at once, past everything that waits; whether it has left."""
        if self._closed:
            return False
        sent = self._departures.leave_now(kind, packet, time.monotonic())
        self._schedule()
        return sent

    def queue(self, kind: StreamKind, packets: Iterable[bytearray], *, repair: bool = False) -> None:
        """Let packets leave at the pace of the path.

        Args:
            kind: of their stream.
            packets: in order, of `OutgoingStream.frame` or `OutgoingStream.repair`.
            repair: whether they go before everything else that waits.
        """
        if not self._closed:
            self._departures.queue(kind, packets, repair=repair)
            self._pump()

    def feedback(self, feedback: TransportFeedback, at: float) -> None:
        """Take one transport-wide feedback of the peer that arrived at monotonic time `at`."""
        if not self._closed:
            self._departures.feedback(feedback, at)
            self._schedule()

    def path_changed(self, now: float) -> None:
        """Begin carefully: packets take another path from monotonic time `now` on."""
        self._departures.path_changed(now)

    @property
    def overhead(self) -> int:
        """Bytes that each packet has on the wire beyond RTP, as the path in use has it."""
        return self._departures.overhead

    @overhead.setter
    def overhead(self, overhead: int) -> None:
        self._departures.overhead = overhead

    @property
    def rates(self) -> Mapping[StreamKind, int]:
        """Bits a second on the wire that each open stream may send now."""
        return self._departures.rates

    def backlog(self, kind: StreamKind) -> float:
        """Seconds that it takes, at the rate of the stream, to send what waits of it."""
        return self._departures.backlog(kind)

    def drop(self, kind: StreamKind) -> None:
        """Forget what waits of a stream."""
        self._departures.drop(kind)

    @property
    def departures(self) -> Departures:
        """What decides, with its counters, for statistics."""
        return self._departures

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        self._cancel()

    def _pump(self) -> None:
        self._cancel()
        self._departures.pump(time.monotonic())
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None or self._closed:
            return
        next_at = self._departures.next_at()
        if next_at is not None:
            wait = max(LEAST_WAIT, next_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._pump)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
