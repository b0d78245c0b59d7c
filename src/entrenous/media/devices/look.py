"""A look at the sound devices from another process, because within this one it would end every stream."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ...errors import DeviceError
from . import portaudio
from .listing import SoundDevice

_PATIENCE: Final = 10.0
"""Seconds that a look may take; about a third of one is usual."""

_STOP_INTERVAL: Final = 0.1
"""Seconds after which it is seen that the look is not wanted any more."""

_SIGNS = (Path("/dev/snd"), Path("/proc/asound/cards"))


def signs_of_change() -> object:
    """Something that differs once a sound card was plugged in or out, cheap to ask for; None where nothing tells.

    On Linux it is the kernel's list of cards. What a sound server does with them it shows by itself: its streams go
    over to another device without us.
    """
    if not sys.platform.startswith("linux"):
        return None
    seen: list[object] = [sys.platform]
    for path in _SIGNS:
        with contextlib.suppress(OSError):
            seen.append(path.stat().st_mtime_ns if path.is_dir() else path.read_bytes())
    return tuple(seen)


def look(stop: threading.Event) -> list[SoundDevice] | None:
    """The devices that are there now, None when it cannot be found out. Blocks for some 0.3 s.

    Args:
        stop: given up when this is set.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return None  # there is no interpreter to start: a packed program would start itself
    command = [sys.executable, "-m", __name__]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, with an argument of our own
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            said, _ = process.communicate(timeout=_STOP_INTERVAL)
            break
        except subprocess.TimeoutExpired:
            if stop.is_set() or time.monotonic() > deadline:
                process.kill()
                process.communicate()
                return None
    try:
        return [SoundDevice(**device) for device in json.loads(said)]
    except (ValueError, TypeError):
        return None


def main() -> int:
    """Print the devices as JSON."""
    try:
        devices = portaudio.devices()
    except DeviceError:
        return 1
    sys.stdout.write(json.dumps([asdict(device) for device in devices]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
