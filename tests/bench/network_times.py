"""How fast calls connect across all kinds of networks, and how long sound is away when a network changes.

Real programs in a laboratory of namespaces (`lab.network`): the signaling server with TLS, coturn with the rendered
configuration, node processes that send each other tones. What is measured is what each end hears. Every row goes to a
file as one object a line; the table sums them up. Plain aiortc is put through what it can do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.network import Unavailable

from . import network_aiortc, network_runs
from .network_runs import Row

OUT = Path("bench-output/network-times.jsonl")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that is measured.

    Args:
        name: what `--only` picks it by.
        unit: what the figure is.
        play: yields the rows.
        runs: of each case, unless `--runs` says otherwise.
        goal: in words.
    """

    name: str
    unit: str
    play: Callable[[int], AsyncIterator[Row]]
    runs: int
    goal: str = ""


_GAP_GOAL = "gap median ≤ 0.3 s, p95 ≤ 1 s, none lost"

SCENARIOS = (
    Scenario("connect", "s to sound", network_runs.connects, 10, "≤ 1 round trip + 0.15 s"),
    Scenario("address change", "s gap", partial(network_runs.handoffs, "address change"), 50, _GAP_GOAL),
    Scenario("NAT rebinding", "s gap", partial(network_runs.handoffs, "NAT rebinding"), 20, _GAP_GOAL),
    Scenario("both ends at once", "s gap", partial(network_runs.handoffs, "both ends at once"), 10),
    Scenario("link down 10 s", "s after it", partial(network_runs.handoffs, "link down 10 s"), 10, "≤ 0.5 s"),
    Scenario("another wireless", "s after it", partial(network_runs.handoffs, "another wireless"), 10, "≤ 0.5 s"),
    Scenario("20 % loss", "s to sound", partial(network_runs.lossy, burst=0.0), 100, "≥ 99 % connect"),
    Scenario("20 % bursty loss", "s to sound", partial(network_runs.lossy, burst=network_runs.BURST), 100, "≥ 99 %"),
    Scenario("aiortc connect", "s to sound", network_aiortc.connects, 5),
    Scenario("aiortc address change", "s gap", network_aiortc.handoffs, 3),
)


def summary(rows: Iterable[Row]) -> list[str]:
    """One line for each case: how many held, median, 95th percentile and worst."""
    lines = []
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(str(row["case"]), []).append(row)
    for case, played in cases.items():
        times = sorted(float(str(row["seconds"])) for row in played if row["ok"])
        figures = (
            "".join(f"{figure:9.3f}" for figure in (statistics.median(times), _p95(times), times[-1])) if times else ""
        )
        paths = "/".join(sorted({str(row["path"]) for row in played if "path" in row}))
        lines.append(f"  {case:42} {len(times):4} of {len(played):4}{figures or '        -' * 3}  {paths}")
    return lines


def _p95(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]


async def measure(scenarios: Iterable[Scenario], runs: int | None, out: Path) -> None:
    """Play the scenarios and print the table as it grows.

    Raises:
        Unavailable: this machine cannot hold the laboratory.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    head = f"  {'case':42} {'held':>12}{'median':>9}{'p95':>9}{'worst':>9}"
    with out.open("w") as file:
        for scenario in scenarios:
            rows = []
            began = time.monotonic()
            async for row in scenario.play(runs or scenario.runs):
                rows.append(row)
                file.write(json.dumps({"scenario": scenario.name, **row}, ensure_ascii=False) + "\n")
                file.flush()
                print(f"\r{scenario.name}: {len(rows)}", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
            goal = f"; goal {scenario.goal}" if scenario.goal else ""
            print(f"{scenario.name} ({scenario.unit}{goal}; {time.monotonic() - began:.0f} s)", head, sep="\n")
            print(*summary(rows), sep="\n", flush=True)
    print(f"raw rows: {out}")


def main() -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="measure this; may be repeated")
    parser.add_argument("--runs", type=int, help="of each case, in place of each scenario's own number")
    parser.add_argument("--out", type=Path, default=OUT, help="where the raw rows go (default: %(default)s)")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
    try:
        asyncio.run(measure(chosen, options.runs, options.out))
    except Unavailable as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
