"""Reads a source of sound ahead of the beat, a few blocks at most, and says how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from entrenous.errors import MediaError

from .codecs.base import BLOCK_SAMPLES
from .streams import AudioSource, SoundBlock

READ_AHEAD = 4
"""Blocks that wait for their beat at most: more would be delay, and the source has a queue of its own."""

logger = logging.getLogger(__name__)


class AudioIntake:
    """Takes blocks from a source as they come. To be made in a running event loop.

    Args:
        source: read by nobody else until `close`.
        on_news: told after each block that has come, and when the source is over.
    """

    def __init__(self, source: AudioSource, on_news: Callable[[], None]) -> None:
        self._source = source
        self._on_news = on_news
        self._blocks: deque[tuple[SoundBlock, float]] = deque()
        self._ended = False
        self._failure: str | None = None
        self._room = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def over(self) -> bool:
        """Whether the source has ended or failed, and all its blocks are taken."""
        return self._ended and not self._blocks

    @property
    def failure(self) -> str | None:
        """Why the source failed, one sentence; None when it has not."""
        return self._failure

    def take(self) -> tuple[SoundBlock, float] | None:
        """The oldest block and the monotonic time at which it came, None when there is none now."""
        if not self._blocks:
            return None
        self._room.set()
        return self._blocks.popleft()

    def close(self) -> None:
        """Stop reading; harmless when repeated."""
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            while (block := await self._source.read()) is not None:
                _check(block)
                while len(self._blocks) >= READ_AHEAD:
                    self._room.clear()
                    await self._room.wait()
                self._blocks.append((block, time.monotonic()))
                self._on_news()
        except MediaError as error:
            self._failure = str(error)
        except Exception:
            logger.exception("A source of sound failed unexpectedly")
            self._failure = "The source of sound failed unexpectedly."
        finally:
            self._ended = True
            self._on_news()


def _check(block: SoundBlock) -> None:
    """Raise MediaError for what is no block: a source that yields it is of no more use than one that has ended."""
    dtype, shape = block.samples.dtype, block.samples.shape
    if dtype != np.int16 or shape != (BLOCK_SAMPLES,):
        raise MediaError(f"A source of sound yields blocks of {BLOCK_SAMPLES} int16 samples, not {dtype}{shape}.")
