"""What a session sends: sound, camera and screen, from their sources to the one outlet."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import LocalProtocolError

from . import rtcp, video_codecs
from .allocation import Demand
from .audio_adaptation import AudioAdaptation
from .audio_plan import AudioPlan
from .audio_sender import AudioSender
from .codecs.base import VideoCodec
from .codecs.opus import OpusEncoder
from .departures import OVERHEAD
from .events import SessionEvent, SourceEnded, SourceFailed
from .feedback import TransportFeedback
from .identities import LocalStreams, RemoteStreams, StreamIdentity
from .outgoing import OutgoingStream
from .outlet import Outlet
from .picture_ladder import PictureSize
from .reports import ReportExchange
from .rtcp import ReadPacket
from .rtp import HEADER_LENGTH, transport_sequence_of
from .settings import MediaSettings
from .sources_in_use import SourcesInUse
from .streams import AudioSource, StreamKind
from .video_sender import LARGEST, VideoSender

LEAST_PICTURE_RATE = 60_000
"""Bits a second below which a picture is of no use."""


class OutgoingStreams:
    """The senders of a session.

    Args:
        streams: their numbers.
        sealers: frame keys; AUDIO must be there, a kind without a key is never sent.
        settings: rates.
        reports: what the peer says about our streams.
        send: takes RTP packets; whether one has left.
        on_event: told when a source ends or breaks.
    """

    def __init__(
        self,
        streams: LocalStreams,
        sealers: Mapping[StreamKind, FrameSealer],
        settings: MediaSettings,
        reports: ReportExchange,
        send: Callable[[bytes], bool],
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        if StreamKind.AUDIO not in sealers:
            raise LocalProtocolError("A session needs the frame keys of its sound.")
        self.sources = SourcesInUse(self._use_audio, self._source_event)
        self.outlet = Outlet(send, self._rates_changed)
        self.audio: AudioSender | None = None
        self.video: VideoSender | None = None
        self.screen: VideoSender | None = None
        self._streams = streams
        self._sealers = sealers
        self._settings = settings
        self._reports = reports
        self._on_event = on_event
        self._muted: set[StreamKind] = set()
        self._held = False
        self._started = False
        self._audio_encoder = OpusEncoder()
        self.adaptation = AudioAdaptation(
            settings.audio_bitrate, OVERHEAD + HEADER_LENGTH, self._use_plan, self._use_demand
        )

    @property
    def senders(self) -> tuple[VideoSender, ...]:
        """Of the pictures."""
        return tuple(sender for sender in (self.video, self.screen) if sender is not None)

    @property
    def reported(self) -> list[OutgoingStream]:
        """The streams that sender reports are made of."""
        streams = [self.audio.stream] if self.audio is not None else []
        return streams + [sender.stream for sender in self.senders]

    def start(self, remote: RemoteStreams) -> list[Coroutine[Any, Any, None]]:
        """Make the senders and read the sources; what is returned is to be run as tasks."""
        identities = self._streams.by_kind
        self.audio = AudioSender(
            identities[StreamKind.AUDIO],
            self._sealers[StreamKind.AUDIO],
            self._audio_encoder,
            None,
            self._send_sound,
            self._source_event,
            self.adaptation.plan,
        )
        self.video = self._picture_sender(StreamKind.VIDEO, remote)
        self.screen = self._picture_sender(StreamKind.SCREEN, remote)
        self.use(remote)
        self.outlet.open(StreamKind.AUDIO, self.audio.stream, self.adaptation.demand)
        self.sources.begin()
        self._started = True
        self.refresh()
        return [self.audio.run(), *(sender.run() for sender in self.senders)]

    def _picture_sender(self, kind: StreamKind, remote: RemoteStreams) -> VideoSender | None:
        if kind not in self._sealers:
            return None
        identity = self._streams.by_kind[kind]
        settings = self._settings
        camera = PictureSize(settings.video_width, settings.video_height, settings.video_fps)
        return VideoSender(
            kind,
            identity,
            self._sealers[kind],
            _codecs(identity.answering(remote.by_kind[kind])),
            video_codecs.make_encoder,
            self.sources.video if kind is StreamKind.VIDEO else self.sources.screen,
            self.outlet,
            lambda: (self._reports.loss.get(identity.ssrc, 0.0), self._reports.round_trip),
            self._on_event,
            camera if kind is StreamKind.VIDEO else LARGEST,
        )

    def use(self, remote: RemoteStreams) -> None:
        """Take the payload types and codecs that the peer wants on the leg in use.

        Raises:
            RemoteProtocolError: there is a stream that has no codec in common with ours.
        """
        agreed = {kind: own.answering(remote.by_kind[kind]) for kind, own in self._streams.by_kind.items()}
        if self.audio is not None:
            self.audio.stream.use(agreed[StreamKind.AUDIO])
        for sender in self.senders:
            sender.stream.use(agreed[sender.kind])
            sender.accept(_codecs(agreed[sender.kind]))

    def path_changed(self) -> None:
        """Packets take another path from now on."""
        self.outlet.path_changed(time.monotonic())

    def path_has(self, overhead: int) -> None:
        """Each packet has so many bytes on the wire beyond RTP from now on."""
        if overhead != self.outlet.overhead:
            self.outlet.overhead = overhead
            self.adaptation.overhead_changed(overhead + HEADER_LENGTH)

    # What the call decides

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Send silence instead of sound, or no picture."""
        self._muted = self._muted | {kind} if muted else self._muted - {kind}
        self.refresh()

    def hold(self, held: bool) -> None:
        """Send silence and no pictures, whatever is muted."""
        self._held = held
        self.refresh()

    def refresh(self) -> None:
        """Let the senders do what is wanted now, and share the rate between those that have something to send."""
        if not self._started:
            return
        if self.audio is not None:
            self.audio.muted = self._held or StreamKind.AUDIO in self._muted
        for sender in self.senders:
            sender.pause(self._held or sender.kind in self._muted)
            if sender.paused or not self.sources.sends(sender.kind):
                self.outlet.shut(sender.kind)
                sender.set_rate(0)
            else:
                demand = Demand(LEAST_PICTURE_RATE, self._settings.video_bitrate)
                self.outlet.open(sender.kind, sender.stream, demand)
                sender.set_rate(self.outlet.rates.get(sender.kind, 0))

    def _use_audio(self, source: AudioSource | None) -> None:
        if self.audio is not None:
            self.audio.use_source(source)

    def _source_event(self, event: SessionEvent) -> None:
        self._on_event(event)
        if isinstance(event, SourceEnded | SourceFailed):
            self.refresh()

    def _send_sound(self, packet: bytearray) -> None:
        if self.outlet.send_now(packet, StreamKind.AUDIO):
            self.adaptation.sent(transport_sequence_of(packet))

    def _use_plan(self, plan: AudioPlan) -> None:
        if self.audio is not None:
            self.audio.use_plan(plan)

    def _use_demand(self, demand: Demand) -> None:
        if self.audio is not None:
            self.outlet.open(StreamKind.AUDIO, self.audio.stream, demand)

    def _rates_changed(self, rates: Mapping[StreamKind, int]) -> None:
        if StreamKind.AUDIO in rates:
            self.adaptation.rate_changed(rates[StreamKind.AUDIO], time.monotonic())
        for sender in self.senders:
            sender.set_rate(rates.get(sender.kind, 0))

    # What the peer asks for

    def take(self, packet: ReadPacket, at: float) -> None:
        """Do what a report or request of the peer, arrived at monotonic time `at`, asks for."""
        if isinstance(packet, TransportFeedback):
            self.outlet.feedback(packet, at)
            self.adaptation.fed_back(packet, at)
            return
        for block in rtcp.reports_in(packet):
            self._reports.take(block, at)
        if self._reports.round_trip is not None:
            self.adaptation.round_trip_measured(self._reports.round_trip)
        for sender in self.senders:
            ssrc = sender.stream.identity.ssrc
            if missing := rtcp.nacked(packet, ssrc):
                sender.repair(missing, at, self._reports.round_trip)
            if rtcp.asks_for_key_frame(packet, ssrc):
                sender.request_key_frame(at)

    def stop(self) -> None:
        """Send nothing any more."""
        self.outlet.close()

    async def free(self) -> None:
        """Free the codecs and their threads, after all tasks have ended."""
        self._audio_encoder.close()
        for sender in self.senders:
            await sender.close()


def _codecs(agreed: StreamIdentity) -> list[VideoCodec]:
    """What both ends know, in our order of preference."""
    return [codec for codec in video_codecs.best_codecs() if codec in agreed.payload_types]


def ssrcs_of(streams: RemoteStreams) -> Sequence[tuple[StreamKind, int, int | None]]:
    """What names the streams of a side, whatever their payload types are on a leg."""
    return [(kind, identity.ssrc, identity.rtx_ssrc) for kind, identity in streams.by_kind.items()]
