"""An X server without a screen, whose pixels a test paints itself."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

START_SECONDS = 60.0

needs_screen = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed, so there is no screen")


class Screen:
    """A running X server.

    Args:
        display: its name, as the variable DISPLAY has it.
        pixels: what it shows, shape (height, width, 4): blue, green, red, unused; to be painted on.
    """

    def __init__(self, display: str, pixels: NDArray[np.uint8]) -> None:
        self.display = display
        self.pixels = pixels


@asynccontextmanager
async def running_screen(folder: Path, width: int, height: int) -> AsyncIterator[Screen]:
    """Start an X server that keeps its picture in a file in `folder`, and end it afterwards."""
    reader, writer = os.pipe()
    command = ("Xvfb", "-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder))
    server = await asyncio.create_subprocess_exec(
        *command, "-nolisten", "tcp", pass_fds=(writer,), stderr=asyncio.subprocess.DEVNULL
    )
    os.close(writer)
    try:
        async with asyncio.timeout(START_SECONDS):
            number = await asyncio.to_thread(os.read, reader, 16)
        assert number.strip(), "Xvfb did not start"
        with (folder / "Xvfb_screen0").open("r+b") as file:
            yield Screen(f":{number.decode().strip()}", _pixels(mmap.mmap(file.fileno(), 0), width, height))
    finally:
        os.close(reader)
        if server.returncode is None:
            server.terminate()
        await server.wait()


def _pixels(picture: mmap.mmap, width: int, height: int) -> NDArray[np.uint8]:
    # The X window dump format: 25 numbers, the first of which is the length of the header, then the colour map of
    # which each entry has twelve bytes, then the rows.
    numbers = struct.unpack(">25I", picture[:100])
    begin, row = numbers[0] + 12 * numbers[19], numbers[12]
    rows = np.frombuffer(memoryview(picture), np.uint8, row * height, begin).reshape(height, row)
    return rows[:, : 4 * width].reshape(height, width, 4)
