"""Sound and picture of one sender on one time line (RFC 3550 §6.4.1; pure, driven by what is told).

A sender report says which moment of the sender's clock an RTP timestamp of each stream was captured at. The
play-out buffer decides when sound is heard; the difference between that and the moment of capture is what a
picture has to wait as well.
"""

from __future__ import annotations

from .streams import StreamKind

AUDIO_RATE = 48_000
VIDEO_RATE = 90_000

MAX_WAIT = 0.5
"""Seconds that a picture waits for its sound at most: beyond, the reports cannot be right."""

_FRESH = 1.0
"""Seconds for which the last sound heard says when the next one will be."""


class PlayoutClock:
    """When pictures are to be seen, given when sound is heard."""

    def __init__(self) -> None:
        self._anchors: dict[StreamKind, tuple[float, int]] = {}
        self._sound_delay: tuple[float, float] | None = None

    def sender_reported(self, kind: StreamKind, ntp: int, timestamp: int) -> None:
        """Note a sender report: its 64-bit NTP time and the RTP timestamp of the same moment."""
        self._anchors[kind] = (ntp / (1 << 32), timestamp)

    def sound_played(self, timestamp: int, at: float) -> None:
        """Note that sound of this RTP timestamp is heard at monotonic time `at`."""
        captured = self._captured(StreamKind.AUDIO, AUDIO_RATE, timestamp)
        if captured is not None:
            self._sound_delay = (at - captured, at)

    def show_at(self, kind: StreamKind, timestamp: int, now: float) -> float:
        """When a picture of this RTP timestamp is to be seen: with its sound, or now when that is unknown or past."""
        captured = self._captured(kind, VIDEO_RATE, timestamp)
        if captured is None or self._sound_delay is None:
            return now
        delay, heard_at = self._sound_delay
        if now - heard_at > _FRESH:
            return now
        at = captured + delay
        return max(now, at) if at - now <= MAX_WAIT else now

    def offset(self, kind: StreamKind, timestamp: int, at: float) -> float | None:
        """Seconds by which a picture seen at `at` is behind its sound (negative: ahead); None while unknown."""
        captured = self._captured(kind, VIDEO_RATE, timestamp)
        if captured is None or self._sound_delay is None:
            return None
        return at - (captured + self._sound_delay[0])

    def _captured(self, kind: StreamKind, rate: int, timestamp: int) -> float | None:
        """The sender's clock at the capture of `timestamp`, seconds."""
        anchor = self._anchors.get(kind)
        if anchor is None:
            return None
        step = (timestamp - anchor[1] + (1 << 31)) % (1 << 32) - (1 << 31)
        return anchor[0] + step / rate
