"""A long call in real time over a poor line: memory, tasks and delay, minute by minute, beside aiortc and libwebrtc.

Both ends talk and show the talking person. The engines are measured side by side, each over lines of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.network import Access, Link, Nat, Network

from .media_calls import Recollection, running_call
from .media_end import SYSTEMS
from .media_material import Clip, part, speech
from .media_measures import LONGEST_DELAY, delays, quantile, timeline
from .media_report import Row, run

SIZE = (320, 180)
"""Small, so that three engines run side by side on two cores."""
LINK = Link(delay=0.015, jitter=0.010, loss=0.005, rate=3_000_000, queue=0.3)
"""Of each access line, each way; a packet passes two of them."""
MINUTES = 10.0
EACH_SECONDS = 30.0
RECENT_SECONDS = 10.0
WARM_SECONDS = 90.0
"""Left out of the trend: what is loaded and filled once is no growth."""


async def measure(systems: Sequence[str], minutes: float) -> AsyncIterator[Row]:
    """A row for each engine and half minute."""
    homes = {f"{system}-{end}": Access(Nat.NONE) for system in systems for end in "ab"}
    rows: asyncio.Queue[Row | None] = asyncio.Queue()
    with tempfile.TemporaryDirectory() as folder:
        async with Network(homes, link=LINK) as lab, asyncio.TaskGroup() as group:
            for system in systems:
                place = Path(folder) / system
                place.mkdir()
                group.create_task(_watch(lab, system, minutes * 60, place, rows))
            for _ in systems:
                while (row := await rows.get()) is not None:
                    yield row


async def _watch(lab: Network, system: str, seconds: float, folder: Path, rows: asyncio.Queue[Row | None]) -> None:
    row: Row = {"case": "long", "system": system}
    try:
        async with running_call(
            system, lab, (f"{system}-a", f"{system}-b"), size=SIZE, again=True, recent=RECENT_SECONDS
        ) as call:
            begun, _ = await call.begin()
            since = time.monotonic()
            while (now := time.monotonic()) < since + seconds - EACH_SECONDS / 2:
                await asyncio.sleep(min(EACH_SECONDS, since + seconds - now))
                figures = (await call.figures(collect=True))[1]
                _, seen = await call.recollections(folder)
                rows.put_nowait(
                    {**row, "ok": True, "second": round(time.monotonic() - since), **_state(figures)}
                    | await asyncio.to_thread(_delays, seen, begun[0])
                )
    except (TimeoutError, AssertionError) as error:
        rows.put_nowait({**row, "ok": False, "why": repr(error)})
    finally:
        rows.put_nowait(None)


def _state(figures: dict[str, Any]) -> dict[str, Any]:
    end = figures["ends"][0]
    return {
        "resident": figures["resident"],
        "tasks": figures["tasks"],
        "cpu": round(figures["cpu"], 2),
        "blocks": end["blocks"],
        "concealed": end["concealed"],
    }


def _delays(seen: Recollection, begun: float) -> dict[str, float | None]:
    """Mouth to ear and camera to window, medians of the last seconds."""
    if not len(seen.times):
        return {"ear": None, "eye": None}
    first = math.ceil(seen.times[0] - begun)
    judged = RECENT_SECONDS - LONGEST_DELAY
    said = part(speech("a"), first - LONGEST_DELAY, judged + LONGEST_DELAY)
    heard = timeline(seen.times, seen.lengths, seen.samples, begun + first - LONGEST_DELAY, RECENT_SECONDS)
    lags = [lag for _, lag in delays(said, heard)]
    shown = seen.seen[:, 1] - begun - seen.seen[:, 0] / Clip.FPS
    return {"ear": quantile(lags, 0.5), "eye": quantile(shown[shown > 0], 0.5)}


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each engine: from the first to the last half minute, and the trend between."""
    lines = [f"  {'':12}{'MB first':>9}{'last':>7}{'MB/min':>8}{'tasks':>11}{'ear ms':>13}{'eye ms':>13}{'conc %':>8}"]
    for system in SYSTEMS:
        own = [row for row in rows if row["system"] == system and row["ok"]]
        if len(own) < 2:
            lines.append(f"  {system:12}{'-':>9}")
            continue
        first, last = own[0], own[-1]
        settled = [row for row in own if int(str(row["second"])) >= WARM_SECONDS] or own
        slope = _slope([float(str(row["second"])) for row in settled], [float(str(row["resident"])) for row in settled])
        lines.append(
            f"  {system:12}{_megabytes(first):9.1f}{_megabytes(last):7.1f}{slope * 60 / 1e6:8.2f}"
            f"{first['tasks']!s:>6} {last['tasks']!s:>4}{_pair(first['ear'], last['ear']):>13}"
            f"{_pair(first['eye'], last['eye']):>13}"
            f"{100 * float(str(last['concealed'])) / max(1.0, float(str(last['blocks']))):8.1f}"
        )
    lines.append("  goal: no growth in memory, tasks and delay")
    return lines


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    return float(np.polyfit(xs, ys, 1)[0]) if len(xs) > 1 else 0.0


def _megabytes(row: Row) -> float:
    return float(str(row["resident"])) / 1e6


def _pair(first: object, last: object) -> str:
    return " ".join("   -" if value is None else f"{1000 * float(str(value)):5.0f}" for value in (first, last))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this engine; may be repeated")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the call (default: %(default)s)")
    options = parser.parse_args(arguments)
    return run("media-long", measure(options.system or SYSTEMS, options.minutes), summary)


if __name__ == "__main__":
    raise SystemExit(main())
