"""Speech over bad networks: quality (PESQ-WB), mouth-to-ear delay and concealed share, beside aiortc and libwebrtc.

Both ends of every call talk at once, each with its own voices. At each point of the grid all engines are called at the
same time, over lines of their own that do the same. Losses and jitter are on the way up of both ends; jitter moves each
packet by up to that much either side, and none overtakes another.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.network import Access, Nat, Network, Way

from .media_calls import Call, Recollection, running_call
from .media_end import SYSTEMS
from .media_material import LEAD_SECONDS, speech
from .media_measures import judged, timeline
from .media_report import Row, run

LOSSES = (0.0, 0.01, 0.03, 0.05, 0.10, 0.20)
JITTERS = (0.0, 0.030, 0.100)
BURSTS = (0.0, 0.060)
"""Mean seconds for which all is lost; 0: each packet for itself."""
BASE_DELAY = 0.020
"""Of the way from one end to the other, without what jitter needs."""
AT_ONCE = 2
TAIL_SECONDS = 2.0
BATCH_PATIENCE = 120.0
_JUDGES_NICE = 20
MOS_SLACK, DELAY_SLACK = 0.1, 0.020


@dataclass(frozen=True, slots=True)
class Point:
    """A network.

    Args:
        loss: share of the packets.
        burst: mean seconds for which everything is lost; 0: independent losses.
        jitter: seconds either side.
    """

    loss: float
    burst: float
    jitter: float

    @property
    def case(self) -> str:
        """In words, short."""
        kind = "" if not self.loss else " bursty" if self.burst else " random"
        return f"{self.loss:.0%}{kind}, {self.jitter * 1000:.0f} ms"

    @property
    def changes(self) -> dict[str, float]:
        """What the way up of both ends does."""
        return {
            "delay": BASE_DELAY + self.jitter,
            "jitter": self.jitter,
            "loss": self.loss,
            "burst": self.burst,
        }


GRID = tuple(
    Point(loss, burst, jitter)
    for burst, loss, jitter in itertools.product(BURSTS, LOSSES, JITTERS)
    if loss or not burst
)
QUICK = (Point(0.0, 0.0, 0.0), Point(0.05, 0.0, 0.030), Point(0.10, 0.060, 0.030), Point(0.20, 0.0, 0.0))


async def measure(points: Sequence[Point], systems: Sequence[str], at_once: int) -> AsyncIterator[Row]:
    """A row for each point and engine."""
    names = [f"{place}-{system}-{end}" for place in range(at_once) for system in systems for end in "ab"]
    # Nobody has an address translated here: what is compared is media.
    homes = {name: Access(Nat.NONE) for name in names}
    with (
        ProcessPoolExecutor(2, initializer=os.nice, initargs=(_JUDGES_NICE,)) as judges,
        tempfile.TemporaryDirectory() as folder,
    ):
        for batch in _batches(points, at_once):
            async with Network(homes) as lab:
                played = await asyncio.gather(
                    *(
                        _play(lab, point, system, f"{place}-{system}", Path(folder))
                        for place, point in enumerate(batch)
                        for system in systems
                    )
                )
            verdicts = await asyncio.gather(*(_judge(judges, recollections) for _, recollections in played))
            for (row, _), verdict in zip(played, verdicts, strict=True):
                yield {**row, **verdict}


def _batches(points: Sequence[Point], size: int) -> Iterable[Sequence[Point]]:
    return (points[begin : begin + size] for begin in range(0, len(points), size))


Heard = tuple[str, Recollection, float]


async def _play(lab: Network, point: Point, system: str, name: str, folder: Path) -> tuple[Row, list[Heard]]:
    row: Row = {"case": point.case, "system": system, **asdict(point)}
    homes = f"{name}-a", f"{name}-b"
    try:
        async with asyncio.timeout(BATCH_PATIENCE), running_call(system, lab, homes) as call:
            await asyncio.gather(*(lab.home(home).shape(Way.UP, **point.changes) for home in homes))
            return await _talk(call, row, folder, name)
    except (TimeoutError, AssertionError) as error:
        return {**row, "ok": False, "why": repr(error)}, []


async def _talk(call: Call, row: Row, folder: Path, name: str) -> tuple[Row, list[Heard]]:
    begun_a, begun_b = await call.begin()
    await asyncio.sleep(LEAD_SECONDS)
    before = await call.figures()
    await asyncio.sleep(max(speech("a").seconds, speech("b").seconds) - LEAD_SECONDS + TAIL_SECONDS)
    after = await call.figures()
    place = folder / name
    place.mkdir(exist_ok=True)
    at_a, at_b = await call.recollections(place)
    concealed = [_concealed(*pair) for pair in zip(before, after, strict=True)]
    cpu = [late["cpu"] - early["cpu"] for early, late in zip(before, after, strict=True)]
    seconds = after[0]["at"] - before[0]["at"]
    row |= {
        "ok": True,
        "concealed": round(statistics.mean(concealed), 4),
        "cpu": round(sum(cpu) / 2 / seconds, 4),
        "raw": [figures["ends"][0] for figures in after],
    }
    # What `a` says is what `b` hears.
    return row, [("a", at_b, begun_a[0]), ("b", at_a, begun_b[0])]


def _concealed(before: dict[str, Any], after: dict[str, Any]) -> float:
    early, late = before["ends"][0], after["ends"][0]
    return float((late["concealed"] - early["concealed"]) / max(1, late["blocks"] - early["blocks"]))


async def _judge(judges: ProcessPoolExecutor, heard: Sequence[Heard]) -> Row:
    loop = asyncio.get_running_loop()
    verdicts = await asyncio.gather(*(loop.run_in_executor(judges, _verdict, *each) for each in heard))
    if not verdicts:
        return {}
    return {"mos": round(statistics.mean(float(str(each["mos"])) for each in verdicts), 3)} | {
        figure: _mean([each[figure] for each in verdicts]) for figure in ("delay", "delay_p95")
    }


def _verdict(voice: str, recollection: Recollection, begun: float) -> dict[str, float | None]:
    track = speech(voice)
    heard = timeline(
        recollection.times, recollection.lengths, recollection.samples, begun, track.seconds + TAIL_SECONDS + 1.0
    )
    return judged(track, heard)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.mean(known), 4) if known else None


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each point: MOS, delay and concealed share of each engine, and whether the goal is reached."""
    head = f"  {'loss, jitter':22}" + "".join(f"{system + ' MOS/ms/%':>27}" for system in SYSTEMS) + "   reached"
    lines = [head]
    reached = compared = 0
    for case, group in itertools.groupby(rows, key=lambda row: row["case"]):
        by_system = {str(row["system"]): row for row in group}
        cells = "".join(f"{_cell(by_system.get(system)):>27}" for system in SYSTEMS)
        verdict = _verdict_of(by_system)
        compared += verdict is not None
        reached += verdict == "yes"
        lines.append(f"  {case!s:22}{cells}   {verdict or '-'}")
    lines.append(
        f"  goal (MOS ≥ libwebrtc − {MOS_SLACK}, delay ≤ libwebrtc + {DELAY_SLACK * 1000:.0f} ms, MOS > aiortc"
    )
    lines.append(f"  wherever packets are lost): reached at {reached} of {compared} points")
    return lines


def _cell(row: Row | None) -> str:
    if row is None or not row["ok"]:
        return "no call" if row is not None else "-"
    delay = "   -" if row["delay"] is None else f"{float(str(row['delay'])) * 1000:4.0f}"
    return f"{row['mos']:5.2f} {delay} {100 * float(str(row['concealed'])):5.1f}"


def _verdict_of(rows: dict[str, Row]) -> str | None:
    ours, chromium, aiortc = (rows.get(system) for system in ("entrenous", "libwebrtc", "aiortc"))
    if ours is None or chromium is None or not chromium["ok"]:
        return None
    if not ours["ok"] or ours["delay"] is None:
        return "no: not heard"
    missed = []
    if (lack := float(str(chromium["mos"])) - float(str(ours["mos"]))) > MOS_SLACK:
        missed.append(f"MOS −{lack:.2f}")
    if chromium["delay"] is not None:
        excess = float(str(ours["delay"])) - float(str(chromium["delay"]))
        if excess > DELAY_SLACK:
            missed.append(f"+{excess * 1000:.0f} ms")
    if ours["loss"] and aiortc is not None and aiortc["ok"] and float(str(aiortc["mos"])) >= float(str(ours["mos"])):
        missed.append("aiortc is better")
    return "no: " + ", ".join(missed) if missed else "yes"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four points instead of the whole grid")
    parser.add_argument("--point", action="append", help="LOSS,BURST,JITTER in shares and seconds; may be repeated")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this engine; may be repeated")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="points at a time (default: %(default)s)")
    options = parser.parse_args(arguments)
    points: Sequence[Point] = QUICK if options.quick else GRID
    if options.point:
        points = [Point(*(float(figure) for figure in text.split(","))) for text in options.point]
    began = time.monotonic()
    rows = measure(points, options.system or SYSTEMS, min(options.at_once, len(points)))
    status = run("media-speech", rows, summary)
    print(f"  {len(points)} points in {time.monotonic() - began:.0f} s")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
