"""Looking at the sound devices: which there are, and whether they open, hear and play."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Final

import numpy as np

from ..errors import DeviceError
from ..media.codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS
from ..media.devices import MicrophoneStream, SpeakerStream, list_sound_devices
from .facts import SoundFacts

OPEN_SECONDS: Final = 4.0
LISTEN_BLOCKS: Final = 25
"""Half a second of 20 ms blocks."""

PLAY_BLOCKS: Final = 3
PLAY_LOOKS: Final = 150
"""How often it is looked whether the blocks were played, every 20 ms: a sound server may take two seconds to begin."""

_FULL_SCALE: Final = 32768.0


async def look_at_sound(microphone: str | int | None = None, speaker: str | int | None = None) -> SoundFacts:
    """Open the devices that a call would open, listen for half a second, and play as much silence.

    Args:
        microphone, speaker: part of a name or a number; None for the default one.
    """
    try:
        devices = await asyncio.to_thread(list_sound_devices)
    except DeviceError as error:
        return SoundFacts(system_problem=str(error))
    facts = SoundFacts(
        microphones=sum(device.inputs > 0 for device in devices),
        speakers=sum(device.outputs > 0 for device in devices),
    )
    if facts.microphones:
        facts = await _listen(facts, microphone)
    if facts.speakers:
        facts = await _play(facts, speaker)
    return facts


async def _listen(facts: SoundFacts, device: str | int | None) -> SoundFacts:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            stream = await MicrophoneStream.open(device)
            try:
                levels = [0.0]
                for _ in range(LISTEN_BLOCKS):
                    block = await stream.read()
                    if block is not None:
                        levels.append(float(np.sqrt(np.mean(np.square(block.samples.astype(np.float64))))))
            finally:
                await stream.close()
    except DeviceError as error:
        return replace(facts, microphone_problem=str(error))
    except TimeoutError:
        return replace(facts, microphone_problem="it gives no sound")
    return replace(facts, level_dbfs=decibels(max(levels)))


async def _play(facts: SoundFacts, device: str | int | None) -> SoundFacts:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            stream = await SpeakerStream.open(device)
            try:
                silence = np.zeros(BLOCK_SAMPLES, np.int16)
                for _ in range(PLAY_BLOCKS):
                    stream.write(silence)
                for _ in range(PLAY_LOOKS):
                    if not stream.waiting:
                        return facts
                    await asyncio.sleep(BLOCK_SECONDS)
            finally:
                await stream.close()
    except DeviceError as error:
        return replace(facts, speaker_problem=str(error))
    except TimeoutError:
        pass
    return replace(facts, speaker_problem="it takes no sound")


def decibels(rms: float) -> float | None:
    """A level in dB below full scale, None for digital silence."""
    return 20 * math.log10(rms / _FULL_SCALE) if rms > 0 else None
