"""A microphone that stays open: 48 kHz mono in blocks of 20 ms, whatever the device gives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..codecs.base import BLOCK_SAMPLES, SAMPLE_RATE, Samples
from ..processing import SoundProcessor
from ..resampler import Resampler, rounded
from ..streams import SoundBlock
from .listing import Direction
from .play_queue import TURN_SAMPLES
from .system import SYSTEM, DeviceChange, Line

_BLOCKS: Final = 10
"""Blocks that wait for a busy event loop; after 200 ms the oldest are of no use to a call."""


class MicrophoneStream:
    """An open microphone. Made by `open`; satisfies `AudioSource`.

    Attributes:
        dropped: blocks that nobody read in time.
        overruns: times the system reported sound lost before it reached us.
    """

    def __init__(
        self, processor: SoundProcessor | None = None, on_change: Callable[[DeviceChange], None] | None = None
    ) -> None:
        self.dropped = 0
        self.overruns = 0
        self._processor = processor
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._blocks: deque[SoundBlock] = deque(maxlen=_BLOCKS)
        self._arrived = asyncio.Event()
        self._wake_up_is_due = False
        self._is_closed = False
        self._line: Line | None = None
        self._configure(SAMPLE_RATE, 1)

    @classmethod
    async def open(
        cls,
        device: str | int | None = None,
        *,
        processor: SoundProcessor | None = None,
        on_change: Callable[[DeviceChange], None] | None = None,
    ) -> MicrophoneStream:
        """Open a microphone and begin to listen.

        When the device goes away, the default one stands in for it until it is back. While there is none at all,
        nothing can be read.

        Args:
            device: its name, part of it, or its number; None for the default one.
            processor: of the sound card whose speaker is to be taken out of what is heard.
            on_change: told when another device is used from now on.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        microphone = cls(processor, on_change)
        line = Line(Direction.MICROPHONE, device, microphone._on_sound, microphone._configure, microphone._changed)
        microphone._line = line
        await asyncio.to_thread(SYSTEM.open, line)
        return microphone

    @property
    def device(self) -> str | None:
        """The name of the device that is listened to, None while there is none."""
        return self._line.device.name if self._line and self._line.device else None

    async def read(self) -> SoundBlock | None:
        """The next block as soon as it is heard, None once closed."""
        while not self._blocks:
            if self._is_closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._blocks.popleft()

    async def close(self) -> None:
        """Let go of the microphone; harmless when repeated."""
        self._is_closed = True
        self._arrived.set()
        line, self._line = self._line, None
        if line is not None:
            await asyncio.to_thread(SYSTEM.close, line)

    def _configure(self, rate: int, channels: int) -> None:
        """Be ready for sound of this kind; what was heard of a block on another device is forgotten."""
        self._rate, self._channels = rate, channels
        self._resampler = Resampler(rate / SAMPLE_RATE) if rate != SAMPLE_RATE else None
        self._heard = np.zeros(0, np.int16)
        self._turns: list[Samples] = []

    def _on_sound(self, sound: Any, frames: int, when: Any, status: Any) -> None:
        """Take sound from PortAudio, in its thread.

        Args:
            sound: a buffer of int16 samples that is valid during the call only.
            frames: samples of one channel.
            when: times on PortAudio's clock; how long ago the first sample was heard follows from them.
            status: whether sound was lost.
        """
        ago = when.currentTime - when.inputBufferAdcTime
        if not 0 < ago < 1:  # some host interfaces leave these times at zero
            ago = frames / self._rate
        self.overruns += bool(status and status.input_overflow)
        self._heard = np.concatenate((self._heard, self._converted(np.frombuffer(sound, np.int16))))
        end = time.monotonic() - ago + frames / self._rate
        while len(self._heard) >= TURN_SAMPLES:
            turn, self._heard = self._heard[:TURN_SAMPLES], self._heard[TURN_SAMPLES:]
            self._turns.append(turn if self._processor is None else self._processor.capture(turn))
            if len(self._turns) * TURN_SAMPLES == BLOCK_SAMPLES:
                begin = end - (len(self._heard) + BLOCK_SAMPLES) / SAMPLE_RATE
                self._hand_over(SoundBlock(np.concatenate(self._turns), begin))
                self._turns = []

    def _converted(self, sound: Samples) -> Samples:
        """The same at 48 kHz, mono."""
        if self._channels > 1:
            sound = sound.reshape(-1, self._channels).mean(axis=1).astype(np.int16)
        if self._resampler is None:
            return sound
        self._resampler.push(sound)
        return rounded(self._resampler.pull(self._resampler.available))

    def _hand_over(self, block: SoundBlock) -> None:
        self.dropped += len(self._blocks) == _BLOCKS
        self._blocks.append(block)
        if not self._wake_up_is_due:
            self._wake_up_is_due = True
            with contextlib.suppress(RuntimeError):  # the loop has been closed before the microphone
                self._loop.call_soon_threadsafe(self._wake_up)

    def _wake_up(self) -> None:
        self._wake_up_is_due = False
        self._arrived.set()

    def _changed(self, change: DeviceChange) -> None:
        if self._on_change is not None:
            with contextlib.suppress(RuntimeError):  # as above
                self._loop.call_soon_threadsafe(self._on_change, change)
