"""One stream out: source → encode → seal → packets → leg.

Sound leaves as exactly one packet of one size every 20 ms, whatever is said, muted, missing or late, so that the
traffic shows nothing of it. Of pictures the newest wins: one is encoded at a time, in a thread, and what was
captured meanwhile is skipped but for the last one. A frame that cannot be sealed is not sent.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import CodecError, LocalProtocolError, MediaError

from .blocks import silence
from .clocksync import AUDIO_RATE, VIDEO_RATE
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, AudioEncoder, EncodedPicture, Samples, VideoEncoder
from .events import SessionEvent, SourceEnded, SourceFailed
from .identities import StreamIdentity
from .outgoing import OutgoingStream
from .pacer import Pacer
from .payload import PICTURE_IDS, packetise
from .streams import AudioSource, Picture, SoundBlock, StreamKind, VideoSource

PATIENCE = 0.040
"""Seconds that a block of the source may be late before silence is sent in its place."""

LEAST_PATIENCE = 0.005
"""Seconds that it gets in any case."""

MAX_FOLLOW = 0.001
"""Seconds by which the beat is moved for each block, towards when the source delivers: 5 %, more than clocks drift."""

MAX_CATCH_UP = 0.200
"""Seconds of blocks that leave in a row after the process was held up; silence older than that is not sent."""

PACING = 2.5
"""Times the video bit rate at which packets leave, so that a key frame takes its time but not the next frame's."""

MAX_BACKLOG = 0.250
"""Seconds of video waiting to leave beyond which pictures are skipped."""

KEY_FRAME_INTERVAL = 1.0
"""Seconds between key frames that the peer asks for."""

Send = Callable[[bytes], bool]


class AudioSender:
    """Sends one packet every 20 ms from `run` on.

    Args:
        identity: of the stream.
        sealer: frame keys.
        encoder: constant in size.
        source: where blocks come from, None for silence.
        send: takes RTP packets.
        on_event: told when the source ends or fails.
    """

    def __init__(
        self,
        identity: StreamIdentity,
        sealer: FrameSealer,
        encoder: AudioEncoder,
        source: AudioSource | None,
        send: Send,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self.stream = OutgoingStream(identity, AUDIO_RATE, repairable=False)
        self.muted = False
        self._sealer = sealer
        self._encoder = encoder
        self._source = source
        self._send = send
        self._on_event = on_event
        self._timestamp = self.stream.timestamp_offset
        self._captured_at: float | None = None
        self._reading: asyncio.Task[SoundBlock | None] | None = None

    async def run(self) -> None:
        """Send until cancelled."""
        due = time.monotonic()
        patience = PATIENCE
        try:
            while True:
                block = await self._block_by(due + patience)
                ahead = due - time.monotonic()
                if block is None:
                    # Once the source has missed its turn, silence keeps the beat until it is back.
                    patience = 0.0
                    await asyncio.sleep(ahead)
                    block = SoundBlock(silence(), self._slot(due))
                else:
                    patience = PATIENCE
                    if ahead > BLOCK_SECONDS / 2:
                        await asyncio.sleep(ahead)
                    # The beat follows the clock of the source, slowly: single delays must not shift it.
                    due -= max(-MAX_FOLLOW, min(MAX_FOLLOW, ahead / 20))
                self._send_block(block)
                due = max(due + BLOCK_SECONDS, time.monotonic() - MAX_CATCH_UP)
        finally:
            if self._reading is not None:
                self._reading.cancel()

    def _slot(self, due: float) -> float:
        """The time of capture that silence stands for: that of the block it replaces."""
        return due if self._source is None or self._captured_at is None else self._captured_at + BLOCK_SECONDS

    async def _block_by(self, deadline: float) -> SoundBlock | None:
        """The next block of the source, None when there is none by the deadline.

        A block whose place silence has taken is left out: what comes after it is on time again.
        """
        while self._source is not None:
            if self._reading is None:
                self._reading = asyncio.create_task(self._source.read())
            # When the loop itself was late, the source has had no turn yet either.
            await asyncio.wait({self._reading}, timeout=max(LEAST_PATIENCE, deadline - time.monotonic()))
            if not self._reading.done():
                return None
            reading, self._reading = self._reading, None
            try:
                block = reading.result()
            except MediaError as error:
                self._source = None
                self._on_event(SourceFailed(StreamKind.AUDIO, str(error)))
                break
            if block is None:
                self._source = None
                self._on_event(SourceEnded(StreamKind.AUDIO))
            elif self._captured_at is None or block.captured_at >= self._captured_at + BLOCK_SECONDS / 2:
                return block
        return None

    def _send_block(self, block: SoundBlock) -> None:
        encoded = self._encode(silence() if self.muted else block.samples)
        timestamp = self._next_timestamp(block.captured_at)
        try:
            sealed = self._sealer.seal(encoded)
        except LocalProtocolError:
            return  # no key (any more): nothing leaves in clear
        for packet in self.stream.frame([sealed], timestamp, block.captured_at, marker=False):
            if self._send(packet):
                self.stream.sent(packet, time.monotonic())

    def _next_timestamp(self, captured_at: float) -> int:
        """One block after the last; where the capture has paused, as many as its pause was long."""
        pause = captured_at - self._captured_at - BLOCK_SECONDS if self._captured_at is not None else 0.0
        blocks = 1 + (round(pause / BLOCK_SECONDS) if pause >= 2 * BLOCK_SECONDS else 0)
        self._timestamp = (self._timestamp + blocks * BLOCK_SAMPLES) % (1 << 32)
        self._captured_at = captured_at
        return self._timestamp

    def _encode(self, samples: Samples) -> bytes:
        try:
            return self._encoder.encode(samples)
        except CodecError as error:
            # A source that yields what is no block of ours is of no more use than one that has ended.
            self._source = None
            self._on_event(SourceFailed(StreamKind.AUDIO, str(error)))
            return self._encoder.encode(silence())


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
        for packet in self.stream.frame(payloads, timestamp, picture.captured_at, marker=True):
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
