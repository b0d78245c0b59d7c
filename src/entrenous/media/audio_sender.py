"""Sound out: source → frame → encode → seal → packet.

Packets have one size and leave on one beat as long as a plan stands, whatever is said, muted, missing or late, so that
the traffic shows nothing of it. A frame that cannot be sealed is not sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import LocalProtocolError

from .audio_intake import AudioIntake
from .audio_packer import AudioPacker
from .audio_plan import AudioPlan
from .beat import HELD_UP, Beat
from .blocks import silence
from .clocksync import AUDIO_RATE
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, AudioEncoder
from .events import SessionEvent, SourceEnded, SourceFailed
from .identities import AudioFormat, StreamIdentity
from .outgoing import OutgoingStream
from .streams import AudioSource, SoundBlock, StreamKind
from .turns import Turns

PATIENCE = 0.040
"""Seconds that a block of the source may be late before silence is sent in its place."""

MOST_TURNS = 4
"""How often in one beat the source gets a turn of `HELD_UP` after the loop was held up for longer: the beat of a loop
that is always late does not wait for a source that is gone."""

BEHIND_FOR = 10
"""Beats that may find what is past before the source is taken as it comes: it lags for good, or the beat began too
early for it in a loop whose every turn is late, which excuses that."""

_FORGIVEN = BLOCK_SECONDS
"""How many of them a beat makes good that finds nothing but its own block: one a second."""

_SMOOTHING = 0.02
"""The weight of one frame in the mean time of encoding."""

Send = Callable[[bytearray], object]


class AudioSender:
    """Sends one packet for each frame from `run` on.

    Args:
        identity: of the stream.
        sealer: frame keys.
        encoder: of this stream alone.
        source: where blocks come from, None for silence.
        send: takes RTP packets, and counts what leaves with `OutgoingStream.sent`.
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
        self.blocks_missed = 0
        """Blocks in whose place silence was sent because the source had none in time."""
        self.beats_left_out = 0
        """Blocks that were not sent, nor anything in their place, because the process was held up for too long."""
        self.encode_seconds = 0.0
        """The mean time of encoding a frame lately."""
        self._sealer = sealer
        self._packer = AudioPacker(encoder, plan)
        self._next_plan: AudioPlan | None = None
        self._source = source
        self._intake: AudioIntake | None = None
        self._send = send
        self._on_event = on_event
        self._running = False
        self._turns = Turns(self._turn)
        self._beat = Beat(0.0)
        self._patience = PATIENCE
        self._deadline: float | None = None
        """How long the block of this beat is waited for; None before its beat."""
        self._awake_at = 0.0
        """When this beat had its first turn, or the first one after the loop was held up."""
        self._turns_left = 0
        self._gave_way = False
        """Whether the source had a turn after this beat ran out of patience."""
        self._frame: list[SoundBlock] = []
        self._timestamp = self.stream.timestamp_offset
        self._lag: float | None = None
        """Seconds from the capture of a block of this source to its beat; None before the first."""
        self._behind = 0.0
        """Beats that have found blocks of beats before, less those that are forgiven."""
        self._found_past = False
        """Whether this one has found such a block."""
        self._frame_ends_at: float | None = None
        """When the sound of the last frame ended, by the clock of its capture."""
        self._frame_samples = 0

    @property
    def plan(self) -> AudioPlan:
        """How sound is sent now."""
        return self._packer.plan

    def use_plan(self, plan: AudioPlan) -> None:
        """Send by another plan from the next frame on."""
        self._next_plan = plan if plan != self.plan else None

    def use_source(self, source: AudioSource | None) -> None:
        """Send another source, or silence, from the next block on; the beat goes on, a pending read is cancelled."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None
        self._source = source
        # The new one may lie further back than the old one did: what it yields is not late for that.
        self._lag = None
        self._behind = 0.0
        if self._running and source is not None:
            self._intake = AudioIntake(source, self._source_moved)

    async def run(self) -> None:
        """Send until cancelled."""
        self._beat = Beat(time.monotonic())
        self._running = True
        try:
            self.use_source(self._source)
            await self._turns.run(self._beat.due)
        finally:
            self._running = False
            if self._intake is not None:
                self._intake.close()

    def _turn(self) -> float:
        """Take the block of this beat, or what stands in for it; when to look again, for the next one or this one."""
        beat, now = self._beat, time.monotonic()
        if self._deadline is None:
            self.beats_left_out += beat.catch_up(now)
            self._deadline = beat.due + self._patience
            self._awake_at, self._turns_left, self._found_past = now, MOST_TURNS, False
            self._gave_way = False
        if now - self._deadline > HELD_UP and self._turns_left:
            self._turns_left -= 1
            self._awake_at, self._deadline = now, now + HELD_UP
        came = self._fresh_block(beat.due)
        if came is not None:
            self._patience = PATIENCE
            block, arrived_at = came
            beat.follow(arrived_at, self._awake_at)
            self.beats_left_out += beat.reach(self._earliest(block, now))
            self._behind = self._behind + 1 if self._found_past else max(0.0, self._behind - _FORGIVEN)
            self._lag = beat.due - block.captured_at
            self._add(block)
        elif self._intake is not None and now < self._deadline:
            return self._deadline
        elif self._intake is not None and not self._gave_way:
            self._gave_way = True  # the block may be due since the loop last had time: its source goes first
            return now
        else:
            # Once the source has missed its turn, silence keeps the beat until it is back.
            self._patience = 0.0
            self._add(SoundBlock(silence(), self._slot(beat.due)))
            self._behind += self._found_past
            if self._behind >= BEHIND_FOR:
                self._lag, self._behind = None, 0.0
        self._deadline = None
        beat.advance()
        return beat.due

    def _earliest(self, block: SoundBlock, now: float) -> float:
        """When a block that came by monotonic time `now` can have been expected, as its source lags."""
        lag = 0.0 if self._lag is None else self._lag
        return max(block.captured_at, min(block.captured_at + lag, now))

    def _source_moved(self) -> None:
        if self._deadline is not None:
            self._turns.hasten()

    def _slot(self, due: float) -> float:
        """The time of capture that silence stands for: that of the block whose place it takes."""
        if self._intake is None or self._lag is None:
            return due
        self.blocks_missed += 1
        return due - self._lag

    def _fresh_block(self, due: float) -> tuple[SoundBlock, float] | None:
        """The next block of the source and when it came, None when there is none yet.

        A block of a beat that was left out, or whose place silence has taken, is left out too. It shows that the source
        is back, so that the next one is waited for, and the beat finds its new place behind it.
        """
        while (intake := self._intake) is not None:
            came = intake.take()
            if came is None:
                if not intake.over:
                    return None
                self._source_is_over(intake)
                continue
            if self._lag is None or came[0].captured_at >= due - self._lag - BLOCK_SECONDS / 2:
                return came
            self._found_past = True
            self._deadline = max(self._deadline or 0.0, due + PATIENCE)
        return None

    def _source_is_over(self, intake: AudioIntake) -> None:
        self._intake = self._source = None
        if intake.failure is None:
            self._on_event(SourceEnded(StreamKind.AUDIO))
        else:
            self._on_event(SourceFailed(StreamKind.AUDIO, intake.failure))

    def _add(self, block: SoundBlock) -> None:
        """Put one block into the frame, and send the frame once it is full."""
        if self._next_plan is not None and not self._frame:
            self._packer.use(self._next_plan)
            self._next_plan = None
        self._frame.append(SoundBlock(silence(), block.captured_at) if self.muted else block)
        if len(self._frame) * BLOCK_SECONDS * 1000 >= self._packer.plan.frame_ms:
            frame, self._frame = self._frame, []
            self._send_frame(frame)

    def _send_frame(self, frame: list[SoundBlock]) -> None:
        captured_at = frame[0].captured_at
        timestamp = self._next_timestamp(captured_at, len(frame))
        if not self._sealer.keyed:
            return  # no key (any more): nothing leaves in clear
        samples = frame[0].samples if len(frame) == 1 else np.concatenate([block.samples for block in frame])
        types = self.stream.identity.payload_types
        begun = time.perf_counter()
        format_, plain = self._packer.pack(
            samples,
            timestamp,
            self._sealer.header_length,
            types[AudioFormat.OPUS],
            bundles=AudioFormat.RED in types,
        )
        self.encode_seconds += _SMOOTHING * (time.perf_counter() - begun - self.encode_seconds)
        try:
            sealed = self._sealer.seal(plain)
        except LocalProtocolError:
            return  # the counters of this key are used up
        for packet in self.stream.frame([sealed], timestamp, captured_at, marker=False, format_=format_):
            self._send(packet)

    def _next_timestamp(self, captured_at: float, blocks: int) -> int:
        """As far after the last as that was long; where the capture has paused for two blocks, by those and all more.

        A single one may be the clock of the source, which drifts.
        """
        pause = captured_at - self._frame_ends_at if self._frame_ends_at is not None else 0.0
        blocks_paused = round(pause / BLOCK_SECONDS)
        paused = blocks_paused if blocks_paused >= 2 else 0
        self._timestamp = (self._timestamp + self._frame_samples + paused * BLOCK_SAMPLES) % (1 << 32)
        self._frame_samples = blocks * BLOCK_SAMPLES
        self._frame_ends_at = captured_at + blocks * BLOCK_SECONDS
        return self._timestamp
