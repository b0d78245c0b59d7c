"""Microphones and speakers through PortAudio, 48 kHz mono in blocks of 20 ms.

`sounddevice` is imported when a device is first asked for: it loads PortAudio, which looks at every sound card, and
neither is there on a server. PortAudio calls back from a thread of its own that must never wait; each direction
hands blocks over in a bounded queue which drops the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeviceError
from .codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, SAMPLE_RATE, Samples
from .streams import SoundBlock

_MICROPHONE_BLOCKS = 10
"""Blocks that wait for a busy event loop; after 200 ms the oldest are of no use to a call."""

_SPEAKER_BLOCKS = 6
"""Blocks that wait for the speaker: a sound card that runs slower than the call never adds more than 120 ms."""

_SPEAKER_HEAD_START = 2
"""Blocks that must wait before the speaker begins, at first and after it ran dry."""

_DEAD_AFTER = 3.0
"""Seconds without a block from a microphone after which it is gone (unplugged, or taken away by the system)."""


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """A sound device of this computer.

    Args:
        number: what it is opened by.
        name: what the system calls it.
        inputs: channels that it records; 0 for a speaker.
        outputs: channels that it plays; 0 for a microphone.
        is_default_input: whether it is the microphone that is used when none is named.
        is_default_output: whether it is the speaker that is used when none is named.
    """

    number: int
    name: str
    inputs: int
    outputs: int
    is_default_input: bool
    is_default_output: bool


def list_sound_devices() -> list[SoundDevice]:
    """Every microphone and speaker, in the system's order; an empty list when there is none. Blocks for a moment.

    Raises:
        DeviceError: PortAudio is not installed or does not work.
    """
    portaudio = _portaudio()
    try:
        default_input, default_output = portaudio.default.device
        return [
            SoundDevice(
                number=device["index"],
                name=device["name"],
                inputs=device["max_input_channels"],
                outputs=device["max_output_channels"],
                is_default_input=device["index"] == default_input,
                is_default_output=device["index"] == default_output,
            )
            for device in portaudio.query_devices()
        ]
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound devices cannot be listed: {error}") from error


class MicrophoneStream:
    """An open microphone. Made by `open`; satisfies `AudioSource`.

    Attributes:
        dropped: blocks that nobody read in time.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._blocks: deque[SoundBlock] = deque(maxlen=_MICROPHONE_BLOCKS)
        self._arrived = asyncio.Event()
        self._wake_up_is_due = False
        self._is_closed = False
        self._stream: Any = None

    @classmethod
    async def open(cls, device: str | int | None = None) -> MicrophoneStream:
        """Open a microphone and begin to listen.

        Args:
            device: part of its name or its number, None for the default one.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        microphone = cls()
        microphone._stream = await asyncio.to_thread(_open, "RawInputStream", device, microphone._on_sound)
        return microphone

    async def read(self) -> SoundBlock | None:
        """The next block as soon as it is heard, None once closed.

        Raises:
            DeviceError: the microphone has gone away.
        """
        while not self._blocks:
            if self._is_closed:
                return None
            self._arrived.clear()
            try:
                async with asyncio.timeout(_DEAD_AFTER):
                    await self._arrived.wait()
            except TimeoutError as error:
                raise DeviceError("the microphone has stopped: is it still plugged in?") from error
        return self._blocks.popleft()

    async def close(self) -> None:
        """Let go of the microphone; harmless when repeated."""
        self._is_closed = True
        self._arrived.set()
        stream, self._stream = self._stream, None
        if stream is not None:
            await asyncio.to_thread(stream.close)

    def _on_sound(self, sound: Any, frames: int, when: Any, status: object) -> None:
        """Take a block from PortAudio, in its thread.

        Args:
            sound: a buffer of `frames` int16 samples that is valid during the call only.
            frames: 960.
            when: times on PortAudio's clock; how long ago the first sample was heard follows from them.
            status: overruns, which show as missing time and need no other handling.
        """
        ago = when.currentTime - when.inputBufferAdcTime
        if not 0 < ago < 1:  # some host interfaces leave these times at zero
            ago = frames / SAMPLE_RATE
        self.dropped += len(self._blocks) == _MICROPHONE_BLOCKS
        self._blocks.append(SoundBlock(np.frombuffer(sound, np.int16).copy(), time.monotonic() - ago))
        if not self._wake_up_is_due:
            self._wake_up_is_due = True
            with contextlib.suppress(RuntimeError):  # the loop has been closed before the microphone
                self._loop.call_soon_threadsafe(self._wake_up)

    def _wake_up(self) -> None:
        self._wake_up_is_due = False
        self._arrived.set()


class SpeakerStream:
    """An open speaker. Made by `open`.

    Attributes:
        underruns: times the speaker ran dry, apart from before the first block.
        dropped: blocks that came faster than the speaker plays.
    """

    def __init__(self) -> None:
        self.underruns = 0
        self.dropped = 0
        self._blocks: deque[bytes] = deque(maxlen=_SPEAKER_BLOCKS)
        self._is_playing = False
        self._stream: Any = None

    @classmethod
    async def open(cls, device: str | int | None = None) -> SpeakerStream:
        """Open a speaker; it is silent until it has something to play.

        Args:
            device: part of its name or its number, None for the default one.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        speaker = cls()
        speaker._stream = await asyncio.to_thread(_open, "RawOutputStream", device, speaker._on_demand)
        return speaker

    @property
    def waiting(self) -> float:
        """Seconds of sound that wait to be played, without those inside the system."""
        return len(self._blocks) * BLOCK_SECONDS

    def write(self, block: Samples) -> None:
        """Append 20 ms; never waits. The oldest block is dropped when too many wait."""
        self.dropped += len(self._blocks) == _SPEAKER_BLOCKS
        self._blocks.append(block.tobytes())

    async def close(self) -> None:
        """Let go of the speaker at once, whatever still waits; harmless when repeated."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await asyncio.to_thread(stream.close)

    def _on_demand(self, sound: Any, frames: int, when: object, status: object) -> None:
        """Give PortAudio a block, in its thread; the arguments are as those of `MicrophoneStream._on_sound`."""
        if len(self._blocks) >= _SPEAKER_HEAD_START:
            self._is_playing = True
        block = None
        if self._is_playing:
            with contextlib.suppress(IndexError):
                block = self._blocks.popleft()
            if block is None:
                self._is_playing = False
                self.underruns += 1
        sound[:] = block or bytes(len(sound))


def _portaudio() -> Any:
    """The `sounddevice` module.

    Raises:
        DeviceError: the PortAudio library that it needs is missing.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise DeviceError(
            "PortAudio is missing, so there is no microphone and no speaker: "
            "install it (Debian and Ubuntu: apt install libportaudio2) or use files instead"
        ) from error
    return sounddevice


def _open(kind: str, device: str | int | None, callback: Any) -> Any:
    """Open and start a stream of PortAudio; blocks for some 10 ms.

    Args:
        kind: the class of `sounddevice`, "RawInputStream" or "RawOutputStream".
        device: part of its name or its number, None for the default one.
        callback: called in PortAudio's thread with every block.

    Raises:
        DeviceError: there is no such device, or it does not open.
    """
    portaudio = _portaudio()
    what = "microphone" if kind == "RawInputStream" else "speaker"
    try:
        stream = getattr(portaudio, kind)(
            samplerate=SAMPLE_RATE,
            blocksize=BLOCK_SAMPLES,
            device=device,
            channels=1,
            dtype="int16",
            latency="low",
            callback=callback,
        )
        try:
            stream.start()
        except portaudio.PortAudioError:
            stream.close(ignore_errors=True)
            raise
    except (portaudio.PortAudioError, ValueError) as error:
        which = "the default" if device is None else repr(device)
        raise DeviceError(
            f"no {what} opens ({which}): plug one in, or choose one of the listed sound devices; {error}"
        ) from error
    return stream
