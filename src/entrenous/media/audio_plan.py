"""How sound is sent: bit rate, protection against loss, and length of frames (pure)."""

from __future__ import annotations

from dataclasses import dataclass

FEC_ARMED_FOR = 10
"""Per cent of loss that in-band FEC is armed for: more costs quality on a clean path and gains little on a bad one."""


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """One way of sending sound; packets have one size and one cadence as long as it stands.

    Args:
        bitrate: bits a second of Opus, of one copy of the sound.
        fec: whether packets carry in-band FEC; for frames of 20 ms only.
        duplicate_distance: how many packets later each one is sent a second time (RFC 2198), 1 to 3; 0: never.
        frame_ms: sound in one packet: 20, 40 or 60 milliseconds.
    """

    bitrate: int
    fec: bool = False
    duplicate_distance: int = 0
    frame_ms: int = 20
