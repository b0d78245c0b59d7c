"""The streams of one answered call, above its legs: gate, routing, reports, liveness, statistics.

::

    source ─► AudioSender, VideoSender ─► send ─► the leg in use ─► peer
    peer ─► any attached leg ─► [held until the gate opens] ─► route by SSRC ─► AudioReceiver, VideoReceiver ─► sink
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Any, assert_never

from aiortc.rtp import RtcpSrPacket

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import LocalProtocolError, RemoteProtocolError

from . import rtcp
from .audio_plan import AudioPlan
from .audio_receiver import AudioReceiver
from .audio_sender import AudioSender
from .clocksync import PlayoutClock
from .codecs.base import VideoCodec
from .codecs.opus import OpusDecoder, OpusEncoder
from .engine import PacketPath
from .events import FirstAudio, FirstVideo, SessionEvent, SinkFailed
from .identities import LocalStreams, RemoteStreams, StreamIdentity
from .liveness import Liveness
from .reports import ReportExchange
from .rtp import RtpPacket, is_rtcp, original_of, read_rtp
from .settings import MediaSettings
from .sinks.guarded import GuardedSink
from .snapshot import snapshot
from .stats import CallStats
from .streams import Sink, Source, StreamKind
from .video_codecs import make_decoder, make_encoder
from .video_receiver import VideoReceiver
from .video_sender import VideoSender

MAX_HELD = 256
"""Packets kept for the gate: the newest second or so, so that the first syllable is not lost."""

TICK = 0.050
"""Seconds between two looks at silence and reports."""

Route = Callable[[RtpPacket, int, float], None]

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
        if StreamKind.AUDIO not in sealers:
            raise LocalProtocolError("A session needs the frame keys of its sound.")
        self._streams = streams
        self._sealers = sealers
        self._openers = openers
        self._source = source
        self._sink = GuardedSink(sink, lambda sentence: on_event(SinkFailed(sentence)))
        self._settings = settings
        self._on_event = on_event
        self._gate = _Gate.SHUT
        self._opened_at: float | None = None
        self._legs: list[PacketPath] = []
        self._heard = False
        """Whether the peer was heard on the leg in use."""
        self._remote: RemoteStreams | None = None
        self._held: deque[tuple[PacketPath, bytes, float]] = deque(maxlen=MAX_HELD)
        self._routes: dict[int, Route] = {}
        self.reports = ReportExchange([identity.ssrc for identity in streams.by_kind.values()])
        self._playout = PlayoutClock()
        self._liveness = Liveness(settings.suspect_after, settings.stalled_after)
        self._tasks: set[asyncio.Task[None]] = set()
        self._encoding = _one_thread("entrenous-encode")
        self._decoding = _one_thread("entrenous-decode")
        self._audio_encoder = OpusEncoder()
        self._audio_decoder = OpusDecoder()
        self._video_decoder = make_decoder(VideoCodec.VP8)
        self._muted: set[StreamKind] = set()
        self._reported: set[int] = set()
        self.audio_sender: AudioSender | None = None
        self.video_sender: VideoSender | None = None
        self.audio_receiver: AudioReceiver | None = None
        self.video_receiver: VideoReceiver | None = None
        self.packets_rejected = 0

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
            self._receive_streams(remote)
        elif _ssrcs(remote) != _ssrcs(self._remote):
            raise RemoteProtocolError("The streams of the new connection are not those of the call.")
        self._remote = remote
        # What carries the call is the leg on which the peer was heard, not one that it never came to.
        proven = self._legs[-1:] if self._heard else self._legs[:1]
        for retired in self._legs:
            if retired not in proven:
                retired.receive_into(None)
        self._legs = [*proven, leg]
        self._heard = False
        self._use_payload_types()
        self._liveness.restart(time.monotonic())
        leg.receive_into(lambda packet, at: self._packet_arrived(leg, packet, at))

    def _receive_streams(self, remote: RemoteStreams) -> None:
        audio, video = remote.by_kind.get(StreamKind.AUDIO), remote.by_kind.get(StreamKind.VIDEO)
        if audio is not None and StreamKind.AUDIO in self._openers:
            self.audio_receiver = AudioReceiver(
                audio.ssrc,
                self._openers[StreamKind.AUDIO],
                self._audio_decoder,
                self._playout,
                self._sink.play,
                lambda at: self._on_event(FirstAudio(at)),
            )
            self._routes[audio.ssrc] = self.audio_receiver.receive
        if video is not None and StreamKind.VIDEO in self._openers:
            own = self._streams.by_kind[StreamKind.AUDIO].ssrc
            self.video_receiver = VideoReceiver(
                video.ssrc,
                self._openers[StreamKind.VIDEO],
                self._video_decoder,
                self._playout,
                self._settings.video_hold,
                self._decoding,
                self._sink.show,
                lambda at: self._on_event(FirstVideo(at)),
                lambda: self.reports.round_trip,
                lambda missing: self._send(rtcp.nack_request(own, video.ssrc, missing)),
                lambda: self._send(rtcp.key_frame_request(own, video.ssrc)),
            )
            self._routes[video.ssrc] = self.video_receiver.receive
            if video.rtx_ssrc is not None:
                self._routes[video.rtx_ssrc] = _repairs(self.video_receiver, video)

    def _use_payload_types(self) -> None:
        if self._remote is None:
            return
        for kind, sender in ((StreamKind.AUDIO, self.audio_sender), (StreamKind.VIDEO, self.video_sender)):
            wanted = self._remote.by_kind.get(kind)
            if sender is not None and wanted is not None:
                sender.stream.use(wanted)

    # The gate

    async def open(self) -> None:
        """On accept: open the source and the sink; nothing is sent or played yet."""
        if self._gate is not _Gate.SHUT:
            raise LocalProtocolError("A session is opened once.")
        self._gate = _Gate.OPENING
        results = await asyncio.gather(self._sink.start(), self._source.start(), return_exceptions=True)
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
        self._start_senders()
        for receiver in (self.audio_receiver, self.video_receiver):
            if receiver is not None:
                self._spawn(receiver.run())
        while self._held:
            self._handle(*self._held.popleft())
        self._spawn(self._watch())

    def _start_senders(self) -> None:
        identities = self._streams.by_kind
        self.audio_sender = AudioSender(
            identities[StreamKind.AUDIO],
            self._sealers[StreamKind.AUDIO],
            self._audio_encoder,
            self._source.audio,
            self._send_stream,
            self._on_event,
            AudioPlan(self._settings.audio_bitrate, fec=True),
        )
        self.audio_sender.muted = StreamKind.AUDIO in self._muted
        self._spawn(self.audio_sender.run())
        takes_video = self._remote is not None and StreamKind.VIDEO in self._remote.by_kind
        if self._source.video is not None and StreamKind.VIDEO in self._sealers and takes_video:
            bitrate = self._settings.video_bitrate
            self.video_sender = VideoSender(
                identities[StreamKind.VIDEO],
                self._sealers[StreamKind.VIDEO],
                lambda width, height: make_encoder(VideoCodec.VP8, width, height, bitrate, 30),
                bitrate,
                self._source.video,
                self._send_stream,
                self._encoding,
                self._on_event,
            )
            self.video_sender.muted = StreamKind.VIDEO in self._muted
            self._spawn(self.video_sender.run())
        self._use_payload_types()

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Send silence instead of sound (packets keep their size and cadence), or no picture."""
        self._muted = self._muted | {kind} if muted else self._muted - {kind}
        if kind is StreamKind.AUDIO and self.audio_sender is not None:
            self.audio_sender.muted = muted
        elif kind is StreamKind.VIDEO and self.video_sender is not None:
            if muted:
                self.video_sender.muted = True
            else:
                self.video_sender.unmute()

    # Out

    def _send(self, packet: bytes) -> bool:
        if self._gate is not _Gate.OPEN:
            return False
        used = self._legs[-1:] if self._heard else self._legs
        sent = [leg.send_packet(packet) for leg in used]
        return any(sent)

    def _send_stream(self, packet: bytes | bytearray) -> bool:
        sent = self._send(bytes(packet))
        ssrc = int.from_bytes(packet[8:12], "big")
        if sent and ssrc not in self._reported:
            # The peer cannot bring sound and picture together before it has a report of each.
            self._reported.add(ssrc)
            asyncio.get_running_loop().call_soon(self._send_reports)
        return sent

    def _send_reports(self) -> None:
        senders = [sender.stream for sender in (self.audio_sender, self.video_sender) if sender is not None]
        receivers = [each.reception for each in (self.audio_receiver, self.video_receiver) if each is not None]
        self._send(self.reports.make(senders, receivers, time.monotonic()))

    # In

    def _packet_arrived(self, leg: PacketPath, packet: bytes, at: float) -> None:
        match self._gate:
            case _Gate.SHUT | _Gate.OPENING | _Gate.READY:
                self._held.append((leg, packet, at))
            case _Gate.OPEN:
                self._handle(leg, packet, at)
            case _Gate.CLOSED:
                pass
            case _ as never:
                assert_never(never)

    def _handle(self, leg: PacketPath, packet: bytes, at: float) -> None:
        try:
            if is_rtcp(packet):
                self._handle_reports(rtcp.read_rtcp(packet), at)
            else:
                self._handle_stream(packet, at)
        except RemoteProtocolError:
            self.packets_rejected += 1
            return
        if leg is not self.leg:
            return
        self._heard = True
        if (event := self._liveness.heard(at)) is not None:
            self._on_event(event)

    def _handle_stream(self, data: bytes, at: float) -> None:
        packet = read_rtp(data)
        route = self._routes.get(packet.ssrc)
        if route is None:
            raise RemoteProtocolError("An RTP packet belongs to no stream.")
        route(packet, len(data), at)

    def _handle_reports(self, packets: list[rtcp.ReadPacket], at: float) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._sender_reported(packet, at)
            for block in rtcp.reports_in(packet):
                self.reports.take(block, at)
            if self.video_sender is not None:
                ssrc = self.video_sender.stream.identity.ssrc
                if missing := rtcp.nacked(packet, ssrc):
                    self.video_sender.repair(missing, at, self.reports.round_trip)
                if rtcp.asks_for_key_frame(packet, ssrc):
                    self.video_sender.request_key_frame(at)

    def _sender_reported(self, report: RtcpSrPacket, at: float) -> None:
        info = report.sender_info
        for kind, receiver in ((StreamKind.AUDIO, self.audio_receiver), (StreamKind.VIDEO, self.video_receiver)):
            if receiver is not None and receiver.reception.ssrc == report.ssrc:
                receiver.reception.sender_reported(info.ntp_timestamp, at)
                self._playout.sender_reported(kind, info.ntp_timestamp, info.rtp_timestamp)

    # Upkeep

    async def _watch(self) -> None:
        report_at = time.monotonic()
        while True:
            now = time.monotonic()
            if (event := self._liveness.poll(now)) is not None:
                self._on_event(event)
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
        self._held.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        results = await asyncio.gather(self._source.close(), self._sink.close(), return_exceptions=True)
        await self._free_codecs()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _free_codecs(self) -> None:
        self._audio_encoder.close()
        self._audio_decoder.close()
        close_encoder = self.video_sender.close_encoder if self.video_sender is not None else _nothing
        # Each thread closes its codec behind the frame that it may still be busy with, and ends.
        for executor, closing in ((self._encoding, close_encoder), (self._decoding, self._video_decoder.close)):
            await asyncio.wrap_future(executor.submit(closing))
            executor.shutdown(wait=True)


def _nothing() -> None:
    """What is to be closed where nothing was opened."""


def _one_thread(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


def _ssrcs(remote: RemoteStreams) -> dict[StreamKind, tuple[int, int | None]]:
    return {kind: (identity.ssrc, identity.rtx_ssrc) for kind, identity in remote.by_kind.items()}


def _repairs(receiver: VideoReceiver, identity: StreamIdentity) -> Route:
    """The route of retransmissions: each becomes the packet that it repeats."""

    def receive(packet: RtpPacket, size: int, at: float) -> None:
        original = original_of(packet, ssrc=identity.ssrc, payload_type=identity.repaired_type(packet.payload_type))
        if original is not None:
            receiver.receive(original, size, at, repair=True)

    return receive
