"""The streams of one answered call, above its legs: gate, legs, reports, liveness, statistics.

::

    sources ─► OutgoingStreams ─► outlet ─► the leg in use ─► peer
    peer ─► any attached leg ─► [held until the gate opens] ─► IncomingStreams ─► sink
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from enum import Enum, auto
from typing import Any, assert_never

from aiortc.rtp import RtcpSrPacket

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import LocalProtocolError, RemoteProtocolError

from . import rtcp
from .audio_receiver import AudioReceiver
from .audio_sender import AudioSender
from .departures import Departures
from .device_changes import tell_device_changes
from .engine import PacketPath
from .events import SessionEvent, SinkFailed
from .identities import LocalStreams, RemoteStreams
from .incoming_streams import IncomingStreams
from .liveness import Liveness
from .outgoing_streams import OutgoingStreams, ssrcs_of
from .reports import ReportExchange
from .rtp import is_rtcp
from .settings import MediaSettings
from .sinks.guarded import GuardedSink
from .snapshot import snapshot
from .stats import CallStats
from .streams import Sink, Source, StreamKind
from .video_receiver import VideoReceiver
from .video_sender import VideoSender

MAX_HELD = 256
"""Packets kept for the gate: the newest second or so, so that the first syllable is not lost."""

TICK = 0.050
"""Seconds between two looks at silence, reports and feedback."""

CALL_KINDS = (StreamKind.AUDIO, StreamKind.VIDEO)
"""What comes from the source of a call; the screen comes from one of its own."""

logger = logging.getLogger(__name__)


class _Gate(Enum):
    SHUT = auto()
    OPENING = auto()
    READY = auto()
    OPEN = auto()
    CLOSED = auto()


class CallSession:
    """The media of one answered call; the arguments are those of `MediaEngine.session`."""

    def __init__(
        self,
        *,
        streams: LocalStreams,
        sealers: Mapping[StreamKind, FrameSealer],
        openers: Mapping[StreamKind, FrameOpener],
        source: Source,
        sink: Sink,
        settings: MediaSettings,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self._source = source
        self._sink = GuardedSink(sink, lambda sentence: on_event(SinkFailed(sentence)))
        tell_device_changes(self._sink, on_event)
        self._settings = settings
        self._on_event = on_event
        self._gate = _Gate.SHUT
        self._opened_at: float | None = None
        self._legs: list[PacketPath] = []
        self._heard = False
        """Whether the peer was heard on the leg in use."""
        self._remote: RemoteStreams | None = None
        self._held_back: deque[tuple[PacketPath, bytes, float]] = deque(maxlen=MAX_HELD)
        self._liveness = Liveness(settings.suspect_after, settings.stalled_after)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reported: set[bytes] = set()
        """The SSRCs of streams of which the peer has a sender report."""
        self.packets_rejected = 0
        self.reports = ReportExchange([identity.ssrc for identity in streams.by_kind.values()])
        self.outgoing = OutgoingStreams(streams, sealers, settings, self.reports, self._send_stream, on_event)
        self.incoming = IncomingStreams(streams, openers, self._sink, settings, self.reports, self._send, on_event)

    # What there is, for statistics

    @property
    def audio_sender(self) -> AudioSender | None:
        """Of our sound, None before the gate opens."""
        return self.outgoing.audio

    @property
    def video_sender(self) -> VideoSender | None:
        """Of our camera, None before the gate opens."""
        return self.outgoing.video

    @property
    def screen_sender(self) -> VideoSender | None:
        """Of our screen, None before the gate opens."""
        return self.outgoing.screen

    @property
    def audio_receiver(self) -> AudioReceiver | None:
        """Of the peer's sound, None before a leg is attached."""
        return self.incoming.audio

    @property
    def video_receiver(self) -> VideoReceiver | None:
        """Of the peer's camera, None before a leg is attached."""
        return self.incoming.video

    @property
    def screen_receiver(self) -> VideoReceiver | None:
        """Of the peer's screen, None before a leg is attached."""
        return self.incoming.screen

    @property
    def departures(self) -> Departures:
        """What decides when packets leave, and at which rate."""
        return self.outgoing.outlet.departures

    # Legs

    @property
    def leg(self) -> PacketPath | None:
        """The leg in use."""
        return self._legs[-1] if self._legs else None

    def attach(self, leg: PacketPath) -> None:
        """Send over this leg from now on and receive from it too; the one before stays heard until it closes.

        Until the peer is heard on the new one it may not be able to hear us there: what is sent goes over both.
        """
        if self._gate is _Gate.CLOSED:
            raise LocalProtocolError("This session is closed.")
        remote = leg.remote_streams
        if self._remote is None:
            self.incoming.expect(remote)
        elif ssrcs_of(remote) != ssrcs_of(self._remote):
            raise RemoteProtocolError("The streams of the new connection are not those of the call.")
        self._remote = remote
        # What carries the call is the leg on which the peer was heard, not one that it never came to.
        proven = self._legs[-1:] if self._heard else self._legs[:1]
        for retired in self._legs:
            if retired not in proven:
                retired.receive_into(None)
        self._legs = [*proven, leg]
        self._heard = False
        self.incoming.use(remote)
        self.outgoing.use(remote)
        self._use_overhead()
        if len(self._legs) > 1:
            self.outgoing.path_changed()
        self._liveness.restart(time.monotonic())
        leg.receive_into(lambda packet, at: self._packet_arrived(leg, packet, at))

    def path_changed(self) -> None:
        """Say that the leg in use goes on over another pair of addresses."""
        self._use_overhead()
        self.outgoing.path_changed()

    def _use_overhead(self) -> None:
        path = self._legs[-1].path if self._legs else None
        if path is not None:
            self.outgoing.path_has(path.overhead)

    # The gate

    async def open(self) -> None:
        """On accept: open the source and the sink; nothing is sent or played yet."""
        if self._gate is not _Gate.SHUT:
            raise LocalProtocolError("A session is opened once.")
        self._gate = _Gate.OPENING
        results = await asyncio.gather(
            self._sink.start(), self.outgoing.sources.use(self._source, CALL_KINDS), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures or self._gate is not _Gate.OPENING:
            await self.close()
            raise failures[0] if failures else LocalProtocolError("The session was closed while it opened.")
        self._gate = _Gate.READY

    def open_gate(self) -> None:
        """Let frames flow, from here only."""
        if self._gate is not _Gate.READY or self._remote is None:
            raise LocalProtocolError("The gate opens once, when source and sink are open and a leg is attached.")
        self._gate = _Gate.OPEN
        self._opened_at = time.monotonic()
        self._liveness.restart(self._opened_at)
        for work in (*self.outgoing.start(self._remote), *self.incoming.tasks()):
            self._spawn(work)
        while self._held_back:
            self._handle(*self._held_back.popleft())
        self._spawn(self._watch())

    # What the call decides

    async def use_source(self, source: Source | None, kinds: Collection[StreamKind] = CALL_KINDS) -> None:
        """Send sound and picture of another source from now on, or only one of the two."""
        await self._switch(source, kinds)

    async def share_screen(self, source: Source | None) -> None:
        """Send the picture of this source as that of the screen, None: share it no longer."""
        if source is not None and source.video is None:
            raise LocalProtocolError("A source without pictures cannot be shared as a screen.")
        await self._switch(source, (StreamKind.SCREEN,))

    async def _switch(self, source: Source | None, kinds: Collection[StreamKind]) -> None:
        match self._gate:
            case _Gate.READY | _Gate.OPEN:
                await self.outgoing.sources.use(source, kinds)
                self.outgoing.refresh()
            case _Gate.SHUT | _Gate.OPENING | _Gate.CLOSED:
                raise LocalProtocolError("Sources are switched while a session is open.")
            case _ as never:
                assert_never(never)

    def sends(self, kind: StreamKind) -> bool:
        """Whether there is a source for this stream that has not ended."""
        return self.outgoing.sources.sends(kind)

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Send silence instead of sound (packets keep their size and cadence), or no picture."""
        self.outgoing.mute(kind, muted)

    def hold(self, held: bool) -> None:
        """Send silence and no pictures, and play and show nothing, until it is let go on."""
        self._sink.silenced = held
        self.incoming.ignore_pictures(held)
        self.outgoing.hold(held)

    def peer_sends(self, kinds: Collection[StreamKind]) -> None:
        """Hear from the peer which of camera and screen it sends: what is not among these is not decoded."""
        self.incoming.expect_pictures(kinds)

    # Out

    def _send(self, packet: bytes) -> bool:
        if self._gate is not _Gate.OPEN:
            return False
        if self._heard:
            return self._legs[-1].send_packet(packet)
        sent = [leg.send_packet(packet) for leg in self._legs]
        return any(sent)

    def _send_stream(self, packet: bytes) -> bool:
        sent = self._send(packet)
        if sent and packet[8:12] not in self._reported:
            # The peer cannot bring sound and picture together before it has a report of each.
            self._reported.add(packet[8:12])
            asyncio.get_running_loop().call_soon(self._send_reports)
        return sent

    def _send_reports(self) -> None:
        self._send(self.reports.make(self.outgoing.reported, self.incoming.receptions, time.monotonic()))

    # In

    def _packet_arrived(self, leg: PacketPath, packet: bytes, at: float) -> None:
        match self._gate:
            case _Gate.OPEN:
                self._handle(leg, packet, at)
            case _Gate.SHUT | _Gate.OPENING | _Gate.READY:
                self._held_back.append((leg, packet, at))
            case _Gate.CLOSED:
                pass
            case _ as never:
                assert_never(never)

    def _handle(self, leg: PacketPath, packet: bytes, at: float) -> None:
        try:
            if is_rtcp(packet):
                for part in rtcp.read_rtcp(packet):
                    if isinstance(part, RtcpSrPacket):
                        self.incoming.sender_reported(part, at)
                    self.outgoing.take(part, at)
            else:
                self.incoming.take(packet, at)
        except RemoteProtocolError:
            self.packets_rejected += 1
            return
        if leg is not self.leg:
            return
        self._heard = True
        if (event := self._liveness.heard(at)) is not None:
            self._on_event(event)

    # Upkeep

    async def _watch(self) -> None:
        report_at = time.monotonic()
        while True:
            now = time.monotonic()
            if (event := self._liveness.poll(now)) is not None:
                self._on_event(event)
            self.incoming.give_feedback(now)
            if now >= report_at:
                report_at = now + self._settings.rtcp_interval
                self._send_reports()
            await asyncio.sleep(TICK)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A media task ended unexpectedly", exc_info=error)

    def stats(self) -> CallStats:
        """Figures up to now."""
        now = time.monotonic()
        return snapshot(self, now, now - self._opened_at if self._opened_at is not None else 0.0)

    async def close(self) -> None:
        """Stop both directions, close source and sink, free codecs and threads."""
        if self._gate is _Gate.CLOSED:
            return
        self._gate = _Gate.CLOSED
        for leg in self._legs:
            leg.receive_into(None)
        self._held_back.clear()
        self.outgoing.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        results = await asyncio.gather(self.outgoing.sources.close(), self._sink.close(), return_exceptions=True)
        await self.outgoing.free()
        await self.incoming.free()
        for result in results:
            if isinstance(result, BaseException):
                raise result
