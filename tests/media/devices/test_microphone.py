"""The microphone: a bounded hand-over between threads, and 48 kHz mono whatever the device gives."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import numpy as np
import pytest

from entrenous.media.devices import DeviceChange, Direction, MicrophoneStream

LONG_AGO = SimpleNamespace(currentTime=10.0, inputBufferAdcTime=9.95)
NO_TIME = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0)
WELL = SimpleNamespace(input_overflow=False)
LOST = SimpleNamespace(input_overflow=True)


def hear(microphone: MicrophoneStream, value: int, *, when: object = LONG_AGO, status: object = WELL) -> None:
    """20 ms, as two turns of the sound card."""
    for _ in range(2):
        microphone._on_sound(np.full(480, value, np.int16).tobytes(), 480, when, status)


async def test_blocks_from_the_callback_are_read_in_order() -> None:
    microphone = MicrophoneStream()
    for value in range(3):
        await asyncio.to_thread(hear, microphone, value)
    blocks = [await microphone.read() for _ in range(3)]
    assert [int(block.samples[0]) for block in blocks if block] == [0, 1, 2]
    assert all(block.samples.shape == (960,) for block in blocks if block)


async def test_a_reader_is_woken_by_the_callback() -> None:
    microphone = MicrophoneStream()
    reading = asyncio.ensure_future(microphone.read())
    await asyncio.sleep(0)
    await asyncio.to_thread(hear, microphone, 7)
    block = await reading
    assert block is not None
    assert block.samples[0] == 7


async def test_a_block_is_dated_to_its_first_sample() -> None:
    microphone = MicrophoneStream()
    for when, ago in ((LONG_AGO, 0.05), (NO_TIME, 0.01)):
        before = time.monotonic()
        hear(microphone, 1, when=when)
        block = await microphone.read()
        assert block is not None
        assert before - ago - 0.011 <= block.captured_at <= time.monotonic() - ago - 0.009


async def test_a_busy_reader_loses_the_oldest_blocks() -> None:
    microphone = MicrophoneStream()
    for value in range(25):
        hear(microphone, value)
    assert microphone.dropped == 15
    block = await microphone.read()
    assert block is not None
    assert block.samples[0] == 15


async def test_sound_that_the_system_lost_is_counted() -> None:
    microphone = MicrophoneStream()
    hear(microphone, 1, status=LOST)
    assert microphone.overruns == 2


async def test_closing_the_microphone_ends_the_reading() -> None:
    microphone = MicrophoneStream()
    reading = asyncio.ensure_future(microphone.read())
    await asyncio.sleep(0)
    await microphone.close()
    assert await reading is None


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (16_000, 2)])
async def test_other_rates_and_channels_become_48_khz_mono(rate: int, channels: int) -> None:
    microphone = MicrophoneStream()
    microphone._configure(rate, channels)
    frames = rate // 100
    wave = 8000 * np.sin(2 * np.pi * 500 * np.arange(15 * frames) / rate)
    sides = np.stack((wave * 1.5, wave * 0.5), axis=1) if channels == 2 else wave[:, None]
    for turn in range(15):
        sound = sides[turn * frames : (turn + 1) * frames].astype(np.int16).tobytes()
        microphone._on_sound(sound, frames, LONG_AGO, WELL)
    blocks = [await microphone.read() for _ in range(7)]
    heard = np.concatenate([block.samples for block in blocks if block])
    spectrum = np.abs(np.fft.rfft(heard[960:] * np.hanning(len(heard) - 960)))
    assert spectrum.argmax() * 48_000 / (len(heard) - 960) == pytest.approx(500, abs=10)
    assert np.abs(heard[960:]).max() == pytest.approx(8000, rel=0.03)
    times = [block.captured_at for block in blocks if block]
    assert times == sorted(times)


async def test_the_processor_sees_turns_of_10_ms_and_what_it_gives_is_read() -> None:
    seen: list[int] = []

    def capture(turn: np.ndarray) -> np.ndarray:
        seen.append(len(turn))
        return turn + 1

    microphone = MicrophoneStream(SimpleNamespace(capture=capture))  # type: ignore[arg-type] - all it needs
    hear(microphone, 5)
    block = await microphone.read()
    assert block is not None
    assert set(block.samples.tolist()) == {6}
    assert seen == [480, 480]


async def test_another_device_is_told_in_the_event_loop() -> None:
    told: list[DeviceChange] = []
    heard = asyncio.Event()
    microphone = MicrophoneStream(on_change=lambda change: (told.append(change), heard.set()))
    change = DeviceChange(Direction.MICROPHONE, "default", wanted=False)
    await asyncio.to_thread(microphone._changed, change)
    await heard.wait()
    assert told == [change]
