"""What a sound test heard, and what that says about microphone and speaker. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..codecs.base import BLOCK_SAMPLES, SAMPLE_RATE, Samples
from ..streams import SoundBlock

_FULL_SCALE: Final = 32768.0
_CLIPPED_AT: Final = 32_700
_CLIPPED_SHARE: Final = 0.001
"""Of samples at full scale from which speech sounds broken."""

_ABOVE_NOISE: Final = 10.0
"""dB above the noise of the room from which a voice is a voice."""

_SOFT: Final = -42.0
_NOISY: Final = -45.0
_LOUD_ECHO: Final = -25.0
"""Levels in dB below full scale."""

_LIKENESS: Final = 0.15
"""Correlation with the melody from which it has been heard: by chance it stays below a tenth."""


class SoundFinding(StrEnum):
    """The one thing to know about a sound test; the first that applies."""

    DEAD_MICROPHONE = "dead-microphone"
    """The microphone gives digital silence: muted by a switch or by the system, or nothing is connected."""
    NOTHING_HEARD = "nothing-heard"
    """The microphone is alive but heard neither the melody nor a voice."""
    CLIPPING = "clipping"
    """The voice is louder than the microphone's setting can say."""
    TOO_SOFT = "too-soft"
    """The voice is hardly above nothing."""
    LOUD_ECHO = "loud-echo"
    """The microphone hears the speaker so loudly that a call without echo cancellation disturbs the other side."""
    NOISY = "noisy"
    """The room or the microphone is noisy."""
    SPEAKER_UNHEARD = "speaker-unheard"
    """The voice is well, the melody was not heard: right with headphones, otherwise the speaker is another one."""
    NOBODY_SPOKE = "nobody-spoke"
    """The microphone heard the melody, and nothing after it."""
    FINE = "fine"
    """Voice and melody were heard well."""

    @property
    def is_fault(self) -> bool:
        """Whether calls suffer until something is done."""
        return self in (self.DEAD_MICROPHONE, self.NOTHING_HEARD, self.CLIPPING, self.TOO_SOFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundCheck:
    """What was measured; levels in dB below full scale, None for digital silence.

    Args:
        microphone, speaker: names of the devices that were used at the end.
        noise_dbfs: of the room, while nothing was played and nobody was asked to speak.
        echo_dbfs: of the melody as the microphone heard it; None when it did not.
        voice_dbfs: while somebody was asked to speak.
        clipped: share of the voice's samples that were cut off, 0 to 1.
        round_trip_ms: from handing the melody to the speaker until the microphone gave it; None when it did
            not, or the system's times make no sense.
        underruns: times the speaker ran dry.
        overruns: times the system lost sound of the microphone.
        finding: what it comes to.
    """

    microphone: str | None
    speaker: str | None
    noise_dbfs: float | None
    echo_dbfs: float | None
    voice_dbfs: float | None
    clipped: float
    round_trip_ms: float | None
    underruns: int
    overruns: int
    finding: SoundFinding


@dataclass(frozen=True, slots=True)
class Heard:
    """What the microphone gave in the three parts of a test.

    Args:
        room: while nothing was played.
        melody: while the melody was.
        voice: while somebody was asked to speak.
    """

    room: Sequence[SoundBlock]
    melody: Sequence[SoundBlock]
    voice: Sequence[SoundBlock]


def melody() -> list[Samples]:
    """1.4 s of four soft notes, each with a rise in pitch that tells it apart from all else; blocks of 20 ms."""
    notes = []
    for hz in (523.25, 659.26, 783.99, 1046.5):
        at = np.arange(round(0.35 * SAMPLE_RATE)) / SAMPLE_RATE
        rise = hz * (1 + 0.12 * at / 0.35)
        fade = np.minimum(at / 0.01, 1) * np.exp(-5 * at)
        notes.append(7000 * fade * np.sin(2 * np.pi * np.cumsum(rise) / SAMPLE_RATE))
    wave = np.concatenate(notes).astype(np.int16)
    return [wave[at : at + BLOCK_SAMPLES] for at in range(0, len(wave) - BLOCK_SAMPLES + 1, BLOCK_SAMPLES)]


def level(samples: Samples) -> float | None:
    """The level of some sound in dB below full scale, None for digital silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * math.log10(power) - 20 * math.log10(_FULL_SCALE) if power else None


def judge(
    heard: Heard,
    played_at: float,
    *,
    microphone: str | None = None,
    speaker: str | None = None,
    underruns: int = 0,
    overruns: int = 0,
) -> SoundCheck:
    """Come to a finding.

    Args:
        heard: by the microphone.
        played_at: monotonic time at which the melody was handed to the speaker.
        microphone, speaker, underruns, overruns: see `SoundCheck`.
    """
    noise = _typical_level(heard.room)
    echo, round_trip = _find_melody(heard.melody, played_at)
    voice = _voice_level(heard.voice)
    samples = _joined(heard.voice)
    clipped = float(np.mean(np.abs(samples.astype(np.int32)) >= _CLIPPED_AT)) if len(samples) else 0.0
    spoke = voice is not None and voice > (noise if noise is not None else -90.0) + _ABOVE_NOISE
    alive = any(block.samples.any() for part in (heard.room, heard.melody, heard.voice) for block in part)
    return SoundCheck(
        microphone=microphone,
        speaker=speaker,
        noise_dbfs=noise,
        echo_dbfs=echo,
        voice_dbfs=voice,
        clipped=clipped,
        round_trip_ms=None if round_trip is None else round_trip * 1000,
        underruns=underruns,
        overruns=overruns,
        finding=_finding(noise, echo, voice if spoke else None, clipped, alive=alive),
    )


def _finding(
    noise: float | None, echo: float | None, voice: float | None, clipped: float, *, alive: bool
) -> SoundFinding:
    """The first that applies, worst first; `voice` is None when nobody spoke."""
    rules = (
        (not alive, SoundFinding.DEAD_MICROPHONE),
        (voice is None and echo is None, SoundFinding.NOTHING_HEARD),
        (voice is not None and clipped > _CLIPPED_SHARE, SoundFinding.CLIPPING),
        (voice is not None and voice < _SOFT, SoundFinding.TOO_SOFT),
        (echo is not None and echo > _LOUD_ECHO, SoundFinding.LOUD_ECHO),
        (noise is not None and noise > _NOISY, SoundFinding.NOISY),
        (echo is None, SoundFinding.SPEAKER_UNHEARD),
        (voice is None, SoundFinding.NOBODY_SPOKE),
    )
    return next((finding for applies, finding in rules if applies), SoundFinding.FINE)


def _typical_level(blocks: Sequence[SoundBlock]) -> float | None:
    """The median over blocks: a door that slams is no noise of the room."""
    levels = sorted(value for block in blocks if (value := level(block.samples)) is not None)
    return levels[len(levels) // 2] if levels else None


def _voice_level(blocks: Sequence[SoundBlock]) -> float | None:
    """The level that the loudest fifth of the blocks exceeds: speech is half pauses."""
    levels = sorted(value for block in blocks if (value := level(block.samples)) is not None)
    return levels[len(levels) * 4 // 5] if levels else None


def _find_melody(blocks: Sequence[SoundBlock], played_at: float) -> tuple[float | None, float | None]:
    """Level and seconds of delay with which the melody was heard; None, None when it was not."""
    sound = _joined(blocks).astype(np.float64)
    wave = np.concatenate(melody()).astype(np.float64)
    if len(sound) < len(wave):
        return None, None
    size = 1 << (len(sound) + len(wave)).bit_length()
    product: NDArray[np.complex128] = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(wave, size))
    match = np.fft.irfft(product)[: len(sound) - len(wave) + 1]
    at = int(np.abs(match).argmax())
    part = sound[at : at + len(wave)]
    energy = math.sqrt(float(np.square(part).sum()) * float(np.square(wave).sum()))
    if energy == 0 or abs(match[at]) / energy < _LIKENESS:
        return None, None
    begin = blocks[at // BLOCK_SAMPLES].captured_at + at % BLOCK_SAMPLES / SAMPLE_RATE
    # Some systems give times that cannot be true; then only the level is known.
    return level(part.astype(np.int16)), begin - played_at if begin > played_at else None


def _joined(blocks: Sequence[SoundBlock]) -> NDArray[np.int16]:
    return np.concatenate([block.samples for block in blocks]) if blocks else np.zeros(0, np.int16)
