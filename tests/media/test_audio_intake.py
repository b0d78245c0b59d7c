"""A source of sound is read a little ahead, what comes of it is told, and its end is told when it is reached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.errors import DeviceError
from entrenous.media.audio_intake import READ_AHEAD, AudioIntake
from entrenous.media.streams import SoundBlock
from lab.calls import until


class Scripted:
    """Yields what it is given, then waits for ever, ends or raises."""

    def __init__(self, items: list[SoundBlock | Exception | None]) -> None:
        self.items = items
        self.reads = 0
        self.cancelled = False
        self.more = asyncio.Event()

    async def read(self) -> SoundBlock | None:
        self.reads += 1
        while not self.items:
            self.more.clear()
            try:
                await self.more.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


def block(number: int) -> SoundBlock:
    return SoundBlock(np.full(960, number, np.int16), number * 0.02)


async def everything(source: Scripted) -> tuple[list[float], AudioIntake]:
    """What is taken, by whoever only looks when there is news."""
    taken, news = [], asyncio.Event()
    intake = AudioIntake(source, news.set)
    async with asyncio.timeout(60):
        while not intake.over:
            await news.wait()
            news.clear()
            while (came := intake.take()) is not None:
                taken.append(came[0].captured_at)
    return taken, intake


def nobody() -> None:
    """Who takes no news."""


async def test_all_blocks_come_in_order_and_then_the_end() -> None:
    taken, intake = await everything(Scripted([*map(block, range(30)), None]))
    assert taken == [number * 0.02 for number in range(30)]
    assert intake.failure is None


async def test_no_more_is_read_ahead_than_a_few_blocks() -> None:
    source = Scripted(list(map(block, range(30))))
    intake = AudioIntake(source, nobody)
    await until(lambda: source.reads > READ_AHEAD)
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.reads == READ_AHEAD + 1
    assert intake.take() is not None
    await until(lambda: source.reads == READ_AHEAD + 2)
    intake.close()


async def test_a_block_is_told_once_it_can_be_taken() -> None:
    source, news = Scripted([]), asyncio.Event()
    intake = AudioIntake(source, news.set)
    await until(lambda: source.reads == 1)
    assert intake.take() is None
    assert not news.is_set()
    source.items.append(block(7))
    source.more.set()
    async with asyncio.timeout(60):
        await news.wait()
    came = intake.take()
    assert came is not None
    assert came[0].captured_at == 0.14
    assert came[1] == pytest.approx(time.monotonic(), abs=5)
    assert not intake.over
    intake.close()


async def test_closing_cancels_the_read() -> None:
    source = Scripted([])
    intake = AudioIntake(source, nobody)
    await until(lambda: source.reads == 1)
    intake.close()
    intake.close()
    await until(lambda: source.cancelled)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DeviceError("The microphone is gone."), "The microphone is gone."),
        (lambda: ValueError("secret"), "The source of sound failed unexpectedly."),
    ],
)
async def test_a_failure_is_told_after_the_blocks_before_it(make: Callable[[], Exception], sentence: str) -> None:
    taken, intake = await everything(Scripted([block(0), make()]))
    assert taken == [0.0]
    assert intake.failure == sentence


@pytest.mark.parametrize("samples", [np.zeros(480, np.int16), np.zeros(960, np.float32), np.zeros((960, 1), np.int16)])
async def test_what_is_no_block_is_a_failure(samples: NDArray[np.int16]) -> None:
    taken, intake = await everything(Scripted([SoundBlock(samples, 0.0)]))
    assert taken == []
    assert intake.failure is not None
    assert "960" in intake.failure
