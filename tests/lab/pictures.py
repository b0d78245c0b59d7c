"""Pictures to encode: the numbered test card, and a texture that moves and is never easy."""

from __future__ import annotations

import av
import numpy as np

from entrenous.media.sources.testcard import TestCardSource
from world.media_clock import SimulatedClock


async def numbered_cards(width: int, height: int, count: int, fps: int = 30) -> list[av.VideoFrame]:
    """The first pictures of the test card, each with its number."""
    source = TestCardSource(width, height, fps, clock=SimulatedClock())
    await source.start()
    assert source.video is not None
    pictures = [await source.video.read() for _ in range(count)]
    return [picture.frame for picture in pictures if picture is not None]


def moving_texture(width: int, height: int, count: int) -> list[av.VideoFrame]:
    """A rough surface that slides by and glitters: every bit of any rate is needed for it."""
    random = np.random.default_rng(7)
    surface = (
        random.integers(30, 220, (height // 4 + count, width // 4 + 2 * count), np.uint8).repeat(4, 0).repeat(4, 1)
    )
    pictures = []
    for number in range(count):
        picture = av.VideoFrame(width, height, "yuv420p")
        luma = surface[number : number + height, 2 * number : 2 * number + width].astype(np.int16)
        luma += random.integers(-6, 7, luma.shape, np.int16)
        for plane, content in zip(picture.planes, (luma.astype(np.uint8), 120, 130), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            rows[:, : plane.width] = content
        pictures.append(picture)
    return pictures
