"""What a session receives: packets by their SSRC to sound, camera and screen, and feedback on their arrival."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any

from aiortc.rtp import RtcpSrPacket

from entrenous.crypto.sframe import FrameOpener
from entrenous.errors import RemoteProtocolError

from . import rtcp, video_codecs
from .audio_receiver import AudioReceiver
from .clocksync import PlayoutClock
from .codec_thread import CodecThread
from .codecs.opus import OpusDecoder
from .events import FirstAudio, FirstScreen, FirstVideo, SessionEvent
from .feedback import FeedbackMaker
from .identities import AudioFormat, LocalStreams, RemoteStreams
from .reception import Reception
from .reports import ReportExchange
from .rtp import RtpPacket, original_of, read_rtp
from .settings import MediaSettings
from .streams import Sink, StreamKind
from .video_receiver import VideoReceiver

Route = Callable[[RtpPacket, int, float], None]


class IncomingStreams:
    """The receivers of a session, from `expect` on.

    Args:
        streams: our own numbers, which sign requests.
        openers: frame keys; a kind without a key is never played.
        sink: where everything goes.
        settings: how long pictures are waited for.
        reports: knows the round trip.
        send: takes RTCP packets.
        on_event: told what arrives for the first time.
    """

    def __init__(
        self,
        streams: LocalStreams,
        openers: Mapping[StreamKind, FrameOpener],
        sink: Sink,
        settings: MediaSettings,
        reports: ReportExchange,
        send: Callable[[bytes], object],
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self.audio: AudioReceiver | None = None
        self.video: VideoReceiver | None = None
        self.screen: VideoReceiver | None = None
        self._own_ssrc = streams.by_kind[StreamKind.AUDIO].ssrc
        self._openers = openers
        self._sink = sink
        self._settings = settings
        self._reports = reports
        self._send = send
        self._on_event = on_event
        self._ignores = False
        self._expected: Collection[StreamKind] = tuple(StreamKind)
        self._playout = PlayoutClock()
        self._routes: dict[int, Route] = {}
        self._feedback: FeedbackMaker | None = None
        self._audio_decoder = OpusDecoder()
        self._threads: list[tuple[VideoReceiver, CodecThread]] = []

    def expect(self, remote: RemoteStreams) -> None:
        """Make the receivers of these streams; called once."""
        audio = remote.by_kind[StreamKind.AUDIO]
        self._feedback = FeedbackMaker(self._own_ssrc, audio.ssrc)
        if StreamKind.AUDIO in self._openers:
            self.audio = AudioReceiver(
                audio.ssrc,
                self._openers[StreamKind.AUDIO],
                self._audio_decoder,
                self._playout,
                self._sink.play,
                lambda at: self._on_event(FirstAudio(at)),
            )
            self._routes[audio.ssrc] = self.audio.receive
        self.video = self._pictures(StreamKind.VIDEO, remote, self._sink.show, FirstVideo)
        self.screen = self._pictures(StreamKind.SCREEN, remote, self._sink.show_screen, FirstScreen)

    @property
    def _picture_receivers(self) -> list[VideoReceiver]:
        return [receiver for receiver, _ in self._threads]

    def use(self, remote: RemoteStreams) -> None:
        """Read the payload types of the leg in use."""
        if self.audio is not None:
            self.audio.bundle_type = remote.by_kind[StreamKind.AUDIO].payload_types.get(AudioFormat.RED)
        for receiver in self._picture_receivers:
            receiver.identity = remote.by_kind[receiver.kind]

    def ignore_pictures(self, ignores: bool) -> None:
        """Decode no pictures from now on, or go on with key frames."""
        self._ignores = ignores
        for receiver in self._picture_receivers:
            receiver.ignore(ignores)

    def expect_pictures(self, kinds: Collection[StreamKind]) -> None:
        """Hear from the peer which streams of pictures it sends; see `VideoReceiver.expect`."""
        self._expected = kinds
        for receiver in self._picture_receivers:
            receiver.expect(receiver.kind in kinds)

    def _pictures(
        self,
        kind: StreamKind,
        remote: RemoteStreams,
        show: Callable[[Any, float], None],
        first: type[FirstVideo] | type[FirstScreen],
    ) -> VideoReceiver | None:
        if kind not in self._openers:
            return None
        identity = remote.by_kind[kind]
        thread = CodecThread(f"entrenous-{kind.value}-decode")
        receiver = VideoReceiver(
            kind,
            identity,
            self._openers[kind],
            video_codecs.make_decoder,
            video_codecs.is_key_frame,
            self._playout,
            self._settings.video_hold,
            thread,
            show,
            lambda at: self._on_event(first(at)),
            lambda: self._reports.round_trip,
            lambda missing: self._send(rtcp.nack_request(self._own_ssrc, identity.ssrc, missing)),
            lambda: self._send(rtcp.key_frame_request(self._own_ssrc, identity.ssrc)),
        )
        receiver.ignore(self._ignores)
        receiver.expect(kind in self._expected)
        self._threads.append((receiver, thread))
        self._routes[identity.ssrc] = receiver.receive
        if identity.rtx_ssrc is not None:
            self._routes[identity.rtx_ssrc] = _repairs(receiver)
        return receiver

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What is to be run from the gate on."""
        for receiver in (self.audio, self.video, self.screen):
            if receiver is not None:
                yield receiver.run()

    @property
    def receptions(self) -> list[Reception]:
        """What receiver reports are made of."""
        return [receiver.reception for receiver in (self.audio, self.video, self.screen) if receiver is not None]

    def take(self, data: bytes, at: float) -> None:
        """Take one RTP packet that arrived at monotonic time `at`; raises RemoteProtocolError."""
        packet = read_rtp(data)
        if self._feedback is not None and packet.transport_sequence is not None:
            self._feedback.arrived(packet.transport_sequence, len(data), at)
            self.give_feedback(at)
        route = self._routes.get(packet.ssrc)
        if route is None:
            raise RemoteProtocolError("An RTP packet belongs to no stream.")
        route(packet, len(data), at)

    def give_feedback(self, now: float) -> None:
        """Tell the peer what has arrived, when it is time to."""
        if self._feedback is not None:
            for packet in self._feedback.poll(now):
                self._send(packet)

    def sender_reported(self, report: RtcpSrPacket, at: float) -> None:
        """Take a sender report that arrived at monotonic time `at`: what the peer's clock says of a stream."""
        info = report.sender_info
        for kind, receiver in (
            (StreamKind.AUDIO, self.audio),
            (StreamKind.VIDEO, self.video),
            (StreamKind.SCREEN, self.screen),
        ):
            if receiver is not None and receiver.reception.ssrc == report.ssrc:
                receiver.reception.sender_reported(info.ntp_timestamp, at)
                self._playout.sender_reported(kind, info.ntp_timestamp, info.rtp_timestamp)

    async def free(self) -> None:
        """Free the codecs and their threads, after all tasks have ended."""
        self._audio_decoder.close()
        for receiver, thread in self._threads:
            await thread.close(receiver.close_decoder)


def _repairs(receiver: VideoReceiver) -> Route:
    """The route of retransmissions: each becomes the packet that it repeats."""

    def receive(packet: RtpPacket, size: int, at: float) -> None:
        identity = receiver.identity
        payload_type = identity.repaired_type(packet.payload_type)
        original = original_of(packet, ssrc=identity.ssrc, payload_type=payload_type)
        if original is not None:
            receiver.receive(original, size, at, repair=True)

    return receive
