"""What a person or a script wants to know about a running call, once a second."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AudioStats:
    """Sound. Counts are of 20 ms blocks or packets (one packet carries one block).

    Args:
        sent: packets handed to the leg.
        received: packets that arrived, without repetitions.
        played: blocks decoded from the packet that was meant for them.
        concealed: blocks made up for lost ones.
        recovered: blocks taken from the error correction inside the next packet.
        late: packets that came after their turn.
        buffer_ms: how much sound waits to be played.
        loss: share of packets that never arrived, 0..1.
        remote_loss: the same for what we send, as the peer reports it.
        send_bitrate, receive_bitrate: bits a second of RTP over the last second or so.
    """

    sent: int = 0
    received: int = 0
    played: int = 0
    concealed: int = 0
    recovered: int = 0
    late: int = 0
    buffer_ms: float = 0.0
    loss: float = 0.0
    remote_loss: float = 0.0
    send_bitrate: int = 0
    receive_bitrate: int = 0


@dataclass(frozen=True, slots=True)
class VideoStats:
    """Picture.

    Args:
        sent: encoded frames handed to the pacer.
        received: whole frames that arrived.
        decoded: pictures shown.
        dropped: frames received or expected but not shown.
        skipped: captured pictures that were not sent because the encoder or the network was behind.
        width, height: of the last picture shown, pixels.
        frames_per_second: shown over the last second or so.
        freezes: pauses in what is shown of more than 300 ms.
        key_frames_sent, key_frames_received: frames that stand alone.
        key_frames_requested: by this side.
        nacks_sent: lost packets asked for, each counted each time.
        nacks_received: packets that the peer asked for.
        retransmitted: packets sent again.
        repaired: packets that came by retransmission.
        loss: share of packets that did not arrive the first time, 0..1.
        remote_loss: the same for what we send, as the peer reports it.
        send_bitrate, receive_bitrate: bits a second of RTP over the last second or so.
    """

    sent: int = 0
    received: int = 0
    decoded: int = 0
    dropped: int = 0
    skipped: int = 0
    width: int = 0
    height: int = 0
    frames_per_second: float = 0.0
    freezes: int = 0
    key_frames_sent: int = 0
    key_frames_received: int = 0
    key_frames_requested: int = 0
    nacks_sent: int = 0
    nacks_received: int = 0
    retransmitted: int = 0
    repaired: int = 0
    loss: float = 0.0
    remote_loss: float = 0.0
    send_bitrate: int = 0
    receive_bitrate: int = 0


@dataclass(frozen=True, slots=True)
class CallStats:
    """One call so far.

    Args:
        seconds: since the gate opened.
        path: `direct`, `relay` or None while no leg is attached.
        round_trip_ms: from RTCP (RFC 3550 §6.4.1), None until measured.
        audio: sound.
        video: picture.
        frames_rejected: sealed frames of any stream that did not open; never decoded.
        packets_rejected: malformed or unknown RTP and RTCP packets.
    """

    seconds: float = 0.0
    path: str | None = None
    round_trip_ms: float | None = None
    audio: AudioStats = field(default_factory=AudioStats)
    video: VideoStats = field(default_factory=VideoStats)
    frames_rejected: int = 0
    packets_rejected: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries of plain values, fit for JSON."""
        return asdict(self)


class RateMeter:
    """How much there was in the last second or so; two half-filled buckets instead of a list of all arrivals.

    Args:
        window: seconds over which is averaged.
    """

    __slots__ = ("_amount", "_previous", "_started_at", "_window")

    def __init__(self, window: float = 1.0) -> None:
        self._window = window
        self._started_at: float | None = None
        self._amount = 0.0
        self._previous = 0.0

    def add(self, amount: float, now: float) -> None:
        """Count `amount` at monotonic time `now`."""
        self._turn(now)
        self._amount += amount

    def per_second(self, now: float) -> float:
        """The rate: the current bucket, and of the one before as much as still lies within the window."""
        self._turn(now)
        if self._started_at is None:
            return 0.0
        elapsed = (now - self._started_at) / self._window
        return (self._amount + self._previous * (1.0 - elapsed)) / self._window

    def _turn(self, now: float) -> None:
        if self._started_at is None:
            self._started_at = now
            return
        windows = int((now - self._started_at) / self._window)
        if windows >= 1:
            self._previous = self._amount if windows == 1 else 0.0
            self._amount = 0.0
            self._started_at += windows * self._window
