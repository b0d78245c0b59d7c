"""A link that narrows from 2 Mbit/s to 300 kbit/s and widens again, under a call with picture: who adapts, and how.

The way up of one end is narrowed; that end sends the talking person and speech, the other one speech. Engine by
engine, so that none takes another's processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lab.network import Access, Link, Nat, Network, Way

from .media_calls import Call, Recollection, running_call
from .media_end import SYSTEMS
from .media_material import Clip, Luma, part, speech, stamp_height
from .media_measures import delays, freezes, quantile, ssim, timeline
from .media_report import Row, run

SIZE = (640, 360)
WIDE, NARROW = 2_000_000, 300_000
STEPS = (("wide", WIDE), ("narrow", NARROW), ("wide again", WIDE))
STEP_SECONDS = 20.0
QUEUE_SECONDS = 0.3
"""Of the router in front of the link: as much as many a modem has."""
SETTLE_SECONDS = 8.0
"""At the start of each step, left out of its figures of quality."""
DELAY = 0.020
KEEP_PICTURE = 6
LATE_SECONDS = 0.060
"""How much later than in the median of the wide link a piece of speech may be heard."""
CALM_SECONDS = 0.150
"""How much later than that a picture may be seen for the delay to count as overcome."""
_CALM_AT_LEAST = 1.0
"""Pictures must come in the last second of a step, else the delay was not overcome in it."""
_LOOK_SECONDS = 0.1
_STEADY_SECONDS = 2.0
_BACK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Counted:
    """What had passed the narrowed way at a moment."""

    at: float
    octets: int
    overflowed: int


async def measure(systems: Sequence[str], seconds: float) -> AsyncIterator[Row]:
    """Rows of each engine: one for each step."""
    with tempfile.TemporaryDirectory() as folder:
        for system in systems:
            homes = {"a": Access(Nat.NONE), "b": Access(Nat.NONE)}
            async with Network(homes, link=Link(delay=DELAY / 2)) as lab:
                await lab.home("a").shape(Way.UP, rate=WIDE, queue=QUEUE_SECONDS)
                try:
                    async with running_call(
                        system, lab, ("a", "b"), size=SIZE, one_way=True, again=True, keep_picture=KEEP_PICTURE
                    ) as call:
                        rows = await _steps(call, lab, seconds, Path(folder))
                except (TimeoutError, AssertionError) as error:
                    rows = [{"case": "wide", "ok": False, "why": repr(error)}]
            for row in rows:
                yield {"system": system, **row}


async def _steps(call: Call, lab: Network, seconds: float, folder: Path) -> list[Row]:
    (begun_a, *_), _ = await call.begin()
    counted: list[Counted] = []
    marks: list[tuple[str, float, float]] = []
    figures = [await call.figures()]
    for name, rate in STEPS:
        since = time.monotonic()
        await lab.home("a").shape(Way.UP, rate=rate)
        while time.monotonic() < since + seconds:
            counts = (await lab.home("a").counts())["up"]
            counted.append(Counted(time.monotonic(), counts.octets, counts.overflowed))
            await asyncio.sleep(_LOOK_SECONDS)
        marks.append((name, since, time.monotonic()))
        figures.append(await call.figures())
    _, seen_by_b = await call.recollections(folder)
    pieces = _pieces(seen_by_b, begun_a, marks[-1][2])
    return [
        {
            "case": name,
            "ok": True,
            **_sound(pieces, marks[0], since, until),
            **_picture(seen_by_b, begun_a, marks[0], since, until),
            **_traffic(counted, marks, place),
            **_cost(figures[place], figures[place + 1]),
        }
        for place, (name, since, until) in enumerate(marks)
    ]


def _pieces(seen: Recollection, begun: float, until: float) -> NDArray[np.float64]:
    """Rows of the moment at which a piece of speech was said and its delay."""
    seconds = until - begun
    heard = timeline(seen.times, seen.lengths, seen.samples, begun, seconds)
    found = delays(part(speech("a"), 0.0, seconds), heard)
    return np.array([(begun + at, delay) for at, delay in found]).reshape(-1, 2)


def _sound(
    pieces: NDArray[np.float64], wide: tuple[str, float, float], since: float, until: float
) -> dict[str, float | None]:
    usual = quantile(pieces[_within(pieces[:, 0], wide[1] + SETTLE_SECONDS, wide[2]), 1], 0.5)
    own = pieces[_within(pieces[:, 0], since, until), 1]
    late = own > (usual if usual is not None else 0.0) + LATE_SECONDS
    return {
        "ear_delay": quantile(own, 0.5),
        "ear_delay_worst": quantile(own, 1.0),
        "ear_late": round(float(late.mean()), 4) if len(own) else None,
    }


def _within(values: NDArray[np.float64], since: float, until: float) -> NDArray[np.bool_]:
    return (values >= since) & (values <= until)


def _picture(
    seen: Recollection, begun: float, wide: tuple[str, float, float], since: float, until: float
) -> dict[str, float | int | None]:
    lags = seen.seen[:, 1] - begun - seen.seen[:, 0] / Clip.FPS
    # A number may be misread in a picture that is damaged: none is seen before it was taken.
    shown = seen.seen[lags > 0]
    times, lags = shown[:, 1], lags[lags > 0]
    usual = float(np.median(lags[_within(times, wide[1] + SETTLE_SECONDS, wide[2])])) if len(lags) else 0.0
    inside = _within(times, since, until)
    settled = _within(times, since + SETTLE_SECONDS, until)
    count, frozen = freezes(times, since, until)
    late = [since, *times[inside & (lags > usual + CALM_SECONDS)]]
    calm = _within(times, max(until - _CALM_AT_LEAST, late[-1]), until)
    qualities = [
        _likeness(int(row[0]), luma)
        for row, luma in zip(seen.kept, seen.pictures, strict=True)
        if since + SETTLE_SECONDS <= row[1] <= until
    ]
    return {
        "eye_delay": quantile(lags[settled], 0.5),
        "eye_overshoot": round(float(lags[inside].max()) - usual, 3) if inside.any() else None,
        "calm_after": round(late[-1] - since, 2) if calm.any() else None,
        "freezes": count,
        "frozen": round(frozen, 2),
        "fps": round(float(settled.sum()) / max(0.1, until - since - SETTLE_SECONDS), 1),
        "height": int(np.median(shown[settled, 3])) if settled.any() else None,
        "ssim": round(statistics.mean(qualities), 4) if qualities else None,
    }


def _likeness(number: int, shown: Luma) -> float:
    """SSIM against what was filmed, at its size, without the number."""
    said = _clip().luma(number)
    height, width = said.shape
    if shown.shape != said.shape:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="gray")
        shown = frame.reformat(width, height, "gray", interpolation="BICUBIC").to_ndarray()
    top = stamp_height(width) + 4
    return ssim(said[top:], shown[top:])


_CLIPS: list[Clip] = []


def _clip() -> Clip:
    if not _CLIPS:
        _CLIPS.append(Clip(*SIZE))
    return _CLIPS[0]


def _traffic(counted: Sequence[Counted], marks: Sequence[tuple[str, float, float]], place: int) -> dict[str, Any]:
    _, since, until = marks[place]
    inside = [count for count in counted if since <= count.at <= until]
    overflows = [later.at for one, later in pairwise(inside) if later.overflowed > one.overflowed]
    settled = _rate(counted, since + SETTLE_SECONDS, until)
    found: dict[str, Any] = {
        "rate": round(settled),
        "dropped": inside[-1].overflowed - inside[0].overflowed,
        "dropped_until": round(overflows[-1] - since, 2) if overflows else 0.0,
    }
    if place == len(STEPS) - 1:
        before = _rate(counted, marks[0][1] + SETTLE_SECONDS, marks[0][2])
        found["back_after"] = next(
            (
                round(count.at - since, 2)
                for count in inside
                if count.at < until - _STEADY_SECONDS
                and _rate(counted, count.at, count.at + _STEADY_SECONDS) >= _BACK_SHARE * before
            ),
            None,
        )
    return found


def _rate(counted: Sequence[Counted], since: float, until: float) -> float:
    """Bits a second that got through."""
    inside = [count for count in counted if since <= count.at <= until]
    if len(inside) < 2:
        return 0.0
    return (inside[-1].octets - inside[0].octets) * 8 / (inside[-1].at - inside[0].at)


def _cost(before: tuple[dict[str, Any], ...], after: tuple[dict[str, Any], ...]) -> dict[str, float]:
    early, late = before[1]["ends"][0], after[1]["ends"][0]
    played = max(1, late["blocks"] - early["blocks"])
    seconds = after[0]["at"] - before[0]["at"]
    return {
        "concealed": round((late["concealed"] - early["concealed"]) / played, 4),
        "cpu_sender": round((after[0]["cpu"] - before[0]["cpu"]) / seconds, 3),
        "cpu_receiver": round((after[1]["cpu"] - before[1]["cpu"]) / seconds, 3),
    }


_COLUMNS = (
    ("rate", "kbit/s", 1e-3, "8.0f"),
    ("dropped", "dropped", 1, "8.0f"),
    ("dropped_until", "until s", 1, "8.1f"),
    ("calm_after", "calm s", 1, "7.1f"),
    ("back_after", "back s", 1, "7.1f"),
    ("eye_overshoot", "over ms", 1e3, "8.0f"),
    ("eye_delay", "eye ms", 1e3, "7.0f"),
    ("freezes", "freezes", 1, "8.0f"),
    ("frozen", "frozen s", 1, "9.1f"),
    ("fps", "fps", 1, "6.1f"),
    ("height", "lines", 1, "6.0f"),
    ("ssim", "SSIM", 1, "7.3f"),
    ("ear_delay", "ear ms", 1e3, "7.0f"),
    ("ear_late", "late %", 1e2, "7.1f"),
    ("concealed", "conc %", 1e2, "7.1f"),
)


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each engine and step."""
    widths = [int(form.split(".")[0]) for *_, form in _COLUMNS]
    heads = "".join(f"{head:>{width}}" for (_, head, _, _), width in zip(_COLUMNS, widths, strict=True))
    lines = [f"  {'':23}{heads}"]
    for row in rows:
        cells = ""
        for (name, _, scale, form), width in zip(_COLUMNS, widths, strict=True):
            value = row.get(name)
            cells += f"{'-':>{width}}" if value is None else f"{float(str(value)) * scale:{form}}"
        lines.append(f"  {row['system']!s:11} {row['case']!s:11}{cells}")
    lines.append("  goal: no drops 1 s after the link narrows, its rate back 5 s after it widens, no sound late")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this engine; may be repeated")
    parser.add_argument("--seconds", type=float, default=STEP_SECONDS, help="of each step (default: %(default)s)")
    options = parser.parse_args(arguments)
    return run("media-steps", measure(options.system or SYSTEMS, options.seconds), summary)


if __name__ == "__main__":
    raise SystemExit(main())
