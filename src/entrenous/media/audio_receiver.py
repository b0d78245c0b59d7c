"""Sound in: packets → open → play-out buffer → decode → sink.

A frame is opened before anything else looks at it; one that does not open is counted and dropped. Play-out runs on a
clock of 20 ms that takes from the buffer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import assert_never

from entrenous.crypto.sframe import FrameOpener
from entrenous.errors import CodecError, VerificationError

from .blocks import cross_fade, is_quiet, silence
from .clocksync import AUDIO_RATE, PlayoutClock
from .codecs.base import BLOCK_SECONDS, AudioDecoder, Samples
from .jitter import Conceal, Merge, Play, Playout, PlayoutBuffer, Recover, Silence
from .reception import Reception
from .rtp import RtpPacket
from .stats import RateMeter

PHASE = 0.005
"""Seconds after a packet is due at which the play-out has its turn: its successor is then here when its own turn
comes 20 ms later, so that a lost block is recovered from it, and small jitter does not matter."""

MINIMUM_DELAY = 0.040
"""Seconds that sound waits at least: two blocks, which is what an event loop with video beside it may be late by."""

MAX_LAG = 0.5
"""Seconds that the play-out clock may be behind before it starts anew instead of catching up."""


class AudioReceiver:
    """Plays one incoming stream of sound from `run` on.

    Args:
        ssrc: of the stream.
        opener: frame keys.
        decoder: of this stream alone.
        clock: the common time line with the picture.
        play: takes blocks and when they are to be heard.
        on_first: told when the first block is played.
    """

    def __init__(
        self,
        ssrc: int,
        opener: FrameOpener,
        decoder: AudioDecoder,
        clock: PlayoutClock,
        play: Callable[[Samples, float], None],
        on_first: Callable[[float], None],
    ) -> None:
        self.reception = Reception(ssrc, AUDIO_RATE)
        self.buffer = PlayoutBuffer(minimum_delay=MINIMUM_DELAY)
        self.rejected = 0
        self.undecodable = 0
        self.received_rate = RateMeter()
        self._opener = opener
        self._decoder = decoder
        self._clock = clock
        self._play = play
        self._on_first = on_first
        self._first_arrival: float | None = None
        self._arrived = asyncio.Event()
        self._started = False
        self._last = silence()

    def receive(self, packet: RtpPacket, size: int, at: float) -> None:
        """Take one packet of `size` bytes that arrived at monotonic time `at`."""
        if self.reception.arrived(packet, at) is None:
            return
        self.received_rate.add(size, at)
        try:
            encoded = self._opener.open(packet.payload, now=at)
        except VerificationError:
            self.rejected += 1
            return
        self.buffer.push(packet.timestamp, encoded, at)
        if self._first_arrival is None:
            self._first_arrival = at
            self._arrived.set()

    async def run(self) -> None:
        """Play every 20 ms from the first packet on, until cancelled."""
        await self._arrived.wait()
        turn = (self._first_arrival or 0.0) + PHASE
        # Packets that were kept for the gate are long here: the next turn of the same beat is the first.
        turn += BLOCK_SECONDS * max(0, math.ceil((time.monotonic() - turn) / BLOCK_SECONDS))
        await asyncio.sleep(turn - time.monotonic())
        while True:
            late = time.monotonic() - turn
            if late > MAX_LAG:
                turn += late  # the process slept: what was to be heard meanwhile is past
            elif late > PHASE:
                await asyncio.sleep(0)  # the loop was held up: packets that wait in the socket are read first
            self.play_one(turn)
            turn += BLOCK_SECONDS
            await asyncio.sleep(turn - time.monotonic())

    def play_one(self, turn: float) -> None:
        """Play the block whose turn is at monotonic time `turn`."""
        playout = self.buffer.pull(turn, quiet=is_quiet(self._last))
        if not self._started and not isinstance(playout, Play):
            return
        try:
            block = self._decode(playout, turn)
        except CodecError:
            self.undecodable += 1
            block = self._decoder.conceal()
        self._last = block
        self._play(block, turn)
        if not self._started:
            self._started = True
            self._on_first(turn)

    def _decode(self, playout: Playout, turn: float) -> Samples:
        match playout:
            case Play(payload, timestamp):
                self._clock.sound_played(timestamp, turn)
                return self._decoder.decode(payload)
            case Merge(first, second, timestamp):
                self._clock.sound_played(timestamp, turn)
                return cross_fade(self._decoder.decode(first), self._decoder.decode(second))
            case Recover(next_payload, _):
                return self._decoder.recover(next_payload)
            case Conceal():
                return self._decoder.conceal()
            case Silence():
                return silence()
            case _ as never:
                assert_never(never)
