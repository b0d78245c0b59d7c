"""A sound test: listens to the room, plays a melody, listens to a voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from ...errors import DeviceError
from ..blocks import silence
from ..codecs.base import BLOCK_SECONDS, Samples
from ..streams import SoundBlock
from .microphone import MicrophoneStream
from .speaker import SpeakerStream
from .verdict import Heard, SoundCheck, judge, level, melody

_BEGIN_PATIENCE: Final = 5.0
"""Seconds until the first block; a sound server may take two."""

_ROOM_BLOCKS: Final = 40
_TAIL_BLOCKS: Final = 50
"""Blocks after the melody in which its echo may still arrive: one second."""

_VOICE_BLOCKS: Final = 200


class CheckPart(StrEnum):
    """What a sound test is doing."""

    ROOM = "room"
    """It listens to the room: nobody should speak."""
    MELODY = "melody"
    """It plays."""
    VOICE = "voice"
    """It listens to whoever speaks."""


OnLevel = Callable[[CheckPart, float | None], None]
"""Told every 20 ms what is being done and how loud the microphone is, in dB below full scale."""


async def check_sound(
    microphone: str | int | None = None, speaker: str | int | None = None, on_level: OnLevel | None = None
) -> SoundCheck:
    """Play and record for some eight seconds, and say how good that was. Nothing is processed or kept.

    Args:
        microphone, speaker: a device's name, part of it, or its number; None for the default one.
        on_level: told what is going on.

    Raises:
        DeviceError: there is no sound card, no such device, it does not open, or it gives no sound.
    """
    ear = await MicrophoneStream.open(microphone)
    try:
        mouth = await SpeakerStream.open(speaker)
        try:
            return await _run(ear, mouth, on_level or _ignore)
        finally:
            await mouth.close()
    finally:
        await ear.close()


async def _run(ear: MicrophoneStream, mouth: SpeakerStream, on_level: OnLevel) -> SoundCheck:
    try:
        async with asyncio.timeout(_BEGIN_PATIENCE):
            await ear.read()
    except TimeoutError as error:
        raise DeviceError("the microphone opens but gives no sound: is another program using it?") from error
    room = await _listen(ear, mouth, CheckPart.ROOM, [silence()] * _ROOM_BLOCKS, on_level)
    played_at = time.monotonic()
    notes = [*melody(), *[silence()] * _TAIL_BLOCKS]
    tune = await _listen(ear, mouth, CheckPart.MELODY, notes, on_level)
    voice = await _listen(ear, mouth, CheckPart.VOICE, [silence()] * _VOICE_BLOCKS, on_level)
    return judge(
        Heard(room, tune, voice),
        played_at,
        microphone=ear.device,
        speaker=mouth.device,
        underruns=mouth.underruns + mouth.device_underruns,
        overruns=ear.overruns,
    )


async def _listen(
    ear: MicrophoneStream, mouth: SpeakerStream, part: CheckPart, play: list[Samples], on_level: OnLevel
) -> list[SoundBlock]:
    """Play blocks on their beat, and read as long."""
    heard: list[SoundBlock] = []
    begin = time.monotonic()

    async def read() -> None:
        while (block := await ear.read()) is not None:
            heard.append(block)
            on_level(part, level(block.samples))

    reading = asyncio.create_task(read())
    try:
        for number, block in enumerate(play):
            await asyncio.sleep(begin + number * BLOCK_SECONDS - time.monotonic())
            mouth.write(block)
    finally:
        reading.cancel()
    return heard


def _ignore(_: CheckPart, __: float | None) -> None:
    """Nobody wants to know."""
