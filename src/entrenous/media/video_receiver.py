"""A picture stream in: packets → open → order → decode → sink.

A frame is opened before anything else looks at it; one that does not open is counted and dropped. Pictures are put
together, repaired by NACK, decoded in a thread and shown when their sound is heard.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

import av

from entrenous.crypto.sframe import FrameOpener
from entrenous.errors import CodecError, VerificationError

from .clocksync import VIDEO_RATE, PlayoutClock
from .codecs.base import VideoDecoder
from .codecs.vp8 import is_key_frame
from .frames import Frame, FrameBuffer
from .nack import NackTracker
from .payload import read_piece
from .reception import Reception
from .rtp import RtpPacket
from .stats import RateMeter
from .streams import StreamKind

MAX_UNDECODED = 8
"""Sealed pictures that wait for the decoder; beyond, all are dropped and a key frame is asked for."""

KEY_FRAME_INTERVAL = 1.0
"""Seconds between two requests for a key frame."""

REJECTIONS_BEFORE_REQUEST = 3
"""Frames in a row that do not open before a key frame is asked for."""

FREEZE = 0.300
"""Seconds without a new picture that count as a freeze."""


class VideoReceiver:
    """Shows one incoming stream of pictures from `run` on.

    Args:
        ssrc: of the stream.
        opener: frame keys.
        decoder: of this stream alone.
        clock: the common time line with the sound.
        hold: seconds that a missing packet is waited for.
        executor: one thread, in which frames are decoded.
        show: takes pictures and when they are to be seen.
        on_first: told when the first picture is shown.
        round_trip: seconds to the sender and back, None while unknown.
        ask_again: sends a NACK for endless sequence numbers.
        ask_key_frame: sends a PLI.
    """

    def __init__(
        self,
        ssrc: int,
        opener: FrameOpener,
        decoder: VideoDecoder,
        clock: PlayoutClock,
        hold: float,
        executor: Executor,
        show: Callable[[av.VideoFrame, float], None],
        on_first: Callable[[float], None],
        round_trip: Callable[[], float | None],
        ask_again: Callable[[list[int]], object],
        ask_key_frame: Callable[[], object],
    ) -> None:
        self.reception = Reception(ssrc, VIDEO_RATE)
        self.received_rate = RateMeter()
        self.shown_rate = RateMeter()
        self.frames = self.decoded = self.dropped = self.freezes = self.rejected = 0
        self.key_frames = self.key_frames_requested = self.nacks = self.repaired = 0
        self.size = (0, 0)
        self.last_offset: float | None = None
        """Seconds by which the last picture was behind its sound, None while unknown."""
        self._opener = opener
        self._decoder = decoder
        self._clock = clock
        self._hold = hold
        self._executor = executor
        self._show = show
        self._on_first = on_first
        self._round_trip = round_trip
        self._ask_again = ask_again
        self._ask_key_frame = ask_key_frame
        self._buffer = FrameBuffer()
        self._nacks = NackTracker()
        self._timer: asyncio.TimerHandle | None = None
        self._undecoded: deque[tuple[bytes, int]] = deque()
        self._arrived = asyncio.Event()
        self._needs_key_frame = True
        self._requested_at = float("-inf")
        self._rejections = 0
        self._shown_at: float | None = None

    def receive(self, packet: RtpPacket, size: int, at: float, *, repair: bool = False) -> None:
        """Take one packet of `size` bytes that arrived at monotonic time `at`.

        Args:
            packet: as it was first sent.
            size: bytes on the way.
            at: monotonic seconds.
            repair: whether it came by retransmission.

        Raises:
            RemoteProtocolError: its payload is malformed.
        """
        self.received_rate.add(size, at)
        if repair:
            extended = self.reception.repaired(packet.sequence_number)
            self.repaired += extended is not None
        else:
            extended = self.reception.arrived(packet, at)
        if extended is None:
            return
        self._nacks.arrived(extended, at)
        piece = read_piece(packet.payload)
        self._take(self._buffer.push(extended, packet.timestamp, bool(packet.marker), piece, at))
        self._schedule(at)

    # Repair

    def _schedule(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_at = self._nacks.next_at(self._hold)
        if next_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, next_at - now), self._repair)

    def _repair(self) -> None:
        self._timer = None
        now = time.monotonic()
        hopeless = self._nacks.given_up(now, self._hold)
        if hopeless is not None:
            self._take(self._buffer.skip(hopeless + 1))
            beginning = self._buffer.next_sequence
            self._nacks.forget_before(hopeless + 1 if beginning is None else beginning)
            self._lose_reference(now)
        missing = self._nacks.due(now, self._round_trip())
        if missing:
            self.nacks += len(missing)
            self._ask_again(missing)
        self._schedule(now)

    def _lose_reference(self, now: float) -> None:
        """What comes next cannot be decoded without a key frame: ask for one, at most once a second."""
        self._needs_key_frame = True
        if now - self._requested_at >= KEY_FRAME_INTERVAL:
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
        key_frame = is_key_frame(encoded)
        if key_frame:
            self.key_frames += 1
            self._needs_key_frame = False
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
        self._undecoded.append((encoded, frame.timestamp))
        self._arrived.set()

    # Decoding

    async def run(self) -> None:
        """Decode and show until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._undecoded:
                    encoded, timestamp = self._undecoded.popleft()
                    try:
                        picture = await loop.run_in_executor(self._executor, self._decoder.decode, encoded)
                    except CodecError:
                        self.dropped += 1
                        self._undecoded.clear()
                        self._lose_reference(time.monotonic())
                        continue
                    if picture is not None:
                        self._show_picture(picture, timestamp)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _show_picture(self, picture: av.VideoFrame, timestamp: int) -> None:
        now = time.monotonic()
        at = self._clock.show_at(StreamKind.VIDEO, timestamp, now)
        self.last_offset = self._clock.offset(StreamKind.VIDEO, timestamp, at)
        self.decoded += 1
        self.size = (picture.width, picture.height)
        self.shown_rate.add(1, now)
        if self._shown_at is None:
            self._on_first(at)
        elif at - self._shown_at > FREEZE:
            self.freezes += 1
        self._shown_at = at
        self._show(picture, at)
