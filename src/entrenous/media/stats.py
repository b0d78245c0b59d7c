"""What a person or a script wants to know about a running call, once a second."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from entrenous.errors import ConfigError

from .quality import Quality


@dataclass(frozen=True, slots=True)
class AudioStats:
    """Sound. Counts of blocks are of 20 ms; a packet carries one to three of them.

    Args:
        sent: packets handed to the leg.
        missed: blocks in whose place silence was sent, since the source had none in time.
        left_out: blocks that were not sent, nor anything in their place, since this process or the source was held up.
        received: packets that arrived, without repetitions.
        played: blocks decoded from the packet that was meant for them.
        concealed: blocks made up for lost or late ones.
        concealed_share: the same as a share of what was played lately, 0..1.
        recovered: blocks taken from the error correction or the copy inside a later packet.
        late: packets that came after their turn.
        discarded: packets that were here and were left out to wait less, or for want of room.
        waiting: packets that are here and have not had their turn.
        held_up_ms: by which this process came more than a block late to its turns, together: the machine is too busy.
        buffer_ms: how long sound waits to be played, beyond the fastest way.
        wanted_buffer_ms: the same as the buffer steers towards.
        jitter_ms: variation of the arrivals (RFC 3550 §6.4.1).
        stretched_ms: sound put in to wait longer, without a change of pitch.
        shortened_ms: sound left out to wait less.
        loss: share of packets that never arrived, 0..1.
        remote_loss: the same for what we send, as the peer reports it.
        send_bitrate, receive_bitrate: bits a second of RTP over the last second or so.
        codec_bitrate: of Opus as it is sent, bits a second.
        frame_ms: of sound in each packet that is sent.
        error_correction: whether what is sent carries Opus' in-band error correction.
        copies: how many packets later a copy of each follows, 0: none.
        encode_ms: time to encode one packet, of late.
    """

    sent: int = 0
    missed: int = 0
    left_out: int = 0
    received: int = 0
    played: int = 0
    concealed: int = 0
    concealed_share: float = 0.0
    recovered: int = 0
    late: int = 0
    discarded: int = 0
    waiting: int = 0
    held_up_ms: float = 0.0
    buffer_ms: float = 0.0
    wanted_buffer_ms: float = 0.0
    jitter_ms: float = 0.0
    stretched_ms: float = 0.0
    shortened_ms: float = 0.0
    loss: float = 0.0
    remote_loss: float = 0.0
    send_bitrate: int = 0
    receive_bitrate: int = 0
    codec_bitrate: int = 0
    frame_ms: int = 0
    error_correction: bool = False
    copies: int = 0
    encode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class VideoStats:
    """Pictures of the camera, or of the shared screen.

    Args:
        sent: encoded frames handed to the pacer.
        received: whole frames that arrived.
        decoded: pictures shown.
        dropped: frames received or expected but not shown.
        ignored: whole frames that arrived while nothing was to be shown, on hold or switched off by the peer.
        skipped: captured pictures that were not sent because the encoder or the network was behind.
        codec: of what is sent, None while nothing is.
        send_width, send_height: of what is sent, pixels.
        width, height: of the last picture shown, pixels.
        frames_per_second: shown over the last second or so.
        freezes: pauses in what is shown that are much longer than the usual time between two pictures.
        frozen_ms: all of them together.
        behind_ms: by how much the last picture was shown after its sound (negative: before), None while unknown.
        jitter_ms: variation of the arrivals (RFC 3550 §6.4.1).
        key_frames_sent, key_frames_received: frames that stand alone.
        key_frames_requested: by this side.
        nacks_sent: lost packets asked for, each counted each time.
        nacks_received: packets that the peer asked for.
        retransmitted: packets sent again.
        repaired: packets that came by retransmission.
        loss: share of packets that did not arrive the first time, 0..1.
        remote_loss: the same for what we send, as the peer reports it.
        target_bitrate: what the network has room for, bits a second on the wire.
        send_bitrate, receive_bitrate: bits a second of RTP over the last second or so.
        encode_ms, decode_ms: time for one picture, of late.
    """

    sent: int = 0
    received: int = 0
    decoded: int = 0
    dropped: int = 0
    ignored: int = 0
    skipped: int = 0
    codec: str | None = None
    send_width: int = 0
    send_height: int = 0
    width: int = 0
    height: int = 0
    frames_per_second: float = 0.0
    freezes: int = 0
    frozen_ms: float = 0.0
    behind_ms: float | None = None
    jitter_ms: float = 0.0
    key_frames_sent: int = 0
    key_frames_received: int = 0
    key_frames_requested: int = 0
    nacks_sent: int = 0
    nacks_received: int = 0
    retransmitted: int = 0
    repaired: int = 0
    loss: float = 0.0
    remote_loss: float = 0.0
    target_bitrate: int = 0
    send_bitrate: int = 0
    receive_bitrate: int = 0
    encode_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class CallStats:
    """One call so far.

    Args:
        seconds: since the gate opened.
        path: `direct`, `relay` or None while no leg is attached.
        round_trip_ms: from RTCP (RFC 3550 §6.4.1), None until measured.
        audio: sound.
        video: the camera's pictures.
        screen: the shared screen.
        send_rate: what congestion control lets us send in all, bits a second on the wire.
        queue_ms: how long what we send waits in queues on the way, as far as it can be told.
        rekeys: fresh frame keys since the call began.
        frames_rejected: sealed frames of any stream that did not open; never decoded.
        packets_rejected: malformed or unknown RTP and RTCP packets.
        quality: of what is heard here, by the E-model; None before there was sound.
    """

    seconds: float = 0.0
    path: str | None = None
    round_trip_ms: float | None = None
    audio: AudioStats = field(default_factory=AudioStats)
    video: VideoStats = field(default_factory=VideoStats)
    screen: VideoStats = field(default_factory=VideoStats)
    send_rate: int = 0
    queue_ms: float = 0.0
    rekeys: int = 0
    frames_rejected: int = 0
    packets_rejected: int = 0
    quality: Quality | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries of plain values, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> CallStats:
        """What `to_dict` gave; figures that are missing are as if nothing had been measured, unknown ones left out.

        Raises:
            ConfigError: it is no such dictionary.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ConfigError(f"These are no figures of a call: {error}.") from None


_NEVER = float("-inf")


class RateMeter:
    """How much there was in the last second or so; two half-filled buckets instead of a list of all arrivals.

    Args:
        window: seconds over which is averaged.
    """

    __slots__ = ("_amount", "_ends_at", "_previous", "_started_at", "_window")

    def __init__(self, window: float = 1.0) -> None:
        self._window = window
        self._started_at = 0.0
        self._ends_at = _NEVER
        self._amount = 0.0
        self._previous = 0.0

    def add(self, amount: float, now: float) -> None:
        """Count `amount` at monotonic time `now`."""
        if now >= self._ends_at:
            self._turn(now)
        self._amount += amount

    def per_second(self, now: float) -> float:
        """The rate: the current bucket, and of the one before as much as still lies within the window."""
        if now >= self._ends_at:
            self._turn(now)
        elapsed = (now - self._started_at) / self._window
        return (self._amount + self._previous * (1.0 - elapsed)) / self._window

    def _turn(self, now: float) -> None:
        if self._ends_at == _NEVER:
            self._started_at = now
        else:
            windows = max(1, int((now - self._started_at) / self._window))
            self._previous = self._amount if windows == 1 else 0.0
            self._amount = 0.0
            self._started_at += windows * self._window
        self._ends_at = self._started_at + self._window
