"""The speaker: whatever the device asks for it gets, and the processor hears exactly that."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from entrenous.media.devices import SpeakerStream

WELL = SimpleNamespace(output_underflow=False)


def demand(speaker: SpeakerStream, frames: int = 480, channels: int = 1, status: object = WELL) -> np.ndarray:
    """What the device gets in one turn, shape (frames, channels)."""
    out = bytearray(2 * frames * channels)
    speaker._on_demand(out, frames, None, status)
    return np.frombuffer(bytes(out), np.int16).reshape(frames, channels)


def test_what_is_written_is_played() -> None:
    speaker = SpeakerStream()
    speaker.write(np.full(960, 7, np.int16))
    assert speaker.waiting > 0
    heard = np.concatenate([demand(speaker) for _ in range(4)])
    assert 700 < (heard == 7).sum() <= 960, "the end fades out"
    assert speaker.waiting == 0


def test_the_processor_hears_every_turn_and_silence_too() -> None:
    played: list[np.ndarray] = []
    speaker = SpeakerStream(SimpleNamespace(play_out=played.append))  # type: ignore[arg-type] - all it needs
    given = [demand(speaker)]
    speaker.write(np.full(960, 7, np.int16))
    given += [demand(speaker) for _ in range(3)]
    assert [turn.tolist() for turn in played] == [turn[:, 0].tolist() for turn in given]


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (16_000, 2)])
def test_devices_of_other_rates_and_channels_get_the_same_sound(rate: int, channels: int) -> None:
    speaker = SpeakerStream()
    speaker._configure(rate, channels)
    wave = (8000 * np.sin(2 * np.pi * 500 * np.arange(20 * 960) / 48_000)).astype(np.int16)
    heard = []
    for number in range(20):
        speaker.write(wave[number * 960 : (number + 1) * 960])
        heard += [demand(speaker, rate // 100, channels) for _ in range(2)]
    sound = np.concatenate(heard)[rate // 5 :]
    assert all((sound[:, side] == sound[:, 0]).all() for side in range(channels))
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    assert spectrum.argmax() * rate / len(sound) == pytest.approx(500, abs=10)


def test_what_the_system_reports_is_counted() -> None:
    speaker = SpeakerStream()
    demand(speaker, status=SimpleNamespace(output_underflow=True))
    assert speaker.device_underruns == 1
    assert speaker.underruns == speaker.dropped == 0
