"""The machine: data directory and its disk, the clock, how many files may be open."""

from __future__ import annotations

import ctypes
import resource
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrenous_signaling.admission import SPARE_SOCKETS
from entrenous_signaling.config import ServerConfig

from .findings import Finding, error, ok, warning

LEAST_FREE: Final = 100 * 1024 * 1024
GOOD_FREE: Final = 1024 * 1024 * 1024
SPARE_FILES: Final = 200
"""Open files besides those of TCP connections: databases, listeners, libraries."""

_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while nothing keeps the clock."""
_TIMEX_BYTES: Final = 512
"""More than `struct timex` has on any architecture."""


def check_data(folder: Path) -> Iterator[Finding]:
    """Look whether the server can write its data, and whether there is room.

    Args:
        folder: the data directory, which need not be there yet.
    """
    there = folder.absolute()
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            yield error("data", f"{there} is no directory.", "Name another place as `data`.")
            return
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as problem:
        yield error(
            "data",
            f"{there} cannot be written: {problem.strerror}.",
            "Let it belong to the user that runs the server, who may enter the folders above; look as that user.",
        )
        return
    if there != folder.absolute():
        yield ok("data", f"{folder} is made at the first start.")
    elif stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning("data", f"{folder} is open to other users of this machine.", f"chmod 700 {folder}")
    else:
        yield ok("data", f"{folder} can be written, and nobody else may look into it.")
    yield _room(there)


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB are free for {folder}."
    if free < LEAST_FREE:
        return error("disk", text, "Make room: with a full disk nobody can register, and no call is recorded.")
    if free < GOOD_FREE:
        return warning("disk", text, "Make room before it is full.")
    return ok("disk", text)


def check_clock(now: float) -> Finding:
    """Look whether the clock is right, as far as a machine can tell by itself.

    Args:
        now: Unix seconds.
    """
    if now < Path(__file__).stat().st_mtime:
        return error("clock", "The clock shows a time before this program was installed.", "Set the clock.")
    if sys.platform == "linux":
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        if state == _TIME_ERROR:
            return warning(
                "clock",
                "Nothing keeps this machine's clock: certificates of devices and credentials for relays have to be "
                "judged to the minute.",
                "Run chrony or systemd-timesyncd here, or on the host of a container.",
            )
    return ok("clock", "The clock is kept by something, and shows no time that cannot be.")


def check_open_files(config: ServerConfig) -> Finding:
    """Look whether as many files may be open as there may be TCP connections; `serve` takes the whole hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.max_connections + SPARE_SOCKETS + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        return warning(
            "open files",
            f"{hard} files may be open here, and max_connections = {config.max_connections} needs {needed}.",
            f"LimitNOFILE={needed} in the systemd unit (ulimit -Hn elsewhere), or a smaller max_connections.",
        )
    return ok("open files", f"Enough files may be open for {config.max_connections} connections.")
