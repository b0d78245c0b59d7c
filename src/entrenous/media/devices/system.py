"""Keeps microphones and speakers open while devices come and go.

There is one sound system for the whole process, because PortAudio has only one: to see what was plugged in, every
stream has to be closed and opened again, which costs a moment of sound. That is done when a stream has died, when
the device that somebody wanted is back, and when the default device has become another one (sound servers such as
PulseAudio and PipeWire hide that behind a device called `default`, and move its streams themselves).

An application that opens streams of `sounddevice` itself, beside ours, loses them when that happens.

A thread watches for it for as long as anything is open. Callbacks of PortAudio never wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...errors import DeviceError
from . import look, portaudio
from .listing import Direction, SoundDevice, find

_WATCH_INTERVAL: Final = 0.25
"""Seconds between two looks at whether the streams are well; a stream that ends says so at once."""

_DEAD_AFTER: Final = 3.0
"""Seconds without a callback after which a stream is dead. A sound server may take almost two to begin."""

_RETRY: Final = 1.0
"""Seconds between two attempts to open anything at all."""

_LOOK_INTERVAL: Final = 3.0
"""Seconds between two looks for the wanted device while another one stands in for it, or, where the operating system
gives no sign, for a new default."""

_LONGEST_LOOK_INTERVAL: Final = 30.0

_SETTLING: Final = 1.0
"""Seconds that a device gets after the kernel has shown it, until sound servers know it too."""

_TROUBLES: Final = 3
_TROUBLE_SPAN: Final = 10.0
"""Times within so many seconds that the system ran dry before it is given more to keep."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """Another device is used from now on.

    Args:
        direction: microphone or speaker.
        device: its name, None when there is none at all for now.
        wanted: whether it is the one that was asked for (the default, when none was).
    """

    direction: Direction
    device: str | None
    wanted: bool


class Line:
    """One direction of sound that is to stay open.

    Args:
        direction: microphone or speaker.
        wanted: number, name or part of a name; None for the default device, whichever it is at the time.
        callback: takes or gives sound, in PortAudio's thread.
        configure: told the rate and the channels (interleaved) of what is about to call back.
        on_change: told of every change of the device after the first opening, in the watching thread.

    Attributes:
        device: what it is open on, None for nothing.
        openings: how often a device was opened; above 1 devices have changed.
        troubles: times the system lost sound, or had none, because we were late.
    """

    def __init__(
        self,
        direction: Direction,
        wanted: str | int | None,
        callback: portaudio.Callback,
        configure: Callable[[int, int], None],
        on_change: Callable[[DeviceChange], None] | None = None,
    ) -> None:
        self.direction = direction
        self.wanted = wanted
        self.device: SoundDevice | None = None
        self.openings = 0
        self._callback = callback
        self._configure = configure
        self._on_change = on_change
        self._stream: portaudio.OpenStream | None = None
        self._last_call = 0.0
        self.troubles = 0
        self._last_troubles: deque[float] = deque(maxlen=_TROUBLES)
        self._latency = 0
        self._wants_latency = False
        self._wake: Callable[[], None] = _nobody

    @property
    def is_alive(self) -> bool:
        """Whether its stream calls back."""
        stream = self._stream
        return stream is not None and stream.is_running and time.monotonic() - self._last_call < _DEAD_AFTER

    def open(self, device: SoundDevice, ended: Callable[[], None]) -> None:
        """Open it on this device; raises DeviceError."""
        self._last_call = time.monotonic()
        self._wants_latency = False
        self._wake = ended
        self._stream = portaudio.open_stream(
            self.direction, device, self._call, self._configure, ended, portaudio.LATENCIES_MS[self._latency]
        )
        self.device = device
        self.openings += 1

    def close(self) -> None:
        """Close its stream, if it has one."""
        stream, self._stream, self.device = self._stream, None, None
        if stream is not None:
            stream.close()

    def open_with_more_latency(self) -> None:
        """Open it again on the same device, keeping more sound between us and it, where that is needed."""
        if self._wants_latency and self.device is not None:
            device = self.device
            self.close()
            self._latency += 1
            self.open(device, self._wake)
            _log.info("the %s keeps %d ms now", self.direction, portaudio.LATENCIES_MS[self._latency])

    def tell(self, before: str | None, *, wanted: bool) -> None:
        """Tell whoever wants to know when the device is another one than before."""
        name = self.device.name if self.device else None
        if name == before:
            return
        _log.info("the %s is now %s", self.direction, name or "missing")
        if self._on_change is not None:
            self._on_change(DeviceChange(self.direction, name, wanted))

    def _call(self, buffer: Any, frames: int, when: Any, status: Any) -> None:
        self._last_call = time.monotonic()
        if status and (status.output_underflow or status.input_overflow):
            self._note_trouble(self._last_call)
        self._callback(buffer, frames, when, status)

    def _note_trouble(self, now: float) -> None:
        self.troubles += 1
        self._last_troubles.append(now)
        if len(self._last_troubles) == _TROUBLES and now - self._last_troubles[0] < _TROUBLE_SPAN:
            self._last_troubles.clear()
            if self._latency + 1 < len(portaudio.LATENCIES_MS):
                self._wants_latency = True
                self._wake()


def _nobody() -> None:
    """Nobody is to be woken: the line has not been opened yet."""


class SoundSystem:
    """All open lines of this process. Its methods block; call them in a worker thread."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._lock = threading.RLock()
        self._watch: _Watch | None = None

    def devices(self) -> list[SoundDevice]:
        """What there is: now, when nothing is open; else when something was last opened. Raises DeviceError."""
        with self._lock:
            if not self._lines:
                portaudio.initialise_again()
            return portaudio.devices()

    def open(self, line: Line) -> None:
        """Open a line and keep it open.

        Raises:
            DeviceError: there is no sound card, no such device, or it does not open.
        """
        with self._lock:
            device = find(self.devices(), line.direction, line.wanted)
            which = "the default" if line.wanted is None else repr(line.wanted)
            advice = f"no {line.direction} opens ({which}): plug one in, or choose one of the listed sound devices"
            if device is None:
                raise DeviceError(f"{advice}; there is none of that name or number")
            if isinstance(line.wanted, int):
                line.wanted = device.name  # numbers change when devices come and go
            self._watch = self._watch or _Watch(self)
            try:
                line.open(device, self._watch.wake.set)
            except DeviceError as error:
                if not self._lines:
                    self._watch = None
                raise DeviceError(f"{advice}; {error}") from error
            self._lines.append(line)
            if len(self._lines) == 1:
                self._watch.thread.start()

    def close(self, line: Line) -> None:
        """Close a line; harmless when repeated."""
        with self._lock:
            line.close()
            if line not in self._lines:
                return
            self._lines.remove(line)
            if self._lines or self._watch is None:
                return
            watch, self._watch = self._watch, None
        watch.stop.set()
        watch.wake.set()
        watch.thread.join()

    def give_latency(self) -> None:
        """Open again what keeps too little sound; a line that does not open any more is found dead next."""
        with self._lock, contextlib.suppress(DeviceError):
            for line in self._lines:
                line.open_with_more_latency()

    def all_alive(self) -> bool:
        """Whether every line calls back."""
        with self._lock:
            return all(line.is_alive for line in self._lines)

    def all_as_wanted(self, devices: Sequence[SoundDevice] | None = None) -> bool:
        """Whether every line is on the device that is meant by what was wanted.

        Args:
            devices: what is there; None for asking only whether something stands in for what was wanted.
        """
        with self._lock:
            return all(_is_as_wanted(line, devices) for line in self._lines)

    def follows_defaults(self) -> bool:
        """Whether some line is to be on the default device."""
        with self._lock:
            return any(line.wanted is None for line in self._lines)

    def open_again(self, stop: threading.Event, ended: Callable[[], None]) -> None:
        """Close everything, see what is there, and open every line on what it wants, or on what comes closest."""
        with self._lock:
            if stop.is_set():
                return
            before = {line: line.device.name if line.device else None for line in self._lines}
            for line in self._lines:
                line.close()
            try:
                portaudio.initialise_again()
                devices = portaudio.devices()
            except DeviceError:
                devices = []
            for line, name in before.items():
                _open_closest(line, devices, ended)
                line.tell(name, wanted=_is_as_wanted(line, None))


class _Watch:
    """The thread that sees to it that lines stay open; ends when `stop` is set and `wake` after it."""

    def __init__(self, system: SoundSystem) -> None:
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.thread = threading.Thread(target=self._run, name="entrenous sound devices", daemon=True)
        self._system = system
        self._signs = look.signs_of_change()
        self._interval = _LOOK_INTERVAL
        self._next_look = time.monotonic() + self._interval

    def _run(self) -> None:
        while not self.stop.is_set():
            self.wake.wait(_WATCH_INTERVAL)
            self.wake.clear()
            self._system.give_latency()
            if not self._system.all_alive():
                self._system.open_again(self.stop, self.wake.set)
                self._interval = _LOOK_INTERVAL
                self._next_look = time.monotonic() + self._interval
                if not self._system.all_alive():
                    self.stop.wait(_RETRY)
            elif self._is_time_to_look():
                self._look()

    def _is_time_to_look(self) -> bool:
        now = time.monotonic()
        signs = look.signs_of_change()
        if signs != self._signs:
            self._signs = signs
            self._interval, self._next_look = 0.0, now + _SETTLING
        if now < self._next_look:
            return False
        return (
            self._interval == 0.0
            or not self._system.all_as_wanted()
            or (signs is None and self._system.follows_defaults())
        )

    def _look(self) -> None:
        devices = look.look(self.stop)
        # What is wanted and does not come, or does not open, is asked for less and less often.
        self._interval = min(max(_LOOK_INTERVAL, 2 * self._interval), _LONGEST_LOOK_INTERVAL)
        if devices and not self._system.all_as_wanted(devices):
            self._system.open_again(self.stop, self.wake.set)
        if self._system.all_as_wanted():
            self._interval = _LOOK_INTERVAL
        self._next_look = time.monotonic() + self._interval


def _is_as_wanted(line: Line, devices: Sequence[SoundDevice] | None) -> bool:
    if line.device is None:
        return False
    if devices is None:
        return line.wanted is None or find([line.device], line.direction, line.wanted) is not None
    meant = find(devices, line.direction, line.wanted) or find(devices, line.direction, None)
    return meant is None or meant.name == line.device.name


def _open_closest(line: Line, devices: Sequence[SoundDevice], ended: Callable[[], None]) -> None:
    """Open the wanted device, else the default one, else any; the line stays closed when none opens."""
    meant = (find(devices, line.direction, line.wanted), find(devices, line.direction, None))
    others = (device for device in devices if device.serves(line.direction))
    for device in dict.fromkeys((*meant, *others)):
        if device is None:
            continue
        try:
            line.open(device, ended)
        except DeviceError:
            continue
        return


SYSTEM: Final = SoundSystem()
"""The one of this process."""
