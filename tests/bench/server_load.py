"""The load of the server benchmarks: frames as `native/load.c` repeats them, over connections that are logged in.

The C parts are compiled when a benchmark starts. The load runs on CORE_OF_LOAD, every server on CORE_OF_SERVER.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import resource
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import numpy as np

from entrenous_wire.limits import ACK_BYTES, ACK_MESSAGES, ACK_SECONDS

CORE_OF_LOAD: Final = 0
CORE_OF_SERVER: Final = 1

MARK: Final = b"@" * 12
"""Stands in a frame for the letters that are different in every cycle."""

_MARKS: Final = 4
_HISTOGRAM: Final = 2_000_000
_SOURCES: Final = Path(__file__).with_name("native")


class Dialect(IntEnum):
    """How the load understands what a server says; the numbers are those in `native/load.c`."""

    ENTRENOUS = 0
    """Ours: acknowledges what comes as our nodes do."""
    PLAIN = 1
    """A frame is a message."""
    NATS = 2
    """A stream of NATS' protocol in frames."""


class WaitsFor(IntFlag):
    """What ends a step."""

    DELIVERED_THERE = 1
    ACCEPTED = 2
    """Or delivered, which says more: of the message of this step. Only one cycle may be under way then."""
    ANSWERED = 4


class Trouble(IntEnum):
    """Why a load ended too early."""

    FINE = 0
    REFUSED = 1
    CLOSED = 2
    TOO_SLOW = 3
    STUCK = 4
    ODD = 5


class LoadError(Exception):
    """The load was refused, or not carried in time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One frame of a cycle.

    Args:
        side: which end of the pair says it, 0 or 1.
        payload: what it says; MARK stands where each cycle has other letters.
        text: whether it is a text frame.
        waits_for: what must come before the next step.
    """

    side: int
    payload: bytes
    text: bool = True
    waits_for: WaitsFor = WaitsFor.DELIVERED_THERE


@dataclass(frozen=True, slots=True)
class Pair:
    """Two connections and the cycle that they repeat.

    Args:
        files: file descriptors of both ends.
        steps: the cycle.
    """

    files: tuple[int, int]
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the pairs together.

    Args:
        rate: cycles a second, or None for as many as possible.
        window: cycles of a pair under way at a time, when there is no rate; 1 for cycles of several steps.
        seconds: measured, after `warm_seconds` that are not.
        sleeps: whether CORE_OF_LOAD is left to others while nothing has come and nothing is due; with a rate only.
    """

    rate: float | None = None
    window: int = 1
    seconds: float = 5.0
    warm_seconds: float = 1.0
    sleeps: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load.

    Args:
        per_second: cycles that ended, a second.
        p50_ms, p99_ms, longest_ms: from when a cycle was due to its end, in milliseconds.
        load_busy: the share of its time in which the load had something to do: near 1, it limits.
        cycles: that ended in all, in the time that is not measured too.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    load_busy: float
    cycles: int


class _Step(ctypes.Structure):
    _fields_ = (
        ("frame", ctypes.c_char_p),
        ("length", ctypes.c_uint32),
        ("header", ctypes.c_uint32),
        ("marks", ctypes.c_uint32),
        ("mark", ctypes.c_uint32 * _MARKS),
        ("side", ctypes.c_uint8),
        ("waits_for", ctypes.c_uint8),
    )


class _Pair(ctypes.Structure):
    _fields_ = (("files", ctypes.c_int * 2), ("steps", ctypes.POINTER(_Step)), ("step_count", ctypes.c_uint32))


class _Options(ctypes.Structure):
    _fields_ = (
        ("rate", ctypes.c_double),
        ("warm_seconds", ctypes.c_double),
        ("seconds", ctypes.c_double),
        ("first_cycle", ctypes.c_uint64),
        ("window", ctypes.c_uint32),
        ("dialect", ctypes.c_uint32),
        ("sleeps", ctypes.c_uint32),
        ("prefix", ctypes.c_char * 32),
        ("ack_seconds", ctypes.c_double),
        ("ack_messages", ctypes.c_uint32),
        ("ack_bytes", ctypes.c_uint32),
    )


class _Result(ctypes.Structure):
    _fields_ = (
        ("cycles", ctypes.c_uint64),
        ("all_cycles", ctypes.c_uint64),
        ("next_cycle", ctypes.c_uint64),
        ("seconds", ctypes.c_double),
        ("busy_seconds", ctypes.c_double),
        ("trouble", ctypes.c_uint32),
        ("said", ctypes.c_char * 128),
        ("histogram", ctypes.c_uint32 * _HISTOGRAM),
    )


def masked_frame(payload: bytes, *, text: bool, mask: bytes | None = None) -> tuple[bytes, int]:
    """A client's WebSocket frame (RFC 6455 5.2), and how many bytes stand in front of its mask.

    Args:
        payload: up to 65535 bytes.
        text: whether it is a text frame; otherwise a binary one.
        mask: four bytes; random ones when None.
    """
    mask = secrets.token_bytes(4) if mask is None else mask
    size = len(payload)
    header = bytes([0x81 if text else 0x82])
    header += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return header + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big"), len(header)


class Driver:
    """Drives pairs over one kind of server; counts cycles over all its runs, so that no id is used twice.

    Args:
        dialect: of the server.
        prefix: for PLAIN: what the payload of a delivered message begins with.
    """

    def __init__(self, dialect: Dialect, prefix: bytes = b"") -> None:
        self._dialect = dialect
        self._prefix = prefix
        self._next_cycle = 1

    async def drive(self, pairs: Sequence[Pair], load: Load) -> Outcome:
        """Run a load to its end in a thread.

        Raises:
            LoadError: the server refused something, closed a connection or did not keep up with the rate.
        """
        steps = [(_Step * len(pair.steps))(*map(_native_step, pair.steps)) for pair in pairs]
        native = (_Pair * len(pairs))(
            *(
                _Pair((ctypes.c_int * 2)(*pair.files), ctypes.cast(own, ctypes.POINTER(_Step)), len(own))
                for pair, own in zip(pairs, steps, strict=True)
            )
        )
        options = _Options(
            load.rate or 0.0,
            load.warm_seconds,
            load.seconds,
            self._next_cycle,
            load.window,
            self._dialect,
            load.sleeps,
            self._prefix,
            ACK_SECONDS,
            ACK_MESSAGES,
            ACK_BYTES,
        )
        result = _Result()
        drive = _library().drive_load
        if await asyncio.to_thread(drive, native, len(pairs), ctypes.byref(options), ctypes.byref(result)):
            raise MemoryError("the load has no memory")
        self._next_cycle = result.next_cycle
        if result.trouble:
            raise LoadError(f"{Trouble(result.trouble).name}: {bytes(result.said)!r}")
        return _outcome(result)


def build(source: str, *flags: str) -> Path:
    """Compile one of the C programs into a folder of this run; returns where it is."""
    target = _build_folder() / Path(source).stem
    subprocess.run(["gcc", "-O2", *flags, "-o", target, _SOURCES / source], check=True)
    return target


def ready_to_measure() -> bool:
    """Let this process open as many files as it may; whether load and server have a core each, which is said if not."""
    if len(os.sched_getaffinity(0)) <= max(CORE_OF_LOAD, CORE_OF_SERVER):
        print("skipped: two cores are needed", file=sys.stderr)
        return False
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True


def pin_to(core: int) -> None:
    """Let this process, and what it starts from now on, run on one core."""
    os.sched_setaffinity(0, {core})


def folder_of_run() -> Path:
    """A new folder that is removed when this process ends."""
    folder = Path(mkdtemp(prefix="entrenous-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_build_folder = cache(folder_of_run)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(build("load.c", "-shared", "-fPIC")))


def _native_step(step: Step) -> _Step:
    frame, header = masked_frame(step.payload, text=step.text)
    start = len(frame) - len(step.payload)
    marks: list[int] = []
    at = step.payload.find(MARK)
    while at >= 0:
        marks.append(start + at)
        at = step.payload.find(MARK, at + len(MARK))
    return _Step(frame, len(frame), header, len(marks), (ctypes.c_uint32 * _MARKS)(*marks), step.side, step.waits_for)


def _outcome(result: _Result) -> Outcome:
    counts = np.ctypeslib.as_array(result.histogram)
    below = np.cumsum(counts)
    if not below[-1]:
        raise LoadError("nothing was delivered in the time that was measured")

    def quantile(share: float) -> float:
        return float(np.searchsorted(below, share * below[-1])) / 1000.0

    longest = float(np.flatnonzero(counts)[-1]) / 1000.0
    return Outcome(
        result.cycles / result.seconds,
        quantile(0.50),
        quantile(0.99),
        longest,
        result.busy_seconds / result.seconds,
        result.all_cycles,
    )
