"""A speaker that stays open: takes 48 kHz mono in blocks of 20 ms, whatever the device wants."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..codecs.base import SAMPLE_RATE, Samples
from ..processing import SoundProcessor
from ..resampler import Resampler, rounded
from .listing import Direction
from .play_queue import PlayQueue
from .system import SYSTEM, DeviceChange, Line


class SpeakerStream:
    """An open speaker. Made by `open`.

    Attributes:
        device_underruns: times the system reported that it ran dry although we had given what it asked for.
    """

    def __init__(
        self, processor: SoundProcessor | None = None, on_change: Callable[[DeviceChange], None] | None = None
    ) -> None:
        self.device_underruns = 0
        self._processor = processor
        self._on_change = on_change
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = PlayQueue()
        self._queue_lock = threading.Lock()
        """Held for some ten microseconds by the call's thread and by PortAudio's."""
        self._line: Line | None = None
        self._configure(SAMPLE_RATE, 1)

    @classmethod
    async def open(
        cls,
        device: str | int | None = None,
        *,
        processor: SoundProcessor | None = None,
        on_change: Callable[[DeviceChange], None] | None = None,
    ) -> SpeakerStream:
        """Open a speaker; it is silent until it has something to play.

        When the device goes away, the default one stands in for it until it is back.

        Args:
            device: its name, part of it, or its number; None for the default one.
            processor: of the sound card whose microphone hears this speaker.
            on_change: told when another device is used from now on.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        speaker = cls(processor, on_change)
        speaker._loop = asyncio.get_running_loop()
        speaker._line = Line(Direction.SPEAKER, device, speaker._on_demand, speaker._configure, speaker._changed)
        await asyncio.to_thread(SYSTEM.open, speaker._line)
        return speaker

    @property
    def device(self) -> str | None:
        """The name of the device that plays, None while there is none."""
        return self._line.device.name if self._line and self._line.device else None

    @property
    def waiting(self) -> float:
        """Seconds of sound that wait to be played, without those inside the system."""
        return self._queue.waiting / SAMPLE_RATE

    @property
    def margin(self) -> float:
        """Seconds of sound that are kept in reserve; more after the speaker ran dry."""
        return self._queue.margin / SAMPLE_RATE

    @property
    def speed(self) -> float:
        """How fast it plays to follow the sound card's clock, 1 for as it is written."""
        return self._queue.speed

    @property
    def underruns(self) -> int:
        """Times the speaker ran dry while the call went on."""
        return self._queue.underruns

    @property
    def dropped(self) -> int:
        """Samples that came faster than the speaker plays and were left out."""
        return self._queue.dropped

    def write(self, block: Samples) -> None:
        """Append 20 ms; never waits. The oldest are left out when too many wait."""
        with self._queue_lock:
            self._queue.write(block, time.monotonic())

    async def close(self) -> None:
        """Let go of the speaker at once, whatever still waits; harmless when repeated."""
        line, self._line = self._line, None
        if line is not None:
            await asyncio.to_thread(SYSTEM.close, line)

    def _configure(self, rate: int, channels: int) -> None:
        """Be ready for a device of this kind."""
        self._channels = channels
        self._resampler = Resampler(SAMPLE_RATE / rate) if rate != SAMPLE_RATE else None
        self._ready = np.zeros(0, np.int16)
        """Samples at the device's rate that it has not asked for yet."""

    def _on_demand(self, sound: Any, frames: int, when: object, status: Any) -> None:
        """Give PortAudio what it asks for, in its thread; arguments as those of `MicrophoneStream._on_sound`."""
        self.device_underruns += bool(status and status.output_underflow)
        while len(self._ready) < frames:
            self._ready = np.concatenate((self._ready, self._next_turn()))
        given, self._ready = self._ready[:frames], self._ready[frames:]
        sound[:] = np.repeat(given, self._channels).tobytes()

    def _next_turn(self) -> Samples:
        """10 ms of what waits, at the device's rate."""
        with self._queue_lock:
            turn = self._queue.pull(time.monotonic())
        if self._processor is not None:
            self._processor.play_out(turn)
        if self._resampler is None:
            return turn
        self._resampler.push(turn)
        return rounded(self._resampler.pull(self._resampler.available))

    def _changed(self, change: DeviceChange) -> None:
        if self._on_change is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed before the speaker
                self._loop.call_soon_threadsafe(self._on_change, change)
