"""What calls cost: processor time of a picture call beside its bare codecs, and how many sound calls one core carries.

`picture`: both ends send the talking person at 1280x720, 30 pictures a second, all encoders held to one rate so that
they are about equally good (SSIM tells). `bare` encodes and decodes the same with nothing in between. `sound`: more and
more calls between two processes, each on a core of its own, until more than 1 % of what is heard was made up or late.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.network import Access, Link, Nat, Network

from .media_calls import Call, running_call, running_call_between
from .media_end import SYSTEMS
from .media_material import Clip, stamp_height
from .media_measures import ssim
from .media_report import Row, run

SIZE = (1280, 720)
RATE = 1_500_000
DELAY = 0.010
WARM_SECONDS = 15.0
"""Until the rate is found and the codec has settled."""

PICTURE_SECONDS = 20.0
KEEP_PICTURE = 60
COUNTS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80)
SOUND_WARM_SECONDS = 12.0
"""Calls begin with error correction armed, which takes twice the time, for the first six."""

SOUND_SECONDS = 8.0

FAILED_SHARE = 0.01
PARTS = ("picture", "sound")


async def measure(parts: Sequence[str], systems: Sequence[str], counts: Sequence[int]) -> AsyncIterator[Row]:
    """Rows of each part and engine."""
    if "picture" in parts:
        for system in ("bare", *systems):
            yield await _picture(system)
    if "sound" in parts:
        for system in systems:
            for count in counts:
                row = await _sound(system, count)
                yield row
                if not row["ok"]:  # once more: the machine may have been busy for a moment
                    row = await _sound(system, count)
                    yield row
                if not row["ok"]:
                    break


async def _picture(system: str) -> Row:
    row: Row = {"case": "720p30 call", "system": system}
    homes = {"a": Access(Nat.NONE), "b": Access(Nat.NONE)}
    with tempfile.TemporaryDirectory() as folder:
        async with Network(homes, link=Link(delay=DELAY / 2)) as lab:
            try:
                async with running_call(
                    system,
                    lab,
                    ("a", "b"),
                    size=SIZE,
                    again=True,
                    keep_sound=False,
                    keep_picture=KEEP_PICTURE,
                    video_bitrate=RATE,
                ) as call:
                    return {**row, **(await _watch(call, lab, Path(folder)))}
            except (TimeoutError, AssertionError) as error:
                return {**row, "ok": False, "why": repr(error)}


async def _watch(call: Call, lab: Network, folder: Path) -> Row:
    await call.begin()
    await asyncio.sleep(WARM_SECONDS)
    before, passed = await call.figures(), (await lab.home("a").counts())["up"].octets
    await asyncio.sleep(PICTURE_SECONDS)
    after, passed_then = await call.figures(), (await lab.home("a").counts())["up"].octets
    seconds = after[0]["at"] - before[0]["at"]
    _, seen = await call.recollections(folder)
    inside = (seen.seen[:, 1] > before[1]["at"]) & (seen.seen[:, 1] < after[1]["at"])
    clip = Clip(*SIZE)
    top = stamp_height(SIZE[0]) + 4
    qualities = [
        ssim(clip.luma(int(kept[0]))[top:], luma[top:])
        for kept, luma in zip(seen.kept, seen.pictures, strict=True)
        if kept[1] > before[1]["at"] and luma.shape == SIZE[::-1]
    ]
    return {
        "ok": True,
        "cpu": round(statistics.mean(_cpu(*pair) for pair in zip(before, after, strict=True)) / seconds, 4),
        "rate": round((passed_then - passed) * 8 / seconds),
        "fps": round(float(inside.sum()) / seconds, 1),
        "height": int(np.median(seen.seen[inside, 3])) if inside.any() else None,
        "ssim": round(statistics.mean(qualities), 4) if qualities else None,
        "codec": after[0]["ends"][0].get("codec"),
        "resident": after[0]["resident"],
    }


def _cpu(before: dict[str, Any], after: dict[str, Any]) -> float:
    return float(after["cpu"] - before["cpu"])


async def _sound(system: str, count: int) -> Row:
    row: Row = {"case": "sound calls on a core", "system": system, "count": count}
    cores = ["taskset", "-c", "0"], ["taskset", "-c", "1"]
    try:
        async with running_call_between(
            system, cores, count=count, again=True, keep_sound=False, loopback=True
        ) as call:
            await call.begin()
            await asyncio.sleep(SOUND_WARM_SECONDS)
            before = await call.figures()
            await asyncio.sleep(SOUND_SECONDS)
            after = await call.figures()
    except (TimeoutError, AssertionError) as error:
        return {**row, "ok": False, "why": repr(error)}
    seconds = after[0]["at"] - before[0]["at"]
    missed = [_missed(*pair, seconds) for pair in zip(before, after, strict=True)]
    worst = max(missed, key=lambda shares: sum(shares.values()))
    cpu = statistics.mean(_cpu(*pair) for pair in zip(before, after, strict=True)) / seconds
    return {
        **row,
        "ok": sum(worst.values()) <= FAILED_SHARE,
        **worst,
        "cpu": round(cpu / count, 5),
        "busy": round(cpu, 3),
        "resident": round(after[0]["resident"] / count),
    }


def _missed(before: dict[str, Any], after: dict[str, Any], seconds: float) -> dict[str, float]:
    """Shares of what should have been heard that were made up, came late, or did not come."""
    ends = len(after["ends"])
    due = seconds * 50 * ends
    blocks, late = (
        sum(pair[place] for pair in after["late"]) - sum(pair[place] for pair in before["late"]) for place in (0, 1)
    )
    made_up = sum(end["concealed"] for end in after["ends"]) - sum(end["concealed"] for end in before["ends"])
    # Two blocks of each end may fall on the border of what is counted.
    shares = {"made_up": made_up, "late": late, "absent": max(0.0, due - blocks - 2 * ends)}
    return {name: round(share / due, 4) for name, share in shares.items()}


def summary(rows: Sequence[Row]) -> list[str]:
    """Both tables with their ratios."""
    lines = []
    pictures = {str(row["system"]): row for row in rows if row["case"] == "720p30 call" and row["ok"]}
    if pictures:
        lines.append(
            f"  {'720p30 call, CPU':22}{'s/s':>7}{'ms a picture':>14}{'ratio ours':>12}"
            f"{'kbit/s':>8}{'fps':>6}{'lines':>7}{'SSIM':>8}"
        )
        ours = pictures.get("entrenous")
        for system, row in pictures.items():
            each = _each(row)
            alike = ours is not None and row["height"] == ours["height"] and row["codec"] in (None, ours["codec"])
            ratio = f"{_each(ours) / each:12.2f}" if ours is not None and alike else f"{'not alike':>12}"
            lines.append(
                f"  {system:22}{row['cpu']:7.3f}{1000 * each:14.1f}{ratio}{float(str(row['rate'])) / 1000:8.0f}"
                f"{row['fps']:6.1f}{row['height']!s:>7}{row['ssim']!s:>8}  {row['codec'] or ''}"
            )
        lines.append("  goal: ≤ 1.15 of bare, ≤ 0.8 of aiortc at equal quality")
    carried = {}
    for row in rows:
        if row["case"] == "sound calls on a core":
            best = carried.setdefault(str(row["system"]), {"count": 0, "cpu": None})
            if row["ok"]:
                best.update(count=row["count"], cpu=row["cpu"])
    if carried:
        lines.append("  sound calls on a core       held   CPU ms/s each")
        for system, best in carried.items():
            cost = "-" if best["cpu"] is None else f"{1000 * float(str(best['cpu'])):.1f}"
            lines.append(f"  {system:24} {best['count']!s:>7} {cost:>15}")
        lines.append("  goal: ≥ 30, ≥ 2 × aiortc")
    return lines


def _each(row: Row) -> float:
    """CPU seconds for each picture that was shown: who shows fewer spends less."""
    return float(str(row["cpu"])) / max(1.0, float(str(row["fps"])))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this engine; may be repeated")
    parser.add_argument("--count", action="append", type=int, help="so many sound calls; may be repeated")
    options = parser.parse_args(arguments)
    rows = measure(options.part or PARTS, options.system or SYSTEMS, options.count or COUNTS)
    return run("media-cpu", rows, summary)


if __name__ == "__main__":
    raise SystemExit(main())
