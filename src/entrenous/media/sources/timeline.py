"""One time base for the sound and the picture of a source, against a clock that tests can replace."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from typing import Protocol

from ...errors import LocalProtocolError
from ..beat import MAX_CATCH_UP
from ..codecs.base import BLOCK_SECONDS
from ..streams import AudioSource, VideoSource


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> float:
        """Monotonic seconds."""

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`; gives the event loop a turn in any case."""


class MonotonicClock:
    """Real time: `time.monotonic()`."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`; gives the event loop a turn in any case."""
        await asyncio.sleep(max(0.0, when - time.monotonic()))


class Timeline:
    """Says when each moment of a source is due.

    Every wait is for `begin + media time` and never for "20 ms more", so that late wake-ups do not add up. Once it has
    begun it never stands still: what a process that was held up could not play meanwhile is left out, sound and picture
    alike. That keeps them together, and makes neither of them later than before.

    Args:
        clock: real time unless given.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()
        self._begun_at: float | None = None

    def begin(self) -> None:
        """Let media time 0 be now."""
        self._begun_at = self._clock.now()

    def due(self, media_time: float) -> float:
        """The monotonic second of a moment.

        Args:
            media_time: seconds since the beginning of the source.

        Raises:
            LocalProtocolError: the source was not started.
        """
        if self._begun_at is None:
            raise LocalProtocolError("a source must be started before it is read")
        return self._begun_at + media_time

    def elapsed(self) -> float:
        """The media time that is due now; raises LocalProtocolError as `due`."""
        return self._clock.now() - self.due(0.0)

    async def wait_for(self, media_time: float) -> float:
        """Wait until a moment is due; returns the monotonic second of it, which may be past."""
        await self._clock.sleep_until(self.due(media_time))
        return self.due(media_time)

    def block_in_time(self, number: int) -> int:
        """The first block of sound, from this number on, that is not too late to be sent; raises as `due`."""
        return max(number, math.ceil((self.elapsed() - MAX_CATCH_UP) / BLOCK_SECONDS))


class TimedSource(ABC):
    """A source that follows a `Timeline`, which `CombinedSource` can make two of them share.

    Args:
        clock: real time unless given.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.timeline = Timeline(clock)

    @property
    @abstractmethod
    def audio(self) -> AudioSource | None:
        """Its sound, None when it has none."""

    @property
    @abstractmethod
    def video(self) -> VideoSource | None:
        """Its picture, None when it has none."""

    async def start(self) -> None:
        """Open everything and let the time line begin; raises MediaError."""
        await self.open()
        self.timeline.begin()

    @abstractmethod
    async def open(self) -> None:
        """Open everything without beginning; raises MediaError."""

    @abstractmethod
    async def close(self) -> None:
        """Stop and give everything back; harmless when repeated or never started."""
