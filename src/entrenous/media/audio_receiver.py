"""Sound in: packets → open → play-out buffer → decode → sink.

A frame is opened before anything else looks at it; one that does not open is counted and dropped. Play-out runs on a
clock of 20 ms that takes from the buffer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from entrenous.crypto.sframe import FrameOpener
from entrenous.errors import CodecError, RemoteProtocolError, VerificationError

from .clocksync import AUDIO_RATE, PlayoutClock
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, AudioDecoder, Samples
from .codecs.opus import carries_fec, packet_samples
from .identities import PAYLOAD_TYPES, AudioFormat
from .jitter import PlayoutBuffer
from .playout import Playout
from .reception import Reception
from .red import read_red
from .rtp import RtpPacket
from .stats import RateMeter
from .turns import Turns

PHASE = 0.005
"""Seconds after a packet is due at which the play-out has its turn: its successor is then here when its own turn
comes 20 ms later, so that a lost block is recovered from it, and small jitter does not matter."""

MAX_LAG = 0.5
"""Seconds that the play-out clock may be behind before it starts anew instead of catching up."""

CONCEALMENT_WINDOW = 5.0
"""Seconds over which what was concealed lately is counted."""


class AudioReceiver:
    """Plays one incoming stream of sound from `run` on.

    Args:
        ssrc: of the stream.
        opener: frame keys.
        decoder: of this stream alone.
        clock: the common time line with the picture.
        play: takes blocks and when they are to be heard.
        on_first: told when the first block is played.
        bundle_type: the RTP payload type of bundles (RFC 2198); with any other a packet holds a single Opus packet.
    """

    def __init__(
        self,
        ssrc: int,
        opener: FrameOpener,
        decoder: AudioDecoder,
        clock: PlayoutClock,
        play: Callable[[Samples, float], None],
        on_first: Callable[[float], None],
        bundle_type: int | None = PAYLOAD_TYPES[AudioFormat.RED],
    ) -> None:
        self.reception = Reception(ssrc, AUDIO_RATE)
        self.buffer = PlayoutBuffer()
        self.bundle_type = bundle_type
        """May change with the leg in use."""
        self.rejected = 0
        """Sealed frames that did not open."""
        self.malformed = 0
        """Frames that opened and are neither an Opus packet of 20, 40 or 60 ms nor a bundle of such."""
        self.received_rate = RateMeter()
        self.concealed_rate = RateMeter(CONCEALMENT_WINDOW)
        """Concealed blocks a second."""
        self.held_up_seconds = 0.0
        """By which turns came more than a block late, together: so long was this process kept from the processor."""
        self._opener = opener
        self._playout = Playout(self.buffer, decoder)
        self._clock = clock
        self._play = play
        self._on_first = on_first
        self._first_arrival: float | None = None
        self._arrived = asyncio.Event()
        self._started = False
        self._turns = Turns(self._have_turn)
        self._turn = 0.0
        """When the next block is to be heard."""
        self._gave_way = False
        self._late = 0.0
        """Seconds by which the last turn was, as far as the next one has to make it good."""

    @property
    def undecodable(self) -> int:
        """Packets that were authentic and made no sense as sound; each was concealed."""
        return self.malformed + self._playout.undecodable

    def receive(self, packet: RtpPacket, size: int, at: float) -> None:
        """Take one packet of `size` bytes that arrived at monotonic time `at`."""
        if self.reception.arrived(packet, at) is None:
            return
        self.received_rate.add(size, at)
        try:
            plain = self._opener.open(packet.payload, now=at)
        except VerificationError:
            self.rejected += 1
            return
        try:
            if packet.payload_type == self.bundle_type:
                self._take_bundle(packet.timestamp, plain, at)
            else:
                self._take(packet.timestamp, plain, at)
        except (RemoteProtocolError, CodecError):
            self.malformed += 1
            return
        if self._first_arrival is None:
            self._first_arrival = at
            self._arrived.set()

    def _take(self, timestamp: int, encoded: bytes, at: float) -> None:
        blocks = packet_samples(encoded) // BLOCK_SAMPLES
        self.buffer.push(timestamp, encoded, at, blocks=blocks, fec=carries_fec(encoded))

    def _take_bundle(self, timestamp: int, bundle: bytes, at: float) -> None:
        *earlier, (_, primary) = read_red(bundle)
        self._take(timestamp, primary, at)
        for offset, encoded in earlier:
            blocks = packet_samples(encoded) // BLOCK_SAMPLES
            self.buffer.push_copy((timestamp - offset) % (1 << 32), encoded, at, blocks=blocks)

    async def run(self) -> None:
        """Play every 20 ms from the first packet on, until cancelled."""
        await self._arrived.wait()
        turn = (self._first_arrival or 0.0) + PHASE
        # Packets that were kept for the gate are long here: the next turn of the same beat is the first.
        turn += BLOCK_SECONDS * max(0, math.ceil((time.monotonic() - turn) / BLOCK_SECONDS))
        self._turn = turn
        await self._turns.run(turn)

    def _have_turn(self) -> float:
        """Play the block that is due; when the next one is."""
        late = time.monotonic() - self._turn
        if late > PHASE and not self._gave_way:
            self._gave_way = True  # the loop was held up: packets that wait in the socket are read first
            return self._turn
        self._gave_way = False
        if late > BLOCK_SECONDS:
            self.held_up_seconds += max(0.0, late - max(0.0, self._late - BLOCK_SECONDS))
        self._late = late
        if late > MAX_LAG:
            self._turn += late  # the process slept: what was to be heard meanwhile is past
            self._late = 0.0
        self.play_one(self._turn)
        self._turn += BLOCK_SECONDS
        return self._turn

    def play_one(self, turn: float) -> None:
        """Play the block whose turn is at monotonic time `turn`."""
        concealed = self.buffer.counters.concealed
        block = self._playout.block(turn)
        if block is None:
            return
        if self.buffer.counters.concealed > concealed:
            self.concealed_rate.add(self.buffer.counters.concealed - concealed, turn)
        if self._playout.heard is not None:
            self._clock.sound_played(self._playout.heard, turn)
        self._play(block, turn)
        if not self._started:
            self._started = True
            self._on_first(turn)
