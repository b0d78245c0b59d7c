"""Sound out: source → encode → seal → packets → leg.

It leaves as exactly one packet of one size every 20 ms, whatever is said, muted, missing or late, so that the
traffic shows nothing of it. A frame that cannot be sealed is not sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import CodecError, LocalProtocolError, MediaError

from .audio_plan import FEC_ARMED_FOR, AudioPlan
from .blocks import silence
from .clocksync import AUDIO_RATE
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, AudioEncoder, Samples
from .codecs.opus import packet_bytes
from .events import SessionEvent, SourceEnded, SourceFailed
from .identities import AudioFormat, StreamIdentity
from .outgoing import OutgoingStream
from .streams import AudioSource, SoundBlock, StreamKind

PATIENCE = 0.040
"""Seconds that a block of the source may be late before silence is sent in its place."""

LEAST_PATIENCE = 0.005
"""Seconds that it gets in any case."""

MAX_FOLLOW = 0.001
"""Seconds by which the beat is moved for each block, towards when the source delivers: 5 %, more than clocks drift."""

MAX_CATCH_UP = 0.200
"""Seconds of blocks that leave in a row after the process was held up; silence older than that is not sent."""

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
        plan: how sound is sent at first.
    """

    def __init__(
        self,
        identity: StreamIdentity,
        sealer: FrameSealer,
        encoder: AudioEncoder,
        source: AudioSource | None,
        send: Send,
        on_event: Callable[[SessionEvent], None],
        plan: AudioPlan,
    ) -> None:
        self.stream = OutgoingStream(identity, AUDIO_RATE, repairable=False)
        self.muted = False
        self._sealer = sealer
        self._encoder = encoder
        self._encoder.arm_fec(FEC_ARMED_FOR if plan.fec else 0)
        self._size = packet_bytes(plan.bitrate, plan.frame_ms)
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
        for packet in self.stream.frame([sealed], timestamp, block.captured_at, marker=False, format_=AudioFormat.OPUS):
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
            return self._encoder.encode(samples, self._size)
        except CodecError as error:
            # A source that yields what is no block of ours is of no more use than one that has ended.
            self._source = None
            self._on_event(SourceFailed(StreamKind.AUDIO, str(error)))
            return self._encoder.encode(silence(), self._size)
