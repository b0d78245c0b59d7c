"""The processor of one sound card: 10 ms of the microphone in, 10 ms cleaned of echo and noise out.

The work is WebRTC's (AEC3, its noise suppressor and AGC2), bound by `pywebrtc-audio`. Its three parts are used
rather than its combined `AudioProcessor`, whose noise suppression ignores the level that it is given (7 dB instead of
17). No stream delay is told to the canceller: with its own estimate the near voice is kept better in double talk than
with the true figure (PESQ-WB 2.06 against 1.64), and the echo is found as fast.

Microphone and speaker call from two threads. What is played waits in a queue until the microphone's next turn, so
that the canceller sees both in pairs. The queue settles at what the two sides' bursts need: a turn that finds it
empty takes silence, and the block that comes too late for it stays as a cushion. What the queue never fell below for
a while is more than that and is left out: were it longer than the way from the speaker to the microphone, the
canceller would be told of a sound only after its echo.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import deque
from typing import Any, Final

import numpy as np

from ...errors import DeviceError
from ..codecs.base import SAMPLE_RATE, Samples
from .settings import Parts, Processing, Switch

TURN_SAMPLES: Final = SAMPLE_RATE // 100
"""Samples of a turn: 10 ms."""

_LIBRARY: Final = "pywebrtc_audio"
_NOISE_LEVEL: Final = 2
"""Of 0 to 3; steady noise becomes 17 dB softer."""

_QUEUE: Final = 12
"""Turns that may wait: beyond 120 ms the microphone has stood still, and the oldest are of no use."""

_WINDOW: Final = 100
"""Turns over which the least that waits is taken: 1 s."""

_SPARE: Final = 1
"""Turns that stay as a cushion."""

_log = logging.getLogger(__name__)
_said: set[str] = set()


def missing_processing() -> str | None:
    """What to do to have voice processing, in a sentence; None when it is installed."""
    if importlib.util.find_spec(_LIBRARY) is not None:
        return None
    return (
        "Echo cancellation and noise suppression are not installed: "
        "pip install 'entrenous[processing]', or use a headset (--headset)."
    )


class SoundProcessor:
    """Cleans what the microphone hears. Make it with `make`.

    Attributes:
        parts: what runs.
        unpaired: turns of the microphone for which the speaker had given nothing; a few at the beginning and after
            a stall are normal.
        dropped: turns of the speaker that were left out: no microphone took them, or too many waited.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.unpaired = 0
        self.dropped = 0
        self._played: deque[Samples] = deque(maxlen=_QUEUE)
        self._least = _QUEUE
        self._turns = 0
        self._nothing = np.zeros(TURN_SAMPLES, np.int16)
        # The library has no types of its own for what is imported late.
        library: Any = importlib.import_module(_LIBRARY)
        self._canceller: Any = library.EchoCanceller(SAMPLE_RATE, 1) if parts.echo else None
        self._others: list[Any] = []
        if parts.noise:
            self._others.append(library.NoiseSuppressor(SAMPLE_RATE, 1, level=_NOISE_LEVEL))
        if parts.gain:
            self._others.append(library.GainController(SAMPLE_RATE, 1))

    @classmethod
    def make(cls, processing: Processing) -> SoundProcessor | None:
        """A processor, or None when nothing is to be done.

        Where the library is missing, parts that are `Switch.AUTO` stay off, which is logged once a process.

        Raises:
            DeviceError: a part was switched on and the library is missing; the message says how to install it.
        """
        missing = missing_processing()
        parts = processing.parts(installed=missing is None)
        if missing is not None:
            if parts:
                raise DeviceError(missing)
            if Switch.AUTO in (processing.echo, processing.noise) and missing not in _said:
                _said.add(missing)
                _log.warning("%s", missing)
        return cls(parts) if parts else None

    def play_out(self, turn: Samples) -> None:
        """Take what the speaker plays next; to be called every 10 ms, with zeros when nothing is played.

        Args:
            turn: int16, shape (480,), exactly what is handed to the sound card; kept, so not to be changed later.
        """
        if self._canceller is not None:
            self.dropped += len(self._played) == _QUEUE
            self._played.append(turn)

    def capture(self, turn: Samples) -> Samples:
        """The microphone's next 10 ms, processed.

        Args:
            turn: int16, shape (480,).
        """
        if self._canceller is not None:
            turn = self._canceller.process(turn, self._pair())
        for part in self._others:
            turn = part.process(turn)
        return turn

    def _pair(self) -> Samples:
        """The speaker's turn that belongs to the microphone's next one."""
        self._least = min(self._least, len(self._played))
        self._turns += 1
        if self._turns == _WINDOW:
            surplus = max(0, self._least - 1 - _SPARE)
            for _ in range(surplus):
                self._played.popleft()
            self.dropped += surplus
            self._least, self._turns = _QUEUE, 0
        try:
            return self._played.popleft()
        except IndexError:
            self.unpaired += 1
            return self._nothing
