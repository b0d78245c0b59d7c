"""Putting the packets of pictures together again, in order and bounded (pure, driven by `now`).

Packets lie by their endless sequence number. A frame is complete when its packets from the first piece to the
marker are there without a gap, and it is given out when nothing before it is missing any more. What never comes
is skipped by `skip`, which the receiver calls when waiting has taken too long; every frame after a gap needs a
key frame before it can be decoded, which the sealed bytes do not show, so that is the receiver's to check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .codecs.base import VideoCodec
from .payload import Piece

MAX_PACKETS = 2048
"""Packets that are held: two megabytes, five seconds of a fast stream."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole sealed frame.

    Args:
        data: the sealed bytes.
        codec: what is inside.
        timestamp: of RTP.
        arrived_at: monotonic seconds at which its last missing packet arrived.
        follows_gap: whether frames before it were skipped.
    """

    data: bytes
    codec: VideoCodec
    timestamp: int
    arrived_at: float
    follows_gap: bool


class _Packet(NamedTuple):
    codec: VideoCodec
    timestamp: int
    marker: bool
    piece: Piece
    arrived_at: float


class FrameBuffer:
    """Orders packets into frames."""

    def __init__(self) -> None:
        self._packets: dict[int, _Packet] = {}
        self._next: int | None = None
        self._started = False
        self._gap = False
        self.dropped = 0
        """Packets that were thrown away: late, skipped or for want of room."""

    def __len__(self) -> int:
        """Packets held."""
        return len(self._packets)

    @property
    def next_sequence(self) -> int | None:
        """The endless sequence number that the next frame begins with, None while no beginning was seen."""
        return self._next

    def push(
        self, extended: int, codec: VideoCodec, timestamp: int, marker: bool, piece: Piece, arrived_at: float
    ) -> list[Frame]:
        """Take one packet.

        Args:
            extended: its endless sequence number.
            codec: by its payload type.
            timestamp: of RTP.
            marker: whether its frame ends with it.
            piece: what it carries.
            arrived_at: monotonic seconds.

        Returns:
            The frames that are complete now and in order.
        """
        if extended in self._packets or (self._started and self._next is not None and extended < self._next):
            self.dropped += 1
            return []
        self._packets[extended] = _Packet(codec, timestamp, marker, piece, arrived_at)
        if not self._started:
            # Until a frame has come out, the stream may turn out to begin earlier: packets overtake each other.
            self._next = min((at for at, packet in self._packets.items() if packet.piece.start), default=None)
        if len(self._packets) > MAX_PACKETS:
            return self.skip(min(self._packets) + 1)
        if not marker and not piece.start and extended + 1 not in self._packets:
            return []  # in the middle of a frame whose next packet is still to come, as most are
        return self._take_complete()

    def skip(self, sequence: int) -> list[Frame]:
        """Give up what is missing before the endless number `sequence`: go on with the next frame that begins there.

        Returns:
            The frames that are complete now.
        """
        beginnings = [at for at, packet in self._packets.items() if at >= sequence and packet.piece.start]
        self._next = min(beginnings, default=max([sequence, *(at + 1 for at in self._packets)]))
        self._forget_before(self._next)
        self._started = True
        self._gap = True
        return self._take_complete()

    def _take_complete(self) -> list[Frame]:
        frames = []
        while (frame := self._take_next()) is not None:
            frames.append(frame)
        return frames

    def _take_next(self) -> Frame | None:
        if self._next is None:
            return None
        first = self._packets.get(self._next)
        if first is None:
            return None
        end = self._next
        while (packet := self._packets.get(end)) is not None:
            if packet.timestamp != first.timestamp or (packet.piece.start and end != self._next):
                break
            if packet.marker:
                return self._take(self._next, end)
            end += 1
        if packet is None:
            return None
        # Another frame begins where this one should go on: its end never existed.
        self._drop(self._next, end)
        return self._take_next()

    def _take(self, begin: int, end: int) -> Frame | None:
        if not self._started:
            self._forget_before(begin)
        packets = [self._packets.pop(at) for at in range(begin, end + 1)]
        self._next = end + 1
        if not packets[0].piece.start:
            self.dropped += len(packets)
            self._gap = True
            return self._take_next()
        frame = Frame(
            data=b"".join(packet.piece.data for packet in packets),
            codec=packets[0].codec,
            timestamp=packets[0].timestamp,
            arrived_at=max(packet.arrived_at for packet in packets),
            follows_gap=self._gap,
        )
        self._gap = False
        self._started = True
        return frame

    def _forget_before(self, sequence: int) -> None:
        for at in [at for at in self._packets if at < sequence]:
            del self._packets[at]
            self.dropped += 1
            self._gap = True

    def _drop(self, begin: int, end: int) -> None:
        for at in range(begin, end):
            del self._packets[at]
        self.dropped += end - begin
        self._next = end
        self._gap = True
