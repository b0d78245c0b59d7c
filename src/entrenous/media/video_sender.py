"""A picture stream out: source → encode → seal → packets → leg.

The newest picture wins: one is encoded at a time, in a thread, and what was captured meanwhile is skipped but for the
last one. A frame that cannot be sealed is not sent.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import LocalProtocolError, MediaError

from .clocksync import VIDEO_RATE
from .codecs.base import EncodedPicture, VideoCodec, VideoEncoder
from .events import SessionEvent, SourceEnded, SourceFailed
from .identities import StreamIdentity
from .outgoing import OutgoingStream
from .pacer import Pacer
from .payload import PICTURE_IDS, packetise
from .streams import Picture, StreamKind, VideoSource

PACING = 2.5
"""Times the video bit rate at which packets leave, so that a key frame takes its time but not the next frame's."""

MAX_BACKLOG = 0.250
"""Seconds of video waiting to leave beyond which pictures are skipped."""

KEY_FRAME_INTERVAL = 1.0
"""Seconds between key frames that the peer asks for."""

Send = Callable[[bytes], bool]


class VideoSender:
    """Sends the newest picture, as fast as the encoder and the path allow, from `run` on.

    Args:
        identity: of the stream.
        sealer: frame keys.
        make_encoder: opens an encoder for a width and a height, in the thread.
        bitrate: of the encoder, bits a second.
        source: where pictures come from.
        send: takes RTP packets.
        executor: one thread, in which pictures are encoded.
        on_event: told when the source ends or fails.
    """

    def __init__(
        self,
        identity: StreamIdentity,
        sealer: FrameSealer,
        make_encoder: Callable[[int, int], VideoEncoder],
        bitrate: int,
        source: VideoSource,
        send: Send,
        executor: Executor,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self.stream = OutgoingStream(identity, VIDEO_RATE, repairable=True)
        self.muted = False
        self.frames = 0
        self.key_frames = 0
        self.skipped = 0
        self.nacks_received = 0
        self._sealer = sealer
        self._make_encoder = make_encoder
        self._source = source
        self._send = send
        self._executor = executor
        self._on_event = on_event
        self._pacer = Pacer(PACING * bitrate)
        self._pumping: asyncio.TimerHandle | None = None
        self._newest: Picture | None = None
        self._arrived = asyncio.Event()
        self._encoder: VideoEncoder | None = None
        self._encoder_size = (0, 0)
        self._picture_id = secrets.randbelow(PICTURE_IDS)
        self._wants_key_frame = True
        self._key_frame_at = float("-inf")

    async def run(self) -> None:
        """Read and encode until cancelled or the source has ended."""
        reading = asyncio.create_task(self._read())
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                picture, self._newest = self._newest, None
                if picture is None:
                    return
                if self.muted or self._pacer.backlog > MAX_BACKLOG:
                    self.skipped += 1
                else:
                    await self._send_picture(picture)
        finally:
            reading.cancel()
            self._stop_pumping()

    async def _read(self) -> None:
        event: SessionEvent = SourceEnded(StreamKind.VIDEO)
        try:
            while (picture := await self._source.read()) is not None:
                self.skipped += self._newest is not None
                self._newest = picture
                self._arrived.set()
        except MediaError as error:
            event = SourceFailed(StreamKind.VIDEO, str(error))
        self._on_event(event)
        self._arrived.set()

    async def _send_picture(self, picture: Picture) -> None:
        key_frame, self._wants_key_frame = self._wants_key_frame, False
        loop = asyncio.get_running_loop()
        try:
            encoded = await loop.run_in_executor(self._executor, self._encode, picture, key_frame)
        except MediaError as error:
            self._on_event(SourceFailed(StreamKind.VIDEO, str(error)))
            return
        try:
            sealed = self._sealer.seal(encoded.data)
        except LocalProtocolError:
            self._wants_key_frame = True  # what was not sent cannot be built upon
            return
        now = time.monotonic()
        if encoded.key_frame:
            self.key_frames += 1
            self._key_frame_at = now
        self.frames += 1
        payloads = packetise(sealed, self._picture_id)
        self._picture_id = (self._picture_id + 1) % PICTURE_IDS
        timestamp = self.stream.timestamp_of(picture.captured_at)
        for packet in self.stream.frame(payloads, timestamp, picture.captured_at, marker=True, format_=VideoCodec.VP8):
            self._pacer.push(packet)
        self._pump()

    def _encode(self, picture: Picture, key_frame: bool) -> EncodedPicture:
        # Runs in the thread. A picture of another size takes another encoder, whose first frame stands alone.
        size = (picture.frame.width & ~1, picture.frame.height & ~1)
        if self._encoder is None or size != self._encoder_size:
            if self._encoder is not None:
                self._encoder.close()
            self._encoder = self._make_encoder(*size)
            self._encoder_size = size
        return self._encoder.encode(picture.frame, key_frame=key_frame)

    def _pump(self) -> None:
        """Hand over what may leave now and come back when more may."""
        self._stop_pumping()
        now = time.monotonic()
        for packet in self._pacer.due(now):
            if self._send(packet):
                self.stream.sent(packet, now)
        next_at = self._pacer.next_at()
        if next_at is not None:
            self._pumping = asyncio.get_running_loop().call_later(max(0.001, next_at - now), self._pump)

    def _stop_pumping(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None

    def repair(self, sequences: list[int], now: float, round_trip: float | None) -> None:
        """Send again what the peer has missed, as far as it is still here and worth it."""
        for sequence in sequences:
            self.nacks_received += 1
            packet = self.stream.repair(sequence, now, round_trip)
            if packet is not None:
                self._pacer.push(packet, repair=True)
        self._pump()

    def request_key_frame(self, now: float) -> None:
        """Make the next picture stand alone, unless one did less than a second ago."""
        if now - self._key_frame_at >= KEY_FRAME_INTERVAL:
            self._wants_key_frame = True

    def unmute(self) -> None:
        """Send pictures again, beginning with one that stands alone."""
        self.muted = False
        self._wants_key_frame = True

    def close_encoder(self) -> None:
        """Free the encoder, in its thread, after `run` has ended."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
