"""What the play-out buffer holds, what it can say is next, and what it counts.

What is made for every packet is a named tuple: as unchangeable as a frozen dataclass, and made in a third of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .codecs.base import BLOCK_SECONDS


class Packet(NamedTuple):
    """One encoded packet in its place.

    Args:
        position: of its first block.
        payload: the encoded sound.
        blocks: how many blocks it holds.
        fec: whether it carries a coarse copy of the block before it.
        timestamp: its RTP timestamp.
        at: when it reached the socket, monotonic seconds.
        copy: whether it came again with a later packet.
    """

    position: int
    payload: bytes
    blocks: int
    fec: bool
    timestamp: int
    at: float
    copy: bool = False

    @property
    def transit(self) -> float:
        """Seconds of the way, up to a constant that is the same for the whole stream."""
        return self.at - self.position * BLOCK_SECONDS


@dataclass(frozen=True, slots=True)
class Stretch:
    """A wish to change the length of what is decoded next.

    Args:
        samples: to be added at most, or if negative, taken away.
        likeness: correlation, -1 to 1, that makes a place for it good enough.
    """

    samples: int
    likeness: float


class Play(NamedTuple):
    """Decode this packet, and change its length if that goes unheard."""

    packet: Packet
    stretch: Stretch | None = None


@dataclass(frozen=True, slots=True)
class Recover:
    """The block at `position` is lost, its successor is here: decode the successor's FEC (it stays in the buffer)."""

    position: int
    successor: Packet


@dataclass(frozen=True, slots=True)
class Conceal:
    """Nothing to decode: let the codec invent a block."""


Step = Play | Recover | Conceal


@dataclass(slots=True)
class PlayoutCounters:
    """What has happened since the beginning, in blocks of 20 ms where nothing else is said.

    Args:
        played: decoded from a packet of their own.
        recovered: lost, and decoded from the FEC of the packet behind.
        concealed: invented, be it for a loss or because nothing was here in time.
        comfort: noise in the manner of the background, played after a second without anything.
        late: packets that came after their turn.
        duplicates: packets that were here already, or played; copies in bundles are not counted.
        copies_played: of those played, how many came as a copy in the bundle of a later packet.
        discarded: packets left out to take delay back, or for want of room.
        shortened, lengthened: samples (1/48 ms) taken out of and put into decoded sound to correct the delay.
        restarts: jumps of the sender's timestamps that were followed.
    """

    played: int = 0
    recovered: int = 0
    concealed: int = 0
    comfort: int = 0
    late: int = 0
    duplicates: int = 0
    copies_played: int = 0
    discarded: int = 0
    shortened: int = 0
    lengthened: int = 0
    restarts: int = 0

    @property
    def concealed_share(self) -> float:
        """How much of what was heard was invented, 0..1; comfort noise counts as neither."""
        heard = self.played + self.recovered + self.concealed
        return self.concealed / heard if heard else 0.0
