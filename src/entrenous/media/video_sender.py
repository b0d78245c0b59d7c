"""A picture stream out, of the camera or of the screen: source → encode → seal → packets → outlet.

The newest picture wins: one is encoded at a time, in a thread, and what was captured meanwhile is skipped but for the
last one. The rate follows the network within one encoder; another size or codec takes another encoder, whose first
frame is a key frame. A frame that cannot be sealed is not sent.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import LocalProtocolError, MediaError

from .clocksync import VIDEO_RATE
from .codec_choice import CodecChoice
from .codec_thread import CodecThread
from .codecs.base import Content, EncodedPicture, VideoCodec, VideoEncoder
from .departures import LEAST_PACE
from .events import SessionEvent, SourceFailed
from .frame_rate import CaptureRate, FrameRateLimit
from .identities import StreamIdentity
from .outgoing import OutgoingStream
from .payload import MAX_PAYLOAD, PICTURE_IDS, packetise
from .picture_ladder import PictureLadder, PictureSize
from .repairs import is_worth_doubling
from .stats import RateMeter
from .streams import Picture, StreamKind

MAX_BACKLOG = 0.100
"""Seconds of this stream waiting to leave beyond which pictures are skipped."""

LARGEST = PictureSize(3840, 2160, 60.0)
"""What any source is reduced to: more no codec here keeps up with."""

LEAST_BITRATE = 20_000
"""Bits a second that encoders are given at least: with less they fail."""

KEY_FRAME_INTERVAL = 1.0
"""Seconds between key frames that the peer asks for."""

MOST_REPAIR_SECONDS = 0.400
"""Seconds that repairs may take at the rate of the stream: what takes longer is given up for a key frame, by the peer
too (`settings.MediaSettings.video_hold`)."""

_FRAMING = 44
"""Bytes of each packet that are not the encoder's: of RTP, of the payload, of the seal on the frame."""

_MOST_REPAIRS = 0.3
"""The largest share of the rate that is left for what has to be sent again."""

_SMOOTHING = 0.1
"""The weight of the last picture in the mean time that encoding takes."""


class PictureOutlet(Protocol):
    """What takes the packets of pictures, and sends them at the pace of the path."""

    def queue(self, kind: StreamKind, packets: list[bytearray], *, repair: bool = False) -> None:
        """Send these packets of a stream, repairs before everything else."""

    @property
    def overhead(self) -> int:
        """Bytes that each packet has on the wire beyond RTP."""

    def backlog(self, kind: StreamKind) -> float:
        """Seconds until what waits of this stream has left."""

    def drop(self, kind: StreamKind) -> None:
        """Forget what waits of this stream."""


class EncoderMaker(Protocol):
    """How encoders are opened."""

    def __call__(
        self, codec: VideoCodec, width: int, height: int, *, bitrate: int, fps: float, content: Content
    ) -> VideoEncoder:
        """Open one, in the thread; raises CodecError."""


class Pictures(Protocol):
    """Where pictures come from."""

    async def read(self) -> Picture:
        """The next picture."""


class VideoSender:
    """Sends the newest picture, as fast as the encoder and the path allow, from `run` on.

    Args:
        kind: camera or screen.
        identity: of the stream.
        sealer: frame keys.
        usable: what both ends have, the best picture for the rate first; not empty.
        make_encoder: opens encoders.
        pictures: where they come from, whichever source is in use.
        outlet: takes RTP packets.
        path: the share of packets of this stream that get lost, 0..1, and the round trip in seconds, None: unknown.
        on_event: told when a picture cannot be encoded.
        most: what pictures of the source are reduced to in any case.
    """

    def __init__(
        self,
        kind: StreamKind,
        identity: StreamIdentity,
        sealer: FrameSealer,
        usable: Sequence[VideoCodec],
        make_encoder: EncoderMaker,
        pictures: Pictures,
        outlet: PictureOutlet,
        path: Callable[[], tuple[float, float | None]],
        on_event: Callable[[SessionEvent], None],
        most: PictureSize = LARGEST,
    ) -> None:
        self.kind = kind
        self.stream = OutgoingStream(identity, VIDEO_RATE, repairable=True)
        self.paused = False
        """Whether pictures are withheld: muted, or the call is on hold."""
        self.frames = self.key_frames = self.skipped = self.nacks_received = 0
        self.size = (0, 0)
        """Of what is encoded, pixels."""
        self.encode_seconds = 0.0
        """That a picture takes, on average of the last ones."""
        self.encoded_rate = RateMeter()
        self._sealer = sealer
        self._make_encoder = make_encoder
        self._pictures = pictures
        self._outlet = outlet
        self._path = path
        self._on_event = on_event
        self._most = most
        self._content = Content.SCREEN if kind is StreamKind.SCREEN else Content.CAMERA
        self._usable = tuple(usable)
        self._choice = CodecChoice(usable, self._content)
        self._ladder = PictureLadder(self._choice.codec, self._content)
        self._capture = CaptureRate()
        self._limit = FrameRateLimit(self._capture.fps)
        self._rate = 0
        self._new_encode_seconds: float | None = None
        self._thread = CodecThread(f"entrenous-{kind.value}-encode")
        self._newest: Picture | None = None
        self._arrived = asyncio.Event()
        self._encoder: VideoEncoder | None = None
        self._encoder_form: tuple[VideoCodec, int, int] | None = None
        self._encoder_rate: tuple[int, float] | None = None
        self._picture_id = secrets.randbelow(PICTURE_IDS)
        self._key_frame_due: float | None = float("-inf")
        self._key_frame_at = float("-inf")
        self._key_frame_sequence: int | None = None

    # What the session decides

    @property
    def codec(self) -> VideoCodec:
        """What the next picture is encoded with."""
        return self._ladder.codec

    def accept(self, usable: Sequence[VideoCodec]) -> None:
        """Encode with what both ends have from the next picture on.

        Args:
            usable: the best picture for the rate first; not empty.
        """
        if tuple(usable) != self._usable:
            self._usable = tuple(usable)
            self._choice = CodecChoice(usable, self._content)
            self._ladder = PictureLadder(self._choice.codec, self._content)

    def set_rate(self, rate: int) -> None:
        """Send at this rate from now on.

        Args:
            rate: bits a second on the wire, 0: no picture for now.
        """
        collapsed = rate < self._rate / 2
        self._rate = rate
        if collapsed and self._outlet.backlog(self.kind) > MAX_BACKLOG:
            # What waits is of pictures that are too large by now: a new one that stands alone is there sooner.
            self._outlet.drop(self.kind)
            self._key_frame_due = float("-inf")

    def pause(self, paused: bool) -> None:
        """Withhold pictures, or send them again, beginning with one that stands alone."""
        if self.paused and not paused:
            self._key_frame_due = float("-inf")
        self.paused = paused

    def repair(self, sequences: list[int], now: float, round_trip: float | None) -> None:
        """Send again what the peer has missed, as far as it is still here and worth it.

        When the rate has collapsed, what was lost of large pictures would hold up all new ones: then only the last key
        frame and what builds on it is repaired, and if that is too much as well, another one is made.
        """
        self.nacks_received += len(sequences)
        if self._repair_seconds(sequences) + self._outlet.backlog(self.kind) > MOST_REPAIR_SECONDS:
            sequences = [sequence for sequence in sequences if not self._is_before_key_frame(sequence)]
            if self._repair_seconds(sequences) > MOST_REPAIR_SECONDS:
                self.request_key_frame(now)
                return
        loss, _ = self._path()
        packets = []
        for sequence in sequences:
            packet = self.stream.repair(sequence, now, round_trip)
            if packet is not None:
                packets.append(packet)
                if is_worth_doubling(1, loss, round_trip):
                    packets += filter(None, [self.stream.repair(sequence, now, 0.0)])
        self._outlet.queue(self.kind, packets, repair=True)

    def _repair_seconds(self, sequences: list[int]) -> float:
        return self.stream.size_of(sequences) * 8 / max(LEAST_PACE, self._rate)

    def _is_before_key_frame(self, sequence: int) -> bool:
        """Whether the last key frame has made a packet superfluous."""
        return self._key_frame_sequence is not None and (self._key_frame_sequence - sequence - 1) % (1 << 16) < 1 << 15

    def request_key_frame(self, now: float) -> None:
        """Make a picture stand alone: the next one, or, when one did just now, the first after a second from that."""
        if self._key_frame_due is None:
            self._key_frame_due = max(now, self._key_frame_at + KEY_FRAME_INTERVAL)

    # Pictures

    async def run(self) -> None:
        """Read and encode until cancelled."""
        reading = asyncio.create_task(self._read())
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                picture, self._newest = self._newest, None
                if picture is None:
                    continue
                if self.paused or not self._rate or self._outlet.backlog(self.kind) > MAX_BACKLOG:
                    self.skipped += 1
                else:
                    await self._send_picture(picture)
        finally:
            reading.cancel()

    async def _read(self) -> None:
        while True:
            picture = await self._pictures.read()
            self._capture.captured(picture.captured_at)
            if not self._limit.takes(picture.captured_at):
                self.skipped += 1
                continue
            self.skipped += self._newest is not None
            self._newest = picture
            self._arrived.set()

    async def _send_picture(self, picture: Picture) -> None:
        now = time.monotonic()
        key_frame = self._key_frame_due is not None and now >= self._key_frame_due
        bitrate = payload_rate(self._rate, self._limit.fps, self._path()[0], self._outlet.overhead)
        rung = self._choose_rung(picture, bitrate, now)
        codec = self._ladder.codec
        try:
            encoded = await self._thread.do(self._encode, picture, codec, rung, bitrate, key_frame)
        except MediaError as error:
            self._on_event(SourceFailed(self.kind, str(error)))
            return
        try:
            sealed = self._sealer.seal(encoded.data)
        except LocalProtocolError:
            self._key_frame_due = float("-inf")  # what was not sent cannot be built upon
            return
        self._ladder.encoded(len(encoded.data), bitrate)
        self._queue(sealed, codec, picture.captured_at, key_frame=encoded.key_frame)

    def _choose_rung(self, picture: Picture, bitrate: int, now: float) -> PictureSize:
        source = PictureSize(picture.frame.width, picture.frame.height, self._capture.fps).within(self._most)
        codec = self._choice.update(now, bitrate, source, encoder_limited=self._ladder.encoder_limited)
        if codec is not self._ladder.codec:  # what was measured of another codec's pictures says nothing any more
            self._ladder = PictureLadder(codec, self._content)
            self._new_encode_seconds = None
        rung = self._ladder.update(now, bitrate, self._new_encode_seconds, source)
        self._new_encode_seconds = None
        self._limit.fps = rung.fps
        return rung

    def _queue(self, sealed: bytes, codec: VideoCodec, captured_at: float, *, key_frame: bool) -> None:
        now = time.monotonic()
        self.frames += 1
        self.encoded_rate.add(1, now)
        payloads = packetise(sealed, self._picture_id)
        self._picture_id = (self._picture_id + 1) % PICTURE_IDS
        timestamp = self.stream.timestamp_of(captured_at)
        packets = self.stream.frame(payloads, timestamp, captured_at, marker=True, format_=codec)
        if key_frame:
            self.key_frames += 1
            self._key_frame_at = now
            self._key_frame_due = None
            self._key_frame_sequence = _sequence_of(packets[0])
        self._outlet.queue(self.kind, packets)
        loss, round_trip = self._path()
        if is_worth_doubling(len(packets), loss, round_trip):
            doubles = [self.stream.repair(_sequence_of(packet), now, round_trip) for packet in packets]
            self._outlet.queue(self.kind, [double for double in doubles if double is not None])

    def _encode(
        self, picture: Picture, codec: VideoCodec, rung: PictureSize, bitrate: int, key_frame: bool
    ) -> EncodedPicture:
        # Runs in the thread.
        form = (codec, rung.width, rung.height)
        if self._encoder is None or form != self._encoder_form:
            self._close_encoder()
            self._encoder = self._make_encoder(
                codec, rung.width, rung.height, bitrate=bitrate, fps=rung.fps, content=self._content
            )
            self._encoder_form = form
            self.size = (rung.width, rung.height)
        elif (bitrate, rung.fps) != self._encoder_rate:
            self._encoder.set_rate(bitrate, rung.fps)
        self._encoder_rate = (bitrate, rung.fps)
        begin = time.perf_counter()
        encoded = self._encoder.encode(picture.frame, key_frame=key_frame)
        self._new_encode_seconds = time.perf_counter() - begin
        self.encode_seconds += _SMOOTHING * (self._new_encode_seconds - self.encode_seconds)
        return encoded

    async def close(self) -> None:
        """Free the encoder and its thread, after `run` has ended."""
        await self._thread.close(self._close_encoder)

    def _close_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


def _sequence_of(packet: bytearray) -> int:
    return int.from_bytes(packet[2:4], "big")


def payload_rate(rate: int, fps: float, loss: float, overhead: int) -> int:
    """The bit rate of an encoder whose packets, repairs included, make up a rate on the wire.

    Args:
        rate: bits a second on the wire.
        fps: pictures a second, each of which has one packet at least.
        loss: the share of packets that have to be sent again, 0..1.
        overhead: bytes that each packet has on the wire beyond RTP.
    """
    first_sent = rate * (1.0 - min(loss, _MOST_REPAIRS))
    packets = max(fps, first_sent / 8 / (MAX_PAYLOAD + overhead))
    return max(LEAST_BITRATE, round(first_sent - 8 * packets * (_FRAMING + overhead)))
