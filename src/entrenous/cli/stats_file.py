"""The figures of a call as a file of JSON lines, one a second: written while it runs, read and summed up afterwards."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, CallStats, ConfigError

EVERY_SECONDS = 1.0

MAX_LINES = 200_000
"""Lines of a file that is read: two days of one call."""


class StatsFile:
    """Writes a line of figures every second. It holds no address, no name and nothing that was said.

    Args:
        path: a file that is made anew, readable by its owner only.

    Raises:
        ConfigError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise ConfigError(f"The figures cannot be written to {path}: {error.strerror}.") from None
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="utf-8")

    async def follow(self, stats: Callable[[], CallStats]) -> None:
        """Write what `stats` gives once a second until cancelled; raises ConfigError when the disk takes no more."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.write(stats())

    def write(self, stats: CallStats) -> None:
        """Write one line; raises ConfigError when the disk takes no more."""
        try:
            self._file.write(json.dumps(stats.to_dict()) + "\n")
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"The figures cannot be written to {self._path}: {error.strerror}.") from None

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._file.close()


def read_stats(path: Path) -> list[CallStats]:
    """The lines of a file, in order.

    Raises:
        ConfigError: it cannot be read, holds anything else, or nothing; the sentence names the line.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if number > MAX_LINES:
                    raise ConfigError(f"{path} has more than {MAX_LINES} lines: cut it into pieces.")
                rows.append(_read_line(path, number, line))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path} cannot be read: {reason}.") from None
    if not rows:
        raise ConfigError(f"{path} is empty: the call was shorter than a second, or never answered.")
    return rows


def _read_line(path: Path, number: int, line: str) -> CallStats:
    try:
        return CallStats.from_dict(json.loads(line))
    except (json.JSONDecodeError, ConfigError):
        raise ConfigError(f"{path}, line {number}, holds no figures of a call; --stats FILE writes such.") from None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over a call.

    Args:
        name: for a person, with its unit.
        mean: over the seconds in which it was known.
        worst: the least favourable of these.
    """

    name: str
    mean: float
    worst: float


def summarise(rows: Sequence[CallStats]) -> dict[str, Figure]:
    """Mean and worst of what people complain about, by the names that a script would use.

    Args:
        rows: at least one.
    """
    figures = {
        "mos": _figure("Quality (MOS, 1 to 4.5)", (row.quality.mos for row in rows if row.quality), lowest=True),
        "round_trip_ms": _figure("Round trip, ms", (row.round_trip_ms for row in rows)),
        "buffer_ms": _figure("Play-out buffer, ms", (row.audio.buffer_ms for row in rows)),
        "concealed_percent": _figure("Concealed sound, %", _shares(rows, lambda row: row.audio.concealed, _blocks)),
        "late_source_percent": _figure(
            "Own sound not there in time, %",
            (
                100 * n * BLOCK_SAMPLES / SAMPLE_RATE
                for n in _steps(rows, lambda row: row.audio.missed + row.audio.left_out)
            ),
        ),
        "held_up_percent": _figure(
            "This machine too busy, %", (n / 10 for n in _steps(rows, lambda row: row.audio.held_up_ms))
        ),
        "loss_percent": _figure("Lost packets of sound, %", (100 * row.audio.loss for row in rows)),
        "queue_ms": _figure("Queues on the way, ms", (row.queue_ms for row in rows)),
        "audio_kbits": _figure("Sound received, kbit/s", (row.audio.receive_bitrate / 1000 for row in rows), True),
        "video_kbits": _figure("Picture received, kbit/s", (row.video.receive_bitrate / 1000 for row in rows), True),
        "frames_per_second": _figure("Pictures a second", (row.video.frames_per_second for row in rows), True),
        "freezes_per_minute": _figure(
            "Freezes a minute", (60 * n for n in _steps(rows, lambda row: row.video.freezes))
        ),
    }
    return {key: figure for key, figure in figures.items() if figure is not None}


def _blocks(row: CallStats) -> int:
    return row.audio.played + row.audio.recovered + row.audio.concealed


def _steps(rows: Sequence[CallStats], count: Callable[[CallStats], float]) -> list[float]:
    """By how much a count rose each second."""
    return [
        (count(after) - count(before)) / (after.seconds - before.seconds)
        for before, after in pairwise(rows)
        if after.seconds > before.seconds
    ]


def _shares(
    rows: Sequence[CallStats], part: Callable[[CallStats], int], whole: Callable[[CallStats], int]
) -> list[float]:
    """Per cent of `whole` that `part` made up, second by second."""
    return [
        100 * (part(after) - part(before)) / (whole(after) - whole(before))
        for before, after in pairwise(rows)
        if whole(after) > whole(before)
    ]


def _figure(name: str, values: Iterable[float | None], lowest: bool = False) -> Figure | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Figure(name, round(fmean(known), 2), round(min(known) if lowest else max(known), 2))


def plot(rows: Sequence[CallStats], path: Path) -> None:
    """Draw the course of a call: rates, delays, losses, pictures and quality over its seconds.

    Args:
        rows: at least one.
        path: a picture file; its ending says which kind (.png, .svg, .pdf).

    Raises:
        ConfigError: the library for plots is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure as Sheet
    except ImportError:
        raise ConfigError("Plots need one more package: pip install 'entrenous[plot]'.") from None
    seconds = [row.seconds for row in rows]
    panels: list[tuple[str, dict[str, list[Any]]]] = [
        (
            "kbit/s",
            {
                "sound sent": [row.audio.send_bitrate / 1000 for row in rows],
                "sound received": [row.audio.receive_bitrate / 1000 for row in rows],
                "picture sent": [(row.video.send_bitrate + row.screen.send_bitrate) / 1000 for row in rows],
                "picture received": [(row.video.receive_bitrate + row.screen.receive_bitrate) / 1000 for row in rows],
                "room": [row.send_rate / 1000 for row in rows],
            },
        ),
        (
            "ms",
            {
                "round trip": [row.round_trip_ms for row in rows],
                "play-out buffer": [row.audio.buffer_ms for row in rows],
                "jitter": [row.audio.jitter_ms for row in rows],
                "queues": [row.queue_ms for row in rows],
            },
        ),
        (
            "%",
            {
                "lost, received": [100 * row.audio.loss for row in rows],
                "lost, sent": [100 * row.audio.remote_loss for row in rows],
                "concealed": [100 * row.audio.concealed_share for row in rows],
            },
        ),
        ("pictures/s", {"shown": [row.video.frames_per_second for row in rows]}),
        ("MOS", {"quality": [row.quality.mos if row.quality else None for row in rows]}),
    ]
    sheet = Sheet(figsize=(10, 2.2 * len(panels)), layout="constrained")
    axes = sheet.subplots(len(panels), 1, sharex=True)
    for axis, (unit, lines) in zip(axes, panels, strict=True):
        for name, values in lines.items():
            axis.plot(seconds, [float("nan") if value is None else value for value in values], label=name, linewidth=1)
        axis.set_ylabel(unit)
        axis.grid(alpha=0.3)
        axis.legend(loc="upper right", fontsize="small", ncols=len(lines))
        axis.set_ylim(bottom=1 if unit == "MOS" else 0, top=4.6 if unit == "MOS" else None)
    axes[-1].set_xlabel("seconds")
    try:
        sheet.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"The plot cannot be written to {path}: {error}.") from None
