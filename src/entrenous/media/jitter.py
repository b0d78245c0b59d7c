"""The play-out buffer of sound: absorbs what the network does to the cadence, with as little delay as it allows.

Pure: packets and `now` in, what to play out. Both sides count in *positions*, blocks of 20 ms since the stream
began. Each arrival yields a transit, `arrival - position * 20 ms`; the smallest transit of the last ten seconds
stands for an empty network, so the delay of a block is what it waits beyond that. The wanted delay is a high
quantile of what arrivals needed in the same window (the idea of NetEQ), one sample for each 20 ms of arrival time,
so that a queue which empties in one burst counts as one event and not as fifty.

How it steers:

- A block that is missing while its successor is here is lost: it is recovered from the successor's in-band FEC and
  the play-out goes on. A loss never adds delay; losses that repeat add one block for as long as they do, because
  the successor has to be here in time to be of help.
- With nothing here the play-out conceals and stays where it is. If the block comes after all it is played, and the
  delay has grown by what was waited; if its successor comes, the concealment has stood in for it.
- Delay above the wanted one is taken back by merging two blocks into one, rarely; a lot of it (after an outage) by
  leaving out the oldest blocks at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .arrivals import ArrivalWindow
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS

MINIMUM_DELAY = 0.020
MAXIMUM_DELAY = 0.400
"""Seconds between which the wanted delay is kept."""

_WINDOW = 10.0
"""Seconds of arrivals and losses that the wanted delay is drawn from."""

_REPEATED_LOSSES = 3
"""Losses within the window from which a block of delay is spent on having their successors in time."""

_BURST = 0.100
"""Seconds of delay above the wanted one that are merged away in time; more is left out at once."""

_MERGE_INTERVAL = 0.500
_MERGE_INTERVAL_QUIET = 0.100
"""Seconds between two merges, in speech and in quiet."""

_CAPACITY = 64
"""Blocks that are held at most: 1.28 s, three times the longest wanted delay."""

_SILENT_AFTER = 50
"""Concealed blocks in a row after which silence is played: the voice has long faded, and decoding rests."""

_TIMESTAMPS = 1 << 32
_REMEMBERED = (1 << 128) - 1
"""Blocks that are remembered as played, one bit each, to tell a duplicate from a late packet: 2.56 s."""

_STRAY = 1.0
"""Seconds of unexpected transit from which a packet is taken for a new beginning, once a second one agrees."""


@dataclass(frozen=True, slots=True)
class Play:
    """Decode this packet.

    Args:
        payload: the packet as it was pushed.
        timestamp: its RTP timestamp.
    """

    payload: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Decode both packets and cross-fade them into one block: 20 ms of delay are taken back.

    Args:
        first: the packet whose beginning is heard.
        second: the packet after it, whose end is heard.
        timestamp: the RTP timestamp of the second.
    """

    first: bytes
    second: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Recover:
    """The packet is lost, its successor is here: decode the successor's FEC (it stays in the buffer).

    Args:
        next_payload: the successor.
        timestamp: the RTP timestamp of the lost block.
    """

    next_payload: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Conceal:
    """Nothing to decode: let the codec invent a block."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing has begun yet, or nothing has come for a second: play zeros and leave the decoder alone."""


Playout = Play | Merge | Recover | Conceal | Silence


@dataclass(slots=True)
class PlayoutCounters:
    """What has happened since the beginning; every count is in blocks of 20 ms.

    Args:
        played: decoded from their own packet (both of a merge count).
        recovered: handed to FEC.
        concealed: invented, be it for a loss or because nothing was here in time.
        late: packets that came after their turn.
        duplicates: packets that were here already, or played.
        discarded: packets left out to take delay back, or for want of room.
        merged: merges, each of which took 20 ms of delay back.
        held_back: concealed blocks that were put in to gain 20 ms of delay (counted in `concealed` too).
        restarts: jumps of the sender's timestamps that were followed.
    """

    played: int = 0
    recovered: int = 0
    concealed: int = 0
    late: int = 0
    duplicates: int = 0
    discarded: int = 0
    merged: int = 0
    held_back: int = 0
    restarts: int = 0


class PlayoutBuffer:
    """Orders the packets of one audio stream and says every 20 ms what to play.

    Args:
        minimum_delay: seconds; the first packet is played at the first pull that is about this much later.
        maximum_delay: seconds; jitter beyond it costs blocks instead of delay.
    """

    _next: int  # the position to be played next
    _played: int  # which positions before it were played, the lowest bit being the last
    _waited: int  # turns on which nothing was here
    _stray: _Arrival | None
    _last_timestamp: int | None

    def __init__(self, *, minimum_delay: float = MINIMUM_DELAY, maximum_delay: float = MAXIMUM_DELAY) -> None:
        self._minimum_delay = minimum_delay
        self._maximum_delay = maximum_delay
        self.counters = PlayoutCounters()
        self._packets: dict[int, Play] = {}
        self._forget()

    def __len__(self) -> int:
        """Packets that are held."""
        return len(self._packets)

    @property
    def delay(self) -> float:
        """Seconds that the last block played had waited beyond the fastest way; 0 before the first."""
        return self._delay

    @property
    def wanted_delay(self) -> float:
        """Seconds that are steered towards: what nearly all arrivals of the last ten seconds needed."""
        needed = self._arrivals.needed()
        if len(self._losses) == _REPEATED_LOSSES:
            needed += BLOCK_SECONDS
        return min(max(needed, self._minimum_delay), self._maximum_delay)

    def reset(self) -> None:
        """Begin anew with another stream (another SSRC); the counters go on."""
        self.counters.discarded += len(self._packets)
        self._forget()

    def push(self, timestamp: int, payload: bytes, now: float) -> None:
        """Take a packet that has arrived.

        Args:
            timestamp: its RTP timestamp, 32 bits at 48 kHz, which wraps (RFC 3550, section 5.1).
            payload: one encoded block of 20 ms.
            now: when it reached the socket, monotonic seconds.
        """
        samples = self._unwrap(timestamp)
        position = (samples + BLOCK_SAMPLES // 2) // BLOCK_SAMPLES
        if position in self._packets or self._was_played(position):
            self.counters.duplicates += 1
            return
        packet = _Arrival(position, Play(payload, timestamp), now)
        unexpected = 0.0 if self._arrivals.is_empty else packet.transit - self._arrivals.fastest
        if unexpected > _STRAY and self._packets:
            # While another path delivers, old packets of one that drains are late and nothing else.
            self.counters.late += 1
            return
        if abs(unexpected) > _STRAY:
            self._take_stray(packet)
            return
        self._stray = None
        self._last_timestamp, self._last_samples = timestamp, samples
        self._arrivals.add(now, packet.transit)
        if self._begun and position < self._next:
            self.counters.late += 1
            self._was_too_early = True
            return
        self._packets[position] = packet.play
        self._make_room(position - _CAPACITY + 1)

    def pull(self, now: float, *, quiet: bool = False) -> Playout:
        """What to play next; to be asked every 20 ms.

        Args:
            now: monotonic seconds of this turn.
            quiet: whether what was played last was soft: blocks are merged more readily then.
        """
        if not self._begun and not self._begin(now):
            return Silence()
        if not self._packets:
            return self._wait()
        self._account_for_waiting(now)
        while self._losses and self._losses[0] < now - _WINDOW:
            self._losses.popleft()
        self._leave_out_the_oldest(now)
        self._delay = self._delay_of(self._next, now)
        packet, successor = self._packets.get(self._next), self._packets.get(self._next + 1)
        if packet is not None:
            if self._must_grow():
                self.counters.held_back += 1
                self.counters.concealed += 1
                return Conceal()
            if successor is not None and self._may_merge(now, quiet=quiet):
                self._merged_at = now
                self.counters.merged += 1
                self._take()
                self._take()
                return Merge(packet.payload, successor.payload, successor.timestamp)
            self._take()
            return packet
        self._advance(1)
        self._losses.append(now)
        if successor is not None:
            self.counters.recovered += 1
            return Recover(successor.payload, (successor.timestamp - BLOCK_SAMPLES) % _TIMESTAMPS)
        self.counters.concealed += 1
        return Conceal()

    # --- where packets belong

    def _unwrap(self, timestamp: int) -> int:
        """Samples since the first packet: the 32-bit timestamp continued from the last one, in either direction."""
        if self._last_timestamp is None:
            return self._last_samples
        step = (timestamp - self._last_timestamp + _TIMESTAMPS // 2) % _TIMESTAMPS - _TIMESTAMPS // 2
        return self._last_samples + step

    def _was_played(self, position: int) -> bool:
        return self._begun and position < self._next and bool(self._played >> (self._next - 1 - position) & 1)

    def _take_stray(self, packet: _Arrival) -> None:
        """Keep a packet that fits nothing: its sender may have begun anew. With a second one that fits it, follow."""
        first, self._stray = self._stray, packet
        if first is None or not 0 < abs(packet.position - first.position) <= _CAPACITY:
            return
        origin = self._next + _CAPACITY
        self.reset()
        self.counters.restarts += 1
        self._last_timestamp, self._last_samples = first.play.timestamp, origin * BLOCK_SAMPLES
        for arrival in (first, packet):
            self.push(arrival.play.timestamp, arrival.play.payload, arrival.at)

    def _make_room(self, oldest: int) -> None:
        """Let go of everything before the position `oldest`, so that a bounded span is held."""
        for position in [position for position in self._packets if position < oldest]:
            del self._packets[position]
            self.counters.discarded += 1
        if self._begun and self._next < oldest:
            self._advance(oldest - self._next)

    # --- where the play-out stands

    def _begin(self, now: float) -> bool:
        """Begin at the turn that is nearest to the shortest delay after the first packet."""
        if not self._packets:
            return False
        first = min(self._packets)
        self._begun = self._delay_of(first, now) >= self._minimum_delay - BLOCK_SECONDS / 2
        self._next = first
        return self._begun

    def _wait(self) -> Playout:
        """Nothing is here: stand in for the next block without giving it up."""
        self._waited += 1
        if self._waited > _SILENT_AFTER:
            return Silence()
        self.counters.concealed += 1
        return Conceal()

    def _account_for_waiting(self, now: float) -> None:
        """What was concealed while nothing was here has stood in for blocks that turned out to be lost."""
        lost = min(self._waited, min(self._packets) - self._next)
        self._waited = 0
        if lost:
            self._advance(lost)
            self._losses.append(now)
            self._was_too_early = True

    def _leave_out_the_oldest(self, now: float) -> None:
        """After an outage, drop what has waited far too long, as long as there is something fresher."""
        excess = self._delay_of(self._next, now) - self.wanted_delay
        if excess > _BURST:
            self._make_room(min(self._next + int(excess / BLOCK_SECONDS), max(self._packets)))

    def _must_grow(self) -> bool:
        """Whether the next block is to be held back: more delay would have saved one that was just missed."""
        grow = self._was_too_early and self._delay < self.wanted_delay
        self._was_too_early = False
        return grow

    def _may_merge(self, now: float, *, quiet: bool) -> bool:
        interval = _MERGE_INTERVAL_QUIET if quiet else _MERGE_INTERVAL
        return self._delay - BLOCK_SECONDS >= self.wanted_delay and now - self._merged_at >= interval

    def _delay_of(self, position: int, now: float) -> float:
        """Seconds since the block at `position` would have arrived on the fastest way."""
        return now - position * BLOCK_SECONDS - self._arrivals.fastest

    def _take(self) -> None:
        """The next packet is played."""
        del self._packets[self._next]
        self.counters.played += 1
        self._advance(1)
        self._played |= 1

    def _advance(self, blocks: int) -> None:
        """Go on by so many positions, remembering of the last ones which were played."""
        self._next += blocks
        self._played = (self._played << blocks) & _REMEMBERED if blocks < _REMEMBERED.bit_length() else 0

    def _forget(self) -> None:
        """The state before the first packet."""
        self._packets.clear()
        self._arrivals = ArrivalWindow(_WINDOW)
        self._begun = False
        self._next = 0
        self._played = 0
        self._waited = 0
        self._losses: deque[float] = deque(maxlen=_REPEATED_LOSSES)
        self._was_too_early = False
        self._merged_at = float("-inf")
        self._delay = 0.0
        self._stray: _Arrival | None = None
        self._last_timestamp: int | None = None
        self._last_samples = 0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A packet, the position it belongs to, and the monotonic second at which it came."""

    position: int
    play: Play
    at: float

    @property
    def transit(self) -> float:
        """Seconds of the way, up to a constant that is the same for the whole stream."""
        return self.at - self.position * BLOCK_SECONDS
