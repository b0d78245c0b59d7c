"""A sound test on devices that hear each other."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from entrenous.errors import DeviceError
from entrenous.media.devices import CheckPart, SoundFinding, check, check_sound
from entrenous.media.streams import SoundBlock


class Room:
    """A microphone that hears what its speaker plays, at once."""

    device, underruns, device_underruns, overruns = "room", 0, 0, 0

    def __init__(self) -> None:
        self.blocks: asyncio.Queue[SoundBlock] = asyncio.Queue()
        self.closed = 0

    def write(self, block: np.ndarray) -> None:
        hum = np.random.default_rng(1).integers(-3, 4, 960)
        self.blocks.put_nowait(SoundBlock((block // 20 + hum).astype(np.int16), time.monotonic() + 0.001))

    async def read(self) -> SoundBlock:
        return await self.blocks.get()

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    made = Room()

    async def opened(_: object) -> Room:
        return made

    monkeypatch.setattr(check.MicrophoneStream, "open", opened)
    monkeypatch.setattr(check.SpeakerStream, "open", opened)
    monkeypatch.setattr(check, "_VOICE_BLOCKS", 20)
    monkeypatch.setattr(check, "_ROOM_BLOCKS", 10)
    monkeypatch.setattr(check, "_TAIL_BLOCKS", 10)
    return made


async def test_it_plays_and_listens_part_by_part(room: Room) -> None:
    parts: list[CheckPart] = []
    room.write(np.zeros(960, np.int16))
    found = await check_sound(on_level=lambda part, _: parts.append(part))
    assert found.finding is SoundFinding.NOBODY_SPOKE
    assert found.round_trip_ms is not None
    assert list(dict.fromkeys(parts)) == list(CheckPart)
    assert room.closed == 2


async def test_a_microphone_that_never_begins_is_an_error(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_BEGIN_PATIENCE", 0.01)
    with pytest.raises(DeviceError, match="gives no sound"):
        await check_sound()
    assert room.closed == 2, "both are given back"
