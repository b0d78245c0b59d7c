"""A picture stream in: packets → open → order → decode → sink.

A frame is opened before anything else looks at it; one that does not open is counted and dropped. Pictures are put
together, repaired by NACK, decoded in a thread by the codec that their payload type names, and shown when their sound
is heard. A picture stands still for a bounded time: what is missing for too long is given up for a key frame.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import av

from entrenous.crypto.sframe import FrameOpener
from entrenous.errors import CodecError, RemoteProtocolError, VerificationError

from .clocksync import VIDEO_RATE, PlayoutClock
from .codec_thread import CodecThread
from .codecs.base import VideoCodec, VideoDecoder
from .frames import Frame, FrameBuffer
from .identities import StreamIdentity
from .nack import NackTracker
from .payload import read_piece
from .reception import Reception
from .rtp import RtpPacket
from .stats import RateMeter
from .streams import StreamKind

MAX_UNDECODED = 8
"""Sealed pictures that wait for the decoder; beyond, all are dropped and a key frame is asked for."""

REQUEST_INTERVAL = 0.500
"""Seconds between two requests for a key frame, on a path whose round trip is shorter than half of that; the sender
makes one a second at most, but a request or its key frame may get lost."""

REJECTIONS_BEFORE_REQUEST = 3
"""Frames in a row that do not open before a key frame is asked for."""

_FREEZE_FACTOR, _FREEZE_MARGIN = 3.0, 0.150
"""A picture that stands for so many times the usual interval, and for so many seconds more than it, is a freeze, as
WebRTC's statistics define it (`freezeCount`)."""

_INTERVALS = 30
"""Pictures whose intervals make up the usual one, about."""


class VideoReceiver:
    """Shows one incoming stream of pictures from `run` on.

    Args:
        kind: camera or screen.
        identity: of the stream, as the peer described it.
        opener: frame keys.
        make_decoder: opens the decoder of a codec, in the thread.
        is_key_frame: whether a frame of a codec decodes without any earlier one.
        clock: the common time line with the sound.
        hold: seconds that a missing packet is waited for at most.
        thread: in which frames are decoded.
        show: takes pictures and when they are to be seen.
        on_first: told when the first picture is shown.
        round_trip: seconds to the sender and back, None while unknown.
        ask_again: sends a NACK for endless sequence numbers.
        ask_key_frame: sends a PLI.
    """

    def __init__(
        self,
        kind: StreamKind,
        identity: StreamIdentity,
        opener: FrameOpener,
        make_decoder: Callable[[VideoCodec], VideoDecoder],
        is_key_frame: Callable[[VideoCodec, bytes], bool],
        clock: PlayoutClock,
        hold: float,
        thread: CodecThread,
        show: Callable[[av.VideoFrame, float], None],
        on_first: Callable[[float], None],
        round_trip: Callable[[], float | None],
        ask_again: Callable[[list[int]], object],
        ask_key_frame: Callable[[], object],
    ) -> None:
        self.reception = Reception(identity.ssrc, VIDEO_RATE)
        self.received_rate = RateMeter()
        self.shown_rate = RateMeter()
        self.frames = self.decoded = self.dropped = self.freezes = self.rejected = 0
        self.key_frames = self.key_frames_requested = self.nacks = self.repaired = 0
        self.ignored = 0
        """Frames that arrived whole while nothing was to be shown, and were not decoded. They are opened all the same:
        the replay window has to know them, and the epochs of the keys go on."""
        self.size = (0, 0)
        self.codec: VideoCodec | None = None
        """Of the last picture, None before the first."""
        self.decode_seconds = 0.0
        """That a picture takes, on average of the last ones."""
        self.frozen_seconds = 0.0
        """Together, of all freezes."""
        self.last_offset: float | None = None
        """Seconds by which the last picture was behind its sound, None while unknown."""
        self.kind = kind
        self.identity = identity
        self._opener = opener
        self._make_decoder = make_decoder
        self._is_key_frame = is_key_frame
        self._decoder: VideoDecoder | None = None
        self._decoder_codec: VideoCodec | None = None
        self._clock = clock
        self._hold = hold
        self._thread = thread
        self._show = show
        self._on_first = on_first
        self._round_trip = round_trip
        self._ask_again = ask_again
        self._ask_key_frame = ask_key_frame
        self._buffer = FrameBuffer()
        self._nacks = NackTracker()
        self._timer: asyncio.TimerHandle | None = None
        self._undecoded: deque[tuple[VideoCodec, bytes, int, bool]] = deque()
        self._arrived = asyncio.Event()
        self._ignores = False
        self._is_off = False
        """Whether the peer says that it sends nothing, and has not begun again."""
        self._begins_anew = False
        """Whether the next picture is the first one after others were ignored."""
        self._needs_key_frame = True
        self._requested_at = float("-inf")
        self._rejections = 0
        self._shown_at: float | None = None
        self._usual_interval = 1 / 30

    def ignore(self, ignores: bool) -> None:
        """Decode nothing from now on, or go on with a key frame, which is asked for if something was left out."""
        ended, self._ignores = self._ignores and not ignores, ignores
        if ignores:
            self._drop_undecoded()
        elif ended and self._begins_anew:
            self._lose_reference(time.monotonic())

    def expect(self, expects: bool) -> None:
        """Hear from the peer whether it sends this stream.

        What still arrives of a stream that is off is not decoded, and what is missing of it not asked for, until the
        peer says that it is on or a key frame shows that it is: that word may be lost on its way and come seconds later
        than the picture. A stream begins again with a key frame by itself; if that one is lost, the next frame asks.
        """
        self._is_off = not expects
        if self._is_off:
            self._drop_undecoded()

    def _drop_undecoded(self) -> None:
        """Leave out what waits for the decoder, and with it what the frames to come build upon."""
        if self._undecoded:
            self.ignored += len(self._undecoded)
            self._undecoded.clear()
            self._needs_key_frame = self._begins_anew = True

    def receive(self, packet: RtpPacket, size: int, at: float, *, repair: bool = False) -> None:
        """Take one packet of `size` bytes that arrived at monotonic time `at`.

        Args:
            packet: as it was first sent.
            size: bytes on the way.
            at: monotonic seconds.
            repair: whether it came by retransmission.

        Raises:
            RemoteProtocolError: its payload is malformed, or its payload type unknown.
        """
        codec = self.identity.format_of(packet.payload_type)
        if not isinstance(codec, VideoCodec):
            raise RemoteProtocolError("A stream of pictures has a payload type of sound.")
        piece = read_piece(packet.payload)
        self.received_rate.add(size, at)
        if repair:
            extended = self.reception.repaired(packet.sequence_number)
            self.repaired += extended is not None
        else:
            extended = self.reception.arrived(packet, at)
        if extended is None:
            return
        self._nacks.arrived(extended, at, repaired=repair)
        frames = self._buffer.push(extended, codec, packet.timestamp, bool(packet.marker), piece, at)
        if frames:
            self._take(frames)
        self._schedule(at)

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is decoded."""
        return self._ignores or self._is_off

    # Repair

    def _schedule(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._nacks:
            return
        next_at = self._nacks.next_at(self._nacks.hold(now, self._round_trip(), self._hold))
        if next_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, next_at - now), self._repair)

    def _repair(self) -> None:
        self._timer = None
        now = time.monotonic()
        hopeless = self._nacks.given_up(now, self._nacks.hold(now, self._round_trip(), self._hold))
        if hopeless is not None:
            self._take(self._buffer.skip(hopeless + 1))
            beginning = self._buffer.next_sequence
            self._nacks.forget_before(hopeless + 1 if beginning is None else beginning)
            self._lose_reference(now)
        missing = self._nacks.due(now, self._round_trip())
        if missing and not self._is_idle:
            self.nacks += len(missing)
            self._ask_again(missing)
        self._schedule(now)

    def _lose_reference(self, now: float) -> None:
        """What comes next cannot be decoded without a key frame: ask for one, unless that was done just now."""
        self._needs_key_frame = True
        if self._is_idle:
            return
        if now - self._requested_at >= max(REQUEST_INTERVAL, 2.0 * (self._round_trip() or 0.0)):
            self._requested_at = now
            self.key_frames_requested += 1
            self._ask_key_frame()

    # Opening

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.frames += 1
            try:
                encoded = self._opener.open(frame.data, now=frame.arrived_at)
            except VerificationError:
                self._reject(frame.arrived_at)
                continue
            self._rejections = 0
            self._keep(encoded, frame)
        if frames and self._buffer.next_sequence is not None:
            self._nacks.forget_before(self._buffer.next_sequence)

    def _reject(self, now: float) -> None:
        self.rejected += 1
        self._rejections += 1
        self._needs_key_frame = True
        if self._rejections >= REJECTIONS_BEFORE_REQUEST:
            self._lose_reference(now)

    def _keep(self, encoded: bytes, frame: Frame) -> None:
        key_frame = self._is_key_frame(frame.codec, encoded)
        self._is_off = self._is_off and not key_frame
        if self._is_idle:
            self.ignored += 1
            self._needs_key_frame = self._begins_anew = True
            return
        # A sender that was muted begins with a key frame that nothing here made necessary.
        resumes = self._begins_anew or (key_frame and not frame.follows_gap and not self._needs_key_frame)
        if key_frame:
            self.key_frames += 1
            self._needs_key_frame = self._begins_anew = False
        elif frame.follows_gap or self._needs_key_frame:
            self.dropped += 1
            self._lose_reference(frame.arrived_at)
            return
        if len(self._undecoded) >= MAX_UNDECODED:
            self.dropped += len(self._undecoded)
            self._undecoded.clear()
            if not key_frame:
                self.dropped += 1
                self._lose_reference(frame.arrived_at)
                return
        self._undecoded.append((frame.codec, encoded, frame.timestamp, resumes))
        self._arrived.set()

    # Decoding

    async def run(self) -> None:
        """Decode and show until cancelled."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._undecoded:
                    codec, encoded, timestamp, resumes = self._undecoded.popleft()
                    try:
                        picture = await self._thread.do(self._decode, codec, encoded)
                    except CodecError:
                        self.dropped += 1
                        self._undecoded.clear()
                        self._lose_reference(time.monotonic())
                        continue
                    if picture is not None:
                        self._show_picture(picture, timestamp, resumes=resumes)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _decode(self, codec: VideoCodec, encoded: bytes) -> av.VideoFrame | None:
        # Runs in the thread. A stream changes its codec with a key frame, so the decoder before is not missed.
        if self._decoder is None or codec is not self._decoder_codec:
            self.close_decoder()
            self._decoder = self._make_decoder(codec)
            self._decoder_codec = codec
        begin = time.perf_counter()
        picture = self._decoder.decode(encoded)
        self.decode_seconds += (time.perf_counter() - begin - self.decode_seconds) / _INTERVALS
        self.codec = codec
        return picture

    def close_decoder(self) -> None:
        """Free the decoder, in its thread, after `run` has ended."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _show_picture(self, picture: av.VideoFrame, timestamp: int, *, resumes: bool) -> None:
        now = time.monotonic()
        at = self._clock.show_at(self.kind, timestamp, now)
        self.last_offset = self._clock.offset(self.kind, timestamp, at)
        self.decoded += 1
        self.size = (picture.width, picture.height)
        self.shown_rate.add(1, now)
        if self._shown_at is None:
            self._on_first(at)
        elif not resumes:
            self._measure_interval(at - self._shown_at)
        self._shown_at = at
        self._show(picture, at)

    def _measure_interval(self, interval: float) -> None:
        usual = self._usual_interval
        if interval > max(_FREEZE_FACTOR * usual, usual + _FREEZE_MARGIN):
            self.freezes += 1
            self.frozen_seconds += interval
        else:
            self._usual_interval += (interval - usual) / _INTERVALS
