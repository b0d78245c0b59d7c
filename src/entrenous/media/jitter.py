"""The play-out buffer of sound: absorbs what the network does to the cadence, with as little delay as it allows.

Pure: packets and `now` in, what to do next out; `playout` does it. Time is counted in *positions*, blocks of 20 ms
since the stream began; a packet holds one to three. Each arrival yields a transit, `arrival - position * 20 ms`; the
smallest transit of the last seconds stands for an empty network, so the *slack* of a packet is what it waits beyond
that until it is decoded. (Unlike the number of packets that are held it does not jump with every arrival, and needs
no filter.) The slack that is wanted is what nearly all arrivals needed lately (`arrivals`), and with losses, what
their repairs needed: the packet with in-band FEC behind a lost one, or the bundle with its copy. An arrival that this
process was too busy to read in time counts from when it was read.

How it steers:

- A packet that is missing when its turn comes, while later ones are here, is lost: it is recovered from in-band FEC
  or concealed, and the play-out goes on. A loss by itself never adds delay.
- With nothing here the play-out conceals and stays where it is. If the packet comes after all it is played, and the
  delay has grown by what was waited; if a later one comes, the concealment has stood in for those between, unless the
  delay was wanted.
- Slack that is too much or too little for a whole block is taken back or gained by shortening or lengthening sound a
  little. Sound is taken every 20 ms, so within a block more delay protects from nothing: the rest is trimmed.
- Far too much, after an outage, is left out at once.
"""

from __future__ import annotations

import math
from typing import Final

from .arrivals import ArrivalHistory
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, SAMPLE_RATE
from .drift import ClockDrift
from .playout_steps import Conceal, Packet, Play, PlayoutCounters, Recover, Step, Stretch

MINIMUM_DELAY: Final = 0.020
MAXIMUM_DELAY: Final = 0.400
"""Seconds between which the wanted slack is kept. With 20 ms the packet behind a lost one is there to repair it."""

_TOLERATED: Final = 0.005
"""Seconds by which the slack may fall below the wanted one before anything is done."""

_SPARED: Final = 0.3
"""Share of the slack wanted beyond the minimum that may be there besides: what jitter needs is not known more exactly,
and to follow each change of it costs more than it gains (measured with 100 ms either side: PESQ-WB 4.3 instead of 4.1
for 10 ms of delay)."""

_TOO_MUCH: Final = 0.300
"""Seconds of slack above the wanted one that are played faster; of more, the oldest is left out at once."""

_TRIMMED: Final = 240
"""Samples of delay within a block from which it is worth a cut."""

_HASTY: Final = 2880
"""Samples of delay too much or too little from which nothing is spared to be rid of them: 60 ms."""

_STRETCH_INTERVAL: Final = 0.100
"""Seconds between two changes of length, unless in haste."""

_LIKENESS_TO_LENGTHEN: Final = (0.9, 0.5)
_LIKENESS_TO_SHORTEN: Final = (1.2, 0.2)
"""How much sound has to resemble itself to be changed in length, and what is taken off for each second of waiting.
Growing is urgent; shrinking waits a second for a quiet passage, where anything goes, before it touches speech."""

_HASTE: Final = 0.7
"""What is taken off in haste."""

_CAPACITY: Final = 64
"""Blocks that are held at most: 1.28 s, three times the longest wanted delay."""

_VOICE_GONE: Final = 50
"""Blocks without anything in a row after which what is played is comfort noise and no longer a stand-in."""

_TIMESTAMPS: Final = 1 << 32
_REMEMBERED: Final = (1 << 128) - 1
"""Blocks of which is remembered what became of them, one bit each, to tell duplicates from late packets: 2.56 s."""

_STRAY: Final = 1.0
"""Seconds of unexpected transit from which a packet is taken for a new beginning, once a second one agrees."""


class PlayoutBuffer:
    """Orders the packets of one audio stream and says what to play.

    Args:
        minimum_delay: seconds; the first packet is played at the first pull that is about this much later.
        maximum_delay: seconds; jitter beyond it costs blocks instead of delay.
    """

    _arrivals: ArrivalHistory
    _begun: bool
    _delay: float
    _last_samples: int
    _last_timestamp: int | None
    _next: int  # the position to be played next
    _played: int  # which positions before it were played, the lowest bit being the last
    _recovered: int  # the same for those that FEC made good
    _stray: Packet | None
    _stretched_at: float
    _turn: float  # the last pull
    _waited: int  # pulls on which nothing was here
    _wish: tuple[int, float] | None  # the direction of a change of length that is due, and since when

    def __init__(self, *, minimum_delay: float = MINIMUM_DELAY, maximum_delay: float = MAXIMUM_DELAY) -> None:
        self._minimum_delay = minimum_delay
        self._maximum_delay = maximum_delay
        self.counters = PlayoutCounters()
        self._packets: dict[int, Packet] = {}
        self._forget()

    def __len__(self) -> int:
        """Packets that are held."""
        return len(self._packets)

    @property
    def delay(self) -> float:
        """Seconds between the earliest moment at which what is heard could have come and now; 0 before the first."""
        return self._delay

    @property
    def wanted_delay(self) -> float:
        """Seconds of slack that are steered towards."""
        return min(max(self._arrivals.needed, self._minimum_delay), self._maximum_delay)

    @property
    def drift(self) -> float | None:
        """How much faster the sender's clock runs than ours, parts per million; None while unknown."""
        return self._drift.parts_per_million

    def reset(self) -> None:
        """Begin anew with another stream (another SSRC); the counters go on."""
        self.counters.discarded += len(self._packets)
        self._forget()

    def push(self, timestamp: int, payload: bytes, at: float, *, blocks: int = 1, fec: bool = False) -> None:
        """Take a packet that has arrived.

        Args:
            timestamp: its RTP timestamp, 32 bits at 48 kHz, which wraps (RFC 3550, section 5.1).
            payload: the encoded sound.
            at: when it reached the socket, monotonic seconds.
            blocks: how many blocks of 20 ms it holds.
            fec: whether it carries a coarse copy of the block before it.
        """
        samples = self._unwrap(timestamp)
        position = _position(samples)
        packet = Packet(position, payload, blocks, fec, timestamp, at)
        held = self._packets.get(position)
        if held is not None and held.copy:
            self._packets[position] = packet
            return
        if held is not None or self._was(self._played, position):
            self.counters.duplicates += 1
            return
        transit = packet.transit
        unexpected = 0.0 if self._arrivals.is_empty else transit - self._arrivals.fastest
        if unexpected > _STRAY and self._packets:
            # While another path delivers, old packets of one that drains are late and nothing else.
            self.counters.late += 1
            return
        if abs(unexpected) > _STRAY:
            self._take_stray(packet)
            return
        self._stray = None
        self._last_timestamp, self._last_samples = timestamp, samples
        self._note_arrival(packet, transit)
        if self._begun and position < self._next:
            self.counters.late += 1
            return
        self._packets[position] = packet
        self._make_room(position - _CAPACITY + 1)

    def push_copy(self, timestamp: int, payload: bytes, at: float, *, blocks: int = 1) -> None:
        """Take the copy of an earlier packet that came in the bundle of one that was pushed just now.

        Args:
            timestamp: of the earlier packet.
            payload: the encoded sound.
            at: when the bundle reached the socket, monotonic seconds.
            blocks: how many blocks of 20 ms it holds.
        """
        position = _position(self._unwrap(timestamp))
        if self._arrivals.is_empty or position in self._packets or self._was(self._played | self._recovered, position):
            return
        copy = Packet(position, payload, blocks, fec=False, timestamp=timestamp, at=at, copy=True)
        if abs(copy.transit - self._arrivals.fastest) > _STRAY:
            return
        self._arrivals.add_repair(copy.transit)
        if not self._begun or position >= self._next:
            self._packets[position] = copy

    def pull(self, now: float, stored: int = 0) -> Step | None:
        """What to do next; to be asked at every turn, every 20 ms, until a block is full.

        Args:
            now: monotonic seconds of this turn.
            stored: samples that are decoded and not yet heard, fewer than a block.

        Returns:
            None before the first packet has waited long enough.
        """
        if not self._begun and not self._begin(now):
            return None
        self._turn = now
        if not self._packets:
            return self._wait()
        wanted = self.wanted_delay
        if self._waited:
            self._account_for_waiting(now, wanted)
        slack = self._slack(now)
        if slack - wanted > _TOO_MUCH:
            self._leave_out(self._next + int((slack - wanted) / BLOCK_SECONDS))
            slack = self._slack(now)
        self._delay = slack + stored / SAMPLE_RATE
        packet = self._packets.pop(self._next, None)
        if packet is None:
            return self._do_without()
        self.counters.played += packet.blocks
        self.counters.copies_played += packet.blocks if packet.copy else 0
        for inside in range(packet.position + 1, packet.position + packet.blocks):
            if self._packets.pop(inside, None) is not None:  # a sender that contradicts itself
                self.counters.discarded += 1
        self._advance(packet.blocks)
        self._played |= (1 << packet.blocks) - 1
        return Play(packet, self._wished(slack, stored, wanted, now))

    def stretched(self, samples: int) -> None:
        """Be told that the length of the packet pulled last was changed by so many samples."""
        self._stretched_at = self._turn
        self._wish = None
        if samples > 0:
            self.counters.lengthened += samples
        else:
            self.counters.shortened -= samples

    def timestamp_at(self, samples: int) -> int:
        """The RTP timestamp of the sample that is so many after the beginning of position 0."""
        return ((self._last_timestamp or 0) + samples - self._last_samples) % _TIMESTAMPS

    # --- where packets belong

    def _unwrap(self, timestamp: int) -> int:
        """Samples since the first packet: the 32-bit timestamp continued from the last one, in either direction."""
        if self._last_timestamp is None:
            return self._last_samples
        step = (timestamp - self._last_timestamp + _TIMESTAMPS // 2) % _TIMESTAMPS - _TIMESTAMPS // 2
        return self._last_samples + step

    def _was(self, what: int, position: int) -> bool:
        """Whether a position before the next is among those of `what`, a bit each."""
        return self._begun and position < self._next and bool(what >> (self._next - 1 - position) & 1)

    def _note_arrival(self, packet: Packet, transit: float) -> None:
        excuse = max(0.0, self._turn - packet.at) if self._begun else 0.0
        self._arrivals.add(packet.at, transit, excuse)
        self._drift.add(packet.at, transit)
        before = packet.position - 1
        if packet.fec and self._begun and before < self._next and not self._was(self._played | self._recovered, before):
            self._arrivals.add_repair(transit + excuse + BLOCK_SECONDS)

    def _take_stray(self, packet: Packet) -> None:
        """Keep a packet that fits nothing: its sender may have begun anew. With a second one that fits it, follow."""
        first, self._stray = self._stray, packet
        if first is None or not 0 < abs(packet.position - first.position) <= _CAPACITY:
            return
        origin = self._next + _CAPACITY
        self.reset()
        self.counters.restarts += 1
        self._last_timestamp, self._last_samples = first.timestamp, origin * BLOCK_SAMPLES
        for each in (first, packet):
            self.push(each.timestamp, each.payload, each.at, blocks=each.blocks, fec=each.fec)

    def _make_room(self, oldest: int) -> None:
        """Let go of everything before the position `oldest`, so that a bounded span is held."""
        for position in [position for position in self._packets if position < oldest]:
            del self._packets[position]
            self.counters.discarded += 1
        if self._begun and self._next < oldest:
            self._advance(oldest - self._next)

    # --- where the play-out stands

    def _begin(self, now: float) -> bool:
        """Begin at the first turn at which the first packet has the wanted slack, or hardly less."""
        if not self._packets:
            return False
        self._next = min(self._packets)
        self._begun = self._slack(now) >= self.wanted_delay - _TOLERATED / 2
        return self._begun

    def _slack(self, now: float) -> float:
        """Seconds since the next position would have arrived on the fastest way."""
        return now - self._next * BLOCK_SECONDS - self._arrivals.fastest

    def _wait(self) -> Step:
        """Stand in for the next block without giving it up."""
        self._waited += 1
        if self._waited > _VOICE_GONE:
            self.counters.comfort += 1
        else:
            self.counters.concealed += 1
        return Conceal()

    def _account_for_waiting(self, now: float, wanted: float) -> None:
        """What was concealed while nothing was here has stood in for blocks that are lost, but for wanted delay.

        Copies of them that came only now are too late: to play them would keep the delay of the longest burst.
        """
        too_much = int((self._slack(now) - wanted + _TOLERATED) / BLOCK_SECONDS)
        first = min(self._packets.values(), key=lambda packet: (packet.copy, packet.position))
        lost = min(self._waited, first.position - self._next, too_much)
        self._waited = 0
        if lost > 0:
            self._make_room(self._next + lost)
            if first.fec and first.position == self._next:
                self._arrivals.add_repair(first.transit + BLOCK_SECONDS)

    def _leave_out(self, until: int) -> None:
        """Go on with the last packet that is here up to the position `until`, if there is one."""
        here = [position for position in self._packets if self._next < position <= until]
        if here:
            self._make_room(max(here))

    def _do_without(self) -> Step:
        """The next packet is missing, and later ones are here."""
        lost = self._next
        self._advance(1)
        successor = self._packets.get(self._next)
        if successor is not None and successor.fec:
            self._recovered |= 1
            self.counters.recovered += 1
            self._arrivals.add_repair(successor.transit + BLOCK_SECONDS)
            return Recover(lost, successor)
        self.counters.concealed += 1
        return Conceal()

    def _wished(self, slack: float, stored: int, wanted: float, now: float) -> Stretch | None:
        """The change of length that is due, if any, of the packet just taken at this slack."""
        spared = _SPARED * (wanted - self._minimum_delay)
        enough = max(wanted + spared, min(self._arrivals.recent, self._maximum_delay))
        above = math.floor((slack - enough) / BLOCK_SECONDS)
        if above >= 1:
            samples = -(stored + above * BLOCK_SAMPLES)
        elif slack < wanted - _TOLERATED:
            samples = math.ceil((wanted - slack) / BLOCK_SECONDS) * BLOCK_SAMPLES - stored + _TRIMMED
        elif stored >= _TRIMMED:
            samples = -stored
        else:
            self._wish = None
            return None
        direction = 1 if samples > 0 else -1
        if self._wish is None or self._wish[0] != direction:
            self._wish = (direction, now)
        hasty = abs(samples) >= _HASTY
        if not hasty and now - self._stretched_at < _STRETCH_INTERVAL:
            return None
        likeness, patience = _LIKENESS_TO_LENGTHEN if samples > 0 else _LIKENESS_TO_SHORTEN
        return Stretch(samples, likeness - patience * (now - self._wish[1]) - (_HASTE if hasty else 0.0))

    def _advance(self, blocks: int) -> None:
        """Go on by so many positions, remembering what became of the last ones."""
        self._next += blocks
        shift = min(blocks, _REMEMBERED.bit_length())
        self._played = (self._played << shift) & _REMEMBERED
        self._recovered = (self._recovered << shift) & _REMEMBERED

    def _forget(self) -> None:
        self._packets.clear()
        self._arrivals = ArrivalHistory()
        self._drift = ClockDrift()
        self._begun = False
        self._delay = 0.0
        self._last_samples = 0
        self._last_timestamp = None
        self._next = 0
        self._played = self._recovered = 0
        self._stray = None
        self._stretched_at = -math.inf
        self._turn = -math.inf
        self._waited = 0
        self._wish = None


def _position(samples: int) -> int:
    return (samples + BLOCK_SAMPLES // 2) // BLOCK_SAMPLES
